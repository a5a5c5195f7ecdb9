"""What has to be on disk before anything relies on it, and what may be read from there."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import threading
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
    # Another process may be writing the same, and the thread that waits for the disk.
    beside = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}.part")
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


def regular(path: Path) -> Path:
    """The same path, of a file. Raises OSError for anything else: whoever reads from a pipe may wait for ever."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return path
