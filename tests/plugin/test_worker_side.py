"""A worker and its master over real sockets, in one process: orders that come in the wrong moment, or not at all."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gevent
from locust import task
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner

import pytest

from sm_locust.config import RunConfig
from sm_locust.feeders import Feeder
from sm_locust.load.generator import Generator
from sm_locust.load.invoker_users import ContainerUser, InvokerUser
from sm_locust.load.users import ArrivalUser
from sm_locust.plugin.live import LiveRun
from sm_locust.plugin.master_side import MasterSide
from sm_locust.plugin.messages import HELLO
from sm_locust.plugin.options import Options
from sm_locust.plugin.order import Picked, resolve
from sm_locust.plugin.setup import setup
from sm_locust.plugin.worker_side import ISOLATED_AFTER, WorkerSide
from tests.plugin.harness import shut, until

PREPARES = 0.8  # seconds


class Slow(InvokerUser):
    """Takes its time before a run, as a source of credentials does that answers slowly."""

    takes = 0.0

    @classmethod
    def make_invoker(cls, load: Any) -> Any:
        gevent.sleep(cls.takes)

    @task
    def nothing(self) -> None:
        pass


class Alone(ArrivalUser):
    @task
    def nothing(self) -> None:
        pass


class Pair:
    """A master, and a worker that nothing but Locust's own heartbeats reaches until it is ordered to."""

    def __init__(self, user_class: type[ArrivalUser]) -> None:
        self.master = Environment(user_classes=[user_class]).create_master_runner("127.0.0.1", 0)
        self.shipped: list[str] = []
        self.side = MasterSide(self.master, lambda worker, data: self.shipped.append(data["run_id"]))
        self.here = Environment(user_classes=[user_class])
        self.runner = self.here.create_worker_runner("127.0.0.1", self.master.server.port)
        self.worker = WorkerSide(self.here, self.runner)
        self.id = self.runner.client_id
        until(lambda: self.id in self.master.clients and self.id in self.side._ready)

    def order(self, run_id: str) -> dict[str, Any]:
        here = Environment(user_classes=[Alone])
        message = resolve(here, Options(), Picked([Alone], None)).message()
        now = {"origin": time.monotonic() - 0.9, "started_at": time.time()}
        return {**message, **now, "run_id": run_id, "patience": 0.2, "until": None}

    @property
    def generator(self) -> Generator:
        generator = self.here.generator  # type: ignore[attr-defined]
        assert isinstance(generator, Generator)
        return generator

    def has(self, run_id: str) -> None:
        """Waits for its shipments."""
        until(lambda: run_id in self.shipped)

    def close(self) -> None:
        shut(self.runner)
        shut(self.master)


@contextmanager
def led(
    folder: Path, user_class: type[ArrivalUser], config: RunConfig | None = None
) -> Iterator[tuple[LiveRun, MasterRunner, WorkerRunner]]:
    """A run of twenty arrivals a second that a master and its one worker have begun."""
    there, here = (Environment(user_classes=[user_class]) for _ in range(2))
    master = there.create_master_runner("127.0.0.1", 0)
    live = setup(there, config, run_dir=folder)
    runner = here.create_worker_runner("127.0.0.1", master.server.port)
    try:
        assert isinstance(live, LiveRun)
        WorkerSide(here, runner)
        until(lambda: runner.client_id in master.clients)
        gevent.sleep(0.1)
        gevent.spawn(master.start, 20, 20.0)
        yield live, master, runner
    finally:
        shut(runner)
        shut(master)


@pytest.fixture
def pair() -> Iterator[Pair]:
    pair = Pair(Slow)
    yield pair
    pair.close()


def test_a_second_order_that_takes_long_to_prepare_does_not_begin_isolated(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Heartbeats are not heard meanwhile, and the generator of the run before is of no interest to anybody."""
    pair.side.start(pair.order("first"))
    pair.has("first")
    assert pair.side.drain(0.2) == set()
    first = pair.generator
    monkeypatch.setattr(Slow, "takes", PREPARES)
    pair.side.start(pair.order("second"))
    gevent.sleep(0.1)
    pair.worker._heartbeat_at = time.monotonic() - ISOLATED_AFTER - 0.1
    gevent.sleep(0.3)
    pair.here.events.quitting.fire(environment=pair.here, reverse=True)  # Ctrl-C, in the middle of it
    until(lambda: pair.generator is not first)
    assert time.monotonic() - pair.worker._heartbeat_at < ISOLATED_AFTER / 2
    assert first.paused is None and pair.generator.paused is None
    assert "cannot be heard" not in caplog.text


def test_users_that_have_stayed_send_for_the_run_whose_order_has_come_while_the_one_before_goes_on(pair: Pair) -> None:
    pair.side.start(pair.order("first"))
    pair.has("first")
    first = pair.generator
    first.add_user(Slow, 3)
    pair.side.start(pair.order("second"))  # the first one's end was lost
    pair.has("second")
    assert pair.generator.users == {Slow: 3} and first.is_stopped
    first.close()  # as the drain of before would, if it still went on
    pair.worker._drain(0.0)
    assert pair.worker._drained and pair.generator.is_stopped


def test_a_worker_that_is_refused_says_why_and_ends_with_an_error(pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    pair.runner.send_message(HELLO, {"version": "0.0.1"})
    until(lambda: pair.here.process_exit_code == 2)
    until(lambda: not list(pair.runner.greenlet))
    assert "and its master" in caplog.text
    assert pair.id not in pair.master.clients


def test_a_run_whose_only_worker_was_lost_is_not_valid_and_says_what_ended_it(tmp_path: Path) -> None:
    """Locust stops it in the turn in which it finds that the worker is missing."""
    with led(tmp_path, Alone) as (live, master, runner):
        until(lambda: live.elapsed() > 0.6)
        shut(runner)
        master.clients[runner.client_id].heartbeat = -1
        until(lambda: live.is_ending or not live.is_running)
        run = live.finish()
        assert run is not None and live.summary is not None
        assert run.meta["ended"] == "the last worker was lost"
        reasons = {reason.code: reason for reason in live.summary.verdict.reasons}
        assert reasons["worker lost"].invalidates
        assert "no other was left, which ended the run" in reasons["worker lost"].text
        assert live.summary.exit_code == 3


def test_a_worker_whose_payloads_fail_ends_the_run_and_is_named(tmp_path: Path) -> None:
    """A function that comes again in turn is taken with workers; each has its own, which may fail there alone."""

    def rows() -> Iterator[str]:
        yield from "123"
        raise OSError("the share is gone")

    class Invokes(ContainerUser):
        payloads = Feeder(rows, content_type="text/csv")

        @task
        def one(self) -> None:
            self.invoke()

    config = RunConfig.from_dict({"target": {"container": "http://127.0.0.1:9"}})
    with led(tmp_path, Invokes, config) as (live, _, runner):
        until(lambda: live.finished is not None)
        run = live.finish()
        assert run is not None and live.summary is not None
        assert run.meta["ended"] == "payloads failed: OSError: the share is gone"
        reasons = {reason.code: reason.text for reason in live.summary.verdict.reasons}
        assert f"Process {runner.client_id} had nothing to send" in reasons["payloads failed"]
        assert live.summary.exit_code == 3
        assert live.summary.minutes.whole.sent == 3
