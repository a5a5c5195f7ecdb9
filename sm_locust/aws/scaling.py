"""Automatic scaling of the watched variant: what there is, pausing it, setting ours up, putting back what there was.

Nothing that was there is lost: a target that somebody registered is suspended, a policy that was taken away is put back
by `restore`, and for good only those are deleted whose names begin with PREFIX. Variants only: inference components
scale by other names.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any

from sm_locust.aws import endpoint
from sm_locust.aws.session import AwsFault, ask, ask_all, client, watched
from sm_locust.config import ConfigError, RunConfig, Scaling
from sm_locust.record.clock import RunClock
from sm_locust.record.observation import ScalingEvent

PREFIX = "sm-locust-"  # of the names of our policies
SERVICE = "application-autoscaling"
DIMENSION = "sagemaker:variant:DesiredInstanceCount"

PAUSED = {
    "DynamicScalingInSuspended": True,
    "DynamicScalingOutSuspended": True,
    "ScheduledScalingSuspended": True,
}
# A scheduled action in the midst of a run would be nobody's doing; it stays out until the run is over.
TRACKING = {**PAUSED, "DynamicScalingInSuspended": False, "DynamicScalingOutSuspended": False}

_TARGET = ("MinCapacity", "MaxCapacity", "SuspendedState")
_POLICY = (
    "PolicyName",
    "PolicyType",
    "StepScalingPolicyConfiguration",
    "TargetTrackingScalingPolicyConfiguration",
    "PredictiveScalingPolicyConfiguration",
)
_ACTION = ("ScheduledActionName", "Schedule", "Timezone", "StartTime", "EndTime", "ScalableTargetAction")


@dataclass(frozen=True, slots=True)
class ScalingState:
    """All that decides how many instances a variant has, at one moment, in AWS's own field names and JSON's types.

    target             MinCapacity, MaxCapacity, SuspendedState; None when it is not registered
    policies           each as PutScalingPolicy takes it, by name
    scheduled_actions  for the record: they stay where they are
    instances          wanted; None for a serverless variant
    """

    resource_id: str
    dimension: str
    target: dict[str, Any] | None
    policies: tuple[dict[str, Any], ...]
    scheduled_actions: tuple[dict[str, Any], ...]
    instances: int | None

    @property
    def foreign_policies(self) -> tuple[str, ...]:
        """Names of the policies that are not ours."""
        names = (str(policy["PolicyName"]) for policy in self.policies)
        return tuple(name for name in names if not name.startswith(PREFIX))

    def as_dict(self) -> dict[str, Any]:
        """Primitives for JSON."""
        return {**asdict(self), "policies": list(self.policies), "scheduled_actions": list(self.scheduled_actions)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ScalingState:
        """The inverse of `as_dict`."""
        return cls(
            **{
                **data,
                "policies": tuple(data["policies"]),
                "scheduled_actions": tuple(data["scheduled_actions"]),
            }
        )


def read(config: RunConfig) -> ScalingState:
    """What there is now. Raises AwsFault."""
    variant = endpoint.describe(config)
    return ScalingState(
        resource_id(config),
        DIMENSION,
        _target(config),
        tuple(sorted(_policies(config), key=lambda policy: str(policy["PolicyName"]))),
        tuple(_only(action, _ACTION) for action in _pages(config, "DescribeScheduledActions")),
        variant.desired,
    )


def suspend(config: RunConfig, state: ScalingState) -> None:
    """Keeps a registered target from acting, of itself or by schedule, without losing anything. Raises AwsFault."""
    if state.target is not None:
        _call(config, "RegisterScalableTarget", SuspendedState=PAUSED)


def take_away(config: RunConfig, state: ScalingState) -> None:
    """Deletes the policies of `state`, which `restore` puts back: keep it where it cannot be lost. Raises AwsFault."""
    for policy in state.policies:
        _gone(config, "DeleteScalingPolicy", PolicyName=policy["PolicyName"])


def policy_name(scaling: Scaling) -> str:
    """The name under which `apply` puts its policy."""
    return PREFIX + scaling.metric


def apply(config: RunConfig, name: str | None = None) -> list[str]:
    """Sets up the target tracking of `config.scaling` and says in sentences what was done.

    The variant's instances move within min_instances and max_instances at once.

    name  of the policy, beginning with PREFIX; `policy_name` by default

    Raises ConfigError for what cannot be set up, AwsFault when AWS refuses.
    """
    wanted = of_a_variant(config)
    name = policy_name(wanted) if name is None else name
    if not name.startswith(PREFIX):
        raise ConfigError(f"scaling policy {name!r}: its name must begin with {PREFIX}, or it would never be removed")
    _call(
        config,
        "RegisterScalableTarget",
        MinCapacity=wanted.min_instances,
        MaxCapacity=wanted.max_instances,
        SuspendedState=TRACKING,
    )
    _call(
        config,
        "PutScalingPolicy",
        PolicyName=name,
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={
            "TargetValue": wanted.target,
            "PredefinedMetricSpecification": {"PredefinedMetricType": wanted.metric},
        },
    )
    said = [
        f"{resource_id(config)} scales from {wanted.min_instances} to {wanted.max_instances} instances.",
        f"Policy {name} keeps {wanted.metric} at {wanted.target:g}.",
    ]
    others = [policy["PolicyName"] for policy in _policies(config) if policy["PolicyName"] != name]
    if others:
        said.append(f"Also in force, and the largest number of instances wins: {', '.join(sorted(others))}.")
    return said


def of_a_variant(config: RunConfig) -> Scaling:
    """`config.scaling`, if a variant can scale by it. Raises ConfigError."""
    if config.scaling is None:
        raise ConfigError("scaling: missing; required: min_instances, max_instances, metric and target")
    if "InferenceComponent" in config.scaling.metric:
        raise ConfigError(
            f"scaling.metric: {config.scaling.metric} is of inference components, which are not supported yet; "
            "accepted: SageMakerVariantInvocationsPerInstance, SageMakerVariantConcurrentRequestsPerModelHighResolution"
        )
    return config.scaling


def restore(
    config: RunConfig,
    state: ScalingState,
    *,
    patience: float = 1800.0,
    every: float = 5.0,
    say: Callable[[str], None] = lambda _: None,
) -> list[str]:
    """Puts back what `read` found, and says in sentences what was done: nothing, when all is as it was.

    Each step compares before it acts, so it can be done again after an interruption. A step that AWS refuses does not
    keep the others from being done.

    patience, every, say  for an endpoint that is Updating: see endpoint.wait_until_steady

    Raises AwsFault, at the end, when a step was refused; its text says also what was done.
    """
    done: list[str] = []
    faults: dict[str, AwsFault] = {}  # by what they say: steps that fail for one reason need not say it twice
    for step in (
        _without_our_policies(config, state),
        _target_as_it_was(config, state),
        _policies_as_they_were(config, state),
        _instances_as_they_were(config, state, patience, every, say),
    ):
        try:
            for sentence in step:
                done.append(sentence)  # one by one: what was done before a fault was done
        except AwsFault as e:
            faults[str(e)] = e
    if faults:
        raise AwsFault(
            f"scaling of {state.resource_id} is not as it was: {'; '.join(faults)}"
            + (f" (done: {' '.join(done)})" if done else ""),
            next(iter(faults.values())).code,
            passing=all(fault.passing for fault in faults.values()),
        )
    return done


def _without_our_policies(config: RunConfig, state: ScalingState) -> Iterator[str]:
    before = {policy["PolicyName"] for policy in state.policies}
    for policy in _policies(config):
        name = policy["PolicyName"]
        if name.startswith(PREFIX) and name not in before:
            _gone(config, "DeleteScalingPolicy", PolicyName=name)
            yield f"Policy {name} is deleted."


def _target_as_it_was(config: RunConfig, state: ScalingState) -> Iterator[str]:
    now = _target(config)
    if state.target is not None and now != state.target:
        _call(config, "RegisterScalableTarget", **state.target)
        lowest, highest = state.target["MinCapacity"], state.target["MaxCapacity"]
        suspended = state.target.get("SuspendedState", {})
        paused = ", ".join(name.removesuffix("Suspended") for name, is_paused in suspended.items() if is_paused)
        yield (
            f"{state.resource_id} scales from {lowest} to {highest} instances again"
            f"{f', {paused} suspended' if paused else ''}."
        )
    elif state.target is None and now is not None:
        others = [p["PolicyName"] for p in _policies(config) if not p["PolicyName"].startswith(PREFIX)]
        others += [action["ScheduledActionName"] for action in _pages(config, "DescribeScheduledActions")]
        if others:  # they would be deleted with it, and somebody wants them
            yield f"{state.resource_id} stays registered for scaling, for what is not ours: {', '.join(others)}."
        else:
            _gone(config, "DeregisterScalableTarget")
            yield f"{state.resource_id} is no longer registered for scaling."


def _policies_as_they_were(config: RunConfig, state: ScalingState) -> Iterator[str]:
    now = _policies(config) if state.policies else []
    for policy in state.policies:
        if policy not in now:
            _call(config, "PutScalingPolicy", **policy)
            yield f"Policy {policy['PolicyName']} is as it was."


def _instances_as_they_were(
    config: RunConfig, state: ScalingState, patience: float, every: float, say: Callable[[str], None]
) -> Iterator[str]:
    if state.instances is None:
        return
    deadline = time.monotonic() + patience
    while endpoint.describe(config).desired != state.instances:
        left = max(0.0, deadline - time.monotonic())
        endpoint.wait_until_steady(config, None, patience=left, every=every, say=say)  # until then it takes no number
        try:
            endpoint.set_instances(config, state.instances)
        except AwsFault as e:
            if "in-progress" not in str(e) or left == 0:
                raise
            continue  # a policy, or the bounds, moved the instances just then
        yield f"{watched(config).endpoint} is asked for {endpoint.counted(state.instances)} again."
        return


# What happened


_ASKED = re.compile(r"[Ss]etting desired instance count to (\d+)")

_ENDED = {"Failed": "failed", "Unfulfilled": "could not be fulfilled", "Overridden": "was overridden"}

LONGEST_ACTIVITY = 6 * 3600.0  # seconds; instances that do not come by then will not


def activities(config: RunConfig, started_at: float, speed: int, since: float) -> list[ScalingEvent]:
    """What automatic scaling did, oldest first: an event when an activity began, another when it ended.

    started_at  Unix seconds of the run's start, on AWS's clock
    speed       schedule seconds for one real second
    since       Unix seconds, on AWS's clock: events before it are left out

    Raises AwsFault.
    """
    clock = RunClock(0.0, started_at, speed)
    events = []
    for activity in _pages(config, "DescribeScalingActivities"):  # newest first, weeks of them
        if activity["StartTime"].timestamp() < since - LONGEST_ACTIVITY:
            break
        for at, desired, in_service, text in _told(activity):
            if at >= since:
                events.append(ScalingEvent(round(clock.at_s(clock.at(at)), 3), desired, in_service, text))
    return sorted(events, key=attrgetter("at_s"))


def _told(activity: dict[str, Any]) -> Iterator[tuple[float, int | None, int | None, str]]:
    """An activity's events: Unix seconds, instances desired, in service, what happened."""
    description = str(activity["Description"])
    asked = _ASKED.search(description)
    desired = int(asked[1]) if asked else None
    began = activity["StartTime"].timestamp()
    yield began, desired, None, description
    status = activity["StatusCode"]
    ended = activity["EndTime"].timestamp() if "EndTime" in activity else began
    if status in _ENDED:
        reason = activity.get("StatusMessage")
        yield ended, None, None, f"{description.rstrip('.')} {_ENDED[status]}{f': {reason}' if reason else '.'}"
    elif status == "Successful" and desired is not None:
        yield ended, desired, desired, f"{endpoint.counted(desired)} in service."


