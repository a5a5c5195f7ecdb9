"""Numbers and sentences as a reader sees them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sm_locust.analysis.capacity import Capacity
from sm_locust.analysis.minutes import Span
from sm_locust.analysis.summary import Summary
from sm_locust.analysis.watched import Watched
from sm_locust.record.outcome import OK
from sm_locust.record.run import Run
from sm_locust.report import formats, tables, wording
from sm_locust.schedule import Phase
from tests.analysis.folders import REFERENCE, meta, played, reference_answer

SLO = {"slo": {"latency_mean": "15ms"}}
FLAT = (Phase("flat", 120, 10),)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, "–"),
        (0.000123, "0.12 ms"),
        (0.00849, "8.49 ms"),
        (0.0123, "12.3 ms"),
        (0.3, "300 ms"),
        (70.0, "70,000 ms"),
    ],
)
def test_milliseconds_have_three_figures(seconds: float | None, said: str) -> None:
    assert formats.ms(seconds) == said


@pytest.mark.parametrize(
    ("ratio", "said"),
    [(None, "–"), (0.0, "0.00%"), (0.000001, "<0.01%"), (0.05, "5.00%"), (0.99999, ">99.99%"), (1.0, "100.00%")],
)
def test_a_percentage_is_never_rounded_to_nothing_or_to_all(ratio: float | None, said: str) -> None:
    assert formats.percent(ratio) == said


@pytest.mark.parametrize(
    ("planned", "sent", "said"),
    [
        (2.763, 3, ("3", "100.00%")),
        (2.763, 2, ("2", "100.00%")),
        (6.9, 5, ("7", "72%")),
        (387.5, 387, ("387", "100.00%")),
        (387.5, 388, ("388", "100.00%")),
        (387.5, 380, ("388", "98.1%")),
        (200.0, 199, ("200", "99.50%")),
        (48756.979, 48757, ("48,757", "100.00%")),
        (0.0, 0, ("0", "–")),
    ],
)
def test_a_plan_is_of_whole_arrivals_and_a_share_of_few_has_as_many_digits_as_it_has(
    planned: float, sent: int, said: tuple[str, str]
) -> None:
    span = Span(0.0, planned=planned, delivered=sent)
    assert (wording.planned(span), wording.delivered(span)) == said


def test_printable_text_is_one_line_without_control_characters() -> None:
    assert formats.printable("a\x1b[31m\n b\x00\u202e") == "a�[31m b��"


def test_the_headline_names_minute_and_rate_at_which_it_broke(tmp_path: Path) -> None:
    summary = Summary.of(played(tmp_path, REFERENCE, reference_answer, speed=60, config=SLO))
    assert wording.headline(summary) == (
        "First failed request at minute 40 (28,200 a minute); "
        "SLO latency_mean ≤ 15 ms first broken at minute 34 (25,800 a minute)."
    )


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda at: (OK, 0.01), "No request failed."),
        (
            lambda at: ("expired_token" if at > 90 else OK, 0.01),
            "No request failed but those in which our credentials were refused.",
        ),
        (
            lambda at: (OK, 0.01 if at < 60 else 0.018),
            "No request failed; latency_mean ≤ 15 ms was kept by the run as a whole, though not in every minute: first "
            "above it at minute 1 (600 a minute).",
        ),
        (
            lambda at: (OK, 0.01 if at < 60 else 0.03),
            "No request failed; SLO latency_mean ≤ 15 ms first broken at minute 1 (600 a minute).",
        ),
    ],
)
def test_the_headline_of_a_run_without_failures_says_so(answer: Any, said: str, tmp_path: Path) -> None:
    assert wording.headline(Summary.of(played(tmp_path, FLAT, answer, config=SLO))) == said


def test_the_headline_of_an_empty_run_says_so(tmp_path: Path) -> None:
    assert wording.headline(Summary.of(Run.create(tmp_path, meta(ended_s=0.0)))) == "Nothing was sent."


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ({"endpoint": "dt", "region": "eu-west-1"}, "endpoint dt by InvokeEndpoint, eu-west-1"),
        ({"endpoint": "dt", "url": "http://127.0.0.1:8500"}, "endpoint dt by InvokeEndpoint, http://127.0.0.1:8500"),
        ({"api_gateway": "https://x.test/s", "auth": "iam"}, "API Gateway https://x.test/s, auth iam"),
        ({"container": "http://127.0.0.1:8080/invocations"}, "container http://127.0.0.1:8080/invocations, unsigned"),
        (None, "what the locustfile names (no target in the configuration)"),
    ],
)
def test_what_ran_names_the_target_and_the_way(target: dict[str, str] | None, said: str, tmp_path: Path) -> None:
    config = {"target": target} if target else {}
    assert wording.way(Summary.of(Run.create(tmp_path, meta(config=config, ended_s=0.0)))) == said


def test_one_request_is_one() -> None:
    step = {"method": "get", "url": "http://localhost:1/"}
    for steps, said in (([step], "1 request an arrival"), ([step, step], "2 requests an arrival")):
        assert said in wording.destination({"scenarios": [{"name": "look", "steps": steps}]})


def test_the_table_of_minutes_is_thinned_but_keeps_both_ends_and_where_it_broke(tmp_path: Path) -> None:
    summary = Summary.of(played(tmp_path, REFERENCE, reference_answer, speed=60, config=SLO))
    shown = [row[0] for row in tables.minutes(summary).rows]
    assert len(shown) <= tables.TABLE_ROWS
    assert {"0", "34", "40", "119"} <= set(shown)
    assert len(tables.minutes(summary, at_most=None).rows) == 120


@pytest.mark.parametrize("minutes", [1, 23, 24, 25, 26, 47, 49, 300])
def test_no_table_of_minutes_is_longer_than_a_screen(minutes: int, tmp_path: Path) -> None:
    summary = Summary.of(Run.create(tmp_path, meta(speed=60, ended_s=float(minutes))))
    shown = [row[0] for row in tables.minutes(summary).rows]
    assert len(shown) == minutes if minutes <= tables.TABLE_ROWS else 12 <= len(shown) <= tables.TABLE_ROWS
    assert (shown[0], shown[-1]) == ("0", str(minutes - 1))


def test_a_minute_cut_short_is_marked(tmp_path: Path) -> None:
    table = tables.minutes(Summary.of(played(tmp_path, FLAT, until=90)))
    assert [row[0] for row in table.rows] == ["0", "1*"]
    assert table.note == "* not a whole minute"


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (
            Capacity("ramp", 470.6, 465.2, 476.0, True, "latency_mean", 476.0, 1.0),
            "470.6 requests a second (28,236 a minute) for one instance, between 465.2 and 476 with 95% confidence; "
            "what limits it is latency_mean, first at 476 requests a second",
        ),
        (
            Capacity("search", 5.125, 5.0, 5.25, True, "backlog", 5.25, 2.0),
            "5.12 requests a second (308 a minute) for each of 2 instances, between 5 and 5.25 with 95% confidence; "
            "what limits it is a queue that grows, first at 5.25 requests a second",
        ),
        (
            Capacity("ramp", 12000.0, 12000.0),
            "at least 12,000 requests a second (720,000 a minute) for the endpoint (how many instances served is not "
            "known): no rate that was tried broke the SLO",
        ),
        (
            Capacity("ramp", None, None, 602.0, True, "error_rate", 602.0, 1.0),
            "less than 602 requests a second for one instance: error_rate was broken at every rate that was judged",
        ),
        (Capacity("ramp", refused="it \x1b[31mchanged"), "not known: it \ufffd[31mchanged"),
    ],
)
def test_what_an_instance_sustains_is_one_sentence(found: Capacity, said: str, tmp_path: Path) -> None:
    summary = Summary.of(played(tmp_path, (Phase("flat", 1, 1),), config={"target": {"endpoint": "e"}}))
    assert wording.capacity(replace(summary, capacity=found)) == said


def test_a_gap_that_another_says_more_of_is_said_once() -> None:
    refused = "SageMaker DescribeEndpoint was refused: ValidationException: Could not find endpoint"
    more = f"{refused}: metrics of other variants, if it has any, are missing"
    watched = Watched(60.0, True, (refused, more, f"{refused} twice"), (), (), None, {}, None)
    assert wording.gaps(watched) == [more, f"{refused} twice"]
