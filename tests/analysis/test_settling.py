"""When a run stops to wait for CloudWatch, on a clock that is only told."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sm_locust.analysis.settling import Settling

ENDED_AT = 1_000_030.0  # half a minute into a period, which ends at 1_000_080 (a whole number of minutes)
EVERY = 5.0  # real seconds between looks

Counted = Callable[[float], tuple[int, bool]]  # seconds since the end: what is counted, and whether it reaches the end


def looks(counted: Counted, *, answered: int = 1000, speed: int = 1, readable: bool = True) -> tuple[float, bool]:
    """Real seconds from the end of the load to the last look, and whether all of it was taken to have come."""
    settling = Settling(answered, ENDED_AT, 60.0 / speed, speed)
    after = 0.0
    while after < 3600:
        n, reaches = counted(after)
        if settling.look(ENDED_AT + after, n, reaches_the_end=reaches, readable=readable):
            return after, settling.settled
        after += EVERY / speed
    raise AssertionError("it never ends")


def test_it_is_over_with_the_look_that_finds_every_request_counted() -> None:
    assert looks(lambda after: (1000, True) if after >= 170 else (900, False)) == (170.0, True)


def test_all_counted_before_the_last_period_was_told_is_not_all() -> None:
    """Other callers' invocations may make up the number; the last period still misses."""
    assert looks(lambda after: (1200, after >= 200)) == (200.0, True)


def test_what_has_stopped_changing_is_complete_once_the_last_period_must_have_been_told() -> None:
    # Three of ours never reached the endpoint: CloudWatch will never count them.
    assert looks(lambda after: (997, True)) == (290.0, True)


@pytest.mark.parametrize(("last_change", "settled"), [(288, True), (320, False)])
def test_a_metric_that_still_changes_late_is_waited_for_until_patience_ends(last_change: int, settled: bool) -> None:
    assert looks(lambda after: (980 + int(min(after, last_change) // 32), True)) == (350.0, settled)


def test_it_says_how_long_it_may_look_on() -> None:
    settling = Settling(1000, ENDED_AT, 6.0, 10)
    published = -(-ENDED_AT // 6.0) * 6.0
    assert [settling.left(published + after) for after in (0, 10, 30, 99)] == [30.0, 20.0, 0.0, 0.0]


def test_an_endpoint_that_is_never_counted_ends_the_patience() -> None:
    assert looks(lambda after: (0, False), readable=False) == (350.0, False)


def test_where_nothing_of_ours_arrived_nothing_is_waited_for() -> None:
    assert looks(lambda after: (0, False), answered=0) == (0.0, True)


@pytest.mark.parametrize("speed", [6, 60])
def test_a_compressed_run_waits_by_its_schedule(speed: int) -> None:
    settling = Settling(1000, ENDED_AT, 60.0 / speed, speed)
    published = -(-ENDED_AT // (60.0 / speed)) * (60.0 / speed)
    settling.look(published, 997, reaches_the_end=True, readable=True)
    assert not settling.look(published + 239.0 / speed, 997, reaches_the_end=True, readable=True)
    assert settling.look(max(published + 241.0 / speed, published + 2.1), 997, reaches_the_end=True, readable=True)
    assert settling.settled
