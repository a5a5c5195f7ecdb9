"""Options that several commands take, and how they read CONFIG."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from sm_locust.config import RunConfig, load
from sm_locust.schedule import SPEEDS

SPEED_CHOICES = [str(speed) for speed in SPEEDS]

environment_option = click.option(
    "--environment", metavar="NAME", help="Of an artillery script, the one of its environments to use."
)


def note(config: Path) -> Callable[[str], None]:
    """How a command says what of an artillery script has no effect: beside its own output."""
    return lambda sentence: click.echo(f"sm-locust: {config}: {sentence}", err=True)


def read(
    config: Path,
    environment: str | None,
    endpoint: str | None = None,
    region: str | None = None,
    url: str | None = None,
) -> RunConfig:
    """CONFIG as the options of a command have it. Raises ConfigError."""
    return load(config, environment, note(config)).with_overrides(endpoint=endpoint, region=region, url=url)
