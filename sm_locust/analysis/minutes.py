"""The one join of a run: what was planned, raised, sent and answered, by second, schedule minute, phase and name.

Everything that summarises a run reads these spans, so no two numbers of a report can disagree about what was counted.
Each row of the ledger is decoded and placed once. What the numbers mean is the business of rules, verdict and summary.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

from sm_locust.record.interval import ARRIVALS, Interval
from sm_locust.record.ledger import Event, Ledger, Planned, Sample, Step
from sm_locust.record.run import META, Run, RunError
from sm_locust.schedule import Schedule

SERIES_MOST = 720  # points of a curve, if minutes are not too coarse for that: a page has no more pixels for it


@dataclass
class Span:
    """What happened in a stretch of the run. Spans merge: counts add up, distributions merge, levels take the higher.

    start      real seconds since the start of the run
    speed      schedule seconds for one real second
    phase      index of the phase of the schedule; None without a schedule
    seconds    real seconds in which arrivals could be raised: the divisor of every rate
    planned    arrivals planned
    delivered  arrivals sent with a scheduled time before the end of the arrivals
    users      the most users commanded
    in_flight  the most requests in flight, over all processes
    arrivals   due, dropped, and requests further to the first of each
    by_name    outcomes by the request's name
    """

    start: float
    speed: int = 1
    phase: int | None = None
    seconds: float = 0.0
    planned: float = 0.0
    delivered: int = 0
    users: int = 0
    in_flight: int = 0
    arrivals: Interval = field(default_factory=lambda: Interval(0.0, ARRIVALS))
    by_name: dict[str, Interval] = field(default_factory=dict)

    def merge(self, other: Span) -> None:
        self.seconds += other.seconds
        self.planned += other.planned
        self.delivered += other.delivered
        self.users = max(self.users, other.users)
        self.in_flight = max(self.in_flight, other.in_flight)
        self.arrivals.merge(other.arrivals)
        for name, interval in other.by_name.items():
            self._named(name).merge(interval)

    def _named(self, name: str) -> Interval:
        mine = self.by_name.get(name)
        if mine is None:
            mine = self.by_name[name] = Interval(self.start, name)
        return mine

    @cached_property
    def requests(self) -> Interval:
        """Outcomes of every name; to be asked for once the span is complete."""
        if len(self.by_name) == 1:
            return next(iter(self.by_name.values()))
        whole = Interval(self.start, ARRIVALS)
        for interval in self.by_name.values():
            whole.merge(interval)
        return whole

    @property
    def at_s(self) -> float:
        """Its start on the schedule, in seconds."""
        return round(self.start * self.speed, 6)

    @property
    def minute(self) -> int:
        """The schedule minute that it starts in; minute 0 is the first."""
        return int((self.at_s + 1e-6) // 60)

    @property
    def partial(self) -> bool:
        """Whether the arrivals did not last for a whole schedule minute."""
        return self.seconds < 60 / self.speed - 1e-6

    @property
    def sent(self) -> int:
        """Arrivals that were sent."""
        return self.arrivals.sent

    @property
    def further(self) -> int:
        """Requests after the first of an arrival; 0 but for scenarios."""
        return self.arrivals.further

    @property
    def requested(self) -> int:
        """Requests that were sent."""
        return self.arrivals.requested

    @property
    def unreported(self) -> int:
        """Requests sent, and never heard of again: what a process that died had not shipped.

        Below 0 the ledger is at fault.
        """
        requests = self.requests
        return self.requested - requests.ok - requests.failed - requests.cancelled

    @property
    def cancelled(self) -> int:
        """Cancelled, those never reported included: nobody knows how they ended."""
        return self.requests.cancelled + max(0, self.unreported)

    @property
    def delivered_ratio(self) -> float | None:
        return self.delivered / self.planned if self.planned else None

    def per_second(self, count: float) -> float | None:
        """A count as a rate in real seconds; None for a span that lasted no time."""
        return count / self.seconds if self.seconds else None

    def per_minute(self, count: float) -> float | None:
        rate = self.per_second(count)
        return None if rate is None else rate * 60


@dataclass(frozen=True)
class Minutes:
    """A run, joined. `Minutes.of(run)`.

    end       real seconds at which arrivals ended; where that is not known, the end of the last second on record
    schedule  the phases in real seconds; None without
    seconds   one span a real second, cut at phase boundaries and at the end
    series    what curves are drawn from: seconds, or as few of them together as make SERIES_MOST spans or fewer; a
              schedule minute is the most, and no span has seconds of two of them, or of two phases
    rows      one span a schedule minute; a minute in which the phase changes has the phase at its middle
    phases    one span a phase that began, in order
    judged    the phases with `judge: true`, merged; the whole run without a schedule
    whole     everything
    steps     of a search for capacity, in order; none where the load was planned
    by_worker what each process counted in the whole run: arrivals, and the lateness of what it sent
    unwritten real seconds before the end of which the ledger does not even say what was planned
    """

    speed: int
    end: float
    schedule: Schedule | None
    seconds: list[Span]
    series: list[Span]
    rows: list[Span]
    phases: list[Span]
    judged: Span
    whole: Span
    samples: list[Sample]
    events: list[Event]
    steps: list[Step]
    by_worker: dict[str, Interval]
    unwritten: float = 0.0

    @classmethod
    def of(cls, run: Run) -> Minutes:
        """Reads the folder's ledger. Raises RunError when it cannot be read."""
        try:
            speed, phases = run.speed, run.meta["schedule"]["phases"]
        except KeyError as e:
            raise RunError(f"{run.folder}: {META} has no {e.args[0]}") from None
        ledger = run.ledger()
        schedule = Schedule.from_dicts(phases).at_speed(speed) if phases else None
        end = _end(run.meta.get("ended_s"), ledger)

        seconds = _seconds(end, speed, schedule, ledger.intervals)
        _place_intervals(seconds, ledger.intervals, end)
        _place_plan(seconds, ledger.plan, schedule)
        _place_samples(seconds, ledger.samples, end)

        # Merged step by step, seconds to series, to pieces, to wholes: most of the work is then done once.
        series = _series(seconds, end, speed)
        pieces = _merged(series, lambda span: (span.minute, span.phase))
        rows = _merged(pieces, lambda span: span.minute)
        for row in rows:
            row.start = row.minute * 60 / speed
            row.phase = _phase_at(schedule, row.start + row.seconds / 2)
        by_phase = _merged(pieces, lambda span: span.phase) if schedule else []
        judged = [span for span in by_phase if schedule and schedule.phases[span.phase or 0].judge]
        return cls(
            speed=speed,
            end=end,
            schedule=schedule,
            seconds=seconds,
            series=series,
            rows=rows,
            phases=by_phase,
            judged=_sum(judged if schedule else rows, speed),
            whole=_sum(by_phase if schedule else rows, speed),
            samples=sorted(ledger.samples, key=lambda sample: sample.at),
            events=ledger.events,
            steps=ledger.steps,
            by_worker=ledger.by_worker,
            unwritten=max(0.0, end - sum(row.until - row.second for row in ledger.plan)),
        )

    def name_of(self, span: Span) -> str:
        """The name of its phase; empty without a schedule."""
        return "" if self.schedule is None or span.phase is None else self.schedule.phases[span.phase].name

    def is_judged(self, span: Span) -> bool:
        return self.schedule is None or span.phase is None or self.schedule.phases[span.phase].judge

    def merge_into(self, whole: Span, seconds: Sequence[Span]) -> None:
        """Merges seconds that follow each other; what the series has merged of them already it takes from there."""
        at = 0
        while at < len(seconds):
            merged, lasts, last = self._series_at.get(seconds[at].start, (seconds[at], 1, seconds[at]))
            if at + lasts > len(seconds) or seconds[at + lasts - 1] is not last:
                merged, lasts = seconds[at], 1
            whole.merge(merged)
            at += lasts

    @cached_property
    def _series_at(self) -> dict[float, tuple[Span, int, Span]]:
        """Start of a span of the series → it, how many seconds it has, and the last of them."""
        if self.series is self.seconds:
            return {}
        starts = [span.start for span in self.seconds]
        edges = [*(bisect_left(starts, span.start) for span in self.series), len(starts)]
        return {
            span.start: (span, until - first, self.seconds[until - 1])
            for span, (first, until) in zip(self.series, pairwise(edges), strict=True)
        }

    @property
    def resolution(self) -> int:
        """Real seconds of a span of the series."""
        return _resolution(self.end, self.speed)

    def cpu(self, span: Span) -> float | None:
        """The highest share of a CPU that a process took, of the samples of that time; None without one."""
        first = bisect_left(self._sampled, span.start)
        last = bisect_left(self._sampled, span.start + span.seconds)
        return max((sample.cpu for sample in self.samples[first:last] if sample.cpu is not None), default=None)

    @cached_property
    def _sampled(self) -> list[float]:
        return [sample.at for sample in self.samples]


