"""Every kind of answer through the whole of a process: pacer, user, invoker, recorder and Locust's event."""

from __future__ import annotations

from collections import Counter
from typing import Any

import gevent
from locust import task
from locust.env import Environment

from sm_locust.config import parse
from sm_locust.load.generator import Generator
from sm_locust.load.invoker import Invoker
from sm_locust.load.invoker_users import InvokerUser
from sm_locust.load.users import Load
from sm_locust.record import outcome as kinds
from sm_locust.record.clock import RunClock
from sm_locust.record.interval import ARRIVALS, Interval
from tests.load.every_answer import ANSWERED
from tests.oracles.answers import AnswerServer


def test_every_kind_of_answer_is_one_outcome_and_one_event_and_the_next_request_is_none_the_worse() -> None:
    scripts = [script for script, *_ in ANSWERED.values()]
    expected = Counter(kind for _, kind, *_ in ANSWERED.values())
    with AnswerServer(*scripts) as server:

        class Curious(InvokerUser):
            @classmethod
            def make_invoker(cls, load: Load) -> Invoker:
                return Invoker(load.connections(server.url, None, None), "/", now=load.now, timeout=0.3)

            @task
            def ask(self) -> None:
                while len(events) < len(ANSWERED):  # one after the other, so that it is known who gets which
                    self.invoke(b"x")
                    gevent.sleep(0.01)  # what the server does after its answer is here before the next request

        events: list[dict[str, Any]] = []
        environment = Environment(user_classes=[Curious])
        runner = environment.create_local_runner()
        config = parse(
            "request: {body: x, content_type: text/csv}\narrivals: {per_user: 20, max_in_flight: 1}\n", "test"
        )
        generator = Generator(environment, config, RunClock.start(), ())
        environment.generator = generator  # type: ignore[attr-defined]
        environment.events.request.add_listener(lambda **event: events.append(event))
        runner.start(1, spawn_rate=1)
        with gevent.Timeout(30):
            while len(events) < len(ANSWERED):
                gevent.sleep(0.02)
        generator.drain(1.0)
        whole = Interval(0.0, ARRIVALS)
        for interval in generator.shipment().intervals:
            whole.merge(interval)
        generator.close()
        runner.quit()

    assert len(server.requests) == len(ANSWERED)
    got = [event["outcome"] for event in events]
    answered = [(outcome.kind, outcome.status, outcome.body) for outcome in got]
    assert answered == [(kind, status, body) for _, kind, status, body in ANSWERED.values()]
    assert Counter(outcome.kind for outcome in got) == expected
    assert all((event["exception"] is None) == (event["outcome"].kind == kinds.OK) for event in events)
    # All of it was one arrival, which fails with the first of its requests that did.
    assert whole.due == whole.sent + whole.dropped
    assert whole.sent == whole.ok + whole.failed + whole.cancelled
    assert whole.failed == 1
