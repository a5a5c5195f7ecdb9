"""The derived files: complete, the same every time, readable by what they are for."""

from __future__ import annotations

import contextlib
import copy
import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader
from hypothesis import given, settings
from hypothesis import strategies as st

from sm_locust.analysis.summary import Summary
from sm_locust.record.ledger import Event
from sm_locust.record.outcome import OK
from sm_locust.record.run import Run, RunError
from sm_locust.report import folder
from sm_locust.schedule import Phase
from tests.analysis.folders import REFERENCE, SCALED, meta, played, reference_answer, watch

DERIVED = ["histograms.hlog", "junit.xml", "report.html", "summary.json", "summary.md", "timeline.csv"]
RAMP = (Phase("up", 20, 10, ramp_to=30), Phase("flat", 10.5, 20))


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = played(tmp_path_factory.mktemp("runs"), REFERENCE, reference_answer, speed=60, workers=("a", "b"))
    folder.write(run)
    return run


def rows(run: Run) -> list[dict[str, str]]:
    with open(run.folder / "timeline.csv", newline="") as file:
        return list(csv.DictReader(file))


def logged(run: Run) -> dict[str, list[HdrHistogram]]:
    reader = HistogramLogReader(str(run.folder / "histograms.hlog"), HdrHistogram(1, 120_000_000, 3))
    found: dict[str, list[HdrHistogram]] = {}
    try:
        while (histogram := reader.get_next_interval_histogram()) is not None:
            found.setdefault(histogram.get_tag(), []).append(histogram)
    finally:
        reader.close()
    return found


def test_every_derived_file_is_written_and_nothing_half_written_is_left(reference: Run) -> None:
    names = sorted(path.name for path in reference.folder.iterdir())
    assert names == sorted([*DERIVED, "run.json", "intervals.jsonl", "failures.jsonl"])


def test_written_again_every_file_has_the_same_bytes(reference: Run) -> None:
    before = {name: (reference.folder / name).read_bytes() for name in DERIVED}
    folder.write(Run.open(reference.folder))
    assert {name: (reference.folder / name).read_bytes() for name in DERIVED} == before


def test_write_returns_the_summary_that_it_wrote(reference: Run) -> None:
    summary = folder.write(reference)
    assert json.loads((reference.folder / "summary.json").read_text()) == summary.as_dict()


def test_the_timeline_has_a_row_a_second_that_adds_up_to_the_summary(reference: Run) -> None:
    found, whole = rows(reference), Summary.of(reference).as_dict()
    assert [float(row["at_s"]) for row in found] == [60.0 * n for n in range(120)]
    assert sum(float(row["planned"]) for row in found) == pytest.approx(whole["arrivals"]["planned"])
    assert sum(int(row["sent"]) for row in found) == whole["arrivals"]["sent"]
    assert sum(int(row["ok"]) for row in found) == whole["requests"]["ok"]
    assert sum(int(row["failed_unavailable"]) for row in found) == whole["requests"]["failed"]
    assert (found[1]["users"], found[1]["in_flight"]) == ("207", "6")


def test_the_timeline_gives_percentiles_in_milliseconds_and_nothing_where_nothing_was_answered(tmp_path: Path) -> None:
    run = played(tmp_path, RAMP, lambda at: ("internal" if at < 5 else OK, 0.1), late=lambda at: 0.05)
    folder.write(run)
    found = rows(run)
    assert found[0]["latency_p99_ms"] == ""
    assert float(found[10]["latency_p99_ms"]) == pytest.approx(150, rel=1e-3)
    assert float(found[10]["service_time_mean_ms"]) == pytest.approx(100, rel=1e-3)
    assert float(found[10]["lateness_max_ms"]) == pytest.approx(50, rel=1e-3)


def test_the_histogram_log_is_read_back_by_its_own_reader(reference: Run) -> None:
    found = logged(reference)
    assert set(found) == {"latency", "service_time"}
    whole = Summary.of(reference).as_dict()
    for name, histograms in found.items():
        pooled = HdrHistogram(1, 120_000_000, 3)
        for histogram in histograms:
            pooled.add(histogram)
        assert pooled.get_total_count() == whole[f"{name}_ms"]["count"]
        for percentile, key in ((50, "p50"), (99, "p99"), (99.9, "p999")):
            assert pooled.get_value_at_percentile(percentile) / 1e3 == pytest.approx(whole[f"{name}_ms"][key], rel=2e-3)


def test_the_histogram_log_says_which_second_each_line_is_of(reference: Run) -> None:
    starts = [histogram.get_start_time_stamp() / 1e3 for histogram in logged(reference)["latency"]]
    assert starts == [float(n) for n in range(120)]


def test_a_run_that_nobody_finished_gives_what_was_written_and_says_so(tmp_path: Path) -> None:
    run = played(tmp_path, RAMP, finished=False, until=20)
    folder.write(run)
    assert "never finished" in (run.folder / "summary.md").read_text()
    assert "never finished" in (run.folder / "report.html").read_text()
    verdict = json.loads((run.folder / "summary.json").read_text())["verdict"]
    assert [reason["code"] for reason in verdict["reasons"]] == ["unfinished", "not begun"]


