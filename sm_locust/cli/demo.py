"""`sm-locust demo`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from sm_locust.cli.ending import INTERRUPTED, refuse
from sm_locust.cli.options import run_dir_option
from sm_locust.config import ConfigError
from sm_locust.record.run import RunError


@click.command()
@run_dir_option("Where to make the folder demo/.")
@click.option("--real-time", is_flag=True, help="Minutes 30 to 50 of the ramp in real time: 45 minutes.")
def demo(run_dir: Path, real_time: bool) -> None:
    """Plays the experiment of the AWS blog against a local endpoint; no AWS account is needed."""
    from sm_locust.aws.session import AwsFault
    from sm_locust.demo import DemoError
    from sm_locust.demo import demo as play
    from sm_locust.experiment import ExperimentError
    from sm_locust.record.prior import PriorError

    try:
        sys.exit(play(run_dir, real_time=real_time))
    except (DemoError, ExperimentError, ConfigError, AwsFault, PriorError, RunError) as e:
        refuse(e)
    except KeyboardInterrupt:
        click.echo("\nInterrupted; nothing is left running.", err=True)
        sys.exit(INTERRUPTED)
