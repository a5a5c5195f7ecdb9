"""What is to be run, resolved and checked as a whole before anything is sent.

Options, configuration, shape and user classes come together here, once; the result is frozen for the run and is what
workers are sent.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from locust import FastHttpUser, HttpUser, LoadTestShape, User
from locust.env import Environment
from locust.runners import MasterRunner

from sm_locust import payloads as payload_files
from sm_locust import tables as table_files
from sm_locust.analysis import cost
from sm_locust.analysis.sizing import Sizing
from sm_locust.aws.cloudwatch import period
from sm_locust.aws.session import addresses
from sm_locust.config import ConfigError, RunConfig, load
from sm_locust.fields import A_METRIC
from sm_locust.load.invoker_users import InvokeEndpointUser, InvokerUser
from sm_locust.load.player import ScenarioUser
from sm_locust.load.shapes import CapacityShape, PhasesShape
from sm_locust.load.users import ArrivalUser
from sm_locust.loopback import only_loopback
from sm_locust.payloads import Payload
from sm_locust.plugin.options import Options
from sm_locust.schedule import SPEEDS, Phase, Schedule
from sm_locust.tables import Table

logger = logging.getLogger(__name__)

LARGEST_SENT = 8 * 1024 * 1024  # bytes of payloads in a message to workers, and as many of feeds


@dataclass(frozen=True, slots=True)
class Order:
    """One run as it will be.

    schedule  in schedule seconds; None when Locust's own user count is the plan
    source    where the schedule comes from: `shape NAME`, `config FILE` or `users`
    invokes   whether any of the load goes to the endpoint itself
    searches  whether the shape searches for capacity
    tables    of the configuration's feeds, in their order
    notes     what of an artillery script has no effect, a sentence each
    speed     schedule seconds for one real second
    """

    config: RunConfig
    schedule: Schedule | None
    source: str
    speed: int
    payloads: tuple[Payload, ...]
    base: Path  # where the configuration's relative paths start
    run_dir: str
    invokes: bool = False
    searches: bool = False
    notes: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()

    @property
    def real_schedule(self) -> Schedule | None:
        """The schedule in real seconds."""
        return self.schedule.at_speed(self.speed) if self.schedule else None

    def about_processes(self, processes: int, per_user: float) -> list[str]:
        """What is to be said where `sm-locust plan` suggests more processes than there are, a sentence each.

        per_user  arrivals a second of one user
        """
        if self.schedule is None:
            return []
        body = payload_files.total_bytes(self.payloads) / len(self.payloads) if self.payloads else None
        sizing = Sizing.of(self.config, self.schedule.peak, body)
        said = (sizing.shortfall(processes), sizing.crowded(processes, per_user))
        return [sentence for sentence in said if sentence is not None]

    def message(self) -> dict[str, Any]:
        """What a worker needs of it, in primitives: payloads, and files of feeds, go along unless they are large, then
        only their hash."""
        real = self.real_schedule
        small = payload_files.total_bytes(self.payloads) <= LARGEST_SENT
        few = table_files.total_bytes(self.tables) <= LARGEST_SENT
        return {
            "config": self.config.as_dict(),
            "payloads": payload_files.encode(self.payloads) if small else None,
            "sha256": payload_files.sha256(self.payloads),
            "feeds": [table.content for table in self.tables] if few else None,
            "feeds_sha256": table_files.sha256(self.tables),
            "base": str(self.base),
            "speed": self.speed,
            "boundaries": list(real.boundaries) if real else [],
        }


def received_payloads(message: dict[str, Any], config: RunConfig) -> tuple[Payload, ...]:
    """A worker's payloads: those of the message, or its own files; ConfigError when they are not the master's."""
    if message["payloads"] is not None:
        return payload_files.decode(message["payloads"])
    payloads = payload_files.load(config.request, message["base"])
    if payload_files.sha256(payloads) != message["sha256"]:
        raise ConfigError(f"request.payloads: {config.request.payloads} holds something else here than on the master")
    return payloads


def received_tables(message: dict[str, Any], config: RunConfig) -> tuple[Table, ...]:
    """A worker's feeds, as its payloads."""
    if message["feeds"] is not None:
        return table_files.parse(config.feeds, message["feeds"])
    tables = table_files.load(config.feeds, message["base"])
    if table_files.sha256(tables) != message["feeds_sha256"]:
        named = ", ".join(feed.file for feed in config.feeds)
        raise ConfigError(f"feeds: {named}: something else here than on the master")
    return tables


@dataclass(frozen=True, slots=True)
class Picked:
    """The user classes and the shape of a run, where they were picked in the page and are not Locust's own yet."""

    user_classes: Sequence[type[User]]
    shape: LoadTestShape | None


