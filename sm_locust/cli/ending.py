"""How a command ends when it cannot do what it was asked."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import click

WRONG = 2  # configuration or arguments
INTERRUPTED = 130  # as shells have it for SIGINT


def note(config: Path) -> Callable[[str], None]:
    """How a command says what of an artillery script has no effect: beside its own output."""
    return lambda sentence: click.echo(f"sm-locust: {config}: {sentence}", err=True)


def refuse(message: object) -> NoReturn:
    """Says in one line what is wrong, and ends."""
    click.echo(f"sm-locust: {message}", err=True)
    sys.exit(WRONG)
