"""What master and workers say to each other: the order of a run, what was counted, the drain at its end.

A shipment carries the worker and a sequence number and is repeated until the master has acknowledged it, so nothing is
counted twice or lost by a broken connection. Clocks are compared beside it. Both sides are here, message by message;
what the master does with a shipment is LiveRun's business.
"""

from __future__ import annotations

import functools
import logging
import math
import time
from collections import defaultdict
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import gevent
from gevent.lock import RLock
from locust import argument_parser
from locust.env import Environment
from locust.rpc import Message
from locust.runners import STATE_MISSING, MasterRunner, WorkerRunner

from sm_locust.aws.runtime import warm
from sm_locust.config import ConfigError, RunConfig
from sm_locust.load.descriptors import ask_for_descriptors
from sm_locust.load.generator import ISOLATED, Generator
from sm_locust.load.invoker_users import ApiGatewayUser, InvokeEndpointUser
from sm_locust.load.waiting import Waiting
from sm_locust.plugin.encoding import encoded
from sm_locust.plugin.order import received_payloads, received_tables
from sm_locust.plugin.shipped import Malformed, field, number
from sm_locust.record.clock import ClockOffset, RunClock
from sm_locust.report.formats import printable

logger = logging.getLogger(__name__)

# Locust hands a message to the listener of its type.
HELLO = "sm_hello"  # worker → master: version; its handlers are registered; Locust itself connects earlier
REFUSED = "sm_refused"  # master → worker: version of the master, which is another one; it ends
RUN = "sm_run"  # master → worker: run_id, the order, when it started on the master's clocks, this worker's index
CANNOT = "sm_cannot"  # worker → master: problem; it drops its share, and says why where somebody looks
SHIP = "sm_ship"  # worker → master: run_id, seq, and what a Shipment has, with its time (`at`)
ACK = "sm_ack"  # master → worker: run_id, seq
CLOCK = "sm_clock"  # worker → master: sent, version; and back: sent, theirs
AGAIN = "sm_again"  # worker → master, and back once it counts with the worker: run_id, which time it could not be heard
DRAIN = "sm_drain"  # master → worker: run_id, patience
DRAINED = "sm_drained"  # worker → master: run_id

SHIP_EVERY = 1.0  # seconds
REPEAT_AFTER = 3.0
ACK_PATIENCE = 5.0  # for the last shipments of a run
ISOLATED_AFTER = 3.0  # seconds without a heartbeat of the master
ASK_EVERY = 0.5  # seconds, whether it may go on
NOT_READY = "not_ready"
OTHER_VERSION = 2  # exit code
VERSION = version("sm-locust")


