"""The growth of a planned load within a time, against a fine grid and against what can be said by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_locust.analysis.growth import Growth
from sm_locust.schedule import Phase, Schedule

REFERENCE = Schedule([Phase("warm up", 3600, 200, ramp_to=600), Phase("max load", 3600, 600, ramp_to=800)])


def load(*phases: tuple[float, float, float | None]) -> Schedule:
    return Schedule(Phase(f"phase {i}", *phase) for i, phase in enumerate(phases))


schedules = st.lists(
    st.tuples(st.integers(1, 600), st.integers(0, 1000), st.none() | st.integers(0, 1000)), min_size=1, max_size=5
).map(lambda phases: load(*phases))


def test_a_ramp_grows_by_its_slope() -> None:
    growth = Growth.of(REFERENCE, 451, 465)
    assert growth.by == pytest.approx(451 / 9)
    assert growth.share == pytest.approx(451 / 9 / 465)
    assert growth.start <= 465


@pytest.mark.parametrize("within", [1, 60, 480, 5000])
def test_a_spike_is_seen_whole_however_short_it_is(within: float) -> None:
    spike = load((600, 200, None), (5, 600, None), (600, 200, None))
    assert Growth.of(spike, within, 465).by == 400


def test_a_load_that_falls_or_stays_does_not_grow() -> None:
    for quiet in (load((600, 200, None)), load((600, 500, 100)), load((60, 500, None), (60, 100, None))):
        assert Growth.of(quiet, 480, 465) == Growth(0.0, quiet.rate(0), 0.0, 0.0)


def test_what_it_falls_from_is_no_growth() -> None:
    growth = Growth.of(load((60, 500, None), (600, 100, 160)), 300, 465)
    assert (growth.by, growth.start) == (30, 100)


def test_many_instances_share_what_a_large_load_grows_by() -> None:
    growth = Growth.of(load((7200, 5000, 10000)), 480, 465)
    assert growth.by == pytest.approx(5000 / 7200 * 480)
    assert growth.share == pytest.approx(growth.by / 5000)


@given(schedules, st.integers(1, 900), st.floats(1, 2000))
def test_no_grid_finds_more(schedule: Schedule, within: int, max_rps: float) -> None:
    found = Growth.of(schedule, within, max_rps)
    rates = [schedule.rate(second) for second in range(int(schedule.duration) + within + 1)]
    shares = [
        (max(rates[second : second + within + 1]) - start) / max(start, max_rps)
        for second, start in enumerate(rates[: int(schedule.duration)])
    ]
    assert found.share >= max(shares) - 1e-9
    assert found.by == pytest.approx(found.share * max(found.start, max_rps))


@given(schedules, st.floats(1, 900), st.floats(0, 900), st.floats(1, 2000))
def test_a_longer_time_never_makes_it_less(schedule: Schedule, within: float, more: float, max_rps: float) -> None:
    shorter, longer = Growth.of(schedule, within, max_rps), Growth.of(schedule, within + more, max_rps)
    assert longer.share >= shorter.share - 1e-9
