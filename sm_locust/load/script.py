"""Scenarios as they are sent: templates compiled once, and all that never changes encoded once.

What a request looks like on the wire is decided here, as artillery has it: URLs are escaped, `json`, `form` and `query`
encoded, their media type named where no header does. Which values go into the places, and when a request leaves, is
the player's business; sending the bytes is http's.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from random import Random
from typing import Any
from urllib.parse import quote, quote_plus, urlsplit

from sm_locust import templates
from sm_locust.config.scenarios import Scenario, Step
from sm_locust.load.sigv4 import host_header
from sm_locust.templates import Template

_CONTENT_TYPES = {"json": "application/json", "form": "application/x-www-form-urlencoded"}
_BARE = ("get", "head", "options", "delete")  # without a body they say nothing of one

_OF_THE_CONNECTION = frozenset({"connection", "content-length", "keep-alive", "transfer-encoding"})

_CLEAN = re.compile(r"[!$%&'()*+,\-./0-9:;=?@A-Z\[\]_a-z~]*")  # what stands in a path and query as it is
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

_NONE = Random(0)  # for what holds no template: nothing is drawn

Values = Mapping[str, Any]
Cookie = Callable[[str], str]


class Call:
    """One request of a scenario.

    name     in the figures: the step's own, or method and path with templates as they are written, which are few
    label    in Locust's statistics, which have the method beside it
    address  scheme and host, as they are sent
    pause    seconds before it
    is_head  whether the answer has no body, whatever it says
    names    of values that it needs
    Raises ValueError for headers that cannot be sent.
    """

    def __init__(self, step: Step, pause: float) -> None:
        address, url, method = str(step.address), str(step.url), str(step.method)
        path = url[len(address) :]
        self.address = f"{urlsplit(address).scheme}://{host_header(address)}"
        self.pause = pause
        self.method = method.upper()
        self.is_head = method == "head"
        self.label = step.name or path.partition("?")[0] or "/"
        self.name = step.name or f"{self.method} {self.label}"
        kind = next(iter(step.bodies), None)
        headers = {"User-Agent": "sm-locust", **step.headers}
        if kind in _CONTENT_TYPES and "content-type" not in {name.lower() for name in headers}:
            headers["Content-Type"] = _CONTENT_TYPES[kind]
        named = {name.lower(): name for name in headers}  # a step's own User-Agent is the one
        self._host = "" if "host" in named else f"Host: {host_header(address)}\r\n"
        for name in _OF_THE_CONNECTION & named.keys():
            raise ValueError(f"header {named[name]!r}: the connection sets it itself, leave it out")
        compiled = {named[name.lower()]: templates.compile(text) for name, text in headers.items()}
        self._cookie = compiled.pop(named.get("cookie", ""), None)  # the only one that an answer may replace
        self._fixed_headers = b"".join(
            _line(name, text.render({}, _NONE)) for name, text in compiled.items() if text.fixed
        )
        self._headers = [(name, text) for name, text in compiled.items() if not text.fixed]
        self._path = templates.compile(path)
        self._query = [(templates.compile(name), templates.compile(value)) for name, value in step.query.items()]
        self._body, self._encode = _body(step, kind)
        self._says_length = kind is not None or method not in _BARE
        of_target = [self._path, *(part for pair in self._query for part in pair)]
        texts = [*of_target, *(text for _, text in self._headers)]
        texts += [text for text in (self._body, self._cookie) if text is not None]
        self.names = frozenset[str]().union(*(text.names for text in texts))
        self._target = self._render_target({}, _NONE) if all(text.fixed for text in of_target) else None
        self._fixed_body = self._render_body({}, _NONE) if self._body is None or self._body.fixed else None
        self._whole: tuple[str, bytes, bytes] | None = None
        if all(text.fixed for text in texts):
            self._whole = self._compose({}, _NONE, None)

    def compose(self, values: Values, random: Random, cookie: Cookie | None = None) -> tuple[str, bytes, bytes]:
        """Path and query, head and body, of one request.

        cookie  gives what to send as Cookie to a path and query, in place of the step's own; empty for nothing else

        Raises ValueError, without the value, for values that are not there or cannot be sent.
        """
        if self._whole is not None and cookie is None:
            return self._whole
        return self._compose(values, random, cookie)

    def _compose(self, values: Values, random: Random, cookie: Cookie | None) -> tuple[str, bytes, bytes]:
        target = self._render_target(values, random) if self._target is None else self._target
        body = self._render_body(values, random) if self._fixed_body is None else self._fixed_body
        lines = [f"{self.method} {target} HTTP/1.1\r\n{self._host}".encode(), self._fixed_headers]
        lines += [_line(name, templates.as_text(text.render(values, random))) for name, text in self._headers]
        if kept := "" if cookie is None else cookie(target):
            lines.append(_line("Cookie", kept, "latin-1"))  # as answers are read: byte for byte what was set
        elif self._cookie is not None:
            lines.append(_line("Cookie", templates.as_text(self._cookie.render(values, random))))
        lines.append(b"Content-Length: %d\r\n\r\n" % len(body) if self._says_length else b"\r\n")
        return target, b"".join(lines), body

    def _render_target(self, values: Values, random: Random) -> str:
        target = templates.as_text(self._path.render(values, random)).partition("#")[0]
        if not target.startswith("/"):
            target = "/" + target
        if self._query:
            pairs = [(n.render(values, random), v.render(values, random)) for n, v in self._query]
            target += ("&" if "?" in target else "?") + _form(pairs)
        return target if _CLEAN.fullmatch(target) else quote(target, safe="!$%&'()*+,-./:;=?@[]_~")

    def _render_body(self, values: Values, random: Random) -> bytes:
        return b"" if self._body is None else self._encode(self._body.render(values, random))


class Flow:
    """One scenario: its requests in turn. A pause after the last one delays nothing, and is not among them.

    names  of values that it needs
    """

    def __init__(self, given: Scenario, place: str) -> None:
        self.name = given.name
        calls, pause = [], 0.0
        for j, step in enumerate(given.steps):
            if step.think is not None:
                pause += step.think
                continue
            try:
                calls.append(Call(step, pause))
            except ValueError as error:
                raise ValueError(f"{place}.steps[{j}]: {error}") from None
            pause = 0.0
        self.calls = tuple(calls)
        self.names = frozenset[str]().union(*(call.names for call in calls))


class Script:
    """All scenarios, and which of them comes next.

    Raises ValueError, one line that names the step, for one that cannot be sent.
    """

    def __init__(self, scenarios: Sequence[Scenario]) -> None:
        self.flows = tuple(Flow(each, f"scenarios[{i}]") for i, each in enumerate(scenarios))
        self._up_to = list(accumulate(each.weight for each in scenarios))

    def pick(self, random: Random) -> Flow:
        """One by weight."""
        if len(self.flows) == 1:
            return self.flows[0]
        at = random.random() * self._up_to[-1]
        return self.flows[min(bisect_right(self._up_to, at), len(self.flows) - 1)]


def _body(step: Step, kind: str | None) -> tuple[Template | None, Callable[[Any], bytes]]:
    if kind == "json":
        return templates.compile(templates.plain_numbers(step.json_body)), _json
    if kind == "form":
        pairs = [[name, value] for name, value in (step.form or {}).items()]
        return templates.compile(pairs), lambda rendered: _form(rendered).encode()
    if kind == "body":
        return templates.compile(step.body), lambda rendered: templates.as_text(rendered).encode()
    return None, lambda rendered: b""


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _form(pairs: Sequence[Sequence[Any]]) -> str:
    """As URLSearchParams writes it."""
    return "&".join(f"{_plus(name)}={_plus(value)}" for name, value in pairs)


def _plus(value: Any) -> str:
    return quote_plus(templates.as_text(value), safe="*").replace("~", "%7E")


def _line(name: str, value: str, encoding: str = "utf-8") -> bytes:
    if _CONTROL.search(value):
        raise ValueError(f"header {name!r}: its value holds a control character (it is not shown)")
    return f"{name}: {value}\r\n".encode(encoding)
