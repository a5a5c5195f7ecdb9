"""`sm-locust stack`: the API in front of the endpoint, as a CloudFormation stack."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NoReturn

import click

from sm_locust.cli import billing
from sm_locust.cli.ending import INTERRUPTED, refuse
from sm_locust.cli.options import environment_option, read, region_option
from sm_locust.config import ConfigError, RunConfig, Target

NAME = "sm-locust-api"

_name = click.option("--name", default=NAME, show_default=True, metavar="NAME", help="The stack's name.")
_url = click.option("--url", metavar="URL", help="Where AWS is on this machine (target.url).")
_wait = click.option("--wait/--no-wait", default=True, show_default=True, help="Until CloudFormation is done.")


@click.group()
def stack() -> None:
    """Puts an API of API Gateway and a Lambda function in front of the endpoint, and takes them away."""


@stack.command()
@click.option("--endpoint", metavar="NAME", help="A default for the template's parameter EndpointName.")
def template(endpoint: str | None) -> None:
    """Prints the CloudFormation template, the function's code in it."""
    from sm_locust.stacks import template as rendered

    try:
        if endpoint is not None:
            RunConfig.from_dict({"target": {"endpoint": endpoint}})
    except ConfigError as e:
        refuse(e)
    click.echo(rendered(endpoint), nl=False)


@stack.command()
@click.argument("config", type=click.Path(path_type=Path))
@_name
@click.option("--endpoint", metavar="NAME", help="Instead of target.endpoint.")
@region_option
@_url
@environment_option
@click.option(
    "--auth",
    default="iam",
    show_default=True,
    type=click.Choice(["iam", "api-key", "none"]),
    help="Whom the API lets in.",
)
@click.option(
    "--concurrency",
    default=0,
    show_default=True,
    type=click.IntRange(min=0),
    help="Executions kept for the function, and its limit; 0 shares the account's.",
)
@click.option("--rate", default=10_000, show_default=True, type=click.IntRange(min=1), help="Requests a second.")
@click.option("--burst", default=5_000, show_default=True, type=click.IntRange(min=1), help="Requests at once.")
@click.option(
    "--log-days",
    default="14",
    show_default=True,
    type=click.Choice([str(days) for days in (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365)]),
    help="Days for which the function's log is kept.",
)
@_wait
@click.option("--yes", is_flag=True, help="Do it; without, it is only said what would be done.")
def deploy(
    config: Path,
    name: str,
    endpoint: str | None,
    region: str | None,
    url: str | None,
    environment: str | None,
    auth: str,
    concurrency: int,
    rate: int,
    burst: int,
    log_days: str,
    wait: bool,
    yes: bool,
) -> None:
    """Creates or updates the stack that puts an API in front of CONFIG's endpoint."""
    from sm_locust.aws import stack as stacks
    from sm_locust.aws.session import AwsFault, region_of, watched

    begun = False
    try:
        known = read(config, environment=environment, endpoint=endpoint, region=region, url=url)
        parameters = stacks.Parameters(watched(known).endpoint, auth, concurrency, rate, burst, int(log_days))
        there = stacks.find(known, name)
        verb = "create" if there is None else "update"
        click.echo(f"stack {name} in {region_of(known)}, to {verb}: {parameters}")
        if not yes:
            click.echo("nothing was done; --yes does it")
            return
        begun = True
        made = stacks.deploy(known, name, there, parameters, wait=wait, say=click.echo)
    except (ConfigError, AwsFault) as e:
        refuse(f"{e}{_how_to_look(known, name) if begun and getattr(e, 'passing', False) else ''}")
    except KeyboardInterrupt:
        _interrupted(known, name, begun)
    if not wait:
        click.echo(f"stack {name} is {made.status}{_how_to_look(known, name)}")
        return
    click.echo(f"\nstack {name} is {made.status}: {made.outputs['InvokeUrl']}\n\nIn the configuration:\n")
    click.echo(_target(made.outputs, region_of(known)))
    if key := made.outputs.get("ApiKeyId"):
        click.echo(
            "\nThe key goes into SM_LOCUST_API_KEY on every machine that sends: aws apigateway get-api-key "
            f"--api-key {key} --include-value --query value --output text --region {region_of(known)}"
        )
    click.echo(f"\nsm-locust stack delete --name {name} --region {region_of(known)} --yes takes it away again")


@stack.command()
@click.argument("config", type=click.Path(path_type=Path), required=False)
@_name
@region_option
@_url
@environment_option
@_wait
@click.option("--yes", is_flag=True, help="Do it; without, it is only said what would be done.")
def delete(
    config: Path | None,
    name: str,
    region: str | None,
    url: str | None,
    environment: str | None,
    wait: bool,
    yes: bool,
) -> None:
    """Deletes a stack that `deploy` made, and the log of its function. CONFIG says the region, as --region does."""
    from sm_locust.aws import stack as stacks
    from sm_locust.aws.session import AwsFault, region_of

    begun = False
    try:
        # The endpoint behind it has no part in this: a name has to stand there all the same.
        if config is None and environment is not None:
            raise ConfigError(f"--environment {environment}: is not accepted without CONFIG: it is one of a script's")
        nobodys = RunConfig(target=Target(endpoint="any"))
        known = (
            nobodys.with_overrides(region=region, url=url)
            if config is None
            else read(config, environment=environment, region=region, url=url)
        )
        there = stacks.find(known, name)
        if there is None:
            refuse(f"there is no stack {name} in {region_of(known)}")
        click.echo(f"stack {name} in {region_of(known)}, {there.status}, to delete: its API, its function, its log")
        if not yes:
            click.echo("nothing was done; --yes does it")
            return
        begun = True
        done = stacks.delete(known, there, wait=wait, say=click.echo)
    except (ConfigError, AwsFault) as e:
        refuse(f"{e}{_how_to_look(known, name) if begun and getattr(e, 'passing', False) else ''}")
    except KeyboardInterrupt:
        _interrupted(known, name, begun)
    if done is None:
        click.echo(f"stack {name} is being deleted{_how_to_look(known, name)}")
        return
    click.echo(f"\nstack {name} is deleted; {done.log}")
    for remaining in done.remains:
        click.echo(f"still there: {remaining} --region {region_of(known)}")
    billing.show(known.with_overrides(endpoint=there.outputs.get("Endpoint")), sys.stdout)


def _target(outputs: dict[str, str], region: str) -> str:
    """What to paste."""
    lines = {
        "api_gateway": outputs["InvokeUrl"],
        "auth": outputs["Auth"],
        "endpoint": outputs["Endpoint"],
        "region": region,
    }
    return "\n".join(["target:", *(f"  {key}: {value}" for key, value in lines.items())])


def _how_to_look(config: RunConfig, name: str) -> str:
    from sm_locust.aws.session import region_of

    return f"; to look: aws cloudformation describe-stack-events --stack-name {name} --region {region_of(config)}"


def _interrupted(config: RunConfig, name: str, begun: bool) -> NoReturn:
    goes_on = f"the stack goes on at AWS{_how_to_look(config, name)}" if begun else "nothing was done"
    click.echo(f"\nInterrupted; {goes_on}", err=True)
    sys.exit(INTERRUPTED)
