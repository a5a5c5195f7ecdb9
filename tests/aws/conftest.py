"""Credentials that only the local endpoint knows, and clients of their own for every test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sm_locust.aws import session
from sm_locust.local.settings import Settings


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What one test has in its environment must not be what another's client was made with."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", Settings().access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", Settings().secret_access_key)
    yield
    session._control_plane.cache_clear()
    session.boto3_session.cache_clear()