def _end(ended_s: float | None, ledger: Ledger) -> float:
    if ended_s is not None:
        return float(ended_s)
    ends = [interval.second + 1 for interval in ledger.intervals] + [plan.until for plan in ledger.plan]
    return max(ends, default=0.0)


def _phase_at(schedule: Schedule | None, at: float) -> int | None:
    """Past the end, where only a fault of ours could put an arrival, it is the last one: phases add up to the run."""
    if schedule is None:
        return None
    return min(bisect_right(schedule.boundaries, at + 1e-6) - 1, len(schedule.phases) - 1)


def _seconds(end: float, speed: int, schedule: Schedule | None, intervals: Iterable[Interval]) -> list[Span]:
    """An empty span for every second up to the end, cut where phases begin; and one for each stray interval."""
    cuts = {float(second) for second in range(math.ceil(end))}
    if schedule is not None:
        cuts.update(round(b, 6) for b in schedule.boundaries if round(b, 6) < end)
    cuts.update(round(interval.second, 6) for interval in intervals)
    starts = sorted(cuts)
    return [
        Span(start, speed, _phase_at(schedule, start), seconds=max(0.0, min(until, end) - start))
        for start, until in pairwise([*starts, math.inf])
    ]


def _resolution(end: float, speed: int) -> int:
    minute = 60 // speed
    fits = (step for step in range(1, minute) if minute % step == 0 and end / step <= SERIES_MOST)
    return next(fits, minute)


