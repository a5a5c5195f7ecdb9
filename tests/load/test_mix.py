"""From a plan to each class's arrivals: the shape's users, Locust's own dispatcher and the workers' pacers.

The clock is only told, so that an hour of a run takes a second; messages and their delays are the plugin's tests'.
"""

from __future__ import annotations

from collections import Counter

from locust.dispatch import UsersDispatcher
from locust.runners import WorkerNode

import pytest

from sm_locust.config import RunConfig
from sm_locust.load.pacer import Pacer, even
from sm_locust.load.shapes import UserPlan, mean_per_user
from sm_locust.load.users import ArrivalUser
from sm_locust.plugin.commanded import Commanded
from sm_locust.schedule import Phase, Schedule


class Common(ArrivalUser):
    weight = 5
    per_user = 1


class Uncommon(ArrivalUser):
    weight = 2
    per_user = 1


class Heavy(ArrivalUser):
    weight = 3
    per_user = 10


class Light(ArrivalUser):
    weight = 1
    per_user = 0.5


class Massive(ArrivalUser):
    weight = 1
    per_user = 100


UP_AND_DOWN = Schedule(
    (
        Phase("up", 60, 0, ramp_to=300),
        Phase("down", 60, 300, ramp_to=20),
        Phase("none", 10, 0),
        Phase("steps", 60, 150),
        Phase("more steps", 60, 290),
    )
)


def played(schedule: Schedule, classes: list[type[ArrivalUser]], workers: int) -> tuple[Counter[str], float]:
    """Arrivals by class, and how many the users that were commanded stood for."""
    now, fired = 0.0, Counter[str]()
    nodes = [WorkerNode(f"worker_{n}") for n in range(workers)]
    pacers = {
        node.id: Pacer[str](lambda: now, lambda name, _: fired.update([name]), lambda n: even(), schedule.duration, n)
        for n, node in enumerate(nodes)
    }
    dispatcher = UsersDispatcher(nodes, list(classes))
    per_user = {c.__name__: c.rate_per_user(RunConfig()) for c in classes}
    plan, commanded = UserPlan(schedule, mean_per_user(classes, RunConfig())), Commanded()
    while (users := plan.users(now, commanded.expected(now))) is not None:
        dispatcher.new_dispatch(users, max(users, commanded.users, 1))
        for dispatched in dispatcher:
            count = Counter[str]()
            for worker, by_class in dispatched.items():
                count.update(by_class)
                for name, n in by_class.items():
                    pacers[worker].set_rate(name, n * per_user[name])
            commanded.note(now, users, sum(n * per_user[name] for name, n in count.items()))
        now += UserPlan.TICK
    for pacer in pacers.values():
        pacer.stop()
    return fired, commanded.expected(schedule.duration)


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize(
    "classes",
    [
        pytest.param([Common], id="one class"),
        pytest.param([Common, Uncommon], id="weights"),
        pytest.param([Heavy, Light], id="rates of a user that differ"),
        pytest.param([Common, Uncommon, Heavy, Light], id="both"),
    ],
)
def test_classes_keep_their_mix_and_add_up_to_the_plan_on_any_number_of_workers(
    classes: list[type[ArrivalUser]], workers: int
) -> None:
    fired, commanded = played(UP_AND_DOWN, classes, workers)
    # Each class on each worker may be within an arrival; the last tick can only be rounded to whole users.
    assert fired.total() == pytest.approx(commanded, abs=len(classes) * workers)
    # Locust's dispatcher drifts from the weights while it adds and takes users, and the plan reckons with the weights.
    largest = max(c.rate_per_user(RunConfig()) for c in classes)
    assert commanded == pytest.approx(UP_AND_DOWN.total, abs=largest, rel=0.002)
    stands_for = {c.__name__: c.weight * c.rate_per_user(RunConfig()) for c in classes}
    for name, share in stands_for.items():
        assert fired[name] / fired.total() == pytest.approx(share / sum(stands_for.values()), abs=0.01)


def test_a_plan_below_one_arrival_a_second_is_kept_by_users_that_stand_for_one() -> None:
    fired, commanded = played(Schedule((Phase("slow", 3600, 0.2),)), [Common], workers=2)
    assert commanded == pytest.approx(720, abs=1)
    assert fired.total() == pytest.approx(720, abs=2)


def test_a_plan_of_tens_of_thousands_a_second_is_kept_by_users_that_stand_for_a_hundred() -> None:
    schedule = Schedule((Phase("fast", 10, 20_000, ramp_to=30_000),))
    fired, commanded = played(schedule, [Massive], workers=4)
    assert commanded == pytest.approx(schedule.total, abs=100)
    assert fired.total() == pytest.approx(commanded, abs=4)
