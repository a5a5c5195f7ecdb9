"""What is wrong in a configuration, in words: read from the models and what their fields say they accept.

One line names the key, its value and what is accepted. The file's name goes before it by whoever knows it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from sm_locust.config.sections import METRIC_TAGS, Slo
from sm_locust.fields import A_METRIC, Loc, Section, shown

_UNKNOWN = ("extra_forbidden", "invalid_key")


def first(error: ValidationError, data: Any, root: type[Section]) -> tuple[Loc, str]:
    """Where in `data`, a mapping of `root`, the first fault is; and what is wrong there and what is accepted."""
    # An unknown key first: a key that is misspelt is missing too, and only the first of the two helps.
    detail = min(error.errors(), key=lambda detail: detail["type"] not in _UNKNOWN)
    loc, kind = tuple(part for part in detail["loc"] if part not in METRIC_TAGS), detail["type"]
    if kind in _UNKNOWN:
        section = _section_at(root, loc[:-1])
        close = difflib.get_close_matches(str(loc[-1])[:60], _keys(section), n=1)
        meant = f" (did you mean {close[0]}?)" if close else ""
        return loc, f"unknown key{meant}; accepted: {listed(section)}"  # no value: it may be a misplaced secret
    if kind == "refused":
        accepted, loc = detail["ctx"]["accepted"], (*loc, *detail["ctx"]["keys"])
    else:
        accepted = _accepted_at(root, loc)
    try:
        for part in loc:  # detail["input"] is what our validators made of it: 0.0 where the file has 0s
            data = data[part]
    except KeyError:
        return loc, f"missing; required: {accepted}"
    return loc, f"{shown(data)} is not accepted: {accepted}"


def listed(section: type[Section]) -> str:
    """The keys of a section."""
    return A_METRIC if section is Slo else ", ".join(_keys(section))


def sections_in(annotation: Any) -> Iterator[type[Section]]:
    """The sections that a field may hold, on its own or in a list."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for argument in get_args(annotation):
        yield from sections_in(argument)


def _keys(section: type[Section]) -> list[str]:
    return [field.alias or name for name, field in section.model_fields.items()]


def _field(section: type[Section], key: str) -> FieldInfo:
    return next(field for name, field in section.model_fields.items() if key == (field.alias or name))


def _section_at(section: type[Section], loc: Loc) -> type[Section]:
    """The section at a path; a position in a list leads to the section that it is a list of."""
    for key in loc:
        if isinstance(key, str):
            section = next(sections_in(_field(section, key).annotation))
    return section


def _accepted_at(root: type[Section], loc: Loc) -> str:
    description = _field(_section_at(root, loc[:-1]), loc[-1]).description if isinstance(loc[-1], str) else None
    return description or f"a mapping of {listed(_section_at(root, loc))}"
