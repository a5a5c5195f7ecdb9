"""How a command ends when it cannot do what it was asked."""

from __future__ import annotations

import sys
from typing import NoReturn

import click

WRONG = 2  # configuration or arguments
INTERRUPTED = 130  # as shells have it for SIGINT


def refuse(message: object) -> NoReturn:
    """Says in one line what is wrong, and ends."""
    click.echo(f"sm-locust: {message}", err=True)
    sys.exit(WRONG)
