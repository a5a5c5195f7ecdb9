"""`scenarios` of a script: each step of a flow becomes a request with its whole URL, or a pause."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from random import Random
from typing import Any
from urllib.parse import urlsplit

from sm_locust import templates
from sm_locust.artillery.reading import KIND, WITHOUT_EQUAL, Reading, name, names
from sm_locust.artillery.settings import Settings, headers, no_cookie
from sm_locust.fields import METHODS, Loc, format_duration

_OWN_LOCUSTFILE = "write the session as a locustfile of your own with ArrivalUser"
_JAVASCRIPT = f"JavaScript has no equal here: {_OWN_LOCUSTFILE}"
_SIGNED = (
    "JavaScript has no equal here; if it signs requests for AWS, take it away, for that is done here without it: "
    "InvokeEndpoint by locustfiles/invoke_endpoint.py, an API by target.auth: iam"
)
_STEPS_WITHOUT_EQUAL = {
    "loop": "has no equal here: write its steps out as often as they are to be done, or let more scenarios arrive",
    "parallel": "has no equal here: the steps of a scenario follow one another",
    "function": "",  # as JavaScript
}
_HOOKS = ("beforeRequest", "afterResponse", "beforeScenario", "afterScenario", "onError")
_OF_REQUEST_WITHOUT_EQUAL = {
    "capture": f"what an answer holds cannot be used in later requests here: {_OWN_LOCUSTFILE}",
    "match": "answers are not compared with values here: request.expect names a text that every good answer contains",
    "ifTrue": f"conditions have no equal here: {_OWN_LOCUSTFILE}",
    "probability": "has no equal here: write two scenarios, with and without the request, and give each its weight",
    "formData": f"multipart forms have no equal here: {_OWN_LOCUSTFILE}",
}
_REQUEST = (
    *(
        "url",
        "uri",
        "name",
        "headers",
        "json",
        "body",
        "form",
        "qs",
        "auth",
        "cookie",
        "gzip",
        "followRedirect",
        "expect",
    ),
    *(*_OF_REQUEST_WITHOUT_EQUAL, "setContentLengthHeader", "beforeRequest", "afterResponse"),
)
_BODIES = ("json", "body", "form")
_FIRST = re.compile(r"\{\{[\w$.\[\]'\" -]{1,60}\}\}", re.ASCII)
_ENVIRONMENT = re.compile(r"\{\{+\s*\$(?:env|processEnvironment)\b")
A_STEP = f"a mapping of one of {', '.join(METHODS)}, think, log"
AN_URL = "a path that begins with /, or an http:// or https:// URL; {{ templates }} only after the host"


def converted(read: Reading, given: object, config: Mapping[Any, Any], settings: Settings) -> list[dict[str, Any]]:
    read.places["scenarios",] = ("scenarios",)
    scenarios = read.listed(("scenarios",), given, "a list of scenarios")
    ours: list[dict[str, Any]] = []
    for i, each in enumerate(scenarios):
        scenario = _Flow(read, settings, ("scenarios", i), len(ours)).scenario(each, config, f"scenario {i + 1}")
        if scenario is not None:
            ours.append(scenario)
    if not ours and not read.faults:
        read.wrong(("scenarios",), scenarios, "a list of one scenario or more, one of them with a weight of 1 or more")
    return ours


def check_names(read: Reading, scenarios: list[dict[str, Any]], settings: Settings) -> None:
    """Refuses templates whose name nothing gives a value to; artillery sends `undefined` in their place."""
    sections = settings.sections
    fields = [
        field for feed in sections.get("feeds", []) if isinstance(feed["fields"], list) for field in feed["fields"]
    ]
    known = {*sections.get("variables", {}), *filter(lambda field: isinstance(field, str), fields), *templates.OWN}
    for i, scenario in enumerate(scenarios):
        for j, step in enumerate(scenario["steps"]):
            for key in ("url", "headers", "query", *_BODIES):
                try:
                    needed = templates.compile(step.get(key, "")).names
                except templates.TemplateError:
                    continue  # which our own models refuse, in the same words
                for missing in sorted(needed - known):
                    named = names(known)
                    read.refuse(
                        (*read.places["scenarios", i, "steps", j], "qs" if key == "query" else key),
                        f"{{{{ {missing} }}}} has no value: neither config.variables nor config.payload names it, and "
                        f"--variables has no equal here; names with a value: {named}",
                    )


class _Flow:
    """One scenario on its way to steps.

    place     of the scenario in the script
    position  in our scenarios
    """

    def __init__(self, read: Reading, settings: Settings, place: Loc, position: int) -> None:
        self._read = read
        self._settings = settings
        self._place = place
        self._position = position
        self._steps: list[dict[str, Any]] = []

    def scenario(self, given: object, config: Mapping[Any, Any], otherwise: str) -> dict[str, Any] | None:
        read, place = self._read, self._place
        read.places["scenarios", self._position] = place
        scenario = read.mapping(place, given, "a mapping of name, weight, flow")
        engine = scenario.get("engine") or config.get("engine") or "http"
        if engine != "http":
            read.wrong((*place, "engine"), engine, "http, the default; no other engine has an equal here", KIND)
            return None
        read.unknown(place, scenario, ("name", "weight", "flow", "engine", *_HOOKS))
        self._hooks(place, scenario)
        weight = read.number((*place, "weight"), scenario.get("weight", 1), "a whole number, 0 or more")
        if weight is not None and 0 <= weight < 1:
            read.note((*place, "weight"), "the scenario is left out: it is never picked")
            return None
        if "flow" not in scenario:
            if scenario:
                read.refuse((*place, "flow"), "missing; required: a list of steps")
            return None
        read.places["scenarios", self._position, "steps"] = (*place, "flow")
        flow = read.listed((*place, "flow"), scenario["flow"], "a list of steps")
        for j, each in enumerate(flow):
            if isinstance(each, list):  # as YAML aliases of lists of steps come out
                for k, inner in enumerate(each):
                    self._step((*place, "flow", j, k), inner)
            else:
                self._step((*place, "flow", j), each)
        if not read.faults and not any("url" in step for step in self._steps):
            read.refuse((*place, "flow"), "holds no request; accepted: a list of steps, one of them a request")
        return {"name": name(scenario.get("name"), otherwise), "weight": int(weight or 1), "steps": self._steps}

    def _hooks(self, place: Loc, given: Mapping[Any, Any]) -> None:
        for hook in _HOOKS:
            if given.get(hook):
                self._javascript((*place, hook))

    def _javascript(self, place: Loc) -> None:
        target = self._settings.target or ""
        host = (urlsplit(target).hostname or "") if target else ""
        signed = host.startswith("runtime.sagemaker") or ".execute-api." in host
        self._read.refuse(place, _SIGNED if signed else _JAVASCRIPT, WITHOUT_EQUAL)

    def _step(self, place: Loc, given: object) -> None:
        read = self._read
        step = read.mapping(place, given, A_STEP)
        for key, why in _STEPS_WITHOUT_EQUAL.items():
            if key in step:
                if key == "function":
                    self._javascript((*place, key))
                else:
                    read.refuse((*place, key), why, WITHOUT_EQUAL)
                return
        kinds = [key for key in step if key in (*METHODS, "think", "log")]
        read.unknown(place, step, (*METHODS, "think", "log", *_STEPS_WITHOUT_EQUAL, *(("jitter",) if kinds else ())))
        if len(kinds) > 1:
            read.refuse((*place, kinds[1]), f"a step has one key, and {kinds[0]} is another: write two steps")
            return
        if not kinds:
            if not step and isinstance(given, Mapping):
                read.wrong(place, given, A_STEP)
            return
        ours = ("scenarios", self._position, "steps", len(self._steps))
        kind = kinds[0]
        if kind == "log":
            read.note((*place, "log"), "no effect here: nothing is printed")
        elif kind == "think":
            self._think(place, step, ours)
        else:
            read.places[ours] = (*place, kind)
            request = self._request((*place, kind), kind, step[kind], ours)
            if request is not None:
                self._steps.append(request)

    def _think(self, place: Loc, step: Mapping[Any, Any], ours: Loc) -> None:
        read = self._read
        read.places[(*ours, "think")] = (*place, "think")
        if step.get("jitter"):
            read.note((*place, "jitter"), "no effect here: the pause is as long as think says")
        known = self._constants()
        written = templates.put(step["think"], {key: str(value) for key, value in known.items()})
        seconds = read.seconds((*place, "think"), written, "a number of seconds, or a duration such as 500ms or 2s")
        if seconds and not any("url" in step for step in self._steps):
            read.note((*place, "think"), "left out: ahead of the first request it would only delay the arrival")
        elif seconds:
            self._steps.append({"think": format_duration(seconds)})

    def _constants(self) -> dict[str, str]:
        """Names whose value is known before the run, as texts."""
        variables = self._settings.sections.get("variables", {})
        fixed = {k: templates.as_text(v) for k, v in variables.items() if isinstance(v, str | int | float)}
        return fixed | self._settings.names

    def _request(self, place: Loc, method: str, given: object, ours: Loc) -> dict[str, Any] | None:
        read = self._read
        request = read.mapping(place, given, "a mapping of url, headers, json, body, form, qs")
        if not request and not isinstance(given, Mapping):
            return None
        read.unknown(place, request, _REQUEST)
        self._hooks(place, request)
        for key, why in _OF_REQUEST_WITHOUT_EQUAL.items():
            if request.get(key) is not None:
                read.refuse((*place, key), why, WITHOUT_EQUAL)
        if request.get("cookie") is not None:
            no_cookie(read, (*place, "cookie"))
        if request.get("expect") is not None:
            self._expect((*place, "expect"), request["expect"])
        url = self._url(place, request)
        if url is None:
            return None
        if "#" in url:
            url = url.partition("#")[0]
            read.note((*place, "url" if "url" in request else "uri"), "what follows # is not sent, as in artillery")
        found: dict[str, Any] = {"method": method, "url": url}
        read.places[(*ours, "url")] = (*place, "url" if "url" in request else "uri")
        if request.get("name") is not None:
            found["name"] = self._name((*place, "name"), request["name"])
        own = headers(read, (*place, "headers"), request["headers"]) if request.get("headers") else {}
        together = self._settings.headers | own
        if request.get("auth") is not None:
            together |= self._auth((*place, "auth"), request["auth"])
        if together:
            found["headers"] = self._put(together)
        for key in together:
            default = ("config", "http", "defaults", "headers", key)
            read.places[(*ours, "headers", key)] = (*place, "headers", key) if key in own else default
        if request.get("qs"):
            read.places[(*ours, "query")] = (*place, "qs")
            found["query"] = self._put(request["qs"])
            found["url"] = url.partition("?")[0]  # artillery's client lets qs take the place of a URL's own query
        return found | self._body(place, method, request)

    def _put(self, value: Any) -> Any:
        return templates.put(value, self._settings.names)

    def _url(self, place: Loc, request: Mapping[Any, Any]) -> str | None:
        read = self._read
        key = "uri" if request.get("url") is None and "uri" in request else "url"
        at = (*place, key)
        given = request.get(key)
        if key not in request:
            read.refuse(at, f"missing; required: {AN_URL}")
            return None
        if not isinstance(given, str) or not given:
            read.wrong(at, given, AN_URL)
            return None
        target = self._settings.target
        url: str = self._put(given)
        if url.startswith("{{"):  # what it begins with decides whether the target goes before it
            url = self._begun(url)
        if url.startswith("/"):
            if target is None:  # refused already
                return None
            return f"{target}{url}"
        origin = re.match(r"https?://[^/?#]*", url, re.IGNORECASE)
        if origin is None:
            first = _FIRST.match(url)
            if first is None:
                read.wrong(at, given, AN_URL)
            elif _ENVIRONMENT.match(url):
                read.refuse(at, f"{first[0]} has no value: the environment has no such variable")
            else:
                read.refuse(
                    at,
                    f"what {first[0]} begins with is not known before the run: write {{{{ target }}}}{first[0]} if it "
                    "is a path on the target",
                )
            return None
        begun = self._begun(origin[0]) if "{{" in origin[0] else origin[0]
        if "{{" in begun:
            read.wrong(at, given, AN_URL)
            return None
        return begun + url[origin.end() :]

    def _begun(self, url: str) -> str:
        """A URL with what is known before the run in the places of its beginning, up to the path."""
        known = self._constants()
        end = url.find("}}") + 2 if url.startswith("{{") else len(url)
        text = str(templates.put(url[:end], known))
        try:
            template = templates.compile(text)
            if template.names <= {templates.ENV}:
                text = templates.as_text(template.render(self._read.known, Random()))
        except templates.TemplateError:
            pass
        return text + url[end:]

    def _name(self, place: Loc, given: object) -> str:
        text = name(given, "")
        put = self._put(text)
        if not templates.is_fixed(put) or not text:
            self._read.wrong(place, given, "a text without {{ templates }}: the figures are kept by it")
        return str(put)

    def _auth(self, place: Loc, given: object) -> dict[str, str]:
        read = self._read
        auth = read.mapping(place, given, "a mapping of user and pass")
        read.unknown(place, auth, ("user", "pass"))
        parts = []
        for key in ("user", "pass"):
            text = name(auth.get(key), "")
            if "{{" in text:
                read.refuse(
                    (*place, key),
                    "templates have no equal here: send headers: {Authorization: ...} instead",
                    WITHOUT_EQUAL,
                )
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
                    self._read.refuse(
                        (*at, str(key)),
                        "has no equal here: every answer of 200 to 299 is good; request.expect of our YAML names a "
                        "text that every good answer contains",
                        WITHOUT_EQUAL,
                    )

    def _body(self, place: Loc, method: str, request: Mapping[Any, Any]) -> dict[str, Any]:
        read = self._read
        given = [key for key in _BODIES if request.get(key) is not None]
        if given == ["json", "body"]:
            read.note((*place, "body"), "no effect: artillery sends json then")
            given = ["json"]
        if not given:
            return {}
        if len(given) > 1:
            read.wrong((*place, given[1]), request[given[1]], f"only without {given[0]}")
            return {}
        key = given[0]
        if method in ("get", "head"):
            read.refuse(
                (*place, key), f"{method} has no body: artillery's client refuses it too; use post, or qs for a query"
            )
            return {}
        value = request[key]
        if key == "body" and not isinstance(value, str):
            read.wrong((*place, "body"), value, "a text; json takes a mapping")
            return {}
        if key == "body" and not value:
            return {}
        if key == "form":
            value = read.mapping((*place, "form"), value, "a mapping of names to texts")
        return {key: self._put(value)}
