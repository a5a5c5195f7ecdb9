"""What the rules of `stop_when` are told of: shipments in their own time, and points of the watched variant alone."""

from __future__ import annotations

from typing import Any

from sm_locust.config import RunConfig
from sm_locust.plugin.stopping import StopWhen
from sm_locust.record.interval import ARRIVALS, Interval
from sm_locust.record.ledger import Planned, Sample
from sm_locust.record.observation import Observation
from sm_locust.record.outcome import OK, UNAVAILABLE, Outcome


def stop_when(metric: str, above: str | None, lasting: str, workers: int = 1) -> StopWhen:
    rule = {"metric": metric, "for": lasting} | ({} if above is None else {"above": above})
    config = RunConfig.from_dict({"target": {"endpoint": "e"}, "stop_when": [rule]})
    return StopWhen(config, 1, None, {"config": config.as_dict()}, lambda: workers, distributed=workers > 1)


def second(at: int, kind: str = OK, latency: float = 0.01, n: int = 10) -> list[dict[str, Any]]:
    arrivals, requests = Interval(float(at), ARRIVALS), Interval(float(at), "e")
    arrivals.add("due", n)
    for _ in range(n):
        requests.record(Outcome("e", float(at), float(at), None, at + latency, kind))
    return [arrivals.encode(), requests.encode()]


def sample(at: float, worker: str = "a") -> Sample:
    return Sample(at, worker, 0, None)


def told(rules: StopWhen, rows: list[dict[str, Any]], sample: Sample) -> None:
    for row in rows:
        rules.count(Interval.decode(row, histograms=()), row, sample)
    rules.sample(sample)


def test_a_shipment_that_comes_late_is_of_the_time_at_which_it_was_made() -> None:
    rules = stop_when("error_rate", "5%", "5s")
    for at in range(5):
        told(rules, second(at, UNAVAILABLE), sample(at + 1.02))
    assert rules.judge(5) is not None
    rules = stop_when("error_rate", "5%", "5s")
    for at in range(5):
        told(rules, second(at), sample(at + 1.02, "b"))
    assert rules.judge(5) is None
    for at in range(5):  # the other worker could not be heard until now
        told(rules, second(at, UNAVAILABLE), sample(at + 1.02))
    found = rules.judge(5)
    assert found is not None and found.value == 0.5


def test_histograms_come_encoded_and_count() -> None:
    rules = stop_when("service_time_p90", "300ms", "3s")
    for at in range(4):
        told(rules, second(at, latency=0.4), sample(at + 1.02))
    found = rules.judge(4)
    assert found is not None and found.value is not None and abs(found.value - 0.4) < 0.001


def test_more_workers_may_be_off_by_more_arrivals() -> None:
    for workers, trips in ((1, True), (20, False)):
        rules = stop_when("not_valid", None, "5s", workers)
        for at in range(5):
            told(rules, second(at, n=10), sample(at + 1.02))
            rules.plan(Planned(float(at), at + 1.0, 15.0, 15))
        assert (rules.judge(5) is not None) is trips


def test_another_variant_s_points_are_not_the_watched_one_s() -> None:
    rules = stop_when("CPUUtilization", "90%", "1m")
    source = "/aws/sagemaker/Endpoints"
    rules.observed([Observation(0.0, f"{source}:Shadow", "CPUUtilization", "Average", 99.0, "percent")], [])
    assert rules.judge(200) is None
    rules.observed([Observation(0.0, source, "CPUUtilization", "Average", 99.0, "percent")], [])
    assert rules.judge(200) is not None
