"""A scale-out in its parts: each moment from its own witness, and unknown where there is none."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from sm_locust.analysis.lag import BACK, NEVER_BROKEN, NO_LIMIT, NOT_BACK, Lag
from sm_locust.analysis.summary import Summary
from sm_locust.record.observation import ScalingEvent, alarm_event
from sm_locust.record.outcome import OK
from sm_locust.report import wording
from sm_locust.schedule import Phase
from tests.analysis.folders import SCALED, played, watch

# 300 a minute, then 900; one instance takes 600: crossed with the fourth minute, which begins at 180 s.
PHASES = (Phase("calm", 180, 5), Phase("busy", 900, 15))
HIGH, LOW = "TargetTracking-endpoint/e/variant/v-AlarmHigh-1", "TargetTracking-endpoint/e/variant/v-AlarmLow-1"
TARGET = 600.0


def level(at_s: float, desired: int, in_service: int) -> ScalingEvent:
    return ScalingEvent(at_s, desired, in_service, "")


def asked(at_s: float, desired: int) -> ScalingEvent:
    return ScalingEvent(at_s, desired, None, f"Setting desired instance count to {desired}.")


def served(at_s: float, instances: int) -> ScalingEvent:
    return ScalingEvent(at_s, instances, instances, f"{instances} instances in service.")


def alarm(at_s: float, old: str, new: str, name: str = HIGH) -> ScalingEvent:
    return ScalingEvent(at_s, None, None, alarm_event(name, old, new))


def scaled(**tracking: Any) -> dict[str, Any]:
    (policy,) = SCALED["policies"]
    configuration = {**policy["TargetTrackingScalingPolicyConfiguration"], "TargetValue": TARGET, **tracking}
    return {**SCALED, "policies": [{**policy, "TargetTrackingScalingPolicyConfiguration": configuration}]}


# Two of three minutes' alarm, then the instance: as it should be.
START = level(0, 1, 1)
USUAL = [START, alarm(365, "OK", "ALARM"), asked(365.2, 2), level(370, 2, 1), served(600, 2)]


def lags(
    parent: Path,
    events: Iterable[ScalingEvent],
    *,
    slow: tuple[float, float] = (0, 0),
    slo: dict[str, Any] | None = None,
    scaling: dict[str, Any] | None = None,
) -> tuple[list[Lag], list[str]]:
    """slow  seconds between which a request takes 50 ms and not 10"""
    config = {"slo": slo if slo is not None else {"latency_p99": "20ms"}}
    run = played(parent, PHASES, lambda at: (OK, 0.05 if slow[0] <= at < slow[1] else 0.01), config=config)
    instances = lambda at_s: 1 if at_s < 600 else 2  # noqa: E731
    watch(run, instances, scaling=scaling if scaling is not None else scaled(), events=events)
    summary = Summary.of(run)
    assert summary.as_dict()["scaling"]["lag"] == [lag.as_dict() for lag in summary.lags]
    return list(summary.lags), wording.lags(summary)


def test_every_step_of_a_scale_out_has_its_moment(tmp_path: Path) -> None:
    found, said = lags(tmp_path, USUAL)
    assert found == [Lag(2, 180.0, 365.0, 365.2, 600.0, None, NEVER_BROKEN)]
    assert said == [
        "scale-out 1: crossed at 0:03:00, alarm +185 s, desired +0 s, in service +235 s, latency back: never broken"
    ]


def test_an_alarm_that_nobody_witnessed_is_unknown_and_not_inferred(tmp_path: Path) -> None:
    found, said = lags(tmp_path, [event for event in USUAL if "Alarm " not in event.event])
    assert found == [Lag(2, 180.0, None, 365.2, 600.0, None, NEVER_BROKEN)]
    assert said == [
        "scale-out 1: crossed at 0:03:00, alarm unknown, desired +185 s, in service +235 s, latency back: never broken"
    ]


@pytest.mark.parametrize(
    ("slow", "slo", "back_s", "latency"),
    [
        ((200, 580), {"latency_p99": "20ms"}, 600.0, BACK),
        ((200, 640), {"latency_p99": "20ms"}, 660.0, BACK),
        ((200, 640), {"service_time_mean": "20ms", "error_rate": "1%"}, 660.0, BACK),
        ((200, 640), {"model_latency_mean": "20ms"}, 660.0, BACK),
        ((200, 2000), {"latency_p99": "20ms"}, None, NOT_BACK),
        ((0, 100), {"latency_p99": "20ms"}, None, NEVER_BROKEN),  # long before it was crossed
        ((200, 640), {"latency_p99": "100ms"}, None, NEVER_BROKEN),
        ((200, 640), {"error_rate": "1%"}, None, NO_LIMIT),
        ((200, 640), {}, None, NO_LIMIT),
    ],
)
def test_the_latency_is_back_with_the_first_minute_that_keeps_its_limit(
    tmp_path: Path, slow: tuple[float, float], slo: dict[str, Any], back_s: float | None, latency: str
) -> None:
    (found,), (said,) = lags(tmp_path, USUAL, slow=slow, slo=slo)
    assert (found.back_s, found.latency) == (back_s, latency)
    assert said.endswith(f"latency back +{back_s - 600:.0f} s" if back_s else f"latency back: {latency}")


@pytest.mark.parametrize(
    ("scaling", "why"),
    [
        (SCALED, "the target was never reached"),
        ({**scaled(), "policies": []}, "there is no target"),
        (scaled(PredefinedMetricSpecification={"PredefinedMetricType": "Other"}), "its metric is no rate"),
    ],
)
def test_where_no_target_was_crossed_that_is_unknown(tmp_path: Path, scaling: dict[str, Any], why: str) -> None:
    (found,), (said,) = lags(tmp_path, USUAL, scaling=scaling)
    assert found.crossed_s is None, why
    assert said.startswith("scale-out 1: crossed unknown, alarm at 0:06:05, desired +0 s, in service +235 s")


def test_instances_that_never_came_are_unknown(tmp_path: Path) -> None:
    (found,), (said,) = lags(tmp_path, USUAL[:-1], slow=(200, 2000))
    assert (found.in_service_s, found.latency) == (None, NOT_BACK)
    assert "in service unknown, latency back: not back" in said


def test_a_second_scale_out_is_counted_from_where_the_first_one_served(tmp_path: Path) -> None:
    events = [*USUAL, asked(800, 3), level(805, 3, 2), served(1000, 3)]
    first, second = lags(tmp_path, events, scaling=scaled(TargetValue=400.0))[0]
    assert (first.instances, second.instances) == (2, 3)
    assert second == Lag(3, 600.0, 365.0, 800.0, 1000.0, None, NEVER_BROKEN)


def test_an_alarm_that_was_on_already_is_told_with_its_time(tmp_path: Path) -> None:
    events = [*USUAL, asked(800, 3), served(1000, 3)]
    said = lags(tmp_path, events, scaling=scaled(TargetValue=400.0))[1][1]
    assert said.startswith("scale-out 2: crossed at 0:10:00, alarm at 0:06:05, desired +200 s, in service +200 s")


@pytest.mark.parametrize(
    ("events", "alarm_s"),
    [
        ([START, alarm(200, "OK", "ALARM", LOW), asked(365, 2)], None),  # the one that scales in
        ([START, alarm(200, "OK", "ALARM"), alarm(300, "ALARM", "OK"), asked(365, 2)], None),
        ([START, alarm(200, "OK", "ALARM", "by hand"), alarm(300, "OK", "ALARM"), asked(365, 2)], 300.0),
        ([START, asked(365, 2), alarm(400, "OK", "ALARM")], None),  # too late to have caused it
    ],
)
def test_the_alarm_is_the_one_that_was_on_when_instances_were_asked_for(
    tmp_path: Path, events: list[ScalingEvent], alarm_s: float | None
) -> None:
    (found,), _ = lags(tmp_path, events)
    assert found.alarm_s == alarm_s


@pytest.mark.parametrize(
    "events",
    [
        [START],
        [level(0, 2, 2), asked(500, 1), served(510, 1)],  # in
        [asked(5, 2), served(100, 2)],  # from how many, nobody knows
        [],
    ],
)
def test_without_a_scale_out_there_is_no_lag(tmp_path: Path, events: list[ScalingEvent]) -> None:
    assert lags(tmp_path, events) == ([], [])
