"""What a configuration will send, before anything is sent: arrivals, bytes, processes, scaling, cost.

Pure: a Plan is computed from the configuration, its payloads and the prices that are known. Times are those of the
schedule; counts are what is really sent, which a compressed run sends less of.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sm_locust.analysis.cost import Cost, Played, check_cost
from sm_locust.analysis.sizing import Sizing
from sm_locust.config import ConfigError, RunConfig
from sm_locust.payloads import Payload, total_bytes
from sm_locust.prices import Prices, named_region
from sm_locust.schedule import Schedule

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class PhasePlan:
    """One phase.

    at_s, duration_s     schedule seconds
    rate, end_rate       arrivals a second
    arrivals             that are really sent in it
    """

    name: str
    judge: bool
    at_s: float
    duration_s: float
    rate: float
    end_rate: float
    arrivals: float


@dataclass(frozen=True, slots=True)
class Bodies:
    """What is sent with each request.

    count       different bodies, taken in turn
    mean_bytes  of one
    """

    count: int
    mean_bytes: float


@dataclass(frozen=True, slots=True)
class Reach:
    """What scaling, as configured, makes of the load.

    per_minute   requests a minute that one instance (or copy) is to have
    at_minimum   requests a minute that `min_instances` take at that
    crossed_s    schedule second at which the plan reaches that; None if it never does
    at_maximum   requests a minute that `max_instances` take
    needed       instances that the busiest minute needs
    """

    per_minute: float
    at_minimum: float
    crossed_s: float | None
    at_maximum: float
    needed: int


@dataclass(frozen=True, slots=True)
class Plan:
    """`Plan.of(config, …)`.

    schedule        in schedule seconds, as the configuration has it
    speed           schedule seconds for one real second
    busiest         the whole schedule minute with the highest rate, and that rate, in arrivals a minute
    bodies          None where the user class brings its own
    sizing          how many processes it takes to send this
    reach           None without `scaling`, or where its metric counts requests at a time
    experiment      the cost of BEFORE and AFTER; None where there is nothing to play so
    refusals        what `guard` refuses, a sentence each; a run of it would not start
    warnings        what is worth another look, a sentence each
    """

    config: RunConfig
    schedule: Schedule
    speed: int
    phases: tuple[PhasePlan, ...]
    busiest: tuple[int, float]
    bodies: Bodies | None
    sizing: Sizing
    reach: Reach | None
    cost: Cost
    experiment: Cost | None
    refusals: tuple[str, ...]
    warnings: tuple[str, ...]

    @classmethod
    def of(
        cls,
        config: RunConfig,
        payloads: Sequence[Payload],
        prices: Prices,
        *,
        today: datetime.date,
        speed: int = 1,
    ) -> Plan:
        """Raises ConfigError when the configuration has no phases."""
        schedule = config.schedule()
        if schedule is None:
            raise ConfigError("phases: missing; required: the load to plan, a list of one phase or more")
        real = schedule.at_speed(speed)
        bodies = Bodies(len(payloads), total_bytes(payloads) / len(payloads)) if payloads else None
        mean_bytes = bodies.mean_bytes if bodies else None
        scalable = config.scaling is not None and config.target is not None and config.target.endpoint is not None

        def cost(played: Played) -> Cost:
            return Cost.of(config, real, prices, speed=speed, body_bytes=mean_bytes, played=played)

        busiest = busiest_minute(schedule)
        reach = _reach(config, schedule, busiest[1] * config.requests_each)
        sizing = Sizing.of(config, schedule.peak, mean_bytes)
        run, experiment = cost("run"), cost("experiment") if scalable else None
        refusals = tuple(_refusals(config, real, run))
        warnings = [
            *_about_scaling(config, reach, busiest[1] * config.requests_each),
            *_about_users(config, sizing),
            *([] if refusals else _about_the_experiment(config, experiment)),
            *_about_prices(config, run, prices, today),
        ]
        return cls(
            config=config,
            schedule=schedule,
            speed=speed,
            phases=tuple(
                PhasePlan(phase.name, phase.judge, at_s, phase.duration, phase.arrival_rate, phase.end_rate, n.arrivals)
                for at_s, phase, n in zip(schedule.boundaries, schedule.phases, real.phases, strict=False)
            ),
            busiest=busiest,
            bodies=bodies,
            sizing=sizing,
            reach=reach,
            cost=run,
            experiment=experiment,
            refusals=refusals,
            warnings=tuple(warnings),
        )

    @property
    def arrivals(self) -> float:
        """All that are really sent."""
        return self.schedule.total / self.speed

    @property
    def requests(self) -> float:
        """Of all arrivals."""
        return self.arrivals * self.config.requests_each

    @property
    def real_seconds(self) -> float:
        return self.schedule.duration / self.speed

    @property
    def peak_rate(self) -> float:
        """The most arrivals a second."""
        return self.schedule.peak

    @property
    def processes(self) -> int:
        """That it takes to send this."""
        return self.sizing.processes

    @property
    def bytes_sent(self) -> float | None:
        """Bytes of all request bodies; None where they are not known."""
        return None if self.bodies is None else self.bodies.mean_bytes * self.requests

    @property
    def stall_s(self) -> float:
        """Seconds that every answer may take at the peak before arrivals are dropped at `max_in_flight`.

        Little's law: in flight = requests a second × seconds of each; an arrival that pauses is in flight as well.
        """
        most = self.config.arrivals.max_in_flight * self.processes - self.sizing.pausing
        return most / (self.peak_rate * self.config.requests_each) if self.peak_rate else math.inf

    def rates(self, n: int) -> list[float]:
        """Mean arrivals a second in each of `n` equal parts of the schedule."""
        edges = [self.schedule.duration * i / n for i in range(n + 1)]
        counts = [self.schedule.expected(edge) for edge in edges]
        return [
            (counts[i + 1] - counts[i]) / (edges[i + 1] - edges[i]) if edges[i + 1] > edges[i] else 0.0
            for i in range(n)
        ]

    def as_dict(self) -> dict[str, Any]:
        """JSON primitives. Seconds are the schedule's, but for real_s; `guard` holds refusals."""
        target = self.config.target
        minute, rate = self.busiest
        return {
            "schema_version": SCHEMA_VERSION,
            "target": None if target is None else target.model_dump(mode="json", exclude_none=True),
            "speed": self.speed,
            "duration_s": self.schedule.duration,
            "real_s": round(self.real_seconds, 6),
            "arrivals": round(self.arrivals, 3),
            "requests": round(self.requests, 3),
            "phases": [
                {
                    **asdict(phase),
                    "per_minute": [phase.rate * 60, phase.end_rate * 60],
                    "arrivals": round(phase.arrivals, 3),
                }
                for phase in self.phases
            ],
            "peak_rate": self.peak_rate,
            "busiest_minute": {"minute": minute, "per_minute": round(rate, 3)},
            "bodies": None if self.bodies is None else asdict(self.bodies),
            "body_bytes": None if self.bytes_sent is None else round(self.bytes_sent),
            "environment": list(self.config.environment),
            "processes": self.processes,
            "process_rate": round(self.sizing.process_rate, 3),
            "scaling": None if self.reach is None else asdict(self.reach),
            "cost": self.cost.as_dict(),
            "experiment_cost": None if self.experiment is None else self.experiment.as_dict(),
            "guard": {**self.config.guard.model_dump(mode="json"), "refusals": list(self.refusals)},
            "warnings": list(self.warnings),
        }


