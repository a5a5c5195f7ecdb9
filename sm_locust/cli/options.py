"""Options that several commands take, and how they read CONFIG."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any, TypeVar

import click

from sm_locust.config import RunConfig, load
from sm_locust.schedule import SPEEDS

F = TypeVar("F", bound=Callable[..., Any])

_ENDPOINT = click.option("--endpoint", metavar="NAME", help="Instead of target.endpoint.")
_URL = click.option("--url", metavar="URL", help="Where InvokeEndpoint goes instead of AWS (target.url).")

region_option = click.option("--region", metavar="NAME", help="Instead of target.region.")
environment_option = click.option(
    "--environment", metavar="NAME", help="Of an artillery script, the one of its environments to use."
)


def target_options(command: F) -> F:
    """`endpoint`, `region` and `url`: what says otherwise than the target of CONFIG."""
    return reduce(lambda decorated, option: option(decorated), (_URL, region_option, _ENDPOINT), command)


def speed_option(text: str, default: int | None = 1) -> Callable[[F], F]:
    """`speed`, a number.

    default  None where the help says what holds without it
    """
    return click.option(
        "--speed",
        default=None if default is None else str(default),
        show_default=default is not None,
        type=click.Choice([str(speed) for speed in SPEEDS]),
        callback=lambda _, __, given: None if given is None else int(given),
        help=text,
    )


def run_dir_option(text: str) -> Callable[[F], F]:
    """`run_dir`, the folder of all runs."""
    return click.option("--run-dir", default="runs", show_default=True, type=click.Path(path_type=Path), help=text)


def note(config: Path) -> Callable[[str], None]:
    """How a command says what of an artillery script has no effect: beside its own output."""
    return lambda sentence: click.echo(f"sm-locust: {config}: {sentence}", err=True)


def read(
    config: Path,
    *,
    environment: str | None = None,
    endpoint: str | None = None,
    region: str | None = None,
    url: str | None = None,
) -> RunConfig:
    """CONFIG as the options of a command have it. Raises ConfigError."""
    return load(config, environment, note(config)).with_overrides(endpoint=endpoint, region=region, url=url)
