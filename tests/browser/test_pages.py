"""Report, comparison and answer in a browser: drawn, in step with the JSON beside them, and whole on any screen."""

from __future__ import annotations

import io
import re
import unicodedata
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page
from pypdf import PdfReader

from sm_locust.analysis.summary import Summary
from sm_locust.report.page import render
from sm_locust.schedule import Phase
from tests.analysis.folders import played
from tests.browser.browsing import DESKTOP, LOOKS, PHONE, Look, cut, figures, opened, scrolls_sideways, text
from tests.browser.pages import AFTER_REPORT, COMPARE, NAMES, REPORT, SEVERAL, WHATIF, Pages

SCREENS = [name for name in NAMES if name != AFTER_REPORT]


@pytest.mark.parametrize("look", LOOKS, ids=str)
@pytest.mark.parametrize("name", SCREENS)
def test_it_is_drawn_whole_on_any_screen(browser: Browser, pages: Pages, name: str, look: Look) -> None:
    with opened(browser, pages.url(name), look) as page:
        drawn = figures(page)
        assert len(drawn) == page.evaluate("JSON.parse(document.getElementById('figures').textContent).length")
        assert drawn or name == SEVERAL
        for figure in drawn:
            assert figure["width"] > 0.7 * min(look.width, 430) and figure["height"] > 100, figure["id"]
            assert figure["data"] and figure["seen"], f"nothing is drawn in {figure['id']}"
        text(page)  # the folded tables too
        assert not scrolls_sideways(page)
        assert cut(page) == []


def test_it_is_dark_in_the_dark_and_turns_with_the_system(browser: Browser, pages: Pages) -> None:
    with opened(browser, pages.url(REPORT), DESKTOP) as page:
        seen = [_brightness(page)]
        for scheme in ("dark", "light"):
            page.emulate_media(color_scheme=scheme)
            page.wait_for_timeout(200)
            seen.append(_brightness(page))
    light, dark, again = seen
    assert min(light["page"], light["card"]) > 200 and light["text"] < 120
    assert max(dark["page"], dark["card"]) < 60 and dark["text"] > 120
    assert again == light


def _brightness(page: Page) -> dict[str, float]:
    """From 0 to 255, of the page, of what lies on it, and of the labels in its figures."""
    found: dict[str, str] = page.evaluate("""() => ({
      page: getComputedStyle(document.body).backgroundColor,
      card: getComputedStyle(document.querySelector("section")).backgroundColor,
      text: getComputedStyle(document.querySelector(".chart svg text")).fill,
    })""")
    return {name: sum(map(int, re.findall(r"\d+", colour)[:3])) / 3 for name, colour in found.items()}


@pytest.mark.parametrize("look", [DESKTOP, PHONE], ids=str)
def test_no_label_of_a_limit_lies_on_another(browser: Browser, tmp_path: Path, look: Look) -> None:
    config = {"slo": {"latency_p90": "60ms", "latency_p95": "75ms", "latency_p99": "80ms", "service_time_p99": "100ms"}}
    run = played(tmp_path, (Phase("flat", 20, 20),), config=config)
    path = tmp_path / "report.html"
    path.write_text(render(Summary.of(run)), encoding="utf-8")
    with opened(browser, path.as_uri(), look) as page:
        boxes = page.evaluate(
            """() => [...document.querySelectorAll(".annotation text")]
              .filter((node) => node.textContent.startsWith("SLO "))
              .map((node) => { const { left, right, top, bottom } = node.getBoundingClientRect();
                               return [left, right, top, bottom]; })"""
        )
    assert len(boxes) == 4
    for one, other in combinations(boxes, 2):
        beside = one[1] <= other[0] or other[1] <= one[0]
        assert beside or one[3] <= other[2] or other[3] <= one[2], boxes


# -- numbers -----------------------------------------------------------------------------------------------------------


def agrees(shown: str, value: float) -> bool:
    """Whether a text begins with `value`, rounded to the digits that it shows."""
    found = re.match(r"[<>≤≥≈$ ]*(−|-)?([\d,]+(?:\.(\d+))?)", shown)
    assert found, f"no number in {shown!r}"
    number = float(found[2].replace(",", "")) * (-1 if found[1] else 1)
    return bool(abs(number - value) <= 0.5000001 * 10.0 ** -len(found[3] or ""))


def beside(page: Page, label: str) -> str:
    """The number that stands with a label, in a list of tiles or in a table of two columns."""
    found = page.evaluate(
        """(label) => {
          const labels = [...document.querySelectorAll("dt"), ...document.querySelectorAll("tr > :first-child")];
          const found = labels.find((node) => node.textContent.trim() === label && node.nextElementSibling);
          return found ? found.nextElementSibling.textContent : null;
        }""",
        label,
    )
    assert isinstance(found, str), f"nothing is called {label!r}"
    return found


