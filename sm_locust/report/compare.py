"""The files and the terminal text of a comparison: compare.md, compare.json, compare.html.

Two runs are a BEFORE and an AFTER; two that differ in their instances are configurations too, and more than two are
nothing else. Written from the same folders, and for configurations with the same prices, they are the same bytes. What
is compared the analysis computes; this file and the renderers beside it lay it out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.text import Text

from sm_locust.analysis.by_rate import ByRate
from sm_locust.analysis.compare import SCHEMA_VERSION, Comparison
from sm_locust.analysis.differences import differences
from sm_locust.analysis.fail_if import FailIf, Judged
from sm_locust.analysis.several import Several, of_pair
from sm_locust.analysis.summary import Summary
from sm_locust.record.disk import write_whole
from sm_locust.record.run import Run, RunError
from sm_locust.report import compare_page, markdown, pair, several
from sm_locust.report.markdown import items, titled
from sm_locust.report.text import DIM, WARN, console_for, print_end, print_table

MARKDOWN, JSON, PAGE = "compare.md", "compare.json", "compare.html"
FILES = f"{PAGE}, {MARKDOWN}, {JSON}"

LOG_WIDTH = 100  # columns where there is no terminal to ask
_STATES = {"held": "green", "broken": "bold red", "cannot be told": WARN}

MINUTES_SHOWN = 14  # on a terminal, below a table of the totals


def write(before: Run, after: Run, folder: Path, load: float | None = None, rules: Sequence[FailIf] = ()) -> Comparison:
    """Writes compare.md, compare.json and compare.html into a folder, which is made if it is not there.

    load   arrivals a second that the two, as configurations, are to serve; None where nobody asks
    rules  what AFTER may not be

    Raises RunError when a run cannot be read or a file cannot be written.
    """
    comparison = Comparison.of(before, after)
    found = of_pair(comparison, load)
    judged = [rule.judge(comparison) for rule in rules]
    told = {
        **comparison.as_dict(),
        "differences": [each.as_dict() for each in differences(comparison)],
        "by_rate": ByRate.of([side.summary.minutes for side in comparison.sides]).as_dict(("before", "after")),
        "rules": [each.as_dict() for each in judged],
        **(found.as_dict() if found is not None else {}),
    }
    _put(folder, render(comparison, found, judged), told, compare_page.render(comparison, found, judged))
    return comparison


def write_several(runs: Sequence[Run], folder: Path, load: float | None = None) -> Several:
    """The same three files for any number of configurations.

    load  arrivals a second that they are to serve; None for the busiest that was planned

    Raises RunError when a run cannot be read or is given twice, or a file cannot be written.
    """
    summaries = [Summary.of(run) for run in runs]
    found = Several.of(summaries, load)
    rates = ByRate.of([summary.minutes for summary in summaries])
    by_rate = rates.as_dict([one.run_id for one in found.configurations])
    told = {"schema_version": SCHEMA_VERSION, **found.as_dict(), "by_rate": by_rate}
    _put(folder, render_several(found), told, compare_page.render_several(found, summaries))
    return found


def _put(folder: Path, text: str, told: Mapping[str, Any], page: str) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        written = json.dumps(told, indent=2, allow_nan=False) + "\n"
        for name, content in ((MARKDOWN, text), (JSON, written), (PAGE, page)):
            write_whole(folder / name, content)
    except OSError as e:
        raise RunError(f"{folder}: the comparison cannot be written: {e.strerror}") from e


def render_several(found: Several) -> str:
    """Configurations as Markdown."""
    parts = [
        "# Configurations",
        items(several.headline(found)),
        *(f"> {markdown.text(banner)}" for banner in several.banners(found)),
        *_tables(found),
        titled("Which run is which", several.facts(found)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _tables(found: Several) -> list[str]:
    return [
        items(several.doubts(found)),
        titled(several.sustained(found), several.capacities(found)),
        titled("What it costs", several.costs(found)),
    ]


def render(comparison: Comparison, configurations: Several | None = None, judged: Sequence[Judged] = ()) -> str:
    """The comparison as Markdown.

    configurations  the two, where they are configurations: their tables stand below the totals
    judged          what became of the rules of --fail-if
    """
    found = configurations
    parts = [
        "# BEFORE and AFTER",
        items(pair.headline(comparison)),
        markdown.text(pair.way(comparison)),
        *(f"> {markdown.text(banner)}" for banner in pair.banners(comparison)),
        items(pair.doubts(comparison)),
        *([f"## {pair.rules_title(judged)}", items(said for _, said in pair.rules(judged))] if judged else []),
        titled("Differences", pair.differences(comparison, differences(comparison))),
        titled("What was changed", pair.changes(comparison)),
        titled("Side by side", pair.totals(comparison)),
        *(["## Configurations", items(several.headline(found)), *_tables(found)] if found is not None else []),
        titled("Minutes", pair.minutes(comparison)),
        titled("What became of the instances", pair.events(comparison)),
    ]
    if restored := pair.restored(comparison):
        parts.append(f"## What was put back\n\n{items(restored)}")
    parts.append(titled("What ran", pair.facts(comparison)))
    return "\n\n".join(part for part in parts if part) + "\n"


def show(
    comparison: Comparison, folder: Path, stream: TextIO, load: float | None = None, judged: Sequence[Judged] = ()
) -> None:
    """Prints it: in colour and to the terminal's width, or plain where the stream is not one.

    folder  where the files are, as the reader would call it
    load    as `write` has it
    judged  what became of the rules of --fail-if, which explain the exit code
    """
    console = console_for(stream, LOG_WIDTH)
    console.print()
    for sentence in pair.headline(comparison):
        console.print(Text(sentence, style="bold"))
    console.print(Text(pair.way(comparison), style=DIM))
    for warning in (*pair.banners(comparison), *pair.doubts(comparison)):
        console.print(Text(warning, style=WARN))
    for each in (
        pair.totals(comparison),
        pair.differences(comparison, differences(comparison)),
        pair.minutes(comparison, MINUTES_SHOWN),
        pair.changes(comparison),
    ):
        print_table(console, each)
    if restored := pair.restored(comparison):
        console.print()
        console.print(Text("What was put back:", style=DIM))
    for sentence in restored:
        console.print(Text(f"  {sentence}", style=DIM))
    if (found := of_pair(comparison, load)) is not None:
        console.print()
        _show_configurations(console, found)
    if judged:
        console.print()
    for state, sentence in pair.rules(judged):
        console.print(Text(sentence, style=_STATES[state]))
    summaries = {f"{name}: ": side.summary for name, side in zip(pair.SIDES, comparison.sides, strict=True)}
    print_end(console, summaries, folder, FILES)


def show_several(found: Several, folder: Path, stream: TextIO) -> None:
    """Prints configurations, in the same way."""
    console = console_for(stream, LOG_WIDTH)
    console.print()
    _show_configurations(console, found)
    print_table(console, several.facts(found))
    print_end(console, {}, folder, FILES)


def _show_configurations(console: Console, found: Several) -> None:
    for sentence in several.headline(found):
        console.print(Text(sentence, style="bold"))
    for warning in (*several.banners(found), *several.doubts(found)):
        console.print(Text(warning, style=WARN))
    for each in (several.capacities(found), several.costs(found)):
        print_table(console, each)
