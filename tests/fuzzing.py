"""What the tests draw that stand for an attacker, or for bad luck: values of any type, and bytes that were damaged.

`FUZZ=50 pytest …` tries fifty times as many, of these and of every property, at other places each time; as it is, draws
are fixed (see conftest).
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

TIMES = int(os.environ.get("FUZZ", "1"))

T = TypeVar("T", bound=Callable[..., Any])


def examples(n: int) -> Callable[[T], T]:
    """So many of them, or FUZZ times as many."""
    slow = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large]
    return settings(max_examples=n * TIMES, suppress_health_check=slow)


DEEP = json.loads("[" * 99 + "]" * 99)
ODD: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 0.5, -0.0, 1e-320, 1e308, 2**53 + 1, 2**63, 2**64 - 1, -(2**63)),
    *(float("nan"), float("inf"), float("-inf")),
    *("", "x", "0", "nan", "-1", "1e400", "\x00", "\x1b[2J", "\u202e", "<script>alert(1)</script>", "é" * 300),
    *([], [1], ["x"], [None], [{}], {}, {"x": 1}, {"": None}, DEEP),
)
odd = st.sampled_from(ODD).map(copy.deepcopy)


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to each value that lies in one of JSON's or YAML's."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield (*at, key)
        yield from places(item, (*at, key))


@st.composite
def damaged(draw: st.DrawFn, value: Any, strange: st.SearchStrategy[Any] = odd) -> Any:
    """The same with one thing that is gone, of another type, or under another name; now and then with two."""
    value = copy.deepcopy(value)
    for _ in range(draw(st.sampled_from([1, 1, 1, 2]))):
        ways = sorted(places(value), key=str)
        if not ways:
            return draw(strange)
        *way, last = draw(st.sampled_from(ways))
        there = value
        for key in way:
            there = there[key]
        how = draw(st.sampled_from(["other", "other", "other", "gone", "named"]))
        if how == "other":
            there[last] = draw(strange)
        else:
            found = there.pop(last)
            if how == "named" and isinstance(there, dict):
                there[draw(st.sampled_from(["x", "", "worker", "__proto__", 7]))] = found
    return value


@st.composite
def spoilt(draw: st.DrawFn, data: bytes) -> bytes:
    """A file whose end is gone, whose bytes were changed, or whose lines were repeated, lost or swapped."""
    how = draw(st.sampled_from(["cut", "bytes", "bytes", "repeated", "lost", "swapped", "more"]))
    if how == "cut":
        return data[: draw(st.integers(0, len(data)))]
    if how == "bytes":
        changed = bytearray(data)
        for _ in range(draw(st.integers(1, 4)) if data else 0):
            changed[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
        return bytes(changed)
    if how == "more":
        return data + draw(st.binary(min_size=1, max_size=30))
    lines = data.splitlines(keepends=True)
    if lines:
        one, other = draw(st.integers(0, len(lines) - 1)), draw(st.integers(0, len(lines) - 1))
        if how == "repeated":
            lines.insert(other, lines[one])
        elif how == "lost":
            del lines[one]
        else:
            lines[one], lines[other] = lines[other], lines[one]
    return b"".join(lines)
