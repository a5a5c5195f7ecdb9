"""Turns rates into arrivals at absolute times, whatever the target does.

`Stream` is the arithmetic: a rate that changes over time in, the moments of arrivals out. `Pacer` is the one greenlet a
process that waits for those moments and fires. What an arrival does, and whether it is sent or dropped, is the
generator's business.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Callable, Iterator
from itertools import repeat
from typing import Any, Generic, TypeVar

import gevent

# Two processes, or two classes in one, that start in step would fire at the same moments for ever. Each starts at
# another point of its first gap; multiples of the golden ratio spread any number of them (Weyl's sequence).
_GOLDEN = (math.sqrt(5) - 1) / 2

# A sleeping pacer is only woken when an arrival would otherwise be later than this, in seconds.
_TOLERANCE = 0.0002


def even() -> Iterator[float]:
    """Gaps of arrivals that are evenly spaced, in units of the mean gap."""
    return repeat(1.0)


def poisson(seed: int | None) -> Iterator[float]:
    """Gaps of a Poisson process (exponential, mean 1), repeatable for a given seed."""
    source = random.Random(seed)
    while True:
        yield source.expovariate(1.0)


class Stream:
    """Arrivals of a rate that changes over time: the next one is where the integral of the rate has grown by a gap.

    So a ramp of rates, however it is cut into steps, gives neither fewer nor more arrivals than its integral, and a
    change of rate in the middle of a gap stretches or shrinks only the rest of that gap.

    gaps   how much the integral grows from one arrival to the next (mean 1)
    phase  how much of the first gap has passed at the start, 0 to 1
    """

    def __init__(self, gaps: Iterator[float], phase: float = 0.5) -> None:
        self._gaps = gaps
        self._left = next(gaps) * (1.0 - phase)  # of the gap, at `_at`
        self._at = 0.0
        self._rate = 0.0
        self._owed: deque[float] = deque()

    @property
    def rate(self) -> float:
        """Arrivals a second from now on."""
        return self._rate

    @property
    def next_at(self) -> float:
        """When the next arrival is due, in seconds of the run; infinity while the rate is 0."""
        if self._owed:
            return self._owed[0]
        return self._at + self._left / self._rate if self._rate else math.inf

    def pop(self) -> float:
        """Takes the next arrival and returns its time."""
        if self._owed:
            return self._owed.popleft()
        self._at += self._left / self._rate
        self._left = next(self._gaps)
        return self._at

    def set_rate(self, at: float, rate: float) -> None:
        """From `at` on the rate is `rate`. What was due before and not taken yet keeps its time."""
        if self._rate:
            while self._at + self._left / self._rate <= at:
                self._at += self._left / self._rate
                self._left = next(self._gaps)
                self._owed.append(self._at)
            self._left -= max(0.0, at - self._at) * self._rate
        self._at = max(at, self._at)
        self._rate = rate


Key = TypeVar("Key")


class Pacer(Generic[Key]):
    """Fires the arrivals of several streams, each under its key, at their times.

    A late arrival is fired at once; none is skipped and none is fired before its time.

    until  nothing is due from then on
    now    seconds since the start of the run
    fire   called as fire(key, scheduled_at) for each arrival; must not block
    gaps   makes the gaps of a new stream, from its number in this process
    offset a number of this process's own, so that processes do not fire in step
    """

    def __init__(
        self,
        now: Callable[[], float],
        fire: Callable[[Key, float], None],
        gaps: Callable[[int], Iterator[float]],
        until: float = math.inf,
        offset: int = 0,
    ) -> None:
        self._now = now
        self._fire = fire
        self._gaps = gaps
        self._offset = offset
        self._until = until
        self._streams: dict[Key, Stream] = {}
        self._wakes_at = math.inf
        self._turn = 0  # which greenlet is the pacer; an older one ends when it wakes
        self._stopped = False

    def set_rate(self, key: Key, rate: float) -> None:
        """From now on, or from the start of the run where that is still to come, `rate` arrivals a second."""
        if self._stopped:
            return
        stream = self._streams.get(key)
        if stream is None:
            n = len(self._streams)
            stream = self._streams[key] = Stream(self._gaps(n), (0.5 + (self._offset + n) * _GOLDEN) % 1.0)
        stream.set_rate(min(max(0.0, self._now()), self._until), rate)
        if stream.next_at < self._wakes_at - _TOLERANCE:
            # Sleeping past what has just become the next arrival: another greenlet takes over.
            self._turn += 1
            self._wakes_at = stream.next_at
            gevent.spawn(self._pace, self._turn)

    def stop(self) -> None:
        """Nothing is due after this moment; what was due before it and is late is still fired."""
        if not self._stopped:
            self._until = min(self._until, self._now())
            self._stopped = True
            self._fire_due(self._until)
            self._turn += 1

    def _pace(self, turn: int) -> None:
        while True:
            next_at = self._fire_due(self._now())
            self._wakes_at = next_at
            if next_at >= self._until:
                self._wakes_at = math.inf
                return
            gevent.sleep(max(0.0, next_at - self._now()))
            if turn != self._turn:
                return

    def _fire_due(self, moment: float) -> float:
        """Fires all that is due up to `moment`, in order, and says when the next one is."""
        while self._streams:
            key, stream = min(self._streams.items(), key=_next_at)
            next_at = stream.next_at
            if next_at > moment or next_at >= self._until:
                return next_at
            self._fire(key, stream.pop())
        return math.inf


def _next_at(entry: tuple[Any, Stream]) -> float:
    return entry[1].next_at
