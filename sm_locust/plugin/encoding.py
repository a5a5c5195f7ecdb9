"""Encodes what a process has counted without keeping it from its arrivals, and says when that has been done."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

import gevent

from sm_locust.record.interval import Interval

# Seconds after a full second at which a process takes what it has counted, and by which a worker's shipment has come.
TAKEN, ON_THE_WAY = 0.02, 0.4

AT_A_STRETCH = 0.0001  # seconds; then whatever is due has a turn
PAUSE = 0.001  # not 0: gevent runs greenlets that only pass the turn on for up to 5 ms before it looks at a timer


def encoded(intervals: Iterable[Interval], *, at_once: bool = False) -> list[dict[str, Any]]:
    """The intervals as rows, with pauses in which arrivals go on: nothing may be counted in these intervals any more.

    at_once  without a pause: no arrival is due any more, and nobody may come in between
    """
    pause = None if at_once else pauses()
    return [interval.encode(pause) for interval in intervals]


def pauses(at_a_stretch: float = AT_A_STRETCH) -> Callable[[], None]:
    """What is to be called between two pieces of work: lets others have a turn when it has been long (seconds)."""
    began = time.perf_counter()

    def pause() -> None:
        nonlocal began
        if time.perf_counter() - began > at_a_stretch:
            gevent.sleep(PAUSE)
            began = time.perf_counter()

    return pause
