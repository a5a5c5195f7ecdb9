"""Is it this machine? A compressed run plays only against the local endpoint, so nothing of it may leave loopback."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sm_locust.config_error import ConfigError

if TYPE_CHECKING:
    from sm_locust.config import RunConfig


def is_this_machine(host: str) -> bool:
    """Whether a host is loopback by its name alone; nothing is resolved."""
    if host == "localhost":
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


def stand_in(url: str | None, api_gateway: str | None) -> str | None:
    """The origin of the local endpoint, which stands in for all of AWS; None where AWS itself is meant.

    url, api_gateway  of a configuration's target
    """
    named = url or api_gateway
    if named is None or not is_this_machine(urlsplit(named).hostname or ""):
        return None
    parts = urlsplit(named)
    return f"{parts.scheme}://{parts.netloc}"


def stays_here(config: RunConfig) -> bool:
    """Whether requests go to this machine by the names of their addresses: nothing of such a run is billed.

    An address that the environment gives for InvokeEndpoint counts, as it does for botocore. So does the target beside
    steps that go elsewhere: its endpoint is watched, and billed.
    """
    urls = config.urls()
    if config.target is not None and not config.target_urls():
        named = os.environ.get("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME") or os.environ.get("AWS_ENDPOINT_URL")
        if not named:
            return False
        urls = (named, *urls)
    return bool(urls) and all(is_this_machine(urlsplit(url).hostname or "") for url in urls)


def only_loopback(urls: Iterable[str], speed: int, option: str = "--speed") -> None:
    """Raises ConfigError, naming the first address that resolves to anything but loopback.

    option  by which the speed was given
    """
    for url in sorted(set(urls)):
        host = urlsplit(url).hostname or url
        try:
            found = {info[4][0] for info in socket.getaddrinfo(host, None)}
        except (OSError, UnicodeError) as e:  # the host of a class is its user's own
            raise ConfigError(f"{option} {speed}: {host} cannot be resolved: {e}") from None
        for address in found:
            if not ipaddress.ip_address(str(address).partition("%")[0]).is_loopback:
                raise ConfigError(
                    f"{option} {speed} is for a local endpoint only: {host} is {address}, which is not loopback; "
                    f"use {option} 1"
                )
