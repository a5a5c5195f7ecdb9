"""The API in front of the local endpoint: whom it lets in, and what its client sees. It is botocore that signs."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from sm_locust.local.gateway import Bucket
from sm_locust.local.settings import Settings
from tests.local.harness import client, counts, invoke, running

KNOWN = Settings()
BODY = b"5,3.5,1.3,0.3"
KEY = {"x-api-key": "known-to-few-and-far-between"}


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def refusal(self) -> tuple[int, str, str]:
        """Status, name and message of an error."""
        return self.status, self.headers["x-amzn-errortype"], json.loads(self.body)["message"]


def call(
    url: str, headers: dict[str, str] | None = None, *, path: str = "/DummyStage/DT", body: bytes | None = BODY
) -> Answer:
    request = urllib.request.Request(url + path, body, {"Content-Type": "text/csv", **(headers or {})})
    try:
        answer = urllib.request.urlopen(request, timeout=10)
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        return Answer(answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read())


def signature(url: str, body: bytes = BODY, service: str = "execute-api", **key: str) -> dict[str, str]:
    """The headers that botocore adds."""
    request = AWSRequest("POST", f"{url}/DummyStage/DT", data=body, headers={"Content-Type": "text/csv"})
    known = {"access_key": KNOWN.access_key_id, "secret_key": KNOWN.secret_access_key}
    SigV4Auth(Credentials(**{**known, **key}), service, KNOWN.region).add_auth(request)
    return {name: request.headers[name] for name in ("X-Amz-Date", "Authorization")}


@pytest.fixture(scope="module")
def iam() -> Iterator[str]:
    with running(Settings(gateway_auth="iam", workers=1, service_time=0.3, backlog=0)) as url:
        yield url


@pytest.fixture(scope="module")
def keyed() -> Iterator[str]:
    with running(Settings(gateway_auth="api-key", gateway_api_key=KEY["x-api-key"], max_body_bytes=1000)) as url:
        yield url


def test_without_auth_the_body_reaches_the_model_and_counts_as_an_invocation(endpoint: str) -> None:
    before = counts(endpoint)
    one, two = call(endpoint), call(endpoint)
    assert (one.status, one.body, one.headers["content-type"]) == (200, b"setosa\n", "text/csv; charset=utf-8")
    assert len(one.headers["x-amz-apigw-id"]) == 16
    assert one.headers["x-amz-apigw-id"] != two.headers["x-amz-apigw-id"]
    assert one.headers["x-amzn-requestid"] != two.headers["x-amzn-requestid"]
    assert "x-amzn-invoked-production-variant" not in one.headers
    after = counts(endpoint)
    assert (after["invocations"] - before["invocations"], after["ok"] - before["ok"]) == (2, 2)


def test_a_model_that_fails_keeps_sagemakers_status_and_name_in_header_and_body(endpoint: str) -> None:
    before = counts(endpoint)["errors"].get("424 ModelError", 0)
    for answer in (call(endpoint, body=b"no,table"), call(endpoint, {"Content-Type": "application/json"})):
        status, name, message = answer.refusal
        assert (status, name, json.loads(answer.body)["__type"]) == (424, "ModelError", "ModelError")
        assert "from AllTraffic with message" in message
        assert answer.headers["x-amz-apigw-id"]
    assert counts(endpoint)["errors"]["424 ModelError"] - before == 2


@pytest.mark.parametrize("path", ["/DummyStage/", "/DummyStage/DTs", "/DummyStage/DT/", "/DummyStage/dt"])
def test_a_resource_that_is_not_there_is_a_missing_token_as_in_api_gateway(endpoint: str, path: str) -> None:
    missing = (403, "MissingAuthenticationTokenException", "Missing Authentication Token")
    assert call(endpoint, path=path).refusal == missing


def test_a_method_that_is_not_there_is_a_missing_token_too(endpoint: str) -> None:
    assert call(endpoint, body=None).refusal[1] == "MissingAuthenticationTokenException"


def test_a_body_past_the_limit_is_refused_in_plain_text(keyed: str) -> None:
    answer = call(keyed, body=b"1" * 1001)
    assert (answer.status, answer.headers["content-type"]) == (413, "text/plain")
    assert "x-amzn-errortype" not in answer.headers


def test_iam_takes_a_signature_for_execute_api_and_no_other(iam: str) -> None:
    assert call(iam, signature(iam)).status == 200
    assert call(iam).refusal[:2] == (403, "MissingAuthenticationTokenException")
    assert call(iam, signature(iam, secret_key="other")).refusal[:2] == (403, "InvalidSignatureException")
    assert call(iam, signature(iam, access_key="other")).refusal[:2] == (403, "UnrecognizedClientException")
    status, name, message = call(iam, signature(iam, service="sagemaker")).refusal
    assert (status, name) == (403, "InvalidSignatureException")
    assert "correct service: 'execute-api'" in message
    assert call(iam, signature(iam, b"other")).refusal[:2] == (403, "InvalidSignatureException")


def test_a_full_backlog_behind_the_gateway_is_the_endpoints_own_answer(iam: str) -> None:
    before = counts(iam)["errors"].get("503 ServiceUnavailable", 0)
    with ThreadPoolExecutor(4) as pool:
        statuses = sorted(pool.map(lambda _: call(iam, signature(iam)).status, range(4)))
    assert statuses[0] == 200
    assert statuses[-1] == 503
    assert counts(iam)["errors"]["503 ServiceUnavailable"] - before == statuses.count(503)


def test_cloudwatch_knows_the_api_and_its_function() -> None:
    settings = Settings(publish_delay=0, service_time=0.001, function_concurrency=1, gateway_timeout=10)
    with running(settings) as url:
        assert [call(url).status, call(url, body=b"no,table").status, call(url, path="/DummyStage/x").status] == [
            200,
            424,
            403,
        ]
        time.sleep(1.1)  # a period of one second must be over
        cloudwatch = client(url, "cloudwatch")
        listed = [m for m in cloudwatch.list_metrics()["Metrics"] if m["Namespace"] in ("AWS/ApiGateway", "AWS/Lambda")]
        found = {m["MetricName"]: published(cloudwatch, m) for m in listed}
    assert {m["MetricName"] for m in listed} == {
        *("Count", "Latency", "IntegrationLatency", "4XXError", "5XXError"),
        *("Invocations", "Duration", "Errors", "Throttles", "ConcurrentExecutions"),
    }
    sums = {name: sum(values) for name, values in found.items()}
    assert (sums["Count"], sums["4XXError"], sums["5XXError"]) == (3, 2, 0)
    assert (sums["Invocations"], sums["Errors"], sums["Throttles"], sums["ConcurrentExecutions"]) == (2, 0, 0, 2)
    assert sums["Latency"] >= sums["IntegrationLatency"] >= sums["Duration"] > 2


def published(cloudwatch: Any, metric: dict[str, Any]) -> list[float]:
    """The sum of each second of the last minute."""
    now = time.time()
    query = {"Id": "asked", "MetricStat": {"Metric": metric, "Period": 1, "Stat": "Sum"}}
    answer = cloudwatch.get_metric_data(MetricDataQueries=[query], StartTime=now - 60, EndTime=now)
    return list(answer["MetricDataResults"][0]["Values"])


def test_a_stage_lets_a_burst_through_and_then_its_rate() -> None:
    now = [0.0]
    bucket = Bucket(10, 3, lambda: now[0])
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]
    now[0] = 0.1
    assert [bucket.take(), bucket.take()] == [True, False]
    now[0] = 60.0  # it holds no more than a burst, however long nobody came
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]


def test_an_api_key_opens_the_gateway_and_nothing_else(keyed: str) -> None:
    assert call(keyed, KEY).status == 200
    for headers in ({}, {"x-api-key": ""}, {"x-api-key": "known-to-few"}, signature(keyed)):
        assert call(keyed, headers).refusal == (403, "ForbiddenException", "Forbidden")
    assert counts(keyed)["rejected"]["403 ForbiddenException"] == 4
    refused = call(keyed, KEY, path="/endpoints/decision-trees-sample/invocations")
    assert refused.refusal[1] == "MissingAuthenticationTokenException"
    assert invoke(client(keyed))["Body"].read() == b"setosa\n"
