"""How much a planned load grows while help is on its way: the part of an instance's capacity that must stay free.

Pure arithmetic on a Schedule, exact at jumps and in ramps: no grid of seconds, between which a short spike would hide.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from sm_locust.schedule import Schedule

_SAME = 1e-6  # seconds: a boundary that was shifted by the lag and back again


@dataclass(frozen=True, slots=True)
class Growth:
    """The growth, within a time, that asks most of the instances. Rates are arrivals a second.

    at_s   schedule second before, or at, which it begins
    start  the rate then
    by     how much higher the load is at most within the time
    share  of what an instance sustains, that each of those which serve `start` gets more of
    """

    at_s: float
    start: float
    by: float
    share: float

    @classmethod
    def of(cls, schedule: Schedule, within_s: float, max_rps: float) -> Growth:
        """The growth with the largest share, the first of several.

        max_rps  what one instance sustains

        Up to `max_rps` it is as though all of the growth met one instance: a router does not share out evenly among
        few. Beyond it, those share it that are there at the least: `start` ÷ max_rps of them.
        """
        # Between these moments every difference is a straight line, and its share rises or falls all the way.
        moments = {0.0, *schedule.boundaries, *(at - within_s for at in schedule.boundaries)}
        moments.update(_crossings(schedule, max_rps))
        worst = cls(0.0, schedule.rate(0.0), 0.0, 0.0)
        for at_s in sorted(at for at in moments if 0 <= at <= schedule.duration):
            before, after = _sides(schedule, at_s)
            ahead = list(_ahead(schedule, at_s, within_s))
            # What the load falls from at a jump is no part of what follows it.
            for start, highest in ((before, max(before, after, *ahead)), (after, max(after, *ahead))):
                by = highest - start
                share = by / max(start, max_rps)
                if share > worst.share:
                    worst = cls(at_s, start, by, share)
        return worst


def _ahead(schedule: Schedule, at_s: float, within_s: float) -> Iterator[float]:
    """Rates among which the highest of a time is: at its end, and on both sides of each boundary inside."""
    until = at_s + within_s
    yield from _sides(schedule, until)
    bounds = schedule.boundaries
    for boundary in bounds[bisect_right(bounds, at_s) : bisect_right(bounds, until + _SAME)]:
        yield from _sides(schedule, boundary)


def _sides(schedule: Schedule, at_s: float) -> tuple[float, float]:
    """The rate just before a second, and from it on."""
    bounds = schedule.boundaries
    index = bisect_left(bounds, at_s) - 1
    if not 0 <= index < len(schedule.phases):
        return schedule.rate(at_s), schedule.rate(at_s)
    return schedule.phases[index].rate(at_s - bounds[index]), schedule.rate(at_s)


def _crossings(schedule: Schedule, rate: float) -> Iterator[float]:
    for start, phase in zip(schedule.boundaries, schedule.phases, strict=False):
        low, high = sorted((phase.arrival_rate, phase.end_rate))
        if low < rate < high:
            yield start + phase.duration * (rate - phase.arrival_rate) / (phase.end_rate - phase.arrival_rate)
