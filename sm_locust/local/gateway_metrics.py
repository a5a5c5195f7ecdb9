"""What CloudWatch knows of the API and its function: every request counted once, by the real second of its answer.

As `metrics` does for the endpoint. Which of them a request is, the gateway and the function say.
Sources: API Gateway Developer Guide, Amazon API Gateway dimensions and metrics; Lambda Developer Guide, Types of
metrics for Lambda functions.
"""

from __future__ import annotations

from array import array

import numpy as np

from sm_locust.local.metrics import MetricName
from sm_locust.local.seconds import Samples, Seconds, reduction

API, FUNCTION = "AWS/ApiGateway", "AWS/Lambda"
_DIMENSIONS = {
    API: {"ApiName": "DecisionTreeAPI", "Stage": "DummyStage"},
    FUNCTION: {"FunctionName": "InvokeDecisionTreeSMEP"},
}
_METRICS = (
    (API, "Count"),
    (API, "Latency"),
    (API, "IntegrationLatency"),
    (API, "4XXError"),
    (API, "5XXError"),
    (FUNCTION, "Invocations"),
    (FUNCTION, "Duration"),
    (FUNCTION, "Errors"),
    (FUNCTION, "Throttles"),
    (FUNCTION, "ConcurrentExecutions"),
)


_Second = dict[tuple[str, str], "array[float]"]
"""One second's samples by metric; latencies and durations in milliseconds, as they are published."""


class GatewayMetrics:
    """A period without requests has no points. A request that is no error counts as a zero of the error metrics.

    A throttled invocation is no invocation. ConcurrentExecutions has a sample an invocation: how many there were then.
    """

    def __init__(self) -> None:
        self._seconds: Seconds[_Second] = Seconds(lambda: {metric: array("f") for metric in _METRICS})

    def answered(self, second: int, status: int, latency: float, integration_latency: float | None) -> None:
        """The API answered after `latency` seconds, of which it waited for its integration, if it asked it at all."""
        samples = self._seconds.row(second)
        samples[API, "Count"].append(1)
        samples[API, "4XXError"].append(400 <= status < 500)
        samples[API, "5XXError"].append(status >= 500)
        samples[API, "Latency"].append(latency * 1e3)
        if integration_latency is not None:
            samples[API, "IntegrationLatency"].append(integration_latency * 1e3)

    def executed(self, second: int, duration: float, running: int, failed: bool) -> None:
        """The function ran for `duration` seconds, `running` of it at once when it began."""
        samples = self._seconds.row(second)
        samples[FUNCTION, "Invocations"].append(1)
        samples[FUNCTION, "Errors"].append(failed)
        samples[FUNCTION, "Throttles"].append(0)
        samples[FUNCTION, "Duration"].append(duration * 1e3)
        samples[FUNCTION, "ConcurrentExecutions"].append(running)

    def throttled(self, second: int) -> None:
        """Lambda refused an invocation."""
        self._seconds.row(second)[FUNCTION, "Throttles"].append(1)

    def names(self) -> list[MetricName]:
        """All that have points."""
        with_points = {m for _, row in self._seconds.all() for m, samples in row.items() if samples}
        return [MetricName(*metric, _DIMENSIONS[metric[0]]) for metric in _METRICS if metric in with_points]

    def points(
        self, namespace: str, metric: str, statistic: str, period: int, start: float, end: float, *, now: float
    ) -> list[tuple[int, float]]:
        """As `Metrics.points`, of which this is the like."""
        reduce = reduction(statistic)
        if (namespace, metric) not in _METRICS:
            return []

        def samples(rows: list[_Second]) -> Samples:
            return np.concatenate([row[namespace, metric] for row in rows]).astype(np.float64)

        return self._seconds.points(samples, reduce, period, start, end, now=now)
