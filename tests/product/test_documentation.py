"""What README and docs/ show is what a reader gets: each command of a ```console block is run, its output compared.

A block holds one command or more, each on a line that begins with `$ `, and under it what it prints. It runs in the
checkout's folder, in an environment without AWS's settings and without a price cache, and not on a terminal. In what it
prints `…` stands for anything within a line, and a line of `…` alone for any lines. A command that names
http://127.0.0.1:8500 finds a local endpoint there, freshly started, and has the key pair that it knows.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.runs.harness import endpoint, environment

ROOT = Path(__file__).parents[2]
LOCAL = "http://127.0.0.1:8500"

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCKS = [
    block
    for page in PAGES
    for block in re.findall(r"^```console\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
]


def commands(block: str) -> list[tuple[str, str]]:
    """Each command of a block, with what it is said to print."""
    return [(command, output) for command, _, output in (part.partition("\n") for part in block.split("$ ")[1:])]


COMMANDS = [found for block in BLOCKS for found in commands(block)]


def as_shown(text: str) -> str:
    """Without what nobody sees: spaces at the end of a line, empty lines around the whole."""
    return "\n".join(line.rstrip() for line in text.splitlines()).strip("\n")


def matches(shown: str, printed: str) -> bool:
    anything, any_lines = ".*", r"(?:.*\n)*.*"
    lines = as_shown(shown).split("\n")
    patterns = [any_lines if line == "…" else re.escape(line).replace("…", anything) for line in lines]
    return re.fullmatch("\n".join(patterns), as_shown(printed)) is not None


def printed_by(command: str, folder: Path) -> str:
    """What a command prints, errors included."""
    program, *arguments = command.split()
    assert program == "sm-locust", command
    alone = {**environment(), "XDG_CACHE_HOME": str(folder), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "sm_locust.cli", *arguments],
        cwd=ROOT,
        env={name: value for name, value in alone.items() if name not in ("COLUMNS", "FORCE_COLOR", "TTY_COMPATIBLE")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    return done.stdout


@pytest.mark.parametrize(("command", "shown"), COMMANDS, ids=[command for command, _ in COMMANDS])
def test_a_command_that_is_shown_prints_what_stands_there(command: str, shown: str, tmp_path: Path) -> None:
    if LOCAL in command:
        with endpoint(tmp_path) as local:
            printed = printed_by(command.replace(LOCAL, local.url), tmp_path).replace(local.url, LOCAL)
    else:
        printed = printed_by(command, tmp_path)
    if not matches(shown, printed):
        assert as_shown(printed) == as_shown(shown)  # says where they part


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_links_within_the_checkout_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if not link.startswith(("http:", "https:", "#")):
            assert (page.parent / link.partition("#")[0]).exists(), link


def test_the_readme_shows_the_plan_of_the_reference_experiment() -> None:
    assert "sm-locust plan configs/decision_trees.yaml" in [command for command, _ in COMMANDS]


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("a\nb\n", "a\nb", True),
        ("a  \n", "\na\n", True),
        ("a\nb\n", "a\nc", False),
        ("a.c", "abc", False),
        ("took … ms", "took 12 ms", True),
        ("took … ms", "took 12 ms\nand more", False),
        ("a\n…\nz", "a\nb\nc\nz", True),
        ("a\n…\nz", "a\nb\nc\n", False),
    ],
)
def test_output_is_compared_to_the_letter_but_for_what_is_left_out(shown: str, printed: str, same: bool) -> None:
    assert matches(shown, printed) is same


def test_a_block_may_hold_several_commands() -> None:
    assert commands("$ sm-locust a\nx\n\ny\n$ sm-locust b c\nz\n") == [
        ("sm-locust a", "x\n\ny\n"),
        ("sm-locust b c", "z\n"),
    ]
