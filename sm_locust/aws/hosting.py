"""How the endpoint is set up, and whether that fits what the configuration wants of it.

Pure but for `component`, which asks about the inference component that requests name. What the endpoint is, is
endpoint's; its scaling is scaling's.
"""

from __future__ import annotations

from collections.abc import Iterator

from sm_locust.aws.endpoint import HOPELESS, STEADY, Endpoint
from sm_locust.aws.session import AwsFault, ask, client
from sm_locust.config import RunConfig
from sm_locust.finding import FAIL, PASS, WARN, Finding, not_available

BURSTABLE = ("ml.t2.", "ml.t3.", "ml.t3a.", "ml.t4g.")


def findings(config: RunConfig, endpoint: Endpoint) -> Iterator[Finding]:
    """What the endpoint is, and what in it does not fit or disturbs the measurement."""
    yield _endpoint(endpoint)
    yield _variant(config, endpoint)
    if not endpoint.watched:
        return
    yield _instances(endpoint)
    yield from _burstable(config, endpoint)
    yield from _serverless(config, endpoint)
    yield from _async(config, endpoint)
    yield from _components(config, endpoint)
    yield from _several(config, endpoint)
    yield from _beside(endpoint)


def _endpoint(endpoint: Endpoint) -> Finding:
    name, described = endpoint.name, endpoint.described
    wait = f"wait until it is {STEADY}: aws sagemaker wait endpoint-in-service --endpoint-name {name}"
    if endpoint.status != STEADY:
        reason = str(described.get("FailureReason") or "").rstrip(".")
        text = f"{name} is {endpoint.status}{f': {reason}' if reason else ''}; accepted: {STEADY}"
        do = "it does not get well by itself: update it, or make it anew" if endpoint.status in HOPELESS else wait
        return Finding("endpoint", FAIL, text, do)
    if pending := described.get("PendingDeploymentSummary"):
        return Finding(
            "endpoint",
            FAIL,
            f"{name} is {STEADY}, and a deployment of {pending['EndpointConfigName']} is pending",
            "wait until it is over: the run would measure both",
        )
    return Finding("endpoint", PASS, f"{name} is {STEADY}, no deployment is pending")


def _variant(config: RunConfig, endpoint: Endpoint) -> Finding:
    wanted = {"target.variant": endpoint.variant, "request.target_variant": config.request.target_variant}
    for key, name in wanted.items():
        if name is not None and name not in endpoint.variants:
            there = ", ".join(endpoint.variants) or "none yet"
            return Finding("variant", FAIL, f"{key}: {endpoint.name} has no variant {name}", f"it has {there}")
    sent = config.request.target_variant
    if sent is not None and sent != endpoint.variant:
        return Finding(
            "variant",
            WARN,
            f"requests go to {sent} (request.target_variant), and {endpoint.variant} is watched",
            "set target.variant to the same",
        )
    return Finding("variant", PASS, endpoint.variant)


def _instances(endpoint: Endpoint) -> Finding:
    name = "instances"
    if endpoint.serverless is not None:
        return Finding(name, PASS, f"none: {endpoint.variant} is serverless")
    current, wanted = endpoint.watched.get("CurrentInstanceCount"), endpoint.instances
    count = str(wanted) if current == wanted else f"{current} of {wanted}"
    if not endpoint.instance_types:
        why = endpoint.why_not or "the endpoint's configuration does not name it"
        return not_available(name, f"{count}, of a type that is not known: {why}")
    types = " or ".join(endpoint.instance_types)
    if current != wanted:
        return Finding(name, WARN, f"{count} × {types} serve", "wait until all of them do")
    return Finding(name, PASS, f"{count} × {types}")


def _burstable(config: RunConfig, endpoint: Endpoint) -> Iterator[Finding]:
    types = [kind for kind in endpoint.instance_types if kind.startswith(BURSTABLE)]
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


