"""How the endpoint is set up, and whether that fits what the configuration wants of it.

Pure but for `Hosting.read`: two calls, and everything after is read from their answers. How many instances there are at
a moment, and waiting for others, is endpoint's; scaling them is scaling's.

Source: SageMaker API Reference, DescribeEndpoint and DescribeEndpointConfig.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sm_locust.aws.capacity import HOPELESS, STEADY
from sm_locust.aws.session import AwsFault, ask, client, watched
from sm_locust.config import RunConfig
from sm_locust.finding import FAIL, PASS, WARN, Finding, not_available

BURSTABLE = ("ml.t2.", "ml.t3.", "ml.t3a.", "ml.t4g.")
COMPONENT_METRIC = "SageMakerInferenceComponent"

Members = dict[str, Any]


@dataclass(frozen=True)
class Hosting:
    """The endpoint as AWS describes it, in AWS's own field names.

    described   what DescribeEndpoint answered
    configured  the watched variant in what DescribeEndpointConfig answered; None when it may not be asked for
    why_not     why it is None
    """

    described: Members
    configured: Members | None
    why_not: AwsFault | None
    endpoint: str
    variant: str

    @classmethod
    def read(cls, config: RunConfig) -> Hosting:
        """Raises AwsFault when the endpoint cannot be described."""
        endpoint, variant = watched(config)
        sagemaker = client(config, "sagemaker")
        described = ask(sagemaker, "DescribeEndpoint", EndpointName=endpoint)
        try:
            answer = ask(sagemaker, "DescribeEndpointConfig", EndpointConfigName=described["EndpointConfigName"])
        except AwsFault as e:
            return cls(described, None, e, endpoint, variant)
        mine = (v for v in answer["ProductionVariants"] if v["VariantName"] == variant)
        return cls(described, next(mine, None), None, endpoint, variant)

    @property
    def status(self) -> str:
        return str(self.described["EndpointStatus"])

    @property
    def variants(self) -> list[str]:
        """Names of the production variants; none while the endpoint is being created."""
        return [str(v["VariantName"]) for v in self.described.get("ProductionVariants", [])]

    @property
    def watched(self) -> Members:
        """The watched variant; empty when there is none of that name."""
        variants = self.described.get("ProductionVariants", [])
        return next((v for v in variants if v["VariantName"] == self.variant), {})

    @property
    def instance_types(self) -> tuple[str, ...]:
        """One, or those of its instance pools; none for a serverless variant, or where it is not known."""
        configured = self.configured or {}
        pools = [pool["InstanceType"] for pool in configured.get("InstancePools", [])]
        return tuple(filter(None, [configured.get("InstanceType"), *pools]))

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


def findings(config: RunConfig, hosting: Hosting) -> Iterator[Finding]:
    """What the endpoint is, and what in it does not fit or disturbs the measurement."""
    yield _endpoint(hosting)
    yield _variant(config, hosting)
    if not hosting.watched:
        return
    yield _instances(hosting)
    yield from _burstable(config, hosting)
    yield from _serverless(config, hosting)
    yield from _async(config, hosting)
    yield from _components(config, hosting)
    yield from _several(config, hosting)
    yield from _beside(hosting)


def _endpoint(hosting: Hosting) -> Finding:
    name, described = hosting.endpoint, hosting.described
    wait = f"wait until it is {STEADY}: aws sagemaker wait endpoint-in-service --endpoint-name {name}"
    if hosting.status != STEADY:
        reason = str(described.get("FailureReason") or "").rstrip(".")
        text = f"{name} is {hosting.status}{f': {reason}' if reason else ''}; accepted: {STEADY}"
        do = "it does not get well by itself: update it, or make it anew" if hosting.status in HOPELESS else wait
        return Finding("endpoint", FAIL, text, do)
    if pending := described.get("PendingDeploymentSummary"):
        return Finding(
            "endpoint",
            FAIL,
            f"{name} is {STEADY}, and a deployment of {pending['EndpointConfigName']} is pending",
            "wait until it is over: the run would measure both",
        )
    return Finding("endpoint", PASS, f"{name} is {STEADY}, no deployment is pending")


def _variant(config: RunConfig, hosting: Hosting) -> Finding:
    wanted = {"target.variant": hosting.variant, "request.target_variant": config.request.target_variant}
    for key, name in wanted.items():
        if name is not None and name not in hosting.variants:
            there = ", ".join(hosting.variants) or "none yet"
            return Finding("variant", FAIL, f"{key}: {hosting.endpoint} has no variant {name}", f"it has {there}")
    sent = config.request.target_variant
    if sent is not None and sent != hosting.variant:
        return Finding(
            "variant",
            WARN,
            f"requests go to {sent} (request.target_variant), and {hosting.variant} is watched",
            "set target.variant to the same",
        )
    return Finding("variant", PASS, hosting.variant)


def _instances(hosting: Hosting) -> Finding:
    name = "instances"
    if hosting.serverless is not None:
        return Finding(name, PASS, f"none: {hosting.variant} is serverless")
    current, wanted = hosting.watched.get("CurrentInstanceCount"), hosting.instances
    count = str(wanted) if current == wanted else f"{current} of {wanted}"
    if not hosting.instance_types:
        why = hosting.why_not or "the endpoint's configuration does not name it"
        return not_available(name, f"{count}, of a type that is not known: {why}")
    types = " or ".join(hosting.instance_types)
    if current != wanted:
        return Finding(name, WARN, f"{count} × {types} serve", "wait until all of them do")
    return Finding(name, PASS, f"{count} × {types}")


def _burstable(config: RunConfig, hosting: Hosting) -> Iterator[Finding]:
    types = [kind for kind in hosting.instance_types if kind.startswith(BURSTABLE)]
    if types and config.scaling is not None:
        yield Finding(
            "burstable",
            FAIL,
            f"{types[0]} is burstable: its CPU credits run out under load, and scaling would follow them",
            "take another instance type, or leave `scaling` out",
        )
    elif types:
        yield Finding(
            "burstable",
            WARN,
            f"{types[0]} is burstable: what it sustains depends on the CPU credits that are left",
            "take another instance type to measure what lasts",
        )


def _serverless(config: RunConfig, hosting: Hosting) -> Iterator[Finding]:
    if hosting.serverless is None:
        return
    most = hosting.serverless.get("MaxConcurrency", "an unknown number of")
    if config.scaling is not None:
        yield Finding(
            "serverless",
            FAIL,
            f"{hosting.variant} is serverless: it has no instances to scale by {config.scaling.metric_name}",
            "leave `scaling` out",
        )
    else:
        yield Finding(
            "serverless",
            WARN,
            f"{hosting.variant} is serverless: cold starts are part of its latency, and {most} requests at a time "
            "are the most it takes",
            "read its figures with that in mind; there is no capacity of an instance",
        )


def _async(config: RunConfig, hosting: Hosting) -> Iterator[Finding]:
    if not hosting.described.get("AsyncInferenceConfig"):
        return
    text = f"{hosting.endpoint} is asynchronous: it takes InvokeEndpointAsync with an object of S3"
    if config.target is not None and config.target.api_gateway is not None:
        yield Finding("async", WARN, text, "what is measured is how fast the API accepts requests, not the model")
    else:
        yield Finding("async", FAIL, f"{text}, and InvokeEndpoint is sent", "name a real-time endpoint")


def _components(config: RunConfig, hosting: Hosting) -> Iterator[Finding]:
    """Inference components, and whose business the number of instances is."""
    name, named, scaling = "component", config.request.inference_component, config.scaling
    direct = config.target is not None and config.target.api_gateway is None
    hosts = hosting.hosts_components and hosting.serverless is None
    of_components = scaling.of_components if scaling is not None else None
    if hosts and named is None and direct:
        yield Finding(
            name,
            FAIL,
            f"{hosting.variant} hosts inference components, and none is named",
            "name one in request.inference_component",
        )
    elif hosting.hosts_components is False and named is not None:
        yield Finding(
            name,
            FAIL,
            f"request.inference_component: {named}, and {hosting.variant} hosts a model, no components",
            "leave it out",
        )
    elif of_components and named is None and direct:
        yield Finding(
            name,
            FAIL,
            f"scaling.metric: {scaling.metric_name if scaling else ''} is of an inference component, and none is named",
            "name it in request.inference_component, or take a metric of variants",
        )
    elif hosting.manages_instances and scaling is not None and of_components is False:
        yield Finding(
            name,
            FAIL,
            f"{hosting.variant} has managed instance scaling: SageMaker decides how many instances there are, and "
            f"{scaling.metric_name} would scale them too",
            f"scale the copies: a scaling.metric that begins with {COMPONENT_METRIC}",
        )
    elif hosting.manages_instances:
        yield Finding(
            name,
            WARN,
            f"{hosting.variant} has managed instance scaling: instances come and go as copies need them",
            "read the number of instances in the report; a copy may have to wait for one",
        )


def component(config: RunConfig, hosting: Hosting) -> Iterator[Finding]:
    """The inference component that requests name, asked for."""
    named = config.request.inference_component
    if named is None:
        return
    try:
        found = ask(client(config, "sagemaker"), "DescribeInferenceComponent", InferenceComponentName=named)
    except AwsFault as e:
        if e.code == "ValidationException":
            yield Finding("component", FAIL, str(e), "correct request.inference_component")
        else:
            yield not_available("component", e)
        return
    status, where = found["InferenceComponentStatus"], found["EndpointName"]
    copies = found.get("RuntimeConfig") or {}
    if where != hosting.endpoint:
        yield Finding("component", FAIL, f"{named} is of endpoint {where}, not of {hosting.endpoint}", "name its own")
    elif status != STEADY:
        yield Finding("component", FAIL, f"{named} is {status}; accepted: {STEADY}", f"wait until it is {STEADY}")
    else:
        yield Finding("component", PASS, f"{named} is {STEADY}, copies: {copies.get('CurrentCopyCount', 'unknown')}")


def _several(config: RunConfig, hosting: Hosting) -> Iterator[Finding]:
    if len(hosting.variants) > 1 and config.request.target_variant is None:
        weights = ", ".join(
            f"{v['VariantName']} {v.get('CurrentWeight', 0):g}" for v in hosting.described["ProductionVariants"]
        )
        yield Finding(
            "variants",
            WARN,
            f"requests are spread over {len(hosting.variants)} variants by weight ({weights}), and only "
            f"{hosting.variant} is watched",
            "send all to one: request.target_variant",
        )


def _beside(hosting: Hosting) -> Iterator[Finding]:
    """What else the endpoint does with each request."""
    described = hosting.described
    capture = described.get("DataCaptureConfig") or {}
    if capture.get("EnableCapture") and capture.get("CaptureStatus") != "Stopped":
        yield Finding(
            "data-capture",
            WARN,
            f"data capture writes {capture.get('CurrentSamplingPercentage', 100)}% of the requests to S3: it takes "
            "time of the instances, and the run's are stored too",
            "switch it off for the run, or count it as part of what is measured",
        )
    for shadow in described.get("ShadowProductionVariants", []):
        yield Finding(
            "shadow",
            WARN,
            f"shadow variant {shadow['VariantName']} gets a copy of the requests: its instances work and cost too",
            "take it off for the run, or watch that it does not fall over",
        )
    if (described.get("ExplainerConfig") or {}).get("ClarifyExplainerConfig"):
        yield Finding(
            "explainer",
            WARN,
            "an explainer is configured: an explained request makes many predictions and takes many times as long",
            "expect its latency, or use an endpoint without it",
        )
