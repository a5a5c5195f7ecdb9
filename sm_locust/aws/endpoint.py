"""The endpoint itself: how many instances its watched variant has, and asking for another number.

Waiting for them is capacity's; automatic scaling, which asks for numbers of its own, is scaling's.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import Any

from sm_locust.aws.session import AwsFault, ask, client, watched
from sm_locust.config import RunConfig


@dataclass(frozen=True, slots=True)
class Variant:
    """The watched variant at one moment.

    status         of the endpoint, as SageMaker names it: InService, Updating while instances are added, …
    current        instances that serve; None for a serverless variant
    desired        instances wanted; None for a serverless variant
    instance_type  such as ml.m4.xlarge; None where there is none or we may not ask
    arn            of the endpoint
    """

    status: str
    current: int | None
    desired: int | None
    instance_type: str | None
    arn: str = field(default="", compare=False)


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
        str(answer.get("EndpointArn", "")),
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

    Raises AwsFault, also while the endpoint is Updating: see capacity.wait_until_steady.
    """
    endpoint, variant = watched(config)
    ask(
        client(config, "sagemaker"),
        "UpdateEndpointWeightsAndCapacities",
        EndpointName=endpoint,
        DesiredWeightsAndCapacities=[{"VariantName": variant, "DesiredInstanceCount": instances}],
    )
