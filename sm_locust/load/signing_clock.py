"""The clock that signatures are dated by: this machine's own, until AWS refuses it; from then on AWS's.

AWS refuses a signature whose date is more than five minutes from its own clock (IAM User Guide, Troubleshoot Signature
Version 4 signed requests, Credential expiration). Its answer carries a Date, which is taken over once: counted on from
there by the monotonic clock, no later step of this machine's clock moves it. Whoever is refused after that is refused
for another reason, or was suspended, and that ends a run.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from sm_locust.record.clock import unix_of

logger = logging.getLogger(__name__)

# Less than the five minutes: an answer is on its way for a while, and a Date has no fractions. AWS's SDK for Java
# takes the same four (software.amazon.awssdk.core.internal.retry.ClockSkewAdjuster).
OFF_BY = 240.0  # seconds

# No clock that is in use is wrong by so much: a Date that says so is not AWS's.
BELIEVED = 86_400.0  # seconds


class SigningClock:
    """One a process and run, shared by all that sign.

    now           Unix seconds to sign with
    corrected_by  seconds that were added to this machine's clock; None while it is taken as it is
    """

    __slots__ = ("_monotonic", "corrected_by", "now")

    def __init__(self, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.now = wall
        self.corrected_by: float | None = None
        self._monotonic = monotonic

    def refused(self, date: str) -> None:
        """An answer with this Date has refused a signature: takes its time over, if that is what it was refused for."""
        theirs = unix_of(date)
        if theirs is None or self.corrected_by is not None:
            return
        ahead = theirs - self.now()
        if not OFF_BY <= abs(ahead) <= BELIEVED:
            return
        monotonic, ours_then = self._monotonic, self._monotonic()
        self.now = lambda: theirs + monotonic() - ours_then
        self.corrected_by = ahead
        logger.warning(
            "AWS refuses signatures because this machine's clock is %s AWS's: from now on they are dated by AWS's; "
            "set the clock (NTP), since other calls to AWS are not corrected and go on being refused",
            apart(ahead),
        )


def apart(ahead: float) -> str:
    """How this machine's clock stands to AWS's, which is `ahead` seconds ahead: "612 s behind", "612 s ahead of"."""
    return f"{abs(ahead):,.0f} s {'behind' if ahead > 0 else 'ahead of'}"
