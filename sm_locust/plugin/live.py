"""The run as the master, or a process alone, sees it: from Locust's `test_start` to a finished folder.

One LiveRun lives as long as its environment and makes a folder for each start. It orders the load, writes the ledger as
the run goes, and drains at the end; making sense of the folder is `finish`'s and the analysis's.
"""

from __future__ import annotations

import contextlib
import logging
import math
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import gevent
from gevent import Greenlet
from gevent.lock import RLock
from gevent.threadpool import ThreadPool
from locust.env import Environment
from locust.runners import STATE_RUNNING, MasterRunner

from sm_locust.analysis.periods import NEVER_ARRIVED
from sm_locust.analysis.summary import Summary
from sm_locust.analysis.verdict import CLOCK_CORRECTED, CREDENTIALS_REFUSED, CUT_SHORT
from sm_locust.analysis.watched import Setting
from sm_locust.aws import subjects
from sm_locust.config import ConfigError, RunConfig
from sm_locust.load.descriptors import ask_for_descriptors
from sm_locust.load.generator import Generator
from sm_locust.load.shapes import mean_per_user
from sm_locust.load.users import ArrivalUser
from sm_locust.load.waiting import Waiting
from sm_locust.plugin import billing
from sm_locust.plugin.board import Board
from sm_locust.plugin.commanded import Commanded, observed
from sm_locust.plugin.encoding import encoded
from sm_locust.plugin.exposed import Exposed
from sm_locust.plugin.master_side import MasterSide
from sm_locust.plugin.options import Options
from sm_locust.plugin.order import Order, Picked, check_classes, resolve
from sm_locust.plugin.progress import Progress
from sm_locust.plugin.refused import Refused
from sm_locust.plugin.searching import Searching
from sm_locust.plugin.shipped import Shipped
from sm_locust.plugin.stopping import StopWhen
from sm_locust.plugin.watch import Watch
from sm_locust.record.clock import RunClock, iso
from sm_locust.record.interval import Interval
from sm_locust.record.ledger import WORKER_BACK, WORKER_LOST, Event, Planned, Sample
from sm_locust.record.meta import (
    ALL_LOST,
    BY_HAND,
    COMPLETE,
    ENDS_OF_ITSELF,
    PAYLOADS_FAILED,
    RUN_TIME,
    SEARCHED,
    STOPPED,
    USED_UP,
)
from sm_locust.record.observation import SAGEMAKER, Observation, ScalingEvent
from sm_locust.record.run import Run, RunError
from sm_locust.report import folder, formats, text, wording
from sm_locust.schedule import Schedule

logger = logging.getLogger(__name__)

LOCAL = "local"  # the name of the only process there is
DRAIN_PATIENCE = 10.0  # seconds, where --stop-timeout is not given
WRITE_EVERY = 1.0  # seconds
JUST_BEFORE = 0.002  # seconds: what happens at the end or after it belongs to no run any more
MISMATCH_PATIENCE = 3  # seconds that Locust's user count may differ from the one commanded


