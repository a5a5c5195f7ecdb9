"""The addresses of one host: looked up by who needs one, taken in turn, the silent ones last."""

from __future__ import annotations

import ipaddress
import random
import socket
import time
from typing import Any

import gevent
import gevent.socket
from gevent import Greenlet

from sm_locust.load.connection import Expired, HttpFault
from sm_locust.record.outcome import DNS

_SILENT = 60.0  # seconds; for so long an address that did not answer is the last to be tried

_Address = tuple[Any, Any, int, str, Any]  # as getaddrinfo gives it


def _as_address(host: str, port: int) -> list[_Address]:
    """Empty when the host is a name, which has to be looked up. (getaddrinfo would let other greenlets run.)"""
    try:
        version = ipaddress.ip_address(host).version
    except ValueError:
        return []
    family, rest = (socket.AF_INET, ()) if version == 4 else (socket.AF_INET6, (0, 0))
    return [(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port, *rest))]


def is_address(host: str) -> bool:
    """Whether a host is an address and no name: it is never looked up."""
    return bool(_as_address(host, 0))


class Addresses:
    """Of a host and a port.

    timeout  seconds for a look-up, and again for one address to accept
    """

    def __init__(self, host: str, port: int, timeout: float) -> None:
        self._where = (host, port)
        self._timeout = timeout
        self._fixed = _as_address(host, port)  # looked up never, where it is an address and not a name
        self._turn = random.randrange(1 << 16)  # processes do not all begin with the same address
        self._lookup: Greenlet | None = None
        self._silent: dict[Any, float] = {}  # until when an address that did not answer is tried last

    def connect(self) -> Any:
        """A socket to the first address that accepts.

        Those of the family preferred here come in turn, then the others; last those that did not answer lately.
        Raises HttpFault for a name without an address, and OSError where none accepts.
        """
        addresses = self._fixed or self._found()
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
                sock.settimeout(self._timeout)
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
                if isinstance(ended, Expired | gevent.Timeout):
                    self._silent[where] = time.monotonic() + _SILENT
                raise
            else:
                self._silent.pop(where, None)
                return sock
        raise failed or OSError("no address")

    def _found(self) -> list[_Address]:
        """The name's addresses, looked up now: one look-up at a time, which all share who need it meanwhile.

        Were each to ask for itself, a resolver that is slow would be asked by thousands, ten at a time.
        """
        lookup = self._lookup
        if lookup is None:
            lookup = self._lookup = gevent.spawn(self._look_up)
        name = self._where[0]
        try:
            lookup.join(self._timeout)
        except Expired:
            raise HttpFault(DNS, f"no address for {name!r}: no answer within the request's time limit") from None
        if not lookup.ready():
            raise HttpFault(DNS, f"no address for {name!r}: no answer in {self._timeout:g} s")
        found: list[_Address] | Exception = lookup.get()
        if isinstance(found, Exception):
            raise HttpFault(DNS, f"no address for {name!r}: {found}")
        if not found:
            raise HttpFault(DNS, f"no address for {name!r}: the answer names none")
        return found

    def _look_up(self) -> list[_Address] | Exception:
        """What goes wrong is handed on as a value: several wait for it."""
        try:
            found: list[_Address] = gevent.socket.getaddrinfo(*self._where, 0, socket.SOCK_STREAM)
            return found
        except (OSError, ValueError) as error:  # a name that cannot be encoded is a ValueError
            return error
        finally:
            self._lookup = None
