"""The plan of a run: phases of arrivals a second, and what they add up to.

Pure arithmetic on numbers. Reading the phases from a file is config's, following them through time is the shape's and
the pacer's. A Schedule is in real seconds: `at_speed` shortens it, and no rate is ever rescaled.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from itertools import accumulate
from typing import Any

SPEEDS = (1, 2, 3, 6, 12, 60)  # a schedule minute lasts 60 / speed real seconds: always a whole number of them


@dataclass(frozen=True)
class Phase:
    """A stretch of the plan whose rate is constant, or changes linearly.

    name          what the reports call it
    duration      seconds, more than 0
    arrival_rate  arrivals a second at its start, 0 or more
    ramp_to       arrivals a second at its end; None keeps the rate constant
    judge         False keeps it out of SLO, capacity and stop rules

    Raises ValueError for anything else.
    """

    name: str
    duration: float
    arrival_rate: float
    ramp_to: float | None = None
    judge: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise ValueError(f"Phase name: {self.name!r} is not accepted: a text that is not empty")
        _require(
            _is_number(self.duration) and self.duration > 0, self, "duration", "a finite number of seconds, more than 0"
        )
        rate = "a finite number of arrivals a second, 0 or more"
        _require(_is_number(self.arrival_rate) and self.arrival_rate >= 0, self, "arrival_rate", rate)
        _require(self.ramp_to is None or (_is_number(self.ramp_to) and self.ramp_to >= 0), self, "ramp_to", rate)
        _require(isinstance(self.judge, bool), self, "judge", "True or False")

    @property
    def end_rate(self) -> float:
        """Arrivals a second at the end."""
        return self.arrival_rate if self.ramp_to is None else self.ramp_to

    @property
    def arrivals(self) -> float:
        """All arrivals of the phase."""
        return (self.arrival_rate + self.end_rate) / 2 * self.duration

    def rate(self, elapsed: float) -> float:
        """Arrivals a second, `elapsed` seconds into the phase (0 to duration)."""
        return self.arrival_rate + (self.end_rate - self.arrival_rate) * (elapsed / self.duration)

    def expected(self, elapsed: float) -> float:
        """Arrivals in the first `elapsed` seconds (0 to duration): the area under a straight line.

        A rising rate is summed from the start, a falling one from the end. Every operation is then monotone, and so
        is the result, to the last bit: a plan never takes an arrival back.
        """
        slope = (self.end_rate - self.arrival_rate) / self.duration
        if slope >= 0:
            return min(elapsed * (self.arrival_rate + slope / 2 * elapsed), self.arrivals)
        left = self.duration - elapsed
        return max(self.arrivals - left * (self.end_rate - slope / 2 * left), 0.0)


@dataclass(frozen=True)
class Schedule:
    """The plan: `phases`, one after the other.

    Raises ValueError without any, or when their arrivals exceed every number.
    """

    phases: tuple[Phase, ...]

    def __init__(self, phases: Iterable[Phase]) -> None:
        object.__setattr__(self, "phases", tuple(phases))
        if not self.phases:
            raise ValueError("Schedule phases: () is not accepted: at least one Phase")
        for size in ("duration", "total"):
            if not math.isfinite(getattr(self, size)):
                raise ValueError(f"Schedule {size}: {getattr(self, size)} is not accepted: a finite number")

    @cached_property
    def boundaries(self) -> tuple[float, ...]:
        """Seconds at which each phase starts, and the end: one more than there are phases."""
        return tuple(accumulate((phase.duration for phase in self.phases), initial=0.0))

    @cached_property
    def _arrivals_before(self) -> tuple[float, ...]:
        return tuple(accumulate((phase.arrivals for phase in self.phases), initial=0.0))

    @property
    def duration(self) -> float:
        """Seconds from start to end."""
        return self.boundaries[-1]

    @property
    def total(self) -> float:
        """All arrivals."""
        return self._arrivals_before[-1]

    @property
    def peak(self) -> float:
        """The most arrivals a second."""
        return max(max(phase.arrival_rate, phase.end_rate) for phase in self.phases)

    def _index_at(self, t: float) -> int | None:
        return bisect_right(self.boundaries, t) - 1 if 0 <= t < self.duration else None

    def phase_at(self, t: float) -> Phase | None:
        """The phase at second t; at a boundary the one that begins. None before the start and from the end on."""
        index = self._index_at(t)
        return None if index is None else self.phases[index]

    def rate(self, t: float) -> float:
        """Arrivals a second at second t, continuous from the right; 0 before the start and from the end on."""
        index = self._index_at(t)
        return 0.0 if index is None else self.phases[index].rate(t - self.boundaries[index])

    def expected(self, t: float) -> float:
        """Arrivals from the start to second t: the integral of `rate`, exact, from 0 to `total`."""
        index = self._index_at(t)
        if index is None:
            return 0.0 if t < 0 else self.total
        phase, elapsed = self.phases[index], t - self.boundaries[index]
        return self._arrivals_before[index] + phase.expected(min(elapsed, phase.duration))

    def crossing(self, rate: float) -> float | None:
        """The first second at which the plan reaches `rate` arrivals a second, or None if it never does."""
        for start, phase in zip(self.boundaries, self.phases, strict=False):
            if phase.arrival_rate >= rate:
                return start
            if phase.end_rate >= rate:
                rise = (rate - phase.arrival_rate) / (phase.end_rate - phase.arrival_rate)
                return start + phase.duration * rise
        return None

    def at_speed(self, speed: int) -> Schedule:
        """The same rates in 1/speed of the time, and so 1/speed of the arrivals. ValueError unless in SPEEDS."""
        if speed not in SPEEDS:
            accepted = ", ".join(map(str, SPEEDS))
            raise ValueError(f"speed: {speed!r} is not accepted: one of {accepted}")
        return Schedule(replace(phase, duration=phase.duration / speed) for phase in self.phases)

    def as_dicts(self) -> list[dict[str, str | float | bool | None]]:
        """The phases as primitives, for run.json and for messages."""
        return [asdict(phase) for phase in self.phases]

    @classmethod
    def from_dicts(cls, phases: Iterable[Mapping[str, Any]]) -> Schedule:
        """What `as_dicts` gave, again; what another version says of a phase besides is passed over."""
        known = {field.name for field in fields(Phase)}
        return cls(Phase(**{key: value for key, value in phase.items() if key in known}) for phase in phases)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _require(accepted: bool, phase: Phase, field: str, what: str) -> None:
    if not accepted:
        raise ValueError(f"Phase {phase.name!r} {field}: {getattr(phase, field)!r} is not accepted: {what}")
