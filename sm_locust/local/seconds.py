"""What is counted by the second and read by the period: where it is kept, and the statistics that CloudWatch has.

What a second holds, and which samples of a metric are in it, is said by whoever counts.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

import numpy as np

KEPT = 3 * 3600
"""Seconds for which CloudWatch keeps data of periods under a minute; here, all of it."""

Row = TypeVar("Row")
Samples = np.ndarray[tuple[int], np.dtype[np.float64]]

_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d{1,10})?|100)")


class Seconds(Generic[Row]):
    """A row for each Unix second in which there was something to count; `new` makes an empty one."""

    def __init__(self, new: Callable[[], Row]) -> None:
        self._new = new
        self._rows: dict[int, Row] = {}

    def __bool__(self) -> bool:
        return bool(self._rows)

    def row(self, second: int) -> Row:
        """That second's, which it has from now on; those that are too old are forgotten."""
        row = self._rows.get(second)
        if row is None:
            row = self._rows[second] = self._new()
            while (oldest := next(iter(self._rows))) < second - KEPT:
                del self._rows[oldest]
        return row

    def find(self, second: int) -> Row | None:
        return self._rows.get(second)

    def all(self) -> Iterable[tuple[int, Row]]:
        """In order of time."""
        return sorted(self._rows.items(), key=lambda item: item[0])

    def points(
        self,
        samples: Callable[[list[Row]], Samples],
        reduce: Callable[[Samples], float],
        period: int,
        start: float,
        end: float,
        *,
        now: float,
    ) -> list[tuple[int, float]]:
        """(Unix second at which the period starts, value), oldest first, of the periods that have samples.

        Periods are whole multiples of `period` seconds; the first is the one that holds `start`, the last starts before
        `end` and is over at `now`.
        """
        if not self._rows:
            return []
        first = int(max(start, min(self._rows)) // period) * period
        points = []
        for at in range(first, math.ceil(end), period):
            if at + period > now:
                break
            rows = [self._rows[second] for second in range(at, at + period) if second in self._rows]
            if rows and len(found := samples(rows)):
                points.append((at, reduce(found)))
        return points


def reduction(statistic: str) -> Callable[[Samples], float]:
    """What makes one value of a period's samples.

    Raises ValueError for a statistic that is none of Sum, Average, SampleCount, Minimum, Maximum and p0 to p100.
    """
    match statistic:
        case "Sum":
            return lambda samples: float(samples.sum())
        case "Average":
            return lambda samples: float(samples.mean())
        case "SampleCount":
            return lambda samples: float(len(samples))
        case "Minimum":
            return lambda samples: float(samples.min())
        case "Maximum":
            return lambda samples: float(samples.max())
    if not _PERCENTILE.fullmatch(statistic):
        raise ValueError(
            f"statistic {statistic!r}: must be Sum, Average, SampleCount, Minimum, Maximum or a percentile (p99.9)"
        )
    share = float(statistic[1:]) / 100
    return lambda samples: _nearest_rank(samples, share)


def _nearest_rank(samples: Samples, share: float) -> float:
    # Rounded first, or the 99.9th percentile of 1,000 would be the largest of them.
    rank = max(math.ceil(round(share * len(samples), 9)), 1) - 1
    return float(np.partition(samples, rank)[rank])
