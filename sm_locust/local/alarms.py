"""CloudWatch's alarms that target tracking lives by: their state, how they describe it, and its history.

When an alarm is in which state is `target_tracking`'s to say, what it then sets off autoscaling's.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sm_locust.local.settings import ACCOUNT
from sm_locust.target_tracking import AlarmState

_UNCHECKED = "Unchecked: Initial alarm creation"


@dataclass(frozen=True, slots=True)
class Watched:
    """The metric of an alarm, in CloudWatch's words; `period` in real seconds."""

    namespace: str
    metric: str
    dimensions: dict[str, str]
    statistic: str
    period: int

    @property
    def is_rate(self) -> bool:
        """Whether it counts: such a metric is held against the threshold as a rate a minute."""
        return self.statistic in ("Sum", "SampleCount")


@dataclass(frozen=True, slots=True)
class Rule:
    """GreaterThanThreshold or LessThanThreshold, for that many periods in a row."""

    above: bool
    threshold: float
    periods: int

    @property
    def comparison(self) -> str:
        return "GreaterThanThreshold" if self.above else "LessThanThreshold"


class Alarm:
    """One alarm of one policy. Times are Unix seconds.

    `Period` is 60 seconds of the schedule, in real seconds; the threshold is the policy's, not scaled by the speed.
    """

    def __init__(
        self, resource_id: str, region: str, policy_arn: str, watched: Watched, rule: Rule, now: float
    ) -> None:
        self.name = f"TargetTracking-{resource_id}-Alarm{'High' if rule.above else 'Low'}-{uuid.uuid4()}"
        self.arn = f"arn:aws:cloudwatch:{region}:{ACCOUNT}:alarm:{self.name}"
        self._policy_arn = policy_arn
        self._watched = watched
        self._rule = rule
        self._configured_at = self._updated_at = now
        self._state = AlarmState.INSUFFICIENT_DATA
        self._reason = _UNCHECKED
        self._data: dict[str, Any] | None = None

    def update(self, state: AlarmState, points: Sequence[float | None], end: int, now: float) -> dict[str, Any] | None:
        """Takes the state of the points up to `end`; the history's item when that is another state than before."""
        if state is self._state:
            return None
        before: dict[str, Any] = {"stateValue": self._state.value, "stateReason": self._reason}
        if self._data is not None:
            before["stateReasonData"] = self._data
        # In milliseconds, as it goes over the wire: who asks for what came since then must find it.
        now = round(now, 3)
        old, self._state, self._updated_at = self._state, state, now
        recent = list(points[-self._rule.periods :])
        start = end - len(recent) * self._watched.period
        self._reason = self._explain(recent, start)
        self._data = {
            "version": "1.0",
            "queryDate": _iso(now),
            "startDate": _iso(start),
            "statistic": self._watched.statistic,
            "period": self._watched.period,
            "recentDatapoints": [point for point in recent if point is not None],
            "threshold": self._rule.threshold,
        }
        after = {"stateValue": state.value, "stateReason": self._reason, "stateReasonData": self._data}
        return {
            "AlarmName": self.name,
            "AlarmType": "MetricAlarm",
            "Timestamp": now,
            "HistoryItemType": "StateUpdate",
            "HistorySummary": f"Alarm updated from {old.value} to {state.value}",
            "HistoryData": json.dumps({"version": "1.0", "oldState": before, "newState": after}),
        }

    def _explain(self, recent: Sequence[float | None], start: int) -> str:
        period = self._watched.period
        known = [(start + n * period, point) for n, point in enumerate(recent) if point is not None]
        if self._state is AlarmState.INSUFFICIENT_DATA:
            return f"Insufficient Data: {_counted(self._rule.periods)} unknown."
        if self._state is AlarmState.OK:  # those that speak against an alarm, if they are not merely too few
            known = [(at, point) for at, point in known if not self._breaches(point)] or known
        values = ", ".join(f"{point} ({datetime.fromtimestamp(at, UTC):%d/%m/%y %H:%M:%S})" for at, point in known)
        crossed = "" if self._breaches(known[0][1]) else "not "
        side = "greater" if self._rule.above else "less"
        return (
            f"Threshold Crossed: {_counted(len(known), f' [{values}]')} {crossed}{side} than the threshold "
            f"({self._rule.threshold})."
        )

    def _breaches(self, point: float) -> bool:
        return point > self._rule.threshold if self._rule.above else point < self._rule.threshold

    def described(self) -> dict[str, Any]:
        """As DescribeAlarms lists it among its MetricAlarms."""
        return {
            "AlarmName": self.name,
            "AlarmArn": self.arn,
            "AlarmDescription": f"DO NOT EDIT OR DELETE. For TargetTrackingScaling policy {self._policy_arn}.",
            "AlarmConfigurationUpdatedTimestamp": self._configured_at,
            "ActionsEnabled": True,
            "OKActions": [],
            "AlarmActions": [self._policy_arn],
            "InsufficientDataActions": [],
            "StateValue": self._state.value,
            "StateReason": self._reason,
            **({} if self._data is None else {"StateReasonData": json.dumps(self._data)}),
            "StateUpdatedTimestamp": self._updated_at,
            "StateTransitionedTimestamp": self._updated_at,
            "MetricName": self._watched.metric,
            "Namespace": self._watched.namespace,
            "Statistic": self._watched.statistic,
            "Dimensions": [{"Name": name, "Value": value} for name, value in self._watched.dimensions.items()],
            "Period": self._watched.period,
            "EvaluationPeriods": self._rule.periods,
            "Threshold": self._rule.threshold,
            "ComparisonOperator": self._rule.comparison,
        }


def _counted(points: int, values: str = "") -> str:
    return f"1 datapoint{values} was" if points == 1 else f"{points} datapoints{values} were"


def _iso(unix: float) -> str:
    return f"{datetime.fromtimestamp(int(unix), UTC):%Y-%m-%dT%H:%M:%S}.{round(unix * 1000) % 1000:03d}+0000"
