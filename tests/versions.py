"""python -m tests.versions: the tests with the oldest and newest versions that setup.cfg allows, on each Python here.

It writes what it measured to docs/versions.md, and ends with 1 where a test failed. All of it is long: it is the whole
suite, several times. A part of it fills its part of the table, and leaves the rest as it was:

    python -m tests.versions --python 3.13 --ends newest tests/analysis tests/runs

Each environment is one of its own, with a copy of this checkout; "oldest" pins what is needed directly to its lower
bound. Pythons are found by their names, python3.11 and up, as a shell finds them.
"""

from __future__ import annotations

import argparse
import configparser
import os
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "versions.md"
ENDS = ("oldest", "newest")
EXTRA = "test"
WITHOUT = ("browser",)  # it has a command of its own, and wants chromium
NOT_COPIED = shutil.ignore_patterns(
    *(".git", ".venv", "build", "dist", "site", "*.egg-info", "__pycache__", ".*_cache"),
    *(".peers", "results", "node_modules"),
)
HEAD = """\
# Versions

What was tested: on each Python, with the oldest versions that `setup.cfg` allows of what is needed directly, and with
the newest that there were. `make versions` measures it and writes this page. The rows of `tests/` say how many passed;
a cell that is empty was not measured.
"""

Table = dict[str, dict[str, str]]  # column → row → cell


# What setup.cfg says


def settings() -> configparser.ConfigParser:
    found = configparser.ConfigParser(interpolation=None)
    found.read(ROOT / "setup.cfg", encoding="utf-8")
    return found


def needed(extra: str | None = None) -> Iterator[Requirement]:
    """What is needed directly, and what the extra needs, with the extras that it names."""
    cfg = settings()
    lines = cfg["options"]["install_requires"] if extra is None else cfg["options.extras_require"][extra]
    for line in filter(None, map(str.strip, lines.splitlines())):
        if line.startswith("%("):
            yield from needed(re.sub(r"%\((\w+)\)s", r"\1", line))
        else:
            yield Requirement(line)


def lower_bounds() -> list[str]:
    """As pip's constraints, of all that the tests need directly."""
    return [
        f"{requirement.name}=={bound.version}"
        for requirement in (*needed(), *needed(EXTRA))
        for bound in requirement.specifier
        if bound.operator == ">="
    ]


# Pythons and environments


def pythons() -> dict[str, str]:
    """3.N → its executable, of those that are here and allowed."""
    allowed = SpecifierSet(settings()["options"]["python_requires"])
    found = {}
    for name in (f"3.{minor}" for minor in range(30)):
        command = shutil.which(f"python{name}")
        if command is None or not allowed.contains(name):
            continue
        # pyenv has every version under its name, and runs the one that this variable picks.
        said = subprocess.run(
            [command, "-c", "import sys; print(sys.executable)"],
            env={**os.environ, "PYENV_VERSION": name},
            capture_output=True,
            text=True,
        )
        if said.returncode == 0:
            found[name] = said.stdout.strip()
    return found


def copy_checkout(destination: Path) -> None:
    """What is in the repository, without what builds, tests and runs leave in it."""

    def left(folder: str, names: list[str]) -> set[str]:
        return set(NOT_COPIED(folder, names)) | ({"runs"} if Path(folder) == ROOT else set())

    shutil.copytree(ROOT, destination, symlinks=True, ignore=left)


def environment(python: str, end: str, folder: Path, source: Path) -> Path:
    """The Python of an environment of one end, made if it is not there. Raises CalledProcessError."""
    made = folder / "bin" / "python"
    install = [str(made), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    complete = folder / "complete"
    wanted = "\n".join(sorted({str(requirement) for requirement in (*needed(), *needed(EXTRA))}))
    if complete.exists() and complete.read_text() == wanted:
        subprocess.run([*install, "--no-deps", "--force-reinstall", str(source)], check=True)
        return made
    subprocess.run([python, "-m", "venv", "--clear", str(folder)], check=True)
    constraints = folder / "constraints.txt"
    constraints.write_text("\n".join(lower_bounds() if end == "oldest" else []) + "\n")
    subprocess.run([*install, "--constraint", str(constraints), f"{source}[{EXTRA}]"], check=True)
    complete.write_text(wanted)
    return made


def versions(python: Path) -> dict[str, str]:
    """Row → version, of Python and of what is needed directly."""
    names = [requirement.name for requirement in needed()]
    code = (
        "import platform, sys, importlib.metadata as m; "
        "print(platform.python_version(), *(m.version(name) for name in sys.argv[1:]))"
    )
    said = subprocess.run([str(python), "-c", code, *names], check=True, capture_output=True, text=True)
    return dict(zip(["Python", *names], said.stdout.split(), strict=True))


def tested(python: Path, source: Path, tests: Sequence[str], report: Path) -> dict[str, str]:
    """Row → how many passed, of each folder of tests."""
    subprocess.run(
        [str(python), "-m", "pytest", "-q", f"--junitxml={report}", *tests],
        cwd=source,
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
            "PYTHONPATH": str(source),
            "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
        },
    )
    return counted(xml.parse(report).getroot())