def _series(seconds: list[Span], end: float, speed: int) -> list[Span]:
    step = _resolution(end, speed)
    if step == 1:
        return seconds
    return _merged(seconds, lambda span: (span.minute, span.phase, int((span.start + 1e-6) // step)))


def _place_intervals(seconds: list[Span], intervals: Iterable[Interval], end: float) -> None:
    at = {span.start: span for span in seconds}
    for interval in intervals:
        span = at[round(interval.second, 6)]
        if interval.name == ARRIVALS:
            span.arrivals.merge(interval)
        elif interval.name in span.by_name:
            span.by_name[interval.name].merge(interval)
        else:
            span.by_name[interval.name] = interval
    for span in seconds:
        span.delivered = span.sent if span.start < end else 0


def _place_plan(seconds: list[Span], plan: Iterable[Planned], schedule: Schedule | None) -> None:
    """A planned second that a phase boundary cuts is shared out as the schedule has it."""
    if not seconds:
        return
    starts = [span.start for span in seconds]

    def weight(start: float, until: float) -> float:
        return until - start if schedule is None else schedule.expected(until) - schedule.expected(start)

    for row in plan:
        first = max(0, bisect_right(starts, row.second + 1e-6) - 1)
        last = max(first, bisect_left(starts, row.until - 1e-6) - 1)
        pieces = seconds[first : last + 1]
        for piece in pieces:
            piece.users = max(piece.users, row.users)
        edges = [row.second, *(span.start for span in pieces[1:]), row.until]
        weights = [weight(start, until) for start, until in pairwise(edges)]
        total = sum(weights)
        for piece, share in zip(pieces, weights, strict=True):
            piece.planned += row.planned * (share / total if total else 1 / len(pieces))


def _place_samples(seconds: list[Span], samples: Iterable[Sample], end: float) -> None:
    starts = [span.start for span in seconds]
    most: dict[tuple[int, str], int] = {}
    for sample in samples:
        if starts and sample.at < end:
            key = (bisect_right(starts, max(0.0, sample.at)) - 1, sample.worker)
            most[key] = max(most.get(key, 0), sample.in_flight)
    for (index, _), in_flight in most.items():
        seconds[index].in_flight += in_flight


def _merged(spans: Iterable[Span], key: Callable[[Span], object]) -> list[Span]:
    """Spans with the same key merged, in the order in which the keys appear."""
    wholes: dict[object, Span] = {}
    for span in spans:
        group = key(span)
        if group not in wholes:
            wholes[group] = Span(span.start, span.speed, span.phase)
        wholes[group].merge(span)
    return list(wholes.values())


def _sum(spans: Iterable[Span], speed: int) -> Span:
    whole = Span(0.0, speed)
    for span in spans:
        whole.merge(span)
    return whole
