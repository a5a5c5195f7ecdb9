"""The `sm-locust` command: each command parses, calls one function, prints."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from sm_locust.config import ConfigError
from sm_locust.record.run import Run, RunError
from sm_locust.schedule import SPEEDS

WRONG = 2  # configuration or arguments
INTERRUPTED = 130  # as shells have it for SIGINT
SPEED_CHOICES = [str(speed) for speed in SPEEDS]


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
@click.option("--real-time", is_flag=True, help="Minutes 30 to 50 of the ramp in real time: 45 minutes.")
def demo(run_dir: str, real_time: bool) -> None:
    """Plays the experiment of the AWS blog against a local endpoint; no AWS account is needed."""
    from sm_locust.aws.session import AwsFault
    from sm_locust.demo import DemoError
    from sm_locust.demo import demo as play
    from sm_locust.experiment import ExperimentError

    try:
        sys.exit(play(run_dir, real_time=real_time))
    except (DemoError, ExperimentError, ConfigError, AwsFault, RunError) as e:
        _refuse(e)
    except KeyboardInterrupt:
        click.echo("\nInterrupted; nothing is left running.", err=True)
        sys.exit(INTERRUPTED)


@main.command()
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--run-dir", default="runs", show_default=True, help="Where to make the experiment's folder.")
@click.option(
    "--speed",
    default="1",
    show_default=True,
    type=click.Choice(SPEED_CHOICES),
    help="Play the load N times faster; other than 1 only against this machine.",
)
@click.option("--endpoint", metavar="NAME", help="Instead of target.endpoint.")
@click.option("--region", metavar="NAME", help="Instead of target.region.")
@click.option("--url", metavar="URL", help="Where InvokeEndpoint goes instead of AWS (target.url).")
@click.option("--replace", is_flag=True, help="Take scaling policies that are not ours away for AFTER; they come back.")
@click.argument("locust", nargs=-1, type=click.UNPROCESSED)
def experiment(
    config: Path,
    run_dir: str,
    speed: str,
    endpoint: str | None,
    region: str | None,
    url: str | None,
    replace: bool,
    locust: tuple[str, ...],
) -> None:
    """Plays CONFIG's load BEFORE and AFTER its automatic scaling, puts scaling back as it was, and compares.

    What stands after `--` is given to both Locust processes: `-- --processes 4`.
    """
    from sm_locust.aws.session import AwsFault
    from sm_locust.experiment import Experiment, ExperimentError, exit_code, new_folder, play
    from sm_locust.report import compare

    folder = new_folder(run_dir)
    try:
        found = play(Experiment(config, folder, int(speed), endpoint, region, url, replace, locust))
    except (ExperimentError, ConfigError, AwsFault, RunError) as e:
        _refuse(e)
    except KeyboardInterrupt:
        click.echo(f"\nInterrupted; what was played is in {folder}.", err=True)
        sys.exit(INTERRUPTED)
    compare.show(found, folder, sys.stdout)
    sys.exit(exit_code(found))


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="A loopback address to listen on.")
@click.option("--port", default=8500, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
@click.option(
    "--speed",
    default="1",
    show_default=True,
    type=click.Choice(SPEED_CHOICES),
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
@click.argument("before", type=click.Path(path_type=Path))
@click.argument("after", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Where to write compare.md, .json and .html. [default: AFTER's parent]",
)
def compare(before: Path, after: Path, out: Path | None) -> None:
    """Compares two run folders, minute by minute, and writes compare.md, compare.json and compare.html."""
    from sm_locust.report import compare as report

    folder = out or after.parent
    try:
        found = report.write(Run.open(before), Run.open(after), folder)
    except (RunError, OSError) as e:
        _refuse(e)
    report.show(found, folder, sys.stdout)


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