def resolve(environment: Environment, options: Options, picked: Picked | None = None) -> Order:
    """Everything that can be known to be wrong before the first request is: raises ConfigError, in one sentence."""
    if picked is None:
        picked = Picked(environment.user_classes, the_shape(environment))
    config, base, notes = _configuration(options)
    if options.speed not in SPEEDS:
        accepted = ", ".join(map(str, SPEEDS))
        raise ConfigError(f"{options.called('speed')} {options.speed!r} is not accepted: one of {accepted}")
    schedule, source = _schedule(picked.shape, config, options)
    searches = isinstance(picked.shape, CapacityShape)
    if searches:
        _has_a_limit_to_search(config)
    else:
        _say_what_is_not_played(config, schedule, source)
    arrival_classes = check_classes(picked.user_classes, config)
    _say_who_does_not_wait(arrival_classes)
    if schedule is not None or searches:
        _follow_a_rate(picked.user_classes)
    if environment.web_ui is None:  # where one may still be typed in
        _have_hosts(environment, arrival_classes)
    _payloads_can_end(environment, config, arrival_classes)
    if not isinstance(environment.runner, MasterRunner):  # which sends nothing: its workers look for keys of their own
        for user_class in arrival_classes:
            user_class.check_here(config)
    if options.speed != 1:
        _only_loopback(environment, config, arrival_classes, options)
    if config.target is not None and config.target.endpoint is not None:
        period(config, options.speed)
    config.check_stop_when()
    if not searches:  # which plays no phases, and ends at the guard
        config.check_guard(options.speed, schedule, "" if schedule == config.schedule() else source)
    payloads = payload_files.load(config.request, base)
    tables = table_files.load(config.feeds, base)
    if schedule is not None:
        cost.check_load(config, schedule, options.speed, payloads)
    elif searches:
        cost.check_load(config, _longest(config), 1, payloads)
    _can_be_made(options)
    invokes = any(issubclass(user_class, InvokeEndpointUser) for user_class in arrival_classes)
    return Order(
        config, schedule, source, options.speed, payloads, base, options.run_dir, invokes, searches, notes, tables
    )


def _configuration(options: Options) -> tuple[RunConfig, Path, tuple[str, ...]]:
    """The configuration with the options' overrides, the folder its relative paths start from, and notes on it."""
    base, notes = Path(), list[str]()
    if isinstance(options.config, str | Path):
        config, base = load(options.config, options.environment, notes.append), Path(options.config).parent
    elif options.environment is not None:
        raise ConfigError(
            f"--sm-environment {options.environment}: not accepted: only with a script, as --sm-config FILE"
        )
    elif isinstance(options.config, RunConfig | None):
        config = options.config or RunConfig()
    else:
        raise ConfigError(
            f"{options.called('config')}: {options.config!r:.60} is not accepted: a file, or a RunConfig, such as "
            "RunConfig.from_dict makes of a mapping"
        )
    config = config.with_overrides(options.endpoint, options.region, options.url, prefix="--sm-")
    if options.capacity is not None:
        config = config.with_capacity(options.capacity, "--sm-capacity")
    return config, base, tuple(notes)


def check_classes(user_classes: Iterable[type[User]], config: RunConfig) -> list[type[ArrivalUser]]:
    """Those that stand for arrivals; raises ConfigError when one cannot run with this configuration."""
    arrival_classes = [c for c in user_classes if issubclass(c, ArrivalUser)]
    for user_class in arrival_classes:
        problem = user_class.problem(config)
        if problem:
            raise ConfigError(problem)
    return arrival_classes


def _have_hosts(environment: Environment, user_classes: Iterable[type[ArrivalUser]]) -> None:
    """Locust's own clients refuse to be made without one, arrival by arrival."""
    for user_class in user_classes:
        if issubclass(user_class, FastHttpUser | HttpUser) and not (user_class.host or environment.host):
            raise ConfigError(f"{user_class.__name__} has no host: give host in the class, or --host URL")


def _payloads_can_end(environment: Environment, config: RunConfig, user_classes: Iterable[type[ArrivalUser]]) -> None:
    """What is to be sent once is sent by one process: nobody deals payloads out."""
    if not isinstance(environment.runner, MasterRunner):
        return
    for user_class in user_classes:
        if issubclass(user_class, InvokerUser) and user_class.ends_with_payloads(config):
            what = "request" if user_class.payloads is None else f"{user_class.__name__}.payloads"
            raise ConfigError(
                f"{what}: payloads that end a run are not accepted with workers, each of which would send all of them; "
                "start one process, without --master and --processes"
            )


