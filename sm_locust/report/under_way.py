"""What a command that takes its time says meanwhile, on stderr.

The terminal may be gone; what is under way is not, and goes on without it.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """A line that is rewritten in place on a terminal; elsewhere only the first that is said, on a line of its own."""
    last = ""

    def told(line: str) -> None:
        nonlocal last
        if sys.stderr.isatty():
            _in_place(f"  {line}")
        elif not last:
            say(f"  {line}")
        last = line

    yield told
    if last and sys.stderr.isatty():
        _in_place("")


def say(line: str) -> None:
    """One line of its own."""
    with contextlib.suppress(OSError):
        print(line, file=sys.stderr, flush=True)


def _in_place(line: str) -> None:
    """A line that wraps could not be rewritten: it is cut at the terminal's width."""
    with contextlib.suppress(OSError):
        sys.stderr.write(f"\r\x1b[2K{line[: shutil.get_terminal_size().columns - 1]}")
        sys.stderr.flush()
