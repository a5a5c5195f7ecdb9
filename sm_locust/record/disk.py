"""What has to be on disk before anything relies on it."""

from __future__ import annotations

import os
from pathlib import Path


def sync(folder: Path) -> None:
    """Waits until the names in a folder are on disk: a file that was synced has its name there only then."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
