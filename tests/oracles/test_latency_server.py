"""The real-time server: never before its oracle says so, and soon after; HTTP as clients speak it.

Only what cannot be early is bounded closely. How late an answer may be is left to a busy machine.
"""

from __future__ import annotations

import http.client
import json
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.oracles import latency_server as program
from tests.oracles.latency_server import latency_server
from tests.oracles.queues import even

POST = b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"


@contextmanager
def connected(url: str) -> Iterator[socket.socket]:
    parts = urlsplit(url)
    with socket.create_connection((str(parts.hostname), int(parts.port or 0)), timeout=10) as sock:
        yield sock


def received(sock: socket.socket, answers: int) -> bytes:
    """So many answers with setosa."""
    data = b""
    while data.count(b"setosa\n") < answers:
        more = sock.recv(65536)
        assert more, data
        data += more
    return data


def seen(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(url.replace("/invocations", "/seen"), timeout=10) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


class Client:
    """One connection that is kept."""

    def __init__(self, url: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
        self._connection.connect()

    def post(self, at: float = 0.0) -> tuple[float, int]:
        """Sent at a time of the monotonic clock: seconds until the answer, and its status."""
        time.sleep(max(0.0, at - time.monotonic()))
        sent = time.monotonic()
        self._connection.request("POST", "/invocations", b"5,3.5,1.3,0.3", {"Content-Type": "text/csv"})
        answer = self._connection.getresponse()
        answer.read()
        return time.monotonic() - sent, answer.status

    def close(self) -> None:
        self._connection.close()


def played(url: str, arrivals: Any) -> tuple[list[float], list[int]]:
    """Latency and status of arrivals (seconds from now), each sent at its time by one of 40 clients."""
    clients = [Client(url) for _ in range(40)]
    start = time.monotonic() + 0.1

    def turn(first: int) -> list[tuple[float, int]]:
        return [clients[first].post(start + at) for at in arrivals[first :: len(clients)]]

    with ThreadPoolExecutor(len(clients)) as pool:
        answers = [answer for part in pool.map(turn, range(len(clients))) for answer in part]
    for client in clients:
        client.close()
    return [latency for latency, _ in answers], [status for _, status in answers]


def test_below_its_limit_it_takes_as_long_as_the_oracle_says() -> None:
    with latency_server("hard-limit") as url:
        latencies, statuses = played(url, even(100, 0, 2))
        assert seen(url) == {"answers": {"200": 200, "503": 0}}
    assert statuses == [200] * 200
    assert min(latencies) >= 0.005
    assert statistics.median(latencies) < 0.05


def test_above_its_limit_a_queue_grows_and_leaves_at_the_limit() -> None:
    with latency_server("hard-limit", rate=150) as url:
        start = time.monotonic()
        latencies, statuses = played(url, even(300, 0, 1))
        took = time.monotonic() - start
    assert statuses == [200] * 300
    assert 299 / 150 <= took < 6
    # Each client waits for its answer before it sends the next, so the queue is at most 40 long, and soon is.
    assert 0.5 * 40 / 150 < max(latencies) < 3


def test_a_burst_leaves_one_after_the_other() -> None:
    with latency_server("hard-limit", rate=100) as url:
        clients = [Client(url) for _ in range(60)]
        start = time.monotonic()
        with ThreadPoolExecutor(60) as pool:
            answers = list(pool.map(lambda client: client.post(), clients))
        took = time.monotonic() - start
        for client in clients:
            client.close()
    assert [status for _, status in answers] == [200] * 60
    assert 0.59 + 0.005 <= took < 4


def test_what_the_oracle_has_fail_is_a_503() -> None:
    with latency_server("failing", share=0.25, of="never", seed=4) as url:
        _, statuses = played(url, even(200, 0, 2))
    assert set(statuses) == {200, 503}
    assert statuses.count(503) / 400 == pytest.approx(0.25, abs=0.09)  # four standard errors


def test_a_bounded_queue_refuses() -> None:
    with latency_server("hard-limit", rate=50, most_waiting=5) as url:
        start = time.monotonic()
        _, statuses = played(url, even(200, 0, 1))
        took = time.monotonic() - start
    assert 50 <= statuses.count(200) <= 50 * took + 6  # and the queue
    assert statuses.count(503) == 200 - statuses.count(200)


@pytest.mark.parametrize("kind", ["md1", "mm4", "linear", "never", "degrading"])
def test_every_kind_answers(kind: str) -> None:
    with latency_server(kind, seed=2) as url:
        client = Client(url)
        assert [client.post()[1] for _ in range(3)] == [200] * 3
        client.close()


def test_requests_of_one_connection_in_any_pieces() -> None:
    with latency_server("never") as url, connected(url) as sock:
        sock.sendall(POST)
        assert received(sock, 1).startswith(
            b"HTTP/1.1 200 Known\r\nContent-Type: text/csv\r\nContent-Length: 7\r\n\r\n"
        )
        for piece in (POST[:10], POST[10:-2], POST[-2:]):
            sock.sendall(piece)
            time.sleep(0.02)
        received(sock, 1)
        sock.sendall(POST + POST + POST)
        assert received(sock, 3).count(b"HTTP/1.1 200") == 3
        sock.sendall(b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n" + POST)
        assert received(sock, 1).count(b"HTTP/1.1 200") == 2
        assert seen(url)["answers"]["200"] == 6


def test_a_connection_is_closed_when_the_client_asks_for_it_or_sends_what_it_does_not_read() -> None:
    with latency_server("never") as url:
        with connected(url) as sock:
            sock.sendall(POST.replace(b"Host: x", b"Connection: close"))
            assert received(sock, 1).startswith(b"HTTP/1.1 200") and sock.recv(10) == b""
        with connected(url) as sock:
            sock.sendall(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
            assert sock.recv(1000).startswith(b"HTTP/1.1 411")


def test_it_goes_on_when_a_client_does_not_wait() -> None:
    with latency_server("never", latency=0.2) as url:
        with connected(url) as sock:
            sock.sendall(POST)
            time.sleep(0.05)
        time.sleep(0.3)
        client = Client(url)
        assert client.post()[1] == 200
        client.close()
        assert seen(url)["answers"]["200"] == 2


def test_an_option_of_another_kind_is_refused() -> None:
    command = [sys.executable, program.__file__, "--kind", "md1", "--slope", "1"]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert refused.returncode == 2
    assert "unexpected keyword argument 'slope'" in refused.stderr
