"""What the account allows, held against what a plan wants: instances, an API's rate and patience, a function's copies.

Sources: Service Quotas API Reference, ListServiceQuotas; API Gateway API Reference, GetAccount, GetStage; Lambda API
Reference, GetAccountSettings, GetFunctionConcurrency.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

from sm_locust.aws import whoami
from sm_locust.aws.api import RestApi, function, integration
from sm_locust.aws.endpoint import Endpoint
from sm_locust.aws.session import AwsFault, ask, ask_all, client
from sm_locust.config import ERROR_RATE, RunConfig
from sm_locust.fields import format_duration
from sm_locust.finding import FAIL, PASS, WARN, Finding, not_available

MOST_PAGES = 40  # of a hundred quotas; SageMaker has some thousands, a few for each instance type
API_TIMEOUT_MS = 29_000  # API Gateway's own, where an integration names none


def instances(config: RunConfig, endpoint: Endpoint) -> Iterator[Finding]:
    """Whether `scaling.max_instances` are allowed at all; what other endpoints use counts too, and is not known."""
    name, scaling, kind = "instance-quota", config.scaling, endpoint.instance_type
    if scaling is None or endpoint.instances is None or kind is None or endpoint.hosts_components:
        return
    wanted, quota = scaling.max_instances, f"{kind} for endpoint usage"
    try:
        allowed = _quota(config, quota)
    except AwsFault as e:
        yield not_available(name, e)
        return
    if allowed is None:
        yield not_available(name, f"the account has no quota of the name “{quota}”")
    elif wanted > allowed:
        yield Finding(
            name,
            FAIL,
            f"{allowed:g} × {kind} are the account's quota for endpoints, and scaling.max_instances is {wanted}",
            f"ask for more in Service Quotas (“{quota}”), or lower scaling.max_instances",
        )
    else:
        yield Finding(name, PASS, f"{allowed:g} × {kind} for all endpoints of the account; {wanted} may be needed here")


def _quota(config: RunConfig, name: str) -> float | None:
    """The one applied to the account; where there is none, AWS's default; None where neither has the name."""
    quotas = client(config, "service-quotas")
    for operation in ("ListServiceQuotas", "ListAWSDefaultServiceQuotas"):
        pages = ask_all(quotas, operation, ServiceCode="sagemaker", PaginationConfig={"PageSize": 100})
        for page in itertools.islice(pages, MOST_PAGES):
            for quota in page["Quotas"]:
                if quota["QuotaName"] == name:
                    return float(quota["Value"])
    return None


def of_the_way(config: RunConfig, peak: float | None, takes: float | None) -> Iterator[Finding]:
    """The limits of an API in front of the endpoint, and of the function behind it. None for any other way.

    peak   the plan's highest arrivals a second; None where nobody knows
    takes  seconds of one request, through the API; None where none was answered
    """
    url = config.target.api_gateway if config.target is not None else None
    if url is None:
        return
    if whoami.missing(config) is not None:
        yield not_available("api-rate", whoami.NEEDED)
        yield from _nothing_behind(whoami.NEEDED)
        return
    yield _rate(config, peak)
    api = RestApi.of(url)
    if api is None or not api.stage:
        yield from _nothing_behind(f"{url} does not name a REST API of API Gateway and its stage")
        return
    yield from _stage(config, api, peak)
    try:
        behind = integration(config, api)
    except AwsFault as e:
        yield from _nothing_behind(e)
        return
    yield _patience(config, behind, takes)
    yield _concurrency(config, behind, peak, takes)


def _nothing_behind(why: object) -> Iterator[Finding]:
    """What is not known where nobody can tell what the API hands requests to."""
    yield not_available("api-timeout", why)
    yield not_available("lambda-concurrency", why)


def _rate(config: RunConfig, peak: float | None) -> Finding:
    name = "api-rate"
    try:
        limits = ask(client(config, "apigateway"), "GetAccount").get("throttleSettings") or {}
    except AwsFault as e:
        return not_available(name, e)
    if "rateLimit" not in limits:
        return not_available(name, "API Gateway GetAccount names no rate")
    most = limits["rateLimit"]
    if peak is None:
        return not_available(name, f"{most:,.0f} requests a second are the account's, and no phases say what is sent")
    if peak > most:
        return Finding(
            name,
            FAIL,
            f"{most:,.0f} requests a second are the account's for all of its APIs, and the plan reaches {peak:,.0f}",
            "ask for more in Service Quotas (API Gateway, “Throttle rate”), or invoke the endpoint directly",
        )
    return Finding(
        name, PASS, f"{most:,.0f} requests a second for all APIs of the account; the plan reaches {peak:,.0f}"
    )


def _stage(config: RunConfig, api: RestApi, peak: float | None) -> Iterator[Finding]:
    """The stage's own throttling, where it is below the plan."""
    try:
        stage = ask(client(config, "apigateway"), "GetStage", restApiId=api.id, stageName=api.stage)
    except AwsFault as e:
        yield not_available("api-rate", e)
        return
    most = (stage.get("methodSettings") or {}).get("*/*", {}).get("throttlingRateLimit")
    if most is not None and most >= 0 and peak is not None and peak > most:  # -1 is none
        yield Finding(
            "api-rate",
            FAIL,
            f"stage {api.stage} lets {most:,.0f} requests a second through, and the plan reaches {peak:,.0f}",
            "raise the stage's throttling",
        )


def _patience(config: RunConfig, behind: dict[str, Any], takes: float | None) -> Finding:
    name = "api-timeout"
    patience = behind.get("timeoutInMillis", API_TIMEOUT_MS) / 1000
    text = f"the API waits {format_duration(patience)} for an answer, then it is a 504"
    latest = max((limit for metric, limit in config.slo.limits().items() if metric != ERROR_RATE), default=0.0)
    if takes is not None and takes > patience / 2:
        return Finding(
            name,
            FAIL,
            f"{text}; one request alone took {format_duration(round(takes, 3))}",
            "invoke the endpoint directly",
        )
    for key, limit in (
        ("slo", latest),
        ("request.timeout", config.request.timeout if "timeout" in config.request.model_fields_set else 0.0),
    ):
        if limit > patience:
            return Finding(
                name,
                WARN,
                f"{text}, before the {format_duration(limit)} of {key}",
                f"no answer can be that late: lower {key}",
            )
    return Finding(name, PASS, text)


def _concurrency(config: RunConfig, behind: dict[str, Any], peak: float | None, takes: float | None) -> Finding:
    """Little's law: requests at a time are arrivals a second × seconds of one."""
    name = "lambda-concurrency"
    try:
        arn = function(behind).arn
        if peak is None or takes is None:
            return not_available(name, "it takes a plan and the time of one answered request to tell what is needed")
        functions = client(config, "lambda")
        own = ask(functions, "GetFunctionConcurrency", FunctionName=arn).get("ReservedConcurrentExecutions")
        whose = "reserved for the function"
        if own is None:
            own = ask(functions, "GetAccountSettings")["AccountLimit"]["UnreservedConcurrentExecutions"]
            whose = "left for all functions without a reservation"
    except AwsFault as e:
        return not_available(name, e)
    needed = math.ceil(peak * takes)
    text = f"{own:,} at a time are {whose}; {peak:,.0f} a second × {format_duration(round(takes, 3))} need {needed:,}"
    if needed > own:
        return Finding(
            name,
            FAIL,
            text,
            "reserve more, or ask for more in Service Quotas (Lambda, “Concurrent executions”); a cold function "
            "takes longer: check again",
        )
    return Finding(name, PASS if needed <= own / 2 else WARN, text)
