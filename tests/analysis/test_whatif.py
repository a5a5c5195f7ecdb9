"""Where each piece of the question comes from, what is refused, and what is said of it."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pytest

from sm_locust.analysis.replay import PROVISION
from sm_locust.analysis.summary import Summary
from sm_locust.analysis.whatif import Asked, WhatIf
from sm_locust.config import ConfigError, RunConfig
from sm_locust.prices import INSTANCE_HOUR, Cache, Seen
from sm_locust.record.observation import ScalingEvent
from sm_locust.record.run import Run
from sm_locust.schedule import Phase
from tests.analysis.folders import played, watch
from tests.analysis.virtual import virtual_run

RAMP = (Phase("ramp", 7200, 20, ramp_to=140),)  # 4 workers of 40 ms answer 100 a second, 6,000 a minute
SLOW: dict[str, Any] = {"service_time": 0.04, "backlog": 20}
SCALING: dict[str, Any] = {
    "min_instances": 1,
    "max_instances": 3,
    "metric": "SageMakerVariantInvocationsPerInstance",
    "target": 5000,
}
CONFIG = {"target": {"endpoint": "e"}, "slo": {"latency_mean": "60ms"}, "scaling": SCALING}


def run_of(folder: Path, **sections: Any) -> Run:
    return virtual_run(folder, RAMP, config={**CONFIG, **sections}, **SLOW)


def summary_of(folder: Path, **sections: Any) -> Summary:
    return Summary.of(run_of(folder, **sections))


@pytest.fixture(scope="module")
def summary(tmp_path_factory: pytest.TempPathFactory) -> Summary:
    return summary_of(tmp_path_factory.mktemp("run"))


def test_by_default_all_of_it_is_the_run_s(summary: Summary) -> None:
    found = WhatIf.of(summary, Asked())
    policy = found.asked.policy
    assert (policy.target, policy.min_instances, policy.max_instances) == (5000, 1, 3)
    assert (policy.scale_out_cooldown, policy.scale_in_cooldown) == (300, 300)
    assert (found.speed, found.limit) == (60, ("latency_mean", 0.06))
    assert found.load.what == "the load that the run had planned"
    assert len(found.asked.minutes) == 120
    assert found.price is None
    assert found.cost(found.asked) is None


def test_what_is_asked_wins(summary: Summary) -> None:
    asked = Asked(target=3000, min_instances=2, max_instances=4, provision_s=100, speed=1)
    found = WhatIf.of(summary, asked)
    policy = found.asked.policy
    assert (policy.target, policy.min_instances, policy.max_instances) == (3000, 2, 4)
    assert (found.speed, found.provision_s, found.provision_from) == (1, 100, "--provision")
    assert found.asked.minutes[0].instances == 2


def test_targets_lie_around_the_ceiling_and_hold_the_one_that_is_asked(summary: Summary) -> None:
    found = WhatIf.of(summary, Asked(target=4321))
    targets = [each.policy.target for each in found.targets]
    assert targets == sorted(targets)
    assert 4321 in targets
    assert [targets[0], targets[-1]] == pytest.approx([3000, 6600], rel=0.01)
    assert len({f"{target:.3g}" for target in targets}) == len(targets) == 8
    assert found.asked in found.targets
    hours = [each.instance_hours for each in found.targets]
    assert hours == sorted(hours, reverse=True)
    assert found.over(found.targets[0]) == 0
    assert (found.over(found.targets[-1]) or 0) > 0


def test_another_load_and_its_scaling_against_the_same_curve(summary: Summary) -> None:
    other: dict[str, Any] = {
        "phases": [{"name": "p", "duration": "10m", "arrival_rate": 80}],
        "scaling": {**SCALING, "target": 4000, "scale_out_cooldown": "60s"},
        "slo": {"service_time_mean": "50ms"},
        "prices": {"instance_hour": 0.5, "as_of": "2026-01-01"},
    }
    found = WhatIf.of(summary, Asked(), RunConfig.from_dict(other))
    assert found.load.what == "the phases of --config"
    assert (len(found.asked.minutes), found.asked.policy.target) == (10, 4000)
    assert (found.asked.policy.scale_out_cooldown, found.limit) == (60, ("service_time_mean", 0.05))
    assert found.cost(found.asked) == pytest.approx(found.asked.instance_hours * 0.5)
    assert found.as_dict()["asked"]["cost"] == pytest.approx(found.asked.instance_hours * 0.5, abs=1e-6)


@pytest.mark.parametrize(("type_", "usd"), [("ml.m4.xlarge", 0.28), (None, None)])
def test_an_hour_costs_what_the_run_s_instances_cost_and_not_those_that_were_seen_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, type_: str | None, usd: float | None
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    cache, today = Cache.read(), datetime.date(2026, 11, 1)
    cache.keep_price("us-east-1", INSTANCE_HOUR, 0.28, today, "ml.m4.xlarge")
    cache.keep_price("us-east-1", INSTANCE_HOUR, 5.0, today, "ml.g5.12xlarge")
    cache.keep_seen("us-east-1", "e", "AllTraffic", Seen("ml.g5.12xlarge", 1))
    cache.write()
    run = run_of(tmp_path / "run", target={"endpoint": "e", "region": "us-east-1"})
    run.finish(endpoint={"instance_type": type_, "instances": 1})
    price = WhatIf.of(Summary.of(run), Asked()).price
    assert (price and price.usd) == usd


def test_a_load_without_scaling_takes_the_run_s(summary: Summary) -> None:
    phases = [{"name": "p", "duration": "10m", "arrival_rate": 80}]
    assert WhatIf.of(summary, Asked(), RunConfig.from_dict({"phases": phases})).asked.policy.target == 5000


def test_another_load_must_have_one(summary: Summary) -> None:
    with pytest.raises(ConfigError, match="--config: no phases"):
        WhatIf.of(summary, Asked(), RunConfig.from_dict({"scaling": SCALING}))


def test_chance_in_the_load_lengthens_queues(summary: Summary) -> None:
    phases = [{"name": "p", "duration": "10m", "arrival_rate": 80}]
    even, chance = (
        WhatIf.of(summary, Asked(), RunConfig.from_dict({"phases": phases, "arrivals": {"spacing": spacing}})).asked
        for spacing in ("even", "poisson")
    )
    assert (chance.worst_mean or 0) > (even.worst_mean or 0) * 1.1


def test_without_scaling_what_is_missing_is_named(tmp_path: Path) -> None:
    summary = Summary.of(virtual_run(tmp_path, RAMP, config={}, **SLOW))
    with pytest.raises(ConfigError, match=r"^--min, --max: missing; required, since .* without `scaling`$"):
        WhatIf.of(summary, Asked(target=5000))
    assert WhatIf.of(summary, Asked(5000, 1, 2)).limit is None


def test_a_metric_that_counts_something_else_is_refused_without_a_target(tmp_path: Path) -> None:
    metric = "SageMakerVariantConcurrentRequestsPerModelHighResolution"
    summary = summary_of(tmp_path, scaling={**SCALING, "metric": metric, "target": 5})
    with pytest.raises(ConfigError, match=f"--target: missing; required, since scaling.metric {metric} does not"):
        WhatIf.of(summary, Asked())
    assert WhatIf.of(summary, Asked(target=5000)).asked.policy.max_instances == 3


def test_bounds_must_hold_something(summary: Summary) -> None:
    with pytest.raises(ConfigError, match=r"^--max 3: not accepted with --min 4; accepted: a whole number, 4 or more$"):
        WhatIf.of(summary, Asked(min_instances=4))


class TestProvision:
    def test_taken_for_granted(self, summary: Summary) -> None:
        found = WhatIf.of(summary, Asked())
        assert found.provision_s == PROVISION
        assert "no scale-out to measure it" in found.provision_from

    def test_measured(self, tmp_path: Path) -> None:
        events = [
            ScalingEvent(0.0, 1, 1, ""),
            ScalingEvent(1200.0, 2, None, "Setting desired instance count to 2."),
            ScalingEvent(1395.0, 2, 2, "Successfully set desired instance count to 2."),
        ]
        config = {**CONFIG, "phases": [{"name": "ramp", "duration": "2h", "arrival_rate": 20, "ramp_to": 140}]}
        run = watch(played(tmp_path, RAMP, speed=60, config=config), events=events)
        found = WhatIf.of(Summary.of(run), Asked())
        assert (found.provision_s, found.provision_from) == (195, "measured: 1 scale-out of the run")


def test_a_search_replays_the_phases_of_its_configuration(tmp_path: Path) -> None:
    phases = [{"name": "day", "duration": "30m", "arrival_rate": 50}]
    run = run_of(tmp_path, phases=phases)
    run.meta["schedule"]["phases"] = []
    found = WhatIf.of(Summary.of(run), Asked(speed=1))
    assert found.load.what == "the phases of the run's configuration, which it did not play"
    assert found.load.rates == pytest.approx((50.0,) * 1800)


def test_a_run_without_a_schedule_replays_what_it_recorded(tmp_path: Path) -> None:
    run = played(tmp_path, RAMP, speed=60, config=CONFIG)
    run.finish(schedule={"source": "", "phases": []})
    found = WhatIf.of(Summary.of(Run.open(run.folder)), Asked())
    assert found.load.what == "the load that the run recorded: arrivals that were due"
    assert found.asked.requests == pytest.approx(9600, abs=2)


def test_a_run_without_a_good_answer_is_refused(tmp_path: Path) -> None:
    run = played(tmp_path, RAMP, lambda at: ("unavailable", 0.002), speed=60, config=CONFIG)
    with pytest.raises(ConfigError, match="no request was answered well"):
        WhatIf.of(Summary.of(run), Asked())


def test_the_answer_is_json(summary: Summary) -> None:
    found = json.loads(json.dumps(WhatIf.of(summary, Asked()).as_dict(), allow_nan=False))
    assert found["curve"]["ceiling"] == pytest.approx(100, rel=0.02)
    assert len(found["asked"]["minutes"]) == 120
    assert "minutes" not in found["targets"][0]
    assert (found["load"], found["slo"]) == (
        "the load that the run had planned",
        {"metric": "latency_mean", "limit_ms": 60},
    )
