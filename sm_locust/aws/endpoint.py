"""The endpoint itself: how many instances its watched variant has, asking for another number, waiting for them.

Automatic scaling, which asks for numbers of its own, is scaling's.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sm_locust.aws.session import AwsFault, ask, client, watched
from sm_locust.config import RunConfig, format_duration

STEADY = "InService"
HOPELESS = ("Failed", "OutOfService", "UpdateRollbackFailed", "Deleting")  # no waiting helps


@dataclass(frozen=True, slots=True)
class Variant:
    """The watched variant at one moment.

    status         of the endpoint, as SageMaker names it: InService, Updating while instances are added, …
    current        instances that serve; None for a serverless variant
    desired        instances wanted; None for a serverless variant
    instance_type  such as ml.m4.xlarge; None where there is none or we may not ask
    """

    status: str
    current: int | None
    desired: int | None
    instance_type: str | None

    @property
    def is_steady(self) -> bool:
        """Whether every instance wanted serves and no other is on its way in or out."""
        return self.status == STEADY and self.current == self.desired


def describe(config: RunConfig) -> Variant:
    """The watched variant now. Raises AwsFault, also when the endpoint has no such variant.

    Two calls the first time, one from then on.
    """
    endpoint, variant = watched(config)
    sagemaker = client(config, "sagemaker")
    answer = ask(sagemaker, "DescribeEndpoint", EndpointName=endpoint)
    status = str(answer["EndpointStatus"])
    variants = answer.get("ProductionVariants", [])  # none while the endpoint is being created
    found = next((v for v in variants if v["VariantName"] == variant), None)
    if found is None:
        names = ", ".join(v["VariantName"] for v in variants) or "none yet"
        raise AwsFault(f"endpoint {endpoint}, {status}, has no variant {variant}; it has {names}", "NoSuchVariant")
    return Variant(
        status,
        found.get("CurrentInstanceCount"),
        found.get("DesiredInstanceCount"),
        _instance_type(sagemaker, answer["EndpointConfigName"], variant),
    )


@functools.cache  # an endpoint's configuration never changes: an update of the endpoint gives it another
def _instance_type(sagemaker: Any, endpoint_config: str, variant: str) -> str | None:
    try:
        answer = ask(sagemaker, "DescribeEndpointConfig", EndpointConfigName=endpoint_config)
    except AwsFault as e:
        if e.passing:
            raise
        return None  # what it costs stays unknown; nothing else is lost
    types = {v["VariantName"]: v.get("InstanceType") for v in answer["ProductionVariants"]}
    return types.get(variant)


def set_instances(config: RunConfig, instances: int) -> None:
    """Asks for a number of instances; the endpoint is Updating until they serve.

    Raises AwsFault, also while the endpoint is Updating: see `wait_until_steady`.
    """
    endpoint, variant = watched(config)
    ask(
        client(config, "sagemaker"),
        "UpdateEndpointWeightsAndCapacities",
        EndpointName=endpoint,
        DesiredWeightsAndCapacities=[{"VariantName": variant, "DesiredInstanceCount": instances}],
    )


def wait_until_steady(
    config: RunConfig,
    instances: int | None,
    *,
    patience: float,
    every: float,
    say: Callable[[str], None],
) -> Variant:
    """Waits until the endpoint is InService and as many instances serve as are wanted.

    instances  that number; None for whatever is wanted
    patience   seconds to wait at most
    every      seconds between two questions
    say        told what is being waited for, each time that it changes

    Raises AwsFault when patience ends (code NotSteady) or AWS refuses; faults that pass are waited out.
    """
    endpoint = watched(config).endpoint
    wanted = "instances" if instances is None else counted(instances)
    deadline = time.monotonic() + patience
    before = ""
    while True:
        try:
            variant = describe(config)
            if variant.is_steady and (instances is None or variant.current == instances):
                return variant
            if variant.status in HOPELESS:
                raise AwsFault(f"endpoint {endpoint} is {variant.status}", variant.status)
            now = f"{endpoint} is {variant.status}, {variant.current} of {variant.desired} instances serve"
        except AwsFault as e:
            if not e.passing:
                raise
            now = str(e)
        left = deadline - time.monotonic()
        if left <= 0:
            raise AwsFault(
                f"{now}: not steady with {wanted} within {format_duration(patience)}", "NotSteady", passing=True
            )
        if now != before:
            say(now)
            before = now
        time.sleep(min(every, left))


def counted(instances: int) -> str:
    return "1 instance" if instances == 1 else f"{instances} instances"
