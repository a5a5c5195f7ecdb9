"""A search as a live run has it, in virtual time: users for whole seconds, and answers that come when they end."""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from sm_locust.analysis.search import Search
from sm_locust.config import RunConfig
from sm_locust.plugin.searching import Searching
from sm_locust.record.interval import ARRIVALS, DUE, Interval
from sm_locust.record.ledger import Sample
from sm_locust.record.outcome import OK, TIMEOUT, UNAVAILABLE, Outcome
from tests.oracles.queues import Oracle, poisson

ON_TIME = 0.0004  # seconds of lateness of every request
TICK = 0.5  # of a second: when Locust asks its shape


def played(
    oracle: Oracle, document: Mapping[str, Any], *, seed: int = 1, by_chance: bool = False, per_user: float = 1.0
) -> Search:
    """Plays a search to its end.

    document   the configuration
    by_chance  Poisson arrivals, evenly spaced ones otherwise
    """
    config = RunConfig.from_dict(document)
    searching, source = Searching(config, distributed=False), np.random.default_rng((seed, 77))
    ends: list[tuple[float, float, bool]] = []  # when, the arrival, whether well
    owed_users, owed = 0.0, float(source.random())
    before = 0.0
    second = 0
    while not searching.search.ended:
        wanted = searching.search.rate + owed_users if searching.search.rate else 0.0
        users = round(wanted / per_user)
        owed_users, after = wanted - users * per_user, users * per_user
        arrivals: list[float] = []
        for start, lasts, rate in ((float(second), TICK, before), (second + TICK, 1 - TICK, after)):
            if by_chance and rate:
                arrivals += poisson(rate, start, lasts, source).tolist()
            elif rate:
                count = max(0, math.ceil(rate * lasts - owed - 1e-12))
                arrivals += [start + (owed + n) / rate for n in range(count)]
                owed += count - rate * lasts
        before = after
        raised = Interval(float(second), ARRIVALS)
        raised.add(DUE, len(arrivals))
        latencies, ok = oracle.serve(np.array(arrivals))
        for at, latency, well in zip(arrivals, latencies.tolist(), ok.tolist(), strict=True):
            heapq.heappush(ends, (at + min(latency, config.request.timeout), at, well))
        rows: dict[int, Interval] = {}
        while ends and ends[0][0] <= second + 1:
            end, at, well = heapq.heappop(ends)
            kind = TIMEOUT if end - at >= config.request.timeout else OK if well else UNAVAILABLE
            row = rows.setdefault(int(at), Interval(float(int(at)), "e"))
            row.record(Outcome(kind, at, at + ON_TIME, None, end))
        for counted in (raised, *rows.values()):
            searching.count(counted, counted.encode(), Sample(second + 1.0, "w", 0, None))
        second += 1
        searching.advance(second + 0.03)
    return searching.search
