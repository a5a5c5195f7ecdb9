"""The scaling of the local endpoint's variant, as whoever changes it names it and as boto3 finds it."""

from __future__ import annotations

from typing import Any

from tests.runs.harness import client

RESOURCE = "endpoint/decision-trees-sample/variant/AllTraffic"
SAGEMAKER = {"ServiceNamespace": "sagemaker"}
VARIANT = {**SAGEMAKER, "ResourceId": RESOURCE, "ScalableDimension": "sagemaker:variant:DesiredInstanceCount"}
METRIC = "SageMakerVariantInvocationsPerInstance"

_NEW_EACH_TIME = ("CreationTime", "PolicyARN", "ScalableTargetARN", "ScheduledActionARN", "Alarms")


def policy(name: str, target: float, **more: Any) -> dict[str, Any]:
    """Of target tracking, as PutScalingPolicy takes it beside VARIANT."""
    tracking = {"TargetValue": target, "PredefinedMetricSpecification": {"PredefinedMetricType": METRIC}, **more}
    return {
        "PolicyName": name,
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": tracking,
    }


def state(url: str) -> dict[str, Any]:
    """Everything that decides how many instances there are, without what is new each time that it is made."""
    aws, sagemaker = client(url, "application-autoscaling"), client(url, "sagemaker")

    def plain(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{key: value for key, value in each.items() if key not in _NEW_EACH_TIME} for each in found]

    targets = aws.describe_scalable_targets(**SAGEMAKER)["ScalableTargets"]
    policies = plain(aws.describe_scaling_policies(**SAGEMAKER)["ScalingPolicies"])
    (variant,) = sagemaker.describe_endpoint(EndpointName="decision-trees-sample")["ProductionVariants"]
    return {
        "targets": plain(targets),
        "tags": [aws.list_tags_for_resource(ResourceARN=each["ScalableTargetARN"])["Tags"] for each in targets],
        "policies": sorted(policies, key=lambda each: str(each["PolicyName"])),
        "actions": plain(aws.describe_scheduled_actions(**SAGEMAKER)["ScheduledActions"]),
        "instances": variant["DesiredInstanceCount"],
    }
