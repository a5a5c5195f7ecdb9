"""Whether the SLO holds at a rate, and how sure that is, from the seconds for which the rate lasted.

Every rule is the ratio of two sums: seconds of latency over requests, requests slower than the limit over requests,
failed over answered. Each second gives one pair, so that the spread of the seconds tells how far the ratio of all may
be off, whatever the requests have to do with each other inside a second (batch means: Law, Simulation Modeling and
Analysis, chapter 9; the ratio's variance is the usual linearisation, Cochran, Sampling Techniques, chapter 6).

A queue that grows for as long as the rate lasts keeps every limit for a while, and holds none. So a rate is held only
if its latency does not surely rise, or so little that it would be in the limit for ten times as long.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import cache
from itertools import pairwise
from operator import mul
from statistics import NormalDist

from sm_locust.analysis.capacity import BACKLOG
from sm_locust.analysis.verdict import MAX_IN_FLIGHT
from sm_locust.config import ERROR_RATE
from sm_locust.record.histogram import PERCENTILES, Histogram, bucket_of, middle_us
from sm_locust.record.interval import Interval

DOUBT = 0.001  # the chance that a decision is wrong though it is called sure, one-sided
RARE = 5  # of the requests that a percentile leaves out so many must have been possible before it is believed
FEWEST = 100  # requests, whatever the rule
HORIZON = 10  # times as long as a rate was looked at, it must be able to go on
MAX_CORRELATION = 0.8  # of one second's residual with the next one's; more cannot be told from a trend


class Ruling(Enum):
    HELD = "held"
    FAILED = "failed"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the seconds of one rate say.

    ruling    HELD only if every rule surely holds, FAILED if any surely does not
    metric    the rule that is closest to its limit, or furthest past it; BACKLOG where only a growing queue speaks
    ratio     how much of its limit that rule uses: 1 is the limit
    error     standard error of the ratio, as a share of it; infinite where nothing can be said
    """

    ruling: Ruling
    metric: str
    ratio: float
    error: float


@dataclass(frozen=True, slots=True)
class Measured:
    """A second, with all that is ever asked of it: its histograms are gone through once.

    pairs    metric → the two sums of its ratio
    squares  metric of a mean → the sum of squares
    latency  its mean, seconds; None where nothing was answered
    """

    second: Interval
    pairs: Mapping[str, tuple[float, float]]
    squares: Mapping[str, float]
    latency: float | None

    @classmethod
    def of(cls, second: Interval, limits: Mapping[str, float]) -> Measured:
        pairs, squares = {}, {}
        for metric, limit in limits.items():
            pairs[metric] = _pair(metric, limit, second)
            if metric.endswith("_mean"):
                counts: dict[int, int] = getattr(second, metric.rpartition("_")[0]).counts
                squares[metric] = sum(map(mul, map(_square, counts), counts.values()))
        mean = pairs.get("latency_mean")
        latency = second.latency.mean if mean is None else mean[0] / mean[1] if mean[1] else None
        return cls(second, pairs, squares, latency)


