"""What AWS says before a run: who we are, how the endpoint is set up and scaled, what is measured and sent there now.

Every question stands for itself: one that is denied, or that an account or the local endpoint cannot answer, is
“not available here” and the others are asked all the same. Each call is bounded by session's limits, and all of them by
PATIENCE. The request that is sent to try is load's, the plan is config's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import urlsplit

from sm_locust.aws import hosting, pricing, quotas, scaling, whoami
from sm_locust.aws.application_autoscaling import paused
from sm_locust.aws.cloudwatch import INVOCATIONS, CloudWatch
from sm_locust.aws.endpoint import Endpoint
from sm_locust.aws.session import AwsFault, client, watched
from sm_locust.aws.subjects import of_variant
from sm_locust.config import ConfigError, RunConfig
from sm_locust.finding import FAIL, PASS, WARN, Finding, not_available
from sm_locust.loopback import stays_here
from sm_locust.prices import NOT_SEEN, Seen

PATIENCE = 60.0  # seconds; a question that has begun by then is still waited for
LOOK_BACK = 900.0  # schedule seconds, of traffic that is not ours
A_FEW = 10  # invocations in that time, which earlier probes may have been


def findings(config: RunConfig, speed: int, lasts: float | None, what: str) -> Iterator[Finding]:
    """All but the quotas of an API, which depend on how long a request takes: see quotas.of_the_way.

    speed  schedule seconds for one real second
    lasts  real seconds of `what` the credentials are wanted for; None where nobody knows
    """
    try:
        sagemaker = client(config, "sagemaker")
    except ConfigError as e:
        yield Finding("region", FAIL, str(e), "set target.region, or correct AWS_PROFILE")
        return
    deadline = time.monotonic() + PATIENCE
    yield _region(sagemaker)
    named = config.target is not None and config.target.endpoint is not None
    if (missing := whoami.missing(config)) is not None:  # said once, and not by each question
        yield missing
        not_asked = ["identity", *(["endpoint", "scaling", "cloudwatch", "live-traffic"] if named else [])]
        for name in not_asked if stays_here(config) else [*not_asked, "prices"]:
            yield not_available(name, whoami.NEEDED)
        return
    yield from whoami.identity(config)
    yield whoami.credentials(config, lasts, what)
    if not named:
        yield Finding(
            "endpoint",
            WARN,
            "target.endpoint is not named: nothing behind the API is checked or watched",
            "name the endpoint whose metrics and scaling are to be watched",
        )
        yield from _prices(config, None)
        return
    found = None
    try:
        found = Endpoint.read(config)
    except AwsFault as e:
        yield _not_described(e)
        yield not_available("scaling", "it takes the endpoint's description")
    for names, question in _questions(config, found, speed):
        if time.monotonic() <= deadline:
            yield from question()
            continue
        for name in names:
            yield not_available(name, f"the questions before it took longer than {PATIENCE:g} s")


def _questions(
    config: RunConfig, found: Endpoint | None, speed: int
) -> Iterator[tuple[tuple[str, ...], Callable[[], Iterable[Finding]]]]:
    """Each with the findings that are missed when it is not asked."""
    if found is not None:
        yield ("endpoint",), lambda: hosting.findings(config, found)
        if found.watched:
            yield ("component",), lambda: hosting.component(config, found)
            yield ("scaling",), lambda: _scaling(config)
            yield ("instance-quota",), lambda: quotas.instances(config, found)
    yield ("cloudwatch", "live-traffic"), lambda: _cloudwatch(config, found, speed)
    yield ("prices",), lambda: _prices(config, found)


def _region(sagemaker: Any) -> Finding:
    url, region = str(sagemaker.meta.endpoint_url), sagemaker.meta.region_name
    host = urlsplit(url).hostname or ""
    if "amazonaws" in host or "api.aws" in host:
        return Finding("region", PASS, region)
    return Finding("region", PASS, f"{region}; {url} stands in for AWS")


def _not_described(fault: AwsFault) -> Finding:
    if fault.code == "ValidationException":  # what DescribeEndpoint says of one that is not there
        return Finding("endpoint", FAIL, str(fault), "correct target.endpoint or target.region")
    if fault.code.startswith(whoami.REFUSED):
        return Finding("endpoint", FAIL, str(fault), "see credentials")
    return not_available("endpoint", fault)


def _prices(config: RunConfig, found: Endpoint | None) -> Iterator[Finding]:
    """AWS's list prices, asked for anew and kept, for whoever reckons what a load costs."""
    if stays_here(config):
        return
    seen = NOT_SEEN if found is None else Seen(found.instance_type, found.instances)
    serverless = found is not None and found.serverless is not None
    try:
        known = pricing.refresh(config, seen, serverless=serverless).known
    except AwsFault as e:
        yield not_available("prices", e)
        return
    if known:
        yield Finding("prices", PASS, f"{len(known)} are known, those of AWS's price list asked for just now")
    else:
        yield not_available("prices", "AWS's price list has none of what is used here")


