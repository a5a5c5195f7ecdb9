"""The verifier lets through what botocore signs, and refuses the rest in AWS's words."""

from __future__ import annotations

import calendar
import time
from urllib.parse import urlsplit

import botocore.auth
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from sm_locust.local.errors import AwsError
from sm_locust.local.sessions import Session, Sessions
from sm_locust.local.signature import Verifier

KEY, SECRET, REGION = "AKIDEXAMPLE", "secret/+=", "us-east-1"
URL = "http://127.0.0.1:8500/endpoints/e/invocations"

Wire = tuple[str, bytes, bytes, dict[bytes, bytes], bytes]


def signed(
    url: str = URL,
    body: bytes = b"5,3.5,1.3,0.3",
    headers: dict[str, str] | None = None,
    key: str = KEY,
    secret: str = SECRET,
    token: str | None = None,
    region: str = REGION,
    service: str = "sagemaker",
) -> Wire:
    """A request as it comes over the wire, signed by botocore."""
    request = AWSRequest("POST", url, data=body, headers={"Content-Type": "text/csv", **(headers or {})})
    SigV4Auth(Credentials(key, secret, token), service, region).add_auth(request)
    parts = urlsplit(url)
    on_wire = {name.lower().encode(): str(value).encode() for name, value in request.headers.items()}
    on_wire[b"host"] = parts.netloc.encode()
    return "POST", parts.path.encode(), parts.query.encode(), on_wire, body


def verifier(token: str | None = None, minutes_later: float = 0) -> Verifier:
    return Verifier(KEY, SECRET, token, REGION, "sagemaker", Sessions(), now=lambda: time.time() + minutes_later * 60)


def refusal(request: Wire, by: Verifier | None = None) -> tuple[int, str, str]:
    with pytest.raises(AwsError) as refused:
        (by or verifier()).verify(*request)
    message = refused.value.body.decode()
    return refused.value.status, refused.value.code, message


header_values = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1)


@given(
    name=st.from_regex(r"[a-zA-Z0-9](-?[a-zA-Z0-9]){0,20}", fullmatch=True),
    body=st.binary(max_size=200),
    attributes=header_values,
    inference_id=header_values,
    token=st.none() | header_values,
)
def test_whatever_botocore_signs_is_let_through(
    name: str, body: bytes, attributes: str, inference_id: str, token: str | None
) -> None:
    headers = {"X-Amzn-SageMaker-Custom-Attributes": attributes, "X-Amzn-SageMaker-Inference-Id": inference_id}
    request = signed(f"http://localhost:1234/endpoints/{name}/invocations", body, headers, token=token)
    verifier(token).verify(*request)


@pytest.mark.parametrize("path", ["/endpoints/a%20b/invocations", "/a//b/../c", "/?b=2&a=1&a=0", "/~x/%E4"])
def test_paths_and_queries_are_canonical_as_in_botocore(path: str) -> None:
    verifier().verify(*signed(f"http://127.0.0.1:8500{path}"))


def test_spaces_within_a_signed_value_are_canonical_as_in_botocore() -> None:
    verifier().verify(*signed(headers={"X-Amzn-SageMaker-Custom-Attributes": "a   b  c"}))


def test_headers_that_were_not_signed_do_not_matter() -> None:
    method, path, query, headers, body = signed()
    verifier().verify(method, path, query, {**headers, b"user-agent": b"x", b"accept-encoding": b"gzip"}, body)


def test_two_verifications_of_one_day_do_not_make_the_key_of_another_day_good() -> None:
    check = verifier()
    check.verify(*signed())
    check.verify(*signed())
    assert refusal(signed(secret="other"), check)[1] == "InvalidSignatureException"


