"""Findings as lines: folded beside their names, plain where nobody sees colours, and counted at the end."""

from __future__ import annotations

import io
import json

from sm_locust.finding import FAIL, PASS, WARN, Finding, not_available
from sm_locust.report import check

FOUND = [
    Finding("plan", PASS, "3,960,000 requests in 2h, at most 800 a second"),
    Finding("live-traffic", FAIL, "1,234 invocations " * 9, "take an endpoint of your own; " * 5),
    Finding("shadow", WARN, "a copy \x1b[31mof\nthe requests", "take it off"),
    not_available("lambda-concurrency", "no such service"),
]


def test_lines_are_plain_and_folded_beside_the_name() -> None:
    stream = io.StringIO()
    assert check.show(iter(FOUND), stream) == FOUND
    lines = stream.getvalue().splitlines()
    assert "\x1b" not in stream.getvalue()
    assert max(map(len, lines)) <= 110
    assert all(line == line.rstrip() for line in lines)
    assert lines[0] == "pass  plan                3,960,000 requests in 2h, at most 800 a second"
    assert lines[1].startswith("FAIL  live-traffic        1,234 invocations 1,234")
    assert lines[2].startswith(" " * 26 + "1,234") or lines[2].startswith(" " * 26 + "invocations")
    assert any(line.startswith(" " * 26 + "→ take an endpoint") for line in lines)
    assert "warn  shadow              a copy �[31mof the requests" in lines
    assert "?     lambda-concurrency  not available here: no such service" in lines
    assert lines[-1] == "1 passed, 1 warned, 1 failed, 1 not available here"


def test_a_line_is_there_before_the_next_question_is_asked() -> None:
    stream = io.StringIO()
    seen = []

    def one_by_one() -> object:
        for finding in FOUND:
            yield finding
            seen.append(stream.getvalue().count("\n"))

    check.show(one_by_one(), stream)  # type: ignore[arg-type]
    assert seen == sorted(seen) and seen[0] == 1


def test_json_holds_the_same() -> None:
    document = json.loads(check.as_json(FOUND))
    assert document["counts"] == {"pass": 1, "warn": 1, "fail": 1, "unknown": 1}
    assert document["findings"][0] == {
        "name": "plan",
        "level": "pass",
        "text": "3,960,000 requests in 2h, at most 800 a second",
        "do": "",
    }
