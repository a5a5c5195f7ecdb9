"""How a run starts: an order becomes a folder, a clock, and a generator, or what workers need to make theirs."""

from __future__ import annotations

import logging
import math
import platform
import time
from importlib.metadata import version
from typing import Any

from locust.env import Environment
from locust.runners import MasterRunner

from sm_locust.analysis.watched import Setting
from sm_locust.aws import subjects
from sm_locust.config import ConfigError
from sm_locust.load.beside import Beside
from sm_locust.load.descriptors import ask_for_descriptors
from sm_locust.load.generator import Generator
from sm_locust.load.shapes import mean_per_user
from sm_locust.load.users import ArrivalUser
from sm_locust.plugin.active import Active
from sm_locust.plugin.board import Board
from sm_locust.plugin.exposed import Exposed
from sm_locust.plugin.master_side import MasterSide
from sm_locust.plugin.options import patience, run_time
from sm_locust.plugin.order import Order
from sm_locust.plugin.progress import Progress
from sm_locust.plugin.searching import Searching
from sm_locust.plugin.stopping import StopWhen
from sm_locust.plugin.watch import Watch
from sm_locust.record.clock import RunClock, iso
from sm_locust.record.observation import SAGEMAKER
from sm_locust.record.run import Run

logger = logging.getLogger(__name__)


def start(
    environment: Environment,
    order: Order,
    *,
    master: MasterSide | None,
    watch: Watch | None,
    exposed: Exposed | None,
    disk: Beside,
) -> Active:
    """A run whose clock stands on the next full second, and which is yet to `begin`.

    Raises ConfigError and RunError, and has then left nothing behind.
    """
    run = Run.create(order.run_dir, _meta(environment, order))
    clock = RunClock.start(order.speed)
    schedule = order.real_schedule
    # Locust stops a shape for -t only at its next tick; the arrivals end when they should.
    until = min(schedule.duration, run_time(environment)) if schedule else math.inf
    generator = None
    if master is None:
        try:
            generator = _prepared(environment, order, clock, until)
        except ConfigError:
            run.discard()
            raise
        environment.generator = generator  # type: ignore[attr-defined]
    clock.start_on_the_next_second()  # what was prepared is not part of the run
    if master is not None:
        master.start(
            {
                **order.message(),
                "run_id": run.run_id,
                "origin": clock.origin,
                "started_at": clock.started_at,
                "patience": patience(environment),
                "until": until if schedule else None,
            }
        )
    _say_what_is_to_know(environment, order)

    config, distributed = order.config, master is not None
    stop_when = None
    if config.stop_when:
        stop_when = StopWhen(
            *(config, order.speed, schedule, run.meta), lambda: len(active.processes), distributed=distributed
        )
    active = Active(
        environment,
        order,
        run,
        clock,
        schedule,
        until,
        generator,
        master,
        disk,
        progress=Progress(order.speed, schedule),
        searching=Searching(config, distributed=distributed) if order.searches else None,
        stop_when=stop_when,
        watch=watch,
        board=_board(order, run, watch) if environment.web_ui is not None else None,
        exposed=exposed,
    )
    return active


def _meta(environment: Environment, order: Order) -> dict[str, Any]:
    """What run.json holds from the start."""
    return {
        "speed": order.speed,
        "schedule": {"source": order.source, "phases": order.schedule.as_dicts() if order.schedule else []},
        "users": [c.__name__ for c in environment.user_classes],
        "per_user": max(
            (c.rate_per_user(order.config) for c in environment.user_classes if issubclass(c, ArrivalUser)),
            default=1.0,
        ),
        "config": order.config.recorded(),
        "versions": {
            "sm_locust": version("sm-locust"),
            "locust": version("locust"),
            "python": platform.python_version(),
        },
        "started_at": iso(time.time()),
        "workers": [],
    }


def _prepared(environment: Environment, order: Order, clock: RunClock, until: float) -> Generator:
    """The generator of this process, which has done what would make its first arrivals late. Raises ConfigError."""
    problem = ask_for_descriptors(order.config.arrivals.max_in_flight)
    if problem:
        logger.warning(problem)
    schedule = order.real_schedule
    generator = Generator(
        *(environment, order.config, clock, order.payloads),
        until=until,
        boundaries=schedule.boundaries if schedule else (),
        tables=order.tables,
    )
    try:
        generator.prepare()
    except ConfigError:
        generator.close()
        raise
    return generator


def _say_what_is_to_know(environment: Environment, order: Order) -> None:
    processes = environment.runner.worker_count if isinstance(environment.runner, MasterRunner) else 1
    for warning in order.about_processes(processes, mean_per_user(environment.user_classes, order.config)):
        logger.warning(warning)
    for note in order.notes:
        logger.info("%s: %s", order.source.removeprefix("config "), note)


def _board(order: Order, run: Run, watch: Watch | None) -> Board:
    """What the page in the web UI will show of it."""
    board = Board(
        run.run_id,
        order.speed,
        order.real_schedule,
        period_s=order.config.cloudwatch.period,
        source=subjects.known(order.config).source(SAGEMAKER) if watch is not None else "",
        limits={} if order.searches else order.config.slo.limits(),
        meta=run.meta,
    )
    if watch is not None and watch.scaling_at_start is not None:
        board.scaled_by(Setting.of(watch.scaling_at_start))
    return board
