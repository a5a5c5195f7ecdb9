"""Every run ends with what still costs money, also one that is interrupted; on this machine that is nothing."""

from __future__ import annotations

import json
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.runs.harness import STARTERS, Endpoint, config, environment, is_complete, locust, summary, wait_for

PRICES = {"as_of": "2026-11-24", "instance_hour": 0.25}
DELETES = "    aws sagemaker delete-endpoint --endpoint-name decision-trees-sample --region us-east-1"


def played(folder: Path, url: str, duration: int, env: dict[str, str], interrupted: bool) -> tuple[Any, str]:
    """run.json's `billing`, and what was said."""
    folder.mkdir()
    env["XDG_CACHE_HOME"] = str(folder)
    path = config(folder, url, {"name": "short", "duration": duration, "arrival_rate": 20}, prices=PRICES)
    with locust(folder, "-f", STARTERS, "--sm-config", str(path), "--headless", env=environment(**env)) as run:
        if interrupted:
            wait_for("the run", run.folders, 40)
            wait_for("the load", lambda: "/s of" in run.output or "waiting" in run.output, 40)
            run.signal(signal.SIGINT)
        run.wait()
        found = run.the_folder()
        assert is_complete(found)
        assert summary(found)["requests"]["ok"] > 0
        assert "Traceback" not in run.output
        assert "Still billing" in (found / "summary.md").read_text()
        assert "Still billing" in (found / "report.html").read_text()
        return json.loads((found / "run.json").read_text())["billing"], run.output


def test_every_run_ends_with_what_goes_on_billing(tmp_path: Path, local: Endpoint) -> None:
    # 127.1 is this machine to whoever connects and not by its name: the local endpoint stands in for an account's.
    elsewhere = local.url.replace("127.0.0.1", "127.1")
    account = {"AWS_ENDPOINT_URL": local.url}
    with ThreadPoolExecutor() as side_by_side:
        there = side_by_side.submit(played, tmp_path / "there", elsewhere, 3, dict(account), False)
        ended = side_by_side.submit(played, tmp_path / "ended", elsewhere, 300, dict(account), True)
        here = side_by_side.submit(played, tmp_path / "here", local.url, 3, {}, False)
    for billing, said in (there.result(), ended.result()):
        assert billing["items"][0] == {
            "what": "endpoint decision-trees-sample, 1 × ml.m4.xlarge",
            "hourly": 0.25,
            "origin": "config 2026-11-24",
            "command": DELETES.strip(),
            "fault": "",
        }
        lines = said.splitlines()
        at = lines.index("Still billing:")
        assert lines[at + 1].endswith("1 × ml.m4.xlarge: $0.25 an hour (config 2026-11-24)")
        assert lines[at + 2] == DELETES
        assert lines[-2].startswith(("VALID, ", "NOT VALID, ")) and "report.html" in lines[-1]
    billing, said = here.result()
    assert billing == {"local": True, "items": []}
    assert said.rstrip().splitlines()[-4] == "Still billing: nothing: all of it was on this machine"
