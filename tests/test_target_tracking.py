"""The rules of target tracking against a table of known cases, and a virtual endpoint that scales by them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_locust.target_tracking import (
    Action,
    AlarmState,
    Bounds,
    Decision,
    Held,
    Instances,
    Points,
    TargetTracking,
    step,
)

POLICY = TargetTracking(25_000)
ONE_TO_FOUR = Bounds(1, 4)
STEADY = Instances(1, 1)
TARGET = 25_000.0
ABOVE = 25_000.1
LOW = 22_499.0
AT_LOW = 22_500.0
NONE = None

OK, ALARM, NO_DATA = AlarmState.OK, AlarmState.ALARM, AlarmState.INSUFFICIENT_DATA


@pytest.mark.parametrize(
    ("points", "state"),
    [
        pytest.param([ABOVE, ABOVE], OK, id="two of three are too few"),
        pytest.param([TARGET, ABOVE, ABOVE], OK, id="two of three above"),
        pytest.param([ABOVE, ABOVE, ABOVE], ALARM, id="three of three above"),
        pytest.param([TARGET, TARGET, TARGET], OK, id="at the target is not above it"),
        pytest.param([ABOVE, ABOVE, ABOVE, TARGET], OK, id="only the last three count"),
        pytest.param([TARGET, ABOVE, ABOVE, ABOVE], ALARM, id="what came before the last three does not count"),
        pytest.param([ABOVE, NONE, ABOVE], OK, id="a missing point is not above"),
        pytest.param([ABOVE, ABOVE, ABOVE, NONE], OK, id="a missing point ends it"),
        pytest.param([ABOVE, NONE, NONE, NONE], NO_DATA, id="three missing points are no data"),
        pytest.param([], NO_DATA, id="no points at all"),
    ],
)
def test_the_high_alarm_needs_three_of_three_points_above_the_target(points: Points, state: AlarmState) -> None:
    assert POLICY.high_alarm(points) is state


@pytest.mark.parametrize(
    ("points", "state"),
    [
        pytest.param([LOW] * 14, OK, id="fourteen are too few"),
        pytest.param([AT_LOW] + [LOW] * 14, OK, id="fourteen of fifteen below"),
        pytest.param([LOW] * 15, ALARM, id="fifteen of fifteen below"),
        pytest.param([AT_LOW] * 15, OK, id="at 90 percent is not below it"),
        pytest.param([ABOVE] + [LOW] * 15, ALARM, id="only the last fifteen count"),
        pytest.param([LOW] * 7 + [NONE] + [LOW] * 7, OK, id="a missing point is not below"),
        pytest.param([LOW] * 15 + [NONE], OK, id="a missing point ends it"),
        pytest.param([LOW] + [NONE] * 15, NO_DATA, id="without traffic there is no data"),
    ],
)
def test_the_low_alarm_needs_fifteen_of_fifteen_points_below_90_percent(points: Points, state: AlarmState) -> None:
    assert POLICY.low_alarm(points) is state


def high(per_instance: float) -> list[float | None]:
    return [per_instance] * 3


def low(per_instance: float) -> list[float | None]:
    return [per_instance] * 15


@pytest.mark.parametrize(
    ("points", "in_service", "desired"),
    [
        pytest.param(high(25_001), 1, 2, id="a little more than one instance takes"),
        pytest.param(high(50_000), 1, 2, id="exactly twice the target"),
        pytest.param(high(50_001), 1, 3, id="one action jumps two instances"),
        pytest.param([30_000.0, 30_000.0, 74_000.0], 1, 3, id="the latest point decides, not the mean"),
        pytest.param(high(30_000), 2, 3, id="60,000 need three"),
        pytest.param(high(99_000), 1, 4, id="four are allowed"),
        pytest.param(high(990_000), 1, 4, id="and no more"),
    ],
)
def test_scaling_out_is_proportional_to_the_metric(points: Points, in_service: int, desired: int) -> None:
    decided = step([(POLICY, points)], Instances(in_service, in_service), ONE_TO_FOUR, None, 0)
    assert decided == Decision(desired, policy=0)


@pytest.mark.parametrize(
    ("points", "in_service", "desired"),
    [
        pytest.param(low(12_000), 4, 2, id="48,000 need two"),
        pytest.param(low(12_500), 4, 2, id="50,000 need exactly two"),
        pytest.param(low(12_501), 4, 3, id="and a little more three"),
        pytest.param(low(10), 4, 1, id="one action removes several"),
        pytest.param([*low(10)[1:], 20_000.0], 4, Held.AT_DESIRED, id="the latest point decides"),
        pytest.param(low(20_000), 2, Held.AT_DESIRED, id="40,000 need the two there are"),
        pytest.param(low(10), 1, Held.AT_MIN, id="the last one stays"),
    ],
)
def test_scaling_in_is_proportional_to_the_metric(points: Points, in_service: int, desired: int | Held) -> None:
    decided = step([(POLICY, points)], Instances(in_service, in_service), ONE_TO_FOUR, None, 0)
    if isinstance(desired, Held):
        assert decided == Decision(policy=0, scale_in=True, held=desired)
    else:
        assert decided == Decision(desired, policy=0, scale_in=True)


def test_a_share_that_is_summed_up_from_parts_does_not_come_to_an_instance_more() -> None:
    thirds = sum([1 / 3] * 50_000)  # 16,666.67 and a rounding error, of three instances: 50,000, which needs two
    assert step([(POLICY, low(thirds))], Instances(3, 3), ONE_TO_FOUR, None, 0).desired == 2


def test_without_an_alarm_nothing_is_decided() -> None:
    for points in ([], high(20_000), low(24_000)):
        assert step([(POLICY, points)], Instances(2, 2), ONE_TO_FOUR, None, 0) == Decision()
    assert step([], STEADY, ONE_TO_FOUR, None, 0) == Decision()


@pytest.mark.parametrize(
    ("per_instance", "instances", "last", "at", "expected"),
    [
        pytest.param(28_000, Instances(2, 1), None, 0, Held.COOLDOWN, id="what is provisioned is counted"),
        pytest.param(50_000, Instances(2, 1), None, 0, Held.COOLDOWN, id="exactly what is provisioned is enough"),
        pytest.param(47_000, Instances(3, 2), Action(2, math.inf), 0, Held.COOLDOWN, id="a mixed minute adds no more"),
        pytest.param(51_000, Instances(2, 1), None, 0, 3, id="while provisioning, what exceeds it is added"),
        pytest.param(
            28_000, Instances(2, 2), Action(1, 100), 399.9, Held.COOLDOWN, id="cooldown: one more is the same one"
        ),
        pytest.param(
            51_000, Instances(2, 2), Action(1, 100), 399.9, 4, id="cooldown: three more, of which one was added"
        ),
        pytest.param(
            38_000, Instances(2, 2), Action(1, 100), 399.9, 3, id="cooldown: two more, of which one was added"
        ),
        pytest.param(28_000, Instances(2, 2), Action(1, 100), 400.0, 3, id="cooldown over"),
        pytest.param(28_000, Instances(2, 2), Action(-1, 100), 100.0, 3, id="a scale-in's cooldown does not hold it"),
        pytest.param(28_000, Instances(4, 4), None, 0, Held.AT_MAX, id="all there can be"),
        pytest.param(28_000, Instances(4, 1), None, 0, Held.AT_MAX, id="all there can be are coming"),
    ],
)
def test_a_scale_out_adds_only_what_exceeds_what_was_added(
    per_instance: float, instances: Instances, last: Action | None, at: float, expected: int | Held
) -> None:
    decided = step([(POLICY, high(per_instance))], instances, ONE_TO_FOUR, last, at)
    if isinstance(expected, Held):
        assert decided == Decision(policy=0, held=expected)
    else:
        assert decided == Decision(expected, policy=0)


@pytest.mark.parametrize("cooldown", [0, 60, 300, 3600])
def test_an_alarm_that_stays_high_while_instances_come_does_not_go_on_adding_them(cooldown: float) -> None:
    policy = TargetTracking(25_000, scale_out_cooldown=cooldown)
    bounds, desired = Bounds(1, 100), 1
    for minute in range(30):
        decided = step([(policy, high(60_000))], Instances(desired, 1), bounds, None, minute * 60)
        desired = decided.desired or desired
    assert desired == 3


@pytest.mark.parametrize(
    ("instances", "last", "at", "expected"),
    [
        pytest.param(Instances(4, 3), None, 0, Held.IN_PROGRESS, id="a scale-out in progress blocks it"),
        pytest.param(
            Instances(4, 4), Action(-1, 100), 399.9, Held.COOLDOWN, id="the last scale-in's cooldown holds it"
        ),
        pytest.param(Instances(4, 4), Action(-1, 100), 400.0, 1, id="until it is over"),
        pytest.param(Instances(4, 4), Action(2, 100), 100.0, 1, id="a scale-out's cooldown does not"),
    ],
)
def test_when_a_scale_in_is_held(instances: Instances, last: Action | None, at: float, expected: int | Held) -> None:
    decided = step([(POLICY, low(1000))], instances, ONE_TO_FOUR, last, at)
    if isinstance(expected, Held):
        assert decided == Decision(policy=0, scale_in=True, held=expected)
    else:
        assert decided == Decision(expected, policy=0, scale_in=True)


def test_the_minimum_holds_a_scale_in_half_way() -> None:
    assert step([(POLICY, low(1000))], Instances(4, 4), Bounds(2, 4), None, 0).desired == 2


def test_each_direction_can_be_suspended_alone() -> None:
    two = Instances(2, 2)
    out_off, in_off = Bounds(1, 4, scale_out_suspended=True), Bounds(1, 4, scale_in_suspended=True)
    assert step([(POLICY, high(30_000))], two, out_off, None, 0).held is Held.SUSPENDED
    assert step([(POLICY, high(30_000))], two, in_off, None, 0).desired == 3
    assert step([(POLICY, low(1000))], two, in_off, None, 0).held is Held.SUSPENDED
    assert step([(POLICY, low(1000))], two, out_off, None, 0).desired == 1


def test_a_policy_with_scale_in_disabled_never_removes_but_adds() -> None:
    policy = TargetTracking(25_000, disable_scale_in=True)
    assert step([(policy, low(1000))], Instances(4, 4), ONE_TO_FOUR, None, 0) == Decision()
    assert step([(policy, high(30_000))], STEADY, ONE_TO_FOUR, None, 0).desired == 2


class TestSeveralPolicies:
    other = TargetTracking(10, scale_out_cooldown=60)
    grow_only = TargetTracking(10, disable_scale_in=True)
    four = Instances(4, 4)

    def test_the_largest_number_wins_when_scaling_out(self) -> None:
        decided = step([(POLICY, high(30_000)), (self.other, high(25))], STEADY, ONE_TO_FOUR, None, 0)
        assert decided == Decision(3, policy=1)

    def test_one_that_wants_to_scale_out_wins_over_one_that_wants_to_scale_in(self) -> None:
        decided = step([(POLICY, low(10)), (self.other, high(11))], Instances(2, 2), ONE_TO_FOUR, None, 0)
        assert decided == Decision(3, policy=1)

    def test_one_that_may_scale_out_is_not_held_by_one_that_cools_down(self) -> None:
        last = Action(1, 0)
        decided = step([(POLICY, high(30_000)), (self.other, high(11))], Instances(2, 2), ONE_TO_FOUR, last, 60)
        assert decided == Decision(3, policy=1)

    def test_all_must_agree_to_scale_in_and_the_largest_number_wins(self) -> None:
        decided = step([(POLICY, low(6000)), (self.other, low(6))], self.four, ONE_TO_FOUR, None, 0)
        assert decided == Decision(3, policy=1, scale_in=True)
        decided = step([(POLICY, low(6000)), (self.other, low(9.5))], self.four, ONE_TO_FOUR, None, 0)
        assert decided == Decision(policy=0, scale_in=True, held=Held.OTHER_POLICY)
        decided = step([(POLICY, low(6000)), (self.other, [])], self.four, ONE_TO_FOUR, None, 0)
        assert decided == Decision(policy=0, scale_in=True, held=Held.OTHER_POLICY)

    def test_one_that_is_content_keeps_all_of_it(self) -> None:
        decided = step([(POLICY, low(6000)), (self.other, low(8.9))], self.four, ONE_TO_FOUR, None, 0)
        assert decided == Decision(policy=1, scale_in=True, held=Held.AT_DESIRED)

    def test_one_with_scale_in_disabled_has_no_say_in_scaling_in(self) -> None:
        decided = step([(self.grow_only, low(9.5)), (POLICY, low(6000))], self.four, ONE_TO_FOUR, None, 0)
        assert decided == Decision(1, policy=1, scale_in=True)


@given(
    points=st.lists(st.none() | st.floats(0, 1e6), max_size=20),
    in_service=st.integers(1, 20),
    coming=st.integers(0, 20),
    limits=st.tuples(st.integers(1, 20), st.integers(0, 20)),
    last=st.none() | st.builds(Action, st.integers(-5, 5), st.floats(0, 1000)),
    at=st.floats(0, 2000),
)
def test_no_step_leaves_the_bounds_or_goes_against_its_alarm(
    points: list[float | None],
    in_service: int,
    coming: int,
    limits: tuple[int, int],
    last: Action | None,
    at: float,
) -> None:
    bounds = Bounds(limits[0], limits[0] + limits[1])
    desired = in_service + coming
    decided = step([(POLICY, points)], Instances(desired, in_service), bounds, last, at)
    if decided.desired is not None:
        assert decided.held is None
        assert (decided.desired < desired) == decided.scale_in
        assert decided.desired != desired
        assert decided.desired >= bounds.min_capacity if decided.scale_in else decided.desired <= bounds.max_capacity


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"target": 0}, "target 0: must be more than 0"),
        ({"target": float("nan")}, "target nan: must be more than 0"),
        ({"target": 1, "scale_in_cooldown": -1}, "scale_in_cooldown -1: must not be negative"),
        ({"target": 1, "scale_out_cooldown": -1}, "scale_out_cooldown -1: must not be negative"),
    ],
)
def test_an_impossible_policy_is_refused_by_name(arguments: dict[str, float], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        TargetTracking(**arguments)  # type: ignore[arg-type]


def test_however_low_the_target_the_maximum_is_reached() -> None:
    points = [1e4] * 3
    decision = step([(TargetTracking(5e-324), points)], Instances(1, 1), Bounds(1, 4), None, 180.0)
    assert decision.desired == 4
