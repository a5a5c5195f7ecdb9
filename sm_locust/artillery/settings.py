"""`config` of a script: target, phases, limits, payload files, variables and headers, with an environment merged in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from sm_locust import templates
from sm_locust.artillery.reading import WITHOUT_EQUAL, Reading, name, names
from sm_locust.fields import Loc, format_duration, shown, wire_host

TIMEOUT = 10.0  # seconds: artillery's default
A_RATE = "a number of arrivals a second, 0 or more"
A_LIMIT = "a number of milliseconds, more than 0"
A_TARGET = "an http:// or https:// URL with a host, such as https://example.com/stage"
ENVIRONMENT = "--environment (Locust: --sm-environment)"
A_PHASE = "a mapping of duration with arrivalRate, rampTo or arrivalCount; or of pause"

_SECTIONS = (
    *("target", "phases", "payload", "variables", "environments", "defaults", "http", "tls", "ensure", "plugins"),
    *(
        "processor",
        "timeout",
        "mode",
        "engine",
        "engines",
        "ws",
        "socketio",
        "apdex",
        "statsInterval",
        "includeFiles",
        "bundling",
    ),
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
    **dict.fromkeys(
        ("publish-metrics", "influxdb", "statsd", "datadog", "prometheus", "newrelic", "librato"), _PUBLISH
    ),
}
_STATISTICS = {"median": "p50", **{s: s for s in ("p50", "p90", "p95", "p99", "p999", "max", "mean")}}
_RESPONSE_TIME = "http.response_time."


@dataclass
class Settings:
    """What `config` came to.

    target     where a URL that begins with / goes; None where it is at fault
    sections   of our configuration
    headers    of every request
    names      → texts that stand for them in every template
    """

    target: str | None = None
    sections: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)


def merged(read: Reading, config: Mapping[Any, Any], environment: str | None) -> dict[Any, Any]:
    """`config` with one of its environments over it, merged as lodash's `merge` does it: lists item by item."""
    environments = config.get("environments", {})
    if not isinstance(environments, Mapping):
        read.wrong(("config", "environments"), environments, "a mapping of names to what they change of config")
        return dict(config)
    if environment is None:
        if environments:
            read.note(("config", "environments"), f"none is used; {ENVIRONMENT} names one: {names(environments)}")
        return dict(config)
    if environment not in environments:
        read.refuse(
            ("config", "environments"), f"{shown(environment)} is not among them; there are: {names(environments)}"
        )
        return dict(config)
    chosen = environments[environment]
    place = ("config", "environments", environment)
    over = read.mapping(place, {} if chosen is None else chosen, "a mapping of what it changes of config")
    for key, inner in over.items():
        before = config.get(key)
        if isinstance(inner, Mapping) and isinstance(before, list):
            read.wrong((*place, str(key)), inner, f"a list, as config.{key} is: artillery would keep that one")
        if isinstance(inner, list) and isinstance(before, list) and len(before) > len(inner):
            read.note(
                (*place, str(key)),
                f"as artillery merges lists, the {len(before) - len(inner)} after those of config.{key} stay",
            )
    together = _merge(dict(config), over)
    return together if isinstance(together, dict) else {}


def _merge(base: Any, over: Any) -> Any:
    if isinstance(over, Mapping):
        under = base if isinstance(base, Mapping) else {}
        return {**under, **{key: _merge(under.get(key), inner) for key, inner in over.items()}}
    if isinstance(over, list):
        below = list(base) if isinstance(base, list) else []
        return [_merge(below[i] if i < len(below) else None, inner) for i, inner in enumerate(over)] + below[
            len(over) :
        ]
    return over


