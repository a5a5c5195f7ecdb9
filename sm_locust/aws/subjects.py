"""Whose metrics a run has: every variant of its endpoint, its inference component, the API and the function before it.

Names are asked for once, before the load or after it; what cannot be found is a sentence, and the rest is watched all
the same. The metrics of each are metrics', reading them cloudwatch's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from sm_locust.aws.endpoint import describe
from sm_locust.aws.metrics import (
    API_METRICS,
    COMPONENT_METRICS,
    FUNCTION_METRICS,
    VARIANT_METRICS,
    Metric,
)
from sm_locust.aws.session import ATTEMPTS, AwsFault, ask, ask_all, client, watched
from sm_locust.config import RunConfig
from sm_locust.loopback import is_this_machine

METRICS = {
    "variant": VARIANT_METRICS,
    "component": COMPONENT_METRICS,
    "api": API_METRICS,
    "function": FUNCTION_METRICS,
}

# As the stack that comes along names them, and the local endpoint.
USUAL_API, USUAL_FUNCTION = "DecisionTreeAPI", "InvokeDecisionTreeSMEP"

# An API's own address; any other name, such as a domain of one's own, does not tell its id.
_API_HOST = re.compile(r"([a-z0-9]+)(?:-vpce-[a-z0-9]+)?\.execute-api\.")
_FUNCTION_URI = re.compile(r":lambda:path/[^/]+/functions/arn:[^/]+:function:([\w-]+)(?::[\w$-]+)?/invocations$")


@dataclass(frozen=True, slots=True)
class Subject:
    """Something that has metrics.

    kind        one of METRICS
    label       what `source` of cloudwatch.csv adds to a namespace after a colon; "" for the watched variant
    dimensions  CloudWatch's names and values
    ours        whether each of its Invocations is a request to the endpoint that may be ours
    live        whether it is looked at while the load goes
    usual       whether its names are only what they usually are, since nobody could be asked
    """

    kind: str
    label: str
    dimensions: tuple[tuple[str, str], ...]
    ours: bool = False
    live: bool = False
    usual: bool = False

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return METRICS[self.kind]

    def source(self, namespace: str) -> str:
        return f"{namespace}:{self.label}" if self.label else namespace

    def as_dict(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "label": self.label,
            "dimensions": dict(self.dimensions),
            "ours": self.ours,
            "live": self.live,
            "usual": self.usual,
        }

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Subject:
        """The inverse of `as_dict`. Raises KeyError or TypeError for what is none."""
        return cls(**{**found, "dimensions": tuple(found["dimensions"].items())})


@dataclass(frozen=True, slots=True)
class Subjects:
    """found    the one that is looked at live first
    missing  what could not be found and why, a sentence each
    """

    found: tuple[Subject, ...]
    missing: tuple[str, ...] = ()


def known(config: RunConfig) -> Subject:
    """The one that needs no asking: the inference component that requests name, else the watched variant."""
    component = config.request.inference_component
    if component is not None:
        return _component(component)
    endpoint, variant = watched(config)
    sent_to = config.request.target_variant
    return _variant(endpoint, variant, "", ours=sent_to in (None, variant), live=True)


def find(config: RunConfig, *, attempts: int = ATTEMPTS) -> Subjects:
    """Asks SageMaker for the endpoint's variants, and API Gateway for the names behind `target.api_gateway`.

    Raises ConfigError where the configuration names no endpoint; a fault of AWS is one of `missing`.
    """
    found, missing = [known(config)], []
    try:
        found += _variants(config, attempts)
    except AwsFault as e:
        missing.append(f"{e}: metrics of other variants, if it has any, are missing")
        if config.request.inference_component is not None:
            found.append(_variant(*watched(config), ""))
    if config.target is not None and config.target.api_gateway is not None:
        before, lacks = _way(config, config.target.api_gateway, attempts)
        found += before
        missing += lacks
    return Subjects(tuple(found), tuple(missing))


def _component(name: str) -> Subject:
    return Subject("component", f"component/{name}", (("InferenceComponentName", name),), ours=True, live=True)


def _variant(endpoint: str, name: str, label: str, *, ours: bool = False, live: bool = False) -> Subject:
    return Subject("variant", label, (("EndpointName", endpoint), ("VariantName", name)), ours, live)


def _variants(config: RunConfig, attempts: int) -> Iterator[Subject]:
    """The endpoint's variants but the one that is known. A shadow variant gets copies of requests: none is ours."""
    endpoint, variant = watched(config)
    component, sent_to = config.request.inference_component, config.request.target_variant
    answer = describe(config, attempts=attempts)
    for key in ("ProductionVariants", "ShadowProductionVariants"):
        for described in answer.get(key) or ():
            name = str(described["VariantName"])
            if name == variant and component is None:
                continue
            ours = key == "ProductionVariants" and component is None and sent_to in (None, name)
            yield _variant(endpoint, name, "" if name == variant else f"variant/{name}", ours=ours)


