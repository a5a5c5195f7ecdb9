"""How many instances were in service when, as they were seen: the one place where events become a level."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

from sm_locust.record.observation import ScalingEvent


class InService:
    """events  in order of time; those that say no number are passed over"""

    def __init__(self, events: Iterable[ScalingEvent]) -> None:
        told = [(event.at_s, event.in_service, event.event) for event in events if event.in_service is not None]
        self._at = [at_s for at_s, _, _ in told]
        self._levels = [level for _, level, _ in told]
        # A first sample holds for the time before it, too; what was noted as a change does not.
        self._first = self._levels[0] if told and not told[0][2] else None

    def __bool__(self) -> bool:
        return bool(self._at)

    def at(self, at_s: float) -> int | None:
        """As last said by then, in schedule seconds; None where nothing was."""
        index = bisect_right(self._at, at_s) - 1
        return self._first if index < 0 else self._levels[index]

    def during(self, start_s: float, until_s: float) -> int | None:
        """The level from one schedule second to, and without, another; None where it changed, or is not known."""
        level, until = self.at(start_s), until_s - 1e-6
        changes = self._levels[bisect_right(self._at, start_s) : bisect_right(self._at, until)]
        return level if all(each == level for each in changes) else None
