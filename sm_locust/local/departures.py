"""Lets answers leave at absolute times, as closely as an event loop can.

A relative sleep of 8.5 ms takes 9 to 10.3 ms, because loops keep time in whole milliseconds and round up; over a run
that reads as an endpoint slower than it is. Here every answer has an absolute time, one timer serves them all, and
what is due within a fraction of a millisecond leaves together, some answers early and some late. When an answer
leaves is the instance's to say; writing it is the app's.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time

# What a loop's timers can tell apart, in seconds. Error of a plain `call_later` at 400 departures a second, measured:
# asyncio +0.0…+1.1 ms (mean +0.53), uvloop −0.8…+1.1 ms (mean +0.09); it shifts with rate and load.
GRANULARITY = 0.001
# How fast the lead follows the error: over some 50 departures.
GAIN = 0.02


class Departures:
    """Times are those of `time.perf_counter` (a uvloop's own clock has whole milliseconds).

    The timer is set early by a lead that follows the error of the departures so far, so that the error is centred on
    zero at any rate and on any loop. No answer leaves more than GRANULARITY before its time.
    """

    def __init__(self) -> None:
        self._due: list[tuple[float, int, asyncio.Future[None]]] = []
        self._sequence = itertools.count()  # keeps the heap from comparing futures
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = float("inf")
        self._lead = GRANULARITY / 2

    async def wait_until(self, at: float) -> None:
        """Returns at `at`, give or take a fraction of a millisecond, or at once when that is past."""
        if at <= time.perf_counter() + self._lead:
            return
        loop = asyncio.get_running_loop()
        leaves: asyncio.Future[None] = loop.create_future()
        heapq.heappush(self._due, (at, next(self._sequence), leaves))
        if at < self._timer_at:
            self._arm(loop)
        await leaves

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = self._due[0][0]
        # Never less than a millisecond: uvloop rounds to the nearest one, and a zero would spin.
        delay = max(self._timer_at - self._lead - time.perf_counter(), GRANULARITY)
        self._timer = loop.call_later(delay, self._ring, loop)

    def _ring(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        self._timer_at = float("inf")
        now = time.perf_counter()
        while self._due and self._due[0][0] <= now + self._lead:
            at, _, leaves = heapq.heappop(self._due)
            # A stall of the machine is not the timer's error: no single departure counts for more than a tick.
            error = min(now - at, GRANULARITY)
            self._lead = min(max(self._lead + GAIN * error, 0.0), GRANULARITY)
            if not leaves.done():  # cancelled when the server stops
                leaves.set_result(None)
        if self._due:
            self._arm(loop)
