"""One a process: brings pacer, senders, invokers and recorder together for one run.

It knows which arrivals are in flight, so it decides which are dropped, waits for them at the end and cancels what has
waited too long. It knows nothing of masters, workers or files: what it counted is taken from it (`shipment`).
"""

from __future__ import annotations

import contextlib
import inspect
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import gevent
from gevent import Greenlet, GreenletExit, getcurrent
from locust.env import Environment
from locust.exception import InterruptTaskSet, RescheduleTask, RescheduleTaskImmediately, StopUser

from sm_locust.aws.runtime import Runtime
from sm_locust.config import ConfigError, RunConfig
from sm_locust.feeders import Feeder, Supply, UsedUp, chance, supply
from sm_locust.load.arrival import Arrival
from sm_locust.load.http import Connections
from sm_locust.load.invoker import Invoker, classify
from sm_locust.load.invoker_users import InvokerUser
from sm_locust.load.pacer import Pacer, even, poisson
from sm_locust.load.player import Player, ScenarioUser
from sm_locust.load.sender import Sender
from sm_locust.load.signers import Signers
from sm_locust.load.sigv4 import Signer
from sm_locust.load.users import ArrivalUser
from sm_locust.payloads import Payload
from sm_locust.record.clock import RunClock
from sm_locust.record.interval import Interval
from sm_locust.record.outcome import CANCELLED, CONNECT, OK, RESET, TASK_ERROR, TIMEOUT, Outcome
from sm_locust.record.recorder import Recorder
from sm_locust.tables import Table

logger = logging.getLogger(__name__)

MAX_IN_FLIGHT = "max_in_flight"  # why arrivals are dropped
ISOLATED = "isolated"

CPU_SAMPLE = 5.0  # seconds
_KILL_PATIENCE = 1.0
_STOP_PATIENCE = 10.0  # seconds for the on_stop of all users, which run beside each other
_LOOK = 0.01  # how often the drain looks whether all have landed

_QUIET_ENDS = (StopUser, InterruptTaskSet, RescheduleTask, RescheduleTaskImmediately)


@dataclass(slots=True)
class Shipment:
    """What a process has counted since it was asked last.

    clock_ahead  seconds that AWS's clock was found to be ahead of this machine's, said once; None where it was not
    payloads_failed  what a feeder's source raised, which ended this process's arrivals, said once; empty otherwise
    cut_short    runs of a scenario that were ended in a pause, of which no count tells
    """

    intervals: list[Interval]
    failures: list[dict[str, Any]]
    in_flight: int
    cpu: float | None
    clock_ahead: float | None = None
    payloads_failed: str = ""
    cut_short: int = 0


