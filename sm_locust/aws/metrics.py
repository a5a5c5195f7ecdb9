"""What CloudWatch measures of a run: the metrics of a variant, an inference component, an API and its function.

Which of these a run has is subjects'; asking for them is cloudwatch's.

Sources: Amazon SageMaker developer guide, "Amazon SageMaker AI metrics in Amazon CloudWatch" (an inference component's
only dimension is its name); API Gateway developer guide, "Amazon API Gateway dimensions and metrics"; Lambda developer
guide, "Types of metrics for Lambda functions".
"""

from __future__ import annotations

from typing import NamedTuple

from sm_locust.record.observation import API_GATEWAY, LAMBDA, SAGEMAKER

INSTANCES = "/aws/sagemaker/Endpoints"
COPIES = "/aws/sagemaker/InferenceComponents"

COUNT = "SampleCount"  # a statistic that is a number of samples, whatever the metric's unit


class Metric(NamedTuple):
    """A metric with CloudWatch's names.

    unit      of ours; `per_unit` of CloudWatch's make one
    live      the statistics that are asked for while the load goes, too: each one is paid for, every time
    """

    namespace: str
    name: str
    statistics: tuple[str, ...]
    unit: str = "count"
    per_unit: float = 1.0
    live: tuple[str, ...] = ()


_SUM = ("Sum",)
_MICROSECONDS = 1000.0  # of them make a millisecond


def _counts(namespace: str, *names: str, live: bool = False) -> tuple[Metric, ...]:
    return tuple(Metric(namespace, name, _SUM, live=_SUM if live else ()) for name in names)


def _latency(namespace: str, name: str, *more: str, per_unit: float = 1.0, live: tuple[str, ...] = ()) -> Metric:
    return Metric(namespace, name, ("Average", *more, "p99", "Maximum", COUNT), "ms", per_unit, live)


def _levels(namespace: str, *names: str, live: tuple[str, ...] = ()) -> tuple[Metric, ...]:
    """Percentages of utilization."""
    return tuple(Metric(namespace, n, ("Average",), "percent", live=("Average",) if n in live else ()) for n in names)


def _invocations(shared: str, concurrent: str) -> tuple[Metric, ...]:
    """What SageMaker tells of the requests to a variant or a component; `shared` is a count for each of its parts."""
    errors = ("Invocation4XXErrors", "Invocation5XXErrors", "InvocationModelErrors")
    return (
        *_counts(SAGEMAKER, "Invocations", shared, *errors, live=True),
        _latency(
            *(SAGEMAKER, "ModelLatency", "p50", "p90", "p95", "p99.9"),
            per_unit=_MICROSECONDS,
            live=("Average", "p99", COUNT),
        ),
        _latency(SAGEMAKER, "OverheadLatency", per_unit=_MICROSECONDS),
        Metric(SAGEMAKER, concurrent, ("Maximum",)),
    )


VARIANT_METRICS = (
    *_invocations("InvocationsPerInstance", "ConcurrentRequestsPerModel"),
    *_levels(
        *(
            INSTANCES,
            "CPUUtilization",
            "MemoryUtilization",
            "DiskUtilization",
            "GPUUtilization",
            "GPUMemoryUtilization",
        ),
        live=("CPUUtilization",),
    ),
)

COMPONENT_METRICS = (
    *_invocations("InvocationsPerCopy", "ConcurrentRequestsPerCopy"),
    *_levels(
        *(COPIES, "CPUUtilizationNormalized", "MemoryUtilizationNormalized"),
        *("GPUUtilizationNormalized", "GPUMemoryUtilizationNormalized"),
        live=("CPUUtilizationNormalized",),
    ),
)

API_METRICS = (
    Metric(API_GATEWAY, "Count", (COUNT,), live=(COUNT,)),  # as its guide says: SampleCount is the number of requests
    *_counts(API_GATEWAY, "4XXError", "5XXError"),
    _latency(API_GATEWAY, "Latency"),
    _latency(API_GATEWAY, "IntegrationLatency"),
)

FUNCTION_METRICS = (
    *_counts(LAMBDA, "Invocations", "Errors", "Throttles"),
    _latency(LAMBDA, "Duration"),
    Metric(LAMBDA, "ConcurrentExecutions", ("Maximum",)),
)
