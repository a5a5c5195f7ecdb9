"""What the local endpoint served, counted where it happened: the truth that tests hold a client's totals against.

Deciding what a request became is the app's. CloudWatch's shapes and periods are not made here.
"""

from __future__ import annotations

from collections import Counter


class Counts:
    """Totals, and one row for each second of Unix time in which a request arrived.

    invocations = ok + sum of `errors`: what reached the endpoint, the model's errors and full backlogs included.
    `rejected` never reached it: bad signatures, oversized bodies, unknown endpoints, variants and operations.
    A request belongs to the second of its arrival and is counted when its fate is known, which may be before its
    answer has left.
    """

    def __init__(self) -> None:
        self.invocations = 0
        self.ok = 0
        self.errors: Counter[str] = Counter()
        self.rejected: Counter[str] = Counter()
        self._seconds: dict[int, list[float]] = {}

    def answered(self, second: int, model_latency_ms: float) -> None:
        """A good answer; `model_latency_ms` is departure − arrival in virtual time."""
        row = self._row(second)
        row[1] += 1
        row[2] += model_latency_ms
        self.ok += 1

    def failed(self, second: int, error: str) -> None:
        """An error of the endpoint or its model, by name ('503 ServiceUnavailable')."""
        self._row(second)[3] += 1
        self.errors[error] += 1

    def reject(self, error: str) -> None:
        """A request that did not reach the endpoint."""
        self.rejected[error] += 1

    def _row(self, second: int) -> list[float]:
        self.invocations += 1
        row = self._seconds.setdefault(second, [0, 0, 0.0, 0])
        row[0] += 1
        return row

    def as_json(self) -> dict[str, object]:
        """`seconds` rows: [Unix second, invocations, ok, sum of the good answers' model latency in ms, errors]."""
        return {
            "invocations": self.invocations,
            "ok": self.ok,
            "errors": dict(self.errors),
            "rejected": dict(self.rejected),
            "seconds": [[second, *row] for second, row in sorted(self._seconds.items())],
        }
