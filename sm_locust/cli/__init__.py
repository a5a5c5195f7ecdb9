"""The `sm-locust` command. Each file here holds a command or two: it parses, calls one function, prints."""

from __future__ import annotations

import errno
import os
import sys
from typing import Any

import click

from sm_locust.cli.check import check
from sm_locust.cli.demo import demo
from sm_locust.cli.ending import refuse
from sm_locust.cli.experiment import experiment
from sm_locust.cli.init import init
from sm_locust.cli.local import local
from sm_locust.cli.plan import plan
from sm_locust.cli.runs import compare, summarize
from sm_locust.cli.scaling import scaling
from sm_locust.cli.stack import stack
from sm_locust.cli.whatif import whatif


class Commands(click.Group):
    """All of them; a full disk under what one prints is a sentence."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except OSError as e:
            if e.errno != errno.ENOSPC:
                raise
            # What is still buffered goes nowhere: Python would fail once more when it ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            refuse(f"not all of it could be written: {e.strerror}")


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="sm-locust")
def main() -> None:
    """Load tests of Amazon SageMaker endpoints with Locust: how much one takes, and what its scaling should be."""


main.add_command(check)
main.add_command(demo)
main.add_command(experiment)
main.add_command(init)
main.add_command(local)
main.add_command(scaling)
main.add_command(plan)
main.add_command(compare)
main.add_command(summarize)
main.add_command(whatif)
main.add_command(stack)