def converted(read: Reading, config: Mapping[Any, Any]) -> Settings:
    read.unknown(("config",), config, _SECTIONS)
    found = Settings(_target(read, config))
    _names(read, config, found)
    sections = found.sections
    sections["request"] = {"timeout": format_duration(_timeout(read, config))}
    read.places["request", "timeout"] = ("config", "http", "timeout")
    sections["phases"] = _phases(read, config, sections)
    if slo := _slo(read, config):
        sections["slo"] = slo
    found.headers = _headers(read, config)
    if feeds := _feeds(read, config):
        sections["feeds"] = feeds
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
            choose = f"; or choose one of environments ({names(given)}) with {ENVIRONMENT}"
        read.refuse(place, f"missing; required: {A_TARGET}{choose}")
        return None
    url = read.text(place, config["target"], A_TARGET)
    if url is None:
        return None
    scheme = url.partition("://")[0].lower()
    if scheme in ("ws", "wss"):
        read.refuse(place, "WebSockets have no equal here: only HTTP is spoken", WITHOUT_EQUAL)
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


def _names(read: Reading, config: Mapping[Any, Any], found: Settings) -> None:
    """Variables; those that hold a template of the environment stand for it wherever they are named."""
    given = config.get("variables")
    variables = read.mapping(("config", "variables"), {} if given is None else given, "a mapping of names to values")
    if found.target is not None:
        found.names["target"] = found.target
    if read.environment is not None:
        found.names["$environment"] = read.environment
    ours = {}
    for key, value in variables.items():
        place = ("config", "variables", key if isinstance(key, str) else shown(key))
        read.places["variables", str(key)] = place
        found.names.pop(str(key), None)
        try:
            fixed = templates.compile(value).fixed
        except templates.TemplateError as error:
            read.refuse(place, str(error))
            continue
        if fixed:
            ours[str(key)] = value
        elif isinstance(value, str) and templates.compile(value).names <= {templates.ENV, "$environment"}:
            if templates.compile(value).names and "(" not in value:
                found.names[str(key)] = templates.put(value, {"$environment": read.environment or ""})
                continue
            read.wrong(
                place, value, "a value, or {{ $env.NAME }}; a function belongs into the request, where it is drawn anew"
            )
        else:
            read.wrong(place, value, "values without {{ templates }}, or one text with {{ $env.NAME }}")
    read.places["variables",] = ("config", "variables")
    if ours:
        found.sections["variables"] = ours


def _timeout(read: Reading, config: Mapping[Any, Any]) -> float:
    http = config.get("http")
    for place, section in ((("config",), config), (("config", "http"), http)):
        if isinstance(section, Mapping) and section.get("timeout") is not None:
            seconds = read.number((*place, "timeout"), section["timeout"], "a number of seconds, more than 0")
            if seconds == 0:
                read.wrong((*place, "timeout"), section["timeout"], "a number of seconds, more than 0")
            return seconds or TIMEOUT
    return TIMEOUT


# Phases


def _phases(read: Reading, config: Mapping[Any, Any], sections: dict[str, Any]) -> list[dict[str, Any]]:
    place: Loc = ("config", "phases")
    if config.get("phases") is None:
        read.note(place, "without them, artillery runs one scenario once, and so does this")
        return [{"name": "once", "duration": "1s", "arrival_rate": 1}]
    given = read.listed(place, config["phases"], "a list of phases")
    if not given and not read.faults:
        read.wrong(place, given, "a list of one phase or more")
    ours: list[dict[str, Any]] = []
    caps: dict[int, float | None] = {}
    spacings: list[Any] = []  # of whatever the script says: not all of it can be in a set
    for i, each in enumerate(given):
        phase = _phase(read, (*place, i), each, i, len(ours))
        if phase is None:
            continue
        ours.append(phase)
        if "pause" not in each:
            caps[i] = _cap(read, (*place, i), each)
            spacings.append(each.get("mode", config.get("mode")) or "uniform")
    if any(cap is not None for cap in caps.values()):
        _one_cap(read, place, caps, sections)
    _spacing(read, spacings, config, sections)
    read.places["phases",] = place
    return ours


