"""Automatic scaling of what is watched: what there is, pausing it, setting ours up, putting back what there was.

Nothing that was there is lost: a target that somebody registered is suspended, a policy that was taken away is put back
by `restore`, and for good only those are deleted whose names begin with PREFIX. What it comes to in words is
preview's; keeping what was there where it cannot be lost is record/prior's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from sm_locust.aws import serving
from sm_locust.aws.application_autoscaling import (
    PAUSED,
    call,
    delete,
    paused,
    policies,
    registered,
    scheduled_actions,
    tag,
    tags_of,
    target_of,
)
from sm_locust.aws.session import AwsFault, watched
from sm_locust.config import ConfigError, CustomMetric, RunConfig, Scaling
from sm_locust.scaled import PREFIX

_SERVICE_LINKED = ":role/aws-service-role/"  # AWS takes such a role of itself; to name it would want iam:PassRole


@dataclass(frozen=True, slots=True)
class ScalingState:
    """All that decides how many instances a variant has, at one moment, in AWS's own field names and JSON's types.

    target             MinCapacity, MaxCapacity, SuspendedState, RoleARN; None when it is not registered
    policies           each as PutScalingPolicy takes it, by name
    scheduled_actions  each as PutScheduledAction takes it; times as ISO 8601 in UTC
    instances          wanted (copies, for an inference component); None for a serverless variant
    tags               of the scalable target; None when it is not registered, or we may not ask
    arn                of the endpoint or inference component
    """

    resource_id: str
    dimension: str
    target: dict[str, Any] | None
    policies: tuple[dict[str, Any], ...]
    scheduled_actions: tuple[dict[str, Any], ...]
    instances: int | None
    tags: dict[str, str] | None = None
    arn: str = field(default="", compare=False)

    @property
    def foreign_policies(self) -> tuple[str, ...]:
        """Names of the policies that are not ours."""
        names = (str(policy["PolicyName"]) for policy in self.policies)
        return tuple(name for name in names if not name.startswith(PREFIX))

    @property
    def action_names(self) -> tuple[str, ...]:
        """Names of the scheduled actions; none of them is ever ours."""
        return tuple(str(action["ScheduledActionName"]) for action in self.scheduled_actions)

    def as_dict(self) -> dict[str, Any]:
        """Primitives for JSON."""
        return {**asdict(self), "policies": list(self.policies), "scheduled_actions": list(self.scheduled_actions)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ScalingState:
        """The inverse of `as_dict`. Raises KeyError or TypeError for what is none."""
        return cls(
            **{
                **data,
                "policies": tuple(data["policies"]),
                "scheduled_actions": tuple(data["scheduled_actions"]),
            }
        )


def read(config: RunConfig) -> ScalingState:
    """What there is now. Raises AwsFault, and ConfigError when the configuration does not name what is scaled."""
    what, found = serving.scaled(config), serving.describe(config)
    target = registered(config)
    return ScalingState(
        what.resource_id,
        what.dimension,
        target_of(target),
        tuple(sorted(policies(config), key=lambda policy: str(policy["PolicyName"]))),
        tuple(scheduled_actions(config)),
        found.desired,
        tags_of(config, target),
        found.arn,
    )


def wanted(config: RunConfig) -> Scaling:
    """`config.scaling`, if what it scales is named. Raises ConfigError."""
    if config.scaling is None:
        raise ConfigError("scaling: missing; required: min_instances, max_instances, metric and target")
    serving.scaled(config)
    return config.scaling


def check(config: RunConfig, state: ScalingState, *, replace: bool, option: str = "--replace") -> None:
    """Refuses what `apply` must not do to `state`, before anything is changed.

    replace  whether others' policies may be taken away and their scheduled actions suspended
    option   that says so

    Raises ConfigError.
    """
    section, what = wanted(config), serving.scaled(config)
    if state.instances is None:
        raise ConfigError(f"{state.resource_id} is serverless: its instances cannot be scaled")
    if state.instances > section.max_instances:
        raise ConfigError(
            f"scaling.max_instances: {section.max_instances} is not accepted: {state.resource_id} has "
            f"{what.counted(state.instances)}, and those above the maximum would be gone at once; "
            f"{state.instances} or more"
        )
    named = []
    if names := state.foreign_policies:
        named.append(f"the scaling {'policy' if len(names) == 1 else 'policies'} {', '.join(names)}")
    if names := state.action_names:
        named.append(f"the scheduled action{'' if len(names) == 1 else 's'} {', '.join(names)}")
    if named and not replace:
        raise ConfigError(
            f"{state.resource_id} has {' and '.join(named)}, not ours, and they would scale it together with the "
            f"configuration's policy: give {option} to take policies away and suspend scheduled actions; they come back"
        )


def suspend(config: RunConfig, state: ScalingState) -> None:
    """Keeps a registered target from acting, of itself or by schedule, without losing anything. Raises AwsFault."""
    if state.target is not None:
        call(config, "RegisterScalableTarget", SuspendedState=PAUSED)


def policy(config: RunConfig) -> dict[str, Any]:
    """The policy of `config.scaling`, as PutScalingPolicy takes it. Raises ConfigError."""
    section = wanted(config)
    tracking: dict[str, Any] = {"TargetValue": section.target}
    if isinstance(section.metric, CustomMetric):
        tracking["CustomizedMetricSpecification"] = _customized(config, section.metric)
    else:
        tracking["PredefinedMetricSpecification"] = {"PredefinedMetricType": section.metric}
    cooldowns = {"ScaleOutCooldown": section.scale_out_cooldown, "ScaleInCooldown": section.scale_in_cooldown}
    tracking.update({name: seconds for name, seconds in cooldowns.items() if seconds is not None})
    return {
        "PolicyName": PREFIX + section.metric_name,
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": tracking,
    }


def _customized(config: RunConfig, metric: CustomMetric) -> dict[str, Any]:
    name, variant = watched(config)
    dimensions = metric.dimensions or {"EndpointName": name, "VariantName": variant}
    return {
        "MetricName": metric.name,
        "Namespace": metric.namespace,
        "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()],
        "Statistic": metric.statistic,
        **({} if metric.unit is None else {"Unit": metric.unit}),
    }


def apply(config: RunConfig, state: ScalingState) -> list[str]:
    """Sets up the target tracking of `config.scaling` in place of what `state` holds; says in sentences what was done.

    What there is moves within min_instances and max_instances at once. Every policy of `state` is taken away, which
    `restore` puts back: keep it where it cannot be lost, and let `check` have its say first. Scheduled actions stay and
    are suspended.

    Raises ConfigError for what cannot be set up, AwsFault when AWS refuses.
    """
    ours, section, what = policy(config), wanted(config), serving.scaled(config)
    said = []
    for there in state.policies:
        if there["PolicyName"] != ours["PolicyName"]:
            delete(config, "DeleteScalingPolicy", PolicyName=there["PolicyName"])
            said.append(f"Policy {there['PolicyName']} is taken away.")
    call(
        config,
        "RegisterScalableTarget",
        MinCapacity=section.min_instances,
        MaxCapacity=section.max_instances,
        SuspendedState=suspended(state),
    )
    call(config, "PutScalingPolicy", **ours)
    said += [
        f"{state.resource_id} scales from {section.min_instances} to {what.counted(section.max_instances)}.",
        f"Policy {ours['PolicyName']} keeps {section.metric_name} at {section.target:g}.",
    ]
    others = [there["PolicyName"] for there in policies(config) if there["PolicyName"] != ours["PolicyName"]]
    if others:
        said.append(f"Also in force, and the largest number of instances wins: {', '.join(sorted(others))}.")
    return said


def suspended(state: ScalingState) -> dict[str, bool]:
    """What `apply` suspends: a scheduled action in the midst of a run would be nobody's doing."""
    return {**dict.fromkeys(PAUSED, False), "ScheduledScalingSuspended": bool(state.scheduled_actions)}


