"""The run folder: made once, only grown, readable at any moment."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sm_locust.record.interval import Interval
from sm_locust.record.run import FAILURES, LEDGER, Event, Plan, Run, RunError, Sample


def test_each_start_makes_a_folder_of_its_own(tmp_path: Path) -> None:
    one, two = Run.create(tmp_path / "runs", {"speed": 1}), Run.create(tmp_path / "runs", {"speed": 1})
    assert one.folder != two.folder
    assert one.folder.parent == two.folder.parent == tmp_path / "runs"
    assert Run.open(one.folder).run_id == one.run_id == one.folder.name


def test_what_was_appended_is_read_back_in_order(tmp_path: Path) -> None:
    run = Run.create(tmp_path, {"speed": 60})
    interval = Interval(3.0, "e")
    interval.add("ok", 2)
    run.append("w1", [interval], [Plan(0.0, 1.0, 200.5, 200), Sample(1.0, "w1", 7, None)])
    run.append("w2", [interval.encode()], [Event(2.0, "worker lost", "w1")])
    ledger = Run.open(run.folder).ledger()
    assert [(i.second, i.name, i.ok) for i in ledger.intervals] == [(3.0, "e", 2)] * 2
    assert ledger.worker_of == ["w1", "w2"]
    assert ledger.plan == [Plan(0.0, 1.0, 200.5, 200)]
    assert ledger.samples == [Sample(1.0, "w1", 7, None)]
    assert ledger.events == [Event(2.0, "worker lost", "w1")]


def test_a_line_that_a_killed_master_left_half_written_is_passed_over(tmp_path: Path) -> None:
    run = Run.create(tmp_path, {"speed": 1})
    run.append("w", rows=[Plan(0.0, 1.0, 1.0, 1)])
    with open(run.folder / LEDGER, "a") as file:
        file.write('{"second":1.0,"until":2.0,"pla')
    assert Run.open(run.folder).ledger().plan == [Plan(0.0, 1.0, 1.0, 1)]


def test_a_broken_line_in_the_middle_is_an_error_that_names_it(tmp_path: Path) -> None:
    run = Run.create(tmp_path, {"speed": 1})
    (run.folder / LEDGER).write_text("not json\n")
    with pytest.raises(RunError, match="line 1: not a line of JSON"):
        run.ledger()


def test_no_more_than_twenty_failures_of_a_kind_are_kept_over_all_workers(tmp_path: Path) -> None:
    run = Run.create(tmp_path, {"speed": 1})
    failure = {"at": 1.0, "kind": "reset", "name": "e", "status": 0, "request_id": "", "message": "x"}
    for worker in ("a", "b"):
        run.append_failures(worker, [failure] * 15)
    assert len(run.failures()) == 20
    assert len((run.folder / FAILURES).read_text().splitlines()) == 20


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "not a run folder: it has no run.json"),
        ("{", "run.json cannot be read"),
        ("[]", "schema_version None"),
        (json.dumps({"schema_version": 99}), "schema_version 99; this sm-locust reads 1"),
    ],
)
def test_what_is_not_a_run_folder_is_refused_in_one_sentence(tmp_path: Path, content: str | None, says: str) -> None:
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(RunError) as e:
        Run.open(tmp_path)
    assert says in str(e.value)
    assert "\n" not in str(e.value)


def test_a_folder_that_cannot_be_made_is_an_error_of_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be made"):
        Run.create(tmp_path / "file", {"speed": 1})
