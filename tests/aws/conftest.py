"""Credentials that only the local endpoint knows, and clients of their own for every test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.aws.harness import somebody


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with somebody(monkeypatch):
        yield
