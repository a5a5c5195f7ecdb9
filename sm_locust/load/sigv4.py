"""Requests as bytes, signed with AWS Signature Version 4: everything that can be computed beforehand is.

A PreparedRequest is one method, path and set of headers. What changes with the second (date, credential scope, session
token) is composed once a second, the signing key once a day or when credentials change; what is left for a request is
two hashes, and for a body that was already signed in this second not even those: its signature would be the same.
Agrees byte for byte with botocore's `SigV4Auth` for every service but S3, which has rules of its own.

Sending is http's, deciding what to send is the invoker's, finding credentials is aws's.
"""

from __future__ import annotations

import hmac
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from urllib.parse import quote, urlsplit

from sm_locust.fields import wire_host
from sm_locust.load.signing_clock import SigningClock

# Changed on their way by proxies and clients, so botocore leaves them out of the signature.
UNSIGNED_HEADERS = frozenset(
    {
        "baggage",
        "connection",
        "expect",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "traceparent",
        "tracestate",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "x-amzn-trace-id",
    }
)
# A caller's own value would contradict what is written here.
OWN_HEADERS = frozenset(
    {
        "authorization",
        "content-length",
        "date",
        "host",
        "transfer-encoding",
        "x-amz-content-sha256",
        "x-amz-date",
        "x-amz-security-token",
    }
)

# A fixed set of payloads is hashed once. Bodies are kept by reference; the bound is for those made anew each time.
MAX_HASHES = 4096
MAX_HASHED_BYTES = 64 * 1024 * 1024

_DEFAULT_PORTS = {"http": 80, "https": 443}
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_UNSENDABLE_IN_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_UNSENDABLE_IN_TARGET = re.compile(r"[^\x21-\x7e]|[#]")


