"""What the local endpoint served, in totals: the truth that tests hold a client's totals against.

Deciding what a request became is the app's. Seconds, latencies and CloudWatch's shapes are the metrics', which are read
here and not counted again.
"""

from __future__ import annotations

from collections import Counter

from sm_locust.local.metrics import Metrics


class Counts:
    """Errors by name, which CloudWatch has no metric for.

    invocations = ok + sum of `errors`: what reached the endpoint, the model's errors and full backlogs included.
    `rejected` never reached it: bad signatures, oversized bodies, unknown endpoints, variants and operations.
    A request is counted when its fate is known, which may be before its answer has left.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self.errors: Counter[str] = Counter()
        self.rejected: Counter[str] = Counter()

    def fail(self, error: str) -> None:
        """An error of the endpoint or its model, by name ('503 ServiceUnavailable'); the metrics have it too."""
        self.errors[error] += 1

    def reject(self, error: str) -> None:
        """A request that did not reach the endpoint; the metrics know nothing of it."""
        self.rejected[error] += 1

    def as_json(self) -> dict[str, object]:
        """`seconds` rows: [Unix second, invocations, ok, sum of the model's latency in ms, errors], of three hours."""
        invocations = self._metrics.invocations
        return {
            "invocations": invocations,
            "ok": invocations - self.errors.total(),
            "errors": dict(self.errors),
            "rejected": dict(self.rejected),
            "seconds": self._metrics.rows(),
        }
