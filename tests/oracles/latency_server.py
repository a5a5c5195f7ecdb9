"""A server of known capacity: answers leave when an oracle in virtual time (queues) says that they do.

HTTP/1.1 on loopback, in a process of its own, nothing of sm_locust. Any POST is an invocation, answered as a model
container answers it: 200 with a small body, or 503 where the oracle has it fail. An arrival is when the whole request
was read. GET /seen tells how many answers of each status it gave; any other GET gets 200, as /ping does. Requests of
one connection are answered one after the other.

A real answer takes a few tenths of a millisecond longer than the oracle's, and more where the client sends late. That
moves a capacity that a limit on latency decides: 0.8 ms move `linear` at a mean of 15 ms by 8% and md1 at 5 ms by 14%,
but md1 at 15 ms by 0.6%, mm4 at 20 ms by 1.1%, and `linear` with a slope of 200 µs at 55 ms (250 a second) by 1.6%.

    python tests/oracles/latency_server.py --kind mm4 --seed 7
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import resource
import select
import selectors
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parents[2])  # as a program, too, it finds queues where a test finds it

from tests.oracles.queues import KINDS, Oracle, oracle

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)
_CLOSES = re.compile(rb"\r\nconnection:[ \t]*close", re.IGNORECASE)

_OPTIONS = ("rate", "latency", "service", "base", "slope", "noise", "window", "share", "per_second")


@contextlib.contextmanager
def latency_server(kind: str, **options: Any) -> Iterator[str]:
    """Runs one and hands on where its invocations go. Options as on the command line: seed=2, per_second=0.01."""
    readable, writable = os.pipe()
    given = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    # Closed as a file: where gevent has patched os, its os.close waits for its loop.
    with open(writable, "wb"):
        process = subprocess.Popen(
            [sys.executable, __file__, "--kind", kind, "--ready-fd", str(writable), *given], pass_fds=[writable]
        )
    try:
        with open(readable) as ready:
            select.select([ready], [], [], 30)
            port = ready.readline().strip()
        assert port, f"the server did not start: {given}"
        yield f"http://127.0.0.1:{port}/invocations"
    finally:
        process.terminate()
        process.wait(20)


class _Service:
    """The oracle on the loop's clock, from its first request on, and what was answered."""

    def __init__(self, of: Oracle) -> None:
        self.answers = {200: 0, 503: 0}
        self._of = of
        self._started: float | None = None

    def depart(self, now: float) -> tuple[float, bool]:
        if self._started is None:
            self._started = now
        leaves_at, ok = self._of.depart(now - self._started)
        return self._started + leaves_at, ok


class _Connection(asyncio.Protocol):
    def __init__(self, service: _Service, loop: asyncio.AbstractEventLoop) -> None:
        self._service = service
        self._loop = loop
        self._received = b""
        self._busy = False  # with a request whose answer has not left yet
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._busy:
            self._next()

    def _next(self) -> None:
        head, whole, rest = self._received.partition(b"\r\n\r\n")
        if not whole:
            return
        if _CHUNKED.search(head):
            self._send(411, b"a body of known length, please\n", closes=True)
            return
        given = _LENGTH.search(head)
        length = int(given[1]) if given else 0
        if len(rest) < length:
            return
        self._received = rest[length:]
        self._busy = True
        closes = _CLOSES.search(head) is not None
        if head.startswith(b"POST "):
            leaves_at, ok = self._service.depart(self._loop.time())
            self._loop.call_at(leaves_at, self._answer, 200 if ok else 503, closes)
        else:
            seen = json.dumps({"answers": self._service.answers}).encode() if head.startswith(b"GET /seen ") else b""
            self._send(200, seen, closes)

    def _answer(self, status: int, closes: bool) -> None:
        self._service.answers[status] += 1
        self._send(status, b"setosa\n" if status == 200 else b"it failed\n", closes)

    def _send(self, status: int, body: bytes, closes: bool) -> None:
        if self._transport.is_closing():
            return  # the client has gone; what it asked for was done all the same
        head = b"HTTP/1.1 %d Known\r\nContent-Type: text/csv\r\nContent-Length: %d\r\n\r\n" % (status, len(body))
        self._transport.write(head + body)
        if closes:
            self._transport.close()
            return
        self._busy = False
        if self._received:
            self._next()


class _Punctual(selectors.DefaultSelector):
    """epoll waits whole milliseconds, so answers would leave up to one late; select waits for epoll more exactly."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout > 0:
            select.select([self.fileno()], [], [], timeout)
        return super().select(0)


async def _serve(of: Oracle, ready_fd: int | None) -> None:
    loop = asyncio.get_running_loop()
    service = _Service(of)
    server = await loop.create_server(lambda: _Connection(service, loop), "127.0.0.1", 0, backlog=4096)
    with open(1 if ready_fd is None else ready_fd, "w", closefd=ready_fd is not None) as ready:
        print(server.sockets[0].getsockname()[1], file=ready)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description="A server of known capacity; prints its port.")
    parser.add_argument("--kind", choices=KINDS, required=True)
    parser.add_argument("--of", choices=KINDS, default="hard-limit", help="what failing and degrading make worse")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--ready-fd", type=int, help="file descriptor to write the port to; standard output without it")
    parser.add_argument("--most-waiting", type=int, default=argparse.SUPPRESS)
    for name in _OPTIONS:
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=argparse.SUPPRESS)
    options = vars(parser.parse_args())
    kind, ready_fd = options.pop("kind"), options.pop("ready_fd")
    try:
        of = oracle(kind, **options)
    except TypeError as error:  # it takes no such option
        parser.error(str(error))
    # An overload keeps thousands of connections open.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 65536) if most > 0 else 65536, most))
    with contextlib.suppress(KeyboardInterrupt), asyncio.Runner(loop_factory=_loop) as runner:
        runner.run(_serve(of, ready_fd))


def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.SelectorEventLoop(_Punctual())


if __name__ == "__main__":
    main()
