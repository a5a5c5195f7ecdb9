"""`sm-locust init`."""

from __future__ import annotations

from pathlib import Path

import click

from sm_locust.cli import options
from sm_locust.cli.ending import refuse
from sm_locust.config import ConfigError


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--from", "script", metavar="SCRIPT", type=click.Path(path_type=Path), help="An artillery script that it plays."
)
@options.environment_option
def init(folder: Path, script: Path | None, environment: str | None) -> None:
    """Makes DIR, a load test to start from: locustfiles, shapes, configurations, and workflows for GitHub Actions.

    Nothing is overwritten, and nothing is sent. As it is, it plays against `sm-locust local`.
    """
    from sm_locust import project

    if script is None and environment is not None:
        refuse(f"--environment {environment}: only with --from, an artillery script")
    notes: list[str] = []
    try:
        files = project.plain() if script is None else project.of_script(script, environment, notes.append)
        project.write(folder, files)
    except (ConfigError, project.ProjectError) as e:
        refuse(e)
    if script is not None:
        for sentence in notes:
            options.note(script)(sentence)
    click.echo(f"{folder}: {len(files)} files. {folder / 'README.md'} says how to go on.")
