"""A search against an oracle in virtual time: a minute of it takes milliseconds."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from sm_locust.analysis.search import Search
from sm_locust.config import CapacitySearch
from sm_locust.record.histogram import HIGHEST_US, LOWEST_US, bucket_of
from sm_locust.record.interval import ARRIVALS, DUE, FAILED, Interval
from sm_locust.record.outcome import OK, UNAVAILABLE
from tests.oracles.queues import Oracle, Seconds, poisson

_EXACT_BITS = 11  # up to 2**11 µs a bucket holds one value
ON_TIME = 0.0004  # seconds of lateness of every request


def searched(
    oracle: Oracle,
    limits: Mapping[str, float],
    settings: CapacitySearch,
    *,
    seed: int = 0,
    by_chance: bool = False,
    lag: int = 2,
    lateness: Callable[[float, float], float] = lambda at, rate: ON_TIME,
    most: float = math.inf,
    delivered: float = 1.0,
) -> Search:
    """Plays a search to its end.

    by_chance  Poisson arrivals, evenly spaced ones otherwise
    lag        seconds from a rate that is wanted to one that is played
    lateness   of every request of a second, by its start and rate
    delivered  the share of what is wanted that arrives
    """
    source = np.random.default_rng((seed, 2024))
    search = Search(settings, limits, most)
    wanted = [search.rate] * lag
    owed = source.random()  # of one spacing
    ends: Seconds = np.empty(0)
    second = 0.0
    while True:
        rate = wanted.pop(0) * delivered
        arrivals, owed = _arrivals(rate, second, owed, source, by_chance)
        interval = Interval(second, ARRIVALS)
        if len(arrivals):
            latencies, ok = oracle.serve(arrivals)
            _count(interval, latencies, ok, lateness(second, rate))
            ends = np.concatenate([ends, arrivals + latencies])
        ends = ends[ends > second + 1]
        following = search.next(interval, len(ends))
        if following is None:
            return search
        wanted.append(following)
        second += 1


def _arrivals(
    rate: float, second: float, owed: float, source: np.random.Generator, by_chance: bool
) -> tuple[Seconds, float]:
    """Those of one second, and how much of a spacing is left over for the next one."""
    if not rate:
        return np.empty(0), owed
    if by_chance:
        return poisson(rate, second, 1.0, source), owed
    count = math.ceil(rate - owed)
    return np.asarray(second + (owed + np.arange(count)) / rate, np.float64), owed + count - rate


def _count(interval: Interval, latencies: Seconds, ok: Any, late: float) -> None:
    interval.add(DUE, len(latencies))
    interval.add(OK, int(ok.sum()))
    if not ok.all():
        interval.add(FAILED + UNAVAILABLE, int((~ok).sum()))
    interval.latency.counts.update(counted(latencies[ok]))
    interval.service_time = interval.latency  # nobody changes either
    interval.lateness.counts[bucket_of(late)] = len(latencies)


def counted(durations: Seconds) -> dict[int, int]:
    """As Histogram.record of each, all at once."""
    us = np.minimum(np.maximum((durations * 1e6 + 0.5).astype(np.int64), LOWEST_US), HIGHEST_US)
    bits = np.frexp(us.astype(np.float64))[1]  # exactly int.bit_length, for whole numbers below 2**53
    shift = np.maximum(bits - _EXACT_BITS, 0)
    buckets = np.where(shift > 0, (shift << (_EXACT_BITS - 1)) + (us >> shift), us)
    return Counter(np.sort(buckets).tolist())  # sorted: sums of seconds do not depend on the order of arrivals
