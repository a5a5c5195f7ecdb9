"""What happened to the scaling of a resource: what it did, and when the alarms of its policies changed their state.

Application Auto Scaling tells the one, CloudWatch the other: of an alarm's time its history is the only witness, and
where that is not to be had it is unknown. What there is to scale by is application_autoscaling's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from operator import attrgetter
from typing import Any

from sm_locust.aws import serving
from sm_locust.aws.application_autoscaling import described
from sm_locust.aws.session import ask_all, client
from sm_locust.config import RunConfig
from sm_locust.record.clock import RunClock
from sm_locust.record.observation import ScalingEvent, alarm_event
from sm_locust.scaled import Scaled

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
    for activity in described(config, "DescribeScalingActivities"):  # newest first, weeks of them
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


class Alarms:
    """Of one configuration's resource. It remembers their names: their history outlives them and their policy."""

    def __init__(self, config: RunConfig) -> None:
        self._config = config
        self._names: set[str] = set()

    def changes(self, started_at: float, speed: int, since: float) -> list[ScalingEvent]:
        """Every change of state, oldest first.

        started_at  Unix seconds of the run's start, on AWS's clock
        speed       schedule seconds for one real second
        since       Unix seconds, on AWS's clock: changes before it are left out

        Source: DescribeAlarmHistory with HistoryItemType StateUpdate, of the Alarms of DescribeScalingPolicies. Raises
        AwsFault.
        """
        policies = described(self._config, "DescribeScalingPolicies")
        self._names.update(str(alarm["AlarmName"]) for there in policies for alarm in there.get("Alarms") or ())
        clock = RunClock(0.0, started_at, speed)
        cloudwatch = client(self._config, "cloudwatch")
        events = []
        for name in sorted(self._names):
            for page in ask_all(cloudwatch, "DescribeAlarmHistory", AlarmName=name, HistoryItemType="StateUpdate"):
                items = page.get("AlarmHistoryItems", [])
                for item in items:
                    at = item["Timestamp"].timestamp()
                    if at >= since:
                        at_s = round(clock.at_s(clock.at(at)), 3)
                        events.append(ScalingEvent(at_s, None, None, alarm_event(name, *_states(item))))
                if items and items[-1]["Timestamp"].timestamp() < since:  # newest first, weeks of them
                    break
        return sorted(events, key=attrgetter("at_s"))


def _states(item: Mapping[str, Any]) -> tuple[str, str]:
    """From which state to which. HistoryData is JSON; HistorySummary says it in words."""
    try:
        data = json.loads(item["HistoryData"])
        return str(data["oldState"]["stateValue"]), str(data["newState"]["stateValue"])
    except (KeyError, TypeError, ValueError):
        words = str(item.get("HistorySummary", "")).split()
        return (words[-3], words[-1]) if len(words) >= 3 and words[-2] == "to" else ("?", "?")