class Generator:
    """The load of one run in this process.

    until   real seconds of the run at which arrivals end (infinity without a schedule)
    index   this process's number among its like, from 0: they neither fire in step nor start at the same payload
    tables  of the configuration's feeds, in their order
    """

    def __init__(
        self,
        environment: Environment,
        config: RunConfig,
        clock: RunClock,
        payloads: tuple[Payload, ...],
        *,
        until: float = math.inf,
        boundaries: tuple[float, ...] = (),
        index: int = 0,
        tables: tuple[Table, ...] = (),
    ) -> None:
        self.environment = environment
        self.config = config
        self.now: Callable[[], float] = clock.now
        self.recorder = Recorder(boundaries)
        self.fire_request = environment.events.request.fire
        self.paused: str | None = None  # why arrivals are dropped just now

        arrivals = config.arrivals
        seed = arrivals.seed
        self._max_in_flight = arrivals.max_in_flight
        self._pacer: Pacer[type[ArrivalUser]] = Pacer(
            clock.now,
            self._arrive,
            (lambda n: poisson(None if seed is None else seed + 1009 * index + n))
            if arrivals.spacing == "poisson"
            else (lambda n: even()),
            until,
            index,
        )
        self.users: dict[type[ArrivalUser], int] = {}
        self._senders: list[Sender] = []
        self._idle: dict[type[ArrivalUser], list[Sender]] = {}
        self._invokers: dict[type[InvokerUser], Invoker] = {}
        self._index, self._tables = index, tables
        self._chance = chance(seed, index, "tasks")
        self._supplies: dict[Feeder | None, Supply] = {
            None: supply(payloads, config.request.order, seed=seed, index=index)
        }
        self.on_used_up: Callable[[float, str], None] | None = None  # told when, and what failed, once nothing is left
        self._payloads_failed = ""  # yet to be shipped
        self._flying: dict[Greenlet, Arrival[ArrivalUser]] = {}
        self._cut_short = 0  # runs of a scenario that were ended in a pause
        self._hub = gevent.get_hub()
        self._connections: dict[str, Connections] = {}
        self._signers = Signers(config, clock.wall(until))
        self._clock_said = False
        self._cpu_at: tuple[float, float] | None = None
        self._said: set[object] = set()  # of what tasks raised
        self._is_stopped = self._is_closed = False
        self._leaving: list[Greenlet] = []  # what runs on_stop

        environment.events.request.add_listener(self._on_request)

    # -- what users need ---------------------------------------------------------------------------------------------

    def add_user(self, user_class: type[ArrivalUser], n: int) -> None:
        """`n` more users of a class (fewer, when negative) stand for arrivals from now on."""
        count = self.users[user_class] = self.users.get(user_class, 0) + n
        self._pacer.set_rate(user_class, count * user_class.rate_per_user(self.config))

    def payloads_of(self, user_class: type[InvokerUser]) -> Callable[[], Payload]:
        """What gives the next payload of a class. Raises ConfigError when its feeder has none."""
        feeder = user_class.payloads
        if feeder is not None and feeder not in self._supplies:
            try:
                found = feeder.supply(self.config.arrivals.seed, self._index)
            except Exception as e:  # a function of the user's may raise anything
                why = str(e) if isinstance(e, ConfigError) else f"{type(e).__name__}: {e}"
                raise ConfigError(f"{user_class.__name__}.payloads: {why}") from None
            if found.used_up:
                raise ConfigError(f"{user_class.__name__}.payloads: {feeder.payloads!r:.60} has nothing left to send")
            self._supplies[feeder] = found
        return self._taking(self._supplies[feeder])

    def _taking(self, given: Supply) -> Callable[[], Payload]:
        if not given.ends:
            return given.next

        def take() -> Payload:
            try:
                return given.next()
            finally:  # a source that fails leaves nothing to send either
                if given.used_up and not self._is_stopped:
                    self._is_stopped, at = True, self._pacer.end()
                    self._payloads_failed = given.failed
                    if self.on_used_up is not None:
                        self.on_used_up(at, given.failed)

        return take

    def invoker(self, user_class: type[InvokerUser]) -> Invoker:
        invoker = self._invokers.get(user_class)
        if invoker is None:
            invoker = self._invokers[user_class] = user_class.make_invoker(self)
        return invoker

    def connections(self, url: str, ca_bundle: str | None, proxy: str | None) -> Connections:
        """The connections of this process to one origin, kept alive and shared by all that invoke it."""
        if url not in self._connections:
            self._connections[url] = Connections(url, ca_bundle=ca_bundle, proxy=proxy)
        return self._connections[url]

    @property
    def runtime(self) -> Runtime:
        """Where InvokeEndpoint goes and whose keys sign it. Raises ConfigError when either cannot be found."""
        return self._signers.runtime

    def signer(self, service: str) -> Signer:
        """The signer for an AWS service."""
        return self._signers.signer(service)

    @cached_property
    def player(self) -> Player:
        """What plays the scenarios. Raises ConfigError for an environment variable that is missing here."""
        return Player(self, self._tables, self._index)

    # -- arrivals ----------------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Does before the first arrival what would make it late, or the last ones: invokers, credentials, payloads."""
        for user_class in self.environment.user_classes:
            if issubclass(user_class, InvokerUser):
                self.payloads_of(user_class)
                self.invoker(user_class)
            if issubclass(user_class, ScenarioUser):
                self.player  # noqa: B018  # made now
        # Locust's stop() looks up who called it while arrivals are still due. The first look of a process at its stack
        # goes through all of its modules: up to 90 ms, in which nothing would leave.
        inspect.stack()

    @property
    def in_flight(self) -> int:
        """Arrivals under way, those too that are in a pause between two requests."""
        return len(self._flying)

    def further(self, arrival: Arrival[Any], scheduled_at: float) -> None:
        """Another request of an arrival is sent now, after those before it have been recorded."""
        arrival.renew(scheduled_at)
        self.recorder.further(scheduled_at)

    def ended(self, arrival: Arrival[Any], outcome: Outcome) -> None:
        """Records a request of an arrival that may have others."""
        arrival.outcome, arrival.owed = outcome, False
        _less_preparation(arrival, outcome)
        self.recorder.record(outcome)

    def pause_until(self, arrival: Arrival[Any], at: float) -> None:
        """Lets a run of a scenario wait, in real seconds whatever the speed."""
        arrival.in_pause = True
        gevent.sleep(max(0.0, at - self.now()))
        arrival.in_pause = False

    def _arrive(self, user_class: type[ArrivalUser], scheduled_at: float) -> None:
        if self.paused is not None:
            self.recorder.dropped(scheduled_at, self.paused)
        elif len(self._flying) >= self._max_in_flight:
            self.recorder.dropped(scheduled_at, MAX_IN_FLIGHT)
        else:
            self.recorder.arrived(scheduled_at)
            idle = self._idle.get(user_class)
            if idle is None:
                idle = self._idle[user_class] = []
            if idle:
                sender = idle.pop()
            else:
                sender = Sender(user_class, self.environment, self._fly, idle)
                self._senders.append(sender)
            arrival = Arrival(user_class, scheduled_at, self.now)
            self._flying[sender] = arrival
            sender.begin(arrival, in_the_loop=getcurrent() is self._hub)

    def _fly(self, sender: Sender) -> bool:
        """Runs a sender's arrival; says whether it may take another one."""
        arrival = self._flying[sender]
        task: Any = None
        user: ArrivalUser | None = None
        try:
            arrival.started_at = self.now()
            user = sender.user
            if user is None:
                user = sender.ready_user()
                arrival.prepared = self.now() - arrival.started_at
            tasks: list[Any] = user.tasks
            task = tasks[0] if len(tasks) == 1 else self._chance.choice(tasks)
            user.arrival = arrival
            task(user)
        except GreenletExit:
            self._end_generic(arrival, task, CANCELLED, "still in flight when the run's patience ended")
            return False
        except _QUIET_ENDS as e:
            if user is None:  # nobody is there to run the task
                self._end_generic(arrival, task, TASK_ERROR, f"on_start ended with {type(e).__name__}", e)
        except UsedUp as e:
            self._end_generic(arrival, task, CANCELLED, str(e))
        except gevent.Timeout as expired:  # not an Exception: the task's own limit on what it does
            self._end_generic(arrival, task, TIMEOUT, f"the task's own limit ended it: {expired}")
        except Exception as e:
            self._end_generic(arrival, task, TASK_ERROR, f"{type(e).__name__}: {e}", e)
            self._say_once(e)
            self.environment.events.user_error.fire(user_instance=user, exception=e, tb=e.__traceback__)
        finally:
            if user is not None:
                user.arrival = None
            self._landed(sender, arrival, task)
        return True

    def _say_once(self, error: Exception) -> None:
        """Logs the traceback of what a task raised; of a kind from one line of code, only the first one's."""
        at, frame = None, error.__traceback__
        while frame is not None:
            at, frame = (frame.tb_frame.f_code, frame.tb_lineno), frame.tb_next
        if (kind := (type(error), at)) not in self._said:
            self._said.add(kind)
            logger.error("a task raised, which is said once:", exc_info=error)

    def _end_generic(
        self, arrival: Arrival[ArrivalUser], task: Any, kind: str, message: str, exception: Exception | None = None
    ) -> None:
        """The task ended without an answer of its own: the arrival ends as `kind`, and Locust is told."""
        if arrival.outcome is not None and arrival.outcome.kind == kind:
            return  # the invoker has said so already
        if not arrival.owed:
            if kind == CANCELLED:  # in a pause: no request of it was under way
                self._cut_short += 1
                return
            if kind == TIMEOUT and arrival.in_pause:  # the task wanted it so, and no request of it was under way
                return
            self.further(arrival, self.now())
        now = self.now()
        name = getattr(task, "__name__", arrival.user_class.__name__)
        started_at = now if arrival.started_at is None else arrival.started_at
        outcome = Outcome(name, arrival.scheduled_at, started_at, None, now, kind, message=message[:300])
        self.fire_request(
            request_type="arrival",
            name=name,
            response_time=outcome.latency * 1e3,
            response_length=0,
            exception=exception or RuntimeError(kind),
            context={},
            outcome=outcome,
        )
        arrival.answered(outcome)

    def _landed(self, greenlet: Greenlet, arrival: Arrival[ArrivalUser], task: Any) -> None:
        """Records the arrival's Outcome, or that of its last request where those before have been recorded."""
        if self._flying.pop(greenlet, None) is None or not arrival.owed:
            return
        outcome = arrival.outcome
        if outcome is None:  # a task without a request is measured as a whole
            started_at = arrival.scheduled_at if arrival.started_at is None else arrival.started_at
            name = getattr(task, "__name__", arrival.user_class.__name__)
            outcome = Outcome(name, arrival.scheduled_at, started_at, None, self.now())
        _less_preparation(arrival, outcome)
        self.recorder.record(outcome)

    def _on_request(
        self,
        *,
        name: str,
        response_time: float,
        response_length: int,
        exception: BaseException | None = None,
        response: Any = None,
        **kwargs: Any,
    ) -> None:
        """Locust's `request` event: gives the arrival that is running its Outcome, whichever client sent it."""
        if "outcome" in kwargs:  # one of ours, which the arrival has been given already
            return
        sender = getcurrent()
        arrival = self._flying.get(sender)
        if arrival is None or sender.user is None:  # what on_start sends is no arrival, and no part of one
            return
        now = self.now()
        status = int(getattr(response, "status_code", 0) or 0)
        scheduled_at = arrival.claim()
        if not arrival.owed:  # after a run of a scenario
            scheduled_at = now - (response_time or 0.0) / 1e3
            self.further(arrival, scheduled_at)
        arrival.answered(
            Outcome(
                name,
                scheduled_at,
                max(arrival.scheduled_at, now - (response_time or 0.0) / 1e3),
                None,
                now,
                OK if exception is None else _kind_of(exception, status),
                status,
                int(response_length or 0),
                message="" if exception is None else str(exception)[:300],
            )
        )

    # -- the end -----------------------------------------------------------------------------------------------------

    def stop_arrivals(self) -> None:
        """No arrival is due after this moment, whatever users there are."""
        self._is_stopped = True
        self._pacer.stop()

    @property
    def is_stopped(self) -> bool:
        """Whether arrivals have been stopped."""
        return self._is_stopped

    def drain(self, patience: float) -> None:
        """Stops arrivals, waits up to `patience` seconds for what is in flight, cancels the rest.

        Safe to call from a task, which a run that is ended by one does: its own arrival has then ended.
        """
        self.stop_arrivals()
        if getcurrent() in self._flying:
            self._landed(getcurrent(), self._flying[getcurrent()], None)
        deadline = time.monotonic() + patience
        while self._flying and (left := deadline - time.monotonic()) > 0:
            gevent.sleep(min(left, _LOOK))
        self.cancel()

    def cancel(self) -> None:
        """Ends what is in flight now, each as an Outcome of its own."""
        late, before = dict(self._flying), self._cut_short
        with contextlib.suppress(gevent.Timeout):  # a task that holds on to its life is counted without its consent
            gevent.killall(list(late), block=True, timeout=_KILL_PATIENCE)
        for greenlet, arrival in late.items():
            if greenlet in self._flying:  # it never had a turn, or its task would not end
                self._end_generic(arrival, None, CANCELLED, "still in flight when the run's patience ended")
                self._landed(greenlet, arrival, None)
        if self._cut_short > before:
            logger.warning(
                "%d runs of a scenario were in a pause when the run's patience ended, and what they had yet to "
                "send was not sent; --stop-timeout gives them longer",
                self._cut_short - before,
            )

    def close(self, *, hurry: bool = False) -> None:
        """Lets go of connections and users; the generator is of no use after. Idempotent.

        Waits for the `on_stop` of all users: ten seconds at most, or a second with `hurry`, and not after `leave`.
        """
        if self._is_closed:
            return
        self._is_closed = True
        self.environment.events.request.remove_listener(self._on_request)
        self._signers.close()
        leaving = [sender.leave() for sender in self._senders]
        self._leaving = [greenlet for greenlet in leaving if greenlet is not None]
        try:
            gevent.joinall(self._leaving, timeout=_KILL_PATIENCE if hurry else _STOP_PATIENCE)
        finally:
            gevent.killall(self._leaving, block=False)
            for connections in self._connections.values():
                connections.close()

    def leave(self) -> None:
        """Has whoever drains or closes it wait no longer: what is in flight is cancelled, and each on_stop is ended."""
        self.cancel()
        gevent.killall(self._leaving, block=False)

    def shipment(self, before: float | None = None) -> Shipment:
        """Takes what was counted for seconds that began before `before` (everything by default)."""
        ahead = None if self._clock_said else self._signers.clock.corrected_by
        self._clock_said = self._signers.clock.corrected_by is not None
        failed, self._payloads_failed = self._payloads_failed, ""
        cut_short, self._cut_short = self._cut_short, 0
        return Shipment(
            self.recorder.take(before),
            self.recorder.take_failures(),
            self.in_flight,
            self._cpu_sample(),
            ahead,
            payloads_failed=failed,
            cut_short=cut_short,
        )

    def _cpu_sample(self) -> float | None:
        """This process's share of one core over the last CPU_SAMPLE seconds, once in that time.

        The first begins when it is asked for, a second into the run: the wait for the start is not part of it.
        """
        now, used = time.monotonic(), time.process_time()
        if self._cpu_at is None:
            self._cpu_at = (now, used)
        then, used_then = self._cpu_at
        if now - then < CPU_SAMPLE:
            return None
        self._cpu_at = (now, used)
        return round((used - used_then) / (now - then), 4)


def _less_preparation(arrival: Arrival[Any], outcome: Outcome) -> None:
    """What `on_start` took made the first request of an arrival late, and none after it."""
    if arrival.prepared:
        outcome.prepared = min(arrival.prepared, outcome.started_at - outcome.scheduled_at)
        arrival.prepared = 0.0


def _kind_of(exception: BaseException, status: int) -> str:
    """The kind of a failure that another client reports through Locust's `request` event."""
    if status:
        return classify(status, "")
    if isinstance(exception, TimeoutError) or "Timeout" in type(exception).__name__:
        return TIMEOUT
    if isinstance(exception, ConnectionResetError):
        return RESET
    if isinstance(exception, OSError):
        return CONNECT
    return classify(0, "")
