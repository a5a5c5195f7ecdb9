"""What was counted becomes rows beside the load."""

from __future__ import annotations

import random
from collections.abc import Iterator

import gevent

import pytest

from sm_locust.plugin.encoding import encoded
from sm_locust.record.interval import Interval
from sm_locust.record.outcome import Outcome


@pytest.fixture(scope="module")
def intervals() -> list[Interval]:
    """Some 40 ms of work."""
    source = random.Random(4)
    counted = [Interval(float(second), "e") for second in range(40)]
    for interval in counted:
        for _ in range(1000):
            took = source.lognormvariate(-4.5, 0.8)
            interval.record(Outcome("e", 0.0, source.expovariate(1000.0), None, took))
    return counted


@pytest.fixture
def ticks() -> Iterator[list[None]]:
    """One for each time that a timer of half a millisecond went off: what an arrival would be."""
    gone_off: list[None] = []
    timer = gevent.get_hub().loop.timer(0.0005, 0.0005)
    timer.start(lambda: gone_off.append(None), update=True)
    yield gone_off
    timer.stop()
    timer.close()


def test_arrivals_go_on_while_intervals_are_encoded(intervals: list[Interval], ticks: list[None]) -> None:
    gevent.spawn(encoded, intervals).get()
    assert len(ticks) >= len(intervals)


def test_at_the_end_of_a_run_nobody_comes_in_between(intervals: list[Interval], ticks: list[None]) -> None:
    rows = encoded(intervals, at_once=True)
    assert not ticks
    assert rows == [interval.encode() for interval in intervals]
