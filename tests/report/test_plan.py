"""A plan as it is read on a terminal: what it says, that it fits, and that nothing in it is taken for markup."""

from __future__ import annotations

import datetime
import io
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from sm_locust.analysis.cost import UNITS
from sm_locust.analysis.plan import Plan
from sm_locust.config import RunConfig, load
from sm_locust.payloads import Payload
from sm_locust.prices import Price, Prices, Seen
from sm_locust.report.chart import ROWS, chart
from sm_locust.report.formats import price
from sm_locust.report.plan import show, size

CONFIGS = Path(__file__).parents[2] / "configs"
TODAY = datetime.date(2026, 11, 24)
SOME = Prices(
    {"instance_hour": Price(0.25, TODAY, "cache"), "get_metric_data_thousand": Price(0.0125, TODAY, "config")},
    Seen("ml.m4.xlarge", 1),
)


def plan_of(config: RunConfig, prices: Prices | None = None, speed: int = 1) -> Plan:
    bodies = (Payload(b"5,3.5,1.3,0.3", "text/csv"),)
    return Plan.of(config, bodies, prices or Prices(), today=TODAY, speed=speed)


def shown(plan: Plan) -> str:
    text = io.StringIO()
    show(plan, text)
    return text.getvalue()


def config(phases: list[dict[str, Any]], **sections: Any) -> RunConfig:
    return RunConfig.from_dict({"target": {"endpoint": "e", "region": "us-east-1"}, "phases": phases, **sections})


def test_each_price_stands_with_where_and_when_it_comes_from() -> None:
    lines = shown(plan_of(load(CONFIGS / "decision_trees.yaml"), SOME)).splitlines()
    rows = [line.split() for line in lines]
    assert ["ml.m4.xlarge", "2", "to", "8", "hours", "$0.25", "cache", "2026-11-24", "$0.50", "to", "2.00"] in rows
    assert ["data", "in", "0.0515", "GB", "–", "unknown", "–"] in rows
    assert ["CloudWatch,", "about", "2.3", "thousand", "$0.0125", "config", "2026-11-24", "$0.03"] in rows
    assert ["run,", "at", "least", "$0.53", "to", "2.03"] in rows


def test_what_scenarios_need_of_the_environment_is_named() -> None:
    step = {"method": "get", "url": "http://127.0.0.1:9/{{ $env.SHOP }}", "headers": {"a": "{{ $env.KEY }}"}}
    phases = [{"name": "a", "duration": 1, "arrival_rate": 1}]
    plan = plan_of(RunConfig.from_dict({"phases": phases, "scenarios": [{"name": "a", "steps": [step]}]}))
    assert "needs      the environment variables KEY, SHOP in each process that sends\n" in shown(plan)
    assert plan.as_dict()["environment"] == ["KEY", "SHOP"]


def test_small_numbers_are_written_as_a_person_would() -> None:
    a_second = [{"name": "a", "duration": 15, "arrival_rate": 2}]
    api = {"endpoint": "e", "region": "us-east-1", "api_gateway": "https://a.example.com/x", "auth": "none"}
    prices = Prices({key: Price(0.01, TODAY, "cache") for key in UNITS}, Seen("ml.m4.xlarge", 1))
    said = shown(plan_of(RunConfig.from_dict({"target": api, "phases": a_second}), prices))
    rows = [line.split() for line in said.splitlines()]
    assert ["data", "in", "390", "bytes", "$0.01", "a", "GB", "cache", "2026-11-24", "<$0.0001"] in rows
    assert ["CloudWatch,", "about", "867", "metrics", "$0.01", "a", "thousand", "cache", "2026-11-24", "$0.009"] in rows
    assert ["Lambda", "calls", "30", "calls", "$0.01", "a", "million", "cache", "2026-11-24", "<$0.0001"] in rows
    assert "answers of 2,500 s at the peak fill its 5,000 in flight" in said
    assert max(cell_len(line) for line in said.splitlines()) <= 80
    assert "in flight" not in shown(plan_of(config([{"name": "a", "duration": 15, "arrival_rate": 1}])))


