"""Each process's share, lateness and CPU, as the ledger of a run has them."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from sm_locust.analysis.summary import Summary
from sm_locust.record.ledger import WORKER_BACK, WORKER_LOST, Event
from sm_locust.report import markdown, page, text
from sm_locust.schedule import Phase
from tests.analysis.folders import played

PHASES = (Phase("held", 60, 100),)


def test_each_process_is_told_apart_and_together_they_are_the_run(tmp_path: Path) -> None:
    # Of every ten arrivals, b's five (the even ones) are dropped in the first second ten.
    run = played(
        tmp_path,
        PHASES,
        lambda at: "max_in_flight" if int(at * 100) % 2 and at < 10 else ("ok", 0.008),
        workers=("a", "b"),
        busy={"b": 0.7},
        events=[Event(20.0, WORKER_LOST, "a"), Event(30.0, WORKER_BACK, "a"), Event(40.0, WORKER_LOST, "b")],
    )
    summary = Summary.of(run)
    a, b = summary.as_dict()["workers"]
    assert [a["worker"], b["worker"]] == ["a", "b"]
    assert (a["due"], a["sent"], a["dropped_by_reason"]) == (3000, 3000, {})
    assert (b["due"], b["sent"], b["dropped_by_reason"]) == (3000, 2500, {"max_in_flight": 500})
    assert a["share"] == pytest.approx(3000 / 5500, abs=1e-6)
    assert (a["cpu"], b["cpu"]) == ({"mean": 0.4, "max": 0.4}, {"mean": 0.7, "max": 0.7})
    assert (a["lost_at_s"], b["lost_at_s"]) == (None, 40.0)
    whole = summary.minutes.whole.requests.lateness
    assert a["lateness_ms"]["count"] + b["lateness_ms"]["count"] == whole.count


def test_a_process_that_never_counted_anything_is_there(tmp_path: Path) -> None:
    run = played(tmp_path, PHASES, workers=("a",))
    run.meta["workers"] = ["silent", "a"]
    silent, a = Summary.of(run).workers
    assert (silent.name, silent.share, silent.cpu_max, silent.counted.due) == ("silent", 0.0, None, 0)
    assert a.share == 1.0


@pytest.mark.parametrize("workers", [("local",), ("<b>one", "two")])
def test_they_are_shown_where_there_is_more_than_one(tmp_path: Path, workers: tuple[str, ...]) -> None:
    summary, shown = Summary.of(played(tmp_path, PHASES, workers=workers)), io.StringIO()
    text.show(summary, tmp_path, shown)
    several = len(workers) > 1
    assert ("CPU at most" in markdown.render(summary)) == several
    assert ("CPU at most" in page.render(summary)) == several
    assert ("<b>one" in shown.getvalue()) == several
    assert "<b>one" not in page.render(summary)
