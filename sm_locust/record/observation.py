"""What others say of the run: a CloudWatch point and a scaling event, and how each is a line of its CSV file.

Asking AWS and bringing its clock and units to ours is aws/'s; where the lines are kept is the Run's; what they mean
is the analysis's.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# Namespaces of CloudWatch's.
SAGEMAKER, API_GATEWAY, LAMBDA = "AWS/SageMaker", "AWS/ApiGateway", "AWS/Lambda"


def source_of(namespace: str, label: str) -> str:
    """Of a subject's points: `label` is empty for the watched variant."""
    return f"{namespace}:{label}" if label else namespace


@dataclass(frozen=True, slots=True)
class Observation:
    """One point of a CloudWatch metric: of the watched variant, or of another subject of the run (aws/subjects).

    at_s       schedule seconds since the run's start at which its period began; below 0 for one that began before it
    source     see `source_of`: AWS/SageMaker, or AWS/SageMaker:variant/B
    metric     CloudWatch's name
    statistic  CloudWatch's name: Sum, Average, SampleCount, Maximum, p50 … p99.9
    value      latencies in milliseconds, counts and percentages as CloudWatch gave them
    unit       ms, count or percent
    """

    at_s: float
    source: str
    metric: str
    statistic: str
    value: float
    unit: str

    @property
    def key(self) -> tuple[float, str, str, str]:
        """What makes it this point: CloudWatch may say another value for it later."""
        return self.at_s, self.source, self.metric, self.statistic

    def cells(self) -> tuple[str, ...]:
        return number(self.at_s), self.source, self.metric, self.statistic, number(self.value), self.unit

    @classmethod
    def of(cls, cells: Sequence[str]) -> Observation:
        """The inverse of `cells`. Raises ValueError for what is none."""
        at_s, source, metric, statistic, value, unit = cells
        return cls(_finite(at_s), source, metric, statistic, _finite(value), unit)


ENDPOINT_GONE = "The endpoint is gone."  # the event of one that was deleted in mid-run


@dataclass(frozen=True, slots=True)
class ScalingEvent:
    """How many instances there were at a moment, or something that happened then.

    at_s        schedule seconds since the run's start
    desired     instances wanted; None where it is not known
    in_service  instances that serve; None where it is not known
    event       what happened, in words; empty for a level that was sampled
    """

    at_s: float
    desired: int | None
    in_service: int | None
    event: str

    def cells(self) -> tuple[str, ...]:
        desired = "" if self.desired is None else str(self.desired)
        in_service = "" if self.in_service is None else str(self.in_service)
        return number(self.at_s), desired, in_service, self.event

    @classmethod
    def of(cls, cells: Sequence[str]) -> ScalingEvent:
        """The inverse of `cells`. Raises ValueError for what is none."""
        at_s, desired, in_service, event = cells
        return cls(_finite(at_s), _instances(desired), _instances(in_service), event)


_MOST = 2**31  # instances, or copies


def alarm_event(name: str, old: str, new: str) -> str:
    """How a ScalingEvent words an alarm's change of state, OK, ALARM or INSUFFICIENT_DATA."""
    return f"Alarm {name}: {old} → {new}."


_ALARM = re.compile(r"Alarm (.+): (\S+) → (\S+)\.")


def alarm_change(event: str) -> tuple[str, str, str] | None:
    """The inverse of `alarm_event`: name, old state, new state; None for what is no alarm's."""
    found = _ALARM.fullmatch(event)
    return (found[1], found[2], found[3]) if found else None


def number(value: float) -> str:
    """As short as it can be and still be read as the same number: 120, not 120.0."""
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)


def line(cells: Iterable[str]) -> str:
    """One line of CSV. What AWS worded may hold anything: a line break or control character in it becomes a space."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(_UNPRINTED.sub(" ", cell) for cell in cells)
    return text.getvalue()


# Control characters (C0, DEL, C1), Unicode's own line and paragraph separators, and halves of pairs, which UTF-8 lacks.
_UNPRINTED = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


def _instances(cell: str) -> int | None:
    found = int(cell) if cell else None
    if found is not None and not 0 <= found <= _MOST:
        raise ValueError(f"{cell:.30} is not a number of instances")
    return found


def _finite(cell: str) -> float:
    value = float(cell)
    if not math.isfinite(value):
        raise ValueError(f"{cell!r} is not a finite number")
    return value
