"""The findings of a check on a terminal, in a log or as JSON; each line is written as soon as it is found."""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TextIO

from rich.text import Text

from sm_locust.finding import FAIL, PASS, UNKNOWN, WARN, Finding, Level
from sm_locust.report.formats import printable
from sm_locust.report.text import DIM, LOG_WIDTH, console_for

SCHEMA_VERSION = 1

_MARKS: dict[Level, tuple[str, str]] = {
    PASS: ("pass", "green"),
    WARN: ("warn", "yellow"),
    FAIL: ("FAIL", "bold red"),
    UNKNOWN: ("?", DIM),
}
_NAME_WIDTH = 18  # of the longest name


def show(findings: Iterable[Finding], stream: TextIO) -> list[Finding]:
    """Prints them and what they come to: in colour and to the terminal's width, or plain where it is not one."""
    console = console_for(stream, LOG_WIDTH)
    found = []
    for finding in findings:
        for line in _lines(finding, console.width):
            console.print(line, soft_wrap=True)
        found.append(finding)
    console.print(Text(counted(found), style="bold"))
    return found


def _lines(finding: Finding, width: int) -> Iterator[Text]:
    """The mark, the name, and beside them what was found and what to do, folded."""
    mark, style = _MARKS[finding.level]
    head = Text.assemble((f"{mark:4}", style), f"  {finding.name:{_NAME_WIDTH}}  ")
    folded = [(line, DIM if finding.level == UNKNOWN else "") for line in _folded(finding.text, width - len(head))]
    if finding.do:
        folded += [(line, "yellow") for line in _folded(f"→ {finding.do}", width - len(head))]
    for i, (line, style) in enumerate(folded):
        yield Text.assemble(head if i == 0 else " " * len(head), (line, style))


def _folded(text: str, width: int) -> list[str]:
    return textwrap.wrap(printable(text), max(width, 20), break_on_hyphens=False)


def counted(found: Sequence[Finding]) -> str:
    """ "3 passed, 1 warned, 0 failed, 2 not available here" """
    levels = Counter(finding.level for finding in found)
    return f"{levels[PASS]} passed, {levels[WARN]} warned, {levels[FAIL]} failed, {levels[UNKNOWN]} not available here"


def as_json(found: Sequence[Finding]) -> str:
    """One document: `findings`, each {name, level, text, do}, and how many there are of each level."""
    levels = Counter(finding.level for finding in found)
    return json.dumps(
        {
            "schema_version": SCHEMA_VERSION,
            "findings": [finding.as_dict() for finding in found],
            "counts": {level: levels[level] for level in _MARKS},
        },
        indent=2,
        ensure_ascii=False,
    )
