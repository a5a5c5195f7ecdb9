"""Is this request signed as AWS requires? The verdict is botocore's, never that of the signer under test.

botocore's SigV4Auth builds the canonical request, the string to sign and the signature from the request as it came
over the wire; this file only reads the Authorization header, compares, and words the refusals as AWS does.
"""

from __future__ import annotations

import functools
import hmac
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from botocore.auth import SIGV4_TIMESTAMP, SigV4Auth
from botocore.credentials import Credentials

from sm_locust.local.errors import AwsError
from sm_locust.local.sessions import Session, Sessions

ALGORITHM = "AWS4-HMAC-SHA256"
MAX_SKEW_MINUTES = 5
_PARTS = ("Credential", "Signature", "SignedHeaders")


class Verifier:
    """Verifies requests to one service of one region against one pair of credentials and those that were issued."""

    def __init__(
        self,
        access_key_id: str,
        secret_access_key: str,
        session_token: str | None,
        region: str,
        service: str,
        sessions: Sessions,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`now` gives Unix seconds, `sessions` knows the temporary credentials that are accepted besides."""
        self._access_key_id = access_key_id
        self._session_token = (session_token or "").encode()
        self._region = region
        self._service = service
        self._sessions = sessions
        self._now = now
        self._botocore = _SigV4Auth(Credentials(access_key_id, secret_access_key), service, region)
        self._botocore_of = functools.lru_cache(maxsize=64)(self._signer)

    def verify(self, method: str, path: bytes, query: bytes, headers: Mapping[bytes, bytes], body: bytes) -> str:
        """The access key id that the request is well signed with. Raises the AwsError that AWS would answer with.

        `path` and `query` as they stood in the request line; `headers` by lower-case name, repeated ones joined with
        a comma.
        """
        authorization = headers.get(b"authorization", b"").decode("latin-1")
        if not authorization:
            raise _forbidden("MissingAuthenticationTokenException", "Missing Authentication Token")
        parts = _parts_of(authorization)
        timestamp = headers.get(b"x-amz-date", b"").decode("latin-1")
        if not timestamp:
            raise _incomplete("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
        self._check_date(timestamp)
        access_key_id = self._check_scope(parts["Credential"], timestamp)
        token = headers.get(b"x-amz-security-token", b"")
        if access_key_id == self._access_key_id:
            if not hmac.compare_digest(token, self._session_token):
                raise _unrecognized()
            botocore = self._botocore
        else:
            botocore = self._botocore_of(self._live_session(access_key_id, token))
        names = parts["SignedHeaders"].split(";")
        if "host" not in names:
            raise _invalid("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
        signed = _SignedHeaders(
            {name: headers[raw].decode("latin-1") for name in names if (raw := name.encode("latin-1")) in headers}
        )
        url = b"http://%b%b" % (headers.get(b"host", b""), path + (b"?" + query if query else b""))
        expected = botocore.signature_of(_Request(method, url.decode("latin-1"), signed, body, timestamp))
        if not hmac.compare_digest(expected.encode(), parts["Signature"].encode("latin-1")):
            raise _invalid(
                "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
                "Access Key and signing method. Consult the service documentation for details."
            )
        return access_key_id

    def _live_session(self, access_key_id: str, token: bytes) -> Session:
        session = self._sessions.find(access_key_id)
        if session is None or not hmac.compare_digest(token, session.session_token.encode()):
            raise _unrecognized()
        if self._now() >= session.expires_at:
            raise _forbidden("ExpiredTokenException", "The security token included in the request is expired")
        return session

    def _signer(self, session: Session) -> _SigV4Auth:
        return _SigV4Auth(Credentials(session.access_key_id, session.secret_access_key), self._service, self._region)

    def _check_date(self, timestamp: str) -> None:
        signed_at, now = _unix(timestamp), self._now()
        earliest, latest = now - MAX_SKEW_MINUTES * 60, now + MAX_SKEW_MINUTES * 60
        if signed_at < earliest:
            window = f"({_stamp(now)} - {MAX_SKEW_MINUTES} min.)"
            raise _invalid(f"Signature expired: {timestamp} is now earlier than {_stamp(earliest)} {window}")
        if signed_at > latest:
            window = f"({_stamp(now)} + {MAX_SKEW_MINUTES} min.)"
            raise _invalid(f"Signature not yet current: {timestamp} is still later than {_stamp(latest)} {window}")

    def _check_scope(self, credential: str, timestamp: str) -> str:
        """The access key id, which may be anybody's."""
        scope = credential.split("/")
        if len(scope) != 5:
            raise _incomplete(f"Credential must have exactly 5 slash-delimited elements, got '{credential}'")
        access_key_id, date, region, service, terminator = scope
        if region != self._region:
            here = f"The local endpoint is in '{self._region}'"  # AWS leaves it at the first sentence
            raise _invalid(f"Credential should be scoped to a valid region, not '{region}'. {here}. ")
        if service != self._service:
            raise _invalid(f"Credential should be scoped to correct service: '{self._service}'. ")
        if terminator != "aws4_request":
            raise _invalid(f"Credential should be scoped with a valid terminator: 'aws4_request', not '{terminator}'. ")
        if date != timestamp[:8]:
            raise _invalid(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
                f"'{date}' != '{timestamp[:8]}', from '{timestamp}'."
            )
        return access_key_id


class _SigV4Auth(SigV4Auth):  # type: ignore[misc]
    """botocore's signer, told which headers were signed and spared from deriving the day's key for every request.

    It remains botocore's verdict: `canonical_request`, `string_to_sign` and `signature` all run as botocore wrote
    them. The signing key is four HMACs over (date, region, service, terminator) and changes once a day, so the HMACs
    that feed a key are remembered by their exact input; the last one, over the string to sign, never is.
    """

    def __init__(self, credentials: Credentials, service_name: str, region_name: str) -> None:
        super().__init__(credentials, service_name, region_name)
        self._derived = functools.lru_cache(maxsize=64)(super()._sign)

    def signature_of(self, request: _Request) -> str:
        return str(self.signature(self.string_to_sign(request, self.canonical_request(request)), request))

    def headers_to_sign(self, request: _Request) -> _SignedHeaders:
        # A client chooses its headers by botocore's rules or by its own; a verifier takes those the client names.
        return request.signed

    def _sign(self, key: bytes, msg: str, hex: bool = False) -> Any:
        return super()._sign(key, msg, hex) if hex else self._derived(key, msg)


class _SignedHeaders(dict[str, str]):
    """The part of http.client's header mapping that botocore's signer uses."""

    def get_all(self, name: str) -> list[str]:
        return [self[name]]


class _Request:
    """The part of botocore's AWSRequest that its signer uses."""

    __slots__ = ("body", "context", "headers", "method", "params", "signed", "url")

    def __init__(self, method: str, url: str, signed: _SignedHeaders, body: bytes, timestamp: str) -> None:
        self.method = method
        self.url = url
        self.signed = signed
        self.body = body
        self.params = None
        self.context = {"timestamp": timestamp}
        # Empty, so that botocore hashes the body itself and never takes an X-Amz-Content-SHA256 at its word.
        self.headers: dict[str, str] = {}


def _parts_of(authorization: str) -> dict[str, str]:
    algorithm, _, rest = authorization.partition(" ")
    if algorithm != ALGORITHM:
        raise _incomplete(f"Unsupported AWS 'algorithm': '{algorithm}' (only {ALGORITHM} is accepted).")
    parts = {}
    for part in rest.split(","):
        name, equals, value = part.strip().partition("=")
        if not equals:
            raise _incomplete(
                f"'{name}' not a valid key=value pair (missing equal-sign) in Authorization header: '{authorization}'."
            )
        parts[name] = value
    missing = [name for name in _PARTS if not parts.get(name)]
    if missing:
        words = " ".join(f"Authorization header requires '{name}' parameter." for name in missing)
        raise _incomplete(f"{words} Authorization={ALGORITHM}")
    return parts


@functools.lru_cache(maxsize=512)  # a load sends many requests with one date
def _unix(timestamp: str) -> float:
    try:
        return datetime.strptime(timestamp, SIGV4_TIMESTAMP).replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise _incomplete(
            f"Date must be in ISO-8601 'basic format'. Got '{timestamp}'. See http://en.wikipedia.org/wiki/ISO_8601"
        ) from None


def _stamp(unix: float) -> str:
    return datetime.fromtimestamp(unix, UTC).strftime(SIGV4_TIMESTAMP)


def _forbidden(code: str, message: str) -> AwsError:
    return AwsError(403, code, {"message": message})


def _invalid(message: str) -> AwsError:
    return _forbidden("InvalidSignatureException", message)


def _incomplete(message: str) -> AwsError:
    return _forbidden("IncompleteSignatureException", message)


def _unrecognized() -> AwsError:
    return _forbidden("UnrecognizedClientException", "The security token included in the request is invalid.")
