"""Refusals that were ordered: so that a client can be seen to be throttled or denied, when its test wants it.

`POST /_local/refuse` from loopback: {"service": "monitoring", "next": 3} has the next three calls of CloudWatch
throttled. Receiving the order is the app's, asking for a refusal before each call the wire's.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sm_locust.local.errors import AwsError

_MESSAGES = {
    "ThrottlingException": "Rate exceeded",
    "AccessDeniedException": "User: {user} is not authorized to perform: {action} on resource: * because no "
    "identity-based policy allows the {action} action",
    "ConcurrentUpdateException": "Another update is in progress. Try your call again.",
}


class _Order(BaseModel):
    """`service` by its name in the credential scope; `next` 0 takes an earlier order back."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    service: Literal["monitoring", "application-autoscaling", "sagemaker", "sts"]
    next: int = Field(ge=0)
    error: Literal["ThrottlingException", "AccessDeniedException", "ConcurrentUpdateException"] = "ThrottlingException"


class Refusals:
    """One order a service, the last one given."""

    def __init__(self) -> None:
        self._left: dict[str, int] = {}
        self._error: dict[str, str] = {}

    def order(self, body: bytes) -> None:
        """Takes an order. Raises ValueError, naming the key, its value and what is accepted."""
        try:
            order = _Order.model_validate_json(body)
        except ValidationError as error:
            problems = [f"{'.'.join(map(str, e['loc']))} {e['input']!r}: {e['msg']}" for e in error.errors()]
            raise ValueError("; ".join(problems)) from None
        self._left[order.service] = order.next
        self._error[order.service] = order.error

    def check(self, service: str, operation: str, user: str) -> None:
        """Raises the AwsError that was ordered for this call, if one was; `user` is the ARN that a denial names."""
        left = self._left.get(service, 0)
        if left == 0:
            return
        self._left[service] = left - 1
        # Permissions say `cloudwatch` where signatures say `monitoring`.
        action = f"{'cloudwatch' if service == 'monitoring' else service}:{operation}"
        code = self._error[service]
        raise AwsError(400, code, {"message": _MESSAGES[code].format(user=user, action=action)})
