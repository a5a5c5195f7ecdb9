"""`config` of a script → Settings: sections of our configuration, and what holds for every request of its scenarios.

Its larger parts have files of their own: `environments`, `phases`, `ensure`, `headers`, `feeds`. The others are here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from sm_locust import templates
from sm_locust.artillery import ensure, environments, feeds, headers, phases
from sm_locust.artillery.reading import Reading, shown_names
from sm_locust.fields import format_duration, shown, wire_host

TIMEOUT = 10.0  # seconds: artillery's default
A_TARGET = "an http:// or https:// URL with a host, such as https://example.com/stage"

_KEYS = (
    *("target", "phases", "payload", "variables", "environments", "defaults", "http", "tls", "ensure", "plugins"),
    *("processor", "timeout", "mode", "engine", "engines", "ws", "socketio", "apdex", "statsInterval"),
    *("includeFiles", "bundling"),
)
# Plugins that send nothing and change nothing of what is sent.
_PUBLISH = "nothing is published; --sm-metrics-port serves Prometheus"
_REPORTING = {
    "metrics-by-endpoint": "figures are kept by name of request anyway",
    "apdex": "no Apdex score is made; slo says what is good enough",
    "slack": "nothing is posted",
    "memory-inspector": "the report says when a process of ours was too busy",
    "hello-world": "nothing is printed",
    "cloudwatch": "nothing is published there; with target.endpoint, it is read",
    "expect": "each expect of a request is looked at by itself",
    **dict.fromkeys(
        ("publish-metrics", "influxdb", "statsd", "datadog", "prometheus", "newrelic", "librato"), _PUBLISH
    ),
}
_WITHOUT_EFFECT = {
    "apdex": _REPORTING["apdex"],
    "engines": "no scenario asks for another engine than http",
    "ws": "no scenario asks for the engine ws",
    "socketio": "no scenario asks for the engine socketio",
    "statsInterval": "figures are kept by the second",
    "includeFiles": "workers are sent what they need",
    "bundling": "there is no JavaScript to bundle",
    "processor": "nothing of it is called by the scenarios",
}
_HTTP_WITHOUT_EFFECT = {
    **dict.fromkeys(("pool", "maxSockets"), "connections are kept and shared by all arrivals of a process"),
    "extendedMetrics": "the time to connect is always kept",
    "cookieJarOptions": "each run of a scenario keeps the cookies that answers set",
}


@dataclass
class Settings:
    """What `config` came to.

    engine    of the scenarios that name none
    target    where a URL that begins with / goes; None where it is at fault
    sections  of our configuration
    headers   of every request
    texts     by the names that they stand for in every template
    """

    engine: object = None
    target: str | None = None
    sections: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)

    def put(self, value: Any) -> Any:
        """Texts in the places of a text or a structure of texts; what is left is a template of ours."""
        return templates.put(value, self.texts)

    @property
    def constants(self) -> dict[str, str]:
        """By its name, each text that is known before the run: those of `texts`, and variables of one value."""
        variables = self.sections.get("variables", {})
        return {k: templates.as_text(v) for k, v in variables.items() if isinstance(v, str | int | float)} | self.texts


def converted(read: Reading, config: Mapping[Any, Any]) -> Settings:
    read.unknown(("config",), config, _KEYS)
    found = Settings(config.get("engine"), _target(read, config))
    variables = _variables(read, config, found)
    timeout = {"timeout": format_duration(_timeout(read, config))}
    read.places["request", "timeout"] = ("config", "http", "timeout")
    found.sections = {"request": timeout, **phases.converted(read, config)}
    slo = ensure.converted(read, config)
    found.headers = headers.defaults(read, config)
    for key, section in (("slo", slo), ("feeds", feeds.converted(read, config)), ("variables", variables)):
        if section:
            found.sections[key] = section
    _tls(read, config, found.target)
    _plugins(read, config)
    _without_effect(read, config)
    return found


def _target(read: Reading, config: Mapping[Any, Any]) -> str | None:
    place = ("config", "target")
    if config.get("target") is None:
        given = config.get("environments")
        choose = ""
        if isinstance(given, Mapping) and given:
            choose = f"; or choose one of environments ({shown_names(given)}) with {environments.OPTION}"
        read.refuse(place, f"missing; required: {A_TARGET}{choose}")
        return None
    url = read.text(place, config["target"], A_TARGET)
    if url is None:
        return None
    scheme = url.partition("://")[0].lower()
    if scheme in ("ws", "wss"):
        read.no_equal(place, "WebSockets have no equal here: only HTTP is spoken")
        return None
    try:
        parts = urlsplit(url)
        valid = scheme in ("http", "https") and bool(wire_host(parts.hostname or "")) and parts.port != 0
        valid = valid and parts.username is None and not re.search(r"[?#\\\s{}]", url)
    except ValueError:
        valid = False
    if not valid:
        read.wrong(place, url, A_TARGET)
        return None
    if url.endswith("/"):
        read.note(place, "ends with /, and a url of the scenarios begins with one: as in artillery, both are sent (//)")
    return url


def _variables(read: Reading, config: Mapping[Any, Any], found: Settings) -> dict[str, Any]:
    """Our variables; those that hold a template of the environment become `texts`, beside the target."""
    place = ("config", "variables")
    given = config.get("variables")
    variables = read.mapping(place, {} if given is None else given, "a mapping of names to values")
    read.places[("variables",)] = place
    if found.target is not None:
        found.texts["target"] = found.target
    if read.environment is not None:
        found.texts["$environment"] = read.environment
    ours = {}
    for key, value in variables.items():
        at = (*place, key if isinstance(key, str) else shown(key))
        read.places["variables", str(key)] = at
        found.texts.pop(str(key), None)
        try:
            template = templates.compile(value)
        except templates.TemplateError as error:
            read.refuse(at, str(error))
            continue
        if template.fixed:
            ours[str(key)] = value
        elif not isinstance(value, str) or not template.names <= {templates.ENV, "$environment"}:
            read.wrong(at, value, "values without {{ templates }}, or one text with {{ $env.NAME }}")
        elif not template.names or "(" in value:
            read.wrong(
                at, value, "a value, or {{ $env.NAME }}; a function belongs into the request, where it is drawn anew"
            )
        else:
            found.texts[str(key)] = templates.put(value, {"$environment": read.environment or ""})
    return ours


def _timeout(read: Reading, config: Mapping[Any, Any]) -> float:
    http = config.get("http")
    for place, section in ((("config",), config), (("config", "http"), http)):
        if isinstance(section, Mapping) and section.get("timeout") is not None:
            accepted = "a number of seconds, more than 0"
            given = section["timeout"]
            return read.number((*place, "timeout"), given, accepted, lambda seconds: seconds > 0) or TIMEOUT
    return TIMEOUT


def _tls(read: Reading, config: Mapping[Any, Any], target: str | None) -> None:
    if config.get("tls") is None:
        return
    place = ("config", "tls")
    tls = read.mapping(place, config["tls"], "a mapping of rejectUnauthorized")
    for key in tls:
        if key != "rejectUnauthorized":
            read.no_equal(
                (*place, str(key)),
                "has no equal here; the file of the certificate authorities to trust is given in AWS_CA_BUNDLE",
            )
    at = (*place, "rejectUnauthorized")
    if "rejectUnauthorized" not in tls or read.flag(at, tls["rejectUnauthorized"]) is not False:
        return
    if target is not None and target.lower().startswith("http://"):
        read.note(at, "no effect: the target speaks no TLS")
    else:
        read.no_equal(
            at,
            "false is not accepted: certificates are checked here; give the authority of a certificate of your own in "
            "AWS_CA_BUNDLE, and take this line away",
        )


def _plugins(read: Reading, config: Mapping[Any, Any]) -> None:
    given = config.get("plugins")
    plugins = read.mapping(("config", "plugins"), {} if given is None else given, "a mapping of plugins")
    for key in plugins:
        place = ("config", "plugins", str(key))
        if key in _REPORTING:
            read.no_effect(place, _REPORTING[key])
        elif key == "fake-data":
            read.no_equal(
                place,
                "made-up data has no equal here: put values into a CSV file (payload), or use {{ $randomString(10) }}",
            )
        elif key != "ensure":
            read.no_equal(place, "plugins have no equal here; accepted: ensure, and those that only report")


def _without_effect(read: Reading, config: Mapping[Any, Any]) -> None:
    for key, why in _WITHOUT_EFFECT.items():
        if config.get(key) is not None:
            read.no_effect(("config", key), why)
    if config.get("http") is None:
        return
    place = ("config", "http")
    http = read.mapping(place, config["http"], "a mapping of timeout, defaults, pool")
    read.unknown(place, http, ("timeout", "defaults", *_HTTP_WITHOUT_EFFECT, "distributedTracing"))
    for key, why in _HTTP_WITHOUT_EFFECT.items():
        if http.get(key) is not None:
            read.no_effect((*place, key), why)
    if http.get("distributedTracing"):
        read.no_equal(
            (*place, "distributedTracing"),
            "has no equal here: send a header of your own, such as traceparent, or take it away",
        )
