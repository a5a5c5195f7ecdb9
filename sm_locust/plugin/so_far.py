"""How a run stands while it goes on: the verdict and the SLO over what has been counted so far.

The judgements are the analysis's own, over its own spans, one a phase. What only the end can tell is left to the end.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from typing import Any

from sm_locust.analysis.minutes import Minutes, Span
from sm_locust.analysis.rules import MODEL_LATENCY, Rule, SloResult, Stretch
from sm_locust.analysis.verdict import MAX_CPU, Verdict, endpoint_drops
from sm_locust.record.interval import ARRIVALS, Interval
from sm_locust.record.ledger import Event, Sample
from sm_locust.schedule import Schedule

# Reasons that say nothing of a run that goes on: its requests are in flight and its phases are still to come.
_ONLY_AT_THE_END = frozenset({"unfinished", "nothing sent", "unreported", "accounting", "not begun"})

_MOST_SAMPLES = 2_000


class SoFar:
    """The run in phases, added up as it goes.

    speed     schedule seconds for one real second
    schedule  in real seconds; None without one
    limits    of the `slo`; empty where it is not what is asked
    meta      what run.json holds so far
    """

    def __init__(
        self, speed: int, schedule: Schedule | None, limits: Mapping[str, float], meta: Mapping[str, Any]
    ) -> None:
        self._schedule = schedule
        self._limits = limits
        self._meta = meta
        boundaries = schedule.boundaries if schedule else (0.0, math.inf)
        phases = range(len(boundaries) - 1)
        self._starts = list(boundaries[:-1])
        self._ends = list(boundaries[1:])
        self._spans = [Span(self._starts[i], speed, i if schedule else None) for i in phases]
        for span in self._spans:
            span.by_name[ARRIVALS] = Interval(span.start, ARRIVALS)
        self._busy: dict[Sample, None] = {}  # each once, in order
        self._last: dict[str, Sample] = {}
        self.events: list[Event] = []
        self._until = 0.0
        self._planned = 0.0

    def phase_of(self, second: float) -> int:
        """The index of the phase that a second belongs to; 0 without a schedule."""
        return max(0, min(bisect_right(self._starts, second + 1e-6) - 1, len(self._spans) - 1))

    def arrivals(self, phase: int, counted: Interval) -> None:
        """Adds arrivals of a second that has been planned, see `plan`."""
        span = self._spans[phase]
        span.arrivals.merge(counted)
        span.delivered += counted.sent

    def requests(self, phase: int) -> Interval:
        """What outcomes of the phase are to be added to, histograms too."""
        return self._spans[phase].by_name[ARRIVALS]

    def plan(self, until: float, planned: float) -> None:
        """All arrivals up to `until`, real seconds, have been counted; `planned` of them were planned."""
        self._until, self._planned = max(self._until, until), planned

    def sample(self, sample: Sample) -> None:
        """Keeps only what may show a busy process: two samples in a row."""
        if sample.cpu is None:
            return
        before = self._last.get(sample.worker)
        self._last[sample.worker] = sample
        if before is not None and sample.cpu > MAX_CPU and (before.cpu or 0.0) > MAX_CPU:
            self._busy.update({before: None, sample: None})
            while len(self._busy) > _MOST_SAMPLES:
                del self._busy[next(iter(self._busy))]

    def _minutes(self) -> Minutes:
        """As the analysis has it, of the phases that have begun, without its seconds."""
        begun = []
        for span, start, end in zip(self._spans, self._starts, self._ends, strict=True):
            if start < self._until:
                until = min(end, self._until)
                span.seconds = until - start
                span.planned = self._planned
                if self._schedule is not None:
                    span.planned = self._schedule.expected(until) - self._schedule.expected(start)
                begun.append(span)
        judged = [s for s in begun if self._schedule is None or self._schedule.phases[s.phase or 0].judge]
        whole = _sum(begun)
        return Minutes(
            speed=whole.speed,
            end=math.inf,
            schedule=self._schedule,
            seconds=[],
            series=[],
            rows=[],
            phases=begun if self._schedule else [],
            judged=whole if len(judged) == len(begun) else _sum(judged),
            whole=whole,
            samples=sorted(self._busy, key=lambda sample: sample.at),
            events=self.events,
            steps=[],
            by_worker={},
        )

    def judge(self) -> tuple[Verdict, SloResult]:
        minutes = self._minutes()
        if not minutes.whole.seconds:
            return Verdict(()), SloResult(())
        verdict = Verdict.of(minutes, self._meta)
        reasons = tuple(reason for reason in verdict.reasons if reason.code not in _ONLY_AT_THE_END)
        drops = endpoint_drops(minutes.phases or [minutes.whole])
        stretch = Stretch("so far", minutes.judged.requests, drops)
        rules = (Rule(*limit) for limit in self._limits.items() if not limit[0].startswith(MODEL_LATENCY))
        return Verdict(reasons), SloResult(tuple(rule.judge(stretch) for rule in rules))


def _sum(spans: Iterable[Span]) -> Span:
    spans = list(spans)
    if len(spans) == 1:
        return spans[0]
    whole = Span(spans[0].start if spans else 0.0, spans[0].speed if spans else 1)
    for span in spans:
        whole.merge(span)
    return whole
