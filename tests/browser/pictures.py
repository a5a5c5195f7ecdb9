"""README's pictures, made again: `make pictures`, after a page has changed. Look at them before they are committed.

The reports are those of run folders in virtual time, which are the same each time. The tab shows a real run,
of less than a minute. What docs/load-model.md shows is drawn from what `python -m benchmarks.load_model` measured.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks import load_model
from tests.browser.browsing import DESKTOP, PHONE, Look, figures, opened, started
from tests.browser.pages import AFTER_REPORT, COMPARE, REPORT, SEVERAL, WHATIF, reference_pages
from tests.browser.playing import REFERENCE_PHASES, start, web_ui

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
MOST = 300_000  # bytes of one: README shows them all
DARK = DESKTOP._replace(dark=True)

# File → page, on what, and how much of it from the top.
OF_PAGES: dict[str, tuple[str, Look, int]] = {
    "report-light.png": (REPORT, DESKTOP, 1700),
    "report-dark.png": (REPORT, DARK, 1700),
    "report-after.png": (AFTER_REPORT, DESKTOP, 1700),
    "report-phone.png": (REPORT, PHONE, 1700),
    "compare-light.png": (COMPARE, DESKTOP, 1500),
    "compare-dark.png": (COMPARE, DARK, 1500),
    "configurations.png": (SEVERAL, DESKTOP, 1000),
    "whatif.png": (WHATIF, DESKTOP, 1400),
}


def main() -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as parent, sync_playwright() as playwright:
        browser = started(playwright)
        pages = reference_pages(Path(parent))
        for name, (of, look, height) in OF_PAGES.items():
            with opened(browser, pages.url(of), look) as page:
                figures(page)
                _take(page, name, height)
        _load_model(browser, Path(parent))
        with tempfile.TemporaryDirectory() as folder:
            _tab(browser, Path(folder))


def _load_model(browser: Browser, folder: Path) -> None:
    page_of_it = folder / "load-model.html"
    page_of_it.write_text(load_model.page(json.loads(load_model.MEASURED.read_text())), encoding="utf-8")
    for name, look in (("load-model-light.png", DESKTOP), ("load-model-dark.png", DARK)):
        with opened(browser, page_of_it.as_uri(), look._replace(width=900)) as page:
            figures(page)
            _take(page, name, 1700)


def _tab(browser: Browser, folder: Path) -> None:
    """The tab late in the reference experiment, where the endpoint has begun to fail."""
    with (
        web_ui(folder, phases=REFERENCE_PHASES, name="invoke") as ui,
        opened(browser, ui.url, served=True) as page,
    ):
        start(page, str(ui.config))
        page.get_by_role("tab", name="SageMaker").click(timeout=20_000)
        page.frame_locator("iframe").locator("#tile-failed.bad").wait_for(timeout=60_000)
        page.wait_for_timeout(5000)
        _take(page, "tab-light.png", 1500)
        page.locator("header button").last.click()  # Locust's own switch of light and dark
        page.wait_for_timeout(1000)
        _take(page, "tab-dark.png", 1500)


def _take(page: Page, name: str, height: int) -> None:
    """So much of the page from its top, and less of it where that is too much to load."""
    path = PICTURES / name
    width = int(page.evaluate("innerWidth"))
    height = min(height, int(page.evaluate("document.documentElement.scrollHeight")))
    while True:
        clip = {"x": 0, "y": 0, "width": width, "height": height}
        size = len(page.screenshot(path=path, full_page=True, clip=clip, animations="disabled"))
        if size <= MOST:
            break
        height = height * 9 // 10
    print(f"{path.relative_to(PICTURES.parents[1])}: {width} × {height}, {size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
