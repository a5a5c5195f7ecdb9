"""Rows of the CSV files that `feeds` names, read once before the run: values for the `{{ templates }}` of scenarios.

What reads as CSV, and as a number, is as artillery has it. Files travel to the workers as they are, byte for byte, so
that two machines can be compared; carrying them is the plugin's, putting values into texts templates'.
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from sm_locust import templates
from sm_locust.config import ConfigError
from sm_locust.config.scenarios import Feed

ACCEPTED = "a CSV file in UTF-8, a value in each row for each of fields"

# Each process holds every row: 128 MiB of short ones are more than a GiB of memory. No request may have a larger body.
LARGEST_FILE, LARGEST_VALUE = 128 << 20, 32 << 20  # bytes, characters

_NUMBER = re.compile(r"\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\s*", re.ASCII)
# Workers that began side by side would use up the same rows at the same time; see pacer for the number.
_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class Table:
    """One file.

    content  as it is on disk
    rows     by the names of `fields`; one or more
    """

    content: bytes = field(repr=False)
    rows: tuple[Mapping[str, Any], ...] = field(repr=False)
    order: str = "sequential"


class Rows:
    """The rows of one table in their order, or at random: one for each run of a scenario.

    index  this process's number among its like: each begins at a place of its own
    """

    def __init__(self, table: Table, index: int, random: Random) -> None:
        self._rows = table.rows
        self._random = random if table.order == "random" else None
        self._next = int(len(self._rows) * (index * _GOLDEN % 1))

    def next(self) -> Mapping[str, Any]:
        """The next one; after the last it is the first again."""
        if self._random is not None:
            return self._random.choice(self._rows)
        row = self._rows[self._next]
        self._next = (self._next + 1) % len(self._rows)
        return row


def load(feeds: Sequence[Feed], base_dir: str | Path) -> tuple[Table, ...]:
    """All files, in the order of `feeds`. A relative path is relative to `base_dir`.

    Raises ConfigError, one line that names the feed and its file, when one cannot be read, has no row or one too short.
    """
    contents = []
    for i, feed in enumerate(feeds):
        path = Path(base_dir, feed.file)
        try:
            size = path.stat().st_size
            contents.append(path.read_bytes() if size <= LARGEST_FILE else b"")
        except (OSError, ValueError) as error:
            raise _refused(i, str(path), getattr(error, "strerror", None) or str(error)) from None
        _check_size(i, feed, size)
    return parse(feeds, contents)


def parse(feeds: Sequence[Feed], contents: Iterable[bytes]) -> tuple[Table, ...]:
    """Files that have been read. Raises ConfigError as `load` does."""
    return tuple(_table(i, feed, content) for i, (feed, content) in enumerate(zip(feeds, contents, strict=True)))


def total_bytes(tables: Iterable[Table]) -> int:
    """Bytes of all files."""
    return sum(len(table.content) for table in tables)


def sha256(tables: Iterable[Table]) -> str:
    """A digest of all files and their order: the same on two machines only when these are."""
    digest = hashlib.sha256()
    for table in tables:
        digest.update(len(table.content).to_bytes(8, "big") + table.content)
    return digest.hexdigest()


def _table(number: int, feed: Feed, content: bytes) -> Table:
    _check_size(number, feed, len(content))
    try:
        content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _refused(number, feed.file, f"byte {error.start} is not UTF-8") from None
    try:
        # Read from bytes: a StringIO takes four of them for each character.
        file = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig", newline="")
        lines = csv.reader(file, delimiter=feed.delimiter, strict=True)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"feeds[{number}].delimiter: {feed.delimiter!r} separates no values: {error}") from None
    rows: list[Mapping[str, Any]] = []
    limit = csv.field_size_limit(LARGEST_VALUE)  # by default 128 KiB; an image written as text is more
    try:
        if feed.header:
            next(lines, None)
        for cells in lines:
            if not cells:  # an empty line
                continue
            if len(cells) < len(feed.fields):
                missing = feed.fields[len(cells)]
                raise _refused(number, feed.file, f"line {lines.line_num} has no value for {missing}")
            values = map(_cast, cells) if feed.cast else cells
            rows.append(dict(zip(feed.fields, values, strict=False)))
    except csv.Error as error:
        too_large = str(error).startswith("field larger than field limit")
        said = f"a value of more than {LARGEST_VALUE >> 20} MiB" if too_large else str(error)
        raise _refused(number, feed.file, f"line {lines.line_num}: {said}") from None
    finally:
        csv.field_size_limit(limit)
    if not rows:
        raise _refused(number, feed.file, "no row" + (" after the header" if feed.header else ""))
    return Table(content, tuple(rows), feed.order)


def _cast(cell: str) -> Any:
    if not _NUMBER.fullmatch(cell):
        return cell
    number = float(cell)
    return templates.plain_numbers(number) if math.isfinite(number) else cell


def _check_size(number: int, feed: Feed, size: int) -> None:
    if size > LARGEST_FILE:
        raise _refused(number, feed.file, f"{size / 2**20:,.0f} MiB are too much: {LARGEST_FILE >> 20} at the most")


def _refused(number: int, file: str, reason: str) -> ConfigError:
    return ConfigError(f"feeds[{number}].file: {file}: {reason}; accepted: {ACCEPTED}")
