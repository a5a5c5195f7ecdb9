"""Headers of a script: those of a request, and those that `config` gives to every request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sm_locust import templates
from sm_locust.artillery.reading import Reading
from sm_locust.fields import Loc

_OF_THE_CONNECTION = ("content-length", "transfer-encoding", "connection", "keep-alive")


def defaults(read: Reading, config: Mapping[Any, Any]) -> dict[str, str]:
    """Those of every request, by lower-case name."""
    found: dict[str, str] = {}
    http = config.get("http")
    of_http = http.get("defaults") if isinstance(http, Mapping) else None
    for place, given in ((("config", "defaults"), config.get("defaults")), (("config", "http", "defaults"), of_http)):
        if given is None:
            continue
        section = read.mapping(place, given, "a mapping of headers")
        read.unknown(place, section, ("headers", "cookie", "strictCapture", "think"))
        no_cookie(read, place, section)
        if section.get("think") is not None:
            read.no_effect((*place, "think"), "a pause is as long as think says, without jitter")
        if section.get("headers"):  # config.http.defaults.headers take the place of config.defaults.headers
            found = converted(read, (*place, "headers"), section["headers"])
    return found


def converted(read: Reading, place: Loc, given: object) -> dict[str, str]:
    """Headers by lower-case name, their values as texts."""
    found: dict[str, str] = {}
    for key, value in read.mapping(place, given, "a mapping of header names to texts").items():
        at, lower = (*place, str(key)), str(key).lower()
        if lower in _OF_THE_CONNECTION:
            read.no_effect(at, "the connection sets it itself")
        elif isinstance(value, str | int | float):
            found[lower] = templates.as_text(value)
        else:
            read.wrong(at, value, "a text")
    return found


def no_cookie(read: Reading, place: Loc, section: Mapping[Any, Any]) -> None:
    """Refuses cookies in what may have headers."""
    if section.get("cookie") is not None:
        read.no_equal(
            (*place, "cookie"),
            "has no equal here: only cookies that answers set are kept, for one run of a scenario; send others with "
            'each request, as headers: {Cookie: "name=value"}',
        )
