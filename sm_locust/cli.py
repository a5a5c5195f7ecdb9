"""The `sm-locust` command: each command parses, calls one function, prints."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from sm_locust.record.run import Run, RunError

WRONG = 2  # configuration or arguments


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="sm-locust")
def main() -> None:
    """Load tests of Amazon SageMaker endpoints with Locust: how much one takes, and what its scaling should be."""


def _refuse(message: object) -> None:
    """Says in one line what is wrong, and ends."""
    click.echo(f"sm-locust: {message}", err=True)
    sys.exit(WRONG)


@main.command()
@click.option("--run-dir", default="runs", show_default=True, help="Where to make the folder demo/.")
def demo(run_dir: str) -> None:
    """Plays the reference ramp against a local endpoint; no AWS account is needed."""
    from sm_locust.demo import DemoError, play

    try:
        sys.exit(play(run_dir))
    except DemoError as e:
        _refuse(e)
    except KeyboardInterrupt:
        click.echo("\nInterrupted; nothing is left running.", err=True)
        sys.exit(130)


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="A loopback address to listen on.")
@click.option("--port", default=8500, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
@click.option(
    "--speed",
    default="1",
    show_default=True,
    type=click.Choice(["1", "2", "3", "6", "12", "60"]),
    help="How many times faster minutes pass for it; the same as Locust's --sm-speed.",
)
@click.option("--config", type=click.Path(), help="YAML file of its settings: workers, service_time, backlog, …")
@click.option("--ready-fd", type=int, hidden=True, help="File descriptor to write the port to once it answers.")
def local(host: str, port: int, speed: str, config: str | None, ready_fd: int | None) -> None:
    """Runs a local endpoint that answers InvokeEndpoint as SageMaker does."""
    try:
        from sm_locust.local.server import serve
        from sm_locust.local.settings import Settings, SettingsError
    except ImportError as e:
        _refuse(e)
    try:
        settings = Settings.load(config) if config else Settings()
    except SettingsError as e:
        _refuse(e)
    serve(settings, host, port, speed=int(speed), ready=ready_fd)


@main.command()
@click.argument("run", type=click.Path())
def summarize(run: str) -> None:
    """Makes summary, timeline and report of a run folder again, from its ledger alone."""
    from sm_locust.report import folder, text

    try:
        opened = Run.open(run)
        summary = folder.write(opened)
    except (RunError, OSError) as e:
        _refuse(e)
    text.show(summary, Path(run), sys.stdout)
    sys.exit(summary.exit_code)


if __name__ == "__main__":
    main()
