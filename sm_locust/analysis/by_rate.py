"""Runs by the rate that was offered to the endpoint, in steps that they share, whatever their ramps and speeds.

A rate is arrivals a second that the schedule wanted, of the whole endpoint and in real time: however many instances
served, and whether it was sent or not. Seconds of the judged phases are put together by it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sm_locust.analysis.minutes import Minutes, Span
from sm_locust.analysis.rules import error_rate
from sm_locust.analysis.verdict import endpoint_drops
from sm_locust.record.rounding import in_ms, rounded

STEPS = 10, 40  # from the lowest rate to the highest: a picture's worth, at least and at most
REQUESTS = 200  # that a step should have in the shortest run: no more steps than leave it so many
_NOISE = 1e-6  # of arithmetic
FEWEST = 100  # answers for a p99: of fewer it is but the slowest of them


@dataclass(frozen=True, slots=True)
class Level:
    """What one run did in one step of rates. Latencies are seconds, from the schedule.

    rate        arrivals a second, the mean of what was offered
    sent        requests
    error_rate  what a stalled target kept from being sent counted in
    """

    rate: float
    sent: int
    latency_mean: float | None
    latency_p99: float | None
    error_rate: float | None

    @classmethod
    def of(cls, span: Span) -> Level:
        """span  the seconds of the step, merged"""
        requests = span.requests
        return cls(
            rate=span.planned / span.seconds,
            sent=span.requested,
            latency_mean=requests.latency.mean,
            latency_p99=requests.latency.quantile(0.99) if requests.latency.count >= FEWEST else None,
            error_rate=error_rate(requests, endpoint_drops([span])),
        )

    def as_dict(self) -> dict[str, Any]:
        return {
            "rps": round(self.rate, 3),
            "sent": self.sent,
            "latency_mean_ms": in_ms(self.latency_mean),
            "latency_p99_ms": in_ms(self.latency_p99),
            "error_rate": rounded(self.error_rate, 9),
        }


@dataclass(frozen=True)
class ByRate:
    """`ByRate.of(runs)`.

    lowest  rate that was offered in any run, arrivals a second
    width   of a step, arrivals a second; 0 where there was but one rate, or none
    levels  of each run, by the number of the step: step n begins at lowest + n × width
    """

    lowest: float
    width: float
    levels: tuple[Mapping[int, Level], ...]

    @classmethod
    def of(cls, runs: Sequence[Minutes]) -> ByRate:
        offered = [
            [span for span in run.seconds if span.planned > 0 and span.seconds and run.is_judged(span)] for run in runs
        ]
        fewest, most = STEPS
        shortest = min((sum(span.requested for span in spans) for spans in offered), default=0)
        steps = max(fewest, min(most, shortest // REQUESTS))
        rates = [_rate(span) for spans in offered for span in spans] or [0.0]
        lowest = min(rates)
        width = (max(rates) - lowest) / steps
        if width <= _NOISE * lowest:
            width = 0.0

        def step(span: Span) -> int:
            # The highest rate belongs to the last step; a flat one at an edge is not scattered over both sides of it.
            return min(steps - 1, int((_rate(span) - lowest) / width + _NOISE)) if width else 0

        return cls(lowest, width, tuple(_levels(spans, step) for spans in offered))

    @property
    def steps(self) -> list[int]:
        """Those in which any run has a level."""
        return sorted({step for levels in self.levels for step in levels})

    def starts(self, step: int) -> float:
        """The rate at which a step begins, and the one before it ends."""
        return self.lowest + step * self.width

    def as_dict(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """What compare.json holds of it: a list of steps. `names` are those of the runs, in their order."""
        return [
            {
                "from_rps": round(self.starts(step), 3),
                "to_rps": round(self.starts(step + 1), 3),
                **{
                    name: levels[step].as_dict() if step in levels else None
                    for name, levels in zip(names, self.levels, strict=True)
                },
            }
            for step in self.steps
        ]


def _rate(span: Span) -> float:
    return span.planned / span.seconds


def _levels(spans: Iterable[Span], step: Callable[[Span], int]) -> dict[int, Level]:
    found: dict[int, Span] = {}
    for span in spans:
        found.setdefault(step(span), Span(span.start, span.speed)).merge(span)
    return {n: Level.of(found[n]) for n in sorted(found)}
