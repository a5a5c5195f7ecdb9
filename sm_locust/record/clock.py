"""The clock of a run, and how a worker's clock is mapped to the master's: the only wall ↔ schedule conversion there is.

Everything in a run is said in seconds since its start, on a monotonic clock; wall-clock time appears only where the
outside world needs it (CloudWatch, run.json).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


class RunClock:
    """Seconds since the start of the run.

    origin      this process's monotonic clock at the start of the run
    started_at  the wall clock at that moment, Unix seconds
    speed       schedule seconds for one real second
    """

    __slots__ = ("_monotonic", "_wall", "origin", "speed", "started_at")

    def __init__(
        self,
        origin: float,
        started_at: float,
        speed: int = 1,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.origin = origin
        self.started_at = started_at
        self.speed = speed
        self._monotonic = monotonic
        self._wall = wall

    @classmethod
    def start(cls, speed: int = 1) -> RunClock:
        """A clock that starts now."""
        return cls(time.monotonic(), time.time(), speed)

    def start_on_the_next_second(self) -> None:
        """Moves the start to the next whole second of the wall clock; until then `now` is below 0.

        A second of the run is then a second of the wall clock, so CloudWatch's periods are whole numbers of ours.
        """
        now, wall = self._monotonic(), self._wall()
        self.started_at = float(math.ceil(wall))
        self.origin = now + self.started_at - wall

    def now(self) -> float:
        """Real seconds since the start of the run."""
        return self._monotonic() - self.origin

    def wall(self, at: float) -> float:
        """Unix seconds of a moment of the run."""
        return self.started_at + at

    def at(self, wall: float) -> float:
        """The moment of the run (real seconds) of a Unix time."""
        return wall - self.started_at

    def at_s(self, at: float) -> float:
        """Schedule seconds of a moment of the run: what the run folder's `at_s` holds."""
        return at * self.speed


class ClockOffset:
    """How far another machine's monotonic clock is ahead of ours, from exchanges of messages.

    As NTP does it (RFC 5905, clock filter): the exchange with the shortest round trip bounds the error best, by half of
    that round trip. Clocks that are no further apart than this error are taken for one, as those of two processes of a
    machine are: a machine that is busy answers unevenly, and a worker that believed it would begin before its run.
    """

    __slots__ = ("offset", "round_trip")

    def __init__(self) -> None:
        self.offset: float | None = None
        self.round_trip = float("inf")

    def observe(self, sent: float, theirs: float, received: float) -> None:
        """We sent at `sent`, they answered at `theirs` on their clock, we had the answer at `received`."""
        round_trip = received - sent
        if 0 <= round_trip < self.round_trip:
            self.round_trip = round_trip
            offset = theirs - (sent + received) / 2
            self.offset = offset if abs(offset) > round_trip / 2 else 0.0


def iso(wall: float) -> str:
    """Unix seconds as ISO 8601, UTC, milliseconds."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(wall)) + f".{int(wall % 1 * 1000):03d}Z"


def unix(text: str) -> float:
    """The inverse of `iso`. Raises ValueError for what is none."""
    return datetime.fromisoformat(text).timestamp()


def unix_of(date: str) -> float | None:
    """Unix seconds of an answer's Date; None for what is none. One without a zone is UTC (RFC 9110, 5.6.7)."""
    try:
        at = parsedate_to_datetime(date)
        return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None


def ahead(date: str, received: float) -> float | None:
    """Seconds that the clock of who gave an answer this Date is ahead of ours, which said `received`; None without."""
    theirs = unix_of(date)
    return None if theirs is None else theirs + 0.5 - received  # the middle of the second that it names
