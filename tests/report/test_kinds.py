"""No failure without words: what it means, and what to do about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sm_locust.analysis.summary import Summary
from sm_locust.load import invoker
from sm_locust.record import outcome
from sm_locust.record.outcome import CANCELLED, OK
from sm_locust.record.recorder import FAILURES_KEPT
from sm_locust.report import kinds, tables
from sm_locust.schedule import Phase
from tests.analysis.folders import played

KINDS = sorted(
    value
    for name, value in vars(outcome).items()
    if name.isupper() and isinstance(value, str) and value not in (OK, CANCELLED)
)


def test_the_kinds_are_those_that_answers_are_sorted_into() -> None:
    assert {*invoker.KINDS_BY_ERROR_TYPE.values(), *invoker.KINDS_BY_STATUS.values()} < set(KINDS)


WAYS: tuple[kinds.Way, ...] = ("sagemaker", "api_gateway", "other")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_words_of_its_own_that_say_what_to_do(kind: str, way: kinds.Way) -> None:
    found = kinds.words(kind, way)
    assert found != kinds.words("a kind of some later version", way)
    assert len(found.means) > 15 and len(found.do) > 10
    for part in (found.means, found.do):
        assert part == part.strip(" .;") and "\n" not in part


@pytest.mark.parametrize("way", WAYS)
def test_no_two_kinds_have_the_same_words(way: kinds.Way) -> None:
    assert len({str(kinds.words(kind, way)) for kind in KINDS}) == len(KINDS)


SCENARIOS = [{"name": "look", "steps": [{"method": "get", "url": "http://shop.example.com/"}]}]


@pytest.mark.parametrize(
    ("config", "way"),
    [
        ({"target": {"endpoint": "e"}}, "sagemaker"),
        ({"target": {"endpoint": "e", "api_gateway": "https://a.example.com/x", "auth": "none"}}, "api_gateway"),
        ({"target": {"container": "http://127.0.0.1:1/i"}}, "other"),
        ({"target": {"endpoint": "e"}, "scenarios": SCENARIOS}, "other"),
        ({}, "other"),
    ],
)
def test_what_to_do_depends_on_where_requests_went(config: dict[str, Any], way: kinds.Way, tmp_path: Path) -> None:
    run = played(tmp_path, (Phase("flat", 5, 10),), lambda at: (outcome.INTERNAL, 0.01), config=config)
    ((_, said, _, _),) = tables.failures(Summary.of(run)).rows
    assert said == str(kinds.words(outcome.INTERNAL, way))
    assert ("CloudWatch" in said, "of the API's function" in said) == (way != "other", way == "api_gateway")


def test_a_server_of_ones_own_has_no_support_case() -> None:
    for kind in {*invoker.KINDS_BY_STATUS.values(), outcome.TIMEOUT, outcome.CONNECT_TIMEOUT, outcome.DNS}:
        said = str(kinds.words(kind, "other"))
        assert not any(word in said for word in ("CloudWatch", "AWS", "support", "instances", "API", "region")), said


def test_of_each_kind_the_first_twenty_are_kept_and_all_are_counted(tmp_path: Path) -> None:
    """Every kind in turn, from two workers, hundreds of each."""
    run = played(
        tmp_path,
        (Phase("flat", 60, 200),),
        lambda at: (KINDS[int(at * 200) % len(KINDS)], 0.01),
        workers=("a", "b"),
    )
    summary = Summary.of(run)
    table, examples = tables.failures(summary), tables.examples(summary)
    assert sorted(row[0] for row in table.rows) == KINDS
    assert sum(int(row[-1]) for row in table.rows) == 12_000
    for kind in KINDS:
        rows = [row for row in examples.rows if row[1] == kind]
        assert len(rows) == FAILURES_KEPT == 20
