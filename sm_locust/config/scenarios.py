"""What is done once for each arrival, where it is more than one request: `scenarios`, `feeds` and `variables`.

One arrival runs one scenario, picked by weight, from its first step to its last. Where `{{ templates }}` stand, values
are put in: a row of each feed and one value of each variable, drawn once for each run of a scenario (a variable of the
same name wins). How a template is read is templates'; running the steps, and reading the files, is the load's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, model_validator

from sm_locust import templates
from sm_locust.fields import (
    A_DURATION,
    METHODS,
    Duration,
    Flag,
    Given,
    Listed,
    Method,
    Number,
    Section,
    Text,
    check_host,
    refused,
)
from sm_locust.kept import without_secrets

A_STEP_URL = (
    "an http:// or https:// URL whose scheme and host hold no {{ template }}, without user, password or fragment"
)
A_VARIABLE = "a mapping of names (letters, digits, _, - and spaces; $ first) to values or lists of values"
FIELDS = "a list of one name or more, one for each column: letters, digits, _, - and spaces"
HEADERS = "a mapping of header names to texts of printable ASCII characters"
STEPS = "a list of one step or more, the first of them a request"
VALUES = "a mapping of names to texts, numbers, true or false"

_NAME = re.compile(r"[$A-Za-z0-9_](?:[\w$ -]*[\w$-])?", re.ASCII)
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_ADDRESS = re.compile(r"(https?://[^/?#\\{}@\s]+)([/?][^#\\\x00-\x1f]*)?", re.IGNORECASE)


def _checked(value: Any, *keys: str) -> None:
    try:
        templates.compile(value)
    except templates.TemplateError as error:
        raise refused(str(error), *keys) from None


def _template(value: Any) -> Any:
    if not isinstance(value, str) or not value:
        raise ValueError
    _checked(value)
    return value


def _url(value: Any) -> str:
    found = _ADDRESS.fullmatch(_template(value))
    try:
        parts = urlsplit(found[1] if found else "")
        valid = bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise ValueError
    check_host(parts.hostname or "")
    return str(value)


def _headers(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise ValueError
    for name, text in value.items():
        if not isinstance(name, str) or not _TOKEN.fullmatch(name):
            raise ValueError
        if not isinstance(text, str) or not re.fullmatch(r"[ -~\t]{0,8192}", text):
            raise refused("a text of printable ASCII characters", name)
        _checked(text, name)
    return dict(value)


def _values(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise ValueError
    for name, given in value.items():
        if not isinstance(given, str | int | float):
            raise refused("a text, a number, true or false", name)
        _checked(given, name)
    return dict(value)


def _json(value: Any) -> Any:
    if value is None or not _is_json(value):
        raise ValueError
    _checked(value)
    return value


def _fields(value: Any) -> Any:
    if not isinstance(value, list | tuple) or not value:
        raise ValueError
    for i, name in enumerate(value):
        if not isinstance(name, str) or not _NAME.fullmatch(name) or name in templates.OWN:
            raise ValueError
        if name in value[:i]:
            raise refused(f"a list in which each name stands once; {name} stands twice")
    return tuple(value)


def _variables(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError
    for name, given in value.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name) or name in templates.OWN:
            raise ValueError
        if given == [] or not _is_json(given):
            raise refused("a text, a number, true, false, a mapping, or a list of one such value or more", name)
    return dict(value)


def _is_json(value: Any, depth: int = 0) -> bool:
    if depth > 50:
        return False
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _is_json(inner, depth + 1) for key, inner in value.items())
    if isinstance(value, list | tuple):
        return all(_is_json(inner, depth + 1) for inner in value)
    if isinstance(value, float):
        return value == value and abs(value) != float("inf")
    return value is None or isinstance(value, str | int)


Templated = Annotated[Given[str], BeforeValidator(_template)]


class Step(Section):
    """One request, or one pause."""

    method: Given[Method] = Field(None, description=f"one of {', '.join(METHODS)}; or think in its place")
    url: Annotated[Given[str], BeforeValidator(_url)] = Field(None, description=A_STEP_URL)
    name: Given[Text] = Field(None, description="a text that is not empty: the request's name in the figures")
    headers: Annotated[dict[str, str], BeforeValidator(_headers)] = Field({}, description=HEADERS)
    query: Annotated[dict[str, Any], BeforeValidator(_values)] = Field({}, description=VALUES)
    body: Templated = Field(None, description="a text that is not empty")
    json_body: Annotated[Any, BeforeValidator(_json)] = Field(
        None, alias="json", description="what JSON can hold: texts, numbers, lists, mappings"
    )
    form: Annotated[dict[str, Any] | None, BeforeValidator(_values)] = Field(None, description=VALUES)
    think: Given[Duration] = Field(None, description=A_DURATION)

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Not what it sends, which may be a password: it would stand in the log of whoever's task raises with it."""
        yield "method", self.method
        yield "name", self.name

    @model_validator(mode="after")
    def _is_one_kind(self) -> Self:
        if self.think is not None:
            for name, field in self.__class__.model_fields.items():
                if name != "think" and getattr(self, name) != field.default:
                    raise refused(f"only without {field.alias or name}: a pause is a step of its own", "think")
            return self
        for key in ("method", "url"):
            if getattr(self, key) is None:
                accepted = self.__class__.model_fields[key].description
                raise refused(str(accepted), key)
        if len(given := list(self.bodies)) > 1:
            raise refused("one of body, json, form", given[1])
        return self

    @property
    def address(self) -> str | None:
        """Scheme and host, with its port; None of a pause."""
        found = None if self.url is None else _ADDRESS.match(self.url)
        return None if found is None else found[1]

    @property
    def bodies(self) -> dict[str, Any]:
        """What is sent, by the key that it is given under: one at most, once the step is checked."""
        each = {"body": self.body, "json": self.json_body, "form": self.form}
        return {key: value for key, value in each.items() if value is not None}

    def texts(self) -> list[tuple[tuple[str, ...], Any]]:
        """What may hold templates, each with the keys that lead to it."""
        found: list[tuple[tuple[str, ...], Any]] = []
        for key, value in (("url", self.url), ("body", self.body), ("json", self.json_body)):
            if value is not None:
                found.append(((key,), value))
        for key, values in (("headers", self.headers), ("query", self.query), ("form", self.form or {})):
            found += [((key, name), value) for name, value in values.items()]
        return found


