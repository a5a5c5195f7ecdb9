"""The limits of an API in front of the endpoint and of the function behind it, held against a plan."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from sm_locust.aws import quotas
from sm_locust.config import RunConfig
from sm_locust.finding import FAIL, PASS, UNKNOWN, WARN, Level
from tests.aws.harness import Answers, refused, said, scripted, somebody

API = "https://abc123.execute-api.us-east-1.amazonaws.com/DummyStage/DT"
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:InvokeDecisionTreeSMEP"
URI = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{FUNCTION}/invocations"
CONCURRENCY = f"GET /2019-09-30/functions/{FUNCTION.replace(':', '%3A')}/concurrency"
ACCOUNT = "GET /2016-08-19/account-settings"
RESOURCES = "GET /restapis/abc123/resources"
STAGE = "GET /restapis/abc123/stages/DummyStage"


def behind(timeout: int = 29000, uri: str = URI, path: str = "/DT") -> bytes:
    """GetResources: on the wire a single page is an object of HAL, whose items are embedded."""
    integration = {"type": "AWS", "uri": uri, "timeoutInMillis": timeout}
    items = [
        {"id": "r", "path": "/"},
        {
            "id": "s",
            "path": path,
            "resourceMethods": {"POST": {"httpMethod": "POST", "methodIntegration": integration}},
        },
    ]
    return said({"item": items})


def limits(concurrent: int) -> bytes:
    return said({"AccountLimit": {"ConcurrentExecutions": 1000, "UnreservedConcurrentExecutions": concurrent}})


USUAL: Answers = {
    "GET /account": said({"throttleSettings": {"burstLimit": 5000, "rateLimit": 10000.0}}),
    STAGE: said({"stageName": "DummyStage", "methodSettings": {}}),
    RESOURCES: behind(),
    CONCURRENCY: said({}),
    ACCOUNT: limits(1000),
}


@pytest.fixture(scope="module", autouse=True)
def fresh() -> Iterator[Answers]:
    """What answers in AWS's place, and one set of clients for all tests: to make them takes longer than to ask."""
    answers: Answers = {}
    with pytest.MonkeyPatch.context() as environment, somebody(environment), scripted(answers) as server:
        environment.setenv("AWS_ENDPOINT_URL", server.url)
        yield answers


@pytest.fixture
def aws(fresh: Answers) -> Answers:
    """Its answers, to be changed."""
    fresh.clear()
    fresh.update(USUAL)
    return fresh


def found(peak: float | None, takes: float | None, url: str = API, **sections: Any) -> dict[str, tuple[Level, str]]:
    target = {"api_gateway": url, "auth": "none", "region": "us-east-1"}
    config = RunConfig.from_dict({"target": target, **sections})
    return {f.name: (f.level, f.text) for f in quotas.of_the_way(config, peak, takes)}


def test_what_is_enough_passes(aws: Answers) -> None:
    assert found(800, 0.4) == {
        "api-rate": (PASS, "10,000 requests a second for all APIs of the account; the plan reaches 800"),
        "api-timeout": (PASS, "the API waits 29s for an answer, then it is a 504"),
        "lambda-concurrency": (
            PASS,
            "1,000 at a time are left for all functions without a reservation; 800 a second × 400ms need 320",
        ),
    }


# fmt: off
LIMITS: list[tuple[Answers, float | None, float | None, dict[str, Any], str, Level, str]] = [
    ({"GET /account": said({"throttleSettings": {"burstLimit": 5, "rateLimit": 500.0}})}, 800, 0.1, {},
     "api-rate", FAIL, "500 requests a second are the account's for all of its APIs, and the plan reaches 800"),
    ({"GET /account": said({})}, 800, 0.1, {}, "api-rate", UNKNOWN, "names no rate"),
    ({}, None, 0.1, {}, "api-rate", UNKNOWN, "no phases say what is sent"),
    ({STAGE: said({"methodSettings": {"*/*": {"throttlingRateLimit": 100.0}}})}, 800, 0.1, {},
     "api-rate", FAIL, "stage DummyStage lets 100 requests a second through, and the plan reaches 800"),
    ({}, 800, 15.0, {}, "api-timeout", FAIL, "one request alone took 15s"),
    ({}, 800, 0.1, {"slo": {"latency_max": "40s"}}, "api-timeout", WARN, "before the 40s of slo"),
    ({}, 800, 0.1, {"request": {"timeout": "50s"}}, "api-timeout", WARN, "before the 50s of request.timeout"),
    ({RESOURCES: behind(5000)}, 800, 0.1, {}, "api-timeout", PASS, "the API waits 5s"),
    ({RESOURCES: behind(path="/other")}, 800, 0.1, {}, "api-timeout", UNKNOWN, "has no resource /DT that takes a POST"),
    ({CONCURRENCY: said({"ReservedConcurrentExecutions": 50})}, 800, 0.1, {},
     "lambda-concurrency", FAIL, "50 at a time are reserved for the function; 800 a second × 100ms need 80"),
    ({ACCOUNT: limits(100)}, 800, 0.1, {}, "lambda-concurrency", WARN, "100 at a time are left for all functions"),
    ({RESOURCES: behind(uri="http://example.com")}, 800, 0.1, {},
     "lambda-concurrency", UNKNOWN, "names no function of Lambda"),
    ({}, 800, None, {}, "lambda-concurrency", UNKNOWN, "the time of one answered request"),
    ({ACCOUNT: refused("AccessDeniedException", "no", 403)}, 800, 0.1, {},
     "lambda-concurrency", UNKNOWN, "the permission it needs is lambda:GetAccountSettings"),
]
# fmt: on


@pytest.mark.parametrize(("answers", "peak", "takes", "sections", "name", "level", "says"), LIMITS)
def test_the_limit_has_its_finding(
    aws: Answers,
    answers: Answers,
    peak: float | None,
    takes: float | None,
    sections: dict[str, Any],
    name: str,
    level: Level,
    says: str,
) -> None:
    aws.update(answers)
    found_level, text = found(peak, takes, **sections)[name]
    assert says in text
    assert found_level == level


@pytest.mark.parametrize("url", ["https://api.example.com/prod/DT", "http://127.0.0.1:8500/DummyStage/DT"])
def test_an_address_that_names_no_api_cannot_be_looked_up(aws: Answers, url: str) -> None:
    level, text = found(800, 0.1, url)["lambda-concurrency"]
    assert level == UNKNOWN
    assert text == f"not available here: {url} does not name a REST API of API Gateway and its stage"


def test_an_endpoint_that_is_invoked_directly_has_no_such_limits() -> None:
    assert list(quotas.of_the_way(RunConfig.from_dict({"target": {"endpoint": "e"}}), 800, 0.1)) == []
