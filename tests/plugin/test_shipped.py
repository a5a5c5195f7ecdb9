"""A worker that says anything: the master says one sentence, goes on, and its run folder can be read."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gevent
from locust import __version__ as locust_version
from locust import task
from locust.env import Environment
from locust.rpc import Message

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_locust.load.users import ArrivalUser
from sm_locust.plugin.live import LiveRun
from sm_locust.plugin.messages import AGAIN, CANNOT, CLOCK, DRAINED, HELLO, SHIP
from sm_locust.plugin.options import Options
from sm_locust.record.interval import ARRIVALS, DUE, Interval
from sm_locust.record.run import Run
from sm_locust.report import folder
from tests.analysis.folders import outcome
from tests.fuzzing import damaged, examples, odd


def _can_be_packed(value: Any) -> bool:
    try:
        msgpack.unpackb(msgpack.packb(value), strict_map_key=False)
    except (ValueError, TypeError, OverflowError):
        return False
    return True


packable = odd.filter(_can_be_packed)


class Nothing(ArrivalUser):
    @task
    def nothing(self) -> None:
        pass


class Master:
    """A master with all that may look at a shipment: rules, a board, metrics. No socket is in between."""

    def __init__(self, parent: Path) -> None:
        config = parent / "config.yaml"
        config.write_text("stop_when: [{metric: latency_p99, above: 60s, for: 60s}]\nslo: {error_rate: 5%}\n")
        environment = Environment(user_classes=[Nothing])
        self.runner = environment.create_master_runner("127.0.0.1", 0)
        self.live = LiveRun(environment, Options(str(config), str(parent), 1, in_code=True))
        self.live.listen(self.runner, True)
        self.live.order()
        environment.web_ui = object()  # type: ignore[assignment]  # there is one, so there is a board
        self.hear("client_ready", locust_version)
        self.hear(HELLO, {"version": version("sm-locust")})
        environment.events.test_start.fire(environment=environment)
        gevent.sleep(0.3)  # what begins beside the load has begun, and run.json says so
        (path,) = (path for path in parent.iterdir() if path.is_dir())
        self.run = Run(path, {"run_id": path.name, "speed": 1})
        self.seq = 0

    def hear(self, what: str, data: Any, node_id: Any = "one") -> None:
        """As Locust does once it has unpacked a message."""
        unpacked = Message.unserialize(msgpack.dumps((what, data, node_id)))
        self.runner.handle_message("one", unpacked)

    def shipment(self) -> dict[str, Any]:
        """A good one, of the second past."""
        self.seq += 1
        arrivals, requests = Interval(float(self.seq % 60), ARRIVALS), Interval(float(self.seq % 60), "invoke")
        arrivals.add(DUE, 2)
        requests.record(outcome(0.1))
        requests.record(outcome(0.2, "unavailable"))
        failure = {"at": 0.2, "kind": "unavailable", "name": "invoke", "status": 503, "request_id": "", "message": "m"}
        return {
            "run_id": self.run.folder.name,
            "seq": self.seq,
            "at": self.seq * 1e-3,
            "in_flight": 1,
            "cpu": 0.25,
            "clock_ahead": 3.0,
            "payloads_failed": "",
            "cut_short": 1,
            "failures": [failure],
            "intervals": [arrivals.encode(), requests.encode()],
        }

    def flushed(self) -> Run:
        active = self.live._active
        assert active is not None, "the run goes on"
        active.run.flush()
        return self.run


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Master]:
    master = Master(tmp_path_factory.mktemp("runs"))
    yield master
    master.hear(DRAINED, {"run_id": master.run.folder.name})
    finished = master.live.finish()
    assert finished is not None
    folder.write(Run.open(finished.folder))
    master.runner.greenlet.kill()
    master.runner.server.socket.context.destroy(linger=0)


def heard(master: Master, caplog: pytest.LogCaptureFixture, what: str, data: Any, node_id: Any = "one") -> list[str]:
    """What is said of a message; nothing of it is more than a sentence, and the folder can be read after it."""
    caplog.clear()
    with caplog.at_level(logging.INFO):
        master.hear(what, data, node_id)
    said = [record.getMessage() for record in caplog.records]
    assert all(len(line) < 1_200 and line.isprintable() for line in said), said
    run = master.flushed()
    run.ledger()
    run.failures()
    assert master.live.board is not None
    master.live.board.page(0, 1.0)
    return said


def test_what_all_of_ours_send_is_counted(master: Master, caplog: pytest.LogCaptureFixture) -> None:
    before = sum(interval.due for interval in master.flushed().ledger().intervals)
    assert heard(master, caplog, SHIP, master.shipment()) == []
    assert sum(interval.due for interval in master.flushed().ledger().intervals) == before + 2


@examples(150)
@given(data=st.data())
def test_a_damaged_shipment_is_passed_over_whole_or_can_be_read_again(
    master: Master, caplog: pytest.LogCaptureFixture, data: st.DataObject
) -> None:
    heard(master, caplog, SHIP, data.draw(damaged(master.shipment(), packable)))


OURS = (
    (HELLO, {"version": version("sm-locust")}),
    (CANNOT, {"problem": "no credentials"}),
    (CLOCK, {"sent": 1.0, "version": version("sm-locust")}),
    (AGAIN, {"run_id": "this", "isolation": 1}),
    (DRAINED, {"run_id": "another"}),
    (SHIP, {"run_id": "another", "seq": 1, "at": 0.1}),
)


@examples(100)
@given(
    message=st.sampled_from(OURS).flatmap(
        lambda ours: st.tuples(st.just(ours[0]), damaged(ours[1], packable) | packable)
    ),
    # At a list or a mapping Locust itself stumbles before us.
    whose=st.just("two") | packable.filter(lambda value: not isinstance(value, list | dict)),
)
def test_any_other_message_may_hold_anything(
    master: Master, caplog: pytest.LogCaptureFixture, message: tuple[str, Any], whose: Any
) -> None:
    what, says = message
    if isinstance(says, dict) and says.get("run_id") == "this":
        says["run_id"] = master.run.folder.name
    heard(master, caplog, what, says, whose)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("intervals", [{"second": 1.0, "name": "x", "counts": {"ok": -1}}], "ok -1 is less than 0"),
        ("intervals", [{"second": 1e5, "name": "x", "counts": {}}], "second 100000 is not over yet"),
        ("intervals", [{"second": 1.0, "name": "x", "counts": {}, "worker": "two"}], "is none of its lines"),
        ("intervals", [{"second": 1.0, "name": "x", "counts": {}, "latency": "HISTFAAA"}], "histogram"),
        ("at", float("nan"), "at nan is no number"),
        ("failures", [{"kind": "x"}], "no 'at'"),
        ("cpu", "x", "cpu 'x' is no number"),
        ("cut_short", None, "cut_short None is no int"),
    ],
)
def test_the_sentence_says_what_is_wrong_and_only_once(
    master: Master, caplog: pytest.LogCaptureFixture, key: str, value: Any, said: str
) -> None:
    who = f"worker of {key} and {said}"
    (line,) = heard(master, caplog, SHIP, {**master.shipment(), key: value}, who)
    assert line.startswith(f"a message sm_ship of worker {who}"[:60]) and said in line
    assert heard(master, caplog, SHIP, {**master.shipment(), key: value}, who) == []


def test_a_moment_that_was_told_of_before_is_none_of_a_shipment_that_is_new(
    master: Master, caplog: pytest.LogCaptureFixture
) -> None:
    assert heard(master, caplog, SHIP, {**master.shipment(), "seq": 1, "at": 5.0}, "replays") == []
    (line,) = heard(master, caplog, SHIP, {**master.shipment(), "seq": 2, "at": 5.0}, "replays")
    assert line.endswith("at 5 is that of one before")
