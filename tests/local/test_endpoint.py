"""The local endpoint as unmodified boto3 meets it: good answers, every error, and the counts that prove them."""

from __future__ import annotations

import http.client
import json
import socket
import time
import urllib.error
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import botocore.auth
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from sm_locust.local.settings import Settings
from tests.local.harness import client, counts, invoke

TOKEN = "a/token="


def failure(runtime: Any, **parameters: Any) -> dict[str, Any]:
    """What boto3 makes of an error answer."""
    with pytest.raises(ClientError) as raised:
        invoke(runtime, **parameters)
    return dict(raised.value.response)


def status_and_code(response: dict[str, Any]) -> tuple[int, str]:
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


def on_the_wire(url: str, body: bytes) -> bytes:
    """A request as bytes, signed by botocore."""
    known = Settings()
    target = f"{url}/endpoints/{known.endpoint}/invocations"
    request = AWSRequest("POST", target, data=body, headers={"Content-Type": "text/csv"})
    SigV4Auth(Credentials(known.access_key_id, known.secret_access_key), "sagemaker", known.region).add_auth(request)
    lines = [f"POST {urlsplit(target).path} HTTP/1.1", f"Host: {urlsplit(url).netloc}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def connected(url: str) -> socket.socket:
    return socket.create_connection((urlsplit(url).hostname, urlsplit(url).port), timeout=10)


def test_a_good_answer_is_the_trees_with_the_headers_of_sagemaker(endpoint: str) -> None:
    answer = invoke(client(endpoint), CustomAttributes="trace=1, b", TargetVariant="AllTraffic")
    assert answer["Body"].read() == b"setosa\n"
    assert answer["ContentType"] == "text/csv; charset=utf-8"
    assert answer["InvokedProductionVariant"] == "AllTraffic"
    assert answer["CustomAttributes"] == "trace=1, b"
    assert answer["ResponseMetadata"]["RequestId"]
    assert answer["ResponseMetadata"]["HTTPHeaders"]["date"].endswith("GMT")


def test_every_line_is_answered_and_every_answer_has_an_id_of_its_own(endpoint: str) -> None:
    runtime = client(endpoint)
    answers = [invoke(runtime, Body=b"5,3.5,1.3,0.3\n6.3,3.3,6,2.5\n") for _ in range(3)]
    assert [answer["Body"].read() for answer in answers] == [b"setosa\nvirginica\n"] * 3
    assert len({answer["ResponseMetadata"]["RequestId"] for answer in answers}) == 3


def test_an_answer_takes_at_least_the_service_time_and_reports_it_exactly(endpoint: str) -> None:
    before = counts(endpoint)
    runtime = client(endpoint)
    for _ in range(5):
        started = time.perf_counter()
        invoke(runtime)
        assert time.perf_counter() - started >= 0.008
    rows = {row[0]: row for row in counts(endpoint)["seconds"]}
    earlier = sum(row[3] for row in before["seconds"])
    assert sum(row[3] for row in rows.values()) - earlier == pytest.approx(5 * 8.5)


@pytest.mark.parametrize(
    ("content_type", "body", "original_status", "original_message", "side"),
    [
        ("application/json", b"5,3.5,1.3,0.3", 415, "This predictor only supports CSV data", "client"),
        ("text/csv", b"a,b,c,d", 500, "500 Internal Server Error", "server"),
    ],
)
def test_an_error_of_the_container_is_a_model_error_with_all_its_fields(
    endpoint: str, content_type: str, body: bytes, original_status: int, original_message: str, side: str
) -> None:
    response = failure(client(endpoint), ContentType=content_type, Body=body)
    assert status_and_code(response) == (424, "ModelError")
    assert response["OriginalStatusCode"] == original_status
    assert original_message in response["OriginalMessage"]
    assert response["LogStreamArn"] == (
        "arn:aws:logs:us-east-1:123456789012:log-group:/aws/sagemaker/Endpoints/decision-trees-sample"
    )
    message = response["Error"]["Message"]
    assert message.startswith(f'Received {side} error ({original_status}) from AllTraffic with message "')
    assert ". See https://us-east-1.console.aws.amazon.com/cloudwatch/home?region=us-east-1#" in message
    assert message.endswith(" in account 123456789012 for more information.")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"EndpointName": "nobody"}, "Endpoint nobody of account 123456789012 not found."),
        ({"TargetVariant": "Other"}, "Variant Other of endpoint decision-trees-sample of account"),
    ],
)
def test_an_unknown_target_is_a_validation_error(endpoint: str, parameters: dict[str, str], message: str) -> None:
    response = failure(client(endpoint), **parameters)
    assert status_and_code(response) == (400, "ValidationError")
    assert message in response["Error"]["Message"]


