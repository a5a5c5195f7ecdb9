"""Runs as the master, or a process alone, sees them: from Locust's `test_start` to a finished folder.

One LiveRun lives as long as its environment and makes a folder for each start. It hears Locust's events, and sees to it
that runs come one after the other: how one starts is `starting`'s, each second of it `active`'s, its end `ending`'s.
"""

from __future__ import annotations

import logging
from typing import Any

import gevent
from gevent import Greenlet
from gevent.lock import RLock
from locust.env import Environment
from locust.runners import MasterRunner

from sm_locust.analysis.summary import Summary
from sm_locust.config import ConfigError, RunConfig
from sm_locust.load.beside import Beside
from sm_locust.load.waiting import Waiting
from sm_locust.plugin import ending
from sm_locust.plugin.active import Active, end_load
from sm_locust.plugin.board import Board
from sm_locust.plugin.commanded import observed
from sm_locust.plugin.exposed import Exposed
from sm_locust.plugin.master_side import MasterSide
from sm_locust.plugin.options import Options
from sm_locust.plugin.order import Order, Picked, check_classes, resolve
from sm_locust.plugin.progress import Progress
from sm_locust.plugin.starting import start
from sm_locust.plugin.watch import Watch
from sm_locust.record.meta import ENDS_OF_ITSELF
from sm_locust.record.run import Run, RunError
from sm_locust.schedule import Schedule

logger = logging.getLogger(__name__)


