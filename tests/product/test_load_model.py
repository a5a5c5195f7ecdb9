"""docs/load-model.md says what was measured: its tables and figures are those of benchmarks/load_model.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import load_model

PAGE = (Path(__file__).parents[2] / "docs" / "load-model.md").read_text(encoding="utf-8")
WORDS = " ".join(PAGE.split())  # wherever a line ends
MEASURED: dict[str, Any] = json.loads(load_model.MEASURED.read_text(encoding="utf-8"))


@pytest.mark.parametrize("table", load_model.tables(MEASURED), ids=["the stall", "the queue"])
def test_the_tables_are_those_that_were_measured(table: list[str]) -> None:
    assert "\n".join(table) in PAGE


def test_so_are_the_figures_in_the_text() -> None:
    stalls = MEASURED["stalls"]
    assert f"report a p99 of {stalls['twenty']['reported']['p99']:.3g} ms" in WORDS
    assert f"in the picture to {max(stalls['arrivals']['in_flight'])}." in WORDS
    assert f"Measured on {MEASURED['day']}, {MEASURED['machine']}" in WORDS


def test_what_the_page_claims_of_the_stall_was_measured() -> None:
    planned = load_model.RATE * load_model.STALL_FOR
    during = {
        key: sum(found["came"][8:11]) for key, found in MEASURED["stalls"].items()
    }  # whole seconds of the stall, as in the table
    assert during["arrivals"] >= 0.99 * planned
    assert max(during["twenty"], during["each"]) < planned / 2
    reported = {key: found["reported"] for key, found in MEASURED["stalls"].items()}
    assert reported["twenty"]["p99"] < 100 < 1000 < reported["arrivals"]["p95"]


def test_the_pictures_show_the_same() -> None:
    page = load_model.page(MEASURED)
    figures = json.loads(page.split('id="figures">')[1].split("</script>")[0])
    ours = next(curve for curve in figures[0]["curves"] if curve["name"].startswith("sm_locust"))
    assert ours["y"] == MEASURED["stalls"]["arrivals"]["came"]
