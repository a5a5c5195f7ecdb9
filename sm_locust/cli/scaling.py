"""`sm-locust scaling`: what scales the endpoint, what a configuration would change, changing it, putting it back."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from sm_locust.cli import billing
from sm_locust.cli.ending import INTERRUPTED, refuse
from sm_locust.cli.options import read, run_dir_option, target_options

DIFFERS = 1  # there is something to do, and nobody has said --yes


@click.group()
def scaling() -> None:
    """Shows, sets up and takes away automatic scaling, and puts back what there was."""


_config = click.argument("config", type=click.Path(path_type=Path))
_run_dir = run_dir_option("Where records are kept.")


@scaling.command()
@_config
@target_options
def show(config: Path, endpoint: str | None, region: str | None, url: str | None) -> None:
    """Shows what scales the endpoint of CONFIG now, and what its `scaling` section would change."""
    from sm_locust import custody
    from sm_locust.report import scaling as report

    with _refusals():
        found = custody.look(read(config, endpoint=endpoint, region=region, url=url))
    report.show(found.state.resource_id, found.rows, sys.stdout)


@scaling.command()
@_config
@target_options
@click.option("--yes", is_flag=True, help="Do it; otherwise it is only shown.")
@click.option("--replace", is_flag=True, help="Take policies that are not ours away, and suspend scheduled actions.")
@_run_dir
def apply(
    config: Path, endpoint: str | None, region: str | None, url: str | None, yes: bool, replace: bool, run_dir: Path
) -> None:
    """Sets up the `scaling` section of CONFIG. What there was is recorded first: `restore` puts it back.

    Without --yes nothing is changed: exit code 1 when something would be, 0 when there is nothing to do.
    """
    from sm_locust import custody
    from sm_locust.report import scaling as report
    from sm_locust.report.under_way import say

    with _refusals():
        found = custody.look(read(config, endpoint=endpoint, region=region, url=url))
        custody.may_apply(found, run_dir, replace=replace)
        report.show(found.state.resource_id, found.rows, sys.stdout)
        if not found.differs:
            click.echo("Nothing to do: scaling is as the configuration has it.")
            return
        if not yes:
            click.echo("Nothing was changed. Give --yes to do it.")
            sys.exit(DIFFERS)
        record, done = custody.apply(found, run_dir, say)
    _say(done)
    click.echo(f"What there was is in {record.path}. To put it back: sm-locust scaling restore {record.folder}")


@scaling.command()
@_config
@target_options
@click.option("--yes", is_flag=True, help="Do it; otherwise what would go is only named.")
@_run_dir
def remove(config: Path, endpoint: str | None, region: str | None, url: str | None, yes: bool, run_dir: Path) -> None:
    """Takes away what is ours: policies named sm-locust-…, and the registration where we made it and nobody needs it.

    Without --yes nothing is changed: exit code 1 when something would be, 0 when there is nothing to do.
    """
    from sm_locust import custody

    with _refusals():
        found = custody.look(read(config, endpoint=endpoint, region=region, url=url))
        ours = custody.removable(found, run_dir)
        if not ours:
            click.echo(f"Nothing to do: nothing of {found.state.resource_id} is ours.")
            return
        if not yes:
            _say([f"Would go: {sentence}" for sentence in ours])
            _say(custody.replaced(found, run_dir))
            click.echo("Nothing was changed. Give --yes to do it.")
            sys.exit(DIFFERS)
        done = [*custody.remove(found, run_dir), *custody.replaced(found, run_dir)]
    _say(done)
    billing.show(found.config, sys.stdout)


@scaling.command()
@click.argument("run", type=click.Path(path_type=Path))
def restore(run: Path) -> None:
    """Puts scaling back as the record in RUN has it: the folder of an experiment, or the one that `apply` made.

    It needs no configuration, works after the process that changed scaling was killed, and can be done again.
    """
    from sm_locust import custody
    from sm_locust.interrupts import Interrupts
    from sm_locust.record.prior import Prior
    from sm_locust.report.under_way import progress

    with _refusals():
        record = Prior.open(run)
        if record.restored_at is not None:
            click.echo(f"Scaling of {record.resource_id} was put back at {record.restored_at}: nothing was done.")
            return
        custody.refuse_out_of_order(record)
        record.claim()
        try:
            with Interrupts(), progress() as told:
                done, not_restored = custody.give_back(record, told)
        finally:
            record.release()
    if not_restored:
        refuse(f"{not_restored}; the record is {record.path}")
    _say(done or [f"Scaling of {record.resource_id} is as it was: nothing had to be put back."])


def _say(sentences: list[str]) -> None:
    for sentence in sentences:
        click.echo(sentence)


@contextmanager
def _refusals() -> Iterator[None]:
    from sm_locust.aws.session import AwsFault
    from sm_locust.config import ConfigError
    from sm_locust.record.prior import PriorError

    try:
        yield
    except (ConfigError, AwsFault, PriorError, OSError) as e:
        refuse(e)
    except KeyboardInterrupt:
        click.echo("\nInterrupted.", err=True)
        sys.exit(INTERRUPTED)
