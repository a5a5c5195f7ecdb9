"""The endpoint as SageMaker describes it: its variants, and what each of them runs on.

Whether that fits what a configuration wants is hosting's; how many instances serve, and asking for another number of
them, is serving's.

Source: SageMaker API Reference, DescribeEndpoint and DescribeEndpointConfig.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sm_locust.aws.session import ATTEMPTS, AwsFault, ask, client, watched
from sm_locust.config import RunConfig

STEADY = "InService"
HOPELESS = ("Failed", "OutOfService", "UpdateRollbackFailed", "Deleting")  # no waiting helps
NOT_FOUND = "could not find"  # in what SageMaker says, in lower case, of what is not there

Members = dict[str, Any]


@dataclass(frozen=True)
class Endpoint:
    """In AWS's own field names.

    variant        name of the watched one, which the endpoint may not have
    described      what DescribeEndpoint answered
    configuration  what DescribeEndpointConfig answered; empty where that was not to be had
    why_not        why it is empty
    """

    name: str
    variant: str
    described: Members
    configuration: Members
    why_not: AwsFault | None

    @classmethod
    def read(cls, config: RunConfig) -> Endpoint:
        """Two calls the first time, one from then on. Raises AwsFault when the endpoint cannot be described."""
        name, variant = watched(config)
        described = describe(config)
        try:
            found = _configuration(client(config, "sagemaker"), str(described.get("EndpointConfigName", "")))
        except AwsFault as e:
            found = e
        if isinstance(found, AwsFault):
            return cls(name, variant, described, {}, found)
        return cls(name, variant, described, found, None)

    @property
    def status(self) -> str:
        return str(self.described["EndpointStatus"])

    @property
    def variants(self) -> list[str]:
        """Names of the production variants; none while the endpoint is being created."""
        return [str(v["VariantName"]) for v in self.described.get("ProductionVariants", ())]

    @property
    def watched(self) -> Members:
        """The watched variant; empty when there is none of that name."""
        variants = self.described.get("ProductionVariants", ())
        return next((v for v in variants if v["VariantName"] == self.variant), {})

    @property
    def configured(self) -> Members | None:
        """The watched variant in the endpoint's configuration; None where it is not known."""
        variants = self.configuration.get("ProductionVariants", ())
        return next((v for v in variants if v["VariantName"] == self.variant), None)

    @property
    def instance_types(self) -> tuple[str, ...]:
        """One, or those of its instance pools; none for a serverless variant, or where it is not known."""
        configured = self.configured or {}
        pools = [pool["InstanceType"] for pool in configured.get("InstancePools", ())]
        return tuple(filter(None, [configured.get("InstanceType"), *pools]))

    @property
    def instance_type(self) -> str | None:
        """Such as ml.m4.xlarge; None where there is none, where it may be any of several, or where it is not known."""
        (only, *others) = self.instance_types or (None,)
        return None if others else only

    @property
    def instances(self) -> int | None:
        """Wanted; None for a serverless variant."""
        count = self.watched.get("DesiredInstanceCount")
        return None if count is None or self.serverless is not None else int(count)

    @property
    def serverless(self) -> Members | None:
        """MemorySizeInMB, MaxConcurrency, ProvisionedConcurrency of a serverless variant."""
        found = self.watched.get("CurrentServerlessConfig") or (self.configured or {}).get("ServerlessConfig")
        return dict(found) if found else None

    @property
    def hosts_components(self) -> bool | None:
        """Whether the variant has inference components in the place of a model; None where it is not known."""
        if self.configured is None:
            return None
        if "ModelName" in self.configured:
            return False
        return None if self.configured.get("InstancePools") else True  # a pool may name a model of its own

    @property
    def manages_instances(self) -> bool:
        """Whether SageMaker itself adds and removes instances as components need them."""
        settings = self.watched.get("ManagedInstanceScaling") or (self.configured or {}).get("ManagedInstanceScaling")
        return (settings or {}).get("Status") == "ENABLED"


def describe(config: RunConfig, *, attempts: int = ATTEMPTS) -> Members:
    """DescribeEndpoint alone, for who asks no more of it. Raises AwsFault."""
    sagemaker = client(config, "sagemaker", attempts=attempts)
    return ask(sagemaker, "DescribeEndpoint", EndpointName=watched(config).endpoint)


def every_variant(answer: Members) -> Iterator[Members]:
    """Those of DescribeEndpoint or DescribeEndpointConfig, the shadow ones too."""
    yield from answer.get("ProductionVariants") or ()
    yield from answer.get("ShadowProductionVariants") or ()


@functools.cache  # an endpoint's configuration never changes: an update of the endpoint gives it another
def _configuration(sagemaker: Any, name: str) -> Members | AwsFault:
    """What DescribeEndpointConfig says, or why it will not. Raises AwsFault for what may pass: it is asked again."""
    try:
        return ask(sagemaker, "DescribeEndpointConfig", EndpointConfigName=name)
    except AwsFault as e:
        if e.passing:
            raise
        return e
