"""One connection: a socket, and how to send on it, wait for it and look at it at little cost.

What is sent and what an answer is are http's; how a connection comes about is opening's.
"""

from __future__ import annotations

import select
import ssl
from collections.abc import Callable
from typing import Any

import gevent
import gevent.ssl
from gevent import getcurrent, monkey

READ_SIZE = 64 * 1024
SEND_TOGETHER = 64 * 1024  # up to here copying the body behind its head costs less than a second send

# select() knows no descriptor above 1023. gevent's cooperative poll would switch greenlets where we only want a look.
_poll = monkey.get_original("select", "poll")


class HttpFault(Exception):
    """No complete answer. `kind` is a constant of record.outcome, `message` says what happened and with whom."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


class Expired(BaseException):
    """The time limit of the exchange that the greenlet is in; not an Exception, so that nothing on the way eats it."""


class Connection:
    """A socket, and how to look at it and wait for it at little cost.

    lasting     whether it may serve another request after this one
    used        whether it has served one since it was looked at last
    used_at     the last look at which it had; seconds of time.monotonic
    expires_at  when it is to be replaced, on the same clock
    """

    __slots__ = ("_poll", "_readable", "_recv", "_send", "_sock", "_tls", "_to_hub", "expires_at", "lasting", "used",
                 "used_at")  # fmt: skip

    def __init__(self, sock: Any) -> None:
        self._sock = sock
        self._tls = isinstance(sock, gevent.ssl.SSLSocket)
        # Where there is nothing between us and the bytes, the system's own calls do: what would block says so.
        plain = sock if self._tls else sock._sock
        self._recv: Callable[[int], bytes] = plain.recv
        self._send: Callable[[bytes], int] = plain.send
        self._poll = _poll()
        self._poll.register(sock.fileno(), select.POLLIN)
        hub = gevent.get_hub()
        self._to_hub = hub.switch
        self._readable = hub.loop.io(sock.fileno(), 1)  # 1: wake for reading
        self.lasting = True
        self.used = False
        self.used_at = self.expires_at = float("inf")

    def send(self, head: bytes, body: bytes) -> bool:
        """False: the server would not read to the end. Its answer may be there all the same (413 and the like)."""
        first, rest = (head + body, b"") if len(body) <= SEND_TOGETHER else (head, body)
        try:
            try:
                sent = self._send(first)  # almost always all of it; sendall takes 2.5 µs more
            except BlockingIOError:
                sent = 0
            if sent < len(first):
                self._sock.sendall(first[sent:])
            if rest:
                self._sock.sendall(rest)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def receive(self) -> bytes:
        """What has come, once something has: no answer is there at once, and to try would cost a failing recv."""
        while True:
            if not (self._tls and self._sock.pending()):  # TLS may have read more of its record than was asked for
                self._readable.start(getcurrent().switch)
                try:
                    self._to_hub()
                finally:
                    self._readable.stop()
            try:
                return self._recv(READ_SIZE)
            except BlockingIOError:  # it was woken by something else
                continue

    def quiet(self) -> bool:
        """Nothing to read: neither the server's goodbye nor bytes that belong to no answer."""
        return not self._poll.poll(0) or (self._tls and self._nothing_said())

    def _nothing_said(self) -> bool:
        """Whether what came over TLS is TLS's own: 1.3 sends tickets for later sessions after each handshake."""
        self._sock.settimeout(0.0)  # with which gevent does not wait, and lets no other greenlet run
        try:
            self._sock.recv(1)
        except ssl.SSLWantReadError:
            return True
        except OSError:
            return False
        finally:
            self._sock.settimeout(None)
        return False

    def close(self) -> None:
        self._readable.close()
        self._sock.close()
