"""Whole searches for capacity: real `locust` processes against servers whose capacity is known.

They answer after 300 ms, so the lateness that a search allows is 30 ms: a noisy machine keeps to that.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from sm_locust.record.run import Run
from tests.oracles.latency_server import latency_server
from tests.runs.harness import (
    Endpoint,
    accounted,
    config,
    endpoint,
    files,
    free_port,
    locust,
    post,
    processes,
    summary,
    wait_for,
)

FIND_CAPACITY = "shapes/find_capacity.py"


def test_a_search_over_two_workers_finds_a_hard_limit(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    with latency_server("hard-limit", latency=0.3) as url:
        document = {
            "target": {"container": url},
            "request": {"content_type": "text/csv", "body": "5,3.5,1.3,0.3"},
            "slo": {"latency_p50": "400ms"},
            "capacity": {"start": 280, "max": 420, "precision": "50%", "window": "4s", "warm_up": "0s"},
        }
        path.write_text(json.dumps(document))
        arguments = ["-f", files("locustfiles/container.py", FIND_CAPACITY), "--sm-config", str(path), "--headless"]
        with locust(tmp_path, *arguments, *processes(2)) as run:
            code = run.wait(150)
            folder = run.the_folder()
            found = accounted(summary(folder))
            answer = found["capacity"]
            assert answer["refused"] is None, (answer, run.output[-2000:])
            assert answer["reached"] and answer["limited_by"] == "latency_p50"
            assert answer["low"] <= 350 <= answer["high"]
            assert answer["high"] <= 1.51 * answer["low"]
            assert code == {True: 0, False: 3}[found["verdict"]["valid"]], run.output
            assert found["slo"]["rules"] == []  # it was broken to see where
            steps = Run.open(folder).ledger().steps
            held = {step.kind for step in steps if step.outcome == "held"}
            assert held >= {"double", "confirm"}
            assert any(step.outcome == "failed" and step.rate > 350 for step in steps)
            assert steps[-1].kind == "confirm"
            meta = json.loads((folder / "run.json").read_text())
            assert (meta["ended"], meta["search"]["ended"], len(meta["workers"])) == ("search over", "found", 2)
            text = (folder / "summary.md").read_text()
            assert "<summary>Search</summary>" in text and "with 95% confidence" in text


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Endpoint]:
    (tmp_path / "endpoint").mkdir()
    with endpoint(tmp_path / "endpoint", service_time=0.3, workers=200, backlog=1000) as running:
        yield running


def test_the_page_takes_settings_and_the_answer_is_for_one_instance(tmp_path: Path, slow: Endpoint) -> None:
    path, port = config(tmp_path, slow.url, slo={"latency_p50": "1s"}), free_port()
    arguments = ["-f", files("locustfiles/invoke_endpoint.py", FIND_CAPACITY), "--sm-config", str(path)]
    with locust(tmp_path, *arguments, "--web-port", str(port), "--web-host", "127.0.0.1") as run:
        page = f"http://127.0.0.1:{port}"
        form = {"user_count": 1, "spawn_rate": 1, "sm_config": str(path), "sm_speed": 1}
        wait_for("web UI", lambda: "Locust" in run.output and _starts(page, form))
        refused = post(f"{page}/swarm", **{**form, "sm_capacity": "start: 0"})
        assert refused["success"] is False
        assert (
            refused["message"] == "--sm-capacity: start: 0 is not accepted: a number of arrivals a second, more "
            "than 0, at most 1000000"
        )
        assert slow.served() == 0
        settings = "start: 200, max: 200, window: 4s, warm_up: 0s, time_limit: 11s"
        assert post(f"{page}/swarm", **form, sm_capacity=settings)["success"] is True
        wait_for("the answer", lambda: run.folders() and (run.folders()[0] / "report.html").exists(), 60)
        found = wait_for("CloudWatch", lambda: _settled(run.folders()[0]), 60)
        answer = found["capacity"]
        assert (answer["reached"], answer["instances"], answer["high"]) == (False, 1.0, None), answer
        assert answer["max_rps"] == pytest.approx(200, rel=0.03)
        assert slow.served() == found["arrivals"]["sent"]


def _starts(page: str, form: dict[str, object]) -> bool:
    """Whether the page answers; what it is sent here starts nothing."""
    try:
        return post(f"{page}/swarm", **{**form, "sm_config": "absent.yaml"})["success"] is False
    except OSError:
        return False


def _settled(folder: Path) -> dict[str, object] | None:
    found = summary(folder)
    return found if found["cloudwatch"] and found["cloudwatch"]["settled"] else None
