"""Scaling policies of Application Auto Scaling: what one holds, how it is described, and what its two alarms watch.

What a policy wants is `target_tracking`'s to say, when it is asked and what it then does autoscaling's.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from sm_locust.local.alarms import Alarm, Rule, Watched
from sm_locust.local.metrics import SAGEMAKER
from sm_locust.local.scaled import NAMESPACE, Scaled
from sm_locust.local.shapes import invalid
from sm_locust.target_tracking import DEFAULT_COOLDOWN, HIGH_PERIODS, LOW_PERIODS, TargetTracking

TARGET_TRACKING = "TargetTrackingScaling"


@dataclass(frozen=True, slots=True)
class Policy:
    """`configuration` as it was put; `created_at` in Unix seconds."""

    name: str
    arn: str
    configuration: dict[str, Any]
    rule: TargetTracking
    watched: Watched
    high: Alarm
    low: Alarm
    created_at: float

    def alarms(self) -> list[dict[str, str]]:
        """As PutScalingPolicy answers with them."""
        return [{"AlarmName": alarm.name, "AlarmARN": alarm.arn} for alarm in (self.high, self.low)]

    def described(self, named: dict[str, str]) -> dict[str, Any]:
        """As DescribeScalingPolicies lists it; `named` says of which target."""
        return {
            "PolicyARN": self.arn,
            "PolicyName": self.name,
            **named,
            "PolicyType": TARGET_TRACKING,
            "TargetTrackingScalingPolicyConfiguration": self.configuration,
            "Alarms": self.alarms(),
            "CreationTime": self.created_at,
        }


def put(
    known: Policy | None,
    name: str,
    of: Scaled,
    region: str,
    arn_head: str,
    configuration: dict[str, Any],
    period: int,
    now: float,
) -> Policy:
    """The policy that PutScalingPolicy makes of the one known by that name: of a new configuration, with new alarms.

    arn_head  ARN up to the account
    period    of its alarms, in real seconds
    Raises AwsError: ValidationException, where it cannot be kept.
    """
    rule, watched = _rule(configuration), _watched(configuration, of, period)
    path = f"scalingPolicy:{uuid.uuid4()}:resource/{NAMESPACE}/{of.resource_id}:policyName/{name}"
    arn = known.arn if known else f"{arn_head}:{path}"
    high, low = (
        Alarm(of.resource_id, region, arn, watched, limit, now)
        for limit in (
            Rule(above=True, threshold=rule.target, periods=HIGH_PERIODS),
            Rule(above=False, threshold=rule.low_threshold, periods=LOW_PERIODS),
        )
    )
    return Policy(name, arn, configuration, rule, watched, high, low, known.created_at if known else now)


def _rule(configuration: dict[str, Any]) -> TargetTracking:
    try:
        return TargetTracking(
            float(configuration["TargetValue"]),
            float(configuration.get("ScaleOutCooldown", DEFAULT_COOLDOWN)),
            float(configuration.get("ScaleInCooldown", DEFAULT_COOLDOWN)),
            bool(configuration.get("DisableScaleIn", False)),
        )
    except ValueError as error:
        raise invalid(f"TargetTrackingScalingPolicyConfiguration: {error}") from error


def _watched(configuration: dict[str, Any], of: Scaled, period: int) -> Watched:
    predefined = configuration.get("PredefinedMetricSpecification")
    custom = configuration.get("CustomizedMetricSpecification")
    if predefined is not None and custom is None:
        if (metric := predefined["PredefinedMetricType"]) not in of.predefined:
            raise invalid(f"PredefinedMetricType {metric}: the local endpoint supports {' and '.join(of.predefined)}")
        name, statistic = of.predefined[metric]
        return Watched(SAGEMAKER, name, dict(of.metric_dimensions), statistic, period)
    if custom is None or predefined is not None:
        raise invalid("Exactly one of PredefinedMetricSpecification and CustomizedMetricSpecification is required")
    if missing := [member for member in ("MetricName", "Namespace", "Statistic") if member not in custom]:
        raise invalid(
            f"CustomizedMetricSpecification: the local endpoint needs {', '.join(missing)} and knows no metric math"
        )
    dimensions = {each["Name"]: each["Value"] for each in custom.get("Dimensions", [])}
    return Watched(custom["Namespace"], custom["MetricName"], dimensions, custom["Statistic"], period)
