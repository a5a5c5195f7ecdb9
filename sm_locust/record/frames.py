"""Rows of a run as a DataFrame of pandas, for notebooks. pandas is an extra, imported when it is asked for.

Each row says when it was twice: `at`, a UTC timestamp, and `at_s`, seconds of the schedule since the run's start.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sm_locust.record.disk import regular

if TYPE_CHECKING:
    import pandas

_EXACT = 2**53  # up to here a whole number is one of float's
_LAST = 253_402_300_799_999  # the end of the year 9999, in Unix milliseconds


def frame(
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[str],
    started_at: float,
    speed: int,
    kinds: Mapping[str, str] | None = None,
) -> pandas.DataFrame:
    """Rows with `at_s`, as a DataFrame with `at` before it.

    columns     all of them, whatever the rows have
    started_at  of the run, Unix seconds
    speed       schedule seconds for one real second
    kinds       the dtypes of columns that are not to be guessed

    Raises ImportError, one sentence, without pandas, ValueError for a time past the year 9999.
    """
    try:
        import pandas
    except ImportError:
        raise ImportError("to_pandas() needs pandas, an extra: pip install 'sm-locust[pandas]'") from None
    found = pandas.DataFrame([[row.get(column) for column in columns] for row in rows], columns=list(columns))
    found["at_s"] = found["at_s"].astype("float64")
    milliseconds = ((started_at + found["at_s"] / speed) * 1e3).round()
    if (milliseconds.abs() > _LAST).any():
        raise ValueError("at_s has a time of no calendar")
    found.insert(0, "at", pandas.to_datetime(milliseconds.astype("int64"), unit="ms", utc=True))
    return found.astype(dict(kinds or {}))


def read_timeline(path: Path) -> tuple[list[dict[str, Any]], list[str], dict[str, str]]:
    """The rows of a `timeline.csv`, its columns, and the dtypes of those that count. Raises OSError or ValueError."""
    with open(regular(path), encoding="utf-8", newline="") as file:
        try:
            header, *lines = csv.reader(file)
        except csv.Error as e:
            raise ValueError(e) from None
    if "at_s" not in header:
        raise ValueError(f"its columns are {','.join(header):.60}")
    rows = [{name: _cell(name, cell) for name, cell in zip(header, line, strict=True)} for line in lines]
    return rows, header, {name: "int64" for name in header if _counts(name)}


def _counts(column: str) -> bool:
    """Whether a column of the timeline holds whole numbers."""
    return column not in ("at_s", "planned") and not column.endswith("_ms")


def _cell(column: str, cell: str) -> float | None:
    """A cell of the timeline. Raises ValueError for what is none."""
    if not cell and column.endswith("_ms"):  # nothing was answered
        return None
    value = float(cell or "nan")
    if not math.isfinite(value) or (_counts(column) and (value % 1 or abs(value) >= _EXACT)):
        raise ValueError(f"{column} {cell!r} is not a {'count' if _counts(column) else 'number'}")
    return value
