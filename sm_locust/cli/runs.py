"""`sm-locust compare` and `sm-locust summarize`: what is done with run folders."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from sm_locust.cli.ending import refuse
from sm_locust.record.run import Run, RunError


@click.command()
@click.argument("before", type=click.Path(path_type=Path))
@click.argument("after", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Where to write compare.md, .json and .html. [default: AFTER's parent]",
)
def compare(before: Path, after: Path, out: Path | None) -> None:
    """Compares two run folders, minute by minute, and writes compare.md, compare.json and compare.html."""
    from sm_locust.report import compare as report

    folder = out or after.parent
    try:
        found = report.write(Run.open(before), Run.open(after), folder)
    except (RunError, OSError) as e:
        refuse(e)
    report.show(found, folder, sys.stdout)


@click.command()
@click.argument("run", type=click.Path())
def summarize(run: str) -> None:
    """Makes summary, timeline and report of a run folder again, from its ledger.

    What CloudWatch had not said of the run by its end is asked for now; without network or credentials that is a
    sentence, and the rest is made all the same.
    """
    from sm_locust import completion
    from sm_locust.report import folder, text

    try:
        opened = Run.open(run)
        for sentence in completion.complete(opened):
            click.echo(f"sm-locust: {sentence}", err=True)
        summary = folder.write(opened)
    except (RunError, OSError) as e:
        refuse(e)
    text.show(summary, Path(run), sys.stdout)
    sys.exit(summary.exit_code)