@pytest.mark.parametrize("name", [REPORT, AFTER_REPORT])
def test_the_numbers_of_a_report_are_those_of_summary_json(browser: Browser, pages: Pages, name: str) -> None:
    told = pages.json(name)
    expected = {
        "sent": told["arrivals"]["sent"],
        "delivered": told["arrivals"]["delivered_ratio"] * 100,
        "failed": told["requests"]["failed"],
        "latency p99": told["latency_ms"]["p99"],
        "service time p99": told["service_time_ms"]["p99"],
        "lateness p99": told["lateness_ms"]["p99"],
    }
    with opened(browser, pages.url(name)) as page:
        for label, value in expected.items():
            shown = beside(page, label)
            assert agrees(shown, value), f"{label}: the page says {shown}, summary.json {value}"
        said = text(page)
    for known in (told["capacity"]["max_rps"], told["recommendation"]["target"]):
        assert known is None or re.search(rf"(?<![\d.]){known:,.0f}(?![\d.]\d)", said), known
    assert told["run_id"] in said
    assert ("NOT VALID" in said) is not told["verdict"]["valid"]
    assert ("SLO PASSED" in said, "SLO FAILED" in said) == (told["slo"]["passed"], not told["slo"]["passed"])


@pytest.mark.parametrize("name", [REPORT, AFTER_REPORT])
def test_the_curves_of_a_report_hold_what_summary_json_counts(browser: Browser, pages: Pages, name: str) -> None:
    told = pages.json(name)
    with opened(browser, pages.url(name)) as page:
        drawn = figures(page)
    # A rate a minute over each schedule minute, which lasts 1 / speed of a real one.
    counted = {curve["name"]: _total(curve) / told["speed"] for figure in drawn for curve in figure["data"]}
    assert counted["planned"] == pytest.approx(told["arrivals"]["planned"])
    assert counted["delivered" if "delivered" in counted else "sent"] == pytest.approx(told["arrivals"]["sent"])
    assert {kind: counted[kind] for kind in told["requests"]["by_kind"]} == pytest.approx(told["requests"]["by_kind"])
    highest = max(y for y in _curve(drawn, "latency p99")["y"] if y is not None)
    assert told["latency_ms"]["p99"] * 0.99 <= highest <= told["latency_ms"]["max"] * 1.01


