"""Metrics and alarms over boto3, held against what the endpoint counted; a schedule minute is a second here."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sm_locust.local.settings import Settings
from tests.local.harness import client, counts, invoke, running

# Requests that come together wait for each other, so that latencies differ.
SETTINGS = Settings(workers=1, service_time=0.02, backlog=8, publish_delay=0)
DIMENSIONS = [
    {"Name": "EndpointName", "Value": SETTINGS.endpoint},
    {"Name": "VariantName", "Value": SETTINGS.variant},
]


@dataclass(frozen=True)
class Measured:
    """An endpoint that served for some seconds, and what it counted of each: [second, all, ok, Σ ms, errors].

    ringing  the alarms in state ALARM while it served; their states go on changing afterwards
    served   when it had served
    """

    url: str
    aws: Any
    rows: list[list[float]]
    ringing: list[dict[str, Any]]
    served: datetime

    @property
    def first(self) -> datetime:
        return datetime.fromtimestamp(self.rows[0][0], UTC)

    @property
    def end(self) -> datetime:
        return datetime.fromtimestamp(self.rows[-1][0] + 1, UTC)

    def ask(self, *queries: dict[str, Any], **more: Any) -> Any:
        request = {"StartTime": self.first, "EndTime": self.end, **more}
        return self.aws.get_metric_data(MetricDataQueries=list(queries), **request)

    def points(self, query: dict[str, Any], **more: Any) -> list[tuple[int, float]]:
        """(Unix second, value) in the order of the answer."""
        (result,) = self.ask(query, **more)["MetricDataResults"]
        return [(int(at.timestamp()), value) for at, value in zip(result["Timestamps"], result["Values"], strict=True)]


def stat(metric: str, statistic: str, *, ident: str = "a", period: int = 1, **more: Any) -> dict[str, Any]:
    named = {"Namespace": "AWS/SageMaker", "MetricName": metric, "Dimensions": DIMENSIONS}
    return {"Id": ident, "MetricStat": {"Metric": named, "Period": period, "Stat": statistic}, **more}


def error(call: Callable[..., Any], *arguments: Any, **parameters: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as raised:
        call(*arguments, **parameters)
    found = raised.value.response["Error"]
    return found["Code"], found["Message"]


@pytest.fixture(scope="module")
def measured() -> Iterator[Measured]:
    with running(SETTINGS, speed=60) as url:
        runtime = client(url)
        scaling = client(url, "application-autoscaling")
        target = {
            "ServiceNamespace": "sagemaker",
            "ResourceId": f"endpoint/{SETTINGS.endpoint}/variant/{SETTINGS.variant}",
            "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
        }
        scaling.register_scalable_target(**target, MinCapacity=1, MaxCapacity=1)
        predefined = {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"}
        for name, value in (("low", 10.0), ("high", 100_000.0)):
            scaling.put_scaling_policy(
                **target,
                PolicyName=name,
                PolicyType="TargetTrackingScaling",
                TargetTrackingScalingPolicyConfiguration={
                    "TargetValue": value,
                    "PredefinedMetricSpecification": predefined,
                },
            )

        def one(number: int) -> None:
            try:
                invoke(runtime, Body=b"5,3.5,1.3,0.3" if number % 10 else b"not,a,row,of numbers")
            except ClientError as refused:
                assert refused.response["Error"]["Code"] == "ModelError"

        aws = client(url, "cloudwatch")
        ends_at = time.monotonic() + 6
        ringing: list[dict[str, Any]] = []
        with ThreadPoolExecutor(4) as pool:  # on a busy machine a period may have too little to ring about
            while time.monotonic() < ends_at or (not ringing and time.monotonic() < ends_at + 30):
                list(pool.map(one, range(20)))
                ringing = aws.describe_alarms(StateValue="ALARM")["MetricAlarms"]
        served = datetime.now(UTC)
        time.sleep(1.1)
        yield Measured(url, aws, counts(url)["seconds"], ringing, served)


def test_invocations_are_what_was_counted_newest_first(measured: Measured) -> None:
    points = measured.points(stat("Invocations", "Sum"))
    assert points == [(row[0], row[1]) for row in reversed(measured.rows)]
    assert sum(value for _, value in points) == counts(measured.url)["invocations"]
    assert measured.points(stat("Invocations", "Sum"), ScanBy="TimestampAscending") == points[::-1]


@pytest.mark.parametrize(
    ("metric", "statistic"),
    [
        ("Invocation5XXErrors", "Sum"),
        ("InvocationModelErrors", "Sum"),
    ],
)
def test_errors_are_what_was_counted(measured: Measured, metric: str, statistic: str) -> None:
    assert sum(row[4] for row in measured.rows) > 0
    points = measured.points(stat(metric, statistic), ScanBy="TimestampAscending")
    assert points == [(row[0], row[4]) for row in measured.rows]


def test_each_statistic_of_latency_agrees_with_the_others_and_with_the_counts(measured: Measured) -> None:
    names = ["Minimum", "p0", "p10", "p50", "p90", "p95.5", "p99", "p99.9", "p100", "Maximum"]
    others = ["Average", "Sum", "SampleCount"]
    queries = [stat("ModelLatency", name, ident=f"q{i}") for i, name in enumerate([*names, *others])]
    results = measured.ask(*queries, ScanBy="TimestampAscending")["MetricDataResults"]
    assert [result["Id"] for result in results] == [query["Id"] for query in queries]
    assert all(result["StatusCode"] == "Complete" for result in results)
    *ordered, average, total, count = (result["Values"] for result in results)
    for second, row in enumerate(measured.rows):
        rising = [values[second] for values in ordered]
        assert rising == sorted(rising)
        assert rising[0] >= 20_000 * 0.999
        assert rising[0] <= average[second] <= rising[-1]
        assert average[second] == pytest.approx(total[second] / count[second])
        assert total[second] == pytest.approx(row[3] * 1000)
        assert count[second] == row[1]
    assert max(ordered[-1]) > 2 * min(ordered[0])


def test_dimensions_may_come_in_any_order_and_must_all_be_there(measured: Measured) -> None:
    everything = measured.points(stat("Invocations", "Sum"))
    query = stat("Invocations", "Sum")
    query["MetricStat"]["Metric"]["Dimensions"] = DIMENSIONS[::-1]
    assert measured.points(query) == everything != []
    for dimensions in ([], DIMENSIONS[:1], [DIMENSIONS[0], {"Name": "VariantName", "Value": "Other"}]):
        query["MetricStat"]["Metric"]["Dimensions"] = dimensions
        assert measured.points(query) == []
    for namespace, metric in (("AWS/ApiGateway", "Invocations"), ("AWS/SageMaker", "Teapots")):
        query = stat(metric, "Sum")
        query["MetricStat"]["Metric"]["Namespace"] = namespace
        assert measured.points(query) == []


def test_the_start_is_rounded_down_to_the_period_and_the_end_is_left_out(measured: Measured) -> None:
    inside = [row[0] for row in measured.rows[1:3]]
    start = measured.first + timedelta(seconds=1.7)
    points = measured.points(stat("Invocations", "Sum"), StartTime=start, EndTime=measured.first + timedelta(seconds=3))
    assert [at for at, _ in reversed(points)] == inside

    # Long enough ago to be over, five seconds hold at least one that was counted.
    five = measured.rows[2][0] // 5 * 5
    expected = sum(row[1] for row in measured.rows if five <= row[0] < five + 5)
    start = datetime.fromtimestamp(five + 4, UTC)
    end = start + timedelta(seconds=1)
    while time.time() < five + 5.1:
        time.sleep(0.1)
    assert measured.points(stat("Invocations", "Sum", period=5), StartTime=start, EndTime=end) == [(five, expected)]


def test_a_rate_a_minute_is_left_to_the_reader(measured: Measured) -> None:
    per_instance = measured.points(stat("InvocationsPerInstance", "Sum"), ScanBy="TimestampAscending")
    assert [value for _, value in per_instance] == pytest.approx([row[1] for row in measured.rows])


@pytest.mark.parametrize("scan", ["TimestampDescending", "TimestampAscending"])
@pytest.mark.parametrize("size", [1, 4])
def test_pages_of_any_size_make_up_the_whole_answer(measured: Measured, scan: str, size: int) -> None:
    queries = [stat("Invocations", "Sum"), stat("ModelLatency", "p99", ident="b")]
    whole = {
        result["Id"]: list(zip(result["Timestamps"], result["Values"], strict=True))
        for result in measured.ask(*queries, ScanBy=scan)["MetricDataResults"]
    }
    found: dict[str, list[Any]] = {"a": [], "b": []}
    parts, token = 0, None
    while parts == 0 or token is not None:
        page = measured.ask(*queries, ScanBy=scan, MaxDatapoints=size, **({"NextToken": token} if token else {}))
        token = page.get("NextToken")
        parts += 1
        assert sum(len(result["Values"]) for result in page["MetricDataResults"]) <= size
        for result in page["MetricDataResults"]:
            found[result["Id"]] += zip(result["Timestamps"], result["Values"], strict=True)
            complete = len(found[result["Id"]]) == len(whole[result["Id"]])
            assert result["StatusCode"] == ("Complete" if complete else "PartialData")
    assert found == whole
    assert parts == -(-len(measured.rows) * 2 // size)


def test_a_token_of_another_question_is_refused_by_name(measured: Measured) -> None:
    token = measured.ask(stat("Invocations", "Sum"), MaxDatapoints=1)["NextToken"]
    for query, given in ((stat("Invocations", "Average"), token), (stat("Invocations", "Sum"), "made up")):
        with pytest.raises(measured.aws.exceptions.InvalidNextToken):
            measured.ask(query, MaxDatapoints=1, NextToken=given)


def test_a_label_is_kept_and_what_is_not_to_be_returned_is_not(measured: Measured) -> None:
    results = measured.ask(
        stat("Invocations", "Sum", Label="all of them"),
        stat("ModelLatency", "p50", ident="b"),
        stat("ModelLatency", "p90", ident="c", ReturnData=False),
    )["MetricDataResults"]
    assert [(result["Id"], result["Label"]) for result in results] == [("a", "all of them"), ("b", "ModelLatency")]


@pytest.mark.parametrize("period", [1, 5, 10, 20, 30, 60, 120, 3600])
def test_periods_of_cloudwatch_are_accepted(measured: Measured, period: int) -> None:
    result = measured.ask(stat("Invocations", "Sum", period=period))["MetricDataResults"][0]
    assert result["StatusCode"] == "Complete"
    assert all(at.timestamp() % period == 0 for at in result["Timestamps"])


@pytest.mark.parametrize(
    ("queries", "more", "said"),
    [
        (
            [{"Id": "e", "Expression": "m1 * 60"}],
            {},
            "MetricDataQueries.member.1.Expression: the local endpoint has no",
        ),
        ([{"Id": "e"}], {}, "exactly one of Expression and MetricStat"),
        ([stat("Invocations", "Sum", period=2)], {}, "must be 1, 5, 10, 20, 30 or a multiple of 60"),
        ([stat("Invocations", "Sum", period=90)], {}, "The value 90 for parameter"),
        ([stat("Invocations", "Sum"), stat("Invocations", "Median", ident="b")], {}, "The value Median for parameter"),
        ([stat("Invocations", "p101")], {}, "MetricDataQueries.member.1.MetricStat.Stat is not a valid statistic"),
        ([stat("Invocations", "Sum")] * 2, {}, "are not unique"),
        ([stat("Invocations", "Sum", ident="Upper")], {}, "[a-z][a-zA-Z0-9_]*"),
        ([], {}, "must not be empty"),
        ([stat("Invocations", "Sum", ident=f"q{i}") for i in range(501)], {}, "size greater than 500"),
        ([stat("Invocations", "Sum")], {"MaxDatapoints": 100_801}, "between 1 and 100800"),
        ([stat("Invocations", "Sum")], {"MaxDatapoints": 0}, "between 1 and 100800"),
        ([stat("Invocations", "Sum")], {"EndTime": datetime(2020, 1, 1, tzinfo=UTC)}, "must be less than"),
        ([stat("Invocations", "Sum")], {"ScanBy": "Sideways"}, "'scanBy' failed to satisfy constraint"),
    ],
)
def test_a_question_that_cannot_be_answered_says_why(
    measured: Measured, queries: list[dict[str, Any]], more: dict[str, Any], said: str
) -> None:
    code, message = error(measured.ask, *queries, **more)
    assert code == "ValidationError"
    assert said in message


def test_five_hundred_questions_are_answered_at_once(measured: Measured) -> None:
    queries = [stat("Invocations", "Sum", ident=f"q{i}") for i in range(500)]
    assert len(measured.ask(*queries)["MetricDataResults"]) == 500


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ({"Namespace": "/aws/sagemaker/Endpoints"}, {"CPUUtilization"}),
        ({"MetricName": "ModelLatency"}, {"ModelLatency"}),
        ({"MetricName": "Invocations", "Dimensions": DIMENSIONS[::-1]}, {"Invocations"}),
        ({"MetricName": "Invocations", "Dimensions": [{"Name": "VariantName"}]}, {"Invocations"}),
        ({"MetricName": "Invocations", "Dimensions": [{"Name": "VariantName", "Value": "Other"}]}, set()),
        ({"Dimensions": [{"Name": "FunctionName"}]}, set()),
        ({"Namespace": "AWS/Lambda"}, set()),
    ],
)
def test_metrics_are_listed_where_they_are_what_is_asked_for(
    measured: Measured, wanted: dict[str, Any], names: set[str]
) -> None:
    pages = list(measured.aws.get_paginator("list_metrics").paginate(**wanted))
    found = [metric for page in pages for metric in page["Metrics"]]
    assert {metric["MetricName"] for metric in found} == names
    assert all(sorted(map(str, m["Dimensions"])) == sorted(map(str, DIMENSIONS)) for m in found)


def test_every_metric_that_is_listed_has_points(measured: Measured) -> None:
    for number, metric in enumerate(measured.aws.list_metrics()["Metrics"]):
        query = {"Id": f"m{number}", "MetricStat": {"Metric": metric, "Period": 1, "Stat": "Sum"}}
        assert len(measured.points(query)) == len(measured.rows), metric


def test_a_list_of_metrics_refuses_a_token_that_nobody_gave(measured: Measured) -> None:
    assert error(measured.aws.list_metrics, NextToken="made up")[0] == "InvalidNextToken"


def test_alarms_are_described_a_page_at_a_time_and_by_name_prefix_and_state(measured: Measured) -> None:
    aws = measured.aws
    every = aws.describe_alarms()["MetricAlarms"]
    assert len(every) == 4
    pages = list(aws.get_paginator("describe_alarms").paginate(PaginationConfig={"PageSize": 1}))
    assert [len(page["MetricAlarms"]) for page in pages] == [1] * 4
    assert [page["MetricAlarms"][0]["AlarmName"] for page in pages] == [alarm["AlarmName"] for alarm in every]
    (high,) = measured.ringing
    assert (high["Threshold"], high["ComparisonOperator"]) == (10.0, "GreaterThanThreshold")
    assert (high["EvaluationPeriods"], high["Period"], high["MetricName"]) == (3, 1, "InvocationsPerInstance")
    (found,) = aws.describe_alarms(AlarmNames=[high["AlarmName"]])["MetricAlarms"]
    assert found["AlarmArn"] == high["AlarmArn"]
    assert len(aws.describe_alarms(AlarmNamePrefix="TargetTracking-endpoint/")["MetricAlarms"]) == 4
    assert aws.describe_alarms(AlarmNamePrefix="Other")["MetricAlarms"] == []
    assert aws.describe_alarms(ActionPrefix=high["AlarmActions"][0])["MetricAlarms"] != []
    assert aws.describe_alarms(ActionPrefix="arn:aws:sns")["MetricAlarms"] == []
    assert aws.describe_alarms(AlarmTypes=["CompositeAlarm"])["MetricAlarms"] == []
    assert error(aws.describe_alarms, AlarmNames=["a"], AlarmNamePrefix="a")[0] == "ValidationError"
    assert error(aws.describe_alarms, MaxRecords=101)[0] == "ValidationError"
    with pytest.raises(aws.exceptions.InvalidNextToken):
        aws.describe_alarms(NextToken="made up")


def test_the_history_of_an_alarm_says_when_it_rang_a_page_at_a_time(measured: Measured) -> None:
    aws, (high,) = measured.aws, measured.ringing

    def history(**wanted: Any) -> list[dict[str, Any]]:
        wanted = {"EndDate": measured.served, **wanted}
        pages = list(aws.get_paginator("describe_alarm_history").paginate(**wanted))
        return [item for page in pages for item in page["AlarmHistoryItems"]]

    every = history()
    assert len(every) >= 3
    times = [item["Timestamp"] for item in every]
    assert times == sorted(times, reverse=True)
    assert history(ScanBy="TimestampAscending") == every[::-1]
    pages = aws.get_paginator("describe_alarm_history").paginate(
        EndDate=measured.served, PaginationConfig={"PageSize": 1}
    )
    assert [page["AlarmHistoryItems"] for page in pages] == [[item] for item in every]

    rang = history(AlarmName=high["AlarmName"], HistoryItemType="StateUpdate")[0]
    assert rang["HistorySummary"] == "Alarm updated from OK to ALARM"
    assert rang["Timestamp"] == high["StateUpdatedTimestamp"]
    assert json.loads(rang["HistoryData"])["newState"]["stateValue"] == "ALARM"
    assert rang in history(StartDate=rang["Timestamp"])
    assert history(HistoryItemType="Action") == []
    assert history(EndDate=measured.first - timedelta(minutes=1)) == []
    assert history(AlarmTypes=["CompositeAlarm"]) == []
    with pytest.raises(aws.exceptions.InvalidNextToken):
        aws.describe_alarm_history(NextToken="made up")


def test_readers_see_a_period_only_when_it_has_been_published() -> None:
    settings = Settings(publish_delay=180)
    with running(settings, speed=60) as url:
        runtime, aws = client(url), client(url, "cloudwatch")
        invoke(runtime)
        second = counts(url)["seconds"][0][0]
        asked = {
            "MetricDataQueries": [stat("Invocations", "Sum")],
            "StartTime": second,
            "EndTime": second + 60,
        }
        seen_at = 0.0
        while seen_at == 0.0:
            before = time.time()
            assert before < second + 10
            if aws.get_metric_data(**asked)["MetricDataResults"][0]["Values"]:
                seen_at = time.time()
            time.sleep(0.05)
        assert seen_at >= second + 1 + 3
