"""HTTP/1.1 over kept-alive connections that the whole process shares.

Rules it keeps: one exchange sends its request once, whatever happens; a connection is used again only after a complete
answer that allows it and with nothing left over; the time limit is total, from the first look-up to the last byte;
every failure is an HttpFault of a kind from record.outcome. It follows no redirects and decodes no content. A
connection to a name is replaced before it is a minute old, beside the load, so that a change of DNS is followed.

What to send is the caller's (see sigv4 for the bytes, invoker for the meaning of an answer); how many exchanges are in
flight is the pacer's; which connection is used, pool's.
"""

from __future__ import annotations

from collections.abc import Callable

import gevent
from gevent import getcurrent

import httptools

from sm_locust.load.answer import Answer
from sm_locust.load.connection import Connection, Expired, HttpFault
from sm_locust.load.opening import Opener
from sm_locust.load.pool import MAX_AGE, Pool
from sm_locust.record.outcome import CONNECT_TIMEOUT, PROTOCOL, RESET, TIMEOUT


class Connections:
    """Kept-alive connections to one origin, opened as needed; the last one used is the next one used.

    A name is looked up again for each new connection, and new connections take its addresses in turn.

    url               `http://` or `https://` and a host; what follows is ignored
    connect_timeout   seconds for a name's addresses, for one address to accept, and again for proxy and TLS together
    max_age           seconds within which a connection is replaced, unless it goes to an address that was given as such
    ca_bundle         file or directory of the authorities trusted; None for the system's
    insecure          True: trust any certificate
    proxy             `http://[user:password@]host:port`; tunnelled through with CONNECT
    Raises ValueError for a URL, proxy or bundle that it cannot use.
    """

    def __init__(
        self,
        url: str,
        *,
        connect_timeout: float = 10.0,
        ca_bundle: str | None = None,
        insecure: bool = False,
        proxy: str | None = None,
        max_age: float = MAX_AGE,
    ) -> None:
        self._opener = Opener(url, connect_timeout, ca_bundle, insecure, proxy)
        self.host = self._opener.host
        self.pool = Pool(self._opener, connect_timeout, max_age)
        self._take_idle, self._keep = self.pool.take_idle, self.pool.idle.append  # found once, used by every exchange

    @property
    def opened(self) -> int:
        """Connections opened so far."""
        return self._opener.opened

    def exchange(self, answer: Answer, head: bytes, body: bytes, timeout: float, now: Callable[[], float]) -> None:
        """Send one request and fill in its answer.

        timeout   seconds for all of it: look-up, connecting, sending, the last byte of the answer
        now       the clock of `answer.first_byte_at`
        Raises HttpFault when no complete answer came. Whatever ends it early, GreenletExit too, closes the connection.
        """
        connection: Connection | None = None
        # What gevent.Timeout does, at a third of its price (1 µs a request).
        limit = gevent.get_hub().loop.timer(timeout)
        limit.start(getcurrent().throw, Expired)
        try:
            connection = self._take_idle()
            if connection is None:
                began = now()
                connection = self.pool.open()
                answer.connected = now() - began
            all_sent = connection.send(head, body)
            receive = connection.receive
            while not answer.status:
                data = receive()
                if answer.first_byte_at is None and data:
                    answer.first_byte_at = now()
                elif not data:
                    self._end_of_stream(answer)
                    break
                answer.take(data)
            if answer.reusable and all_sent and connection.lasting:
                connection.used = True
                self._keep(connection)
                connection = None
        except httptools.HttpParserError as error:
            why = error.__context__ or error
            raise HttpFault(PROTOCOL, f"{self.host} answered something that is not HTTP: {why}") from None
        except Expired:
            if connection is None:
                raise HttpFault(CONNECT_TIMEOUT, f"no connection to {self.host} in {timeout:g} s") from None
            progress = f"{answer.received} bytes of its body came" if answer.received else "nothing of its body came"
            raise HttpFault(TIMEOUT, f"no complete answer from {self.host} in {timeout:g} s, {progress}") from None
        except OSError as error:
            raise HttpFault(RESET, f"{self.host} broke the connection off: {error}") from None
        finally:
            limit.close()
            if not answer.status:
                answer.give_up()
            if connection is not None:
                self.pool.discard(connection)

    def close(self) -> None:
        """Closes idle connections now and those in use as soon as they are done."""
        self.pool.close()

    def _end_of_stream(self, answer: Answer) -> None:
        answer.take(b"")
        if not answer.status:
            progress = f"{answer.received} bytes of the body" if answer.received else "nothing of the body"
            raise HttpFault(RESET, f"{self.host} closed the connection after {progress}")
