"""Runs as DataFrames: what the files say, with the time of each row twice; without pandas, one sentence."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sm_locust.analysis.summary import Summary
from sm_locust.record.observation import Observation, ScalingEvent
from sm_locust.record.outcome import OK
from sm_locust.record.run import Run, RunError
from sm_locust.report import folder
from sm_locust.schedule import Phase
from tests.analysis.folders import Answer, played

PHASES = (Phase("up", 60, 10, ramp_to=30), Phase("rest", 6, 0), Phase("flat", 30, 20, judge=False))
STARTED = "2026-11-24T10:00:00.250Z"


def answer(at: float) -> Answer:
    return (OK, 0.008) if at < 5 else ("http_5xx", 0.020)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    found = played(tmp_path_factory.mktemp("runs"), PHASES, answer, speed=6)
    found.append_observations([Observation(-60.0, "AWS/SageMaker", "ModelLatency", "Average", 12.5, "ms")])
    found.append_scaling([ScalingEvent(30.0, 2, None, "more"), ScalingEvent(0.0, 1, 1, "")])
    found.finish(started_at=STARTED)
    folder.write(found)
    return Run.open(found.folder)


def test_the_timeline_is_that_of_the_file_with_the_time_of_each_second(run: Run) -> None:
    frame = run.to_pandas("timeline")
    with open(run.folder / "timeline.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(frame) == ["at", *rows[0]]
    for name in rows[0]:
        written = [float(row[name]) if row[name] else None for row in rows]
        assert [None if cell != cell else cell for cell in frame[name]] == written, name
    assert str(frame["at"].iloc[0]) == "2026-11-24 10:00:00.250000+00:00"
    assert (frame["at"].iloc[3] - frame["at"].iloc[0]).total_seconds() == 3, "a row is a real second"
    assert frame["at_s"].iloc[3] == 18
    assert frame["sent"].sum() == run.ledger().by_worker["local"].sent
    assert {str(frame[name].dtype) for name in ("users", "sent", "failed_http_5xx", "in_flight")} == {"int64"}


def test_cloudwatch_scaling_and_failures_are_what_the_run_says_of_them(run: Run) -> None:
    (point,) = run.to_pandas("cloudwatch").to_dict("records")
    assert str(point.pop("at")) == "2026-11-24 09:59:50.250000+00:00"
    assert point == {
        "at_s": -60.0,
        "source": "AWS/SageMaker",
        "metric": "ModelLatency",
        "statistic": "Average",
        "value": 12.5,
        "unit": "ms",
    }
    scaling = run.to_pandas("scaling")
    assert list(scaling["at_s"]) == [0, 30]
    assert list(scaling["desired"]) == [1, 2]
    assert list(scaling["in_service"].isna()) == [False, True]
    failures = run.to_pandas("failures")
    assert list(failures["at_s"]) == sorted(row["at"] * 6 for row in run.failures())
    assert set(failures["kind"]) == {"http_5xx"}


def test_a_table_without_rows_has_its_columns(run: Run, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(run.folder, bare)
    for name in ("cloudwatch.csv", "scaling.csv", "failures.jsonl"):
        (bare / name).unlink()
    for table in ("cloudwatch", "scaling", "failures"):
        frame = Run.open(bare).to_pandas(table)
        assert len(frame) == 0
        assert list(frame)[:2] == ["at", "at_s"]
        assert str(frame["at"].dtype).endswith("UTC]")


def test_a_summary_has_a_row_a_phase(run: Run) -> None:
    summary = Summary.of(run)
    frame, phases = summary.to_pandas(), json.loads((run.folder / "summary.json").read_text())["phases"]
    assert list(frame["phase"]) == ["up", "rest", "flat"]
    assert list(frame["at_s"]) == [0, 60, 66]
    assert list(frame["judge"]) == [True, True, False]
    assert list(frame["sent"]) == [phase["arrivals"]["sent"] for phase in phases]
    assert list(frame["latency_count"]) == [phase["latency_ms"]["count"] for phase in phases]
    assert frame["latency_p99_ms"].iloc[0] == phases[0]["latency_ms"]["p99"]
    assert frame["latency_p99_ms"].isna().iloc[1], "nothing was sent in it"
    assert str(frame["at"].iloc[1]) == "2026-11-24 10:00:10.250000+00:00"


def test_a_run_without_phases_is_one_row(tmp_path: Path) -> None:
    found = played(tmp_path, PHASES, answer)
    found.finish(started_at=STARTED, schedule={"source": "users", "phases": []})
    (row,) = Summary.of(Run.open(found.folder)).to_pandas().to_dict("records")
    assert row["phase"] == "run"
    assert row["sent"] == found.ledger().by_worker["local"].sent


def test_what_is_not_there_is_said_in_one_sentence(run: Run, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not accepted: one of timeline, cloudwatch, scaling, failures"):
        run.to_pandas("minutes")  # type: ignore[arg-type]
    bare = tmp_path / "bare"
    shutil.copytree(run.folder, bare)
    (bare / "timeline.csv").write_text("nothing\n")
    with pytest.raises(RunError, match=r"timeline\.csv: not a timeline: its columns are nothing"):
        Run.open(bare).to_pandas()
    (bare / "timeline.csv").unlink()
    with pytest.raises(RunError, match=r"timeline\.csv is missing; sm-locust summarize .*bare writes it"):
        Run.open(bare).to_pandas()
    meta = json.loads((bare / "run.json").read_text())
    (bare / "run.json").write_text(json.dumps({**meta, "started_at": "yesterday"}))
    with pytest.raises(RunError, match=r"run\.json does not say when the run started"):
        Run.open(bare).to_pandas("scaling")


@pytest.mark.parametrize(
    ("name", "line", "table", "said"),
    [
        ("timeline.csv", "400,{commas}", "timeline", "not a timeline: users '' is not a count"),
        ("timeline.csv", "1e400,{commas}", "timeline", "not a timeline: at_s '1e400' is not a number"),
        ("timeline.csv", "400,1.5{commas}", "timeline", "not a timeline: users '1.5' is not a count"),
        ("scaling.csv", f"1,{'9' * 23},1,", "scaling", "99999 is not a number of instances"),
        ("scaling.csv", "1e300,1,1,", "scaling", "its scaling is no table: at_s has a time of no calendar"),
        ("failures.jsonl", None, "failures", "failures.jsonl: cannot be read: not a regular file"),
    ],
)
def test_what_is_damaged_is_said_in_one_sentence(
    run: Run, tmp_path: Path, name: str, line: str | None, table: Any, said: str
) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(run.folder, damaged)
    if line is None:
        (damaged / name).unlink()
        (damaged / name).mkdir()
    else:
        columns = (damaged / name).read_text().partition("\n")[0].count(",")
        with open(damaged / name, "a") as file:
            file.write(line.format(commas="," * (columns - 1)) + "\n")
    with pytest.raises(RunError) as error:
        Run.open(damaged).to_pandas(table)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_without_pandas_it_names_the_extra_and_with_it_it_is_imported_only_when_asked_for(run: Run) -> None:
    program = (
        "import sys\n"
        "from sm_locust import Run, Summary\n"
        f"run = Run.open({str(run.folder)!r})\n"
        "summary = Summary.of(run)\n"
        "assert 'pandas' not in sys.modules\n"
        "sys.modules['pandas'] = None\n"
        "for ask in (run.to_pandas, summary.to_pandas):\n"
        "    try:\n"
        "        ask()\n"
        "    except ImportError as e:\n"
        "        print(e)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == ["to_pandas() needs pandas, an extra: pip install 'sm-locust[pandas]'"] * 2
    assert done.stderr == ""
