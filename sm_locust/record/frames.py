"""What a run folder holds as DataFrames of pandas, for notebooks. pandas is an extra, imported when it is asked for.

Each row says when it was twice: `at`, a UTC timestamp, and `at_s`, seconds of the schedule since the run's start.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas


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
