"""Whose metrics a run has: every variant of its endpoint, its inference component, the API and the function before it.

Names are asked for once, before the load or after it; what cannot be found is a sentence, and the rest is watched all
the same. The metrics of each are metrics', reading them cloudwatch's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from sm_locust.aws.api import RestApi, function, integration, stage_and_path
from sm_locust.aws.endpoint import describe
from sm_locust.aws.metrics import (
    API_METRICS,
    COMPONENT_METRICS,
    FUNCTION_METRICS,
    VARIANT_METRICS,
    Metric,
)
from sm_locust.aws.session import ATTEMPTS, AwsFault, ask, client, watched
from sm_locust.config import RunConfig
from sm_locust.loopback import is_this_machine
from sm_locust.record.observation import source_of
from sm_locust.stacks import API_NAME, FUNCTION_NAME

METRICS = {
    "variant": VARIANT_METRICS,
    "component": COMPONENT_METRICS,
    "api": API_METRICS,
    "function": FUNCTION_METRICS,
}


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
        return source_of(namespace, self.label)

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
    return of_variant(endpoint, variant, "", ours=sent_to in (None, variant), live=True)


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
            found.append(of_variant(*watched(config), ""))
    if config.target is not None and config.target.api_gateway is not None:
        before, lacks = _way(config, config.target.api_gateway, attempts)
        found += before
        missing += lacks
    return Subjects(tuple(found), tuple(missing))


def _component(name: str) -> Subject:
    return Subject("component", f"component/{name}", (("InferenceComponentName", name),), ours=True, live=True)


def of_variant(endpoint: str, name: str, label: str, *, ours: bool = False, live: bool = False) -> Subject:
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
            yield of_variant(endpoint, name, "" if name == variant else f"variant/{name}", ours=ours)


# -- API Gateway and Lambda --------------------------------------------------------------------------------------------


def _way(config: RunConfig, url: str, attempts: int) -> tuple[list[Subject], list[str]]:
    """The API and the function, by the names that AWS gives them, else by those that they usually have.

    Those are the names of the stack that comes along, and of the local endpoint. The API is left out where the URL
    names no stage: its metrics are of one, and CloudWatch takes no empty value.
    """
    host, (stage, _) = urlsplit(url).hostname or "", stage_and_path(url)
    if not stage:
        lacks = f"target.api_gateway: {host} without a path names no stage, so the API's metrics are missing"
        return [_function(FUNCTION_NAME, usual=not is_this_machine(host))], [lacks]
    if is_this_machine(host):
        return [_api(API_NAME, stage), _function(FUNCTION_NAME)], []
    rest = RestApi.of(url)
    if rest is None:
        lacks = f"target.api_gateway: {host} does not tell the id of an API, so its name and its function's are unknown"
        return [_api(API_NAME, stage, usual=True), _function(FUNCTION_NAME, usual=True)], [lacks]
    missing = []
    try:
        gateway = client(config, "apigateway", attempts=attempts)
        api = _api(str(ask(gateway, "GetRestApi", restApiId=rest.id)["name"]), stage)
    except AwsFault as e:
        missing.append(f"the name of the API {rest.id} is unknown: {e}")
        api = _api(API_NAME, stage, usual=True)
    try:
        behind = _function(function(integration(config, rest, attempts=attempts)).name)
    except AwsFault as e:
        missing.append(f"the function behind target.api_gateway is unknown: {e}")
        behind = _function(FUNCTION_NAME, usual=True)
    return [api, behind], missing


def _api(name: str, stage: str, *, usual: bool = False) -> Subject:
    return Subject("api", f"{name}/{stage}", (("ApiName", name), ("Stage", stage)), usual=usual)


def _function(name: str, *, usual: bool = False) -> Subject:
    return Subject("function", name, (("FunctionName", name),), usual=usual)
