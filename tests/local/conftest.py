"""Two local endpoints for all tests of this room: one as anybody gets it, one that is easily overrun."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sm_locust.local.settings import Settings
from tests.local.harness import running


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    """The URL of a local endpoint with default settings."""
    with running(Settings()) as url:
        yield url


@pytest.fixture(scope="session")
def small() -> Iterator[str]:
    """The URL of one that serves one request at a time, lets one wait, wants a session token and takes 1,000 bytes."""
    settings = Settings(workers=1, service_time=0.5, backlog=1, max_body_bytes=1000, session_token="a/token=")
    with running(settings) as url:
        yield url