# Application Auto Scaling, for one variant


def resource_id(config: RunConfig) -> str:
    """The watched variant's name in Application Auto Scaling."""
    return "endpoint/{}/variant/{}".format(*watched(config))


def _call(config: RunConfig, operation: str, **parameters: Any) -> dict[str, Any]:
    return ask(
        client(config, SERVICE),
        operation,
        ServiceNamespace="sagemaker",
        ResourceId=resource_id(config),
        ScalableDimension=DIMENSION,
        **parameters,
    )


def _gone(config: RunConfig, operation: str, **parameters: Any) -> None:
    """Deletes what may be gone already."""
    try:
        _call(config, operation, **parameters)
    except AwsFault as e:
        if e.code != "ObjectNotFoundException":
            raise


def _pages(config: RunConfig, operation: str) -> Iterator[dict[str, Any]]:
    """All items of a Describe operation, which are called as it is."""
    which: dict[str, Any] = {"ResourceId": resource_id(config)}
    if operation == "DescribeScalableTargets":
        which = {"ResourceIds": [resource_id(config)]}
    pages = ask_all(
        client(config, SERVICE), operation, ServiceNamespace="sagemaker", ScalableDimension=DIMENSION, **which
    )
    for page in pages:
        yield from page[operation.removeprefix("Describe")]


def _target(config: RunConfig) -> dict[str, Any] | None:
    return next((_only(target, _TARGET) for target in _pages(config, "DescribeScalableTargets")), None)


def _policies(config: RunConfig) -> list[dict[str, Any]]:
    return [_only(policy, _POLICY) for policy in _pages(config, "DescribeScalingPolicies")]


def _only(described: dict[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    """Those keys that are there, times as text."""
    found = {key: described[key] for key in keys if key in described}
    return {key: value.isoformat() if isinstance(value, datetime) else value for key, value in found.items()}
