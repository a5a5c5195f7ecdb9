"""Targets, policies and activities over boto3, on endpoints that really scale; a schedule minute is a second here."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sm_locust.local.settings import Settings
from tests.local.harness import client, invoke, running

SETTINGS = Settings(provisioning_time=60)
NAMESPACE = {"ServiceNamespace": "sagemaker"}
TARGET = {
    **NAMESPACE,
    "ResourceId": f"endpoint/{SETTINGS.endpoint}/variant/{SETTINGS.variant}",
    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
}
NOBODY = {**TARGET, "ResourceId": "endpoint/nobody/variant/AllTraffic"}


def tracking(target: float, **more: Any) -> dict[str, Any]:
    """A policy as the blog's, but for its name."""
    predefined = {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"}
    configuration = {"TargetValue": target, "PredefinedMetricSpecification": predefined, **more}
    return {
        **TARGET,
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": configuration,
    }


def code_of(call: Callable[..., Any], **parameters: Any) -> str:
    with pytest.raises(ClientError) as raised:
        call(**parameters)
    return str(raised.value.response["Error"]["Code"])


def variant(sagemaker: Any) -> tuple[int, int]:
    """Instances in service and desired."""
    found = sagemaker.describe_endpoint(EndpointName=SETTINGS.endpoint)["ProductionVariants"][0]
    return found["CurrentInstanceCount"], found["DesiredInstanceCount"]


def until(what: Callable[[], bool], seconds: float, meanwhile: Callable[[], Any]) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        meanwhile()


def pages(aws: Any, operation: str, **parameters: Any) -> list[dict[str, Any]]:
    """The operation's items, asked for one a page."""
    found = list(aws.get_paginator(operation).paginate(**parameters, PaginationConfig={"PageSize": 1}))
    lists = [value for page in found for value in page.values() if isinstance(value, list)]
    assert all(len(items) <= 1 for items in lists)
    return [item for items in lists for item in items]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running(SETTINGS, speed=60) as url:
        yield url


@pytest.fixture
def scaling(url: str) -> Iterator[Any]:
    """A client; whatever was registered is gone afterwards, and one instance is left."""
    aws = client(url, "application-autoscaling")
    yield aws
    aws.register_scalable_target(**TARGET, MinCapacity=1, MaxCapacity=1)
    aws.deregister_scalable_target(**TARGET)


def test_a_target_is_described_as_it_was_registered_and_is_gone_when_deregistered(scaling: Any) -> None:
    assert scaling.describe_scalable_targets(**NAMESPACE)["ScalableTargets"] == []
    arn = scaling.register_scalable_target(**TARGET, MinCapacity=1, MaxCapacity=4)["ScalableTargetARN"]
    (found,) = scaling.describe_scalable_targets(**NAMESPACE)["ScalableTargets"]
    assert {name: found[name] for name in TARGET} == TARGET
    assert (found["MinCapacity"], found["MaxCapacity"], found["ScalableTargetARN"]) == (1, 4, arn)
    assert not any(found["SuspendedState"].values())
    assert found["RoleARN"].startswith("arn:aws:iam::123456789012:role/aws-service-role/sagemaker.")
    assert pages(scaling, "describe_scalable_targets", **NAMESPACE) == [found]
    assert pages(scaling, "describe_scalable_targets", **NAMESPACE, ResourceIds=[NOBODY["ResourceId"]]) == []
    assert pages(scaling, "describe_scalable_targets", ServiceNamespace="ecs") == []
    scaling.deregister_scalable_target(**TARGET)
    assert scaling.describe_scalable_targets(**NAMESPACE)["ScalableTargets"] == []


def test_registering_again_changes_what_is_given_and_moves_the_capacity_inside_at_once(url: str, scaling: Any) -> None:
    sagemaker = client(url, "sagemaker")
    first = scaling.register_scalable_target(**TARGET, MinCapacity=1, MaxCapacity=4)["ScalableTargetARN"]
    pause = {"DynamicScalingInSuspended": True, "ScheduledScalingSuspended": True}
    assert scaling.register_scalable_target(**TARGET, SuspendedState=pause)["ScalableTargetARN"] == first
    scaling.register_scalable_target(**TARGET, MinCapacity=2)
    (found,) = scaling.describe_scalable_targets(**NAMESPACE)["ScalableTargets"]
    assert (found["MinCapacity"], found["MaxCapacity"]) == (2, 4)
    assert found["SuspendedState"] == {**pause, "DynamicScalingOutSuspended": False}
    assert variant(sagemaker) == (1, 2)
    newest = scaling.describe_scaling_activities(**TARGET, MaxResults=1)["ScalingActivities"][0]
    assert (newest["Description"], newest["StatusCode"]) == ("Setting desired instance count to 2.", "InProgress")
    until(lambda: variant(sagemaker) == (2, 2), 30, lambda: time.sleep(0.1))
    newest = scaling.describe_scaling_activities(**TARGET, MaxResults=1)["ScalingActivities"][0]
    assert newest["StatusCode"] == "Successful"
    assert newest["EndTime"] > newest["StartTime"]


def test_policies_answer_with_their_alarms_and_go_with_the_target(url: str, scaling: Any) -> None:
    cloudwatch = client(url, "cloudwatch")
    scaling.register_scalable_target(**TARGET, MinCapacity=1, MaxCapacity=4)
    put = scaling.put_scaling_policy(PolicyName="first", **tracking(25000.0))
    scaling.put_scaling_policy(PolicyName="second", **tracking(30000.0, ScaleInCooldown=60, DisableScaleIn=True))
    names = [alarm["AlarmName"] for alarm in put["Alarms"]]
    assert [name.rpartition("-Alarm")[2].partition("-")[0] for name in names] == ["High", "Low"]
    assert all(name.startswith(f"TargetTracking-{TARGET['ResourceId']}-Alarm") for name in names)
    described = cloudwatch.describe_alarms(AlarmNames=names)["MetricAlarms"]
    assert {alarm["AlarmArn"] for alarm in described} == {alarm["AlarmARN"] for alarm in put["Alarms"]}

    policies = scaling.describe_scaling_policies(**TARGET)["ScalingPolicies"]
    assert [policy["PolicyName"] for policy in policies] == ["first", "second"]
    assert (policies[0]["PolicyARN"], policies[0]["Alarms"]) == (put["PolicyARN"], put["Alarms"])
    for policy, wanted in zip(
        policies, (tracking(25000.0), tracking(30000.0, ScaleInCooldown=60, DisableScaleIn=True)), strict=True
    ):
        assert {name: policy[name] for name in wanted} == wanted
    assert pages(scaling, "describe_scaling_policies", **NAMESPACE) == policies
    assert pages(scaling, "describe_scaling_policies", **NAMESPACE, PolicyNames=["second"]) == policies[1:]

    again = scaling.put_scaling_policy(PolicyName="first", **tracking(20000.0))
    assert again["PolicyARN"] == put["PolicyARN"]
    assert len(cloudwatch.describe_alarms()["MetricAlarms"]) == 4
    scaling.delete_scaling_policy(PolicyName="first", **TARGET)
    assert [p["PolicyName"] for p in scaling.describe_scaling_policies(**NAMESPACE)["ScalingPolicies"]] == ["second"]
    scaling.deregister_scalable_target(**TARGET)
    assert scaling.describe_scaling_policies(**NAMESPACE)["ScalingPolicies"] == []
    assert cloudwatch.describe_alarms()["MetricAlarms"] == []


def action(name: str, schedule: str, **more: Any) -> dict[str, Any]:
    return {**TARGET, "ScheduledActionName": name, "Schedule": schedule, "ScalableTargetAction": {}, **more}


def in_seconds(seconds: float) -> datetime:
    return datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=seconds)


