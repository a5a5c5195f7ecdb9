"""What is kept of an answer holds no value of the environment, however the server wrote it."""

from __future__ import annotations

import html
import json
import time
from urllib.parse import quote, urlencode

import pytest

from sm_locust.load.hiding import Hiding
from sm_locust.load.http import Connections
from sm_locust.load.invoker import StepInvoker
from tests.oracles.answers import AnswerServer, answer

SECRET = 'p&ss "wörd"/+x'


@pytest.mark.parametrize(
    "said",
    [
        SECRET,
        SECRET.upper(),
        quote(SECRET),
        quote(SECRET, safe="").lower(),
        urlencode({"q": SECRET}),
        json.dumps({"q": SECRET}),
        json.dumps(SECRET, ensure_ascii=False).replace("/", "\\/"),
        html.escape(SECRET),
        SECRET.encode().decode("latin-1"),
    ],
)
def test_a_value_is_found_as_it_may_be_written(said: str) -> None:
    kept = Hiding([SECRET])(f"said {said}.")
    assert kept.count("(not kept)") == 1
    assert "ss" not in kept and "rd" not in kept


def test_the_longer_of_two_values_is_taken_and_what_is_no_more_than_a_letter_or_three_stays() -> None:
    hiding = Hiding(["token", "token-and-more", "a", "a   ", ""])
    assert hiding("a token-and-more, a token") == "a (not kept), a (not kept)"
    assert Hiding([])("a token") == "a token"


def test_no_part_of_a_value_stays_where_a_long_text_is_cut_off() -> None:
    hiding = Hiding(["k3y-" * 10])
    assert hiding("said " + "k3y-" * 25, cut_off=True) == "said (not kept)(not kept)"
    assert hiding("said " * 20, cut_off=True) == ("said " * 20)[:-40]
    assert hiding("said k3y-", cut_off=True) == ""
    assert Hiding([])("said", cut_off=True) == "said"


def test_a_long_body_is_cut_off_before_it_is_looked_through() -> None:
    secret = "k3y!" * 1000
    with AnswerServer([answer(500, body=(secret * 20).encode())]) as server:
        connections = Connections(server.url)
        invoker = StepInvoker(connections, now=time.perf_counter, timeout=9.0, expect=None, hiding=Hiding([secret]))
        message = invoker.invoke(b"", name="a", scheduled_at=0.0).message
        connections.close()
    assert message == "(not kept)" * 16
