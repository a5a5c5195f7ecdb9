"""The Lambda function, driven by what API Gateway gives it, against a local endpoint over HTTP; botocore signs."""

from __future__ import annotations

import base64
import importlib.util
import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import boto3
import pytest

import sm_locust.stacks
from sm_locust.local.settings import Settings
from tests.local.harness import counts, running

KNOWN = Settings(workers=1, service_time=0.02)
Handler = Callable[[dict[str, Any], None], dict[str, Any]]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with running(KNOWN) as url:
        yield url


@pytest.fixture
def function(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Loads the handler's file as Lambda does: environment first, then the module."""

    def load(url: str, endpoint: str = KNOWN.endpoint) -> ModuleType:
        for name, value in {
            "ENDPOINT_NAME": endpoint,
            "AWS_DEFAULT_REGION": KNOWN.region,
            "AWS_ACCESS_KEY_ID": KNOWN.access_key_id,
            "AWS_SECRET_ACCESS_KEY": KNOWN.secret_access_key,
            "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": url,
            "NO_PROXY": "127.0.0.1",
        }.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it would keep another test's keys
        path = Path(sm_locust.stacks.__file__).with_name("invoke_endpoint.py")
        spec = importlib.util.spec_from_file_location("index", path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


def event(body: str | None, *, encoded: bool = False, content_type: str = "text/csv") -> dict[str, Any]:
    """A POST of a REST API's Lambda proxy integration, as far as the function reads it."""
    return {
        "resource": "/DT",
        "path": "/DT",
        "httpMethod": "POST",
        "headers": {"Content-Type": content_type, "Host": "abc123.execute-api.us-east-1.amazonaws.com"},
        "requestContext": {"stage": "DummyStage", "resourcePath": "/DT"},
        "body": body,
        "isBase64Encoded": encoded,
    }


def said(answer: dict[str, Any]) -> bytes:
    assert answer["isBase64Encoded"] is True
    return base64.b64decode(answer["body"])


def test_a_body_reaches_the_model_and_its_answer_comes_back_as_it_is(
    endpoint: str, function: Callable[[str], ModuleType]
) -> None:
    handler: Handler = function(endpoint).handler
    before = counts(endpoint)["invocations"]
    for given in (
        event("5,3.5,1.3,0.3"),
        event(base64.b64encode(b"5,3.5,1.3,0.3").decode(), encoded=True),
        {
            **event("5,3.5,1.3,0.3"),
            "headers": {"content-type": "text/csv", "ACCEPT": "text/csv"},
        },  # HTTP/2, and shouting
    ):
        answer = handler(given, None)
        assert (answer["statusCode"], said(answer)) == (200, b"setosa\n")
        assert answer["headers"] == {"Content-Type": "text/csv; charset=utf-8"}
    assert counts(endpoint)["invocations"] - before == 3


@pytest.mark.parametrize(
    ("given", "status", "name"),
    [
        pytest.param(event("no,table"), 424, "ModelError", id="a body the model cannot read"),
        pytest.param(event("5,3", content_type="text/plain"), 424, "ModelError", id="a type it does not know"),
        pytest.param(event(None), 424, "ModelError", id="no body"),
    ],
)
def test_an_error_of_sagemaker_keeps_its_status_and_its_name(
    endpoint: str, function: Callable[[str], ModuleType], given: dict[str, Any], status: int, name: str
) -> None:
    answer = function(endpoint).handler(given, None)
    body = json.loads(answer["body"])
    assert (answer["statusCode"], answer["headers"]["x-amzn-ErrorType"], body["__type"]) == (status, name, name)
    assert body["message"]


def test_an_endpoint_that_is_not_there_is_a_validation_error(
    endpoint: str, function: Callable[..., ModuleType]
) -> None:
    answer = function(endpoint, "another").handler(event("5,3.5,1.3,0.3"), None)
    assert (answer["statusCode"], answer["headers"]["x-amzn-ErrorType"]) == (400, "ValidationError")
    assert "Endpoint another" in json.loads(answer["body"])["message"]


def test_an_endpoint_that_cannot_be_reached_or_does_not_answer_is_named(function: Callable[[str], ModuleType]) -> None:
    answer = function("http://127.0.0.1:9").handler(event("5,3.5,1.3,0.3"), None)
    assert (answer["statusCode"], answer["headers"]["x-amzn-ErrorType"]) == (502, "EndpointConnectionError")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        module = function(f"http://127.0.0.1:{silent.getsockname()[1]}")
        config = module._runtime.meta.config
        assert (config.connect_timeout + config.read_timeout, config.retries) == (
            27,  # of the function's 28 s
            {"total_max_attempts": 1, "mode": config.retries["mode"]},
        )
        module._runtime._endpoint.http_session._timeout.__init__(connect=1, read=0.1)
        answer = module.handler(event("5,3.5,1.3,0.3"), None)
    assert (answer["statusCode"], answer["headers"]["x-amzn-ErrorType"]) == (504, "ReadTimeoutError")
