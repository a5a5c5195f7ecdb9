"""What instances cost: from the price of the run's own configuration, or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sm_locust.analysis.summary import Summary
from sm_locust.record.observation import ScalingEvent
from sm_locust.record.run import Run
from sm_locust.schedule import Phase
from tests.analysis.folders import played, watch

ENDPOINT = {"target": {"endpoint": "e", "region": "us-east-1"}}
PRICES = {"prices": {"as_of": "2026-11-01", "instance_hour": 0.36}}
STEPS = [ScalingEvent(0.0, 1, 1, ""), ScalingEvent(180.0, 2, 2, "2 instances in service.")]


def spent(run: Run, **meta: Any) -> dict[str, Any]:
    run.finish(**meta)
    found: dict[str, Any] = Summary.of(run).as_dict()["cost"]
    return found


@pytest.mark.parametrize("speed", [1, 60])
def test_an_hour_and_a_million_at_any_speed(tmp_path: Path, speed: int) -> None:
    # 10 a second on one instance for three minutes, then on two for one: 1.25 of them, 36,000 an hour.
    run = played(tmp_path, (Phase("flat", 240, 10),), speed=speed, config={**ENDPOINT, **PRICES})
    watch(run, events=STEPS)
    found = spent(run)
    assert found["instances"] == {"fewest": 1, "mean": 1.25, "most": 2}
    assert found["an_hour"] == {"fewest": 0.36, "most": 0.72}
    assert found["per_million"] == pytest.approx(1.25 * 0.36 / 0.036)
    assert (found["why"], found["price_as_of"]) == (None, "2026-11-01")


def test_at_capacity_it_is_the_price_over_what_one_instance_sustains(tmp_path: Path) -> None:
    run = played(
        tmp_path, (Phase("up", 1200, 5, ramp_to=20),), config={**ENDPOINT, **PRICES, "slo": {"error_rate": 0.1}}
    )
    watch(run, events=STEPS[:1])
    summary = Summary.of(run)
    rps = summary.capacity.max_rps
    assert rps and summary.spent.per_million_at_capacity == pytest.approx(0.36 / (rps * 3600) * 1e6)


SCENARIOS = {"scenarios": [{"name": "look", "steps": [{"method": "get", "url": "http://shop.example.com/"}]}]}
HERE = {"scenarios": [{"name": "look", "steps": [{"method": "get", "url": "http://localhost/"}]}]}
NO_ENDPOINT = "the configuration names no endpoint, and prices are those of AWS"


@pytest.mark.parametrize(
    ("config", "meta", "why"),
    [
        ({}, {}, f"what the locustfile calls is not known: {NO_ENDPOINT}"),
        (SCENARIOS, {}, f"what the hosts of the scenarios bill is not known: {NO_ENDPOINT}"),
        (HERE, {}, "all of it was on this machine, where nothing is billed"),
        ({"target": {"container": "http://127.0.0.1:1/i"}}, {}, "a container was called, and nothing of AWS"),
        (ENDPOINT, {}, "the configuration does not say prices.instance_hour"),
        (ENDPOINT, {"billing": {"local": True}}, "all of it was on this machine, where nothing is billed"),
        ({**ENDPOINT, **PRICES}, {}, "nobody saw how many instances there were"),
        (
            {**ENDPOINT, **PRICES, "request": {"inference_component": "c"}},
            {},
            "copies of an inference component share instances, which are billed whole",
        ),
    ],
)
def test_what_is_not_known_says_why(tmp_path: Path, config: dict[str, Any], meta: dict[str, Any], why: str) -> None:
    found = spent(played(tmp_path, (Phase("flat", 30, 10),), config=config), **meta)
    assert found["why"] == why and found["per_million"] is None


def test_instances_seen_at_the_start_stand_in_where_nobody_watched(tmp_path: Path) -> None:
    run = played(tmp_path, (Phase("flat", 30, 10),), config={**ENDPOINT, **PRICES})
    found = spent(run, endpoint={"instance_type": "ml.m5.large", "instances": 3})
    assert found["an_hour"] == {"fewest": pytest.approx(1.08), "most": pytest.approx(1.08)}
