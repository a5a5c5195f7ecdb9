"""Searches for the highest rate at which the SLO holds: doubles it until it breaks, then bisects.

A pure machine: told of each second that is over, it says how many arrivals a second it wants from now on. It knows no
clock but the seconds themselves, so a search of minutes is played in milliseconds of virtual time. What the seconds of
a rate prove is evidence's, where the limit then lies is crossing's; who plays the rates is the shape's.

After MLPerf LoadGen's and perf_analyzer's way of finding a peak, with three differences: a rate is not judged by one
figure but held against the doubt in it; the queue that a rate too high has left is waited for; and what was found is
confirmed at the end, so that an endpoint that changes meanwhile is not given a number.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from sm_locust.analysis.capacity import BACKLOG, SEARCH, Capacity
from sm_locust.analysis.crossing import CONFIDENCE, Crossing, Tried
from sm_locust.analysis.evidence import Evidence, Measured, Ruling, apart, requests_needed, weigh
from sm_locust.analysis.rules import Rule, Stretch
from sm_locust.analysis.verdict import LATENESS_SHARE, MIN_LATENESS_BUDGET
from sm_locust.config import ERROR_RATE, CapacitySearch
from sm_locust.record.interval import ARRIVALS, Interval
from sm_locust.record.ledger import Step

# When the seconds of a rate are weighed, in windows: what is clear is clear early, and what is not is given time.
LOOKS = (0.5, 1.0, 1.5, 2.0, 3.0)
FAR = 2.0  # times the limit, or as little of it: what half a window may decide
CONFIRM = 2.0  # windows for which what was found must hold once more
COMPARE = 1.0
TAKING_OVER = 2  # seconds from a rate that is wanted to one that is played: a tick, and the way to workers and back
ON_RATE = 0.02  # share by which the arrivals of a second may be off the rate that is judged
LATE_SHARE = 0.5  # of a window: if more of its seconds left late, it is the generator that cannot keep up
RECOVERY = 60.0  # seconds for a queue to empty; then the endpoint is taken for one that does not recover
RECOVERY_LIMITS = 4.0  # times the longest limit, where that is more: a queue that breaks it is as long
LOWEST = 1 / 32  # of `start`: below it there is no rate that holds
CLOSE = 0.8  # of the limit: a rate that uses more of it, and could not be decided, is near the limit
NEXT_TO = 1.1  # times a rate that could not be decided: where the climb goes on
BESIDE = 0.06  # of a crossing that is guessed: far enough for a line to have a slope
MOST_PROBES = 24  # after the first failure: chance may want more for ever
WELL_BELOW = 0.75  # of what was found: a rate at which no queue hides how the endpoint does
BORNE_OUT = 1.25  # times the lowest rate that failed: another failure up to there bears it out
CHANGED = 0.1  # of the limit: a difference that is less makes no other capacity

DOUBLE, LOWER, BISECT = "double", "lower", "bisect"
AGAIN, CONFIRMATION, COMPARISON, PAUSE = "again", "confirm", "compare", "recover"

FOUND, AT_MAX, NONE_HELD, REFUSED = "found", "capacity.max held", "no rate held", "refused"
TIME_LIMIT, MOST_SENT = "capacity.time_limit reached", "guard.max_requests reached"
LATE = "late"


@dataclass(slots=True)
class _Probe:
    """The step that goes on.

    warm_up   seconds that are not judged: those until the rate is played, and those after
    looks     seconds after which it is still to be weighed
    passed    seconds since it was wanted
    judged    of those, the ones at the rate that was wanted
    late      of those, the ones that left late
    requests  in the seconds that are weighed
    """

    kind: str
    rate: float
    at: float
    warm_up: float
    looks: list[int]
    seconds: list[Measured] = field(default_factory=list)
    passed: int = 0
    judged: int = 0
    late: int = 0
    requests: int = 0

    @property
    def offered(self) -> float:
        return self.requests / len(self.seconds) if self.seconds else 0.0


class Search:
    """`next` is to be called once for each second, in order; `steps` and `capacity` are there at any time.

    limits  the `slo`: metric → seconds, or a fraction for error_rate; not empty, without `model_latency_*`
    most    requests that may be sent in all
    """

    def __init__(self, settings: CapacitySearch, limits: Mapping[str, float], most: float = math.inf) -> None:
        self._settings = settings
        self._limits = dict(limits)
        self._needed = settings.min_requests or requests_needed(self._limits)
        self._most = most
        longest = max((limit for metric, limit in limits.items() if metric != ERROR_RATE), default=0.0)
        self._recovery = max(RECOVERY, RECOVERY_LIMITS * longest)
        self._sent = 0
        self._until = 0.0
        self._age = 0
        self._tried: list[Tried] = []
        self._climb: list[_Probe] = []  # what held on the way up: how the endpoint was at first
        self._again = self._confirmed = self._compared = False
        self._late: float | None = None  # the last rate at which the generator could not keep up
        self._retried: _Probe | None = None  # what is tried once more, after the pause
        self._refused = ""
        self.steps: list[Step] = []
        self.ended = ""  # why it is over; empty while it goes on
        self._probe: _Probe | None = None
        self._begin(DOUBLE, settings.start)

    @property
    def doing(self) -> str:
        """The kind of the step that goes on, a word; empty after the end."""
        return "" if self._probe is None else self._probe.kind

    @property
    def rate(self) -> float:
        """Arrivals a second wanted now; 0 in a pause and after the end."""
        return 0.0 if self._probe is None else self._probe.rate

    def next(self, second: Interval, in_flight: int = 0, age: float = 0.0) -> float | None:
        """Takes a second of which all is known and says the rate from now on; None once the search is over.

        second     arrivals and outcomes of a whole second, of every name
        in_flight  requests without an answer, now
        age        seconds since its end: as many were played at the rate before, and are yet to be told
        """
        probe = self._probe
        if probe is None:
            return None
        self._until = second.second + 1
        self._age = math.floor(age)
        self._sent += second.requested
        probe.passed += 1
        if self._until >= self._settings.time_limit:
            self._end(TIME_LIMIT)
        elif self._sent >= self._most:
            self._end(MOST_SENT)
        elif probe.kind == PAUSE:
            self._recover(probe, in_flight)
        elif probe.passed > probe.warm_up:
            self._look(probe, second)
        return None if self._probe is None else self.rate

    # -- a step ------------------------------------------------------------------------------------------------------

    def _begin(self, kind: str, rate: float) -> None:
        looks = {CONFIRMATION: (CONFIRM,), COMPARISON: (COMPARE,)}.get(kind, LOOKS)
        # A percentile may take more requests than a window has: then it is those that are given time.
        window = max(self._settings.window, self._needed / rate if rate else 0.0)
        warm_up = TAKING_OVER + self._age + self._settings.warm_up
        self._probe = _Probe(kind, rate, self._until, warm_up, [round(look * window) for look in looks])

    def _look(self, probe: _Probe, second: Interval) -> None:
        if abs(second.due - probe.rate) > ON_RATE * probe.rate + 4 * math.sqrt(probe.rate):
            if probe.passed - probe.judged > probe.warm_up + LOOKS[-1] * self._settings.window:
                self._too_much(probe)  # so many seconds that had not the rate that was wanted
            return
        probe.judged += 1
        if _is_late(second):
            probe.late += 1
            if probe.late > max(2.0, LATE_SHARE * self._settings.window, LATE_SHARE * probe.judged):
                self._too_much(probe)
            return
        probe.seconds.append(Measured.of(second, self._limits))
        probe.requests += second.due
        if len(probe.seconds) < probe.looks[0] or probe.requests < self._needed:
            return
        while len(probe.looks) > 1 and probe.looks[1] <= len(probe.seconds):
            probe.looks.pop(0)
        evidence = weigh(probe.seconds, self._limits)
        if self._is_enough(probe, evidence):
            self._decide(probe, evidence)
        else:
            probe.looks.pop(0)

    def _is_enough(self, probe: _Probe, evidence: Evidence) -> bool:
        """Whether a look decides, or longer would tell more."""
        if len(probe.looks) == 1:
            return True
        if len(probe.seconds) < round(self._settings.window):
            return evidence.ruling is not Ruling.UNDECIDED and not 1 / FAR < evidence.ratio < FAR
        if evidence.ruling is not Ruling.UNDECIDED:
            return True
        # Next to the limit another rate tells more than more of the same. A queue that may be growing is another
        # matter: only time tells.
        found = self._crossing
        close = bool(found.near) or CLOSE < evidence.ratio < 1 / CLOSE
        return close and found.high is not None and evidence.metric != BACKLOG

    def _decide(self, probe: _Probe, evidence: Evidence) -> None:
        if evidence.ruling is Ruling.UNDECIDED and evidence.metric == BACKLOG:
            # The queue has grown for as long as we looked.
            evidence = replace(evidence, ruling=Ruling.FAILED)
        self._note(probe, evidence.ruling.value, evidence)
        tried = Tried(probe.offered, probe.at, len(probe.seconds), evidence)
        if probe.kind == CONFIRMATION:
            low = min(probe.rate, tried.rate)
            self._confirmed = evidence.ruling is not Ruling.FAILED
            if not self._confirmed:
                if evidence.ratio > 1 + CHANGED or self._probes_after_failure >= MOST_PROBES:
                    self._contradicted(tried)
                # It was looked at for longer than when it held: the limit is below.
                self._tried = [t for t in self._tried if not (t.evidence.ruling is Ruling.HELD and t.rate >= low)]
                self._tried.append(tried)
        elif probe.kind == COMPARISON:
            self._compare(probe)
        elif probe.kind == AGAIN:
            self._borne_out(tried)
        else:
            self._tried.append(tried)
            if evidence.ruling is Ruling.HELD and probe.kind in (DOUBLE, LOWER):
                self._climb.append(probe)
        if self.ended:
            return
        # What grew, though it be within the limit yet, must not be held against the next rate.
        if evidence.ruling is Ruling.FAILED or evidence.ratio > FAR or math.isinf(evidence.error):
            self._begin(PAUSE, 0.0)
        else:
            self._go_on()

    def _too_much(self, probe: _Probe) -> None:
        self._note(probe, LATE, None)
        if self._late == probe.rate:
            self._end(f"the generator could not send {probe.rate:,.6g} arrivals a second on time")
            return
        # Once is a machine that had something else to do.
        self._late, self._retried = probe.rate, probe
        self._begin(PAUSE, 0.0)

    def _recover(self, probe: _Probe, in_flight: int) -> None:
        if probe.passed > TAKING_OVER and not in_flight:
            self._note(probe, "", None)
            retried, self._retried = self._retried, None
            if retried is None:
                self._go_on()
            else:
                self._begin(retried.kind, retried.rate)
        elif probe.passed > TAKING_OVER + self._recovery:
            self._note(probe, "", None)
            self._refuse(
                f"{in_flight:,} requests were still in flight {self._recovery:.0f} s after the last one was sent"
            )

    def _note(self, probe: _Probe, outcome: str, evidence: Evidence | None) -> None:
        metric, value = "" if evidence is None else evidence.metric, None
        if metric and metric != BACKLOG:
            value = _value(metric, self._limits[metric], probe.seconds)
        self.steps.append(
            Step(probe.kind, probe.rate, probe.at, self._until, probe.offered, probe.requests, outcome, metric, value)
        )

    # -- from one to the next ----------------------------------------------------------------------------------------

    @property
    def _crossing(self) -> Crossing:
        return Crossing.of(self._tried)

    def _go_on(self) -> None:
        found = self._crossing
        if found.high is None:
            tried = max(self._tried, key=lambda t: t.rate)
            if tried.rate < self._settings.max * (1 - ON_RATE):
                # Past a rate that could not be decided the limit is near.
                close = tried.evidence.ruling is Ruling.UNDECIDED and tried.evidence.ratio > CLOSE
                self._begin(DOUBLE, min(tried.rate * (NEXT_TO if close else 2.0), self._settings.max))
            else:
                self._finish(found.low, AT_MAX)
        elif found.below is None:
            lower = min(t.rate for t in self._tried) / 2
            if lower < self._settings.start * LOWEST:
                self._end(NONE_HELD)
            else:
                self._begin(LOWER, lower)
        elif self._probes_after_failure >= MOST_PROBES or found.width <= self._settings.precision:
            self._finish(found.low, FOUND)
        else:
            self._narrow(found, found.below, found.high)

    def _narrow(self, found: Crossing, below: float, high: float) -> None:
        """Tries the rate that tells most: either side of a crossing that is known, or the middle of what is open."""
        above = found.above or high
        step = min(self._settings.precision, BESIDE)
        if above / below - 1 > 2 * step:
            self._begin(BISECT, math.sqrt(below * above))
        elif found.near and found.best is not None:
            beyond = sum(1 if rate > found.best else -1 for rate in found.near)
            self._begin(BISECT, found.best * (1 - step if beyond > 0 else 1 + step))
        else:
            low = found.low or below
            rates = sorted({low, high, *(t.rate for t in self._tried if low < t.rate < high)})
            gap, under, over = max((b / a - 1, a, b) for a, b in pairwise(rates))
            if gap > self._settings.precision / 2:
                self._begin(BISECT, math.sqrt(under * over))
            else:  # nothing is left to be tried between what is sure
                self._finish(found.low, FOUND)

    @property
    def _probes_after_failure(self) -> int:
        failed = [t.evidence.ruling is Ruling.FAILED for t in self._tried]
        return len(failed) - failed.index(True) if True in failed else 0

    def _finish(self, low: float | None, why: str) -> None:
        """Ends, once what was found has been confirmed and compared; else begins the step that does it."""
        if low is None:
            self._end(why)
            return
        early = max((p for p in self._climb if p.rate <= WELL_BELOW * low), key=lambda p: p.rate, default=None)
        alone = self._failed_alone
        if alone is not None:
            self._begin(AGAIN, alone.rate)
        elif not self._confirmed:
            self._begin(CONFIRMATION, low)
        elif not self._compared and early is not None:
            self._begin(COMPARISON, early.rate)
        else:
            self._end(why)

    @property
    def _failed_alone(self) -> Tried | None:
        """The lowest failure, where no other one bears it out: it may have been a start that was cold, or a hiccup."""
        failed = sorted((t for t in self._tried if t.evidence.ruling is Ruling.FAILED), key=lambda t: t.rate)
        alone = bool(failed) and not any(t.rate <= failed[0].rate * BORNE_OUT for t in failed[1:])
        return failed[0] if alone and not self._again else None

    def _borne_out(self, tried: Tried) -> None:
        """Refuses when what failed, and bounds the answer, holds when it is tried again."""
        self._again = True
        if tried.evidence.ruling is Ruling.HELD:
            before = min(
                (t for t in self._tried if t.evidence.ruling is Ruling.FAILED), key=lambda t: abs(t.rate - tried.rate)
            )
            self._refuse(
                f"the endpoint changed while it was searched: {before.rate:,.4g} a second failed {before.at:,.0f} s "
                f"after the start, and {tried.rate:,.4g} held at {tried.at:,.0f} s"
            )

    def _compare(self, probe: _Probe) -> None:
        """Refuses when the endpoint is not any more what it was at the same rate at first."""
        self._compared = True
        early = next(p for p in self._climb if p.rate == probe.rate)
        for metric, limit in self._limits.items():
            by, sure = apart(metric, limit, early.seconds, probe.seconds)
            if sure and abs(by) > CHANGED:
                before, after = (_said(metric, _value(metric, limit, p.seconds)) for p in (early, probe))
                self._refuse(
                    f"the endpoint changed while it was searched: at {probe.rate:,.4g} a second {metric} was {before} "
                    f"{early.at:,.0f} s after the start, and {after} at {probe.at:,.0f} s"
                )
                return

    def _contradicted(self, tried: Tried) -> None:
        held = [t for t in self._tried if t.evidence.ruling is Ruling.HELD] or self._tried
        before = min(held, key=lambda t: abs(t.rate - tried.rate))
        self._refuse(
            f"the endpoint changed while it was searched: {before.rate:,.4g} a second held {before.at:,.0f} s after "
            f"the start, and {tried.rate:,.4g} failed at {tried.at:,.0f} s"
        )

    def _refuse(self, why: str) -> None:
        self._refused = why
        self._end(REFUSED)

    def _end(self, why: str) -> None:
        self.ended = why
        self._probe = None

    # -- the answer --------------------------------------------------------------------------------------------------

    def _why_none(self, found: Crossing) -> str:
        """Why no rate is known to hold, though not all were seen to fail."""
        ended = self.ended or "the search goes on"
        if found.high is None:
            return f"no rate was decided: {ended}"
        if found.below is None:
            return f"no rate is known to hold: {found.high:,.4g} a second failed, and then {ended}"
        near = next(t for t in self._tried if t.rate == found.below)
        return (
            f"no rate surely held: {near.rate:,.4g} a second used {near.evidence.ratio:.0%} of {near.evidence.metric}, "
            "and too few requests were seen to be sure; give capacity a longer window, or more min_requests"
        )

    @property
    def capacity(self) -> Capacity:
        """What is known by now; of the whole endpoint, for a search knows of no instances."""
        found = self._crossing
        if self._refused or (found.low is None and self.ended != NONE_HELD):
            return Capacity(SEARCH, confidence=CONFIDENCE, refused=self._refused or self._why_none(found))
        failed = [t for t in self._tried if t.evidence.ruling is Ruling.FAILED]
        first = min(failed, key=lambda t: t.rate, default=None)
        return Capacity(
            SEARCH,
            max_rps=found.best,
            low=found.low,
            high=found.high,
            reached=first is not None,
            limited_by=None if first is None else first.evidence.metric,
            fails_at=None if first is None else first.rate,
            confidence=CONFIDENCE,
        )


def _is_late(second: Interval) -> bool:
    """Whether its requests left so late that it says more of us than of the endpoint."""
    budget = max(MIN_LATENESS_BUDGET, LATENESS_SHARE * (second.service_time.quantile(0.5) or 0.0))
    return (second.lateness.quantile(0.99) or 0.0) > budget


def _value(metric: str, limit: float, seconds: Sequence[Measured]) -> float | None:
    """Of all the seconds together, of which only that is merged which the rule asks for."""
    whole, measure = Interval(0.0, ARRIVALS), metric.rpartition("_")[0]
    for one in seconds:
        if metric == ERROR_RATE:
            for key, n in one.second.counts.items():
                whole.add(key, n)
        else:
            getattr(whole, measure).merge(getattr(one.second, measure))
    return Rule(metric, limit).value(Stretch("", whole))


def _said(metric: str, value: float | None) -> str:
    if value is None:
        return "unknown"
    return f"{value:.2%}" if metric == ERROR_RATE else f"{value * 1e3:,.4g} ms"
