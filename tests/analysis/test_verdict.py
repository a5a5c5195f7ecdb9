"""Whose fault it was: runs whose numbers are the target's, and runs whose numbers are the generator's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sm_locust.analysis.minutes import Minutes
from sm_locust.analysis.verdict import Reason, Verdict
from sm_locust.record.ledger import Event, Planned, Sample
from sm_locust.record.outcome import OK
from sm_locust.record.recorder import Recorder
from sm_locust.record.run import LEDGER, Run
from sm_locust.schedule import Phase
from tests.analysis.folders import Answer, meta, outcome, played

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
    ("stopped by hand is judged by what ran, and names what did not", {"until": 45.5}, True, ["not begun"], [[]]),
    ("stopped by hand in its last phase", {"until": 100.2}, True, [], [[], []]),
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
    (
        "two CPU samples over the limit across phases touch both",
        {"cpu": lambda at: 0.95 if at in (60, 65) else 0.5},
        False,
        ["cpu", "cpu"],
        [["cpu"], ["cpu"]],
    ),
    (
        "two workers, one of which is busy",
        {"workers": ("a", "b"), "busy": {"b": 0.97}},
        False,
        ["cpu", "cpu"],
        [["cpu"], ["cpu"]],
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
    (
        "the master was killed before the second phase",
        {"finished": False, "until": 30},
        False,
        ["unfinished", "not begun"],
        [[]],
    ),
    (
        "credentials that were refused for half a second in two minutes",
        {"answer": lambda at: ("expired_token", 0.002) if 30 <= at < 30.5 else (OK, 0.01)},
        True,
        ["credentials"],
        [["credentials"], []],
    ),
    (
        "credentials that were refused for four seconds, which were 3% of the load",
        {"answer": lambda at: ("access_denied", 0.002) if 70 <= at < 74 else (OK, 0.01)},
        False,
        ["credentials"],
        [[], ["credentials"]],
    ),
    (
        "credentials that were refused until that ended the run",
        {
            "answer": lambda at: ("expired_token", 0.002) if at >= 70 else (OK, 0.01),
            "until": 76,
            "events": [Event(70.0, "credentials refused: expired_token", "local")],
        },
        False,
        ["credentials"],
        [[], ["credentials"]],
    ),
    (
        "payloads that failed, which ended the run",
        {"until": 70.1, "events": [Event(70.0, "payloads failed: OSError: gone", "local")]},
        False,
        ["payloads failed"],
        [[], ["payloads failed"]],
    ),
    (
        "one arrival in fifty too many",
        {"again": lambda n: n % 50 == 0},
        False,
        ["over delivered"],
        [["over delivered"], ["over delivered"]],
    ),
    ("one arrival in two hundred too many is within bounds", {"again": lambda n: n % 200 == 0}, True, [], [[], []]),
    (
        "arrivals too many in one phase only",
        {"again": lambda n: n > 1200 and n % 67 == 0},
        True,
        [],
        [[], ["over delivered"]],
    ),
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


@pytest.mark.parametrize(
    ("kind", "do"),
    [
        (
            "expired_token",
            "their session had expired; use credentials that renew themselves or last longer than the run",
        ),
        ("unrecognized_client", "AWS does not know them (any more)"),
        ("access_denied", "they may not invoke this; allow sagemaker:InvokeEndpoint"),
        ("invalid_signature", "the signature did not match; check the secret key, the region and this process's clock"),
    ],
)
def test_refused_credentials_name_the_process_since_when_and_what_to_do(kind: str, do: str, tmp_path: Path) -> None:
    events = [Event(20.0, f"credentials refused: {kind}", worker) for worker in ("a", "b")]
    run = played(tmp_path, PHASES, lambda at: (kind if at >= 20 else OK, 0.01), until=26, events=events)
    (reason, *_) = verdict(run).reasons
    assert reason.text.startswith(
        f"The credentials of process a (1 more as well) were refused ({kind}) from 20 s after the start on, which "
        f"ended the run: {do}"
    )


def test_a_short_spell_of_refusals_says_how_many_and_that_no_error_rate_counts_them(tmp_path: Path) -> None:
    run = played(tmp_path, PHASES, lambda at: ("expired_token" if 30 <= at < 30.5 else OK, 0.01))
    (reason,) = verdict(run).reasons
    assert reason.text == (
        "In 10 requests our credentials were refused (expired_token 10); no error rate counts them, and they are few "
        "enough to read the rest as it is: see that credentials are renewed in time."
    )


def sent(parent: Path, raised: int, reported: int, events: tuple[Event, ...] = ()) -> Run:
    """Ten seconds, evenly planned, in which not every request sent was reported, or more than were sent."""
    run = Run.create(parent, meta(ended_s=10.0))
    recorder = Recorder()
    for n in range(raised):
        recorder.arrived(10 * n / raised)
    for n in range(reported):
        recorder.record(outcome(10 * n / reported))
    run.append("local", recorder.take(), [Planned(0.0, 10.0, float(raised), 1), *events])
    return run


def test_a_run_that_its_last_worker_ended_is_not_valid_though_few_arrivals_are_missing(tmp_path: Path) -> None:
    phases = (Phase("flat", 600, 20),)
    last = Event(499.998, "worker lost", "b")  # found once it has not been heard for four seconds
    run = played(
        tmp_path, phases, lambda at: (OK, 0.01), workers=("b",), until=500.0, events=[last], skip=lambda n: n > 9_920
    )
    run.finish(ended="the last worker was lost")
    (reason,) = verdict(run).reasons
    assert reason.invalidates
    assert reason.text.startswith("Worker b was lost in minute 8: no other was left, which ended the run")


def test_what_is_missing_while_a_lost_worker_gets_its_share_again_is_not_held_against_those_who_took_it(
    tmp_path: Path,
) -> None:
    back = Event(42.2, "worker back", "b")
    run = played(
        tmp_path, PHASES, workers=("a", "b"), events=[LOST, back], skip=lambda n: 42 * 20 <= n < 50 * 20 and n % 2 == 0
    )
    delivered, lost = verdict(run).reasons
    assert (delivered.code, lost.code, lost.invalidates) == ("not delivered", "worker lost", False)
    assert "a worker was lost, and what was its share until others had it was not sent" in delivered.text
    assert "the others took over its load" in lost.text


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


def test_a_run_so_small_that_it_may_be_one_short_is_still_not_valid_without_a_request(tmp_path: Path) -> None:
    found = verdict(played(tmp_path, (Phase("short", 2, 1),), skip=lambda n: True))
    assert (found.valid, [r.code for r in found.reasons]) == (False, ["nothing sent"])


@pytest.mark.parametrize(
    ("fate", "advice"),
    [
        ("isolated", "could not hear its master"),
        ("not_ready", "the log of the worker that could not send"),
        (None, "use more workers"),
    ],
)
def test_what_to_do_about_missing_arrivals_depends_on_why_they_are_missing(
    fate: str | None, advice: str, tmp_path: Path
) -> None:
    missing: dict[str, Any] = (
        {"skip": lambda n: n % 20 == 0} if fate is None else {"answer": lambda at: fate if at % 2 < 0.1 else (OK, 0.01)}
    )
    (reason,) = verdict(played(tmp_path, (Phase("flat", 60, 20),), **missing)).reasons
    assert reason.code == "not delivered"
    assert advice in reason.text


def test_refusals_before_a_clock_was_corrected_are_explained_by_it(tmp_path: Path) -> None:
    def answer(at: float) -> Answer:
        return ("invalid_signature", 0.002) if at < 0.05 else (OK, 0.01)

    events = [Event(1.0, f"clock corrected by {edited}", "local") for edited in ("x", "", "nan", "9" * 5000)]
    events += [Event(1.03, "clock corrected by -611", "local")]
    (reason,) = verdict(played(tmp_path, (Phase("flat", 60, 20),), answer, events=events)).reasons
    assert (reason.code, reason.invalidates) == ("credentials", False)
    assert reason.text == (
        "In 1 request our credentials were refused (invalid_signature 1): the clock of process local was 611 s ahead "
        "of AWS's, which it then signed by; no error rate counts them, and they are few enough to read the rest as it "
        "is: set that machine's clock (NTP)."
    )


def test_runs_cut_short_in_a_pause_are_counted_over_all_processes_and_leave_a_run_valid(tmp_path: Path) -> None:
    events = [Event(21.0, "cut short in a pause: 3", "a"), Event(21.0, "cut short in a pause: 1200", "b")]
    events += [Event(21.0, f"cut short in a pause: {edited}", "c") for edited in ("x", "", "9" * 5000)]
    found = verdict(played(tmp_path, (Phase("flat", 20, 10),), events=events))
    assert found.valid and [reason.code for reason in found.reasons] == ["cut short"]
    assert found.reasons[0].text.startswith(
        "1,203 runs of scenarios were in a pause when the patience at the end was over"
    )


@pytest.mark.parametrize(("at", "valid"), [(60.0, False), (61.0, False), (63.0, True), (65.0, True)])
def test_a_process_may_be_busy_once_the_arrivals_have_ended(at: float, valid: bool, tmp_path: Path) -> None:
    run = played(tmp_path, (Phase("flat", 60, 20),), cpu=lambda s: 0.99 if s == 55 else 0.3)
    # The sample at 60.03 is replaced by the one of a drain that went on until `at`.
    lines = (run.folder / LEDGER).read_text().splitlines(keepends=True)
    (run.folder / LEDGER).write_text("".join(line for line in lines if '"at":60.03' not in line))
    run = Run.open(run.folder)
    run.append("local", rows=[Sample(at, "local", 0, 0.99)])
    assert verdict(run).valid is valid


def test_what_workers_send_until_they_hear_of_a_stop_is_not_held_against_them(tmp_path: Path) -> None:
    late: dict[str, Any] = {"again": lambda n: n > 200, "until": 10.4}
    assert [r.code for r in verdict(played(tmp_path, (Phase("flat", 60, 20),), **late)).reasons] == []
    # Where the schedule ended it they knew beforehand when to stop.
    ended: dict[str, Any] = {"again": lambda n: n > 200}
    assert not verdict(played(tmp_path, (Phase("flat", 10.4, 20),), **ended)).valid


@pytest.mark.parametrize("second", [1000.0, 0.0])
def test_a_jump_of_the_rate_may_move_a_second_s_worth_across_the_edge_of_a_phase(second: float, tmp_path: Path) -> None:
    """Locust's tick half a second before the edge asks for the mean of both rates, for a second."""
    first = 500.0
    run = Run.create(tmp_path, meta((Phase("a", 5, first), Phase("b", 5, second)), ended_s=10.0))
    recorder = Recorder()
    for at, rate, seconds in (
        *((float(s), first, 1.0) for s in range(4)),
        (4.0, first, 0.5),
        (4.5, (first + second) / 2, 1.0),
        (5.5, second, 0.5),
        *((float(s), second, 1.0) for s in range(6, 10)),
    ):
        for n in range(int(rate * seconds)):
            recorder.arrived(at + n / rate)
            recorder.record(outcome(at + n / rate))
    plan = [Planned(float(s), s + 1.0, first if s < 5 else second, 1) for s in range(10)]
    run.append("local", recorder.take(), plan)
    assert [r.code for r in verdict(run).reasons] == []
    assert by_phase(run) == [[], []]


def test_a_handful_of_arrivals_may_be_one_short(tmp_path: Path) -> None:
    assert verdict(played(tmp_path, (Phase("short", 10, 1),), skip=lambda n: n == 10)).valid


@pytest.mark.parametrize("off", ["skip", "again"])
@pytest.mark.parametrize(("count", "valid"), [(60, True), (100, False)])
def test_a_poisson_run_may_be_off_by_chance_of_four_standard_deviations(
    count: int, valid: bool, off: str, tmp_path: Path
) -> None:
    config = {"arrivals": {"spacing": "poisson", "seed": 1}}
    change: dict[str, Any] = {off: lambda n: n <= count}
    assert verdict(played(tmp_path, (Phase("flat", 20, 20),), config=config, **change)).valid is valid


def test_a_reason_that_does_not_invalidate_leaves_a_run_valid() -> None:
    assert Verdict((Reason("a", "A fact.", invalidates=False),)).valid
    assert not Verdict((Reason("a", "A fact.", invalidates=False), Reason("b", "A fault."))).valid
