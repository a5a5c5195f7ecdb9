"""What CloudWatch says becomes Observations on the run's clock, whatever the pages, units and clocks."""

from __future__ import annotations

import time
from collections import Counter
from email.utils import formatdate
from typing import Any

import pytest

from sm_locust.analysis.cost import METRICS_A_PULL
from sm_locust.aws.cloudwatch import CloudWatch, period
from sm_locust.aws.metrics import VARIANT_METRICS
from sm_locust.aws.session import AwsFault
from sm_locust.aws.subjects import Subject, known
from sm_locust.config import ConfigError, RunConfig
from sm_locust.local.settings import Settings
from sm_locust.record.observation import Observation
from tests.aws.harness import asked, config, refuse, refused, said, scripted
from tests.local.harness import client, invoke, running

START = 1_800_000_000.0  # a whole minute


def of(config: RunConfig, started_at: float, speed: int, *more: Subject) -> CloudWatch:
    """The metrics of what is watched, and of more."""
    return CloudWatch(config, [known(config), *more], started_at, speed)


def all_of(cloudwatch: CloudWatch, since: float, until: float) -> list[Observation]:
    """Every metric; what was not told is raised."""
    pulled = cloudwatch.pull_all(since, until)
    for fault in pulled.faults.values():
        raise fault
    return pulled.observations


def results(request: bytes, points: dict[tuple[str, str], list[tuple[float, float]]]) -> list[dict[str, Any]]:
    """MetricDataResults for the queries of a request; nothing for those that `points` lacks."""
    found = []
    for query in asked(request)["MetricDataQueries"]:
        stat = query["MetricStat"]
        given = points.get((stat["Metric"]["MetricName"], stat["Stat"]), [])
        found.append(
            {
                "Id": query["Id"],
                "Label": stat["Metric"]["MetricName"],
                "Timestamps": [at for at, _ in given],
                "Values": [value for _, value in given],
                "StatusCode": "Complete",
            }
        )
    return found


def test_one_call_asks_for_every_metric_of_the_variant() -> None:
    with scripted({"GetMetricData": lambda r: said({"MetricDataResults": results(r, {})})}) as aws:
        assert all_of(of(config(aws.url), START, 1), START - 1, START + 150) == []
        (request,) = map(asked, aws.requests)
    assert (request["StartTime"], request["EndTime"]) == (START - 60, START + 120)  # whole periods that have ended
    stats = [query["MetricStat"] for query in request["MetricDataQueries"]]
    assert {stat["Period"] for stat in stats} == {60}
    for stat in stats:
        assert stat["Metric"]["Dimensions"] == [
            {"Name": "EndpointName", "Value": "decision-trees-sample"},
            {"Name": "VariantName", "Value": "AllTraffic"},
        ]
    assert Counter(stat["Metric"]["Namespace"] for stat in stats) == {
        "AWS/SageMaker": 18,
        "/aws/sagemaker/Endpoints": 5,
    }
    latencies = [stat["Stat"] for stat in stats if stat["Metric"]["MetricName"] == "ModelLatency"]
    assert sorted(latencies) == ["Average", "Maximum", "SampleCount", "p50", "p90", "p95", "p99", "p99.9"]


def test_times_are_schedule_seconds_and_latencies_milliseconds() -> None:
    points = {
        ("ModelLatency", "Average"): [(START - 5, 8500.0)],
        ("ModelLatency", "SampleCount"): [(START - 5, 12.0)],
        ("OverheadLatency", "p99"): [(START + 5, 1250.0)],
        ("Invocations", "Sum"): [(START, 2000.0)],
        ("CPUUtilization", "Average"): [(START, 312.5)],
    }
    with scripted({"GetMetricData": lambda r: said({"MetricDataResults": results(r, points)})}) as aws:
        found = all_of(of(config(aws.url), START, 12), START - 5, START + 10)
    assert sorted(found, key=lambda o: o.key) == [
        Observation(-60.0, "AWS/SageMaker", "ModelLatency", "Average", 8.5, "ms"),
        Observation(-60.0, "AWS/SageMaker", "ModelLatency", "SampleCount", 12.0, "count"),
        Observation(0.0, "/aws/sagemaker/Endpoints", "CPUUtilization", "Average", 312.5, "percent"),
        Observation(0.0, "AWS/SageMaker", "Invocations", "Sum", 2000.0, "count"),
        Observation(60.0, "AWS/SageMaker", "OverheadLatency", "p99", 1.25, "ms"),
    ]


