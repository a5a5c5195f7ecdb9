"""The keys that a process signs with, renewed in good time: how often their source is asked, what is said if it fails.

botocore renews what expires, but only when somebody asks it, and not before the last 15 minutes of the keys' life. So
it is asked when those begin, and then at half of what is left. Keys in use stay in use while the source fails: they may
be good for a while. Asking beside the load is signers', what keys there are is aws's.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable

from sm_locust.aws.runtime import Keys

logger = logging.getLogger(__name__)

AT_LEAST, AT_MOST = 1.0, 60.0  # seconds from one question to the next
WINDOW = 15 * 60.0  # before the keys' end; botocore renews none that are good for longer
EARLIER = 0.2  # of a pause, at most, by chance: processes that began together do not ask together
SAY_AGAIN = 60.0  # seconds for which a source that still fails is not mentioned again


def pause(left: float | None, failures: int, chance: float) -> float:
    """Seconds until the source is asked again.

    left      seconds until the keys expire; None where they do not say
    failures  how often in a row the source has failed
    chance    from 0 to 1
    """
    if failures:
        wanted = 2.0 ** min(failures - 1, 6)
    elif left is None:
        wanted = AT_MOST
    else:
        wanted = left - WINDOW if left > WINDOW else left / 2
    return max(AT_LEAST, min(wanted, AT_MOST) * (1 - EARLIER * chance))


class Renewal:
    """Keys, and when to ask for new ones.

    ask     gives the keys of this moment; it may take a while, and raises whatever a source of credentials raises
    source  what botocore calls it, for the log
    now     Unix seconds
    chance  from 0 to 1, anew each time

    `Renewal(…)` asks for the first time, and lets through what is raised.
    """

    def __init__(
        self,
        ask: Callable[[], Keys],
        source: str,
        *,
        now: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._ask = ask
        self._source = source
        self._now = now
        self._chance = chance
        self._one_at_a_time = threading.Lock()
        self._failures = 0
        self._said_at = float("-inf")
        self.keys = ask()
        self._due_at = self._now() + pause(self._left(), 0, self._chance())

    @property
    def wait(self) -> float:
        """Seconds until the source should be asked again."""
        return max(0.0, self._due_at - self._now())

    def renew(self) -> None:
        """Asks the source; what it raises is logged, without its words: who knows what a source says when it fails."""
        with self._one_at_a_time:
            self._renew()

    def current(self) -> Keys:
        """The keys, for who has nobody to renew them beside: asks first when it is time to.

        Others go on with the keys in use meanwhile, unless those have expired: then they wait as well.
        """
        if self.wait == 0 and self._one_at_a_time.acquire(blocking=self._expired()):
            try:
                if self.wait == 0:  # who had to wait finds it done
                    self._renew()
            finally:
                self._one_at_a_time.release()
        return self.keys

    def _renew(self) -> None:
        try:
            self.keys = self._ask()
        except Exception as e:  # whatever a credential source raises
            self._failures += 1
            self._say(type(e).__name__)
        else:
            if self._failures:
                logger.info("the credentials (%s) have been renewed", self._source)
            self._failures, self._said_at = 0, float("-inf")
        self._due_at = self._now() + pause(self._left(), self._failures, self._chance())

    def _left(self) -> float | None:
        return None if self.keys.expires_at is None else self.keys.expires_at - self._now()

    def _expired(self) -> bool:
        left = self._left()
        return left is not None and left <= 0

    def _say(self, error: str) -> None:
        if self._now() - self._said_at < SAY_AGAIN:
            return
        self._said_at = self._now()
        left = self._left()
        if left is None:
            still = "those in use say nothing of their end"
        elif left > 0:
            still = f"those in use expire in {left:,.0f} s"
        else:
            still = "those in use have expired"
        logger.warning(
            "the credentials (%s) could not be renewed: %s; %s, and it is tried again", self._source, error, still
        )