def _phase(read: Reading, place: Loc, each: object, i: int, position: int) -> dict[str, Any] | None:
    if not isinstance(each, Mapping):
        read.wrong(place, each, A_PHASE)
        return None
    known = ("name", "duration", "arrivalRate", "rampTo", "arrivalCount", "pause", "maxVusers", "mode")
    read.unknown(place, each, known)
    ours = ("phases", position)
    read.places[ours] = place
    kind = next((key for key in ("pause", "arrivalCount", "arrivalRate") if key in each), None)
    if kind is None:
        also = "; artillery starts no phase without it either" if "rampTo" in each else ""
        read.refuse((*place, "arrivalRate"), f"missing; required: {A_RATE}; or arrivalCount, or pause{also}")
        return None
    others = {"pause": ("duration", "arrivalRate", "rampTo", "arrivalCount"), "arrivalCount": ("arrivalRate", "rampTo")}
    for other in others.get(kind, ()):
        if other in each:
            read.wrong((*place, other), each[other], f"only without {kind}")
    lasting = "pause" if kind == "pause" else "duration"
    read.places[(*ours, "duration")] = (*place, lasting)
    if lasting not in each:
        read.refuse((*place, "duration"), "missing; required: a number of seconds, or a duration such as 90s or 5m")
        return None
    duration = read.seconds((*place, lasting), each[lasting])
    if duration == 0:
        read.wrong((*place, lasting), each[lasting], "a number of seconds, or a duration such as 5m; more than 0")
    phase: dict[str, Any] = {
        "name": name(each.get("name"), f"{'pause' if kind == 'pause' else 'phase'} {i + 1}"),
        "duration": format_duration(duration or 1.0),
    }
    if kind == "pause":
        return phase | {"arrival_rate": 0, "judge": False}
    read.places[(*ours, "arrival_rate")] = (*place, kind)
    read.places[(*ours, "ramp_to")] = (*place, "rampTo")
    accepted = A_RATE if kind == "arrivalRate" else "a number of arrivals, 0 or more"
    rate = read.number((*place, kind), each[kind], accepted)
    if kind == "arrivalCount":
        if rate == 0:
            read.note(place, "left out: it has no arrivals, and artillery goes on to the next phase at once")
            return None
        return phase | {"arrival_rate": _plain((rate or 0) / (duration or 1))}
    phase["arrival_rate"] = _plain(rate or 0)
    if each.get("rampTo") is not None:
        to = read.number((*place, "rampTo"), each["rampTo"], A_RATE)
        phase["ramp_to"] = _plain(to or 0)
    elif rate == 0:
        phase["judge"] = False
    return phase


def _plain(number: float) -> float | int:
    return int(number) if float(number).is_integer() and abs(number) < 1e15 else number


def _cap(read: Reading, place: Loc, each: Mapping[Any, Any]) -> float | None:
    if each.get("maxVusers") is None:
        return None
    accepted = "a whole number, 1 or more"
    cap = read.number((*place, "maxVusers"), each["maxVusers"], accepted, least=1)
    if cap is not None and not cap.is_integer():
        read.wrong((*place, "maxVusers"), each["maxVusers"], accepted)
    return cap


def _one_cap(read: Reading, place: Loc, caps: Mapping[int, float | None], sections: dict[str, Any]) -> None:
    first = next(i for i, cap in caps.items() if cap is not None)
    at = (*place, first, "maxVusers")
    if len(set(caps.values())) > 1:
        read.refuse(
            at,
            "the phases differ, and here one limit holds for the whole run (arrivals.max_in_flight): give every phase "
            "the same, or none",
        )
        return
    read.note(
        at, "holds for each process of Locust: with workers, divide it by their number; what is over it is dropped"
    )
    sections.setdefault("arrivals", {})["max_in_flight"] = int(caps[first] or 1)
    read.places["arrivals", "max_in_flight"] = at


