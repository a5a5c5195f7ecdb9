"""Application Auto Scaling of the one variant or inference component: its scalable target with its tags, and what its
policies and scheduled actions lead to.

Holds what AWS would hold, in AWS's own field names where they go over the wire, and acts on the fleet by the rules of
`target_tracking`. What a policy or an action holds is `policies`' and `scheduled`'s; speaking the protocol and paging
are the services'; when a period is over the controller says.
"""

from __future__ import annotations

import math
import uuid
from collections import deque
from dataclasses import dataclass
from typing import Any

from sm_locust.local import policies, scheduled
from sm_locust.local.alarms import Watched
from sm_locust.local.errors import AwsError
from sm_locust.local.fleet import IN_SERVICE, Fleet
from sm_locust.local.metrics import MetricName, Metrics
from sm_locust.local.policies import Policy
from sm_locust.local.scaled import NAMESPACE, scaled
from sm_locust.local.scheduled import ScheduledAction
from sm_locust.local.settings import ACCOUNT, MOST_INSTANCES, Settings
from sm_locust.local.shapes import invalid
from sm_locust.target_tracking import (
    LOW_PERIODS,
    PERIOD,
    Action,
    Bounds,
    Decision,
    Held,
    Instances,
    step,
)

SUSPENDED_STATE = ("DynamicScalingInSuspended", "DynamicScalingOutSuspended", "ScheduledScalingSuspended")

MOST_TAGS = 50
MOST_SCHEDULED_ACTIONS = 200

_REMEMBERED = 1000  # activities, and items of the alarms' history: AWS keeps weeks


@dataclass(slots=True)
class _Target:
    arn: str
    min_capacity: int
    max_capacity: int
    suspended: dict[str, bool]
    role_arn: str
    created_at: float
    tags: dict[str, str]

    @property
    def bounds(self) -> Bounds:
        return Bounds(
            # AWS registers 0 too, but the one instance, or copy, always stays here.
            max(self.min_capacity, 1),
            self.max_capacity,
            scale_in_suspended=self.suspended["DynamicScalingInSuspended"],
            scale_out_suspended=self.suspended["DynamicScalingOutSuspended"],
        )


@dataclass(slots=True)
class _Progress:
    """A change of capacity that is not yet complete, and how many instances it adds (negative: removes)."""

    activity: dict[str, Any]
    added: int
    by_policy: bool


