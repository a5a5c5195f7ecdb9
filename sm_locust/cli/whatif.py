"""`sm-locust whatif`."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import click

from sm_locust.cli.ending import refuse
from sm_locust.cli.options import environment_option, read, speed_option
from sm_locust.config import ConfigError
from sm_locust.fields import parse_duration
from sm_locust.record.run import Run, RunError

MOST_INSTANCES = 10_000  # as in the configuration
LONGEST_PROVISION = 7200.0  # seconds


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--target", type=float, help="Invocations a minute for one instance. [default: of the run's scaling]")
@click.option(
    "--min",
    "fewest",
    type=click.IntRange(1, MOST_INSTANCES),
    help="Instances it starts with. [default: of the run's scaling]",
)
@click.option(
    "--max", "most", type=click.IntRange(1, MOST_INSTANCES), help="Instances. [default: of the run's scaling]"
)
@click.option(
    "--provision",
    metavar="TIME",
    help="From wanted to in service, such as 240s. [default: as the run measured it, or else 240s]",
)
@click.option("--config", type=click.Path(path_type=Path), help="Another load: its phases, and its scaling.")
@environment_option
@speed_option("Replay N times faster; 1 is reality. [default: the run's]", default=None)
@click.option(
    "--instances",
    default=1,
    show_default=True,
    type=click.IntRange(1, MOST_INSTANCES),
    help="That served in the run, where nobody watched them.",
)
@click.option("--html", type=click.Path(path_type=Path), help="Write a page with pictures, too.")
@click.option("--json", "as_json", is_flag=True, help="The answer as JSON, every minute of it.")
def whatif(
    run: Path,
    target: float | None,
    fewest: int | None,
    most: int | None,
    provision: str | None,
    config: Path | None,
    environment: str | None,
    speed: int | None,
    instances: int,
    html: Path | None,
    as_json: bool,
) -> None:
    """Predicts what scaling would do with a load, from the latencies that RUN measured.

    The load that RUN had planned, or recorded, is replayed against target tracking and the latency of one instance:
    instances, latency, errors and cost of each minute, and the same over a range of targets. Sends nothing.
    """
    from sm_locust.analysis.summary import Summary
    from sm_locust.analysis.whatif import Asked, WhatIf
    from sm_locust.report import whatif as report

    try:
        asked = Asked(
            target=_target(target),
            min_instances=fewest,
            max_instances=most,
            provision_s=_provision(provision),
            speed=speed,
            instances=instances,
        )
        if config is None and environment is not None:
            raise ConfigError(f"--environment {environment}: is not accepted without --config: it is one of a script's")
        other = None if config is None else read(config, environment=environment)
        found = WhatIf.of(Summary.of(Run.open(run)), asked, other)
        if html is not None:
            html.write_text(report.render(found), encoding="utf-8")
    except (ConfigError, RunError) as e:
        refuse(e)
    except OSError as e:
        refuse(f"{html}: the page cannot be written: {e.strerror}")
    if as_json:
        click.echo(json.dumps(found.as_dict(), indent=2, allow_nan=False))
    else:
        report.show(found, sys.stdout)


def _target(given: float | None) -> float | None:
    if given is None or (math.isfinite(given) and given > 0):
        return given
    raise ConfigError(f"--target {given!r} is not accepted: invocations a minute for one instance, more than 0")


def _provision(given: str | None) -> float | None:
    if given is None:
        return None
    try:
        seconds = parse_duration(given)
    except ValueError:
        seconds = math.inf
    if seconds > LONGEST_PROVISION:
        raise ConfigError(f"--provision {given!r} is not accepted: a time up to 2h, such as 240s or 4m")
    return seconds
