"""One local endpoint for the runs of a session; its count of invocations begins anew with each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.runs.harness import Endpoint, endpoint


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    with endpoint(tmp_path_factory.mktemp("endpoint")) as started:
        yield started


@pytest.fixture
def local(shared: Endpoint) -> Endpoint:
    return Endpoint(shared.url, shared.process, before=shared.served())
