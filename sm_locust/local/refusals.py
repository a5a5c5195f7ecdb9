"""Refusals that were ordered: so that a client can be seen to be throttled or denied, when its test wants it.

`POST /_local/refuse` from loopback: {"service": "monitoring", "next": 3} has the next three calls of CloudWatch
throttled, with "operation": "GetMetricData" the next three of that operation. Receiving the order is the app's, asking
for a refusal before each call the wire's, and the app's for InvokeEndpoint.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from sm_locust.local.errors import AwsError
from sm_locust.local.orders import read

RUNTIME = "sagemaker-runtime"

_MESSAGES = {
    "ThrottlingException": "Rate exceeded",
    "AccessDeniedException": "User: {user} is not authorized to perform: {action} on resource: * because no "
    "identity-based policy allows the {action} action",
    "ConcurrentUpdateException": "Another update is in progress. Try your call again.",
    "ExpiredTokenException": "The security token included in the request is expired",
    "UnrecognizedClientException": "The security token included in the request is invalid.",
}
_OF_CREDENTIALS = ("ExpiredTokenException", "UnrecognizedClientException")

# Permissions bear other names than signatures, or than boto3's clients.
_PERMISSIONS = {"monitoring": "cloudwatch", RUNTIME: "sagemaker"}


class _Order(BaseModel):
    """`service` by its name in the credential scope, or `sagemaker-runtime`, which signs as SageMaker's control plane
    does; `next` 0 takes an earlier order back. Without `operation`, any of the service's that has no order of its own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    service: Literal["monitoring", "application-autoscaling", "sagemaker", "sagemaker-runtime", "sts"]
    operation: str | None = None
    next: int = Field(ge=0)
    error: Literal[
        "ThrottlingException",
        "AccessDeniedException",
        "ConcurrentUpdateException",
        "ExpiredTokenException",
        "UnrecognizedClientException",
    ] = "ThrottlingException"


class Refusals:
    """One order a service and one an operation, the last one given."""

    def __init__(self, operations: Mapping[str, Collection[str]]) -> None:
        """`operations` are those that are answered, by service."""
        self._operations = {**operations, RUNTIME: ("InvokeEndpoint",)}
        self._left: dict[tuple[str, str | None], int] = {}
        self._error: dict[tuple[str, str | None], str] = {}

    def order(self, body: bytes) -> None:
        """Takes an order. Raises ValueError, naming the key, its value and what is accepted."""
        order = read(_Order, body)
        known = self._operations[order.service]
        if order.operation is not None and order.operation not in known:
            raise ValueError(f"operation {order.operation!r}: {order.service} has {', '.join(sorted(known))}")
        what = order.service, order.operation
        if order.next:
            self._left[what], self._error[what] = order.next, order.error
        else:
            self._left.pop(what, None)

    def check(self, service: str, operation: str, user: str) -> None:
        """Raises the AwsError that was ordered for this call, if one was; `user` is the ARN that a denial names."""
        if not self._left:  # as nearly always: InvokeEndpoint asks too
            return
        what = next((what for what in ((service, operation), (service, None)) if what in self._left), None)
        if what is None:
            return
        self._left[what] -= 1
        if not self._left[what]:
            del self._left[what]
        code = self._error[what]
        action = f"{_PERMISSIONS.get(service, service)}:{operation}"
        denied = service == RUNTIME and code == "AccessDeniedException"
        status = 403 if denied or code in _OF_CREDENTIALS else 400
        raise AwsError(status, code, {"message": _MESSAGES[code].format(user=user, action=action)})
