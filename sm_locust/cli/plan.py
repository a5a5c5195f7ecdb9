"""`sm-locust plan`."""

from __future__ import annotations

import datetime
import json
import sys
from pathlib import Path

import click

from sm_locust import payloads, tables
from sm_locust.analysis.plan import Plan
from sm_locust.cli.ending import refuse
from sm_locust.cli.options import environment_option, read, speed_option, target_options
from sm_locust.config import ConfigError
from sm_locust.prices import Prices


@click.command()
@click.argument("config", type=click.Path(path_type=Path))
@speed_option("Play the load N times faster, as Locust's --sm-speed does.")
@target_options
@environment_option
@click.option("--json", "as_json", is_flag=True, help="The plan as JSON.")
def plan(
    config: Path,
    speed: int,
    endpoint: str | None,
    region: str | None,
    url: str | None,
    environment: str | None,
    as_json: bool,
) -> None:
    """Shows what CONFIG will send, how much of it and what it will cost. Sends nothing, and asks nobody.

    Prices come from the configuration's `prices` or from what `sm-locust check` has learned. Exits with 2 where `guard`
    refuses the load.
    """
    from sm_locust.report.plan import show

    try:
        told = read(config, environment=environment, endpoint=endpoint, region=region, url=url)
        bodies = payloads.load(told.request, config.parent)
        tables.load(told.feeds, config.parent)  # which a run would refuse
        found = Plan.of(told, bodies, Prices.of(told), today=datetime.date.today(), speed=speed)
    except ConfigError as e:
        refuse(e)
    if as_json:
        click.echo(json.dumps(found.as_dict(), indent=2))
    else:
        show(found, sys.stdout)
    if found.refusals:
        refuse("; ".join(found.refusals))
