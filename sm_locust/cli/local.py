"""`sm-locust local`."""

from __future__ import annotations

import click

from sm_locust.cli.ending import refuse
from sm_locust.cli.options import speed_option


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="A loopback or private address to listen on.")
@click.option("--port", default=8500, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
@speed_option("How many times faster minutes pass for it; the same as Locust's --sm-speed.")
@click.option("--config", type=click.Path(), help="YAML file of its settings: workers, service_time, backlog, …")
@click.option("--ready-fd", type=int, hidden=True, help="File descriptor to write the port to once it answers.")
def local(host: str, port: int, speed: int, config: str | None, ready_fd: int | None) -> None:
    """Runs a local endpoint that answers InvokeEndpoint as SageMaker does."""
    try:
        from sm_locust.local.server import serve
        from sm_locust.local.settings import Settings, SettingsError
    except ImportError as e:
        refuse(e)
    try:
        settings = Settings.load(config) if config else Settings()
    except SettingsError as e:
        refuse(e)
    serve(settings, host, port, speed=speed, ready=ready_fd)