def counted(report: xml.Element) -> dict[str, str]:
    """JUnit's report → row → how many passed, and how many did not."""
    ended: dict[str, Counter[str]] = {}
    for case in report.iter("testcase"):
        parts = case.get("classname", "").split(".")
        row = "tests/*.py" if parts[1].startswith("test_") else f"tests/{parts[1]}"  # which may hold classes
        how = next((child.tag for child in case if child.tag in ("failure", "error", "skipped")), "passed")
        ended.setdefault(row, Counter())[{"failure": "failed", "error": "failed"}.get(how, how)] += 1
    return {
        row: ", ".join(
            [f"{counts['passed']:,}", *(f"{counts[how]} {how}" for how in ("failed", "skipped") if counts[how])]
        )
        for row, counts in ended.items()
    }


# The page


def read(text: str) -> Table:
    """The table of a page that `written` wrote."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    if not rows:
        return {}
    head, _, *body = rows
    return {column: {row[0].strip("`"): row[at] for row in body if row[at]} for at, column in enumerate(head) if column}


def _order(column: str) -> tuple[int, int]:
    python, end = column.split()
    return int(python.partition(".")[2]), ENDS.index(end)


def written(table: Table) -> str:
    columns = sorted(table, key=_order)
    packages = ["Python", *(requirement.name for requirement in needed())]
    rooms = sorted({row for column in table.values() for row in column} - {*packages})
    lines = [["", *columns], ["---"] * (len(columns) + 1)]
    for row in (*packages, *rooms):
        lines.append([f"`{row}`" if row in rooms else row, *(table[column].get(row, "") for column in columns)])
    return HEAD + "\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def merged(table: Table, column: str, of: dict[str, str], results: dict[str, str]) -> Table:
    """With what was measured in place of what there was; what was measured with other versions is gone."""
    before = table.get(column, {})
    same = all(before.get(row) == version for row, version in of.items())
    return {**table, column: {**(before if same else {}), **of, **results}}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.versions", description=__doc__.split("\n\n")[0])
    parser.add_argument("--python", action="append", metavar="3.N", help="only on this one; may be repeated")
    parser.add_argument("--ends", action="append", choices=ENDS, help="only with these versions")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="where environments are left for the next time")
    parser.add_argument("tests", nargs="*", help="files and folders of tests (default: all but tests/browser)")
    given = parser.parse_args()
    here = pythons()
    if missing := set(given.python or ()) - set(here):
        parser.error(f"no Python {', '.join(sorted(missing))} here: there is {', '.join(here) or 'none'}")
    tests = given.tests or ["tests", *(f"--ignore=tests/{name}" for name in WITHOUT)]
    failed = False
    with tempfile.TemporaryDirectory(prefix="sm-locust-versions-") as temporary:
        source = Path(temporary, "source")
        copy_checkout(source)
        for name in given.python or here:
            for end in given.ends or ENDS:
                folder = (given.keep or Path(temporary)).absolute() / f"{name}-{end}"
                print(f"Python {name}, {end} versions", flush=True)
                try:
                    python = environment(here[name], end, folder, source)
                except subprocess.CalledProcessError as error:
                    print(f"{folder.name} cannot be made: {error}", file=sys.stderr)
                    failed = True
                    continue
                results = tested(python, source, tests, Path(temporary, "junit.xml"))
                table = read(DOCUMENT.read_text(encoding="utf-8")) if DOCUMENT.exists() else {}
                DOCUMENT.write_text(
                    written(merged(table, f"{name} {end}", versions(python), results)), encoding="utf-8"
                )
                failed = failed or not results or any("failed" in cell for cell in results.values())
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
