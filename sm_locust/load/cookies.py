"""Cookies that answers set in one run of a scenario, by the rules of the standard library."""

from __future__ import annotations

import email.message
import urllib.request
from collections.abc import Iterable
from http.cookiejar import CookieJar
from typing import Any
from urllib.parse import urlsplit


class Cookies:
    """Those of one run."""

    def __init__(self) -> None:
        self._jar = CookieJar()

    def of(self, address: str, target: str) -> str:
        """What to send to a path and query; empty for nothing."""
        request = urllib.request.Request(address + target)
        self._jar.add_cookie_header(request)
        return str(request.get_header("Cookie", ""))

    def take(self, url: str, set_cookies: Iterable[str]) -> None:
        """Keeps what an answer set, each as its Set-Cookie header has it."""
        headers = email.message.Message()
        host = urlsplit(url).hostname or ""
        for value in set_cookies:
            headers["Set-Cookie"] = _less_domain(value, host)  # one more
        response: Any = _Head(headers)
        self._jar.extract_cookies(response, urllib.request.Request(url))


def _less_domain(set_cookie: str, host: str) -> str:
    """Without a Domain that is empty, or is all of a host without a dot: a CookieJar would refuse the cookie for it.

    Source: RFC 6265, 5.2.3 and 5.3.5: it is then one of that host alone.
    """
    first, *attributes = set_cookie.split(";")
    for attribute in attributes:
        name, _, value = attribute.partition("=")
        domain = value.strip().lower().removeprefix(".")
        if name.strip().lower() != "domain" or domain not in ("", host) or "." in domain:
            first += f";{attribute}"
    return first


class _Head:
    """As much of an answer as a CookieJar asks for."""

    def __init__(self, headers: email.message.Message) -> None:
        self._headers = headers

    def info(self) -> email.message.Message:
        return self._headers
