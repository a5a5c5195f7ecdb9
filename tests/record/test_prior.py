"""The record that scaling is put back from: on disk before it is returned, found again, and nobody else's."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sm_locust.record.prior import APPLIED, EXPERIMENT, Prior, PriorError, not_put_back, unrestored

RESOURCE = "endpoint/trees/variant/AllTraffic"
ARN = "arn:aws:sagemaker:us-east-1:123456789012:endpoint/trees"


def record(folder: Path, name: str = EXPERIMENT, **more: Any) -> Prior:
    before = {"resource_id": RESOURCE, "policies": []}
    return Prior.create(
        folder / name, resource_id=RESOURCE, arn=ARN, config={}, speed=60, scaling_before=before, **more
    )


def test_what_was_written_is_what_is_read(tmp_path: Path) -> None:
    written = record(tmp_path / "runs" / "a", locust=["--processes", "4"])
    written.stage("before")
    written.stage("apply")
    found = Prior.open(tmp_path / "runs" / "a")
    assert found.found == written.found
    assert (found.folder, found.resource_id, found.arn, found.speed) == (tmp_path / "runs" / "a", RESOURCE, ARN, 60)
    assert found.at.endswith("Z")
    assert found.stages == ["before", "apply"]
    assert found.found["locust"] == ["--processes", "4"]
    assert not found.registered_by_us and found.owed


def test_it_is_owed_until_all_is_put_back_or_meant_to_stay(tmp_path: Path) -> None:
    found = record(tmp_path / "a")
    found.write_restored(["one thing"], "the other was refused")
    assert Prior.open(tmp_path / "a").owed
    found.write_restored(["the other"])
    assert Prior.open(tmp_path / "a").restored_at
    assert not Prior.open(tmp_path / "a").owed
    kept = record(tmp_path / "b", APPLIED)
    kept.write(kept=True)
    assert not Prior.open(tmp_path / "b").owed


def test_what_is_owed_is_found_among_strangers_oldest_first(tmp_path: Path) -> None:
    for name, at in (("b", "2026-01-02T00:00:00Z"), ("a", "2026-01-03T00:00:00Z"), ("c", "2026-01-01T00:00:00Z")):
        record(tmp_path / name).write(at=at)
    record(tmp_path / "done").write_restored([])
    (tmp_path / "a file").write_text("")
    for name, text in {
        "half": "{",
        "list": "[]",
        "other": '{"schema_version": 2}',
        "bytes": "\x00",
        "old": "{}",
    }.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / EXPERIMENT).write_text(text)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / EXPERIMENT).mkdir()
    assert [found.folder.name for found in unrestored(tmp_path)] == ["c", "b", "a"]
    assert unrestored(tmp_path / "nowhere") == []


def test_what_is_not_put_back_is_of_the_same_resource_and_may_be_meant_to_stay(tmp_path: Path) -> None:
    record(tmp_path / "a", APPLIED).write(kept=True)
    record(tmp_path / "b").write(restored_at="2026-01-01T00:00:00Z")
    record(tmp_path / "c")
    assert {found.folder.name for found in not_put_back(tmp_path, ARN, RESOURCE, None)} == {"a", "c"}
    assert not_put_back(tmp_path, ARN.replace("123456789012", "210987654321"), RESOURCE, None) == []
    assert not_put_back(tmp_path, ARN, RESOURCE, "http://127.0.0.1:8500") == []  # which has the same ARN


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "not a folder of an experiment or of scaling apply: no experiment.json and no scaling.json"),
        ("{", "experiment.json: cannot be read: "),
        ("[" * 100_000, "experiment.json: cannot be read: maximum recursion"),
        ("[]", "experiment.json: schema_version None; this sm-locust reads 1"),
        ('{"schema_version": 7}', "experiment.json: schema_version 7; this sm-locust reads 1"),
        ('{"schema_version": 1}', "experiment.json: at: missing, or no str: it was not written by this sm-locust"),
    ],
)
def test_what_is_no_record_is_refused_in_one_sentence(tmp_path: Path, text: str | None, says: str) -> None:
    if text is not None:
        (tmp_path / EXPERIMENT).write_text(text)
    with pytest.raises(PriorError) as caught:
        Prior.open(tmp_path)
    assert says in str(caught.value)


def test_a_record_is_never_written_over(tmp_path: Path) -> None:
    first = record(tmp_path / "a")
    first.release()
    with pytest.raises(PriorError, match="there is a record already"):
        record(tmp_path / "a")
    assert Prior.open(tmp_path / "a").found == first.found


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PriorError, match="not a folder that can be written"):
        record(tmp_path / "file" / "a")


def test_two_processes_do_not_work_on_one_record(tmp_path: Path) -> None:
    program = (
        "import sys; from sm_locust.record.prior import Prior; p = Prior.open(sys.argv[1]); p.claim(); print('held');"
        "sys.stdout.flush(); sys.stdin.read()"
    )
    record(tmp_path / "a").release()
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "a")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(PriorError, match="another sm-locust is still at work on it"):
            Prior.open(tmp_path / "a").claim()
        other.kill()  # without a word: the system lets go of it
    Prior.open(tmp_path / "a").claim()


def test_a_write_that_is_cut_short_leaves_what_was_there(tmp_path: Path) -> None:
    found = record(tmp_path / "a")
    before = (tmp_path / "a" / EXPERIMENT).read_text()
    with pytest.raises(TypeError):
        found.write(bad={1, 2})
    assert (tmp_path / "a" / EXPERIMENT).read_text() == before
    assert json.loads(before)["schema_version"] == 1
