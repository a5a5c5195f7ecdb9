"""What scaling should be set to: by hand for the reference experiment, and what must hold for any load."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_locust.analysis.capacity import Capacity
from sm_locust.analysis.curve import Curve, Knot
from sm_locust.analysis.lag import NO_LIMIT, Lag
from sm_locust.analysis.minutes import Minutes
from sm_locust.analysis.recommendation import LEAST_SAFETY, MOST_SAFETY, Recommendation, base, needed
from sm_locust.analysis.summary import Summary
from sm_locust.analysis.watched import Watched
from sm_locust.config import RunConfig
from sm_locust.prices import Cache, Prices
from sm_locust.record.observation import ScalingEvent
from sm_locust.schedule import Phase, Schedule
from tests.analysis.folders import REFERENCE, SCALED, UNSCALED, before_and_after, played, watch

SETTING = {"min_instances": 1, "max_instances": 4, "metric": "SageMakerVariantInvocationsPerInstance", "target": 25000}
CONFIG: dict[str, Any] = {
    "target": {"endpoint": "decision-trees-sample", "region": "us-east-1"},
    "slo": {"latency_mean": "15ms", "error_rate": "5%"},
}
MEASURED = Capacity(
    "ramp",
    max_rps=470,
    low=465,
    high=474,
    reached=True,
    limited_by="latency_mean",
    fails_at=475,
    instances=1,
)
LOAD = Schedule(REFERENCE)
# One instance of the reference: 9 ms up to 470 a second, and then a queue of 160.
CURVE = Curve((Knot(200, 0.0085), Knot(470, 0.009)), 200, 800, 0.36, ceiling=470.6, full=0.35)


def config(**sections: Any) -> RunConfig:
    return RunConfig.from_dict({**CONFIG, **sections})


def scale_out(crossed: float | None, desired: float, in_service: float | None) -> Lag:
    return Lag(2, crossed, None, desired, in_service, None, NO_LIMIT)


def after(lag_s: float) -> list[Lag]:
    """One scale-out that took so long, 240 s of it for provisioning."""
    return [scale_out(1000.0, 1000.0 + max(0.0, lag_s - 240), 1000.0 + lag_s)]


def watched(state: dict[str, Any] | None) -> Watched:
    return Watched(60.0, True, (), (), (), state, {}, None)


def recommended(schedule: Schedule | None = LOAD, capacity: Capacity = MEASURED, **given: Any) -> Recommendation:
    found = Recommendation.of(capacity, given.pop("config", config()), schedule, **given)
    assert found is not None
    return found


def numbers(found: Recommendation) -> tuple[float | None, int, int]:
    option = found.recommended
    assert option is not None
    return option.target, option.min_instances, option.max_instances


def load(*phases: tuple[float, float, float | None]) -> Schedule:
    return Schedule(Phase(f"phase {i}", *phase) for i, phase in enumerate(phases))


# -- the reference experiment ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lags", "target", "lag_s", "measured"),
    [(after(391), 24_000, 451, True), (after(300), 25_000, 360, True), ([], 24_000, 480, False)],
)
def test_the_reference_experiment(lags: list[Lag], target: float, lag_s: float, measured: bool) -> None:
    found = recommended(lags=lags)
    # 465 − (lag in which 1/9 a second more arrive each second), at most nine tenths of 465, as 60 a minute.
    by_hand = min(0.9 * 465, 465 - lag_s / 9) * 60
    assert target <= by_hand < target + 1000
    assert numbers(found) == (target, 2, 3)
    assert found.wait is not None
    assert (found.wait.lag_s, found.wait.measured) == (lag_s, measured)
    assert found.aws is not None
    assert (found.aws.target, found.aws.min_instances, found.aws.max_instances) == (13_000, 2, 5)


def test_what_is_said_and_written_down() -> None:
    found = recommended(lags=after(391), config=config(scaling=SETTING))
    data = json.loads(json.dumps(found.as_dict()))
    assert data["refused"] is None
    assert (data["target"], data["min_instances"], data["max_instances"]) == (24_000, 2, 3)
    assert (data["max_rps"], data["safety"]) == (465, pytest.approx(0.892, abs=1e-3))
    assert data["growth"] == {"by_rps": 50.111, "from_rps": 200, "at_s": 0}
    assert data["lag"] == {"s": 451, "crossed_to_in_service_s": 391, "provision_s": 240}
    assert (data["assumed"], data["aws"]) == (False, {"safety": 0.5, "target": 13_000})
    assert (data["scale_out_cooldown_s"], data["scale_in_cooldown_s"]) == (180, 480)
    assert [option["name"] for option in data["options"]] == ["now", "recommended", "aws"]
    assert data["options"][0]["target"] == 25_000
    assert data["reasons"] == [
        "One instance sustains 465 requests a second (MAX_RPS): the lower bound of what was measured, 470.",
        "A scale-out takes 451 s from when the load crosses the target: 60 s until it is seen, and the longest that "
        "was measured from there until all serve, 391 s.",
        "In that time the planned load grows by up to 50.1 a second, from 200 at minute 0: 11% of what each instance "
        "sustains. Safety factor 0.892: the rest.",
        "At least 2 instances, for availability; the first minute's 203 a second need no more.",
        "At most 3 instances: 2 for the planned peak of 800 a second, and 1 in case one is lost.",
        "Cooldown after a scale-out 180 s: for as long the alarm still looks at minutes from before it. After a "
        "scale-in 480 s: never less than AWS's 300 s, nor than it takes to have back what was removed too early.",
        "No latency is predicted, for want of a curve; instance-hours are those of instances that come and go at once.",
    ]


# -- what must hold for any load ---------------------------------------------------------------------------------------

schedules = st.lists(
    st.tuples(st.integers(1, 7200), st.floats(0, 2000), st.none() | st.floats(0, 2000)), min_size=1, max_size=5
).map(lambda phases: load(*phases))
capacities = st.floats(1, 2000).map(lambda rps: replace(MEASURED, max_rps=rps * 1.01, low=rps, high=rps * 1.02))
lags = st.floats(1, 1800)


@given(schedules | st.none(), capacities, lags)
def test_bounds_and_target_hold_the_load(schedule: Schedule | None, capacity: Capacity, lag: float) -> None:
    found = recommended(schedule, capacity, lags=after(lag))
    target, least, most = numbers(found)
    assert target is not None and capacity.low is not None
    assert found.safety is not None and LEAST_SAFETY <= found.safety <= MOST_SAFETY
    assert 0 < target <= found.safety * capacity.low * 60 * (1 + 1e-8)
    assert target < capacity.low * 60
    # Rounded down to two significant digits, and no further.
    assert target * 1.1 >= found.safety * capacity.low * 60 * (1 - 1e-8)
    assert float(f"{target:.2g}") == target
    assert 2 <= least <= most
    if schedule is not None:
        assert least * target >= base(schedule) * 60 * (1 - 1e-8)
        assert (most - 1) * target >= schedule.peak * 60 * (1 - 1e-8)
        if found.too_fast:
            assert least * target >= schedule.peak * 60 * (1 - 1e-8)
    for option in found.options:
        assert option.min_instances <= option.max_instances


@given(schedules, capacities, lags, st.floats(1, 1800))
def test_a_longer_lag_never_raises_the_target(schedule: Schedule, capacity: Capacity, lag: float, more: float) -> None:
    shorter, _, _ = numbers(recommended(schedule, capacity, lags=after(lag)))
    longer, _, _ = numbers(recommended(schedule, capacity, lags=after(lag + more)))
    assert shorter is not None and longer is not None
    assert longer <= shorter


@given(schedules, capacities, lags)
def test_a_load_that_grows_as_planned_never_overloads_an_instance(
    schedule: Schedule, capacity: Capacity, lag: float
) -> None:
    """Crossing the target of all instances that serve, and for one lag with no help, each has at most MAX_RPS."""
    found = recommended(schedule, capacity, lags=after(lag))
    target, least, _ = numbers(found)
    assert target is not None and capacity.low is not None and found.wait is not None
    if found.too_fast:
        return
    at = [schedule.duration * i / 50 for i in range(51)]
    for start in at:
        serving = max(least, needed(schedule.rate(start), target))
        later = max(schedule.rate(t) for t in at if start <= t <= start + found.wait.lag_s)
        assert later / serving <= capacity.low * (1 + 1e-6)


@given(schedules, capacities, lags)
def test_headroom_is_what_the_most_instances_sustain_over_the_planned_peak(
    schedule: Schedule, capacity: Capacity, lag: float
) -> None:
    found = recommended(schedule, capacity, lags=after(lag))
    assert found.peak == schedule.peak
    for option in found.options:
        assert capacity.low is not None
        assert option.sustains == pytest.approx(option.max_instances * capacity.low)
        if option.headroom is None:
            assert schedule.peak < 1e-300
            continue
        assert (1 + option.headroom) * schedule.peak == pytest.approx(option.sustains)
    # One instance may be lost at the peak, at the target that leaves room besides.
    assert found.recommended is not None
    assert found.recommended.headroom is None or found.recommended.headroom > 0


# -- loads of other shapes ---------------------------------------------------------------------------------------------


def test_a_flat_load_keeps_a_tenth_free_and_its_minimum_carries_it() -> None:
    found = recommended(load((3600, 1000, None)))
    assert found.safety == MOST_SAFETY
    assert numbers(found) == (25_000, 3, 4)
    assert "never more" in " ".join(found.reasons)
    assert "At least 3 instances: for the first minute's 1,000 a second at the target." in found.reasons


def test_steps_are_grown_by_at_once() -> None:
    found = recommended(load((600, 100, None), (600, 200, None), (600, 300, None)), lags=after(240))
    assert found.growth is not None
    assert (found.growth.by, found.growth.start) == (100, 100)
    assert numbers(found) == (21_000, 2, 2)  # (465 − 100) × 60 = 21,900; 300 a second take one, and one to spare


def test_a_spike_too_steep_to_follow_is_carried_by_the_minimum() -> None:
    found = recommended(load((480, 200, None), (240, 600, None), (480, 200, None)))
    assert found.too_fast
    assert found.safety == LEAST_SAFETY
    assert numbers(found) == (13_000, 3, 4)
    assert "too fast for scaling to follow: the minimum carries the peak" in " ".join(found.reasons)
    assert found.aws is not None
    assert (found.aws.target, found.aws.min_instances) == (13_000, 2)  # which the spike would find


def test_a_large_fleet_shares_what_its_load_grows_by() -> None:
    found = recommended(load((7200, 5000, 10000)))
    assert not found.too_fast
    assert found.safety == MOST_SAFETY
    assert numbers(found) == (25_000, 13, 25)
    assert any("shared among those that serve, 7% of what each" in reason for reason in found.reasons)


def test_without_a_planned_load_aws_factor_stands() -> None:
    found = recommended(None)
    assert numbers(found) == (13_000, 2, 4)
    assert found.growth is None
    assert found.safety == 0.5
    assert all(option.instance_hours is None for option in found.options)
    assert "Safety factor 0.5, AWS's first: no load is planned from which another would follow." in found.reasons
    assert numbers(recommended(None, config=config(scaling={**SETTING, "max_instances": 9}))) == (13_000, 2, 9)


def test_a_load_of_nothing_needs_what_is_always_there() -> None:
    assert numbers(recommended(load((60, 0, None)))) == (25_000, 2, 2)


def test_where_it_never_broke_the_target_may_be_too_low() -> None:
    found = recommended(capacity=replace(MEASURED, max_rps=465, high=None, reached=False, limited_by=None))
    assert found.lower_bound
    assert "never seen to break" in found.reasons[0]


def test_without_a_lower_bound_the_estimate_counts() -> None:
    assert recommended(capacity=replace(MEASURED, low=None)).max_rps == 470


# -- refused -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("capacity", "why"),
    [
        (Capacity("ramp", refused="the endpoint became slower over time"), "the endpoint became slower over time"),
        (Capacity("ramp", reached=True, fails_at=10, instances=1), "the SLO held at no rate"),
        (replace(MEASURED, max_rps=0.0, low=0.0), "the SLO held at no rate"),
        (
            replace(MEASURED, max_rps=10.0, low=0.0),
            "the SLO held at 10 a second, but too seldom to know a rate at which",
        ),
        (replace(MEASURED, instances=None), "how many instances served is not known, and so not what one of them"),
        (replace(MEASURED, low=0.001), "the planned load needs more than 10,000 instances"),
    ],
)
def test_what_cannot_be_said_is_refused_without_a_number(capacity: Capacity, why: str) -> None:
    found = recommended(capacity=capacity)
    assert found.refused.startswith(why)
    assert found.as_dict() == {"refused": found.refused}
    assert (found.options, found.reasons) == ((), ())


def test_a_serverless_variant_has_nothing_to_scale() -> None:
    found = recommended(watched=watched({**UNSCALED, "instances": None}))
    assert (
        found.refused == "endpoint/decision-trees-sample/variant/AllTraffic is serverless: it has no instances to scale"
    )


@pytest.mark.parametrize("target", [None, {"container": "http://127.0.0.1:8080/invocations"}])
def test_nothing_is_said_where_nothing_can_be_scaled(target: dict[str, str] | None) -> None:
    nothing = RunConfig.from_dict({} if target is None else {"target": target})
    assert Recommendation.of(MEASURED, nothing, LOAD) is None


# -- lags --------------------------------------------------------------------------------------------------------------


def test_the_longest_measured_scale_out_counts_and_one_that_was_not_seen_to_the_end_does_not() -> None:
    seen = [*after(300), *after(420), scale_out(10.0, 20.0, None)]
    wait = recommended(lags=seen).wait
    assert wait is not None
    assert (wait.serving_s, wait.lag_s, wait.measured) == (420, 480, True)


def test_provisioning_that_was_measured_alone_replaces_its_assumption() -> None:
    found = recommended(lags=[scale_out(None, 100.0, 430.0)])
    wait = found.wait
    assert wait is not None
    assert (wait.provision_s, wait.serving_s, wait.lag_s, wait.measured) == (330, 510, 570, False)
    assert "180 s until the alarm and the longest that was measured, 330 s of provisioning" in found.reasons[1]
    assert "assumption" in found.reasons[1]


@pytest.mark.parametrize(("lag", "scale_in"), [(100, 300), (241, 360), (391, 480), (1000, 1080)])
def test_scale_in_waits_for_as_long_as_a_scale_out_takes(lag: float, scale_in: float) -> None:
    option = recommended(lags=after(lag)).recommended
    assert option is not None
    assert (option.scale_out_cooldown, option.scale_in_cooldown) == (180, scale_in)


# -- what is configured now --------------------------------------------------------------------------------------------


def test_what_the_run_found_comes_before_what_the_configuration_sets_up() -> None:
    policy = SCALED["policies"][0]
    tracking = {**policy["TargetTrackingScalingPolicyConfiguration"], "TargetValue": 20000.0, "ScaleInCooldown": 600}
    state = {**SCALED, "policies": [{**policy, "TargetTrackingScalingPolicyConfiguration": tracking}]}
    found = recommended(config=config(scaling=SETTING), watched=watched(state))
    assert found.now is not None
    assert (found.now.target, found.now.min_instances, found.now.max_instances) == (20_000, 1, 4)
    assert (found.now.scale_out_cooldown, found.now.scale_in_cooldown) == (300, 600)
    assert found.now_is == "found at the start"


def test_else_the_configuration_and_else_the_instances_that_nothing_scales() -> None:
    configured = recommended(config=config(scaling={**SETTING, "scale_out_cooldown": "1m"}), watched=watched(UNSCALED))
    assert configured.now is not None
    assert (configured.now.target, configured.now.scale_out_cooldown) == (25_000, 60)
    fixed = recommended(watched=watched({**UNSCALED, "instances": 3}))
    assert fixed.now is not None
    assert (fixed.now.target, fixed.now.min_instances, fixed.now.max_instances) == (None, 3, 3)
    assert fixed.now.instance_hours == pytest.approx(6)
    assert recommended().now is None
    assert len(recommended().options) == 2


def test_what_may_go_down_to_nothing_is_predicted_with_one() -> None:
    state = {**SCALED, "target": {**SCALED["target"], "MinCapacity": 0}}
    found = recommended(curve=CURVE, watched=watched(state))
    one = recommended(curve=CURVE, watched=watched(SCALED))
    assert found.now is not None and one.now is not None
    assert found.now.min_instances == 0
    assert (found.now.instance_hours, found.now.errors) == (one.now.instance_hours, one.now.errors)


def test_scaling_by_something_else_is_not_predicted() -> None:
    concurrency = {**SETTING, "metric": "SageMakerVariantConcurrentRequestsPerModelHighResolution", "target": 5}
    assert recommended(config=config(scaling=concurrency)).now is None


# -- what would become of the load -------------------------------------------------------------------------------------


def priced(**prices: Any) -> dict[str, Any]:
    found = config(prices={"as_of": "2026-11-24", **prices})
    return {"config": found, "prices": Prices.of(found, Cache(Path(), {}))}


def test_hours_and_cost_for_the_planned_load() -> None:
    found = recommended(lags=after(391), **priced(instance_hour=0.28))
    now, aws = found.recommended, found.aws
    assert now is not None and aws is not None
    assert now.instance_hours == pytest.approx(4)  # two instances for two hours
    assert now.cost == pytest.approx(1.12)
    assert now.per_million == pytest.approx(1.12 / 3.96)
    assert aws.instance_hours is not None and now.instance_hours is not None
    assert aws.instance_hours > now.instance_hours


def test_without_a_price_hours_alone_and_with_a_price_of_nothing_nothing() -> None:
    unknown, free = recommended().recommended, recommended(**priced(instance_hour=0)).recommended
    assert unknown is not None and free is not None
    assert (unknown.cost, unknown.per_million) == (None, None)
    assert unknown.instance_hours is not None
    assert (free.cost, free.per_million) == (0, 0)
    nothing = recommended(load((60, 0, None)), **priced(instance_hour=1)).recommended
    assert nothing is not None
    assert nothing.per_million is None
    assert nothing.cost == pytest.approx(2 / 60)


def test_with_a_curve_it_is_predicted_that_one_instance_breaks_and_what_is_recommended_does_not() -> None:
    found = recommended(lags=after(391), curve=CURVE, watched=watched(UNSCALED))
    assert found.now is not None and found.recommended is not None
    assert found.now.worst_mean is not None and found.now.errors is not None
    assert found.now.worst_mean > 0.3
    assert found.now.errors > 100_000
    assert found.recommended.worst_mean is not None
    assert found.recommended.worst_mean < 0.012  # in virtual time it was 10.6 ms
    assert found.recommended.errors == 0
    assert found.recommended.instance_hours == pytest.approx(4)
    assert "No latency is predicted" not in " ".join(found.reasons)


def test_what_goes_beyond_a_run_that_never_broke_is_not_predicted() -> None:
    unbroken = replace(CURVE, ceiling=None, full=None, highest=450.0)
    found = recommended(lags=after(391), curve=unbroken, watched=watched(UNSCALED))
    assert found.now is not None and found.recommended is not None
    assert (found.now.worst_mean, found.now.errors) == (None, None)  # 800 a second on one instance
    assert found.recommended.worst_mean is not None
    assert found.recommended.errors == 0
    assert "No latency is predicted" not in " ".join(found.reasons)


def test_it_is_predicted_with_the_provisioning_that_was_measured() -> None:
    def hours(provision_s: float) -> float:
        slow = [scale_out(1000.0, 1200.0, 1200.0 + provision_s)]
        now = recommended(lags=slow, curve=CURVE, config=config(scaling=SETTING)).now
        assert now is not None and now.instance_hours is not None
        return now.instance_hours

    assert hours(60) - hours(660) == pytest.approx(600 / 3600)  # the one scale-out serves ten minutes later


def test_arrivals_by_chance_are_predicted_to_wait_longer() -> None:
    def worst(spacing: str) -> float:
        found = recommended(lags=after(391), curve=CURVE, config=config(arrivals={"spacing": spacing})).recommended
        assert found is not None and found.worst_mean is not None
        return found.worst_mean

    assert worst("poisson") > worst("even") + 0.001


def test_the_copies_of_an_inference_component() -> None:
    of_copies = config(request={"inference_component": "trees"})
    found = recommended(config=of_copies, prices=priced(instance_hour=1)["prices"])
    assert found.scaled.resource_id == "inference-component/trees"
    assert found.scaled.metric == "SageMakerInferenceComponentInvocationsPerCopy"
    assert found.reasons[3].startswith("At least 2 copies, for availability")
    assert found.recommended is not None
    assert found.recommended.cost is None  # copies share instances
    assert recommended(config=of_copies, capacity=replace(MEASURED, instances=None)).refused.startswith(
        "how many copies"
    )


# -- from a run --------------------------------------------------------------------------------------------------------


def test_a_run_has_all_that_it_takes(tmp_path: Path) -> None:
    _, run = before_and_after(tmp_path, CONFIG)
    summary = Summary.of(run)
    given = (config(), run.meta["schedule"]["phases"], summary.watched, summary.lags, summary.curve)
    found = Recommendation.of_run(MEASURED, *given)
    assert found is not None and found.recommended is not None and found.wait is not None
    assert found.wait.serving_s == pytest.approx(300)  # crossed with minute 32, in service with minute 37
    assert found.recommended.worst_mean is not None
    assert found.now_is == "found at the start"


def test_a_run_without_phases_of_its_own_has_those_of_its_configuration(tmp_path: Path) -> None:
    run = watch(played(tmp_path, (Phase("one", 60, 5),)), events=[ScalingEvent(0.0, 1, 1, "")])
    minutes = Minutes.of(run)
    planned = config(phases=[{"name": "flat", "duration": "1h", "arrival_rate": 1000}])
    given = (Watched.of(run, minutes), (), None)
    found = Recommendation.of_run(MEASURED, planned, (), *given)
    assert found is not None
    assert numbers(found) == (25_000, 3, 4)
    own = Recommendation.of_run(MEASURED, planned, run.meta["schedule"]["phases"], *given)
    assert own is not None
    assert numbers(own) == (25_000, 2, 2)
    nothing = Recommendation.of_run(MEASURED, config(), (), None, (), None)
    assert nothing is not None
    assert nothing.safety == 0.5


def test_needed_takes_no_instance_more_for_a_rounding_error() -> None:
    assert [needed(rate, 25_000) for rate in (0, 1, 25_000 / 60, 25_001 / 60, 3 * 25_000 / 60)] == [1, 1, 1, 2, 3]
    assert math.isfinite(needed(1e6, 0.001))
