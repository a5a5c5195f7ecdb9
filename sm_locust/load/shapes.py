"""Load shapes that play a schedule of phases in users that stand for arrivals.

`UserPlan` is the arithmetic from rate to users; the shapes are what Locust calls once a second. They find the run on
their environment, as users do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from locust import LoadTestShape
from locust.env import Environment

from sm_locust.load.users import ArrivalUser
from sm_locust.schedule import Phase, Schedule

if TYPE_CHECKING:
    from sm_locust.config import RunConfig


class UserPlan:
    """How many users to run from now until the next tick, so that their arrivals add up to the schedule's.

    Locust takes whole users, when its tick happens to come, and a master has them running a little later. So each tick
    asks for the mean rate of the second to come, plus what all earlier ticks still owe (or minus what they overdid).

    schedule  in real seconds
    per_user  arrivals a second of one user, averaged over the classes that Locust will spawn
    """

    TICK = 1.0  # seconds between Locust's ticks

    def __init__(self, schedule: Schedule, per_user: float = 1.0) -> None:
        self._schedule = schedule
        self._per_user = per_user

    def users(self, at: float, given: float) -> int | None:
        """Users to command at `at` seconds of the run; None once the schedule is over.

        given  arrivals that the users commanded until now have stood for
        """
        end = self._schedule.duration
        if at >= end:
            return None
        until = min(at + self.TICK, end)
        owed = self._schedule.expected(until) - given
        return max(0, round(owed / (until - at) / self._per_user))


class PhasesShape(LoadTestShape):
    """Plays `phases`: subclass it and set them. One user is one arrival a second, unless its class says otherwise."""

    abstract = True
    phases: ClassVar[Sequence[Phase]] = ()

    def __init__(self) -> None:
        super().__init__()
        self._plan: UserPlan | None = None
        self._commanded = 0

    @classmethod
    def schedule(cls, config: RunConfig) -> Schedule | None:
        """The schedule this shape plays (schedule seconds), and None when the configuration should have had it."""
        phases: object = cls.phases
        if not isinstance(phases, list | tuple) or not all(isinstance(phase, Phase) for phase in phases):
            raise ValueError(f"{phases!r:.80} is not accepted: a list of Phase")
        return Schedule(tuple(phases))

    @classmethod
    def source(cls) -> str:
        """Where the phases come from, for run.json."""
        return f"shape {cls.__name__}"

    def reset_time(self) -> None:
        super().reset_time()
        # A master also resets the time after `test_start`: what its first tick commanded must not be forgotten.
        live = getattr(self.runner.environment, "live_run", None) if self.runner else None
        if live is None or not live.is_running:
            self._plan = None
            self._commanded = 0

    def tick(self) -> tuple[int, float] | None:
        """Users for the next second, spawned at once: what Locust asks once a second, on the master or alone."""
        if self.runner is None:
            return None
        environment, live = _played(self.runner)
        schedule: Schedule = live.schedule_to_play()
        at = live.elapsed()
        if _is_over(environment, at):
            return None
        if self._plan is None:
            self._plan = UserPlan(schedule, mean_per_user(environment.user_classes, live.config))
        users = self._plan.users(at, live.given(at))
        if users is None:
            return None
        before, self._commanded = self._commanded, users
        return users, _at_once(users, before)


class ConfigShape(PhasesShape):
    """Plays the phases of the configuration (`--sm-config`)."""

    abstract = True

    @classmethod
    def schedule(cls, config: RunConfig) -> Schedule | None:
        return config.schedule()

    @classmethod
    def source(cls) -> str:
        return "config"


class CapacityShape(LoadTestShape):
    """Searches for the highest rate at which the configuration's `slo` holds, as its `capacity` says. No phases."""

    abstract = True

    def __init__(self) -> None:
        super().__init__()
        self._commanded = 0
        self._owed = 0.0  # arrivals that whole users have not stood for

    def tick(self) -> tuple[int, float] | None:
        """Users for the next second, spawned at once."""
        if self.runner is None:
            return None
        environment, live = _played(self.runner)
        rate: float | None = live.rate_wanted()
        if rate is None or _is_over(environment, live.elapsed()):
            return None
        per_user = mean_per_user(environment.user_classes, live.config)
        wanted = rate + self._owed if rate else 0.0
        users = round(wanted / per_user)
        self._owed = wanted - users * per_user
        before, self._commanded = self._commanded, users
        return users, _at_once(users, before)


def _played(runner: Any) -> tuple[Environment, Any]:
    """The environment of a runner, and the run that is set up on it."""
    live = getattr(runner.environment, "live_run", None)
    if live is None:
        raise RuntimeError("no run is set up: call sm_locust.setup(environment) before the runner starts")
    return runner.environment, live


def _at_once(users: int, before: int) -> float:
    """Locust's spawn rate for all of a change: the whole target, since after a lost worker it starts from zero."""
    return float(max(users, before, 1))


def _is_over(environment: Environment, at: float) -> bool:
    """Whether -t ends the run by now."""
    run_time = getattr(environment.parsed_options, "run_time", None)
    return run_time is not None and at >= float(run_time)


def mean_per_user(user_classes: Sequence[type], config: RunConfig) -> float:
    """Arrivals a second of one user, averaged as Locust will spawn the classes: by weight."""
    classes = [c for c in user_classes if issubclass(c, ArrivalUser)]
    weight = sum(c.weight for c in classes)
    return sum(c.weight * c.rate_per_user(config) for c in classes) / weight if weight else 1.0
