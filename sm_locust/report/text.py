"""A Summary on a terminal, or in a log: what ran, whether to believe it, how it went and where it broke."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from sm_locust.analysis.rules import Judgement
from sm_locust.analysis.summary import Summary
from sm_locust.report import wording

LOG_WIDTH = 110  # columns where there is no terminal to ask

_GOOD, _BAD, _DIM, _WARN = "bold green", "bold red", "dim", "yellow"


def show(summary: Summary, folder: Path, stream: TextIO) -> None:
    """Prints it: in colour and to the terminal's width, or plain where the stream is not one.

    folder  the run folder as the reader would call it
    """
    console = Console(file=stream, highlight=False, emoji=False, markup=False)
    if not console.is_terminal:
        console = Console(
            file=stream,
            highlight=False,
            emoji=False,
            markup=False,
            width=LOG_WIDTH,
            color_system=None,
            legacy_windows=False,
        )
    whole = summary.minutes.whole

    console.print()
    console.print(Text(wording.headline(summary), style="bold"))
    console.print(Text(f"{wording.way(summary)}; {wording.ended(summary)}", style=_DIM))
    if summary.speed != 1:
        console.print(Text(wording.speed(summary), style=_WARN))

    console.print()
    console.print(_state(wording.validity(summary.verdict), summary.verdict.valid))
    for reason in summary.verdict.reasons:
        line = Text(wording.printable(reason.text), style="red" if reason.invalidates else _WARN)
        console.print(Padding(line, (0, 0, 0, 2), expand=False))
    console.print(_state(wording.slo_title(summary), summary.slo.passed))
    for found in summary.slo.judgements:
        console.print(_rule(found))

    console.print()
    _pairs(console, "arrivals", wording.arrivals(whole))
    _pairs(console, "requests", wording.requests(whole))
    for said in wording.reasons_of_failures(summary):
        console.print(Padding(Text(said, style=_WARN), (0, 0, 0, 11), expand=False))
    for table in (wording.distributions(whole), wording.phases(summary), wording.minutes(summary)):
        _table(console, table)
    console.print()
    # Never wrapped: it is there to be copied.
    console.print(Text(f"{folder}/  (report.html, summary.md, summary.json, timeline.csv)"), soft_wrap=True)


def verdict(summary: Summary) -> str:
    """The run in one line, for a log."""
    return f"run {summary.run_id}: {wording.validity(summary.verdict)}, {wording.slo_title(summary)}"


def _state(text: str, good: bool | None) -> Text:
    return Text(text, style=_WARN if good is None else _GOOD if good else _BAD)


def _rule(found: Judgement) -> Padding:
    where, metric, limit, value, result = wording.judgement(found)
    style = {True: "green", False: "red", None: _WARN}[found.passed]
    line = Text.assemble((f"{result:9} ", style), f"{metric} {value} ({limit})", (f"  {where}", _DIM))
    return Padding(line, (0, 0, 0, 2), expand=False)


def _pairs(console: Console, title: str, pairs: list[tuple[str, str]]) -> None:
    line = Text(f"{title:10}", style="bold")
    for i, (label, value) in enumerate(pairs):
        line.append(("   " if i else "") + label + " ", style=_DIM)
        line.append(value, style="")
    console.print(line)


def _table(console: Console, table: wording.Table) -> None:
    if not table.rows:
        return
    rich = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style=_DIM)
    for i, name in enumerate(table.header):
        rich.add_column(name, justify="left" if i < table.words else "right", overflow="fold")
    for row in table.rows:
        rich.add_row(*(Text(cell) for cell in row))
    console.print()
    console.print(rich)
    if table.note:
        console.print(Text(table.note, style=_DIM))
