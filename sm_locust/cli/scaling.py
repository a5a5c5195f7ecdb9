"""`sm-locust scaling`: what scales the endpoint, what a configuration would change, changing it, putting it back."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import click

from sm_locust.cli import billing
from sm_locust.cli.ending import INTERRUPTED, refuse

DIFFERS = 1  # there is something to do, and nobody has said --yes

F = TypeVar("F", bound=Callable[..., None])


@click.group()
def scaling() -> None:
    """Shows, sets up and takes away automatic scaling, and puts back what there was."""


def _about_config(command: F) -> F:
    """CONFIG, and what says otherwise than its target."""
    for decorate in (
        click.option("--url", metavar="URL", help="Where InvokeEndpoint goes instead of AWS (target.url)."),
        click.option("--region", metavar="NAME", help="Instead of target.region."),
        click.option("--endpoint", metavar="NAME", help="Instead of target.endpoint."),
        click.argument("config", type=click.Path(path_type=Path)),
    ):
        command = decorate(command)
    return command


_run_dir = click.option(
    "--run-dir", default="runs", show_default=True, type=click.Path(path_type=Path), help="Where records are kept."
)


@scaling.command()
@_about_config
def show(config: Path, endpoint: str | None, region: str | None, url: str | None) -> None:
    """Shows what scales the endpoint of CONFIG now, and what its `scaling` section would change."""
    from sm_locust import custody
    from sm_locust.report import scaling as report

    with _refusals():
        seen = custody.look(config, endpoint, region, url)
    report.show(seen.state.resource_id, seen.rows, sys.stdout)


@scaling.command()
@_about_config
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

    with _refusals():
        seen = custody.look(config, endpoint, region, url)
        custody.may_apply(seen, run_dir, replace=replace)
        report.show(seen.state.resource_id, seen.rows, sys.stdout)
        if not seen.differs:
            click.echo("Nothing to do: scaling is as the configuration has it.")
            return
        if not yes:
            click.echo("Nothing was changed. Give --yes to do it.")
            sys.exit(DIFFERS)
        record, done = custody.apply(seen, run_dir)
    _say(done)
    click.echo(f"What there was is in {record.path}. To put it back: sm-locust scaling restore {record.folder}")


@scaling.command()
@_about_config
@click.option("--yes", is_flag=True, help="Do it; otherwise what would go is only named.")
@_run_dir
def remove(config: Path, endpoint: str | None, region: str | None, url: str | None, yes: bool, run_dir: Path) -> None:
    """Takes away what is ours: policies named sm-locust-…, and the registration where we made it and nobody needs it.

    Without --yes nothing is changed: exit code 1 when something would be, 0 when there is nothing to do.
    """
    from sm_locust import custody

    with _refusals():
        seen = custody.look(config, endpoint, region, url)
        ours = custody.removable(seen, run_dir)
        if not ours:
            click.echo(f"Nothing to do: nothing of {seen.state.resource_id} is ours.")
            return
        if not yes:
            _say([f"Would go: {sentence}" for sentence in ours])
            _say(custody.replaced(seen, run_dir))
            click.echo("Nothing was changed. Give --yes to do it.")
            sys.exit(DIFFERS)
        done = [*custody.remove(seen, run_dir), *custody.replaced(seen, run_dir)]
    _say(done)
    billing.show(seen.config, sys.stdout)


@scaling.command()
@click.argument("run", type=click.Path(path_type=Path))
def restore(run: Path) -> None:
    """Puts scaling back as the record in RUN has it: the folder of an experiment, or the one that `apply` made.

    It needs no configuration, works after the process that changed scaling was killed, and can be done again.
    """
    from sm_locust import custody
    from sm_locust.interrupts import Interrupts
    from sm_locust.record.prior import Prior

    with _refusals():
        record = Prior.open(run)
        if record.restored_at is not None:
            click.echo(f"Scaling of {record.resource_id} was put back at {record.restored_at}: nothing was done.")
            return
        custody.refuse_out_of_order(record)
        record.claim()
        try:
            with Interrupts(), custody.progress() as told:
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
