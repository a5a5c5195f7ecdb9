"""Arrivals of several requests: what means arrivals counts those, and what means requests counts all of them."""

from __future__ import annotations

import csv
import datetime
import io
from pathlib import Path
from typing import Any

import pytest

from sm_locust.analysis.cost import Cost
from sm_locust.analysis.curve import Curve, CurveError
from sm_locust.analysis.minutes import Minutes
from sm_locust.analysis.plan import Plan
from sm_locust.analysis.sizing import Sizing
from sm_locust.analysis.stopping import Stopping
from sm_locust.analysis.summary import Summary
from sm_locust.analysis.verdict import Verdict
from sm_locust.analysis.watched import Watched
from sm_locust.config import ConfigError, RunConfig
from sm_locust.prices import Prices
from sm_locust.record.ledger import Planned
from sm_locust.record.outcome import OK, UNAVAILABLE
from sm_locust.record.recorder import Recorder
from sm_locust.record.run import Run
from sm_locust.report import folder, markdown
from sm_locust.report.plan import show as show_plan
from sm_locust.schedule import Phase
from tests.analysis.folders import meta, outcome, played, watch

FLAT = (Phase("flat", 300, 10),)  # five minutes, 3,000 arrivals


def run_of_three(parent: Path, reported: int = 300, kind: str = OK) -> Run:
    """Ten seconds of 100 arrivals, each of three requests, the second and third after the arrivals' end for some."""
    run = Run.create(parent, meta(ended_s=10.0))
    recorder = Recorder()
    owed = reported
    for n in range(100):
        for later in range(3):
            at = n / 10 + later * 0.7
            recorder.further(at) if later else recorder.arrived(at)
            if owed:
                recorder.record(outcome(at, kind if later else OK, name=f"step {later}"))
                owed -= 1
    for _ in range(max(0, reported - 300)):
        recorder.record(outcome(9.0))
    run.append("local", recorder.take(), [Planned(0.0, 10.0, 100.0, 10)])
    run.append("local", failures=recorder.take_failures())
    return run


def codes(run: Run) -> list[str]:
    return [reason.code for reason in Verdict.of(Minutes.of(run), run.meta).reasons]


def test_a_run_is_whole_when_every_request_is_reported(tmp_path: Path) -> None:
    run = run_of_three(tmp_path)
    whole = Minutes.of(run).whole
    assert (whole.sent, whole.further, whole.requested, whole.delivered) == (100, 200, 300, 100)
    assert whole.unreported == 0
    assert codes(run) == []


@pytest.mark.parametrize(("reported", "code"), [(299, "unreported"), (301, "accounting")])
def test_a_request_too_few_or_too_many_is_found(tmp_path: Path, reported: int, code: str) -> None:
    run = run_of_three(tmp_path, reported)
    assert codes(run) == [code]
    assert Minutes.of(run).whole.cancelled == max(0, 300 - reported)


def test_what_is_further_is_in_every_file_that_counts(tmp_path: Path) -> None:
    summary = folder.write(run_of_three(tmp_path, kind=UNAVAILABLE))
    found = summary.as_dict()
    assert (found["arrivals"]["sent"], found["requests"]["further"]) == (100, 200)
    assert found["requests"]["ok"] + found["requests"]["failed"] == 300
    rows = list(csv.DictReader(io.StringIO((summary.folder / "timeline.csv").read_text())))
    for row in rows:
        count = {key: int(row[key]) for key in ("sent", "further", "ok", "failed", "cancelled")}
        assert count["ok"] + count["failed"] + count["cancelled"] == count["sent"] + count["further"]
    assert sum(int(row["further"]) for row in rows) == 200
    assert "further requests" in markdown.render(summary)
    assert "300 requests" in (summary.folder / "report.html").read_text()


def test_a_run_without_any_writes_and_says_what_it_always_did(tmp_path: Path) -> None:
    summary = folder.write(played(tmp_path, FLAT[:1]))
    assert "further" not in (summary.folder / "intervals.jsonl").read_text()
    assert "further" not in (summary.folder / "timeline.csv").read_text()
    assert summary.as_dict()["requests"]["further"] == 0
    assert "further requests" not in markdown.render(summary)


def test_cloudwatch_is_held_against_requests(tmp_path: Path) -> None:
    run = played(tmp_path, FLAT)
    recorder = Recorder()
    for n in range(3000):
        recorder.further(n / 10)
        recorder.record(outcome(n / 10, name="another"))
    run.append("local", recorder.take())
    found, minutes = watch(run), Minutes.of(run)
    watched = Watched.of(found, minutes)
    assert watched is not None
    reconciled = watched.reconciliation(minutes.whole)
    assert (reconciled.sent, reconciled.invocations, reconciled.difference) == (6000, 6000, 0)
    assert watched.foreign == []
    summary = Summary.of(found)
    assert summary.verdict.valid
    assert summary.recommendation is None
    with pytest.raises(CurveError, match="its arrivals were several requests each"):
        Curve.of(minutes, watched)