def at(when: datetime) -> str:
    return f"at({when:%Y-%m-%dT%H:%M:%S})"


def test_scheduled_actions_are_described_as_they_were_put_and_go_with_the_target(scaling: Any) -> None:
    assert scaling.describe_scheduled_actions(**NAMESPACE)["ScheduledActions"] == []
    scaling.register_scalable_target(**TARGET, MinCapacity=1, MaxCapacity=4)
    morning = action(
        "morning",
        "cron(0 8 ? * MON-FRI *)",
        Timezone="Europe/Vienna",
        StartTime=in_seconds(3600),
        EndTime=in_seconds(7200),
        ScalableTargetAction={"MinCapacity": 2, "MaxCapacity": 6},
    )
    scaling.put_scheduled_action(**morning)
    scaling.put_scheduled_action(**action("hourly", "rate(1 hour)", ScalableTargetAction={"MinCapacity": 3}))
    first, second = scaling.describe_scheduled_actions(**TARGET)["ScheduledActions"]
    assert {name: first[name] for name in morning} == morning
    assert first["ScheduledActionARN"].startswith("arn:aws:autoscaling:us-east-1:123456789012:scheduledAction:")
    assert second["ScalableTargetAction"] == {"MinCapacity": 3}
    assert not {"Timezone", "StartTime", "EndTime"} & set(second)
    assert pages(scaling, "describe_scheduled_actions", **NAMESPACE) == [first, second]
    assert pages(scaling, "describe_scheduled_actions", **NAMESPACE, ScheduledActionNames=["hourly"]) == [second]
    assert pages(scaling, "describe_scheduled_actions", ServiceNamespace="ecs") == []

    scaling.put_scheduled_action(**TARGET, ScheduledActionName="morning", Schedule="cron(0 9 ? * MON-FRI *)")
    (changed,) = pages(scaling, "describe_scheduled_actions", **NAMESPACE, ScheduledActionNames=["morning"])
    assert (changed["Schedule"], changed["Timezone"]) == ("cron(0 9 ? * MON-FRI *)", "Europe/Vienna")
    assert changed["ScalableTargetAction"] == morning["ScalableTargetAction"]
    assert changed["ScheduledActionARN"] == first["ScheduledActionARN"]
    assert "StartTime" not in changed and "EndTime" not in changed, "an update that names none deletes them"

    scaling.delete_scheduled_action(**TARGET, ScheduledActionName="morning")
    assert [a["ScheduledActionName"] for a in pages(scaling, "describe_scheduled_actions", **NAMESPACE)] == ["hourly"]
    assert code_of(scaling.delete_scheduled_action, **TARGET, ScheduledActionName="morning") == (
        "ObjectNotFoundException"
    )
    scaling.deregister_scalable_target(**TARGET)
    assert scaling.describe_scheduled_actions(**NAMESPACE)["ScheduledActions"] == []
    assert code_of(scaling.put_scheduled_action, **morning) == "ObjectNotFoundException"
    scaling.register_scalable_target(**TARGET, MinCapacity=1, MaxCapacity=1)