@dataclass(slots=True)
class Active:
    """What is known of the run that is going on."""

    order: Order
    run: Run
    clock: RunClock
    schedule: Schedule | None  # in real seconds
    generator: Generator | None  # None on a master
    progress: Progress
    commanded: Commanded = field(default_factory=Commanded)
    planned_until: float = 0.0  # real seconds up to which the plan has been written
    planned: float = 0.0  # arrivals planned up to then
    users: int = 0  # commanded then
    answered: int = 0  # requests that arrived, well or not
    searching: Searching | None = None  # None where the load is planned
    stop_when: StopWhen | None = None  # None without a rule
    watch: Watch | None = None  # None where there is nothing in AWS to watch
    board: Board | None = None  # None without a web UI
    until: float = math.inf  # real seconds of the run at which arrivals end by plan
    ended_at: float | None = None  # real seconds of the run; None while arrivals go on
    why: str = ""
    taking: RLock = field(default_factory=RLock)  # by the end of the run, what was being taken has been
    lost: set[str] = field(default_factory=set)
    refused: Refused = field(default_factory=Refused)
    mismatch: int = 0  # seconds for which Locust's user count has not been the one commanded

    @property
    def over(self) -> bool:
        """Whether arrivals have ended."""
        return self.ended_at is not None


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
        self._active: Active | None = None
        self._master: MasterSide | None = None
        self._rebalancing = True
        self._ending = RLock()
        self._settling: Greenlet | None = None  # waits for the last of CloudWatch, after a run
        self._looking: Watch | None = None  # of the run to come
        self._watch: Watch | None = None  # of the run that is settling
        self._disk = ThreadPool(1)  # one, so that lines stay in order
        self.board: Board | None = None  # of the run that goes on, or the last one; None without a web UI
        self.runs: dict[str, Run] = {}  # those of this process that have ended, by id
        self.finished: Run | None = None
        self.summary: Summary | None = None
        self.failed = ""  # what kept the folder from being written, in one sentence
        self.why: str | None = None  # said by whoever ends the run, for run.json
        self.progress: Progress | None = None  # of the run that began last
        self._concluding = False  # whether a run's folder is being completed
        self._left = False  # whether nothing is waited for any more
        self.has_quit = False  # whether nothing more will come
        self.exposed: Exposed | None = None  # where somebody may read how the runs are doing

        environment.live_run = self  # type: ignore[attr-defined]
        environment.generator = Waiting()  # type: ignore[attr-defined]
        environment.dispatcher_class = observed(environment.dispatcher_class, self._on_dispatch)
        events = environment.events
        events.test_start.add_listener(self._on_test_start)
        events.test_stopping.add_listener(lambda **_: self.drain())
        events.test_stop.add_listener(lambda **_: self._complete())
        events.quitting.add_listener(lambda **_: self.quit())

    # -- what shapes and users ask -----------------------------------------------------------------------------------

    @property
    def config(self) -> RunConfig:
        return self.order().config

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
            runner = self._environment.runner
            if runner is not None:
                gevent.spawn(runner.quit if self._is_headless() else runner.stop)

    def _start(self) -> None:
        order = self.order()
        check_classes(self._environment.user_classes, order.config)  # again: Locust has left out tasks by --tags
        watch = self._looking or _watch(order)
        _is_there(order, watch)
        self._looking = None
        runner = self._environment.runner
        self.finished, self.summary, self.why, self.failed = None, None, None, ""
        if self._watch is not None:
            self._watch.hurry()  # what CloudWatch still owes the run before is left to `summarize`
        run = Run.create(order.run_dir, self._meta(order))
        clock = RunClock.start(order.speed)
        schedule = order.real_schedule
        # Locust stops a shape for -t only at its next tick; the arrivals end when they should.
        until = min(schedule.duration, self._run_time()) if schedule else math.inf
        generator = None
        if isinstance(runner, MasterRunner):
            clock.start_on_the_next_second()
            if self._master is None:
                self._master = MasterSide(runner, self._on_shipment)
            self._master.start(
                {
                    **order.message(),
                    "run_id": run.run_id,
                    "origin": clock.origin,
                    "started_at": clock.started_at,
                    "patience": self._patience(),
                    "until": until if schedule else None,
                }
            )
        else:
            problem = ask_for_descriptors(order.config.arrivals.max_in_flight)
            if problem:
                logger.warning(problem)
            generator = Generator(
                self._environment,
                order.config,
                clock,
                order.payloads,
                until=until,
                boundaries=schedule.boundaries if schedule else (),
                tables=order.tables,
            )
            try:
                generator.prepare()
            except ConfigError:
                generator.close()
                run.discard()
                raise
            clock.start_on_the_next_second()  # what was prepared is not part of the run
            self._environment.generator = generator  # type: ignore[attr-defined]
        processes = runner.worker_count if isinstance(runner, MasterRunner) else 1
        for warning in order.about_processes(processes, mean_per_user(self._environment.user_classes, order.config)):
            logger.warning(warning)
        for note in order.notes:
            logger.info("%s: %s", order.source.removeprefix("config "), note)
        self.progress = progress = Progress(order.speed, schedule)
        searching = Searching(order.config, distributed=generator is None) if order.searches else None
        active = Active(order, run, clock, schedule, generator, progress, watch=watch, until=until, searching=searching)
        if order.config.stop_when:
            active.stop_when = StopWhen(
                *(order.config, order.speed, schedule, run.meta, self._processes), distributed=generator is None
            )
        active.board = self.board = _board(active) if self._environment.web_ui is not None else None
        if generator is not None:
            generator.on_used_up = lambda at, failed: self._end_used_up(active, at, failed)
        self._active = active
        if self.exposed is not None:
            self.exposed.begin(order.config.slo.limits(), order.speed)
        gevent.spawn(self._every_second, active)
        gevent.spawn(self._write_every_second, active)
        if watch is not None:
            watch.begin(clock, lambda *found: self._on_watch(active, *found))

    def listen(self, runner: MasterRunner, rebalancing: bool) -> None:
        """Answers workers that connect before the first run: they compare their clocks."""
        # Locust's own option is off by default, cannot be switched off by its user, and is not there for a library.
        runner.rebalancing_enabled = lambda: rebalancing  # type: ignore[method-assign]
        self._rebalancing = rebalancing
        if self._master is None:
            self._master = MasterSide(runner, self._on_shipment)

    def _meta(self, order: Order) -> dict[str, Any]:
        return {
            "speed": order.speed,
            "schedule": {"source": order.source, "phases": order.schedule.as_dicts() if order.schedule else []},
            "users": [c.__name__ for c in self._environment.user_classes],
            "per_user": max(
                (c.rate_per_user(order.config) for c in self._environment.user_classes if issubclass(c, ArrivalUser)),
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

    def _run_time(self) -> float:
        """Seconds that -t gives; infinity without it."""
        given = getattr(self._environment.parsed_options, "run_time", None)
        return float(given) if given else math.inf

    def _patience(self) -> float:
        given = getattr(self._environment.parsed_options, "stop_timeout", None)
        return float(given) if given and float(given) > 0 else DRAIN_PATIENCE

    def _is_headless(self) -> bool:
        return bool(getattr(self._environment.parsed_options, "headless", False))

    # -- while it goes -----------------------------------------------------------------------------------------------

    def _on_dispatch(self, users: dict[str, int]) -> None:
        active = self._active
        if active is None or active.ended_at is not None:
            return
        rate = 0.0
        for name, count in users.items():
            user_class = self._environment.user_classes_by_name[name]
            if issubclass(user_class, ArrivalUser):
                rate += count * user_class.rate_per_user(active.order.config)
        active.commanded.note(active.clock.now(), sum(users.values()), rate)

    def _on_shipment(self, worker: str, data: dict[str, Any]) -> None:
        """A worker's count of the seconds past. Raises Malformed for what is none."""
        active = self._active
        if active is None:
            return
        shipped = Shipped.of(worker, data, active.clock.now() if active.ended_at is None else active.ended_at)
        self._note_clock(active, shipped.sample, shipped.clock_ahead)
        self._end_if_payloads_failed(active, worker, shipped.sample.at, shipped.payloads_failed)
        self._note_cut_short(active, shipped.sample, shipped.cut_short)
        self._note(active, worker, shipped.intervals, shipped.sample, shipped.failures)

    def _note(
        self,
        active: Active,
        worker: str,
        intervals: list[dict[str, Any]],
        sample: Sample,
        failures: list[dict[str, Any]],
    ) -> None:
        """Keeps what a process has counted for the ledger, and counts it in."""
        active.run.note(worker, intervals, [sample], failures)
        if active.board is not None:
            active.board.sample(sample)
        if active.searching is not None:
            active.searching.note(intervals)
        if active.stop_when is not None:
            active.stop_when.note(intervals, sample)
        for row in intervals:
            counted = Interval.decode(row, histograms=())
            never = sum(n for kind, n in counted.by_kind.items() if kind in NEVER_ARRIVED)
            active.answered += counted.ok + counted.failed - never
            active.progress.add(counted, row.get("latency"))
            if active.board is not None:
                active.board.add(counted, row)
            active.refused.add(worker, counted)
            if self.exposed is not None:
                self.exposed.count(counted, row.get("latency"), row.get("lateness"))
        if self.exposed is not None:
            self.exposed.flying(worker, sample.in_flight)
        self._end_if_refused(active)

    def _note_clock(self, active: Active, sample: Sample, ahead: float | None) -> None:
        """A process signs by AWS's clock from now on, since AWS has refused its own."""
        if ahead is None:
            return
        event = Event(sample.at, f"{CLOCK_CORRECTED}{ahead:.0f}", sample.worker)
        active.run.note("", rows=[event])
        if active.board is not None:
            active.board.events([event])

    def _note_cut_short(self, active: Active, sample: Sample, n: int) -> None:
        """So many runs of a scenario were ended in a pause, of what a process sent: no other line tells of them."""
        if n:
            active.run.note("", rows=[Event(sample.at, f"{CUT_SHORT}{n}", sample.worker)])

    def _on_watch(self, active: Active, observations: list[Observation], events: list[ScalingEvent]) -> None:
        """What CloudWatch and the endpoint have said since."""
        if active.board is not None:
            active.board.watched(observations, events)
            if active.watch is not None and active.watch.scaling_at_start is not None:
                active.board.scaled_by(Setting.of(active.watch.scaling_at_start))
        if active.stop_when is not None:
            active.stop_when.observed(observations)
        if observations:
            self._on_disk(active, active.run.append_observations, observations)
        if events:
            self._on_disk(active, active.run.append_scaling, events)

    def _every_second(self, active: Active) -> None:
        second = 0
        while True:
            second += 1
            gevent.sleep(max(0.0, second + 0.03 - active.clock.now()))
            if active.over:
                return
            self._write_plan(active, float(second))
            if active.generator is not None:
                self._take(active, active.generator, float(second))
            else:
                self._watch_workers(active)
            if active.stop_when is not None:
                gevent.spawn_later(active.stop_when.delay, self._stop_if_due, active, active.stop_when, second)
            if active.watch is not None:
                active.progress.instances = active.watch.instances
            if self.exposed is not None:
                self._expose(active, self.exposed)
            active.progress.show(active.clock.now())
            if active.searching is not None:  # after it: what it decides now is not what was done in the second past
                self._search(active, active.searching)

    def _expose(self, active: Active, exposed: Exposed) -> None:
        """How the second past was."""
        if active.watch is not None:
            exposed.desired, exposed.in_service = active.watch.level
        exposed.tick(active.clock.now(), active.lost)

    def _search(self, active: Active, searching: Searching) -> None:
        """Lets the search decide on what has come in; its shape asks it within the second."""
        steps, search = searching.advance(active.clock.now()), searching.search
        active.run.note("", rows=steps)
        if active.board is not None:
            active.board.searched(search.doing, search.rate, steps)
        active.progress.doing = f"{search.doing} {search.rate:,.4g}/s" if search.rate else search.doing
        if search.ended and self.why is None:
            self.why = SEARCHED
            logger.info("the search is over: %s", search.ended)

    def _write_plan(self, active: Active, until: float) -> None:
        """The plan of the time since it was last written, up to `until`."""
        until = min(until, active.until)
        if until <= active.planned_until:
            return
        planned = active.schedule.expected(until) if active.schedule else active.commanded.expected(until)
        row = Planned(active.planned_until, until, planned - active.planned, active.users)
        active.planned_until, active.planned, active.users = until, planned, active.commanded.users
        active.progress.plan(row)
        if self.exposed is not None:
            self.exposed.plan(row)
        if active.board is not None:
            active.board.plan(row)
        if active.stop_when is not None:
            active.stop_when.plan(row)
        active.run.note("", rows=[row])

    def _take(self, active: Active, generator: Generator, before: float | None) -> None:
        """Moves what this process has counted to the ledger."""
        with active.taking:
            shipment = generator.shipment(before)
            sample = Sample(active.clock.now(), LOCAL, shipment.in_flight, shipment.cpu)
            intervals = encoded(shipment.intervals, at_once=active.over)
            self._note_clock(active, sample, shipment.clock_ahead)
            self._note_cut_short(active, sample, shipment.cut_short)
            self._note(active, LOCAL, intervals, sample, shipment.failures)

    def _write_every_second(self, active: Active) -> None:
        """All that was noted in a second is one write: on a master the shipments of every worker."""
        started_at = iso(active.clock.started_at)
        self._on_disk(active, lambda: active.run.finish(started_at=started_at))  # as it is, should we be killed
        while True:
            gevent.sleep(WRITE_EVERY)
            if self._active is not active:
                return
            self._on_disk(active, active.run.flush)

    def _on_disk(self, active: Active, write: Callable[..., None], *what: Any) -> None:
        """Writes to the folder, beside the load: no arrival waits for a disk. One that cannot be written ends it."""
        fault = self._disk.apply(_fault, (write, what))
        if fault is not None and not self.failed:
            self.failed = str(fault)
            logger.error("the run ends: %s", fault)
            self._end(active, "the run folder could not be written")

    def _end_if_refused(self, active: Active) -> None:
        """Load that a process's credentials do not let in measures nothing."""
        if active.over or self.why is not None:
            return
        found = active.refused.refusals()
        if not found:
            return
        for refusal in found:
            logger.error(
                "the run ends: the credentials of process %s have been refused (%s) since %.0f s after the start",
                refusal.process,
                refusal.kind,
                refusal.since,
            )
        active.run.note("", rows=[Event(r.since, CREDENTIALS_REFUSED + r.kind, r.process) for r in found])
        self._end(active, "credentials were refused")

    def _stop_if_due(self, active: Active, stop_when: StopWhen, second: int) -> None:
        """Ends the run once a rule of `stop_when` has held."""
        if active.over or self.why is not None:
            return
        tripped = stop_when.judge(second)
        if tripped is not None:
            active.run.meta["stopped"] = tripped.as_dict()
            self._end(active, STOPPED)
            logger.warning("the run ends: %s", wording.tripped(tripped.as_dict()))

    def _end_used_up(self, active: Active, at: float, failed: str) -> None:
        """The plan goes as far as the payloads did."""
        active.until = min(active.until, at)
        self._end_if_payloads_failed(active, LOCAL, at, failed)
        if self.why is None:
            logger.info("the run ends: all payloads have been sent")
            self._end(active, USED_UP)

    def _end_if_payloads_failed(self, active: Active, process: str, at: float, failed: str) -> None:
        """What a process was to send cannot be had any more: the rest of the plan would miss its share."""
        if not failed:
            return
        # What happens at the end or after it belongs to no run any more.
        active.run.note("", rows=[Event(max(0.0, at - JUST_BEFORE), PAYLOADS_FAILED + failed, process)])
        if self.why is None:
            said = formats.printable(failed)
            logger.error("the run ends: the payloads of process %s failed: %s", process, said)
            self._end(active, PAYLOADS_FAILED + failed)

    def _processes(self) -> int:
        """How many make the load."""
        return len(self._master.workers) if self._master is not None else 1

    def _end(self, active: Active, why: str) -> None:
        """Ends the arrivals before their time."""
        runner = self._environment.runner
        if runner is not None and not active.over:
            self.why = why
            gevent.spawn(runner.quit if self._is_headless() else runner.stop)

    def _watch_workers(self, active: Active) -> None:
        """Notes workers that are gone, and holds Locust's user count against the one commanded."""
        runner = self._environment.runner
        if self._master is None or not isinstance(runner, MasterRunner):
            return
        now = active.clock.now()
        gone = self._master.missing()
        rows = [Event(now, WORKER_LOST, worker) for worker in sorted(gone - active.lost)]
        rows += [Event(now, WORKER_BACK, worker) for worker in sorted(active.lost - gone)]
        active.lost = gone
        active.run.note("", rows=rows)
        if active.board is not None:
            active.board.events(rows)
        # Without rebalancing the share of a worker that is gone is meant to be missed.
        steady = runner.state == STATE_RUNNING and runner.worker_count > 0 and (self._rebalancing or not gone)
        active.mismatch = active.mismatch + 1 if steady and runner.user_count != runner.target_user_count else 0
        if active.mismatch >= MISMATCH_PATIENCE:
            active.mismatch = 0
            wanted = runner.target_user_count
            logger.warning("%d users run and %d are wanted: commanded anew", runner.user_count, wanted)
            if runner.shape_greenlet is not None:
                runner.shape_last_tick = None  # its next tick, within a second, is then a new command
            else:
                gevent.spawn(runner.start, wanted, float(max(1, wanted)))

    # -- the end -----------------------------------------------------------------------------------------------------

    def drain(self) -> None:
        """Ends arrivals and waits until what is in flight has been counted. A second caller waits for the first."""
        with self._ending:
            active = self._active
            if active is None or active.ended_at is not None:
                return
            end = max(0.0, min(active.clock.now(), active.until))
            self._write_plan(active, end)
            self._note_lost(active, end)
            active.ended_at = end
            active.why = self.why or self._why(active, end)
            active.progress.end()
            if active.board is not None:
                active.board.ending(end)
            patience = 0.0 if self._left else self._patience()
            if active.generator is not None:
                try:
                    active.generator.drain(patience)
                except KeyboardInterrupt:  # a second Ctrl-C: no more patience, but nothing is left uncounted
                    active.generator.cancel()
                self._take(active, active.generator, None)
                active.generator.close(hurry=self._left)
            elif self._master is not None:
                silent: set[str] = set()
                with contextlib.suppress(KeyboardInterrupt):
                    silent = self._master.drain(patience)
                now = active.clock.now()
                active.run.note("", rows=[Event(now, WORKER_LOST, w) for w in sorted(silent - active.lost)])

    def _note_lost(self, active: Active, end: float) -> None:
        """Locust stops the run in the turn in which it finds its last worker missing: nobody has noted that one yet."""
        lost = self._master.missing() - active.lost if self._master is not None else set()
        rows = [Event(max(0.0, end - JUST_BEFORE), WORKER_LOST, worker) for worker in sorted(lost)]
        active.lost |= lost
        active.run.note("", rows=rows)
        if active.board is not None:
            active.board.events(rows)

    def _why(self, active: Active, end: float) -> str:
        if active.schedule is not None and end >= active.schedule.duration:
            return COMPLETE
        if end >= self._run_time() - 1.5:  # Locust counts from its start, we from the next whole second
            return RUN_TIME
        if self._master is not None and self._master.workers and set(self._master.workers) <= self._master.missing():
            return ALL_LOST
        return BY_HAND

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
        active = self._active
        if self._watch is not None:
            self._watch.leave()
        if active is None or not active.over:
            return
        if active.generator is not None:
            active.generator.leave()
        elif self._master is not None:
            self._master.leave()

    def _complete(self) -> None:
        """Ends the run and completes its folder, but for what CloudWatch has not said yet."""
        with self._ending:
            self.drain()
            active, self._active = self._active, None  # what a worker ships from now on comes too late
            if active is None:
                return
            self._concluding = True  # and nothing can begin: writing lets others have a turn
            self._on_disk(active, active.run.flush)
            self.finished = active.run
            if self.exposed is not None:
                self.exposed.end()
            self.runs[active.run.run_id] = active.run
            ended = iso(active.clock.wall(active.clock.now()))
            if active.watch is not None:
                active.watch.end()
            try:
                self._conclude(
                    active,
                    last=active.watch is None,
                    ended_at=ended,
                    ended_s=active.ended_at,
                    ended=active.why,
                    started_at=iso(active.clock.started_at),
                    workers=self._master.workers if self._master is not None else [LOCAL],
                    **({"search": active.searching.as_dict()} if active.searching is not None else {}),
                )
            finally:
                self._concluding = False
            if active.watch is not None:
                self._watch = active.watch
                self._settling = gevent.spawn(self._settle, active, active.watch)

    def _settle(self, active: Active, watch: Watch) -> None:
        """Completes the folder once more, with all that CloudWatch says of the run."""
        if self._left:
            watch.leave()
        watch.settle(active.answered, active.clock.wall(active.ended_at or 0.0), lambda what: _wait(active, what))
        active.progress.end()
        self._on_disk(active, active.run.rewrite_observations, watch.observations)
        self._on_disk(active, active.run.rewrite_scaling, watch.events)
        bills = None if self._left else billing.ask(active.order.config, lambda: watch.is_hurried)
        hosted = None if watch.hosted is None else watch.hosted._asdict()
        meta = {"cloudwatch": watch.as_dict(), "scaling": watch.scaling_at_start, "endpoint": hosted}
        if bills is not None:
            meta["billing"] = bills.as_dict()
        if self._active is None:
            self._conclude(active, last=True, **meta)
        else:  # another run goes on: its arrivals must not wait for a report
            self._on_disk(active, lambda: active.run.finish(**meta))

    def _conclude(self, active: Active, *, last: bool, **meta: Any) -> None:
        """Adds to run.json, and makes what is derived from the folder; `last`: CloudWatch has said all it will."""
        try:
            active.run.finish(**meta)
            self.summary = folder.write(active.run)
            # In the web UI this is the only word of it, for a headless run the first.
            then = f"open {active.run.folder / 'report.html'}" if last else "CloudWatch's last minutes are to come"
            logger.info("%s; %s", text.verdict(self.summary), then)
            if active.board is not None:
                said = " ".join(filter(None, (wording.stopped(self.summary), wording.headline(self.summary))))
                active.board.conclude(self.summary.as_dict(), said, last=last)
        except (RunError, OSError) as e:
            self.failed = str(e)
            again = f"sm-locust summarize {active.run.folder}"
            logger.error("the run folder is not complete: %s; once that is mended, complete it by %s", e, again)
            if active.board is not None:
                active.board.broken(self.failed)


def _fault(write: Callable[..., None], what: tuple[Any, ...]) -> RunError | None:
    """What keeps the folder from being written is handed on as a value: gevent would print what a thread raises."""
    try:
        write(*what)
    except RunError as e:
        return e
    return None


def _wait(active: Active, what: str) -> None:
    """Says what is still waited for, on the terminal and in the web UI."""
    active.progress.wait(what)
    if active.board is not None:
        active.board.settling(what)


def _board(active: Active) -> Board:
    """What the page in the web UI will show of it."""
    config = active.order.config
    board = Board(
        active.run.run_id,
        active.order.speed,
        active.schedule,
        period_s=config.cloudwatch.period,
        source=subjects.known(config).source(SAGEMAKER) if active.watch is not None else "",
        limits={} if active.searching is not None else config.slo.limits(),
        meta=active.run.meta,
    )
    if active.watch is not None and active.watch.scaling_at_start is not None:
        board.scaled_by(Setting.of(active.watch.scaling_at_start))
    return board


def _is_there(order: Order, watch: Watch | None) -> None:
    """Raises ConfigError for an endpoint that nobody could invoke. One behind an API is only watched."""
    if order.invokes and watch is not None and watch.unknown:
        raise ConfigError(watch.unknown)


def _watch(order: Order) -> Watch | None:
    """Where there is an endpoint to watch."""
    target = order.config.target
    return Watch(order.config, order.speed) if target is not None and target.endpoint is not None else None
