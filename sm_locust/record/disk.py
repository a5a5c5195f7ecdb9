"""What has to be on disk before anything relies on it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def sync(folder: Path) -> None:
    """Waits until the names in a folder are on disk: a file that was synced has its name there only then."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_whole(path: Path, text: str) -> None:
    """Writes a file whole or not at all: no reader sees half of it, and it is on disk on return. Raises OSError."""
    beside = path.with_name(f"{path.name}.{os.getpid()}.part")  # somebody else may be writing the same
    try:
        with open(beside, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        sync(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise
