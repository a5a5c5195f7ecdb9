"""What CloudWatch would say of a few requests, by hand; and what it does not say."""

from __future__ import annotations

import pytest

from sm_locust.local.metrics import INSTANCES, SAGEMAKER, Metrics
from sm_locust.local.seconds import KEPT
from sm_locust.local.settings import Settings

T = 1_700_000_040  # a whole minute of Unix time
VARIANT = {"EndpointName": "decision-trees-sample", "VariantName": "AllTraffic"}


def points(
    metrics: Metrics,
    metric: str,
    statistic: str,
    period: int = 60,
    start: float = T,
    end: float = T + 600,
    now: float = T + 9000,
    namespace: str = SAGEMAKER,
) -> list[tuple[int, float]]:
    """(seconds since T, value); values are rounded, since latencies are kept as float32."""
    found = metrics.points(namespace, metric, statistic, period, start, end, now=now)
    return [(at - T, round(value, 2)) for at, value in found]


@pytest.fixture
def three_minutes() -> Metrics:
    """Ten good answers in the first minute on one instance, none in the second; in the third, on two instances, two
    good answers, an error of the model of each kind, and a refusal."""
    metrics = Metrics(Settings(), 1)
    for n in range(10):
        metrics.answered(T + n, 0.010 * (n + 1), 1)
    metrics.answered(T + 120, 0.0085, 2)
    metrics.answered(T + 120, 0.0095, 2)
    metrics.model_failed(T + 125, 415, 0.001, 2)
    metrics.model_failed(T + 179, 500, 0.003, 2)
    metrics.refused(T + 179, 2)
    return metrics


@pytest.mark.parametrize(
    ("metric", "statistic", "expected"),
    [
        ("Invocations", "Sum", [(0, 10), (120, 5)]),
        ("Invocations", "SampleCount", [(0, 10), (120, 5)]),
        ("Invocations", "Average", [(0, 1), (120, 1)]),
        ("InvocationsPerInstance", "Sum", [(0, 10), (120, 2.5)]),
        ("InvocationsPerInstance", "Average", []),
        ("Invocation4XXErrors", "Sum", [(0, 0), (120, 1)]),
        ("Invocation4XXErrors", "Average", [(0, 0), (120, 0.2)]),
        ("Invocation5XXErrors", "Sum", [(0, 0), (120, 2)]),
        ("Invocation5XXErrors", "Maximum", [(0, 0), (120, 1)]),
        ("InvocationModelErrors", "Sum", [(0, 0), (120, 2)]),
        ("ModelLatency", "SampleCount", [(0, 10), (120, 4)]),
        ("ModelLatency", "Average", [(0, 55_000), (120, 5500)]),
        ("ModelLatency", "Sum", [(0, 550_000), (120, 22_000)]),
        ("ModelLatency", "Minimum", [(0, 10_000), (120, 1000)]),
        ("ModelLatency", "Maximum", [(0, 100_000), (120, 9500)]),
        ("ModelLatency", "p50", [(0, 50_000), (120, 3000)]),
        ("ModelLatency", "p90", [(0, 90_000), (120, 9500)]),
        ("ModelLatency", "p99.9", [(0, 100_000), (120, 9500)]),
        ("ModelLatency", "p0", [(0, 10_000), (120, 1000)]),
        ("ModelLatency", "p100", [(0, 100_000), (120, 9500)]),
        ("OverheadLatency", "Average", []),
        ("Latency", "Sum", []),
    ],
)
def test_every_metric_by_hand(
    three_minutes: Metrics, metric: str, statistic: str, expected: list[tuple[int, float]]
) -> None:
    assert points(three_minutes, metric, statistic) == expected


def test_an_idle_period_has_no_point_of_any_metric(three_minutes: Metrics) -> None:
    for name in three_minutes.names():
        found = three_minutes.points(name.namespace, name.metric, "Sum", 60, T + 60, T + 120, now=T + 9000)
        assert found == []


def test_percentiles_are_of_every_single_latency() -> None:
    metrics = Metrics(Settings(), 1)
    for n in range(1, 1001):
        metrics.answered(T + n % 60, n / 1000, 1)
    for percentile, value in (("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p99.9", 0.999)):
        assert points(metrics, "ModelLatency", percentile) == [(0, value * 1e6)]


@pytest.mark.parametrize("statistic", ["p", "p101", "p-1", "P50", "average", "TM(10%:90%)", ""])
def test_an_unknown_statistic_is_refused_with_what_is_accepted(statistic: str) -> None:
    with pytest.raises(ValueError, match="must be Sum, Average, SampleCount, Minimum, Maximum or a percentile"):
        points(Metrics(Settings(), 1), "Invocations", statistic)


