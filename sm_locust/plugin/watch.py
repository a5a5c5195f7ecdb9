"""Watches the endpoint beside the load: its CloudWatch metrics and its scaling, until the last minutes are in.

It asks on the master, or alone, never on a worker, and rarely: what it asks for costs the load's process a few
milliseconds. A question that is not answered is a sentence in the run folder, never the end of a run. What was found is
handed on as it comes; making sense of it is the analysis's.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar

import gevent
from gevent.event import Event

from sm_locust.analysis.settling import Settling
from sm_locust.aws import scaling, serving, subjects
from sm_locust.aws.cloudwatch import INVOCATIONS, REQUESTS_TO_API, CloudWatch, Pulled, period
from sm_locust.aws.endpoint import NOT_FOUND
from sm_locust.aws.events import Alarms, activities
from sm_locust.aws.metrics import COUNT
from sm_locust.aws.session import AwsFault, region_of
from sm_locust.aws.subjects import Subjects
from sm_locust.config import ConfigError, RunConfig
from sm_locust.prices import Seen
from sm_locust.record.clock import RunClock, iso
from sm_locust.record.observation import API_GATEWAY, ENDPOINT_GONE, SAGEMAKER, Observation, ScalingEvent

logger = logging.getLogger(__name__)

LOOK_PATIENCE = 10.0  # real seconds
HURRIED_PATIENCE = 3.0  # for what is still asked when somebody wants to go
POLL_EVERY = 5.0  # real seconds at the least
POLL_FOR_A_RULE = 2.0  # the same where a rule of `stop_when` waits for what CloudWatch says
LATE = 600.0  # schedule seconds for which a metric may still change, or come at all, while the run goes

SETTLE_EVERY = 0.5  # periods

T = TypeVar("T")


Found = Callable[[list[Observation], list[ScalingEvent]], None]


class Watch:
    """The endpoint of one run, which `begin` tells it of."""

    def __init__(self, config: RunConfig, speed: int) -> None:
        """`speed` in schedule seconds for one real second."""
        self._config = config
        self._clock = RunClock.start(speed)
        self._found: Found = lambda observations, events: None
        self._period = period(config, speed)  # real seconds
        self._subjects: Subjects | None = None  # what has metrics, once it was asked for
        self._cloudwatch: CloudWatch | None = None
        self._points: dict[tuple[float, str, str, str], Observation] = {}
        self._events: set[ScalingEvent] = set()
        self._alarms = Alarms(config)
        self._level: tuple[int | None, int | None] | None = None
        self._missing: dict[str, str] = {}
        self._denied: set[str] = set()
        self._over = Event()
        self._hurry = Event()
        self.scaling_at_start: dict[str, Any] | None = None
        self.status_at_start: str | None = None  # of the endpoint, as SageMaker names it
        self.unknown = ""  # that SageMaker knows nothing of what is watched; empty where it does, or was not asked
        self.hosted: Seen | None = None  # instances as they were first seen; None where copies are watched
        self.settled = False
        self.is_left = False  # whether nothing is asked any more
        self.asked_at: float | None = None  # Unix seconds at which the whole run was last asked for

    def look(self) -> None:
        """Asks everything once, before the load: the first time costs some tenths of a second that none of it may pay.

        Returns within LOOK_PATIENCE, answered or not.
        """
        greenlet = gevent.spawn(self._first_look)
        greenlet.join(LOOK_PATIENCE)
        greenlet.kill()

    def _first_look(self) -> None:
        state = self._ask("scaling", lambda: scaling.read(self._config))
        self.scaling_at_start = state.as_dict() if state is not None else None
        there = self._describe()
        self.status_at_start = None if there is None else there.status
        if there is None and NOT_FOUND in self._missing["endpoint"].lower():
            what, region = serving.scaled(self._config), region_of(self._config)
            key = "request.inference_component" if what.copies else "target.endpoint"
            self.unknown = f"{key}: SageMaker has no {what.name} in {region}; correct it, or target.region"
            return
        self._find_subjects()
        now = time.time()
        self._told(self._ask("metrics", lambda: self._new_cloudwatch(now).pull(now - self._period, now)))
        self._ask("activities", lambda: activities(self._config, now, self._clock.speed, since=now))

    # -- while the load goes -----------------------------------------------------------------------------------------

    def begin(self, clock: RunClock, found: Found) -> None:
        """The run has its clock; `found` is called with what is new or has changed."""
        self._clock, self._found = clock, found
        gevent.spawn(self._poll)

    def _poll(self) -> None:
        """Asks again and again, until `end`."""
        if self.scaling_at_start is None:
            state = self._ask("scaling", lambda: scaling.read(self._config))
            self.scaling_at_start = state.as_dict() if state is not None else None
        self._look_at_scaling()
        has_a_rule = any(rule.cloudwatch is not None for rule in self._config.stop_when)
        every = max(POLL_FOR_A_RULE if has_a_rule else POLL_EVERY, self._period)
        while not self._over.wait(every):
            now = self._clock.wall(self._clock.now())
            self._pull(max(self._clock.started_at, now - max(LATE / self._clock.speed, 3 * POLL_EVERY)), now)
            self._look_at_scaling()

    def end(self) -> None:
        """The load is over: nothing is asked until `settle`."""
        self._over.set()

    def hurry(self) -> None:
        """`settle` asks once, or once more, and does not wait."""
        self._hurry.set()

    def leave(self) -> None:
        """`settle` asks nothing any more, and waits for no answer."""
        self.is_left = True
        self._hurry.set()

    @property
    def is_hurried(self) -> bool:
        return bool(self._hurry.is_set())

    # -- after it ----------------------------------------------------------------------------------------------------

    def settle(self, answered: int, last_at: float, ended_at: float, say: Callable[[str], None]) -> None:
        """Asks for the whole run until CloudWatch has counted all of it, or nothing more comes.

        answered  requests of ours that were answered, well or not
        last_at   real seconds of the run at which the second of the last of them began
        ended_at  Unix seconds of the end of the load
        say       told how far it is
        """
        settling = Settling(answered, ended_at, self._period, self._clock.speed)
        while True:
            self._ask_for_all()
            counted, unreadable = self._counted(), self._missing.get(self._live)
            over = settling.look(
                time.time(), counted, reaches_the_end=self._reaches(last_at), readable=unreadable is None
            )
            self.settled = settling.settled
            if over or not self._denied.isdisjoint((self._live, "metrics")):
                break
            state = unreadable or f"{counted:,} of {answered:,} requests counted"
            most = f"at most {settling.left(time.time()):,.0f} s more"
            say(f"waiting for CloudWatch: {state} ({most}; Ctrl-C goes on without)")
            if self._hurry.wait(min(POLL_EVERY, max(0.5, SETTLE_EVERY * self._period))):
                break
        self._ask_for_all(every_metric=True)
        self.asked_at = time.time()

    def _ask_for_all(self, *, every_metric: bool = False) -> None:
        """Asks for the whole run; in a hurry an answer that does not come is not waited for.

        every_metric  and not only the few that are looked at while the load goes
        """

        def ask() -> None:
            if every_metric:
                self._find_subjects()
            self._pull(self._clock.started_at, time.time(), every_metric=every_metric)
            self._look_at_scaling()

        asking, hurried = gevent.spawn(ask), 0.0
        while not (self.is_left or asking.ready()) and hurried < HURRIED_PATIENCE:
            asking.join(HURRIED_PATIENCE / 10)
            hurried += HURRIED_PATIENCE / 10 if self._hurry.is_set() else 0.0
        asking.kill()

    def _invocations(self) -> dict[tuple[str, float], float]:
        """Of all that our requests may have gone to: source and schedule seconds → the count."""
        ours = {subject.source(SAGEMAKER) for subject in self._known.found if subject.ours}
        return {
            (point.source, point.at_s): point.value
            for point in self._points.values()
            if point.source in ours and (point.metric, point.statistic) == (INVOCATIONS, "Sum")
        }

    def _counted(self) -> int:
        """By all that each of our requests passes: an API's count may come later than SageMaker's."""
        counts = [sum(self._invocations().values())]
        for subject in self._known.found:
            if subject.kind == "api" and not subject.usual:
                name = (subject.source(API_GATEWAY), REQUESTS_TO_API, COUNT)
                counts.append(sum(p.value for p in self._points.values() if (p.source, p.metric, p.statistic) == name))
        return round(min(counts))

    def _reaches(self, last_at: float) -> bool:
        """Whether the period in which a request of ours was the last has a count: one without any has none, ever."""
        last = max((at_s for _, at_s in self._invocations()), default=float("-inf"))
        return last + self._config.cloudwatch.period > self._clock.at_s(last_at) + 1e-6

    @property
    def observations(self) -> list[Observation]:
        return list(self._points.values())

    @property
    def events(self) -> list[ScalingEvent]:
        return list(self._events)

    @property
    def level(self) -> tuple[int | None, int | None]:
        """How many are wanted and how many serve, as last seen."""
        return self._level or (None, None)

    @property
    def instances(self) -> str:
        """How many serve, and are wanted where that differs, in words; empty where nobody knows."""
        desired, current = self.level
        if current is None:
            return ""
        there = serving.scaled(self._config).counted(current)
        return there if desired in (None, current) else f"{there}, {desired} wanted"

    def as_dict(self) -> dict[str, Any]:
        """What run.json holds of it: schedule seconds of a period, whether all of it came, what did not and why.

        And what it takes to ask again later: whose metrics they are and which of those nobody could name, how far AWS's
        clock was ahead, when it was asked.
        """
        return {
            "period_s": self._config.cloudwatch.period,
            "settled": self.settled,
            "missing": sorted({*self._missing.values(), *self._known.missing}),
            "subjects": [subject.as_dict() for subject in self._known.found],
            "unknown": list(self._known.missing),
            "clock_offset_s": self._cloudwatch.clock_offset if self._cloudwatch is not None else None,
            "asked_at": None if self.asked_at is None else iso(self.asked_at),
            "endpoint_at_start": self.status_at_start,
        }

    # -- the questions -----------------------------------------------------------------------------------------------

    @property
    def _known(self) -> Subjects:
        return self._subjects or Subjects((subjects.known(self._config),))

    @property
    def _live(self) -> str:
        """What is asked about the subject that is watched while the load goes."""
        return f"metrics of {self._known.found[0].label}"

    def _find_subjects(self) -> None:
        if self._subjects is None:
            self._subjects = self._ask("subjects", lambda: subjects.find(self._config))

    def _new_cloudwatch(self, started_at: float, clock_offset: float | None = None) -> CloudWatch:
        return CloudWatch(self._config, self._known.found, started_at, self._clock.speed, clock_offset=clock_offset)

    def _asked_cloudwatch(self) -> CloudWatch:
        if self._cloudwatch is None or self._cloudwatch.subjects != self._known.found:
            known = self._cloudwatch.clock_offset if self._cloudwatch is not None else None  # a point keeps its time
            self._cloudwatch = self._new_cloudwatch(self._clock.started_at, known)
        return self._cloudwatch

    def _pull(self, since: float, until: float, *, every_metric: bool = False) -> None:
        def pull() -> Pulled:
            cloudwatch = self._asked_cloudwatch()
            return (cloudwatch.pull_all if every_metric else cloudwatch.pull)(since, until)

        if self._live in self._denied:
            return
        fresh = []
        for point in self._told(self._ask("metrics", pull)):
            if self._points.get(point.key) != point:
                self._points[point.key] = point
                fresh.append(point)
        if fresh:
            self._found(fresh, [])

    def _told(self, pulled: Pulled | None) -> list[Observation]:
        """The points of a pull. What was not told is a sentence; what was denied as a whole is asked no more."""
        if pulled is None:
            return []
        for label in pulled.asked:
            what, fault = f"metrics of {label}", pulled.faults.get(label)
            if fault is None:
                self._missing.pop(what, None)
            else:
                self._lacks(what, fault, for_good=not fault.passing and label in pulled.unanswered)
        return pulled.observations

    def _look_at_scaling(self) -> None:
        fresh: list[ScalingEvent] = []
        there = self._describe()
        if there is None and self._level is not None and NOT_FOUND in self._missing["endpoint"].lower():
            fresh.append(ScalingEvent(self._now_s(), None, None, ENDPOINT_GONE))
            self._level = None
        if there is not None and (there.desired, there.current) != self._level:
            self._level = (there.desired, there.current)
            fresh.append(ScalingEvent(self._now_s(), there.desired, there.current, ""))
        started_at, speed = self._clock.started_at, self._clock.speed
        happened = self._ask("activities", lambda: activities(self._config, started_at, speed, since=started_at))
        alarms = self._ask("alarms", lambda: self._alarms.changes(started_at, speed, since=started_at))
        fresh += [event for event in [*(happened or []), *(alarms or [])] if event not in self._events]
        if fresh:
            self._events.update(fresh)
            self._found([], fresh)

    def _describe(self) -> serving.Serving | None:
        there = self._ask("endpoint", lambda: serving.describe(self._config))
        if there is not None and self.hosted is None and not serving.scaled(self._config).copies:
            self.hosted = Seen(there.instance_type, there.current)
        return there

    def _now_s(self) -> float:
        """Schedule seconds."""
        return max(0.0, round(self._clock.at_s(self._clock.now()), 3))

    def _ask(self, what: str, question: Callable[[], T]) -> T | None:
        """An answer, or None and a sentence. A fault that may pass is asked about again, any other is not."""
        if what in self._denied:
            return None
        try:
            answer = question()
        except (AwsFault, ConfigError) as e:
            self._lacks(what, e, for_good=not getattr(e, "passing", False))
            return None
        self._missing.pop(what, None)
        return answer

    def _lacks(self, what: str, why: Exception, *, for_good: bool) -> None:
        if str(why) not in self._missing.values():
            logger.warning("%s", why)
        self._missing[what] = str(why)
        if for_good:
            self._denied.add(what)
