"""What still costs money: the endpoint, the stacks that we made, the logs that a load leaves; and what deletes each.

Only asked and told, never deleted. A question that is not answered is an item of its own, which says why; none keeps
the others from being asked.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable

from sm_locust.aws import logs
from sm_locust.aws.endpoint import NOT_FOUND, Endpoint, every_variant
from sm_locust.aws.pricing import remember
from sm_locust.aws.session import AwsFault, ask_all, client, region_of, watched
from sm_locust.config import ConfigError, RunConfig
from sm_locust.loopback import stays_here
from sm_locust.prices import INSTANCE_HOUR, Cache, Price, Prices, Seen
from sm_locust.record.billing import UNKNOWN, Billing, Item
from sm_locust.stacks import FUNCTION_LOG, TAG

ENDPOINT_LOGS = "/aws/sagemaker/Endpoints/"  # and the endpoint's name


def still_billing(config: RunConfig) -> Billing | None:
    """What AWS says goes on billing after a load of this configuration; None where it names no endpoint.

    A few calls, none retried for long. Raises nothing: what cannot be had is an item with a fault.
    """
    if config.target is None or config.target.endpoint is None:
        return None
    if stays_here(config):
        return Billing(local=True)
    try:
        region_of(config)
    except ConfigError as e:
        return Billing((Item("all of it", fault=str(e)),))
    questions: tuple[tuple[str, Callable[[RunConfig], list[Item]]], ...] = (
        (f"endpoint {config.target.endpoint}", _endpoint),
        ("stacks that sm-locust made", _stacks),
        ("log groups", _logs),
    )
    return Billing(tuple(item for what, question in questions for item in _answered(what, question, config)))


def unanswered(config: RunConfig) -> Billing | None:
    """What is said where AWS has not answered `still_billing` in time; None where there was nothing to ask."""
    if config.target is None or config.target.endpoint is None:
        return None
    return Billing((Item(f"endpoint {config.target.endpoint}", fault="AWS did not answer in time"),))


def _answered(what: str, question: Callable[[RunConfig], list[Item]], config: RunConfig) -> list[Item]:
    try:
        return question(config)
    except (AwsFault, ConfigError) as e:
        return [Item(what, fault=str(e))]


# The endpoint


def _endpoint(config: RunConfig) -> list[Item]:
    try:
        endpoint = Endpoint.read(config)
    except AwsFault as e:
        if NOT_FOUND in str(e).lower():
            return []  # it is gone, and bills no more
        raise
    types = {v["VariantName"]: v.get("InstanceType") for v in every_variant(endpoint.configuration)}
    parts: list[str] = []
    hourly: float | None = 0.0
    origins: dict[str, None] = {}  # each once, in order
    for variant in every_variant(endpoint.described):
        count, type_ = variant.get("CurrentInstanceCount"), types.get(variant["VariantName"])
        if variant["VariantName"] == endpoint.variant:
            remember(config, Seen(type_, count), serverless=variant.get("CurrentServerlessConfig") is not None)
        if count is None:
            parts.append("serverless, by use")
            continue
        parts.append(f"{count} × {type_ or 'instances of a type not told'}")
        price = _hour(config, type_)
        hourly = None if hourly is None or price is None else hourly + count * price.usd
        origins[UNKNOWN if price is None else f"{price.origin} {price.as_of.isoformat()}"] = None
    return [
        Item(
            f"endpoint {endpoint.name}, {', '.join(parts) or endpoint.status}",
            hourly if origins else None,
            UNKNOWN if hourly is None else ", ".join(origins),
            _command(config, "sagemaker", "delete-endpoint", "--endpoint-name", endpoint.name),
        )
    ]


def _hour(config: RunConfig, instance_type: str | None) -> Price | None:
    """The configuration's price is taken for every type: it has only one."""
    own = Prices.of(config).known.get(INSTANCE_HOUR)
    if own is not None and own.origin == "config":
        return own
    return Cache.read().prices(region_of(config), instance_type).get(INSTANCE_HOUR)


# What we made, and what is left behind


def _stacks(config: RunConfig) -> list[Item]:
    pages = ask_all(client(config, "cloudformation"), "DescribeStacks")
    return [
        Item(
            f"stack {stack['StackName']}, which sm-locust made",
            command=_command(config, "cloudformation", "delete-stack", "--stack-name", stack["StackName"]),
        )
        for page in pages
        for stack in page["Stacks"]
        if TAG in stack.get("Tags", ())
    ]


def _logs(config: RunConfig) -> list[Item]:
    names = (ENDPOINT_LOGS + watched(config).endpoint, FUNCTION_LOG)
    return [
        Item(
            f"log group {name}, {int(found.get('storedBytes', 0)):,} bytes",
            command=_command(config, "logs", "delete-log-group", "--log-group-name", name),
        )
        for name in names
        if (found := logs.group(config, name)) is not None
    ]


def _command(config: RunConfig, *words: str) -> str:
    return shlex.join(["aws", *words, "--region", region_of(config)])
