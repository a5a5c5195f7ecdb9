"""One local endpoint a test: its counts are then the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runs.harness import Endpoint, endpoint


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Endpoint]:
    with endpoint(tmp_path) as started:
        yield started