def _spacing(read: Reading, spacings: list[Any], config: Mapping[Any, Any], sections: dict[str, Any]) -> None:
    place = ("config", "mode")
    wrong = [spacing for spacing in spacings if spacing not in ("uniform", "poisson")]
    if wrong:
        read.wrong(place, wrong[0], "uniform or poisson")
    elif len(set(spacings)) > 1:
        read.refuse(place, "phases of both modes have no equal here: give every phase the same mode")
    elif "poisson" in spacings:
        sections.setdefault("arrivals", {})["spacing"] = "poisson"


# What is good enough


def _slo(read: Reading, config: Mapping[Any, Any]) -> dict[str, str]:
    plugins = config.get("plugins")
    place, given = ("config", "ensure"), config.get("ensure")
    if not given and isinstance(plugins, Mapping) and plugins.get("ensure"):
        place, given = ("config", "plugins", "ensure"), plugins["ensure"]  # type: ignore[assignment]
    ensure = read.mapping(place, {} if given is None else given, "a mapping of p95, p99, max, maxErrorRate, thresholds")
    read.unknown(place, ensure, ("thresholds", "conditions", "min", *_STATISTICS, "maxErrorRate"))
    slo: dict[str, float] = {}
    for key, value in ensure.items():
        if key in _STATISTICS:
            _limit(read, slo, key, (*place, key), value)
    if "min" in ensure:
        read.refuse((*place, "min"), "the least latency has no equal here: use median, p95, p99 or max", WITHOUT_EQUAL)
    if "conditions" in ensure:
        read.refuse(
            (*place, "conditions"),
            "expressions have no equal here: write limits as thresholds, such as http.response_time.p95: 200",
            WITHOUT_EQUAL,
        )
    thresholds = ensure.get("thresholds", [])
    for i, each in enumerate(
        read.listed((*place, "thresholds"), thresholds, "a list of mappings of a metric to a limit")
    ):
        at: Loc = (*place, "thresholds", i)
        metrics = read.mapping(at, each, "a mapping of a metric to a limit, such as http.response_time.p95: 200")
        for metric, value in metrics.items():
            statistic = metric.removeprefix(_RESPONSE_TIME) if isinstance(metric, str) else ""
            if not isinstance(metric, str) or statistic == metric or statistic not in _STATISTICS:
                accepted = f"{_RESPONSE_TIME}* with {', '.join(_STATISTICS)} for *; maxErrorRate beside thresholds"
                read.refuse((*at, str(metric)), f"has no equal here; accepted: {accepted}", WITHOUT_EQUAL)
            else:
                _limit(read, slo, statistic, (*at, metric), value)
    ours = {metric: format_duration(limit / 1000) for metric, limit in slo.items()}
    if ensure.get("maxErrorRate") is not None:
        at = (*place, "maxErrorRate")
        rate = read.number(at, ensure["maxErrorRate"], "a percentage, 0 to 100")
        if rate is not None and rate > 100:
            read.wrong(at, ensure["maxErrorRate"], "a percentage, 0 to 100")
        ours["error_rate"] = f"{_plain(rate or 0):f}".rstrip("0").rstrip(".") + "%" if rate else "0%"
        read.places["slo", "error_rate"] = at
    if ours:
        read.note(
            place,
            "held against each phase, on latency from the scheduled time to the last byte; artillery holds it against "
            "the whole test, on the time from sending to the first byte",
        )
    return ours


def _limit(read: Reading, slo: dict[str, float], key: str, place: Loc, value: object) -> None:
    limit = read.number(place, value, A_LIMIT)
    if limit is not None and limit <= 0:
        read.wrong(place, value, A_LIMIT)
    elif limit is not None:
        metric = f"latency_{_STATISTICS[key]}"
        if limit <= slo.get(metric, limit):
            slo[metric] = limit
            read.places["slo", metric] = place


# Headers and payload files


