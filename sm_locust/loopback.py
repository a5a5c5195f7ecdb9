"""Is it this machine? A compressed run plays only against the local endpoint, so nothing of it may leave loopback."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

from sm_locust.config import ConfigError


def only_loopback(urls: Iterable[str], speed: int) -> None:
    """Raises ConfigError, naming the first address that resolves to anything but loopback."""
    for url in sorted(set(urls)):
        host = urlsplit(url).hostname or url
        try:
            found = {info[4][0] for info in socket.getaddrinfo(host, None)}
        except OSError as e:
            raise ConfigError(f"--sm-speed {speed}: {host} cannot be resolved: {e}") from None
        for address in found:
            if not ipaddress.ip_address(str(address).partition("%")[0]).is_loopback:
                raise ConfigError(
                    f"--sm-speed {speed} is for a local endpoint only: {host} is {address}, which is not loopback; "
                    "use --sm-speed 1"
                )
