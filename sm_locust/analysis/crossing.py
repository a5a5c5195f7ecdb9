"""Between which rates a limit is crossed, from rates that were tried and how much of the limit each used.

What surely held and what surely failed are bounds by themselves: they are all there is for an endpoint that goes over
an edge. Where latency rises as a queue's does, the rates near the limit tell more together than any one alone: the
inverse of a mean time in a queue falls in a straight line with the rate (exactly so for M/M/1: 1/W = μ − λ), so a
weighted line through them crosses the limit at a rate whose bounds are Fieller's (Some Problems in Interval
Estimation, 1954).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sm_locust.analysis.evidence import Evidence, Ruling

CONFIDENCE = 0.95
_QUANTILE = 2.0  # for 0.95 of a normal distribution
NEAR = 3.0  # times the limit, or as little of it: further away nothing is a line
ASIDE = 0.12  # how far from the crossing a rate may lie and still be on one line with it
NARROWEST = 0.01  # of a bound from the best estimate: the line is a model


@dataclass(frozen=True, slots=True)
class Tried:
    """A rate and what its seconds said.

    rate     arrivals a second
    at       when, in real seconds of the run
    seconds  how many there were
    """

    rate: float
    at: float
    seconds: int
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Crossing:
    """`Crossing.of(tried)`; rates in arrivals a second, None where there is no such bound.

    low, high     bounds of the crossing
    best          the best estimate between them; `low` where nothing failed
    below, above  the rates next to it, as far as their figures go, sure or not: where to look further
    near          the rates that a line was drawn through; none where there is no line
    """

    low: float | None
    high: float | None
    best: float | None
    below: float | None
    above: float | None
    near: tuple[float, ...] = ()

    @classmethod
    def of(cls, tried: Sequence[Tried]) -> Crossing:
        high = min((t.rate for t in tried if t.evidence.ruling is Ruling.FAILED), default=None)
        under = [t for t in tried if high is None or t.rate < high]
        low = max((t.rate for t in under if t.evidence.ruling is Ruling.HELD), default=None)
        below = max((t.rate for t in under if t.evidence.ratio < 1), default=None)
        if high is None:
            return cls(low, None, low, below, None)
        above = min((t.rate for t in under if t.evidence.ratio >= 1 and t.rate > (below or 0.0)), default=high)
        best = None if low is None else math.sqrt(low * high)
        if below is not None:
            near, line = _drawn(tried, math.sqrt(below * above))
            bounds = None if line is None else line.bounds
            if line is not None and bounds is not None and bounds[0] < high and bounds[1] > (low or 0.0):
                root = min(max(line.root, low or 0.0), high)
                floor, ceiling = min(bounds[0], root * (1 - NARROWEST)), max(bounds[1], root * (1 + NARROWEST))
                return cls(max(floor, low or 0.0), min(ceiling, high), root, below, above, near)
            if line is not None:
                return cls(low, high, best, below, above, near)
        return cls(low, high, best, below, above)

    @property
    def width(self) -> float:
        """Of the bounds, as a share; infinite without both."""
        return math.inf if not self.low or self.high is None else self.high / self.low - 1


def _drawn(tried: Sequence[Tried], about: float) -> tuple[tuple[float, ...], _Line | None]:
    """The line through the rates around a first guess, and again around where it crosses; only between rates."""
    points = [t for t in tried if 1 / NEAR <= t.evidence.ratio <= NEAR and 0 < t.evidence.error < 1]
    near, line = points, None
    for _ in range(2):
        near = [t for t in points if abs(t.rate / about - 1) <= ASIDE]
        line = _Line.through(near)
        if line is None or not min(t.rate for t in near) < line.root < max(t.rate for t in near):
            return (), None
        about = line.root
    return tuple(t.rate for t in near), line


@dataclass(frozen=True, slots=True)
class _Line:
    """The inverse of the ratio against the rate, less 1: it is 0 at the limit.

    x0, y0   the centre of what it was drawn through
    weight   the inverse of the variance of y0
    spread   the inverse of the variance of the slope
    excess   by how much the points scatter more than they should
    """

    x0: float
    y0: float
    slope: float
    weight: float
    spread: float
    excess: float

    @classmethod
    def through(cls, tried: Sequence[Tried]) -> _Line | None:
        """None where the rates are too few, or latency does not rise with them."""
        if len({t.rate for t in tried}) < 2:
            return None
        # One error for all, a second's: a queue that was short by chance varied little by the same chance, and would
        # weigh most. The inverse of what scatters is on average larger than that of its mean.
        squares = sum(t.evidence.error**2 * t.seconds for t in tried) / len(tried)
        ys = [1 / (t.evidence.ratio * (1 + squares / t.seconds)) for t in tried]
        line, fitted = None, ys
        for _ in range(3):
            weights = [t.seconds / (squares * fit**2) for t, fit in zip(tried, fitted, strict=True)]
            line = cls._weighted([t.rate for t in tried], ys, weights)
            fitted = [max(0.2, 1 + line.y0 + line.slope * (t.rate - line.x0)) for t in tried]
        return line if line is not None and line.slope < 0 else None

    @classmethod
    def _weighted(cls, xs: Sequence[float], ys: Sequence[float], weights: Sequence[float]) -> _Line:
        points = list(zip(xs, ys, weights, strict=True))
        weight = sum(weights)
        x0, y0 = sum(w * x for x, _, w in points) / weight, sum(w * y for _, y, w in points) / weight
        spread = sum(w * (x - x0) ** 2 for x, _, w in points)
        slope = sum(w * (x - x0) * (y - y0) for x, y, w in points) / spread
        left = sum(w * (y - y0 - slope * (x - x0)) ** 2 for x, y, w in points)
        excess = max(1.0, left / (len(points) - 2)) if len(points) > 2 else 1.0
        return cls(x0, y0 - 1, slope, weight, spread, excess)

    @property
    def root(self) -> float:
        return self.x0 - self.y0 / self.slope

    @property
    def bounds(self) -> tuple[float, float] | None:
        """Where the line may be 0: (y0 + slope·d)² ≤ quantile² · variance at d, d from the centre; None if anywhere."""
        quantile = _QUANTILE**2 * self.excess
        a = self.slope**2 - quantile / self.spread
        b = 2 * self.y0 * self.slope
        c = self.y0**2 - quantile / self.weight
        inside = b * b - 4 * a * c
        if a <= 0 or inside < 0:
            return None
        reach = math.sqrt(inside)
        return self.x0 + (-b - reach) / (2 * a), self.x0 + (-b + reach) / (2 * a)
