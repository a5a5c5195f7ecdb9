"""Puts the plugin on an environment: by Locust's `init` event for `locust -f`, by `setup` for a library.

Importing this module registers on `locust.events`; nothing happens to a process whose locustfiles have no user class or
shape of ours.
"""

from __future__ import annotations

import contextlib
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import gevent
from locust import events
from locust.env import Environment
from locust.runners import STATE_RUNNING, STATE_SPAWNING, MasterRunner, WorkerRunner

from sm_locust.config import ConfigError, RunConfig
from sm_locust.load.shapes import CapacityShape, PhasesShape
from sm_locust.load.users import ArrivalUser
from sm_locust.plugin import finish, metrics_out, orphan, tab, web
from sm_locust.plugin.live import LiveRun
from sm_locust.plugin.options import RUN_DIR, Options, add_options
from sm_locust.plugin.worker_side import WorkerSide

WORKERS_PATIENCE = 5.0  # seconds for workers that --processes has started to connect, so that they can be told to quit


def setup(
    environment: Environment,
    config: str | Path | RunConfig | None = None,
    *,
    run_dir: str | Path | None = None,
    speed: int | None = None,
) -> LiveRun | None:
    """Makes an environment's users stand for arrivals, and each of its runs leave a folder.

    For Locust as a library: call it after the runner was created and before it starts. Only this environment's events
    are listened to. Called again, between runs, it orders the next one, with the environment's users and shape as they
    are then: what is not given stays as it was.

    config   a YAML file, a RunConfig, or None for the defaults
    run_dir  where each run makes a folder (default `runs`)
    speed    schedule seconds for one real second (default 1); other than 1 only against this machine

    Returns the environment's one LiveRun, whose `finish()` ends the run and returns its folder; None on a worker, which
    takes everything from its master. Raises ConfigError, in one sentence, for what cannot be run (nothing is sent until
    a later call orders what can), for another order while a run goes on, and for a first one after the runner's start.
    """
    known: LiveRun | None = getattr(environment, "live_run", None)
    if known is None:
        if _has_started(environment):
            raise ConfigError("setup: the runner has been started before: call setup first, once the runner is there")
        options = Options(config, str(run_dir or RUN_DIR), 1 if speed is None else speed, in_code=True)
        live = _attach(environment, options)
        if live is not None:
            live.order()
            live.look()
        return live
    if config is not None or run_dir is not None or speed is not None:
        if known.is_running:
            raise ConfigError("setup: a run is going on, and takes no other order: call finish() first")
        before = known.options
        known.order(
            replace(
                before,
                config=before.config if config is None else config,
                run_dir=before.run_dir if run_dir is None else str(run_dir),
                speed=before.speed if speed is None else speed,
                in_code=True,
            )
        )
        known.look()
    elif known.options.in_code and not known.is_running:
        known.order(known.options)
        known.look()
    return known


def _has_started(environment: Environment) -> bool:
    """Whether it would be too late: users may be there already, whose arrivals nobody has counted."""
    runner = environment.runner
    if runner is None or isinstance(runner, WorkerRunner):
        return False
    return runner.shape_greenlet is not None or runner.state in (STATE_SPAWNING, STATE_RUNNING)


def _attach(environment: Environment, options: Options) -> LiveRun | None:
    known: LiveRun | None = getattr(environment, "live_run", None)
    if known is not None:
        return known
    if isinstance(environment.runner, WorkerRunner):
        if not hasattr(environment, "worker_side"):
            environment.worker_side = WorkerSide(environment, environment.runner)  # type: ignore[attr-defined]
        return None
    live = LiveRun(environment, options)
    if isinstance(environment.runner, MasterRunner):
        live.listen(environment.runner, options.rebalancing)
    return live


def _on_init(environment: Environment, web_ui: Any = None, **_: Any) -> None:
    """Locust's `init`: runner and web UI exist, nothing has started."""
    ours = any(issubclass(c, ArrivalUser) for c in environment.user_classes) or isinstance(
        environment.shape_class, (PhasesShape, CapacityShape)
    )
    if not ours:
        return
    options = Options.parsed(vars(environment.parsed_options))
    live = _attach(environment, options)
    finish.be_quiet_about_ticks()
    if live is None:
        finish.hear_ctrl_c(environment.worker_side.leave)  # type: ignore[attr-defined]
        return
    finish.hear_ctrl_c(live.leave)
    finish.keep_the_line(environment, live)
    finish.say_at_the_end(environment, live)
    if options.metrics_port:
        try:
            live.exposed = metrics_out.serve(options.metrics_port, options.metrics_host)
        except ConfigError as e:
            _refuse(environment, e)
    if web_ui is not None:
        try:  # the rest is said in the page, once a run is asked for; but the page would show a password in this
            RunConfig().with_overrides("any", url=options.url, prefix="--sm-")
        except ConfigError as e:
            _refuse(environment, e)
        web.check_starts(web_ui, environment, live)
        web.keep_asking(web_ui)
        tab.add(web_ui, live)
        if (
            environment.parsed_options and environment.parsed_options.autostart
        ):  # nobody asks for the first run in the page
            with contextlib.suppress(ConfigError):  # its start says it
                live.order()
                live.look()
        return
    finish.hear_sigterm(environment, live)
    orphan.end_with_parent()
    try:
        live.order()
        live.look()
    except ConfigError as e:
        _refuse(environment, e)
    # The loop has not turned since all this was imported, and by its clock it is still then. Locust starts the timer of
    # --run-time next, which would go off that much too early: by a second or three where the machine is busy.
    gevent.get_hub().loop.update_now()


def _refuse(environment: Environment, why: ConfigError) -> NoReturn:
    print(f"sm_locust: {why}", file=sys.stderr)
    _dismiss_workers(environment)
    sys.exit(finish.WRONG_CONFIGURATION)


def _dismiss_workers(environment: Environment) -> None:
    """Workers of --processes would outlive a master that never starts them: they are waited for and told to quit."""
    runner = environment.runner
    if not isinstance(runner, MasterRunner):
        return
    expected = getattr(environment.parsed_options, "processes", None) or 0
    deadline = time.monotonic() + WORKERS_PATIENCE
    while len(runner.clients) < expected and time.monotonic() < deadline:
        gevent.sleep(0.05)
    runner.quit()


def _register() -> None:
    events.init_command_line_parser.add_listener(add_options)
    events.init.add_listener(_on_init)


_register()