# -- API Gateway and Lambda --------------------------------------------------------------------------------------------


def _way(config: RunConfig, url: str, attempts: int) -> tuple[list[Subject], list[str]]:
    """The API and the function, by the names that AWS gives them, else by those that they usually have.

    The API is left out where the URL names no stage: its metrics are of one, and CloudWatch takes no empty value.
    """
    parts = urlsplit(url)
    host, (stage, *path) = parts.hostname or "", parts.path.strip("/").split("/")
    if not stage:
        lacks = f"target.api_gateway: {host} without a path names no stage, so the API's metrics are missing"
        return [_function(USUAL_FUNCTION, usual=not is_this_machine(host))], [lacks]
    if is_this_machine(host):
        return [_api(USUAL_API, stage), _function(USUAL_FUNCTION)], []
    named = _API_HOST.match(host)
    if named is None:
        lacks = f"target.api_gateway: {host} does not tell the id of an API, so its name and its function's are unknown"
        return [_api(USUAL_API, stage, usual=True), _function(USUAL_FUNCTION, usual=True)], [lacks]
    gateway = client(config, "apigateway", attempts=attempts)
    missing = []
    try:
        api = _api(str(ask(gateway, "GetRestApi", restApiId=named[1])["name"]), stage)
    except AwsFault as e:
        missing.append(f"the name of the API {named[1]} is unknown: {e}")
        api = _api(USUAL_API, stage, usual=True)
    try:
        function = _function(_function_of(gateway, named[1], "/" + "/".join(path)))
    except AwsFault as e:
        missing.append(f"the function behind the API {named[1]} is unknown: {e}")
        function = _function(USUAL_FUNCTION, usual=True)
    return [api, function], missing


def _function_of(gateway: Any, api: str, path: str) -> str:
    """The name of the Lambda function that a POST to a resource is handed to. Raises AwsFault where there is none."""
    for page in ask_all(gateway, "GetResources", restApiId=api):
        for resource in page["items"]:
            methods = resource.get("resourceMethods") or {}
            method = next((name for name in ("POST", "ANY") if name in methods), None)
            if resource["path"] != path or method is None:
                continue
            answer = ask(gateway, "GetIntegration", restApiId=api, resourceId=resource["id"], httpMethod=method)
            named = _FUNCTION_URI.search(str(answer.get("uri", "")))
            if named is None:
                raise AwsFault(f"{method} {path} is integrated with no function by its name", "NoFunction")
            return named[1]
    raise AwsFault(f"it has no resource {path} that takes a POST", "NoResource")


def _api(name: str, stage: str, *, usual: bool = False) -> Subject:
    return Subject("api", f"{name}/{stage}", (("ApiName", name), ("Stage", stage)), usual=usual)


def _function(name: str, *, usual: bool = False) -> Subject:
    return Subject("function", name, (("FunctionName", name),), usual=usual)
