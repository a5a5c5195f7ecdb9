"""How a connection to one origin comes about: address, proxy, TLS. How long it serves is pool's."""

from __future__ import annotations

import functools
import os
import ssl
from base64 import b64encode
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import gevent
import gevent.socket
import gevent.ssl

from sm_locust.fields import wire_host
from sm_locust.load.addresses import Addresses, is_address
from sm_locust.load.connection import READ_SIZE, Connection, HttpFault
from sm_locust.load.sigv4 import host_header
from sm_locust.record.outcome import CERTIFICATE, CONNECT, CONNECT_TIMEOUT, TLS


class Opener:
    """Opens connections to an origin; the arguments are those of http's Connections.

    host    for the Host header
    opened  connections that were tried so far
    named   whether the origin is looked up for each of them, here or by the proxy
    """

    def __init__(self, url: str, timeout: float, ca_bundle: str | None, insecure: bool, proxy: str | None) -> None:
        scheme, self._hostname, port = _origin("url", url, {"http": 80, "https": 443})
        self.host = host_header(url)
        self.opened = 0
        self._timeout = timeout
        self._tls = _tls_context(ca_bundle, insecure) if scheme == "https" else None
        self._tunnel_request: bytes | None = None
        self._peer = (self._hostname, port)
        if proxy is not None:
            self._peer = _origin("proxy", proxy, {"http": 80})[1:]
            self._tunnel_request = _connect_request(self._hostname, port, proxy)
        self._addresses = Addresses(*self._peer, timeout)
        self.named = not (is_address(self._peer[0]) and is_address(self._hostname))

    def open(self) -> Connection:
        """A connection to the origin, through the proxy where there is one. Raises HttpFault."""
        self.opened += 1
        where = "{}:{}".format(*self._peer)
        try:
            sock = self._addresses.connect()
        except TimeoutError:
            raise HttpFault(CONNECT_TIMEOUT, f"{where} accepted no connection in {self._timeout:g} s") from None
        except OSError as error:
            raise HttpFault(CONNECT, f"no connection to {where}: {error}") from None
        try:
            sock.settimeout(None)  # the exchange's one timer bounds all that follows
            sock.setsockopt(gevent.socket.IPPROTO_TCP, gevent.socket.TCP_NODELAY, 1)
            if self._tunnel_request is not None or self._tls is not None:
                slow = HttpFault(CONNECT_TIMEOUT, f"{where}: no proxy or TLS handshake in {self._timeout:g} s")
                with gevent.Timeout(self._timeout, slow):
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
        return Connection(sock)


def proxy_for(url: str) -> str | None:
    """The proxy that the environment names for a URL (HTTPS_PROXY, NO_PROXY and their like), found as botocore does."""
    parts = urlsplit(url)
    return None if proxy_bypass(parts.netloc) else getproxies().get(parts.scheme)


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


def _why(error: ssl.SSLCertVerificationError) -> str:
    return error.verify_message or str(error)
