"""The files and the terminal text of a comparison: compare.md, compare.json, compare.html.

Written from the same two folders they are the same bytes. The Comparison is computed once; this file and the renderers
beside it lay it out.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TextIO

from rich.text import Text

from sm_locust.analysis.compare import Comparison
from sm_locust.record.run import Run, RunError
from sm_locust.report import compare_page, markdown, pair
from sm_locust.report.markdown import items, table, titled
from sm_locust.report.text import DIM, WARN, console_for, print_table

MARKDOWN, JSON, PAGE = "compare.md", "compare.json", "compare.html"

LOG_WIDTH = 100  # columns where there is no terminal to ask
MINUTES_SHOWN = 14  # on a terminal, below a table of the totals


def write(before: Run, after: Run, folder: Path) -> Comparison:
    """Writes compare.md, compare.json and compare.html into a folder, which is made if it is not there.

    Raises RunError when a run cannot be read or a file cannot be written.
    """
    comparison = Comparison.of(before, after)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in (
            (MARKDOWN, render(comparison)),
            (JSON, json.dumps(comparison.as_dict(), indent=2, allow_nan=False) + "\n"),
            (PAGE, compare_page.render(comparison)),
        ):
            beside = folder / f"{name}.part"
            beside.write_text(text, encoding="utf-8")
            beside.replace(folder / name)
    except OSError as e:
        raise RunError(f"{folder}: the comparison cannot be written: {e.strerror}") from e
    return comparison


def render(comparison: Comparison) -> str:
    """The comparison as Markdown."""
    parts = [
        "# BEFORE and AFTER",
        items(pair.headline(comparison)),
        markdown.text(pair.way(comparison)),
        *(f"> {markdown.text(banner)}" for banner in pair.banners(comparison)),
        items(pair.doubts(comparison)),
        table(pair.totals(comparison)),
        titled("Minutes", pair.minutes(comparison)),
        titled("What was changed", pair.changes(comparison)),
        titled("What became of the instances", pair.events(comparison)),
    ]
    if comparison.restored:
        parts.append(f"## What was put back\n\n{items(pair.restored(comparison))}")
    parts.append(titled("What ran", pair.facts(comparison)))
    return "\n\n".join(part for part in parts if part) + "\n"


def show(comparison: Comparison, folder: Path, stream: TextIO) -> None:
    """Prints it: in colour and to the terminal's width, or plain where the stream is not one.

    folder  where the files are, as the reader would call it
    """
    console = console_for(stream, LOG_WIDTH)
    console.print()
    for sentence in pair.headline(comparison):
        console.print(Text(sentence, style="bold"))
    console.print(Text(pair.way(comparison), style=DIM))
    for warning in (*pair.banners(comparison), *pair.doubts(comparison)):
        console.print(Text(warning, style=WARN))
    for found in (pair.totals(comparison), pair.minutes(comparison, MINUTES_SHOWN), pair.changes(comparison)):
        print_table(console, found)
    for sentence in pair.restored(comparison):
        console.print(Text(sentence, style=DIM))
    console.print()
    # Never wrapped: it is there to be copied.
    console.print(Text(f"{folder}/  ({PAGE}, {MARKDOWN}, {JSON})"), soft_wrap=True)