def remove(config: RunConfig, *, registered_by_us: bool) -> list[str]:
    """Takes away our policies, and the registration if it is ours and nothing else needs it; says what was done.

    Raises AwsFault, at the end, when a step was refused.
    """
    what = serving.scaled(config)
    without = ScalingState(what.resource_id, what.dimension, None, (), (), None)
    steps = (_without_our_policies(config, without), _no_longer_registered(config, without, registered_by_us))
    return _done(f"what is ours on {what.resource_id} is not all gone", steps, [])


def restore(
    config: RunConfig,
    state: ScalingState,
    *,
    registered_by_us: bool,
    patience: float,
    every: float,
    say: Callable[[str], None],
    done: list[str] | None = None,
) -> list[str]:
    """Puts back what `read` found, and says in sentences what was done: nothing, when all is as it was.

    Each step compares before it acts, so it can be done again after an interruption. A step that AWS refuses does not
    keep the others from being done. What may take instances away comes last: the bounds, then the number itself.

    registered_by_us      whether a target that is registered now, and was not, may be ours
    patience, every, say  for an endpoint that is Updating: see serving.wait_until_steady
    done                  where the sentences go, which are then there also when it raises

    Raises AwsFault, at the end, when a step was refused.
    """
    steps = (
        _without_our_policies(config, state),
        _registered_again(config, state),
        _policies_as_they_were(config, state),
        _actions_as_they_were(config, state),
        _target_as_it_was(config, state),
        _tags_as_they_were(config, state),
        _no_longer_registered(config, state, registered_by_us),
        _instances_as_they_were(config, state, patience, every, say),
    )
    return _done(f"scaling of {state.resource_id} is not as it was", steps, [] if done is None else done)


