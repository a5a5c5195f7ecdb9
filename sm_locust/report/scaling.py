"""What scaling is, and what it would be, on a terminal: nothing is computed here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TextIO

from rich.text import Text

from sm_locust.report.text import LOG_WIDTH, console_for, print_table
from sm_locust.report.wording import Table, printable


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
    """Prints a table: what stays as it is has nothing behind its arrow."""
    console = console_for(stream, LOG_WIDTH)
    console.print(Text(printable(resource_id), style="bold"))
    cells = tuple(
        (printable(row.what), printable(row.now), f"→ {printable(row.then)}" if row.changes else "") for row in rows
    )
    print_table(console, Table(("", "now", "with the configuration"), cells, words=3))
    console.print()
