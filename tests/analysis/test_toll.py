"""What the wait for instances cost: counted from crossed to in service, and not a second longer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sm_locust.analysis.summary import Summary
from sm_locust.analysis.toll import Toll
from sm_locust.record.observation import ScalingEvent
from sm_locust.record.outcome import OK
from sm_locust.schedule import Phase
from tests.analysis.folders import SCALED, Answer, played, watch

PHASES = (Phase("calm", 180, 5), Phase("busy", 420, 15))  # crossed at 180 s, where one instance is to take 600 a minute
EVENTS = [
    ScalingEvent(0.0, 1, 1, ""),
    ScalingEvent(300.0, 2, None, "Setting desired instance count to 2."),
    ScalingEvent(480.0, 2, 2, "2 instances in service."),
]


def tolls(
    parent: Path,
    events: list[ScalingEvent] = EVENTS,
    *,
    target: float = 600.0,
    slo: dict[str, Any] | None = None,
    failing: tuple[float, float] = (240, 540),
) -> tuple[Toll, ...]:
    """failing  seconds between which every third request fails"""
    (policy,) = SCALED["policies"]
    tracking = {**policy["TargetTrackingScalingPolicyConfiguration"], "TargetValue": target}
    scaling = {**SCALED, "policies": [{**policy, "TargetTrackingScalingPolicyConfiguration": tracking}]}

    def answer(at: float) -> Answer:
        return ("unavailable", 0.002) if failing[0] <= at < failing[1] and int(at * 15) % 3 == 0 else (OK, 0.01)

    run = played(parent, PHASES, answer, config={"slo": slo if slo is not None else {"error_rate": "5%"}})
    watch(run, lambda at_s: 1 if at_s < 480 else 2, scaling=scaling, events=events)
    summary = Summary.of(run)
    assert summary.as_dict()["scaling"]["lag_cost"] == [toll.as_dict() for toll in summary.tolls]
    return summary.tolls


def test_what_failed_while_the_instances_were_awaited_is_counted(tmp_path: Path) -> None:
    # 240 s of 15 a second, of which a third: what fails from 480 s on is no fault of the wait.
    assert tolls(tmp_path) == (Toll(180.0, 480.0, True, 1200, 4),)


def test_without_a_crossing_it_counts_from_when_they_were_asked_for(tmp_path: Path) -> None:
    assert tolls(tmp_path, target=6000.0) == (Toll(300.0, 480.0, True, 900, 3),)


def test_instances_that_never_served_cost_to_the_end_or_to_the_next_ones(tmp_path: Path) -> None:
    assert tolls(tmp_path, EVENTS[:2]) == (Toll(180.0, 600.0, False, 1500, 5),)
    first, second = tolls(tmp_path, [*EVENTS[:2], ScalingEvent(420.0, 3, None, "Setting desired instance count to 3.")])
    assert (first.until_s, first.failed) == (420.0, 900)
    assert (second.served, second.until_s) == (False, 600.0)


@pytest.mark.parametrize(("slo", "broken"), [({}, None), ({"latency_p99": "5s"}, 0), ({"latency_p50": "9ms"}, 5)])
def test_minutes_count_by_the_limits_that_there_are(tmp_path: Path, slo: dict[str, Any], broken: int | None) -> None:
    (found,) = tolls(tmp_path, slo=slo)
    assert found.broken == broken


def test_nothing_that_failed_costs_nothing(tmp_path: Path) -> None:
    assert tolls(tmp_path, failing=(0, 0)) == (Toll(180.0, 480.0, True, 0, 0),)
