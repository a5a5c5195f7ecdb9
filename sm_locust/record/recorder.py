"""Counts what a process does, second by second, and hands out what has not been shipped yet.

An Outcome belongs to the second in which it was scheduled. What ends after its second was shipped becomes a further
interval of that second: a delta. Who ships, and where to, is the plugin's business.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import Any

from sm_locust.record.interval import ARRIVALS, DROPPED, DUE, FURTHER, Interval
from sm_locust.record.outcome import CANCELLED, OK, Outcome

FAILURES_KEPT = 20  # of each kind: enough to see what went wrong, never enough to fill a disk


class Recorder:
    """The counters of one process.

    boundaries  real seconds at which a phase begins or ends: an interval never spans one
    """

    def __init__(self, boundaries: Iterable[float] = ()) -> None:
        # Only boundaries within a second need a look-up; the reference experiment has none.
        self._cuts = sorted(b for b in boundaries if b != int(b))
        self._open: dict[tuple[float, str], Interval] = {}
        self._failures: list[dict[str, Any]] = []
        self._failures_seen: dict[str, int] = {}
        self.sent = 0  # requests
        self.ended = 0

    def second_of(self, at: float) -> float:
        """The start of the interval that a moment belongs to."""
        second = at // 1.0 if at >= 0.0 else 0.0
        if self._cuts:
            i = bisect_right(self._cuts, at)
            if i and self._cuts[i - 1] > second:
                return self._cuts[i - 1]
        return second

    def _interval(self, at: float, name: str) -> Interval:
        key = (self.second_of(at) if self._cuts or at < 0.0 else at // 1.0, name)  # no call where none is needed
        interval = self._open.get(key)
        if interval is None:
            interval = self._open[key] = Interval(*key)
        return interval

    def arrived(self, scheduled_at: float) -> None:
        """An arrival was raised and is being sent: its first request is."""
        self._interval(scheduled_at, ARRIVALS).add(DUE)
        self.sent += 1

    def further(self, scheduled_at: float) -> None:
        """Another request of an arrival whose requests before have all been recorded is being sent."""
        self._interval(scheduled_at, ARRIVALS).add(FURTHER)
        self.sent += 1

    def dropped(self, scheduled_at: float, reason: str) -> None:
        """An arrival was raised and is not sent, because of `reason`."""
        interval = self._interval(scheduled_at, ARRIVALS)
        interval.add(DUE)
        interval.add(DROPPED + reason)

    def record(self, outcome: Outcome) -> None:
        """The one Outcome of a request that is being sent."""
        self._interval(outcome.scheduled_at, outcome.name).record(outcome)
        self.ended += 1
        if outcome.kind != OK and outcome.kind != CANCELLED:
            self._keep(outcome)

    def _keep(self, outcome: Outcome) -> None:
        seen = self._failures_seen.get(outcome.kind, 0)
        self._failures_seen[outcome.kind] = seen + 1
        if seen < FAILURES_KEPT:
            self._failures.append(
                {
                    "at": round(outcome.ended_at, 6),
                    "kind": outcome.kind,
                    "name": outcome.name,
                    "status": outcome.status,
                    "request_id": outcome.request_id,
                    "message": outcome.message,
                }
            )

    @property
    def in_flight(self) -> int:
        """Requests sent whose Outcome has not been recorded."""
        return self.sent - self.ended

    def take(self, before: float | None = None) -> list[Interval]:
        """Removes and returns what was counted for seconds that began before `before` (all of them by default)."""
        keys = [key for key in self._open if before is None or key[0] < before]
        return [self._open.pop(key) for key in sorted(keys)]

    def take_failures(self) -> list[dict[str, Any]]:
        """Removes and returns the failures kept since the last call: at (real seconds), kind, name, status, request_id,
        message."""
        failures, self._failures = self._failures, []
        return failures
