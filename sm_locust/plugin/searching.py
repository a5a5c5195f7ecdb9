"""A search for capacity while it goes on: hands it second after second, as soon as all is known of one.

What processes ship comes late and in parts. A second is over once everything it sent has ended, or has had its time:
what then is still in flight counts at its age. The search itself is the analysis's and knows no clock; how a rate
becomes users is the shape's.
"""

from __future__ import annotations

import math
from typing import Any

from sm_locust.analysis.search import Search
from sm_locust.config import ERROR_RATE, RunConfig
from sm_locust.plugin.encoding import ON_THE_WAY, TAKEN
from sm_locust.plugin.listener import Listener
from sm_locust.record.histogram import bucket_of
from sm_locust.record.interval import ARRIVALS, Interval
from sm_locust.record.ledger import Sample, Step

HISTOGRAMS = ("latency", "service_time", "lateness")

PATIENCE, LEAST_PATIENCE, MOST_PATIENCE = 2.0, 2.0, 10.0  # times the longest limit; in seconds
BEYOND = 1.0  # seconds past the longest limit, at the least: what counts at its age must count as too slow
TAIL = 10.0  # times the limit of a mean, at the least: what is cut off there is missing in the mean


class Searching(Listener):
    """The search of one run.

    distributed  whether workers send the load
    """

    def __init__(self, config: RunConfig, *, distributed: bool) -> None:
        limits = config.slo.limits()
        self.search = Search(config.capacity, limits, config.guard.max_requests or math.inf)
        self._delay = ON_THE_WAY if distributed else TAKEN  # after its end a second has come in whole
        # Without a limit on latency only an outcome tells anything, and a timeout is one.
        longest = max(
            (limit for metric, limit in limits.items() if metric != ERROR_RATE), default=config.request.timeout
        )
        mean = max((limit for metric, limit in limits.items() if metric.endswith("_mean")), default=0.0)
        self._patience = max(LEAST_PATIENCE, min(PATIENCE * longest, MOST_PATIENCE), longest + BEYOND, TAIL * mean)
        self._seconds: dict[int, Interval] = {}
        self._next = 0  # the second that is handed on next
        self._in_flight = 0
        self._told = 0  # steps that `advance` has returned

    def count(self, counted: Interval, row: dict[str, Any], sample: Sample) -> None:
        self._in_flight += counted.requested if counted.name == ARRIVALS else -_ended(counted)
        second = int(counted.second)
        if second >= self._next:
            whole = self._seconds.setdefault(second, Interval(float(second), ARRIVALS))
            whole.merge(Interval.decode(row, HISTOGRAMS))

    def advance(self, now: float) -> list[Step]:
        """Hands on what is whole, `now` real seconds after the start; the steps that this has ended."""
        while not self.search.ended and now >= self._next + 1 + self._delay:
            second = self._seconds.get(self._next) or Interval(float(self._next), ARRIVALS)
            missing = second.requested - _ended(second)
            age = now - self._next - 1
            if missing > 0 and age < self._patience:
                break
            if missing > 0:
                self._count_at_age(second, missing, age)
            self._seconds.pop(self._next, None)
            self._next += 1
            self.search.next(second, self._in_flight, age)
        fresh = self.search.steps[self._told :]
        self._told += len(fresh)
        return fresh

    def _count_at_age(self, second: Interval, missing: int, age: float) -> None:
        """No answer yet is no good answer: a latency of so much, at the least."""
        for histogram in (second.latency, second.service_time):
            bucket = bucket_of(age)
            histogram.counts[bucket] = histogram.counts.get(bucket, 0) + missing

    def as_dict(self) -> dict[str, Any]:
        """What run.json holds: why the search ended, empty where somebody ended it, and its answer."""
        return {"ended": self.search.ended, "capacity": self.search.capacity.as_dict()}


def _ended(counted: Interval) -> int:
    return counted.ok + counted.failed + counted.cancelled
