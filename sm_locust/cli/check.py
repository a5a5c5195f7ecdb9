"""`sm-locust check`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from sm_locust.aws.policy import ACCOUNT_ID, ENDPOINT_NAME, KINDS, REGION, Kind, Place
from sm_locust.aws.policy import policy as least
from sm_locust.cli.ending import INTERRUPTED, WRONG, refuse
from sm_locust.cli.options import environment_option, note, read, run_dir_option, speed_option, target_options
from sm_locust.cli.stack import NAME
from sm_locust.config import ConfigError, RunConfig
from sm_locust.finding import ALLOWABLE, FAIL


@click.command()
@click.argument("config", required=False, type=click.Path(path_type=Path))
@speed_option("As the run will have it; other than 1 only against this machine.")
@target_options
@environment_option
@run_dir_option("Where runs are kept.")
@click.option(
    "--allow",
    multiple=True,
    metavar="NAME",
    type=click.Choice(ALLOWABLE),
    help="Let a check of this name fail: it is a warning then. Can be given several times.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of lines.")
@click.option(
    "--policy",
    type=click.Choice(KINDS),
    help="Print the least IAM policy for that instead; without CONFIG, with placeholders.",
)
def check(
    config: Path | None,
    speed: int,
    endpoint: str | None,
    region: str | None,
    url: str | None,
    environment: str | None,
    run_dir: Path,
    allow: tuple[str, ...],
    as_json: bool,
    policy: Kind | None,
) -> None:
    """Asks what stands in the way of a run of CONFIG, and sends one request to try; changes nothing.

    Exit code 2 when anything fails.
    """
    if policy is not None:
        _print_policy(policy, config, endpoint, region, url, environment)
        return
    if config is None:
        raise click.UsageError("Missing argument 'CONFIG'.")
    from sm_locust.check import Check
    from sm_locust.report import check as report

    try:
        allowed, said = frozenset(allow), note(config)
        findings = Check(config, speed, endpoint, region, url, run_dir, allowed, environment, said).findings()
        if as_json:
            found = list(findings)
            click.echo(report.as_json(found))
        else:
            found = report.show(findings, sys.stdout)
    except ConfigError as e:
        refuse(e)
    except KeyboardInterrupt:
        click.echo("\nInterrupted.", err=True)
        sys.exit(INTERRUPTED)
    sys.exit(WRONG if any(finding.level == FAIL for finding in found) else 0)


def _print_policy(
    kind: Kind,
    config: Path | None,
    endpoint: str | None,
    region: str | None,
    url: str | None,
    environment: str | None,
) -> None:
    unnamed = RunConfig.from_dict({"target": {"endpoint": ENDPOINT_NAME}})
    try:
        if config is not None:
            told = read(config, environment=environment, endpoint=endpoint, region=region, url=url)
        else:
            told = unnamed.with_overrides(endpoint=endpoint, region=region, url=url)
        place = Place.of(told, NAME)
    except ConfigError as e:
        refuse(e)
    text = json.dumps(least(kind, place), indent=2)
    click.echo(text)
    left = [name for name in (ACCOUNT_ID, REGION, ENDPOINT_NAME) if name in text]
    if left:
        click.echo(f"sm-locust: to be replaced, since it is not known here: {', '.join(left)}", err=True)
