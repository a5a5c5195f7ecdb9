"""Runs the local endpoint: one process, one port, until Ctrl-C or SIGTERM; on loopback unless told another address.

What it answers is the app's. Parsing a command line is the caller's.
"""

from __future__ import annotations

import gc
import ipaddress
import logging
import math
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from typing import NoReturn

try:
    import uvicorn

    from sm_locust.local.app import create_app
except ModuleNotFoundError as missing:
    if missing.name is None or missing.name.partition(".")[0] == "sm_locust":
        raise
    raise ModuleNotFoundError(
        f"the local endpoint needs {missing.name}, which is not installed: pip install 'sm-locust[local]'",
        name=missing.name,
    ) from None

from sm_locust.local.settings import Settings

SPEEDS = (1, 2, 3, 6, 12, 60)

# ipaddress's is_private also holds for addresses of documentation and others that may be routed, and not for the shared
# ones (100.64.0.0/10), which fleets use.
_PRIVATE = tuple(
    map(
        ipaddress.ip_network,
        (
            "127.0.0.0/8",
            "10.0.0.0/8",
            "172.16.0.0/12",
            "192.168.0.0/16",
            "100.64.0.0/10",
            "169.254.0.0/16",
            "::1/128",
            "fc00::/7",
            "fe80::/10",
        ),
    )
)


def serve(
    settings: Settings, host: str = "127.0.0.1", port: int = 8500, *, speed: int = 1, ready: int | None = None
) -> None:
    """Serves until a signal stops it; call it from the main thread.

    port   0 takes a free one
    speed  a minute of the schedule lasts 60 / speed real seconds; no latency and no count is scaled by it
    ready  a file descriptor to which the port and a newline are written once it listens
    Exits with status 2 and one sentence where it cannot listen: a public address, port in use, speed unknown.
    """
    if speed not in SPEEDS:
        _refuse(f"speed {speed}: must be one of {', '.join(map(str, SPEEDS))}")
    listener = _listen(host, port)
    port = listener.getsockname()[1]
    _allow_many_connections()

    def listening() -> None:
        print(_banner(settings, host, port, speed), file=sys.stderr, flush=True)
        if ready is not None:
            os.write(ready, f"{port}\n".encode())

    config = uvicorn.Config(
        create_app(settings, _url(host, port), speed),
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        backlog=4096,
        timeout_keep_alive=3600,
        # Long enough for every answer in the queue to leave.
        timeout_graceful_shutdown=math.ceil(settings.service_time * (1 + settings.backlog / settings.workers)) + 1,
    )
    # What was imported leaves tens of thousands of objects behind; a full collection over them would stall every
    # request for tens of milliseconds. They live as long as the process: the collector need never look at them again.
    gc.collect()
    gc.freeze()
    # uvicorn stops at the first signal and, once stopped, raises it again: that one must not end in a traceback.
    previous = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        _Server(config, listening).run(sockets=[listener])
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


class _Server(uvicorn.Server):
    """uvicorn's server, which says when it listens and stops without complaining about clients that are still there."""

    def __init__(self, config: uvicorn.Config, listening: Callable[[], None]) -> None:
        super().__init__(config)
        self._listening = listening

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._listening()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        await super().shutdown(sockets)


def _listen(host: str, port: int) -> socket.socket:
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        _refuse(f"host {host!r}: must be an address, such as 127.0.0.1")
    # 0.0.0.0 and :: are taken too: a container has no better name. The banner says what they mean.
    if not (address.is_unspecified or any(address in network for network in _PRIVATE)):
        _refuse(f"host {host!r}: must be a loopback or private address, because its credentials are public")
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    try:
        return socket.create_server((str(address), port), family=family)
    except OSError as error:
        _refuse(f"port {port}: cannot listen on {address}: {os.strerror(error.errno or 0)}; choose another with --port")
    except OverflowError:
        _refuse(f"port {port}: must be between 0 and 65535")


def _allow_many_connections() -> None:
    """An open load of slow answers holds thousands of connections; the usual soft limit is 1,024 files."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _url(host: str, port: int) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _banner(settings: Settings, host: str, port: int, speed: int) -> str:
    url = _url(host, port)
    instances = "one instance:" if settings.instances == 1 else f"{settings.instances} instances, each"
    lines = [
        f"local SageMaker endpoint {settings.endpoint} on {url}",
        f"  export AWS_ACCESS_KEY_ID={settings.access_key_id}",
        f"  export AWS_SECRET_ACCESS_KEY={settings.secret_access_key}",
        f"  export AWS_DEFAULT_REGION={settings.region}",
        f"simulates {instances} {settings.workers} workers of {settings.service_time * 1e3:g} ms, "
        f"{settings.backlog} may wait; sustains {settings.sustained_per_minute:,.0f} requests a minute",
    ]
    if settings.session_token is not None:
        lines.insert(3, f"  export AWS_SESSION_TOKEN={settings.session_token}")
    address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    if address.is_unspecified:
        lines.append("on every address, public ones too: whoever reaches it can use it, its credentials are public")
    elif not address.is_loopback:
        lines.append("whoever reaches this address can use it: its credentials are public")
    if speed != 1:
        lines.append(f"speed {speed}: a minute of the schedule lasts {60 / speed:g} s")
    return "\n".join([*lines, "Ctrl-C to stop"])


def _refuse(sentence: str) -> NoReturn:
    print(f"sm-locust local: {sentence}", file=sys.stderr)
    raise SystemExit(2)
