"""`sm-locust compare` and `sm-locust summarize`: what is done with run folders."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from sm_locust.cli.ending import refuse
from sm_locust.record.run import Run, RunError

MOST_RPS = 1e6  # more than any endpoint has seen, and still a number of instances that can be read


@click.command()
@click.argument("before", type=click.Path(path_type=Path))
@click.argument("after", type=click.Path(path_type=Path))
@click.argument("more", metavar="[RUN]...", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Where to write compare.md, .json and .html. [default: the last run's parent]",
)
@click.option(
    "--rps",
    type=float,
    metavar="N",
    help="Requests a second that the cheapest is looked for. [default: the busiest planned minute of the runs]",
)
@click.option(
    "--fail-if",
    "fail_if",
    multiple=True,
    metavar="RULE",
    help="Exit with 1 if the rule is broken or cannot be told, such as 'latency_p99 > +10%' of AFTER against BEFORE, "
    "'error_rate > 5%' or 'capacity < -5%'; may be given again.",
)
def compare(
    before: Path,
    after: Path,
    more: tuple[Path, ...],
    out: Path | None,
    rps: float | None,
    fail_if: tuple[str, ...],
) -> None:
    """Compares run folders, and writes compare.md, compare.json and compare.html.

    Two runs are compared minute by minute, as BEFORE and AFTER. Three or more are configurations, such as several
    instance types: what each sustains, what that costs, and the cheapest that meets the SLO. So are two, besides, whose
    instance type or number of instances differs and whose scaling does not, or with --rps.

    With --fail-if the exit code is 1 unless every rule is held: METRIC > VALUE or METRIC < VALUE. METRIC is a
    latency_*, service_time_* or model_latency_* with p50, p90, p95, p99, p999, mean or max for *, error_rate,
    delivered_ratio or capacity. VALUE is +10% or -5% of BEFORE's, or with no sign of AFTER alone: 300ms, 5%, 400.
    """
    from sm_locust.analysis.fail_if import FailIf, RuleError, exit_code
    from sm_locust.report import compare as report

    try:
        rules = [FailIf.parse(text) for text in fail_if]
    except RuleError as e:
        refuse(f"--fail-if {e}")
    if rules and more:
        refuse(f"--fail-if: is not accepted with {2 + len(more)} runs: it is about a BEFORE and an AFTER")
    if rps is not None and not 0 < rps <= MOST_RPS:
        refuse(f"--rps {rps:g}: is not accepted: requests a second, more than 0 and at most {MOST_RPS:,.0f}")
    folder = out or (before, after, *more)[-1].parent
    try:
        first, second, *others = (Run.open(run) for run in (before, after, *more))
        if first.run_id == second.run_id:  # Several says it of more than two
            raise RunError(f"{after}: is the same run as {before}; accepted: each run once")
        if others:
            several = report.write_several([first, second, *others], folder, rps)
        else:
            pair = report.write(first, second, folder, rps, rules)
    except (RunError, OSError) as e:
        refuse(e)
    if others:
        report.show_several(several, folder, sys.stdout)
    else:
        judged = [rule.judge(pair) for rule in rules]
        report.show(pair, folder, sys.stdout, rps, judged)
        sys.exit(exit_code(judged))


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