@pytest.mark.parametrize("part", ["method", "path", "query", "header", "body", "signature", "host"])
def test_any_change_after_signing_is_an_invalid_signature(part: str) -> None:
    method, path, query, headers, body = signed()
    if part == "method":
        method = "PUT"
    elif part == "path":
        path += b"x"
    elif part == "query":
        query = b"a=1"
    elif part == "header":
        headers[b"content-type"] = b"application/json"
    elif part == "body":
        body += b" "
    elif part == "host":
        headers[b"host"] = b"127.0.0.1:8501"
    else:
        head, _, signature = headers[b"authorization"].rpartition(b"=")
        headers[b"authorization"] = head + b"=" + signature[::-1]
    status, code, message = refusal((method, path, query, headers, body))
    assert (status, code) == (403, "InvalidSignatureException")
    assert "The request signature we calculated does not match the signature you provided." in message


def test_a_payload_hash_in_a_header_is_not_taken_at_its_word() -> None:
    method, path, query, headers, _ = signed(headers={"X-Amz-Content-SHA256": "0" * 64})
    assert refusal((method, path, query, headers, b"another body"))[1] == "InvalidSignatureException"


def test_a_missing_authorization_is_named() -> None:
    method, path, query, headers, body = signed()
    del headers[b"authorization"]
    assert refusal((method, path, query, headers, body))[:2] == (403, "MissingAuthenticationTokenException")


@pytest.mark.parametrize(
    ("authorization", "says"),
    [
        (b"Basic abc", "Unsupported AWS 'algorithm': 'Basic'"),
        (b"AWS4-HMAC-SHA256 nonsense", "'nonsense' not a valid key=value pair"),
        (b"AWS4-HMAC-SHA256 Credential=a, SignedHeaders=host", "requires 'Signature' parameter."),
        (b"AWS4-HMAC-SHA256 Signature=a, SignedHeaders=host", "requires 'Credential' parameter."),
        (b"AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=s", "5 slash-delimited elements"),
        (b"AWS4-HMAC-SHA256 Credential=\xe9/a, SignedHeaders=\xe9, Signature=\xe9", "5 slash-delimited elements"),
    ],
)
def test_an_incomplete_authorization_says_what_is_missing(authorization: bytes, says: str) -> None:
    method, path, query, headers, body = signed()
    status, code, message = refusal((method, path, query, {**headers, b"authorization": authorization}, body))
    assert (status, code) == (403, "IncompleteSignatureException")
    assert says in message


@pytest.mark.parametrize("date", [None, b"", b"yesterday", b"2026-01-01T00:00:00Z"])
def test_a_missing_or_unreadable_date_is_an_incomplete_signature(date: bytes | None) -> None:
    method, path, query, headers, body = signed()
    del headers[b"x-amz-date"]
    if date is not None:
        headers[b"x-amz-date"] = date
    assert refusal((method, path, query, headers, body))[1] == "IncompleteSignatureException"


@pytest.mark.parametrize("minutes", [4.9, -4.9])
def test_a_clock_that_is_less_than_five_minutes_off_is_let_through(minutes: float) -> None:
    verifier(minutes_later=minutes).verify(*signed())


@pytest.mark.parametrize(
    ("minutes", "words", "compares", "window"),
    [(5.1, "Signature expired: ", " is now earlier than ", "- 5 min.)"),
     (-5.1, "Signature not yet current: ", " is still later than ", "+ 5 min.)")],
)  # fmt: skip
def test_a_clock_more_than_five_minutes_off_is_an_invalid_signature_with_the_dates(
    minutes: float, words: str, compares: str, window: str
) -> None:
    request = signed()
    status, code, message = refusal(request, verifier(minutes_later=minutes))
    assert (status, code) == (403, "InvalidSignatureException")
    assert words + request[3][b"x-amz-date"].decode() + compares in message
    assert window in message


def test_an_unknown_key_is_an_unrecognized_client() -> None:
    status, code, message = refusal(signed(key="AKIDOTHER"))
    assert (status, code) == (403, "UnrecognizedClientException")
    assert "The security token included in the request is invalid." in message


@pytest.mark.parametrize(("sent", "known"), [("a", "b"), ("a", None), (None, "b")])
def test_a_wrong_session_token_is_an_unrecognized_client(sent: str | None, known: str | None) -> None:
    assert refusal(signed(token=sent), verifier(known))[:2] == (403, "UnrecognizedClientException")


