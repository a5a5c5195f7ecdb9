"""Application Auto Scaling's operations on SageMaker variants.

What a request may leave out and what goes with what is said here; targets, policies, activities and what they do are
autoscaling's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sm_locust.local.autoscaling import AutoScaling
from sm_locust.local.paging import page
from sm_locust.local.policies import TARGET_TRACKING
from sm_locust.local.scaled import NAMESPACE
from sm_locust.local.shapes import invalid

Members = dict[str, Any]


class ApplicationAutoScaling:
    """`operations` by name: each takes a request's parameters and the time, and gives the members of its answer.

    Other namespaces than SageMaker's have nothing registered, and nothing can be.
    """

    def __init__(self, autoscaling: AutoScaling) -> None:
        self._autoscaling = autoscaling
        self.operations = {
            "RegisterScalableTarget": self._register_scalable_target,
            "DeregisterScalableTarget": self._deregister_scalable_target,
            "DescribeScalableTargets": self._describe_scalable_targets,
            "PutScalingPolicy": self._put_scaling_policy,
            "DeleteScalingPolicy": self._delete_scaling_policy,
            "DescribeScalingPolicies": self._describe_scaling_policies,
            "PutScheduledAction": self._put_scheduled_action,
            "DeleteScheduledAction": self._delete_scheduled_action,
            "DescribeScheduledActions": self._describe_scheduled_actions,
            "DescribeScalingActivities": self._describe_scaling_activities,
            "TagResource": self._tag_resource,
            "UntagResource": self._untag_resource,
            "ListTagsForResource": self._list_tags_for_resource,
        }

    def _register_scalable_target(self, parameters: Members, now: float) -> Members:
        arn = self._autoscaling.register_scalable_target(
            **_target(parameters),
            min_capacity=parameters.get("MinCapacity"),
            max_capacity=parameters.get("MaxCapacity"),
            suspended=parameters.get("SuspendedState"),
            role_arn=parameters.get("RoleARN"),
            tags=parameters.get("Tags"),
            now=now,
        )
        return {"ScalableTargetARN": arn}

    def _deregister_scalable_target(self, parameters: Members, now: float) -> Members:
        self._autoscaling.deregister_scalable_target(**_target(parameters))
        return {}

    def _describe_scalable_targets(self, parameters: Members, now: float) -> Members:
        targets = self._autoscaling.scalable_targets(*_filter(parameters, "ResourceIds"))
        return _page(
            "ScalableTargets",
            targets,
            lambda target: f"{target['ResourceId']} {target['ScalableDimension']}",
            parameters,
        )

    def _put_scaling_policy(self, parameters: Members, now: float) -> Members:
        policy_type = parameters.get("PolicyType")
        configuration = parameters.get("TargetTrackingScalingPolicyConfiguration")
        if policy_type != TARGET_TRACKING or configuration is None:
            raise invalid(
                f"PolicyType {policy_type}: the local endpoint knows {TARGET_TRACKING} only, with its "
                "TargetTrackingScalingPolicyConfiguration."
            )
        arn, alarms = self._autoscaling.put_scaling_policy(
            name=parameters["PolicyName"],
            **_target(parameters),
            configuration=configuration,
            now=now,
        )
        return {"PolicyARN": arn, "Alarms": alarms}

    def _delete_scaling_policy(self, parameters: Members, now: float) -> Members:
        self._autoscaling.delete_scaling_policy(name=parameters["PolicyName"], **_target(parameters))
        return {}

    def _describe_scaling_policies(self, parameters: Members, now: float) -> Members:
        policies = self._autoscaling.scaling_policies(parameters.get("PolicyNames"), *_filter(parameters))
        return _page("ScalingPolicies", policies, lambda policy: str(policy["PolicyARN"]), parameters, most=10)

    def _put_scheduled_action(self, parameters: Members, now: float) -> Members:
        bounds = parameters.get("ScalableTargetAction", {})
        self._autoscaling.put_scheduled_action(
            name=parameters["ScheduledActionName"],
            **_target(parameters),
            schedule=parameters.get("Schedule"),
            timezone=parameters.get("Timezone"),
            start=parameters.get("StartTime"),
            end=parameters.get("EndTime"),
            min_capacity=bounds.get("MinCapacity"),
            max_capacity=bounds.get("MaxCapacity"),
            now=now,
        )
        return {}

    def _delete_scheduled_action(self, parameters: Members, now: float) -> Members:
        self._autoscaling.delete_scheduled_action(name=parameters["ScheduledActionName"], **_target(parameters))
        return {}

    def _describe_scheduled_actions(self, parameters: Members, now: float) -> Members:
        actions = self._autoscaling.scheduled_actions(parameters.get("ScheduledActionNames"), *_filter(parameters))
        return _page("ScheduledActions", actions, lambda action: str(action["ScheduledActionARN"]), parameters)

    def _describe_scaling_activities(self, parameters: Members, now: float) -> Members:
        not_scaled = parameters.get("IncludeNotScaledActivities", False)
        activities = self._autoscaling.scaling_activities(*_filter(parameters), not_scaled)
        return _page("ScalingActivities", activities, lambda activity: str(activity["ActivityId"]), parameters)

    def _tag_resource(self, parameters: Members, now: float) -> Members:
        self._autoscaling.tag(parameters["ResourceARN"], parameters["Tags"])
        return {}

    def _untag_resource(self, parameters: Members, now: float) -> Members:
        self._autoscaling.untag(parameters["ResourceARN"], parameters["TagKeys"])
        return {}

    def _list_tags_for_resource(self, parameters: Members, now: float) -> Members:
        return {"Tags": self._autoscaling.tags(parameters["ResourceARN"])}


def _target(parameters: Members) -> dict[str, str]:
    if parameters["ServiceNamespace"] != NAMESPACE:
        raise invalid(f"ServiceNamespace {parameters['ServiceNamespace']}: the local endpoint scales {NAMESPACE} only.")
    return {"resource_id": parameters["ResourceId"], "dimension": parameters["ScalableDimension"]}


def _filter(parameters: Members, of: str = "ResourceId") -> tuple[Any, str | None]:
    """What to list: the resource, or the resources, and the dimension, either of them None for all."""
    resource, dimension = parameters.get(of), parameters.get("ScalableDimension")
    if dimension is not None and resource is None:
        raise invalid("If you specify a scalable dimension, you must also specify a resource ID.")
    return resource, dimension


def _page(
    name: str, items: list[Members], key: Callable[[Members], str], parameters: Members, *, most: int = 50
) -> Members:
    """`most` is the largest page and the default one; it stands in the documentation, not in the model."""
    size = parameters.get("MaxResults", most)
    if not 1 <= size <= most:
        raise invalid(f"MaxResults {size}: must be between 1 and {most}.")
    listed = items if parameters["ServiceNamespace"] == NAMESPACE else []
    listed, token = page(listed, key, size, parameters, "InvalidNextTokenException")
    return {name: listed, "NextToken": token}
