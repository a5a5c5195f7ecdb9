"""What a user's editor has of the public names: a docstring that names every parameter, and types (see typed.py)."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

import sm_locust
from docs import generate

PROGRAM = Path(__file__).parent / "typed.py"


def documented() -> Iterator[tuple[str, Any, str]]:
    """Each name and member that docs/reference.md shows: what is called, and all that is said of it."""
    for name in sm_locust.__all__:
        value = getattr(sm_locust, name)
        if name.startswith("__"):
            continue
        yield name, value, value.__doc__ or ""
        if inspect.isclass(value) and not issubclass(value, BaseModel | BaseException):
            for member, of in generate._members(value).items():
                target = of.fget if isinstance(of, property) else getattr(of, "__func__", of)
                if inspect.isfunction(target) and target.__doc__ and not member.startswith("_"):
                    yield f"{name}.{member}", target, f"{value.__doc__}\n{target.__doc__ or ''}"


NAMES = list(documented())


@pytest.mark.parametrize(("name", "value", "said"), NAMES, ids=[name for name, *_ in NAMES])
def test_a_public_name_says_what_it_is_and_names_each_of_its_parameters(name: str, value: Any, said: str) -> None:
    assert value.__doc__, f"{name} has no docstring"
    shown = inspect.signature(value).parameters if generate._signature(value) else {}
    missing = [word for word in shown if word not in ("self", "cls") and not re.search(rf"\b{word}\b", said)]
    assert not missing, f"{name} does not say what {', '.join(missing)} may be"


def test_the_users_file_that_lint_checks_uses_every_public_name() -> None:
    program = PROGRAM.read_text(encoding="utf-8")
    assert [name for name in sm_locust.__all__ if not re.search(rf"\b{name}\b", program)] == []