class AutoScaling:
    """All times are Unix seconds; what the schedule times (periods, cooldowns) is divided by `speed` in reality."""

    def __init__(self, fleet: Fleet, metrics: Metrics, settings: Settings, speed: int) -> None:
        self._fleet = fleet
        self._metrics = metrics
        self._region = settings.region
        self._arn_head = f"arn:aws:autoscaling:{settings.region}:{ACCOUNT}"
        self._speed = speed
        self._period = PERIOD // speed
        self._scaled = scaled(settings)
        self._resource_id, self._dimension = self._scaled.resource_id, self._scaled.dimension
        self._endpoint_is_deleted = False
        self._target: _Target | None = None
        self._policies: dict[str, Policy] = {}
        self._actions: dict[str, ScheduledAction] = {}
        self._actions_until = -math.inf  # those due before have been carried out
        self._progress: _Progress | None = None
        self._last: Action | None = None  # in schedule seconds
        self._activities: deque[dict[str, Any]] = deque(maxlen=_REMEMBERED)  # newest first, as are:
        self._history: deque[dict[str, Any]] = deque(maxlen=_REMEMBERED)
        self._not_scaled: tuple[str, Held] | None = None  # the alarm and reason last written down, once for as long

    # Scalable targets.

    def register_scalable_target(
        self,
        *,
        resource_id: str,
        dimension: str,
        min_capacity: int | None,
        max_capacity: int | None,
        suspended: dict[str, bool] | None,
        role_arn: str | None,
        now: float,
        tags: dict[str, str] | None = None,
    ) -> str:
        """Its ARN. Registers it, or changes what is given of it; capacity moves inside the bounds at once.

        Tags are taken when it is created, as the API reference says; later they are TagResource's.
        """
        self._check_resource(resource_id, dimension)
        known = self._target
        minimum = min_capacity if min_capacity is not None or known is None else known.min_capacity
        maximum = max_capacity if max_capacity is not None or known is None else known.max_capacity
        if minimum is None or maximum is None:
            raise invalid("MinCapacity and MaxCapacity are required when a new scalable target is registered")
        if maximum < minimum:
            raise invalid("Maximum capacity cannot be less than minimum capacity")
        if minimum < 0 or maximum < 1:
            raise invalid(
                f"Capacity from {minimum} to {maximum}: minimum must be at least 0 and maximum at least 1 instance"
            )
        if known is not None and tags:
            raise invalid("Tags can be given when a scalable target is created; to tag this one, use TagResource")
        _check_tags(tags or {})
        new = f"arn:aws:application-autoscaling:{self._region}:{ACCOUNT}:scalable-target/{uuid.uuid4().hex}"
        arn = known.arn if known else new
        role = (
            f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/sagemaker.application-autoscaling.amazonaws.com/"
            "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
        )
        self._target = _Target(
            arn,
            minimum,
            maximum,
            {**(known.suspended if known else dict.fromkeys(SUSPENDED_STATE, False)), **(suspended or {})},
            role_arn or (known.role_arn if known else role),
            known.created_at if known else now,
            known.tags if known else dict(tags or {}),
        )
        self._move_inside(self._target, now)
        return arn

    def _move_inside(self, target: _Target, now: float) -> None:
        bounds = target.bounds
        if self._fleet.desired < bounds.min_capacity:
            cause = f"minimum capacity was set to {target.min_capacity}"
            self._set_desired(bounds.min_capacity, cause, now, by_policy=False)
        elif self._fleet.desired > bounds.max_capacity:
            cause = f"maximum capacity was set to {target.max_capacity}"
            self._set_desired(bounds.max_capacity, cause, now, by_policy=False)

    def deregister_scalable_target(self, *, resource_id: str, dimension: str) -> None:
        """Its policies, their alarms and its scheduled actions go with it; the instances stay as they are."""
        self._registered(resource_id, dimension)
        self._forget()

    def endpoint_deleted(self) -> None:
        """What was registered goes with it, and nothing can be registered any more."""
        self._forget()
        self._endpoint_is_deleted = True

    def _forget(self) -> None:
        self._target = None
        self._policies.clear()
        self._actions.clear()
        self._last = None

    def scalable_targets(
        self, resource_ids: list[str] | None = None, dimension: str | None = None
    ) -> list[dict[str, Any]]:
        """As DescribeScalableTargets lists them."""
        target = self._target
        if (
            target is None
            or (resource_ids and self._resource_id not in resource_ids)
            or dimension not in (None, self._dimension)
        ):
            return []
        return [
            {
                **self._named(),
                "MinCapacity": target.min_capacity,
                "MaxCapacity": target.max_capacity,
                "RoleARN": target.role_arn,
                "CreationTime": target.created_at,
                "SuspendedState": dict(target.suspended),
                "ScalableTargetARN": target.arn,
            }
        ]

    def tags(self, arn: str) -> dict[str, str]:
        """Those of the target with that ARN. Raises AwsError: ResourceNotFoundException."""
        return dict(self._tagged(arn).tags)

    def tag(self, arn: str, tags: dict[str, str]) -> None:
        target = self._tagged(arn)
        both = {**target.tags, **tags}
        _check_tags(both)
        target.tags = both

    def untag(self, arn: str, keys: list[str]) -> None:
        """Keys it does not bear do not matter."""
        target = self._tagged(arn)
        target.tags = {key: value for key, value in target.tags.items() if key not in keys}

    def _tagged(self, arn: str) -> _Target:
        if self._target is None or arn != self._target.arn:
            message = f"There is no scalable target {arn}"
            raise AwsError(400, "ResourceNotFoundException", {"message": message, "ResourceName": arn})
        return self._target

    # Scheduled actions.

    def put_scheduled_action(self, *, name: str, resource_id: str, dimension: str, now: float, **given: Any) -> None:
        """Creates or updates it; `given` as `scheduled.put` takes it."""
        self._registered(resource_id, dimension)
        known = self._actions.get(name)
        if known is None and len(self._actions) >= MOST_SCHEDULED_ACTIONS:
            message = f"A scalable target may have {MOST_SCHEDULED_ACTIONS} scheduled actions"
            raise AwsError(400, "LimitExceededException", {"message": message})
        resource = f"{NAMESPACE}/{self._resource_id}"
        self._actions[name] = scheduled.put(known, name, resource, self._arn_head, now, **given)

    def delete_scheduled_action(self, *, name: str, resource_id: str, dimension: str) -> None:
        self._check_resource(resource_id, dimension, unknown="ObjectNotFoundException")
        if self._actions.pop(name, None) is None:
            named = self._words(resource_id, dimension)
            raise _not_found(f"No scheduled action found for {named}, scheduled action name: {name}")

    def scheduled_actions(
        self, names: list[str] | None = None, resource_id: str | None = None, dimension: str | None = None
    ) -> list[dict[str, Any]]:
        """As DescribeScheduledActions lists them."""
        if not self._is_meant(resource_id, dimension):
            return []
        return [
            action.described(self._named()) for action in self._actions.values() if not names or action.name in names
        ]

    def _carry_out_scheduled(self, now: float) -> None:
        """Those due since the last time: what came due while suspended is not made up for."""
        since, self._actions_until = self._actions_until, now
        target = self._target
        if target is None or target.suspended["ScheduledScalingSuspended"]:
            return
        for action in self._actions.values():
            if action.due(max(since, action.created_at), now, self._speed):
                self._carry_out(action, target, now)

    def _carry_out(self, action: ScheduledAction, target: _Target, now: float) -> None:
        bounds = {"min": action.min_capacity, "max": action.max_capacity}
        wanted = " and ".join(f"{side} capacity to {bound}" for side, bound in bounds.items() if bound is not None)
        activity = self._activity(f"Setting {wanted}", f"scheduled action name {action.name} was triggered", now)
        least = target.min_capacity if action.min_capacity is None else action.min_capacity
        most = target.max_capacity if action.max_capacity is None else action.max_capacity
        if most < least:
            reason = "Maximum capacity cannot be less than minimum capacity"
            status, message = "Failed", f"Failed to set {wanted}. Reason: {reason}"
        else:
            target.min_capacity, target.max_capacity = least, most
            status, message = "Successful", f"Successfully set {wanted}"
        activity.update(EndTime=now, StatusCode=status, StatusMessage=message)
        self._move_inside(target, now)

    # Policies.

    def put_scaling_policy(
        self,
        *,
        name: str,
        resource_id: str,
        dimension: str,
        configuration: dict[str, Any],
        now: float,
    ) -> tuple[str, list[dict[str, str]]]:
        """Its ARN and its alarms (AlarmName, AlarmARN). An existing one of that name gets the new configuration."""
        self._registered(resource_id, dimension)
        policy = self._policies[name] = policies.put(
            self._policies.get(name),
            name,
            self._scaled,
            self._region,
            self._arn_head,
            configuration,
            self._period,
            now,
        )
        return policy.arn, policy.alarms()

    def delete_scaling_policy(self, *, name: str, resource_id: str, dimension: str) -> None:
        """Its alarms go with it."""
        self._check_resource(resource_id, dimension, unknown="ObjectNotFoundException")
        if self._policies.pop(name, None) is None:
            raise _not_found(f"No scaling policy found for {self._words(resource_id, dimension)}, policy name: {name}")

    def scaling_policies(
        self, names: list[str] | None = None, resource_id: str | None = None, dimension: str | None = None
    ) -> list[dict[str, Any]]:
        """As DescribeScalingPolicies lists them."""
        if not self._is_meant(resource_id, dimension):
            return []
        return [
            policy.described(self._named()) for policy in self._policies.values() if not names or policy.name in names
        ]

    # What came of it.

    def scaling_activities(
        self, resource_id: str | None = None, dimension: str | None = None, include_not_scaled: bool = False
    ) -> list[dict[str, Any]]:
        """Newest first, as DescribeScalingActivities lists them."""
        self._settle()
        if not self._is_meant(resource_id, dimension):
            return []
        return [dict(each) for each in self._activities if include_not_scaled or "NotScaledReasons" not in each]

    def alarms(
        self, names: list[str] | None = None, prefix: str | None = None, state: str | None = None
    ) -> list[dict[str, Any]]:
        """As DescribeAlarms lists its MetricAlarms, by name."""
        described = (alarm.described() for policy in self._policies.values() for alarm in (policy.high, policy.low))
        return sorted(
            (
                alarm
                for alarm in described
                if (not names or alarm["AlarmName"] in names)
                and alarm["AlarmName"].startswith(prefix or "")
                and state in (None, alarm["StateValue"])
            ),
            key=lambda alarm: str(alarm["AlarmName"]),
        )

    def alarm_history(
        self,
        name: str | None = None,
        item_type: str | None = None,
        start: float | None = None,
        end: float | None = None,
    ) -> list[dict[str, Any]]:
        """Newest first, as DescribeAlarmHistory lists it; that of deleted alarms too. Only StateUpdate is kept."""
        return [
            item
            for item in self._history
            if name in (None, item["AlarmName"])
            and item_type in (None, item["HistoryItemType"])
            and (start is None or start <= item["Timestamp"])
            and (end is None or item["Timestamp"] <= end)
        ]

    # Acting.

    def tick(self, now: float) -> None:
        """A period is over: what was scheduled is carried out, the alarms look at it, and the policies act on them."""
        self._settle()
        self._carry_out_scheduled(now)
        end = int(now // self._period) * self._period
        tracked = []
        for policy in self._policies.values():
            points = self._points(policy.watched, end, now)
            tracked.append((policy.rule, points))
            for alarm, state in (
                (policy.high, policy.rule.high_alarm(points)),
                (policy.low, policy.rule.low_alarm(points)),
            ):
                if (item := alarm.update(state, points, end, now)) is not None:
                    self._history.appendleft(item)
        if self._target is not None:
            instances = Instances(self._fleet.desired, self._fleet.in_service)
            # A minute in which instances began to serve counts for fewer than there are now: until all are there, what
            # was added must be known, or it would be added again.
            last = Action(self._progress.added, math.inf) if self._progress else self._last
            self._act(step(tracked, instances, self._target.bounds, last, now * self._speed), now)

    def _points(self, watched: Watched, end: int, now: float) -> list[float | None]:
        """The last fifteen periods' points; what counts requests as a rate a minute of real time."""
        start = end - LOW_PERIODS * self._period
        scale = 60 / self._period if watched.is_rate else 1.0
        known: dict[int, float] = {}
        if MetricName(watched.namespace, watched.metric, watched.dimensions) in self._metrics.names():
            found = self._metrics.points(
                watched.namespace, watched.metric, watched.statistic, self._period, start, end, now=now
            )
            known = {at: value * scale for at, value in found}
        return [known.get(at) for at in range(start, end, self._period)]

    def _act(self, decision: Decision, now: float) -> None:
        if decision.policy is None:
            self._not_scaled = None
            return
        policy = list(self._policies.values())[decision.policy]
        alarm = policy.low if decision.scale_in else policy.high
        cause = f"monitor alarm {alarm.name} in state ALARM triggered policy {policy.name}"
        if decision.desired is not None:
            self._not_scaled = None
            self._set_desired(decision.desired, cause, now, by_policy=True)
        elif decision.held is not None and self._not_scaled != (alarm.name, decision.held):
            self._not_scaled = (alarm.name, decision.held)
            self._note_not_scaled(decision.held, cause, now)

    def _note_not_scaled(self, held: Held, cause: str, now: float) -> None:
        """AWS writes down three of the reasons; of a cooldown or a suspension nothing is heard."""
        capacity: dict[str, int]
        match held, self._target:
            case Held.AT_MAX, _Target(max_capacity=most):
                capacity = {"MaxCapacity": most}
            case Held.AT_MIN, _Target(min_capacity=least):
                capacity = {"MinCapacity": least}
            case Held.AT_DESIRED, _:
                capacity = {"CurrentCapacity": self._fleet.desired}
            case _:
                return
        activity = self._activity("Attempting to scale due to alarm triggered", cause, now)
        activity.update(EndTime=now, StatusCode="Failed", NotScaledReasons=[{"Code": held.value, **capacity}])

    def _set_desired(self, desired: int, cause: str, now: float, *, by_policy: bool) -> None:
        self._settle()
        if desired > MOST_INSTANCES:
            refused = self._activity(f"Setting desired {self._scaled.counted} to {desired}.", cause, now)
            reason = f"The account-level service limit is {MOST_INSTANCES} Instances."
            refused.update(
                EndTime=now,
                StatusCode="Failed",
                StatusMessage=f"Failed to set desired {self._scaled.counted} to {desired}. Reason: {reason}",
            )
            return
        added = desired - self._fleet.desired
        if self._progress is not None:
            self._progress.activity.update(
                EndTime=now, StatusCode="Overridden", StatusMessage="A more recent scaling activity took its place."
            )
            if added > 0:
                added += max(self._progress.added, 0)
        self._fleet.set_desired(desired, now)
        activity = self._activity(f"Setting desired {self._scaled.counted} to {desired}.", cause, now)
        activity["StatusMessage"] = (
            f"Successfully set desired {self._scaled.counted} to {desired}. "
            "Waiting for change to be fulfilled by sagemaker."
        )
        self._progress = _Progress(activity, added, by_policy)
        self._settle()

    def _settle(self) -> None:
        """An activity is successful as soon as all its instances serve; its policy's cooldown starts then."""
        progress = self._progress
        if progress is None or self._fleet.status != IN_SERVICE:
            return
        ended_at = self._fleet.modified_at
        activity = progress.activity
        activity.update(
            EndTime=ended_at,
            StatusCode="Successful",
            StatusMessage=activity["StatusMessage"].partition(". ")[0]
            + ". Change successfully fulfilled by sagemaker.",
        )
        if progress.by_policy:
            self._last = Action(progress.added, ended_at * self._speed)
        self._progress = None

    def _activity(self, description: str, cause: str, now: float) -> dict[str, Any]:
        activity = {
            "ActivityId": str(uuid.uuid4()),
            **self._named(),
            "Description": description,
            "Cause": cause,
            "StartTime": now,
            "StatusCode": "InProgress",
        }
        self._activities.appendleft(activity)
        return activity

    # Names.

    def _named(self) -> dict[str, str]:
        return {"ServiceNamespace": NAMESPACE, "ResourceId": self._resource_id, "ScalableDimension": self._dimension}

    def _is_meant(self, resource_id: str | None, dimension: str | None) -> bool:
        """By who asks for all, or for one."""
        return resource_id in (None, self._resource_id) and dimension in (None, self._dimension)

    def _words(self, resource_id: str, dimension: str) -> str:
        return f"service namespace: {NAMESPACE}, resource ID: {resource_id}, scalable dimension: {dimension}"

    def _check_resource(self, resource_id: str, dimension: str, unknown: str = "ValidationException") -> None:
        if dimension != self._dimension:
            known = self._dimension
            raise invalid(f"Unsupported scalable dimension: {dimension}; the local endpoint supports {known}")
        if resource_id != self._resource_id or self._endpoint_is_deleted:
            there = "none, the endpoint was deleted" if self._endpoint_is_deleted else self._resource_id
            named = self._words(resource_id, dimension)
            message = f"No {self._scaled.kind} found for {named}; there is {there}"
            raise AwsError(400, unknown, {"message": message})

    def _registered(self, resource_id: str, dimension: str) -> _Target:
        self._check_resource(resource_id, dimension, unknown="ObjectNotFoundException")
        if self._target is None:
            raise _not_found(f"No scalable target registered for {self._words(resource_id, dimension)}")
        return self._target


def _check_tags(tags: dict[str, str]) -> None:
    if len(tags) > MOST_TAGS:
        raise AwsError(400, "TooManyTagsException", {"message": f"A scalable target may bear {MOST_TAGS} tags"})
    for key, value in tags.items():
        if not 1 <= len(key) <= 128 or key.startswith("aws:") or len(value) > 256:
            raise invalid(
                f"Tag {key}: a key has 1 to 128 characters and does not begin with aws:, a value has at most 256"
            )


def _not_found(message: str) -> AwsError:
    return AwsError(400, "ObjectNotFoundException", {"message": message})
