"""In which state the endpoint is said to be, and whether it is still there.

By itself it is Updating while instances are provisioned and InService otherwise. `POST /_local/endpoint` from loopback
has it be said to be in another state: {"status": "Failed", "for": 5} for five real seconds, without `for` until the
next order; {"status": "InService"} takes an order back. That changes what is said and which changes are taken, not what
is served. DeleteEndpoint ends it for good. Receiving an order is the app's, saying the state SageMaker's.
"""

from __future__ import annotations

import math
import time
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from sm_locust.local.fleet import IN_SERVICE, UPDATING, Fleet
from sm_locust.local.orders import read

IN_PROGRESS = frozenset({"Creating", UPDATING, "SystemUpdating", "RollingBack"})
"""States in which SageMaker takes no other change."""


class _Order(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    status: Literal[
        "Creating",
        "Updating",
        "SystemUpdating",
        "RollingBack",
        "InService",
        "OutOfService",
        "Failed",
        "UpdateRollbackFailed",
    ]
    seconds: float = Field(default=math.inf, alias="for", gt=0)


class EndpointState:
    """Times are Unix seconds. Once `deleted`, no order brings it back."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._ordered = IN_SERVICE
        self._until = -math.inf
        self._ordered_at = -math.inf
        self.deleted = False

    @property
    def status(self) -> str:
        """DescribeEndpoint's EndpointStatus."""
        return self._ordered if time.time() < self._until else self._fleet.status

    @property
    def modified_at(self) -> float:
        now = time.time()
        return max(self._fleet.modified_at, self._ordered_at if now < self._until else min(self._until, now))

    def order(self, body: bytes) -> None:
        """Takes an order. Raises ValueError, naming the key, its value and what is accepted."""
        order = read(_Order, body)
        if self.deleted:
            raise ValueError(f"status {order.status!r}: the endpoint was deleted")
        now = self._ordered_at = time.time()
        self._ordered = order.status
        self._until = now if order.status == IN_SERVICE else now + order.seconds