def _curve(drawn: list[dict[str, Any]], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(curve for figure in drawn for curve in figure["data"] if curve["name"] == name)
    return found


def _total(curve: dict[str, Any]) -> float:
    return sum(y for y in curve["y"] if isinstance(y, int | float))


def test_the_numbers_of_a_comparison_are_those_of_compare_json(browser: Browser, pages: Pages) -> None:
    told = pages.json(COMPARE)
    with opened(browser, pages.url(COMPARE)) as page:
        sides = _sides(page)
        said = text(page)
    for label, before, after in (
        ("sent", *(told[side]["sent"] for side in ("before", "after"))),
        ("failed", *(told[side]["failed"] for side in ("before", "after"))),
        ("latency p99", *(told[side]["latency_ms"]["p99"] for side in ("before", "after"))),
    ):
        cells = sides[label]
        assert agrees(cells[0], before) and agrees(cells[1], after), f"{cells}: compare.json has {before} and {after}"
    assert all(sentence in said for sentence in told["restored"])


def test_the_curves_of_a_comparison_are_its_minutes(browser: Browser, pages: Pages) -> None:
    minutes = pages.json(COMPARE)["minutes"]
    with opened(browser, pages.url(COMPARE)) as page:
        drawn = [curve["y"] for figure in figures(page) for curve in figure["data"]]
    for side in ("before", "after"):
        failed = [minute[side]["failed_per_minute"] for minute in minutes]
        latency = [minute[side]["model_latency_mean_ms"] for minute in minutes]
        assert any(y == pytest.approx(latency, rel=1e-3) for y in drawn if len(y) == len(latency)), f"latency, {side}"
        assert not any(failed) or any(sum(filter(None, y)) == pytest.approx(sum(failed)) for y in drawn), side


def _sides(page: Page) -> dict[str, list[str]]:
    """Of each row its label, and what stands in the columns BEFORE and AFTER."""
    found: dict[str, list[str]] = page.evaluate("""() => {
      const found = {}, words = (row) => [...row.cells].map((cell) => cell.textContent.trim());
      for (const table of document.querySelectorAll("table")) {
        const [header, ...rows] = [...table.rows].map(words);
        const places = ["BEFORE", "AFTER"].map((side) => header.indexOf(side));
        if (Math.min(...places) > 0) for (const row of rows) found[row[0]] = places.map((place) => row[place]);
      }
      return found;
    }""")
    return found


def _rows(page: Page) -> list[list[str]]:
    found: list[list[str]] = page.evaluate(
        "[...document.querySelectorAll('tr')].map((row) => [...row.cells].map((cell) => cell.textContent.trim()))"
    )
    return found


def test_the_numbers_of_configurations_are_those_of_compare_json(browser: Browser, pages: Pages) -> None:
    told = pages.json(SEVERAL)
    with opened(browser, pages.url(SEVERAL)) as page:
        rows, said = _rows(page), text(page)
    for one in told["configurations"]:
        cells = next(cells for cells in rows if one["instance_type"] in " ".join(cells))
        assert any(agrees(cell, one["capacity"]["max_rps"]) for cell in cells if cell[:1].isdigit()), cells
    assert told["cheapest"]["instance_type"] in said


def test_the_curves_of_a_prediction_are_its_minutes(browser: Browser, pages: Pages) -> None:
    minutes = pages.json(WHATIF)["asked"]["minutes"]
    with opened(browser, pages.url(WHATIF)) as page:
        drawn = [curve["y"] for figure in figures(page) for curve in figure["data"]]
    assert [minute["instances"] for minute in minutes] in drawn


# -- hands and paper ---------------------------------------------------------------------------------------------------


def test_hover_names_what_is_under_the_pointer(browser: Browser, pages: Pages) -> None:
    with opened(browser, pages.url(REPORT)) as page:
        figure = page.locator(".chart").first
        figure.scroll_into_view_if_needed()
        box = figure.bounding_box()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.wait_for_selector(".chart .hoverlayer text")
        said = page.locator(".chart .hoverlayer").first.text_content()
    assert re.search("planned.*(sent|delivered)", said)


@pytest.mark.parametrize("look", [DESKTOP, PHONE], ids=str)
@pytest.mark.parametrize("name", SCREENS)
def test_nothing_of_it_is_cut_on_paper(browser: Browser, pages: Pages, name: str, look: Look) -> None:
    with opened(browser, pages.url(name), look) as page:
        figures(page)
        ends = page.evaluate(
            """[...document.querySelectorAll("tr")].filter((row) => !row.closest("details") && row.cells.length > 2)
              .map((row) => row.cells[row.cells.length - 1].textContent.trim()).filter((cell) => cell.length > 3)"""
        )
        titles = page.evaluate("[...document.querySelectorAll('h1, h2')].map((title) => title.textContent.trim())")
        title, title_px = page.evaluate(
            """(() => { const last = [...document.querySelectorAll("h2")].pop();
              return [last.textContent, parseFloat(getComputedStyle(last).fontSize)]; })()"""
        )
        printed = PdfReader(io.BytesIO(page.pdf(format="A4", print_background=True)))
    said = _squeezed("".join(sheet.extract_text() for sheet in printed.pages))
    for each in {*titles, *ends}:
        assert _squeezed(each) in said, f"{each!r} is not on the paper"
    for number, sheet in enumerate(printed.pages, 1):
        assert _beyond(sheet) == [], f"cut at the side of page {number}"
    # What is wider than the paper has Chromium print everything smaller.
    assert _size(printed, title) == pytest.approx(title_px * 0.75, rel=0.02), "too wide for the paper"


def _beyond(sheet: Any) -> list[str]:
    """Texts that begin outside the sheet."""
    width, found = float(sheet.mediabox.width), []

    def visit(text: str, matrix: list[float], place: list[float], *_: Any) -> None:
        x = place[4] * matrix[0] + place[5] * matrix[2] + matrix[4]
        if text.strip() and not -1 <= x <= width - 5:
            found.append(f"{text.strip()} at {x:.0f} of {width:.0f}")

    sheet.extract_text(visitor_text=visit)
    return found


def _size(printed: PdfReader, of: str) -> float:
    """Height of its letters, in points."""
    found: list[float] = []

    def visit(text: str, matrix: list[float], place: list[float], _: Any, size: float) -> None:
        if _squeezed(text) == _squeezed(of):
            found.append(abs(size * place[3] * matrix[3]))

    for sheet in printed.pages:
        sheet.extract_text(visitor_text=visit)
    return found[-1]


def _squeezed(text: str) -> str:
    """Without spaces and ligatures, which are not where they were."""
    return re.sub(r"\s", "", unicodedata.normalize("NFKC", text))
