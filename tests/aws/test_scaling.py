"""Automatic scaling is set up, paused and put back exactly as it was, at the local endpoint, which really scales."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from sm_locust.aws import endpoint, scaling
from sm_locust.aws.scaling import ScalingState
from sm_locust.aws.session import AwsFault
from sm_locust.config import ConfigError, RunConfig
from sm_locust.local.settings import Settings
from sm_locust.record.observation import ScalingEvent
from tests.aws.harness import Answers, asked, config, refuse, refused, said, scripted
from tests.local.harness import client, running

RESOURCE = "endpoint/decision-trees-sample/variant/AllTraffic"
DIMENSION = "sagemaker:variant:DesiredInstanceCount"
WHICH = {"ServiceNamespace": "sagemaker", "ResourceId": RESOURCE, "ScalableDimension": DIMENSION}
METRIC = "SageMakerVariantInvocationsPerInstance"
WANTED = {"min_instances": 1, "max_instances": 4, "metric": METRIC, "target": 25000}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running(Settings(provisioning_time=30), speed=60) as url:  # half a second
        yield url


@pytest.fixture
def here(url: str) -> Iterator[RunConfig]:
    """A configuration for one instance and no scaling, as it is again after the test."""
    here = config(url, scaling=WANTED)
    clean = ScalingState(RESOURCE, DIMENSION, None, (), (), 1)
    assert scaling.read(here) == clean
    yield here
    aws = client(url, "application-autoscaling")
    for policy in aws.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"]:
        aws.delete_scaling_policy(PolicyName=policy["PolicyName"], **WHICH)
    restored(here, clean)
    steady(here)


def restored(here: RunConfig, state: ScalingState, say: Callable[[str], None] = lambda _: None) -> list[str]:
    return scaling.restore(here, state, patience=10, every=0.05, say=say)


def steady(here: RunConfig, instances: int | None = None) -> None:
    endpoint.wait_until_steady(here, instances, patience=10, every=0.05, say=lambda _: None)


def tracking(target: float, **more: Any) -> dict[str, Any]:
    return {"TargetValue": target, "PredefinedMetricSpecification": {"PredefinedMetricType": METRIC}, **more}


def somebodys_scaling(url: str) -> None:
    """A target with bounds, a suspension and two policies of its own, one of them from an earlier `apply`."""
    aws = client(url, "application-autoscaling")
    aws.register_scalable_target(
        **WHICH, MinCapacity=1, MaxCapacity=3, SuspendedState={"DynamicScalingInSuspended": True}
    )
    for name, configuration in (
        ("team-policy", tracking(1234.5, ScaleInCooldown=900, DisableScaleIn=True)),
        (scaling.PREFIX + METRIC, tracking(20000)),
    ):
        aws.put_scaling_policy(
            **WHICH,
            PolicyName=name,
            PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration=configuration,
        )


# Setting up


def test_what_is_set_up_is_what_the_configuration_says(here: RunConfig) -> None:
    assert scaling.apply(here) == [
        f"{RESOURCE} scales from 1 to 4 instances.",
        f"Policy sm-locust-{METRIC} keeps {METRIC} at 25000.",
    ]
    state = scaling.read(here)
    assert state.target == {
        "MinCapacity": 1,
        "MaxCapacity": 4,
        "SuspendedState": {
            "DynamicScalingInSuspended": False,
            "DynamicScalingOutSuspended": False,
            "ScheduledScalingSuspended": True,
        },
    }
    (policy,) = state.policies
    assert policy == {
        "PolicyName": f"sm-locust-{METRIC}",
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": tracking(25000.0),
    }


def test_setting_up_twice_is_setting_up_once(here: RunConfig) -> None:
    scaling.apply(here)
    once = scaling.read(here)
    scaling.apply(here)
    assert scaling.read(here) == once


def test_other_policies_in_force_are_named(url: str, here: RunConfig) -> None:
    somebodys_scaling(url)
    assert scaling.apply(here)[-1] == "Also in force, and the largest number of instances wins: team-policy."


def test_a_policy_that_would_never_be_removed_is_not_set_up(here: RunConfig) -> None:
    with pytest.raises(ConfigError, match="'mine': its name must begin with sm-locust-"):
        scaling.apply(here, "mine")
    assert scaling.read(here).target is None


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ({}, "scaling: missing; required: min_instances, max_instances, metric and target"),
        (
            {"scaling": {**WANTED, "metric": "SageMakerInferenceComponentInvocationsPerCopy"}},
            "SageMakerInferenceComponentInvocationsPerCopy is of inference components, which are not supported yet",
        ),
    ],
)
def test_what_cannot_be_set_up_is_refused_before_aws_is_asked(section: dict[str, Any], says: str) -> None:
    with scripted({}) as aws, pytest.raises(ConfigError, match=says):
        scaling.apply(config(aws.url, **section))
    assert aws.requests == []


# Pausing


def test_a_registered_target_is_paused_and_loses_nothing(url: str, here: RunConfig) -> None:
    somebodys_scaling(url)
    before = scaling.read(here)
    scaling.suspend(here, before)
    after = scaling.read(here)
    assert after.target == {"MinCapacity": 1, "MaxCapacity": 3, "SuspendedState": scaling.PAUSED}
    assert after.policies == before.policies


def test_what_is_not_registered_is_not_registered_to_be_paused(here: RunConfig) -> None:
    scaling.suspend(here, scaling.read(here))
    assert scaling.read(here).target is None


# Putting back


def test_where_there_was_no_scaling_there_is_none_again(here: RunConfig) -> None:
    before = scaling.read(here)
    scaling.apply(here)
    endpoint.set_instances(here, 2)  # and the endpoint is Updating when it is to be put back
    assert restored(here, before) == [
        f"Policy sm-locust-{METRIC} is deleted.",
        f"{RESOURCE} is no longer registered for scaling.",
        "decision-trees-sample is asked for 1 instance again.",
    ]
    steady(here, 1)
    assert scaling.read(here) == before
    assert restored(here, before) == []


def test_somebodys_scaling_is_put_back_exactly(url: str, here: RunConfig) -> None:
    somebodys_scaling(url)
    before = scaling.read(here)
    kept = ScalingState.from_dict(json.loads(json.dumps(before.as_dict())))  # as it is kept for an interrupted run
    assert kept == before
    scaling.suspend(here, kept)
    scaling.apply(config(url, scaling={**WANTED, "min_instances": 2}))
    scaling.apply(here, "sm-locust-second")
    client(url, "application-autoscaling").delete_scaling_policy(PolicyName="team-policy", **WHICH)
    assert scaling.read(here).instances == 2
    assert restored(here, kept) == [
        "Policy sm-locust-second is deleted.",
        f"{RESOURCE} scales from 1 to 3 instances again, DynamicScalingIn suspended.",
        f"Policy sm-locust-{METRIC} is as it was.",
        "Policy team-policy is as it was.",
        "decision-trees-sample is asked for 1 instance again.",
    ]
    steady(here, 1)
    assert scaling.read(here) == before
    assert restored(here, kept) == []


def test_a_target_that_somebody_deregistered_is_registered_again(url: str, here: RunConfig) -> None:
    somebodys_scaling(url)
    before = scaling.read(here)
    client(url, "application-autoscaling").deregister_scalable_target(**WHICH)
    assert len(restored(here, before)) == 3
    assert scaling.read(here) == before


def test_a_target_stays_where_somebody_has_put_a_policy_on_it(url: str, here: RunConfig) -> None:
    before = scaling.read(here)
    scaling.apply(here)
    client(url, "application-autoscaling").put_scaling_policy(
        **WHICH,
        PolicyName="team-policy",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration=tracking(1000),
    )
    assert restored(here, before) == [
        f"Policy sm-locust-{METRIC} is deleted.",
        f"{RESOURCE} stays registered for scaling, for what is not ours: team-policy.",
    ]


def test_putting_back_goes_on_where_it_was_interrupted(here: RunConfig) -> None:
    before = scaling.read(here)
    scaling.apply(here)
    endpoint.set_instances(here, 3)

    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        restored(here, before, interrupt)
    assert restored(here, before) == ["decision-trees-sample is asked for 1 instance again."]
    steady(here, 1)
    assert scaling.read(here) == before


def test_a_step_that_is_refused_does_not_keep_the_others_from_being_done(url: str, here: RunConfig) -> None:
    before = scaling.read(here)
    scaling.apply(here)
    endpoint.set_instances(here, 2)
    refuse(url, "application-autoscaling", 1, "AccessDeniedException")  # the first step's first question
    with pytest.raises(AwsFault) as caught:
        restored(here, before)
    assert caught.value.code == "AccessDeniedException"
    assert str(caught.value).startswith(
        f"scaling of {RESOURCE} is not as it was: Application Auto Scaling DescribeScalingPolicies was refused: "
    )
    assert "the permission it needs is application-autoscaling:DescribeScalingPolicies" in str(caught.value)
    done = (
        f"(done: {RESOURCE} is no longer registered for scaling. decision-trees-sample is asked for 1 instance again.)"
    )
    assert str(caught.value).endswith(done)
    steady(here, 1)
    assert restored(here, before) == []
    assert scaling.read(here) == before


def test_instances_that_move_just_then_are_waited_for() -> None:
    variant = {"VariantName": "AllTraffic", "CurrentInstanceCount": 2, "DesiredInstanceCount": 2}
    moving = refused("ValidationException", 'Cannot update in-progress endpoint "arn:e".')
    answers: Answers = {
        "DescribeEndpoint": said(
            {"EndpointStatus": "InService", "EndpointConfigName": "c", "ProductionVariants": [variant]}
        ),
        "DescribeEndpointConfig": said({"ProductionVariants": []}),
        "UpdateEndpointWeightsAndCapacities": [moving, said({"EndpointArn": "arn:" + "e" * 20})],
        "DescribeScalableTargets": said({"ScalableTargets": []}),
        "DescribeScalingPolicies": said({"ScalingPolicies": []}),
    }
    with scripted(answers) as aws:
        done = restored(config(aws.url), ScalingState(RESOURCE, DIMENSION, None, (), (), 1))
    assert done == ["decision-trees-sample is asked for 1 instance again."]


@pytest.mark.parametrize("service", ["application-autoscaling", "sagemaker"])
def test_throttling_does_not_show(url: str, here: RunConfig, service: str) -> None:
    refuse(url, service, 2)
    assert scaling.read(here).instances == 1


def test_an_endpoint_that_is_not_there_is_told_by_name(url: str) -> None:
    with pytest.raises(AwsFault, match="SageMaker DescribeEndpoint was refused: ValidationException: Could not find"):
        scaling.read(config(url, target={"endpoint": "elsewhere"}))


# What happened


def test_a_scale_out_is_told_when_it_began_and_when_its_instances_serve(url: str, here: RunConfig) -> None:
    before, started_at = scaling.read(here), float(int(time.time()))
    scaling.apply(config(url, scaling={**WANTED, "min_instances": 2}))
    steady(here, 2)
    asked_for, serving = scaling.activities(here, started_at, 60, since=started_at)
    assert (asked_for.desired, asked_for.in_service) == (2, None)
    assert asked_for.event == "Setting desired instance count to 2."
    assert (serving.desired, serving.in_service, serving.event) == (2, 2, "2 instances in service.")
    assert 30 - 1 <= serving.at_s - asked_for.at_s <= 60  # schedule seconds of provisioning
    assert 0 <= asked_for.at_s <= 60 * (time.time() - started_at)
    middle = started_at + (asked_for.at_s + serving.at_s) / 2 / 60
    assert scaling.activities(here, started_at, 60, since=middle) == [serving]
    restored(here, before)


def at(seconds: float) -> float:
    return 1_800_000_000.0 + seconds


def activity(began: float, ended: float | None, status: str, **more: Any) -> dict[str, Any]:
    end = {} if ended is None else {"EndTime": at(ended)}
    description = "Setting desired instance count to 2."
    return {"Description": description, "StartTime": at(began), "StatusCode": status, **end, **more}


@pytest.mark.parametrize(
    ("activity", "events"),
    [
        (activity(60, None, "Pending"), [ScalingEvent(60, 2, None, "Setting desired instance count to 2.")]),
        (activity(60, None, "InProgress"), [ScalingEvent(60, 2, None, "Setting desired instance count to 2.")]),
        (
            activity(60, 300.25, "Failed", StatusMessage="Insufficient capacity."),
            [
                ScalingEvent(60, 2, None, "Setting desired instance count to 2."),
                ScalingEvent(300.25, None, None, "Setting desired instance count to 2 failed: Insufficient capacity."),
            ],
        ),
        (
            activity(60, 90, "Overridden"),
            [
                ScalingEvent(60, 2, None, "Setting desired instance count to 2."),
                ScalingEvent(90, None, None, "Setting desired instance count to 2 was overridden."),
            ],
        ),
        (
            activity(60, None, "Unfulfilled"),
            [
                ScalingEvent(60, 2, None, "Setting desired instance count to 2."),
                ScalingEvent(60, None, None, "Setting desired instance count to 2 could not be fulfilled."),
            ],
        ),
        (
            activity(60, 90, "Successful", Description="Setting min capacity to 1 and max capacity to 4"),
            [ScalingEvent(60, None, None, "Setting min capacity to 1 and max capacity to 4")],
        ),
    ],
)
def test_an_activity_is_told_in_words(activity: dict[str, Any], events: list[ScalingEvent]) -> None:
    with scripted({"DescribeScalingActivities": said({"ScalingActivities": [activity]})}) as aws:
        assert scaling.activities(config(aws.url), at(0), 1, since=at(0)) == events


def test_weeks_of_activities_are_not_all_read() -> None:
    pages = [
        said({"ScalingActivities": [activity(600, None, "InProgress")], "NextToken": "1"}),
        said({"ScalingActivities": [activity(-600, 30, "Successful")], "NextToken": "2"}),
        said({"ScalingActivities": [activity(-86400, -86000, "Successful")], "NextToken": "3"}),
        refused("ValidationException", "one page too many"),
    ]
    with scripted({"DescribeScalingActivities": pages}) as aws:
        found = scaling.activities(config(aws.url), at(0), 1, since=at(0))
        assert [asked(request).get("NextToken") for request in aws.requests] == [None, "1", "2"]
    assert [(event.at_s, event.in_service) for event in found] == [(30.0, 2), (600.0, None)]


def test_scheduled_actions_are_kept_for_the_record() -> None:
    begins = datetime(2027, 1, 1, 6, tzinfo=UTC)
    action = {
        "ScheduledActionName": "mornings",
        "ScheduledActionARN": "arn",
        "Schedule": "cron(0 6 * * ? *)",
        "StartTime": begins.timestamp(),
        "ScalableTargetAction": {"MinCapacity": 2},
        "CreationTime": 0,
    }
    variant = {"VariantName": "AllTraffic", "CurrentInstanceCount": 1, "DesiredInstanceCount": 1}
    answers: Answers = {
        "DescribeEndpoint": said(
            {"EndpointStatus": "InService", "EndpointConfigName": "c", "ProductionVariants": [variant]}
        ),
        "DescribeEndpointConfig": said({"ProductionVariants": [{"VariantName": "AllTraffic"}]}),
        "DescribeScalableTargets": said({"ScalableTargets": [{"MinCapacity": 1, "MaxCapacity": 2, "CreationTime": 0}]}),
        "DescribeScalingPolicies": said({"ScalingPolicies": []}),
        "DescribeScheduledActions": said({"ScheduledActions": [action]}),
    }
    with scripted(answers) as aws:
        state = scaling.read(config(aws.url))
    (kept,) = json.loads(json.dumps(state.as_dict()))["scheduled_actions"]
    assert datetime.fromisoformat(kept.pop("StartTime")) == begins
    assert kept == {
        "ScheduledActionName": "mornings",
        "Schedule": "cron(0 6 * * ? *)",
        "ScalableTargetAction": {"MinCapacity": 2},
    }
