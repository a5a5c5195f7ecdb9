"""What a worker ships, as its master takes it: looked at as a whole before anything of it is counted.

Whoever reaches the master's port can send one, and a ledger with a line that nobody can read is no ledger any more. So
what none of ours has sent is refused here, in a few words. Which are new is master_side's, what they mean Active's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sm_locust.record.interval import HISTOGRAMS
from sm_locust.record.ledger import Sample, read_failure, read_interval

MOST = 1e9  # in flight, cores of a CPU, seconds that a clock is wrong
LATE = 1800.0  # seconds that a process may be ahead of its master: a machine that slept has stopped its own clock

_INTERVAL = frozenset({"second", "name", "counts", "received", *HISTOGRAMS})
_FAILURE = frozenset({"at", "kind", "name", "status", "request_id", "message"})


class Malformed(ValueError):
    """A message that none of ours has sent; its text says in a few words why."""


@dataclass(frozen=True, slots=True)
class Shipped:
    """One shipment; intervals and failures as a line of the folder has them, the rest as Shipment has it."""

    sample: Sample
    intervals: list[dict[str, Any]]
    failures: list[dict[str, Any]]
    clock_ahead: float | None
    payloads_failed: str
    cut_short: int

    @classmethod
    def of(cls, worker: str, data: Mapping[str, Any], now: float) -> Shipped:
        """now  real seconds of the run. Raises Malformed."""
        latest = now + LATE
        intervals, failures = field(data, "intervals", list), field(data, "failures", list)
        try:
            for row in intervals:
                if read_interval(_of(row, _INTERVAL)).second > latest:
                    raise Malformed(f"second {row['second']:g} is not over yet")
            for row in failures:
                read_failure(_of(row, _FAILURE))
        except KeyError as e:
            raise Malformed(f"no {e}") from None
        except Malformed:
            raise
        except ValueError as e:
            raise Malformed(str(e)) from None
        cpu, ahead, at = _or_none(data, "cpu"), _or_none(data, "clock_ahead"), number(data, "at")
        in_flight, cut_short = field(data, "in_flight", int), field(data, "cut_short", int)
        for value in (in_flight, cut_short, cpu or 0.0, abs(ahead or 0.0)):
            if not 0 <= value <= MOST:
                raise Malformed(f"{value:g} of something that it has: 0 to {MOST:g}")
        if abs(at) > latest:
            raise Malformed(f"at {at:g} is not over yet")
        sample = Sample(at, worker, in_flight, cpu)
        return cls(sample, intervals, failures, ahead, field(data, "payloads_failed", str), cut_short)


def field(data: Mapping[str, Any], key: str, kind: type) -> Any:
    """A value of a message. Raises Malformed where it is missing or of another type."""
    found = data.get(key)
    if not isinstance(found, kind) or isinstance(found, bool):
        raise Malformed(f"{key} {found!r:.60} is no {kind.__name__}")
    return found


def number(data: Mapping[str, Any], key: str) -> float:
    found = data.get(key)
    if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
        raise Malformed(f"{key} {found!r:.60} is no number")
    return float(found)


def _or_none(data: Mapping[str, Any], key: str) -> float | None:
    return None if key in data and data[key] is None else number(data, key)


def _of(row: object, keys: frozenset[str]) -> dict[str, Any]:
    if not isinstance(row, dict) or not row.keys() <= keys:
        raise Malformed(f"{row!r:.60} is none of its lines")
    return row
