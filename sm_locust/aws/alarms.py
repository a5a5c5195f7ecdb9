"""The alarms of the scaling policies: when each changed its state, as CloudWatch's history has it.

The history is the only witness of an alarm's time; where it is not to be had, that time is unknown. What the policies
did then is scaling's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from operator import attrgetter
from typing import Any

from sm_locust.aws import scaling
from sm_locust.aws.session import ask_all, client
from sm_locust.config import RunConfig
from sm_locust.record.clock import RunClock
from sm_locust.record.observation import ScalingEvent, alarm_event


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
        self._names.update(scaling.alarm_names(self._config))
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