class Scenario(Section):
    """Steps, one after the other."""

    name: Text = Field(description="a text that is not empty")
    weight: Number = Field(1.0, gt=0, le=1e6, description="a number, more than 0, at most 1000000")
    steps: Annotated[tuple[Step, ...], Listed] = Field(description=STEPS)

    def recorded(self) -> dict[str, Any]:
        """Primitives, as they may be kept: without passwords, keys and tokens."""
        data = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        for step in data["steps"]:
            kept = ("url", "headers", "query", "body", "json", "form")
            step.update({key: without_secrets(step[key]) for key in kept if key in step})
        return data

    @model_validator(mode="after")
    def _begins_with_a_request(self) -> Self:
        if not self.steps or self.steps[0].url is None:  # a pause ahead of it would only delay the arrival
            raise refused(STEPS, "steps")
        return self


class Feed(Section):
    """A CSV file whose rows give values: one row for each run of a scenario. 128 MiB at the most, a value 32 MiB.

    sequential  the rows in their order, and then again from the first, over all workers together as far as it goes
    cast        a column that reads as a number is one, as artillery has it by default: 007 is 7 then
    """

    file: Text = Field(description="the path of a CSV file")
    fields: Annotated[tuple[str, ...], BeforeValidator(_fields)] = Field(description=FIELDS)
    order: Literal["sequential", "random"] = Field("sequential", description="one of sequential, random")
    delimiter: Annotated[str, Field(strict=True, min_length=1, max_length=1)] = Field(
        ",", description="a text of one character"
    )
    header: Flag = Field(False, description="true or false; true leaves out the first line")
    cast: Flag = Field(False, description="true or false; true makes numbers of what reads as a number")


Scenarios = Annotated[tuple[Scenario, ...] | None, Listed]
Feeds = Annotated[tuple[Feed, ...], Listed]
Variables = Annotated[dict[str, Any], BeforeValidator(_variables)]


def check(scenarios: Iterable[Scenario], feeds: Iterable[Feed], variables: Mapping[str, Any]) -> None:
    """Raises a refusal, with its place, for a template whose name nothing gives a value to."""
    known = {*variables, *(name for feed in feeds for name in feed.fields), *templates.OWN}
    for i, scenario in enumerate(scenarios):
        for j, step in enumerate(scenario.steps):
            for place, text in step.texts():
                for name in sorted(templates.compile(text).names - known):
                    named = ", ".join(sorted(known))
                    raise refused(
                        f"{{{{ {name} }}}} has no value; names with one: {named}", "scenarios", i, "steps", j, *place
                    )


def requests_each(scenarios: Iterable[Scenario]) -> float:
    """Requests of one arrival, on the mean: those of its scenario, each as likely as its weight says."""
    weighted = [(each.weight, sum(step.url is not None for step in each.steps)) for each in scenarios]
    return sum(weight * n for weight, n in weighted) / sum(weight for weight, _ in weighted)


def paused_each(scenarios: Iterable[Scenario]) -> float:
    """Seconds that one arrival waits between its requests, on the mean. A pause after the last one delays nothing."""
    weighted = []
    for each in scenarios:
        last = max(i for i, step in enumerate(each.steps) if step.url is not None)
        weighted.append((each.weight, sum(step.think or 0.0 for step in each.steps[:last])))
    return sum(weight * seconds for weight, seconds in weighted) / sum(weight for weight, _ in weighted)


def environment_of(scenarios: Iterable[Scenario]) -> frozenset[str]:
    """Names of the environment variables that the scenarios' templates need (`{{ $env.NAME }}`).

    They are no part of the configuration, so that no run folder keeps them: each process that sends looks them up.
    """
    found: frozenset[str] = frozenset()
    for scenario in scenarios:
        for step in scenario.steps:
            found |= templates.compile([text for _, text in step.texts()]).environment
    return found
