"""Wakes automatic scaling at the end of each of CloudWatch's periods, on the wall clock, while the server runs.

What it then decides is autoscaling's.
"""

from __future__ import annotations

import asyncio
import logging
import time

from sm_locust.local.autoscaling import AutoScaling
from sm_locust.target_tracking import PERIOD

# After a period's end: a timer may ring a little early, and a request that arrived within it may still be on its way
# through the loop.
AFTER = 0.01


class Controller:
    """Periods start at whole multiples of 60 / speed Unix seconds, as CloudWatch's do."""

    def __init__(self, autoscaling: AutoScaling, speed: int) -> None:
        self._autoscaling = autoscaling
        self._period = PERIOD // speed

    def next_tick(self, now: float) -> float:
        """When the period that holds `now` is over."""
        return (now // self._period + 1) * self._period

    async def run(self) -> None:
        """Ticks until cancelled. A tick that fails is logged, and the next one comes."""
        due = self.next_tick(time.time())
        while True:
            await asyncio.sleep(due + AFTER - time.time())
            try:
                self._autoscaling.tick(max(time.time(), due))
            except Exception:
                logging.getLogger(__name__).exception("automatic scaling failed at %s", due)
            due = max(due + self._period, self.next_tick(time.time()))
