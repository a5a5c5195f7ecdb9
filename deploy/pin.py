"""Prints what the image is made of, by exact version: all that sm-locust needs, as it is tested here.

    make pins

writes it to deploy/constraints.txt, from the environment that `make test` runs in. Packages that another platform alone
needs are not in it: the image is Linux, and so has to be the environment.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

EXTRAS = ("local", "metrics")  # which the image may be built with
HEAD = "# Made by `make pins` from the environment that the tests ran in: what the image installs, and no other."


def needed() -> Iterator[Requirement]:
    """What sm-locust asks for itself, with the extras, and what builds its wheel."""
    build = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text())["build-system"]
    yield from map(Requirement, build["requires"])
    yield from of("sm-locust", set(EXTRAS))


def of(name: str, extras: set[str]) -> Iterator[Requirement]:
    """What an installed package asks for, here and with these extras."""
    for line in distribution(name).requires or ():
        requirement = Requirement(line)
        if requirement.marker is None or any(requirement.marker.evaluate({"extra": e}) for e in extras or {""}):
            yield requirement


def pinned() -> dict[str, str]:
    """Name → version of all that is needed, however far down."""
    found: dict[str, str] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    wanted = list(needed())
    while wanted:
        requirement = wanted.pop()
        name = canonicalize_name(requirement.name)
        if (name, frozenset(requirement.extras)) not in seen:
            seen.add((name, frozenset(requirement.extras)))
            found[name] = distribution(name).version
            wanted += of(name, requirement.extras)
    return found


def text() -> str:
    return "\n".join([HEAD, *(f"{name}=={version}" for name, version in sorted(pinned().items()))]) + "\n"


if __name__ == "__main__":
    print(text(), end="")
