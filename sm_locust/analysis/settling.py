"""When CloudWatch has said all that it will say of a run: the rule, look by look.

Asking is the watch's; here is only the decision. Source: CloudWatch's SageMaker metrics come two to three minutes after
their period (Amazon SageMaker Developer Guide, Monitor with CloudWatch); the margins are ours.
"""

from __future__ import annotations

import math

# Schedule seconds after the end of the load's last period.
SETTLED_AFTER = 240.0  # what has stopped changing by then is taken for complete
PATIENCE = 300.0  # for what is still missing or unreadable


class Settling:
    """Tells from one look to the next whether to look again.

    answered  requests of ours that were answered, well or not
    ended_at  Unix seconds of the end of the load
    period    real seconds of a CloudWatch period
    speed     schedule seconds for one real second
    """

    def __init__(self, answered: int, ended_at: float, period: float, speed: int) -> None:
        self.settled = False  # whether all of it came, as far as anybody can know
        self._answered = answered
        self._period = period
        self._speed = speed
        self._published = math.ceil(ended_at / period) * period  # nothing of the last period is told before it ends
        self._counted = -1
        self._changed_at = ended_at

    def look(self, now: float, counted: int, *, reaches_the_end: bool, readable: bool) -> bool:
        """Takes in one look; says whether it was the last.

        now              Unix seconds
        counted          invocations that CloudWatch has counted so far
        reaches_the_end  whether the period of the last request of ours has a count
        readable         whether CloudWatch answered
        """
        if counted != self._counted:
            self._changed_at, self._counted = now, counted
        late = self._late(now)
        still = now - self._changed_at >= max(2.0, self._period)
        nothing_came = self._answered == 0  # and so nothing of ours will be counted
        whole = nothing_came or (reaches_the_end and counted >= self._answered)
        self.settled = whole or (still and late >= SETTLED_AFTER and readable)
        return self.settled or late >= PATIENCE

    def left(self, now: float) -> float:
        """Real seconds from `now`, Unix seconds, for which a look may still be followed by another."""
        return max(0.0, PATIENCE - self._late(now)) / self._speed

    def _late(self, now: float) -> float:
        """Schedule seconds since the load's last period ended."""
        return (now - self._published) * self._speed
