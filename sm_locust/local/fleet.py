"""The instances behind the endpoint: which of them serve, which are on their way, and who gets the next request.

Each instance is a queue of its own (`instance.py`). How many there should be is said by whoever scales; why is theirs.
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable

from sm_locust.local.instance import Instance
from sm_locust.local.settings import Settings

IN_SERVICE = "InService"
UPDATING = "Updating"


class Fleet:
    """Times named `now` are Unix seconds; those of arrivals are seconds on any other clock.

    A new instance serves after `provisioning_time` of the schedule, divided by `speed` in reality. An instance that is
    removed gets no more requests from then on; what it has accepted still leaves.
    """

    def __init__(self, settings: Settings, speed: int, clock: Callable[[], float] = time.time) -> None:
        """`clock` gives Unix seconds: an instance that is ready then serves, whoever asks."""
        self._settings = settings
        self._clock = clock
        self._provisioning = settings.provisioning_time / speed
        self._serving = [self._new() for _ in range(settings.instances)]
        self._coming: deque[float] = deque()  # when each is ready; in order, since all take the same time
        self._random = random.Random(settings.seed).random
        self._least_outstanding = settings.routing == "least-outstanding"
        self.created_at = self._modified_at = clock()

    def _new(self) -> Instance:
        return Instance(self._settings.workers, self._settings.service_time, self._settings.backlog)

    @property
    def in_service(self) -> int:
        if self._coming:
            self.advance(self._clock())
        return len(self._serving)

    @property
    def desired(self) -> int:
        return len(self._serving) + len(self._coming)

    @property
    def status(self) -> str:
        """DescribeEndpoint's EndpointStatus: Updating for as long as instances are provisioned."""
        return IN_SERVICE if self.in_service == self.desired else UPDATING

    @property
    def modified_at(self) -> float:
        """When the number of instances was last changed, or the last change was complete."""
        if self._coming:
            self.advance(self._clock())
        return self._modified_at

    def set_desired(self, instances: int, now: float) -> None:
        """Asks for this many. Raises ValueError below 1. Those on their way are cancelled before one that serves is
        removed."""
        if instances < 1:
            raise ValueError(f"instances {instances!r}: must be at least 1")
        self.advance(now)
        if instances == self.desired:
            return
        while self.desired < instances:
            self._coming.append(now + self._provisioning)
        while self.desired > instances:
            if self._coming:
                self._coming.pop()
            else:
                self._serving.pop()
        self._modified_at = now
        self.advance(now)

    def advance(self, now: float) -> None:
        """Puts into service what is ready."""
        while self._coming and self._coming[0] <= now:
            self._modified_at = self._coming.popleft()
            self._serving.append(self._new())

    def arrive(self, at: float) -> float | None:
        """When the request that arrives at `at` leaves, or None when the instance it was given to is full."""
        if self._coming:
            self.advance(self._clock())
        serving = self._serving
        if len(serving) == 1:
            return serving[0].arrive(at)
        if self._least_outstanding:
            return min(serving, key=lambda instance: (instance.outstanding(at), self._random())).arrive(at)
        return serving[int(self._random() * len(serving))].arrive(at)
