"""Instances that come and go, and who gets the next request; and whether scaling saves the reference ramp."""

from __future__ import annotations

import pytest

from sm_locust.local.fleet import Fleet
from sm_locust.local.settings import Settings
from tests.local.virtual import World, play_reference_ramp


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_new_instance_serves_after_the_provisioning_time_of_the_schedule_and_not_before() -> None:
    clock = Clock()
    fleet = Fleet(Settings(provisioning_time=210), 60, clock)
    fleet.set_desired(3, clock.now)
    assert (fleet.desired, fleet.in_service, fleet.status) == (3, 1, "Updating")
    clock.now = 1003.49
    assert (fleet.desired, fleet.in_service, fleet.status) == (3, 1, "Updating")
    clock.now = 1003.5
    assert (fleet.desired, fleet.in_service, fleet.status) == (3, 3, "InService")
    assert (fleet.created_at, fleet.modified_at) == (1000.0, 1003.5)


def test_two_scale_outs_are_complete_when_the_later_one_is() -> None:
    clock = Clock()
    fleet = Fleet(Settings(provisioning_time=60), 6, clock)
    fleet.set_desired(2, 1000)
    fleet.set_desired(3, 1004)
    clock.now = 1010
    assert (fleet.desired, fleet.in_service, fleet.status) == (3, 2, "Updating")
    clock.now = 1020
    assert (fleet.in_service, fleet.status, fleet.modified_at) == (3, "InService", 1014)


def test_what_is_removed_gets_no_more_requests_at_once_and_those_on_their_way_go_first() -> None:
    clock = Clock()
    fleet = Fleet(Settings(instances=2, provisioning_time=60), 1, clock)
    fleet.set_desired(4, clock.now)
    fleet.set_desired(2, clock.now + 1)
    assert (fleet.desired, fleet.in_service, fleet.status) == (2, 2, "InService")
    fleet.set_desired(1, clock.now + 2)
    assert (fleet.desired, fleet.in_service, fleet.status) == (1, 1, "InService")
    assert [fleet.arrive(at) for at in (0.0, 0.0, 0.0, 0.0)] == [0.0085] * 4
    assert fleet.arrive(0.0) == 0.017  # one instance's four workers are busy: the other is gone


def test_without_provisioning_time_instances_serve_at_once() -> None:
    fleet = Fleet(Settings(provisioning_time=0), 60, Clock())
    fleet.set_desired(2, 1000.0)
    assert (fleet.in_service, fleet.status) == (2, "InService")


def test_a_fleet_of_none_is_refused() -> None:
    with pytest.raises(ValueError, match="instances 0: must be at least 1"):
        Fleet(Settings(), 1, Clock()).set_desired(0, 0)


def test_random_routing_repeats_with_its_seed_and_gives_each_instance_its_share() -> None:
    def waits(seed: int) -> list[float | None]:
        settings = Settings(instances=4, workers=1, service_time=1, backlog=10_000, seed=seed)
        fleet = Fleet(settings, 1, Clock())
        return [fleet.arrive(0.0) for _ in range(4000)]

    assert waits(7) == waits(7) != waits(8)
    # An instance that was given n requests lets the last one leave after n seconds. 1000 each, ±4 deviations of 27.
    longest = max(wait for wait in waits(7) if wait is not None)
    assert 1000 < longest < 1110


def test_least_outstanding_routing_never_lets_a_request_wait_while_a_worker_is_free() -> None:
    fleet = Fleet(Settings(instances=3, routing="least-outstanding"), 1, Clock())
    assert [fleet.arrive(0.0) for _ in range(12)] == [0.0085] * 12
    assert fleet.arrive(0.001) == 0.017
    assert fleet.arrive(0.0085) == 0.017  # what has left is not outstanding


def test_one_instance_cannot_keep_up_with_the_reference_ramp() -> None:
    minutes = play_reference_ramp(World())
    assert all(minute.mean < 0.010 for minute in minutes[:40])
    assert minutes[60].mean > 0.300  # at speed 60 a queue takes 60 times as long to fill, by the schedule
    assert minutes[60].failed > 0


# Over 300 seeds (even arrivals, and arrivals up to 2 and 5 ms late) the worst minute's mean was 15.2 ms, the median of
# the worst minutes 10.9 ms, and no request was refused.
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_with_scaling_every_minute_of_the_reference_ramp_stays_under_16_ms_and_nothing_fails(seed: int) -> None:
    world = World(Settings(seed=seed))
    world.register()
    world.put()
    minutes = play_reference_ramp(world)
    assert max(minute.mean for minute in minutes) < 0.016
    assert sum(minute.failed for minute in minutes) == 0
    assert world.fleet.in_service == 2
    assert [each["Description"] for each in world.scaling.scaling_activities()] == [
        "Setting desired instance count to 2."
    ]