@pytest.mark.parametrize(
    ("credentials", "code", "message"),
    [
        ({"aws_secret_access_key": "wrong"}, "InvalidSignatureException", "we calculated does not match"),
        ({"aws_access_key_id": "AKIDWRONG"}, "UnrecognizedClientException", "security token included"),
        ({"aws_session_token": "wrong"}, "UnrecognizedClientException", "security token included"),
        ({"region_name": "eu-west-1"}, "InvalidSignatureException", "a valid region, not 'eu-west-1'"),
    ],
)
def test_wrong_credentials_are_403_by_awss_names(
    endpoint: str, credentials: dict[str, str], code: str, message: str
) -> None:
    response = failure(client(endpoint, **credentials))
    assert status_and_code(response) == (403, code)
    assert message in response["Error"]["Message"]


@pytest.mark.parametrize(("minutes", "words"), [(-10, "Signature expired"), (10, "Signature not yet current")])
def test_a_clients_clock_ten_minutes_off_is_an_invalid_signature(
    endpoint: str, monkeypatch: pytest.MonkeyPatch, minutes: int, words: str
) -> None:
    now = botocore.auth.get_current_datetime()
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: now + timedelta(minutes=minutes))
    response = failure(client(endpoint))
    assert status_and_code(response) == (403, "InvalidSignatureException")
    assert words in response["Error"]["Message"]


def test_an_unsigned_request_lacks_its_token(endpoint: str) -> None:
    target = f"{endpoint}/endpoints/decision-trees-sample/invocations"
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(urllib.request.Request(target, b"5,3.5,1.3,0.3"), timeout=10)
    with refused.value as answer:
        assert (answer.code, answer.headers["x-amzn-errortype"]) == (403, "MissingAuthenticationTokenException")
        assert json.load(answer) == {"message": "Missing Authentication Token"}
        assert answer.headers["x-amzn-requestid"]


def test_the_session_token_is_part_of_the_credentials(small: str) -> None:
    assert invoke(client(small, aws_session_token=TOKEN))["Body"].read() == b"setosa\n"
    assert status_and_code(failure(client(small))) == (403, "UnrecognizedClientException")


def test_an_oversized_body_is_413_and_boto3_reads_the_answer(endpoint: str) -> None:
    runtime = client(endpoint)
    response = failure(runtime, Body=b"1" * (6_291_456 + 1))
    assert status_and_code(response) == (413, "413")
    assert response["Error"]["Message"] == "HTTP content length exceeded 6291456 bytes."
    assert invoke(runtime)["Body"].read() == b"setosa\n"


def test_a_body_within_the_limit_is_not_refused_for_its_size(endpoint: str) -> None:
    assert status_and_code(failure(client(endpoint), Body=b"1" * 6_291_456)) == (424, "ModelError")


def test_an_oversized_body_is_refused_by_its_announced_length_before_it_is_sent(small: str) -> None:
    with connected(small) as connection:
        connection.sendall(b"POST /endpoints/e/invocations HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_an_oversized_body_without_a_length_is_refused_when_it_passes_the_limit(small: str) -> None:
    with connected(small) as connection:
        connection.sendall(b"POST /endpoints/e/invocations HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        connection.sendall(b"3e9\r\n" + b"1" * 1001 + b"\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_past_the_backlog_requests_are_refused_at_once_and_the_rest_is_served(small: str) -> None:
    runtime = client(small, aws_session_token=TOKEN)
    before = counts(small)

    def kind(_: int) -> str:
        try:
            return str(invoke(runtime)["Body"].read().decode())
        except ClientError as error:
            return " ".join(map(str, status_and_code(dict(error.response))))

    with ThreadPoolExecutor(8) as pool:
        seen = Counter(pool.map(kind, range(8)))
    after = counts(small)
    assert set(seen) == {"setosa\n", "503 ServiceUnavailable"}
    assert after["ok"] - before["ok"] == seen["setosa\n"] >= 2
    unavailable = after["errors"]["503 ServiceUnavailable"] - before["errors"].get("503 ServiceUnavailable", 0)
    assert unavailable == seen["503 ServiceUnavailable"]


@pytest.mark.parametrize("service", ["cloudwatch", "application-autoscaling", "sagemaker", "dynamodb"])
def test_operations_of_aws_that_are_not_played_here_are_unknown(endpoint: str, service: str) -> None:
    calls = {
        "cloudwatch": lambda other: other.list_dashboards(),
        "application-autoscaling": lambda other: other.get_predictive_scaling_forecast(
            ServiceNamespace="sagemaker",
            ResourceId="r",
            ScalableDimension="sagemaker:variant:DesiredInstanceCount",
            PolicyName="p",
            StartTime=0,
            EndTime=1,
        ),
        "sagemaker": lambda other: other.list_models(),
        "dynamodb": lambda other: other.list_tables(),
    }
    with pytest.raises(ClientError) as raised:
        calls[service](client(endpoint, service))
    assert status_and_code(dict(raised.value.response)) == (404, "UnknownOperationException")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/endpoints/decision-trees-sample/invocations"),
        ("POST", "/endpoints/decision-trees-sample"),
        ("GET", "/"),
    ],
)
def test_an_unknown_path_or_method_is_an_unknown_operation(endpoint: str, method: str, path: str) -> None:
    connection = http.client.HTTPConnection(urlsplit(endpoint).netloc, timeout=10)
    connection.request(method, path)
    answer = connection.getresponse()
    body = json.loads(answer.read())
    connection.close()
    assert (answer.status, answer.headers["x-amzn-errortype"]) == (404, "UnknownOperationException")
    assert body["__type"] == "UnknownOperationException"
    assert f"{method} {path}" in body["message"]


