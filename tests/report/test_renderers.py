"""Terminal, Markdown and page: they say what matters, fit where they are read, and let nothing in."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from sm_locust.analysis.summary import Summary
from sm_locust.record.observation import Observation, ScalingEvent
from sm_locust.record.outcome import OK
from sm_locust.record.recorder import Recorder
from sm_locust.record.run import Run
from sm_locust.report import markdown, page, tables, text, wording
from sm_locust.report.fit import fit
from sm_locust.schedule import Phase
from tests.analysis.folders import REFERENCE, before_and_after, meta, outcome, played, reference_answer, stopped, watch
from tests.report.reading import EVIL, Page

CONFIG: dict[str, Any] = {
    "target": {"endpoint": "decision-trees-sample", "url": "http://127.0.0.1:8500"},
    "slo": {"latency_mean": "15ms", "error_rate": 0.05, "model_latency_p99": "1s"},
}


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Summary:
    parent = tmp_path_factory.mktemp("runs")
    return Summary.of(played(parent, REFERENCE, reference_answer, speed=60, config=CONFIG))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Summary:
    """Every text that comes from outside is an attack."""
    run = played(tmp_path_factory.mktemp("runs"), (Phase(EVIL, 20, 10), Phase("b", 20, 10)), workers=(EVIL,))
    run.append(
        EVIL, failures=[{"at": 1.0, "kind": EVIL, "name": EVIL, "status": 500, "request_id": EVIL, "message": EVIL}]
    )
    recorder = Recorder()
    for at in (1.0, 2.0):
        recorder.arrived(at)
        recorder.record(outcome(at, EVIL, name=EVIL))
    recorder.dropped(3.0, EVIL)
    run.append(EVIL, recorder.take())
    watch(run, missing=[EVIL], events=[ScalingEvent(5.0, 1, 1, EVIL)])
    run.meta["versions"] = {EVIL: EVIL}
    run.meta["schedule"]["source"] = EVIL
    run.finish(ended=EVIL)
    return Summary.of(run)


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Summary, Summary]:
    """BEFORE and AFTER of the reference experiment, with CloudWatch and scaling."""
    before, after = before_and_after(tmp_path_factory.mktemp("runs"), CONFIG)
    return Summary.of(before), Summary.of(after)


def on_terminal(summary: Summary, folder: Path = Path("runs/x")) -> str:
    stream = io.StringIO()
    text.show(summary, folder, stream)
    return stream.getvalue()


def figures(html: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(Page(html).scripts[0])
    return found


# -- terminal ----------------------------------------------------------------------------------------------------------


def test_the_terminal_leads_with_where_it_broke_then_verdict_then_slo_then_numbers_then_the_folder(
    reference: Summary,
) -> None:
    said = on_terminal(reference)
    order = [
        "First failed request at minute 40 (28,200 a minute)",
        "endpoint decision-trees-sample by InvokeEndpoint",
        "Compressed 60 times",
        "\nVALID\n",
        "SLO FAILED",
        "planned 66,000   sent 66,000   delivered 100.00%",
        "unavailable",
        "service time, from the send",
        "\nminute ",
        "runs/x/",
    ]
    places = [said.index(part) for part in order]
    assert places == sorted(places)


def test_the_terminal_says_the_facts_of_summary_md_in_its_order(
    watched: tuple[Summary, Summary], reference: Summary
) -> None:
    for summary in (*watched, reference):
        facts = [
            wording.headline(summary)[:40],
            wording.validity(summary.verdict),
            wording.slo_title(summary),
            *(metric for _, metric, *_ in map(wording.judgement, summary.slo.judgements)),
            wording.capacity(summary)[:30],
            *(value for _, value in wording.arrivals(summary.minutes.whole)[:1]),
            *(row[1][:20] for row in tables.failures(summary).rows),
            *(value[:20] for _, value in wording.cloudwatch(summary)[:1]),
            *(value for _, value in wording.instances(summary)[-1:]),
            *(said[:30] for said in wording.lags(summary)),
            "latency, from the schedule",
            "verdict",
            *(row[0] + " " for row in tables.minutes(summary).rows[-1:]),
            *([] if (found := summary.recommendation) is None else ["What to set"]),
            *([] if found is None or found.recommended is None else ["scaling:", "put-scaling-policy"]),
        ]
        for said in everywhere(summary)[:2]:
            place = 0
            for fact in facts:
                assert fact in said[place:], fact
                place = said.index(fact, place) + len(fact)


def test_piped_output_keeps_to_the_columns_that_it_is_told(reference: Summary, monkeypatch: pytest.MonkeyPatch) -> None:
    for columns, width in (("70", 70), ("160", 160), ("", text.LOG_WIDTH), ("0", text.LOG_WIDTH), ("a", 110)):
        monkeypatch.setenv("COLUMNS", columns)
        assert text.console_for(io.StringIO(), text.LOG_WIDTH).width == width
    monkeypatch.setenv("COLUMNS", "70")
    assert max(map(len, on_terminal(reference).splitlines())) <= 70


@pytest.mark.parametrize("columns", [60, 80, 100])
def test_a_table_breaks_no_number_and_no_word_and_says_what_it_has_no_room_for(
    columns: int, watched: tuple[Summary, Summary], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    said = on_terminal(watched[0])
    table = tables.minutes(watched[0])
    kept, _ = fit(table, columns)
    assert ("dropped" in {table.header[i] for i in kept}) is (columns == 100)
    assert " ".join(table.rows[-1][i] for i in kept) in [" ".join(line.split()) for line in said.splitlines()]
    left_out = ", ".join(name for i, name in enumerate(table.header) if i not in kept)
    assert not left_out or f"No room for: {left_out}." in " ".join(said.split())


def test_without_a_terminal_the_text_is_plain_and_no_wider_than_a_log(
    reference: Summary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    said = on_terminal(reference)
    assert "\x1b" not in said
    assert max(map(len, said.splitlines())) <= text.LOG_WIDTH


def test_a_folder_with_a_long_name_stays_on_one_line(reference: Summary) -> None:
    folder = Path("/" + "long/" * 60)
    assert any(str(folder) in line for line in on_terminal(reference, folder).splitlines())


@pytest.mark.parametrize("columns", [40, 80])
def test_a_narrow_terminal_is_kept_to(columns: int, reference: Summary, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = Terminal()
    text.show(reference, Path("runs/x"), stream)
    *lines, last = re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue()).splitlines()
    assert "\x1b[" in stream.getvalue()
    assert last.startswith("runs/x/")
    assert max(map(len, lines)) <= columns


def test_no_control_character_from_outside_reaches_the_terminal(hostile: Summary) -> None:
    assert "\x1b" not in on_terminal(hostile)


def test_a_run_that_is_not_valid_says_why_first(tmp_path: Path) -> None:
    said = on_terminal(Summary.of(played(tmp_path, (Phase("flat", 20, 20),), late=lambda at: 0.1)))
    assert said.index("NOT VALID") < said.index("Requests left late in phase flat") < said.index("arrivals")


def everywhere(summary: Summary) -> list[str]:
    """What a reader of each of the three reads, on one line and without the marks of Markdown."""
    plain = markdown.render(summary).replace("\\", "")
    return [" ".join(said.split()) for said in (on_terminal(summary), plain, Page(page.render(summary)).text)]


DOUBTS: list[tuple[str, dict[str, Any], str]] = [
    ("late in one phase", {"late": lambda at: 0.1 if at > 50 else 0.0}, "Requests left late in phase cool down: 1% of"),
    (
        "not delivered in a phase that is not judged, though in the run",
        {"skip": lambda n: n < 101 and n % 3 == 0},
        "Only 67.0% of the planned arrivals were sent in phase warm up (33 missing on our side: 33 never raised); use",
    ),
    (
        "a stalled endpoint in a phase that is not judged",
        {"answer": lambda at: "max_in_flight" if 5 < at < 8 else (OK, 0.01)},
        "The endpoint stalled in phase warm up: 30 arrivals were dropped at max_in_flight",
    ),
    (
        "a busy process",
        {"cpu": lambda at: 0.99 if 15 <= at <= 25 else 0.1},
        "Process local used 99% of a core for 10 s in phase peak:",
    ),
    ("a phase that never began", {"until": 25.0}, "Phase cool down never began"),
]


@pytest.mark.parametrize(("run", "says"), [row[1:] for row in DOUBTS], ids=[row[0] for row in DOUBTS])
def test_each_doubt_about_a_phase_is_said_once_on_the_terminal_in_markdown_and_on_the_page(
    run: dict[str, Any], says: str, tmp_path: Path
) -> None:
    phases = (Phase("warm up", 10, 10, judge=False), Phase("peak", 40, 100), Phase("cool down", 20, 10, judge=False))
    summary = Summary.of(played(tmp_path, phases, **run))
    for said in everywhere(summary):
        assert said.count(says) == 1
    found = summary.as_dict()
    texts = [r["text"] for part in (found, *found["phases"]) for r in part["verdict"]["reasons"]]
    assert any(text.startswith(says) for text in texts)


def test_a_run_that_a_rule_has_ended_says_which_and_what_it_was(tmp_path: Path) -> None:
    says = (
        "The run was ended: latency_p99 above 300ms for 1m30s: it was 412 ms, from 0:00:10 to 0:01:40 of the schedule"
    )
    for said in everywhere(Summary.of(stopped(tmp_path))):
        assert said.count(says) == 1


def test_the_verdict_of_every_phase_stands_beside_its_name(tmp_path: Path) -> None:
    phases = (Phase("warm up", 10, 10, judge=False), Phase("peak", 20, 100), Phase("pause", 5, 0))
    run = played(tmp_path, phases, late=lambda at: 0.1 if at < 10 else 0.0, config={"slo": {"error_rate": 0.1}})
    summary = Summary.of(run)
    expected = ["warm up not valid not judged", "peak valid passed", "pause valid –"]
    said = on_terminal(summary)
    for row, cells in zip(expected, tables.phases(summary).rows, strict=True):
        assert " ".join(cells[:3]) == row
        assert row in " ".join(said.split())
    assert "| warm up | not valid | not judged |" in markdown.render(summary)
    assert "warm upnot validnot judged" in Page(page.render(summary)).text


def test_latency_and_service_time_stand_side_by_side_with_what_tells_them_apart(tmp_path: Path) -> None:
    run = played(
        tmp_path,
        (Phase("flat", 20, 50),),
        lambda at: ("unavailable", 0.002) if int(at * 50) % 10 == 0 else (OK, 0.1),
        late=lambda at: 0.009,
    )
    for said in everywhere(Summary.of(run)):
        assert said.index("latency, from the schedule") < said.index("service time, from the send")
        assert said.index("service time, from the send") < said.index("failed, from the schedule")
        assert said.count("Latency counts from the moment that the schedule wanted the request") == 1
        assert said.count("so that a fast error improves no percentile") == 1
        for value in ("109", "100", "11.0"):
            assert value in said


def test_without_failures_nothing_is_said_of_them(tmp_path: Path) -> None:
    for said in everywhere(Summary.of(played(tmp_path, (Phase("flat", 20, 50),)))):
        assert "Latency counts from" in said and "fast error" not in said


def test_a_failure_comes_with_what_it_means_what_to_do_and_what_the_first_one_said(reference: Summary) -> None:
    for said in everywhere(reference):
        assert "the endpoint had no room for the request; add instances" in said
        assert "no instance has room" in said


# -- Markdown ----------------------------------------------------------------------------------------------------------


def test_markdown_tables_have_as_many_cells_in_every_row_as_in_their_header(
    reference: Summary, hostile: Summary
) -> None:
    for summary in (reference, hostile):
        tables = re.findall(r"(?:^\|.*\n)+", markdown.render(summary), flags=re.M)
        assert len(tables) >= 5
        for table in tables:
            assert len({line.count("|") for line in table.splitlines()}) == 1


def test_markdown_lets_no_tag_and_no_mention_through(hostile: Summary) -> None:
    said = re.sub(r"^</?details>$|^<summary>[A-Za-z ]+</summary>$", "", markdown.render(hostile), flags=re.M)
    assert "<" not in said and "\x1b" not in said and not re.search(r"(?<!\\)`", said)


def test_markdown_folds_what_is_long_and_leaves_open_what_decides(watched: tuple[Summary, Summary]) -> None:
    said = markdown.render(watched[0])
    folds = re.findall(r"^<details>\n<summary>([^<]+)</summary>\n\n(.*?)\n\n</details>$", said, flags=re.M | re.S)
    assert [title for title, _ in folds] == [
        *("Requests by name", "Minutes", "CloudWatch and us", "Why, and how to set it", "What ran"),
    ]
    assert said.count("<details>") == said.count("</details>") == len(folds)
    opened = re.sub(r"<details>.*?</details>", "", said, flags=re.S)
    assert len(opened.splitlines()) < 80
    for part in ("SLO FAILED", "| run | latency_mean |", "Capacity: ", "| latency, from the schedule |", "What to set"):
        assert part in opened
    assert "put-scaling-policy" in dict(folds)["Why, and how to set it"]


def test_markdown_leaves_names_readable(reference: Summary) -> None:
    said = markdown.render(reference)
    assert "endpoint decision-trees-sample by InvokeEndpoint" in said
    assert "| latency_mean | ≤ 15 ms |" in said
    assert "not available: this run has no CloudWatch metrics" in said


# -- page --------------------------------------------------------------------------------------------------------------


def test_the_page_asks_nothing_of_the_network(reference: Summary) -> None:
    for tag, attributes in Page(page.render(reference)).tags:
        assert tag not in ("link", "iframe", "object", "embed", "base")
        assert not {"src", "href", "srcset", "action"} & set(attributes)
    assert "default-src 'none'" in page.render(reference)


def test_the_page_has_no_element_and_no_script_from_outside(hostile: Summary, reference: Summary) -> None:
    found, clean = Page(page.render(hostile)), Page(page.render(reference))
    assert found.elements <= clean.elements | {"li", "ul"}
    assert len(found.scripts) == len(clean.scripts) == 3
    assert not any(name.startswith("on") for _, attributes in found.tags for name in attributes)
    assert "alert(1)" in found.text  # it is shown, as text


def test_the_figures_hold_hostile_names_as_text_that_plotly_shows_and_does_not_obey(hostile: Summary) -> None:
    html = page.render(hostile)
    charts = figures(html)
    names = [curve["name"] for chart in charts for curve in chart["curves"]] + [
        p[0] for c in charts for p in c["phases"]
    ]
    assert any("&lt;script&gt;" in name for name in names)
    assert not any("<" in name for name in names)


def test_the_first_screen_says_verdict_slo_speed_and_the_numbers(reference: Summary) -> None:
    said = Page(page.render(reference)).text
    first = said[: said.index("Planned and delivered rate")]
    for part in (
        "First failed request at minute 40",
        "VALID",
        "SLO FAILED",
        "Compressed 60 times",
        "66,000",
        "≤ 15 ms",
    ):
        assert part in first


def test_a_run_at_speed_1_is_not_called_compressed(tmp_path: Path) -> None:
    summary = Summary.of(played(tmp_path, (Phase("flat", 20, 20),)))
    for said in (page.render(summary), markdown.render(summary), on_terminal(summary)):
        assert "Compressed" not in said


def test_the_curves_are_the_minutes_of_the_schedule(reference: Summary) -> None:
    arrivals, latency, heat, errors, lateness, cpu = figures(page.render(reference))
    assert [curve["role"] for curve in arrivals["curves"]] == ["planned", "sent"]
    assert arrivals["curves"][0]["x"] == [n + 0.5 for n in range(120)]
    assert arrivals["curves"][0]["y"][32] == pytest.approx(25_000)
    assert latency["log"] is True
    assert latency["limits"] == [[15.0, "SLO latency_mean"]]
    assert {curve["name"] for curve in latency["curves"]} == {
        *("latency p99", "latency p90", "latency p50", "service time p99", "service time p50"),
    }
    assert heat["heat"][0] == [float(n) for n in range(121)]
    assert [curve["name"] for curve in (*lateness["curves"], *cpu["curves"])] == [
        *("lateness max", "lateness p99", "the busiest process"),
    ]
    assert [curve["name"] for curve in errors["curves"]] == ["unavailable"]
    assert errors["curves"][0]["y"][39:41] == [0, reference.minutes.rows[40].requests.failed * 60]
    assert errors["phases"] == [["warm up", 0.0, 60.0], ["max load", 60.0, 120.0]]


def test_a_short_run_is_drawn_by_the_second(tmp_path: Path) -> None:
    arrivals, *_ = figures(page.render(Summary.of(played(tmp_path, (Phase("flat", 90, 20),)))))
    assert len(arrivals["curves"][0]["x"]) == 90


def test_the_axis_of_a_short_run_counts_seconds(tmp_path: Path) -> None:
    config = {"slo": {"latency_mean": "15ms"}}
    phases = (Phase("up", 8, 20), Phase("on", 12, 20))
    for chart in figures(page.render(Summary.of(played(tmp_path, phases, config=config)))):
        assert (chart["along"], chart["until"], chart["width"]) == ("schedule second", 20.0, 1.0)
        assert chart["phases"] == [["up", 0.0, 8.0], ["on", 8.0, 20.0]]
        edges = chart["heat"][0] if chart["heat"] else chart["curves"][0]["x"]
        assert edges[1] - edges[0] == (5.0 if chart["title"].startswith("CPU") else 1.0) and edges[-1] > 15
    for seconds, along in ((119, "schedule second"), (120, "schedule minute")):
        run = played(tmp_path, (Phase("flat", seconds, 1),))
        assert figures(page.render(Summary.of(run)))[0]["along"] == along


def test_seconds_without_an_answer_are_a_gap_in_the_curve(tmp_path: Path) -> None:
    run = played(tmp_path, (Phase("flat", 30, 20),), lambda at: (OK if at < 10 else "reset", 0.01))
    _, latency, _, errors, *_ = figures(page.render(Summary.of(run)))
    assert latency["curves"][0]["y"][9] is not None and latency["curves"][0]["y"][10] is None
    assert errors["curves"][0]["name"] == "reset"


def test_examples_of_failures_are_listed(reference: Summary) -> None:
    said = Page(page.render(reference)).text
    assert said.count("no instance has room") == 20 + 1  # and once beside what it means
    assert "0a1b2c" in said


def test_an_empty_run_has_a_page_without_curves(tmp_path: Path) -> None:
    html = page.render(Summary.of(Run.create(tmp_path, meta(ended_s=0.0))))
    assert figures(html) == []
    assert "Nothing was sent" in Page(html).text
    assert len(html) < 100_000


# -- what AWS saw ------------------------------------------------------------------------------------------------------


def test_the_terminal_holds_cloudwatch_against_what_was_sent(watched: tuple[Summary, Summary]) -> None:
    said = on_terminal(watched[1])
    assert "Invocations 66,000, all that were sent   4XX 0   5XX 0" in said
    assert "within 0.40 ms of it in each of 120 minutes" in said
    assert "at the start 1   at the end 2   at most 2   scaling 1 to 4 instances, 25,000 a minute for each" in said
    assert max(map(len, said.splitlines())) <= text.LOG_WIDTH


def test_no_name_of_a_column_is_broken_within_a_word(watched: tuple[Summary, Summary]) -> None:
    lines = on_terminal(watched[1]).splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("minute "))
    assert lines[at - 1].split() == ["planned", "sent", "mean", "model", "p99", "p99"]
    assert lines[at].split() == [
        *("minute", "/min", "/min", "service", "latency", "service", "latency"),
        *("failed", "errors", "dropped", "instances"),
    ]


def test_a_run_that_nobody_watched_says_nothing_of_cloudwatch_or_instances(reference: Summary) -> None:
    for said in (on_terminal(reference), markdown.render(reference)):
        assert "Invocations" not in said and "instances at" not in said and "\ninstances" not in said


def test_the_page_says_where_a_figure_would_stand_why_there_is_none(reference: Summary) -> None:
    said = Page(page.render(reference)).text
    for title, why in (
        ("Invocations and invocations per instance", "Nobody watched CloudWatch and scaling in this run"),
        ("Instancesdesired", "Nobody watched CloudWatch and scaling in this run"),
        ("What a service time is made of", "Nobody watched CloudWatch and scaling in this run"),
    ):
        assert 0 < said.index(why, said.index(title)) - said.index(title) < 300
    quiet = [chart["title"] for chart in figures(page.render(reference))]
    assert "Invocations and invocations per instance" not in quiet and "Instances" not in quiet


def test_what_is_missing_is_said_where_it_would_stand(tmp_path: Path) -> None:
    run = watch(played(tmp_path, (Phase("flat", 120, 10),)), lost=lambda at_s: True, missing=["CloudWatch said no."])
    summary = Summary.of(run)
    for said in (on_terminal(summary), markdown.render(summary), Page(page.render(summary)).text):
        assert "CloudWatch said no." in said
    run = watch(played(tmp_path, (Phase("flat", 120, 10),)), settled=False)
    assert "its last minutes may not be complete" in on_terminal(Summary.of(run))


def test_a_difference_between_cloudwatch_and_us_is_said_in_numbers(tmp_path: Path) -> None:
    run = watch(played(tmp_path, (Phase("flat", 120, 10),)), lost=lambda at_s: at_s == 60)
    assert "Invocations 600, 600 fewer than were sent" in on_terminal(Summary.of(run))


def test_the_parts_of_a_service_time_are_a_sum_in_words_and_a_row_for_each_period(tmp_path: Path) -> None:
    run = watch(played(tmp_path, (Phase("flat", 120, 10),)))
    run.append_observations(
        [Observation(60.0 * n, "AWS/SageMaker", "OverheadLatency", "Average", 0.3, "ms") for n in range(2)]
    )
    summary = Summary.of(run)
    assert "mean service time 8.00 ms = model 7.60 ms + overhead 0.30 ms + rest 0.10 ms" in " ".join(
        on_terminal(summary).split()
    )
    assert "| 0:01:00 | 600 | 600 | 0 | 0 | 0 | 8.00 | 7.60 | 0.30 | 0.10 |" in markdown.render(summary)


def test_the_value_of_a_limit_on_model_latency_says_what_it_is_of(watched: tuple[Summary, Summary]) -> None:
    assert "model_latency_p99 9.70 ms (the highest of a minute) (≤ 1000 ms)" in on_terminal(watched[1])


def test_the_page_draws_model_latency_beside_service_time_and_invocations_against_the_target(
    watched: tuple[Summary, Summary],
) -> None:
    charts = {chart["title"]: chart for chart in figures(page.render(watched[1]))}
    assert list(charts) == [
        *("Planned and delivered rate", "Latency percentiles", "Latency heat map"),
        *("Invocations and invocations per instance", "Instances", "What a service time is made of"),
        *("Lateness", "CPU of the generator"),
    ]
    latency = charts["Latency percentiles"]
    assert "ModelLatency mean" in {curve["name"] for curve in latency["curves"]}
    assert [1000.0, "SLO model_latency_p99"] in latency["limits"]
    invocations = charts["Invocations and invocations per instance"]
    assert invocations["limits"] == [[25_000.0, "scaling target 25,000 per instance"]]
    assert [curve["y"][119] for curve in invocations["curves"]] == [47_880, 23_940]
    desired, in_service = charts["Instances"]["curves"]
    assert (desired["x"], desired["y"]) == ([0.0, 33.6, 120.0], [1, 2, 2])
    assert (in_service["x"], in_service["y"]) == ([0.0, 37.0, 120.0], [1, 2, 2])
    assert charts["Instances"]["marks"][0] == [33.6, "Setting desired instance count to 2."]
    parts = charts["What a service time is made of"]
    assert [curve["name"] for curve in parts["curves"]] == ["ModelLatency", "the rest"]
    assert "OverheadLatency is missing" in parts["subtitle"]


def test_without_scaling_no_target_is_drawn(watched: tuple[Summary, Summary]) -> None:
    charts = {chart["title"]: chart for chart in figures(page.render(watched[0]))}
    assert charts["Invocations and invocations per instance"]["limits"] == []


def test_events_of_the_instances_are_shown_as_text(hostile: Summary, watched: tuple[Summary, Summary]) -> None:
    assert "0:33:36Setting desired instance count to 2.2–" in Page(page.render(watched[1])).text
    assert Page(page.render(hostile)).text.count("alert(1)") > 10
