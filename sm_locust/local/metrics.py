"""What CloudWatch knows of the endpoint: every request counted once, by the real second of its arrival.

Metrics and their samples are made from those seconds when somebody asks, periods and statistics of these by `seconds`.
Who may ask for what, and how it is written on the wire, is the services'; totals by name of error are the counts'.
"""

from __future__ import annotations

from array import array
from typing import NamedTuple

import numpy as np

from sm_locust.local.seconds import Samples, Seconds, reduction
from sm_locust.local.settings import Settings

SAGEMAKER = "AWS/SageMaker"
INSTANCES = "/aws/sagemaker/Endpoints"
COMPONENTS = "/aws/sagemaker/InferenceComponents"

_METRICS = (
    (SAGEMAKER, "Invocations"),
    (SAGEMAKER, "InvocationsPerInstance"),
    (SAGEMAKER, "Invocation4XXErrors"),
    (SAGEMAKER, "Invocation5XXErrors"),
    (SAGEMAKER, "InvocationModelErrors"),
    (SAGEMAKER, "ModelLatency"),
    (SAGEMAKER, "OverheadLatency"),
    (SAGEMAKER, "ConcurrentRequestsPerModel"),
    (INSTANCES, "CPUUtilization"),
)

_COMPONENT_METRICS = (
    (SAGEMAKER, "Invocations"),
    (SAGEMAKER, "InvocationsPerCopy"),
    (SAGEMAKER, "Invocation4XXErrors"),
    (SAGEMAKER, "Invocation5XXErrors"),
    (SAGEMAKER, "InvocationModelErrors"),
    (SAGEMAKER, "ModelLatency"),
    (SAGEMAKER, "OverheadLatency"),
    (SAGEMAKER, "ConcurrentRequestsPerCopy"),
    (COMPONENTS, "CPUUtilizationNormalized"),
)


def variant_dimensions(settings: Settings) -> dict[str, str]:
    return {"EndpointName": settings.endpoint, "VariantName": settings.variant}


def component_dimensions(settings: Settings) -> dict[str, str]:
    """Empty where the endpoint hosts no inference component."""
    name = settings.inference_component
    return {} if name is None else {"InferenceComponentName": name}


class MetricName(NamedTuple):
    """One line of ListMetrics."""

    namespace: str
    metric: str
    dimensions: dict[str, str]


class _Second:
    """One second's requests. Latencies are kept one by one, as float32 microseconds: percentiles are exact."""

    __slots__ = (
        "answered",
        "errors_4xx",
        "errors_5xx",
        "invocations",
        "latencies",
        "model_errors",
        "overheads",
        "shares",
    )

    def __init__(self) -> None:
        self.invocations = 0
        self.shares = 0.0  # Σ 1/instances in service
        self.latencies = array("f")
        self.overheads = array("f")
        self.errors_4xx = 0
        self.errors_5xx = 0
        self.model_errors = 0

    @property
    def worked(self) -> float:
        """The share of `shares` that kept a worker busy: all but those refused at the door."""
        return self.shares * len(self.latencies) / self.invocations


