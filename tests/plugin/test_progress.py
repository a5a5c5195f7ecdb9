"""The one line that says how the run is doing."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from sm_locust.plugin.progress import Part, Progress, fitted
from sm_locust.record.interval import ARRIVALS, DUE, Interval
from sm_locust.record.ledger import Planned, Sample
from sm_locust.record.outcome import OK, UNAVAILABLE, Outcome
from sm_locust.schedule import Phase, Schedule

REAL = Schedule((Phase("warm up", 60, 200, ramp_to=600), Phase("max load", 60, 600, ramp_to=800)))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def a_second(progress: Progress, second: int) -> None:
    progress.plan(Planned(float(second), second + 1.0, 600.0, 600))
    arrivals, requests = Interval(float(second), ARRIVALS), Interval(float(second), "e")
    arrivals.add(DUE, 599)
    for n in range(599):
        requests.record(Outcome("e", 0.0, 0.0, None, 0.0085, UNAVAILABLE if n < 9 else OK))
    for row in (arrivals.encode(), requests.encode()):
        progress.count(Interval.decode(row, histograms=()), row, Sample(second + 1.0, "w", 0, None))


def test_it_says_when_how_much_how_fast_how_well_and_on_how_many() -> None:
    stream = io.StringIO()
    progress = Progress(60, REAL, stream)
    progress.instances = "1 instance, 2 wanted"
    a_second(progress, 61)
    progress.show(62.0)
    assert stream.getvalue() == (
        "1:02:00 of 2:00:00, 0:58 left · max load · 599/s of 600 · p50 8.5, p99 8.5 ms · 9 failed, 9 in all"
        " · 1 instance, 2 wanted\n"
    )


WIDTHS = [
    (110, "1:02:00 of 2:00:00, 0:58 left · max load · 599/s of 600 · p50 8.5, p99 8.5 ms · 9 failed · 2 instances"),
    (100, "1:02:00, 0:58 left · max load · 599/s of 600 · p50 8.5, p99 8.5 ms · 9 failed · 2 instances"),
    (90, "0:58 left · max load · 599/s of 600 · p50 8.5, p99 8.5 ms · 9 failed · 2 instances"),
    (80, "0:58 left · 599/s of 600 · p50 8.5, p99 8.5 ms · 9 failed · 2 instances"),
    (60, "0:58 left · 599/s of 600 · p50 8.5, p99 8.5 ms · 9 failed"),
    (40, "0:58 left · 599/s of 600 · 9 failed"),
    (30, "0:58 left · 599/s of 600"),
    (12, "0:58 left"),
    (5, "0:58"),
]


@pytest.mark.parametrize(("columns", "said"), WIDTHS, ids=[str(columns) for columns, _ in WIDTHS])
def test_what_matters_least_is_left_out_where_there_is_no_room_for_all(
    columns: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    stream = Terminal()
    progress = Progress(60, REAL, stream)
    progress.instances = "2 instances"
    a_second(progress, 61)
    progress.show(62.0)
    assert stream.getvalue() == f"\r\x1b[2K{said}"


def test_a_phase_has_its_width_in_columns_and_no_control_character(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "90")
    stream = Terminal()
    progress = Progress(1, Schedule((Phase("熱\x1b[31m機", 60, 600),)), stream)
    a_second(progress, 3)
    progress.show(4.0)
    line = stream.getvalue().removeprefix("\r\x1b[2K")
    assert "熱�[31m機" in line
    assert cell_len(line) < 90 <= cell_len(line) + len(", 9 in all")


@given(
    parts=st.lists(
        st.builds(Part, st.integers(0, 9), st.text("ab熱 ", min_size=1, max_size=9)),
        min_size=1,
        unique_by=lambda part: part.rank,
    ),
    width=st.integers(0, 40),
)
def test_a_line_is_never_wider_than_it_may_be_and_what_is_kept_matters_most(parts: list[Part], width: int) -> None:
    line = fitted(parts, width)
    assert cell_len(line) <= width
    most = min(parts, key=lambda part: part.rank)
    assert most.text in line or cell_len(most.text) > width


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


def test_it_makes_way_for_others_and_begins_anew_below_them() -> None:
    stream = Terminal()
    progress = Progress(1, None, stream)
    progress.make_way()
    assert stream.getvalue() == ""
    a_second(progress, 0)
    progress.show(1.0)
    progress.make_way()
    progress.make_way()
    stream.write("somebody else's\n")
    a_second(progress, 1)
    progress.show(2.0)
    progress.end()
    first, second = stream.getvalue().split("\r\x1b[2Ksomebody else's\n")
    assert first.startswith("\r\x1b[2K0:01 ") and second.startswith("\r\x1b[2K0:02 ")
    assert "\n" not in first and second.count("\n") == 1


def test_what_is_waited_for_is_said_whole_and_its_hint_where_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    for columns in ("80", "30"):
        monkeypatch.setenv("COLUMNS", columns)
        Progress(1, None, stream).wait("waiting: 1 of 2 counted (Ctrl-C goes on)")
    assert stream.getvalue().split("\r\x1b[2K")[1:] == [
        "waiting: 1 of 2 counted (Ctrl-C goes on)",
        "waiting: 1 of 2 counted",
    ]
