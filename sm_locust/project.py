"""The folder that `sm-locust init` makes: a load test to change, and the workflows that play it in CI.

Which files there are and what they say is decided by `plain` and `of_script`, which write nothing; `write` puts all of
them there, or none. What an artillery script becomes is `artillery`'s.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from sm_locust import artillery
from sm_locust.config import ConfigError, load
from sm_locust.shipped import STARTERS, locustfile

SCRIPT = "configs/script.yaml"  # what a script becomes

# What is copied as it is: the starters, and what a project has of its own, by where it goes.
_STARTERS = ("locustfiles/*.py", "shapes/*.py", "configs/*.yaml")
_OWN = {
    "gitignore": ".gitignore",
    "README.md": "README.md",
    "configs/account.yaml": "configs/account.yaml",
    "configs/ci.yaml": "configs/ci.yaml",
    "payloads/iris.csv": "payloads/iris.csv",
    "workflows/load-test-local.yml": ".github/workflows/load-test-local.yml",
    "workflows/load-test.yml": ".github/workflows/load-test.yml",
}
_TEMPLATES = ("README.md", ".github/workflows/load-test.yml")
_FOR_AWS = re.compile(r"^ *# aws>\n(.*?)^ *# <aws\n", re.MULTILINE | re.DOTALL)

Files = dict[str, bytes]  # path below the folder → content


class ProjectError(Exception):
    """Why a folder is not made, in one sentence."""


@dataclass(frozen=True)
class Load:
    """What load-test.yml plays.

    signed  whether it takes credentials of AWS's
    """

    config: str
    locustfile: str
    signed: bool
    where: str


ACCOUNT = Load("configs/account.yaml", locustfile({"endpoint"}), True, "Against your endpoint")


# What is in the folder


def plain(played: Load = ACCOUNT) -> Files:
    """A load test of an endpoint: of the local one as it is, of one in an account once its name is filled in."""
    files = {
        path.relative_to(STARTERS).as_posix(): path.read_bytes()
        for pattern in _STARTERS
        for path in sorted(STARTERS.glob(pattern))
    }
    files |= {place: (STARTERS / "project" / name).read_bytes() for name, place in _OWN.items()}
    files |= {place: _filled_in(files[place].decode(), played).encode() for place in _TEMPLATES}
    files["requirements.txt"] = f"sm-locust[local]=={version('sm-locust')}\n".encode()
    return files


def of_script(script: Path, environment: str | None, note: Callable[[str], object]) -> Files:
    """The same with an artillery script as what is played, and the CSV files that it reads beside it.

    environment  the one of its config.environments that is merged over config
    note         is called with each sentence about what of the script has no effect

    Raises ConfigError.
    """
    load(script, environment, note)  # all that is wrong with it, in its own words
    data = yaml.safe_load(script.read_bytes())
    if not artillery.is_script(data):
        raise ConfigError(
            f"{script}: not an artillery script, which has config and scenarios; a configuration of ours "
            "goes into configs/ as it is"
        )
    converted = artillery.convert(data, environment)
    feeds, beside = _fed(converted.config, script)
    if feeds:
        converted = replace(converted, config={**converted.config, "feeds": feeds})
    files = {name: content for name, content in plain(_load(converted.config)).items() if name != ACCOUNT.config}
    return {**files, **beside, SCRIPT: artillery.as_yaml(converted).encode()}


def _load(config: Mapping[str, Any]) -> Load:
    """What plays a script: the locustfile that signs, for what is signed; that of the target, where there is one."""
    target = config.get("target", {})
    return Load(SCRIPT, locustfile(target), "endpoint" in target, "With the script")


def _fed(config: Mapping[str, Any], script: Path) -> tuple[list[dict[str, Any]], Files]:
    """The feeds with the names that their files have in the folder, and these files. None where no scenario reads one.

    Raises ConfigError.
    """
    if "target" in config:
        return [], {}
    feeds: list[dict[str, Any]] = []
    names: dict[Path, str] = {}
    files: Files = {}
    for feed in config.get("feeds", ()):
        source = Path(script.parent, feed["file"])
        if source not in names:
            name = source.name
            while f"configs/{name}" in files:
                name = f"{source.stem}-{len(names) + 1}{source.suffix}"
            try:
                files[f"configs/{name}"] = source.read_bytes()
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or error
                raise ConfigError(f"{script}: {feed['file']} cannot be read: {reason}; accepted: a CSV file") from None
            names[source] = name
        feeds.append({**feed, "file": names[source]})
    return feeds, files


def _filled_in(text: str, played: Load) -> str:
    text = _FOR_AWS.sub(r"\1" if played.signed else "", text)
    for name in ("config", "locustfile", "where"):
        text = text.replace(f"@{name}@", getattr(played, name))
    return text


# Writing it


def write(folder: Path, files: Files) -> None:
    """All of the files, into a folder that is made if it is not there; none if one cannot be written.

    Raises ProjectError, also where a file of the name is there already.
    """
    made: list[Path] = []
    try:
        for name in sorted(files):
            if (there := folder / name).is_symlink() or there.exists():
                raise ProjectError(f"{there} is there already, and nothing is overwritten: name another folder")
        made += _make_folder(folder)
        for name, content in sorted(files.items()):
            path = folder / name
            made += _make_folder(path.parent)
            with open(path, "xb") as file:
                made.append(path)
                file.write(content)
    except BaseException as error:
        for path in reversed(made):
            path.rmdir() if path.is_dir() else path.unlink()
        if isinstance(error, OSError):
            raise ProjectError(f"{error.filename or folder} cannot be written: {error.strerror}") from None
        raise


def _make_folder(folder: Path) -> list[Path]:
    """The folders that were made for it, the outermost first."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()][::-1]
    for at, path in enumerate(missing):
        try:
            path.mkdir()
        except OSError:
            for made in reversed(missing[:at]):
                made.rmdir()
            raise
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "it is not a folder", str(folder))
    return missing
