"""A Summary on a terminal, or in a log: what ran, whether to believe it, how it went and where it broke.

It is the text of summary.md, in the same words and the same order, laid out for a screen; what summary.md folds away
as evidence (CloudWatch period by period, what ran) is left to the file.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TextIO

from rich import box
from rich.console import Console, JustifyMethod
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from sm_locust.analysis.rules import Judgement
from sm_locust.analysis.summary import Summary
from sm_locust.analysis.verdict import Reason
from sm_locust.record.billing import Billing
from sm_locust.report import formats, recommendation, tables, wording
from sm_locust.report.fit import fit, heading

LOG_WIDTH = 110  # columns where there is no terminal to ask
_TITLE = 10  # columns of the word before a group of facts

_GOOD, _BAD, DIM, WARN = "bold green", "bold red", "dim", "yellow"


def show(summary: Summary, folder: Path, stream: TextIO) -> None:
    """Prints it: in colour and to the terminal's width, or plain where the stream is not one.

    folder  the run folder as the reader would call it
    """
    console = console_for(stream, LOG_WIDTH)
    whole = summary.minutes.whole

    console.print()
    console.print(Text(wording.headline(summary), style="bold"))
    console.print(Text(f"{wording.way(summary)}; {wording.ended(summary)}", style=DIM))
    if summary.stopped is not None:
        console.print(Text(wording.stopped(summary), style=WARN))
    if summary.speed != 1:
        console.print(Text(wording.speed(summary), style=WARN))

    console.print()
    console.print(state(wording.validity(summary.verdict), summary.verdict.valid))
    _reasons(console, summary.verdict.reasons)
    console.print(state(wording.slo_title(summary), good(summary)))
    for found in summary.slo.judgements:
        console.print(_rule(found))
    if summary.limits and not summary.searched:  # else it is the headline
        console.print()
        _pairs(console, "capacity", [("", wording.capacity(summary))])

    console.print()
    _pairs(console, "arrivals", wording.arrivals(whole))
    _pairs(console, "requests", wording.requests(whole))
    for kind, what, said, _ in tables.failures(summary).rows:
        line = Text.assemble(
            (kind, WARN), f": {what}", (f" (the first said: {said})" if said != formats.UNKNOWN else "", DIM)
        )
        console.print(Padding(line, (0, 0, 0, 11), expand=False))
    _pairs(console, "CloudWatch", wording.cloudwatch(summary))
    for gap in wording.gaps(summary.watched):
        console.print(Padding(Text(gap, style=WARN), (0, 0, 0, 11), expand=False))
    _pairs(console, "instances", wording.instances(summary))
    for lag in wording.lags(summary):
        console.print(Padding(Text(lag), (0, 0, 0, 11), expand=False))
    print_table(console, tables.distributions(whole))
    print_table(console, tables.phases(summary))
    print_table(console, tables.steps(summary))
    _reasons(console, wording.phase_reasons(summary))
    if len(whole.by_name) > 1:
        print_table(console, tables.names(whole))
    print_table(console, tables.minutes(summary))
    print_table(console, tables.workers(summary))
    _recommendation(console, summary)
    print_billing(console, summary.billing)
    print_end(console, {"": summary}, folder, "report.html, summary.md, summary.json, junit.xml")


def _recommendation(console: Console, summary: Summary) -> None:
    """What to set, why, and what would come of it; the section and the calls are never wrapped."""
    found = summary.recommendation
    if found is None:
        return
    console.print()
    console.print(Text.assemble((f"{recommendation.TITLE}: ", "bold"), recommendation.headline(found)))
    for sentence in recommendation.sentences(found):
        console.print(Padding(Text(sentence, style=DIM), (0, 0, 0, 2), expand=False))
    print_table(console, recommendation.table(found))
    for block in (recommendation.yaml(found), *recommendation.calls(found)):
        if block:
            console.print()
            console.print(Text(block), soft_wrap=True)


def console_for(stream: TextIO, width: int) -> Console:
    """Colours and the terminal's width, or neither and COLUMNS columns where the stream is no terminal.

    width  of what is no terminal, without COLUMNS
    """
    console = Console(file=stream, highlight=False, emoji=False, markup=False)
    if console.is_terminal:
        return console
    asked = os.environ.get("COLUMNS", "")
    return Console(
        file=stream,
        highlight=False,
        emoji=False,
        markup=False,
        width=int(asked) if asked.isdecimal() and int(asked) else width,
        color_system=None,
        legacy_windows=False,
    )


def print_billing(console: Console, found: Billing | None) -> None:
    """What still costs money. Commands are never wrapped."""
    lines = wording.billing(found)
    if not lines:
        return
    console.print()
    if len(lines) == 1 and not lines[0][1]:
        console.print(Text.assemble(("Still billing: ", "bold"), lines[0][0]))
        return
    console.print(Text("Still billing:", style="bold"))
    for what, command in lines:
        console.print(Padding(Text(what), (0, 0, 0, 2), expand=False))
        if command:
            console.print(Text(f"    {command}", style=DIM), soft_wrap=True)


def print_end(console: Console, summaries: Mapping[str, Summary], folder: Path, files: str) -> None:
    """The last lines, those that are seen: whether to believe it, how the SLO was kept, where all of it is.

    summaries  by what stands before each
    """
    console.print()
    for name, found in summaries.items():
        valid, slo = wording.validity(found.verdict), wording.slo_title(found)
        console.print(Text.assemble(name, state(valid, found.verdict.valid), ", ", state(slo, good(found))))
    # Never wrapped: it is there to be copied.
    console.print(Text(f"{folder}/  ({files})"), soft_wrap=True)


def verdict(summary: Summary) -> str:
    """The run in one line, for a log."""
    return f"run {summary.run_id}: {wording.validity(summary.verdict)}, {wording.slo_title(summary)}"


def good(summary: Summary) -> bool | None:
    """Of the SLO; of its answer, where a run searched for capacity."""
    if summary.searched:
        return True if summary.capacity.known else None
    return summary.slo.passed


def state(text: str, good: bool | None) -> Text:
    return Text(text, style=WARN if good is None else _GOOD if good else _BAD)


def _reasons(console: Console, reasons: Iterable[Reason]) -> None:
    for reason in reasons:
        line = Text(formats.printable(reason.text), style="red" if reason.invalidates else WARN)
        console.print(Padding(line, (0, 0, 0, 2), expand=False))


def _rule(found: Judgement) -> Padding:
    where, metric, limit, value, result = wording.judgement(found)
    style = {True: "green", False: "red", None: WARN}[found.passed]
    line = Text.assemble((f"{result:9} ", style), f"{metric} {value} ({limit})", (f"  {where}", DIM))
    return Padding(line, (0, 0, 0, 2), expand=False)


def _pairs(console: Console, title: str, pairs: list[tuple[str, str]]) -> None:
    """Side by side, as many as there is room for: a line ends between two of them."""
    if not pairs:
        return
    lines, room = [Text()], console.width - _TITLE - 1
    for label, value in pairs:
        pair = Text.assemble((f"{label} " if label else "", DIM), value)
        if lines[-1] and lines[-1].cell_len + 3 + pair.cell_len > room:
            lines.append(pair)
        else:
            lines[-1] = Text("   ").join((lines[-1], pair)) if lines[-1] else pair
    grid = RichTable.grid(padding=(0, 1, 0, 0))
    grid.add_column(width=_TITLE)
    grid.add_column()
    grid.add_row(Text(title, style="bold"), Text("\n").join(lines))
    console.print(grid)


def print_table(console: Console, table: formats.Table) -> None:
    """No word and no number is broken: where there is no room, columns are left out, and it is said which."""
    if not table.rows:
        return
    columns, gap = fit(table, console.width)
    rich = RichTable(
        box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style=DIM, padding=(0, 1, 0, 1 if gap == 3 else 0)
    )
    for i, width in columns.items():
        justify: JustifyMethod = "left" if i < table.words else "right"
        rich.add_column(heading(table, i), overflow="fold", width=width, justify=justify)
    for row in table.rows:
        rich.add_row(*(Text(row[i]) for i in columns))
    console.print()
    console.print(rich)
    left_out = [name for i, name in enumerate(table.header) if i not in columns]
    note = " ".join(filter(None, (table.note, f"No room for: {', '.join(left_out)}." if left_out else "")))
    if note:
        console.print(Text(note, style=DIM))
