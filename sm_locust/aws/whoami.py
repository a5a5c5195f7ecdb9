"""Whose credentials these are, where they come from, and whether they outlast a run.

Renewing them while a run goes is the load's. They themselves are never shown.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from sm_locust.aws.runtime import runtime
from sm_locust.aws.session import AwsFault, ask, client
from sm_locust.config import ConfigError, RunConfig
from sm_locust.fields import format_duration
from sm_locust.finding import FAIL, PASS, WARN, Finding, not_available
from sm_locust.record.clock import ahead

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

CLOCK_OFF, CLOCK_REFUSED = 60.0, 300.0  # seconds; AWS accepts signatures of up to five minutes before or after its time

# botocore asks the source again in the last 10 minutes of a life, each time that somebody wants the keys.
SHORT_LIFE = 600.0  # seconds

_NOT_RENEWED = {
    "env": "are variables of this process, which nobody renews",
    "assume-role": "are renewed only by a code of MFA, which nobody types in the midst of a run",
}
NEEDED = "it takes credentials"  # why a question was not asked
_RENEWABLE = "use a source that renews itself: a profile with a role, credential_process, or the role of this machine"


def identity(config: RunConfig) -> Iterator[Finding]:
    """Who AWS says that we are, and whether this machine's clock is off. GetCallerIdentity needs no permission."""
    try:
        found = ask(client(config, "sts"), "GetCallerIdentity")
        date = found["ResponseMetadata"]["HTTPHeaders"].get("date", "")
        yield Finding("identity", PASS, f"{found['Arn']}, account {found['Account']}")
    except AwsFault as e:
        date = e.date
        yield _unidentified(e)
    yield from _clock(date)


def _unidentified(e: AwsFault) -> Finding:
    if e.code.startswith(REFUSED):
        return Finding("identity", FAIL, str(e), "check the keys, the session token and this machine's clock")
    return not_available("identity", e)


def _clock(date: str) -> Iterator[Finding]:
    """Nothing where it is right, or where the Date of an answer does not tell."""
    by = ahead(date, time.time())
    if by is None or abs(by) < CLOCK_OFF:
        return
    text = f"this machine's clock is {_about(abs(by))} {'behind' if by > 0 else 'ahead of'} AWS's"
    if abs(by) < CLOCK_REFUSED:
        yield Finding("clock", WARN, f"{text}; past 5m AWS refuses what is signed by it", "have NTP set it")
        return
    text += ", which refuses what is signed by it: a run's load corrects that, its other calls to AWS do not"
    yield Finding("clock", FAIL, text, "have NTP set it")


def missing(config: RunConfig) -> Finding | None:
    """Why there are no credentials to ask AWS anything with; None where there are some."""
    name = "credentials"
    try:
        runtime(config).keys()
    except ConfigError as e:  # its sentence says what to do
        return Finding(name, FAIL, str(e))
    except Exception as e:  # what a source raises when it is asked again
        return Finding(name, FAIL, f"none could be had: {' '.join(str(e).split()) or type(e).__name__}", _RENEWABLE)
    return None


def credentials(config: RunConfig, lasts: float | None, what: str) -> Finding:
    """Whether those that there are outlast `what`, which lasts `lasts` real seconds; None where nobody knows."""
    name = "credentials"
    found = runtime(config)
    keys = found.keys()
    origin = f"from {found.source}"
    needed = f"{what} lasts {_about(lasts)}" if lasts is not None else f"how long {what} lasts is not known here"
    if keys.expires_at is None:
        if keys.token is None:
            return Finding(name, PASS, f"{origin}, keys that do not expire")
        return Finding(
            name,
            FAIL,
            f"{origin}, a session token that expires nobody knows when, and nobody renews it; {needed}",
            f"{_RENEWABLE}; or --allow {name}",
        )
    left = keys.expires_at - time.time()
    expire = f"{origin}, they expire in {_about(left)}"
    if found.renews:
        return _renewed(found.source, expire, left, needed)
    expire += f" and {_NOT_RENEWED.get(found.source, 'are not renewed')}; {needed}"
    if lasts is not None and left >= lasts:
        return Finding(name, PASS, expire)
    if lasts is None:
        return Finding(name, WARN, expire, _RENEWABLE)
    return Finding(name, FAIL, expire, f"{_RENEWABLE}; or --allow {name}")


def _renewed(source: str, expire: str, left: float, needed: str) -> Finding:
    """left  seconds until they expire"""
    name = "credentials"
    if left < SHORT_LIFE:
        return Finding(
            name,
            WARN,
            f"{expire} and botocore renews them: their source is asked again and again",
            "have the source give keys that last more than 10 minutes",
        )
    if source in ("sso", "login"):
        return Finding(
            name,
            WARN,
            f"{expire} and are renewed while the sign-in lasts, whose end is not known here; {needed}",
            "sign in anew before a long run",
        )
    return Finding(name, PASS, f"{expire} and botocore renews them")


def _about(seconds: float) -> str:
    """To the minute; to the second when there are few of them."""
    return format_duration(max(0, round(seconds) if seconds < 600 else 60 * round(seconds / 60)))
