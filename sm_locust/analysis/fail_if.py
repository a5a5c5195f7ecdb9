"""`compare --fail-if RULE`: what AFTER may not be, by itself or against BEFORE, for a machine that reads an exit code.

    latency_p99 > +10%      more than a tenth above BEFORE's
    capacity < -5%          more than a twentieth below BEFORE's
    service_time_mean > 300ms, error_rate > 5%, delivered_ratio < 99%, capacity < 400     of AFTER alone

The sign tells the two kinds apart. A rule is held, broken, or cannot be told; only the first is good.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sm_locust.analysis.compare import Comparison
from sm_locust.analysis.differences import CAPACITY, METRICS, RATIOS, Difference, Figure, differ, in_unit, unit
from sm_locust.analysis.rules import MODEL_LATENCY
from sm_locust.analysis.summary import Summary
from sm_locust.fields import A_METRIC, MAX_LATENCY, parse_duration

EXIT_NOT_HELD = 1

A_RULE = "METRIC > VALUE or METRIC < VALUE, such as 'latency_p99 > +10%' or 'error_rate > 5%'"
_ACCEPTED = {
    "ms": "+10% or -5% against BEFORE, or a latency with its unit such as 300ms, at most 120s",
    "ratio": "+10% or -5% against BEFORE, or a percentage such as 5% by itself, at most 100%",
    "rps": "+10% or -5% against BEFORE, or a number of requests a second such as 400",
}

_NUMBER = r"[0-9]{1,9}(?:\.[0-9]{1,9})?"
_RULE = re.compile(r"\s*([^\s<>=]+)\s*([<>])\s*([^<>=]*?)\s*")
_RELATIVE = re.compile(rf"([+−-])({_NUMBER})%")
_PERCENTAGE = re.compile(rf"({_NUMBER})%")
_RATE = re.compile(_NUMBER)

_NOISE = 1e-9  # of arithmetic: 0.77 is not above 0.7 and a tenth

State = Literal["held", "broken", "cannot be told"]


class RuleError(ValueError):
    """A rule that cannot be read: one sentence, with what is accepted."""


@dataclass(frozen=True, slots=True)
class FailIf:
    """The run fails if `metric` is above, or below, `limit`.

    limit     seconds, a fraction or arrivals a second; where `relative`, a share of BEFORE's, such as 0.1 or -0.05
    value     the limit as it was written
    """

    metric: str
    above: bool
    limit: float
    relative: bool
    value: str

    @classmethod
    def parse(cls, text: str) -> FailIf:
        """Raises RuleError."""
        found = _RULE.fullmatch(text)
        if found is None:
            raise RuleError(f"{text!r} is not accepted: {A_RULE}")
        metric, op, value = found.groups()
        if metric not in METRICS:
            raise RuleError(f"{text!r}: {metric} is not accepted: capacity, delivered_ratio, {A_METRIC}")
        limit = _limit(metric, value)
        if limit is None:
            raise RuleError(f"{text!r}: {value or 'no value'} is not accepted: for {metric}, {_ACCEPTED[unit(metric)]}")
        return cls(metric, op == ">", *limit, value)

    def __str__(self) -> str:
        return f"{self.metric} {'>' if self.above else '<'} {self.value}"

    def judge(self, comparison: Comparison) -> Judged:
        before, after = (side.summary for side in comparison.sides)
        difference = Difference(self.metric, Figure.of(before, self.metric), Figure.of(after, self.metric))
        if why := self._why_not(before, after, difference):
            return Judged(self, difference, None, why)
        is_broken = self.broken(difference.before, difference.after)
        return Judged(self, difference, is_broken, self._not_reached(difference) if is_broken is None else "")

    def broken(self, before: Figure, after: Figure) -> bool | None:
        """By the figures alone. None where one that was not reached leaves it open, or one is not known.

        Capacities are compared by their best estimates.
        """
        if after.value is None or (self.relative and before.value is None):
            return None
        low, high = after.value, math.inf if after.open else after.value
        least = most = self.limit
        if self.relative:
            factor = 1 + self.limit
            least = most = (before.value or 0.0) * factor
            if before.open and factor > 0:
                most = math.inf
        if self.above:
            return _either(_above(low, most), not _above(high, least))
        return _either(_above(least, high), not _above(most, low))

    def _why_not(self, before: Summary, after: Summary, found: Difference) -> str:
        """Why the figures should not be asked at all. What a rule does not read, it does not mind."""
        sides = [("AFTER", after, found.after)]
        if self.relative:
            sides.insert(0, ("BEFORE", before, found.before))
        for name, summary, _ in sides:
            codes = [reason.code for reason in summary.verdict.reasons if reason.invalidates]
            if codes or not summary.verdict.valid:
                return f"{name} is not valid" + (f" ({', '.join(dict.fromkeys(codes))})" if codes else "")
        for name, _, figure in sides:
            if figure.value is None:
                return f"{name} {figure.why}"
        if self.metric.startswith(MODEL_LATENCY):
            for name, summary, _ in sides:
                seen = summary.judged.model_latency
                if seen is not None and not seen.complete:
                    return f"CloudWatch measured only {seen.count:,} of {seen.answered:,} requests of {name}"
        return differ(before, after) if self.metric == CAPACITY and self.relative else ""

    def _not_reached(self, found: Difference) -> str:
        open_ = [name for name, figure in (("BEFORE", found.before), ("AFTER", found.after)) if figure.open]
        return f"no limit was reached in {' and '.join(open_ if self.relative else ['AFTER'])}"


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of a rule.

    broken  None where it cannot be told
    why     it cannot be told; else empty
    """

    rule: FailIf
    difference: Difference
    broken: bool | None
    why: str = ""

    @property
    def state(self) -> State:
        return "cannot be told" if self.broken is None else "broken" if self.broken else "held"

    def as_dict(self) -> dict[str, Any]:
        """What compare.json holds of it."""
        metric = self.rule.metric
        limit = self.rule.limit if self.rule.relative else in_unit(metric, self.rule.limit)
        return {
            "rule": str(self.rule),
            "fails_if": "above" if self.rule.above else "below",
            "limit": limit,
            "against": "before" if self.rule.relative else None,
            **self.difference.as_dict(),
            "state": self.state,
            "why": self.why or None,
        }


def exit_code(judged: Sequence[Judged]) -> int:
    """0 where every rule is held."""
    return 0 if all(found.broken is False for found in judged) else EXIT_NOT_HELD


def _above(one: float, other: float) -> bool:
    return one > other and not (math.isfinite(one) and math.isclose(one, other, rel_tol=_NOISE, abs_tol=0.0))


def _either(surely: bool, surely_not: bool) -> bool | None:
    return True if surely else False if surely_not else None


def _limit(metric: str, text: str) -> tuple[float, bool] | None:
    """The limit, and whether it is of BEFORE's; None for a text that is none."""
    if found := _RELATIVE.fullmatch(text):
        share = float(found[2]) / 100
        if found[1] == "+":
            return share, True
        return (-share, True) if share <= 1 else None
    if metric == CAPACITY:
        return (float(text), False) if _RATE.fullmatch(text) else None
    if metric in RATIOS:
        percentage = _PERCENTAGE.fullmatch(text)
        share = float(percentage[1]) / 100 if percentage else math.inf
        return (share, False) if share <= 1 else None
    try:
        seconds = parse_duration(text)
    except ValueError:
        return None
    return (seconds, False) if 0 < seconds <= MAX_LATENCY else None