class LiveRun:
    """Runs of one environment, one after the other. `setup` makes it, of its `environment` and `options`.

    summary   of the run that ended last, a Summary; None before, or where its folder could not be read
    finished  that run; None before, and while another goes on
    failed    what kept a run from being sent, or its folder from being written, in one sentence; empty otherwise
    """

    def __init__(self, environment: Environment, options: Options) -> None:
        self._environment = environment
        self._options = options
        self._order: Order | None = None  # of the run to come, or the one going on
        self._ordered_for: tuple[Any, ...] = ()  # the shape and the user classes that it was resolved with
        self._looking: Watch | None = None  # of the run to come
        self._active: Active | None = None
        self._master: MasterSide | None = None
        self._ending = RLock()
        self._concluding = False  # whether a run's folder is being completed
        self._watch: Watch | None = None  # of the run that is settling
        self._settling: Greenlet | None = None  # waits for the last of CloudWatch, after a run
        self._left = False  # whether nothing is waited for any more
        self._disk = Beside()
        self.runs: dict[str, Run] = {}  # those of this process that have ended, by id
        self.finished: Run | None = None
        self.summary: Summary | None = None
        self.failed = ""
        self.progress: Progress | None = None  # of the run that began last
        self.board: Board | None = None  # likewise; None without a web UI
        self.exposed: Exposed | None = None  # where somebody may read how the runs are doing
        self.has_quit = False  # whether nothing more will come

        environment.live_run = self  # type: ignore[attr-defined]
        environment.generator = Waiting()  # type: ignore[attr-defined]
        environment.dispatcher_class = observed(environment.dispatcher_class, self._on_dispatch)
        events = environment.events
        events.test_start.add_listener(self._on_test_start)
        events.test_stopping.add_listener(lambda **_: self._drain())
        events.test_stop.add_listener(lambda **_: self._complete())
        events.quitting.add_listener(lambda **_: self.quit())

    # -- what is to be run, as `setup` and the web UI ask for it -----------------------------------------------------

    def listen(self, runner: MasterRunner, rebalancing: bool) -> None:
        """Answers workers that connect before the first run: they compare their clocks."""
        # Locust's own option is off by default, cannot be switched off by its user, and is not there for a library.
        runner.rebalancing_enabled = lambda: rebalancing  # type: ignore[method-assign]
        if self._master is None:
            self._master = MasterSide(runner, self._on_shipment)

    def order(self, options: Options | None = None, picked: Picked | None = None) -> Order:
        """The order of the run that goes on, or resolves the next one's; raises ConfigError.

        options, picked  asked for anew, as the web UI does for each start
        """
        # What a program has changed on its environment since is what its runner plays.
        here = (self._environment.shape_class, tuple(self._environment.user_classes))
        changed = self._options.in_code and here != self._ordered_for
        if self._active is None and (options is not None or self._order is None or changed):
            self._options, self._ordered_for = options or self._options, here
            self._order = None  # should this one be refused, the one before it is not played in its place
            self._order = resolve(self._environment, self._options, picked)
            self._looking = _watch(self._order)
        if self._order is None:
            raise ConfigError("no run has been ordered")
        return self._order

    @property
    def options(self) -> Options:
        """Those of the run that goes on, or of the next one."""
        return self._options

    def look(self) -> None:
        """Asks the endpoint to come what there is before the load: to be called where waiting does no harm.

        Raises ConfigError, as the start will, where SageMaker has no such endpoint: all of the load would be refused.
        """
        if self._looking is not None:
            self._looking.look()
            _is_there(self.order(), self._looking)

    # -- what shapes and pages ask -----------------------------------------------------------------------------------

    @property
    def config(self) -> RunConfig:
        return self.order().config

    def schedule_to_play(self) -> Schedule:
        """The schedule in real seconds, for a shape that has one."""
        schedule = self._active.schedule if self._active else self.order().real_schedule
        if schedule is None:
            raise ConfigError("the shape has no schedule to play")
        return schedule

    def rate_wanted(self) -> float | None:
        """Arrivals a second that the search wants now, for a shape that searches; None once it is over."""
        active = self._active
        if active is None:
            return self.order().config.capacity.start
        if active.searching is None:
            raise ConfigError("no search has been ordered")
        return None if active.searching.search.ended else active.searching.search.rate

    @property
    def is_ending(self) -> bool:
        """Whether arrivals have ended and the folder is not complete yet, but for what CloudWatch owes."""
        return self._concluding or (self._active is not None and self._active.over)

    @property
    def is_running(self) -> bool:
        """Whether a run has started and not been finished."""
        return self._active is not None

    def elapsed(self) -> float:
        """Real seconds since the run began; 0 before."""
        return max(0.0, self._active.clock.now()) if self._active else 0.0

    def given(self, at: float) -> float:
        """The arrivals that the users commanded until `at` stand for."""
        return self._active.commanded.expected(at) if self._active else 0.0

    # -- the start ---------------------------------------------------------------------------------------------------

    def _on_test_start(self, **_: Any) -> None:
        """Must not yield: on a local runner a ramping shape would kill the spawning and fire this again."""
        if self._active is not None:
            return
        try:
            self._start()
        except (ConfigError, RunError) as e:
            self.failed = str(e)
            logger.error("nothing is sent: %s", e)
            end_load(self._environment)

    def _start(self) -> None:
        order, runner = self.order(), self._environment.runner
        check_classes(self._environment.user_classes, order.config)  # again: Locust has left out tasks by --tags
        watch = self._looking or _watch(order)
        _is_there(order, watch)
        self._looking = None
        self.finished, self.summary, self.failed = None, None, ""
        if self._watch is not None:
            self._watch.hurry()  # what CloudWatch still owes the run before is left to `summarize`
        if isinstance(runner, MasterRunner) and self._master is None:
            self.listen(runner, self._options.rebalancing)
        active = start(
            self._environment, order, master=self._master, watch=watch, exposed=self.exposed, disk=self._disk
        )
        self._active, self.progress, self.board = active, active.progress, active.board
        active.begin()

    # -- while it goes -----------------------------------------------------------------------------------------------

    def _on_dispatch(self, users: dict[str, int]) -> None:
        if self._active is not None:
            self._active.on_dispatch(users)

    def _on_shipment(self, worker: str, data: dict[str, Any]) -> None:
        if self._active is not None:
            self._active.on_shipment(worker, data)

    def ended_by(self, why: str) -> None:
        """Somebody ends the run that goes on, if one does: run.json will say why, unless it is ended already."""
        if self._active is not None:
            self._active.ended_by = self._active.ended_by or why

    # -- the end -----------------------------------------------------------------------------------------------------

    def _drain(self) -> None:
        """Ends arrivals and waits until what is in flight has been counted. A second caller waits for the first."""
        with self._ending:
            if self._active is not None and not self._active.over:
                ending.drain(self._active, hurry=self._left)

    def _complete(self) -> None:
        """Ends the run and completes its folder, but for what CloudWatch has not said yet."""
        with self._ending:
            self._drain()
            active, self._active = self._active, None  # what a worker ships from now on comes too late
            if active is None:
                return
            self.finished = self.runs[active.run.run_id] = active.run
            self._concluding = True  # and nothing can begin: writing lets others have a turn
            try:
                ending.complete(active)
            finally:
                self._concluding = False
            self._take_over(active)
            if active.watch is not None:
                self._watch = active.watch
                if self._left:
                    self._watch.leave()
                self._settling = gevent.spawn(self._settle, active, active.watch)

    def _settle(self, active: Active, watch: Watch) -> None:
        ending.settle(active, watch, lambda: self._active is not None)
        self._take_over(active)

    def _take_over(self, active: Active) -> None:
        """What has become of a run, unless another one has begun."""
        self.failed = self.failed or active.failed
        if self.finished is active.run:
            self.summary = active.summary

    def finish(self) -> Run | None:
        """Ends the run if it still goes on, completes its folder and returns it; None when nothing was started.

        Waits up to six schedule minutes for CloudWatch's last ones. Idempotent: called again it returns the same run.
        """
        self._complete()
        if self._settling is not None:
            try:
                self._settling.join()
            except KeyboardInterrupt:  # no more patience: what came so far stands
                self.hurry()
                self._settling.join()
        return self.finished

    def quit(self) -> None:
        """Finishes; a run that was ended by somebody does not wait for CloudWatch: they want to go."""
        self._complete()
        if self.finished is not None and self.finished.meta.get("ended") not in ENDS_OF_ITSELF:
            self.hurry()
        self.finish()
        self.has_quit = True

    def hurry(self) -> None:
        """Does not wait for CloudWatch any longer; what it has is still asked for once."""
        if self._watch is not None:
            self._watch.hurry()

    def leave(self) -> None:
        """Waits for nothing any more: what is in flight is cancelled, and CloudWatch is not asked."""
        self._left = True
        if self._watch is not None:
            self._watch.leave()
        if self._active is not None and self._active.over:
            ending.leave(self._active)


def _is_there(order: Order, watch: Watch | None) -> None:
    """Raises ConfigError for an endpoint that nobody could invoke. One behind an API is only watched."""
    if order.invokes and watch is not None and watch.unknown:
        raise ConfigError(watch.unknown)


def _watch(order: Order) -> Watch | None:
    """Where there is an endpoint to watch."""
    target = order.config.target
    return Watch(order.config, order.speed) if target is not None and target.endpoint is not None else None
