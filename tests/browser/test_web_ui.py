"""Locust's web UI with our options, by hand: a wrong start is refused there, and a right one plays to its end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.browser.browsing import PHONE, figures, opened, text
from tests.browser.pages import evil, mark
from tests.browser.playing import ended, start, web_ui
from tests.runs.harness import is_complete, summary


def test_a_run_by_hand(browser: Browser, tmp_path: Path) -> None:
    with web_ui(tmp_path) as ui:
        with opened(browser, ui.url, served=True) as page:
            start(page, "absent.yaml")
            page.get_by_text("absent.yaml: cannot be read").wait_for(timeout=10_000)
            assert ui.run.folders() == []

            start(page, str(ui.config))
            page.get_by_role("tab", name="Statistics").wait_for(timeout=20_000)
            page.get_by_text(mark("request")).first.wait_for(timeout=20_000)  # as text
            for tab in page.get_by_role("tab").all():
                tab.click()
                page.wait_for_timeout(100)
            folder = ended(ui, page)
            page.get_by_role("button", name="New").wait_for(timeout=20_000)
        assert is_complete(folder)
        told = summary(folder)
        assert told["arrivals"]["sent"] == told["requests"]["ok"] == pytest.approx(4 * 40 + 3 * 60, abs=2)
        with opened(browser, (folder / "report.html").as_uri(), PHONE) as page:
            assert figures(page) and all(figure["seen"] for figure in figures(page))
            said = text(page)
            assert mark("phase") in said and mark("request") in said
            assert f"{told['arrivals']['sent']:,}" in said


def test_a_configuration_with_a_fault_is_refused_in_the_page(browser: Browser, tmp_path: Path) -> None:
    with web_ui(tmp_path) as ui, opened(browser, ui.url, served=True) as page:
        document: dict[str, Any] = json.loads(ui.config.read_text())
        document["slo"] = {"latency_p42": evil("slo")}
        ui.config.write_text(json.dumps(document))
        start(page, str(ui.config))
        alert = page.get_by_role("alert")
        alert.wait_for(timeout=10_000)
        assert "slo.latency_p42" in alert.inner_text()
        assert "READY" in page.inner_text("body")
        assert ui.run.folders() == []