# Scaling


def _scaling(config: RunConfig) -> Iterator[Finding]:
    name, wanted = "scaling", config.scaling
    try:
        state = scaling.read(config)
    except ConfigError as e:
        yield Finding(name, FAIL, str(e), "correct `scaling`")
        return
    except AwsFault as e:
        if wanted is not None and e.code.startswith("AccessDenied"):
            yield Finding(name, FAIL, f"{e}; the experiment has to read and change it", "allow it, or leave it out")
        else:
            yield not_available(name, e)
        return
    foreign = ", ".join(state.foreign_policies)
    if state.target is None:
        yield Finding(name, PASS, f"{state.resource_id} is not registered for automatic scaling")
    else:
        names = ", ".join(str(policy["PolicyName"]) for policy in state.policies) or "none"
        asleep = paused(state.target.get("SuspendedState"))
        bounds = f"from {state.target['MinCapacity']} to {state.target['MaxCapacity']}"
        yield Finding(name, PASS, f"{bounds}, policies: {names}" + (f"; suspended: {asleep}" if asleep else ""))
    if wanted is None:
        return
    if foreign:
        yield Finding(
            "foreign-policies",
            WARN,
            f"not ours: {foreign}",
            "the experiment refuses them without --replace, which puts them back at its end",
        )
    if state.scheduled_actions:
        actions = ", ".join(state.action_names)
        yield Finding(
            "scheduled-actions",
            WARN,
            f"{actions}: none may act in the midst of a run",
            "the experiment refuses them without --replace, which suspends them until its end",
        )
    now = state.instances
    if now is not None and wanted.max_instances < now:
        yield Finding(
            "max-instances",
            FAIL,
            f"scaling.max_instances is {wanted.max_instances}, and there are {now}: those above would be taken away",
            f"give {now} or more",
        )


# CloudWatch


def _cloudwatch(config: RunConfig, found: Endpoint | None, speed: int) -> Iterator[Finding]:
    """Whether metrics may be read and there are any; and how many requests others have just sent."""
    try:
        invocations, points = _traffic(config, found, speed)
    except ConfigError as e:
        yield Finding("cloudwatch", WARN, f"{e}; a run would be without metrics", "correct it, or --speed")
        yield not_available("live-traffic", "it takes CloudWatch to tell")
        return
    except AwsFault as e:
        if e.code.startswith("AccessDenied"):
            yield Finding(
                "cloudwatch", WARN, f"{e}; a run goes on, and its report lacks all that it would say", "allow it"
            )
        else:
            yield not_available("cloudwatch", e)
        yield not_available("live-traffic", "it takes CloudWatch to tell")
        return
    minutes = f"the last {LOOK_BACK / 60:g} minutes"
    if points:
        yield Finding("cloudwatch", PASS, f"metrics may be read, {minutes} have {points} points")
    else:
        yield not_available(
            "cloudwatch", f"metrics may be read, and {minutes} have no point that would prove they come"
        )
    if invocations > A_FEW:
        yield Finding(
            "live-traffic",
            FAIL,
            f"{invocations:,.0f} invocations in {minutes}: somebody uses this endpoint, and would be measured too",
            "take an endpoint of your own; if they were yours, wait, or --allow live-traffic",
        )
    elif invocations:
        yield Finding(
            "live-traffic",
            WARN,
            f"{invocations:,.0f} invocations in {minutes}, as few as earlier checks may have sent",
            "make sure that nobody else uses this endpoint",
        )
    elif points:
        yield Finding("live-traffic", PASS, f"no invocations in {minutes}")
    else:
        yield not_available("live-traffic", "without any point, an endpoint nobody uses looks like a name nobody knows")


def _traffic(config: RunConfig, found: Endpoint | None, speed: int) -> tuple[float, int]:
    """Invocations of all variants since LOOK_BACK, and how many points there were, those of the instances too.

    Idle instances have CPUUtilization and no Invocations. Raises AwsFault and ConfigError.
    """
    endpoint, watched_one = watched(config)
    variants = (found.variants if found is not None else None) or [watched_one]
    now = time.time()
    since = now - LOOK_BACK / speed
    metrics = CloudWatch(config, [of_variant(endpoint, name, name) for name in variants], since, speed)
    pulled = metrics.pull_only(((INVOCATIONS, "Sum"), ("CPUUtilization", "Average")), since, now)
    for fault in pulled.faults.values():
        raise fault
    points = pulled.observations
    return sum(point.value for point in points if point.metric == INVOCATIONS), len(points)
