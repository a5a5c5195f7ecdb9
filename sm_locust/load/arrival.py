"""One arrival that is being sent: when its requests are due, and how what became of them adds up to one Outcome."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from sm_locust.record.outcome import OK, Outcome

Class = TypeVar("Class")  # of the users whose arrival it is


class Arrival(Generic[Class]):
    """What a user's task is run for.

    A run of a scenario records each of its requests as it ends; then the arrival goes on as the next one.

    user_class    whose task it is
    scheduled_at  when the schedule wanted it, seconds of the run
    started_at    when its task began; None while it waits for its turn
    outcome       of the requests that have ended so far; of the last one where each is recorded
    owed          whether a request of it is counted as sent whose Outcome has not been recorded
    prepared      seconds that `on_start` of its user took; 0 for a user that had been started before
    playing       whether a scenario is being run for it
    in_pause      whether that waits between two requests, or was ended there
    """

    __slots__ = ("_claimed", "_now", "in_pause", "outcome", "owed", "playing", "prepared", "scheduled_at",
                 "started_at", "user_class")  # fmt: skip

    def __init__(self, user_class: type[Class], scheduled_at: float, now: Callable[[], float]) -> None:
        self.user_class = user_class
        self.scheduled_at = scheduled_at
        self.started_at: float | None = None
        self.outcome: Outcome | None = None
        self.owed = True
        self.prepared = 0.0
        self.playing = self.in_pause = False
        self._claimed = False
        self._now = now

    def claim(self) -> float:
        """When the next request of this arrival is scheduled: the first as it was itself, later ones at once."""
        if self._claimed:
            return self._now()
        self._claimed = True
        return self.scheduled_at

    def renew(self, scheduled_at: float) -> None:
        """Another request of it is sent, after the ones before have been recorded."""
        self.scheduled_at = scheduled_at
        self.started_at = None
        self.outcome = None
        self.owed = True

    def answered(self, outcome: Outcome) -> None:
        """A request of this arrival ended. An arrival of several requests lasts until the last and fails with any."""
        first = self.outcome
        if first is None:
            self.outcome = outcome
            return
        told = first if first.kind != OK else outcome  # whose end is that of the arrival
        # A new one: the task and Locust's listeners hold on to those of the requests.
        self.outcome = Outcome(
            first.name,
            first.scheduled_at,
            first.started_at,
            first.first_byte_at,
            outcome.ended_at,
            told.kind,
            told.status,
            first.received + outcome.received,
            first.connected,
            message=told.message,
            request_id=lambda: told.request_id,
        )