@pytest.mark.parametrize(
    ("region", "service", "says"),
    [
        ("eu-west-1", "sagemaker", f"a valid region, not 'eu-west-1'. The local endpoint is in '{REGION}'."),
        (REGION, "monitoring", "Credential should be scoped to correct service: 'sagemaker'."),
    ],
)
def test_a_wrong_scope_is_an_invalid_signature_that_names_it(region: str, service: str, says: str) -> None:
    status, code, message = refusal(signed(region=region, service=service))
    assert (status, code) == (403, "InvalidSignatureException")
    assert says in message


def test_a_scope_of_another_day_than_the_request_is_an_invalid_signature() -> None:
    method, path, query, headers, body = signed()
    today = headers[b"x-amz-date"][:8]
    headers[b"authorization"] = headers[b"authorization"].replace(b"/" + today + b"/", b"/20200101/")
    status, code, message = refusal((method, path, query, headers, body))
    assert (status, code) == (403, "InvalidSignatureException")
    assert "Date in Credential scope does not match" in message


def test_a_request_whose_host_was_not_signed_is_refused() -> None:
    method, path, query, headers, body = signed()
    headers[b"authorization"] = headers[b"authorization"].replace(b"host;", b"")
    assert "must be a 'SignedHeader'" in refusal((method, path, query, headers, body))[2]


def test_a_key_is_good_again_on_the_next_day(monkeypatch: pytest.MonkeyPatch) -> None:
    check = Verifier(KEY, SECRET, None, REGION, "sagemaker", Sessions(), now=lambda: clock)
    for day in (1, 2, 3):
        stamp = time.strptime(f"2026-03-0{day} 12:00:00", "%Y-%m-%d %H:%M:%S")
        clock = float(calendar.timegm(stamp))
        moment = botocore.auth.datetime.datetime(*stamp[:6])
        monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda moment=moment: moment)
        check.verify(*signed())


class TestTemporaryCredentials:
    def setup_method(self) -> None:
        self.sessions = Sessions()
        self.clock = time.time()
        self.check = Verifier(KEY, SECRET, None, REGION, "sagemaker", self.sessions, now=lambda: self.clock)

    def request(self, session: Session, secret: str | None = None, token: str | None = None) -> Wire:
        wanted = secret or session.secret_access_key, session.session_token if token is None else token
        return signed(key=session.access_key_id, secret=wanted[0], token=wanted[1])

    def test_they_are_as_good_as_the_first_pair_until_they_expire(self) -> None:
        session = self.sessions.issue({"lifetime": "20"}, self.clock)
        request = self.request(session)
        assert self.check.verify(*request) == session.access_key_id
        assert self.check.verify(*signed()) == KEY
        self.clock += 19
        assert self.check.verify(*request) == session.access_key_id
        self.clock += 1
        status, code, message = refusal(request, self.check)
        assert (status, code) == (403, "ExpiredTokenException")
        assert "The security token included in the request is expired" in message
        assert self.check.verify(*signed()) == KEY

    def test_another_token_or_none_or_another_secret_is_not_theirs(self) -> None:
        first, second = (self.sessions.issue({}, self.clock) for _ in range(2))
        for token in (second.session_token, "a", ""):
            assert refusal(self.request(first, token=token), self.check)[1] == "UnrecognizedClientException"
        wrong = self.request(first, secret=second.secret_access_key)
        assert refusal(wrong, self.check)[1] == "InvalidSignatureException"
        assert refusal(self.request(first), verifier())[1] == "UnrecognizedClientException"

    @pytest.mark.parametrize(
        "query", [{"lifetime": "0"}, {"lifetime": "-1"}, {"lifetime": "nan"}, {"lifetime": "1h"}, {"duration": "20"}]
    )
    def test_a_lifetime_that_cannot_be_is_refused_by_its_name(self, query: dict[str, str]) -> None:
        with pytest.raises(ValueError, match="lifetime"):
            self.sessions.issue(query, self.clock)
