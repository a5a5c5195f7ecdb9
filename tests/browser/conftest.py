"""One browser for all tests; the pages they look at are made once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.browsing import started
from tests.browser.pages import Pages, hostile_pages, reference_pages


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        found = started(playwright)
        yield found
        found.close()


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Pages:
    return reference_pages(tmp_path_factory.mktemp("pages"))


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Pages:
    return hostile_pages(tmp_path_factory.mktemp("hostile"))