def busiest_minute(schedule: Schedule) -> tuple[int, float]:
    """The minute with most arrivals, the first of several, and its rate a minute.

    What is left after the last whole minute is a minute in which nothing more comes, unless it is all there is.

    Between two boundaries the rate is a straight line, so that no minute is busier than those beside a boundary.
    """
    last = max(0, math.ceil(schedule.duration / 60) - 1)
    beside = {min(last, max(0, int(b // 60) + i)) for b in schedule.boundaries for i in (-1, 0, 1)}

    def rate(minute: int) -> float:
        start, end = minute * 60.0, min((minute + 1) * 60.0, schedule.duration)
        arrivals = schedule.expected(end) - schedule.expected(start)
        return arrivals if minute else arrivals / end * 60

    return max(((minute, rate(minute)) for minute in sorted(beside)), key=lambda found: (round(found[1], 6), -found[0]))


def _reach(config: RunConfig, schedule: Schedule, busiest: float) -> Reach | None:
    scaling = config.scaling
    if scaling is None or scaling.per_minute is None:
        return None
    per_minute, at_minimum = scaling.per_minute, scaling.per_minute * scaling.min_instances
    return Reach(
        per_minute=per_minute,
        at_minimum=at_minimum,
        crossed_s=schedule.crossing(at_minimum / 60 / config.requests_each),
        at_maximum=per_minute * scaling.max_instances,
        needed=max(1, math.ceil(busiest / per_minute - 1e-9)),
    )


def _refusals(config: RunConfig, real: Schedule, cost: Cost) -> Iterator[str]:
    try:
        config.check_guard(1, real)
    except ConfigError as e:
        yield str(e)
    try:
        check_cost(config, cost)
    except ConfigError as e:
        yield str(e)


def _about_scaling(config: RunConfig, reach: Reach | None, busiest: float) -> Iterator[str]:
    scaling = config.scaling
    if reach is None or scaling is None:
        return
    if busiest > reach.at_maximum:
        yield (
            f"the busiest minute has {busiest:,.0f} requests, and max_instances ({scaling.max_instances}) take "
            f"{reach.at_maximum:,.0f} at the target: raise max_instances, or expect them to be overloaded"
        )
    if reach.crossed_s is None:
        yield (
            f"the load never reaches {reach.at_minimum:,.0f} a minute, so that scaling has nothing to do: raise the "
            "load, or lower scaling.target"
        )


def _about_users(config: RunConfig, sizing: Sizing) -> Iterator[str]:
    said = sizing.crowded(sizing.processes, config.arrivals.per_user)
    if said is not None:
        yield said


def _about_the_experiment(config: RunConfig, cost: Cost | None) -> Iterator[str]:
    if cost is None:
        return
    try:
        check_cost(config, cost, "experiment")
    except ConfigError as e:
        yield f"an experiment would be refused: {e}"


def _about_prices(config: RunConfig, cost: Cost, prices: Prices, today: datetime.date) -> Iterator[str]:
    if cost.missing and not named_region(config):
        yield "a price is that of a region, and neither target.region nor AWS_DEFAULT_REGION names one"
    old = cost.old(today)
    if old:
        days = max((today - prices.known[key].as_of).days for key in old)
        yield f"prices of the cache are {days} days old ({', '.join(old)}): `sm-locust check` asks AWS again"