def _serverless(config: RunConfig, endpoint: Endpoint) -> Iterator[Finding]:
    if endpoint.serverless is None:
        return
    most = endpoint.serverless.get("MaxConcurrency", "an unknown number of")
    if config.scaling is not None:
        yield Finding(
            "serverless",
            FAIL,
            f"{endpoint.variant} is serverless: it has no instances to scale by {config.scaling.metric_name}",
            "leave `scaling` out",
        )
    else:
        yield Finding(
            "serverless",
            WARN,
            f"{endpoint.variant} is serverless: cold starts are part of its latency, and {most} requests at a time "
            "are the most it takes",
            "read its figures with that in mind; there is no capacity of an instance",
        )


def _async(config: RunConfig, endpoint: Endpoint) -> Iterator[Finding]:
    if not endpoint.described.get("AsyncInferenceConfig"):
        return
    text = f"{endpoint.name} is asynchronous: it takes InvokeEndpointAsync with an object of S3"
    if config.target is not None and config.target.api_gateway is not None:
        yield Finding("async", WARN, text, "what is measured is how fast the API accepts requests, not the model")
    else:
        yield Finding("async", FAIL, f"{text}, and InvokeEndpoint is sent", "name a real-time endpoint")


def _components(config: RunConfig, endpoint: Endpoint) -> Iterator[Finding]:
    """Inference components, and whose business the number of instances is."""
    name, named, scaling = "component", config.request.inference_component, config.scaling
    direct = config.target is not None and config.target.api_gateway is None
    hosts = endpoint.hosts_components and endpoint.serverless is None
    of_components = scaling.of_components if scaling is not None else None
    if hosts and named is None and direct:
        yield Finding(
            name,
            FAIL,
            f"{endpoint.variant} hosts inference components, and none is named",
            "name one in request.inference_component",
        )
    elif endpoint.hosts_components is False and named is not None:
        yield Finding(
            name,
            FAIL,
            f"request.inference_component: {named}, and {endpoint.variant} hosts a model, no components",
            "leave it out",
        )
    elif of_components and named is None and direct:
        yield Finding(
            name,
            FAIL,
            f"scaling.metric: {scaling.metric_name if scaling else ''} is of an inference component, and none is named",
            "name it in request.inference_component, or take a metric of variants",
        )
    elif endpoint.manages_instances and scaling is not None and of_components is False:
        yield Finding(
            name,
            FAIL,
            f"{endpoint.variant} has managed instance scaling: SageMaker decides how many instances there are, and "
            f"{scaling.metric_name} would scale them too",
            "scale the copies: a scaling.metric that begins with SageMakerInferenceComponent",
        )
    elif endpoint.manages_instances:
        yield Finding(
            name,
            WARN,
            f"{endpoint.variant} has managed instance scaling: instances come and go as copies need them",
            "read the number of instances in the report; a copy may have to wait for one",
        )


def component(config: RunConfig, endpoint: Endpoint) -> Iterator[Finding]:
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
    if where != endpoint.name:
        yield Finding("component", FAIL, f"{named} is of endpoint {where}, not of {endpoint.name}", "name its own")
    elif status != STEADY:
        yield Finding("component", FAIL, f"{named} is {status}; accepted: {STEADY}", f"wait until it is {STEADY}")
    else:
        yield Finding("component", PASS, f"{named} is {STEADY}, copies: {copies.get('CurrentCopyCount', 'unknown')}")


def _several(config: RunConfig, endpoint: Endpoint) -> Iterator[Finding]:
    if len(endpoint.variants) > 1 and config.request.target_variant is None:
        weights = ", ".join(
            f"{v['VariantName']} {v.get('CurrentWeight', 0):g}" for v in endpoint.described["ProductionVariants"]
        )
        yield Finding(
            "variants",
            WARN,
            f"requests are spread over {len(endpoint.variants)} variants by weight ({weights}), and only "
            f"{endpoint.variant} is watched",
            "send all to one: request.target_variant",
        )


def _beside(endpoint: Endpoint) -> Iterator[Finding]:
    """What else the endpoint does with each request."""
    described = endpoint.described
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
