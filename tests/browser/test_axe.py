"""No page keeps a reader out who sees badly, or who has no mouse: axe-core, in the light and in the dark."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser

from tests.browser.axe import serious
from tests.browser.browsing import LOOKS, Look, figures, opened, text
from tests.browser.pages import AFTER_REPORT, NAMES, Pages

SCREENS = [name for name in NAMES if name != AFTER_REPORT]


@pytest.mark.parametrize("look", LOOKS, ids=str)
@pytest.mark.parametrize("name", SCREENS)
def test_no_serious_fault(browser: Browser, pages: Pages, name: str, look: Look) -> None:
    with opened(browser, pages.url(name), look) as page:
        figures(page)
        text(page)
        assert serious(page) == []
