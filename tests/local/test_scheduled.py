"""When a scheduled action is due, and what it does to a target that is suspended or would be turned inside out."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from sm_locust.local.scaled import DIMENSION
from sm_locust.local.scheduled import ScheduledAction
from tests.local.virtual import RESOURCE, START, World


def action(schedule: str, **more: Any) -> ScheduledAction:
    known = {"timezone": None, "start": None, "end": None, "min_capacity": 1, "max_capacity": 2, "created_at": START}
    return ScheduledAction(name="a", arn="arn", schedule=schedule, **{**known, **more})


def at(seconds: float) -> str:
    return f"at({datetime.fromtimestamp(START + seconds, UTC):%Y-%m-%dT%H:%M:%S})"


@pytest.mark.parametrize(
    ("found", "after", "until", "speed", "is_due"),
    [
        (action(at(60)), 0, 59, 1, False),
        (action(at(60)), 0, 60, 1, True),
        (action(at(60)), 60, 120, 1, False),
        (action(at(60)), 0, 1, 60, False),  # a date is a date, however fast the schedule
        (action(at(60), start=START + 61), 0, 120, 1, False),
        (action(at(60), end=START + 59), 0, 120, 1, False),
        (action("at(2023-11-14T23:15:00)", timezone="Europe/Vienna"), 0, 59, 1, False),
        (action("at(2023-11-14T23:15:00)", timezone="Europe/Vienna"), 0, 60, 1, True),
        (action("rate(5 minutes)"), 0, 299, 1, False),
        (action("rate(5 minutes)"), 299, 300, 1, True),
        (action("rate(5 minutes)"), 300, 599, 1, False),
        (action("rate(5 minutes)"), 0, 5, 60, True),
        (action("rate(1 hour)", start=START + 3600), 3600, 7199, 1, False),
        (action("rate(1 hour)", start=START + 3600), 3600, 7200, 1, True),
        (action("rate(1 minute)", end=START + 90), 90, 300, 1, False),
        (action("cron(* * * * ? *)"), 0, 86400, 1, False),
    ],
)
def test_an_action_is_due_once_its_time_has_come(
    found: ScheduledAction, after: float, until: float, speed: int, is_due: bool
) -> None:
    assert found.due(START + after, START + until, speed) is is_due


def put(world: World, schedule: str, **bounds: int | None) -> None:
    given = {"timezone": None, "start": None, "end": None, "min_capacity": None, "max_capacity": None, **bounds}
    world.scaling.put_scheduled_action(
        name="a", resource_id=RESOURCE, dimension=DIMENSION, now=world.unix(), schedule=schedule, **given
    )


def bounds(world: World) -> tuple[int, int]:
    (target,) = world.scaling.scalable_targets()
    return target["MinCapacity"], target["MaxCapacity"]


def test_what_comes_due_while_scheduled_scaling_is_suspended_is_not_made_up_for() -> None:
    world = World()
    world.register(1, 4, ScheduledScalingSuspended=True)
    put(world, at(5), min_capacity=3)
    world.until(10)
    world.register(ScheduledScalingSuspended=False)
    world.until(20)
    assert (bounds(world), world.fleet.desired) == ((1, 4), 1)
    assert world.scaling.scaling_activities() == []


def test_an_action_of_a_rate_comes_again_and_takes_in_what_was_added_since() -> None:
    world = World()
    world.register(1, 4)
    put(world, "rate(10 minutes)", max_capacity=2)
    for _ in range(2):
        world.register(4, 4)
        assert world.fleet.desired == 4
        world.register(1, 4)
        world.until(world.now + 10)
        assert (bounds(world), world.fleet.desired) == ((1, 2), 2)


def test_bounds_that_would_cross_are_not_set_and_the_activity_says_why() -> None:
    world = World()
    world.register(1, 2)
    put(world, at(5), min_capacity=3)
    world.until(10)
    assert bounds(world) == (1, 2)
    (activity,) = world.scaling.scaling_activities()
    assert activity["StatusCode"] == "Failed"
    assert activity["StatusMessage"].endswith("Maximum capacity cannot be less than minimum capacity")
