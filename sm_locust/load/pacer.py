"""Turns rates into arrivals at absolute times, whatever the target does.

`Stream` is the arithmetic: a rate that changes over time in, the moments of arrivals out. `Pacer` is the one timer of a
process that goes off at those moments and fires. What an arrival does, and whether it is sent or dropped, is the
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

# A timer is only set anew when an arrival would otherwise be later than this, in seconds.
_TOLERANCE = 0.0002

# What is owed after a stall is fired at once, but in turns of so many arrivals or seconds at most: answers are read
# in between.
_TURN = 50
_TURN_SECONDS = 0.005


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
        self._owed: deque[float] = deque()
        self.rate = 0.0  # arrivals a second from now on
        self.next_at = math.inf  # when the next arrival is due, in seconds of the run; infinity while the rate is 0

    def pop(self) -> float:
        """Takes the next arrival and returns its time."""
        taken = self.next_at
        if self._owed:
            self._owed.popleft()
            self._look_ahead()
        else:
            self._at = taken
            self._left = left = next(self._gaps)
            self.next_at = taken + left / self.rate
        return taken

    def set_rate(self, at: float, rate: float) -> None:
        """From `at` on the rate is `rate`. What was due before and not taken yet keeps its time."""
        if self.rate:
            while self._at + self._left / self.rate <= at:
                self._at += self._left / self.rate
                self._left = next(self._gaps)
                self._owed.append(self._at)
            self._left -= max(0.0, at - self._at) * self.rate
        self._at = max(at, self._at)
        self.rate = rate
        self._look_ahead()

    def _look_ahead(self) -> None:
        if self._owed:
            self.next_at = self._owed[0]
        else:
            self.next_at = self._at + self._left / self.rate if self.rate else math.inf


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
        self._timer: Any = None
        self._wakes_at = math.inf
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
            self._wake_at(stream.next_at)

    def stop(self) -> None:
        """Nothing is due after this moment; what was due before it and is late is still fired."""
        if not self._stopped:
            self._until = min(self._until, self._now())
            self._stopped = True
            while self._fire_due(self._until) < self._until:
                pass
            self._wake_at(math.inf)

    def end(self) -> float:
        """Nothing more is fired, not even what is late; says up to which moment all that was due has been."""
        due = min((stream.next_at for stream in self._streams.values()), default=math.inf)
        self._until, self._stopped = min(self._until, self._now(), due), True
        self._wake_at(math.inf)
        return self._until

    def _wake_at(self, at: float) -> None:
        """Sets the timer. It calls in the event loop itself: no greenlet is switched to only to look at the clock."""
        if self._timer is not None:
            self._timer.close()
            self._timer = None
        self._wakes_at = at if at < self._until else math.inf
        if self._wakes_at < math.inf:
            self._timer = gevent.get_hub().loop.timer(max(0.0, at - self._now()))
            self._timer.start(self._wake, update=True)

    def _wake(self) -> None:
        next_at = self._now()
        try:
            next_at = self._fire_due(next_at)
        finally:  # whatever goes wrong with an arrival, the ones after it are due all the same
            if not self._stopped:
                self._wake_at(next_at)

    def _fire_due(self, moment: float) -> float:
        """Fires what is due up to `moment`, in order, for one turn, and says when the next one is."""
        streams = self._streams
        if not streams:
            return math.inf
        turn_ends = self._now() + _TURN_SECONDS
        for _ in range(_TURN):
            key, stream = min(streams.items(), key=_next_at) if len(streams) > 1 else next(iter(streams.items()))
            next_at = stream.next_at
            if next_at > moment or next_at >= self._until:
                return next_at
            self._fire(key, stream.pop())
            if self._now() > turn_ends:
                break
        return min(stream.next_at for stream in streams.values())


def _next_at(entry: tuple[Any, Stream]) -> float:
    return entry[1].next_at
