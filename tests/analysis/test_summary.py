"""summary.json and the exit code, of runs whose numbers are known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sm_locust.analysis.summary import Summary
from sm_locust.record.outcome import OK
from sm_locust.record.run import LEDGER, META, Run, RunError
from sm_locust.schedule import Phase
from tests.analysis.folders import REFERENCE, Answer, meta, played, reference_answer, stopped

FLAT = (Phase("flat", 20, 20),)
DISTRIBUTION = {"p50", "p90", "p95", "p99", "p999", "max", "mean", "count"}


def answers(kind: str = OK, service: float = 0.01, share: int = 1) -> Any:
    def answer(at: float) -> Answer:
        return (kind, service) if int(at * 20) % share == 0 else (OK, service)

    return answer


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Summary:
    config = {"slo": {"latency_mean": "15ms", "error_rate": 0.05}}
    run = played(tmp_path_factory.mktemp("runs"), REFERENCE, reference_answer, speed=60, config=config)
    return Summary.of(run)


def test_summary_json_has_the_keys_of_the_contract_in_order(reference: Summary) -> None:
    summary = reference.as_dict()
    assert list(summary) == [
        *("schema_version", "run_id", "speed", "verdict", "slo", "arrivals", "requests"),
        *("latency_ms", "service_time_ms", "failed_latency_ms", "lateness_ms", "by_name", "phases"),
        *("capacity", "recommendation", "cost", "cloudwatch", "reconciliation", "scaling", "workers", "stopped"),
    ]
    assert set(summary["arrivals"]) >= {"planned", "due", "sent", "dropped", "delivered_ratio"}
    assert set(summary["requests"]) == {"ok", "failed", "cancelled", "further", "error_rate", "by_kind"}
    for part in (summary, *summary["phases"], *summary["by_name"].values()):
        for name in ("latency_ms", "service_time_ms", "failed_latency_ms", "lateness_ms"):
            assert set(part[name]) == DISTRIBUTION


def test_what_ended_a_run_before_its_time_is_told_and_a_rule_of_stop_when_has_an_exit_code_of_its_own(
    tmp_path: Path, reference: Summary
) -> None:
    assert reference.as_dict()["stopped"] is None
    run = stopped(tmp_path / "rule")
    found = Summary.of(run)
    assert found.exit_code == 4
    assert found.as_dict()["stopped"] == {
        "by": "stop_when",
        "rule": "latency_p99 above 300ms for 1m30s",
        "at_s": 101.02,
        "value": 0.412,
        "since_s": 10,
        "until_s": 100,
    }
    assert Summary.of(Run.open(run.folder)).exit_code == 4, "as read from the folder"
    # First that applies: not valid comes before it, a broken SLO after it.
    assert Summary.of(stopped(tmp_path / "late", late=lambda at: 0.5)).exit_code == 3
    by_hand = played(tmp_path / "hand", (Phase("flat", 200, 20),), until=50.5)
    by_hand.finish(ended="stopped by hand")
    found = Summary.of(by_hand)
    assert (found.exit_code, found.as_dict()["stopped"]) == (0, {"by": "hand", "rule": None, "at_s": 50.5})
    by_hand.finish(ended="terminated")
    assert Summary.of(by_hand).as_dict()["stopped"]["by"] == "terminated"


@pytest.mark.parametrize(
    "wrong", ["a text", {"rule": 3}, {"value": "much"}, {"at_s": None}, {"more": 1}, {"why": 3}], ids=str
)
def test_a_rule_in_run_json_that_is_none_is_refused_in_a_sentence(wrong: Any, tmp_path: Path) -> None:
    run = stopped(tmp_path)
    run.finish(stopped={**run.meta["stopped"], **wrong} if isinstance(wrong, dict) else wrong)
    with pytest.raises(RunError, match="stopped is not accepted: a mapping of the rule"):
        Run.open(run.folder)


def test_what_the_second_of_a_stop_lacks_is_not_held_against_the_generator(tmp_path: Path) -> None:
    """Workers' clocks are a little off the master's: over a short run that is more than a hundredth of it."""
    phases = (Phase("flat", 200, 100),)
    for until, is_valid in ((4.4, True), (5.0, False), (5.4, False)):
        run = played(tmp_path / str(until), phases, until=until, skip=lambda n: 400 < n <= 430)
        run.finish(ended="stopped by hand")
        assert Summary.of(run).verdict.valid is is_valid, until


def test_summary_json_is_json(reference: Summary) -> None:
    summary = reference.as_dict()
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary


def test_requests_and_arrivals_close_in_the_run_in_every_phase_and_name(reference: Summary) -> None:
    summary = reference.as_dict()
    for part in (summary, *summary["phases"]):
        arrivals, requests = part["arrivals"], part["requests"]
        assert arrivals["due"] == arrivals["sent"] + arrivals["dropped"]
        assert requests["ok"] + requests["failed"] + requests["cancelled"] == arrivals["sent"]
        assert sum(requests["by_kind"].values()) == requests["failed"]
        named = part["by_name"].values()
        assert sum(one["requests"]["ok"] for one in named) == requests["ok"]


def test_counts_of_the_phases_add_up_to_the_run(reference: Summary) -> None:
    summary = reference.as_dict()
    assert [phase["name"] for phase in summary["phases"]] == ["warm up", "max load"]
    assert [phase["arrivals"]["planned"] for phase in summary["phases"]] == [24_000, 42_000]
    assert sum(phase["requests"]["failed"] for phase in summary["phases"]) == summary["requests"]["failed"]


def test_where_it_began_to_break_is_named_by_minute(reference: Summary) -> None:
    found = {onset.rule.metric if onset.rule else "failed": onset.span.minute for onset in reference.onsets}
    assert found == {"failed": 40, "latency_mean": 34, "error_rate": 40}


def test_refused_credentials_are_not_where_it_began_to_break(tmp_path: Path) -> None:
    def answer(at: float) -> tuple[str, float]:
        return ("expired_token" if at < 60 else "internal" if at > 130 else OK, 0.01)

    run = played(tmp_path, (Phase("flat", 180, 5),), answer, config={"slo": {"error_rate": 0.01}})
    summary = Summary.of(run)
    assert [onset.span.minute for onset in summary.onsets] == [2, 2]
    assert summary.as_dict()["requests"]["by_kind"]["expired_token"] == 300


def test_a_late_send_counts_into_the_latency_and_not_into_the_service_time(tmp_path: Path) -> None:
    summary = Summary.of(played(tmp_path, FLAT, answers(service=0.1), late=lambda at: 0.05)).as_dict()
    assert summary["latency_ms"]["p50"] == pytest.approx(150, rel=1e-3)
    assert summary["service_time_ms"]["p50"] == pytest.approx(100, rel=1e-3)
    assert summary["lateness_ms"]["p50"] == pytest.approx(50, rel=1e-3)


EXITS: list[tuple[str, int, dict[str, Any]]] = [
    ("without an SLO, no request failed", 0, {}),
    ("without an SLO, a request failed", 1, {"answer": answers("internal", share=400)}),
    ("without an SLO, only our credentials were refused", 0, {"answer": answers("expired_token", share=400)}),
    (
        "an SLO was kept though our credentials were refused",
        0,
        {"answer": answers("expired_token", share=400), "slo": {"error_rate": 0.0}},
    ),
    (
        "an SLO was kept though requests failed",
        0,
        {"answer": answers("internal", share=50), "slo": {"error_rate": 0.05}},
    ),
    ("an SLO failed", 1, {"answer": answers("internal", share=10), "slo": {"error_rate": 0.05}}),
    ("an SLO could not be shown to hold", 1, {"slo": {"model_latency_mean": "15ms", "error_rate": 0.05}}),
    (
        "an SLO of phases that are not judged",
        1,
        {"phases": (Phase("a", 5, 9, judge=False),), "slo": {"error_rate": 0.5}},
    ),
    ("a run that is not valid, whatever its SLO says", 3, {"late": lambda at: 0.1, "slo": {"error_rate": 0.05}}),
    ("a run that is not valid and whose SLO failed", 3, {"late": lambda at: 0.1, "slo": {"latency_max": "1ms"}}),
    ("a run that nobody finished", 3, {"finished": False}),
    (
        "without an SLO, a stalled endpoint turned arrivals away",
        1,
        {"answer": lambda at: "max_in_flight" if at > 18 else (OK, 0.01)},
    ),
    (
        "a pause between phases is nothing to judge",
        0,
        {"phases": (Phase("a", 5, 9), Phase("pause", 5, 0), Phase("b", 5, 9)), "slo": {"error_rate": 0.05}},
    ),
    (
        "a stalled endpoint's drops are errors for the SLO",
        1,
        {"answer": lambda at: "max_in_flight" if at > 18 else (OK, 0.01), "slo": {"error_rate": 0.05}},
    ),
    (
        "a ramp whose last phase alone breaks the SLO",
        1,
        {
            "phases": (Phase("long", 100, 20), Phase("short", 5, 20)),
            "answer": lambda at: ("internal", 0.01) if at > 104 else (OK, 0.01),
            "slo": {"error_rate": 0.05},
        },
    ),
]


@pytest.mark.parametrize(("code", "run"), [row[1:] for row in EXITS], ids=[row[0] for row in EXITS])
def test_exit_code(code: int, run: dict[str, Any], tmp_path: Path) -> None:
    run = {"answer": answers(), "phases": FLAT, **run}
    config = {"slo": run.pop("slo")} if "slo" in run else {}
    assert Summary.of(played(tmp_path, config=config, **run)).exit_code == code


def test_a_stalled_endpoint_does_not_change_the_plain_error_rate(tmp_path: Path) -> None:
    run = played(
        tmp_path, FLAT, lambda at: "max_in_flight" if at > 10 else (OK, 0.01), config={"slo": {"error_rate": 1.0}}
    )
    summary = Summary.of(run).as_dict()
    assert summary["requests"]["error_rate"] == 0.0
    assert summary["slo"]["rules"][0]["value"] == pytest.approx(0.5, abs=0.01)
    assert summary["verdict"]["valid"] is True


def test_a_single_phase_is_judged_once(tmp_path: Path) -> None:
    summary = Summary.of(played(tmp_path, FLAT, config={"slo": {"error_rate": 0.1}})).as_dict()
    assert [rule["where"] for rule in summary["slo"]["rules"]] == ["run"]


def test_a_phase_that_is_not_judged_has_no_slo(tmp_path: Path) -> None:
    phases = (Phase("warm", 5, 20, judge=False), Phase("hot", 5, 20))
    summary = Summary.of(
        played(tmp_path, phases, lambda at: ("internal" if at < 5 else OK, 0.01), config={"slo": {"error_rate": 0.1}})
    )
    assert [phase["slo"] is None for phase in summary.as_dict()["phases"]] == [True, False]
    assert summary.slo.passed is True


def test_an_empty_folder_is_summarised(tmp_path: Path) -> None:
    summary = Summary.of(Run.create(tmp_path, meta(FLAT, ended_s=0.0)))
    found = summary.as_dict()
    assert found["arrivals"]["delivered_ratio"] is None
    assert found["requests"]["error_rate"] is None
    assert found["latency_ms"] == dict.fromkeys(DISTRIBUTION - {"count"}) | {"count": 0}
    assert summary.exit_code == 3


def test_a_line_half_written_by_a_killed_master_is_passed_over(tmp_path: Path) -> None:
    run = played(tmp_path, FLAT, answers(), finished=False)
    before = Summary.of(run).as_dict()
    with open(run.folder / LEDGER, "a") as ledger:
        ledger.write('{"worker":"local","second":3.0,"name":"inv')
    assert Summary.of(Run.open(run.folder)).as_dict() == before


def test_what_was_sent_and_never_reported_counts_as_cancelled(tmp_path: Path) -> None:
    run = played(tmp_path, FLAT, answers(), finished=False)
    lines = (run.folder / LEDGER).read_text().splitlines(keepends=True)
    lost = [line for line in lines if json.loads(line).get("name") == "invoke"][-1]
    (run.folder / LEDGER).write_text("".join(line for line in lines if line != lost))
    found = Summary.of(Run.open(run.folder)).as_dict()
    assert found["requests"]["cancelled"] == 20
    assert found["requests"]["ok"] + found["requests"]["cancelled"] == found["arrivals"]["sent"] == 400
    assert "unreported" in [reason["code"] for reason in found["verdict"]["reasons"]]


def test_a_configuration_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    run = played(tmp_path, FLAT, answers(), config={"slo": {"latency_mean": 15}})
    with pytest.raises(RunError, match=rf"{META}: config: slo\.latency_mean: 15 is not accepted"):
        Summary.of(run)
