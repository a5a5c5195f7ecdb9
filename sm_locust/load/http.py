"""HTTP/1.1 over kept-alive connections that the whole process shares.

Rules it keeps: one exchange sends its request once, whatever happens; a connection is used again only after a complete
answer that allows it and with nothing left over; the time limit is total, from the first look-up to the last byte;
every failure is an HttpFault of a kind from record.outcome. It follows no redirects and decodes no content. A
connection to a name is replaced before it is a minute old, beside the load, so that a change of DNS is followed.

What to send is the caller's (see sigv4 for the bytes, invoker for the meaning of an answer); how many exchanges are in
flight is the pacer's.
"""

from __future__ import annotations

import functools
import ipaddress
import os
import random
import select
import socket
import ssl
import time
from base64 import b64encode
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import gevent
import gevent.socket
import gevent.ssl
from gevent import Greenlet, getcurrent, monkey
from gevent.pool import Pool

import httptools

from sm_locust.fields import wire_host
from sm_locust.load.answer import Answer
from sm_locust.load.sigv4 import host_header
from sm_locust.record.outcome import CERTIFICATE, CONNECT, CONNECT_TIMEOUT, DNS, PROTOCOL, RESET, TIMEOUT, TLS

READ_SIZE = 64 * 1024
SEND_TOGETHER = 64 * 1024  # up to here copying the body behind its head costs less than a second send

# AWS's load balancers and services move to other addresses within the 60 s for which their DNS answers hold, and AWS
# asks clients to look again as often. Connections end at half of that or later, each at a moment of its own.
MAX_AGE = 60.0  # seconds
_LOOK = 1.0  # how often connections are looked through for old ones
_UNUSED = 10.0  # a connection that nobody needed for so long is closed when it is old, and not replaced
_REPLACED_TOGETHER = 8
_SPARE = 8  # with so many idle, a busy one that is old is only closed when it is done
_TRY_AGAIN = 10.0  # after a replacement that did not come about; until then the old connection serves
_SILENT = 60.0  # for so long an address that did not answer is the last to be tried

# select() knows no descriptor above 1023. gevent's cooperative poll would switch greenlets where we only want a look.
_poll = monkey.get_original("select", "poll")


class HttpFault(Exception):
    """No complete answer. `kind` is a constant of record.outcome, `message` says what happened and with whom."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


class _Expired(BaseException):
    """The time limit of the exchange that the greenlet is in; not an Exception, so that nothing on the way eats it."""


class Connections:
    """Kept-alive connections to one origin, opened as needed; the last one used is the next one used.

    A name is looked up again for each new connection, and new connections take its addresses in turn. Those that get
    old are replaced beside the load: no request waits for that, and where it fails the old ones serve on.

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
        scheme, self._hostname, self._port = _origin("url", url, {"http": 80, "https": 443})
        self.host = host_header(url)  # for the Host header
        self.opened = 0  # connections opened so far
        self._tls = None
        if scheme == "https":
            self._tls = _tls_context(ca_bundle, insecure)
        self._connect_timeout = connect_timeout
        self._peer = (self._hostname, self._port)
        self._tunnel_request: bytes | None = None
        if proxy is not None:
            self._peer = _origin("proxy", proxy, {"http": 80})[1:]
            self._tunnel_request = _connect_request(self._hostname, self._port, proxy)
        self._fixed = _as_address(*self._peer)  # looked up never, where it is an address and not a name
        named = not self._fixed or not _as_address(self._hostname, self._port)
        self._max_age = max_age if named else float("inf")
        self._turn = random.randrange(1 << 16)  # processes do not all begin with the same address
        self._lookup: Greenlet | None = None
        self._idle: list[_Connection] = []
        self._all: set[_Connection] = set()
        self._keeper: Greenlet | None = None
        self._replacing = Pool(_REPLACED_TOGETHER)
        self._silent: dict[Any, float] = {}  # until when an address that did not answer is tried last
        self._closed = False

    def exchange(self, answer: Answer, head: bytes, body: bytes, timeout: float, now: Callable[[], float]) -> None:
        """Send one request and fill in its answer.

        timeout   seconds for all of it: look-up, connecting, sending, the last byte of the answer
        now       the clock of `answer.first_byte_at`
        Raises HttpFault when no complete answer came. Whatever ends it early, GreenletExit too, closes the connection.
        """
        connection: _Connection | None = None
        # What gevent.Timeout does, at a third of its price (1 µs a request).
        limit = gevent.get_hub().loop.timer(timeout)
        limit.start(getcurrent().throw, _Expired)
        try:
            connection = self._take_idle()
            if connection is None:
                began = now()
                connection = self._open()
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
                self._idle.append(connection)
                connection = None
        except httptools.HttpParserError as error:
            why = error.__context__ or error
            raise HttpFault(PROTOCOL, f"{self.host} answered something that is not HTTP: {why}") from None
        except _Expired:
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
                self._discard(connection)

    def close(self) -> None:
        """Close idle connections now and those in use as soon as they are done."""
        self._closed = True
        if self._keeper is not None:
            self._keeper.kill(block=False)
        for connection in list(self._all):
            self._retire(connection)

    def _take_idle(self) -> _Connection | None:
        """The connection used last. Those that the server has closed since are dropped: nothing was sent on them."""
        while self._idle:
            connection = self._idle.pop()
            if connection.quiet():
                return connection
            self._discard(connection)
        return None

    def _retire(self, connection: _Connection) -> None:
        """Closes it now if it is idle, or else as soon as it is done."""
        connection.lasting = False
        try:
            self._idle.remove(connection)
        except ValueError:
            return
        self._discard(connection)

    def _discard(self, connection: _Connection) -> None:
        self._all.discard(connection)
        connection.close()

    # -- age ---------------------------------------------------------------------------------------------------------

    def _keep_young(self) -> None:
        if not self._keeper and self._max_age < float("inf"):
            self._keeper = gevent.spawn(self._keep_looking)

    def _keep_looking(self) -> None:
        """Replaces what gets old. It ends with the last connection."""
        look = min(_LOOK, self._max_age / 10)
        while self._all and not self._closed:
            gevent.sleep(look)
            now = time.monotonic()
            due = []
            for connection in list(self._all):
                if connection.used:
                    connection.used = False
                    connection.used_at = now
                if not connection.lasting or connection.expires_at > now:
                    continue
                if connection not in self._idle:
                    # Were each of many slow requests to get a second connection, the server would see twice as many.
                    if len(self._idle) >= _SPARE:
                        self._retire(connection)
                    else:
                        due.append(connection)
                elif now - connection.used_at > _UNUSED:
                    self._retire(connection)
                else:
                    due.append(connection)
            for connection in due:
                if len(self._replacing) >= _REPLACED_TOGETHER:
                    self._replacing.wait_available(look)
                    if len(self._replacing) >= _REPLACED_TOGETHER:
                        break  # none gets anywhere; what else is to be done must not wait for that
                if connection not in self._idle and len(self._idle) + len(self._replacing) >= _SPARE:
                    continue  # looked at again
                connection.expires_at = float("inf")  # nobody else is to replace it
                self._replacing.spawn(self._replace, connection)

    def _replace(self, old: _Connection) -> None:
        if old not in self._all or not old.lasting:  # it ended meanwhile, and whoever needs another one opens it
            return
        try:
            # One limit for all of it: each of several addresses that do not answer would take its own.
            with gevent.Timeout(self._connect_timeout):
                fresh = self._open()
        except (HttpFault, gevent.Timeout):
            old.expires_at = time.monotonic() + _TRY_AGAIN
            return
        self._retire(old)
        if fresh.lasting:
            self._idle.append(fresh)
        else:
            self._discard(fresh)

    # -- opening -----------------------------------------------------------------------------------------------------

    def _end_of_stream(self, answer: Answer) -> None:
        answer.take(b"")
        if not answer.status:
            progress = f"{answer.received} bytes of the body" if answer.received else "nothing of the body"
            raise HttpFault(RESET, f"{self.host} closed the connection after {progress}")

    def _open(self) -> _Connection:
        self.opened += 1
        where = "{}:{}".format(*self._peer)
        addresses = self._fixed or self._addresses()
        try:
            sock = self._connect(addresses)
        except TimeoutError:
            raise HttpFault(CONNECT_TIMEOUT, f"{where} accepted no connection in {self._connect_timeout:g} s") from None
        except OSError as error:
            raise HttpFault(CONNECT, f"no connection to {where}: {error}") from None
        try:
            sock.settimeout(None)  # the exchange's one timer bounds all that follows
            sock.setsockopt(gevent.socket.IPPROTO_TCP, gevent.socket.TCP_NODELAY, 1)
            if self._tunnel_request is not None or self._tls is not None:
                slow = HttpFault(CONNECT_TIMEOUT, f"{where}: no proxy or TLS handshake in {self._connect_timeout:g} s")
                with gevent.Timeout(self._connect_timeout, slow):
                    if self._tunnel_request is not None:
                        _tunnel(sock, self._tunnel_request, where)
                    if self._tls is not None:
                        sock = self._tls.wrap_socket(
                            sock, server_hostname=self._hostname, do_handshake_on_connect=False
                        )
                        sock.do_handshake()
        except ssl.SSLCertVerificationError as error:
            sock.close()
            raise HttpFault(CERTIFICATE, f"{self.host} showed a certificate that is refused: {_why(error)}") from None
        except OSError as error:
            sock.close()
            raise HttpFault(TLS, f"no TLS with {self.host}: {error}") from None
        except BaseException:
            sock.close()
            raise
        connection = _Connection(sock)
        now = connection.used_at = time.monotonic()
        connection.expires_at = now + self._max_age * random.uniform(0.5, 1.0)  # not all at once, later on
        connection.lasting = not self._closed
        self._all.add(connection)
        self._keep_young()
        return connection

    def _addresses(self) -> list[_Address]:
        """The name's addresses, looked up now: one look-up at a time, which all share who need it meanwhile.

        Were each to ask for itself, a resolver that is slow would be asked by thousands, ten at a time.
        """
        lookup = self._lookup
        if lookup is None:
            lookup = self._lookup = gevent.spawn(self._look_up)
        name = self._peer[0]
        try:
            lookup.join(self._connect_timeout)
        except _Expired:
            raise HttpFault(DNS, f"no address for {name!r}: no answer within the request's time limit") from None
        if not lookup.ready():
            raise HttpFault(DNS, f"no address for {name!r}: no answer in {self._connect_timeout:g} s")
        found: list[_Address] | Exception = lookup.get()
        if isinstance(found, Exception):
            raise HttpFault(DNS, f"no address for {name!r}: {found}")
        if not found:
            raise HttpFault(DNS, f"no address for {name!r}: the answer names none")
        return found

    def _look_up(self) -> list[_Address] | Exception:
        """What goes wrong is handed on as a value: several wait for it."""
        try:
            found: list[_Address] = gevent.socket.getaddrinfo(*self._peer, 0, socket.SOCK_STREAM)
            return found
        except (OSError, ValueError) as error:  # a name that cannot be encoded is a ValueError
            return error
        finally:
            self._lookup = None

    def _connect(self, addresses: list[_Address]) -> Any:
        """A socket to the first address that accepts.

        Those of the family preferred here come in turn, then the others; last those that did not answer lately.
        """
        preferred = sorted(address for address in addresses if address[0] == addresses[0][0])
        self._turn += 1
        first = self._turn % len(preferred)
        others = [address for address in addresses if address[0] != addresses[0][0]]
        ordered = [*preferred[first:], *preferred[:first], *others]
        now = time.monotonic()
        ordered.sort(key=lambda address: self._silent.get(address[4], now) > now)
        failed: OSError | None = None
        for family, kind, protocol, _, where in ordered:
            sock = gevent.socket.socket(family, kind, protocol)
            try:
                sock.settimeout(self._connect_timeout)
                sock.connect(where)
            except OSError as error:
                sock.close()
                silent = isinstance(error, TimeoutError)
                if silent:
                    self._silent[where] = time.monotonic() + _SILENT
                if silent or failed is None:  # that one was waited for says more than that another has no route
                    failed = error
            except BaseException as ended:
                sock.close()
                if isinstance(ended, _Expired | gevent.Timeout):
                    self._silent[where] = time.monotonic() + _SILENT
                raise
            else:
                self._silent.pop(where, None)
                return sock
        raise failed or OSError("no address")