def test_a_killed_master_s_folder_says_what_is_missing(tmp_path: Path) -> None:
    run = played(tmp_path, RAMP, finished=False, until=20)
    (reason, _) = folder.write(run).verdict.reasons
    assert "What it wrote ends 20 s after the start of 30 s planned; all that came later is missing" in reason.text


@pytest.mark.parametrize("kept", [slice(0, -12), slice(3, None)], ids=["its end", "its beginning"])
def test_a_ledger_that_lacks_seconds_of_a_finished_run_is_not_valid(kept: slice, tmp_path: Path) -> None:
    run = played(tmp_path, RAMP)
    path = run.folder / "intervals.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    plan = [line for line in lines if '"planned"' in line]
    path.write_text("".join([*(line for line in lines if line not in plan), *plan[kept]]))
    reasons = {reason.code: reason for reason in folder.write(run).verdict.reasons}
    assert "The ledger says nothing of " in reasons["ledger cut"].text
    assert reasons["ledger cut"].invalidates


def test_an_empty_run_has_all_files(tmp_path: Path) -> None:
    run = Run.create(tmp_path, meta(RAMP, ended_s=0.0))
    folder.write(run)
    assert {*DERIVED} <= {path.name for path in run.folder.iterdir()}
    assert rows(run) == []


def test_a_folder_whose_ledger_is_gone_is_not_summed_up_as_nothing(tmp_path: Path) -> None:
    run = Run.create(tmp_path, meta())
    (run.folder / "intervals.jsonl").unlink()
    with pytest.raises(RunError, match=r"intervals\.jsonl is missing"):
        folder.write(run)


def test_what_the_ledger_says_of_workers_is_in_the_summary(tmp_path: Path) -> None:
    run = played(tmp_path, RAMP, workers=("a", "b"), events=[Event(5.0, "worker lost", "b")])
    folder.write(run)
    assert "Worker b was lost in minute 0" in (run.folder / "summary.md").read_text()


# -- damaged ones, and those of another version ------------------------------------------------------------------------

FULL: dict[str, Any] = {
    "users": ["U"],
    "per_user": 1,
    "endpoint": {"instance_type": "ml.m4.xlarge", "instances": 1},
    "scaling": SCALED,
    "billing": {"local": False, "items": [{"what": "endpoint e", "hourly": 0.2, "origin": "config", "command": "x"}]},
    "cloudwatch": {
        "period_s": 60,
        "settled": True,
        "missing": ["the rest"],
        "endpoint_at_start": "InService",
        "clock_offset_s": 0.0,
        "subjects": [{"kind": "variant", "label": "", "dimensions": {"VariantName": "v"}, "ours": True, "live": True}],
    },
    "ended": "stopped by stop_when",
    "stopped": {"rule": "r", "metric": "m", "why": "w", "value": 0.4, "since_s": 1, "until_s": 5, "at_s": 6},
}
CONFIG = {
    "target": {"endpoint": "e", "region": "us-east-1"},
    "slo": {"latency_mean": "15ms"},
    "scaling": {
        "min_instances": 1,
        "max_instances": 4,
        "metric": "SageMakerVariantInvocationsPerInstance",
        "target": 9,
    },
}
WRONG: tuple[Any, ...] = (
    None,
    True,
    -1,
    0.5,
    1e308,
    "",
    "x",
    [],
    [1],
    ["x"],
    [None],
    [{}],
    {},
    {"x": 1},
    json.loads("[" * 99 + "]" * 99),
)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A small run whose run.json has all that one can have."""
    run = played(tmp_path_factory.mktemp("full"), (Phase("p", 60, 0.5),), lambda at: ("reset" if at > 50 else OK, 0.01))
    run.meta["config"] = CONFIG
    watch(run)
    run.finish(**FULL)
    return run


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield (*at, key)
        yield from places(item, (*at, key))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.data())
def test_a_run_json_that_was_damaged_is_read_or_refused_in_one_sentence(full: Run, data: st.DataObject) -> None:
    damaged = copy.deepcopy(full.meta)
    *way, last = data.draw(st.sampled_from(sorted(places(full.meta), key=str)), "place")
    there: Any = damaged
    for key in way:
        there = there[key]
    if data.draw(st.sampled_from([False, False, False, True]), "dropped"):
        del there[last]
    else:
        there[last] = data.draw(st.sampled_from(WRONG), "value")
    (full.folder / "run.json").write_text(json.dumps(damaged))
    with contextlib.suppress(RunError):
        folder.write(Run.open(full.folder))


def test_what_a_later_version_says_besides_is_passed_over(full: Run) -> None:
    later = copy.deepcopy(full.meta)
    for place in [(), *places(full.meta)]:
        there: Any = later
        for key in place:
            there = there[key]
        if isinstance(there, dict) and place[:1] not in (("config",), ("stopped",)):
            there["of_a_later_version"] = 1
    (full.folder / "run.json").write_text(json.dumps(later))
    folder.write(Run.open(full.folder))
