"""Automatic scaling in virtual time: what is registered, what the alarms say, what becomes of the instances."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from sm_locust.local.errors import AwsError
from sm_locust.local.scaled import CONCURRENCY, DIMENSION
from sm_locust.local.settings import Settings
from tests.local.virtual import RESOURCE, START, World

UUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"

# At speed 60 a minute is a second and a rate a minute is 60 × the requests of a second: a target of 600 a minute is 10
# requests a second for an instance, cheap to exceed. Provisioning takes 3.5 s, cooldowns 5 s.


def scaled(target: float = 600, speed: int = 60, **settings: Any) -> World:
    world = World(Settings(**settings), speed)
    world.register()
    world.put(target=target)
    return world


def states(world: World) -> dict[str, str]:
    """StateValue of the high and of the low alarm."""
    return {
        "High" if "AlarmHigh" in alarm["AlarmName"] else "Low": alarm["StateValue"] for alarm in world.scaling.alarms()
    }


def refused(call: Any, *arguments: Any, **named: Any) -> tuple[int, str, str]:
    with pytest.raises(AwsError) as raised:
        call(*arguments, **named)
    return raised.value.status, raised.value.code, json.loads(raised.value.body)["message"]


class TestRegistering:
    def test_a_target_is_described_as_aws_describes_it(self) -> None:
        world = World()
        arn = world.register(1, 4)
        (target,) = world.scaling.scalable_targets()
        assert target.pop("RoleARN").startswith("arn:aws:iam::123456789012:role/aws-service-role/sagemaker.")
        assert target == {
            "ServiceNamespace": "sagemaker",
            "ResourceId": RESOURCE,
            "ScalableDimension": DIMENSION,
            "MinCapacity": 1,
            "MaxCapacity": 4,
            "CreationTime": START,
            "SuspendedState": {
                "DynamicScalingInSuspended": False,
                "DynamicScalingOutSuspended": False,
                "ScheduledScalingSuspended": False,
            },
            "ScalableTargetARN": arn,
        }
        assert world.scaling.scalable_targets([RESOURCE], DIMENSION) == world.scaling.scalable_targets()
        assert world.scaling.scalable_targets(["endpoint/other/variant/AllTraffic"]) == []
        assert world.scaling.scalable_targets(dimension="ecs:service:DesiredCount") == []

    def test_registering_again_changes_only_what_is_given(self) -> None:
        world = World()
        arn = world.register(1, 4, ScheduledScalingSuspended=True)
        world.now = 50
        assert world.register(None, 3, DynamicScalingInSuspended=True) == arn
        (target,) = world.scaling.scalable_targets()
        assert (target["MinCapacity"], target["MaxCapacity"], target["CreationTime"]) == (1, 3, START)
        assert target["SuspendedState"] == {
            "DynamicScalingInSuspended": True,
            "DynamicScalingOutSuspended": False,
            "ScheduledScalingSuspended": True,
        }

    def test_capacity_moves_inside_the_bounds_at_once(self) -> None:
        world = World(Settings(provisioning_time=60))
        world.register(2, 4)
        assert (world.fleet.desired, world.fleet.status) == (2, "Updating")
        (activity,) = world.scaling.scaling_activities()
        assert activity["Cause"] == "minimum capacity was set to 2"
        assert activity["StatusCode"] == "InProgress"
        world.until(1)
        assert world.scaling.scaling_activities()[0]["StatusCode"] == "Successful"
        world.register(1, 1)
        assert (world.fleet.desired, world.fleet.in_service, world.fleet.status) == (1, 1, "InService")
        newest = world.scaling.scaling_activities()[0]
        assert newest["Description"] == "Setting desired instance count to 1."
        assert newest["Cause"] == "maximum capacity was set to 1"
        assert newest["StatusCode"] == "Successful"

    def test_inside_the_bounds_it_stays(self) -> None:
        world = World(Settings(instances=2))
        world.register(1, 4)
        assert world.fleet.desired == 2
        assert world.scaling.scaling_activities() == []

    @pytest.mark.parametrize(
        ("minimum", "maximum", "says"),
        [
            (None, 4, "MinCapacity and MaxCapacity are required"),
            (1, None, "MinCapacity and MaxCapacity are required"),
            (3, 2, "Maximum capacity cannot be less than minimum capacity"),
            (-1, 2, "Capacity from -1 to 2"),
            (0, 0, "Capacity from 0 to 0"),
        ],
    )
    def test_impossible_bounds_are_refused(self, minimum: int | None, maximum: int | None, says: str) -> None:
        status, code, message = refused(World().register, minimum, maximum)
        assert (status, code) == (400, "ValidationException")
        assert says in message

    def test_a_minimum_of_zero_is_registered_and_keeps_an_instance(self) -> None:
        world = World()
        world.register(0, 4)
        world.put(target=600)
        world.load(2, 20)
        assert world.scaling.scalable_targets()[0]["MinCapacity"] == 0
        assert world.fleet.desired == 1

    @pytest.mark.parametrize(
        ("resource", "dimension"),
        [
            ("endpoint/other/variant/AllTraffic", DIMENSION),
            ("endpoint/decision-trees-sample/variant/Other", DIMENSION),
            (RESOURCE, "sagemaker:variant:DesiredProvisionedConcurrency"),
        ],
    )
    def test_what_there_is_not_is_refused_by_name(self, resource: str, dimension: str) -> None:
        register = World().scaling.register_scalable_target
        status, code, message = refused(
            register,
            resource_id=resource,
            dimension=dimension,
            min_capacity=1,
            max_capacity=2,
            suspended=None,
            role_arn=None,
            now=START,
        )
        assert (status, code) == (400, "ValidationException")
        assert (resource if dimension == DIMENSION else dimension) in message

    def test_deregistering_deletes_policies_and_alarms_and_leaves_the_instances(self) -> None:
        world = scaled()
        world.load(15, 10)
        assert world.fleet.in_service == 2
        world.scaling.deregister_scalable_target(resource_id=RESOURCE, dimension=DIMENSION)
        assert world.scaling.scalable_targets() == world.scaling.scaling_policies() == world.scaling.alarms() == []
        assert world.fleet.in_service == 2
        assert world.scaling.scaling_activities()
        assert world.scaling.alarm_history()
        world.load(100, 5)
        assert world.fleet.desired == 2

    @pytest.mark.parametrize("operation", ["deregister", "put", "delete"])
    def test_without_a_target_or_policy_it_is_not_found(self, operation: str) -> None:
        world = World()
        named = {"resource_id": RESOURCE, "dimension": DIMENSION}
        status, code, message = {
            "deregister": lambda: refused(world.scaling.deregister_scalable_target, **named),
            "put": lambda: refused(world.put),
            "delete": lambda: refused(world.scaling.delete_scaling_policy, name="keep-up", **named),
        }[operation]()
        assert (status, code) == (400, "ObjectNotFoundException")
        assert f"resource ID: {RESOURCE}, scalable dimension: {DIMENSION}" in message


class TestPolicies:
    def test_one_of_concurrency_scales_out_by_the_requests_an_instance_has_at_a_time(self) -> None:
        world = World()
        world.register()
        world.put(target=1.5, PredefinedMetricSpecification={"PredefinedMetricType": CONCURRENCY})
        high, _ = world.scaling.alarms()
        assert (high["MetricName"], high["Statistic"]) == ("ConcurrentRequestsPerModel", "Maximum")
        world.load(100, 5)  # of 8.5 ms each: 0.85 at a time
        assert world.fleet.desired == 1
        world.load(300, 10)
        assert world.fleet.desired == world.fleet.in_service == 2

    def test_putting_one_makes_two_alarms_which_describe_it(self) -> None:
        world = World(speed=1)
        world.register()
        arn, alarms = world.put("keep-up", 25_000, ScaleInCooldown=60)
        (policy,) = world.scaling.scaling_policies()
        assert re.fullmatch(
            f"arn:aws:autoscaling:us-east-1:123456789012:scalingPolicy:{UUID}:"
            f"resource/sagemaker/{RESOURCE}:policyName/keep-up",
            arn,
        )
        assert policy == {
            "PolicyARN": arn,
            "PolicyName": "keep-up",
            "ServiceNamespace": "sagemaker",
            "ResourceId": RESOURCE,
            "ScalableDimension": DIMENSION,
            "PolicyType": "TargetTrackingScaling",
            "TargetTrackingScalingPolicyConfiguration": {
                "TargetValue": 25_000,
                "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
                "ScaleInCooldown": 60,
            },
            "Alarms": alarms,
            "CreationTime": START,
        }
        high, low = world.scaling.alarms()
        assert [high["AlarmName"], low["AlarmName"]] == [alarm["AlarmName"] for alarm in alarms]
        assert [high["AlarmArn"], low["AlarmArn"]] == [alarm["AlarmARN"] for alarm in alarms]
        assert re.fullmatch(f"TargetTracking-{RESOURCE}-AlarmHigh-{UUID}", high["AlarmName"])
        assert re.fullmatch(f"TargetTracking-{RESOURCE}-AlarmLow-{UUID}", low["AlarmName"])
        shared = {"Namespace": "AWS/SageMaker", "MetricName": "InvocationsPerInstance", "Statistic": "Sum"}
        shared |= {"Period": 60, "AlarmActions": [arn], "StateValue": "INSUFFICIENT_DATA"}  # type: ignore[dict-item]
        assert high == high | shared | {
            "ComparisonOperator": "GreaterThanThreshold",
            "EvaluationPeriods": 3,
            "Threshold": 25_000,
        }
        assert low == low | shared | {
            "ComparisonOperator": "LessThanThreshold",
            "EvaluationPeriods": 15,
            "Threshold": 22_500,
        }

    def test_alarms_are_found_by_name_prefix_and_state(self) -> None:
        world = scaled()
        world.load(15, 4)
        (high,) = world.scaling.alarms(state="ALARM")
        assert "AlarmHigh" in high["AlarmName"]
        assert world.scaling.alarms([high["AlarmName"]]) == [high]
        assert world.scaling.alarms(prefix=high["AlarmName"][:-1]) == [high]
        assert len(world.scaling.alarms(prefix="TargetTracking-")) == 2
        assert world.scaling.alarms(["none"]) == world.scaling.alarms(prefix="none") == []

    def test_putting_it_again_keeps_its_arn_and_takes_the_new_configuration(self) -> None:
        world = scaled(600)
        first = world.scaling.scaling_policies()[0]
        arn, _ = world.put("keep-up", 700)
        (policy,) = world.scaling.scaling_policies()
        assert arn == policy["PolicyARN"] == first["PolicyARN"]
        assert policy["TargetTrackingScalingPolicyConfiguration"]["TargetValue"] == 700
        assert len(world.scaling.alarms()) == 2

    def test_policies_are_found_by_name_and_deleted_with_their_alarms(self) -> None:
        world = scaled()
        world.put("other", 10)
        assert [policy["PolicyName"] for policy in world.scaling.scaling_policies(["other"])] == ["other"]
        assert world.scaling.scaling_policies(resource_id="endpoint/other/variant/AllTraffic") == []
        assert len(world.scaling.alarms()) == 4
        world.scaling.delete_scaling_policy(name="other", resource_id=RESOURCE, dimension=DIMENSION)
        assert [policy["PolicyName"] for policy in world.scaling.scaling_policies()] == ["keep-up"]
        assert len(world.scaling.alarms()) == 2

    @pytest.mark.parametrize(
        ("changes", "says"),
        [
            ({"target": 0.0}, "target 0.0: must be more than 0"),
            ({"ScaleInCooldown": -1}, "scale_in_cooldown -1.0: must not be negative"),
            ({"PredefinedMetricSpecification": None}, "Exactly one of PredefinedMetricSpecification and Customized"),
            ({"CustomizedMetricSpecification": {"MetricName": "Invocations"}}, "Exactly one of"),
            (
                {"PredefinedMetricSpecification": {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"}},
                "PredefinedMetricType ECSServiceAverageCPUUtilization: the local endpoint supports SageMakerVariantInv",
            ),
            (
                {"PredefinedMetricSpecification": None, "CustomizedMetricSpecification": {"Metrics": []}},
                "needs MetricName, Namespace, Statistic and knows no metric math",
            ),
        ],
    )
    def test_a_policy_that_cannot_be_kept_is_refused(self, changes: dict[str, Any], says: str) -> None:
        world = World()
        world.register()
        status, code, message = refused(world.put, **changes)
        assert (status, code) == (400, "ValidationException")
        assert says in message
        assert world.scaling.scaling_policies() == []


class TestScaling:
    def test_three_minutes_above_the_target_bring_instances_which_serve_after_provisioning(self) -> None:
        world = scaled()
        world.load(15, 2)
        assert (states(world), world.fleet.desired) == ({"High": "OK", "Low": "OK"}, 1)
        world.load(15, 1)
        assert (states(world), world.fleet.desired) == ({"High": "ALARM", "Low": "OK"}, 2)
        (activity,) = world.scaling.scaling_activities()
        high = world.scaling.alarms(state="ALARM")[0]["AlarmName"]
        assert re.fullmatch(UUID, activity.pop("ActivityId"))
        running = {
            "ServiceNamespace": "sagemaker",
            "ResourceId": RESOURCE,
            "ScalableDimension": DIMENSION,
            "Description": "Setting desired instance count to 2.",
            "Cause": f"monitor alarm {high} in state ALARM triggered policy keep-up",
            "StartTime": START + 3,
            "StatusCode": "InProgress",
            "StatusMessage": "Successfully set desired instance count to 2. Waiting for change to be fulfilled by "
            "sagemaker.",
        }
        assert activity == running
        world.load(15, 3)
        assert (world.fleet.in_service, world.fleet.status) == (1, "Updating")
        world.load(15, 1)
        assert (world.fleet.in_service, world.fleet.status) == (2, "InService")
        (activity,) = world.scaling.scaling_activities()
        del activity["ActivityId"]
        assert activity == running | {
            "EndTime": START + 6.5,
            "StatusCode": "Successful",
            "StatusMessage": "Successfully set desired instance count to 2. "
            "Change successfully fulfilled by sagemaker.",
        }

    def test_one_action_may_bring_several_instances(self) -> None:
        world = scaled()
        world.load(35, 10)
        assert world.fleet.in_service == 4
        assert len(world.scaling.scaling_activities()) == 1

    def test_a_larger_scale_out_overrides_one_in_progress(self) -> None:
        world = scaled()
        world.load(15, 4)
        world.load(25, 1)
        assert world.fleet.desired == 3
        newest, oldest = world.scaling.scaling_activities()
        assert (newest["StatusCode"], oldest["StatusCode"]) == ("InProgress", "Overridden")
        assert oldest["EndTime"] == newest["StartTime"] == START + 5
        world.load(25, 10)
        assert (world.fleet.in_service, world.fleet.desired) == (3, 3)

    def test_a_load_that_the_new_instances_take_scales_no_further(self) -> None:
        world = scaled()
        world.load(18, 60)
        assert world.fleet.desired == 2
        assert states(world) == {"High": "OK", "Low": "OK"}

    def test_a_further_scale_out_waits_for_the_cooldown_from_when_the_last_one_served(self) -> None:
        world = scaled(provisioning_time=60)
        world.load(15, 4)  # the alarm at 3 s, the second instance at 4 s: a cooldown of 5 s
        assert world.fleet.in_service == 2
        world.load(25, 4)
        assert (states(world)["High"], world.fleet.desired) == ("ALARM", 2)
        world.load(25, 1)
        assert world.fleet.desired == 3

    def test_fifteen_minutes_below_90_percent_remove_instances_at_once(self) -> None:
        world = scaled(instances=4)
        world.load(16, 14)
        assert (states(world)["Low"], world.fleet.desired) == ("OK", 4)
        world.load(16, 1)
        assert (states(world)["Low"], world.fleet.in_service, world.fleet.status) == ("ALARM", 2, "InService")
        (activity,) = world.scaling.scaling_activities()
        assert "AlarmLow" in activity["Cause"]
        assert (activity["StatusCode"], activity["EndTime"]) == ("Successful", START + 15)

    def test_without_traffic_it_never_scales_in(self) -> None:
        world = scaled(instances=4)
        world.load(1, 14)
        world.until(60)
        assert world.fleet.desired == 4
        assert states(world) == {"High": "INSUFFICIENT_DATA", "Low": "INSUFFICIENT_DATA"}

    def test_one_idle_minute_starts_the_fifteen_anew(self) -> None:
        world = scaled(instances=4)
        world.load(1, 10)
        world.until(11)
        world.load(1, 14)
        assert world.fleet.desired == 4
        world.load(1, 1)
        assert world.fleet.desired == 1

    def test_suspended_it_stays_and_resumed_it_acts_at_the_next_minute(self) -> None:
        world = World()
        world.register(1, 4, DynamicScalingOutSuspended=True)
        world.put(target=600)
        world.load(15, 10)
        assert (states(world)["High"], world.fleet.desired) == ("ALARM", 1)
        world.register(None, None, DynamicScalingOutSuspended=False)
        assert world.fleet.desired == 1
        world.load(15, 1)
        assert world.fleet.desired == 2

    def test_policies_coexist_and_the_largest_capacity_wins(self) -> None:
        world = scaled(600)
        world.put("eager", 300)
        world.load(14, 3)
        assert world.fleet.desired == 3
        assert world.scaling.scaling_activities()[0]["Cause"].endswith("triggered policy eager")

    def test_a_customized_metric_that_is_published_here_is_tracked(self) -> None:
        world = World()
        world.register()
        dimensions = {"EndpointName": "decision-trees-sample", "VariantName": "AllTraffic"}
        specification = {
            "Namespace": "AWS/SageMaker",
            "MetricName": "ModelLatency",
            "Dimensions": [{"Name": name, "Value": value} for name, value in reversed(dimensions.items())],
            "Statistic": "Average",
        }
        custom = {"PredefinedMetricSpecification": None, "CustomizedMetricSpecification": specification}
        world.put("quick", 6000, **custom)  # µs: 8.5 ms of service are too many
        world.load(15, 3)
        assert world.fleet.desired == 2

    @pytest.mark.parametrize(("speed", "seconds"), [(60, 3), (12, 15), (1, 180)])
    def test_the_target_is_a_rate_a_minute_at_any_speed(self, speed: int, seconds: int) -> None:
        world = scaled(600, speed)
        world.load(10, seconds * 5)
        assert world.fleet.desired == 1
        world.load(11, seconds)
        assert world.fleet.desired == 2


class TestNotScaled:
    def test_why_nothing_was_done_is_told_only_to_who_asks_and_once_for_as_long_as_it_lasts(self) -> None:
        world = World(Settings(instances=2))
        world.register(1, 2)
        world.put(target=600)
        world.load(50, 20)
        assert world.scaling.scaling_activities() == []
        (activity,) = world.scaling.scaling_activities(include_not_scaled=True)
        assert activity["NotScaledReasons"] == [{"Code": "AlreadyAtMaxCapacity", "MaxCapacity": 2}]
        assert (activity["StatusCode"], activity["Description"]) == (
            "Failed",
            "Attempting to scale due to alarm triggered",
        )

    def test_at_the_minimum(self) -> None:
        world = scaled()
        world.load(2, 20)
        (activity,) = world.scaling.scaling_activities(include_not_scaled=True)
        assert activity["NotScaledReasons"] == [{"Code": "AlreadyAtMinCapacity", "MinCapacity": 1}]

    def test_at_the_desired_capacity(self) -> None:
        world = scaled(instances=3)
        world.load(25, 20)  # 500 a minute each: below 540, and two would have 750
        (activity,) = world.scaling.scaling_activities(include_not_scaled=True)
        assert activity["NotScaledReasons"] == [{"Code": "AlreadyAtDesiredCapacity", "CurrentCapacity": 3}]

    def test_activities_of_another_resource_are_none(self) -> None:
        world = scaled()
        world.load(15, 5)
        assert len(world.scaling.scaling_activities(RESOURCE, DIMENSION)) == 1
        assert world.scaling.scaling_activities("endpoint/other/variant/AllTraffic") == []


class TestHistory:
    def test_each_change_of_state_is_kept_newest_first_with_both_states_as_json(self) -> None:
        world = scaled()
        world.load(15, 4)
        name = world.scaling.alarms(state="ALARM")[0]["AlarmName"]
        newest, oldest = world.scaling.alarm_history(name)
        assert oldest["HistorySummary"] == "Alarm updated from INSUFFICIENT_DATA to OK"
        data = json.loads(newest.pop("HistoryData"))
        assert newest == {
            "AlarmName": name,
            "AlarmType": "MetricAlarm",
            "Timestamp": START + 3,
            "HistoryItemType": "StateUpdate",
            "HistorySummary": "Alarm updated from OK to ALARM",
        }
        assert data["oldState"]["stateValue"] == "OK"
        assert data["newState"]["stateValue"] == "ALARM"
        assert data["newState"]["stateReason"] == (
            "Threshold Crossed: 3 datapoints [900.0 (14/11/23 22:14:00), 900.0 (14/11/23 22:14:01), "
            "900.0 (14/11/23 22:14:02)] were greater than the threshold (600.0)."
        )
        assert data["newState"]["stateReasonData"] == {
            "version": "1.0",
            "queryDate": "2023-11-14T22:14:03.000+0000",
            "startDate": "2023-11-14T22:14:00.000+0000",
            "statistic": "Sum",
            "period": 1,
            "recentDatapoints": [900.0, 900.0, 900.0],
            "threshold": 600.0,
        }

    @pytest.mark.parametrize(
        ("rate", "reason"),
        [
            (15, "[900.0 (14/11/23 22:14:00)] was greater than the threshold (600.0)."),
            (5, "[300.0 (14/11/23 22:14:00)] was not greater than the threshold (600.0)."),
        ],
    )
    def test_the_reason_of_a_state_is_a_true_sentence(self, rate: float, reason: str) -> None:
        world = scaled()
        world.load(rate, 1)
        assert world.scaling.alarms()[0]["StateReason"] == f"Threshold Crossed: 1 datapoint {reason}"
        world.until(60)
        assert world.scaling.alarms()[0]["StateReason"] == "Insufficient Data: 3 datapoints were unknown."

    def test_its_times_are_in_milliseconds_as_on_the_wire(self) -> None:
        world = scaled()
        world.request(0.5)
        world.scaling.tick(START + 1.0109999)
        newest, _ = world.scaling.alarm_history()
        assert newest["Timestamp"] == START + 1.011
        assert json.loads(newest["HistoryData"])["newState"]["stateReasonData"]["queryDate"].endswith(":01.011+0000")
        assert newest in world.scaling.alarm_history(start=newest["Timestamp"])

    def test_it_is_found_by_time_and_type(self) -> None:
        world = scaled()
        world.load(15, 4)
        everything = world.scaling.alarm_history()
        assert [item["Timestamp"] - START for item in everything] == [3, 1, 1]
        assert world.scaling.alarm_history(start=START + 2) == everything[:1]
        assert world.scaling.alarm_history(end=START + 2) == everything[1:]
        assert world.scaling.alarm_history(item_type="StateUpdate") == everything
        assert world.scaling.alarm_history(item_type="Action") == []
        assert world.scaling.alarm_history("none") == []


def test_more_instances_than_the_account_may_have_are_refused_and_the_fleet_stays() -> None:
    world = World()
    world.register(10**9, 10**9)
    (activity,) = world.scaling.scaling_activities()
    assert activity["StatusCode"] == "Failed"
    assert "100 Instances" in activity["StatusMessage"]
    assert world.fleet.desired == 1
