"""How many requests took how long, and when: the counts behind a heat map of latency."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from sm_locust.analysis.minutes import Span
from sm_locust.record.histogram import middle_us

PER_DECADE = 12  # bands of latency: each 21% above the one below


@dataclass(frozen=True, slots=True)
class Heat:
    """at_s     edges of the columns, schedule seconds: one more than there are
    bands    edges of the rows, seconds of latency: one more than there are, each 10^(1/PER_DECADE) times the one below
    counts   requests by row and column
    """

    at_s: tuple[float, ...]
    bands: tuple[float, ...]
    counts: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, spans: Sequence[Span]) -> Heat | None:
        """Latency from the schedule. None where nothing was answered.

        spans  one after the other, without a gap
        """
        columns: list[dict[int, int]] = []
        for span in spans:
            column: dict[int, int] = {}
            for bucket, n in span.requests.latency.counts.items():
                band = _band(bucket)
                column[band] = column.get(band, 0) + n
            columns.append(column)
        found = [band for column in columns for band in column]
        if not found:
            return None
        low, high = min(found), max(found)
        last = spans[-1]
        return cls(
            at_s=(*(span.at_s for span in spans), round((last.start + last.seconds) * last.speed, 6)),
            bands=tuple(10 ** (band / PER_DECADE) / 1e6 for band in range(low, high + 2)),
            counts=tuple(tuple(column.get(band, 0) for column in columns) for band in range(low, high + 1)),
        )


@cache  # of the few thousand buckets there are
def _band(bucket: int) -> int:
    return math.floor(math.log10(middle_us(bucket)) * PER_DECADE + 1e-9)
