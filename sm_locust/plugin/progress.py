"""One line that says how the run is doing: rewritten in place on a terminal, a new one every ten seconds elsewhere."""

from __future__ import annotations

import shutil
import sys
from typing import TextIO

from sm_locust.record.histogram import Histogram
from sm_locust.record.interval import ARRIVALS, Interval
from sm_locust.record.run import Plan
from sm_locust.schedule import Schedule

PLAIN_EVERY = 10.0  # seconds


class Progress:
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
        self._latencies: list[str] = []  # of the last second, encoded
        self._failed = 0
        self.doing = ""  # what a search is at

    def plan(self, row: Plan) -> None:
        """The plan of the second past."""
        self._planned, self._over = row.planned, row.until - row.second

    def add(self, counted: Interval, latency: str | None) -> None:
        """What was counted since the line was last shown.

        latency  the histogram as it came: it is decoded for a line that is shown, and most are not
        """
        self._last.merge(counted)
        self._failed += counted.failed
        if latency is not None:
            self._latencies.append(latency)

    def show(self, now: float) -> None:
        """Says it, `now` real seconds after the start."""
        last = self._last
        if self._in_place or now - self._last_shown >= PLAIN_EVERY:
            self._last_shown = now
            line = self._line(now, last)
            if self._in_place:
                self._rewrite(line)
            else:
                self._stream.write(line + "\n")
                self._stream.flush()
        self._last, self._latencies = Interval(0.0, ARRIVALS), []

    def wait(self, what: str) -> None:
        """Says what is still waited for once the load is over."""
        if self._in_place:
            self._rewrite(what)
        elif what != self._waited_for:
            self._stream.write(what + "\n")
            self._stream.flush()
        self._waited_for = what

    def end(self) -> None:
        """Leaves the line as it stands."""
        if self._open:
            self._open = False
            self._stream.write("\n")
            self._stream.flush()

    def _rewrite(self, line: str) -> None:
        """A line that wraps could not be rewritten: it is cut to the terminal's width."""
        self._open = True
        self._stream.write(f"\r\x1b[2K{line[: shutil.get_terminal_size().columns - 1]}")
        self._stream.flush()

    def _line(self, now: float, last: Interval) -> str:
        parts = [_clock(now * self._speed)]
        if self._schedule is not None:
            left = _clock(max(0.0, self._schedule.duration - now))
            parts[0] += f" of {_clock(self._schedule.duration * self._speed)}, {left} left"
            phase = self._schedule.phase_at(now)
            if phase is not None:
                parts.append(phase.name)
        if self.doing:
            parts.append(self.doing)
        parts.append(f"{last.sent / self._over:.0f}/s of {self._planned / self._over:.0f}")
        latency = Histogram.merged(map(Histogram.decode, self._latencies))
        p50, p99 = latency.quantile(0.5), latency.quantile(0.99)
        if p50 is not None and p99 is not None:
            parts.append(f"p50 {p50 * 1e3:.1f} ms, p99 {p99 * 1e3:.1f} ms")
        parts.append(f"{last.failed} failed, {self._failed} in all" if self._failed else "no failures")
        if last.dropped:
            parts.append(f"{last.dropped} dropped")
        return " · ".join(parts)


def _clock(seconds: float) -> str:
    """h:mm:ss, or m:ss below an hour."""
    whole = int(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
