"""The one line that says how the run is doing."""

from __future__ import annotations

import io

import pytest

from sm_locust.plugin.progress import Progress
from sm_locust.record.interval import ARRIVALS, DUE, Interval
from sm_locust.record.outcome import OK, UNAVAILABLE, Outcome
from sm_locust.record.run import Plan
from sm_locust.schedule import Phase, Schedule

REAL = Schedule((Phase("warm up", 60, 200, ramp_to=600), Phase("max load", 60, 600, ramp_to=800)))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def a_second(progress: Progress, second: int) -> None:
    progress.plan(Plan(float(second), second + 1.0, 600.0, 600))
    arrivals, requests = Interval(float(second), ARRIVALS), Interval(float(second), "e")
    arrivals.add(DUE, 599)
    for n in range(599):
        requests.record(Outcome("e", 0.0, 0.0, None, 0.0085, UNAVAILABLE if n < 9 else OK))
    for row in (arrivals.encode(), requests.encode()):
        progress.add(Interval.decode(row, histograms=()), row.get("latency"))


def test_it_says_when_how_much_how_fast_and_how_well() -> None:
    stream = io.StringIO()
    progress = Progress(60, REAL, stream)
    a_second(progress, 61)
    progress.show(62.0)
    assert stream.getvalue() == (
        "1:02:00 of 2:00:00, 0:58 left · max load · 599/s of 600 · p50 8.5 ms, p99 8.5 ms · 9 failed, 9 in all\n"
    )


def test_without_a_terminal_it_is_a_plain_line_every_ten_seconds() -> None:
    stream = io.StringIO()
    progress = Progress(1, None, stream)
    for second in range(35):
        a_second(progress, second)
        progress.show(second + 1.0)
    progress.end()
    lines = stream.getvalue().splitlines()
    assert [line.split(" · ")[0] for line in lines] == ["0:10", "0:20", "0:30"]
    assert "\x1b" not in stream.getvalue()


@pytest.mark.parametrize("columns", [40, 80])
def test_on_a_terminal_it_is_rewritten_in_place_and_never_wraps(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    stream = Terminal()
    progress = Progress(60, REAL, stream)
    for second in range(3):
        a_second(progress, second)
        progress.show(second + 1.0)
    progress.end()
    first, *lines = stream.getvalue().removesuffix("\n").split("\r\x1b[2K")
    assert first == ""
    assert len(lines) == 3
    assert all(len(line) < columns for line in lines)
