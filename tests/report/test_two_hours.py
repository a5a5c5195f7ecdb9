"""Two hours at real speed, 4 million requests over four instances: how large the report is, and how long it takes.

The folder is made of counts alone. Every second holds as many latencies as it had requests, drawn at random, so that
its histograms are as full as real ones; seconds with the same number of requests are the same.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from sm_locust.analysis.summary import Summary
from sm_locust.record.histogram import Histogram
from sm_locust.record.interval import ARRIVALS, DUE, Interval
from sm_locust.record.ledger import Sample
from sm_locust.record.observation import Observation, ScalingEvent
from sm_locust.record.run import Run
from sm_locust.report import page
from sm_locust.schedule import Schedule
from tests.analysis.folders import REFERENCE, SCALED, meta, planned

SECONDS, INSTANCES = 7200, 4
CONFIG: dict[str, Any] = {
    "target": {"endpoint": "decision-trees-sample", "url": "http://127.0.0.1:8500"},
    "slo": {"latency_mean": "15ms", "error_rate": 0.05},
}
SCHEDULE = Schedule(REFERENCE)

MOST_BYTES, MOST_SECONDS = 8_000_000, 30.0  # of CPU, of which it takes 7 while others work beside it


def sent(second: int) -> int:
    return round(SCHEDULE.expected(second + 1.0)) - round(SCHEDULE.expected(float(second)))


@cache
def drawn(n: int, middle: float, spread: float) -> Histogram:
    """n durations about `middle` seconds."""
    of, chance = Histogram(), random.Random(n)
    for _ in range(n):
        of.record(middle * chance.lognormvariate(0.0, spread))
    return of


@cache
def answered(n: int, failed: int) -> dict[str, Any]:
    of = Interval(0.0, "invoke")
    of.add("ok", n - failed)
    of.latency, of.service_time = drawn(n - failed, 0.0095, 0.35), drawn(n - failed, 0.009, 0.35)
    of.first_byte, of.lateness = drawn(n - failed, 0.008, 0.35), drawn(n, 0.0003, 0.8)
    if failed:
        of.add("failed:unavailable", failed)
        of.failed_latency = drawn(failed, 0.002, 0.2)
    return of.encode()


def ledger() -> Iterator[dict[str, Any]]:
    for second in range(SECONDS):
        n = sent(second)
        yield {"second": float(second), "name": ARRIVALS, "counts": {DUE: n}}
        yield {**answered(n, n // 50 if 2400 <= second < 2700 else 0), "second": float(second)}


def serving(minute: int) -> int:
    return min(INSTANCES, 1 + minute // 30)


def points() -> Iterator[Observation]:
    for minute in range(SECONDS // 60):
        n = float(sum(sent(second) for second in range(minute * 60, minute * 60 + 60)))
        for metric, statistic, value, unit in (
            ("Invocations", "Sum", n, "count"),
            ("InvocationsPerInstance", "Sum", n / serving(minute), "count"),
            *(
                ("ModelLatency", name, 8.5, "ms")
                for name in ("Average", "Maximum", "p50", "p90", "p95", "p99", "p99.9")
            ),
            ("ModelLatency", "SampleCount", n, "count"),
            ("OverheadLatency", "Average", 0.3, "ms"),
            ("OverheadLatency", "SampleCount", n, "count"),
        ):
            yield Observation(minute * 60.0, "AWS/SageMaker", metric, statistic, value, unit)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = Run.create(tmp_path_factory.mktemp("runs"), meta(REFERENCE, config=CONFIG, ended_s=float(SECONDS)))
    run.append("local", ledger(), planned(SCHEDULE, float(SECONDS)))
    run.append("", rows=[Sample(s + 0.03, "local", 5, 0.6 if s % 5 == 0 else None) for s in range(SECONDS)])
    run.append_observations(points())
    events = [ScalingEvent(0.0, 1, 1, "")]
    for n in range(2, INSTANCES + 1):
        at_s = (n - 1) * 1800.0
        events.append(ScalingEvent(at_s - 210, n, None, f"Setting desired instance count to {n}."))
        events.append(ScalingEvent(at_s, n, n, f"{n} instances in service."))
    run.append_scaling(events)
    run.finish(cloudwatch={"period_s": 60.0, "settled": True, "missing": []}, scaling=SCALED)
    return run.folder


@pytest.fixture(scope="module")
def made(folder: Path) -> tuple[Summary, str, float]:
    """The summary, the page, and the seconds that both took, of this process alone: others may be at work beside it."""
    began = time.process_time()
    summary = Summary.of(Run.open(folder))
    html = page.render(summary)
    return summary, html, time.process_time() - began


def test_the_report_of_two_hours_is_small_and_soon_made(made: tuple[Summary, str, float]) -> None:
    summary, html, took = made
    print(f"report.html: {len(html.encode()) / 1e6:.2f} MB in {took:.1f} s")
    assert len(html.encode()) < MOST_BYTES
    assert took < MOST_SECONDS

    assert summary.verdict.valid
    assert summary.minutes.whole.sent == 3_960_000 == sum(sent(second) for second in range(SECONDS))
    assert len(summary.minutes.rows) == 120 and len(summary.lags) == INSTANCES - 1


def test_pictures_are_thinned_and_numbers_are_not(made: tuple[Summary, str, float]) -> None:
    summary, html, _ = made
    figures = json.loads(html.split('id="figures">', 1)[1].split("</script>", 1)[0])
    assert len(figures[0]["curves"][0]["x"]) == 720  # every 10 s
    whole = Histogram.merged(span.requests.latency for span in summary.minutes.seconds)
    assert summary.as_dict()["latency_ms"] == whole.summary_ms()
    assert f'<td class="n">{whole.summary_ms()["p99"]:.1f}</td>' in html