@pytest.mark.parametrize("name", ["decision_trees", "local", "soak", "spike", "steps"])
@pytest.mark.parametrize("prices", [Prices(), SOME], ids=["no prices", "prices"])
def test_every_starter_fits_80_columns(name: str, prices: Prices) -> None:
    text = shown(plan_of(load(CONFIGS / f"{name}.yaml"), prices))
    assert max(cell_len(line) for line in text.splitlines()) <= 80
    assert "\x1b" not in text


def test_what_goes_to_this_machine_costs_nothing_and_says_so() -> None:
    text = shown(plan_of(load(CONFIGS / "local.yaml"), speed=60))
    assert "All of it stays on this machine: nothing is billed." in text
    assert "66,000 arrivals in 2h" in text
    assert "Compressed 60 times: it takes 2m" in text
    assert "$" not in text


def test_names_are_text_and_nothing_else() -> None:
    text = shown(plan_of(config([{"name": "[red]x\x1b[31m\n", "duration": 60, "arrival_rate": 5}])))
    assert "[red]x�[31m" in text
    assert "\x1b" not in text


def test_a_plan_that_sends_nothing_is_shown() -> None:
    assert shown(plan_of(config([{"name": "idle", "duration": 60, "arrival_rate": 0}]))).startswith("0 arrivals in 1m")


# The chart


def heights(lines: list[str]) -> list[int]:
    """Rows that the area fills in each column, by its full blocks."""
    rows = [line[6:].ljust(200) for line in lines[1 : 1 + ROWS]]
    return [sum(row[i] == "█" for row in rows) for i in range(60)]


def test_a_ramp_rises_and_a_step_stands() -> None:
    ramp = chart(plan_of(config([{"name": "up", "duration": 600, "arrival_rate": 0, "ramp_to": 100}])), 80)
    assert heights(ramp) == sorted(heights(ramp))
    assert ramp[1].startswith("100 ┤")
    flat = chart(plan_of(config([{"name": "flat", "duration": 600, "arrival_rate": 100}])), 80)
    assert set(heights(flat)) == {ROWS}


@pytest.mark.parametrize("width", [10, 40, 80, 120, 500])
@pytest.mark.parametrize("name", ["decision_trees", "spike", "steps", "soak"])
def test_a_chart_is_as_wide_as_there_is_room(name: str, width: int) -> None:
    lines = chart(plan_of(load(CONFIGS / f"{name}.yaml")), width)
    assert len(lines) == ROWS + 4
    assert max(map(len, lines)) <= max(width, 30)
    assert not any(line.endswith(" ") for line in lines)


def test_the_target_is_a_line_in_the_row_where_the_area_reaches_it() -> None:
    lines = chart(plan_of(load(CONFIGS / "decision_trees.yaml")), 80)
    (line,) = [line for line in lines if "╌" in line]
    assert line.startswith("417 ┤")
    crossed = 5 + line.count("╌")  # the area begins to rise into that row a little before it is crossed
    assert crossed == pytest.approx(5 + 74 * 32.5 / 120, abs=3)


def test_many_phases_are_named_as_far_as_there_is_room() -> None:
    phases = [{"name": f"the phase of number {i}", "duration": 60, "arrival_rate": i} for i in range(1, 31)]
    lines = chart(plan_of(config(phases)), 80)
    assert max(map(len, lines)) <= 80
    assert lines[-2].endswith("0:30:00")


# Numbers


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 bytes"), (13, "13 bytes"), (999, "999 bytes"), (51_480_000, "51.5 MB"), (2.5e13, "25.0 TB")],
)
def test_sizes_are_in_powers_of_a_thousand(count: float, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(
    ("usd", "text"), [(0.28, "$0.28"), (3, "$3.00"), (0.0000166667, "$0.0000167"), (0, "$0.00"), (0.115, "$0.115")]
)
def test_a_price_keeps_the_digits_that_matter(usd: float, text: str) -> None:
    assert price(usd) == text
