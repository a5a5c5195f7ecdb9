"""Every text from outside is an attack: it is shown as text, nothing of it runs, and it breaks no layout."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser

from tests.browser.browsing import DESKTOP, PHONE, Look, cut, figures, opened, scrolls_sideways, text
from tests.browser.pages import COMPARE, FOLDER, LONG, REPORT, SEVERAL, WHATIF, Pages, mark

# Where each attack must be read: one that is nowhere was not tried.
SHOWN = {
    REPORT: ["phase", "kind", "request", "message", "source", "version", "ended", "event", "missing", "run id"],
    COMPARE: ["source", "version", "ended", "event", "restored", "not", "run id"],
    SEVERAL: ["type", "folder"],
    WHATIF: ["run id"],
}
ALSO_BILLED = ["bills", "command", "fault", "origin"]


@pytest.mark.parametrize("look", [DESKTOP, PHONE._replace(dark=True)], ids=str)
@pytest.mark.parametrize("name", SHOWN)
def test_nothing_runs_and_nothing_breaks(browser: Browser, hostile: Pages, name: str, look: Look) -> None:
    with opened(browser, hostile.url(name), look) as page:
        for figure in figures(page):
            assert figure["seen"]
        said = text(page)
        page.wait_for_timeout(200)  # an image that is not there fails a moment later
        assert page.locator("img, main script, main style, main a, main iframe").count() == 0
        assert not scrolls_sideways(page)
        assert cut(page) == []
    assert not [c for c in said if not c.isprintable()]


@pytest.mark.parametrize("name", SHOWN)
def test_it_is_shown_as_text(browser: Browser, hostile: Pages, name: str) -> None:
    with opened(browser, hostile.url(name)) as page:
        said = text(page)
    for where in SHOWN[name] + (ALSO_BILLED if name == REPORT else []):
        assert mark(where) in said, f"{where} is not on the page"
    assert name == SEVERAL or LONG in said


def test_labels_of_figures_show_it_as_text(browser: Browser, hostile: Pages) -> None:
    with opened(browser, hostile.url(REPORT)) as page:
        labels = [label for figure in figures(page) for label in figure["labels"]]
        figure = page.locator(".chart").first
        figure.scroll_into_view_if_needed()
        box = figure.bounding_box()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.wait_for_selector(".chart .hoverlayer text")
        assert page.locator(".chart a, .chart image[href^=http]").count() == 0
    for where in ("phase", "kind"):
        assert any(label.startswith(f"{where}\"'><script>") for label in labels), where


def test_its_folder_may_be_called_anything(hostile: Pages) -> None:
    assert FOLDER in str(hostile.files[REPORT])
