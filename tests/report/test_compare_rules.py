"""Rules, differences and pictures by offered rate, in words and on the page; and the command that CI runs."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sm_locust.analysis.by_rate import ByRate
from sm_locust.analysis.capacity import Capacity
from sm_locust.analysis.compare import Comparison, Side
from sm_locust.analysis.differences import differences
from sm_locust.analysis.fail_if import FailIf, Judged
from sm_locust.analysis.several import Several
from sm_locust.analysis.summary import Summary
from sm_locust.record.outcome import OK
from sm_locust.record.run import Run
from sm_locust.report import compare, compare_page, intervals, pair, rate_figures, several_figures
from sm_locust.schedule import Phase
from tests.analysis.folders import before_and_after, played
from tests.analysis.test_several import capacity, one
from tests.report.reading import EVIL, Page
from tests.report.test_compare import CONFIG

RULES = ("error_rate > 5%", "latency_p99 > +10%", "capacity < -5%")
RAMP = (Phase("up", 60, 5, ramp_to=50),)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run]:
    return before_and_after(tmp_path_factory.mktemp("demo"), CONFIG)


@pytest.fixture(scope="module")
def reference(runs: tuple[Run, Run]) -> Comparison:
    return Comparison.of(*runs)


@pytest.fixture(scope="module")
def back(reference: Comparison) -> Comparison:
    """The other way round: what was good is lost."""
    return Comparison(reference.after, reference.before, ())


def judged(comparison: Comparison, *rules: str) -> list[Judged]:
    return [FailIf.parse(rule).judge(comparison) for rule in rules]


# -- differences -------------------------------------------------------------------------------------------------------


def test_each_figure_has_its_change_with_a_sign_and_a_word(reference: Comparison, back: Comparison) -> None:
    rows = {row[0]: row[1:] for row in pair.differences(reference, differences(reference)).rows}
    assert rows["latency p99"] == ("better", "360 ms", "10.3 ms", "−97.1%")
    assert rows["error rate"][0] == "better" and rows["error rate"][2:] == ("0.00%", "−100%")
    assert rows["delivered"] == ("about the same", "100.00%", "100.00%", "±0.0%")
    rows = {row[0]: row[1:] for row in pair.differences(back, differences(back)).rows}
    assert rows["latency p99"] == ("worse", "10.3 ms", "360 ms", "+3,398%")
    assert rows["error rate"][0] == "worse" and rows["error rate"][3] == "from 0"


def test_a_capacity_says_of_what_it_is_and_whether_it_was_reached(reference: Comparison) -> None:
    sides = [
        Side(replace(side.summary, capacity=found))
        for side, found in zip(
            reference.sides, (capacity(470.0, 460.0, 477.0), capacity(437.0, 437.0, None)), strict=True
        )
    ]
    comparison = Comparison(sides[0], sides[1], ())
    table = pair.differences(comparison, differences(comparison))
    assert table.rows[-1] == (
        *("capacity, requests a second for one instance", "too close to tell", "470", "≥ 437", "–"),
    )
    assert table.note.endswith("Too close to tell: the intervals of the two overlap.")
    ((_, said),) = pair.rules(judged(comparison, "capacity < -5%"))
    assert said == (
        "cannot be told: capacity < -5%: BEFORE 470 (460 to 477), AFTER ≥ 437 (no limit was reached in AFTER)"
    )


# -- rules -------------------------------------------------------------------------------------------------------------


def test_rules_are_said_with_their_numbers_those_that_are_not_held_first(back: Comparison) -> None:
    found = judged(back, "delivered_ratio < 99%", *RULES[:2])
    assert [said for _, said in pair.rules(found)] == [
        "BROKEN: error_rate > 5%: AFTER " + pair.rules(judged(back, "error_rate > 5%"))[0][1].split("AFTER ")[1],
        "BROKEN: latency_p99 > +10%: BEFORE 10.3 ms, AFTER 360 ms, +3,398%",
        "held: delivered_ratio < 99%: AFTER 100.00%",
    ]


@pytest.mark.parametrize(
    ("rules", "title"),
    [
        (("error_rate > 99%",), "1 rule held"),
        (("error_rate > 5%", "error_rate > 99%"), "1 of 2 rules broken"),
        (("error_rate > 99%", "error_rate > 98%"), "2 rules held"),
        (("error_rate > 5%", "capacity < 1"), "1 of 2 rules broken, 1 cannot be told"),
    ],
)
def test_the_title_counts_them(back: Comparison, rules: tuple[str, ...], title: str) -> None:
    refused = Side(replace(back.after.summary, capacity=Capacity("ramp", refused="it changed")))
    assert pair.rules_title(judged(Comparison(back.before, refused, ()), *rules)) == title


def test_terminal_markdown_and_page_say_the_same_of_the_rules(back: Comparison) -> None:
    found = judged(back, *RULES)
    stream = io.StringIO()
    compare.show(back, Path("runs/x"), stream, judged=found)
    lines = stream.getvalue().splitlines()
    assert max(map(len, lines)) <= 100
    text, html = compare.render(back, None, found), compare_page.render(back, None, found)
    for _, said in pair.rules(found):
        assert said in " ".join(" ".join(lines).split()) and said in Page(html).text
    assert f"\n## {pair.rules_title(found)}\n" in text and text.index("BROKEN: ") < text.index("## Differences")
    assert "rules" not in Page(compare_page.render(back)).text and "BROKEN" not in compare.render(back)


# -- pictures ----------------------------------------------------------------------------------------------------------


def test_the_page_begins_with_the_three_pictures_then_those_by_rate_then_differences_and_changes(
    reference: Comparison,
) -> None:
    text = Page(compare_page.render(reference)).text
    order = [
        *("Invocations and invocations per instance", "ModelLatency", "Errors", "Instances in service"),
        *("By offered rate", "Differences", "What was changed", "Side by side"),
    ]
    assert [text.index(title) for title in order] == sorted(text.index(title) for title in order)


def test_pictures_by_rate_have_a_curve_of_each_run_and_hold_every_value(reference: Comparison) -> None:
    summaries = [side.summary for side in reference.sides]
    found = ByRate.of([summary.minutes for summary in summaries])
    charts = rate_figures.charts(found, pair.SIDES, [summary.limits for summary in summaries])
    assert [chart.unit for chart in charts] == ["ms", "ms", "%"]
    for chart in charts:
        assert [(curve.name, curve.role) for curve in chart.curves] == [("BEFORE", "before"), ("AFTER", "after")]
        assert chart.along == "requests a second offered" and chart.range is not None
        low, high = chart.range
        for curve in chart.curves:
            assert all(0 <= x <= chart.until for x in curve.x) and len(curve.x) == len(curve.y)
            assert all(low <= y <= high for y in curve.y if y is not None)
    mean, _, errors = charts
    assert (mean.limits, errors.limits) == ([(15.0, "SLO 15 ms")], [(5.0, "SLO 5%")])
    assert mean.curves[0].y[-1] == pytest.approx(360, rel=0.01)
    numbers = rate_figures.table(found, pair.SIDES)
    assert len(numbers.rows) == len(found.steps) and {len(row) for row in numbers.rows} == {4}


def test_limits_that_differ_say_whose_they_are(tmp_path: Path) -> None:
    found = ByRate.of([Summary.of(played(tmp_path, RAMP)).minutes] * 2)
    charts = rate_figures.charts(found, pair.SIDES, [{"latency_mean": 0.015}, {"latency_mean": 0.02}])
    assert charts[0].limits == [(15.0, "SLO 15 ms, BEFORE"), (20.0, "SLO 20 ms, AFTER")]


def test_several_runs_are_told_apart_by_roles_that_the_page_knows(tmp_path: Path) -> None:
    summaries = [Summary.of(played(tmp_path, RAMP)) for _ in range(3)]
    charts = [
        *rate_figures.charts(ByRate.of([each.minutes for each in summaries]), ["a", "b", "c"], [{}] * 3),
        *several_figures.over_time(summaries, ["a", "b", "c"]),
    ]
    assert len(charts) == 6
    folder = Path(compare_page.__file__).parent
    for chart in charts:
        assert len({curve.role for curve in chart.curves}) == 3
    for role in (*rate_figures.roles(2), *rate_figures.roles(6)):
        assert (folder / "page.css").read_text().count(f"--{role}:") == 2  # light and dark


def test_the_page_of_several_has_all_runs_by_time_and_by_rate(tmp_path: Path) -> None:
    summaries = [Summary.of(played(tmp_path, RAMP)) for _ in range(3)]
    html = compare_page.render_several(Several.of(summaries), summaries)
    found = Page(html)
    assert {a["id"] for _, a in found.tags if (a.get("id") or "").startswith("chart-")} == {
        f"chart-{i}" for i in range(6)
    }
    assert "By time" in found.text and "By offered rate" in found.text


def test_capacities_are_bars_with_their_interval_and_open_where_no_limit_was_reached() -> None:
    found = Several.among(
        [
            one("a", capacity(50.0, 40.0, 60.0)),
            one("b", capacity(75.0, 75.0, None), type="ml.c5.large"),
            one("c", Capacity("ramp", refused="it changed"), type="ml.c5.xlarge"),
        ]
    )
    html = intervals.render(found)
    assert re.findall(r'<i( class="\w+")? style="([^"]+)"', html) == [
        ("", "width:64.10%"),
        (' class="reach"', "left:51.28%;width:25.64%"),
        ("", "width:96.15%"),
        (' class="open"', "left:96.15%;width:3.85%"),
    ]
    assert Page(html).text == "1 × ml.m4.xlarge50 (40 to 60)1 × ml.c5.large75 (75 or more)1 × ml.c5.xlargeno capacity"
    assert intervals.render(Several.among([one("c", Capacity("ramp", refused="it changed"))])) == ""


def test_nothing_from_outside_is_markup_in_what_is_new(tmp_path: Path) -> None:
    summaries = [Summary.of(played(tmp_path, (Phase(EVIL, 30, 10),), lambda at: (EVIL, 0.01))) for _ in range(3)]
    found = Several.among([replace(one(EVIL, type=EVIL), run_id=summary.run_id) for summary in summaries])
    html = compare_page.render_several(found, summaries)
    clean = [Summary.of(played(tmp_path, (Phase("a", 30, 10),), lambda at: (OK, 0.01))) for _ in range(3)]
    plain = compare_page.render_several(Several.of(clean), clean)
    assert html.count("<script") == plain.count("<script")
    assert Page(html).elements <= {*Page(plain).elements, "i", "b"}
    for name in ("--", "<b>"):
        evil = FailIf("latency_p99", True, 0.1, True, f"+10%{name}{EVIL}")
        page = compare_page.render(
            Comparison(Side(summaries[0]), Side(summaries[1]), ()),
            None,
            [evil.judge(Comparison(Side(summaries[0]), Side(summaries[1]), ()))],
        )
        assert "<img" not in page.split('<script type="application/json"')[0] and "\x1b" not in page


# -- the command -------------------------------------------------------------------------------------------------------


def test_the_exit_code_says_whether_all_rules_are_held(invoke: Any, tmp_path: Path) -> None:
    fast = played(tmp_path, RAMP).folder
    slow = played(tmp_path, RAMP, lambda at: (OK, 0.012)).folder
    told = tmp_path / "out" / "compare.json"
    for folders, expected in (((fast, slow), 1), ((slow, fast), 0)):
        done = invoke(*folders, "--out", told.parent, "--fail-if", "latency_p99 > +10%", "--fail-if", "error_rate > 5%")
        assert done.exit_code == expected, done.output
        assert [rule["state"] for rule in json.loads(told.read_text())["rules"]] == [
            "broken" if expected else "held",
            "held",
        ]
    assert invoke(fast, slow, "--out", told.parent).exit_code == 0
    assert json.loads(told.read_text())["rules"] == []
    done = invoke(fast, slow, "--out", told.parent, "--fail-if", "model_latency_p99 > +10%")
    assert done.exit_code == 1
    assert "cannot be told: model_latency_p99 > +10%: BEFORE –, AFTER – (BEFORE was not watched)" in done.stdout


def test_a_rule_that_is_none_is_refused_before_anything_is_read(invoke: Any, tmp_path: Path) -> None:
    done = invoke(tmp_path / "no", tmp_path / "neither", "--fail-if", "latency_p99 > +10%", "--fail-if", "p99 > 1s")
    assert done.exit_code == 2
    assert done.stderr.startswith("sm-locust: --fail-if 'p99 > 1s': p99 is not accepted: capacity, delivered_ratio, ")
    assert done.stderr.count("\n") == 1 and done.stdout == ""


def test_rules_are_about_two_runs(invoke: Any, tmp_path: Path) -> None:
    done = invoke("a", "b", "c", "--fail-if", "latency_p99 > +10%")
    assert done.exit_code == 2
    assert done.stderr == "sm-locust: --fail-if: is not accepted with 3 runs: it is about a BEFORE and an AFTER\n"