@pytest.mark.parametrize(
    "what",
    [
        {"Schedule": "tomorrow"},
        {"Schedule": "at(2026-13-01T00:00:00)"},
        {"Schedule": "rate(0 minutes)"},
        {"Schedule": "cron(0 8 * * *)"},
        {"Timezone": "Europe/Nowhere"},
        {"Timezone": "../zone"},
        {"ScalableTargetAction": {}},
        {"ScalableTargetAction": {"MinCapacity": 3, "MaxCapacity": 2}},
        {"ScalableTargetAction": {"MinCapacity": -1}},
        {"StartTime": datetime(2026, 1, 2, tzinfo=UTC), "EndTime": datetime(2026, 1, 1, tzinfo=UTC)},
    ],
)
def test_a_scheduled_action_that_cannot_be_is_a_validation_exception(scaling: Any, what: dict[str, Any]) -> None:
    scaling.register_scalable_target(**TARGET, MinCapacity=1, MaxCapacity=1)
    good = action("a", "at(2026-01-01T00:00:00)", ScalableTargetAction={"MinCapacity": 2, "MaxCapacity": 3})
    assert code_of(scaling.put_scheduled_action, **{**good, **what}) == "ValidationException"
    assert scaling.describe_scheduled_actions(**NAMESPACE)["ScheduledActions"] == []


