"""What scaling is, and what it would be, on a terminal: nothing is computed here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TextIO

from rich.text import Text

from sm_locust.report.formats import printable
from sm_locust.report.text import DIM, LOG_WIDTH, WARN, console_for


class Row(Protocol):
    """A line of it: what, as it is and as it would be, in words."""

    @property
    def what(self) -> str: ...
    @property
    def now(self) -> str: ...
    @property
    def then(self) -> str: ...
    @property
    def changes(self) -> bool: ...


def show(resource_id: str, rows: Sequence[Row], stream: TextIO) -> None:
    """Prints a line for each, never wrapped: `what: now`, or `what: now → then` where it would change."""
    console = console_for(stream, LOG_WIDTH)
    console.print(Text(printable(resource_id), style="bold"), soft_wrap=True)
    for row in rows:
        line = Text.assemble((f"  {printable(row.what)}: ", DIM), printable(row.now))
        if row.changes:
            line.append(f" → {printable(row.then)}", style=WARN)
        console.print(line, soft_wrap=True)
