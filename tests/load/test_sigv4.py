"""Signatures against botocore's SigV4Auth, byte for byte, as they stand in the bytes that are sent."""

from __future__ import annotations

import calendar
import random
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import quote

import botocore.auth
import pytest
from botocore.auth import SIGNED_HEADERS_BLACKLIST, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials

from sm_locust.load.sigv4 import UNSIGNED_HEADERS, Credentials, PlainRequest, Signer, host_header

Clock = Callable[[float], None]
NOON = float(calendar.timegm((2026, 2, 28, 12, 0, 0)))
MIDNIGHT = float(calendar.timegm((2026, 3, 1, 0, 0, 0)))
ADDED = ("authorization", "x-amz-date", "x-amz-security-token")
KEY = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")


@pytest.fixture
def set_clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Sets the time at which botocore signs."""

    def set_to(unix_time: float) -> None:
        now = datetime.fromtimestamp(unix_time, UTC).replace(tzinfo=None)
        monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: now)

    return set_to


def botocores(
    credentials: Credentials, service: str, region: str, method: str, url: str, headers: dict[str, str], body: bytes
) -> dict[str, str]:
    """What botocore adds to this request."""
    request = AWSRequest(method, url, data=body, headers=headers)
    signed_by = BotocoreCredentials(credentials.access_key, credentials.secret_key, credentials.token)
    SigV4Auth(signed_by, service, region).add_auth(request)
    return {name: request.headers[name] for name in ADDED if name in request.headers}


def sent(head: bytes) -> dict[str, str]:
    """The headers of a request as they stand on the wire, by lower-case name."""
    pairs = (line.split(": ", 1) for line in head.decode().removesuffix("\r\n\r\n").split("\r\n")[1:])
    return {name.lower(): value for name, value in pairs}


def added(head: bytes) -> dict[str, str]:
    return {name: value for name, value in sent(head).items() if name in ADDED}


class RandomRequest:
    """One request of the table: drawn from what users and AWS do, and from what nobody should."""

    ALPHABET = "abcXYZ019-_.~ %+=/:@!$&'()*,;äß漢"

    def __init__(self, draw: random.Random) -> None:
        self.service = draw.choice(["sagemaker", "execute-api"])
        self.region = draw.choice(["us-east-1", "eu-central-1", "cn-north-1"])
        self.method = draw.choice(["POST", "GET", "PUT"])
        self.unix_time = draw.choice(
            [
                MIDNIGHT - 0.001,
                MIDNIGHT,
                MIDNIGHT + 0.999,
                draw.uniform(0, 4e9),
                MIDNIGHT + draw.randrange(86400),
            ]
        )
        token = draw.choice([None, None, "FwoGZXIvYXdzE/+==" * draw.randint(1, 20)])
        self.credentials = Credentials(f"AKIA{draw.randrange(10**9)}", self._text(draw, 40), token)
        scheme = draw.choice(["http", "https"])
        port = draw.choice(["", "", ":80", ":443", ":8080", ":8443"])
        hosts = ["runtime.sagemaker.us-east-1.amazonaws.com", "Mixed.Case.example", "127.0.0.1", "[::1]"]
        self.path = "/" + "/".join(quote(self._segment(draw), safe="~") for _ in range(draw.randint(0, 5)))
        self.query = "&".join(self._pair(draw) for _ in range(draw.choice([0, 0, 1, 4])))
        self.url = f"{scheme}://{draw.choice(hosts)}{port}{self.path}" + (f"?{self.query}" if self.query else "")
        self.headers = {self._name(draw): self._value(draw) for _ in range(draw.randint(0, 8))}
        self.body = draw.choice([b"", b"5,3.5,1.3,0.3", self._text(draw, 50).encode(), draw.randbytes(2000)])

    def _text(self, draw: random.Random, longest: int) -> str:
        return "".join(draw.choices(self.ALPHABET, k=draw.randint(0, longest)))

    def _segment(self, draw: random.Random) -> str:
        return draw.choice(["endpoints", "invocations", ".", "..", "", self._text(draw, 12)])

    def _pair(self, draw: random.Random) -> str:
        name = quote(draw.choice(["a", "A", "Action", self._text(draw, 6)]), safe="")
        return draw.choice([name, f"{name}=", f"{name}={quote(self._text(draw, 8), safe='')}", f"{name}=x=y"])

    def _name(self, draw: random.Random) -> str:
        name = draw.choice(
            [
                "Content-Type",
                "Accept",
                "User-Agent",
                "Expect",
                "X-Amzn-Trace-Id",
                "Connection",
                "X-Amz-Zebra",
                "X-Amz-A",
                "X-Amzn-SageMaker-Custom-Attributes",
                "X-Amzn-SageMaker-Target-Model",
                "x-api-key",
                "".join(draw.choices("!#$%&'*+-.^_`|~09azAZ", k=6)),
            ]
        )
        return draw.choice([name, name.lower(), name.upper()])

    def _value(self, draw: random.Random) -> str:
        words = [self._text(draw, 8) for _ in range(draw.randint(0, 3))]
        space = draw.choice([" ", "  ", "\t", "   \t "])
        return draw.choice(["", " ", "\t"]) + space.join(words) + draw.choice(["", " ", "  "])


def test_five_hundred_random_requests_are_signed_as_botocore_signs_them(set_clock: Clock) -> None:
    draw = random.Random(20260228)
    for number in range(500):
        case = RandomRequest(draw)
        set_clock(case.unix_time)
        expected = botocores(
            case.credentials, case.service, case.region, case.method, case.url, case.headers, case.body
        )
        signer = Signer(case.service, case.region, case.credentials)
        request = signer.prepare(case.method, host_header(case.url), case.path, case.headers, case.query)
        head = request.head(case.body, case.unix_time)
        assert added(head) == expected, (number, case.url, case.headers)
        assert sent(head)["content-length"] == str(len(case.body))


def test_one_prepared_request_stays_right_over_bodies_seconds_midnight_and_new_credentials(set_clock: Clock) -> None:
    signer = Signer("sagemaker", "us-east-1", KEY)
    headers = {"Content-Type": "text/csv", "X-Amzn-SageMaker-Target-Variant": "Blue"}
    request = signer.prepare("POST", "example.com", "/endpoints/e/invocations", headers)
    for credentials in (KEY, Credentials("AKID2", "other", "a-token"), Credentials("AKID2", "other", "new"), KEY):
        signer.credentials = credentials
        for unix_time in (NOON, NOON + 0.9, NOON + 1, MIDNIGHT - 1, MIDNIGHT, NOON):
            set_clock(unix_time)
            for body in (b"1", b"2", b"1", b""):
                expected = botocores(
                    credentials,
                    "sagemaker",
                    "us-east-1",
                    "POST",
                    "https://example.com/endpoints/e/invocations",
                    headers,
                    body,
                )
                assert added(request.head(body, unix_time)) == expected


def test_bodies_beyond_what_is_remembered_are_still_signed_right(
    set_clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sm_locust.load.sigv4.MAX_HASHES", 3)
    monkeypatch.setattr("sm_locust.load.sigv4.MAX_HASHED_BYTES", 50)
    set_clock(NOON)
    request = Signer("sagemaker", "us-east-1", KEY).prepare("POST", "example.com", "/p", {})
    for body in [b"%d" % (n % 5) for n in range(12)] + [b"x" * 49, b"y" * 60, b"0", b"y" * 60]:
        expected = botocores(KEY, "sagemaker", "us-east-1", "POST", "https://example.com/p", {}, body)
        assert added(request.head(body, NOON)) == expected


def test_the_headers_left_unsigned_are_botocores() -> None:
    # As a subset: an older botocore signs tracing headers, which we never send.
    assert set(SIGNED_HEADERS_BLACKLIST) <= UNSIGNED_HEADERS


def test_unsigned_headers_are_still_sent() -> None:
    request = Signer("sagemaker", "us-east-1", KEY).prepare("POST", "example.com", "/p", {"User-Agent": "me"})
    head = sent(request.head(b"", NOON))
    assert head["user-agent"] == "me"
    assert "SignedHeaders=host;x-amz-date," in head["authorization"]


def test_an_unsigned_request_is_exactly_these_bytes() -> None:
    request = PlainRequest("POST", "127.0.0.1:8080", "/invocations?a=1", {"Content-Type": "text/csv"})
    assert request.head(b"5,3.5", NOON) == (
        b"POST /invocations?a=1 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nContent-Type: text/csv\r\nContent-Length: 5\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://Example.COM/path", "example.com"),
        ("https://example.com:443", "example.com"),
        ("https://example.com:80", "example.com:80"),
        ("http://example.com:80", "example.com"),
        ("http://127.0.0.1:8080/x", "127.0.0.1:8080"),
        ("http://[::1]:8080", "[::1]:8080"),
        ("http://user:secret@example.com", "example.com"),
    ],
)
def test_the_host_is_lower_case_with_the_port_only_where_it_is_not_the_schemes_own(url: str, host: str) -> None:
    assert host_header(url) == host == botocore.auth._host_from_url(url)


def test_a_repr_of_credentials_shows_the_key_and_no_secret() -> None:
    shown = repr(Credentials("AKIDEXAMPLE", "very-secret", "also-secret"))
    assert "AKIDEXAMPLE" in shown
    assert "secret" not in shown.replace("secret_key", "")


@pytest.mark.parametrize(
    ("path", "headers", "named"),
    [
        ("/p", {"X-A": "1\r\nX-B: 2"}, "X-A"),
        ("/p", {"X-A": "1\n"}, "X-A"),
        ("/p", {"X-A": "\x00"}, "X-A"),
        ("/p", {"X A": "1"}, "X A"),
        ("/p", {"X-A:": "1"}, "X-A:"),
        ("/p", {"": "1"}, "''"),
        ("/p", {"Host": "elsewhere"}, "Host"),
        ("/p", {"content-length": "7"}, "content-length"),
        ("/p", {"Authorization": "mine"}, "Authorization"),
        ("/p", {"X-Amz-Date": "mine"}, "X-Amz-Date"),
        ("/a b", {}, "/a b"),
        ("/a\r\nX-B: 1", {}, "X-B"),
        ("/ä", {}, "ä"),
        ("p", {}, "'p'"),
    ],
)
def test_what_cannot_be_sent_is_refused_by_name(path: str, headers: dict[str, str], named: str) -> None:
    with pytest.raises(ValueError, match=r"path|header") as refused:
        Signer("sagemaker", "us-east-1", KEY).prepare("POST", "example.com", path, headers)
    assert named in str(refused.value)
