"""Application Auto Scaling of the one resource that a configuration scales: its calls, and what it has set up there.

What it has is given as the calls that set it up take it. What is done with that is scaling's, what came of it events'.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from sm_locust.aws import serving
from sm_locust.aws.session import AwsFault, ask, ask_all, client
from sm_locust.config import RunConfig

SERVICE = "application-autoscaling"

PAUSED = {
    "DynamicScalingInSuspended": True,
    "DynamicScalingOutSuspended": True,
    "ScheduledScalingSuspended": True,
}

_TARGET = ("MinCapacity", "MaxCapacity", "SuspendedState", "RoleARN")
_POLICY = (
    "PolicyName",
    "PolicyType",
    "StepScalingPolicyConfiguration",
    "TargetTrackingScalingPolicyConfiguration",
    "PredictiveScalingPolicyConfiguration",
)
_ACTION = ("ScheduledActionName", "Schedule", "Timezone", "StartTime", "EndTime", "ScalableTargetAction")


def call(config: RunConfig, operation: str, **parameters: Any) -> None:
    """Raises AwsFault."""
    what = serving.scaled(config)
    ask(
        client(config, SERVICE),
        operation,
        ServiceNamespace="sagemaker",
        ResourceId=what.resource_id,
        ScalableDimension=what.dimension,
        **parameters,
    )


def delete(config: RunConfig, operation: str, **parameters: Any) -> None:
    """What may be gone already. Raises AwsFault."""
    try:
        call(config, operation, **parameters)
    except AwsFault as e:
        if e.code != "ObjectNotFoundException":
            raise


def described(config: RunConfig, operation: str) -> Iterator[dict[str, Any]]:
    """All items of a Describe operation, which are called as it is. Raises AwsFault."""
    what = serving.scaled(config)
    which: dict[str, Any] = {"ResourceId": what.resource_id}
    if operation == "DescribeScalableTargets":
        which = {"ResourceIds": [what.resource_id]}
    pages = ask_all(
        client(config, SERVICE), operation, ServiceNamespace="sagemaker", ScalableDimension=what.dimension, **which
    )
    for page in pages:
        yield from page[operation.removeprefix("Describe")]


def registered(config: RunConfig) -> dict[str, Any] | None:
    """The scalable target, as it is described."""
    return next(described(config, "DescribeScalableTargets"), None)


def target_of(found: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What is `registered`, as RegisterScalableTarget takes it: to leave SuspendedState out would leave it as it is."""
    return None if found is None else {"SuspendedState": dict.fromkeys(PAUSED, False), **_only(found, _TARGET)}


def tags_of(config: RunConfig, found: Mapping[str, Any] | None) -> dict[str, str] | None:
    """Those of what is `registered`; None also where we may not ask: nothing that we do changes them."""
    arn = None if found is None else found.get("ScalableTargetARN")
    if arn is None:
        return None
    try:
        return dict(ask(client(config, SERVICE), "ListTagsForResource", ResourceARN=arn).get("Tags") or {})
    except AwsFault as e:
        if e.passing:
            raise
        return None


def tag(config: RunConfig, found: Mapping[str, Any], tags: Mapping[str, str]) -> None:
    """Raises AwsFault."""
    ask(client(config, SERVICE), "TagResource", ResourceARN=found["ScalableTargetARN"], Tags=dict(tags))


def policies(config: RunConfig) -> list[dict[str, Any]]:
    """As PutScalingPolicy takes them."""
    return [_only(policy, _POLICY) for policy in described(config, "DescribeScalingPolicies")]


def scheduled_actions(config: RunConfig) -> list[dict[str, Any]]:
    """As PutScheduledAction takes them."""
    return [_only(action, _ACTION) for action in described(config, "DescribeScheduledActions")]


def paused(suspended: Mapping[str, bool] | None) -> str:
    """A SuspendedState in words; empty where nothing is."""
    return ", ".join(name.removesuffix("Suspended") for name, is_so in (suspended or {}).items() if is_so)


def _only(described: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    """Those keys that are there, times as text, in UTC: botocore gives them in the zone of the machine that asks."""
    found = {key: described[key] for key in keys if key in described}
    return {k: v.astimezone(UTC).isoformat() if isinstance(v, datetime) else v for k, v in found.items()}