def _done(otherwise: str, steps: Iterable[Iterator[str]], done: list[str]) -> list[str]:
    """What the steps did, each whatever became of the others. Raises AwsFault that begins with `otherwise`."""
    faults: dict[str, AwsFault] = {}  # by what they say: steps that fail for one reason need not say it twice
    for step in steps:
        try:
            for sentence in step:
                done.append(sentence)  # one by one: what was done before a fault was done
        except AwsFault as e:
            faults[str(e)] = e
    if faults:
        raise AwsFault(
            f"{otherwise}: {'; '.join(faults)}",
            next(iter(faults.values())).code,
            passing=all(fault.passing for fault in faults.values()),
        )
    return done


def _without_our_policies(config: RunConfig, state: ScalingState) -> Iterator[str]:
    before = {policy["PolicyName"] for policy in state.policies}
    for there in policies(config):
        name = there["PolicyName"]
        if name.startswith(PREFIX) and name not in before:
            delete(config, "DeleteScalingPolicy", PolicyName=name)
            yield f"Policy {name} is deleted."


def _registered_again(config: RunConfig, state: ScalingState) -> Iterator[str]:
    """Without a target nothing else can be put back; until all is, it takes nothing away."""
    if state.target is not None and registered(config) is None:
        most = max(state.target["MaxCapacity"], serving.describe(config).desired or 0)
        parameters = {**state.target, "MaxCapacity": most, "SuspendedState": PAUSED}
        if _SERVICE_LINKED in parameters.get("RoleARN", ""):
            del parameters["RoleARN"]
        call(config, "RegisterScalableTarget", **parameters)
        yield f"{state.resource_id} is registered for scaling again."


def _policies_as_they_were(config: RunConfig, state: ScalingState) -> Iterator[str]:
    return _put_again(config, state.policies, policies, "PutScalingPolicy", "Policy {PolicyName}")


def _actions_as_they_were(config: RunConfig, state: ScalingState) -> Iterator[str]:
    what = "Scheduled action {ScheduledActionName}"
    return _put_again(config, state.scheduled_actions, scheduled_actions, "PutScheduledAction", what)


def _put_again(
    config: RunConfig,
    before: Sequence[dict[str, Any]],
    read: Callable[[RunConfig], list[dict[str, Any]]],
    operation: str,
    what: str,
) -> Iterator[str]:
    """Those of `before` that are no longer there, or no longer so."""
    now = read(config) if before else []
    for each in before:
        if each not in now:
            call(config, operation, **each)
            yield f"{what.format(**each)} is as it was."


def _target_as_it_was(config: RunConfig, state: ScalingState) -> Iterator[str]:
    now = target_of(registered(config))
    if state.target is None or now is None or now == state.target:
        return
    parameters = dict(state.target)
    if parameters.get("RoleARN") == now.get("RoleARN"):
        parameters.pop("RoleARN", None)
    call(config, "RegisterScalableTarget", **parameters)
    lowest, highest = state.target["MinCapacity"], serving.scaled(config).counted(state.target["MaxCapacity"])
    asleep = paused(state.target.get("SuspendedState"))
    yield f"{state.resource_id} scales from {lowest} to {highest} again{f', {asleep} suspended' if asleep else ''}."


def _tags_as_they_were(config: RunConfig, state: ScalingState) -> Iterator[str]:
    """They go with the target when somebody deregisters it. New ones stay."""
    if not state.tags:
        return
    target = registered(config)
    now = tags_of(config, target) or {}
    lost = {key: value for key, value in state.tags.items() if now.get(key) != value}
    if target is not None and lost:
        tag(config, target, lost)
        yield f"Tags {', '.join(lost)} are as they were."


def _no_longer_registered(config: RunConfig, state: ScalingState, registered_by_us: bool) -> Iterator[str]:
    if state.target is not None or registered(config) is None:
        return
    if not registered_by_us:
        yield f"{state.resource_id} stays registered for scaling: it was not we who registered it."
        return
    others = [p["PolicyName"] for p in policies(config) if not p["PolicyName"].startswith(PREFIX)]
    others += [action["ScheduledActionName"] for action in scheduled_actions(config)]
    if others:  # they would be deleted with it, and somebody wants them
        yield f"{state.resource_id} stays registered for scaling, for what is not ours: {', '.join(others)}."
    else:
        delete(config, "DeregisterScalableTarget")
        yield f"{state.resource_id} is no longer registered for scaling."


def _instances_as_they_were(
    config: RunConfig, state: ScalingState, patience: float, every: float, say: Callable[[str], None]
) -> Iterator[str]:
    if state.instances is None:
        return
    what = serving.scaled(config)
    deadline = time.monotonic() + patience
    while serving.describe(config).desired != state.instances:
        left = max(0.0, deadline - time.monotonic())
        serving.wait_until_steady(config, None, patience=left, every=every, say=say)  # until then it takes no number
        try:
            serving.ask_for(config, state.instances)
        except AwsFault as e:
            if "in-progress" not in str(e) or left == 0:
                raise
            continue  # a policy, or the bounds, moved the instances just then
        yield f"{what.name} is asked for {what.counted(state.instances)} again."
        return
