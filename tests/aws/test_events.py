"""What automatic scaling did, and when each alarm changed its state, also once its policy is gone."""

from __future__ import annotations

import json
import time
import urllib.request
from typing import Any

import pytest

from sm_locust.aws import scaling
from sm_locust.aws.events import Alarms, activities
from sm_locust.aws.session import AwsFault
from sm_locust.local.settings import Settings
from sm_locust.record.observation import ScalingEvent, alarm_change, alarm_event
from tests.aws.harness import Answers, asked, config, refused, said, scripted
from tests.local.harness import running

METRIC = "SageMakerVariantInvocationsPerInstance"
STARTED = 1_800_000_000.0


# What it did


def at(seconds: float) -> float:
    return STARTED + seconds


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
        assert activities(config(aws.url), at(0), 1, since=at(0)) == events


def test_weeks_of_activities_are_not_all_read() -> None:
    pages = [
        said({"ScalingActivities": [activity(600, None, "InProgress")], "NextToken": "1"}),
        said({"ScalingActivities": [activity(-600, 30, "Successful")], "NextToken": "2"}),
        said({"ScalingActivities": [activity(-86400, -86000, "Successful")], "NextToken": "3"}),
        refused("ValidationException", "one page too many"),
    ]
    with scripted({"DescribeScalingActivities": pages}) as aws:
        found = activities(config(aws.url), at(0), 1, since=at(0))
        assert [asked(request).get("NextToken") for request in aws.requests] == [None, "1", "2"]
    assert [(event.at_s, event.in_service) for event in found] == [(30.0, 2), (600.0, None)]


# Alarms


def item(at: float, old: str, new: str, **more: Any) -> dict[str, Any]:
    data = {"version": "1.0", "oldState": {"stateValue": old}, "newState": {"stateValue": new}}
    return {
        "AlarmName": "high",
        "Timestamp": STARTED + at,
        "HistoryItemType": "StateUpdate",
        "HistorySummary": f"Alarm updated from {old} to {new}",
        "HistoryData": json.dumps(data),
        **more,
    }


def policies(*alarms: str) -> bytes:
    named = [{"AlarmName": name, "AlarmARN": f"arn:{name}"} for name in alarms]
    policy = {
        "PolicyARN": "arn:p",
        "PolicyName": "p",
        "ServiceNamespace": "sagemaker",
        "ResourceId": "r",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
        "PolicyType": "TargetTrackingScaling",
        "CreationTime": 0,
        "Alarms": named,
    }
    return said({"ScalingPolicies": [policy] if alarms else []})


def test_changes_are_told_in_the_schedule_s_seconds_oldest_first() -> None:
    history = [item(3, "OK", "ALARM"), item(1, "INSUFFICIENT_DATA", "OK"), item(-5, "OK", "INSUFFICIENT_DATA")]
    answers: Answers = {
        "DescribeScalingPolicies": policies("high"),
        "DescribeAlarmHistory": said({"AlarmHistoryItems": history}),
    }
    with scripted(answers) as aws:
        found = Alarms(config(aws.url)).changes(STARTED, 60, since=STARTED)
        assert asked(aws.requests[-1])["HistoryItemType"] == "StateUpdate"
    assert found == [
        ScalingEvent(60.0, None, None, "Alarm high: INSUFFICIENT_DATA → OK."),
        ScalingEvent(180.0, None, None, "Alarm high: OK → ALARM."),
    ]


def test_an_alarm_that_went_with_its_policy_is_still_asked_about() -> None:
    answers: Answers = {
        "DescribeScalingPolicies": [policies("high"), policies()],
        "DescribeAlarmHistory": said({"AlarmHistoryItems": [item(3, "OK", "ALARM")]}),
    }
    with scripted(answers) as aws:
        alarms = Alarms(config(aws.url))
        assert alarms.changes(STARTED, 1, since=STARTED) == alarms.changes(STARTED, 1, since=STARTED) != []


@pytest.mark.parametrize(
    ("more", "event"),
    [
        ({"HistoryData": "{"}, "Alarm high: OK → ALARM."),
        ({"HistoryData": "{}", "HistorySummary": "Alarm updated"}, "Alarm high: ? → ?."),
    ],
)
def test_what_the_history_words_otherwise_is_read_from_its_summary(more: dict[str, Any], event: str) -> None:
    answers: Answers = {
        "DescribeScalingPolicies": policies("high"),
        "DescribeAlarmHistory": said({"AlarmHistoryItems": [item(3, "OK", "ALARM", **more)]}),
    }
    with scripted(answers) as aws:
        assert [found.event for found in Alarms(config(aws.url)).changes(STARTED, 1, since=STARTED)] == [event]


def test_weeks_of_history_are_not_all_read() -> None:
    pages = [
        said({"AlarmHistoryItems": [item(3, "OK", "ALARM")], "NextToken": "1"}),
        said({"AlarmHistoryItems": [item(-60, "ALARM", "OK")], "NextToken": "2"}),
        refused("ValidationException", "one page too many"),
    ]
    with scripted({"DescribeScalingPolicies": policies("high"), "DescribeAlarmHistory": pages}) as aws:
        assert len(Alarms(config(aws.url)).changes(STARTED, 1, since=STARTED)) == 1


def test_who_may_not_read_the_history_is_told_which_permission_it_needs() -> None:
    answers: Answers = {
        "DescribeScalingPolicies": policies("high"),
        "DescribeAlarmHistory": refused("AccessDeniedException", "no"),
    }
    with scripted(answers) as aws, pytest.raises(AwsFault, match="the permission it needs is cloudwatch:Desc"):
        Alarms(config(aws.url)).changes(STARTED, 1, since=STARTED)


def test_an_alarm_of_the_local_endpoint_goes_on_when_its_target_is_passed() -> None:
    section = {"min_instances": 1, "max_instances": 2, "metric": METRIC, "target": 1}
    with running(Settings(publish_delay=0), speed=60) as url:
        here = config(url, scaling=section)
        started = float(int(time.time()))
        scaling.apply(here, scaling.read(here))
        alarms, deadline = Alarms(here), time.monotonic() + 30
        on: list[ScalingEvent] = []
        while not on and time.monotonic() < deadline:
            for _ in range(20):
                request = urllib.request.Request(f"{url}/DummyStage/DT", b"5,3.5,1.3,0.3", {"Content-Type": "text/csv"})
                urllib.request.urlopen(request, timeout=10).close()
            time.sleep(0.2)
            changes = alarms.changes(started, 60, since=started)
            on = [event for event in changes if (alarm_change(event.event) or ("", "", ""))[2] == "ALARM"]
    name, _, _ = alarm_change(on[0].event) or ("", "", "")
    assert "AlarmHigh" in name
    assert 0 < on[0].at_s < 60 * 30
    assert alarm_event(*(alarm_change(on[0].event) or ("", "", ""))) == on[0].event
