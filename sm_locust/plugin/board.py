"""What the page in the web UI shows of one run: fed by the live run, second by second, and asked by the page.

It keeps small numbers only. Histograms stay as they came, encoded, until somebody looks: a run that nobody watches pays
for none. Routes and the page itself are tab's, judging what has been counted is so_far's.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sm_locust.analysis.periods import SHARED
from sm_locust.analysis.watched import Setting
from sm_locust.plugin.listener import Listener
from sm_locust.plugin.so_far import SoFar
from sm_locust.record.histogram import Histogram
from sm_locust.record.interval import ARRIVALS, Interval
from sm_locust.record.ledger import Event, Planned, Sample, Step
from sm_locust.record.observation import Observation, ScalingEvent
from sm_locust.record.rounding import in_ms
from sm_locust.report import formats, wording
from sm_locust.schedule import Schedule

RUNNING, ENDING, SETTLING, DONE = "running", "ending", "settling", "done"

SECONDS = 7_200  # of the past that are kept; a longer run forgets its first
ENTRIES = 1_000  # of scaling and of a search, likewise
UNREAD = 24_000_000  # characters of histograms that nobody has looked at; beyond it the oldest are let go
OPEN = 150  # seconds in which late answers still change a percentile: more than a request may take
ROWS = 300  # in one answer
LAG = 1  # seconds after which all of a second has come, but for late answers
JUDGE_EVERY = 10.0  # seconds: some milliseconds of work at a stretch, for which arrivals of this process wait

_KEPT = ("verdict", "slo", "arrivals", "requests", "latency_ms", "service_time_ms", "lateness_ms", "capacity")
_READ = ("latency", "service_time", "lateness")


class _Second:
    """One second of the run, whole: a phase that begins within it makes no two."""

    __slots__ = (
        *("arrivals", "by_worker", "cancelled", "dropped", "encoded", "failed", "latency", "lateness", "number", "ok"),
        *("percentiles", "planned", "sent"),
    )

    def __init__(self, number: int) -> None:
        self.number = number
        self.planned: float | None = None
        self.sent = self.dropped = self.ok = self.failed = self.cancelled = 0
        self.by_worker: dict[str, int] = {}  # requests in flight
        self.arrivals: list[tuple[int, Interval]] = []  # not yet part of what is judged; with their phases
        self.encoded: list[tuple[int, dict[str, str]]] = []  # not yet read; with their phases
        self.latency: Histogram | None = Histogram()  # None once it is too old to change
        self.lateness: Histogram | None = Histogram()
        self.percentiles: tuple[float | None, ...] = (None, None, None)  # ms: latency p50, p99, lateness p99

    def as_row(self) -> list[float | None]:
        """As COLUMNS names it."""
        in_flight = sum(self.by_worker.values()) if self.by_worker else None
        planned = None if self.planned is None else round(self.planned, 3)
        counts = (self.sent, self.ok, self.failed, self.cancelled, self.dropped)
        return [self.number, planned, *counts, in_flight, *self.percentiles]


COLUMNS = (
    *("second", "planned", "sent", "ok", "failed", "cancelled", "dropped", "in_flight"),
    *("p50_ms", "p99_ms", "lateness_p99_ms"),
)


class Board(Listener):
    """One run's.

    run_id    as run.json has it
    speed     schedule seconds for one real second
    schedule  in real seconds; None without one
    period_s  schedule seconds of a CloudWatch period
    source    of the watched variant's metrics, as cloudwatch.csv has it
    limits    of the `slo`; empty where capacity is searched for
    meta      what run.json holds
    """

    def __init__(
        self,
        run_id: str,
        speed: int,
        schedule: Schedule | None,
        *,
        period_s: float = 60.0,
        source: str = "",
        limits: Mapping[str, float] | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> None:
        self.run_id = run_id
        self.state = RUNNING
        self.waiting = ""  # what is waited for after the load
        self._speed = speed
        self._schedule = schedule
        self._source = source
        self._period = period_s
        self._per_minute = 60.0 * speed / period_s  # of a count of one period, in real time
        self._setting: Setting | None = None
        self._so_far = SoFar(speed, schedule, limits or {}, meta or {})
        self._seconds: dict[int, _Second] = {}
        self._newest = -1  # the last second that has been planned
        self._judged = -1  # the last second that is part of what is judged
        self._planned_judged = 0.0
        self._unread: deque[_Second] = deque()  # those with something encoded, in the order in which it came
        self._unread_size = 0
        self._points: dict[float, list[float | None]] = {}
        self._growing: set[float] = set()  # periods that are still counted
        self._scaling: list[ScalingEvent] = []
        self._steps: list[Step] = []
        self._doing: dict[str, Any] | None = None
        self._total = {"planned": 0.0, "sent": 0, "ok": 0, "failed": 0, "cancelled": 0, "dropped": 0}
        self._by_kind: dict[str, int] = {}
        self._version = 0
        self._changed: dict[tuple[str, float], int] = {}  # what → when it last changed, the latest last
        self._coming: set[int] = set()  # seconds of which not all has come: nobody is told of them yet
        self._judgement: dict[str, Any] = {"verdict": None, "slo": None, "judged_until": 0.0}
        self._judge_at = 0.0
        self._ended_at: float | None = None
        self._final: dict[str, Any] | None = None

    # -- fed by the live run -----------------------------------------------------------------------------------------

    def plan(self, row: Planned) -> None:
        second = self._second(int(row.second))
        second.planned = (second.planned or 0.0) + row.planned
        self._total["planned"] += row.planned
        self._newest = max(self._newest, second.number)
        self._tell(self._newest - LAG)
        self._take_in(self._newest - 2)

    def count(self, counted: Interval, row: dict[str, Any], sample: Sample) -> None:
        phase, second = self._so_far.phase_of(counted.second), self._second(int(counted.second))
        if counted.name == ARRIVALS:
            second.sent += counted.sent
            second.dropped += counted.dropped
            self._total["sent"] += counted.sent
            self._total["dropped"] += counted.dropped
            if second.number <= self._judged:
                self._so_far.arrivals(phase, counted)
            else:
                second.arrivals.append((phase, counted))
            return
        for key in ("ok", "failed", "cancelled"):
            n = getattr(counted, key)
            setattr(second, key, getattr(second, key) + n)
            self._total[key] += n
        for kind, n in counted.by_kind.items():
            self._by_kind[kind] = self._by_kind.get(kind, 0) + n
        self._so_far.requests(phase).merge(counted)
        encoded = {name: row[name] for name in _READ if name in row}
        if encoded:
            second.encoded.append((phase, encoded))
            self._unread.append(second)
            self._unread_size += _size(encoded)
            while self._unread_size > UNREAD:
                self._let_go(self._unread.popleft())

    def sample(self, sample: Sample) -> None:
        second = self._second(max(0, int(sample.at)))
        # The most of a second counts.
        second.by_worker[sample.worker] = max(sample.in_flight, second.by_worker.get(sample.worker, 0))
        self._so_far.sample(sample)

    def events(self, events: Sequence[Event]) -> None:
        self._so_far.events.extend(events)

    def observed(self, observations: Sequence[Observation], events: Sequence[ScalingEvent]) -> None:
        for found in observations:
            index = _column(found)
            if found.source == self._source and index is not None:
                point = self._points.setdefault(found.at_s, [None, None, None])
                point[index] = round(found.value * (self._per_minute if index < 2 else 1.0), 3)
                self._growing.add(found.at_s)
                self._change("cloudwatch", found.at_s)
        while len(self._points) > SECONDS:
            oldest = min(self._points)
            del self._points[oldest]
            self._growing.discard(oldest)
        for event in events:
            if len(self._scaling) < ENTRIES:
                self._scaling.append(event)
                self._change("scaling", len(self._scaling) - 1)

    def scaled_by(self, setting: Setting | None) -> None:
        """The automatic scaling that the run started with."""
        self._setting = setting

    def searched(self, doing: str, rate: float, steps: list[Step]) -> None:
        """What a search for capacity is at, and the steps that have ended since."""
        self._doing = {"doing": doing, "rate": round(rate, 3)}
        for step in steps:
            if len(self._steps) < ENTRIES:
                self._steps.append(step)
                self._change("steps", len(self._steps) - 1)

    def ending(self, at: float) -> None:
        """Arrivals have ended, `at` real seconds of the run; what is in flight is still counted."""
        self.state, self._ended_at = ENDING, at
        self._tell(math.inf)
        self._take_in(self._newest)

    def settling(self, waiting: str) -> None:
        """The folder is there, but for what CloudWatch still owes."""
        self.state, self.waiting = SETTLING, waiting

    def conclude(self, summary: Mapping[str, Any], headline: str, *, last: bool) -> None:
        """What `summary.json` holds, which stands for what was known so far; `last`: no more will come."""
        self._final = {"headline": formats.printable(headline), **{key: summary[key] for key in _KEPT}}
        self.state, self.waiting = (DONE, "") if last else (SETTLING, "waiting for CloudWatch")

    def broken(self, why: str) -> None:
        """The folder could not be completed."""
        self.state, self.waiting = DONE, why

    # -- keeping it small --------------------------------------------------------------------------------------------

    def _second(self, number: int) -> _Second:
        second = self._seconds.get(number)
        if second is None:
            second = self._seconds[number] = _Second(number)
            while len(self._seconds) > SECONDS:
                oldest = next(iter(self._seconds))
                del self._seconds[oldest]
                self._changed.pop(("seconds", oldest), None)
        if self.state == RUNNING and number > self._newest - LAG:
            self._coming.add(number)
        else:
            self._change("seconds", number)
        return second

    def _tell(self, last: float) -> None:
        """All has come of the seconds up to `last`."""
        for number in sorted(number for number in self._coming if number <= last):
            self._coming.remove(number)
            self._change("seconds", number)

    def _change(self, what: str, key: float) -> None:
        self._version += 1
        self._changed.pop((what, key), None)
        self._changed[what, key] = self._version

    def _take_in(self, last: int) -> None:
        """Makes the seconds up to `last` part of what is judged: their arrivals have come, as their plan has."""
        for number in range(self._judged + 1, last + 1):
            second = self._seconds.get(number)
            if second is not None:
                self._planned_judged += second.planned or 0.0
                for phase, counted in second.arrivals:
                    self._so_far.arrivals(phase, counted)
                second.arrivals = []
        if last > self._judged:
            self._judged = last
            self._so_far.plan(last + 1.0, self._planned_judged)

    def _let_go(self, second: _Second) -> None:
        if second.encoded:
            self._unread_size -= _size(second.encoded.pop(0)[1])

    def _read(self, second: _Second, pause: Callable[[], None]) -> None:
        """Decodes what has come of a second, once: into its own percentiles, and into what is judged."""
        fresh = bool(second.encoded)
        while second.encoded:
            phase, encoded = second.encoded.pop(0)
            self._unread_size -= _size(encoded)
            requests = self._so_far.requests(phase)
            for name, text in encoded.items():
                histogram = Histogram.decode(text)
                getattr(requests, name).merge(histogram)
                own = getattr(second, name, None)
                if own is not None:
                    own.merge(histogram)
                pause()
        if fresh and second.latency is not None and second.lateness is not None:
            latency, late = second.latency, second.lateness
            found = (latency.quantile(0.5), latency.quantile(0.99), late.quantile(0.99))
            second.percentiles = tuple(map(in_ms, found))
        if second.number < self._newest - OPEN:
            second.latency = second.lateness = None

    # -- asked by the page -------------------------------------------------------------------------------------------

    def page(self, since: int, now: float, pause: Callable[[], None] = lambda: None) -> dict[str, Any]:
        """What has changed since the version that an earlier answer named, as JSON's primitives; 0 for everything.

        now    real seconds since the run's start, while it goes on
        pause  called after each histogram, some tenths of a millisecond of work
        """
        now = now if self._ended_at is None else self._ended_at
        self._grow_up(now * self._speed)
        fresh, more = self._fresh(since)
        ready = self._seconds.get(self._newest - (LAG if self.state == RUNNING else 0))
        for what, key, _ in fresh:
            if what == "seconds" and int(key) in self._seconds:
                self._read(self._seconds[int(key)], pause)
        if ready is not None:
            self._read(ready, pause)
        while self._unread and not self._unread[0].encoded:
            self._unread.popleft()
        if self.state == RUNNING and now >= self._judge_at:
            self._judge_at = now + JUDGE_EVERY
            self._judgement = self._judge()
        rows: dict[str, list[Any]] = {"seconds": [], "cloudwatch": [], "scaling": [], "steps": []}
        for what, key, _ in fresh:
            row = self._row(what, key)
            if row is not None:
                rows[what].append(row)
        return {
            "run": self.run_id,
            "state": self.state,
            "waiting": formats.printable(self.waiting),
            "version": fresh[-1][2] if fresh else since,
            "more": more,
            "speed": self._speed,
            "compressed": wording.compressed(self._speed) if self._speed != 1 else "",
            "watched": bool(self._source),
            "elapsed": round(now, 3),
            "phases": self._phases(),
            "now": None if ready is None else dict(zip(COLUMNS, ready.as_row(), strict=True)),
            "total": {**self._total, "planned": round(self._total["planned"], 3), "by_kind": self._by_kind},
            **self._judgement,
            "target": None if self._setting is None else self._setting.per_instance,
            "search": self._doing,
            "final": self._final,
            **rows,
        }

    def _row(self, what: str, key: float) -> list[Any] | None:
        """Its first cell tells it from the others of its kind. None for what is not kept any more."""
        if what == "seconds":
            return self._seconds[int(key)].as_row() if int(key) in self._seconds else None
        if what == "cloudwatch":
            return [key, *self._points[key], key not in self._growing] if key in self._points else None
        if what == "scaling":
            event = self._scaling[int(key)]
            return [int(key), event.at_s, event.desired, event.in_service, formats.printable(event.event)]
        return [int(key), *_step(self._steps[int(key)])]

    def _fresh(self, since: int) -> tuple[list[tuple[str, float, int]], bool]:
        """What changed after `since`, the oldest change first, ROWS at the most; and whether there is more."""
        found = []
        for (what, key), version in reversed(self._changed.items()):
            if version <= since:
                break
            found.append((what, key, version))
        found.reverse()
        return found[:ROWS], len(found) > ROWS

    def _grow_up(self, now_s: float) -> None:
        """A period is whole once it is over, and CloudWatch has gone on to the next one or has had the time to.

        The one in which the load ends never is: a count of a part of it is no rate.
        """
        for at_s in sorted(self._growing):
            waited = now_s - at_s - self._period
            went_on = self.state != RUNNING or at_s < max(self._points) or waited >= self._period
            if waited >= -1e-6 and went_on:
                self._growing.remove(at_s)
                self._change("cloudwatch", at_s)

    def _judge(self) -> dict[str, Any]:
        if self._judged < 0:
            return self._judgement
        verdict, slo = self._so_far.judge()
        return {"verdict": verdict.as_dict(), "slo": slo.as_dict(), "judged_until": self._judged + 1.0}

    def _phases(self) -> list[list[Any]]:
        """Name, start and end in real seconds."""
        if self._schedule is None:
            return []
        boundaries = self._schedule.boundaries
        return [
            [formats.printable(phase.name), boundaries[i], boundaries[i + 1]]
            for i, phase in enumerate(self._schedule.phases)
        ]


def _size(encoded: Mapping[str, str]) -> int:
    return sum(map(len, encoded.values()))


def _column(found: Observation) -> int | None:
    """Where it goes: invocations, invocations for one instance, mean ModelLatency in ms; None for any other."""
    if found.statistic == "Sum" and found.metric == "Invocations":
        return 0
    if found.statistic == "Sum" and found.metric in SHARED:
        return 1
    return 2 if (found.metric, found.statistic) == ("ModelLatency", "Average") else None


def _step(step: Step) -> list[Any]:
    found = [step.kind, round(step.rate, 3), step.at, step.until, round(step.offered, 3), step.requests, step.outcome]
    return [*found, step.metric, step.value]
