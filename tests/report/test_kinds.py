"""No failure without words: what it means, and what to do about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sm_locust.analysis.summary import Summary
from sm_locust.load import invoker
from sm_locust.record import outcome
from sm_locust.record.outcome import CANCELLED, OK
from sm_locust.record.recorder import FAILURES_KEPT
from sm_locust.report import kinds, wording
from sm_locust.schedule import Phase
from tests.analysis.folders import played

KINDS = sorted(
    value
    for name, value in vars(outcome).items()
    if name.isupper() and isinstance(value, str) and value not in (OK, CANCELLED)
)


def test_the_kinds_are_those_that_answers_are_sorted_into() -> None:
    assert {*invoker.KINDS_BY_ERROR_TYPE.values(), *invoker.KINDS_BY_STATUS.values()} < set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_words_of_its_own_that_say_what_to_do(kind: str) -> None:
    found = kinds.words(kind)
    assert found != kinds.words("a kind of some later version")
    assert len(found.means) > 15 and len(found.do) > 10
    for part in (found.means, found.do):
        assert part == part.strip(" .;") and "\n" not in part


def test_no_two_kinds_have_the_same_words() -> None:
    assert len({str(kinds.words(kind)) for kind in KINDS}) == len(KINDS)


def test_of_each_kind_the_first_twenty_are_kept_and_all_are_counted(tmp_path: Path) -> None:
    """Every kind in turn, from two workers, hundreds of each."""
    run = played(
        tmp_path,
        (Phase("flat", 60, 200),),
        lambda at: (KINDS[int(at * 200) % len(KINDS)], 0.01),
        workers=("a", "b"),
    )
    summary = Summary.of(run)
    table, examples = wording.failures(summary), wording.examples(summary)
    assert sorted(row[0] for row in table.rows) == KINDS
    assert sum(int(row[-1]) for row in table.rows) == 12_000
    for kind in KINDS:
        rows = [row for row in examples.rows if row[1] == kind]
        assert len(rows) == FAILURES_KEPT == 20