def test_a_metric_whose_points_are_spread_over_pages_is_read_whole() -> None:
    def page(request: bytes) -> bytes:
        turn = int(asked(request).get("NextToken", "0"))
        found = results(request, {("Invocations", "Sum"): [(START + 60 * turn, 10.0 + turn)]})[:1]
        if turn == 2:
            return said({"MetricDataResults": found})
        return said({"MetricDataResults": [{**found[0], "StatusCode": "PartialData"}], "NextToken": str(turn + 1)})

    with scripted({"GetMetricData": page}) as aws:
        found = all_of(of(config(aws.url), START, 1), START, START + 180)
        assert len(aws.requests) == 3
    assert [(o.at_s, o.value) for o in found] == [(0.0, 10.0), (60.0, 11.0), (120.0, 12.0)]


@pytest.mark.parametrize("ahead", [3600.0, -3600.0])
def test_a_clock_that_differs_from_awss_is_made_up_for(ahead: float) -> None:
    """Points are where they were on our clock, and the time asked for is the one that was meant."""
    started_at = float(int(time.time())) - 100
    there = started_at + ahead

    def answer(request: bytes) -> bytes:
        data = results(request, {("Invocations", "Sum"): [(there, 7.0)]})
        return said({"MetricDataResults": data}, 200, f"Date: {formatdate(time.time() + ahead, usegmt=True)}")

    with scripted({"GetMetricData": answer}) as aws:
        cloudwatch = of(config(aws.url), started_at, 60)
        (found,) = all_of(cloudwatch, started_at, started_at + 50)
        windows = [(asked(r)["StartTime"], asked(r)["EndTime"]) for r in aws.requests]
        assert abs(cloudwatch.clock_offset - ahead) <= 1
        assert cloudwatch.clock_offset == int(cloudwatch.clock_offset)
        assert abs(found.at_s) <= 60
        offset = cloudwatch.clock_offset
        assert windows == [(started_at, started_at + 50), (started_at + offset, started_at + offset + 50)]
        assert all_of(cloudwatch, started_at, started_at + 50) == [found]  # its time does not change any more
        assert len(aws.requests) == 3


def test_a_difference_that_a_date_cannot_tell_is_none() -> None:
    def answer(request: bytes) -> bytes:
        return said({"MetricDataResults": []}, 200, f"Date: {formatdate(time.time() - 1, usegmt=True)}")

    with scripted({"GetMetricData": answer}) as aws:
        cloudwatch = of(config(aws.url), START, 1)
        cloudwatch.pull(START, START + 60)
        assert cloudwatch.clock_offset == 0.0
        assert len(aws.requests) == 1


def test_nothing_is_asked_for_while_no_period_has_ended() -> None:
    with scripted({}) as aws:
        assert all_of(of(config(aws.url), START, 1), START, START + 59.9) == []
        assert aws.requests == []


@pytest.mark.parametrize(
    ("status", "says", "code", "passing"),
    [
        ("Forbidden", "the permission it needs is cloudwatch:GetMetricData", "AccessDenied", False),
        ("InternalError", "gave no Invocations \\(Sum\\): InternalError", "InternalError", True),
    ],
)
def test_a_metric_that_is_not_given_is_a_fault(status: str, says: str, code: str, passing: bool) -> None:
    def answer(request: bytes) -> bytes:
        return said({"MetricDataResults": [{**results(request, {})[0], "StatusCode": status}]})

    with scripted({"GetMetricData": answer}) as aws, pytest.raises(AwsFault, match=says) as caught:
        all_of(of(config(aws.url), START, 1), START, START + 60)
    assert (caught.value.code, caught.value.passing) == (code, passing)


def test_access_denied_names_the_permission() -> None:
    with (
        scripted({"GetMetricData": refused("AccessDenied", "not authorized")}) as aws,
        pytest.raises(AwsFault, match="the permission it needs is cloudwatch:GetMetricData"),
    ):
        all_of(of(config(aws.url), START, 1), START, START + 60)


@pytest.mark.parametrize(
    ("configured", "speed", "real"),
    [
        *[("60s", 1, 60), ("60s", 2, 30), ("60s", 3, 20), ("60s", 6, 10), ("60s", 12, 5), ("60s", 60, 1)],
        *[("10s", 1, 10), ("10s", 2, 5), ("5m", 1, 300), ("5m", 60, 5), ("4m", 2, 120)],
    ],
)
def test_a_period_is_a_schedule_time(configured: str, speed: int, real: int) -> None:
    assert period(config("http://127.0.0.1:1", cloudwatch={"period": configured}), speed) == real


