"""A request of a flow: our step, with its whole URL."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from random import Random
from typing import Any

from sm_locust import templates
from sm_locust.artillery import headers, javascript
from sm_locust.artillery.reading import Reading, named
from sm_locust.artillery.settings import Settings
from sm_locust.fields import Loc

AN_URL = "a path that begins with /, or an http:// or https:// URL; {{ templates }} only after the host"
BODIES = ("json", "body", "form")

_WITHOUT_EQUAL = {
    "capture": f"what an answer holds cannot be used in later requests here: {javascript.OWN_LOCUSTFILE}",
    "match": "answers are not compared with values here: request.expect names a text that every good answer contains",
    "ifTrue": f"conditions have no equal here: {javascript.OWN_LOCUSTFILE}",
    "probability": "has no equal here: write two scenarios, with and without the request, and give each its weight",
    "formData": f"multipart forms have no equal here: {javascript.OWN_LOCUSTFILE}",
}
_KEYS = (
    *("url", "uri", "name", "headers", "json", "body", "form", "qs", "auth", "cookie", "gzip", "followRedirect"),
    *("expect", *_WITHOUT_EQUAL, "setContentLengthHeader", "beforeRequest", "afterResponse"),
)
_FIRST = re.compile(r"\{\{[\w$.\[\]'\" -]{1,60}\}\}", re.ASCII)
_ENVIRONMENT = re.compile(r"\{\{+\s*\$(?:env|processEnvironment)\b")


class Requests:
    """Requests with all that `config` says of every one of them."""

    def __init__(self, read: Reading, settings: Settings) -> None:
        self._read = read
        self._settings = settings

    def converted(self, place: Loc, method: str, given: object, ours: Loc) -> dict[str, Any] | None:
        """The request at a place of the script, which comes to stand at `ours`. None where it is at fault."""
        read, settings = self._read, self._settings
        request = read.mapping(place, given, "a mapping of url, headers, json, body, form, qs")
        if not request and not isinstance(given, Mapping):
            return None
        read.unknown(place, request, _KEYS)
        javascript.refuse_hooks(read, place, request, settings.target)
        for key, why in _WITHOUT_EQUAL.items():
            if request.get(key) is not None:
                read.no_equal((*place, key), why)
        headers.no_cookie(read, place, request)
        if request.get("expect") is not None:
            self._expect((*place, "expect"), request["expect"])
        at = read.places[(*ours, "url")] = (*place, "uri" if request.get("url") is None and "uri" in request else "url")
        url = self._url(at, request)
        if url is None:
            return None
        if "#" in url:
            url = url.partition("#")[0]
            read.note(at, "what follows # is not sent, as in artillery")
        found: dict[str, Any] = {"method": method, "url": url}
        if request.get("name") is not None:
            found["name"] = self._name((*place, "name"), request["name"])
        own = headers.converted(read, (*place, "headers"), request["headers"]) if request.get("headers") else {}
        together = settings.headers | own
        if request.get("auth") is not None:
            together |= self._auth((*place, "auth"), request["auth"])
        if together:
            found["headers"] = settings.put(together)
        for key in together:
            default = ("config", "http", "defaults", "headers", key)
            read.places[(*ours, "headers", key)] = (*place, "headers", key) if key in own else default
        if request.get("qs"):
            read.places[(*ours, "query")] = (*place, "qs")
            found["query"] = settings.put(request["qs"])
            found["url"] = url.partition("?")[0]  # artillery's client lets qs take the place of a URL's own query
        return found | self._body(place, method, request)

    def _url(self, place: Loc, request: Mapping[Any, Any]) -> str | None:
        read, target = self._read, self._settings.target
        key = place[-1]
        given = request.get(key)
        if key not in request:
            read.refuse(place, f"missing; required: {AN_URL}")
            return None
        if not isinstance(given, str) or not given:
            read.wrong(place, given, AN_URL)
            return None
        url: str = self._settings.put(given)
        if url.startswith("{{"):  # what it begins with decides whether the target goes before it
            url = self._begun(url)
        if url.startswith("/"):
            return None if target is None else f"{target}{url}"  # None is refused already
        origin = re.match(r"https?://[^/?#]*", url, re.IGNORECASE)
        if origin is None:
            first = _FIRST.match(url)
            if first is None:
                read.wrong(place, given, AN_URL)
            elif _ENVIRONMENT.match(url):
                read.refuse(place, f"{first[0]} has no value: the environment has no such variable")
            else:
                read.refuse(
                    place,
                    f"what {first[0]} begins with is not known before the run: write {{{{ target }}}}{first[0]} if it "
                    "is a path on the target",
                )
            return None
        begun = self._begun(origin[0]) if "{{" in origin[0] else origin[0]
        if "{{" in begun:
            read.wrong(place, given, AN_URL)
            return None
        return begun + url[origin.end() :]

    def _begun(self, url: str) -> str:
        """A URL with what is known before the run in the places of its beginning, up to the path."""
        end = url.find("}}") + 2 if url.startswith("{{") else len(url)
        text = str(templates.put(url[:end], self._settings.constants))
        try:
            template = templates.compile(text)
            if template.names <= {templates.ENV}:
                text = templates.as_text(template.render(self._read.known, Random()))
        except templates.TemplateError:
            pass
        return text + url[end:]

    def _name(self, place: Loc, given: object) -> str:
        text = named(given, "")
        put = self._settings.put(text)
        if not templates.is_fixed(put) or not text:
            self._read.wrong(place, given, "a text without {{ templates }}: the figures are kept by it")
        return str(put)

    def _auth(self, place: Loc, given: object) -> dict[str, str]:
        read = self._read
        auth = read.mapping(place, given, "a mapping of user and pass")
        read.unknown(place, auth, ("user", "pass"))
        parts = []
        for key in ("user", "pass"):
            text = named(auth.get(key), "")
            if "{{" in text:
                read.no_equal((*place, key), "templates have no equal here: send headers: {Authorization: ...} instead")
            parts.append(text)
        return {"authorization": "Basic " + base64.b64encode(":".join(parts).encode()).decode()}

    def _expect(self, place: Loc, given: object) -> None:
        """What asks for nothing but an answer of 200 to 299 is asked of every answer here."""
        for i, each in enumerate(given if isinstance(given, list) else [given]):
            at = (*place, i) if isinstance(given, list) else place
            for key, value in self._read.mapping(at, each, "a mapping of statusCode").items():
                codes = value if isinstance(value, list) else [value]
                good = all(isinstance(code, int | str) and re.fullmatch(r"2\d\d", str(code)) for code in codes)
                if key == "statusCode" and good:
                    self._read.note((*at, key), "every answer of 200 to 299 is good here, and no other")
                else:
                    self._read.no_equal(
                        (*at, str(key)),
                        "has no equal here: every answer of 200 to 299 is good; request.expect of our YAML names a "
                        "text that every good answer contains",
                    )

    def _body(self, place: Loc, method: str, request: Mapping[Any, Any]) -> dict[str, Any]:
        read = self._read
        given = [key for key in BODIES if request.get(key) is not None]
        if given == ["json", "body"]:
            read.note((*place, "body"), "no effect: artillery sends json then")
            given = ["json"]
        if not given:
            return {}
        key = given[0]
        value = request[key]
        if len(given) > 1:
            read.wrong((*place, given[1]), request[given[1]], f"only without {key}")
        elif method in ("get", "head"):
            read.refuse(
                (*place, key), f"{method} has no body: artillery's client refuses it too; use post, or qs for a query"
            )
        elif key == "body" and not isinstance(value, str):
            read.wrong((*place, "body"), value, "a text; json takes a mapping")
        elif key == "form":
            return {"form": self._settings.put(read.mapping((*place, "form"), value, "a mapping of names to texts"))}
        elif key == "json" or value:
            return {key: self._settings.put(value)}
        return {}
