"""The master towards its workers: orders a run, acknowledges what they ship, drains them at the end.

Which messages there are is messages', what a shipment means Active's. Whoever reaches the port can send one: what none
of ours has sent is passed over.
"""

from __future__ import annotations

import logging
import math
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import gevent
from locust.rpc import Message
from locust.runners import STATE_MISSING, MasterRunner

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
from sm_locust.plugin.shipped import Malformed, field, number
from sm_locust.report.formats import printable

logger = logging.getLogger(__name__)


class ShipmentsSeen:
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
        self._seen: defaultdict[str, ShipmentsSeen] = defaultdict(ShipmentsSeen)
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
