"""One evaluator for limits on metrics: `slo` at the end of a run, `stop_when` while it goes.

A Rule measures any Interval: a second, a minute, a phase, a run. Which stretches are judged is decided here for `slo`;
how long a stop rule must hold is the live run's business.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sm_locust.record.histogram import Histogram
from sm_locust.record.interval import Interval

ERROR_RATE = "error_rate"
MEASURED = ("latency", "service_time")  # by us; model_latency is CloudWatch's


def error_rate(requests: Interval, turned_away: int = 0) -> float | None:
    """failed ÷ (ok + failed); None when nothing was answered.

    turned_away  arrivals that a stalled target kept from being sent: failures, in a judgement
    """
    failed = requests.failed + turned_away
    answered = requests.ok + failed
    return failed / answered if answered else None


@dataclass(frozen=True, slots=True)
class Rule:
    """`metric` may be at most `limit`: seconds, or a fraction for error_rate.

    metric  latency_*, service_time_* or model_latency_* with p50 p90 p95 p99 p999 mean max; or error_rate
    """

    metric: str
    limit: float

    def value(self, requests: Interval, turned_away: int = 0) -> float | None:
        """Seconds or a fraction; None when nothing was measured. For turned_away see `error_rate`."""
        if self.metric == ERROR_RATE:
            return error_rate(requests, turned_away)
        measure, _, statistic = self.metric.rpartition("_")
        if measure not in MEASURED:
            return None
        histogram: Histogram = getattr(requests, measure)
        return histogram.metric(statistic)

    def judge(self, where: str, requests: Interval, turned_away: int = 0) -> Judgement:
        value = self.value(requests, turned_away)
        note = ""
        if value is None:
            measured = self.metric == ERROR_RATE or self.metric.rpartition("_")[0] in MEASURED
            note = "nothing was measured" if measured else "not available: this run has no CloudWatch metrics"
        return Judgement(self.metric, self.limit, value, None if value is None else value <= self.limit, where, note)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a rule found.

    value   seconds, or a fraction for error_rate; None when it is not known
    passed  None when the value is not known: neither a pass nor a failure
    where   "run" for all that is judged, or "phase NAME"
    note    why the value is not known
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
    def of(cls, limits: Mapping[str, float], stretches: Iterable[tuple[str, Interval, int]]) -> SloResult:
        """limits      metric → seconds, or a fraction for error_rate
        stretches   where, outcomes, arrivals turned away
        """
        rules = [Rule(metric, limit) for metric, limit in limits.items()]
        return cls(tuple(rule.judge(*stretch) for stretch in stretches for rule in rules))

    @property
    def passed(self) -> bool | None:
        """False when any rule failed anywhere; True only when every one was measured and kept; else None."""
        found = [judgement.passed for judgement in self.judgements]
        if False in found:
            return False
        return True if found and None not in found else None

    def as_dict(self) -> dict[str, Any]:
        return {"passed": self.passed, "rules": [asdict(judgement) for judgement in self.judgements]}
