"""What a run folder holds as DataFrames of pandas, for notebooks. pandas is an extra, imported when it is asked for.

Each row says when it was twice: `at`, a UTC timestamp, and `at_s`, seconds of the schedule since the run's start.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

from sm_locust.record.disk import regular
from sm_locust.record.run import CLOUDWATCH, COLUMNS, SCALING, TIMELINE, Run, RunError, started_at

if TYPE_CHECKING:
    import pandas

Table = Literal["timeline", "cloudwatch", "scaling", "failures"]

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


def of(run: Run, table: Table) -> pandas.DataFrame:
    """One of a folder's tables: `Run.to_pandas`, which says what each has and what is raised."""
    kinds: dict[str, str] = {}
    rows: list[dict[str, Any]]
    if table == "timeline":
        rows, columns = _timeline(run)
        kinds = {name: "int64" for name in columns if _counts(name)}
    elif table == "cloudwatch":
        columns = list(COLUMNS[CLOUDWATCH])
        rows = [{column: getattr(found, column) for column in columns} for found in run.observations()]
    elif table == "scaling":
        columns, kinds = list(COLUMNS[SCALING]), {"desired": "Int64", "in_service": "Int64"}
        rows = [{column: getattr(found, column) for column in columns} for found in run.scaling_events()]
    elif table == "failures":
        columns = ["at_s", "worker", "kind", "name", "status", "request_id", "message"]
        rows = sorted(({**row, "at_s": row["at"] * run.speed} for row in run.failures()), key=lambda row: row["at_s"])
    else:
        raise ValueError(f"to_pandas({table!r}) is not accepted: one of {', '.join(get_args(Table))}")
    began = started_at(run.folder, run.meta)
    try:
        return frame(rows, columns, began, run.speed, kinds)
    except (ValueError, TypeError, OverflowError) as e:  # such as a time that pandas has no date for
        raise RunError(f"{run.folder}: its {table} is no table: {' '.join(str(e).split()):.200}") from None


def _timeline(run: Run) -> tuple[list[dict[str, Any]], list[str]]:
    path = run.folder / TIMELINE
    try:
        with open(regular(path), encoding="utf-8", newline="") as file:
            header, *lines = csv.reader(file)
            if "at_s" not in header:
                raise ValueError(f"its columns are {','.join(header):.60}")
            return [
                {name: _cell(name, cell) for name, cell in zip(header, line, strict=True)} for line in lines
            ], header
    except FileNotFoundError:
        again = f"sm-locust summarize {run.folder} writes it"
        raise RunError(f"{run.folder}: {TIMELINE} is missing; {again}") from None
    except (OSError, ValueError, csv.Error) as e:
        raise RunError(f"{path}: not a timeline: {e}") from None


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
