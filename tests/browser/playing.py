"""Locust's web UI with a real run behind it, and what a hand does there."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from playwright.sync_api import Page

from tests.browser.pages import evil
from tests.runs.harness import LOGIN, Locust, answers, endpoint, files, free_port, locust, wait_for

SHAPE = "shapes/from_config.py"
# Three minutes that last three seconds, and long enough before them for the page to have been looked at.
PHASES: list[dict[str, Any]] = [
    {"name": evil("phase"), "duration": "4m", "arrival_rate": 20, "ramp_to": 60},
    {"name": "max load", "duration": "3m", "arrival_rate": 60},
]
# The reference experiment in a third of its time: for a picture.
REFERENCE_PHASES: list[dict[str, Any]] = [
    {"name": "warm up", "duration": "20m", "arrival_rate": 200, "ramp_to": 600},
    {"name": "max load", "duration": "20m", "arrival_rate": 600, "ramp_to": 800},
]
LOCUSTFILE = """
from locust import task
from sm_locust import InvokeEndpointUser

class Invoke(InvokeEndpointUser):
    @task
    def invoke_next(self):
        self.invoke(name={name!r})
"""


class WebUI(NamedTuple):
    url: str
    config: Path
    run: Locust


@contextlib.contextmanager
def web_ui(
    folder: Path, *arguments: str, base: str = "", phases: list[dict[str, Any]] = PHASES, name: str = evil("request")
) -> Iterator[WebUI]:
    """Locust waiting for somebody to press Start, and an endpoint for it; a minute of theirs lasts a second.

    arguments  of `locust`; with --web-login, whoever posts to /let-me-in is somebody
    base       the path that it is served under
    name       of the requests
    """
    login = LOGIN if "--web-login" in arguments else ""
    (folder / "locustfile.py").write_text(LOCUSTFILE.format(name=name) + login)
    with endpoint(folder, speed=60) as local:
        target = {"endpoint": "decision-trees-sample", "region": "us-east-1", "url": local.url}
        document = {"target": target, "request": {"content_type": "text/csv", "body": "5,3.5,1.3,0.3"}}
        path = folder / "config.yaml"
        path.write_text(json.dumps({**document, "slo": {"latency_mean": "15ms", "error_rate": 0.05}, "phases": phases}))
        port = free_port()
        under = ("--web-base-path", base) if base else ()
        starters = f"{folder / 'locustfile.py'},{files(SHAPE)}"
        with locust(
            folder, "-f", starters, "--web-host", "127.0.0.1", "--web-port", str(port), *under, *arguments
        ) as run:
            url = f"http://127.0.0.1:{port}{base}/"
            wait_for("the web UI", lambda: answers(url), 40)
            yield WebUI(url, path, run)


def start(page: Page, config: str) -> None:
    """As a hand does it: the options are folded, and the form is sent by its button."""
    field = page.locator("input[name=smConfig]")
    if not field.is_visible():
        page.get_by_role("button", name="Custom parameters").click()
    field.fill(config)
    page.locator("select[name=smSpeed]").select_option("60")
    page.get_by_role("button", name="Start", exact=False).last.click()


def ended(ui: WebUI, page: Page) -> Path:
    """The folder of the one run, once Locust has stopped and it is whole; the page goes on living meanwhile."""
    for _ in range(300):
        found = [folder for folder in ui.run.folders() if (folder / "report.html").exists()]
        if found and page.request.get(f"{ui.url}stats/requests").json()["state"] == "stopped":
            return found[0]
        page.wait_for_timeout(200)
    raise AssertionError(f"no run has ended within a minute:\n{ui.run.output[-2000:]}")
