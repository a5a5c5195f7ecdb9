"""The run that goes on: second after second it writes the plan, takes what was counted, and tells who listens.

`starting` makes it, `ending` drains and concludes it. Whatever a process counts passes `_note`, once, whether this
process made the load or a worker has shipped it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import gevent
from gevent.lock import RLock
from locust.env import Environment
from locust.runners import STATE_RUNNING, MasterRunner

from sm_locust.analysis.periods import NEVER_ARRIVED
from sm_locust.analysis.summary import Summary
from sm_locust.analysis.verdict import CLOCK_CORRECTED, CREDENTIALS_REFUSED, CUT_SHORT
from sm_locust.analysis.watched import Setting
from sm_locust.load.beside import Beside
from sm_locust.load.generator import Generator
from sm_locust.load.users import ArrivalUser
from sm_locust.plugin.board import Board
from sm_locust.plugin.commanded import Commanded
from sm_locust.plugin.encoding import encoded
from sm_locust.plugin.exposed import Exposed
from sm_locust.plugin.listener import Listener
from sm_locust.plugin.master_side import MasterSide
from sm_locust.plugin.options import is_headless
from sm_locust.plugin.order import Order
from sm_locust.plugin.progress import Progress
from sm_locust.plugin.refused import Refused
from sm_locust.plugin.searching import Searching
from sm_locust.plugin.shipped import Shipped
from sm_locust.plugin.stopping import StopWhen
from sm_locust.plugin.watch import Watch
from sm_locust.record.clock import RunClock, iso
from sm_locust.record.interval import Interval
from sm_locust.record.ledger import WORKER_BACK, WORKER_LOST, Event, Planned, Sample
from sm_locust.record.meta import PAYLOADS_FAILED, SEARCHED, STOPPED, USED_UP
from sm_locust.record.observation import Observation, ScalingEvent
from sm_locust.record.run import Run, RunError
from sm_locust.report import formats, wording
from sm_locust.schedule import Schedule

logger = logging.getLogger(__name__)

LOCAL = "local"  # the name of the only process there is
AFTER_A_SECOND = 0.03  # seconds: by then this process can take what was counted in it
WRITE_EVERY = 1.0  # seconds
JUST_BEFORE = 0.002  # seconds: what happens at the end or after it belongs to no run any more
MISMATCH_PATIENCE = 3  # seconds that Locust's user count may differ from the one commanded


@dataclass(slots=True, eq=False)
class Active:
    """One run, from its first second to its last, and what has become of it after."""

    environment: Environment
    order: Order
    run: Run
    clock: RunClock
    schedule: Schedule | None  # in real seconds
    until: float  # real seconds of the run at which arrivals end by plan
    generator: Generator | None  # None on a master
    master: MasterSide | None  # None in a process alone
    disk: Beside
    progress: Progress
    searching: Searching | None  # None where the load is planned
    stop_when: StopWhen | None  # None without a rule
    watch: Watch | None  # None where there is nothing in AWS to watch
    board: Board | None  # None without a web UI
    exposed: Exposed | None  # None where nobody may read metrics
    refused: Refused = field(default_factory=Refused)
    listeners: list[Listener] = field(init=False)
    commanded: Commanded = field(default_factory=Commanded)
    answered: int = 0  # requests that arrived, well or not
    last_answered_at: float = 0.0  # the second of the run, a real one, that the last of them was scheduled in
    lost: set[str] = field(default_factory=set)  # workers that are gone
    ended_by: str | None = None  # why somebody ends it before its time, for run.json
    ended_at: float | None = None  # real seconds of the run; None while arrivals go on
    ended: str = ""  # why they do not, as run.json has it
    is_closed: bool = False  # what is counted from now on comes too late
    summary: Summary | None = None  # once its folder is complete
    failed: str = ""  # what kept the folder from being written, in one sentence
    _planned_until: float = 0.0  # real seconds up to which the plan has been written
    _planned: float = 0.0  # arrivals planned up to then
    _users: int = 0  # commanded then
    _mismatch: int = 0  # seconds for which Locust's user count has not been the one commanded
    _taking: RLock = field(default_factory=RLock)  # by the end of the run, what was being taken has been

    def __post_init__(self) -> None:
        listeners = (self.progress, self.refused, self.searching, self.stop_when, self.board, self.exposed)
        self.listeners = [listener for listener in listeners if listener is not None]

    @property
    def over(self) -> bool:
        """Whether arrivals have ended."""
        return self.ended_at is not None

    @property
    def processes(self) -> list[str]:
        """Those that make the load."""
        return self.master.workers if self.master is not None else [LOCAL]

    def begin(self) -> None:
        """Must not yield, see LiveRun."""
        if self.exposed is not None:
            self.exposed.begin(self.order.config.slo.limits(), self.order.speed)
        if self.generator is not None:
            self.generator.on_used_up = self._on_used_up
        gevent.spawn(self._every_second)
        gevent.spawn(self._write_every_second)
        if self.watch is not None:
            self.watch.begin(self.clock, self._on_watch)

    # -- each second -------------------------------------------------------------------------------------------------

    def _every_second(self) -> None:
        second = 0
        while True:
            second += 1
            gevent.sleep(max(0.0, second + AFTER_A_SECOND - self.clock.now()))
            if self.over:
                return
            self.write_plan(float(second))
            if self.generator is not None:
                self.take(self.generator, float(second))
            elif self.master is not None:
                self.look_for_workers(self.master, self.clock.now())
                self._compare_users()
            if self.stop_when is not None:
                gevent.spawn_later(self.stop_when.delay, self._stop_if_due, self.stop_when, second)
            if self.watch is not None:
                self.progress.instances = self.watch.instances
            if self.exposed is not None:
                if self.watch is not None:
                    self.exposed.desired, self.exposed.in_service = self.watch.level
                self.exposed.tick(self.clock.now(), self.lost)
            self.progress.show(self.clock.now())
            if self.searching is not None:  # after it: what it decides now is not what was done in the second past
                self._search(self.searching)

    def write_plan(self, until: float) -> None:
        """The plan of the time since it was last written, up to `until`."""
        until = min(until, self.until)
        if until <= self._planned_until:
            return
        planned = (self.schedule or self.commanded).expected(until)
        row = Planned(self._planned_until, until, planned - self._planned, self._users)
        self._planned_until, self._planned, self._users = until, planned, self.commanded.users
        self.run.note("", rows=[row])
        for listener in self.listeners:
            listener.plan(row)

    def take(self, generator: Generator, before: float | None) -> None:
        """Moves what this process has counted to the ledger."""
        with self._taking:
            shipment = generator.shipment(before)
            sample = Sample(self.clock.now(), LOCAL, shipment.in_flight, shipment.cpu)
            intervals = encoded(shipment.intervals, at_once=self.over)
            self._note(sample, intervals, shipment.failures, shipment.clock_ahead, shipment.cut_short)

    def _search(self, searching: Searching) -> None:
        """Lets the search decide on what has come in; its shape asks it within the second."""
        steps, search = searching.advance(self.clock.now()), searching.search
        self.run.note("", rows=steps)
        if self.board is not None:
            self.board.searched(search.doing, search.rate, steps)
        self.progress.doing = f"{search.doing} {search.rate:,.4g}/s" if search.rate else search.doing
        if search.ended and self.ended_by is None:
            self.ended_by = SEARCHED
            logger.info("the search is over: %s", search.ended)

    def _write_every_second(self) -> None:
        """All that was noted in a second is one write: on a master the shipments of every worker."""
        started_at = iso(self.clock.started_at)
        self.write(lambda: self.run.finish(started_at=started_at))  # as it is, should we be killed
        while True:
            gevent.sleep(WRITE_EVERY)
            if self.is_closed:
                return
            self.write(self.run.flush)

    def write(self, write: Callable[..., None], *what: Any) -> None:
        """Writes to the folder, beside the load: no arrival waits for a disk. One that cannot be written ends it."""
        try:
            self.disk.do(write, *what)
        except RunError as e:
            if not self.failed:
                self.failed = str(e)
                logger.error("the run ends: %s", e)
                self.end("the run folder could not be written")

    # -- what it is told ---------------------------------------------------------------------------------------------

    def on_dispatch(self, users: dict[str, int]) -> None:
        """So many users of each class stand for arrivals from now on."""
        if self.over:
            return
        rate = 0.0
        for name, count in users.items():
            user_class = self.environment.user_classes_by_name[name]
            if issubclass(user_class, ArrivalUser):
                rate += count * user_class.rate_per_user(self.order.config)
        self.commanded.note(self.clock.now(), sum(users.values()), rate)

    def on_shipment(self, worker: str, data: dict[str, Any]) -> None:
        """A worker's count of the seconds past. Raises Malformed for what is none."""
        shipped = Shipped.of(worker, data, self.clock.now() if self.ended_at is None else self.ended_at)
        self._end_if_payloads_failed(worker, shipped.sample.at, shipped.payloads_failed)
        self._note(shipped.sample, shipped.intervals, shipped.failures, shipped.clock_ahead, shipped.cut_short)

    def _note(
        self,
        sample: Sample,
        intervals: list[dict[str, Any]],
        failures: list[dict[str, Any]],
        clock_ahead: float | None,
        cut_short: int,
    ) -> None:
        """Keeps what a process has counted for the ledger, and counts it in."""
        if clock_ahead is not None:  # it signs by AWS's clock from now on, since AWS has refused its own
            self.note_events([Event(sample.at, f"{CLOCK_CORRECTED}{clock_ahead:.0f}", sample.worker)])
        if cut_short:  # so many runs of a scenario were ended in a pause: no other line tells of them
            self.note_events([Event(sample.at, f"{CUT_SHORT}{cut_short}", sample.worker)])
        self.run.note(sample.worker, intervals, [sample], failures)
        for row in intervals:
            counted = Interval.decode(row, histograms=())
            never = sum(n for kind, n in counted.by_kind.items() if kind in NEVER_ARRIVED)
            arrived = counted.ok + counted.failed - never
            self.answered += arrived
            if arrived:
                self.last_answered_at = max(self.last_answered_at, counted.second)
            for listener in self.listeners:
                listener.count(counted, row, sample)
        for listener in self.listeners:
            listener.sample(sample)
        self._end_if_refused()

    def note_events(self, events: Sequence[Event]) -> None:
        self.run.note("", rows=events)
        for listener in self.listeners:
            listener.events(events)

    def _on_watch(self, observations: list[Observation], events: list[ScalingEvent]) -> None:
        """What CloudWatch and the endpoint have said since."""
        for listener in self.listeners:
            listener.observed(observations, events)
        if self.board is not None and self.watch is not None and self.watch.scaling_at_start is not None:
            self.board.scaled_by(Setting.of(self.watch.scaling_at_start))
        if observations:
            self.write(self.run.append_observations, observations)
        if events:
            self.write(self.run.append_scaling, events)

    # -- its workers -------------------------------------------------------------------------------------------------

    def look_for_workers(self, master: MasterSide, at: float) -> None:
        """Notes those that are gone, and those that are back, `at` real seconds of the run."""
        gone = master.missing()
        rows = [Event(at, WORKER_LOST, worker) for worker in sorted(gone - self.lost)]
        rows += [Event(at, WORKER_BACK, worker) for worker in sorted(self.lost - gone)]
        self.lost = gone
        self.note_events(rows)

    def _compare_users(self) -> None:
        """Holds Locust's user count against the one commanded."""
        runner = self.environment.runner
        if not isinstance(runner, MasterRunner):
            return
        # Without rebalancing the share of a worker that is gone is meant to be missed.
        meant = not self.lost or runner.rebalancing_enabled()
        steady = runner.state == STATE_RUNNING and runner.worker_count > 0 and meant
        self._mismatch = self._mismatch + 1 if steady and runner.user_count != runner.target_user_count else 0
        if self._mismatch >= MISMATCH_PATIENCE:
            self._mismatch = 0
            wanted = runner.target_user_count
            logger.warning("%d users run and %d are wanted: commanded anew", runner.user_count, wanted)
            if runner.shape_greenlet is not None:
                runner.shape_last_tick = None  # its next tick, within a second, is then a new command
            else:
                gevent.spawn(runner.start, wanted, float(max(1, wanted)))

    # -- what ends it before its time --------------------------------------------------------------------------------

    def end(self, why: str) -> None:
        """Ends the arrivals before their time."""
        if not self.over:
            self.ended_by = why
            end_load(self.environment)

    @property
    def _may_go_on(self) -> bool:
        """Whether nobody ends it yet."""
        return not self.over and self.ended_by is None

    def _end_if_refused(self) -> None:
        """Load that a process's credentials do not let in measures nothing."""
        if not self._may_go_on:
            return
        found = self.refused.refusals()
        if not found:
            return
        for refusal in found:
            logger.error(
                "the run ends: the credentials of process %s have been refused (%s) since %.0f s after the start",
                refusal.process,
                refusal.kind,
                refusal.since,
            )
        self.note_events([Event(r.since, CREDENTIALS_REFUSED + r.kind, r.process) for r in found])
        self.end("credentials were refused")

    def _stop_if_due(self, stop_when: StopWhen, second: int) -> None:
        """Ends the run once a rule of `stop_when` has held."""
        tripped = stop_when.judge(second) if self._may_go_on else None
        if tripped is not None:
            self.run.meta["stopped"] = tripped.as_dict()
            self.end(STOPPED)
            logger.warning("the run ends: %s", wording.tripped(tripped.as_dict()))

    def _on_used_up(self, at: float, failed: str) -> None:
        """The plan goes as far as the payloads did."""
        self.until = min(self.until, at)
        self._end_if_payloads_failed(LOCAL, at, failed)
        if self.ended_by is None:
            logger.info("the run ends: all payloads have been sent")
            self.end(USED_UP)

    def _end_if_payloads_failed(self, process: str, at: float, failed: str) -> None:
        """What a process was to send cannot be had any more: the rest of the plan would miss its share."""
        if not failed:
            return
        self.note_events([Event(max(0.0, at - JUST_BEFORE), PAYLOADS_FAILED + failed, process)])
        if self.ended_by is None:
            said = formats.printable(failed)
            logger.error("the run ends: the payloads of process %s failed: %s", process, said)
            self.end(PAYLOADS_FAILED + failed)


def end_load(environment: Environment) -> None:
    """Has Locust end what it does, once this turn is over."""
    runner = environment.runner
    if runner is not None:
        gevent.spawn(runner.quit if is_headless(environment) else runner.stop)
