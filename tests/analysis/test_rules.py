"""Limits on metrics: what is measured, what is unknown, and what that makes of an SLO."""

from __future__ import annotations

from typing import Any

import pytest

from sm_locust.analysis.periods import ModelLatency
from sm_locust.analysis.rules import Rule, SloResult, Stretch, error_rate
from sm_locust.record.interval import Interval
from sm_locust.record.outcome import CANCELLED, TIMEOUT
from tests.analysis.folders import outcome


def requests(ok: int = 0, failed: int = 0, service: float = 0.010, late: float = 0.002) -> Interval:
    interval = Interval(0.0, "invoke")
    for _ in range(ok):
        interval.record(outcome(0.0, service=service, late=late))
    for _ in range(failed):
        interval.record(outcome(0.0, "unavailable", service=0.001, late=late))
    return interval


def run(found: Interval, **more: Any) -> Stretch:
    return Stretch("run", found, **more)


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        ("latency_mean", 0.012),
        ("latency_p50", 0.012),
        ("latency_p999", 0.012),
        ("latency_max", 0.012),
        ("service_time_mean", 0.010),
        ("service_time_p99", 0.010),
        ("error_rate", 0.1),
    ],
)
def test_a_metric_is_measured_in_seconds_or_as_a_fraction(metric: str, value: float) -> None:
    assert Rule(metric, 1.0).value(run(requests(ok=90, failed=10))) == pytest.approx(value, rel=1e-3)


def test_fast_failures_do_not_improve_a_latency() -> None:
    assert Rule("latency_mean", 1.0).value(run(requests(ok=1, failed=99))) == pytest.approx(0.012, rel=1e-3)


def test_a_timeout_counts_at_its_age_and_as_a_failure() -> None:
    interval = requests(ok=1)
    interval.record(outcome(0.0, TIMEOUT, service=70.0))
    assert Rule("latency_max", 1.0).value(run(interval)) == pytest.approx(70.0, rel=1e-3)
    assert error_rate(interval) == 0.5


def test_cancelled_requests_are_no_errors() -> None:
    interval = requests(ok=1)
    interval.record(outcome(0.0, CANCELLED, service=1.0))
    assert error_rate(interval) == 0.0


@pytest.mark.parametrize("kind", ["expired_token", "unrecognized_client", "access_denied", "invalid_signature"])
def test_requests_in_which_our_credentials_were_refused_are_in_no_error_rate(kind: str) -> None:
    interval = requests(ok=9, failed=1)
    for _ in range(30):
        interval.record(outcome(0.0, kind))
    assert (interval.failed, interval.refused) == (31, 30)
    assert error_rate(interval) == 0.1
    only = Interval(0.0, "invoke")
    only.record(outcome(0.0, kind))
    assert error_rate(only) is None


def test_arrivals_that_a_stalled_endpoint_turned_away_are_errors_in_a_judgement() -> None:
    assert error_rate(requests(ok=60, failed=20), turned_away=20) == pytest.approx(0.4)


@pytest.mark.parametrize(("limit", "passed"), [(0.1, True), (0.0999, False)])
def test_a_value_equal_to_its_limit_passes(limit: float, passed: bool) -> None:
    assert Rule("error_rate", limit).judge(run(requests(ok=9, failed=1))).passed is passed


def test_model_latency_is_not_available_and_never_a_pass() -> None:
    found = Rule("model_latency_p99", 1.0).judge(run(requests(ok=5)))
    assert (found.value, found.passed) == (None, None)
    assert "not available" in found.note


def seen(count: int = 5, answered: int = 5) -> dict[str, Any]:
    return {"model_latency": ModelLatency({"mean": 0.009, "p99": 0.02, "max": 0.03}, count, answered), "watched": True}


@pytest.mark.parametrize(
    ("metric", "value", "passed", "note"),
    [
        ("model_latency_mean", 0.009, True, ""),
        ("model_latency_p99", 0.02, False, "the highest of a minute"),
        ("model_latency_max", 0.03, False, ""),
        ("model_latency_p95", None, None, "not available: CloudWatch has none"),
    ],
)
def test_model_latency_is_judged_by_what_cloudwatch_measured(
    metric: str, value: float | None, passed: bool | None, note: str
) -> None:
    found = Rule(metric, 0.015).judge(run(requests(ok=5), **seen()))
    assert (found.value, found.passed, found.note) == (value, passed, note)


@pytest.mark.parametrize(("count", "passed"), [(989, None), (990, True)])
def test_a_limit_is_kept_only_if_cloudwatch_measured_what_was_sent(count: int, passed: bool | None) -> None:
    found = Rule("model_latency_mean", 0.015).judge(run(requests(), **seen(count, 1000)))
    assert found.passed is passed
    assert found.note == ("" if passed else "CloudWatch measured only 989 of 1,000 requests")


def test_a_limit_is_broken_by_the_part_that_cloudwatch_measured() -> None:
    assert Rule("model_latency_mean", 0.005).judge(run(requests(), **seen(1, 1000))).passed is False


def test_nothing_measured_is_neither_a_pass_nor_a_failure() -> None:
    for metric in ("latency_p99", "error_rate"):
        assert Rule(metric, 1.0).judge(run(Interval(0.0, ""))).passed is None


@pytest.mark.parametrize(
    ("limits", "passed"),
    [
        ({"error_rate": 0.5, "latency_mean": 1.0}, True),
        ({"error_rate": 0.05, "latency_mean": 1.0}, False),
        ({"error_rate": 0.05, "model_latency_mean": 1.0}, False),
        ({"error_rate": 0.5, "model_latency_mean": 1.0}, None),
        ({}, None),
    ],
)
def test_an_slo_passes_when_every_rule_was_measured_and_kept(limits: dict[str, float], passed: bool | None) -> None:
    assert SloResult.of(limits, [run(requests(ok=9, failed=1))]).passed is passed


def test_a_rule_broken_in_one_phase_fails_the_slo_that_the_whole_run_keeps() -> None:
    good, bad = requests(ok=990), requests(ok=9, failed=1)
    both = requests(ok=999, failed=1)
    result = SloResult.of(
        {"error_rate": 0.05}, [Stretch("run", both), Stretch("phase a", good), Stretch("phase b", bad)]
    )
    assert [found.passed for found in result.judgements] == [True, True, False]
    assert result.passed is False
