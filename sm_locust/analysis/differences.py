"""The headline figures of two runs, one against the other: how far each moved, and whether that is for the better.

A figure is of the judged phases, as rules of the SLO see them. What a difference is held against is `fail_if`'s;
wording and layout are the report's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from sm_locust.analysis.compare import Comparison
from sm_locust.analysis.rules import MEASURED, MODEL_LATENCY, Rule
from sm_locust.analysis.summary import Summary
from sm_locust.config import ERROR_RATE, Slo
from sm_locust.record.rounding import in_ms, rounded

DELIVERED, CAPACITY = "delivered_ratio", "capacity"
METRICS = (*Slo.model_fields, DELIVERED, CAPACITY)
RATIOS = (ERROR_RATE, DELIVERED)
HIGHER_IS_BETTER = (DELIVERED, CAPACITY)

# What a table of differences holds, in its order.
HEADLINE = (
    ERROR_RATE,
    DELIVERED,
    *(f"{MODEL_LATENCY}_{statistic}" for statistic in ("mean", "p99", "max")),
    *(f"{measure}_{statistic}" for measure in reversed(MEASURED) for statistic in ("mean", "p50", "p99", "max")),
    CAPACITY,
)

SAME = 0.01  # of BEFORE's: less is no change worth a word

Direction = Literal["better", "worse", "same", "unclear"]


@dataclass(frozen=True, slots=True)
class Figure:
    """A metric of one run.

    value     seconds, a fraction, or arrivals a second; None where it is not known
    low, high bounds of a capacity; high is None where its limit was not reached: it is then `value` or more
    one       whether a capacity is of one instance; else it is the endpoint's
    why       why it is not known, in words that follow the name of a run
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    one: bool = False
    why: str = ""

    @property
    def bounded(self) -> bool:
        """Whether it has bounds, as a capacity does; other figures are what was counted."""
        return self.low is not None

    @property
    def open(self) -> bool:
        return self.bounded and self.high is None

    @classmethod
    def of(cls, summary: Summary, metric: str) -> Figure:
        if metric == CAPACITY:
            return cls._capacity(summary)
        if metric == DELIVERED:
            ratio = summary.minutes.judged.delivered_ratio
            return cls(ratio, why="" if ratio is not None else "planned nothing")
        judged = summary.judged
        value = Rule(metric, 0.0).value(judged)
        if value is not None:
            return cls(value)
        if metric.startswith(MODEL_LATENCY):
            return cls(None, why="has no ModelLatency of CloudWatch's" if judged.watched else "was not watched")
        return cls(None, why="answered nothing")

    @classmethod
    def _capacity(cls, summary: Summary) -> Figure:
        found = summary.capacity
        if found.refused or not found.max_rps:
            return cls(None, why=f"has no capacity: {found.refused or 'the SLO held at no rate that was played'}")
        return cls(found.max_rps, found.low or 0.0, found.high, found.instances is not None)

    def reaches(self, other: Figure) -> bool:
        """Whether the bounds of two capacities overlap."""
        return (self.high is None or (other.low or 0.0) <= self.high) and (
            other.high is None or (self.low or 0.0) <= other.high
        )


@dataclass(frozen=True, slots=True)
class Difference:
    """One metric in both runs."""

    metric: str
    before: Figure
    after: Figure

    @property
    def change(self) -> float | None:
        """AFTER against BEFORE, as a share of BEFORE.

        None where either is not known or was not reached, or BEFORE is 0 and AFTER is not.
        """
        before, after = self.before.value, self.after.value
        if before is None or after is None or self.before.open or self.after.open:
            return None
        if before == after:
            return 0.0
        return after / before - 1 if before else None

    @property
    def direction(self) -> Direction | None:
        """Of the change; "unclear" where the bounds of two capacities overlap; None where either is not known."""
        before, after, change = self.before.value, self.after.value, self.change
        if before is None or after is None:
            return None
        if self.before.bounded and self.before.reaches(self.after):
            return "unclear"
        if change is not None and abs(change) < SAME:
            return "same"
        return "better" if (after > before) == (self.metric in HIGHER_IS_BETTER) else "worse"

    def as_dict(self) -> dict[str, Any]:
        """What compare.json holds of it."""
        return {
            "metric": self.metric,
            "unit": unit(self.metric),
            "before": in_unit(self.metric, self.before.value),
            "after": in_unit(self.metric, self.after.value),
            "change": None if self.change is None else round(self.change, 6),
            "direction": self.direction,
        }


def unit(metric: str) -> str:
    """Of a metric in compare.json."""
    return "ratio" if metric in RATIOS else "rps" if metric == CAPACITY else "ms"


def in_unit(metric: str, value: float | None) -> float | None:
    """A figure as compare.json has it: milliseconds for a latency."""
    return in_ms(value) if unit(metric) == "ms" else rounded(value, 9 if metric in RATIOS else 3)


def differ(before: Summary, after: Summary) -> str:
    """Why the capacities of two runs are not of the same thing; empty where they are."""
    if before.limits != after.limits:
        return "the runs were held to different SLOs"
    one = [(run.capacity.known, run.capacity.instances is not None) for run in (before, after)]
    if all(known for known, _ in one) and one[0] != one[1]:
        return "one capacity is of one instance and the other of the endpoint"
    return ""


def differences(comparison: Comparison) -> list[Difference]:
    """Those of HEADLINE that either run knows; a capacity only where both have one, and of the same thing."""
    return list(_differences(*(side.summary for side in comparison.sides)))


def _differences(before: Summary, after: Summary) -> Iterator[Difference]:
    for metric in HEADLINE:
        found = Difference(metric, Figure.of(before, metric), Figure.of(after, metric))
        known = [figure.value is not None for figure in (found.before, found.after)]
        if metric == CAPACITY and (not all(known) or differ(before, after)):
            continue
        if any(known):
            yield found
