"""Whose fault it was: runs whose numbers are the target's, and runs whose numbers are the generator's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sm_locust.analysis.minutes import Minutes
from sm_locust.analysis.verdict import Reason, Verdict
from sm_locust.record.outcome import OK
from sm_locust.record.recorder import Recorder
from sm_locust.record.run import Event, Plan, Run
from sm_locust.schedule import Phase
from tests.analysis.folders import meta, outcome, played

PHASES = (Phase("first", 60, 20), Phase("second", 60, 20))
LOST = Event(30.2, "worker lost", "b")


def verdict(run: Run) -> Verdict:
    return Verdict.of(Minutes.of(run), run.meta)


def by_phase(run: Run) -> list[list[str]]:
    minutes = Minutes.of(run)
    return [[r.code for r in Verdict.of_phase(minutes, run.meta, span).reasons] for span in minutes.phases]


SENTENCES: list[tuple[str, dict[str, Any], bool, list[str], list[list[str]]]] = [
    ("a quiet run is valid", {}, True, [], [[], []]),
    ("failing requests are the target's affair", {"answer": lambda at: ("internal", 0.01)}, True, [], [[], []]),
    ("stopped by hand is judged by what ran", {"until": 45.5}, True, [], [[]]),
    (
        "one arrival in fifty never raised",
        {"skip": lambda n: n % 50 == 0},
        False,
        ["not delivered"],
        [["not delivered"], ["not delivered"]],
    ),
    ("one arrival in two hundred never raised is within bounds", {"skip": lambda n: n % 200 == 0}, True, [], [[], []]),
    (
        "one arrival in fifty dropped by an isolated worker",
        {"answer": lambda at: "isolated" if int(at * 20) % 50 == 0 else (OK, 0.01)},
        False,
        ["not delivered"],
        [["not delivered"], ["not delivered"]],
    ),
    (
        "arrivals dropped at max_in_flight, on time, are the endpoint's",
        {"answer": lambda at: "max_in_flight" if at > 90 else (OK, 0.01)},
        True,
        ["endpoint stalled"],
        [[], ["endpoint stalled"]],
    ),
    (
        "arrivals dropped at max_in_flight by a generator that is late are ours",
        {"answer": lambda at: "max_in_flight" if at > 90 else (OK, 0.01), "late": lambda at: 0.02 if at > 60 else 0.0},
        False,
        ["not delivered", "late"],
        [[], ["not delivered", "late"]],
    ),
    ("lateness of 4 ms is within the 5 ms that are always allowed", {"late": lambda at: 0.004}, True, [], [[], []]),
    (
        "lateness of 6 ms with a service of 10 ms",
        {"late": lambda at: 0.006},
        False,
        ["late", "late"],
        [["late"], ["late"]],
    ),
    (
        "lateness of 6 ms with a service of 100 ms is within its tenth",
        {"late": lambda at: 0.006, "answer": lambda at: (OK, 0.1)},
        True,
        [],
        [[], []],
    ),
    (
        "late in the second phase only",
        {"late": lambda at: 0.05 if at >= 60 else 0.001},
        False,
        ["late"],
        [[], ["late"]],
    ),
    ("late for half a percent of the time", {"late": lambda at: 0.5 if 10 <= at < 10.3 else 0.001}, True, [], [[], []]),
    ("one CPU sample over the limit", {"cpu": lambda at: 0.95 if at == 30 else 0.5}, True, [], [[], []]),
    (
        "two CPU samples in a row over the limit",
        {"cpu": lambda at: 0.95 if at in (30, 35) else 0.5},
        False,
        ["cpu"],
        [["cpu"], []],
    ),
    ("two CPU samples over the limit apart", {"cpu": lambda at: 0.95 if at in (30, 40) else 0.5}, True, [], [[], []]),
    (
        "a lost worker whose load nobody takes",
        {"workers": ("a", "b"), "skip": lambda n: n > 600 and n % 2 == 0, "events": [LOST]},
        False,
        ["not delivered", "worker lost"],
        [["not delivered", "worker lost"], ["not delivered"]],
    ),
    (
        "a lost worker whose load the others take over",
        {"workers": ("a", "b"), "events": [LOST]},
        True,
        ["worker lost"],
        [["worker lost"], []],
    ),
    ("the master was killed", {"finished": False, "until": 80}, False, ["unfinished"], [[], []]),
]


@pytest.mark.parametrize(
    ("run", "valid", "codes", "phases"), [row[1:] for row in SENTENCES], ids=[r[0] for r in SENTENCES]
)
def test_verdict(run: dict[str, Any], valid: bool, codes: list[str], phases: list[list[str]], tmp_path: Path) -> None:
    made = played(tmp_path, PHASES, **{"answer": lambda at: (OK, 0.01), **run})
    found = verdict(made)
    assert [reason.code for reason in found.reasons] == codes
    assert found.valid is valid
    assert by_phase(made) == phases


def test_every_reason_is_one_sentence_that_ends(tmp_path: Path) -> None:
    made = played(
        tmp_path,
        PHASES,
        lambda at: "max_in_flight" if at < 30 else "isolated" if at < 90 else (OK, 0.01),
        late=lambda at: 0.03 if at > 60 else 0.0,
        cpu=lambda at: 0.99,
        workers=("a", "b"),
        events=[LOST],
        finished=False,
        until=118,
    )
    reasons = verdict(made).reasons
    assert {reason.code for reason in reasons} >= {"not delivered", "late", "cpu", "worker lost", "unfinished"}
    for reason in reasons:
        assert reason.text.endswith(".") and "\n" not in reason.text and reason.text[0].isupper()


def sent(parent: Path, raised: int, reported: int, events: tuple[Event, ...] = ()) -> Run:
    """Ten seconds, evenly planned, in which not every request sent was reported, or more than were sent."""
    run = Run.create(parent, meta(ended_s=10.0))
    recorder = Recorder()
    for n in range(raised):
        recorder.arrived(10 * n / raised)
    for n in range(reported):
        recorder.record(outcome(10 * n / reported))
    run.append("local", recorder.take(), [Plan(0.0, 10.0, float(raised), 1), *events])
    return run


GONE = Event(9.0, "worker lost", "b")


@pytest.mark.parametrize(
    ("raised", "reported", "events", "unreported"),
    [
        (1000, 995, (GONE,), False),
        (1000, 900, (GONE,), True),
        (1000, 999, (), True),
    ],
    ids=[
        "a lost worker's few are a note",
        "a lost worker's many invalidate",
        "without a lost worker even one invalidates",
    ],
)
def test_requests_never_reported(
    raised: int, reported: int, events: tuple[Event, ...], unreported: bool, tmp_path: Path
) -> None:
    run = sent(tmp_path, raised, reported, events)
    reason = next(reason for reason in verdict(run).reasons if reason.code == "unreported")
    assert reason.invalidates is unreported
    assert f"{raised - reported:,} request" in reason.text
    assert Minutes.of(run).whole.cancelled == raised - reported


def test_more_reports_than_requests_invalidate(tmp_path: Path) -> None:
    assert [r.code for r in verdict(sent(tmp_path, 100, 101)).reasons] == ["accounting"]


def test_an_empty_run_is_not_valid_and_says_so(tmp_path: Path) -> None:
    found = verdict(Run.create(tmp_path, meta(ended_s=0.0)))
    assert (found.valid, [r.code for r in found.reasons]) == (False, ["nothing sent"])


def test_a_handful_of_arrivals_may_be_one_short(tmp_path: Path) -> None:
    assert verdict(played(tmp_path, (Phase("short", 10, 1),), skip=lambda n: n == 10)).valid


@pytest.mark.parametrize(("missing", "valid"), [(60, True), (100, False)])
def test_a_poisson_run_may_be_short_by_chance_of_four_standard_deviations(
    missing: int, valid: bool, tmp_path: Path
) -> None:
    config = {"arrivals": {"spacing": "poisson", "seed": 1}}
    made = played(tmp_path, (Phase("flat", 20, 20),), skip=lambda n: n <= missing, config=config)
    assert verdict(made).valid is valid


def test_a_reason_that_does_not_invalidate_leaves_a_run_valid() -> None:
    assert Verdict((Reason("a", "A fact.", invalidates=False),)).valid
    assert not Verdict((Reason("a", "A fact.", invalidates=False), Reason("b", "A fault."))).valid