def _has_a_limit_to_search(config: RunConfig) -> None:
    limits = config.slo.limits()
    if not limits:
        raise ConfigError(f"slo: missing; required: what a rate must keep to hold, {A_METRIC}")
    late = next((metric for metric in limits if metric.startswith("model_latency")), None)
    if late is not None:
        raise ConfigError(
            f"slo.{late}: not accepted in a search for capacity, which decides within seconds, and CloudWatch is "
            "minutes late; accepted: error_rate, latency_*, service_time_*"
        )


def _longest(config: RunConfig) -> Schedule:
    """What a search sends at the most, for the guard on its cost."""
    settings = config.capacity
    most = config.guard.max_requests or math.inf
    rate = min(settings.max, most / settings.time_limit)
    return Schedule((Phase("search", settings.time_limit, rate),))


def _follow_a_rate(user_classes: Iterable[type[User]]) -> None:
    """Locust deals a shape's users out to all classes: each must stand for a rate, and take what it is given."""
    for user_class in user_classes:
        if not issubclass(user_class, ArrivalUser):
            raise ConfigError(
                f"{user_class.__name__} is not an ArrivalUser: it would take a share of the shape's users and send at "
                f"its own pace; make it class {user_class.__name__}(ArrivalUser, …), or start it apart"
            )
        if user_class.fixed_count:
            raise ConfigError(
                f"{user_class.__name__}.fixed_count: {user_class.fixed_count} users do not follow a shape's rate; "
                "give the class a weight instead"
            )


def _schedule(shape: LoadTestShape | None, config: RunConfig, options: Options) -> tuple[Schedule | None, str]:
    if shape is None:
        return None, "users"
    if not isinstance(shape, PhasesShape):
        return None, f"shape {type(shape).__name__}"
    try:
        schedule = shape.schedule(config)
    except ValueError as e:
        raise ConfigError(f"{type(shape).__name__}.phases: {e}") from None
    if schedule is None:
        give = "config" if options.in_code else "--sm-config FILE"
        named = f"{_named(options)} has none" if options.config else f"there is none: give {give}"
        raise ConfigError(f"{type(shape).__name__} plays the phases of the configuration, and {named}")
    source = shape.source()
    return schedule, f"{source} {_named(options)}" if source == "config" else source


def _named(options: Options) -> str:
    """The configuration, in words: one made in code has no file, and is in run.json as a whole."""
    return "of the program" if isinstance(options.config, RunConfig) else str(options.config)


def _say_what_is_not_played(config: RunConfig, schedule: Schedule | None, source: str) -> None:
    """Phases that were written down and are not what will be sent: nobody should find that out by the bill."""
    planned = config.schedule()
    if planned is None or (schedule is not None and schedule.as_dicts() == planned.as_dicts()):
        return
    instead = "Locust's own user count (-u) is the plan" if source == "users" else f"{source} is played"
    logger.warning(
        "the phases of the configuration are not played: %s; shapes/from_config.py, and no other shape, plays them",
        instead,
    )


def _say_who_does_not_wait(user_classes: Iterable[type[ArrivalUser]]) -> None:
    for user_class in user_classes:
        if user_class.wait_time is not User.wait_time:
            logger.warning(
                "%s.wait_time has no part in the run: an ArrivalUser does not wait; per_user says how many arrivals a "
                "second it stands for",
                user_class.__name__,
            )


def the_shape(environment: Environment) -> LoadTestShape | None:
    """The one shape of this run. Locust takes the first of several without a word, so several are refused here."""
    available = environment.available_shape_classes or {}
    picked = environment.web_ui is not None and environment.web_ui.userclass_picker_is_active
    if len(available) > 1 and not picked:
        names = ", ".join(sorted(available))
        raise ConfigError(f"several shapes were given ({names}): give one, or start with --class-picker and pick")
    return environment.shape_class


def _only_loopback(
    environment: Environment, config: RunConfig, user_classes: Iterable[type[ArrivalUser]], options: Options
) -> None:
    """A compressed run is for the local endpoint: every address that would be sent to must resolve to loopback."""
    urls = {*config.urls(), *(url for c in user_classes for url in c.addresses(config))}
    if config.target is not None and config.target.endpoint is not None:
        urls |= set(addresses(config))  # it is watched, too
    if environment.host and not all(issubclass(c, (InvokerUser, ScenarioUser)) for c in user_classes):
        urls.add(environment.host)
    only_loopback(urls, options.speed, options.called("speed"))


def _can_be_made(options: Options) -> None:
    """A run whose folder cannot be written must not send anything first."""
    run_dir, option = options.run_dir, options.called("run-dir")
    try:
        Path(run_dir).mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise ConfigError(f"{option} {run_dir}: not a folder that can be made: {e.strerror}") from None
    if not os.access(run_dir, os.W_OK | os.X_OK):
        raise ConfigError(f"{option} {run_dir}: not a folder that can be written")