def test_a_scheduled_action_sets_the_bounds_when_it_is_due_and_moves_the_capacity_inside(
    url: str, scaling: Any
) -> None:
    sagemaker = client(url, "sagemaker")
    scaling.register_scalable_target(**TARGET, MinCapacity=1, MaxCapacity=4)
    scaling.put_scheduled_action(**action("more", at(in_seconds(2)), ScalableTargetAction={"MinCapacity": 3}))
    assert variant(sagemaker) == (1, 1)
    until(lambda: variant(sagemaker)[1] == 3, 30, lambda: time.sleep(0.1))
    (found,) = scaling.describe_scalable_targets(**NAMESPACE)["ScalableTargets"]
    assert (found["MinCapacity"], found["MaxCapacity"]) == (3, 4)
    moved, acted = scaling.describe_scaling_activities(**TARGET, MaxResults=2)["ScalingActivities"]
    assert (acted["Description"], acted["StatusCode"]) == ("Setting min capacity to 3", "Successful")
    assert acted["Cause"] == "scheduled action name more was triggered"
    assert (moved["Description"], moved["Cause"]) == (
        "Setting desired instance count to 3.",
        "minimum capacity was set to 3",
    )


def test_tags_are_given_with_a_new_target_and_changed_by_its_arn(scaling: Any) -> None:
    arn = scaling.register_scalable_target(**TARGET, MinCapacity=1, MaxCapacity=1, Tags={"team": "ml"})[
        "ScalableTargetARN"
    ]
    assert scaling.list_tags_for_resource(ResourceARN=arn)["Tags"] == {"team": "ml"}
    scaling.tag_resource(ResourceARN=arn, Tags={"created-by": "sm-locust", "team": "ops"})
    scaling.register_scalable_target(**TARGET, MinCapacity=1, MaxCapacity=2)
    assert scaling.list_tags_for_resource(ResourceARN=arn)["Tags"] == {"team": "ops", "created-by": "sm-locust"}
    scaling.untag_resource(ResourceARN=arn, TagKeys=["team", "unknown"])
    assert scaling.list_tags_for_resource(ResourceARN=arn)["Tags"] == {"created-by": "sm-locust"}
    again = {**TARGET, "MinCapacity": 1, "MaxCapacity": 1, "Tags": {"late": ""}}
    assert code_of(scaling.register_scalable_target, **again) == "ValidationException"
    assert code_of(scaling.tag_resource, ResourceARN=arn, Tags={"aws:x": "y"}) == "ValidationException"
    many = {f"key-{n}": "" for n in range(50)}
    assert code_of(scaling.tag_resource, ResourceARN=arn, Tags=many) == "TooManyTagsException"
    scaling.deregister_scalable_target(**TARGET)
    assert code_of(scaling.list_tags_for_resource, ResourceARN=arn) == "ResourceNotFoundException"
    assert code_of(scaling.tag_resource, ResourceARN="arn:aws:a:b", Tags={}) == "ResourceNotFoundException"
    fresh = scaling.register_scalable_target(**TARGET, MinCapacity=1, MaxCapacity=1)["ScalableTargetARN"]
    assert scaling.list_tags_for_resource(ResourceARN=fresh)["Tags"] == {}


def test_what_is_not_registered_is_an_object_not_found(scaling: Any) -> None:
    missing = "ObjectNotFoundException"
    assert code_of(scaling.put_scaling_policy, PolicyName="p", **tracking(1.0)) == missing
    assert code_of(scaling.put_scaling_policy, PolicyName="p", **{**tracking(1.0), **NOBODY}) == missing
    assert code_of(scaling.deregister_scalable_target, **TARGET) == missing
    assert code_of(scaling.deregister_scalable_target, **NOBODY) == missing
    scaling.register_scalable_target(**TARGET, MinCapacity=1, MaxCapacity=1)
    assert code_of(scaling.delete_scaling_policy, PolicyName="p", **TARGET) == missing
    with pytest.raises(scaling.exceptions.ObjectNotFoundException, match="policy name: p"):
        scaling.delete_scaling_policy(PolicyName="p", **TARGET)


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        ("register_scalable_target", {**TARGET, "MinCapacity": 1}),
        ("register_scalable_target", {**TARGET, "MinCapacity": 3, "MaxCapacity": 2}),
        ("register_scalable_target", {**TARGET, "MinCapacity": -1, "MaxCapacity": 2}),
        ("register_scalable_target", {**NOBODY, "MinCapacity": 1, "MaxCapacity": 2}),
        ("register_scalable_target", {**TARGET, "ServiceNamespace": "ecs", "MinCapacity": 1, "MaxCapacity": 2}),
        ("register_scalable_target", {**TARGET, "ScalableDimension": "up", "MinCapacity": 1, "MaxCapacity": 2}),
        ("describe_scalable_targets", {**NAMESPACE, "MaxResults": 0}),
        ("describe_scalable_targets", {**NAMESPACE, "MaxResults": 51}),
        ("describe_scaling_policies", {**NAMESPACE, "MaxResults": 11}),
        ("describe_scaling_policies", {**NAMESPACE, "ScalableDimension": TARGET["ScalableDimension"]}),
        ("describe_scaling_activities", {**NAMESPACE, "ScalableDimension": TARGET["ScalableDimension"]}),
        ("describe_scaling_activities", {"ServiceNamespace": "clouds"}),
    ],
)
def test_what_cannot_be_is_a_validation_exception(scaling: Any, operation: str, parameters: dict[str, Any]) -> None:
    assert code_of(getattr(scaling, operation), **parameters) == "ValidationException"


