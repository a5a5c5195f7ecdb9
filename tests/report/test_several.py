"""Configurations in words: terminal, Markdown and page say the same, and let nothing in from outside."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sm_locust.analysis.capacity import Capacity
from sm_locust.analysis.compare import Comparison, Side
from sm_locust.analysis.several import Configuration, Near, Several, of_pair
from sm_locust.analysis.summary import Summary
from sm_locust.prices import Seen
from sm_locust.record.run import Run
from sm_locust.report import compare, compare_page, formats, pair, several
from sm_locust.schedule import Phase
from tests.analysis.folders import played
from tests.analysis.test_several import capacity, one
from tests.report.reading import EVIL, Page
from tests.report.test_compare import FILES

UNKNOWN = "–"
FLAT = (Phase("flat", 60, 5),)


@pytest.fixture
def three() -> Several:
    near = Near(0.0113, 0.0191)
    return Several.among(
        [
            one("20261124T010000Z-aaaaaa", capacity(453.0, 441.0, 467.0), 0.28, near=near),
            one("20261124T020000Z-bbbbbb", capacity(390.0, 371.0, 402.0), 0.119, type="ml.c5.large", near=near),
            one("20261124T030000Z-cccccc", capacity(812.0, 790.0, None, 2), None, type="ml.c5.xlarge", instances=2),
        ]
    )


def hostile() -> Several:
    """Every text that comes from outside is an attack."""
    return Several.among(
        [
            one(EVIL, replace(capacity(1.0, 0.9, 1.1), limited_by=EVIL), type=EVIL),
            replace(one(EVIL, Capacity("ramp", refused=EVIL), type=EVIL), run_id="2"),
            one("x", invalid=(EVIL,), type=EVIL, limits={"latency_p99": 1.0}, work={EVIL: 1}),
        ]
    )


def on_terminal(found: Several) -> str:
    stream = io.StringIO()
    compare.show_several(found, Path("runs/x"), stream)
    return stream.getvalue()


# -- words -------------------------------------------------------------------------------------------------------------


def test_the_headline_answers_for_the_load(three: Several) -> None:
    assert several.headline(three) == [
        "For 800 requests a second, 48,000 a minute (the busiest minute that these runs planned).",
        "Cheapest that keeps latency_mean ≤ 15 ms, error_rate ≤ 5%, among the 2 of 3 runs that can be compared: "
        "3 (2 to 3) × ml.c5.large, $0.357 ($0.238 to $0.357) an hour.",
    ]
    asked = Several.among(three.configurations[:2], 1000.0)
    assert several.headline(asked) == [
        "For 1,000 requests a second, 60,000 a minute (as asked).",
        "Cheapest that keeps latency_mean ≤ 15 ms, error_rate ≤ 5%: 3 × ml.c5.large, $0.357 an hour.",
    ]


@pytest.mark.parametrize(("rps", "text"), [(450.6, "450.6"), (99.4567, "99.5"), (1234.5, "1,234")])
def test_a_capacity_has_the_digits_that_it_has_in_the_report_of_its_run(rps: float, text: str) -> None:
    found = several.capacity(Capacity("ramp", rps, rps, None, instances=1), "the endpoint")
    assert found == f"{text} ({text} or more) for one instance"
    assert text == formats.rate(rps)


def test_intervals_that_overlap_are_told() -> None:
    runs = [one("a", limits={}), one("b", price=0.29, type="ml.c5.xlarge", limits={})]
    assert several.headline(Several.among(runs, 790.0))[1:] == [
        "Cheapest: 2 (2 to 3) × ml.m4.xlarge, $0.56 ($0.56 to $0.84) an hour.",
        "Too close to tell it from others, whose intervals overlap: 1 × ml.c5.xlarge $0.58 ($0.58 to $0.87).",
    ]


def test_without_a_load_the_cheapest_is_so_by_the_million() -> None:
    of: dict[str, Any] = {"busiest": None, "limits": {"latency_p99": 0.1}}
    runs = [one("a", **of), one("b", capacity(400.0, 380.0, None), 0.2, type="ml.c5.large", **of)]
    (said,) = several.headline(Several.among(runs))
    assert said == (
        "Cheapest that keeps latency_p99 ≤ 100 ms: 1 × ml.c5.large, $0.139 ($0.146 at most) a million requests at its "
        "capacity (no run has a schedule, and --rps names no load)."
    )
    assert len(several.costs(Several.among(runs)).header) == 5


def test_without_an_answer_it_says_so_and_why() -> None:
    found = Several.among([one("a", price=None), one("b", Capacity("ramp", refused="it changed."), type="ml.c5.large")])
    assert several.headline(found)[1] == "Which is the cheapest cannot be said: no run has all that it takes."
    assert several.doubts(found) == [
        "1 × ml.m4.xlarge has no known price: its configuration names none, and `sm-locust check` has not asked AWS "
        "for it.",
        "1 × ml.c5.large has no capacity: it changed.",
    ]


def test_nothing_is_said_of_instances_where_no_endpoint_was_called() -> None:
    whole = Capacity("ramp", 453.0, 441.0, 467.0, reached=True)
    found = Several.among([replace(one(name, whole, price=None), sagemaker=False) for name in ("a", "b")])
    text = compare.render_several(found)
    assert "## What each target sustains" in text
    assert several.capacities(found).header[2] == "a second"
    assert [row[0] for row in several.capacities(found).rows] == ["a", "b"]
    assert several.doubts(found)[0] == "a called no endpoint, of whose instances there would be a price."
    assert "instance" not in text.replace(several.doubts(found)[0], "").replace(several.doubts(found)[1], "")
    assert several.capacity(whole, "the target") == "453 (441 to 467) for the target"


def test_what_is_to_be_known_is_said_of_the_run_that_it_is_of() -> None:
    found = Several.among(
        [
            one("a", origin="config", work={"request.body": "1"}),
            one("b", origin="config", work={"request.body": "2"}, type="ml.c5.large", limits={"latency_p99": 0.1}),
        ]
    )
    other, told, price = several.doubts(found)
    assert other.startswith("1 × ml.c5.large was held to another SLO than the first run")
    assert told.startswith("1 × ml.c5.large was told otherwise than 1 × ml.m4.xlarge: request.body.")
    assert "one prices.instance_hour in their configurations: 1 × ml.m4.xlarge, 1 × ml.c5.large." in price
    assert [row[2] for row in several.facts(found).rows] == [
        "latency_mean ≤ 15 ms, error_rate ≤ 5%",
        "latency_p99 ≤ 100 ms",
    ]


def test_configurations_that_are_the_same_are_told_apart_by_their_run() -> None:
    found = Several.among([one("r1"), one("r2"), one("r3", instances=2), one("r4", type=None, instances=None)])
    assert list(several.labels(found).values()) == [
        "1 × ml.m4.xlarge (r1)",
        "1 × ml.m4.xlarge (r2)",
        "2 × ml.m4.xlarge",
        "unknown type",
    ]


def test_compressed_runs_are_warned_of() -> None:
    fast, slow = one("a", speed=60), one("b", type="ml.c5.large")
    assert several.banners(Several.among([slow])) == []
    (both,) = several.banners(Several.among([fast, one("c", speed=60)]))
    assert both.startswith("Compressed 60 times")
    (only,) = several.banners(Several.among([fast, slow]))
    assert only.startswith("1 × ml.m4.xlarge: Compressed 60 times")


# -- tables ------------------------------------------------------------------------------------------------------------


def test_the_tables_hold_what_one_sustains_and_what_it_costs(three: Several) -> None:
    assert several.capacities(three).rows == (
        ("1 × ml.m4.xlarge", "valid", "453", "441 to 467", "27,180", "latency_mean", "11.3 ms", "19.1 ms"),
        ("1 × ml.c5.large", "valid", "390", "371 to 402", "23,400", "latency_mean", "11.3 ms", "19.1 ms"),
        ("2 × ml.c5.xlarge", "valid", "812", "790 or more", "48,720", "not reached", UNKNOWN, UNKNOWN),
    )
    costs = several.costs(three)
    assert costs.header[-2:] == ("instances for 800", "an hour for 800")
    assert costs.rows == (
        ("1 × ml.m4.xlarge", "453", "$0.28", "$0.28", "$0.172", "−43%", "2", "$0.56"),
        ("1 × ml.c5.large", "390", "$0.119", "$0.119", "$0.0848", "−51%", "3 (2 to 3)", "$0.357"),
        ("2 × ml.c5.xlarge", "1,624", UNKNOWN, UNKNOWN, UNKNOWN, "+103%", "1 (1 to 2)", UNKNOWN),
    )
    assert "ml.m4.xlarge $0.28 (cache 2026-11-24), ml.c5.large $0.119 (cache 2026-11-24)." in costs.note
    assert "extrapolates" in costs.note


def test_rates_of_a_whole_endpoint_are_marked() -> None:
    table = several.capacities(
        Several.among([one("a", capacity(400.0, 380.0, 410.0, None)), one("b", Capacity("ramp", refused="no"))])
    )
    assert [row[0] for row in table.rows] == ["1 × ml.m4.xlarge (a)*", "1 × ml.m4.xlarge (b)"]
    assert table.note.endswith("* of the whole endpoint: nobody knows how many instances served.")
    assert table.rows[1][2:] == (UNKNOWN,) * 6


# -- the three ways to read it -----------------------------------------------------------------------------------------


def test_the_terminal_fits_a_hundred_columns_and_ends_with_the_folder(three: Several) -> None:
    said = on_terminal(three)
    assert max(map(len, said.splitlines())) <= 100
    assert said.splitlines()[-1] == "runs/x/  (compare.html, compare.md, compare.json)"
    order = ["For 800", "Cheapest", "has no known price", "limited", "million", "20261124T030000Z-cccccc"]
    places = [said.index(part) for part in order]
    assert places == sorted(places)


def test_markdown_and_page_say_what_the_terminal_says(three: Several) -> None:
    text, page = compare.render_several(three), Page(compare_page.render_several(three)).text
    for table in (several.capacities(three), several.costs(three), several.facts(three)):
        for row in table.rows:
            for cell in row:
                assert cell in page
                assert cell.replace("$", "&#36;") in text
    for sentence in (*several.headline(three), *several.doubts(three)):
        assert sentence in page


def test_nothing_from_outside_is_markup_anywhere() -> None:
    found = hostile()
    said, html = compare.render_several(found), compare_page.render_several(found)
    for table in re.findall(r"(?:^\|.*\n)+", said, flags=re.M):
        assert len({line.count("|") for line in table.splitlines()}) == 1
    assert "<" not in said and "\x1b" not in said and not re.search(r"(?<!\\)`", said)
    assert "\x1b" not in on_terminal(found) and "\x1b" not in html
    page = Page(html)
    assert "img" not in page.elements
    assert html.count("<script") == compare_page.render_several(Several.among([one("a")])).count("<script")
    assert page.text.count("alert(1)") >= 6
    assert json.loads(json.dumps(found.as_dict()))["configurations"][0]["name"] == EVIL


# -- two runs ----------------------------------------------------------------------------------------------------------


def with_capacities(runs: tuple[Run, Run], *found: Capacity) -> Comparison:
    before, after = (
        Side(replace(Summary.of(run), capacity=capacity)) for run, capacity in zip(runs, found, strict=True)
    )
    return Comparison(before, after, ())


@pytest.fixture
def two(tmp_path: Path) -> tuple[Run, Run]:
    runs = played(tmp_path, FLAT), played(tmp_path, FLAT)
    for run, type_ in zip(runs, ("ml.m4.xlarge", "ml.c5.large"), strict=True):
        run.finish(endpoint={"instance_type": type_, "instances": 1})
    return runs


def test_the_totals_hold_capacities_where_both_have_one(two: tuple[Run, Run]) -> None:
    first, second = capacity(453.0, 441.0, 467.0), capacity(812.0, 790.0, None, None)
    rows = {row[0]: row[1:] for row in pair.totals(with_capacities(two, first, second)).rows}
    assert rows["capacity, requests a second"] == (
        "453 (441 to 467) for one instance",
        "812 (790 or more) for the endpoint",
    )
    assert rows["what limits it"] == ("latency_mean", "not reached")
    refused = Capacity("ramp", refused="it changed")
    labels = [row[0] for row in pair.totals(with_capacities(two, first, refused)).rows]
    assert "what limits it" not in labels and "capacity, requests a second" not in labels


def test_two_configurations_stand_below_the_totals(two: tuple[Run, Run]) -> None:
    comparison = with_capacities(two, capacity(453.0, 441.0, 467.0), capacity(812.0, 790.0, None))
    found = of_pair(comparison)
    assert found is not None
    text, html = compare.render(comparison, found), compare_page.render(comparison, found)
    assert text.index("\n## Configurations") < text.index("\n## What ran")
    assert "1 × ml.c5.large" in text and "1 × ml.c5.large" in Page(html).text
    assert "Configurations" not in compare.render(comparison) + Page(compare_page.render(comparison)).text
    stream = io.StringIO()
    compare.show(comparison, Path("runs/x"), stream)
    assert "1 × ml.c5.large" in stream.getvalue()


# -- the command -------------------------------------------------------------------------------------------------------


def test_three_runs_are_written_as_configurations_beside_the_last(
    invoke: Any, two: tuple[Run, Run], tmp_path: Path
) -> None:
    third = played(tmp_path / "elsewhere", FLAT)
    folders = [run.folder for run in (*two, third)]
    done = invoke(*folders)
    assert done.exit_code == 0, done.output
    assert "1 × ml.m4.xlarge" in done.stdout
    assert f"| {third.folder.name} |" in (tmp_path / "elsewhere" / "compare.md").read_text()  # it called no endpoint
    assert sorted(path.name for path in (tmp_path / "elsewhere").glob("compare.*")) == FILES
    written = json.loads((tmp_path / "elsewhere" / "compare.json").read_text())
    assert [found["run_id"] for found in written["configurations"]] == [run.run_id for run in (*two, third)]
    assert list(written) == ["schema_version", "load", "configurations", "cheapest", "by_rate"]
    assert [set(step) for step in written["by_rate"]] == [
        {"from_rps", "to_rps", *(run.run_id for run in (*two, third))}
    ]
    assert written["load"] == {"rps": 5.0, "from": "busiest planned minute"}


def test_two_runs_are_what_they_were_and_configurations_besides(
    invoke: Any, two: tuple[Run, Run], tmp_path: Path
) -> None:
    done = invoke(*(run.folder for run in two), "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("\nBEFORE: no request failed.") and "1 × ml.c5.large" in done.stdout
    written = json.loads((tmp_path / "out" / "compare.json").read_text())
    assert {"before", "after", "minutes", "configurations", "cheapest"} <= set(written)


def test_two_runs_of_the_same_instances_are_a_before_and_an_after_unless_a_load_is_asked_about(
    invoke: Any, two: tuple[Run, Run], tmp_path: Path
) -> None:
    other = played(tmp_path, FLAT)
    other.finish(endpoint={"instance_type": "ml.m4.xlarge", "instances": 1})
    invoke(two[0].folder, other.folder, "--out", tmp_path / "out")
    written = (tmp_path / "out" / "compare.json").read_text()
    assert json.loads(written).items() >= Comparison.of(two[0], other).as_dict().items()
    assert "configurations" not in json.loads(written)
    done = invoke(two[0].folder, other.folder, "--out", tmp_path / "out", "--rps", "80")
    assert "For 80 requests a second, 4,800 a minute (as asked)." in done.stdout
    asked = json.loads((tmp_path / "out" / "compare.json").read_text())
    assert asked["load"] == {"rps": 80.0, "from": "asked"}
    assert {key: asked[key] for key in json.loads(written)} == json.loads(written)


@pytest.mark.parametrize("rps", ["0", "-1", "nan", "inf", "1e9"])
def test_a_load_that_is_none_is_refused(invoke: Any, two: tuple[Run, Run], rps: str) -> None:
    done = invoke(*(run.folder for run in two), "--rps", rps)
    assert done.exit_code == 2
    assert "is not accepted: requests a second, more than 0 and at most 1,000,000" in done.stderr


def test_a_run_given_twice_or_not_there_is_refused_and_nothing_is_written(
    invoke: Any, two: tuple[Run, Run], tmp_path: Path
) -> None:
    first, second = (run.folder for run in two)
    done = invoke(first, second, first, "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert done.stderr == f"sm-locust: {first.name}: is the same run as {first.name}; accepted: each run once\n"
    done = invoke(first, first, "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert done.stderr == f"sm-locust: {first}: is the same run as {first}; accepted: each run once\n"
    assert invoke(first, second, tmp_path / "no", "--out", tmp_path / "out").exit_code == 2
    assert invoke(first, "--out", tmp_path / "out").exit_code == 2
    assert not (tmp_path / "out").exists()


def test_a_configuration_is_told_by_what_was_seen_of_it(three: Several) -> None:
    bare = Configuration(name="a", run_id="a", capacity=Capacity("ramp", refused="no"), seen=Seen("ml.m4.xlarge", None))
    assert several.labels(Several.among([bare])) == {"a": "ml.m4.xlarge"}
