"""AWS STS: whose credentials are these? GetCallerIdentity is all of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sm_locust.local.sessions import ROLE, Sessions
from sm_locust.local.settings import ACCOUNT


class Sts:
    """`operations` by name: each takes the caller's `AccessKeyId` and the time, and gives the members of its answer."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self.operations: dict[str, Callable[[dict[str, Any], float], dict[str, Any]]] = {
            "GetCallerIdentity": self._get_caller_identity
        }

    def _get_caller_identity(self, caller: dict[str, Any], now: float) -> dict[str, Any]:
        arn = self._sessions.arn(caller["AccessKeyId"])
        # The example ids of AWS's documentation; a role's is followed by the session's name.
        user_id = "AROADBQP57FF2AEXAMPLE:session" if arn == ROLE else "AIDACKCEVSQ6C2EXAMPLE"
        return {"UserId": user_id, "Account": ACCOUNT, "Arn": arn}
