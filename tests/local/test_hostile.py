"""Anything that is sent to the local endpoint is answered, by an error of the service's own where it cannot be done."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from sm_locust.local.settings import Settings
from tests.fuzzing import damaged, examples, odd, spoilt

KNOWN = Settings()
WHICH = {
    "ServiceNamespace": "sagemaker",
    "ResourceId": f"endpoint/{KNOWN.endpoint}/variant/{KNOWN.variant}",
    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
}
METRIC = {"Namespace": "AWS/SageMaker", "MetricName": "Invocations", "Dimensions": [{"Name": "a", "Value": "b"}]}
QUERY = {"Id": "a", "MetricStat": {"Metric": METRIC, "Period": 60, "Stat": "Sum"}, "ReturnData": True}
TRACKING = {
    "TargetValue": 9000.0,
    "ScaleInCooldown": 900,
    "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
}
POLICY = {
    "PolicyName": "p",
    "PolicyType": "TargetTrackingScaling",
    "TargetTrackingScalingPolicyConfiguration": TRACKING,
}
ACTION = {"ScheduledActionName": "s", "Schedule": "at(2099-01-01T06:00:00)", "ScalableTargetAction": {"MinCapacity": 1}}
DESIRED = {"VariantName": KNOWN.variant, "DesiredInstanceCount": 1}
# By X-Amz-Target, a request that is right.
CALLS: dict[str, dict[str, Any]] = {
    "GraniteServiceVersion20100801.GetMetricData": {
        "MetricDataQueries": [QUERY],
        "StartTime": 1.8e9,
        "EndTime": 1.8e9 + 60,
        "MaxDatapoints": 9,
    },
    "GraniteServiceVersion20100801.DescribeAlarms": {"AlarmNames": ["a"], "MaxRecords": 9},
    "AnyScaleFrontendService.RegisterScalableTarget": {**WHICH, "MinCapacity": 1, "MaxCapacity": 2},
    "AnyScaleFrontendService.PutScalingPolicy": {**WHICH, **POLICY},
    "AnyScaleFrontendService.PutScheduledAction": {**WHICH, **ACTION},
    "AnyScaleFrontendService.DescribeScalingPolicies": {"ServiceNamespace": "sagemaker", "MaxResults": 5},
    "AnyScaleFrontendService.DeregisterScalableTarget": WHICH,
    "SageMaker.DescribeEndpoint": {"EndpointName": KNOWN.endpoint},
    "SageMaker.UpdateEndpointWeightsAndCapacities": {
        "EndpointName": KNOWN.endpoint,
        "DesiredWeightsAndCapacities": [DESIRED],
    },
}
SERVICES = {
    "GraniteServiceVersion20100801": "monitoring",
    "AnyScaleFrontendService": "application-autoscaling",
    "SageMaker": "sagemaker",
}
ORDERS: dict[str, dict[str, Any]] = {
    "/_local/refuse": {"service": "monitoring", "next": 0, "operation": "GetMetricData", "code": "AccessDenied"},
    "/_local/endpoint": {"status": "InService", "seconds": 1},
}


class Caller:
    """Says anything, each time over a connection of its own."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.parts = urlsplit(url)

    def ask(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        with contextlib.closing(http.client.HTTPConnection(self.parts.netloc, timeout=20)) as connection:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()

    def call(self, target: str, body: bytes) -> tuple[int, bytes]:
        service = SERVICES[target.partition(".")[0]]
        headers = {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.1", "Host": self.parts.netloc}
        request = AWSRequest("POST", self.url + "/", headers=headers, data=body)
        SigV4Auth(Credentials(KNOWN.access_key_id, KNOWN.secret_access_key), service, KNOWN.region).add_auth(request)
        return self.ask("POST", "/", body, dict(request.headers.items()))

    def raw(self, wire: bytes) -> bytes:
        """The beginning of what comes back."""
        with socket.create_connection((self.parts.hostname or "", self.parts.port or 0), timeout=20) as sock:
            sock.sendall(wire)
            sock.shutdown(socket.SHUT_WR)
            return sock.recv(1000)


@pytest.fixture(scope="module")
def caller(endpoint: str) -> Caller:
    return Caller(endpoint)


@pytest.fixture(scope="module", autouse=True)
def _as_it_was(caller: Caller) -> Any:
    yield
    caller.ask("POST", "/_local/refuse", b"{}", {})
    caller.call("AnyScaleFrontendService.DeregisterScalableTarget", json.dumps(WHICH).encode())


BODIES = st.sampled_from([b"", b"[" * 20_000, b'{"a":' * 20_000, b"1" * 9_000, b"\xff\xfe", b"NaN", b'"\\ud800"'])


def test_what_is_damaged_below_is_right(caller: Caller) -> None:
    for target, right in CALLS.items():
        status, answer = caller.call(target, json.dumps(right).encode())
        assert status == 200, (target, answer)


@examples(80)
@given(target=st.sampled_from(sorted(CALLS)), data=st.data())
def test_a_damaged_call_is_answered_or_refused_by_the_service(caller: Caller, target: str, data: st.DataObject) -> None:
    wrong = damaged(CALLS[target]).map(lambda value: json.dumps(value).encode())
    status, answer = caller.call(target, data.draw(wrong | wrong.flatmap(spoilt) | BODIES))
    assert status < 500, answer
    found = json.loads(answer, parse_constant=lambda name: pytest.fail(name))
    assert status == 200 or found["__type"]


@examples(50)
@given(path=st.sampled_from(sorted(ORDERS)), data=st.data())
def test_a_damaged_order_is_taken_or_refused_in_a_sentence(caller: Caller, path: str, data: st.DataObject) -> None:
    wrong = damaged(ORDERS[path]).map(lambda value: json.dumps(value).encode())
    status, said = caller.ask("POST", path, data.draw(wrong | wrong.flatmap(spoilt) | BODIES), {})
    assert status in (204, 400), said
    caller.ask("POST", "/_local/refuse", b'{"service": "monitoring", "next": 0}', {})


PARTS = ["_local", "session", "counts", "endpoints", "invocations", "ping", "..", "%00", "%zz", "%C3%A9", "DummyStage"]
QUERIES = ["", "?lifetime=nan", "?lifetime=1e400", "?lifetime=-1", "?lifetime=", "?lifetime=%F0%9F%98%80", "?x=y", "?="]
HEADERS = ["X-Amz-Target", "Authorization", "Content-Type", "X-Amz-Date", "Origin", "X-Amz-Security-Token"]
TEXTS = odd.filter(lambda value: isinstance(value, str) and value.isprintable())


@examples(40)
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "HEAD", "OPTIONS"]),
    path=st.lists(st.sampled_from(PARTS), max_size=4),
    query=st.sampled_from(QUERIES),
    headers=st.dictionaries(st.sampled_from(HEADERS), TEXTS, max_size=3),
)
def test_whatever_is_asked_for_is_answered(
    caller: Caller, method: str, path: list[str], query: str, headers: dict[str, str]
) -> None:
    encoded = {name: value.encode("utf-8").decode("latin-1") for name, value in headers.items()}
    status, said = caller.ask(method, "/" + "/".join(path) + query, b"x", encoded)
    assert status < 500, said


HEAD = b"POST /endpoints/decision-trees-sample/invocations HTTP/1.1\r\nHost:\r\nContent-Length: 3\r\nX: x\r\n\r\nabc"


@examples(40)
@given(st.just(HEAD).flatmap(spoilt).flatmap(spoilt) | st.binary(max_size=40))
def test_bytes_that_are_no_request_end_their_own_connection_only(caller: Caller, wire: bytes) -> None:
    answer = caller.raw(wire)
    assert not answer or (answer.startswith(b"HTTP/1.1 ") and answer[9:10] in b"234")
    assert caller.ask("GET", "/ping", b"", {})[0] == 200
