"""Two runs side by side: pairing, what is worst, what was told differently, what was put back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sm_locust.analysis.compare import Comparison
from sm_locust.record.outcome import OK
from sm_locust.record.run import Run
from sm_locust.report.pair import doubts
from sm_locust.schedule import Phase
from tests.analysis.folders import SCALED, before_and_after, borrowed, played, watch

SLO = {"slo": {"latency_mean": "15ms", "error_rate": 0.05}}
FLAT = (Phase("flat", 120, 10),)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run]:
    return before_and_after(tmp_path_factory.mktemp("runs"), SLO)


@pytest.fixture(scope="module")
def reference(pair: tuple[Run, Run]) -> Comparison:
    return Comparison.of(*pair)


def test_the_reference_experiment_breaks_before_and_holds_after(reference: Comparison) -> None:
    before, after = reference.sides
    assert (before.first_failure, before.first_break) == (40, 34)
    assert (after.first_failure, after.first_break) == (None, None)
    assert (before.instances, after.instances) == ((1.0, 1.0, 1.0), (1.0, 2.0, 2.0))
    assert (before.setting, after.setting and after.setting.target) == (None, 25_000.0)
    assert reference.per_instance_target == 25_000.0


def test_minutes_are_paired_by_the_schedule(reference: Comparison) -> None:
    assert [n for n, _, _ in reference.pairs] == list(range(120))
    _, before, after = reference.pairs[100]
    assert before is not None and after is not None
    assert before.sent == after.sent == pytest.approx(44_100, abs=60)
    assert before.per_instance == before.invocations == before.sent
    assert after.per_instance == pytest.approx(22_050, abs=30)
    assert (before.instances, after.instances) == (1.0, 2.0)
    assert before.model_latency_mean == pytest.approx(0.36 - 0.0004, rel=1e-3)
    assert after.model_latency_mean is not None and after.model_latency_mean < 0.015
    assert before.error_rate is not None and before.error_rate > 0.5
    assert after.failed == 0


def test_the_worst_minute_is_the_highest_mean_of_a_whole_and_punctual_one(tmp_path: Path) -> None:
    slow = {0: 0.01, 1: 0.03, 2: 0.05, 3: 0.9}
    run = played(
        tmp_path,
        (Phase("flat", 220, 10),),
        lambda at: (OK, slow[int(at // 60)]),
        late=lambda at: 0.021 if 130 < at < 131 else 0.0002,
    )
    side = Comparison.of(watch(run), run).before
    found = side.worst("service_time_mean")
    assert found is not None and found[0] == 1
    assert found[1] == pytest.approx(0.03, rel=1e-3)
    assert side.set_aside == 1
    worst = side.worst("model_latency_mean")
    assert worst is not None and worst[0] == 1


def test_runs_of_different_length_and_phases_are_paired_by_time(tmp_path: Path) -> None:
    short, long = played(tmp_path, (Phase("a", 60, 10),)), played(tmp_path, FLAT)
    found = Comparison.of(short, long)
    assert not found.same_phases
    assert [(n, before is None, after is None) for n, before, after in found.pairs] == [
        (0, False, False),
        (1, True, False),
    ]


def test_unwatched_runs_are_compared_by_what_we_measured(tmp_path: Path) -> None:
    run = played(tmp_path, FLAT)
    found = Comparison.of(run, run)
    side = found.as_dict()["before"]
    assert (side["model_latency_ms"], side["instances"], side["scaling"]) == (None, None, None)
    assert side["service_time_ms"]["mean"] == pytest.approx(8.0, rel=1e-2)
    assert found.per_instance_target is None


def test_what_the_runs_were_told_differently_is_named_by_dotted_keys(tmp_path: Path) -> None:
    before = played(tmp_path, FLAT, config={**SLO, "target": {"endpoint": "a"}})
    after = played(
        tmp_path,
        (Phase("flat", 120, 12),),
        config={"target": {"endpoint": "b"}, "slo": {"error_rate": 0.05}, "guard": {"max_requests": 5}},
        workers=("x", "y"),
    )
    changes = {change.key: (change.before, change.after) for change in Comparison.of(before, after).changes}
    assert changes == {
        "slo.latency_mean": ("15ms", None),
        "target.endpoint": ("a", "b"),
        "phases.0.arrival_rate": (10, 12),
        "workers": (1, 2),
        "guard.max_requests": (None, 5),
    }


def test_runs_that_were_told_the_same_have_no_changes(reference: Comparison) -> None:
    assert reference.changes == ()
    assert reference.same_phases


@pytest.mark.parametrize(
    ("written", "restored", "not_restored"),
    [
        ({}, [], ""),
        ({"restored": ["Set back to 1."], "restored_at": "now"}, ["Set back to 1."], ""),
        ({"restored": [], "not_restored": "AccessDenied"}, [], "AccessDenied"),
    ],
)
def test_what_the_experiment_put_back_is_passed_on(
    written: dict[str, Any], restored: list[str], not_restored: str, tmp_path: Path
) -> None:
    borrowed(tmp_path, **written)
    found = Comparison.of(played(tmp_path, FLAT), played(tmp_path, FLAT)).as_dict()
    assert (found["restored"], found["not_restored"]) == (restored, not_restored)


DAMAGED: dict[str, Callable[[str], str | bytes]] = {
    "cut short": lambda text: text[: len(text) // 2],
    "empty": lambda text: "",
    "no text": lambda text: b"\xff" + text.encode(),
    "nested": lambda text: "[" * 100_000,
    "no object": lambda text: "[]",
    "of another version": lambda text: text.replace('"schema_version": 1', '"schema_version": 2'),
    "without a key": lambda text: text.replace('"resource_id": "r"', '"resource": "r"'),
    "with another value": lambda text: text.replace('"restored": []', '"restored": {"a": 1}'),
    "with no text in a list": lambda text: text.replace('"restored": []', '"restored": [1]'),
}


@pytest.mark.parametrize("damaged", DAMAGED.values(), ids=DAMAGED)
def test_a_record_that_cannot_be_read_keeps_nobody_from_comparing(
    damaged: Callable[[str], str | bytes], tmp_path: Path
) -> None:
    path = borrowed(tmp_path, restored=[])
    runs = played(tmp_path, FLAT), played(tmp_path, FLAT)
    text = damaged(path.read_text())
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    found = Comparison.of(*runs)
    assert found.as_dict()["restored"] == []
    assert found.as_dict()["not_restored"].startswith("experiment.json: ")
    (doubt,) = [said for said in doubts(found) if "experiment.json" in said]
    assert doubt.startswith("Whether scaling was put back is not known: experiment.json: ") and len(doubt) < 200


def test_an_experiment_that_made_only_one_of_the_folders_says_nothing_of_the_pair(tmp_path: Path) -> None:
    borrowed(tmp_path, restored=["Set back to 1."])
    assert Comparison.of(played(tmp_path / "elsewhere", FLAT), played(tmp_path, FLAT)).borrowed is None


def test_compare_json_is_json_and_holds_both_sides(reference: Comparison) -> None:
    found: dict[str, Any] = json.loads(json.dumps(reference.as_dict(), allow_nan=False))
    assert found == reference.as_dict()
    assert list(found) == [
        *("schema_version", "before", "after", "same_phases", "changes", "restored", "not_restored", "minutes"),
    ]
    assert (found["before"]["slo"], found["after"]["slo"]) == (False, True)
    assert found["after"]["scaling"]["max_instances"] == SCALED["target"]["MaxCapacity"]
    assert found["after"]["worst_minute"]["model_latency_mean"]["ms"] < 15
    minute = found["minutes"][40]
    assert (minute["minute"], minute["at_s"]) == (40, 2400)
    assert (minute["before"]["failed_per_minute"], minute["after"]["failed_per_minute"]) == (1_980.0, 0.0)
