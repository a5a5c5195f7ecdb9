"""`config.environments` of a script: one of them merged over `config`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sm_locust.artillery.reading import Reading, shown_names
from sm_locust.fields import shown

OPTION = "--environment (Locust: --sm-environment)"


def merged(read: Reading, config: Mapping[Any, Any]) -> dict[Any, Any]:
    """`config` with the chosen one over it, merged as lodash's `merge` does it: lists item by item."""
    environments, environment = config.get("environments", {}), read.environment
    place = ("config", "environments")
    if not isinstance(environments, Mapping):
        read.wrong(place, environments, "a mapping of names to what they change of config")
        return dict(config)
    if environment is None:
        if environments:
            read.note(place, f"none is used; {OPTION} names one: {shown_names(environments)}")
        return dict(config)
    if environment not in environments:
        read.refuse(place, f"{shown(environment)} is not among them; there are: {shown_names(environments)}")
        return dict(config)
    chosen = environments[environment]
    at = (*place, environment)
    over = read.mapping(at, {} if chosen is None else chosen, "a mapping of what it changes of config")
    for key, inner in over.items():
        before = config.get(key)
        if isinstance(inner, Mapping) and isinstance(before, list):
            read.wrong((*at, str(key)), inner, f"a list, as config.{key} is: artillery would keep that one")
        if isinstance(inner, list) and isinstance(before, list) and len(before) > len(inner):
            more = len(before) - len(inner)
            read.note((*at, str(key)), f"as artillery merges lists, the {more} after those of config.{key} stay")
    return {**config, **{key: _merge(config.get(key), inner) for key, inner in over.items()}}


def _merge(base: Any, over: Any) -> Any:
    if isinstance(over, Mapping):
        under = base if isinstance(base, Mapping) else {}
        return {**under, **{key: _merge(under.get(key), inner) for key, inner in over.items()}}
    if isinstance(over, list):
        below = list(base) if isinstance(base, list) else []
        below += [None] * (len(over) - len(below))
        return [_merge(*pair) for pair in zip(below, over, strict=False)] + below[len(over) :]
    return over
