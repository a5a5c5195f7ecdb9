"""The run's clock and the offset between two machines' clocks."""

from __future__ import annotations

import pytest

from sm_locust.record.clock import ClockOffset, RunClock


def test_the_run_counts_from_its_origin_and_converts_to_wall_and_schedule() -> None:
    clock = RunClock(100.0, 1_700_000_000.0, 60, monotonic=lambda: 102.5)
    assert clock.now() == 2.5
    assert clock.wall(2.5) == 1_700_000_002.5
    assert clock.at(1_700_000_002.5) == 2.5
    assert clock.at_s(2.5) == 150.0


@pytest.mark.parametrize("ahead", [-3600.0, 0.0, 0.2, 1e6])
def test_the_exchange_with_the_shortest_way_decides_the_offset(ahead: float) -> None:
    offset = ClockOffset()
    assert offset.offset is None
    for sent, there, back in [(0.0, 0.300, 0.010), (1.0, 0.001, 0.001), (2.0, 0.001, 0.400)]:
        offset.observe(sent, sent + there + ahead, sent + there + back)
    assert offset.offset == pytest.approx(ahead, abs=0.001)
    assert offset.round_trip == pytest.approx(0.002)


@pytest.mark.parametrize(("there", "back"), [(0.020, 0.001), (0.001, 0.020), (0.010, 0.010), (0.02, 0.0)])
def test_one_clock_is_one_however_unevenly_a_message_travels(there: float, back: float) -> None:
    offset = ClockOffset()
    offset.observe(5.0, 5.0 + there, 5.0 + there + back)
    assert offset.offset == 0.0


def test_a_run_starts_on_a_whole_second_of_the_wall_clock_and_counts_down_to_it() -> None:
    monotonic = [100.0]
    clock = RunClock(0.0, 0.0, monotonic=lambda: monotonic[0], wall=lambda: 1_700_000_000.25)
    clock.start_on_the_next_second()
    assert (clock.started_at, clock.now()) == (1_700_000_001.0, -0.75)
    monotonic[0] = 100.75
    assert clock.now() == 0.0
