"""A target that answers every POST after a fixed time, may stall once, and notes when each came and was answered.

    python -m benchmarks.diary PORT DELAY STALL_AFTER STALL_FOR

A body that is a number is the moment (CLOCK_MONOTONIC, which all processes of a machine share) for which the request
was scheduled: `GET /diary` then tells how long after it each answer was written. `GET /arrivals` tells of every POST
when it came and when it was answered, in seconds from the first. It knows nothing of sm_locust.
A stall begins STALL_AFTER seconds after the first request; what would be answered in it is answered at its end.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import cast

import httptools
import uvloop

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\nContent-Length: 7\r\n\r\nsetosa\n"
_REFUSED = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/x-amz-json-1.1\r\n"
    b"x-amzn-errortype: AccessDeniedException\r\nContent-Length: 2\r\n\r\n{}"
)


class Diary:
    def __init__(self, delay: float, stall_after: float, stall_for: float) -> None:
        self.delay = delay
        self.stall_after = stall_after
        self.stall_for = stall_for
        self.first: float | None = None
        self.notes: list[float] = []
        self.visits: list[tuple[float, float]] = []  # came and was answered, from the first request on

    def text(self, url: bytes) -> str:
        if url == b"/arrivals":
            return "\n".join(f"{came:.4f} {answered:.4f}" for came, answered in self.visits)
        return "\n".join(f"{note:.6f}" for note in self.notes)

    def due(self, now: float) -> float:
        """When a request that came at `now` is answered."""
        if self.first is None:
            self.first = now
        due = now + self.delay
        begins = self.first + self.stall_after
        return begins + self.stall_for if begins <= due < begins + self.stall_for else due


class Connection(asyncio.Protocol):
    def __init__(self, diary: Diary) -> None:
        self._diary = diary

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._begin()

    def _begin(self) -> None:
        self._url, self._body = b"", b""
        self._parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        if self._parser.get_method() == b"GET":
            text = self._diary.text(self._url).encode()
            self._write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text))
        elif b"/invocations" not in self._url:
            self._write(_REFUSED)
        else:
            now = time.monotonic()
            try:
                scheduled: float | None = float(self._body)
            except ValueError:
                scheduled = None
            loop = asyncio.get_running_loop()
            loop.call_later(self._diary.due(now) - now, self._answer, scheduled, now)
        self._url, self._body = b"", b""

    def _answer(self, scheduled: float | None, came: float) -> None:
        self._write(_ANSWER)
        first = self._diary.first or came
        self._diary.visits.append((came - first, time.monotonic() - first))
        if scheduled is not None:
            self._diary.notes.append(time.monotonic() - scheduled)

    def _write(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)


async def serve(port: int, diary: Diary) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: Connection(diary), "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), Diary(*map(float, sys.argv[2:5]))))