class WorkerSide:
    """A worker: makes the load that the master ordered and ships what it counted."""

    def __init__(self, environment: Environment, runner: WorkerRunner) -> None:
        self._environment = environment
        self._runner = runner
        self._patience, self._hurries = 0.0, False
        self._run_id = ""
        self._comparing = self._offset = ClockOffset()
        self._unacknowledged: dict[int, tuple[float, dict[str, Any]]] = {}
        self._seq = 0
        self._heartbeat_at = time.monotonic()
        self._isolations = 0
        self._shipping = RLock()  # encoding lets others have a turn: shipments leave one after the other
        self._draining = RLock()
        self._drained = True

        # With each spawn message, one a second in a ramp, Locust builds its argument parser once for every option it is
        # sent: 45 ms in which no arrival leaves. What it builds never changes.
        argument_parser.default_args_dict = functools.cache(argument_parser.default_args_dict)

        runner.register_message(RUN, self._on_run)
        runner.register_message(ACK, self._on_ack)
        runner.register_message(CLOCK, self._on_clock)
        runner.register_message(AGAIN, self._on_again)
        runner.register_message(DRAIN, self._on_drain, concurrent=True)
        runner.register_message(REFUSED, self._on_refused, concurrent=True)
        events = environment.events
        events.heartbeat_received.add_listener(self._on_heartbeat)
        events.quitting.add_listener(self._on_quitting)
        if any(issubclass(c, (InvokeEndpointUser, ApiGatewayUser)) for c in environment.user_classes):
            gevent.spawn(warm)
        gevent.spawn(self._compare_clocks)
        gevent.spawn(self._watch)
        environment.generator = Waiting()  # type: ignore[attr-defined]
        self._send(HELLO, {"version": VERSION})

    # -- the master's messages ---------------------------------------------------------------------------------------

    def _on_run(self, msg: Any, **_: Any) -> None:
        if msg.data["run_id"] != self._run_id:
            self._begin(msg.data, received=time.monotonic())

    def _on_ack(self, msg: Any, **_: Any) -> None:
        if msg.data["run_id"] == self._run_id:
            self._unacknowledged.pop(msg.data["seq"], None)

    def _on_clock(self, msg: Any, **_: Any) -> None:
        self._comparing.observe(msg.data["sent"], msg.data["theirs"], time.monotonic())

    def _on_drain(self, msg: Any, **_: Any) -> None:
        if msg.data["run_id"] == self._run_id:
            if not msg.data["patience"]:
                self.leave()
            self._drain(msg.data["patience"])
        self._send(DRAINED, {"run_id": msg.data["run_id"]})

    def _on_again(self, msg: Any, **_: Any) -> None:
        generator, asked = self._generator, (msg.data["run_id"], msg.data["isolation"])
        if generator is not None and generator.paused == ISOLATED and asked == (self._run_id, self._isolations):
            generator.paused = None

    def _on_refused(self, msg: Any, **_: Any) -> None:
        ours, theirs = VERSION, msg.data["version"]
        logger.error("this worker has sm_locust %s, and its master %s: it ends", ours, theirs)
        self._environment.process_exit_code = OTHER_VERSION
        self._runner.quit()

    def _on_heartbeat(self, **_: Any) -> None:
        self._heartbeat_at = time.monotonic()

    def _compare_clocks(self) -> None:
        """Bursts between runs, each begun anew: the best exchange of long ago knows nothing of a drift since."""
        while True:
            if self._drained:
                self._comparing = ClockOffset()
                for _ in range(5):
                    self._send(CLOCK, {"sent": time.monotonic(), "version": VERSION})
                    gevent.sleep(0.05)
                if self._comparing.offset is not None:
                    self._offset = self._comparing
            gevent.sleep(5.0)

    # -- the run -----------------------------------------------------------------------------------------------------

    @property
    def _generator(self) -> Generator | None:
        generator = getattr(self._environment, "generator", None)
        return generator if isinstance(generator, Generator) else None

    def _begin(self, order: dict[str, Any], received: float) -> None:
        """Makes this run's generator. Its order comes ahead of Locust's spawn message, or after it to a late worker."""
        self._run_id, self._patience, self._hurries = order["run_id"], order["patience"], False
        before = self._environment.generator  # type: ignore[attr-defined]
        if isinstance(before, Generator) and not self._drained:
            # It was not heard when its run was to end, and nobody counts any more what it sends.
            before.stop_arrivals()
            before.cancel()
            before.close()
        self._seq, self._unacknowledged, self._drained = 0, {}, True  # until there is a generator that can be drained
        # Without a measured offset the message's own way is the best that is known.
        offset = self._offset.offset
        if offset is None:
            offset = order["sent"] - received
        clock = RunClock(order["origin"] - offset, order["started_at"], order["speed"])
        config, problem = RunConfig.from_dict(order["config"]), ""
        try:
            payloads, tables = received_payloads(order, config), received_tables(order, config)
        except ConfigError as e:
            payloads, tables, problem = (), (), str(e)
        generator = Generator(
            self._environment,
            config,
            clock,
            payloads,
            until=math.inf if order["until"] is None else order["until"],
            boundaries=tuple(order["boundaries"]),
            index=order["index"],
            tables=tables,
        )
        warning = ask_for_descriptors(config.arrivals.max_in_flight)
        if warning:
            logger.warning(warning)
        try:
            generator.prepare()
        except ConfigError as e:
            problem = problem or str(e)
        if problem:
            logger.error("this worker cannot send: %s", problem)
            generator.paused = NOT_READY
            self._send(CANNOT, {"problem": problem})
        self._environment.generator = generator  # type: ignore[attr-defined]
        # What took long was in the turn in which heartbeats are heard.
        self._drained, self._heartbeat_at = False, time.monotonic()
        for user_class, count in before.users.items():  # Locust's, who came early or have stayed
            generator.add_user(user_class, count)
        gevent.spawn(self._ship_while_running, self._run_id, generator)

    def _watch(self) -> None:
        """Pauses arrivals while the master cannot be heard: it may have given this worker's share to others.

        A heartbeat does not end that, since it may have been on its way for as long as the network was gone: the master
        says so, once it counts with this worker again and has told all of them what their shares are now.
        """
        asked_at = -math.inf
        while True:
            gevent.sleep(0.25)
            generator, now = self._generator, time.monotonic()
            if generator is None or self._drained or generator.paused == NOT_READY:
                continue
            if now - self._heartbeat_at > ISOLATED_AFTER and generator.paused is None:
                generator.paused = ISOLATED
                self._isolations += 1
                logger.warning("the master cannot be heard: this worker sends nothing until it can")
            if generator.paused == ISOLATED and not generator.is_stopped and now - asked_at > ASK_EVERY:
                asked_at = now
                self._send(AGAIN, {"run_id": self._run_id, "isolation": self._isolations})

    def _ship_while_running(self, run_id: str, generator: Generator) -> None:
        while run_id == self._run_id and not self._drained:
            now = generator.now()
            gevent.sleep(math.floor(now / SHIP_EVERY + 1) * SHIP_EVERY - now + 0.02)
            if not self._drained:
                self._ship(generator, math.floor(generator.now()))
                self._repeat()

    def _ship(self, generator: Generator, before: float | None = None) -> None:
        with self._shipping:
            run_id, at, shipment = self._run_id, generator.now(), generator.shipment(before)
            intervals = encoded(shipment.intervals, at_once=self._drained)
            if run_id != self._run_id:
                return  # another run has been ordered meanwhile, and the master has forgotten this one
            self._seq += 1
            data = {
                "run_id": run_id,
                "seq": self._seq,
                "intervals": intervals,
                "failures": shipment.failures,
                "in_flight": shipment.in_flight,
                "cpu": shipment.cpu,
                "at": at,
                "clock_ahead": shipment.clock_ahead,
                "payloads_failed": shipment.payloads_failed,
                "cut_short": shipment.cut_short,
            }
            self._unacknowledged[self._seq] = (time.monotonic(), data)
            self._send(SHIP, data)

    def _repeat(self) -> None:
        now = time.monotonic()
        for seq, (sent_at, data) in list(self._unacknowledged.items()):
            if now - sent_at >= REPEAT_AFTER:
                self._unacknowledged[seq] = (now, data)
                self._send(SHIP, data)

    def _send(self, message: str, data: dict[str, Any]) -> None:
        try:
            self._runner.send_message(message, data)
        except Exception as e:  # Locust's RPCError; shipments are repeated, the rest is asked for again
            logger.debug("%s could not be sent: %s", message, e)

    # -- the end -----------------------------------------------------------------------------------------------------

    def _drain(self, patience: float) -> None:
        with self._draining:
            generator, run_id = self._generator, self._run_id
            if self._drained or generator is None:
                return
            try:
                generator.drain(patience)
            except KeyboardInterrupt:
                generator.cancel()
            if run_id != self._run_id:
                return  # another run has been ordered meanwhile, which has closed this one
            self._drained = True
            self._ship(generator)
            deadline = time.monotonic() + ACK_PATIENCE
            while self._unacknowledged and time.monotonic() < deadline:
                gevent.sleep(0.05)
                self._repeat()
            generator.close(hurry=self._hurries)
            # Locust's own statistics would otherwise miss what ended since its last report.
            self._runner._send_stats()

    def leave(self) -> None:
        """Does not wait any longer for what is in flight, if it drains."""
        self._patience, self._hurries = 0.0, True
        generator = self._generator
        if generator is not None and generator.is_stopped:
            generator.leave()

    def _on_quitting(self, **_: Any) -> None:
        """Ctrl-C reaches every process of a terminal: a worker then drains without being asked."""
        self._drain(self._patience)
        if self._run_id:  # one whose generator is still being made has nothing to drain, and is not lost
            self._send(DRAINED, {"run_id": self._run_id})


