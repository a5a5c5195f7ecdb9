"""One instance of the endpoint as a queue in virtual time: when does a request that arrives now leave?

`workers` servers take requests in order of arrival, each for `service_time`; at most `backlog` requests wait. No
clock is read and nothing sleeps here: the caller says when a request arrives and lets its answer leave when told.
"""

from __future__ import annotations

import heapq
from collections import deque


class Instance:
    """A FIFO queue of several servers with room for `backlog` waiting requests.

    Only two things must be remembered: when each worker is free next (a heap), and when each waiting request will
    start (a deque, because FIFO with one service time starts requests in order of arrival).
    """

    def __init__(self, workers: int, service_time: float, backlog: int) -> None:
        """`service_time` in seconds. Raises ValueError where no such queue exists."""
        if workers < 1:
            raise ValueError(f"workers {workers!r}: must be at least 1")
        if not service_time > 0:
            raise ValueError(f"service_time {service_time!r}: must be more than 0 seconds")
        if backlog < 0:
            raise ValueError(f"backlog {backlog!r}: must not be negative")
        self._service_time = service_time
        self._backlog = backlog
        self._free_at = [float("-inf")] * workers  # all equal, hence already a heap
        self._waiting: deque[float] = deque()
        self._last_arrival = float("-inf")

    def arrive(self, at: float) -> float | None:
        """The time at which the request that arrives at `at` leaves, or None when the backlog is full.

        Times are seconds on any one clock, and never decrease from call to call (ValueError otherwise). Amortised
        O(log workers).
        """
        if at < self._last_arrival:
            raise ValueError(f"arrival at {at!r}: the last one came later, at {self._last_arrival!r}")
        self._last_arrival = at
        self._start_waiting(at)
        starts_at = max(at, self._free_at[0])
        if starts_at > at:
            if len(self._waiting) >= self._backlog:
                return None
            self._waiting.append(starts_at)
        leaves_at = starts_at + self._service_time
        heapq.heapreplace(self._free_at, leaves_at)
        return leaves_at

    def outstanding(self, at: float) -> int:
        """Requests that wait or are served at `at`, which is not before the last arrival."""
        self._start_waiting(at)
        return len(self._waiting) + sum(free_at > at for free_at in self._free_at)

    def _start_waiting(self, at: float) -> None:
        while self._waiting and self._waiting[0] <= at:
            self._waiting.popleft()
