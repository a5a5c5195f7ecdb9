"""Which columns of a table there is room for, and how wide each is: no word and no number is ever broken for one more.

What a table says is wording's, how it is drawn the terminal's.
"""

from __future__ import annotations

from rich.cells import cell_len

from sm_locust.report.formats import Table

_LONGEST_WORD = 20  # columns that a word may ask for: a longer one is folded


def fit(table: Table, width: int) -> tuple[dict[int, int], int]:
    """The columns that there is room for, each with its width, and how far they stand apart.

    Columns of numbers go until the rest fits, those that the table can spare first, then from the right. What is left
    of the room is for columns of words, which else are as wide as their longest word.
    """
    least = {i: _least(table, i) for i in range(len(table.header))}
    given_up = sorted(
        range(max(1, table.words), len(table.header)),
        key=lambda i: (table.spare.index(table.header[i]) if table.header[i] in table.spare else len(least), -i),
    )
    gap = 3
    while (room := width - sum(least.values()) - gap * (len(least) - 1)) < 0:
        if gap == 3:
            gap = 2
        elif given_up:
            del least[given_up.pop(0)]
        else:
            break
    wanted = {i: max(0, _longest(table, i) - least[i]) for i in least if i < table.words}
    for shares, i in zip(range(len(wanted), 0, -1), sorted(wanted, key=wanted.__getitem__), strict=True):
        more = min(wanted[i], max(0, room) // shares)
        least[i] += more
        room -= more
    return least, gap


def _longest(table: Table, column: int) -> int:
    return max(cell_len(line) for text in _texts(table, column) for line in text.split("\n"))


def _texts(table: Table, column: int) -> list[str]:
    return [heading(table, column), *(row[column] for row in table.rows)]


def heading(table: Table, column: int) -> str:
    """Of numbers on several lines: they are never wider for its name's sake."""
    name = table.header[column]
    return name if column < table.words else name.replace(" ", "\n").replace("/", "\n/")


def _least(table: Table, column: int) -> int:
    """The columns that it takes to break no word, and no number from its unit."""
    if column < table.words:
        return min(_LONGEST_WORD, max(cell_len(word) for text in _texts(table, column) for word in text.split(" ")))
    return _longest(table, column)
