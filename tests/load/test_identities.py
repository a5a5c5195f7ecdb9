"""Whatever goes wrong, every arrival is accounted for: the identities of the contracts under random faults."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from typing import Any

import gevent
from locust import task
from locust.env import Environment

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from sm_locust.config import parse
from sm_locust.load.generator import ISOLATED, Generator, Shipment
from sm_locust.load.invoker import Invoker
from sm_locust.load.invoker_users import InvokerUser
from sm_locust.load.users import ArrivalUser, Load
from sm_locust.plugin.master_side import ShipmentsSeen
from sm_locust.record import outcome as kinds
from sm_locust.record.clock import RunClock
from sm_locust.record.interval import ARRIVALS, Interval
from sm_locust.record.recorder import FAILURES_KEPT
from tests.load.every_answer import ANSWERED
from tests.oracles.answers import AnswerServer


@dataclass
class Case:
    """One run to be played."""

    answers: list[str]
    rate: int
    max_in_flight: int
    patience: float
    poisson: bool
    isolated: bool
    seed: int


CASES = st.builds(
    Case,
    answers=st.lists(st.sampled_from(list(ANSWERED)), min_size=1, max_size=8),
    rate=st.sampled_from([20, 150, 600]),
    max_in_flight=st.sampled_from([1, 7, 1000]),
    patience=st.sampled_from([0.0, 0.05, 0.5]),
    poisson=st.booleans(),
    isolated=st.booleans(),
    seed=st.integers(0, 2**16),
)


def play(load: Case, index: int) -> tuple[list[Shipment], list[dict[str, Any]], int]:
    """Plays a run in this process, taking what was counted now and then.

    Returns what was taken, Locust's events, and how many requests the tasks made.
    """
    events: list[dict[str, Any]] = []
    asked: list[str] = []
    with AnswerServer(*(ANSWERED[name][0] for name in load.answers)) as server:

        class Invoking(InvokerUser):
            @classmethod
            def make_invoker(cls, load: Load) -> Invoker:
                return Invoker(load.connections(server.url, None, None), "/", now=load.now, timeout=0.2)

            def ask(self, name: str = "first") -> None:
                asked.append(name)
                self.invoke(b"x", name=name)

            @task(4)
            def once(self) -> None:
                self.ask()

            @task
            def twice(self) -> None:
                self.ask()
                self.ask("second")

            @task
            def impatiently(self) -> None:
                with gevent.Timeout(0.01):
                    self.ask()

            @task
            def wrongly(self) -> None:
                self.ask()
                raise LookupError("a fault of the user's own")

        class Otherwise(ArrivalUser):
            per_user = 0.5

            @task
            def without_a_request(self) -> None:
                gevent.sleep(0.005)

            @task
            def by_another_client(self) -> None:
                self.environment.events.request.fire(
                    request_type="GET", name="/", response_time=1.0, response_length=1, exception=None, context={}
                )

        environment = Environment(user_classes=[Invoking, Otherwise])
        runner = environment.create_local_runner()
        spacing = f"poisson, seed: {load.seed}" if load.poisson else "even"
        config = parse(
            "request: {body: x, content_type: text/csv}\n"
            f"arrivals: {{per_user: 10, max_in_flight: {load.max_in_flight}, spacing: {spacing}}}\n",
            "test",
        )
        generator = Generator(environment, config, RunClock.start(), (), index=index)
        environment.generator = generator  # type: ignore[attr-defined]
        environment.events.request.add_listener(lambda **event: events.append(event))
        environment.events.user_error.add_listener(lambda **_: None)
        generator.add_user(Invoking, load.rate // 10)
        generator.add_user(Otherwise, 40)
        shipments = []
        for n in range(4):
            gevent.sleep(0.1)
            generator.paused = ISOLATED if load.isolated and n == 1 else None
            shipments.append(generator.shipment(generator.now() if n % 2 else None))
        generator.drain(load.patience)
        shipments.append(generator.shipment())
        generator.close()
        runner.quit()
    return shipments, events, len(asked)


def check(interval: Interval) -> None:
    """What holds for a second, for a name and for all of them."""
    assert interval.lateness.count == interval.ok + interval.failed + interval.cancelled
    timed_out = sum(interval.by_kind.get(kind, 0) for kind in kinds.AGED)
    aged = interval.cancelled + timed_out
    assert interval.latency.count == interval.service_time.count == interval.ok + aged
    assert interval.failed_latency.count == interval.failed - timed_out


@settings(max_examples=10, deadline=None, derandomize=True, phases=[Phase.generate])  # to shrink one takes minutes
@given(st.lists(CASES, min_size=1, max_size=2))
def test_every_arrival_is_accounted_for_in_every_second_and_under_every_name(loads: list[Case]) -> None:
    master: dict[tuple[float, str], Interval] = {}
    sent_by_worker = 0
    for index, load in enumerate(loads):
        shipments, events, asked = play(load, index)
        reported = Interval(0.0, ARRIVALS)
        for shipment in shipments:
            for interval in shipment.intervals:
                reported.merge(interval)
        assert reported.due == reported.sent + reported.dropped
        assert reported.ok + reported.failed + reported.cancelled == reported.sent
        assert set(reported.dropped_by_reason) <= {ISOLATED, "max_in_flight"}
        ours = [event for event in events if event["name"] in ("first", "second")]
        assert len(ours) == asked  # one event for each request, whatever became of it
        assert all((event["exception"] is None) == (event["outcome"].kind == kinds.OK) for event in ours)
        kept = Counter(failure["kind"] for shipment in shipments for failure in shipment.failures)
        assert kept == {kind: min(n, FAILURES_KEPT) for kind, n in reported.by_kind.items()}
        sent_by_worker += reported.sent

        # To the master: in any order, some of it more than once.
        chance, seen = random.Random(load.seed), ShipmentsSeen()
        parcels = [
            (seq, [interval.encode() for interval in shipment.intervals]) for seq, shipment in enumerate(shipments, 1)
        ]
        parcels += chance.sample(parcels, 2)
        chance.shuffle(parcels)
        for seq, rows in parcels:
            if seen.add(seq, float(seq)):
                for row in rows:
                    interval = Interval.decode(row)
                    key = (interval.second, interval.name)
                    master.setdefault(key, Interval(*key)).merge(interval)

    whole = Interval(0.0, ARRIVALS)
    by_second: dict[float, Interval] = {}
    for (second, name), interval in master.items():
        if name != ARRIVALS:
            check(interval)
        by_second.setdefault(second, Interval(second, ARRIVALS)).merge(interval)
        whole.merge(interval)
    for interval in [*by_second.values(), whole]:
        check(interval)
        assert interval.due == interval.sent + interval.dropped
        assert interval.ok + interval.failed + interval.cancelled == interval.sent
    assert whole.sent == sent_by_worker