class Metrics:
    """Seconds are Unix seconds; latencies come in seconds and are published in microseconds.

    A period without requests has no points, of no metric; in one with requests each request that is no error counts as
    a zero, as SageMaker's documentation says of its error metrics. A request belongs to the second in which it arrived,
    however long it waited. ModelLatency is of what the model answered, its errors included: what a full backlog refused
    is an error of the endpoint and nothing else.

    Two metrics are derived, because they cost nothing so: ConcurrentRequestsPerModel has a sample a second, its mean by
    Little's law; CPUUtilization is the time that workers were busy, a vCPU being a worker, one sample a period. Of
    memory, disk and GPU nothing is known, and nothing published.

    Where the endpoint hosts an inference component, its metrics are published beside the variant's: a copy is an
    instance, so they are the same numbers under other names.
    """

    def __init__(self, settings: Settings, speed: int) -> None:
        self._delay = settings.publish_delay / speed
        self._service_time = settings.service_time
        self._most_cpu = 100.0 * settings.workers
        variant, component = variant_dimensions(settings), component_dimensions(settings)
        self._published = [MetricName(*named, variant) for named in _METRICS]
        if component:
            self._published += [MetricName(*named, component) for named in _COMPONENT_METRICS]
        self._seconds = Seconds(_Second)
        self._last = _Second()
        self._last_second = -1
        self.invocations = 0
        """All there ever were."""

    # Counting: the hot path.

    def answered(self, second: int, model_latency: float, instances: int) -> None:
        """The model answered well, after `model_latency` seconds in queue and service."""
        row = self._last if second == self._last_second else self._open(second)
        row.invocations += 1
        row.shares += 1 / instances
        row.latencies.append(model_latency * 1e6)
        self.invocations += 1

    def model_failed(self, second: int, status: int, model_latency: float, instances: int) -> None:
        """The model answered with an error of its own, by its HTTP status."""
        self.answered(second, model_latency, instances)
        row = self._seconds.row(second)
        row.model_errors += 1
        if status < 500:
            row.errors_4xx += 1
        else:
            row.errors_5xx += 1

    def refused(self, second: int, instances: int) -> None:
        """No model was asked, because the backlog was full: a 5XX of the endpoint."""
        row = self._last if second == self._last_second else self._open(second)
        row.invocations += 1
        row.shares += 1 / instances
        row.errors_5xx += 1
        self.invocations += 1

    def left(self, second: int, overhead: float) -> None:
        """An answer of the model has left, `overhead` seconds later than the model alone would have let it."""
        row = self._seconds.find(second)
        if row is not None:
            row.overheads.append(overhead * 1e6 if overhead > 0 else 0.0)

    def _open(self, second: int) -> _Second:
        self._last, self._last_second = self._seconds.row(second), second
        return self._last

    # Reading.

    def visible_until(self, now: float) -> float:
        """Unix time up to which periods must have ended for readers to see them; the controller sees all."""
        return now - self._delay

    def names(self) -> list[MetricName]:
        """All that have points."""
        if not self._seconds:
            return []
        return self._published

    def points(
        self, namespace: str, metric: str, statistic: str, period: int, start: float, end: float, *, now: float
    ) -> list[tuple[int, float]]:
        """As `Seconds.points`. A metric nobody published has no points, and InvocationsPerInstance has only a Sum.

        Whether a metric has those dimensions is for `names` to say. Raises ValueError as `reduction` does.
        """
        reduce = reduction(statistic)
        if (namespace, metric) not in _METRICS + _COMPONENT_METRICS:
            return []
        if metric in ("InvocationsPerInstance", "InvocationsPerCopy") and statistic != "Sum":
            return []
        return self._seconds.points(
            lambda rows: self._samples(metric, rows, period), reduce, period, start, end, now=now
        )

    def _samples(self, metric: str, rows: list[_Second], period: int) -> Samples:
        """Every value that was published, zeros for the requests that were no errors."""
        match metric:
            case "Invocations":
                return np.ones(sum(row.invocations for row in rows))
            case "InvocationsPerInstance" | "InvocationsPerCopy":
                return np.array([row.shares for row in rows])
            case "Invocation4XXErrors":
                return _flags(rows, sum(row.errors_4xx for row in rows))
            case "Invocation5XXErrors":
                return _flags(rows, sum(row.errors_5xx for row in rows))
            case "InvocationModelErrors":
                return _flags(rows, sum(row.model_errors for row in rows))
            case "ModelLatency":
                return np.concatenate([row.latencies for row in rows]).astype(np.float64)
            case "OverheadLatency":
                return np.concatenate([row.overheads for row in rows]).astype(np.float64)
            case "ConcurrentRequestsPerModel" | "ConcurrentRequestsPerCopy":
                return np.array([sum(row.latencies) / 1e6 * row.shares / row.invocations for row in rows])
            case _:
                busy = self._service_time * sum(row.worked for row in rows) / period
                cpu = min(100 * busy, self._most_cpu)
                return np.array([cpu * 100 / self._most_cpu if metric == "CPUUtilizationNormalized" else cpu])

    def rows(self) -> list[list[float]]:
        """[second, invocations, answered well, Σ model latency in ms, errors] of each second with requests."""
        rows: list[list[float]] = []
        for second, row in self._seconds.all():
            errors = row.errors_4xx + row.errors_5xx
            rows.append([second, row.invocations, row.invocations - errors, sum(row.latencies) / 1e3, errors])
        return rows


def _flags(rows: list[_Second], ones: int) -> Samples:
    flags = np.zeros(sum(row.invocations for row in rows))
    flags[:ones] = 1
    return flags
