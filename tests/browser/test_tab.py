"""The tab "SageMaker" of Locust's web UI while a run goes on, and after it."""

from __future__ import annotations

import io
import urllib.parse
import zipfile
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.axe import serious
from tests.browser.browsing import DESKTOP, PHONE, cut, opened, scrolls_sideways
from tests.browser.pages import mark
from tests.browser.playing import WebUI, ended, start, web_ui
from tests.browser.test_pages import agrees
from tests.runs.harness import summary, wait_for

OURS = "sm-locust/"  # under Locust's own page


def tile(page: Any, name: str) -> str:
    return str(page.locator(f"#tile-{name}").text_content())


def number(page: Any, name: str) -> float:
    shown = tile(page, name).replace(",", "")
    return float(shown) if shown.replace(".", "").isdigit() else 0.0


@pytest.mark.parametrize(
    ("base", "arguments"),
    [("", ()), ("/load/test", ("--web-login", "--processes", "2"))],
    ids=["at the root", "under a path, behind a login, sent by workers"],
)
def test_it_shows_the_run_and_ends_with_what_summary_json_says(
    browser: Browser, tmp_path: Path, base: str, arguments: tuple[str, ...]
) -> None:
    with web_ui(tmp_path, *arguments, base=base) as ui, opened(browser, ui.url, served=True) as page:
        if arguments:
            page.request.post(urllib.parse.urljoin(ui.url, "/let-me-in"))
            page.goto(ui.url)
            wait_for("workers", lambda: len(page.request.get(f"{ui.url}stats/requests").json()["workers"]) == 2)
        start(page, str(ui.config))
        page.get_by_role("tab", name="SageMaker").click(timeout=20_000)
        tab = page.frame_locator("iframe[title=SageMaker]")
        tab.locator("#tile-sent").wait_for(timeout=10_000)
        rates: list[float] = []
        while len(rates) < 100:
            rate = number(tab, "sent")  # first: once the load is over it is how many were sent in all
            if "left" not in tab.locator("#status").inner_text():
                break
            rates.append(rate)
            page.wait_for_timeout(100)
        assert 20 <= max(rates) <= 66, "the rate of the load was never shown"
        folder = ended(ui, page)
        tab.locator("#status", has_text="The load ended").wait_for(timeout=20_000)  # though Locust polls no more
        told = summary(folder)
        for name, value in {
            "planned": told["arrivals"]["planned"],
            "sent": told["arrivals"]["sent"],
            "failed": told["requests"]["failed"],
            "p50": told["latency_ms"]["p50"],
            "p99": told["latency_ms"]["p99"],
            "lateness": told["lateness_ms"]["p99"],
        }.items():
            assert agrees(tile(tab, name), value), f"{name}: {tile(tab, name)}, summary.json has {value}"
        verdict = tab.locator("#standing-title").inner_text()
        assert ("NOT VALID" in verdict, "PASSED" in verdict) == (not told["verdict"]["valid"], told["slo"]["passed"])
        assert _drawn(tab) >= 5
        page.get_by_role("tab", name="Statistics").click()
        assert page.locator("iframe").count() == 0

        page.get_by_role("tab", name="SageMaker").click()
        tab.locator("#tile-sent").wait_for(timeout=10_000)
        report, archive = (
            _got(ui, page, tab.locator(f"#{name}").get_attribute("href")) for name in ("report", "download")
        )
        assert report == (folder / "report.html").read_bytes()
        with zipfile.ZipFile(io.BytesIO(archive)) as packed:
            held = {name.partition("/")[2]: packed.read(name) for name in packed.namelist()}
        assert held["summary.json"] == (folder / "summary.json").read_bytes()


def _drawn(tab: Any) -> int:
    return int(tab.locator("#charts svg path").count())


def _got(ui: WebUI, page: Page, link: str) -> bytes:
    answer = page.request.get(urllib.parse.urljoin(ui.url + OURS, link))
    assert answer.ok
    return bytes(answer.body())


def test_it_can_be_read_by_anybody_on_any_screen(browser: Browser, tmp_path: Path) -> None:
    with web_ui(tmp_path) as ui:
        with opened(browser, ui.url + OURS, served=True) as page:
            assert "No run yet" in page.inner_text("body")
            assert serious(page) == []
        with opened(browser, ui.url, served=True) as page:
            start(page, str(ui.config))
            page.get_by_role("tab", name="Statistics").wait_for(timeout=20_000)
            _look(browser, ui, "left")
            ended(ui, page)
            _look(browser, ui, "ended")


def _look(browser: Browser, ui: WebUI, status: str) -> None:
    """In the light and in the dark, at a desk and on a phone."""
    for look in (DESKTOP, DESKTOP._replace(dark=True), PHONE._replace(dark=True)):
        with opened(browser, ui.url + OURS, look, served=True) as page:
            page.locator("#status", has_text=status).wait_for(timeout=20_000)
            page.wait_for_timeout(300)
            _holds(page)


def _holds(page: Page) -> None:
    assert not scrolls_sideways(page)
    assert cut(page) == []
    assert serious(page) == []
    assert page.locator("main img, main a[href^=javascript]").count() == 0
    assert mark("phase") in str(page.text_content("body"))
