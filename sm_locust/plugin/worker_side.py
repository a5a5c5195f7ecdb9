"""A worker: makes the load that its master ordered, ships what it counted, and drains when it is told to.

Which messages there are is messages', what the master makes of them master_side's.
"""

from __future__ import annotations

import functools
import logging
import math
import time
from typing import Any

import gevent
from gevent.lock import RLock
from locust import argument_parser
from locust.env import Environment
from locust.runners import WorkerRunner

from sm_locust.aws.runtime import warm
from sm_locust.config import ConfigError, RunConfig
from sm_locust.load.descriptors import ask_for_descriptors
from sm_locust.load.generator import ISOLATED, Generator
from sm_locust.load.invoker_users import ApiGatewayUser, InvokeEndpointUser
from sm_locust.load.waiting import Waiting
from sm_locust.plugin.encoding import TAKEN, encoded
from sm_locust.plugin.messages import (
    ACK,
    ACK_PATIENCE,
    AGAIN,
    CANNOT,
    CLOCK,
    DRAIN,
    DRAINED,
    HELLO,
    REFUSED,
    RUN,
    SHIP,
    VERSION,
)
from sm_locust.plugin.order import received_payloads, received_tables
from sm_locust.record.clock import ClockOffset, RunClock

logger = logging.getLogger(__name__)

SHIP_EVERY = 1.0  # seconds
REPEAT_AFTER = 3.0
ISOLATED_AFTER = 3.0  # seconds without a heartbeat of the master
ASK_EVERY = 0.5  # seconds, whether it may go on
NOT_READY = "not_ready"
OTHER_VERSION = 2  # exit code


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
            gevent.sleep(math.floor(now / SHIP_EVERY + 1) * SHIP_EVERY - now + TAKEN)
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
