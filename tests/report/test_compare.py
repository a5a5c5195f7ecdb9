"""compare.md, compare.json, compare.html and the terminal: both sides, on the same axes, and nothing let in."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from sm_locust.analysis.compare import Comparison
from sm_locust.record.observation import ScalingEvent
from sm_locust.record.outcome import OK
from sm_locust.record.run import Run, RunError
from sm_locust.report import compare, compare_page, pair, pair_figures, several_figures
from sm_locust.schedule import Phase
from tests.analysis.folders import before_and_after, borrowed, played, watch
from tests.report.reading import EVIL, Page

CONFIG: dict[str, Any] = {
    "target": {"endpoint": "decision-trees-sample", "url": "http://127.0.0.1:8500"},
    "slo": {"latency_mean": "15ms", "model_latency_mean": "15ms", "error_rate": 0.05},
}
FLAT = (Phase("flat", 120, 10),)
FILES = ["compare.html", "compare.json", "compare.md"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run]:
    parent = tmp_path_factory.mktemp("demo")
    pair = before_and_after(parent, CONFIG)
    borrowed(parent, restored=["Deleted the policy.", "Set back to 1 instance."])
    return pair


@pytest.fixture(scope="module")
def reference(runs: tuple[Run, Run]) -> Comparison:
    return Comparison.of(*runs)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """Every text that comes from outside is an attack."""
    parent = tmp_path_factory.mktemp("runs")
    found = []
    for n in (1, 2):
        run = played(parent, (Phase(EVIL, 10, 10), Phase("b", 10, 10 * n)), lambda at: (EVIL if at < 2 else OK, 0.01))
        watch(run, missing=[EVIL], events=[ScalingEvent(5.0, 2, 2, EVIL)])
        run.meta["versions"] = {EVIL: EVIL * n}
        run.meta["config"] = {"target": {"endpoint": "a" * n}}
        run.meta["schedule"]["source"] = EVIL * n
        run.finish(ended=EVIL)
        found.append(run)
    borrowed(parent, restored=[EVIL], not_restored=EVIL)
    return Comparison.of(*found)


def on_terminal(comparison: Comparison) -> str:
    stream = io.StringIO()
    compare.show(comparison, Path("runs/demo"), stream)
    return stream.getvalue()


def totals(comparison: Comparison) -> dict[str, tuple[str, ...]]:
    return {row[0]: row[1:] for row in pair.totals(comparison).rows}


# -- files -------------------------------------------------------------------------------------------------------------


def test_three_files_are_written_and_written_again_they_have_the_same_bytes(
    runs: tuple[Run, Run], tmp_path: Path
) -> None:
    folder = tmp_path / "not" / "there"
    comparison = compare.write(*runs, folder)
    first = {path.name: path.read_bytes() for path in folder.iterdir()}
    compare.write(Run.open(runs[0].folder), Run.open(runs[1].folder), folder)
    assert sorted(first) == FILES
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == first
    told = json.loads(first["compare.json"])
    assert {key: told[key] for key in comparison.as_dict()} == comparison.as_dict()
    assert set(told) - set(comparison.as_dict()) == {"differences", "by_rate", "rules"}


def test_a_folder_that_cannot_be_written_is_named(runs: tuple[Run, Run], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="the comparison cannot be written"):
        compare.write(*runs, tmp_path / "file")


# -- words -------------------------------------------------------------------------------------------------------------


def test_the_headline_says_of_each_side_where_it_broke(reference: Comparison) -> None:
    before, after = pair.headline(reference)
    assert before.startswith("BEFORE: first failed request at minute 40 (28,200 a minute); SLO latency_mean ≤ 15 ms")
    assert after == "AFTER: no request failed."


def test_the_totals_stand_side_by_side(reference: Comparison) -> None:
    found = totals(reference)
    assert found["SLO"] == ("FAILED", "PASSED")
    assert found["automatic scaling"] == ("none", "1 to 4 instances, 25,000 a minute for each")
    assert found["instances, start → end"] == ("1 → 1", "1 → 2")
    assert found["failed"] == ("24,939", "0")
    assert found["first failed request"] == ("minute 40", "never")
    assert found["SLO first broken"] == ("minute 34", "never")
    assert found["busiest minute for one instance"] == ("47,880", "26,580")


def test_what_neither_side_knows_is_left_out_of_the_totals(tmp_path: Path) -> None:
    run = played(tmp_path, FLAT)
    labels = set(totals(Comparison.of(run, run)))
    assert "failed" in labels and not {label for label in labels if "ModelLatency" in label or "instance" in label}
    assert "SLO" not in labels


def test_an_instance_count_that_fell_again_is_told_by_its_most(tmp_path: Path) -> None:
    levels = [ScalingEvent(at, n, n, "") for at, n in ((0.0, 1), (70.0, 3), (130.0, 2))]
    run = watch(played(tmp_path, (Phase("flat", 180, 10),)), events=levels)
    assert totals(Comparison.of(run, run))["instances, start → end"][0] == "1 → 2, at most 3"


def test_minutes_set_aside_are_counted_below_the_totals(tmp_path: Path) -> None:
    late = played(tmp_path, FLAT, late=lambda at: 0.03 if 5 < at < 6 else 0.0002)
    assert pair.totals(Comparison.of(late, played(tmp_path, FLAT))).note.endswith("are set aside (BEFORE 1).")


def test_runs_that_should_not_be_compared_say_so(tmp_path: Path) -> None:
    late = played(tmp_path, FLAT, late=lambda at: 0.1)
    other = watch(played(tmp_path, (Phase("other", 120, 10),)), settled=False)
    doubts = pair.doubts(Comparison.of(late, other))
    assert doubts[0].startswith("BEFORE is not valid: Requests left late in phase flat")
    assert doubts[1].startswith("The two runs played different phases")
    assert doubts[2].startswith("AFTER: CloudWatch was still counting")
    assert len(doubts) == 3


def test_runs_of_different_speed_have_a_banner_each(tmp_path: Path) -> None:
    slow, fast = played(tmp_path, FLAT), played(tmp_path, (Phase("flat", 3600, 10),), speed=60)
    assert pair.banners(Comparison.of(slow, slow)) == []
    assert len(pair.banners(Comparison.of(fast, fast))) == 1
    before, after = pair.banners(Comparison.of(slow, fast))
    assert before == "BEFORE: Played in real time." and after.startswith("AFTER: Compressed 60 times")


def test_the_table_of_minutes_is_thinned_but_keeps_where_it_broke(reference: Comparison) -> None:
    rows = pair.minutes(reference, 14).rows
    assert len(rows) <= 14
    assert {"0", "34", "40", "119"} <= {row[0] for row in rows}
    assert len(pair.minutes(reference, at_most=None).rows) == 120


def test_runs_of_seconds_are_compared_by_seconds(tmp_path: Path) -> None:
    short = Comparison.of(*(played(tmp_path, (Phase("flat", 20, n),)) for n in (5, 10)))
    assert pair.minutes(short).rows == ()
    pairs = [
        *pair_figures.of_pair(short),
        several_figures.over_time([side.summary for side in short.sides], pair.SIDES),
    ]
    for chart in (chart for charts in pairs for chart in charts):
        assert (chart.along, chart.until) == ("schedule second", 20)
        assert [len(curve.x) for curve in chart.curves] == [20] * len(chart.curves)


def test_what_was_changed_begins_with_the_scaling(reference: Comparison, hostile: Comparison) -> None:
    assert pair.changes(reference).rows == (
        ("automatic scaling", "none", "1 to 4 instances, 25,000 a minute for each"),
    )
    assert ("target.endpoint", "a", "aa") in pair.changes(hostile).rows


# -- terminal and Markdown ---------------------------------------------------------------------------------------------


def test_the_terminal_text_fits_a_hundred_columns_and_ends_with_the_folder(reference: Comparison) -> None:
    said = on_terminal(reference)
    assert max(map(len, said.splitlines())) <= 100
    assert said.splitlines()[-3:] == [
        *("BEFORE: VALID, SLO FAILED", "AFTER: VALID, SLO PASSED"),
        "runs/demo/  (compare.html, compare.md, compare.json)",
    ]
    order = [
        "BEFORE: first",
        "AFTER: no",
        "Compressed 60",
        "\nverdict",
        "\nerror rate",
        "\nminute ",
        "\nchanged",
        "\nWhat was put back:\n  Deleted the policy.\n  Set back to 1",
    ]
    places = [said.index(part) for part in order]
    assert places == sorted(places)


def test_no_control_character_from_outside_reaches_the_terminal(hostile: Comparison) -> None:
    assert "\x1b" not in on_terminal(hostile)


def test_markdown_tables_are_even_and_let_no_tag_through(reference: Comparison, hostile: Comparison) -> None:
    for comparison in (reference, hostile):
        said = compare.render(comparison)
        tables = re.findall(r"(?:^\|.*\n)+", said, flags=re.M)
        assert len(tables) >= 4
        for table in tables:
            assert len({line.count("|") for line in table.splitlines()}) == 1
        assert "<" not in said and "\x1b" not in said and not re.search(r"(?<!\\)`", said)


# -- page --------------------------------------------------------------------------------------------------------------


def test_the_pictures_of_the_blog_stand_in_pairs_on_the_same_axes(reference: Comparison) -> None:
    pairs = pair_figures.of_pair(reference)
    assert [before.title for before, _ in pairs] == [
        *("Invocations and invocations per instance", "ModelLatency", "Errors", "Instances in service"),
    ]
    for before, after in pairs:
        assert (before.range, before.until, before.log) == (after.range, after.until, after.log)
        assert before.range is not None
        assert [curve.name for curve in before.curves] == [curve.name for curve in after.curves]


def test_every_value_and_limit_lies_within_its_axis(reference: Comparison) -> None:
    for both in pair_figures.of_pair(reference):
        for chart in both:
            assert chart.range is not None
            low, high = chart.range
            values = [y for curve in chart.curves for y in curve.y if y is not None]
            assert all(low <= y <= high for y in [*values, *(limit for limit, _ in chart.limits)])


def test_the_scaling_target_is_drawn_on_both_sides(reference: Comparison) -> None:
    for chart in pair_figures.of_pair(reference)[0]:
        assert chart.limits == [(25_000.0, "scaling target 25,000 per instance")]


def test_limits_at_the_same_height_are_one_line(reference: Comparison) -> None:
    for chart in pair_figures.of_pair(reference)[1]:
        assert chart.limits == [(15.0, "SLO latency_mean, model_latency_mean")]


def test_without_cloudwatch_the_pictures_are_of_what_we_measured(tmp_path: Path) -> None:
    run = played(tmp_path, FLAT)
    pairs = pair_figures.of_pair(Comparison.of(run, run))
    assert [(before.title, [curve.name for curve in before.curves]) for before, _ in pairs] == [
        ("Invocations", ["sent"]),
        ("Service time", ["service time mean"]),
    ]


def test_the_page_asks_nothing_of_the_network_and_has_room_for_every_chart(reference: Comparison) -> None:
    html = compare_page.render(reference)
    found = Page(html)
    assert "default-src 'none'" in html
    for tag, attributes in found.tags:
        assert tag not in ("link", "iframe", "object", "embed", "base")
        assert not {"src", "href", "srcset", "action"} & set(attributes)
    assert {a["id"] for _, a in found.tags if (a.get("id") or "").startswith("chart-")} == {
        f"chart-{i}" for i in range(8 + 3)
    }
    for part in ("Compressed 60 times", "Deleted the policy.", "AFTER: no request failed", "1 to 4 instances"):
        assert part in found.text


def test_the_page_has_no_element_and_no_script_from_outside(hostile: Comparison, reference: Comparison) -> None:
    html = compare_page.render(hostile)
    found, clean = Page(html), Page(compare_page.render(reference))
    assert found.elements <= clean.elements
    assert html.count("<script") == compare_page.render(reference).count("<script")
    assert not any(name.startswith("on") for _, attributes in found.tags for name in attributes)
    assert found.text.count("alert(1)") >= 8  # events, gaps, versions, what was put back: shown, as text
    names = [curve.name for both in pair_figures.of_pair(hostile) for chart in both for curve in chart.curves]
    assert any("&lt;" in name for name in names) and not any("<" in name for name in names)