@dataclass(frozen=True, slots=True)
class Credentials:
    """An access key. Its repr shows which one, never the secret or the token."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str | None = field(default=None, repr=False)


def host_header(url: str) -> str:
    """The `Host` of a URL as it is sent and signed: lower case, the port only where it is not the scheme's own.

    Raises ValueError for what no host is called.
    """
    parts = urlsplit(url)
    host = wire_host(parts.hostname or "")
    if ":" in host:
        host = f"[{host}]"
    if parts.port is not None and parts.port != _DEFAULT_PORTS.get(parts.scheme):
        host = f"{host}:{parts.port}"
    return host


class PlainRequest:
    """One method, target and set of headers, ready for any body; not signed.

    target   path and query as they stand in the request line, already percent-encoded
    Raises ValueError for what cannot be sent: a target or a header with control characters, a header that is set here.
    """

    def __init__(self, method: str, host: str, target: str, headers: Mapping[str, str]) -> None:
        if not target.startswith("/") or _UNSENDABLE_IN_TARGET.search(target):
            raise ValueError(f"path {target!r}: must start with / and be percent-encoded, without spaces or #")
        for name, value in headers.items():
            if not _TOKEN.fullmatch(name):
                raise ValueError(f"header name {name!r}: only letters, digits and !#$%&'*+-.^_`|~")
            if name.lower() in OWN_HEADERS:
                raise ValueError(f"header {name!r}: set by sm_locust, leave it out")
            if _UNSENDABLE_IN_VALUE.search(value):
                raise ValueError(f"header {name!r}: value {value!r} holds a control character")
        lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *(f"{name}: {headers[name]}" for name in headers)]
        self._start = "\r\n".join(lines).encode() + b"\r\n"

    def head(self, body: bytes, unix_time: float) -> bytes:
        """The request's head for this body, up to and with the empty line; `unix_time` is the signature's date."""
        return b"%bContent-Length: %d\r\n\r\n" % (self._start, len(body))


class PreparedRequest(PlainRequest):
    """A PlainRequest whose heads are signed. Made by `Signer.prepare`."""

    def __init__(
        self, signer: Signer, method: str, host: str, path: str, query: str, headers: Mapping[str, str]
    ) -> None:
        super().__init__(method, host, f"{path}?{query}" if query else path, headers)
        self._signer = signer
        self._resource = f"{method}\n{_canonical_path(path)}\n{_canonical_query(query)}\n"
        self._static: dict[str, str] = {"host": _trimmed(host)}
        for name, value in headers.items():
            key = name.lower()
            if key not in UNSIGNED_HEADERS:
                self._static[key] = f"{self._static[key]},{_trimmed(value)}" if key in self._static else _trimmed(value)
        self._stamp: _Stamp | None = None
        self._canonical = b""
        self._authorized_start = b""
        self._heads: dict[bytes, bytes] = {}

    def head(self, body: bytes, unix_time: float) -> bytes:
        stamp = self._signer.stamp(unix_time)
        if stamp is not self._stamp:
            self._restamp(stamp)
        body_hash = self._signer.body_hash(body)
        head = self._heads.get(body_hash)
        if head is None:
            canonical_hash = sha256(self._canonical + body_hash).hexdigest().encode()
            signature = hmac.digest(stamp.key, stamp.string_to_sign + canonical_hash, "sha256").hex()
            head = b"%b%b\r\nContent-Length: %d\r\n\r\n" % (self._authorized_start, signature.encode(), len(body))
            self._heads[body_hash] = head
        return head

    def _restamp(self, stamp: _Stamp) -> None:
        """Compose all that stays the same for this second: the canonical request and the head, each up to its hash."""
        own = {"x-amz-date": stamp.amz_date}
        if stamp.credentials.token:
            own["x-amz-security-token"] = _trimmed(stamp.credentials.token)
        signed = sorted((self._static | own).items())
        names = ";".join(name for name, _ in signed)
        lines = "".join(f"{name}:{value}\n" for name, value in signed)
        self._canonical = f"{self._resource}{lines}\n{names}\n".encode()
        self._authorized_start = (
            self._start
            + "".join(
                (
                    *(f"{name}: {value}\r\n" for name, value in own.items()),
                    f"Authorization: AWS4-HMAC-SHA256 Credential={stamp.credentials.access_key}/{stamp.scope}, ",
                    f"SignedHeaders={names}, Signature=",
                )
            ).encode()
        )
        self._heads.clear()
        self._stamp = stamp


class Signer:
    """Signs for one service in one region.

    service       the signing name: `sagemaker`, `execute-api`
    credentials   may be replaced at any time; the next request is signed with the new ones
    clock         for whoever asks for a signature's date
    """

    def __init__(self, service: str, region: str, credentials: Credentials, clock: SigningClock | None = None) -> None:
        self.credentials = credentials
        self.clock = clock or SigningClock()
        self._service = service
        self._region = region
        self._stamp: _Stamp | None = None
        self._hashes: dict[bytes, bytes] = {}
        self._hashed_bytes = 0

    def prepare(
        self, method: str, host: str, path: str, headers: Mapping[str, str], query: str = ""
    ) -> PreparedRequest:
        """A request that this signer signs; `path` and `query` percent-encoded, as they are sent.

        Raises ValueError for headers or a path that cannot be sent (see PlainRequest).
        """
        return PreparedRequest(self, method, host, path, query, headers)

    def stamp(self, unix_time: float) -> _Stamp:
        """All that a signature takes from its second and the credentials; the same object until either changes."""
        second = int(unix_time)
        last = self._stamp
        if last is not None and last.second == second and last.credentials is self.credentials:
            return last
        amz_date = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second))
        scope = f"{amz_date[:8]}/{self._region}/{self._service}/aws4_request"
        if last is not None and last.scope == scope and last.credentials is self.credentials:
            key = last.key
        else:
            key = f"AWS4{self.credentials.secret_key}".encode()
            for part in scope.split("/"):
                key = hmac.digest(key, part.encode(), "sha256")
        self._stamp = _Stamp(second, self.credentials, amz_date, scope, key)
        return self._stamp

    def body_hash(self, body: bytes) -> bytes:
        """The SHA-256 of a body in hex, remembered for bodies that come again."""
        digest = self._hashes.get(body)
        if digest is None:
            digest = self._hashes[body] = sha256(body).hexdigest().encode()
            self._hashed_bytes += len(body)
            while len(self._hashes) > MAX_HASHES or self._hashed_bytes > MAX_HASHED_BYTES:
                oldest = next(iter(self._hashes))
                del self._hashes[oldest]
                self._hashed_bytes -= len(oldest)
        return digest


class _Stamp:
    __slots__ = ("amz_date", "credentials", "key", "scope", "second", "string_to_sign")

    def __init__(self, second: int, credentials: Credentials, amz_date: str, scope: str, key: bytes) -> None:
        self.second = second
        self.credentials = credentials
        self.amz_date = amz_date
        self.scope = scope
        self.key = key
        self.string_to_sign = f"AWS4-HMAC-SHA256\n{amz_date}\n{scope}\n".encode()


def _trimmed(value: str) -> str:
    return " ".join(value.split())


def _canonical_path(path: str) -> str:
    """Dot segments and doubled slashes removed, then percent-encoded once more than on the wire (for all but S3)."""
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in ("", "."):
            kept.append(segment)
    trailing = "/" if path.endswith("/") and kept else ""
    return quote("/" + "/".join(kept) + trailing, safe="/~")


def _canonical_query(query: str) -> str:
    pairs = sorted(pair.partition("=")[::2] for pair in query.split("&")) if query else []
    return "&".join(f"{name}={value}" for name, value in pairs)