@pytest.mark.parametrize(
    "policy",
    [
        {**TARGET, "PolicyType": "TargetTrackingScaling"},
        {**tracking(1.0), "PolicyType": "StepScaling"},
        {**tracking(1.0), "PolicyType": "Hopeful"},
        tracking(0.0),
        tracking(1.0, ScaleOutCooldown=-1),
        tracking(1.0, PredefinedMetricSpecification={"PredefinedMetricType": "ECSServiceAverageCPUUtilization"}),
    ],
)
def test_a_policy_that_cannot_be_followed_is_a_validation_exception(scaling: Any, policy: dict[str, Any]) -> None:
    scaling.register_scalable_target(**TARGET, MinCapacity=1, MaxCapacity=1)
    assert code_of(scaling.put_scaling_policy, PolicyName="p", **policy) == "ValidationException"
    assert scaling.describe_scaling_policies(**NAMESPACE)["ScalingPolicies"] == []


@pytest.mark.parametrize(
    "operation",
    [
        "describe_scalable_targets",
        "describe_scaling_policies",
        "describe_scheduled_actions",
        "describe_scaling_activities",
    ],
)
def test_a_token_that_nobody_gave_is_refused_by_name(scaling: Any, operation: str) -> None:
    with pytest.raises(scaling.exceptions.InvalidNextTokenException):
        getattr(scaling, operation)(**NAMESPACE, NextToken="made up")


def test_a_load_above_the_target_scales_out_and_the_activities_say_so(url: str, scaling: Any) -> None:
    runtime, sagemaker = client(url), client(url, "sagemaker")
    before = len(scaling.describe_scaling_activities(**NAMESPACE)["ScalingActivities"])
    scaling.register_scalable_target(**TARGET, MinCapacity=1, MaxCapacity=3)
    put = scaling.put_scaling_policy(PolicyName="p", **tracking(60.0))
    until(lambda: variant(sagemaker) == (3, 3), 30, lambda: [invoke(runtime) for _ in range(3)])
    until(
        lambda: (
            len(scaling.describe_scaling_activities(**NAMESPACE, IncludeNotScaledActivities=True)["ScalingActivities"])
            >= before + 2
        ),
        30,
        lambda: [invoke(runtime) for _ in range(3)],
    )

    activities = scaling.describe_scaling_activities(**NAMESPACE)["ScalingActivities"]
    newest = activities[0]
    assert newest["Description"] == "Setting desired instance count to 3."
    assert newest["Cause"] == f"monitor alarm {put['Alarms'][0]['AlarmName']} in state ALARM triggered policy p"
    assert newest["StatusCode"] == "Successful"
    assert (newest["EndTime"] - newest["StartTime"]).total_seconds() == pytest.approx(1, abs=0.9)
    assert pages(scaling, "describe_scaling_activities", **NAMESPACE) == activities
    starts = [activity["StartTime"] for activity in activities]
    assert starts == sorted(starts, reverse=True)

    every = pages(scaling, "describe_scaling_activities", **NAMESPACE, IncludeNotScaledActivities=True)
    reasons = [reason for activity in every for reason in activity.get("NotScaledReasons", [])]
    assert {"Code": "AlreadyAtMaxCapacity", "MaxCapacity": 3} in reasons
    assert not any("NotScaledReasons" in activity for activity in activities)