def weigh(seconds: Sequence[Measured], limits: Mapping[str, float]) -> Evidence:
    """seconds  whole ones at one rate, warm-up left out
    limits   the `slo`, without `model_latency_*`: metric → seconds, or a fraction for error_rate
    """
    found = [_of_rule(metric, limit, seconds) for metric, limit in limits.items()]
    failed = [evidence for evidence in found if evidence.ruling is Ruling.FAILED]
    later = seconds[len(seconds) // 2 :]
    grows = _grows(seconds, limits) and (len(later) < 5 or _grows(later, limits))  # a queue that is full is another
    # Then the ratio is that of the time for which we looked, and of no other: no line leads through it.
    passing = grows or any(s.requested > s.ok + s.failed + s.cancelled for s in (one.second for one in seconds))
    if failed:
        worst = max(failed, key=lambda evidence: evidence.ratio)
        return replace(worst, error=math.inf) if passing else worst
    closest = max(found, key=lambda evidence: evidence.ratio)
    undecided = any(evidence.ruling is Ruling.UNDECIDED for evidence in found)
    if grows or (not undecided and _worsens(seconds, limits)):
        return replace(closest, ruling=Ruling.UNDECIDED, metric=BACKLOG, error=math.inf)
    if undecided:
        return replace(closest, ruling=Ruling.UNDECIDED, error=math.inf if passing else closest.error)
    return closest


def requests_needed(limits: Mapping[str, float]) -> int:
    """As many as a decision takes: what a percentile or an error rate leaves out must have had a chance to be seen."""
    shares = [_allowed(metric, limit) for metric, limit in limits.items()]
    return max(FEWEST, *(math.ceil(RARE / share) for share in shares if share), 0)


def _allowed(metric: str, limit: float) -> float | None:
    """The share of requests that may break the rule; None for a mean, 0 for a maximum."""
    statistic = metric.rpartition("_")[2]
    if metric == ERROR_RATE:
        return limit
    if statistic == "max":
        return 0.0
    return None if statistic == "mean" else round(1 - PERCENTILES[statistic], 9)


def _of_rule(metric: str, limit: float, seconds: Sequence[Measured]) -> Evidence:
    found = _ratio(metric, limit, seconds)
    if found is None:
        return Evidence(Ruling.UNDECIDED, metric, 0.0, math.inf)
    ratio, error = found
    if math.isinf(ratio) or not ratio:
        sure = math.isinf(ratio) or not error or error * _quantile(len(seconds) - 1) < 1
        return Evidence(_ruling(ratio, sure), metric, ratio, error)
    # Logarithms: a queue that is short by chance varies little by the same chance, and would seem surer than it is.
    sure = abs(math.log(ratio)) > error * _quantile(len(seconds) - 1)
    return Evidence(_ruling(ratio, sure), metric, ratio, error)


def _ruling(ratio: float, sure: bool) -> Ruling:
    return (Ruling.HELD if ratio <= 1 else Ruling.FAILED) if sure else Ruling.UNDECIDED


def apart(metric: str, limit: float, before: Sequence[Measured], after: Sequence[Measured]) -> tuple[float, bool]:
    """By how much of its limit a rule's value differs between two times, and whether that is surely no chance."""
    first, then = _ratio(metric, limit, before), _ratio(metric, limit, after)
    if first is None or then is None or math.isinf(first[0]) or math.isinf(then[0]):
        return 0.0, False
    error = math.hypot(*(share * (ratio or 1.0) for ratio, share in (first, then)))
    by = then[0] - first[0]
    return by, abs(by) > error * _quantile(min(len(before), len(after)) - 1)


def _ratio(metric: str, limit: float, seconds: Sequence[Measured]) -> tuple[float, float] | None:
    """How much of its limit a rule uses, and the standard error as a share of that (of the limit, where it is 0).

    Infinite, and sure, where what is not allowed at all was seen. None where nothing was measured.
    """
    pairs = [second.pairs[metric] for second in seconds]
    allowed = _allowed(metric, limit)
    bound = limit if allowed is None else allowed
    total, weight = sum(n for n, _ in pairs), sum(d for _, d in pairs)
    if not weight:
        return None
    if not bound:  # nothing is allowed: one is enough, and no number of others makes up for it
        return (math.inf if total else 0.0), 0.0
    value = total / weight
    # However alike the seconds are, so many requests cannot tell more than this.
    least = _spread(metric, seconds, value, weight) if allowed is None else bound * (1 - bound) / weight
    error = math.sqrt(max(_variance(pairs, value, weight), least))
    return value / bound, error / (value or bound)


def _pair(metric: str, limit: float, second: Interval) -> tuple[float, float]:
    if metric == ERROR_RATE:
        failed = second.failed - second.refused + second.dropped_by_reason.get(MAX_IN_FLIGHT, 0)
        return failed, second.ok + failed
    measure, _, statistic = metric.rpartition("_")
    histogram: Histogram = getattr(second, measure)
    if statistic == "mean":
        counts = histogram.counts
        return sum(map(mul, map(middle_us, counts), counts.values())) / 1e6, histogram.count
    within = bucket_of(limit)
    return sum(n for bucket, n in histogram.counts.items() if bucket > within), histogram.count


@cache
def _square(bucket: int) -> float:
    return (middle_us(bucket) / 1e6) ** 2


def _spread(metric: str, seconds: Sequence[Measured], value: float, weight: float) -> float:
    """The variance of a mean, if every request were on its own."""
    squares = sum(second.squares[metric] for second in seconds)
    return max(0.0, squares / weight - value**2) / weight


def _variance(pairs: Sequence[tuple[float, float]], value: float, weight: float) -> float:
    """Of a ratio of sums; what a queue carries from one second to the next makes it larger."""
    k = len(pairs)
    if k < 2:
        return math.inf
    residuals = [n - value * d for n, d in pairs]
    squares = sum(r * r for r in residuals)
    if not squares:
        return 0.0
    correlation = _correlation(residuals)
    return squares * k / (k - 1) / weight**2 * (1 + correlation) / (1 - correlation)


def _correlation(residuals: Sequence[float]) -> float:
    """Of each with the next one, without the bias that so few have (Marriott and Pope, 1954)."""
    k, squares = len(residuals), sum(r * r for r in residuals)
    if k < 5 or not squares:
        return 0.0
    found = sum(a * b for a, b in pairwise(residuals)) / squares
    return min(max(0.0, (k * found + 1) / (k - 3)), MAX_CORRELATION)


def _grows(seconds: Sequence[Measured], limits: Mapping[str, float]) -> bool:
    """Whether latency surely rises, so much that HORIZON windows like this one would break a limit on it.

    Where that limit is far away, or there is none on latency, it is told by a latency that doubles.
    """
    ys = [second.latency for second in seconds if second.latency is not None]
    k = len(ys)
    if k < 5:
        return False
    xs = [i - (k - 1) / 2 for i in range(k)]
    mean, spread = sum(ys) / k, sum(x * x for x in xs)
    slope = sum(x * y for x, y in zip(xs, ys, strict=True)) / spread
    left = [y - mean - slope * x for x, y in zip(xs, ys, strict=True)]
    squares = sum(r * r for r in left)
    correlation = _correlation(left)
    error = math.sqrt(squares / (k - 2) / spread * (1 + correlation) / (1 - correlation))
    if slope <= 0 or slope <= error * _quantile(k - 2):
        return False
    rise = slope * k * HORIZON
    shares = [
        (rise, limit - value)
        for metric, limit in limits.items()
        if metric != ERROR_RATE and (value := _latency(metric, seconds[-3:])) is not None
    ]
    return rise > mean or any(more > room for more, room in shares)


def _worsens(seconds: Sequence[Measured], limits: Mapping[str, float]) -> bool:
    """Whether a limit that was kept on the whole was not kept in the second half: a queue had to fill up first."""
    later = seconds[len(seconds) // 2 :]
    found = [(_ratio(metric, limit, seconds), _ratio(metric, limit, later)) for metric, limit in limits.items()]
    return any(whole and half and whole[0] <= 1 < half[0] for whole, half in found)


def _latency(metric: str, seconds: Sequence[Measured]) -> float | None:
    measure, _, statistic = metric.rpartition("_")
    return Histogram.merged(getattr(one.second, measure) for one in seconds).metric(statistic)


def _quantile(degrees: int) -> float:
    """Of Student's t at 1 − DOUBT, by the Cornish–Fisher expansion: within 2% from 4 degrees on."""
    z = NormalDist().inv_cdf(1 - DOUBT)
    n = max(1, degrees)
    return (
        z
        + (z**3 + z) / (4 * n)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * n**3)
    )
