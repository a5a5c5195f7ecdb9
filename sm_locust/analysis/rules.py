"""One evaluator for limits on metrics: `slo` at the end of a run, `stop_when` while it goes.

A Rule measures any Stretch: a second, a minute, a phase, a run. Which stretches are judged is decided here for `slo`;
how long a stop rule must hold is the live run's business.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sm_locust.analysis.minutes import Span
from sm_locust.analysis.periods import ModelLatency
from sm_locust.analysis.verdict import endpoint_drops
from sm_locust.analysis.watched import Watched
from sm_locust.config import ERROR_RATE
from sm_locust.record.histogram import Histogram
from sm_locust.record.interval import Interval

MEASURED = ("latency", "service_time")  # by us
MODEL_LATENCY = "model_latency"  # by CloudWatch


def error_rate(requests: Interval, turned_away: int = 0) -> float | None:
    """failed ÷ (ok + failed), without those in which our credentials were refused; None when no other ended.

    turned_away  arrivals that a stalled target kept from being sent: failures, in a judgement
    """
    failed = requests.failed - requests.refused + turned_away
    ended = requests.ok + failed
    return failed / ended if ended else None


@dataclass(frozen=True, slots=True)
class Stretch:
    """What is held against a limit.

    where          "run" for all that is judged, or "phase NAME"; empty where nobody is told
    turned_away    see `error_rate`
    model_latency  CloudWatch's, of the same stretch; None where it has none
    watched        whether CloudWatch was asked at all
    """

    where: str
    requests: Interval
    turned_away: int = 0
    model_latency: ModelLatency | None = None
    watched: bool = False

    @classmethod
    def of(cls, span: Span, watched: Watched | None, where: str = "", parts: Iterable[Span] | None = None) -> Stretch:
        """All of a span.

        watched  what CloudWatch and scaling saw; None when nobody watched
        parts    the phases that the span is the sum of; itself by default
        """
        parts = [span] if parts is None else list(parts)
        periods = [] if watched is None else [period for part in parts for period in watched.during(part)]
        return cls(where, span.requests, endpoint_drops(parts), ModelLatency.merged(periods), watched is not None)


@dataclass(frozen=True, slots=True)
class Rule:
    """`metric` may be at most `limit`: seconds, or a fraction for error_rate.

    metric  latency_*, service_time_* or model_latency_* with p50 p90 p95 p99 p999 mean max; or error_rate
    """

    metric: str
    limit: float

    def value(self, stretch: Stretch) -> float | None:
        """Seconds or a fraction; None when nothing was measured."""
        if self.metric == ERROR_RATE:
            return error_rate(stretch.requests, stretch.turned_away)
        measure, _, statistic = self.metric.rpartition("_")
        if measure == MODEL_LATENCY:
            return stretch.model_latency.metric(statistic) if stretch.model_latency else None
        histogram: Histogram = getattr(stretch.requests, measure)
        return histogram.metric(statistic)

    def broken_by(self, stretch: Stretch) -> bool:
        """Whether the value is above the limit. What was not measured breaks nothing."""
        return (self.value(stretch) or 0.0) > self.limit

    def judge(self, stretch: Stretch) -> Judgement:
        value = self.value(stretch)
        passed = None if value is None else value <= self.limit
        note = "nothing was measured" if value is None else ""
        if self.metric.startswith(MODEL_LATENCY):
            passed, note = self._of_cloudwatch(stretch, passed)
        return Judgement(self.metric, self.limit, value, passed, stretch.where, note)

    def _of_cloudwatch(self, stretch: Stretch, passed: bool | None) -> tuple[bool | None, str]:
        """Passed only if CloudWatch measured what we sent, and what there is to know of its value."""
        found = stretch.model_latency
        if passed is None or found is None:
            return (
                None,
                f"not available: {'CloudWatch has none' if stretch.watched else 'this run has no CloudWatch metrics'}",
            )
        if passed and not found.complete:
            return None, f"CloudWatch measured only {found.count:,} of {found.answered:,} requests"
        # Percentiles of minutes cannot be merged: all of them keep a limit that the highest keeps.
        return passed, "" if self.metric.endswith(("_mean", "_max")) else "the highest of a minute"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a rule found.

    value   seconds, or a fraction for error_rate; None when it is not known
    passed  None when it is not known: neither a pass nor a failure
    where   as the Stretch has it
    note    why it is not known, or what the value is of
    """

    metric: str
    limit: float
    value: float | None
    passed: bool | None
    where: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class SloResult:
    """The rules of `slo`, for all judged phases together and for each of them."""

    judgements: tuple[Judgement, ...]

    @classmethod
    def of(cls, limits: Mapping[str, float], stretches: Iterable[Stretch]) -> SloResult:
        """limits  metric → seconds, or a fraction for error_rate"""
        rules = [Rule(metric, limit) for metric, limit in limits.items()]
        return cls(tuple(rule.judge(stretch) for stretch in stretches for rule in rules))

    @property
    def passed(self) -> bool | None:
        """False when any rule failed anywhere; True only when every one was measured and kept; else None."""
        found = [judgement.passed for judgement in self.judgements]
        if False in found:
            return False
        return True if found and None not in found else None

    def as_dict(self) -> dict[str, Any]:
        return {"passed": self.passed, "rules": [asdict(judgement) for judgement in self.judgements]}
