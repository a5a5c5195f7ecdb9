"""Whose credentials these are, where they come from, and whether they outlast a run.

Renewing them while a run goes is the load's. They themselves are never shown.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from sm_locust.aws import session
from sm_locust.aws.session import AwsFault, ask, client
from sm_locust.config import RunConfig, format_duration
from sm_locust.finding import FAIL, PASS, WARN, Finding, not_available

# What AWS says of credentials that it does not accept, whatever is asked with them.
REFUSED = (
    "ExpiredToken",
    "InvalidClientTokenId",
    "SignatureDoesNotMatch",
    "UnrecognizedClient",
    "InvalidSignature",
    "IncompleteSignature",
    "MissingAuthenticationToken",
    "AuthFailure",
)

# botocore asks the source again in the last 10 minutes of a life, each time that somebody wants the keys.
SHORT_LIFE = 600.0  # seconds

_RENEWABLE = "use a source that renews itself: a profile with a role, credential_process, or the role of this machine"


def identity(config: RunConfig) -> Finding:
    """Who AWS says that we are. GetCallerIdentity needs no permission."""
    try:
        found = ask(client(config, "sts"), "GetCallerIdentity")
    except AwsFault as e:
        if e.code.startswith(REFUSED):
            return Finding("identity", FAIL, str(e), "check the keys, the session token and this machine's clock")
        if e.code in ("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError"):
            return Finding("identity", FAIL, str(e), "set AWS_PROFILE, or any other source that the AWS CLI accepts")
        return not_available("identity", e)
    return Finding("identity", PASS, f"{found['Arn']}, account {found['Account']}")


@dataclass(frozen=True, slots=True)
class Source:
    """Where botocore found the credentials.

    method      its name for that: env, shared-credentials-file, assume-role, sso, custom-process, iam-role, …
    temporary   whether they are those of a session, which ends
    left        seconds until they expire; None where nobody says
    keeps       why botocore cannot renew them of itself; empty where it can
    """

    method: str
    temporary: bool
    left: float | None
    keeps: str


def source() -> Source | None:
    """None without credentials. Raises whatever a source raises that cannot be asked."""
    made = session._boto3_session()
    credentials = made.get_credentials()
    if credentials is None:
        return None
    token = credentials.get_frozen_credentials().token
    # botocore tells nobody when its credentials expire; those that do not have no such attribute.
    expires = getattr(credentials, "_expiry_time", None)
    method = str(credentials.method)
    return Source(
        method,
        token is not None or expires is not None,
        None if expires is None else expires.timestamp() - time.time(),
        _keeps(method, expires is not None, made._session.get_scoped_config()),
    )


def _keeps(method: str, expires: bool, profile: dict[str, Any]) -> str:
    if not expires:
        return "are renewed by nobody"
    if method == "env":
        return "are variables of this process, which nobody renews"
    if method == "assume-role" and "mfa_serial" in profile:
        return "are renewed only by a code of MFA, which nobody types in the midst of a run"
    return ""


def credentials(lasts: float | None, what: str) -> Finding:
    """Whether they outlast `what`, which lasts `lasts` real seconds; None where nobody knows for how long."""
    name = "credentials"
    try:
        found = source()
    except Exception as e:  # a source raises BotoCoreError, OSError, ValueError, RuntimeError, …
        return Finding(name, FAIL, f"none could be had: {' '.join(str(e).split()) or type(e).__name__}", _RENEWABLE)
    if found is None:
        return Finding(name, FAIL, "none were found", "set AWS_PROFILE, or any other source that the AWS CLI accepts")
    origin = f"from {found.method}"
    if not found.temporary:
        return Finding(name, PASS, f"{origin}, keys that do not expire")
    left = "" if found.left is None else f"expire in {_about(found.left)}"
    needed = f"{what} lasts {_about(lasts)}" if lasts is not None else f"how long {what} lasts is not known here"
    if not found.keeps:
        if found.left is not None and found.left < SHORT_LIFE:
            return Finding(
                name,
                WARN,
                f"{origin}, they {left} and botocore renews them: their source is asked again and again",
                "have the source give keys that last more than 10 minutes",
            )
        if found.method in ("sso", "login"):
            return Finding(
                name,
                WARN,
                f"{origin}, they {left} and are renewed while the sign-in lasts, whose end is not known here; {needed}",
                "sign in anew before a long run",
            )
        return Finding(name, PASS, f"{origin}, they {left} and botocore renews them")
    if found.left is None:
        return Finding(
            name,
            FAIL,
            f"{origin}, a session token that expires nobody knows when; they {found.keeps}; {needed}",
            f"{_RENEWABLE}; or --allow {name}",
        )
    if lasts is None:
        return Finding(name, WARN, f"{origin}, they {left} and {found.keeps}; {needed}", _RENEWABLE)
    if found.left < lasts:
        return Finding(
            name, FAIL, f"{origin}, they {left} and {found.keeps}; {needed}", f"{_RENEWABLE}; or --allow {name}"
        )
    return Finding(name, PASS, f"{origin}, they {left}; {needed}")


def _about(seconds: float) -> str:
    """To the minute; to the second when there are few of them."""
    return format_duration(max(0, round(seconds) if seconds < 600 else 60 * round(seconds / 60)))
