"""Whatever a script is: it is converted, or refused in one line."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sm_locust import artillery
from sm_locust.config import ConfigError, RunConfig, parse
from tests.artillery.scripts import converted, script

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-5, 99)
    | st.floats()
    | st.sampled_from(["", "/", "5", "{{ a }}", "{{", "x"])
)
values = st.recursive(
    scalars | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3),
    max_leaves=6,
)
WORDS = (
    *("target", "phases", "payload", "variables", "environments", "defaults", "http", "tls", "ensure", "plugins"),
    *("mode", "duration", "arrivalRate", "rampTo", "arrivalCount", "pause", "maxVusers", "path", "fields"),
    *("thresholds", "headers", "config", "scenarios", "flow", "name", "weight", "engine", "get", "post", "url"),
    *("json", "body", "form", "qs", "think", "log", "loop", "expect", "auth", "timeout", "rejectUnauthorized"),
    *("_split", "_simulation", "maxErrorRate"),
)
mappings = st.recursive(
    values,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4),
    max_leaves=12,
)


def places(data: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place inside a structure."""
    inside = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [at, *(place for key, value in inside for place in places(value, (*at, key)))]


FULL = script(
    {
        "environments": {"dev": {"phases": [{"arrivalRate": 1}]}},
        "payload": [{"path": "a.csv", "fields": ["id"]}],
        "variables": {"a": [1, 2], "b": "x"},
        "http": {"timeout": 5, "defaults": {"headers": {"x": "y"}}},
        "tls": {"rejectUnauthorized": False},
        "ensure": {"p95": 200, "maxErrorRate": 1, "thresholds": [{"http.response_time.p99": 9}]},
        "plugins": {"expect": {}},
    },
    [
        {
            "post": {
                "url": "/{{ id }}",
                "json": {"a": "{{ a }}"},
                "headers": {"h": "{{ b }}"},
                "expect": [{"statusCode": 200}],
            }
        },
        {"think": 1},
        {"get": {"url": "/", "qs": {"q": 1}, "auth": {"user": "a", "pass": "b"}}},
    ],
    _split={},
)


def read_or_refuse(data: Any, environment: str | None) -> None:
    try:
        found = artillery.convert(data, environment)
        RunConfig.from_dict(found.config, "x.yml", found.place)
    except ConfigError as error:
        assert "\n" not in str(error)
        return
    parse(artillery.as_yaml(found), "written.yaml")


@given(mappings, st.sampled_from([None, "dev"]))
def test_whatever_it_is_told_it_is_converted_or_refused_in_one_line(data: Any, environment: str | None) -> None:
    read_or_refuse(data, environment)


@given(st.sampled_from(places(FULL)[1:]), mappings, st.sampled_from([None, "dev"]))
def test_with_anything_anywhere_a_script_is_converted_or_refused_in_one_line(
    place: tuple[Any, ...], value: Any, environment: str | None
) -> None:
    data = copy.deepcopy(FULL)
    inner: Any = data
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    read_or_refuse(data, environment)


def test_the_script_that_is_broken_above_is_whole() -> None:
    assert len(converted(FULL, "dev").config["scenarios"][0]["steps"]) == 3
