"""Automatic scaling of what is watched: what there is, pausing it, setting ours up, putting back what there was.

Nothing that was there is lost: a target that somebody registered is suspended, a policy that was taken away is put back
by `restore`, and for good only those are deleted whose names begin with PREFIX. What is scaled, a variant or an
inference component, serving says; keeping what was there where it cannot be lost is record/prior's.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

from sm_locust.aws import serving
from sm_locust.aws.session import AwsFault, ask, ask_all, client, watched
from sm_locust.config import ConfigError, CustomMetric, RunConfig, Scaling
from sm_locust.record.clock import RunClock
from sm_locust.record.observation import ScalingEvent
from sm_locust.scaled import PREFIX, Scaled

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
    registered = next(_pages(config, "DescribeScalableTargets"), None)
    return ScalingState(
        what.resource_id,
        what.dimension,
        None if registered is None else _as_registered(registered),
        tuple(sorted(_policies(config), key=lambda policy: str(policy["PolicyName"]))),
        tuple(_actions(config)),
        found.desired,
        _tags(config, registered),
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
    kinds = {"policy": state.foreign_policies, "action": state.action_names}
    if any(kinds.values()) and not replace:
        named = []
        if names := kinds["policy"]:
            named.append(f"the scaling {'policy' if len(names) == 1 else 'policies'} {', '.join(names)}")
        if names := kinds["action"]:
            named.append(f"the scheduled action{'' if len(names) == 1 else 's'} {', '.join(names)}")
        raise ConfigError(
            f"{state.resource_id} has {' and '.join(named)}, not ours, and they would scale it together with the "
            f"configuration's policy: give {option} to take policies away and suspend scheduled actions; they come back"
        )


def suspend(config: RunConfig, state: ScalingState) -> None:
    """Keeps a registered target from acting, of itself or by schedule, without losing anything. Raises AwsFault."""
    if state.target is not None:
        _call(config, "RegisterScalableTarget", SuspendedState=PAUSED)


def policy_name(scaling: Scaling) -> str:
    """The name under which `apply` puts its policy."""
    return PREFIX + scaling.metric_name


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
        "PolicyName": policy_name(section),
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
            _gone(config, "DeleteScalingPolicy", PolicyName=there["PolicyName"])
            said.append(f"Policy {there['PolicyName']} is taken away.")
    _call(
        config,
        "RegisterScalableTarget",
        MinCapacity=section.min_instances,
        MaxCapacity=section.max_instances,
        SuspendedState=_suspended(state),
    )
    _call(config, "PutScalingPolicy", **ours)
    said += [
        f"{state.resource_id} scales from {section.min_instances} to {what.counted(section.max_instances)}.",
        f"Policy {ours['PolicyName']} keeps {section.metric_name} at {section.target:g}.",
    ]
    others = [there["PolicyName"] for there in _policies(config) if there["PolicyName"] != ours["PolicyName"]]
    if others:
        said.append(f"Also in force, and the largest number of instances wins: {', '.join(sorted(others))}.")
    return said


def _suspended(state: ScalingState) -> dict[str, bool]:
    """A scheduled action in the midst of a run would be nobody's doing; without one there is nothing to suspend."""
    return {**dict.fromkeys(PAUSED, False), "ScheduledScalingSuspended": bool(state.scheduled_actions)}


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that scaling consists of, in words, as it is and as the configuration has it."""

    what: str
    now: str
    then: str

    @property
    def changes(self) -> bool:
        return self.now != self.then


NONE = "–"


def difference(config: RunConfig, state: ScalingState, serve: int | None = None) -> list[Difference]:
    """What `apply` would change, and what it would not, line by line.

    serve  instances or copies that serve now, for the reader

    Raises ConfigError.
    """
    section, what, ours = wanted(config), serving.scaled(config), policy(config)
    target, instances = state.target or {}, state.instances
    registered = f"{target['MinCapacity']} to {what.counted(target['MaxCapacity'])}" if target else "not registered"
    rows = [
        Difference("bounds", registered, f"{section.min_instances} to {what.counted(section.max_instances)}"),
        Difference("suspended", _paused(target.get("SuspendedState")) or NONE, _paused(_suspended(state)) or NONE),
    ]
    known = {str(there["PolicyName"]): there for there in state.policies}
    for name in sorted({*known, ours["PolicyName"]}):
        then = _words(ours) if name == ours["PolicyName"] else NONE
        now = _words(known[name]) if name in known else NONE
        rows.append(Difference(f"policy {name}", now, then))
    for action in state.scheduled_actions:
        moves = ", ".join(f"{key} {value}" for key, value in (action.get("ScalableTargetAction") or {}).items())
        now = f"{action.get('Schedule', '')} {moves}".strip()
        rows.append(Difference(f"scheduled action {action['ScheduledActionName']}", now, now))
    wanted_now = NONE if instances is None else what.counted(instances)
    then = NONE if instances is None else what.counted(max(instances, section.min_instances))
    serving_now = "" if serve in (None, instances) else f", {serve} serving"
    rows.append(Difference(what.counted(2).removeprefix("2 "), wanted_now + serving_now, then + serving_now))
    if state.tags:
        tags = ", ".join(f"{key}={value}" for key, value in sorted(state.tags.items()))
        rows.append(Difference("tags", tags, tags))
    return rows


def _paused(suspended: Mapping[str, bool] | None) -> str:
    return ", ".join(name.removesuffix("Suspended") for name, paused in (suspended or {}).items() if paused)


def _words(described: Mapping[str, Any]) -> str:
    """A policy in a few words."""
    tracking = described.get("TargetTrackingScalingPolicyConfiguration")
    if tracking is None:
        return str(described["PolicyType"])
    predefined = tracking.get("PredefinedMetricSpecification") or {}
    custom = tracking.get("CustomizedMetricSpecification") or {}
    metric = predefined.get("PredefinedMetricType") or " ".join(
        str(custom[key]) for key in ("Namespace", "MetricName", "Statistic") if key in custom
    )
    dimensions = ", ".join(str(each.get("Value")) for each in custom.get("Dimensions") or ())
    words = [f"{metric or 'metric math'}{f' of {dimensions}' if dimensions else ''} at {tracking['TargetValue']:g}"]
    for key, label in (("ScaleOutCooldown", "cooldown out"), ("ScaleInCooldown", "cooldown in")):
        if key in tracking:
            words.append(f"{label} {tracking[key]} s")
    if tracking.get("DisableScaleIn"):
        words.append("never in")
    return ", ".join(words)


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
    registered_by_us: bool = True,
    patience: float = 1800.0,
    every: float = 5.0,
    say: Callable[[str], None] = lambda _: None,
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
    for there in _policies(config):
        name = there["PolicyName"]
        if name.startswith(PREFIX) and name not in before:
            _gone(config, "DeleteScalingPolicy", PolicyName=name)
            yield f"Policy {name} is deleted."


def _registered_again(config: RunConfig, state: ScalingState) -> Iterator[str]:
    """Without a target nothing else can be put back; until all is, it takes nothing away."""
    if state.target is not None and _target(config) is None:
        most = max(state.target["MaxCapacity"], serving.describe(config).desired or 0)
        parameters = {**state.target, "MaxCapacity": most, "SuspendedState": PAUSED}
        if _SERVICE_LINKED in parameters.get("RoleARN", ""):
            del parameters["RoleARN"]
        _call(config, "RegisterScalableTarget", **parameters)
        yield f"{state.resource_id} is registered for scaling again."


def _policies_as_they_were(config: RunConfig, state: ScalingState) -> Iterator[str]:
    now = _policies(config) if state.policies else []
    for before in state.policies:
        if before not in now:
            _call(config, "PutScalingPolicy", **before)
            yield f"Policy {before['PolicyName']} is as it was."


def _actions_as_they_were(config: RunConfig, state: ScalingState) -> Iterator[str]:
    now = _actions(config) if state.scheduled_actions else []
    for before in state.scheduled_actions:
        if before not in now:
            _call(config, "PutScheduledAction", **before)
            yield f"Scheduled action {before['ScheduledActionName']} is as it was."


def _target_as_it_was(config: RunConfig, state: ScalingState) -> Iterator[str]:
    now = _target(config)
    if state.target is None or now is None or now == state.target:
        return
    parameters = dict(state.target)
    if parameters.get("RoleARN") == now.get("RoleARN"):
        parameters.pop("RoleARN", None)
    _call(config, "RegisterScalableTarget", **parameters)
    lowest, highest = state.target["MinCapacity"], serving.scaled(config).counted(state.target["MaxCapacity"])
    paused = _paused(state.target.get("SuspendedState"))
    yield f"{state.resource_id} scales from {lowest} to {highest} again{f', {paused} suspended' if paused else ''}."


def _tags_as_they_were(config: RunConfig, state: ScalingState) -> Iterator[str]:
    """They go with the target when somebody deregisters it. New ones stay."""
    if not state.tags:
        return
    registered = next(_pages(config, "DescribeScalableTargets"), None)
    now = _tags(config, registered) or {}
    lost = {key: value for key, value in state.tags.items() if now.get(key) != value}
    if registered is not None and lost:
        ask(client(config, SERVICE), "TagResource", ResourceARN=registered["ScalableTargetARN"], Tags=lost)
        yield f"Tags {', '.join(lost)} are as they were."


def _no_longer_registered(config: RunConfig, state: ScalingState, registered_by_us: bool) -> Iterator[str]:
    if state.target is not None or _target(config) is None:
        return
    if not registered_by_us:
        yield f"{state.resource_id} stays registered for scaling: it was not we who registered it."
        return
    others = [p["PolicyName"] for p in _policies(config) if not p["PolicyName"].startswith(PREFIX)]
    others += [action["ScheduledActionName"] for action in _actions(config)]
    if others:  # they would be deleted with it, and somebody wants them
        yield f"{state.resource_id} stays registered for scaling, for what is not ours: {', '.join(others)}."
    else:
        _gone(config, "DeregisterScalableTarget")
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


def alarm_names(config: RunConfig) -> list[str]:
    """The alarms that the policies have now. Raises AwsFault."""
    policies = _pages(config, "DescribeScalingPolicies")
    return [str(alarm["AlarmName"]) for there in policies for alarm in there.get("Alarms") or ()]


# What happened


_ASKED = re.compile(r"[Ss]etting desired (?:instance|copy) count to (\d+)")

_ENDED = {"Failed": "failed", "Unfulfilled": "could not be fulfilled", "Overridden": "was overridden"}

LONGEST_ACTIVITY = 6 * 3600.0  # seconds; instances that do not come by then will not


def activities(config: RunConfig, started_at: float, speed: int, since: float) -> list[ScalingEvent]:
    """What automatic scaling did, oldest first: an event when an activity began, another when it ended.

    started_at  Unix seconds of the run's start, on AWS's clock
    speed       schedule seconds for one real second
    since       Unix seconds, on AWS's clock: events before it are left out

    Raises AwsFault.
    """
    clock, what = RunClock(0.0, started_at, speed), serving.scaled(config)
    events = []
    for activity in _pages(config, "DescribeScalingActivities"):  # newest first, weeks of them
        if activity["StartTime"].timestamp() < since - LONGEST_ACTIVITY:
            break
        for at, desired, in_service, text in _told(activity, what):
            if at >= since:
                events.append(ScalingEvent(round(clock.at_s(clock.at(at)), 3), desired, in_service, text))
    return sorted(events, key=attrgetter("at_s"))


def _told(activity: dict[str, Any], what: Scaled) -> Iterator[tuple[float, int | None, int | None, str]]:
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
        yield ended, desired, desired, f"{what.counted(desired)} in service."


# Application Auto Scaling, for one resource


def _call(config: RunConfig, operation: str, **parameters: Any) -> dict[str, Any]:
    what = serving.scaled(config)
    return ask(
        client(config, SERVICE),
        operation,
        ServiceNamespace="sagemaker",
        ResourceId=what.resource_id,
        ScalableDimension=what.dimension,
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
    what = serving.scaled(config)
    which: dict[str, Any] = {"ResourceId": what.resource_id}
    if operation == "DescribeScalableTargets":
        which = {"ResourceIds": [what.resource_id]}
    pages = ask_all(
        client(config, SERVICE), operation, ServiceNamespace="sagemaker", ScalableDimension=what.dimension, **which
    )
    for page in pages:
        yield from page[operation.removeprefix("Describe")]


def _target(config: RunConfig) -> dict[str, Any] | None:
    return next((_as_registered(target) for target in _pages(config, "DescribeScalableTargets")), None)


def _as_registered(target: Mapping[str, Any]) -> dict[str, Any]:
    """As RegisterScalableTarget takes it; to leave SuspendedState out there would leave it as it is."""
    return {"SuspendedState": dict.fromkeys(PAUSED, False), **_only(target, _TARGET)}


def _policies(config: RunConfig) -> list[dict[str, Any]]:
    return [_only(policy, _POLICY) for policy in _pages(config, "DescribeScalingPolicies")]


def _actions(config: RunConfig) -> list[dict[str, Any]]:
    return [_only(action, _ACTION) for action in _pages(config, "DescribeScheduledActions")]


def _tags(config: RunConfig, registered: Mapping[str, Any] | None) -> dict[str, str] | None:
    """None also where we may not ask: nothing that we do changes them."""
    arn = None if registered is None else registered.get("ScalableTargetARN")
    if arn is None:
        return None
    try:
        return dict(ask(client(config, SERVICE), "ListTagsForResource", ResourceARN=arn).get("Tags") or {})
    except AwsFault as e:
        if e.passing:
            raise
        return None


def _only(described: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    """Those keys that are there, times as text, in UTC: botocore gives them in the zone of the machine that asks."""
    found = {key: described[key] for key in keys if key in described}
    return {k: v.astimezone(UTC).isoformat() if isinstance(v, datetime) else v for k, v in found.items()}
