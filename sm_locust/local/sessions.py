"""Temporary credentials that the local endpoint issues, and whose they are: what AssumeRole is to an account.

`GET` or `POST /_local/session?lifetime=20` from loopback gives a pair with a token that expires after 20 real seconds,
in the shape in which a `credential_process` prints it. Receiving the request is the app's, accepting what is signed
with them the verifier's, who asks STS's.
"""

from __future__ import annotations

import math
import secrets
import string
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from sm_locust.local.settings import ACCOUNT

DEFAULT_LIFETIME = 3600.0
LONGEST_LIFETIME = 12 * 3600.0  # AWS's for a role

USER = f"arn:aws:iam::{ACCOUNT}:user/local"
"""Whoever signs with the settings' credentials."""

ROLE = f"arn:aws:sts::{ACCOUNT}:assumed-role/local/session"
"""Whoever signs with temporary ones."""

_REMEMBERED = 10_000  # the oldest are then as unknown as if they had never been issued
_ALPHABET = string.ascii_uppercase + string.digits


@dataclass(frozen=True, slots=True)
class Session:
    """`expires_at` in Unix seconds."""

    access_key_id: str
    secret_access_key: str
    session_token: str
    expires_at: float

    def as_json(self) -> dict[str, object]:
        """As the AWS SDKs read it from a credential_process."""
        return {
            "Version": 1,
            "AccessKeyId": self.access_key_id,
            "SecretAccessKey": self.secret_access_key,
            "SessionToken": self.session_token,
            "Expiration": datetime.fromtimestamp(self.expires_at, UTC).isoformat(),
        }

    def __repr__(self) -> str:
        return f"Session({self.access_key_id!r})"


class Sessions:
    """All that were issued, by access key id."""

    def __init__(self) -> None:
        self._issued: dict[str, Session] = {}

    def issue(self, query: Mapping[str, str], now: float) -> Session:
        """New ones. Raises ValueError, naming the parameter, its value and what is accepted."""
        unknown = sorted(set(query) - {"lifetime"})
        if unknown:
            raise ValueError(f"{unknown[0]} is not a parameter; accepted: lifetime")
        given = query.get("lifetime", str(DEFAULT_LIFETIME))
        try:
            lifetime = float(given)
        except ValueError:
            lifetime = math.nan
        if not 0 < lifetime <= LONGEST_LIFETIME:
            raise ValueError(f"lifetime {given!r}: must be more than 0 and at most {LONGEST_LIFETIME:g} seconds")
        session = Session(
            "ASIA" + "".join(secrets.choice(_ALPHABET) for _ in range(16)),
            secrets.token_urlsafe(30),
            secrets.token_urlsafe(120),
            now + lifetime,
        )
        if len(self._issued) >= _REMEMBERED:
            del self._issued[next(iter(self._issued))]
        self._issued[session.access_key_id] = session
        return session

    def find(self, access_key_id: str) -> Session | None:
        return self._issued.get(access_key_id)

    def arn(self, access_key_id: str) -> str:
        """Whose key that is, one of the settings' or an issued one."""
        return ROLE if access_key_id in self._issued else USER