@pytest.mark.parametrize(("configured", "speed"), [("10s", 60), ("30s", 12), ("1m", 4), ("5m", 2)])
def test_a_period_that_cloudwatch_has_not_is_refused(configured: str, speed: int) -> None:
    with pytest.raises(ConfigError, match=r"cloudwatch\.period: .* at speed .* periods of 1, 5, 10, 20 and 30 s"):
        of(config("http://127.0.0.1:1", cloudwatch={"period": configured}), START, speed)


def pulled(cloudwatch: CloudWatch, since: float, requests: int) -> list[Observation]:
    """What CloudWatch says once it has counted as many requests."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        found = all_of(cloudwatch, since, time.time())
        if sum(o.value for o in found if o.metric == "Invocations") >= requests:
            return found
        time.sleep(0.1)
    raise AssertionError(f"{requests} requests are not counted: {found}")


def test_the_local_endpoint_counts_what_was_sent_to_it() -> None:
    """At speed 60 a minute of the schedule is a second: requests over two of them, one of them refused by the model."""
    with running(Settings(service_time=0.02, publish_delay=60), speed=60) as url:
        runtime = client(url)
        started_at = float(int(time.time()) + 1)
        cloudwatch = of(config(url), started_at, 60)
        time.sleep(max(0.0, started_at - time.time()))
        sent = 1
        while time.time() < started_at + 1.5:
            invoke(runtime)
            sent += 1
        with pytest.raises(runtime.exceptions.ModelError):
            invoke(runtime, Body=b"not,a,number,at all")
        refuse(url, "monitoring", 2)  # and throttling does not show
        found = pulled(cloudwatch, started_at, sent)
        assert cloudwatch.clock_offset == 0.0

    def told(metric: str, statistic: str) -> dict[float, float]:
        return {o.at_s: o.value for o in found if (o.metric, o.statistic) == (metric, statistic)}

    assert {o.at_s for o in found} >= {0.0, 60.0}
    assert sum(told("Invocations", "Sum").values()) == sent
    assert sum(told("InvocationsPerInstance", "Sum").values()) == pytest.approx(sent)
    assert sum(told("InvocationModelErrors", "Sum").values()) == 1
    assert sum(told("ModelLatency", "SampleCount").values()) >= sent - 1
    for statistic in ("Average", "p50", "p90", "p95", "p99", "p99.9", "Maximum"):
        for value in told("ModelLatency", statistic).values():
            assert 19 <= value < 10_000  # milliseconds, and not the 20,000 of microseconds
    assert all(0 < value <= 400 for value in told("CPUUtilization", "Average").values())


SHADOW = Subject("variant", "variant/Shadow", (("EndpointName", "decision-trees-sample"), ("VariantName", "Shadow")))
OTHER = Subject("variant", "variant/B", (("EndpointName", "decision-trees-sample"), ("VariantName", "B")), ours=True)
API = Subject("api", "DecisionTreeAPI/DummyStage", (("ApiName", "DecisionTreeAPI"), ("Stage", "DummyStage")))
FUNCTION = Subject("function", "InvokeDecisionTreeSMEP", (("FunctionName", "InvokeDecisionTreeSMEP"),))


def test_while_the_load_goes_one_call_asks_for_the_few_that_are_looked_at() -> None:
    with scripted({"GetMetricData": lambda r: said({"MetricDataResults": results(r, {})})}) as aws:
        of(config(aws.url), START, 1, OTHER, SHADOW, FUNCTION).pull(START, START + 60)
        (request,) = map(asked, aws.requests)
    metrics = [query["MetricStat"]["Metric"] for query in request["MetricDataQueries"]]
    assert len(metrics) < 12  # each is paid for at every look; all of a variant's are 23
    by_variant = Counter(each["Dimensions"][-1]["Value"] for each in metrics)
    assert by_variant["B"] == 1  # how many of ours went there
    assert "Shadow" not in by_variant
    assert {"Invocations", "InvocationsPerInstance", "ModelLatency"} <= {each["MetricName"] for each in metrics}


def test_what_a_stop_rule_needs_is_asked_for_of_the_watched_variant_with_the_few() -> None:
    metrics = ("MemoryUtilization", "OverheadLatency", "model_latency_p999", "CPUUtilization")
    above = {name: "90%" if name.endswith("Utilization") else "1s" for name in metrics}
    rules = [{"metric": name, "above": above[name], "for": "3m"} for name in metrics]
    asked_for = []
    for given in ([], rules):
        with scripted({"GetMetricData": lambda r: said({"MetricDataResults": results(r, {})})}) as aws:
            of(config(aws.url, stop_when=given), START, 1, OTHER).pull(START, START + 60)
            (request,) = map(asked, aws.requests)
        stats = [query["MetricStat"] for query in request["MetricDataQueries"]]
        asked_for.append(Counter((stat["Metric"]["MetricName"], stat["Stat"]) for stat in stats))
    more = asked_for[1] - asked_for[0]
    assert more == Counter(
        [("MemoryUtilization", "Average"), ("OverheadLatency", "Average"), ("ModelLatency", "p99.9")]
    )
    assert asked_for[1][("CPUUtilization", "Average")] == 1, "it is asked for anyway, and paid for once"


def test_each_subject_has_a_source_of_its_own() -> None:
    points = {("Invocations", "Sum"): [(START, 5.0)], ("Duration", "Average"): [(START, 12.5)]}
    with scripted({"GetMetricData": lambda r: said({"MetricDataResults": results(r, points)})}) as aws:
        found = all_of(of(config(aws.url), START, 1, OTHER, FUNCTION), START, START + 60)
    assert sorted((o.source, o.metric, o.value, o.unit) for o in found) == [
        ("AWS/Lambda:InvokeDecisionTreeSMEP", "Duration", 12.5, "ms"),
        ("AWS/Lambda:InvokeDecisionTreeSMEP", "Invocations", 5.0, "count"),
        ("AWS/SageMaker", "Invocations", 5.0, "count"),
        ("AWS/SageMaker:variant/B", "Invocations", 5.0, "count"),
    ]


def test_what_is_denied_of_one_subject_loses_nothing_of_another() -> None:
    def answer(request: bytes) -> bytes:
        if b"AWS/Lambda" in request:
            return refused("AccessDenied", "not authorized")
        return said({"MetricDataResults": results(request, {("Invocations", "Sum"): [(START, 5.0)]})})

    with scripted({"GetMetricData": answer}) as aws:
        pulled = of(config(aws.url), START, 1, FUNCTION).pull_all(START, START + 60)
    assert [o.source for o in pulled.observations] == ["AWS/SageMaker"]
    assert set(pulled.faults) == pulled.unanswered == {"InvokeDecisionTreeSMEP"}
    assert not pulled.faults["InvokeDecisionTreeSMEP"].passing


def test_metrics_that_are_forbidden_one_by_one_are_named_together_and_the_others_come() -> None:
    def answer(request: bytes) -> bytes:
        told = results(request, {("Invocations", "Sum"): [(START, 5.0)]})
        names = {
            query["Id"]: query["MetricStat"]["Metric"]["MetricName"] for query in asked(request)["MetricDataQueries"]
        }
        for each in told:
            if names[each["Id"]] == "OverheadLatency":
                each["StatusCode"] = "Forbidden"
        return said({"MetricDataResults": told})

    with scripted({"GetMetricData": answer}) as aws:
        pulled = of(config(aws.url), START, 1).pull_all(START, START + 60)
    assert [o.value for o in pulled.observations] == [5.0]
    assert "gave no OverheadLatency (Average), OverheadLatency (p99)" in str(pulled.faults[""])
    assert pulled.unanswered == set()  # so it is asked again


def test_more_than_five_hundred_metrics_take_more_than_one_call() -> None:
    many = [
        Subject("variant", f"variant/{n}", (("EndpointName", "e"), ("VariantName", str(n))), ours=True)
        for n in range(500)
    ]
    with scripted({"GetMetricData": lambda r: said({"MetricDataResults": results(r, {})})}) as aws:
        of(config(aws.url), START, 1, *many).pull(START, START + 60)
        sizes = [len(asked(request)["MetricDataQueries"]) for request in aws.requests]
    assert max(sizes) == 500 and sum(sizes) > 500


def test_every_metric_of_an_endpoint_that_is_documented_is_asked_for() -> None:
    assert {metric.name for metric in VARIANT_METRICS} == {
        *("Invocations", "InvocationsPerInstance", "Invocation4XXErrors", "Invocation5XXErrors"),
        *("InvocationModelErrors", "ModelLatency", "OverheadLatency", "ConcurrentRequestsPerModel"),
        *("CPUUtilization", "MemoryUtilization", "DiskUtilization", "GPUUtilization", "GPUMemoryUtilization"),
    }


def test_a_plan_reckons_with_no_fewer_metrics_than_are_asked_for_while_the_load_goes() -> None:
    with scripted({"GetMetricData": lambda r: said({"MetricDataResults": results(r, {})})}) as aws:
        of(config(aws.url), START, 1, OTHER, API).pull(START, START + 60)
        (request,) = map(asked, aws.requests)
    names = [query["MetricStat"]["Metric"]["MetricName"] for query in request["MetricDataQueries"]]
    assert names[-2:] == ["Invocations", "Count"]  # of the others only how many requests they got
    assert len(names) <= METRICS_A_PULL
