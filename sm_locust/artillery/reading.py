"""Reading a script: values as artillery takes them, faults and notes collected with the place that they are at."""

from __future__ import annotations

import difflib
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from random import Random
from typing import Any

from sm_locust import templates
from sm_locust.config_error import ConfigError
from sm_locust.fields import Loc, shown, written

# Faults, in the order in which a user would want to know them.
KIND = 0  # another kind of script than any that runs here
WITHOUT_EQUAL = 1  # something that nothing here corresponds to
VALUE = 2  # a wrong key or value
MAX_NAMED = 5  # faults that are named beside the first

A_DURATION = "a number of seconds, or a duration such as 90s, 5m, 10min or 1h; more than 0"

# Seconds, by the units that artillery's durations have (those of the ms package).
_UNITS = {
    **dict.fromkeys(("ms", "msec", "msecs", "millisecond", "milliseconds"), 0.001),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds", ""), 1.0),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86400.0),
    **dict.fromkeys(("w", "week", "weeks"), 604800.0),
}
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_DURATION = re.compile(r"(\d+\.?\d*|\.\d+) *([a-z]*)", re.ASCII | re.IGNORECASE)


class Reading:
    """What is known of a script so far.

    environment  the name of the chosen one of config.environments
    faults       what is wrong: rank, place and text of each
    places       where in the script stands what is at a place of our configuration
    known        values of templates that are known before a run
    """

    def __init__(self, environment: str | None) -> None:
        self.environment = environment
        self.faults: list[tuple[int, Loc, str]] = []
        self._notes: dict[str, list[Loc]] = {}
        self.places: dict[Loc, Loc] = {}
        self.known: dict[str, Any] = {templates.ENV: os.environ, "$dirname": "."}
        if environment is not None:
            self.known["$environment"] = environment

    def refuse(self, place: Loc, text: str, rank: int = VALUE) -> None:
        self.faults.append((rank, place, text))

    def wrong(self, place: Loc, value: object, accepted: str, rank: int = VALUE) -> None:
        self.refuse(place, f"{shown(value)} is not accepted: {accepted}", rank)

    def no_equal(self, place: Loc, text: str) -> None:
        self.refuse(place, text, WITHOUT_EQUAL)

    def no_effect(self, place: Loc, why: str) -> None:
        self.note(place, f"no effect here: {why}")

    def note(self, place: Loc, text: str) -> None:
        places = self._notes.setdefault(text, [])
        if place not in places:
            places.append(place)

    @property
    def notes(self) -> tuple[str, ...]:
        """A sentence each, with the first place that it is said of."""
        said = []
        for text, (first, *others) in self._notes.items():
            more = f" (and {len(others)} more)" if others else ""
            said.append(f"{written(first)}{more}: {text}" if first else text)
        return tuple(said)

    def raise_for_faults(self) -> None:
        """Raises the first fault, with the names of the others."""
        if not self.faults:
            return
        (_, place, text), *others = sorted(self.faults, key=lambda fault: fault[0])
        names = list(dict.fromkeys(written(other) for _, other, _ in others if other != place))
        named = ", ".join(names[:MAX_NAMED]) + (" …" if len(names) > MAX_NAMED else "")
        more = f" (also at fault: {named})" if named else ""
        raise ConfigError(f"{written(place)}: {text}{more}" if place else f"{text}{more}")

    # Values

    def mapping(self, place: Loc, value: object, accepted: str) -> dict[Any, Any]:
        if isinstance(value, Mapping):
            return dict(value)
        self.wrong(place, value, accepted)
        return {}

    def listed(self, place: Loc, value: object, accepted: str) -> list[Any]:
        if isinstance(value, list | tuple):
            return list(value)
        self.wrong(place, value, accepted)
        return []

    def unknown(self, place: Loc, found: Mapping[Any, Any], known: Iterable[str]) -> None:
        """Refuses keys that artillery does not know."""
        known = tuple(known)
        for key in found:
            if key not in known:
                close = difflib.get_close_matches(str(key)[:60], known, n=1)
                meant = f" (did you mean {close[0]}?)" if close else ""
                at = key if isinstance(key, str | int) and not isinstance(key, bool) else shown(key)
                listed = ", ".join(name for name in known if not name.startswith("_"))
                self.refuse((*place, at), f"unknown key{meant}; accepted: {listed}")

    def _resolved(self, place: Loc, value: Any) -> Any:
        """A value of `config` with its templates filled in from the environment, as artillery does before a run."""
        try:
            template = templates.compile(value)
            return template.render(self.known, Random())
        except templates.TemplateError as error:
            self.refuse(
                place,
                f"{error}; before a run, only the environment is known ({{{{ $env.NAME }}}}) and the name of the "
                "chosen one of environments ({{ $environment }})",
            )
            return None

    def _wrong_if_found(self, place: Loc, value: object, found: object, accepted: str) -> None:
        if found is not None or value is None:  # otherwise `_resolved` has refused it
            self.wrong(place, value, accepted)

    def number(
        self, place: Loc, value: object, accepted: str, fits: Callable[[float], bool] = lambda number: number >= 0
    ) -> float | None:
        """A number that fits, also one in quotes, as artillery casts them. None where it is refused."""
        found = self._resolved(place, value)
        if isinstance(found, str) and _NUMBER.fullmatch(found.strip()):
            found = float(found.strip())
        if _is_number(found) and fits(float(found)):
            return float(found)
        self._wrong_if_found(place, value, found, accepted)
        return None

    def seconds(self, place: Loc, value: object, accepted: str = A_DURATION) -> float | None:
        """A duration in seconds, 0 or more. None where it is refused."""
        found = self._resolved(place, value)
        if _is_number(found) and found >= 0:
            return float(found)
        parts = _DURATION.fullmatch(found.strip()) if isinstance(found, str) else None
        if parts is not None and parts[2].lower() in _UNITS:
            return round(float(parts[1]) * _UNITS[parts[2].lower()], 6)
        self._wrong_if_found(place, value, found, accepted)
        return None

    def text(self, place: Loc, value: object, accepted: str) -> str | None:
        found = self._resolved(place, value)
        if isinstance(found, str) and found:
            return found
        self._wrong_if_found(place, value, found, accepted)
        return None

    def flag(self, place: Loc, value: object) -> bool | None:
        found = self._resolved(place, value)
        if found in ("true", "false"):
            found = found == "true"
        if isinstance(found, bool):
            return found
        self._wrong_if_found(place, value, found, "true or false")
        return None


def _is_number(value: Any) -> bool:
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        return False


def shown_names(keys: Iterable[object]) -> str:
    """Names of somebody's own in a row, as they may be printed."""
    plain = (str(key) if re.fullmatch(r"[$\w. -]{1,60}", str(key)) else shown(key) for key in keys)
    return ", ".join(sorted(plain)) or "none"


def named(value: object, otherwise: str) -> str:
    """A name of something, which artillery takes as it comes."""
    return value if isinstance(value, str) and value else otherwise if value in (None, "") else str(value)
