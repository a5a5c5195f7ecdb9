"""One request, one Outcome, whatever the server does: the table of all that can come back, and what is sent."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from typing import Any

import gevent

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials

from sm_locust.load.http import Connections
from sm_locust.load.invoker import Invoker, classify, invoke_endpoint
from sm_locust.load.sigv4 import Credentials, Signer
from sm_locust.record import outcome as kinds
from sm_locust.record.outcome import Outcome
from tests.load.every_answer import ANSWERED, NAMED
from tests.oracles.answers import CLOSE, HALF, HANG, RESET, AnswerServer, Step, answer, ok, unread

KEY = Credentials("AKIDEXAMPLE", "secret", "token")


_used: list[Connections] = []


@pytest.fixture(autouse=True)
def _closed_afterwards() -> Iterator[None]:
    yield
    while _used:
        _used.pop().close()


def connect(url: str) -> Connections:
    """Connections that are closed when the test is over."""
    _used.append(Connections(url))
    return _used[-1]


def make(url: str, **options: Any) -> Invoker:
    return Invoker(connect(url), "/invocations", now=time.perf_counter, **options)


def invoke(invoker: Invoker, body: bytes = b"5,3.5,1.3,0.3", **options: Any) -> Outcome:
    return invoker.invoke(body, name="known", scheduled_at=time.perf_counter() - 0.25, **options)


@pytest.mark.parametrize(("script", "kind", "status", "body"), ANSWERED.values(), ids=ANSWERED)
def test_one_outcome_when_the_server_answers_with(script: list[Step], kind: str, status: int, body: bytes) -> None:
    with AnswerServer(script) as server:
        invoker = make(server.url, timeout=0.3 if kind == kinds.TIMEOUT else 10.0)
        outcome = invoke(invoker)
        assert (outcome.kind, outcome.status, outcome.body, outcome.received) == (kind, status, body, len(body))
        assert (outcome.message == "") == outcome.ok
        assert len(outcome.message) <= 300
        assert outcome.name == "known"
        assert outcome.lateness == pytest.approx(0.25, abs=0.2)
        assert outcome.connected is not None
        first_byte_at = outcome.ended_at if outcome.first_byte_at is None else outcome.first_byte_at
        assert outcome.started_at < first_byte_at <= outcome.ended_at
        assert (outcome.first_byte_at is None) == (script[0] in (CLOSE, HALF, RESET, HANG))
        assert len(server.requests) == 1


def test_an_answer_to_a_request_that_the_server_would_not_read_is_one_outcome() -> None:
    with unread(answer(413, b"too large")) as at:
        outcome = invoke(make(f"http://{at}", timeout=10.0), b"x" * 20_000_000)
    assert (outcome.kind, outcome.status, outcome.body) == (kinds.TOO_LARGE, 413, b"too large")


def test_one_outcome_when_nothing_listens_or_no_name_resolves() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    refused, nameless = invoke(make(f"http://127.0.0.1:{port}")), invoke(make("http://name.invalid"))
    assert (refused.kind, nameless.kind) == (kinds.CONNECT, kinds.DNS)
    assert str(port) in refused.message
    assert "name.invalid" in nameless.message


def test_a_cancelled_request_is_an_outcome_at_its_age() -> None:
    with AnswerServer([HANG]) as server:
        flying = gevent.spawn(invoke, make(server.url))
        gevent.sleep(0.1)
        flying.kill()
    outcome = flying.value
    assert isinstance(outcome, Outcome)
    assert outcome.kind == kinds.CANCELLED
    assert outcome.service_time == pytest.approx(0.1, abs=0.08)


def test_a_limit_of_the_tasks_own_is_an_outcome_too() -> None:
    with AnswerServer([HANG]) as server, gevent.Timeout(0.05):
        outcome = invoke(make(server.url))
    assert outcome.kind == kinds.TIMEOUT
    assert "task's own limit" in outcome.message


def test_failures_do_not_spoil_the_next_request() -> None:
    scripts: list[list[Step]] = [[CLOSE], [b"garbage\r\n\r\n"], [HANG], [RESET], [answer(503)], [ok()]]
    with AnswerServer(*scripts) as server:
        invoker = make(server.url, timeout=0.3)
        assert [invoke(invoker).kind for _ in scripts] == [
            kinds.RESET,
            kinds.PROTOCOL,
            kinds.TIMEOUT,
            kinds.RESET,
            kinds.UNAVAILABLE,
            kinds.OK,
        ]
    assert len(server.requests) == len(scripts)


# -- naming an error -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("error_type", "status"), [(name, status) for name, (status, _) in NAMED.items()])
def test_an_error_is_told_with_its_name_and_its_words(error_type: str, status: int) -> None:
    with AnswerServer([answer(status, b'{"message": "because"}', f"x-amzn-ErrorType: {error_type}")]) as server:
        message = invoke(make(server.url)).message
    assert message.startswith(f"{error_type}: ")
    assert "because" in message


@pytest.mark.parametrize(
    ("status", "error_type", "kind"),
    [
        (429, "", kinds.THROTTLED),
        (503, "", kinds.UNAVAILABLE),
        (500, "", kinds.INTERNAL),
        (500, "NeverHeardOfException", kinds.INTERNAL),
        (503, "ThrottlingException", kinds.THROTTLED),
        (404, "", kinds.UNEXPECTED_ANSWER),
        (301, "", kinds.REDIRECT),
    ],
)
def test_without_a_name_we_know_the_status_decides(status: int, error_type: str, kind: str) -> None:
    assert classify(status, error_type) == kind


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[" * 60_000, b'"x"', b"null", b'{"__type": 7}', b"\xff" * 10, b'{"__type":"a:b#c"}']
)
def test_an_error_body_of_any_shape_is_an_outcome(body: bytes) -> None:
    with AnswerServer([answer(503, body)]) as server:
        outcome = invoke(make(server.url))
    assert outcome.kind == kinds.UNAVAILABLE
    assert 0 < len(outcome.message) <= 300


def test_the_request_id_is_kept_of_good_and_bad_answers() -> None:
    with AnswerServer([ok(b"", "x-Amzn-RequestId: one")], [answer(500, b"", "X-Amzn-Requestid: two")]) as server:
        invoker = make(server.url)
        assert [invoke(invoker).request_id for _ in range(2)] == ["one", "two"]


def test_a_large_answer_is_as_expected_also_where_there_is_no_room_to_keep_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sm_locust.load.answer._Lease.free", 100_000)
    with AnswerServer([ok(b"[" + b"1," * 150_000 + b'"done"]')]) as server:
        assert invoke(make(server.url, expect='"done"')).kind == kinds.OK
        assert invoke(make(server.url, expect='"failed"')).kind == kinds.UNEXPECTED_ANSWER


def test_a_good_answer_without_the_expected_text_is_unexpected() -> None:
    with AnswerServer([ok("Größe".encode())], [ok(b"\xff virginica")]) as server:
        invoker = make(server.url, expect="Größe")
        good, bad = invoke(invoker), invoke(invoker)
    assert good.ok
    assert (bad.kind, bad.status) == (kinds.UNEXPECTED_ANSWER, 200)
    assert "Größe" in bad.message
    assert "virginica" in bad.message


# -- what is sent ----------------------------------------------------------------------------------------------------


def parts(request: bytes) -> tuple[str, dict[str, str], bytes]:
    head, _, body = request.partition(b"\r\n\r\n")
    line, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    assert len(headers) == len(lines), "a header was sent twice"
    return line, headers, body


def test_an_invocation_is_what_boto3_would_send_signed_as_botocore_signs() -> None:
    with AnswerServer([ok()]) as server:
        invoker = invoke_endpoint(
            connect(server.url),
            "decision-trees-sample",
            now=time.perf_counter,
            signer=Signer("sagemaker", "eu-west-1", KEY),
            base_path="/prefix/",
            content_type="text/csv",
            accept="application/json",
            custom_attributes="trace=1",
            inference_component="part",
            target_model="m.tar.gz",
            target_variant="Blue",
        )
        assert invoke(invoker).ok
    line, headers, body = parts(server.requests[0])
    assert line == "POST /prefix/endpoints/decision-trees-sample/invocations HTTP/1.1"
    assert body == b"5,3.5,1.3,0.3"
    authorization, date = headers.pop("authorization"), headers.pop("x-amz-date")
    assert headers == {
        "host": f"127.0.0.1:{server.port}",
        "user-agent": "sm-locust",
        "content-type": "text/csv",
        "accept": "application/json",
        "x-amzn-sagemaker-custom-attributes": "trace=1",
        "x-amzn-sagemaker-inference-component": "part",
        "x-amzn-sagemaker-target-model": "m.tar.gz",
        "x-amzn-sagemaker-target-variant": "Blue",
        "x-amz-security-token": "token",
        "content-length": "13",
    }
    request = AWSRequest("POST", server.url + line.split(" ")[1], data=body)
    for name in headers.keys() - {"content-length"}:
        request.headers[name] = headers[name]
    request.headers["x-amz-date"] = date
    request.context["timestamp"] = date
    judge = SigV4Auth(BotocoreCredentials(KEY.access_key, KEY.secret_key, KEY.token), "sagemaker", "eu-west-1")
    signature = judge.signature(judge.string_to_sign(request, judge.canonical_request(request)), request)
    assert authorization.endswith(f"Signature={signature}")


def test_a_request_may_have_its_own_content_type_and_headers() -> None:
    with AnswerServer([ok()]) as server:
        invoker = make(server.url, content_type="text/csv", headers={"X-Kind": "all", "X-All": "1"})
        invoke(invoker)
        invoke(invoker, content_type="application/json", headers={"X-KIND": "this", "User-Agent": "mine"})
        invoke(invoker, b"")
    seen = [parts(request)[1] for request in server.requests]
    assert [headers["content-type"] for headers in seen] == ["text/csv", "application/json", "text/csv"]
    assert [headers["x-kind"] for headers in seen] == ["all", "this", "all"]
    assert [headers["x-all"] for headers in seen] == ["1", "1", "1"]
    assert [headers["user-agent"] for headers in seen] == ["sm-locust", "mine", "sm-locust"]
    assert [headers["content-length"] for headers in seen] == ["13", "13", "0"]
    assert not any("authorization" in headers for headers in seen)


def test_a_query_is_sent_and_signed_as_it_stands() -> None:
    with AnswerServer([ok()]) as server:
        signer = Signer("execute-api", "us-east-1", KEY)
        invoke(Invoker(connect(server.url), "/DT?b=2&a=1", now=time.perf_counter, signer=signer))
    line, headers, _ = parts(server.requests[0])
    assert line == "POST /DT?b=2&a=1 HTTP/1.1"
    assert "/us-east-1/execute-api/aws4_request" in headers["authorization"]


def test_headers_that_cannot_be_sent_are_refused_before_anything_is() -> None:
    with AnswerServer([ok()]) as server:
        invoker = make(server.url)
        with pytest.raises(ValueError, match="X-Split"):
            invoke(invoker, headers={"X-Split": "1\r\nX-Smuggled: 1"})
        with pytest.raises(ValueError, match="X-Split"):
            make(server.url, headers={"X-Split": "\n"})
    assert server.connections == 0


@pytest.mark.parametrize("name", ["", "-dash", "dash-", "under_score", "sl/ash", "x" * 64])
def test_a_name_that_no_endpoint_can_have_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="endpoint"):
        invoke_endpoint(connect("http://127.0.0.1"), name, now=time.perf_counter, signer=Signer("sagemaker", "r", KEY))