class Seen:
    """Which shipments of one worker have come: nearly in order, so a few numbers say it, however many they are."""

    def __init__(self) -> None:
        self._up_to = 0
        self._at = -math.inf  # of those
        self._beyond: dict[int, float] = {}

    def add(self, seq: int, at: float) -> bool:
        """Says whether it is the first of its number, from 1. Raises Malformed for a moment that was told of before."""
        if seq <= self._up_to or seq in self._beyond:
            return False
        if at <= self._at or at in self._beyond.values():
            raise Malformed(f"at {at:g} is that of one before")
        self._beyond[seq] = at
        while self._up_to + 1 in self._beyond:
            self._up_to += 1
            self._at = max(self._at, self._beyond.pop(self._up_to))
        return True


class MasterSide:
    """The master: orders a run, acknowledges what workers ship, drains them at the end.

    received  called with (worker, shipment) for each shipment that was not seen before; may raise Malformed
    """

    def __init__(self, runner: MasterRunner, received: Callable[[str, dict[str, Any]], None]) -> None:
        self._runner = runner
        self._received = received
        self._order: dict[str, Any] | None = None
        self._seen: defaultdict[str, Seen] = defaultdict(Seen)
        self._drained: set[str] = set()
        self._ready: set[str] = set()  # workers that have said that they are, and of which version
        self._refused: set[str] = set()
        self._complained: set[tuple[str, str]] = set()  # worker and type of a message that was passed over
        self._patience: float | None = None  # of the drain, from its beginning to the next start
        self._leaves = False
        self.workers: list[str] = []  # that were sent this run's order, in turn

        self._listen(HELLO, self._on_hello)
        self._listen(CANNOT, self._on_cannot)
        self._listen(SHIP, self._on_ship)
        self._listen(CLOCK, self._on_clock)
        self._listen(AGAIN, self._on_again)
        self._listen(DRAINED, self._on_drained)
        runner.environment.events.worker_connect.add_listener(self._on_worker_connect)

    def _listen(self, what: str, listener: Callable[[Any], None]) -> None:
        """Whoever reaches the port can send anything: what none of ours has sent is a sentence, once, and no more."""

        def hear(msg: Any, **_: Any) -> None:
            try:
                if not isinstance(msg.node_id, str) or not msg.node_id.isprintable() or not isinstance(msg.data, dict):
                    raise Malformed("it is from nobody, or holds no mapping")
                listener(msg)
            except Malformed as e:
                worker = printable(msg.node_id)[:60]
                if (worker, what) not in self._complained:
                    self._complained.add((worker, what))
                    logger.error("a message %s of worker %s is passed over: %s", what, worker, printable(e))

        self._runner.register_message(what, hear)

    @property
    def _run_id(self) -> str:
        return str(self._order["run_id"]) if self._order else ""

    def start(self, order: dict[str, Any]) -> None:
        """Sends the order to every worker; called from `test_start`, ahead of the spawn messages."""
        self._order, self._drained, self.workers, self._leaves = order, set(), [], False
        self._patience = None
        self._seen.clear()
        for worker in list(self._runner.clients):
            if worker in self._ready:
                self._send_order(worker)
        silent = [worker for worker in self._runner.clients if worker not in self._ready]
        if silent:
            logger.warning("sent no order yet, since they have not said that they are ready: %s", ", ".join(silent))

    def _send_order(self, worker: str) -> None:
        if worker not in self.workers:
            self.workers.append(worker)
        order = {**(self._order or {}), "index": self.workers.index(worker), "sent": time.monotonic()}
        self._runner.send_message(RUN, order, client_id=worker)

    def _on_hello(self, msg: Any) -> None:
        ours, theirs = VERSION, msg.data.get("version")
        if msg.node_id in self._refused:
            return
        if theirs != ours:
            # They could not be relied on to mean the same by what they say to each other.
            said = printable(theirs)[:60]
            logger.error("worker %s has sm_locust %s, and this master %s: it is refused", msg.node_id, said, ours)
            self._refused.add(msg.node_id)
            self._runner.send_message(REFUSED, {"version": ours}, client_id=msg.node_id)
            if msg.node_id in self._runner.clients:
                # Forgotten at once, no user is given to it; and it would be the last worker, whose end ends the master.
                self._runner.handle_message(msg.node_id, Message("client_stopped", None, msg.node_id))
            return
        self._ready.add(msg.node_id)
        if self._order is not None:
            self._send_order(msg.node_id)

    def _on_worker_connect(self, client_id: str, **_: Any) -> None:
        """A worker of an earlier run is ready again, perhaps after this one began; a new one says HELLO next."""
        if self._order is not None and client_id in self._ready:
            self._send_order(client_id)

    def _on_cannot(self, msg: Any) -> None:
        problem = printable(field(msg.data, "problem", str))[:1000]
        logger.error("worker %s cannot send, and its share is dropped: %s", msg.node_id, problem)

    def _on_ship(self, msg: Any) -> None:
        """Acknowledged once it is here, not once it is on disk: it waits for the next write in the only process that
        could ask for it again, and stays there while the disk refuses it."""
        run_id, seq, at = field(msg.data, "run_id", str), field(msg.data, "seq", int), number(msg.data, "at")
        try:
            if run_id == self._run_id and self._seen[msg.node_id].add(seq, at):
                self._received(msg.node_id, msg.data)
        finally:
            # Also what is passed over, or of a run of before, is acknowledged, or it would be repeated for ever.
            self._runner.send_message(ACK, {"run_id": run_id, "seq": seq}, client_id=msg.node_id)

    def _on_clock(self, msg: Any) -> None:
        """Whoever has nothing to send says it every few seconds: a HELLO may have come before anybody heard it."""
        exchange = {"sent": number(msg.data, "sent"), "theirs": time.monotonic()}
        self._runner.send_message(CLOCK, exchange, client_id=msg.node_id)
        if msg.node_id not in self._ready:
            self._on_hello(msg)

    def _on_again(self, msg: Any) -> None:
        """It may go on once the users of all workers, its own among them, are no more than are wanted.

        Locust forgets the users of a worker that is missing, and hears of them again when it has dealt them out anew.
        One that has missed the end of its run, or the beginning of another, hears of that instead.
        """
        run_id, isolation = field(msg.data, "run_id", str), field(msg.data, "isolation", int)
        if self._order is None or self._patience is not None or msg.node_id not in self._ready:
            ending = {"run_id": run_id, "patience": self._patience or 0.0}
            self._runner.send_message(DRAIN, ending, client_id=msg.node_id)
            return
        if run_id != self._run_id:
            self._send_order(msg.node_id)
            return
        client = self._runner.clients.get(msg.node_id)
        if client is None or not client.user_classes_count:
            return
        if self._runner.user_count <= self._runner.target_user_count:
            again = {"run_id": run_id, "isolation": isolation}
            self._runner.send_message(AGAIN, again, client_id=msg.node_id)

    def _on_drained(self, msg: Any) -> None:
        if field(msg.data, "run_id", str) == self._run_id:
            self._drained.add(msg.node_id)

    def missing(self) -> set[str]:
        """Workers of this run that are gone or cannot be heard, and have not drained."""
        clients = self._runner.clients
        return {
            worker
            for worker in self.workers
            if worker not in self._drained and (worker not in clients or clients[worker].state == STATE_MISSING)
        }

    def leave(self) -> None:
        """Has no worker wait any longer for what is in flight, and waits for them only as long as that takes."""
        self._leaves = True
        self._send_drain(0.0)

    def _send_drain(self, patience: float) -> None:
        for worker in self.workers:
            if worker not in self._drained and worker in self._runner.clients:
                self._runner.send_message(DRAIN, {"run_id": self._run_id, "patience": patience}, client_id=worker)

    def drain(self, patience: float) -> set[str]:
        """Has every worker drain, waits for them, and says which did not answer."""
        self._patience = patience
        self._send_drain(patience)
        deadline = time.monotonic() + patience + 2 * ACK_PATIENCE
        while time.monotonic() < deadline:
            if self._leaves:
                deadline, self._leaves = min(deadline, time.monotonic() + ACK_PATIENCE), False
            left = set(self.workers) - self._drained
            if not left - self.missing():
                break
            gevent.sleep(0.05)
        silent = set(self.workers) - self._drained
        self._order = None
        return silent
