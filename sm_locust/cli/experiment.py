"""`sm-locust experiment`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from sm_locust.cli import billing
from sm_locust.cli.ending import INTERRUPTED, refuse
from sm_locust.cli.options import run_dir_option, speed_option, target_options
from sm_locust.config import ConfigError
from sm_locust.record.run import RunError


@click.command()
@click.argument("config", type=click.Path(path_type=Path), required=False)
@run_dir_option("Where to make the experiment's folder.")
@speed_option("Play the load N times faster; other than 1 only against this machine.")
@target_options
@click.option("--replace", is_flag=True, help="Take scaling policies that are not ours away for AFTER; they come back.")
@click.option(
    "--resume",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Go on with the interrupted experiment in FOLDER, with what its record holds. No CONFIG, no other options.",
)
@click.argument("locust", nargs=-1, type=click.UNPROCESSED)
def experiment(
    config: Path | None,
    run_dir: Path,
    speed: int,
    endpoint: str | None,
    region: str | None,
    url: str | None,
    replace: bool,
    resume: Path | None,
    locust: tuple[str, ...],
) -> None:
    """Plays CONFIG's load BEFORE and AFTER its automatic scaling, puts scaling back as it was, and compares.

    What stands after `--` is given to both Locust processes: `-- --processes 4`.
    """
    from sm_locust import experiment as conductor
    from sm_locust.aws.session import AwsFault
    from sm_locust.experiment import Experiment, ExperimentError, exit_code, new_folder, play
    from sm_locust.record.prior import PriorError
    from sm_locust.report import compare

    given = [config, endpoint, region, url, replace, *locust]
    if resume is not None and (any(given) or (run_dir, speed) != (Path("runs"), 1)):
        refuse("--resume takes neither CONFIG nor other options: what is played is in the folder's record")
    if resume is None and config is None:
        refuse("CONFIG: missing; required: a YAML file, or --resume FOLDER")
    folder = resume or new_folder(run_dir)
    try:
        try:
            if config is None:
                found = conductor.resume(folder)
            else:
                found = play(Experiment(config, folder, speed, endpoint, region, url, replace, locust))
        finally:  # also of one that failed; what became of it is said last
            billing.show_for(folder, sys.stdout)
    except (ExperimentError, ConfigError, AwsFault, PriorError, RunError, OSError) as e:
        refuse(e)
    except KeyboardInterrupt:
        click.echo(
            f"\nInterrupted; what was played is in {folder}. To go on: sm-locust experiment --resume {folder}", err=True
        )
        sys.exit(INTERRUPTED)
    compare.show(found, folder, sys.stdout)
    sys.exit(exit_code(found))
