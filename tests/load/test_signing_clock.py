"""Whose time signatures are dated by, on clocks that are only told, and on the wire."""

from __future__ import annotations

import logging
import time
from email.utils import formatdate

import pytest

from sm_locust.load.http import Connections
from sm_locust.load.invoker import Invoker
from sm_locust.load.signing_clock import OFF_BY, SigningClock, apart
from sm_locust.load.sigv4 import Credentials, Signer
from sm_locust.record.clock import unix_of
from sm_locust.record.outcome import INVALID_SIGNATURE, OK
from tests.oracles.answers import AnswerServer, Step, answer, ok

NOON = 1_800_000_000.0


class Machine:
    """Its two clocks."""

    def __init__(self) -> None:
        self.wall, self.monotonic = NOON, 77.0

    def passes(self, seconds: float) -> None:
        self.wall += seconds
        self.monotonic += seconds

    def clock(self) -> SigningClock:
        return SigningClock(lambda: self.wall, lambda: self.monotonic)


@pytest.mark.parametrize("ahead", [612, -612, 86_400, OFF_BY])
def test_a_clock_that_is_off_is_replaced_by_that_of_the_answer_and_no_later_step_of_it_matters(ahead: float) -> None:
    machine = Machine()
    clock = machine.clock()
    assert clock.now() == NOON
    clock.refused(formatdate(NOON + ahead, usegmt=True))
    assert clock.now() == NOON + ahead
    assert clock.corrected_by == ahead
    machine.passes(10)
    machine.wall += ahead  # NTP sets it
    assert clock.now() == NOON + ahead + 10


@pytest.mark.parametrize("ahead", [0, 200, -200])
def test_a_clock_that_is_right_stays_when_a_signature_is_refused(ahead: float) -> None:
    clock = Machine().clock()
    clock.refused(formatdate(NOON + ahead, usegmt=True))
    assert (clock.now(), clock.corrected_by) == (NOON, None)


@pytest.mark.parametrize(
    "date",
    [
        "",
        "yesterday",
        "Thu, 01 Jan 99999 00:00:00 GMT",
        "Thu, 32 Jan 2026 00:00:00 GMT",
        formatdate(NOON + 86_401, usegmt=True),
        formatdate(NOON - 86_401, usegmt=True),
        "Fri, 31 Dec 9999 23:59:59 GMT",
    ],
)
def test_a_date_that_is_none_or_more_than_a_day_off_changes_nothing(date: str) -> None:
    clock = Machine().clock()
    clock.refused(date)
    assert (clock.now(), clock.corrected_by) == (NOON, None)


def test_a_date_without_a_zone_is_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        assert unix_of(formatdate(NOON, usegmt=True).removesuffix(" GMT")) == NOON
    finally:
        monkeypatch.undo()
        time.tzset()


def test_the_date_of_an_answer_that_is_no_refusal_of_aws_changes_nothing() -> None:
    clock = SigningClock()
    headers = "x-amzn-ErrorType: InvalidSignatureException", f"Date: {formatdate(time.time() + 7200, usegmt=True)}"
    with AnswerServer([answer(502, b"", *headers)]) as server:
        connections = Connections(server.url)
        signer = Signer("sagemaker", "us-east-1", Credentials("AKIDEXAMPLE", "secret"), clock)
        Invoker(connections, "/invocations", now=time.perf_counter, signer=signer).invoke(
            b"5", name="e", scheduled_at=0.0
        )
        connections.close()
    assert clock.corrected_by is None


def test_it_is_corrected_once(caplog: pytest.LogCaptureFixture) -> None:
    clock = Machine().clock()
    with caplog.at_level(logging.WARNING):
        for ahead in (612, 612, -5000):
            clock.refused(formatdate(NOON + ahead, usegmt=True))
    assert clock.now() == NOON + 612
    assert len(caplog.messages) == 1
    assert "this machine's clock is 612 s behind AWS's" in caplog.text


def test_how_it_stands_is_said_from_this_machine_s_side() -> None:
    assert [apart(3600.4), apart(-3.0)] == ["3,600 s behind", "3 s ahead of"]


def refusal(date: float, error: str = "InvalidSignatureException") -> list[Step]:
    headers = f"x-amzn-ErrorType: {error}", f"Date: {formatdate(date, usegmt=True)}"
    return [answer(403, b'{"message":"Signature expired"}', *headers)]


def sent_at(request: bytes) -> str:
    (date,) = [line.split(b": ")[1] for line in request.split(b"\r\n") if line.lower().startswith(b"x-amz-date")]
    return date.decode()


@pytest.mark.parametrize("error", ["InvalidSignatureException", "RequestTimeTooSkewed", "SignatureDoesNotMatch"])
def test_the_request_after_a_refusal_is_dated_by_the_answer_and_that_of_another_service_too(error: str) -> None:
    theirs = time.time() + 7200
    clock, key = SigningClock(), Credentials("AKIDEXAMPLE", "secret")
    with AnswerServer(refusal(theirs, error), [ok()], [ok()]) as server:
        connections = Connections(server.url)
        kinds = []
        for service in ("sagemaker", "sagemaker", "execute-api"):
            signer = Signer(service, "us-east-1", key, clock)
            invoker = Invoker(connections, "/invocations", now=time.perf_counter, signer=signer)
            kinds.append(invoker.invoke(b"5", name="known", scheduled_at=time.perf_counter()).kind)
        connections.close()
        first, *later = map(sent_at, server.requests)
    assert kinds == [INVALID_SIGNATURE, OK, OK]
    stamp = "%Y%m%dT%H%M%SZ"
    assert first < time.strftime(stamp, time.gmtime(theirs - 3600))
    for date in later:
        assert time.strftime(stamp, time.gmtime(theirs - 1)) <= date <= time.strftime(stamp, time.gmtime(theirs + 5))


def test_what_is_kept_of_a_refusal_ends_where_aws_begins_to_repeat_the_request_with_its_token() -> None:
    said = (
        b'{"message":"No match. The Canonical String for this request should have been \'x-amz-security-token:t0k3n\'"}'
    )
    with AnswerServer([answer(403, said, "x-amzn-ErrorType: InvalidSignatureException")]) as server:
        connections = Connections(server.url)
        signer = Signer("sagemaker", "us-east-1", Credentials("AKIDEXAMPLE", "secret", "t0k3n"))
        invoker = Invoker(connections, "/invocations", now=time.perf_counter, signer=signer)
        outcome = invoker.invoke(b"5", name="known", scheduled_at=time.perf_counter())
        connections.close()
    assert outcome.message == 'InvalidSignatureException: {"message":"No match. '
