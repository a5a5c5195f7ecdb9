"""How often a source of credentials is asked, on a clock that is only told, and what is said when it fails."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_locust.aws.runtime import Keys
from sm_locust.load.credentials import AT_LEAST, AT_MOST, EARLIER, Renewal, pause

MINUTE, HOUR = 60.0, 3600.0


@pytest.mark.parametrize(
    ("left", "failures", "seconds"),
    [
        (20, 0, 10),  # half of what is left
        (90, 0, 45),
        (3, 0, 1.5),
        (1, 0, 1),  # but not twice in a second
        (-5, 0, 1),
        (10 * MINUTE, 0, 60),  # nor less than once a minute
        (HOUR, 0, 60),
        (None, 0, 60),
        (15 * MINUTE + 20, 0, 20),  # when botocore's window opens
        (HOUR, 1, 1),  # a source that fails is left in peace for longer and longer
        (HOUR, 2, 2),
        (20, 4, 8),
        (None, 7, 60),
        (None, 10_000, 60),
    ],
)
def test_the_source_is_asked_again_after(left: float | None, failures: int, seconds: float) -> None:
    assert pause(left, failures, 0.0) == seconds
    assert pause(left, failures, 1.0) == max(AT_LEAST, seconds * (1 - EARLIER))


@given(st.floats(2.5, 12 * HOUR), st.floats(0, 1))
def test_a_source_that_answers_is_asked_before_its_keys_expire(left: float, chance: float) -> None:
    """Whatever their lifetime: twice at least, since the first answer may fail."""
    first = pause(left, 0, chance)
    assert AT_LEAST <= first <= AT_MOST
    assert first + AT_LEAST < left


class Source:
    """A source of keys on a clock of its own: keys that last `lifetime`, or what it is told to raise."""

    def __init__(self, lifetime: float | None = 20.0) -> None:
        self.now = 1000.0
        self.lifetime = lifetime
        self.asked = 0
        self.fault: Exception | None = None
        self.meanwhile: Callable[[], None] = lambda: None

    def __call__(self) -> Keys:
        self.asked += 1
        self.meanwhile()
        if self.fault is not None:
            raise self.fault
        expires_at = None if self.lifetime is None else self.now + self.lifetime
        return Keys(f"AKID{self.asked}", "hunter2", "a token", expires_at)

    def renewal(self) -> Renewal:
        return Renewal(self, "custom-process", now=lambda: self.now, chance=lambda: 0.0)


def test_twenty_seconds_of_life_are_six_questions_a_minute() -> None:
    source = Source()
    renewal = source.renewal()
    until = source.now + 60
    while source.now + renewal.wait <= until:
        source.now += renewal.wait
        renewal.renew()
        assert renewal.keys.expires_at == source.now + 20
    assert source.asked == 7  # the first before the load


def test_while_the_source_fails_the_keys_stay_and_the_log_has_a_line_a_minute_without_a_secret(
    caplog: pytest.LogCaptureFixture,
) -> None:
    source = Source()
    renewal = source.renewal()
    source.fault = ValueError("token hunter2 was refused")
    until, asked = source.now + 150, source.asked
    with caplog.at_level(logging.DEBUG):
        while source.now + renewal.wait <= until:
            source.now += renewal.wait
            renewal.renew()
        assert renewal.keys.access_key == "AKID1"
        assert source.asked - asked == 8, "after 10 s, and then 1, 2, 4, 8, 16, 32 and 60 s later"
        source.fault = None
        renewal.renew()
    failed = "the credentials (custom-process) could not be renewed: ValueError; those in use"
    assert caplog.messages == [
        f"{failed} expire in 10 s, and it is tried again",
        f"{failed} have expired, and it is tried again",
        f"{failed} have expired, and it is tried again",
        "the credentials (custom-process) have been renewed",
    ]
    assert renewal.keys.access_key == "AKID10"


def test_the_first_question_lets_through_what_is_raised() -> None:
    source = Source()
    source.fault = RuntimeError("none")
    with pytest.raises(RuntimeError):
        source.renewal()


@pytest.mark.parametrize(("passed", "waits"), [(12.0, False), (25.0, True)])
def test_one_asks_and_others_go_on_with_the_keys_in_use_unless_those_have_expired(passed: float, waits: bool) -> None:
    source = Source()
    renewal = source.renewal()
    source.now += passed
    heard: list[str] = []
    others = [threading.Thread(target=lambda: heard.append(renewal.current().access_key)) for _ in range(5)]

    def ask_slowly() -> None:
        for other in others:
            other.start()
        for other in others:
            other.join(0.02)

    source.meanwhile = ask_slowly
    assert renewal.current().access_key == "AKID2"
    for other in others:
        other.join(10)
    assert heard == ["AKID2" if waits else "AKID1"] * 5
    assert source.asked == 2


def test_keys_without_an_end_are_asked_about_once_a_minute() -> None:
    source = Source(lifetime=None)
    renewal = source.renewal()
    for _ in range(100):
        source.now += 1
        renewal.current()
    assert source.asked == 2
