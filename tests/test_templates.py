"""`{{ templates }}` as artillery writes them: what is read, what it renders to, what is refused."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_locust import templates
from sm_locust.templates import TemplateError

VALUES = {
    "id": 7,
    "price": 1.5,
    "whole": 5.0,
    "small": 0.00001,
    "tiny": 1e-7,
    "large": 123456789012345680000.0,
    "huge": 1e21,
    "word": "é b",
    "on": True,
    "nothing": None,
    "user": {"name": "ann", "tags": ["a", 2], "full name": "ann b"},
    "a b": "spaced",
    "user-id": "dashed",
    "$env": {"TOKEN": "t0"},
    "$uuid": "u1",
}


def rendered(value: Any) -> Any:
    return templates.compile(value).render(VALUES, Random(1))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("plain }} text", "plain }} text"),
        ("/items/{{ id }}", "/items/7"),
        ("{{id}}{{{ id }}}", "77"),
        # One name and nothing else: the value itself, as JSON wants it
        ("{{ id }}", 7),
        ("{{ on }}", True),
        ("{{ user.tags }}", ["a", 2]),
        # In the middle of a text: as JavaScript writes it
        (" {{ on }} {{ nothing }} {{ price }} {{ whole }}", " true null 1.5 5"),
        ("{{ small }} {{ tiny }} {{ large }} {{ huge }}", "0.00001 1e-7 123456789012345680000 1e+21"),
        ('{"user":{{ user }}}', '{"user":{"name":"ann","tags":["a",2],"full name":"ann b"}}'),
        ('{"a":{"b":{{ id }}}}', '{"a":{"b":7}}'),
        ("{{ user.name }} {{ user['full name'] }} {{ user.tags[1] }}", "ann ann b 2"),
        ("{{ a b }} {{ user-id }}", "spaced dashed"),
        ("{{ $env.TOKEN }} {{ $processEnvironment.TOKEN }} {{ $uuid }}", "t0 t0 u1"),
        ({"{{ user.name }}": ["{{ id }}", 1, None], "k": "x"}, {"ann": [7, 1, None], "k": "x"}),
    ],
)
def test_a_template_renders_its_values(text: Any, value: Any) -> None:
    assert rendered(text) == value


def test_random_numbers_hold_both_ends_and_are_texts() -> None:
    template, random = templates.compile("{{ $randomNumber(3, 5) }}"), Random(1)
    assert {template.render({}, random) for _ in range(100)} == {"3", "4", "5"}
    backwards = templates.compile("{{ $randomNumber(5, 3) }}")
    assert {backwards.render({}, random) for _ in range(100)} == {"3", "4", "5"}
    assert {templates.compile("{{ $randomNumber(1) }}").render({}, random) for _ in range(50)} == {"0", "1"}


def test_random_strings_have_their_length_and_differ() -> None:
    template, random = templates.compile("x{{ $randomString(12) }}"), Random(1)
    found = [template.render({}, random) for _ in range(20)]
    assert {len(text) for text in found} == {13}
    assert len(set(found)) == 20
    assert len(templates.compile("{{ $randomString() }}").render({}, random)) == 10


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a {{ b + c }}", "'{{ b + c }}' is no template: between {{ and }}, a name"),
        ("a {{ b", "'{{ b' is no template"),
        ("{{}}", "'{{}}' is no template"),
        ("{{ $fakeEmail() }}", "the functions are $randomNumber and $randomString"),
        ("{{ $randomNumber(1, 2, 3) }}", "$randomNumber takes at most 2 whole numbers"),
        ("{{ $randomString(-1) }}", "$randomString takes at most 1 whole number"),
        ("{{ $randomString(99999999) }}", "at most 65536 characters"),
        ("{{ $env }}", "with $env, the name of an environment variable"),
        ("{{ $processEnvironment }}", "with $processEnvironment, the name of an environment variable"),
        (["{{ ok }}", {"a": "{{ not ok? }}"}], "'{{ not ok? }}' is no template"),
    ],
)
def test_what_is_no_template_is_refused(text: Any, said: str) -> None:
    with pytest.raises(TemplateError) as error:
        templates.compile(text)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [("{{ nobody }}", "nobody"), ("{{ user.age }}", "user.age"), ("{{ user.tags[9] }}", "user.tags[9]")],
)
def test_a_value_that_is_not_there_is_named(text: str, said: str) -> None:
    with pytest.raises(TemplateError) as error:
        rendered(text)
    assert str(error.value) == f"{{{{ {said} }}}} has no value"


def test_a_template_knows_its_names() -> None:
    template = templates.compile({"{{ key }}": ["{{ user.name }}", "{{ $env.TOKEN }}{{ $uuid }}"]})
    assert template.names == {"key", "user", "$env", "$uuid"}
    assert template.environment == {"TOKEN"}
    assert not template.fixed
    assert templates.compile({"a": [1, "b }}"]}).fixed


@given(st.text(alphabet="{}ab1 $.[]()'\",", max_size=20))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        template = templates.compile(text)
    except TemplateError:
        return
    if template.fixed:
        assert template.render({}, Random(1)) == text
