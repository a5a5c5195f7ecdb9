"""Users of an API and of a container, in one process: what they send, what they make of answers, what they refuse."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from typing import Any

import gevent
from locust import task
from locust.env import Environment

import pytest

from sm_locust.aws import session
from sm_locust.config import ConfigError, parse
from sm_locust.load.generator import Generator
from sm_locust.load.invoker import Invoker
from sm_locust.load.invoker_users import ApiGatewayUser, ContainerUser, InvokerUser
from sm_locust.local.settings import Settings
from sm_locust.record import outcome as kinds
from sm_locust.record.clock import RunClock
from sm_locust.record.outcome import Outcome
from tests.local.harness import running
from tests.oracles.answers import AnswerServer, answer, ok

KEY = "a-key-of-twenty-letters"
REQUEST = "request: {content_type: text/csv, body: '5,3.5,1.3,0.3', accept: application/json}"


class Api(ApiGatewayUser):
    @task
    def invoke_next(self) -> None:
        self.invoke()


class Container(ContainerUser):
    @task
    def invoke_next(self) -> None:
        self.invoke()


_used: list[Generator] = []


@pytest.fixture(autouse=True)
def _closed_afterwards() -> Iterator[None]:
    session.boto3_session.cache_clear()  # it would keep another test's keys
    yield
    session.boto3_session.cache_clear()
    while _used:
        _used.pop().close()


def invoker(user_class: type[InvokerUser], target: str, request: str = REQUEST) -> Invoker:
    """The invoker that a class makes with a configuration."""
    config = parse(f"target: {{{target}}}\n{request}", "test")
    assert user_class.problem(config) is None
    user_class.check_here(config)
    _used.append(Generator(Environment(user_classes=[user_class]), config, RunClock.start(), ()))
    return _used[-1].invoker(user_class)


def send(through: Invoker, **options: Any) -> Outcome:
    return through.invoke(b"5,3.5,1.3,0.3", name="known", scheduled_at=time.monotonic(), **options)


def api(url: str, auth: str = "none") -> str:
    return f"api_gateway: '{url}/DummyStage/DT', auth: {auth}, region: eu-west-1"


def headers_of(request: bytes) -> dict[str, str]:
    _, *lines = request.partition(b"\r\n\r\n")[0].decode().split("\r\n")
    return {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}


# -- an API ----------------------------------------------------------------------------------------------------------


def test_an_api_without_auth_gets_the_body_its_type_and_nothing_of_aws() -> None:
    with AnswerServer([ok()]) as server:
        assert send(invoker(Api, api(server.url))).ok
    (request,) = server.requests
    assert request.startswith(b"POST /DummyStage/DT HTTP/1.1\r\n")
    assert request.endswith(b"\r\n\r\n5,3.5,1.3,0.3")
    assert headers_of(request) == {
        "host": f"127.0.0.1:{server.port}",
        "user-agent": "sm-locust",
        "accept": "application/json",
        "content-type": "text/csv",
        "content-length": "13",
    }


def test_an_api_key_comes_from_the_environment_and_goes_into_a_header(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SM_LOCUST_API_KEY", KEY)
    with AnswerServer([ok()]) as server:
        assert send(invoker(Api, api(server.url, "api-key"))).ok
    assert headers_of(server.requests[0])["x-api-key"] == KEY


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        (None, "target.auth: api-key takes the key from the environment variable SM_LOCUST_API_KEY, which is not set"),
        ("", "which is not set"),
        (f"{KEY}\n", "SM_LOCUST_API_KEY: the key holds a character that is not printable ASCII (it is not shown)"),
        (f"{KEY}é", "not printable ASCII"),
    ],
)
def test_a_key_that_cannot_be_sent_is_refused_and_never_shown(
    key: str | None, problem: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if key is not None:
        monkeypatch.setenv("SM_LOCUST_API_KEY", key)
    config = parse(f"target: {{{api('http://127.0.0.1:1', 'api-key')}}}\n{REQUEST}", "test")
    generator = Generator(Environment(user_classes=[Api]), config, RunClock.start(), ())
    with caplog.at_level(logging.DEBUG):
        for refused in (lambda: Api.check_here(config), generator.prepare):
            with pytest.raises(ConfigError) as caught:
                refused()
            assert problem in str(caught.value)
            assert KEY not in str(caught.value)
    assert KEY not in caplog.text


def test_an_api_with_iam_is_signed_as_execute_api_in_its_own_region(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with AnswerServer([ok()]) as server:
        assert send(invoker(Api, api(server.url, "iam"))).ok
    authorization = headers_of(server.requests[0])["authorization"]
    assert "/eu-west-1/execute-api/aws4_request" in authorization
    assert "SignedHeaders=accept;content-type;host;x-amz-date" in authorization


@pytest.mark.parametrize(
    ("url", "region"),
    [
        ("https://abc123.execute-api.eu-west-3.amazonaws.com/DummyStage/DT", "eu-west-3"),
        ("https://abc123.execute-api.cn-north-1.amazonaws.com.cn/DummyStage/DT", "cn-north-1"),
        ("https://abc123-vpce-0a1b.execute-api.us-gov-west-1.amazonaws.com/DummyStage/DT", "us-gov-west-1"),
        ("https://api.example.com/execute-api.eu-west-3.amazonaws.com", None),
    ],
)
def test_the_region_of_an_api_is_in_its_host_name_unless_one_is_given(url: str, region: str | None) -> None:
    target = parse(f"target: {{api_gateway: '{url}', auth: iam}}", "test").target
    assert target is not None
    assert target.region == region
    given = parse(f"target: {{api_gateway: '{url}', auth: iam, region: us-east-1}}", "test").target
    assert given is not None
    assert given.region == "us-east-1"


# What API Gateway answers: its status, its name for it, its words. Seen in public reports of real APIs.
REFUSED = [
    (403, "ForbiddenException", "Forbidden", kinds.FORBIDDEN),
    (403, "MissingAuthenticationTokenException", "Missing Authentication Token", kinds.MISSING_TOKEN),
    (403, "InvalidSignatureException", "The request signature we calculated does not match", kinds.INVALID_SIGNATURE),
    (403, "IncompleteSignatureException", "'x' not a valid key=value pair", kinds.INVALID_SIGNATURE),
    (403, "UnrecognizedClientException", "The security token is invalid.", kinds.UNRECOGNIZED_CLIENT),
    (403, "ExpiredTokenException", "The security token included is expired", kinds.EXPIRED_TOKEN),
    (403, "AccessDeniedException", "User is not authorized", kinds.ACCESS_DENIED),
    (401, "UnauthorizedException", "Unauthorized", kinds.ACCESS_DENIED),
    (429, "TooManyRequestsException", "Too Many Requests", kinds.THROTTLED),
    (429, "LimitExceededException", "Limit Exceeded", kinds.THROTTLED),
    (413, "BadRequestException", "Request Too Long", kinds.TOO_LARGE),
    (413, "", "HTTP content length exceeded 10485760 bytes.", kinds.TOO_LARGE),
    (500, "InternalServerErrorException", "Internal server error", kinds.INTERNAL),
    (502, "InternalServerErrorException", "Internal server error", kinds.INTERNAL),
    (503, "", "Service Unavailable", kinds.UNAVAILABLE),
    (504, "InternalServerErrorException", "Endpoint request timed out", kinds.GATEWAY_TIMEOUT),
]


@pytest.mark.parametrize(("status", "name", "words", "kind"), REFUSED)
def test_the_errors_of_an_api_are_told_apart(status: int, name: str, words: str, kind: str) -> None:
    named = [f"x-amzn-ErrorType: {name}"] if name else []
    with AnswerServer([answer(status, json.dumps({"message": words}).encode(), *named)]) as server:
        outcome = send(invoker(Api, api(server.url)))
    assert (outcome.kind, outcome.status) == (kind, status)
    assert words in outcome.message


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"errorMessage": "Task timed out after 3.00 seconds"}', kinds.FUNCTION_ERROR),
        (b'{"errorType":"ModelError","errorMessage":"An error occurred","trace":[]}', kinds.FUNCTION_ERROR),
        (b'{"label": "setosa"}', kinds.OK),
        (b'["errorMessage"]', kinds.OK),
        (b'{"label": {"errorMessage": "no error of a function"}}', kinds.OK),
        (b'"errorMessage" is not JSON', kinds.OK),
        (b"setosa\n", kinds.OK),
    ],
)
def test_a_function_that_raised_is_a_failure_although_its_api_answers_200(body: bytes, kind: str) -> None:
    with AnswerServer([ok(body)]) as server:
        outcome = send(invoker(Api, api(server.url)))
    assert (outcome.kind, outcome.status) == (kind, 200)
    assert (outcome.message in body.decode()) and bool(outcome.message) == (kind != kinds.OK)


def test_the_request_id_of_either_kind_of_api_is_kept() -> None:
    with AnswerServer(
        [ok(b"", "x-amzn-RequestId: one", "x-amz-apigw-id: other")],
        [ok(b"", "apigw-requestid: two")],
        [answer(403, b"", "x-amz-apigw-id: three")],
        [ok(b"")],
    ) as server:
        through = invoker(Api, api(server.url))
        assert [send(through).request_id for _ in range(4)] == ["one", "two", "three", ""]


def test_an_api_is_reached_through_the_proxy_that_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    with AnswerServer([answer(502)]) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        outcome = send(invoker(Api, api("http://api.invalid")))
        assert (outcome.kind, len(proxy.requests)) == (kinds.CONNECT, 1)
        assert proxy.requests[0].startswith(b"CONNECT api.invalid:80 ")
        monkeypatch.setenv("no_proxy", "api.invalid")
        assert send(invoker(Api, api("http://api.invalid"))).kind == kinds.DNS
    assert len(proxy.requests) == 1


def test_the_errors_of_the_model_the_function_and_the_api_are_told_apart_at_a_local_endpoint(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SM_LOCUST_API_KEY", KEY)
    small = {"gateway_auth": "api-key", "gateway_api_key": KEY, "workers": 1, "backlog": 0, "service_time": 0.5}
    with running(Settings(**small, gateway_burst=6, gateway_rate=0.001)) as url:
        through = invoker(Api, api(url, "api-key"))

        def sent(body: bytes) -> tuple[str, int]:
            outcome = through.invoke(body, name="known", scheduled_at=time.monotonic())
            return outcome.kind, outcome.status

        assert sent(b"no,table") == (kinds.MODEL_ERROR, 424)
        both = [gevent.spawn(sent, b"5,3.5,1.3,0.3") for _ in range(2)]
        assert sorted(one.get() for one in both) == [(kinds.OK, 200), (kinds.UNAVAILABLE, 503)]
        assert sent(b"1" * 5_000_000) == (kinds.TOO_LARGE, 413)  # for the function; base64 takes a third more
        assert sent(b"1" * 7_000_000) == (kinds.TOO_LARGE, 413)  # for the API
        assert send(through, headers={"x-api-key": "another"}).kind == kinds.FORBIDDEN
        assert [sent(b"no,table")[0] for _ in range(3)] == [kinds.MODEL_ERROR, kinds.MODEL_ERROR, kinds.THROTTLED]


def test_an_api_that_waits_no_longer_a_function_that_is_throttled_and_one_that_takes_too_long() -> None:
    slow = {"service_time": 2, "function_concurrency": 1}
    with running(Settings(**slow, gateway_timeout=0.2)) as url:
        through = invoker(Api, api(url))
        assert [(one.kind, one.status) for one in (send(through), send(through))] == [
            (kinds.GATEWAY_TIMEOUT, 504),  # and the function goes on
            (kinds.INTERNAL, 500),
        ]
    with running(Settings(**slow, function_timeout=0.2)) as url:
        outcome = send(invoker(Api, api(url)))
    assert (outcome.kind, outcome.status) == (kinds.INTERNAL, 502)


# -- a container -----------------------------------------------------------------------------------------------------


def test_a_container_gets_what_sagemaker_would_pass_on(monkeypatch: pytest.MonkeyPatch) -> None:
    with AnswerServer([ok()]) as server:
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")  # a container is asked itself
        request = REQUEST.replace("accept", "custom_attributes: trace=1, accept")
        assert send(invoker(Container, f"container: '{server.url}/invocations'", request)).ok
    (sent,) = server.requests
    assert sent.startswith(b"POST /invocations HTTP/1.1\r\n")
    assert headers_of(sent) == {
        "host": f"127.0.0.1:{server.port}",
        "user-agent": "sm-locust",
        "accept": "application/json",
        "content-type": "text/csv",
        "x-amzn-sagemaker-custom-attributes": "trace=1",
        "content-length": "13",
    }


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, kinds.MODEL_ERROR),
        (404, kinds.MODEL_ERROR),
        (429, kinds.MODEL_ERROR),
        (500, kinds.MODEL_ERROR),
        (503, kinds.MODEL_ERROR),
        (302, kinds.REDIRECT),
        (204, kinds.OK),
    ],
)
def test_an_error_of_a_container_is_a_model_error_with_its_status(status: int, kind: str) -> None:
    with AnswerServer([answer(status, b"" if status == 204 else b"because")]) as server:
        outcome = send(invoker(Container, f"container: '{server.url}/invocations'"))
    assert (outcome.kind, outcome.status) == (kind, status)
    assert outcome.message == ("" if kind == kinds.OK else "because")


# -- both ------------------------------------------------------------------------------------------------------------

API = "target: {api_gateway: 'http://127.0.0.1/S/DT', auth: none}"
CONTAINER = "target: {container: 'http://127.0.0.1:8080/invocations'}"


@pytest.mark.parametrize(
    ("user_class", "config", "problem"),
    [
        (Api, CONTAINER, "Api posts to an API and none is named: give target.api_gateway in --sm-config FILE"),
        (Container, API, "Container posts to a container and none is named: give target.container in --sm-config FILE"),
        (Api, API, "Api has nothing to send: give request.body or request.payloads in --sm-config FILE"),
        (Container, CONTAINER, "Container has nothing to send"),
        (Api, f"{API}\nrequest: {{custom_attributes: a}}", "Api: request.custom_attributes is for SageMaker, which"),
        (
            Container,
            f"{CONTAINER}\nrequest: {{target_variant: a}}",
            "Container: request.target_variant is for SageMaker",
        ),
    ],
)
def test_what_a_class_misses_or_could_not_send_is_said_in_one_sentence(
    user_class: type[InvokerUser], config: str, problem: str
) -> None:
    assert (user_class.problem(parse(config, "test")) or "").startswith(problem)


@pytest.mark.parametrize(
    ("user_class", "target", "name"),
    [
        (Api, "api_gateway: 'http://127.0.0.1/DummyStage/DT', auth: none", "DummyStage/DT"),
        (Api, "api_gateway: 'http://127.0.0.1', auth: none", "Api"),
        (Container, "container: 'http://127.0.0.1:8080/invocations'", "/invocations"),
        (Container, "container: 'http://127.0.0.1:8080'", "/"),
    ],
)
def test_the_name_in_the_statistics_is_the_path(user_class: type[InvokerUser], target: str, name: str) -> None:
    config = parse(f"target: {{{target}}}\n{REQUEST}", "test")
    assert user_class.name_of(config) == name
    assert list(user_class.addresses(config)) == list(config.urls())
