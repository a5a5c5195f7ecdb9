"""Shipments over real sockets: each is counted once, and acknowledged each time that it comes."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any

import gevent
from locust import __version__ as locust_version
from locust.argument_parser import get_empty_argument_parser
from locust.env import Environment
from locust.rpc import Message, zmqrpc
from locust.runners import STATE_MISSING, STATE_RUNNING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_locust.plugin.live import LiveRun
from sm_locust.plugin.master_side import MasterSide, ShipmentsSeen
from sm_locust.plugin.messages import (
    ACK,
    AGAIN,
    CANNOT,
    CLOCK,
    DRAIN,
    DRAINED,
    HELLO,
    REFUSED,
    RUN,
    SHIP,
)
from sm_locust.plugin.options import Options, add_options
from tests.plugin.harness import shut, until


@given(st.lists(st.integers(1, 30)))
def test_a_shipment_is_new_once_in_whatever_order_they_come(numbers: list[int]) -> None:
    seen = ShipmentsSeen()
    fresh = [seq for seq in numbers if seen.add(seq, float(seq))]
    assert fresh == list(dict.fromkeys(numbers))


def test_what_is_known_of_a_worker_does_not_grow_with_the_run() -> None:
    seen = ShipmentsSeen()
    tracemalloc.start()
    for seq in range(1, 20_001):
        swapped = seq + 1 if seq % 2 else seq - 1  # each two in the wrong order
        assert seen.add(swapped, float(swapped))
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 5_000


class Worker:
    """Speaks what a worker does on the wire, and remembers what it was told."""

    def __init__(self, name: str, port: int, of: dict[str, Any] | None = None, ready: bool = False) -> None:
        self.name = name
        self.acknowledged: list[int] = []
        self.run_id = ""
        self.may_go_on: list[int] = []
        self.to_drain: list[str] = []
        self.told: list[str] = []
        self._socket = zmqrpc.Client("127.0.0.1", port, name)
        self._listening = gevent.spawn(self._listen)
        self.says = {"version": version("sm-locust")} if of is None else of
        if ready:
            self.ready()
        self.send(HELLO, self.says)

    def ready(self) -> None:
        """Says to Locust that it is there."""
        self.send("client_ready", locust_version)  # type: ignore[arg-type]

    def send(self, message: str, data: dict[str, Any]) -> None:
        self._socket.send(Message(message, data, self.name))

    def ship(self, seq: int, run_id: str | None = None) -> None:
        self.send(SHIP, {"run_id": run_id or self.run_id, "seq": seq, "at": float(seq)})

    def _listen(self) -> None:
        while True:
            message = self._socket.recv()
            if message.type == RUN:
                self.run_id = message.data["run_id"]
            elif message.type == ACK:
                self.acknowledged.append(message.data["seq"])
            elif message.type == AGAIN:
                self.may_go_on.append(message.data["isolation"])
            elif message.type == DRAIN:
                self.to_drain.append(message.data["run_id"])
            else:
                self.told.append(message.type)

    def close(self) -> None:
        self._listening.kill()
        self._socket.socket.context.destroy(linger=0)


class Bench:
    def __init__(self, listens: bool = True) -> None:
        self.runner = Environment().create_master_runner("127.0.0.1", 0)
        self.received: list[tuple[str, int]] = []
        self.workers: list[Worker] = []
        if listens:
            self.listen()

    def listen(self) -> None:
        self.master = MasterSide(self.runner, lambda worker, data: self.received.append((worker, data["seq"])))

    def join(self, name: str, of: dict[str, Any] | None = None) -> Worker:
        self.workers.append(Worker(name, self.runner.server.port, of))
        return self.workers[-1]

    def close(self) -> None:
        for worker in self.workers:
            worker.close()
        shut(self.runner)


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.close()


def test_a_shipment_that_is_repeated_is_counted_once_and_acknowledged_again(bench: Bench) -> None:
    bench.master.start({"run_id": "this"})
    one, two = bench.join("one"), bench.join("two")
    until(lambda: one.run_id == two.run_id == "this")
    for seq in (1, 2, 2, 4, 1, 3, 4):
        one.ship(seq)
    two.ship(1)
    until(lambda: len(one.acknowledged) == 7 and two.acknowledged)
    assert one.acknowledged == [1, 2, 2, 4, 1, 3, 4]
    assert [seq for worker, seq in bench.received if worker == "one"] == [1, 2, 4, 3]
    assert [seq for worker, seq in bench.received if worker == "two"] == [1]


def test_what_belongs_to_a_run_of_before_is_acknowledged_and_not_counted(bench: Bench) -> None:
    bench.master.start({"run_id": "before"})
    worker = bench.join("one")
    until(lambda: worker.run_id == "before")
    worker.ship(1)
    until(lambda: worker.acknowledged)
    bench.master.start({"run_id": "after"})
    worker.send(HELLO, {"version": version("sm-locust")})
    until(lambda: worker.run_id == "after")
    worker.ship(2, run_id="before")
    worker.ship(1)
    until(lambda: len(worker.acknowledged) == 3)
    assert worker.acknowledged == [1, 2, 1]
    assert bench.received == [("one", 1), ("one", 1)]


def test_a_worker_that_was_isolated_goes_on_once_the_users_of_all_are_no_more_than_are_wanted(bench: Bench) -> None:
    worker = bench.join("one")
    worker.ready()
    other = bench.join("two")
    other.ready()
    until(lambda: len(bench.runner.clients) == 2)
    bench.master.start({"run_id": "this"})
    bench.runner.target_user_count = 800
    mine, others = bench.runner.clients["one"], bench.runner.clients["two"]

    def asked(isolation: int, missing: bool, users: int, with_others: int) -> list[int]:
        mine.state = STATE_MISSING if missing else STATE_RUNNING
        mine.user_classes_count = {"User": users} if users else {}
        others.user_classes_count = {"User": with_others}
        worker.send(AGAIN, {"isolation": isolation, "run_id": "this"})
        worker.ship(isolation)  # answered in any case, and after
        until(lambda: len(worker.acknowledged) == isolation)
        return worker.may_go_on

    assert asked(1, missing=True, users=0, with_others=400) == []
    assert asked(2, missing=False, users=0, with_others=800) == []  # dealt out, and not yet heard of
    assert asked(3, missing=False, users=400, with_others=800) == []  # its share is still with the other one
    assert asked(4, missing=False, users=400, with_others=400) == [4]


def may_go_on(bench: Bench) -> Worker:
    """A worker that Locust counts with as much as is wanted."""
    worker = bench.join("one")
    worker.ready()
    until(lambda: "one" in bench.runner.clients)
    bench.master.start({"run_id": "this"})
    until(lambda: worker.run_id == "this")
    bench.runner.target_user_count = 100
    bench.runner.clients["one"].state, bench.runner.clients["one"].user_classes_count = STATE_RUNNING, {"User": 50}
    return worker


def test_a_worker_that_has_missed_the_end_of_its_run_does_not_go_on_but_drains(bench: Bench) -> None:
    worker = may_go_on(bench)
    worker.send(DRAINED, {"run_id": "this"})
    until(lambda: not bench.master.drain(0.0))
    worker.to_drain.clear()
    worker.send(AGAIN, {"run_id": "this", "isolation": 1})
    until(lambda: worker.to_drain == ["this"])
    assert worker.may_go_on == []


def test_a_worker_that_asks_while_the_others_drain_is_told_to_drain(bench: Bench) -> None:
    worker = may_go_on(bench)
    draining = gevent.spawn(bench.master.drain, 2.0)
    until(lambda: worker.to_drain == ["this"])
    worker.send(AGAIN, {"run_id": "this", "isolation": 1})
    until(lambda: worker.to_drain == ["this", "this"])
    assert worker.may_go_on == []
    worker.send(DRAINED, {"run_id": "this"})
    assert draining.get(timeout=5) == set()


def test_a_worker_that_has_missed_the_beginning_of_a_run_is_given_its_order_instead(bench: Bench) -> None:
    worker = may_go_on(bench)
    worker.run_id = ""
    worker.send(AGAIN, {"run_id": "before", "isolation": 1})
    until(lambda: worker.run_id == "this")
    assert worker.may_go_on == []


def test_a_worker_that_said_hello_before_anybody_listened_has_its_order_once_it_compares_clocks(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench(listens=False)
    try:
        worker = bench.join("one")
        worker.ready()
        until(lambda: "one" in bench.runner.clients)
        bench.listen()
        bench.master.start({"run_id": "this"})
        assert "not said that they are ready: one" in caplog.text
        assert bench.master.workers == []
        worker.send(CLOCK, {**worker.says, "sent": 1.0})
        until(lambda: worker.run_id == "this")
        assert worker.told.count(CLOCK) == 1
    finally:
        bench.close()


@pytest.mark.parametrize("of", [{}, {"version": "0.0.1"}])
def test_a_worker_of_another_version_is_refused_and_given_no_order(
    bench: Bench, of: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    bench.master.start({"run_id": "this"})
    worker, same = bench.join("one", of), bench.join("two")
    worker.send(CLOCK, {**of, "sent": 1.0})
    until(lambda: CLOCK in worker.told and same.run_id == "this")
    assert worker.run_id == "" and worker.told.count(REFUSED) == 1
    said = f"worker one has sm_locust {of.get('version')}, and this master {version('sm-locust')}"
    assert caplog.text.count(said) == 1


def test_a_master_hears_the_next_worker_after_the_only_one_was_refused_and_has_quit(bench: Bench) -> None:
    """Locust's headless master would quit its runner with its last worker, and wait for others that it never hears."""
    bench.runner.environment.parsed_options = SimpleNamespace(headless=True, enable_rebalancing=True)
    other = Worker("one", bench.runner.server.port, {"version": "0.0.1"}, ready=True)
    bench.workers.append(other)
    until(lambda: REFUSED in other.told)
    assert "one" not in bench.runner.clients
    other.send("quit", {})
    same = bench.join("two")
    same.ready()
    until(lambda: [client.id for client in bench.runner.clients.ready] == ["two"])
    bench.master.start({"run_id": "this"})
    until(lambda: same.run_id == "this")


@pytest.mark.parametrize("arguments", [[], ["--sm-no-rebalancing"]])
def test_rebalancing_is_on_unless_it_is_switched_off(arguments: list[str]) -> None:
    parser = get_empty_argument_parser()
    add_options(parser)
    environment = Environment()
    runner = environment.create_master_runner("127.0.0.1", 0)
    try:
        LiveRun(environment, Options()).listen(runner, Options.parsed(vars(parser.parse_args(arguments))).rebalancing)
        assert runner.rebalancing_enabled() == (not arguments)
    finally:
        runner.quit()
        runner.server.socket.context.destroy(linger=0)


def test_what_keeps_a_worker_from_sending_is_said_on_the_master(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.join("one").send(CANNOT, {"problem": "no AWS credentials"})
    until(lambda: "worker one cannot send, and its share is dropped: no AWS credentials" in caplog.text)