_Address = tuple[Any, Any, int, str, Any]  # as getaddrinfo gives it


def _as_address(host: str, port: int) -> list[_Address]:
    """Empty when the host is a name, which has to be looked up. (getaddrinfo would let other greenlets run.)"""
    try:
        version = ipaddress.ip_address(host).version
    except ValueError:
        return []
    family, rest = (socket.AF_INET, ()) if version == 4 else (socket.AF_INET6, (0, 0))
    return [(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port, *rest))]


def _why(error: ssl.SSLCertVerificationError) -> str:
    return error.verify_message or str(error)


def proxy_for(url: str) -> str | None:
    """The proxy that the environment names for a URL (HTTPS_PROXY, NO_PROXY and their like), found as botocore does."""
    parts = urlsplit(url)
    return None if proxy_bypass(parts.netloc) else getproxies().get(parts.scheme)


class _Connection:
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


@functools.cache
def _tls_context(ca_bundle: str | None, insecure: bool) -> Any:
    """One context for the process: loading the authorities costs 36 ms and 860 KiB."""
    # gevent's own class: create_default_context, gevent's too, makes one that blocks the process if ssl is unpatched.
    context = gevent.ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # which verifies certificate and host name
    try:
        if ca_bundle is None:
            context.load_default_certs()
        elif os.path.isdir(ca_bundle):
            context.load_verify_locations(capath=ca_bundle)
        else:
            context.load_verify_locations(cafile=ca_bundle)
    except OSError as error:
        raise ValueError(f"ca_bundle {ca_bundle!r}: must be a PEM file or a directory of them ({error})") from None
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _origin(what: str, url: str, default_ports: dict[str, int]) -> tuple[str, str, int]:
    accepted = " or ".join(f"{scheme}://host[:port]" for scheme in default_ports)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"{what} {url!r}: {error}; accepted is {accepted}") from None
    if parts.scheme not in default_ports or not parts.hostname:
        raise ValueError(f"{what} {url!r}: accepted is {accepted}")
    try:
        hostname = wire_host(parts.hostname)
    except ValueError as error:
        raise ValueError(f"{what} {url!r}: {error}") from None
    return parts.scheme, hostname, port or default_ports[parts.scheme]


def _connect_request(hostname: str, port: int, proxy: str) -> bytes:
    host = f"[{hostname}]:{port}" if ":" in hostname else f"{hostname}:{port}"
    lines = [f"CONNECT {host} HTTP/1.1", f"Host: {host}"]
    parts = urlsplit(proxy)
    if parts.username is not None:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        lines.append(f"Proxy-Authorization: Basic {b64encode(login).decode()}")
    return "\r\n".join([*lines, "", ""]).encode()


def _tunnel(sock: Any, request: bytes, where: str) -> None:
    try:
        sock.sendall(request)
        head = b""
        while b"\r\n\r\n" not in head and len(head) < READ_SIZE:
            # One byte at a time, once a connection: what follows the empty line already belongs to TLS.
            byte = sock.recv(1)
            if not byte:
                break
            head += byte
    except OSError as error:
        raise HttpFault(CONNECT, f"proxy {where} broke the connection off: {error}") from None
    status_line = head.split(b"\r\n", 1)[0].decode(errors="replace")
    if status_line.split(" ")[1:2] != ["200"]:
        raise HttpFault(CONNECT, f"proxy {where} opened no tunnel: {status_line or 'it closed the connection'}")
