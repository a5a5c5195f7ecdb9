"""How long a scale-out took, split: crossed → alarm → desired → in service → latency back.

Each part has one witness: CloudWatch's rate, the history of the alarm, the activity of automatic scaling, the instances
seen, our own latency. Where a witness is missing the moment is unknown; none is inferred from another.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sm_locust.analysis.minutes import Minutes
from sm_locust.analysis.rules import Rule, Stretch
from sm_locust.analysis.watched import Watched
from sm_locust.config import ERROR_RATE
from sm_locust.record.observation import ScalingEvent, alarm_change

# What became of the latency.
BACK, NEVER_BROKEN, NOT_BACK, NO_LIMIT = "back", "never broken", "not back", "no latency limit"

_SAME = 0.01  # seconds of the schedule: two notes of one moment, in milliseconds of their own
_LOW = "-AlarmLow-"  # in the name of a target tracking policy's alarm that takes instances away


@dataclass(frozen=True, slots=True)
class Lag:
    """One scale-out. All moments in schedule seconds; None where nobody knows.

    instances     that were wanted
    crossed_s     start of the first CloudWatch period whose rate for one instance was above the policy's target
    alarm_s       the alarm went into ALARM, as its history has it
    desired_s     automatic scaling asked for the instances
    in_service_s  all of them served
    back_s        start of the first judged minute from then on that kept every latency limit; None unless `latency` is
                  BACK
    latency       BACK, NEVER_BROKEN since it was crossed, NOT_BACK by the end, or NO_LIMIT to hold it against
    """

    instances: int
    crossed_s: float | None
    alarm_s: float | None
    desired_s: float
    in_service_s: float | None
    back_s: float | None
    latency: str

    @classmethod
    def of(cls, watched: Watched, minutes: Minutes, limits: Mapping[str, float]) -> list[Lag]:
        """Every scale-out of a run, in order.

        limits  the `slo`: metric → seconds; those of latency, service time and model latency count
        """
        rules = [Rule(metric, limit) for metric, limit in limits.items() if metric != ERROR_RATE]
        found: list[Lag] = []
        scale_outs = list(_scale_outs(watched.events))
        for n, event in enumerate(scale_outs):
            wanted = event.desired or 0
            since = 0.0
            if found:
                before = found[-1]
                served = before.in_service_s
                since = served if served is not None and served <= event.at_s else before.desired_s
            until = scale_outs[n + 1].at_s if n + 1 < len(scale_outs) else float("inf")
            crossed = _crossed(watched, since, event.at_s)
            in_service = _in_service(watched.events, event)
            began = event.at_s if crossed is None else crossed
            back, latency = _latency(watched, minutes, rules, began, in_service, until)
            alarm = _alarm(watched.events, event.at_s)
            found.append(cls(wanted, crossed, alarm, event.at_s, in_service, back, latency))
        return found

    def as_dict(self) -> dict[str, Any]:
        return {
            "instances": self.instances,
            "crossed_s": self.crossed_s,
            "alarm_s": self.alarm_s,
            "desired_s": self.desired_s,
            "in_service_s": self.in_service_s,
            "back_s": self.back_s,
            "latency": self.latency,
        }


def _scale_outs(events: Iterable[ScalingEvent]) -> Iterable[ScalingEvent]:
    """The activities that asked for more than was wanted before."""
    wanted: int | None = None
    for event in events:
        if event.desired is None:
            continue
        asks = bool(event.event) and event.in_service is None
        if asks and wanted is not None and event.desired > wanted:
            yield event
        if asks or wanted is None:  # what is sampled afterwards is what was asked for, noticed later
            wanted = event.desired


def _crossed(watched: Watched, since: float, until: float) -> float | None:
    setting = watched.setting
    target = setting.per_instance if setting is not None else None
    if target is None:
        return None
    for period in watched.periods:
        rate = period.per_minute(period.per_instance)
        if since - _SAME <= period.at_s < until and rate is not None and rate > target:
            return period.at_s
    return None


def _alarm(events: Iterable[ScalingEvent], desired_s: float) -> float | None:
    """When the alarm that was on then went on: the last one that did, of those that had not gone off again."""
    on: dict[str, float] = {}
    for event in events:
        change = alarm_change(event.event)
        if change is not None and event.at_s <= desired_s + _SAME and _LOW not in change[0]:
            name, _, state = change
            on.pop(name, None)
            if state == "ALARM":
                on[name] = event.at_s
    return max(on.values(), default=None)


def _in_service(events: Iterable[ScalingEvent], asked: ScalingEvent) -> float | None:
    enough = (
        event.at_s
        for event in events
        if event.at_s >= asked.at_s and event.in_service is not None and event.in_service >= (asked.desired or 0)
    )
    return next(enough, None)


def _latency(
    watched: Watched,
    minutes: Minutes,
    rules: Sequence[Rule],
    began: float,
    in_service: float | None,
    until: float,
) -> tuple[float | None, str]:
    """until  when the next scale-out was asked for: from there on what happens is of that one"""
    if not rules:
        return None, NO_LIMIT
    rows = [row for row in minutes.rows if minutes.is_judged(row) and row.requests.latency and row.at_s + 60 > began]
    broken = [any(rule.broken_by(Stretch.of(row, watched)) for rule in rules) for row in rows]
    if not any(breaks for row, breaks in zip(rows, broken, strict=True) if row.at_s < until):
        return None, NEVER_BROKEN
    for row, breaks in zip(rows, broken, strict=True):
        if in_service is not None and row.at_s >= in_service - _SAME and not breaks:
            return row.at_s, BACK
    return None, NOT_BACK
