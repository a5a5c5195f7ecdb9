"""A server of this room as a process of its own: a module that prints the port on which it serves."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]


@contextlib.contextmanager
def running(module: str) -> Iterator[int]:
    """Its port, until the block ends and the process with it."""
    process = subprocess.Popen([sys.executable, "-m", module], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert process.stdout is not None
        with process.stdout as lines:
            port = lines.readline().strip()
        assert port, f"{module} did not start"
        yield int(port)
    finally:
        process.terminate()
        process.wait(20)
