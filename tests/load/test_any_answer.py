"""Answers that no list foresees: valid ones cut anywhere, and damaged ones, which are one Outcome of a named kind."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_locust.load.answer import MAX_HEAD, Answer
from sm_locust.load.http import Connections
from sm_locust.load.invoker import ApiGatewayInvoker, Invoker
from sm_locust.record import outcome as kinds
from tests.fuzzing import examples, spoilt
from tests.load.every_answer import ANSWERED
from tests.oracles.answers import CLOSE, AnswerServer, Step

KINDS = frozenset(value for name, value in vars(kinds).items() if name.isupper() and isinstance(value, str))
PATIENCE = 0.06  # seconds

TOKEN = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.", min_size=1, max_size=12)
VALUE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=30)
SPECIAL = {"connection", "content-length", "transfer-encoding", "upgrade", "proxy-connection", "keep-alive", "te"}


@dataclass(frozen=True)
class Valid:
    """An answer as a server may give one, and what is in it."""

    status: int
    body: bytes
    wire: bytes = field(repr=False)
    until_the_end: bool  # its length is the connection's


@st.composite
def valid(draw: st.DrawFn) -> Valid:
    interim = draw(st.lists(st.sampled_from([100, 102, 103]), max_size=3))
    status = draw(st.sampled_from([200, 201, 202, 400, 424, 429, 500, 503, 530, 599, 999]))
    named = draw(st.lists(st.tuples(TOKEN.filter(lambda name: name.lower() not in SPECIAL), VALUE), max_size=4))
    headers = [f"{name}: {value}".encode("latin-1") for name, value in named]
    body = draw(st.binary(max_size=200))
    how = draw(st.sampled_from(["length", "chunks", "end"]))
    sent = body
    if how == "length":
        headers.append(b"Content-Length: %d" % len(body))
    elif how == "chunks":
        headers.append(b"Transfer-Encoding: chunked")
        cuts = sorted(draw(st.sets(st.integers(1, max(1, len(body))), max_size=4)) | {len(body)})
        pieces = [body[a:b] for a, b in zip([0, *cuts], cuts, strict=False) if body[a:b]]
        extension = draw(st.sampled_from([b"", b";a=b", b';a="b c"']))
        sent = b"".join(b"%x%b\r\n%b\r\n" % (len(piece), extension, piece) for piece in pieces) + b"0\r\n\r\n"
    head = b"\r\n".join([b"HTTP/1.1 %d Known" % status, *draw(st.permutations(headers)), b"", b""])
    before = b"".join(b"HTTP/1.1 %d Interim\r\nX-I: 1\r\n\r\n" % code for code in interim)
    return Valid(status, body, before + head + sent, how == "end")


def read(wire: bytes, cuts: set[int], *, ends: bool = True, max_body: int = 150) -> tuple[Answer, str]:
    """As Connections reads it: up to its end, or its first fault."""
    answer, edges = Answer(max_body, expect=b"ab"), sorted({0, len(wire), *(cut for cut in cuts if cut < len(wire))})
    try:
        for start, stop in itertools.pairwise(edges):
            answer.take(wire[start:stop])
            if answer.status:
                return answer, ""
        if ends:
            answer.take(b"")
    except httptools.HttpParserError as e:
        return answer, type(e).__name__
    return answer, ""


@examples(100)
@given(valid(), st.sets(st.integers(1, 600), max_size=8))
def test_a_valid_answer_cut_anywhere_is_what_the_server_said(said: Valid, cuts: set[int]) -> None:
    for where in (set(), cuts, set(range(len(said.wire)))):
        answer, fault = read(said.wire, where)
        assert (fault, answer.status, answer.received) == ("", said.status, len(said.body))
        assert answer.body == said.body[:150]
        assert answer.as_expected == (b"ab" in said.body)


@examples(150)
@given(st.data())
def test_a_damaged_answer_is_the_same_wherever_it_is_cut(data: st.DataObject) -> None:
    wire = data.draw(valid()).wire
    for _ in range(data.draw(st.integers(1, 3))):
        wire = data.draw(spoilt(wire))
    whole, fault = read(wire, set())
    for cuts in (set(range(len(wire))), data.draw(st.sets(st.integers(1, 600), max_size=8))):
        answer, other = read(wire, cuts)
        # What stands behind a complete answer belongs to it no more, also where it came with its last byte.
        assert (answer.status, other) == (whole.status, fault)
        if whole.status:
            assert (answer.body, answer.received, answer.headers) == (whole.body, whole.received, whole.headers)
        assert len(answer.body) <= 150 and len(answer.cookies) <= len(wire)
    assert whole.status == 0 or whole.status >= 100


DEEP = b'{"message": ' + b"[" * 60_000
WORDS = (
    *(b"{}", b"[]", b"null", b'"x"', b"1" * 9_000, b"\xff\xfe", b"\x1b[2J", DEEP, b'{"__type": 5}'),
    *(b'{"__type": "A#B:c", "message": {"a": [1]}}', b'{"message": "\\ud800"}', b'{"Message": NaN}'),
    *(b'{"errorType": "E", "errorMessage": null}', b'{"Code": [], "OriginalStatusCode": "x", "LogStreamArn": 7}'),
)


def said(status: int, words: bytes) -> bytes:
    return b"HTTP/1.1 %d x\r\nx-amzn-ErrorType: \xff\r\nContent-Length: %d\r\n\r\n%b" % (status, len(words), words)


class Says:
    """A server that says what it is told to, and closes the connection, or waits for the next request."""

    def __init__(self) -> None:
        self.wire = b""

    def script(self, *then: Step) -> list[Step]:
        return [lambda request: self.wire, *then]


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[Says, list[Invoker]]]:
    says = Says()
    with AnswerServer(says.script(CLOSE)) as closes, AnswerServer(says.script()) as waits:
        connections = [Connections(closes.url), Connections(waits.url)]
        yield (
            says,
            [
                Invoker(connections[0], "/", now=time.perf_counter, timeout=5.0, expect="a"),
                ApiGatewayInvoker(connections[0], "/", now=time.perf_counter, timeout=5.0),
                Invoker(connections[1], "/", now=time.perf_counter, timeout=PATIENCE),
            ],
        )
        for each in connections:
            each.close()


UPGRADE = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n"
SCRIPTED = [
    UPGRADE,
    *(b"".join(step for step in script if isinstance(step, bytes)) for script, *_ in ANSWERED.values()),
]


@examples(80)
@given(data=st.data())
def test_whatever_comes_is_one_outcome_of_a_named_kind_in_time(
    servers: tuple[Says, list[Invoker]], data: st.DataObject
) -> None:
    says, invokers = servers
    answers = valid().map(lambda answer: answer.wire) | st.sampled_from(SCRIPTED)
    words = st.builds(said, st.sampled_from([200, 400, 403, 424, 500, 503, 530]), st.sampled_from(WORDS))
    says.wire = data.draw(answers.flatmap(spoilt) | words | words.flatmap(spoilt) | st.binary(max_size=60))
    invoker = data.draw(st.sampled_from(invokers))
    began = time.perf_counter()
    outcome = invoker.invoke(b"x", name="known", scheduled_at=began)
    assert outcome.kind in KINDS
    assert outcome.ended_at - began < 5.0  # what the limit is does not depend on the machine's speed
    assert (outcome.message == "") == outcome.ok and len(outcome.message) <= 300
    assert len(outcome.request_id) <= MAX_HEAD