def _headers(read: Reading, config: Mapping[Any, Any]) -> dict[str, str]:
    """Those of every request, by lower-case name."""
    found: dict[str, str] = {}
    http = config.get("http")
    of_http = http.get("defaults") if isinstance(http, Mapping) else None
    for place, given in ((("config", "defaults"), config.get("defaults")), (("config", "http", "defaults"), of_http)):
        if given is None:
            continue
        defaults = read.mapping(place, given, "a mapping of headers")
        read.unknown(place, defaults, ("headers", "cookie", "strictCapture", "think"))
        if defaults.get("cookie") is not None:
            no_cookie(read, (*place, "cookie"))
        if defaults.get("think") is not None:
            read.note((*place, "think"), "no effect here: a pause is as long as think says, without jitter")
        if defaults.get("headers"):  # config.http.defaults.headers take the place of config.defaults.headers
            found = headers(read, (*place, "headers"), defaults["headers"])
    return found


def no_cookie(read: Reading, place: Loc) -> None:
    read.refuse(
        place,
        "has no equal here: only cookies that answers set are kept, for one run of a scenario; send others with each "
        'request, as headers: {Cookie: "name=value"}',
        WITHOUT_EQUAL,
    )


def headers(read: Reading, place: Loc, given: object) -> dict[str, str]:
    """Headers by lower-case name, their values as texts."""
    found: dict[str, str] = {}
    for key, value in read.mapping(place, given, "a mapping of header names to texts").items():
        at = (*place, str(key))
        lower = str(key).lower()
        if lower in ("content-length", "transfer-encoding", "connection", "keep-alive"):
            read.note(at, "no effect here: the connection sets it itself")
        elif isinstance(value, bool) or not isinstance(value, str | int | float):
            if isinstance(value, bool):
                found[lower] = "true" if value else "false"
            else:
                read.wrong(at, value, "a text")
        else:
            found[lower] = templates.as_text(value)
    return found


def _feeds(read: Reading, config: Mapping[Any, Any]) -> list[dict[str, Any]]:
    place: Loc = ("config", "payload")
    given = config.get("payload")
    if given is None:
        return []
    several = isinstance(given, list)
    ours: list[dict[str, Any]] = []
    for i, each in enumerate(given if several else [given]):
        at = (*place, i) if several else place
        feed = _feed(read, at, each)
        if feed is not None:
            for key, theirs in (("file", "path"), ("header", "skipHeader")):
                read.places["feeds", len(ours), key] = (*at, theirs)
            read.places["feeds", len(ours)] = at
            ours.append(feed)
    return ours


def _feed(read: Reading, place: Loc, each: object) -> dict[str, Any] | None:
    payload = read.mapping(place, each, "a mapping of path and fields")
    known = (
        "path",
        "fields",
        "order",
        "delimiter",
        "skipHeader",
        "skipEmptyLines",
        "cast",
        "loadAll",
        "name",
        "options",
    )
    read.unknown(place, payload, known)
    if payload.get("loadAll"):
        read.refuse(
            (*place, "loadAll"),
            "all rows at once have no equal here: without loadAll, each run of a scenario is given a row",
            WITHOUT_EQUAL,
        )
        return None
    if payload.get("options") is not None:
        accepted = "delimiter, skipHeader and cast, beside path and fields"
        read.refuse(
            (*place, "options"), f"options of csv-parse have no equal here; accepted: {accepted}", WITHOUT_EQUAL
        )
    if payload.get("skipEmptyLines") not in (None, True, "true"):
        read.wrong((*place, "skipEmptyLines"), payload["skipEmptyLines"], "true, the default: an empty line is no row")
    if not payload:
        return None
    if payload.get("path") is None:
        read.refuse(
            (*place, "path"), "missing; required: the path of a CSV file (artillery may be given it with --payload)"
        )
        return None
    if payload.get("fields") is None:
        read.refuse((*place, "fields"), "missing; required: a list of one name or more, one for each column")
        return None
    file = read.text((*place, "path"), payload["path"], "the path of a CSV file")
    order = payload.get("order", "random")
    if order not in ("random", "sequence"):
        read.wrong((*place, "order"), order, "sequence or random")
    feed: dict[str, Any] = {"file": _relative(file or "?"), "fields": payload["fields"]}
    feed["order"] = "sequential" if order == "sequence" else "random"
    if payload.get("delimiter"):
        feed["delimiter"] = payload["delimiter"]
    if "skipHeader" in payload and read.flag((*place, "skipHeader"), payload["skipHeader"]):
        feed["header"] = True
    if "cast" not in payload or read.flag((*place, "cast"), payload["cast"]) is not False:
        feed["cast"] = True
    return feed


