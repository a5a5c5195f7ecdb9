"""Sessions of a user whose users stand for arrivals: who logs in, when, how often, and what of it counts."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import gevent
from locust import FastHttpUser, HttpUser, User, task
from locust.exception import StopUser

import pytest

from sm_locust.load.users import ArrivalUser
from sm_locust.record import outcome as kinds
from tests.load.test_generator import Bench

LOGIN_TAKES = 0.3  # seconds


class Shop(BaseHTTPRequestHandler):
    """Whoever has logged in has a cookie of his own; without one, /shop is forbidden."""

    protocol_version = "HTTP/1.1"
    came: ClassVar[Counter[str]] = Counter()
    let_in: ClassVar[Counter[str]] = Counter()

    def answer(self) -> None:
        self.came[self.path] += 1
        self.close_connection = self.path == "/logout"
        cookie, number = self.headers.get("Cookie", ""), self.came[self.path]
        if self.path == "/login":
            gevent.sleep(LOGIN_TAKES)
        self.send_response(200 if self.path != "/shop" or cookie else 401)
        if self.path == "/login":
            self.send_header("Set-Cookie", f"session={number}")
        elif cookie:
            self.let_in[cookie] += 1
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST = answer

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@pytest.fixture
def shop() -> Iterator[str]:
    Shop.came, Shop.let_in = Counter(), Counter()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Shop)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("client", [HttpUser, FastHttpUser], ids=lambda client: str(client.__name__))
def test_each_user_logs_in_once_is_known_in_its_tasks_and_logs_out_and_neither_is_an_arrival(
    client: type[User], shop: str
) -> None:
    class Member(ArrivalUser, client):  # type: ignore[misc, valid-type]
        host = shop

        def on_start(self) -> None:
            self.client.post("/login")

        @task
        def buy(self) -> None:
            self.client.get("/shop")

        def on_stop(self) -> None:
            self.client.post("/logout")
            getattr(self.client, "client", self.client).close()  # type: ignore[union-attr]  # FastHttpUser's is within; Locust closes neither

    bench = Bench(Member)
    bench.run(users=40, seconds=1.2)
    whole = bench.end()
    bench.close()
    sessions = Shop.came["/login"]
    assert whole.ok == whole.sent == Shop.came["/shop"] == bench.by_name["/shop"].ok
    assert set(bench.by_name) - {"arrivals"} <= {"/shop", ""}, "a login has no place among the arrivals"
    assert 10 <= sessions <= 20, "those that arrived while the first were logging in"
    assert Shop.came["/logout"] == sessions == len(Shop.let_in)
    assert max(Shop.let_in.values()) > 1, "who has logged in runs one arrival after the other"
    assert Counter(event["name"] for event in bench.events) == Shop.came, "Locust's own statistics have all of them"
    # Who waits for a login waits; that is no fault of the generator's.
    latency, lateness = whole.latency.summary_ms(), whole.lateness.summary_ms()
    assert (latency["max"] or 0) >= LOGIN_TAKES * 1e3
    assert (lateness["p95"] or 0) < LOGIN_TAKES * 1e3 / 2
    assert (whole.service_time.summary_ms()["p95"] or 0) < LOGIN_TAKES * 1e3


def test_a_login_that_ends_its_user_fails_the_arrival_that_needed_it_and_the_next_tries_again(shop: str) -> None:
    class Stranger(ArrivalUser):
        tried: ClassVar[int] = 0

        def on_start(self) -> None:
            type(self).tried += 1
            if self.tried <= 3:
                raise StopUser

        @task
        def buy(self) -> None:
            fire = self.environment.events.request.fire
            fire(request_type="GET", name="/shop", response_time=1, response_length=1, exception=None, context={})

    bench = Bench(Stranger)
    bench.run(users=40, seconds=0.5)
    whole = bench.end()
    bench.close()
    assert whole.by_kind == {kinds.TASK_ERROR: 3}
    assert whole.ok == whole.sent - 3 > 5


def test_an_on_stop_that_waits_holds_up_nobody_elses(shop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sm_locust.load.generator._STOP_PATIENCE", 0.5)
    left: list[int] = []

    class Slow(ArrivalUser):
        made: ClassVar[int] = 0

        def on_start(self) -> None:
            type(self).made += 1
            self.number = self.made
            gevent.sleep(0.1)

        @task
        def stay(self) -> None:
            gevent.sleep(0.1)

        def on_stop(self) -> None:
            gevent.sleep(60 if self.number == 1 else 0.2)
            left.append(self.number)

    bench = Bench(Slow)
    bench.run(users=40, seconds=0.4)
    bench.end()
    with gevent.Timeout(2.0):
        bench.close()
    assert sorted(left) == list(range(2, Slow.made + 1))
    assert Slow.made > 3


def test_whoever_is_told_to_leave_waits_for_no_on_stop() -> None:
    ended: list[int] = []

    class Slow(ArrivalUser):
        @task
        def one(self) -> None: ...

        def on_stop(self) -> None:
            try:
                gevent.sleep(60)
            finally:
                ended.append(1)

    bench = Bench(Slow)
    bench.run(users=40, seconds=0.2)
    bench.end()
    gevent.spawn_later(0.1, bench.generator.leave)
    with gevent.Timeout(2.0):
        bench.generator.close()
        gevent.sleep(0.1)
    assert ended
    bench.close()
