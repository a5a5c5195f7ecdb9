"""Scheduled actions of Application Auto Scaling: what one holds, how it is described, and when it is due.

`at(…)` and `rate(…)` come due here. A `cron(…)` is held and described as it was put, its six fields counted, but it
never comes due: no test of ours waits for one. What a due action does to the target is autoscaling's.

Source: PutScheduledAction in the Application Auto Scaling API reference. It says that an update takes over what it does
not name, except start and end times. What it leaves open: an `at` whose time is past is kept and does nothing more.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sm_locust.local.shapes import invalid

_AT = re.compile(r"at\((\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\)")
_RATE = re.compile(r"rate\(([1-9]\d{0,8}) (minute|hour|day)s?\)")
_CRON = re.compile(r"cron\(\S+( \S+){5}\)")
_SECONDS = {"minute": 60, "hour": 3600, "day": 86400}


@dataclass(frozen=True, slots=True)
class ScheduledAction:
    """Times are Unix seconds. From `start` to `end`, where they are given, it may come due; a capacity left out is left
    alone."""

    name: str
    arn: str
    schedule: str
    timezone: str | None
    start: float | None
    end: float | None
    min_capacity: int | None
    max_capacity: int | None
    created_at: float

    def __post_init__(self) -> None:
        """Raises AwsError: ValidationException, where AWS would not take it."""
        if not any(form.fullmatch(self.schedule) for form in (_AT, _RATE, _CRON)):
            raise invalid(
                f"Schedule {self.schedule}: must be at(yyyy-mm-ddThh:mm:ss), rate(value unit) or cron(fields), six of "
                "them"
            )
        if self.timezone is not None:
            try:
                ZoneInfo(self.timezone)
            except (KeyError, ValueError, OSError):  # an unknown name, one that is a path, one that is a directory
                raise invalid(f"Timezone {self.timezone}: is no time zone") from None
        self._at()
        if self.min_capacity is None and self.max_capacity is None:
            raise invalid("ScalableTargetAction: needs MinCapacity, MaxCapacity or both")
        least, most = self.min_capacity, self.max_capacity
        if (least is not None and least < 0) or (most is not None and most < 1):
            raise invalid(f"ScalableTargetAction from {least} to {most}: minimum is at least 0 and maximum at least 1")
        if least is not None and most is not None and most < least:
            raise invalid("Maximum capacity cannot be less than minimum capacity")
        if self.start is not None and self.end is not None and self.end <= self.start:
            raise invalid("EndTime must be later than StartTime")

    def due(self, after: float, until: float, speed: int) -> bool:
        """Whether its time came after `after` and no later than `until`.

        speed  an interval is of the schedule and divided by it; the date of an `at` is a date
        """
        if self.end is not None:
            until = min(until, self.end)
        if (at := self._at()) is not None:
            return after < at <= until and (self.start is None or self.start <= at)
        if (rate := _RATE.fullmatch(self.schedule)) is not None:
            origin = self.created_at if self.start is None else self.start
            every = int(rate[1]) * _SECONDS[rate[2]] / speed
            return max((until - origin) // every, 0) > max((after - origin) // every, 0)
        return False

    def _at(self) -> float | None:
        at = _AT.fullmatch(self.schedule)
        if at is None:
            return None
        try:
            return datetime.fromisoformat(at[1]).replace(tzinfo=ZoneInfo(self.timezone or "UTC")).timestamp()
        except (ValueError, OverflowError):
            raise invalid(f"Schedule {self.schedule}: is no date") from None

    def described(self, named: dict[str, str]) -> dict[str, Any]:
        """As DescribeScheduledActions lists it; `named` says of which target."""
        bounds = {"MinCapacity": self.min_capacity, "MaxCapacity": self.max_capacity}
        return {
            "ScheduledActionName": self.name,
            "ScheduledActionARN": self.arn,
            **named,
            "Schedule": self.schedule,
            "Timezone": self.timezone,
            "StartTime": self.start,
            "EndTime": self.end,
            "ScalableTargetAction": bounds,
            "CreationTime": self.created_at,
        }


def put(
    known: ScheduledAction | None, name: str, resource: str, arn_head: str, now: float, **given: Any
) -> ScheduledAction:
    """The action that PutScheduledAction's members, those that were given, make of the one known by that name.

    given     schedule, timezone, start, end, min_capacity, max_capacity; None where they were not
    arn_head  ARN up to the account
    Raises AwsError as ScheduledAction does.
    """
    if known is not None:
        bounds = ("min_capacity", "max_capacity")
        if all(given[name] is None for name in bounds):
            given.update({name: getattr(known, name) for name in bounds})
        kept = {key: value for key, value in given.items() if value is not None or key in ("start", "end", *bounds)}
        return replace(known, **kept)
    if given["schedule"] is None:
        raise invalid("Schedule is required for a new scheduled action")
    path = f"scheduledAction:{uuid.uuid4()}:resource/{resource}:scheduledActionName/{name}"
    return ScheduledAction(name=name, arn=f"{arn_head}:{path}", created_at=now, **given)