def test_cpu_is_the_time_that_workers_were_busy_a_worker_being_a_vcpu() -> None:
    metrics = Metrics(Settings(workers=4, service_time=0.0085), 1)
    for second in range(60):
        for _ in range(400):
            metrics.answered(T + second, 0.0085, 2)  # 400 a second for two instances: 200 × 8.5 ms each
        for _ in range(100):
            metrics.refused(T + second, 2)  # no work
    assert points(metrics, "CPUUtilization", "Average", namespace=INSTANCES) == [(0, 170)]
    assert points(metrics, "CPUUtilization", "Average") == []


def test_concurrent_requests_are_those_of_one_instance_by_littles_law() -> None:
    metrics = Metrics(Settings(), 1)
    for second, latency in ((0, 0.010), (1, 0.030)):
        for _ in range(400):
            metrics.answered(T + second, latency, 2)  # 200 a second each
    assert points(metrics, "ConcurrentRequestsPerModel", "Maximum") == [(0, 6)]
    assert points(metrics, "ConcurrentRequestsPerModel", "Average") == [(0, 4)]


def test_the_overhead_of_an_answer_belongs_to_the_second_it_arrived_in_and_is_never_negative() -> None:
    metrics = Metrics(Settings(), 60)
    metrics.answered(T, 0.3, 1)
    metrics.answered(T + 1, 0.3, 1)
    metrics.left(T, 0.002)
    metrics.left(T + 1, -0.0004)
    metrics.left(T + 5, 0.001)  # nothing was counted then
    assert points(metrics, "OverheadLatency", "Maximum", period=1) == [(0, 2000), (1, 0)]


def test_periods_are_aligned_the_start_rounded_down_and_the_end_exclusive(three_minutes: Metrics) -> None:
    assert points(three_minutes, "Invocations", "Sum", start=T + 59, end=T + 120) == [(0, 10)]
    assert points(three_minutes, "Invocations", "Sum", start=T + 60, end=T + 121) == [(120, 5)]
    assert points(three_minutes, "Invocations", "Sum", period=300, start=T - 1) == [(-240, 10), (60, 5)]
    assert points(three_minutes, "Invocations", "Sum", period=1, start=T + 125, end=T + 180) == [(125, 1), (179, 2)]
    assert points(three_minutes, "Invocations", "Sum", start=T + 600, end=T) == []
    assert points(three_minutes, "Invocations", "Sum", start=0, end=4e9) == [(0, 10), (120, 5)]


def test_a_period_has_its_point_as_soon_as_it_is_over_and_readers_see_it_after_the_delay() -> None:
    metrics = Metrics(Settings(publish_delay=150), 60)
    metrics.answered(T, 0.01, 1)
    assert points(metrics, "Invocations", "Sum", period=1, now=T + 0.99) == []
    assert points(metrics, "Invocations", "Sum", period=1, now=T + 1) == [(0, 1)]
    assert metrics.visible_until(T + 3.5) == T + 1


def test_what_has_points_is_listed_by_its_dimensions(three_minutes: Metrics) -> None:
    assert Metrics(Settings(), 1).names() == []
    names = three_minutes.names()
    assert {name.namespace for name in names} == {SAGEMAKER, INSTANCES}
    assert all(name.dimensions == VARIANT for name in names)
    assert {"Invocations", "InvocationsPerInstance", "ModelLatency", "CPUUtilization"} <= {
        name.metric for name in names
    }


def test_seconds_are_kept_for_three_hours_and_the_total_for_ever() -> None:
    metrics = Metrics(Settings(), 1)
    metrics.answered(T, 0.01, 1)
    metrics.answered(T + KEPT, 0.01, 1)
    assert [row[0] for row in metrics.rows()] == [T, T + KEPT]
    metrics.answered(T + KEPT + 1, 0.01, 1)
    assert [row[0] for row in metrics.rows()] == [T + KEPT, T + KEPT + 1]
    assert metrics.invocations == 3


def test_a_clock_that_is_set_back_loses_nothing() -> None:
    metrics = Metrics(Settings(), 60)
    for second in (T + 5, T + 2, T + 5):
        metrics.answered(second, 0.01, 1)
    assert points(metrics, "Invocations", "Sum", period=1) == [(2, 1), (5, 2)]
    assert points(metrics, "Invocations", "Sum") == [(0, 3)]
