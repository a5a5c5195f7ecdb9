"""The answer as it is read: on a terminal, as a page and by the command; what it doubts, and what is refused."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from rich.cells import cell_len
from rich.console import Console

from sm_locust.analysis.curve import Curve
from sm_locust.analysis.replay import Policy, predict
from sm_locust.analysis.summary import Summary
from sm_locust.analysis.whatif import Asked, WhatIf
from sm_locust.cli import main
from sm_locust.record.run import Run
from sm_locust.report import whatif
from sm_locust.report.text import print_table
from sm_locust.schedule import Phase
from tests.analysis.folders import played
from tests.analysis.virtual import virtual_run

RAMP = (Phase("ramp", 7200, 20, ramp_to=140),)  # 4 workers of 40 ms answer 100 a second, 6,000 a minute
CONFIG: dict[str, Any] = {
    "target": {"endpoint": "e"},
    "slo": {"latency_mean": "60ms"},
    "scaling": {
        "min_instances": 1,
        "max_instances": 3,
        "metric": "SageMakerVariantInvocationsPerInstance",
        "target": 5000,
    },
    "prices": {"instance_hour": 0.5, "as_of": "2026-01-01"},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("run")
    return virtual_run(folder, RAMP, config=CONFIG, service_time=0.04, backlog=20)


@pytest.fixture(scope="module")
def found(run: Run) -> WhatIf:
    return WhatIf.of(Summary.of(run), Asked())


def shown(found: WhatIf) -> str:
    text = io.StringIO()
    whatif.show(found, text)
    return text.getvalue()


def words(text: str) -> str:
    return " ".join(text.split())


def command(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["whatif", *map(str, arguments)])


class TestText:
    def test_it_begins_with_what_would_become_of_it(self, found: WhatIf) -> None:
        text = words(shown(found))
        assert text.startswith("With 5,000 a minute for each of 1 to 3 instances: worst minute mean ")
        assert f"no request fails, more instances serve from minute {found.asked.first_scale_out}." in text
        assert "the load that the run had planned" in text
        assert "An instance serves 240 s after it is wanted (taken for granted" in text

    def test_every_target_has_a_row_and_the_asked_one_is_marked(self, found: WhatIf) -> None:
        table = whatif.targets(found)
        assert len(table.rows) == 8
        assert [row[0].endswith("←") for row in table.rows].count(True) == 1
        asked = next(row for row in table.rows if row[0].endswith("←"))
        assert asked[2].replace("\N{NO-BREAK SPACE}", " ") == f"1 → {found.asked.peak}"
        assert asked[4] == f"${found.asked.instance_hours * 0.5:,.2f}"
        assert all(len(row) == len(table.header) for row in table.rows)

    def test_minutes_are_thinned_and_keep_those_in_which_instances_change(self, found: WhatIf) -> None:
        rows = whatif.minutes(found).rows
        assert len(rows) <= 30
        numbers = [int(row[0].rstrip("*")) for row in rows]
        assert {0, 119, found.asked.first_desired, found.asked.first_scale_out} <= set(numbers)
        assert numbers == sorted(set(numbers))
        assert len(whatif.minutes(found, at_most=None).rows) == 120
        assert any(row[3] == "1 of 2" for row in rows)

    def test_the_picture_shows_the_highest_minute_and_fits(self, found: WhatIf) -> None:
        for width in (40, 80, 200):
            lines = whatif.picture(found, width)
            assert max(map(cell_len, lines)) <= width
            assert lines[1].lstrip().startswith(f"{(found.asked.worst_mean or 0) * 1e3:,.3g} ┤")
            assert "█" in lines[1] or "▇" in lines[1]
        assert lines[-1].endswith("120")

    def test_the_targets_fit_a_terminal(self, found: WhatIf) -> None:
        text = io.StringIO()
        print_table(Console(file=text, width=80), whatif.targets(found))
        assert any(line.startswith("5,000\N{NO-BREAK SPACE}←") and "$" in line for line in text.getvalue().splitlines())

    def test_it_fits_a_log(self, found: WhatIf) -> None:
        text = shown(found)
        assert max(cell_len(line) for line in text.splitlines()) <= 110
        assert "\x1b" not in text

    def test_without_a_price_or_an_slo_it_says_so_with_a_dash(self, found: WhatIf) -> None:
        rows = whatif.targets(replace(found, price=None, limit=None)).rows
        assert {(row[4], row[6]) for row in rows} == {("–", "–")}


class TestDoubts:
    def test_where_it_extrapolates(self, run: Run) -> None:
        other = WhatIf.of(Summary.of(run), Asked(target=700))
        assert "Extrapolated in" in words(shown(other))
        assert any(row[0].endswith("*") for row in whatif.minutes(other).rows)

    def test_that_a_compressed_replay_is_not_reality(self, run: Run, found: WhatIf) -> None:
        assert "--speed 1 asks for reality" in words(shown(found))
        assert "--speed 1" not in shown(WhatIf.of(Summary.of(run), Asked(speed=1)))

    def test_that_nothing_was_refused_or_fell_behind(self, found: WhatIf) -> None:
        unsaturated: Curve = replace(found.curve, ceiling=None, full=None)
        text = words(shown(replace(found, curve=unsaturated)))
        assert "taken to stay level" in text
        assert "no error is predicted" in words(shown(replace(found, curve=replace(found.curve, full=None))))

    def test_that_nobody_knows_what_fails_beyond_a_run_in_which_nothing_did(self, found: WhatIf) -> None:
        # One instance for twice what was measured: nothing is predicted to fail, which is no news of it.
        known = replace(found.curve, ceiling=None, full=None, highest=1.0)
        asked = predict(known, [100.0] * 60, Policy(1e9, 1, 1))
        assert "no request fails" in whatif.headline(replace(found, asked=asked))
        text = whatif.headline(replace(found, curve=known, asked=asked))
        assert "how many fail is not known" in text
        assert "no request fails" not in text

    def test_that_somebody_else_sent_too(self, found: WhatIf) -> None:
        watched = found.summary.watched
        assert watched is not None
        more = replace(watched, periods=tuple(replace(period, foreign=1000.0) for period in watched.periods))
        other = replace(found, summary=replace(found.summary, watched=more))
        assert "Somebody else sent to the endpoint too" in words(shown(other))

    def test_that_some_always_fail_and_instances_are_a_guess(self, found: WhatIf) -> None:
        text = words(shown(replace(found, curve=replace(found.curve, failing=0.03, assumed=True))))
        assert "3.00% of the requests failed where no queue was seen" in text
        assert "one instance was taken for granted (--instances)" in text

    def test_a_run_that_shows_all_of_it_has_none_of_these(self, run: Run) -> None:
        assert whatif.doubts(WhatIf.of(Summary.of(run), Asked(speed=1))) == []


class TestPage:
    def test_it_has_the_pictures_of_the_policy_and_of_the_targets(self, found: WhatIf) -> None:
        page = whatif.render(found)
        charts = json.loads(re.search(r'id="figures">(.*?)</script>', page, re.DOTALL)[1])  # type: ignore[index]
        assert [chart["title"] for chart in charts] == [
            "Mean latency",
            "Instances in service",
            "Failed",
            "Worst minute by target",
            "Instance-hours by target",
        ]
        assert len(charts[0]["curves"][0]["y"]) == 120
        assert charts[3]["curves"][0]["x"] == [each.policy.target for each in found.targets]
        assert charts[3]["along"].startswith("target")
        assert charts[0]["along"] == "schedule minute"

    def test_no_line_ends_inside_the_name_of_an_option(self, found: WhatIf) -> None:
        assert '<span class="option">--speed</span> 1 asks for reality.' in whatif.render(found)

    def test_nothing_of_a_run_becomes_markup(self, found: WhatIf) -> None:
        evil = "</script><script>alert(1)</script>\x1b[31m"
        summary = replace(found.summary, meta={**found.summary.meta, "run_id": evil})
        hostile = replace(found, summary=summary)
        assert "<script>alert" not in whatif.render(hostile)
        assert "\x1b" not in shown(hostile)


class TestCommand:
    def test_it_answers_and_writes_a_page(self, run: Run, tmp_path: Path) -> None:
        page = tmp_path / "answer.html"
        done = command(run.folder, "--target", "4000", "--min", "1", "--max", "2", "--provision", "4m", "--html", page)
        assert done.exit_code == 0
        assert "With 4,000 a minute for each of 1 to 2 instances" in done.output
        assert page.read_text(encoding="utf-8").startswith("<!doctype html>")

    def test_json_owns_stdout(self, run: Run) -> None:
        done = command(run.folder, "--json", "--speed", "1")
        answer = json.loads(done.stdout)
        assert (answer["speed"], answer["run_speed"], answer["asked"]["policy"]["target"]) == (1, 60, 5000)

    def test_another_load(self, run: Run, tmp_path: Path) -> None:
        config = tmp_path / "other.yaml"
        config.write_text("phases: [{name: p, duration: 10m, arrival_rate: 80}]\n")
        answer = json.loads(command(run.folder, "--config", config, "--json").stdout)
        assert (answer["load"], len(answer["asked"]["minutes"])) == ("the phases of --config", 10)

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (("--provision", "soon"), "--provision 'soon' is not accepted: a time up to 2h, such as 240s or 4m"),
            (("--provision", "3h"), "--provision '3h' is not accepted"),
            (("--target", "0"), "--target 0.0 is not accepted: invocations a minute for one instance, more than 0"),
            (("--target", "nan"), "--target nan is not accepted"),
            (("--min", "5"), "--max 3: not accepted with --min 5"),
            (("--config", "none.yaml"), "none.yaml: cannot be read"),
            (("--html", "none/page.html"), "none/page.html: the page cannot be written: No such file"),
        ],
    )
    def test_what_is_wrong_is_said_in_one_sentence(self, run: Run, arguments: tuple[str, ...], says: str) -> None:
        done = command(run.folder, *arguments)
        assert done.exit_code == 2
        assert says in done.stderr
        assert done.stderr.count("\n") == 1

    def test_no_run_and_a_run_without_scaling(self, tmp_path: Path) -> None:
        assert "not a run folder" in command(tmp_path).stderr
        bare = played(tmp_path, (Phase("p", 10, 10),))
        done = command(bare.folder)
        assert (done.exit_code, "--target, --min, --max: missing" in done.stderr) == (2, True)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="has no /dev/full")
@pytest.mark.parametrize("more", [[], ["--json"]])
def test_a_full_disk_is_a_sentence(run: Run, more: list[str]) -> None:
    arguments = [sys.executable, "-m", "sm_locust.cli", "whatif", str(run.folder), *more]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(arguments, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "sm-locust: not all of it could be written: No space left on device\n")