def _relative(path: str) -> str:
    return path.removeprefix("./")


# The rest


def _tls(read: Reading, config: Mapping[Any, Any], target: str | None) -> None:
    if config.get("tls") is None:
        return
    place = ("config", "tls")
    tls = read.mapping(place, config["tls"], "a mapping of rejectUnauthorized")
    for key in tls:
        if key != "rejectUnauthorized":
            read.refuse(
                (*place, str(key)),
                "has no equal here; the file of the certificate authorities to trust is given in AWS_CA_BUNDLE",
                WITHOUT_EQUAL,
            )
    if "rejectUnauthorized" in tls and read.flag((*place, "rejectUnauthorized"), tls["rejectUnauthorized"]) is False:
        if target is not None and target.lower().startswith("http://"):
            read.note((*place, "rejectUnauthorized"), "no effect: the target speaks no TLS")
            return
        read.refuse(
            (*place, "rejectUnauthorized"),
            "false is not accepted: certificates are checked here; give the authority of a certificate of your own in "
            "AWS_CA_BUNDLE, and take this line away",
            WITHOUT_EQUAL,
        )


def _plugins(read: Reading, config: Mapping[Any, Any]) -> None:
    given = config.get("plugins")
    plugins = read.mapping(("config", "plugins"), {} if given is None else given, "a mapping of plugins")
    for key in plugins:
        place = ("config", "plugins", str(key))
        if key in _REPORTING:
            read.note(place, f"no effect here: {_REPORTING[key]}")
        elif key == "expect":
            read.note(place, "no effect here: each expect of a request is looked at by itself")
        elif key == "fake-data":
            read.refuse(
                place,
                "made-up data has no equal here: put values into a CSV file (payload), or use {{ $randomString(10) }}",
                WITHOUT_EQUAL,
            )
        elif key != "ensure":
            read.refuse(
                place, "plugins have no equal here; accepted: ensure, and those that only report", WITHOUT_EQUAL
            )
    if config.get("apdex") is not None:
        read.note(("config", "apdex"), f"no effect here: {_REPORTING['apdex']}")


def _without_effect(read: Reading, config: Mapping[Any, Any]) -> None:
    for key, why in {
        "engines": "no scenario asks for another engine than http",
        "ws": "no scenario asks for the engine ws",
        "socketio": "no scenario asks for the engine socketio",
        "statsInterval": "figures are kept by the second",
        "includeFiles": "workers are sent what they need",
        "bundling": "there is no JavaScript to bundle",
        "processor": "nothing of it is called by the scenarios",
    }.items():
        if config.get(key) is not None:
            read.note(("config", key), f"no effect here: {why}")
    if config.get("http") is None:
        return
    place = ("config", "http")
    http = read.mapping(place, config["http"], "a mapping of timeout, defaults, pool")
    effects = {
        "pool": "connections are kept and shared by all arrivals of a process",
        "maxSockets": "connections are kept and shared by all arrivals of a process",
        "extendedMetrics": "the time to connect is always kept",
        "cookieJarOptions": "each run of a scenario keeps the cookies that answers set",
    }
    read.unknown(place, http, ("timeout", "defaults", *effects, "distributedTracing"))
    for key, why in effects.items():
        if http.get(key) is not None:
            read.note((*place, key), f"no effect here: {why}")
    if http.get("distributedTracing"):
        read.refuse(
            (*place, "distributedTracing"),
            "has no equal here: send a header of your own, such as traceparent, or take it away",
            WITHOUT_EQUAL,
        )
