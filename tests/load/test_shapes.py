"""From a schedule to users: whatever the ticks, the arrivals commanded add up to the plan."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_locust.load.shapes import UserPlan
from sm_locust.schedule import Phase, Schedule

REFERENCE = Schedule((Phase("warm up", 3600, 200, ramp_to=600), Phase("max load", 3600, 600, ramp_to=800)))


def commanded(schedule: Schedule, per_user: float = 1.0, jitter: float = 0.0, lag: float = 0.0) -> float:
    """The arrivals that the users commanded by ticks of about a second stand for, up to the end of the schedule.

    jitter  by how much a tick may be late
    lag     after a tick, the users of the one before go on for so long
    """
    plan, source = UserPlan(schedule, per_user), random.Random(1)
    at, given, before = 0.0, 0.0, 0
    while (users := plan.users(at, given)) is not None:
        until = min(at + UserPlan.TICK + source.uniform(0, jitter), schedule.duration)
        lagging = min(lag, until - at)
        given += per_user * (before * lagging + users * (until - at - lagging))
        at, before = until, users
    return given


@pytest.mark.parametrize("speed", [1, 60])
@pytest.mark.parametrize(("jitter", "lag"), [(0.0, 0.0), (0.01, 0.0), (0.05, 0.0), (0.01, 0.05), (0.05, 0.2)])
def test_the_reference_ramp_is_delivered_whatever_the_jitter_of_the_ticks(
    speed: int, jitter: float, lag: float
) -> None:
    schedule = REFERENCE.at_speed(speed)
    # Only the last tick cannot be made up for: what it overruns or lags behind is left over.
    last = 800 * jitter * 2 + (800 - 200) * lag
    assert commanded(schedule, jitter=jitter, lag=lag) == pytest.approx(schedule.total, abs=1 + last)


@given(st.floats(0.05, 50.0), st.sampled_from([0.1, 0.5, 1.0, 7.0]))
def test_rates_that_are_no_whole_number_of_users_are_kept_on_average(rate: float, per_user: float) -> None:
    schedule = Schedule((Phase("flat", 120, rate),))
    assert commanded(schedule, per_user) == pytest.approx(schedule.total, abs=per_user)


def test_nothing_is_commanded_after_the_end() -> None:
    plan = UserPlan(Schedule((Phase("flat", 10, 5),)))
    assert plan.users(9.99, 49.0) is not None
    assert plan.users(10.0, 50.0) is None


def test_a_falling_ramp_never_asks_for_fewer_than_no_users() -> None:
    schedule = Schedule((Phase("up", 5, 100), Phase("off", 5, 0)))
    plan = UserPlan(schedule)
    assert plan.users(4.0, 400.0) == 100
    assert plan.users(5.0, 510.0) == 0
