"""What a monitoring system may read of the runs of this process while they go: counters that only grow, and gauges.

Pure: it is told once a second what has been counted, as the ledger is. How it is written down is metrics_out's.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Mapping, Set
from itertools import accumulate
from typing import Any

from sm_locust.plugin.listener import Listener
from sm_locust.record.histogram import Histogram, middle_us
from sm_locust.record.interval import ARRIVALS, Interval
from sm_locust.record.ledger import Planned, Sample
from sm_locust.report.formats import printable

OTHER = "(other)"
MOST_NAMES = 100  # request names, and kinds of failure: each is a series of its own in what reads them
RATE_OVER = 5  # seconds

LATENCY_SCALE = (*(float(f"{n}e{e}") for e in range(-3, 2) for n in (1, 1.5, 2, 3, 5, 7)), 100.0)  # seconds
LATENESS_SCALE = (*(float(f"{n}e{e}") for e in range(-4, 1) for n in (1, 2, 5)), 10.0)  # seconds


class Exposed(Listener):
    """Counts since the process began, over all of its runs, and how the one that goes on is doing."""

    def __init__(self) -> None:
        self.planned = 0.0  # arrivals
        self.sent = 0
        self.dropped: Counter[str] = Counter()  # by reason
        self.requests: Counter[tuple[str, str]] = Counter()  # by name and ok, failed or cancelled
        self.failures: Counter[tuple[str, str]] = Counter()  # by name and kind
        self.latency: dict[str, Histogram] = {}  # by name
        self.lateness = Histogram()
        self.latency_edges = LATENCY_SCALE  # seconds
        self.speed = 1
        self.running = False
        self.desired: int | None = None  # instances
        self.in_service: int | None = None
        self._in_flight: dict[str, int] = {}  # by process
        self._past: deque[tuple[float, float, int]] = deque(maxlen=RATE_OVER + 1)  # second, planned, sent
        self._known: dict[str, set[str]] = {"name": set(), "kind": set(), "reason": set()}

    def begin(self, limits: Mapping[str, float], speed: int) -> None:
        """A run starts. `limits` are its SLO's: those of latency are edges of buckets, so that they can be read off."""
        own = {limit for metric, limit in limits.items() if metric.startswith("latency_")}
        self.latency_edges = tuple(sorted({*LATENCY_SCALE, *own}))
        self.speed, self.running = speed, True
        self._past.clear()
        self._past.append((0.0, self.planned, self.sent))

    def end(self) -> None:
        """Nothing is known of now any more; what was counted stays."""
        self.running = False
        self.desired = self.in_service = None
        self._in_flight.clear()
        self._past.clear()

    def plan(self, row: Planned) -> None:
        self.planned += row.planned

    def count(self, counted: Interval, row: dict[str, Any], sample: Sample) -> None:
        if counted.name == ARRIVALS:
            self.sent += counted.sent
            for reason, n in counted.dropped_by_reason.items():
                self.dropped[self._bounded("reason", reason)] += n
            return
        name = self._bounded("name", counted.name)
        for result, n in (("ok", counted.ok), ("failed", counted.failed), ("cancelled", counted.cancelled)):
            self.requests[name, result] += n
        for kind, n in counted.by_kind.items():
            self.failures[name, self._bounded("kind", kind)] += n
        if "latency" in row:
            self.latency.setdefault(name, Histogram()).merge(Histogram.decode(row["latency"]))
        if "lateness" in row:
            self.lateness.merge(Histogram.decode(row["lateness"]))

    def sample(self, sample: Sample) -> None:
        self._in_flight[sample.worker] = sample.in_flight

    def tick(self, now: float, gone: Set[str] = frozenset()) -> None:
        """A second is over. `gone` are processes that cannot be heard: nobody knows what they have in flight."""
        for process in gone:
            self._in_flight.pop(process, None)
        self._past.append((now, self.planned, self.sent))

    @property
    def in_flight(self) -> int:
        return sum(self._in_flight.values())

    @property
    def rates(self) -> tuple[float, float]:
        """Arrivals a second, planned and sent, over the last RATE_OVER seconds."""
        if len(self._past) < 2 or self._past[-1][0] <= self._past[0][0]:
            return 0.0, 0.0
        (began, planned, sent), (ended, planned_now, sent_now) = self._past[0], self._past[-1]
        return (planned_now - planned) / (ended - began), (sent_now - sent) / (ended - began)

    def _bounded(self, what: str, value: str) -> str:
        known, shown = self._known[what], printable(value)
        if shown not in known and len(known) >= MOST_NAMES:
            return OTHER
        known.add(shown)
        return shown


def cumulative(histogram: Histogram, edges: tuple[float, ...]) -> tuple[list[int], float]:
    """How many are at most each edge, in seconds, and in all; and their sum in seconds. Exact to 0.05% of an edge."""
    counts, total = [0] * (len(edges) + 1), 0.0
    for bucket, n in histogram.counts.items():
        seconds = middle_us(bucket) / 1e6
        counts[bisect_left(edges, seconds)] += n
        total += seconds * n
    return list(accumulate(counts)), total
