"""What the image is made of. It cannot be built here; hadolint reads its Dockerfile in `make lint`."""

from __future__ import annotations

import configparser
import re
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
EXTRAS = ("local", "metrics")


def pins() -> dict[str, str]:
    lines = (ROOT / "deploy" / "constraints.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def own_requirements() -> list[Requirement]:
    setup = configparser.ConfigParser(interpolation=None)
    setup.read(ROOT / "setup.cfg")
    listed = [setup["options"]["install_requires"], *(setup["options.extras_require"][extra] for extra in EXTRAS)]
    return [Requirement(line) for text in listed for line in text.split("\n") if line and not line.startswith("#")]


def test_each_dependency_has_one_version_that_the_package_accepts() -> None:
    pinned = pins()
    for requirement in own_requirements():
        assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)]), requirement


def test_what_dependencies_ask_for_has_a_version_too() -> None:
    """Of those that are installed here in the version of the image, whatever the others have become since."""
    pinned, looked_at = pins(), 0
    for name, version in pinned.items():
        try:
            installed = distribution(name)
        except PackageNotFoundError:
            continue
        if installed.version != version:
            continue
        looked_at += 1
        for requirement in map(Requirement, installed.requires or ()):
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                wanted = canonicalize_name(requirement.name)
                assert wanted in pinned, f"{name} asks for {wanted}: make pins"
                assert requirement.specifier.contains(pinned[wanted]), f"{name} asks for {requirement}"
    assert looked_at or not pinned


def test_the_base_is_named_by_its_digest_the_same_in_each_stage() -> None:
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert len(bases) == 2
    assert len(set(bases)) == 1
    assert re.fullmatch(r"python:3\.11\.\d+-slim-bookworm@sha256:[0-9a-f]{64}", bases[0])


def test_it_runs_locust_itself_and_not_as_root() -> None:
    last = DOCKERFILE[DOCKERFILE.rindex("FROM ") :]
    assert 'ENTRYPOINT ["locust"]' in last  # no shell, which would keep SIGTERM from it
    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", last, re.MULTILINE)
    assert not re.search(r"\b(apt-get|pip|gcc)\b", last)


def test_what_is_sent_to_the_builder_is_what_the_wheel_is_made_of() -> None:
    lines = (ROOT / "deploy" / "Dockerfile.dockerignore").read_text().splitlines()
    assert lines[1] == "*"
    kept = [line[1:] for line in lines if line.startswith("!")]
    assert all((ROOT / path).exists() for path in kept)
    assert {link.name for link in (ROOT / "sm_locust" / "starters").iterdir() if link.is_symlink()} <= set(kept)
