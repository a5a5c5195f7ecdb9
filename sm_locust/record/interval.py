"""What happened in one second of the schedule: counters and histograms that merge, encode and decode.

An Interval with a request's name counts Outcomes; the one without a name (ARRIVALS) counts what the pacers raised.
Which second an Outcome belongs to is the Recorder's decision; what the counts mean in a summary is the analysis's.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Any

from sm_locust.record.histogram import Histogram, bucket_of
from sm_locust.record.outcome import AGED, CANCELLED, OK, REFUSED, Outcome

ARRIVALS = ""  # the name under which arrivals are counted: raised before anyone knows which request they will be

DUE = "due"  # raised by a pacer
DROPPED = "dropped:"  # + reason: raised and not sent
FURTHER = "further"  # requests after the first of an arrival that was sent
FAILED = "failed:"  # + kind

_NOT_FAILED = frozenset({OK, CANCELLED})

HISTOGRAMS = ("latency", "service_time", "failed_latency", "lateness", "first_byte", "connect")


class Interval:
    """Counters and histograms of one real second, of one request name.

    second    its start in real seconds since the start of the run; whole, or a phase boundary within a second
    name      the request's name, or ARRIVALS
    counts    `due`, `dropped:<reason>`, `further`, `ok`, `cancelled`, `failed:<kind>`
    received  bytes of answers' bodies

    latency         from the schedule: of what was answered well, and of timeouts and cancelled ones at their age
    service_time    from the actual send: of the same requests
    failed_latency  from the schedule: of every other failure, so that a fast error never improves a percentile
    lateness        between plan and send: of every request sent
    first_byte      from the send to the first byte of the answer
    connect         of new connections (DNS, TCP, TLS); its count is the number of them
    """

    __slots__ = ("counts", "name", "received", "second", *HISTOGRAMS)

    def __init__(self, second: float, name: str) -> None:
        self.second = second
        self.name = name
        self.counts: dict[str, int] = {}
        self.received = 0
        self.latency = Histogram()
        self.service_time = Histogram()
        self.failed_latency = Histogram()
        self.lateness = Histogram()
        self.first_byte = Histogram()
        self.connect = Histogram()

    def add(self, key: str, n: int = 1) -> None:
        self.counts[key] = self.counts.get(key, 0) + n

    def record(self, outcome: Outcome) -> None:
        """Counts one Outcome. The hot path: histograms are updated in place, no object is made."""
        kind = outcome.kind
        counts = self.counts
        key = kind if kind in _NOT_FAILED else FAILED + kind
        counts[key] = counts.get(key, 0) + 1
        self.received += outcome.received

        scheduled_at, started_at, ended_at = outcome.scheduled_at, outcome.started_at, outcome.ended_at
        histogram = self.lateness.counts
        bucket = bucket_of(started_at - scheduled_at - outcome.prepared)
        histogram[bucket] = histogram.get(bucket, 0) + 1
        bucket = bucket_of(ended_at - scheduled_at)
        if kind == OK or kind in AGED:
            histogram = self.latency.counts
            histogram[bucket] = histogram.get(bucket, 0) + 1
            histogram = self.service_time.counts
            bucket = bucket_of(ended_at - started_at)
            histogram[bucket] = histogram.get(bucket, 0) + 1
        else:
            histogram = self.failed_latency.counts
            histogram[bucket] = histogram.get(bucket, 0) + 1
        if outcome.first_byte_at is not None:
            histogram = self.first_byte.counts
            bucket = bucket_of(outcome.first_byte_at - started_at)
            histogram[bucket] = histogram.get(bucket, 0) + 1
        if outcome.connected is not None:
            self.connect.record(outcome.connected)

    def merge(self, other: Interval) -> None:
        for key, n in other.counts.items():
            self.add(key, n)
        self.received += other.received
        for name in HISTOGRAMS:
            mine, theirs = getattr(self, name), getattr(other, name)
            if theirs:
                mine.merge(theirs)

    @property
    def due(self) -> int:
        return self.counts.get(DUE, 0)

    @property
    def dropped(self) -> int:
        return sum(self.dropped_by_reason.values())

    @property
    def dropped_by_reason(self) -> dict[str, int]:
        return {key[len(DROPPED) :]: n for key, n in self.counts.items() if key.startswith(DROPPED)}

    @property
    def sent(self) -> int:
        """Arrivals that were sent; only an interval that counts arrivals knows (`due − dropped`)."""
        return self.due - self.dropped

    @property
    def further(self) -> int:
        """Requests after the first of an arrival: those of scenarios. Counted with the arrivals, as `sent` is."""
        return self.counts.get(FURTHER, 0)

    @property
    def requested(self) -> int:
        """Requests that were sent: each ends as one of ok, failed and cancelled."""
        return self.sent + self.further

    @property
    def ok(self) -> int:
        return self.counts.get(OK, 0)

    @property
    def cancelled(self) -> int:
        return self.counts.get(CANCELLED, 0)

    @property
    def failed(self) -> int:
        return sum(n for _, n in self._failures())

    @property
    def refused(self) -> int:
        """Those of the failed in which our credentials were refused: no fault of the target."""
        return sum(n for kind, n in self._failures() if kind in REFUSED)

    @property
    def by_kind(self) -> dict[str, int]:
        """Failures by kind."""
        return dict(self._failures())

    def _failures(self) -> Iterator[tuple[str, int]]:
        for key, n in self.counts.items():
            if key.startswith(FAILED):
                yield key[len(FAILED) :], n

    def encode(self, pause: Callable[[], None] | None = None) -> dict[str, Any]:
        """Primitives for a message or a line of the ledger; empty parts are left out.

        pause  called after each histogram: who has a loop to serve can let it turn there
        """
        row: dict[str, Any] = {"second": self.second, "name": self.name, "counts": self.counts}
        if self.received:
            row["received"] = self.received
        for name in HISTOGRAMS:
            histogram = getattr(self, name)
            if histogram:
                row[name] = histogram.encode()
                if pause is not None:
                    pause()
        return row

    @classmethod
    def decode(cls, row: dict[str, Any], histograms: Collection[str] = HISTOGRAMS) -> Interval:
        """The inverse of `encode`. Histograms are most of its work: those that are not named stay empty."""
        interval = cls(float(row["second"]), str(row["name"]))
        interval.counts = {str(key): int(n) for key, n in row["counts"].items()}
        interval.received = int(row.get("received", 0))
        for name in histograms:
            if name in row:
                setattr(interval, name, Histogram.decode(row[name]))
        return interval
