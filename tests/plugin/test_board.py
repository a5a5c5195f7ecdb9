"""What the page in the web UI is told of a run, against the run's own summary."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_locust.analysis.summary import Summary
from sm_locust.analysis.watched import Setting
from sm_locust.plugin import board as room
from sm_locust.plugin.board import COLUMNS, ROWS, Board
from sm_locust.record.histogram import Histogram
from sm_locust.record.interval import ARRIVALS, DUE, Interval
from sm_locust.record.ledger import Planned, Sample, Step
from sm_locust.record.observation import Observation, ScalingEvent
from sm_locust.record.outcome import OK, UNAVAILABLE
from sm_locust.record.run import Run
from sm_locust.schedule import Phase, Schedule
from tests.analysis.folders import SCALED, outcome, played

PHASES = (Phase("up", 6.5, 40, ramp_to=80), Phase("high", 6, 80))
CONFIG: dict[str, Any] = {"slo": {"latency_mean": "15ms", "error_rate": "5%"}}

SAMPLE = Sample(1.0, "local", 0, None)  # how a process was doing that has counted


def board(phases: tuple[Phase, ...] = PHASES, run: Run | None = None, **more: Any) -> Board:
    limits = {"latency_mean": 0.015, "error_rate": 0.05}
    meta = {} if run is None else run.meta
    return Board("a-run", 1, Schedule(phases), source="AWS/SageMaker", limits=limits, meta=meta, **more)


def replay(run: Run, into: Board, each: Callable[[int], None] = lambda second: None) -> None:
    """Feeds a folder's ledger as the live run would have: a second's plan, what each process counted, and on."""
    rows = [json.loads(line) for line in (run.folder / "intervals.jsonl").read_text().splitlines()]
    plans = {row["second"]: Planned(**row) for row in rows if "planned" in row}
    for start in sorted(plans):
        second = int(start)
        into.plan(plans[start])
        for row in rows:
            if "name" in row and int(row["second"]) == second:
                into.count(Interval.decode(row, histograms=()), row, SAMPLE)
            elif "in_flight" in row and int(row["at"]) == second + 1:
                into.sample(Sample(**row))
        each(second)


class Page:
    """What the page does with the answers: keeps rows by their first cell."""

    def __init__(self) -> None:
        self.version = 0
        self.rows: dict[str, dict[float, list[Any]]] = {}
        self.last: dict[str, Any] = {}

    def ask(self, of: Board, now: float) -> None:
        while True:
            self.last = json.loads(json.dumps(of.page(self.version, now), allow_nan=False))
            for kind in ("seconds", "cloudwatch", "scaling", "steps"):
                assert len(self.last[kind]) <= ROWS
                self.rows.setdefault(kind, {}).update({row[0]: row for row in self.last[kind]})
            self.version = self.last["version"]
            if not self.last["more"]:
                return

    def column(self, name: str) -> list[Any]:
        return [row[COLUMNS.index(name)] for _, row in sorted(self.rows["seconds"].items())]


@pytest.mark.parametrize("workers", [("local",), ("a", "b", "c")])
def test_what_it_says_at_the_end_is_what_the_summary_says(tmp_path: Path, workers: tuple[str, ...]) -> None:
    run = played(tmp_path, PHASES, lambda at: (UNAVAILABLE if at > 9 else OK, 0.02), workers=workers, config=CONFIG)
    one, page = board(run=run), Page()
    replay(run, one, lambda second: page.ask(one, second + 1.0))
    now = page.last
    assert (now["state"], now["now"]["second"]) == ("running", 11), "the last second may still come in"
    one.ending(12.5)
    page.ask(one, 13.0)
    whole = Summary.of(run).minutes.whole
    assert sum(page.column("sent")) == page.last["total"]["sent"] == whole.sent
    assert sum(page.column("planned")) == pytest.approx(whole.planned, abs=0.01)
    assert sum(page.column("failed")) == page.last["total"]["by_kind"][UNAVAILABLE] == whole.requests.failed
    found = {s.start: s.requests for s in Summary.of(run).minutes.seconds}
    for second in (0, 4, 10):
        assert page.rows["seconds"][second][COLUMNS.index("p99_ms")] == found[second].latency.summary_ms()["p99"]
        lateness = page.rows["seconds"][second][COLUMNS.index("lateness_p99_ms")]
        assert lateness == found[second].lateness.summary_ms()["p99"]
    assert page.column("in_flight")[1:12] == [3 * len(workers)] * 11
    assert page.last["elapsed"] == 12.5


@pytest.mark.parametrize(
    ("how", "codes"),
    [
        ({}, []),
        ({"late": lambda at: 0.05}, ["late", "late"]),
        ({"skip": lambda n: n % 10 == 0}, ["not delivered"]),
        ({"cpu": lambda at: 0.97}, ["cpu", "cpu"]),
        ({"answer": lambda at: (UNAVAILABLE, 0.002)}, []),
    ],
    ids=["good", "late", "not delivered", "busy", "failing"],
)
def test_the_verdict_so_far_is_the_analysis_own(tmp_path: Path, how: dict[str, Any], codes: list[str]) -> None:
    phases = (Phase("up", 12, 40, ramp_to=80), Phase("high", 12, 80), Phase("to come", 60, 10))
    run = played(tmp_path, phases, until=24, config=CONFIG, **how)
    one, page = board(phases, run), Page()
    replay(run, one, lambda second: page.ask(one, second + 1.0))
    page.ask(one, 100.0)  # judged anew, not only now and then
    found, so_far = Summary.of(run), page.last["verdict"]
    assert [reason["code"] for reason in so_far["reasons"]] == codes
    assert codes == [reason.code for reason in found.verdict.reasons if reason.code != "not begun"]
    assert so_far["valid"] == found.verdict.valid
    assert page.last["judged_until"] == found.minutes.end - 2  # what has come since may not be all
    judged = {rule["metric"]: rule["passed"] for rule in page.last["slo"]["rules"]}
    assert judged == {j.metric: j.passed for j in found.slo.judgements if j.where == "run"}


def test_while_nobody_looks_nothing_is_decoded() -> None:
    one = board()
    for second in range(3):
        one.plan(Planned(second, second + 1.0, 40.0, 40))
        row = {"second": second, "name": "e", "counts": {"ok": 40}, "latency": "no histogram", "lateness": "neither"}
        one.count(Interval.decode(row, histograms=()), row, SAMPLE)
    with pytest.raises(ValueError, match="not an encoded histogram"):
        one.page(0, 3.0)


def test_what_nobody_looks_at_is_let_go_and_what_is_counted_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = Interval(0.0, "e")
    for _ in range(50):
        counted.record(outcome(0.0))
    size = sum(len(text) for name, text in counted.encode().items() if name in ("latency", "service_time", "lateness"))
    monkeypatch.setattr(room, "UNREAD", 10 * size)
    one, page = board((Phase("long", 1000, 50),)), Page()
    for second in range(100):
        one.plan(Planned(second, second + 1.0, 50.0, 50))
        row = {**counted.encode(), "second": second}
        one.count(Interval.decode(row, histograms=()), row, SAMPLE)
    page.ask(one, 100.0)
    known = [value is not None for value in page.column("p50_ms")]
    assert known == [False] * 90 + [True] * 9, "and one that is still coming"
    assert page.last["total"]["ok"] == 5_000


def test_two_hours_come_in_small_answers_and_the_next_is_tiny() -> None:
    one, page = board((Phase("long", 10_000, 50),)), Page()
    counted, arrivals = Interval(0.0, "e"), Interval(0.0, ARRIVALS)
    arrivals.add(DUE, 50)
    for _ in range(50):
        counted.record(outcome(0.0))
    encoded = [counted.encode(), arrivals.encode()]

    def a_second(second: int) -> None:
        one.plan(Planned(second, second + 1.0, 50.0, 50))
        for row in encoded:
            one.count(Interval.decode({**row, "second": second}, histograms=()), row, SAMPLE)
        one.sample(Sample(second + 1.03, "local", 3, 0.4))
        one.observed([Observation(second // 60 * 60.0, "AWS/SageMaker", "Invocations", "Sum", 9.0, "count")], [])

    for second in range(7_300):
        a_second(second)
    first = json.dumps(one.page(0, 7_300.0))
    assert len(first) < 40_000
    page.ask(one, 7_300.0)
    seconds = sorted(page.rows["seconds"])
    assert len(seconds) <= room.SECONDS
    assert seconds[-1] == 7_298
    a_second(7_300)
    assert len(json.dumps(one.page(page.version, 7_301.0))) < 2_500


PARTS = st.lists(
    st.tuples(
        st.sampled_from(["plan", "count", "late", "cloudwatch", "scaling", "ask"]),
        st.integers(0, 12),
        st.integers(1, 30),
    ),
    max_size=60,
)


@given(PARTS)
def test_whoever_asks_again_and_again_knows_what_one_knows_who_asks_once(parts: list[tuple[str, int, int]]) -> None:
    one, page, newest = board((Phase("flat", 100, 20),)), Page(), 0
    for what, at, n in parts:
        if what == "plan":
            one.plan(Planned(newest, newest + 1.0, 20.0, 20))
            newest += 1
        elif what in ("count", "late"):
            counted = Interval(float(min(at, newest)), "e")
            for _ in range(n):
                counted.record(outcome(counted.second, OK, n / 1e3))
            row = counted.encode()
            one.count(Interval.decode(row, histograms=()), row, SAMPLE)
        elif what == "cloudwatch":
            one.observed([Observation(at * 60.0, "AWS/SageMaker", "Invocations", "Sum", n, "count")], [])
        elif what == "scaling":
            one.observed([], [ScalingEvent(at * 60.0, n, n, "")])
        else:
            page.ask(one, float(newest))
    one.ending(float(newest))
    page.ask(one, float(newest))
    once = Page()
    once.ask(one, float(newest))
    assert page.rows == once.rows


def test_cloudwatch_is_told_as_rates_a_minute_of_real_time() -> None:
    one = Board("a-run", 60, None, period_s=60.0, source="AWS/SageMaker")
    told = [("Invocations", "Sum", 500.0), ("InvocationsPerInstance", "Sum", 250.0), ("ModelLatency", "Average", 8.5)]
    one.observed([Observation(120.0, "AWS/SageMaker", *told[0], "count")], [])
    one.observed([Observation(120.0, "AWS/SageMaker", *point, "count") for point in told[1:]], [])
    one.observed([Observation(120.0, "AWS/SageMaker:other", "Invocations", "Sum", 1.0, "count")], [])
    one.observed([Observation(120.0, "AWS/SageMaker", "ModelLatency", "p99", 99.0, "ms")], [])
    one.scaled_by(Setting.of(SCALED))
    answer = one.page(0, 4.0)
    assert answer["cloudwatch"] == [[120.0, 30_000.0, 15_000.0, 8.5, True]]
    assert answer["target"] == 25_000.0
    assert answer["compressed"].startswith("Compressed 60 times")


def test_a_period_is_whole_once_it_is_over_and_cloudwatch_has_gone_on_and_the_last_one_never_is() -> None:
    one, page = Board("a-run", 1, None, period_s=60.0, source="AWS/SageMaker"), Page()

    def whole(now: float, at: float | None = None, count: float = 0.0) -> list[float]:
        if at is not None:
            one.observed([Observation(at, "AWS/SageMaker", "Invocations", "Sum", count, "count")], [])
        page.ask(one, now)
        return [at for at, row in page.rows["cloudwatch"].items() if row[4]]

    assert whole(30.0, 0.0, 400.0) == []
    assert whole(61.0) == [], "over, and perhaps not told in full"
    assert whole(65.0, 0.0, 800.0) == []
    assert whole(70.0, 60.0, 10.0) == [0.0], "the next one has begun"
    assert whole(179.0) == [0.0]
    assert whole(180.0) == [0.0, 60.0], "another one has passed without a word"
    whole(190.0, 120.0, 700.0)
    one.ending(200.0)
    assert whole(205.0, 180.0, 60.0) == [0.0, 60.0, 120.0]
    assert whole(400.0) == [0.0, 60.0, 120.0], "of a period in which the load ended"


def test_a_search_is_told_step_by_step() -> None:
    one, page = board(), Page()
    step = Step("double", 100.0, 0.0, 20.0, 99.8, 1_996, "held", "latency_p99", 0.012)
    one.searched("double", 200.0, [step])
    page.ask(one, 20.0)
    one.searched("", 0.0, [])
    page.ask(one, 21.0)
    assert page.last["search"] == {"doing": "", "rate": 0.0}
    assert page.rows["steps"][0][1:] == ["double", 100.0, 0.0, 20.0, 99.8, 1_996, "held", "latency_p99", 0.012]


def test_text_from_outside_comes_on_one_line_without_control_characters() -> None:
    one = board((Phase("a\x1b[2J<script>", 10, 1),))
    one.observed([], [ScalingEvent(1.0, None, None, "said\n<img src=x>\x07")])
    one.settling("waiting\nfor \x1b]0;it")
    answer = one.page(0, 1.0)
    assert answer["phases"][0][0] == "a�[2J<script>"
    assert answer["scaling"][0][-1] == "said <img src=x>�"
    assert answer["waiting"] == "waiting for �]0;it"


def test_the_summary_stands_for_what_was_known_so_far_and_the_end_is_said(tmp_path: Path) -> None:
    run = played(tmp_path, PHASES, config=CONFIG)
    one, found = board(run=run), Summary.of(run).as_dict()
    replay(run, one)
    one.ending(12.5)
    one.conclude(found, "No request failed.", last=False)
    assert one.page(0, 13.0)["state"] == "settling"
    one.settling("waiting for CloudWatch: 3 of 4 requests counted")
    assert one.page(0, 13.0)["waiting"].endswith("3 of 4 requests counted")
    one.conclude(found, "No request failed.", last=True)
    answer = one.page(0, 13.0)
    assert (answer["state"], answer["waiting"]) == ("done", "")
    assert answer["final"]["latency_ms"] == found["latency_ms"]
    assert answer["final"]["arrivals"] == found["arrivals"]


def test_a_late_answer_changes_the_percentiles_of_its_second() -> None:
    one, page = board((Phase("flat", 1000, 20),)), Page()
    for second in range(5):
        one.plan(Planned(second, second + 1.0, 20.0, 20))
    parts = [0.008] * 10, [4.0]
    for parted in parts:
        counted = Interval(2.0, "e")
        for took in parted:
            counted.record(outcome(2.0, OK, took))
        row = counted.encode()
        one.count(Interval.decode(row, histograms=()), row, SAMPLE)
        page.ask(one, 5.0)
    whole = Histogram()
    for took in (*parts[0], *parts[1]):
        whole.record(took + 0.0002)
    found = page.rows["seconds"][2]
    assert found[COLUMNS.index("p99_ms")] == whole.summary_ms()["p99"]
    assert found[COLUMNS.index("ok")] == 11
