"""AWS STS: whose credentials are these? GetCallerIdentity is all of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sm_locust.local.settings import ACCOUNT

USER = f"arn:aws:iam::{ACCOUNT}:user/local"
"""The one there is: whoever signs with the settings' credentials."""


class Sts:
    """`operations` by name: each takes a request's parameters and the time, and gives the members of its answer."""

    def __init__(self) -> None:
        self.operations: dict[str, Callable[[dict[str, Any], float], dict[str, Any]]] = {
            "GetCallerIdentity": self._get_caller_identity
        }

    def _get_caller_identity(self, _: dict[str, Any], now: float) -> dict[str, Any]:
        # The example user id of AWS's documentation.
        return {"UserId": "AIDACKCEVSQ6C2EXAMPLE", "Account": ACCOUNT, "Arn": USER}
