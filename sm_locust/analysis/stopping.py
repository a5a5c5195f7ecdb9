"""Whether a rule of `stop_when` has held for as long as it says, told second by second while the run goes.

Pure, and without a clock: it is handed what was counted, as it comes, and asked once a second. What a metric is, is
decided by rules and verdict; here is what a window is. Who ends the run is the plugin.

A window is looked at in parts, and each of them must be above the limit. So a burst that would lift the mean of a whole
minute ends nothing, and a rate just above its limit is not let off for one lucky second. Of a load of less than a
request in each part, the parts that have one decide: half of them at the least, and no two without one in a row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sm_locust.analysis.minutes import Span
from sm_locust.analysis.rules import MEASURED, Rule, Stretch
from sm_locust.analysis.verdict import (
    CPU_WINDOW,
    MAX_CPU,
    MAX_IN_FLIGHT,
    endpoint_drops,
    lateness_budget,
    on_time,
    undelivered,
)
from sm_locust.config import DROP_RATE, ERROR_RATE, NOT_VALID, SHORTFALL, StopRule
from sm_locust.record.histogram import bucket_of
from sm_locust.record.interval import ARRIVALS, Interval
from sm_locust.record.ledger import Sample
from sm_locust.record.observation import Observation
from sm_locust.schedule import Schedule

PARTS = 10  # of a window, where it has as many seconds
SLOTS = 60  # of a window, at the most, in which its seconds are added up: one that is longer may trip a slot early
HISTOGRAMS = ("latency", "service_time", "lateness")  # that are asked for

_NOISE = 1e-6  # seconds


@dataclass(frozen=True, slots=True)
class Tripped:
    """A rule that has held.

    since, until  schedule seconds of its window
    at_s          schedule seconds at which that was found
    value         of the metric over the window: seconds or a fraction; None for not_valid
    why           what made the run not valid, in words; else empty
    """

    rule: StopRule
    since: float
    until: float
    at_s: float
    value: float | None
    why: str = ""

    def as_dict(self) -> dict[str, Any]:
        """What run.json holds of it."""
        return {
            "rule": str(self.rule),
            "metric": self.rule.metric,
            "value": self.value,
            "why": self.why,
            "since_s": round(self.since, 3),
            "until_s": round(self.until, 3),
            "at_s": round(self.at_s, 3),
        }


class Stopping:
    """The rules of one run.

    speed     schedule seconds for one real second
    schedule  in real seconds; None without one. Phases that are not judged are not looked at
    period    schedule seconds of a CloudWatch period
    slack     how many arrivals a faultless generator may be off by, of so many that were planned
    """

    def __init__(
        self,
        rules: Iterable[StopRule],
        speed: int,
        schedule: Schedule | None = None,
        period: float = 60.0,
        slack: Callable[[float], float] = lambda planned: 2.0,
    ) -> None:
        self._speed = speed
        apart = _not_judged(schedule)
        rules = list(rules)
        self._busy = _Busy()
        self._flying: dict[int, int] = {}  # second of the schedule → requests of it without an answer
        self._ours = [
            _Ours(rule, speed, apart, self._flying, self._busy, slack) for rule in rules if rule.cloudwatch is None
        ]
        self._theirs = [_Theirs(rule, speed, apart, period) for rule in rules if rule.cloudwatch is not None]

    def count(self, counted: Interval, told: int) -> None:
        """What a process has counted of one second and name.

        counted  with HISTOGRAMS
        told     the second at whose end it was shipped: what ended was still in flight a second before
        """
        second = int(counted.second + _NOISE)
        left = counted.requested if counted.name == ARRIVALS else -(counted.ok + counted.failed + counted.cancelled)
        self._flying[second] = self._flying.get(second, 0) + left
        if not self._flying[second]:
            del self._flying[second]
        for rule in self._ours:
            rule.count(counted, told)

    def plan(self, second: float, planned: float) -> None:
        """Arrivals that were planned for a second."""
        for rule in self._ours:
            rule.plan(second, planned)

    def sample(self, sample: Sample) -> None:
        self._busy.sample(sample)

    def observed(self, observations: Iterable[Observation]) -> None:
        """What CloudWatch says of the watched subject."""
        for found in observations:
            for rule in self._theirs:
                rule.observed(found)

    def judge(self, known: float) -> Tripped | None:
        """The first rule that has held; None while none has.

        known  real seconds up to which everything that had happened has been told
        """
        rules: list[_Ours | _Theirs] = [*self._ours, *self._theirs]
        return next(filter(None, (rule.judge(known) for rule in rules)), None)


# Real seconds, from and until, that no rule looks at.
_Apart = tuple[tuple[float, float], ...]


def _not_judged(schedule: Schedule | None) -> _Apart:
    if schedule is None:
        return ()
    edges = zip(schedule.boundaries, schedule.boundaries[1:], schedule.phases, strict=False)
    return tuple((start, until) for start, until, phase in edges if not phase.judge)


class _Looked:
    """What time a rule looks at: from the end of its grace on, and no phase that is not judged."""

    def __init__(self, rule: StopRule, speed: int, apart: _Apart) -> None:
        self._apart = (*apart, (-math.inf, (rule.grace or 0.0) / speed))

    def at(self, start: float, until: float) -> bool:
        """All of a stretch of real seconds."""
        return all(until <= first + _NOISE or start >= last - _NOISE for first, last in self._apart)


class _Busy:
    """Processes that have used more of a CPU than the verdict allows, and since when."""

    def __init__(self) -> None:
        self._since: dict[str, tuple[float, Sample]] = {}  # from where on; the last sample

    def sample(self, sample: Sample) -> None:
        if sample.cpu is None:
            return
        if sample.cpu <= MAX_CPU:
            self._since.pop(sample.worker, None)
            return
        since, _ = self._since.get(sample.worker, (sample.at - CPU_WINDOW, sample))
        self._since[sample.worker] = since, sample

    def at(self, start: float, until: float) -> float | None:
        """The highest share of a process that was busy all the time, over two samples at the least; else None.

        The time after its last sample counts as that did, for as long as another may be on its way.
        """
        shares = [
            sample.cpu or 0.0
            for since, sample in self._since.values()
            if since <= start + 1 and sample.at - since >= 2 * CPU_WINDOW - 1 and until - sample.at <= 2 * CPU_WINDOW
        ]
        return max(shares, default=None)


class _Ours:
    """A rule on what we count, and its last seconds.

    A latency belongs to the second in which its request was due, since one that has no answer yet is known by that. Any
    other answer belongs to the second in which it came: an error is one when it happens, however old the request.
    """

    def __init__(
        self,
        rule: StopRule,
        speed: int,
        apart: _Apart,
        flying: Mapping[int, int],
        busy: _Busy,
        slack: Callable[[float], float],
    ) -> None:
        self._rule = rule
        self._speed = speed
        self._looked = _Looked(rule, speed, apart)
        self._flying = flying
        self._busy = busy
        self._slack = slack
        self._is_a_latency = rule.metric.startswith(MEASURED)
        seconds = math.ceil(rule.lasting / speed - _NOISE)
        # The ledger's grain is a second; the CPU of a process is sampled every five.
        self._seconds = max(seconds, math.ceil(CPU_WINDOW) if rule.metric == NOT_VALID else 1)
        self._grain = math.ceil(self._seconds / SLOTS)
        self._slots: dict[int, Span] = {}

    def count(self, counted: Interval, told: int) -> None:
        filed = counted.second if self._is_a_latency or counted.name == ARRIVALS else float(told)
        # Throughput is all that comes back in a second; an error is not held against a phase that did not send it.
        looked_at = filed if self._rule.metric == SHORTFALL else counted.second
        if not self._looked.at(looked_at, looked_at + _NOISE):
            return
        span = self._slot(filed)
        (span.arrivals if counted.name == ARRIVALS else span.by_name[ARRIVALS]).merge(counted)

    def plan(self, second: float, planned: float) -> None:
        if self._looked.at(second, second + 1):
            self._slot(second).planned += planned

    def _slot(self, second: float) -> Span:
        index = int((second + _NOISE) // self._grain)
        span = self._slots.get(index)
        if span is None:
            span = self._slots[index] = _empty(index * self._grain)
        return span

    def judge(self, known: float) -> Tripped | None:
        # A request that is not answered is above a limit once it is older than that.
        until = math.floor(known - (self._rule.above or 0.0 if self._is_a_latency else 0.0) + _NOISE)
        start = until - self._seconds
        first, last = math.ceil(start / self._grain), math.ceil(until / self._grain)
        for index in [index for index in self._slots if index < first]:
            del self._slots[index]
        if not self._looked.at(start, until) or not self._has_held(first, last, known):
            return None
        window = self._together(range(first, last), known)
        if not self._is_above(window):
            return None
        return Tripped(
            self._rule,
            start * self._speed,
            until * self._speed,
            known * self._speed,
            self._value(window),
            "; ".join(self._reasons(window)) if self._rule.metric == NOT_VALID else "",
        )

    def _has_held(self, first: int, last: int, known: float) -> bool:
        """Every part in which something was measured is above the limit, and half of all parts are such ones.

        Two silent ones in a row are a pause: what comes after it begins a window of its own.
        """
        above, silent, before = 0, 0, True
        for part in self._parts(first, last, known):
            found = self._is_above(part)
            if found is False or (found is None and not before):
                return False
            before = found is True
            above, silent = above + before, silent + (not before)
        return before and above >= silent  # the oldest is one of those: it has held from there on

    def _parts(self, first: int, last: int, known: float) -> Iterator[Span]:
        """The newest first: where nothing is wrong, it is the only one that is added up."""
        slots = last - first
        parts = min(PARTS, slots)
        for i in reversed(range(parts)):
            yield self._together(range(first + i * slots // parts, first + (i + 1) * slots // parts), known)

    def _together(self, slots: range, known: float) -> Span:
        whole = _empty(slots.start * self._grain)
        whole.seconds = float(len(slots) * self._grain)
        for index in slots:
            span = self._slots.get(index)
            if span is not None:
                whole.planned += span.planned
                whole.arrivals.merge(span.arrivals)
                whole.by_name[ARRIVALS].merge(span.by_name[ARRIVALS])
        if self._is_a_latency:
            self._count_unanswered(whole, slots, known)
        return whole

    def _count_unanswered(self, whole: Span, slots: range, known: float) -> None:
        """No answer yet is no good answer: a latency of so much, at the least. What a stalled target kept from being
        sent waits as well: with max_in_flight full, nothing else tells of it."""
        unanswered = [
            (known - second - 1, n)
            for second, n in self._flying.items()
            if whole.start <= second < whole.start + whole.seconds
        ]
        if endpoint_drops([whole]):
            unanswered += [
                (known - (index + 1) * self._grain, self._slots[index].arrivals.dropped_by_reason.get(MAX_IN_FLIGHT, 0))
                for index in slots
                if index in self._slots
            ]
        requests = whole.by_name[ARRIVALS]
        for age, n in unanswered:
            if n > 0 and age > 0:
                bucket = bucket_of(age)
                for histogram in (requests.latency, requests.service_time):
                    histogram.counts[bucket] = histogram.counts.get(bucket, 0) + n

    def _is_above(self, part: Span) -> bool | None:
        """None where nothing was measured."""
        if self._rule.metric == NOT_VALID:
            return any(self._reasons(part))
        if self._rule.metric in (DROP_RATE, SHORTFALL):
            value = self._value(part)
            return None if value is None else value > self._limit
        passed = self._as_rule.judge(self._stretch(part)).passed
        return None if passed is None else not passed

    @property
    def _limit(self) -> float:
        return self._rule.above or 0.0

    @property
    def _as_rule(self) -> Rule:
        return Rule(self._rule.metric, self._limit)

    def _stretch(self, span: Span) -> Stretch:
        drops = endpoint_drops([span]) if self._rule.metric == ERROR_RATE else 0
        return Stretch("", span.requests, drops)

    def _value(self, span: Span) -> float | None:
        """None where nothing was measured."""
        due = span.arrivals.due
        if self._rule.metric == NOT_VALID:
            return None
        if self._rule.metric == DROP_RATE:
            return span.arrivals.dropped / due if due else None
        if self._rule.metric == SHORTFALL:
            return 1 - span.requests.ok / (due + span.further) if due else None
        return self._as_rule.value(self._stretch(span))

    def _reasons(self, span: Span) -> Iterator[str]:
        """What the verdict would not accept."""
        if not on_time(span):
            late, allowed = span.requests.lateness.quantile(0.99) or 0.0, lateness_budget(span)
            yield f"1% of the requests left more than {late * 1e3:,.1f} ms late ({allowed * 1e3:,.1f} ms are allowed)"
        share = self._busy.at(span.start, span.start + span.seconds)
        if share is not None:
            yield f"a process used {share:.0%} of a core"
        span.delivered = span.sent
        missing = undelivered(span, self._slack(span.planned), endpoint_drops([span]))
        if missing > 0:
            yield f"{missing / span.planned:.1%} of the planned arrivals were not sent, for reasons on our side"


class _Theirs:
    """A rule on CloudWatch's points. They come minutes late: what counts is the time that they are of."""

    def __init__(self, rule: StopRule, speed: int, apart: _Apart, period: float) -> None:
        self._rule = rule
        self._speed = speed
        self._period = period
        self._looked = _Looked(rule, speed, apart)
        self._needed = max(1, math.ceil(rule.lasting / period - _NOISE))
        self._points: dict[float, float] = {}  # schedule seconds at which a period begins → seconds or a fraction

    def observed(self, found: Observation) -> None:
        if (found.metric, found.statistic) != self._rule.cloudwatch:
            return
        if self._looked.at(found.at_s / self._speed, (found.at_s + self._period) / self._speed):
            # CloudWatch may correct a point.
            self._points[found.at_s] = found.value / (1e3 if found.unit == "ms" else 100.0)
            for at_s in sorted(self._points)[: -2 * self._needed - 60]:
                del self._points[at_s]

    def judge(self, known: float) -> Tripped | None:
        above: list[float] = []
        before = -math.inf
        for at_s in sorted(self._points):
            if at_s - before > self._period + _NOISE:  # a period without a point shows nothing
                above = []
            before, value = at_s, self._points[at_s]
            above = [*above, value] if value > (self._rule.above or 0.0) else []
            if len(above) >= self._needed:
                until = at_s + self._period
                mean = sum(above) / len(above)
                return Tripped(self._rule, until - len(above) * self._period, until, known * self._speed, mean)
        return None


def _empty(start: float) -> Span:
    span = Span(float(start))
    span.by_name[ARRIVALS] = Interval(float(start), ARRIVALS)
    return span