def test_ping_is_200(endpoint: str) -> None:
    with urllib.request.urlopen(f"{endpoint}/ping", timeout=10) as answer:
        assert (answer.status, answer.read()) == (200, b"")
        assert answer.headers["x-amzn-requestid"]


def test_pipelined_requests_of_one_connection_are_answered_in_order(endpoint: str) -> None:
    bodies = [b"5,3.5,1.3,0.3", b"6.3,3.3,6,2.5", b"5.9,3,4.2,1.5"]
    received = b""
    with connected(endpoint) as connection:
        connection.sendall(b"".join(on_the_wire(endpoint, body) for body in bodies))
        while received.count(b"HTTP/1.1 200 OK") < 3 or not received.endswith(b"color\n"):
            more = connection.recv(65536)
            assert more, received
            received += more
    order = [received.index(name) for name in (b"setosa\n", b"virginica\n", b"versicolor\n")]
    assert order == sorted(order)


def test_a_request_arrives_with_its_last_byte(endpoint: str) -> None:
    before = counts(endpoint)
    request = on_the_wire(endpoint, b"5,3.5,1.3,0.3")
    with connected(endpoint) as connection:
        connection.sendall(request[:-5])
        time.sleep(0.1)
        assert counts(endpoint)["invocations"] == before["invocations"]
        connection.sendall(request[-5:])
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
    after = counts(endpoint)
    assert after["invocations"] - before["invocations"] == 1
    assert sum(row[3] for row in after["seconds"]) - sum(row[3] for row in before["seconds"]) == pytest.approx(8.5)


def test_a_client_that_leaves_half_way_is_not_counted_and_breaks_nothing(endpoint: str) -> None:
    before = counts(endpoint)
    with connected(endpoint) as connection:
        connection.sendall(on_the_wire(endpoint, b"5,3.5,1.3,0.3")[:-5])
    assert invoke(client(endpoint))["Body"].read() == b"setosa\n"
    assert counts(endpoint)["invocations"] - before["invocations"] == 1


def test_ten_parallel_connections_and_the_counts_agree_exactly_with_what_the_client_saw(endpoint: str) -> None:
    runtime, stranger = client(endpoint), client(endpoint, aws_secret_access_key="wrong")
    kinds: list[tuple[Any, dict[str, str]]] = [
        (runtime, {}),
        (runtime, {}),
        (runtime, {"ContentType": "application/json"}),
        (runtime, {"EndpointName": "nobody"}),
        (stranger, {}),
    ]
    before = counts(endpoint)

    def seen(n: int) -> str:
        who, parameters = kinds[n % len(kinds)]
        try:
            invoke(who, **parameters)["Body"].read()
            return "ok"
        except ClientError as error:
            return " ".join(map(str, status_and_code(dict(error.response))))

    with ThreadPoolExecutor(10) as pool:
        client_saw = Counter(pool.map(seen, range(200)))
    after = counts(endpoint)
    served = Counter(after["errors"]) + Counter(after["rejected"]) + Counter(ok=after["ok"])
    served.subtract(Counter(before["errors"]) + Counter(before["rejected"]) + Counter(ok=before["ok"]))
    assert +served == client_saw
    assert client_saw == {
        "ok": 80,
        "424 ModelError": 40,
        "400 ValidationError": 40,
        "403 InvalidSignatureException": 40,
    }
    assert after["invocations"] - before["invocations"] == 120
    assert sum(row[1] for row in after["seconds"]) == after["invocations"]
    assert sum(row[2] for row in after["seconds"]) == after["ok"]
    assert sum(row[4] for row in after["seconds"]) == sum(after["errors"].values())