def stopping(metric: str, answered: bool) -> bool:
    """Whether a rule trips on thirty seconds of arrivals, each of two requests; the second is answered or hangs."""
    above = "300ms" if metric.startswith("latency") else "40%"
    rule = {"metric": metric, "above": above, "for": "10s"}
    found = Stopping(RunConfig.from_dict({"stop_when": [rule]}).stop_when, 1)
    recorder = Recorder()
    for second in range(30):
        for n in range(20):
            at = second + n / 20
            recorder.arrived(at)
            recorder.record(outcome(at))
            recorder.further(at + 0.02)
            if answered:
                recorder.record(outcome(at + 0.02))
        for interval in recorder.take(second + 1.0):
            found.count(interval, second)
        found.plan(float(second), 20.0)
        if found.judge(second + 1.02) is not None:
            return True
    return False


@pytest.mark.parametrize("metric", ["latency_p99", "throughput_shortfall"])
def test_a_stop_rule_waits_for_the_answers_of_all_requests(metric: str) -> None:
    assert not stopping(metric, answered=True)
    assert stopping(metric, answered=False)


# -- before the run ----------------------------------------------------------------------------------------------------

GET: dict[str, Any] = {"method": "get", "url": "http://shop.example.com/"}
THINK: dict[str, Any] = {"think": "1s"}
# 3 × 3 requests and 1 × 1: 2.5 an arrival
SCENARIOS = [
    {"name": "buy", "weight": 3, "steps": [GET, THINK, GET, GET]},
    {"name": "look", "weight": 1, "steps": [GET]},
]


def config(**more: Any) -> RunConfig:
    phases = [{"name": "flat", "duration": "100s", "arrival_rate": 1000}]
    return RunConfig.from_dict({"scenarios": SCENARIOS, "phases": phases, **more}, "test")


def test_a_plan_says_requests_beside_arrivals() -> None:
    plan = Plan.of(config(), (), Prices(), today=datetime.date(2026, 11, 24))
    assert (plan.arrivals, plan.requests) == (100_000, 250_000)
    assert (plan.as_dict()["arrivals"], plan.as_dict()["requests"]) == (100_000, 250_000)
    alone = Plan.of(config(scenarios=SCENARIOS[1:]), (), Prices(), today=datetime.date(2026, 11, 24))
    assert alone.arrivals == alone.requests
    # A mean pause of 0.75 s keeps 750 of a thousand arrivals a second in flight.
    assert plan.stall_s * 2500 == 5000 * plan.processes - 750
    assert alone.stall_s * 1000 == 5000 * alone.processes


def test_a_guard_counts_requests() -> None:
    config(guard={"max_requests": 250_000}).check_guard(1)
    with pytest.raises(ConfigError, match=r"sends 250,000 requests and guard\.max_requests allows 249,999"):
        config(guard={"max_requests": 249_999}).check_guard(1)


def test_processes_are_suggested_for_requests() -> None:
    of_one = Sizing.of(config(scenarios=SCENARIOS[1:]), 1000, None)
    of_more = Sizing.of(config(), 1000, None)
    assert of_more.process_rate == pytest.approx(of_one.process_rate / 2.5)


def test_arrivals_in_a_pause_fill_what_may_be_in_flight() -> None:
    few = {"arrivals": {"max_in_flight": 100}}
    found = Sizing.of(config(**few), 1000, None)
    assert (found.pausing, found.in_flight, found.processes) == (750, 750, 8)
    assert found.why == "pauses keep 750 in flight at the peak, and one process has 100"
    slow = Sizing.of(config(**few, slo={"latency_mean": "100ms"}), 1000, None)
    assert (slow.in_flight, slow.processes) == (1000, 10)  # 2.5 requests of 0.1 s each
    assert slow.why.startswith("pauses and answers as slow as slo allows keep 1,000 in flight at the peak, ")
    last = [{"name": "a", "steps": [GET, THINK, {"think": "2s"}, GET, THINK]}]
    assert config(scenarios=last).paused_each == 3  # what comes after the last request delays nothing
    for most, said in (
        (1000, "1 is enough; pauses alone keep 750 in flight at the peak; "),
        (100, f"{found.why}; answers"),
    ):
        page = io.StringIO()
        limited = config(arrivals={"max_in_flight": most})
        show_plan(Plan.of(limited, (), Prices(), today=datetime.date(2026, 11, 24)), page)
        assert said in " ".join(page.getvalue().split())


def test_what_is_billed_by_the_request_is_billed_for_each() -> None:
    target = {"api_gateway": "https://a.execute-api.us-east-1.amazonaws.com/p", "auth": "none", "region": "us-east-1"}
    told = config(target=target, request={"content_type": "text/csv", "body": "1"})
    schedule = told.schedule()
    assert schedule is not None
    items = {item.key: item.high for item in Cost.of(told, schedule, Prices()).items}
    assert items["api_gateway_million"] == pytest.approx(0.25)
