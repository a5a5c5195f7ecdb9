"""Automatic scaling is set up, paused and put back exactly as it was, at the local endpoint, which really scales."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from sm_locust.aws import scaling, serving
from sm_locust.aws.application_autoscaling import PAUSED
from sm_locust.aws.events import activities
from sm_locust.aws.preview import preview
from sm_locust.aws.scaling import ScalingState
from sm_locust.aws.session import AwsFault
from sm_locust.config import ConfigError, RunConfig
from sm_locust.local.settings import Settings
from sm_locust.scaled import PREFIX
from tests.aws.harness import Answers, config, refuse, refused, said, scripted
from tests.local.harness import client, running

RESOURCE = "endpoint/decision-trees-sample/variant/AllTraffic"
DIMENSION = "sagemaker:variant:DesiredInstanceCount"
WHICH = {"ServiceNamespace": "sagemaker", "ResourceId": RESOURCE, "ScalableDimension": DIMENSION}
METRIC = "SageMakerVariantInvocationsPerInstance"
WANTED = {"min_instances": 1, "max_instances": 4, "metric": METRIC, "target": 25000}
CLEAN = ScalingState(RESOURCE, DIMENSION, None, (), (), 1)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running(Settings(provisioning_time=30), speed=60) as url:  # half a second
        yield url


@pytest.fixture
def here(url: str) -> Iterator[RunConfig]:
    """A configuration for one instance and no scaling, as it is again after the test."""
    here = config(url, scaling=WANTED)
    assert scaling.read(here) == CLEAN
    yield here
    aws = client(url, "application-autoscaling")
    for policy in aws.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"]:
        aws.delete_scaling_policy(PolicyName=policy["PolicyName"], **WHICH)
    restored(here, CLEAN)
    steady(here)


def restored(here: RunConfig, state: ScalingState, say: Callable[[str], None] = lambda _: None) -> list[str]:
    return scaling.restore(here, state, registered_by_us=True, patience=10, every=0.05, say=say)


def steady(here: RunConfig, instances: int | None = None) -> None:
    serving.wait_until_steady(here, instances, patience=10, every=0.05, say=lambda _: None)


def applied(here: RunConfig) -> list[str]:
    return scaling.apply(here, scaling.read(here))


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
        (PREFIX + METRIC, tracking(20000)),
    ):
        aws.put_scaling_policy(
            **WHICH,
            PolicyName=name,
            PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration=configuration,
        )


# Setting up


def test_what_is_set_up_is_what_the_configuration_says(here: RunConfig) -> None:
    assert applied(here) == [
        f"{RESOURCE} scales from 1 to 4 instances.",
        f"Policy sm-locust-{METRIC} keeps {METRIC} at 25000.",
    ]
    state = scaling.read(here)
    assert state.target is not None
    assert state.target.pop("RoleARN").endswith("AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint")
    assert state.target == {
        "MinCapacity": 1,
        "MaxCapacity": 4,
        "SuspendedState": dict.fromkeys(PAUSED, False),  # there is no scheduled action
    }
    (policy,) = state.policies
    assert policy == {
        "PolicyName": f"sm-locust-{METRIC}",
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": tracking(25000.0),
    }


def test_setting_up_twice_is_setting_up_once(here: RunConfig) -> None:
    applied(here)
    once = scaling.read(here)
    applied(here)
    assert scaling.read(here) == once


def test_what_others_had_set_up_is_taken_away_and_said(url: str, here: RunConfig) -> None:
    somebodys_scaling(url)
    assert applied(here)[0] == "Policy team-policy is taken away."
    (policy,) = scaling.read(here).policies
    assert policy["TargetTrackingScalingPolicyConfiguration"] == tracking(25000.0)


def test_policies_that_came_in_between_are_named(url: str, here: RunConfig) -> None:
    before = scaling.read(here)
    somebodys_scaling(url)
    assert scaling.apply(here, before)[-1] == ("Also in force, and the largest number of instances wins: team-policy.")


def test_a_custom_metric_is_of_the_watched_variant_and_cooldowns_are_seconds(url: str, here: RunConfig) -> None:
    custom = {"namespace": "AWS/SageMaker", "name": "Invocations", "statistic": "Sum"}
    section = {**WANTED, "metric": custom, "target": 10, "scale_out_cooldown": "1m", "scale_in_cooldown": 600}
    assert scaling.apply(config(url, scaling=section), scaling.read(here))[-1] == (
        "Policy sm-locust-Invocations keeps Invocations at 10."
    )
    (policy,) = scaling.read(here).policies
    dimensions = {"EndpointName": "decision-trees-sample", "VariantName": "AllTraffic"}
    assert policy["TargetTrackingScalingPolicyConfiguration"] == {
        "TargetValue": 10.0,
        "CustomizedMetricSpecification": {
            "MetricName": "Invocations",
            "Namespace": "AWS/SageMaker",
            "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()],
            "Statistic": "Sum",
        },
        "ScaleOutCooldown": 60,
        "ScaleInCooldown": 600,
    }


def test_a_custom_metric_may_have_dimensions_and_a_unit_of_its_own() -> None:
    custom = {"namespace": "T", "name": "Q", "statistic": "Average", "dimensions": {"Queue": "a"}, "unit": "Count"}
    found = scaling.policy(config("http://127.0.0.1:1", scaling={**WANTED, "metric": custom}))
    assert found["TargetTrackingScalingPolicyConfiguration"]["CustomizedMetricSpecification"] == {
        "MetricName": "Q",
        "Namespace": "T",
        "Dimensions": [{"Name": "Queue", "Value": "a"}],
        "Statistic": "Average",
        "Unit": "Count",
    }


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ({}, "scaling: missing; required: min_instances, max_instances, metric and target"),
        (
            {"scaling": {**WANTED, "metric": "SageMakerInferenceComponentInvocationsPerCopy"}},
            r"request\.inference_component: missing; required: the inference component",
        ),
    ],
)
def test_what_cannot_be_set_up_is_refused_before_aws_is_asked(section: dict[str, Any], says: str) -> None:
    with scripted({}) as aws, pytest.raises(ConfigError, match=says):
        scaling.apply(config(aws.url, **section), CLEAN)
    assert aws.requests == []


MORNINGS = {"ScheduledActionName": "mornings", "Schedule": "rate(1 day)", "ScalableTargetAction": {"MinCapacity": 2}}
TEAM = {"PolicyName": "team-policy", "PolicyType": "StepScaling"}
OURS = {"PolicyName": "sm-locust-Old", "PolicyType": "TargetTrackingScaling"}


@pytest.mark.parametrize(
    ("found", "replace_others", "says"),
    [
        ({}, False, None),
        ({"policies": (OURS,)}, False, None),
        ({"instances": 4}, False, None),
        (
            {"instances": 6},
            True,
            f"scaling.max_instances: 4 is not accepted: {RESOURCE} has 6 instances, and those above the maximum would "
            "be gone at once; 6 or more",
        ),
        ({"instances": None}, True, f"{RESOURCE} is serverless: its instances cannot be scaled"),
        (
            {"policies": (OURS, TEAM)},
            False,
            f"{RESOURCE} has the scaling policy team-policy, not ours, and they would scale it together with the "
            "configuration's policy: give --replace to take policies away and suspend scheduled actions; they come "
            "back",
        ),
        ({"policies": (OURS, TEAM)}, True, None),
        (
            {"policies": (TEAM, {**TEAM, "PolicyName": "b"}), "scheduled_actions": (MORNINGS,)},
            False,
            f"{RESOURCE} has the scaling policies team-policy, b and the scheduled action mornings, not ours, and they",
        ),
        ({"scheduled_actions": (MORNINGS,)}, False, f"{RESOURCE} has the scheduled action mornings, not ours"),
        ({"scheduled_actions": (MORNINGS,)}, True, None),
    ],
)
def test_what_must_not_be_done_is_refused_before_aws_is_asked(
    found: dict[str, Any], replace_others: bool, says: str | None
) -> None:
    here = config("http://127.0.0.1:1", scaling=WANTED)
    state = replace(CLEAN, **found)
    if says is None:
        scaling.check(here, state, replace=replace_others)
    else:
        with pytest.raises(ConfigError) as caught:
            scaling.check(here, state, replace=replace_others)
        assert str(caught.value).startswith(says)


# Showing


def test_a_difference_names_what_would_change_and_what_would_not() -> None:
    target = {"MinCapacity": 2, "MaxCapacity": 6, "SuspendedState": {"DynamicScalingInSuspended": True}}
    team = {
        "PolicyName": "team-policy",
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": tracking(9000, ScaleInCooldown=900, DisableScaleIn=True),
    }
    state = ScalingState(RESOURCE, DIMENSION, target, (team,), (MORNINGS,), 3, {"team": "a"})
    found = preview(config("http://127.0.0.1:1", scaling=WANTED), state, serve=2)
    assert [(row.what, row.now, row.then) for row in found] == [
        ("bounds", "2 to 6 instances", "1 to 4 instances"),
        ("suspended", "DynamicScalingIn", "ScheduledScaling"),
        (f"policy sm-locust-{METRIC}", "–", f"{METRIC} at 25000"),
        ("policy team-policy", f"{METRIC} at 9000, cooldown in 900 s, never in", "–"),
        ("scheduled action mornings", "rate(1 day) MinCapacity 2", "rate(1 day) MinCapacity 2"),
        ("instances", "3 instances, 2 serving", "3 instances, 2 serving"),
        ("tags", "team=a", "team=a"),
    ]


def test_once_it_is_set_up_nothing_differs(here: RunConfig) -> None:
    assert any(row.changes for row in preview(here, scaling.read(here), 1))
    applied(here)
    assert not any(row.changes for row in preview(here, scaling.read(here), 1))


# Taking away


def test_what_is_ours_goes_and_what_is_not_stays(url: str, here: RunConfig) -> None:
    somebodys_scaling(url)
    assert scaling.remove(here, registered_by_us=True) == [
        f"Policy sm-locust-{METRIC} is deleted.",
        f"{RESOURCE} stays registered for scaling, for what is not ours: team-policy.",
    ]
    client(url, "application-autoscaling").delete_scaling_policy(PolicyName="team-policy", **WHICH)
    assert scaling.remove(here, registered_by_us=False) == [
        f"{RESOURCE} stays registered for scaling: it was not we who registered it."
    ]
    assert scaling.remove(here, registered_by_us=True) == [f"{RESOURCE} is no longer registered for scaling."]
    assert scaling.remove(here, registered_by_us=True) == []


# Pausing


def test_a_registered_target_is_paused_and_loses_nothing(url: str, here: RunConfig) -> None:
    somebodys_scaling(url)
    before = scaling.read(here)
    scaling.suspend(here, before)
    after = scaling.read(here)
    assert after.target is not None and before.target is not None
    assert after.target == {**before.target, "SuspendedState": PAUSED}
    assert after.policies == before.policies


def test_what_is_not_registered_is_not_registered_to_be_paused(here: RunConfig) -> None:
    scaling.suspend(here, scaling.read(here))
    assert scaling.read(here).target is None


# Putting back


def test_where_there_was_no_scaling_there_is_none_again(here: RunConfig) -> None:
    before = scaling.read(here)
    applied(here)
    serving.ask_for(here, 2)  # and the endpoint is Updating when it is to be put back
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
    second = {"namespace": "AWS/SageMaker", "name": "Invocations", "statistic": "Sum"}
    applied(config(url, scaling={**WANTED, "min_instances": 2, "metric": second}))
    assert scaling.read(here).instances == 2
    assert restored(here, kept) == [
        "Policy sm-locust-Invocations is deleted.",
        f"Policy sm-locust-{METRIC} is as it was.",
        "Policy team-policy is as it was.",
        f"{RESOURCE} scales from 1 to 3 instances again, DynamicScalingIn suspended.",
        "decision-trees-sample is asked for 1 instance again.",
    ]
    steady(here, 1)
    assert scaling.read(here) == before
    assert restored(here, kept) == []


def test_a_target_that_somebody_deregistered_is_registered_again(url: str, here: RunConfig) -> None:
    somebodys_scaling(url)
    before = scaling.read(here)
    client(url, "application-autoscaling").deregister_scalable_target(**WHICH)
    assert restored(here, before) == [
        f"{RESOURCE} is registered for scaling again.",
        f"Policy sm-locust-{METRIC} is as it was.",
        "Policy team-policy is as it was.",
        f"{RESOURCE} scales from 1 to 3 instances again, DynamicScalingIn suspended.",
    ]
    assert scaling.read(here) == before


def test_a_target_stays_where_somebody_has_put_a_policy_on_it(url: str, here: RunConfig) -> None:
    before = scaling.read(here)
    applied(here)
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


def test_a_registration_that_is_not_ours_stays(here: RunConfig) -> None:
    before = scaling.read(here)
    applied(here)
    assert scaling.restore(here, before, registered_by_us=False, patience=10, every=0.05, say=print) == [
        f"Policy sm-locust-{METRIC} is deleted.",
        f"{RESOURCE} stays registered for scaling: it was not we who registered it.",
    ]


def test_copies_of_an_inference_component_are_scaled_and_put_back_as_instances_are() -> None:
    metric = "SageMakerInferenceComponentInvocationsPerCopy"
    with running(Settings(provisioning_time=30, inference_component="trees"), speed=60) as url:
        section = {**WANTED, "metric": metric, "min_instances": 2, "target": 9}
        here = config(url, request={"inference_component": "trees"}, scaling=section)
        started_at, before = float(int(time.time())), scaling.read(here)
        assert (before.resource_id, before.instances) == ("inference-component/trees", 1)
        assert before.dimension == "sagemaker:inference-component:DesiredCopyCount"
        assert applied(here) == [
            "inference-component/trees scales from 2 to 4 copies.",
            f"Policy sm-locust-{metric} keeps {metric} at 9.",
        ]
        steady(here, 2)
        assert [(event.desired, event.in_service) for event in activities(here, started_at, 60, started_at)] == [
            (2, None),
            (2, 2),
        ]
        assert restored(here, before) == [
            f"Policy sm-locust-{metric} is deleted.",
            "inference-component/trees is no longer registered for scaling.",
            "trees is asked for 1 copy again.",
        ]
        steady(here, 1)
        assert scaling.read(here) == before


def test_what_went_with_a_deregistered_target_is_put_back_with_its_tags(url: str, here: RunConfig) -> None:
    aws = client(url, "application-autoscaling")
    aws.register_scalable_target(**WHICH, MinCapacity=1, MaxCapacity=3, Tags={"team": "trees"})
    aws.put_scheduled_action(**WHICH, **{**MORNINGS, "StartTime": datetime(2099, 1, 1, 6, tzinfo=UTC)})
    before = scaling.read(here)
    assert before.tags == {"team": "trees"}
    kept = ScalingState.from_dict(json.loads(json.dumps(before.as_dict())))
    aws.deregister_scalable_target(**WHICH)
    assert restored(here, kept)[1:] == [
        "Scheduled action mornings is as it was.",
        f"{RESOURCE} scales from 1 to 3 instances again.",
        "Tags team are as they were.",
    ]
    assert scaling.read(here) == before
    aws.deregister_scalable_target(**WHICH)


def test_putting_back_goes_on_where_it_was_interrupted(here: RunConfig) -> None:
    before = scaling.read(here)
    applied(here)
    serving.ask_for(here, 3)

    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        restored(here, before, interrupt)
    assert restored(here, before) == ["decision-trees-sample is asked for 1 instance again."]
    steady(here, 1)
    assert scaling.read(here) == before


def test_a_step_that_is_refused_does_not_keep_the_others_from_being_done(url: str, here: RunConfig) -> None:
    before = scaling.read(here)
    applied(here)
    serving.ask_for(here, 2)
    refuse(url, "application-autoscaling", 1, "AccessDeniedException")  # the first step's first question
    done: list[str] = []
    with pytest.raises(AwsFault) as caught:
        scaling.restore(here, before, registered_by_us=True, patience=10, every=0.1, say=print, done=done)
    assert caught.value.code == "AccessDeniedException"
    assert str(caught.value).startswith(
        f"scaling of {RESOURCE} is not as it was: Application Auto Scaling DescribeScalingPolicies was refused: "
    )
    assert "the permission it needs is application-autoscaling:DescribeScalingPolicies" in str(caught.value)
    assert done == [
        f"{RESOURCE} is no longer registered for scaling.",
        "decision-trees-sample is asked for 1 instance again.",
    ]
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
    applied(config(url, scaling={**WANTED, "min_instances": 2}))
    steady(here, 2)
    asked_for, serving = activities(here, started_at, 60, since=started_at)
    assert (asked_for.desired, asked_for.in_service) == (2, None)
    assert asked_for.event == "Setting desired instance count to 2."
    assert (serving.desired, serving.in_service, serving.event) == (2, 2, "2 instances in service.")
    assert 30 - 1 <= serving.at_s - asked_for.at_s <= 60  # schedule seconds of provisioning
    assert 0 <= asked_for.at_s <= 60 * (time.time() - started_at)
    middle = started_at + (asked_for.at_s + serving.at_s) / 2 / 60
    assert activities(here, started_at, 60, since=middle) == [serving]
    restored(here, before)


@pytest.fixture
def in_kathmandu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("in_kathmandu")
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
    assert kept.pop("StartTime") == begins.isoformat()  # the same text wherever it is asked for
    assert kept == {
        "ScheduledActionName": "mornings",
        "Schedule": "cron(0 6 * * ? *)",
        "ScalableTargetAction": {"MinCapacity": 2},
    }
