"""`{{ templates }}`: texts with places for values, as artillery writes them. What is rendered here is a value; what it
is for is config's to say, and where values come from the load's.

A place holds a name (`{{ id }}`, `{{{ id }}}`), a path into a value (`{{ user.names[0] }}`, `{{ user['name'] }}`) or a
call: `{{ $randomNumber(1, 100) }}`, `{{ $randomString(10) }}`. A text that is one name and nothing else renders as the
value itself, so that a number stays a number in JSON; all others render as text. Two names are the run's own: `$uuid`,
another one for each run of a scenario, and `$env.NAME` (artillery's `$processEnvironment.NAME` is the same), the
environment of each process that sends.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Any

UUID, ENV = "$uuid", "$env"
OWN = (UUID, ENV)  # names that need no feed and no variable
RANDOM_NUMBER, RANDOM_STRING = "$randomNumber", "$randomString"
MAX_RANDOM_STRING = 65_536  # characters

A_TEMPLATE = (
    "between {{ and }}, a name such as {{ id }}, a path such as {{ user.names[0] }}, $env.NAME, $uuid, "
    "$randomNumber(1, 100) or $randomString(10)"
)

_ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_PLACE = re.compile(r"\{\{\{([^{}]*)\}\}\}|\{\{([^{}]*)\}\}")
_NAME = r"[$\w](?:[\w$ -]*[\w$-])?"
_STEP = rf"\.\s*({_NAME})|\[(\d+)\]|\['([^']*)'\]|\[\"([^\"]*)\"\]"
_PATH = re.compile(rf"({_NAME})((?:{_STEP})*)", re.ASCII)
_STEPS = re.compile(_STEP, re.ASCII)
_CALL = re.compile(r"(\$\w+)\s*\(([^()]*)\)", re.ASCII)
_ENVIRONMENT = "$processEnvironment"

Path = tuple[str | int, ...]


class TemplateError(ValueError):
    """A text whose {{ }} nothing can be put into, or a value that a path does not lead to: what and why, in a line."""


@dataclass(frozen=True, slots=True)
class _Lookup:
    path: Path
    name: str  # what it begins with, as somebody wrote it

    def __call__(self, values: Mapping[str, Any], random: Random) -> Any:
        found: Any = values
        for i, key in enumerate(self.path):
            try:
                found = found[key]
            except (KeyError, IndexError, TypeError):
                raise TemplateError(f"{{{{ {_written((self.name, *self.path[1 : i + 1]))} }}}} has no value") from None
        return found


@dataclass(frozen=True, slots=True)
class _Call:
    function: Callable[..., str]
    arguments: tuple[int, ...]

    def __call__(self, values: Mapping[str, Any], random: Random) -> str:
        return self.function(random, *self.arguments)


def _random_number(random: Random, first: int = 0, last: int = 1) -> str:
    return str(random.randint(min(first, last), max(first, last)))


def _random_string(random: Random, length: int = 10) -> str:
    return "".join(random.choices(_ALPHABET, k=length))


@dataclass(frozen=True, slots=True)
class Template:
    """A text, or a structure of texts, once it is read.

    paths  of the values that it needs, each from the name on
    """

    _render: Callable[[Mapping[str, Any], Random], Any] | None  # None: as it stands
    _fixed: Any
    paths: frozenset[Path]

    @property
    def names(self) -> frozenset[str]:
        """Names that `values` must have, those of OWN among them."""
        return frozenset(str(path[0]) for path in self.paths)

    @property
    def environment(self) -> frozenset[str]:
        """Names of environment variables that it needs, in the mapping that `values` has at `$env`."""
        return frozenset(str(path[1]) for path in self.paths if path[0] == ENV and len(path) > 1)

    @property
    def fixed(self) -> bool:
        """Whether it renders the same whatever the values."""
        return self._render is None

    def render(self, values: Mapping[str, Any], random: Random) -> Any:
        """The text or structure with values in its places. Raises TemplateError for a value that is not there."""
        return self._fixed if self._render is None else self._render(values, random)


def compile(value: Any) -> Template:
    """Reads a text, or a structure of mappings, lists and texts (keys too); anything else stands as it is.

    Raises TemplateError for a text whose {{ }} is none of the forms above.
    """
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping):
        pairs = [(compile(key), compile(inner)) for key, inner in value.items()]
        parts = [template for pair in pairs for template in pair]
        if all(part.fixed for part in parts):
            return Template(None, value, frozenset())
        return Template(
            lambda values, random: {as_text(k.render(values, random)): v.render(values, random) for k, v in pairs},
            None,
            frozenset().union(*(part.paths for part in parts)),
        )
    if isinstance(value, list | tuple):
        items = [compile(inner) for inner in value]
        if all(item.fixed for item in items):
            return Template(None, value, frozenset())
        return Template(
            lambda values, random: [item.render(values, random) for item in items],
            None,
            frozenset().union(*(item.paths for item in items)),
        )
    return Template(None, value, frozenset())


def is_fixed(value: Any) -> bool:
    """Whether a text or a structure holds no template, nor what looks like one and is none."""
    try:
        return compile(value).fixed
    except TemplateError:
        return False


def put(value: Any, texts: Mapping[str, str]) -> Any:
    """Texts, or templates, where those names stand in a text or a structure of texts; what is left stays a template."""
    if isinstance(value, str):
        return _PLACE.sub(lambda found: texts.get((found[1] or found[2] or "").strip(), found[0]), value)
    if isinstance(value, Mapping):
        return {put(key, texts): put(inner, texts) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [put(inner, texts) for inner in value]
    return value


def as_text(value: Any) -> str:
    """A value in the middle of a text: numbers as JavaScript writes them, mappings and lists as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        plain = value == 0 or 1e-6 <= abs(value) < 1e21  # otherwise with an exponent, as in ECMA-262, Number::toString
        written = f"{Decimal(repr(value)):f}" if plain else repr(value).replace("e-0", "e-")
        return "0" if value == 0 else written.removesuffix(".0")
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def plain_numbers(value: Any) -> Any:
    """Whole numbers without a point, as JavaScript has them; up to 2**53 its numbers are exact as well."""
    if isinstance(value, float):
        return int(value) if value == int(value) and abs(value) < 2**53 else value
    if isinstance(value, Mapping):
        return {key: plain_numbers(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain_numbers(inner) for inner in value]
    return value


def _text(text: str) -> Template:
    parts: list[str | _Lookup | _Call] = []
    end = 0
    for found in _PLACE.finditer(text):
        parts += [text[end : found.start()], _place((found[1] or found[2] or "").strip(), found[0])]
        end = found.end()
    parts = [part for part in (*parts, text[end:]) if part != ""]
    for part in parts:
        if isinstance(part, str) and (at := part.find("{{")) >= 0:
            raise TemplateError(f"{_short(part[at:])} is no template: {A_TEMPLATE}")
    paths = frozenset(part.path for part in parts if isinstance(part, _Lookup))
    if not any(callable(part) for part in parts):
        return Template(None, text, paths)
    if len(parts) == 1 and not isinstance(parts[0], str):
        return Template(parts[0], None, paths)
    return Template(
        lambda values, random: "".join(p if isinstance(p, str) else as_text(p(values, random)) for p in parts),
        None,
        paths,
    )


def _place(inside: str, whole: str) -> _Lookup | _Call:
    if call := _CALL.fullmatch(inside):
        return _called(call[1], call[2], whole)
    found = _PATH.fullmatch(inside)
    if found is None:
        raise TemplateError(f"{_short(whole)} is no template: {A_TEMPLATE}")
    path: list[str | int] = [found[1]]
    for step in _STEPS.finditer(found[2]):
        path.append(int(step[2]) if step[2] else step[1] or step[3] or step[4] or "")
    if path[0] == _ENVIRONMENT:
        path[0] = ENV
    if path[0] == ENV and (len(path) != 2 or not isinstance(path[1], str)):
        raise TemplateError(f"{_short(whole)} is no template: with {found[1]}, the name of an environment variable")
    return _Lookup(tuple(path), found[1])


def _called(name: str, written: str, whole: str) -> _Call:
    most = {RANDOM_NUMBER: 2, RANDOM_STRING: 1}.get(name)
    if most is None:
        raise TemplateError(f"{_short(whole)} is no template: the functions are {RANDOM_NUMBER} and {RANDOM_STRING}")
    arguments = [argument.strip() for argument in written.split(",")] if written.strip() else []
    if len(arguments) > most or not all(re.fullmatch(r"\d{1,15}", argument, re.ASCII) for argument in arguments):
        raise TemplateError(
            f"{_short(whole)} is no template: {name} takes at most {most} whole number{'s' if most > 1 else ''}"
        )
    numbers = tuple(map(int, arguments))
    if name == RANDOM_STRING:
        if numbers and numbers[0] > MAX_RANDOM_STRING:
            raise TemplateError(f"{_short(whole)} is no template: at most {MAX_RANDOM_STRING} characters")
        return _Call(_random_string, numbers)
    if len(numbers) == 1:  # as artillery has it: from 0 to that
        numbers = (0, *numbers)
    return _Call(_random_number, numbers)


def _written(path: Path) -> str:
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" if i else key for i, key in enumerate(path))


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}…")
