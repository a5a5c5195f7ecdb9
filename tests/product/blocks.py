"""The code blocks of README, docs/ and what stands beside them, and what is wrong with one that is only read.

Each block is run by test_documentation, or says on the line before it why not: `<!-- not run: REASON -->`. What is not
run is read all the same: options and arguments of our commands, files and make targets that are named. A program that
would take too long as it stands says what is put in the place of what: `<!-- run with timeout=2 for timeout=60 -->`.

`python -m tests.product.blocks` lists those that are not run, each with its reason.
"""

from __future__ import annotations

import configparser
import contextlib
import importlib.util
import io
import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import locust.argument_parser  # before all that speaks HTTP: it patches the process

import click
import yaml

from sm_locust import config
from sm_locust.cli import main
from sm_locust.local.settings import Settings
from sm_locust.plugin.options import add_options

ROOT = Path(__file__).parents[2]
PAGES = [
    *sorted(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md") if (ROOT / name).exists()),
    *sorted((ROOT / "docs").glob("*.md")),
]
RUN = ("console", "python", "yaml", "json")  # the others are there to be read, and say why
MINIMAL = {"target": {"endpoint": "decision-trees-sample"}}

_NOT_RUN = re.compile(r"<!-- not run: (\S.*) -->")
_RUN_WITH = re.compile(r"<!-- run with (\S.*?) for (\S.*) -->")
_FENCE = re.compile(r"( *)(`{3,}|~{3,})([\w+-]*)")
_LISTED = re.compile(r"([-*+]|[0-9]+\.) ")


@dataclass(frozen=True, slots=True)
class Block:
    """A block of code.

    line    of its first line, from 1
    kind    the word behind the fence; sh for a block that is indented
    reason  why it is not run; None for one that is
    """

    page: Path
    line: int
    kind: str
    text: str
    reason: str | None

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> list[Block]:
    return list(_blocks(page, page.read_text(encoding="utf-8").splitlines()))


def _blocks(page: Path, lines: list[str]) -> Iterator[Block]:
    at, in_list = 0, False
    while at < len(lines):
        line, before = lines[at], lines[at - 1] if at else ""
        fence = _FENCE.match(line)
        indented = line.startswith("    ") and not before.strip() and not in_list
        if fence:
            inside, end = len(fence[1]), at + 1
            while lines[end].strip() != fence[2]:
                end += 1
            text = "\n".join(line[inside:] if not line[:inside].strip() else line for line in lines[at + 1 : end])
            yield _block(page, at + 1, fence[3] or "nothing", text, before)
            at = end + 1
        elif indented:
            end = at
            while end < len(lines) and (lines[end].startswith("    ") or not lines[end].strip()):
                end += 1
            said = next((line for line in reversed(lines[:at]) if line.strip()), "")
            yield _block(page, at, "sh", "\n".join(line[4:] for line in lines[at:end]).rstrip(), said)
            at = end
        else:
            if line.strip() and not line.startswith(" "):
                in_list = bool(_LISTED.match(line)) or (in_list and bool(before.strip()))
            at += 1


def _block(page: Path, before: int, kind: str, text: str, said: str) -> Block:
    not_run, run_with = _NOT_RUN.fullmatch(said.strip()), _RUN_WITH.fullmatch(said.strip())
    if run_with:
        assert run_with[2] in text, f"{page}:{before}: {run_with[2]!r} is not in the block"
        text = text.replace(run_with[2], run_with[1])
    return Block(page, before + 1, kind, text + "\n", not_run[1] if not_run else None)


# What is wrong with a block that is read


def fault(block: Block) -> str | None:
    """In a sentence; None for a block that is right as far as reading tells."""
    try:
        if block.kind == "sh":
            for command in _commands(block.text):
                _check_command(command)
        elif block.kind == "console":
            for line in re.findall(r"^\$ (.*)$", block.text.replace("\\\n", " "), re.MULTILINE):
                for command in _commands(line):
                    _check_command(command)
        elif block.kind == "yaml":
            _check_yaml(block)
        elif block.kind == "json":
            json.loads(block.text)
        elif block.kind == "python":
            compile(block.text, str(block), "exec")
    except (ValueError, SyntaxError, yaml.YAMLError) as e:
        return f"{block}: {e}"
    if block.reason is None and block.kind not in RUN:
        return (
            f"{block}: a block of {block.kind} is not run, and the line before it says no reason: <!-- not run: … -->"
        )
    return None


def _commands(text: str) -> Iterator[list[str]]:
    """The simple commands of a script, without what is assigned before them."""
    for line in text.replace("\\\n", " ").splitlines():
        if "$(" in line:  # of a shell's own language more than a split can tell
            continue
        words = shlex.shlex(line, posix=True, punctuation_chars="&|;")
        words.whitespace_split, words.commenters = True, "#"
        command: list[str] = []
        for word in [*words, ";"]:
            if set(word) <= set("&|;"):
                while command and re.match(r"\w+=", command[0]):
                    command.pop(0)
                if command:
                    yield command
                command = []
            else:
                command.append(word)


def _check_command(command: list[str]) -> None:
    program, *arguments = command
    arguments = [word for word in arguments if word != "…"]
    match program.rpartition("/")[2]:
        case "sm-locust":
            _check_ours(arguments)
        case "locust":
            _check_locust(arguments)
        case "make":
            targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
            for word in arguments:
                if re.fullmatch("[a-z]+", word) and word not in targets:
                    raise ValueError(f"make {word}: there is no such target")
        case "pip" | "pipx" | "uv":
            known = configparser.ConfigParser()
            known.read(ROOT / "setup.cfg")
            for word in arguments:
                for extra in re.findall(r"(?:sm-locust|\.)\[([\w,]+)\]", word):
                    for name in extra.split(","):
                        if name not in known["options.extras_require"]:
                            raise ValueError(f"{word}: there is no extra {name}")
        case "python" | "python3":
            module = arguments[1] if arguments[:1] == ["-m"] else ""
            if module.startswith(("sm_locust", "benchmarks", "tests", "docs")) and not importlib.util.find_spec(module):
                raise ValueError(f"python -m {module}: there is no such module")


def _check_ours(arguments: list[str]) -> None:
    """That our command takes them, as click does before it does anything."""
    command: click.Command = main
    rest = list(arguments)
    context = click.Context(main, info_name="sm-locust")
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        found = command.get_command(context, rest[0])
        if found is None:
            raise ValueError(f"sm-locust {' '.join(arguments)}: there is no command {rest[0]}")
        command, rest = found, rest[1:]
    try:
        command.make_context("sm-locust", rest)
    except click.ClickException as e:
        raise ValueError(f"sm-locust {' '.join(arguments)}: {e.format_message()}") from None
    except click.exceptions.Exit:
        pass  # --help, --version


def _check_locust(arguments: list[str]) -> None:
    parser = locust.argument_parser.get_parser(default_config_files=[])
    if "--sm-config" not in parser._option_string_actions:
        add_options(parser)
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            options = parser.parse_args(arguments)
    except SystemExit as e:
        if e.code:
            raise ValueError(f"locust {' '.join(arguments)}: {said.getvalue().strip()}") from None
        return
    for name in (options.locustfile or "").split(","):
        if name.startswith(("locustfiles/", "shapes/")) and not (ROOT / name).is_file():
            raise ValueError(f"locust -f {name}: there is no such file")


def _check_yaml(block: Block) -> None:
    """A configuration, whole or a part of one; settings of the local endpoint; or what only somebody else can read."""
    data = yaml.safe_load(block.text)
    if block.reason is not None:
        return
    if not isinstance(data, dict):
        raise ValueError("not a mapping, and the line before it says no reason: <!-- not run: … -->")
    known = {field.alias or name for name, field in config.RunConfig.model_fields.items()}
    if set(data) <= known:
        config.parse(block.text, str(block)) if "target" in data else config.RunConfig.from_dict(MINIMAL | data)
    elif set(data) <= set(Settings.model_fields):
        Settings.model_validate(data)
    elif (is_script := getattr(_artillery(), "is_script", None)) and is_script(data):
        config.parse(block.text, str(block))
    else:
        raise ValueError(f"neither a configuration nor settings: {', '.join(sorted(set(data) - known))}")


def _artillery() -> object:
    """The module that reads artillery's scripts, where there is one."""
    found = importlib.util.find_spec("sm_locust.artillery")
    return importlib.import_module("sm_locust.artillery") if found else None


if __name__ == "__main__":
    every = [block for page in PAGES for block in blocks(page)]
    apart = [block for block in every if block.reason is not None]
    for block in apart:
        print(f"{block!s:32} {block.kind:10} {block.reason}")
    print(f"{len(apart)} of {len(every)} blocks are not run")
