"""What a monitoring system reads of a real run while it goes, and what it has read by its end."""

from __future__ import annotations

import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.runs.harness import (
    STARTERS,
    Endpoint,
    accounted,
    config,
    free_port,
    locust,
    post,
    processes,
    summary,
    wait_for,
)

FLAT: dict[str, Any] = {"name": "flat", "duration": 5, "arrival_rate": 200}
NAME = "decision-trees-sample"


def scraped(port: int) -> dict[tuple[str, ...], float]:
    """Sample and the values of its labels, in the order of their names → value; nothing while nobody listens."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            families = text_string_to_metric_families(answer.read().decode())
            samples = [sample for family in families for sample in family.samples]
            return {(s.name, *(value for _, value in sorted(s.labels.items()))): s.value for s in samples}
    except OSError:
        return {}


@pytest.mark.parametrize("count", [1, 2])
def test_it_tells_of_a_run_while_it_goes_and_in_the_end_what_the_summary_says(
    tmp_path: Path, local: Endpoint, count: int
) -> None:
    path, metrics, web = config(tmp_path, local.url, FLAT, slo={"latency_mean": "21ms"}), free_port(), free_port()
    options = ["--sm-config", str(path), "--sm-metrics-port", str(metrics), "--web-host", "127.0.0.1"]
    options += ["--web-port", str(web), *processes(count)]
    with locust(tmp_path, "-f", STARTERS, *options) as run:
        assert wait_for("metrics", lambda: scraped(metrics))["sm_locust_running",] == 0
        form = {"user_count": 1, "spawn_rate": 1, "sm_config": str(path), "sm_speed": 1}
        started = lambda: post(f"http://127.0.0.1:{web}/swarm", **form)["success"]  # noqa: E731
        wait_for("the start", lambda: _tried(started))

        wait_for("three seconds", lambda: scraped(metrics)["sm_locust_arrivals_sent_total",] > 600)
        during = scraped(metrics)
        assert during["sm_locust_running",] == 1
        assert during["sm_locust_planned_rate",] == pytest.approx(200, rel=0.05)  # of whole looks
        assert during["sm_locust_delivered_rate",] == pytest.approx(
            200, rel=0.35
        )  # workers' counts come when they come
        assert during["sm_locust_instances", "in_service"] == 1
        assert during["sm_locust_in_flight",] < 200

        wait_for("the end", lambda: run.folders() and (run.folders()[0] / "report.html").exists())
        wait_for("the count of the end", lambda: scraped(metrics)["sm_locust_running",] == 0)
        found, after = accounted(summary(run.the_folder())), scraped(metrics)
    assert after["sm_locust_arrivals_planned_total",] == pytest.approx(found["arrivals"]["planned"])
    assert after["sm_locust_arrivals_sent_total",] == found["arrivals"]["sent"] == local.served()
    for result in ("ok", "failed", "cancelled"):
        assert after["sm_locust_requests_total", NAME, result] == found["requests"][result]
    for what, labels in (("latency", (NAME,)), ("lateness", ())):
        name, said = f"sm_locust_{what}_seconds", found[f"{what}_ms"]
        assert after[f"{name}_count", *labels] == after[f"{name}_bucket", "+Inf", *labels] == said["count"]
        assert after[f"{name}_sum", *labels] / said["count"] * 1e3 == pytest.approx(said["mean"], abs=0.001)
    edge, p50, p999 = (
        after["sm_locust_latency_seconds_bucket", "0.021", NAME],
        *(found["latency_ms"][p] for p in ("p50", "p999")),
    )
    assert (p50 > 21) or edge >= found["latency_ms"]["count"] / 2
    assert (p999 < 21) <= (edge >= found["latency_ms"]["count"] * 0.999)


def _tried(what: Any) -> bool:
    try:
        return bool(what())
    except OSError:
        time.sleep(0.1)
        return False
