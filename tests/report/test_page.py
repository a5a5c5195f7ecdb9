"""The report's page: its first screen, its figures and what stands under them, and what it does not let in."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from sm_locust.analysis.summary import Summary
from sm_locust.record.observation import ScalingEvent, alarm_event
from sm_locust.record.recorder import Recorder
from sm_locust.report import markdown, page
from sm_locust.schedule import Phase
from tests.analysis.folders import SCALED, borrowed, outcome, played, watch
from tests.analysis.virtual import virtual_run
from tests.report.reading import EVIL, Page

CONFIG: dict[str, Any] = {
    "target": {"endpoint": "decision-trees-sample", "url": "http://127.0.0.1:8500"},
    "slo": {"latency_mean": "15ms", "error_rate": 0.05},
    "prices": {"as_of": "2026-11-01", "instance_hour": 0.115},
}
TITLES = [
    *("Planned and delivered rate", "Latency percentiles", "Latency heat map", "Errors"),
    *("Invocations and invocations per instance", "Instances", "What a service time is made of"),
    *("Lateness", "CPU of the generator"),
]


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Summary:
    return Summary.of(virtual_run(tmp_path_factory.mktemp("runs"), config=CONFIG))


@pytest.fixture(scope="module")
def after(tmp_path_factory: pytest.TempPathFactory) -> Summary:
    return Summary.of(virtual_run(tmp_path_factory.mktemp("runs"), config=CONFIG, scaled=True))


def charts(html: str) -> list[dict[str, Any]]:
    found = re.search(r'id="figures">(.*?)</script>', html, re.S)
    assert found
    return list(json.loads(found[1]))


def beside(lines: list[str], label: str, after: str = "") -> str:
    """What stands right of a label, below a title."""
    start = lines.index(after) if after else 0
    return lines[lines.index(label, start) + 1]


# -- the first screen --------------------------------------------------------------------------------------------------


def test_the_first_screen_answers_in_the_order_in_which_it_is_asked(after: Summary) -> None:
    lines = Page(page.render(after)).lines
    order = [
        *("VALID", "SLO PASSED", "What one instance sustains", "What to set"),
        *(
            "How long scaling out took, and what it cost",
            "What the instances cost",
            "What changed, what was put back, what still bills",
            "sent",
        ),
        *("Planned and delivered rate",),
    ]
    assert [lines.index(title) for title in order] == sorted(lines.index(title) for title in order)


def test_its_figures_are_those_of_summary_json(before: Summary, after: Summary) -> None:
    for summary in (before, after):
        lines, found = Page(page.render(summary)).lines, summary.as_dict()
        assert beside(lines, "delivered") == f"{found['arrivals']['delivered_ratio']:.2%} of 66,000 planned"
        assert beside(lines, "foreign traffic") == "none seen in 120 periods"
        per_minute = found["capacity"]["max_rps"] * 60
        assert beside(lines, "as CloudWatch counts").removeprefix("≥ ") == f"{per_minute:,.0f} a minute"
        now, recommended = found["recommendation"]["options"][:2]
        at = lines.index("recommended")
        assert lines[lines.index("maximum", at) + 1 :][:2] == [str(o["max_instances"]) for o in (now, recommended)]
        headroom = next(i for i, line in enumerate(lines) if line.startswith("headroom at the peak, 800 a second"))
        assert lines[headroom + 1 : headroom + 3] == [f"{o['headroom']:+.0%}" for o in (now, recommended)]


def test_the_stages_of_a_scale_out_stand_with_what_it_cost(after: Summary) -> None:
    lines = Page(page.render(after)).lines
    (lag,), (toll,) = after.as_dict()["scaling"]["lag"], after.as_dict()["scaling"]["lag_cost"]
    assert beside(lines, "crossed", "to 2") == "0:32:00"
    assert beside(lines, "desired", "to 2") == "+180 s"
    assert beside(lines, "crossed → in service", "to 2") == f"{lag['in_service_s'] - lag['crossed_s']:.0f} s"
    assert beside(lines, "failed meanwhile", "to 2") == str(toll["failed"])
    assert beside(lines, "minutes over the SLO", "to 2") == str(toll["minutes_over_slo"])


def test_prices_are_said_an_hour_and_for_a_million(after: Summary) -> None:
    lines = Page(page.render(after)).lines
    assert beside(lines, "an hour") == "$0.115 with 1, $0.23 with 2 instances"
    assert beside(lines, "a million, as they were sent") == f"${after.as_dict()['cost']['per_million']:.2f}"


def test_what_an_experiment_put_back_is_said(tmp_path: Path) -> None:
    run = watch(played(tmp_path, (Phase("flat", 120, 10),)), events=[ScalingEvent(0.0, 1, 1, "")])

    def said(**what: Any) -> str:
        borrowed(tmp_path, **what)
        return beside(Page(page.render(Summary.of(run))).lines, "put back")

    assert beside(Page(page.render(Summary.of(run))).lines, "put back") == "nothing had to be"
    assert said().startswith("not yet")
    assert said(restored=["The policy P is back."], restored_at="now") == "The policy P is back."
    assert said(restored=[], not_restored="AWS said no") == "NOT: AWS said no"
    assert said(restored=[EVIL], restored_at="now") == EVIL.replace("\x1b", "\ufffd")
    assert said(restored="all of it").startswith("not known: experiment.json: restored or not_restored: no list")


def test_what_is_not_known_says_why(tmp_path: Path) -> None:
    run = played(tmp_path, (Phase("flat", 30, 10),), config={"target": CONFIG["target"]})
    lines = Page(page.render(Summary.of(run))).lines
    assert beside(lines, "foreign traffic") == "not known: nobody watched CloudWatch"
    for title in ("What one instance sustains", "What to set", "What the instances cost"):
        assert beside(lines, title) == "not known" and lines[lines.index(title) + 2].endswith(".")
    assert beside(lines, "still billing") == "not known: nobody asked"
    # Said once: what is set follows from it.
    assert sum("slo to hold a rate against" in line for line in lines) == 1


@pytest.mark.parametrize("target", [{}, {"target": {"container": "http://127.0.0.1:1/i"}}])
def test_without_an_endpoint_nothing_is_said_of_sagemaker(target: dict[str, Any], tmp_path: Path) -> None:
    run = played(tmp_path, (Phase("up", 1200, 5, ramp_to=20),), config={**target, "slo": CONFIG["slo"]})
    summary = Summary.of(run)
    lines = Page(page.render(summary)).lines
    assert beside(lines, "What the target sustains").startswith("≥ 19.9 requests a second")
    for said in ("\n".join(lines), markdown.render(summary)):
        assert "not known" not in said and "nobody" not in said.lower()
        for word in ("CloudWatch", "What to set", "caling out", "still billing", "foreign", "instance", "endpoint"):
            assert word not in said, word
    assert "a minute) for the target: no rate" in markdown.render(summary)


def test_an_slo_that_held_at_no_rate_is_said_with_the_rate_that_it_is_below(tmp_path: Path) -> None:
    phases = (Phase("up", 1200, 5, ramp_to=20),)
    slo = {**CONFIG, "slo": {"latency_mean": "5ms"}}
    run = watch(played(tmp_path, phases, config=slo), events=[ScalingEvent(0.0, 1, 1, "")])
    lines = Page(page.render(Summary.of(run))).lines
    assert re.fullmatch(r"< [\d.]+ requests a second", beside(lines, "What one instance sustains"))
    assert beside(lines, "What to set") == "not known"


def test_foreign_traffic_is_counted(tmp_path: Path) -> None:
    run = watch(played(tmp_path, (Phase("flat", 180, 10),)))
    text = (run.folder / "cloudwatch.csv").read_text()
    (run.folder / "cloudwatch.csv").write_text(text.replace("Invocations,Sum,600", "Invocations,Sum,900"))
    assert "requests, in 3 of 3 periods" in beside(Page(page.render(Summary.of(run))).lines, "foreign traffic")


def test_a_phase_that_kept_its_slo_is_folded_and_one_that_did_not_is_not(before: Summary) -> None:
    html = page.render(before)
    first = html[html.index("SLO FAILED") : html.index("What one instance sustains")]
    shown, folded = first.split("<details>")
    assert shown.count("phase max load") == 2 and shown.count("phase warm up") == 1
    assert folded.count("phase warm up") == 1


# -- the figures -------------------------------------------------------------------------------------------------------


def test_every_figure_has_its_place_its_unit_and_its_source_drawn_or_not(before: Summary, tmp_path: Path) -> None:
    bare = Summary.of(played(tmp_path, (Phase("flat", 3, 10),), config={"target": CONFIG["target"]}))
    for summary in (before, bare):
        html = page.render(summary)
        found = re.findall(
            r'<h2>([^<]*)</h2><p class="sub">([^<]*)</p>(<div class="chart|<p class="missing">.+?</p>)', html
        )
        assert [title for title, _, _ in found] == TITLES
        assert all("source: " in unescape(about) for _, about, _ in found)
        assert len(charts(html)) == sum(drawn.startswith("<div") for _, _, drawn in found)


def test_all_figures_have_one_time_axis(after: Summary) -> None:
    for chart in charts(page.render(after)):
        assert (chart["until"], chart["along"]) == (120.0, "schedule minute")
        assert chart["phases"] == [["warm up", 0.0, 60.0], ["max load", 60.0, 120.0]]
        edges = chart["heat"][0] if chart["heat"] else [x for curve in chart["curves"] for x in curve["x"]]
        assert min(edges) >= 0 and max(edges) <= 120


def test_under_every_figure_is_a_folded_table_of_its_numbers(before: Summary) -> None:
    html = page.render(before)
    for title in TITLES:
        part = html[html.index(f"<h2>{title}</h2>") :]
        part = part[: part.index("</section>")]
        assert "<details><summary>In numbers</summary>" in part, title
    minutes = html[html.index("<h2>Latency percentiles</h2>") :]
    row = before.minutes.rows[50]
    p99 = (row.requests.latency.quantile(0.99) or 0) * 1e3
    assert f'<tr><td>50</td><td class="n">{p99:,.0f}</td>' in minutes


def test_the_heat_map_counts_every_request_once(before: Summary) -> None:
    (heat,) = [chart["heat"] for chart in charts(page.render(before)) if chart["heat"]]
    columns, bands, counts = heat
    assert len(counts) == len(bands) - 1 and {len(row) for row in counts} == {len(columns) - 1}
    assert sum(map(sum, counts)) == before.minutes.whole.requests.latency.count


def test_an_alarm_is_marked_in_short(tmp_path: Path) -> None:
    long = "TargetTracking-endpoint/e/variant/v-AlarmHigh-0933"
    events = [ScalingEvent(0.0, 1, 1, ""), ScalingEvent(60.0, None, None, alarm_event(long, "OK", "ALARM"))]
    run = watch(played(tmp_path, (Phase("flat", 120, 10),)), scaling=SCALED, events=events)
    (chart,) = [chart for chart in charts(page.render(Summary.of(run))) if chart["title"] == "Instances"]
    assert chart["marks"] == [[1.0, "AlarmHigh: OK → ALARM"]]


# -- what does not get in ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["phase", "request", "kind", "error", "event", "missing", "ended", "worker"])
def test_hostile_text_is_shown_as_text(tmp_path: Path, where: str) -> None:
    def evil(here: str, otherwise: str) -> str:
        return EVIL if where == here else otherwise

    phases = (Phase(evil("phase", "flat"), 120, 5),)
    worker = evil("worker", "local")
    run = played(tmp_path, phases, workers=(worker,), config={**CONFIG, "slo": {"error_rate": 0.05}})
    recorder = Recorder()
    recorder.arrived(1.0)
    recorder.record(outcome(1.0, evil("kind", "unavailable"), name=evil("request", "invoke")))
    run.append(worker, recorder.take())
    failure = {"at": 1.0, "kind": "unavailable", "name": "invoke", "status": 503, "request_id": "", "message": ""}
    run.append(worker, failures=[{**failure, "message": evil("error", "no room")}])
    watch(
        run,
        scaling=SCALED,
        missing=[evil("missing", "No tags.")],
        events=[ScalingEvent(0.0, 1, 1, ""), ScalingEvent(5.0, 1, 1, evil("event", "Something happened."))],
    )
    run.finish(ended=evil("ended", "schedule complete"))
    html = page.render(Summary.of(run))
    clean = Page(page.render(Summary.of(played(tmp_path, (Phase("flat", 3, 5),)))))
    text = Page(html)
    assert html.count("<script") == 3 and "<img" not in html
    assert text.elements <= {*clean.elements, "li", "ul", "details", "summary", "dl", "dt", "dd", "h3", "pre"}
    if where != "worker":  # that one is not shown at all
        assert any("alert(1)" in line for line in text.lines)


def test_it_needs_nothing_from_anywhere(before: Summary) -> None:
    html = page.render(before)
    body = re.sub(r"<script>.*?</script>", "", html, flags=re.S)
    assert not re.search(r"<(link|img|iframe|object|embed|base)\b|\b(src|href)=|url\(|@import", body)


def test_without_javascript_the_numbers_are_there(before: Summary) -> None:
    body = re.sub(r"<script.*?</script>", "", page.render(before), flags=re.S)
    assert body.count("<summary>In numbers</summary>") == len(TITLES)
