"""One line that says how the run is doing: rewritten in place on a terminal, a new one every ten seconds elsewhere."""

from __future__ import annotations

import math
import os
import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TextIO

from rich.cells import cell_len, set_cell_size

from sm_locust.plugin.listener import Listener
from sm_locust.record.histogram import Histogram
from sm_locust.record.interval import ARRIVALS, Interval
from sm_locust.record.ledger import Planned, Sample
from sm_locust.report.formats import printable
from sm_locust.schedule import Schedule

PLAIN_EVERY = 10.0  # seconds


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of the line.

    rank   what is told first where there is no room for all: the lowest
    glue   what stands before it, if anything does
    """

    rank: int
    text: str
    glue: str = " · "


def fitted(parts: Iterable[Part], width: int | None) -> str:
    """The parts in one line of at most `width` columns: the least important are left out; None for no limit."""
    kept = list(parts)
    while True:
        line = "".join((part.glue if i else "") + part.text for i, part in enumerate(kept))
        if width is None or cell_len(line) <= width:
            return line
        if len(kept) == 1:
            return set_cell_size(line, max(0, width))
        kept.remove(max(kept, key=lambda part: part.rank))


class Progress(Listener):
    """Collects the last second and says it.

    speed     schedule seconds for one real second
    schedule  in real seconds; None without one
    """

    def __init__(self, speed: int, schedule: Schedule | None, stream: TextIO | None = None) -> None:
        self._speed = speed
        self._schedule = schedule
        self._stream = stream or sys.stderr
        self._in_place = self._stream.isatty()
        self._last_shown = 0.0
        self._open = False  # whether a line stands that is to be rewritten
        self._waited_for = ""
        self._planned = 0.0
        self._over = 1.0
        self._last = Interval(0.0, ARRIVALS)
        self._latencies: list[str] = []  # of the last second, encoded: for a line that is shown, and most are not
        self._failed = 0
        self.doing = ""  # what a search is at
        self.instances = ""  # in service, in words; empty where nobody knows

    def plan(self, row: Planned) -> None:
        self._planned, self._over = row.planned, row.until - row.second

    def count(self, counted: Interval, row: dict[str, Any], sample: Sample) -> None:
        self._last.merge(counted)
        self._failed += counted.failed
        if "latency" in row:
            self._latencies.append(row["latency"])

    def show(self, now: float) -> None:
        """Says it, `now` real seconds after the start."""
        last = self._last
        if self._in_place or now - self._last_shown >= PLAIN_EVERY:
            self._last_shown = now
            parts = self._parts(now, last)
            if self._in_place:
                self._rewrite(parts)
            else:
                self._stream.write(fitted(parts, None) + "\n")
                self._stream.flush()
        self._last, self._latencies = Interval(0.0, ARRIVALS), []

    def wait(self, what: str) -> None:
        """Says what is still waited for once the load is over; what stands in brackets where there is room."""
        if self._in_place:
            said, bracket, hint = what.partition(" (")
            self._rewrite([Part(0, said), *([Part(1, f"({hint}", " ")] if bracket else [])])
        elif what != self._waited_for:
            self._stream.write(what + "\n")
            self._stream.flush()
        self._waited_for = what

    def make_way(self) -> None:
        """Wipes the line, for somebody else's: what comes next stands where it stood."""
        if self._open:
            self._open = False
            self._stream.write("\r\x1b[2K")
            self._stream.flush()

    def end(self) -> None:
        """Leaves the line as it stands."""
        if self._open:
            self._open = False
            self._stream.write("\n")
            self._stream.flush()

    def _rewrite(self, parts: Iterable[Part]) -> None:
        """A line that wraps could not be rewritten: it is kept within the terminal's width."""
        self._open = True
        self._stream.write(f"\r\x1b[2K{fitted(parts, self._columns() - 1)}")
        self._stream.flush()

    def _columns(self) -> int:
        """Of the terminal that is written to: standard output, which others ask, may be a file."""
        if not os.environ.get("COLUMNS"):
            try:
                return os.get_terminal_size(self._stream.fileno()).columns or 80
            except (OSError, ValueError):  # a terminal without a size, or none that the system knows
                pass
        return shutil.get_terminal_size().columns

    def _parts(self, now: float, last: Interval) -> list[Part]:
        """In the order in which they are read."""
        parts = [Part(7 if self._schedule else 0, _clock(now * self._speed))]
        if self._schedule is not None:
            parts.append(Part(8, _clock(self._schedule.duration * self._speed), " of "))
            parts.append(Part(0, f"{_clock(math.ceil(max(0.0, self._schedule.duration - now)))} left", ", "))
            phase = self._schedule.phase_at(now)
            if phase is not None:
                parts.append(Part(6, printable(phase.name)))
        if self.doing:
            parts.append(Part(4, self.doing))
        parts.append(Part(1, f"{last.sent / self._over:.0f}/s of {self._planned / self._over:.0f}"))
        latency = Histogram.merged(map(Histogram.decode, self._latencies))
        p50, p99 = latency.quantile(0.5), latency.quantile(0.99)
        if p50 is not None and p99 is not None:
            parts.append(Part(3, f"p50 {_figure(p50 * 1e3)}, p99 {_figure(p99 * 1e3)} ms"))
        parts.append(Part(2, f"{last.failed} failed" if self._failed else "no failures"))
        if self._failed:
            parts.append(Part(9, f"{self._failed} in all", ", "))
        if last.dropped:
            parts.append(Part(4, f"{last.dropped} dropped"))
        if self.instances:
            parts.append(Part(5, self.instances))
        return parts


def _clock(seconds: float) -> str:
    """h:mm:ss, or m:ss below an hour."""
    whole = int(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _figure(ms: float) -> str:
    return f"{ms:.{1 if ms < 100 else 0}f}"
