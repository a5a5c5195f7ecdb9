"""The plan's arithmetic: totals, integrals, crossings and speeds, against sums by hand and by quadrature."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_locust.schedule import SPEEDS, Phase, Schedule

REFERENCE = Schedule([Phase("warm up", 3600, 200, ramp_to=600), Phase("max load", 3600, 600, ramp_to=800)])

rates = st.floats(0, 5_000)
phases = st.builds(
    Phase,
    name=st.text(min_size=1, max_size=5),
    duration=st.floats(0.01, 10_000),
    arrival_rate=rates,
    ramp_to=st.none() | rates,
    judge=st.booleans(),
)
schedules = st.lists(phases, min_size=1, max_size=5).map(Schedule)
parts = st.floats(0, 1)


def quadrature(schedule: Schedule, end: float) -> float:
    """The integral of `rate` from 0 to `end`: midpoints between the boundaries, exact for straight lines."""
    cuts = sorted({min(boundary, end) for boundary in schedule.boundaries} | {end})
    pieces = [(a + (b - a) * i / 16, a + (b - a) * (i + 1) / 16) for a, b in pairwise(cuts) for i in range(16) if b > a]
    return math.fsum(schedule.rate((a + b) / 2) * (b - a) for a, b in pieces)


def test_the_reference_ramp_totals_3_960_000_arrivals() -> None:
    assert REFERENCE.total == 3_960_000
    assert REFERENCE.duration == 7200
    assert REFERENCE.boundaries == (0, 3600, 7200)


@pytest.mark.parametrize(
    ("per_minute", "minute"), [(25_000, 32.5), (28_000, 40), (12_000, 0), (36_000, 60), (48_000, 120)]
)
def test_the_reference_ramp_reaches_a_rate_at_the_minute_worked_out_by_hand(per_minute: float, minute: float) -> None:
    assert REFERENCE.crossing(per_minute / 60) == pytest.approx(minute * 60, abs=1e-6)


def test_a_rate_above_the_peak_is_never_reached() -> None:
    assert REFERENCE.crossing(800.001) is None


def test_a_falling_rate_is_reached_at_its_start() -> None:
    falling = Schedule([Phase("low", 10, 5), Phase("falling", 10, 100, ramp_to=0)])
    assert falling.crossing(50) == 10


@pytest.mark.parametrize(
    ("t", "rate", "expected", "name"),
    [
        (-1, 0, 0, None),
        (0, 200, 0, "warm up"),
        (1800, 400, 1800 * 300, "warm up"),
        (3600, 600, 1_440_000, "max load"),
        (5400, 700, 1_440_000 + 1800 * 650, "max load"),
        (7200, 0, 3_960_000, None),
        (9999, 0, 3_960_000, None),
    ],
)
def test_the_reference_ramp_at_a_second(t: float, rate: float, expected: float, name: str | None) -> None:
    phase = REFERENCE.phase_at(t)
    assert (phase and phase.name) == name
    assert REFERENCE.rate(t) == pytest.approx(rate)
    assert REFERENCE.expected(t) == pytest.approx(expected)


def test_at_a_boundary_the_rate_is_that_of_the_phase_that_begins() -> None:
    stairs = Schedule([Phase("one", 10, 1, ramp_to=2), Phase("ten", 10, 10)])
    assert stairs.rate(math.nextafter(10, 0)) == pytest.approx(2)
    assert stairs.rate(10) == 10


@given(schedules, parts)
def test_expected_is_the_integral_of_rate(schedule: Schedule, part: float) -> None:
    t = part * schedule.duration
    assert schedule.expected(t) == pytest.approx(quadrature(schedule, t), rel=1e-9, abs=1e-6)


@given(schedules, parts, parts)
def test_expected_never_falls_not_even_in_the_last_bit(schedule: Schedule, one: float, other: float) -> None:
    early, late = sorted((one * schedule.duration, other * schedule.duration))
    assert 0 <= schedule.expected(early) <= schedule.expected(late) <= schedule.total
    near = math.nextafter(early, math.inf)
    assert schedule.expected(early) <= schedule.expected(near)


@pytest.mark.parametrize("peak", [3, 7, 100, 700.7])
def test_expected_never_falls_where_a_ramp_runs_out(peak: float) -> None:
    running_out = Schedule([Phase("down", 3600, peak, ramp_to=0)])
    ends = [3600 - i * 1e-6 for i in range(2000, 0, -1)]
    counts = [running_out.expected(t) for t in ends]
    assert counts == sorted(counts)
    assert counts[-1] <= running_out.total == peak * 1800


@given(schedules)
def test_expected_ends_at_the_total(schedule: Schedule) -> None:
    assert schedule.expected(schedule.duration) == schedule.expected(math.inf) == schedule.total
    assert schedule.total == pytest.approx(math.fsum(phase.arrivals for phase in schedule.phases))


@given(schedules, st.sampled_from(SPEEDS))
def test_a_speed_divides_durations_and_arrivals_and_leaves_rates(schedule: Schedule, speed: int) -> None:
    fast = schedule.at_speed(speed)
    assert fast.duration == pytest.approx(schedule.duration / speed)
    assert fast.total == pytest.approx(schedule.total / speed)
    assert [(phase.arrival_rate, phase.ramp_to) for phase in fast.phases] == [
        (phase.arrival_rate, phase.ramp_to) for phase in schedule.phases
    ]


@given(schedules, st.floats(0.001, 5_000))
def test_a_crossing_is_the_first_second_at_which_the_rate_is_reached(schedule: Schedule, rate: float) -> None:
    at = schedule.crossing(rate)
    if at is None:
        assert all(max(phase.arrival_rate, phase.end_rate) < rate for phase in schedule.phases)
        return
    slack = 1e-6 * rate
    before = [schedule.rate(at * part) for part in (0.0, 0.25, 0.5, 0.75, 0.999) if at * part < at]
    assert all(earlier <= rate + slack for earlier in before)
    # At the very end of a ramp the next phase may begin lower: the rate counts as reached from the left.
    from_the_left = [
        phase.end_rate
        for end, phase in zip(schedule.boundaries[1:], schedule.phases, strict=True)
        if end == pytest.approx(at)
    ]
    assert max([schedule.rate(at), *from_the_left]) >= rate - slack


@given(schedules)
def test_a_schedule_survives_json(schedule: Schedule) -> None:
    assert Schedule.from_dicts(json.loads(json.dumps(schedule.as_dicts()))) == schedule


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"name": ""}, "Phase name: '' is not accepted: a text that is not empty"),
        ({"name": 3}, "Phase name: 3 is not accepted: a text that is not empty"),
        ({"duration": 0}, "Phase 'p' duration: 0 is not accepted: a finite number of seconds, more than 0"),
        ({"duration": -5}, "duration: -5 is not accepted"),
        ({"duration": math.inf}, "duration: inf is not accepted"),
        ({"duration": "60m"}, "duration: '60m' is not accepted"),
        ({"duration": True}, "duration: True is not accepted"),
        ({"arrival_rate": -1}, "arrival_rate: -1 is not accepted: a finite number of arrivals a second, 0 or more"),
        ({"arrival_rate": math.nan}, "arrival_rate: nan is not accepted"),
        ({"arrival_rate": None}, "arrival_rate: None is not accepted"),
        ({"ramp_to": -0.5}, "ramp_to: -0.5 is not accepted"),
        ({"ramp_to": math.inf}, "ramp_to: inf is not accepted"),
        ({"judge": 1}, "judge: 1 is not accepted: True or False"),
    ],
)
def test_a_wrong_phase_says_what_is_wrong(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError) as error:
        Phase(**dict[str, Any]({"name": "p", "duration": 60, "arrival_rate": 10}, **arguments))
    assert said in str(error.value)


def test_a_schedule_without_phases_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one Phase"):
        Schedule([])


def test_a_schedule_whose_arrivals_exceed_every_number_is_refused() -> None:
    with pytest.raises(ValueError, match="Schedule total: inf is not accepted: a finite number"):
        Schedule([Phase("huge", 1e308, 1e308)])


@pytest.mark.parametrize("speed", [0, -1, 2.5, 7, 120])
def test_a_speed_that_does_not_divide_a_minute_into_whole_seconds_is_refused(speed: int) -> None:
    with pytest.raises(ValueError, match=f"speed: {speed} is not accepted: one of 1, 2, 3, 6, 12, 60"):
        REFERENCE.at_speed(speed)
