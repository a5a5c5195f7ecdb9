"""One HTTP answer while it arrives: what of it is read, what is kept, and how much of either at the most.

It knows no connection: bytes are given to it. What became of the exchange is http's, and what it means invoker's.
"""

from __future__ import annotations

import contextlib
from typing import Any

import httptools

MAX_BODY = 16 * 1024 * 1024  # bytes of an answer's body that are kept; SageMaker's own limit is 25 MiB and mostly 6 MiB
SMALL_BODY = 64 * 1024  # bytes of each body that are kept whatever else is; more of it comes out of LARGE_BODIES
LARGE_BODIES = 256 * 1024 * 1024  # bytes of large bodies that a process keeps at a time
MAX_HEAD = 256 * 1024  # bytes of an answer's head, interim answers included; servers send 8 KiB, curl takes 300 KiB


class Answer:
    """One answer, filled in while it arrives, so that a fault leaves what had come until then.

    status          HTTP status; 0 until the answer is complete
    received        bytes of the body on the wire, chunk framing not counted
    first_byte_at   on the clock given to `exchange`; None before it
    connected       seconds spent on a new connection; None on a kept-alive one
    reusable        whether the answer lets its connection live; False until it is complete
    `expect` is looked for in all of the body, also in what is not kept of it; see `as_expected`. `to_head`: the answer
    to a HEAD request, which ends with its head, whatever that says of a body.
    """

    __slots__ = ("_body", "_expect", "_found", "_head", "_headers", "_in_head", "_large", "_max_body", "_parser",
                 "_passed", "_to_head", "connected", "first_byte_at", "received", "reusable", "status")  # fmt: skip

    def __init__(self, max_body: int = MAX_BODY, expect: bytes = b"", *, to_head: bool = False) -> None:
        self.status = 0
        self.received = 0
        self.first_byte_at: float | None = None
        self.connected: float | None = None
        self.reusable = False
        self._body: bytes | bytearray = b""  # in one piece: a list of small chunks takes twenty times as much
        self._expect = expect
        self._found = False  # in what was passed over
        self._passed: bytes | None = None  # the end of what has come; None while all of it is kept
        self._max_body = max_body
        self._large: _Lease | None = None
        self._head = b""  # all that came until the head was complete; few answers' headers are ever looked at
        self._in_head = True
        self._to_head = to_head
        self._headers: dict[str, str] | None = None
        self._parser: Any = httptools.HttpResponseParser(self)

    @property
    def headers(self) -> dict[str, str]:
        """By lower-case name; a name that is repeated keeps its last value. Empty until the head is complete."""
        if self._headers is None:
            if self._in_head:
                return {}
            self._headers = _Headers(self._head).found
        return self._headers

    @property
    def cookies(self) -> list[str]:
        """Values of every Set-Cookie, which is the one header that cannot be put together with others of its name."""
        if self._in_head or b"set-cookie" not in self._head.lower():
            return []
        return _Headers(self._head).cookies

    @property
    def body(self) -> bytes:
        """The first `max_body` bytes of the body, or fewer where the process keeps LARGE_BODIES already."""
        if not isinstance(self._body, bytes):
            self._body = bytes(self._body)  # not kept twice
        return self._body

    @property
    def as_expected(self) -> bool:
        """Whether the body contains what was expected of it, be it kept or not."""
        return self._found or self._expect in self._body

    def take(self, data: bytes) -> None:
        """Parse what was received; `b""` is the end of the connection. Raises HttpParserError for what is not HTTP."""
        if not data:
            self._end()
            return
        if self._in_head:
            self._head = self._head + data if self._head else data
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            # Neither a change of protocol nor bytes after the end unsay the answer: they spoil the connection.
            if not self.status:
                raise
            self.reusable = False
        if self._in_head and len(self._head) > MAX_HEAD:
            raise httptools.HttpParserError(f"a head of more than {MAX_HEAD // 1024} KiB")

    def _end(self) -> None:
        """Completes an answer whose length is the connection's (RFC 9112, 6.3); any other is cut short."""
        if self._in_head or self.status:
            return
        headers = self.headers
        if "content-length" not in headers and not headers.get("transfer-encoding", "").lower().endswith("chunked"):
            self.status = self._parser.get_status_code()
            self._parser = None

    def give_up(self) -> None:
        """Nothing more will come."""
        self._parser = None  # see on_message_complete

    # What httptools (llhttp) calls. It looks for no header callback here, so it makes no strings of headers.

    def on_message_begin(self) -> None:
        if self.status:
            raise ValueError("a second answer")

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status >= 200 or status == 101:
            self._in_head = False
            if self._to_head:
                self._complete()
        elif status < 100:
            raise ValueError(f"status {status:03d}")

    def on_body(self, part: bytes) -> None:
        if self._to_head:
            self.reusable = False  # where the answer to the next request would be read
            return
        room = min(len(part), self._max_body - self.received)
        self.received += len(part)
        if room > 0:
            if self.received > SMALL_BODY:
                if self._large is None:
                    self._large = _Lease()
                wanted, room = room, self._large.more(room)
                if room < wanted:
                    self._max_body = 0  # what is kept is the beginning of the body, without a hole
            kept = part if room == len(part) else part[:room]
            if not self._body:
                self._body = kept
            else:
                if isinstance(self._body, bytes):
                    self._body = bytearray(self._body)
                self._body += kept
        if room < len(part) and self._expect:
            self._pass_over(part[max(room, 0) :])

    def _pass_over(self, part: bytes) -> None:
        length = len(self._expect)
        before = bytes(self._body[-length:]) if self._passed is None else self._passed
        together = before + part
        self._found = self._found or self._expect in together
        self._passed = together[-length:]

    def on_message_complete(self) -> None:
        if not self._in_head and not self.status:  # else an interim answer: the real one follows
            self._complete()

    def _complete(self) -> None:
        parser = self._parser
        self.status = parser.get_status_code()
        self.reusable = parser.should_keep_alive()
        self._parser = None  # which refers to this answer: together they would wait for the garbage collector


class _Lease:
    """What one answer keeps of LARGE_BODIES; given back when the answer goes."""

    __slots__ = ("_kept",)
    free = LARGE_BODIES

    def __init__(self) -> None:
        self._kept = 0

    def more(self, wanted: int) -> int:
        """How many bytes more may be kept."""
        granted = min(wanted, _Lease.free)
        _Lease.free -= granted
        self._kept += granted
        return granted

    def __del__(self) -> None:
        type(self).free += self._kept


class _Headers:
    """Collects the headers of the answer in what it is fed: neither those of interim ones, nor what follows it."""

    def __init__(self, head: bytes) -> None:
        self.found: dict[str, str] = {}
        self.cookies: list[str] = []
        self._over = False
        self._parser: Any = httptools.HttpResponseParser(self)
        with contextlib.suppress(httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._parser.feed_data(head)
        self._parser = None

    def on_message_begin(self) -> None:
        if not self._over:
            self.found.clear()
            self.cookies.clear()

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._over:
            key, text = name.decode("latin-1").lower(), value.decode("latin-1")
            self.found[key] = text
            if key == "set-cookie":
                self.cookies.append(text)

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        self._over = self._over or status >= 200 or status == 101
