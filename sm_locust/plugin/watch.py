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

from sm_locust.aws import capacity, scaling
from sm_locust.aws.alarms import Alarms
from sm_locust.aws.cloudwatch import CloudWatch
from sm_locust.aws.session import AwsFault
from sm_locust.config import ConfigError, RunConfig
from sm_locust.plugin.settling import Settling
from sm_locust.record.clock import RunClock
from sm_locust.record.observation import Observation, ScalingEvent

logger = logging.getLogger(__name__)

LOOK_PATIENCE = 10.0  # real seconds
HURRIED_PATIENCE = 3.0  # for what is still asked when somebody wants to go
POLL_EVERY = 5.0  # real seconds at the least
LATE = 600.0  # schedule seconds for which a metric may still change, or come at all, while the run goes

SETTLE_EVERY = 0.5  # periods

INVOCATIONS = ("AWS/SageMaker", "Invocations", "Sum")

T = TypeVar("T")


Found = Callable[[list[Observation], list[ScalingEvent]], None]


class Watch:
    """The endpoint of one run, which `begin` tells it of."""

    def __init__(self, config: RunConfig, speed: int) -> None:
        """`speed` in schedule seconds for one real second."""
        self._config = config
        self._clock = RunClock.start(speed)
        self._found: Found = lambda observations, events: None
        self._period = config.cloudwatch.period / speed  # real seconds
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
        self.settled = False

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
        now = time.time()
        self._ask("CloudWatch", lambda: CloudWatch(self._config, now, self._clock.speed).pull(now - self._period, now))
        self._ask("activities", lambda: scaling.activities(self._config, now, self._clock.speed, since=now))

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
        while not self._over.wait(max(POLL_EVERY, self._period)):
            now = self._clock.wall(self._clock.now())
            self._pull(max(self._clock.started_at, now - max(LATE / self._clock.speed, 3 * POLL_EVERY)), now)
            self._look_at_scaling()

    def end(self) -> None:
        """The load is over: nothing is asked until `settle`."""
        self._over.set()

    def hurry(self) -> None:
        """`settle` asks once, or once more, and does not wait."""
        self._hurry.set()

    @property
    def is_hurried(self) -> bool:
        return bool(self._hurry.is_set())

    # -- after it ----------------------------------------------------------------------------------------------------

    def settle(self, answered: int, ended_at: float, say: Callable[[str], None]) -> None:
        """Asks for the whole run until CloudWatch has counted all of it, or nothing more comes.

        answered  requests of ours that were answered, well or not
        ended_at  Unix seconds of the end of the load
        say       told how far it is
        """
        settling = Settling(answered, ended_at, self._period, self._clock.speed)
        while True:
            self._ask_for_all()
            counted, readable = self._counted(), "CloudWatch" not in self._missing
            over = settling.look(time.time(), counted, reaches_the_end=self._reaches(ended_at), readable=readable)
            self.settled = settling.settled
            if over or "CloudWatch" in self._denied:
                return
            state = self._missing.get("CloudWatch") or f"{counted:,} of {answered:,} requests counted"
            say(f"waiting for CloudWatch: {state} (Ctrl-C goes on without)")
            if self._hurry.wait(min(POLL_EVERY, max(0.5, SETTLE_EVERY * self._period))):
                return

    def _ask_for_all(self) -> None:
        """Asks for the whole run; in a hurry an answer that does not come is not waited for."""

        def ask() -> None:
            self._pull(self._clock.started_at, time.time())
            self._look_at_scaling()

        asking, hurried = gevent.spawn(ask), 0.0
        while not asking.ready() and hurried < HURRIED_PATIENCE:
            asking.join(HURRIED_PATIENCE / 10)
            hurried += HURRIED_PATIENCE / 10 if self._hurry.is_set() else 0.0
        asking.kill()

    def _counted(self) -> int:
        return round(sum(p.value for p in self._points.values() if (p.source, p.metric, p.statistic) == INVOCATIONS))

    def _reaches(self, ended_at: float) -> bool:
        """Whether the period in which the load ended has a count."""
        last = max(
            (at for (at, *key) in self._points if tuple(key) == INVOCATIONS),
            default=float("-inf"),
        )
        ended_s = self._clock.at_s(self._clock.at(ended_at))
        return last + self._config.cloudwatch.period >= ended_s - 1e-6

    @property
    def observations(self) -> list[Observation]:
        return list(self._points.values())

    @property
    def events(self) -> list[ScalingEvent]:
        return list(self._events)

    def as_dict(self) -> dict[str, Any]:
        """What run.json holds of it: schedule seconds of a period, whether all of it came, what did not and why."""
        return {
            "period_s": self._config.cloudwatch.period,
            "settled": self.settled,
            "missing": sorted(set(self._missing.values())),
        }

    # -- the questions -----------------------------------------------------------------------------------------------

    def _asked_cloudwatch(self) -> CloudWatch:
        if self._cloudwatch is None:
            self._cloudwatch = CloudWatch(self._config, self._clock.started_at, self._clock.speed)
        return self._cloudwatch

    def _pull(self, since: float, until: float) -> None:
        points = self._ask("CloudWatch", lambda: self._asked_cloudwatch().pull(since, until)) or []
        fresh = []
        for point in points:
            if self._points.get(point.key) != point:
                self._points[point.key] = point
                fresh.append(point)
        if fresh:
            self._found(fresh, [])

    def _look_at_scaling(self) -> None:
        fresh: list[ScalingEvent] = []
        there = self._ask("endpoint", lambda: capacity.describe(self._config))
        if there is not None and (there.desired, there.current) != self._level:
            self._level = (there.desired, there.current)
            at_s = max(0.0, round(self._clock.at_s(self._clock.now()), 3))
            fresh.append(ScalingEvent(at_s, there.desired, there.current, ""))
        started_at, speed = self._clock.started_at, self._clock.speed
        activities = self._ask(
            "activities", lambda: scaling.activities(self._config, started_at, speed, since=started_at)
        )
        alarms = self._ask("alarms", lambda: self._alarms.changes(started_at, speed, since=started_at))
        fresh += [event for event in [*(activities or []), *(alarms or [])] if event not in self._events]
        if fresh:
            self._events.update(fresh)
            self._found([], fresh)

    def _ask(self, what: str, question: Callable[[], T]) -> T | None:
        """An answer, or None and a sentence. A fault that may pass is asked about again, any other is not."""
        if what in self._denied:
            return None
        try:
            answer = question()
        except (AwsFault, ConfigError) as e:
            if what not in self._missing:
                logger.warning("%s", e)
            self._missing[what] = str(e)
            if not getattr(e, "passing", False):
                self._denied.add(what)
            return None
        self._missing.pop(what, None)
        return answer
