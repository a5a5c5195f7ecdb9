"""What a configuration will send, computed by hand; and the warnings that belong to it."""

from __future__ import annotations

import datetime
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_locust.analysis.plan import Plan
from sm_locust.config import ConfigError, RunConfig, load
from sm_locust.payloads import Payload
from sm_locust.prices import Price, Prices
from sm_locust.schedule import Phase, Schedule

CONFIGS = Path(__file__).parents[2] / "configs"
TODAY = datetime.date(2026, 11, 24)
BODY = (Payload(b"5,3.5,1.3,0.3", "text/csv"),)


def planned(config: RunConfig, payloads: tuple[Payload, ...] = BODY, prices: Prices | None = None, **how: Any) -> Plan:
    return Plan.of(config, payloads, prices or Prices(), today=TODAY, **how)


def config(*phases: tuple[float, float, float | None], **sections: Any) -> RunConfig:
    rows = [
        {"name": f"phase {i}", "duration": duration, "arrival_rate": rate, **({} if to is None else {"ramp_to": to})}
        for i, (duration, rate, to) in enumerate(phases)
    ]
    return RunConfig.from_dict({"target": {"endpoint": "e", "region": "us-east-1"}, "phases": rows, **sections})


def scaling(target: float, fewest: int = 1, most: int = 4, metric: str = "InvocationsPerInstance") -> dict[str, Any]:
    return {
        "min_instances": fewest,
        "max_instances": most,
        "target": target,
        "metric": f"SageMakerVariant{metric}",
    }


def test_the_reference_experiment_is_planned_as_the_blog_has_it() -> None:
    plan = planned(load(CONFIGS / "decision_trees.yaml"))
    assert plan.arrivals == 3_960_000
    assert [(phase.rate, phase.end_rate, phase.arrivals) for phase in plan.phases] == [
        (200, 600, 1_440_000),
        (600, 800, 2_520_000),
    ]
    minute, rate = plan.busiest
    assert minute == 119
    assert rate == pytest.approx(60 * (800 - 200 / 3600 * 30))
    assert plan.reach is not None
    assert plan.reach.crossed_s == pytest.approx(32.5 * 60)
    assert plan.schedule.crossing(28_000 / 60) == pytest.approx(40 * 60)
    assert (plan.reach.needed, plan.reach.at_maximum) == (2, 100_000)
    assert plan.bytes_sent == 3_960_000 * 13
    assert plan.processes == 1
    assert plan.warnings == ()
    assert plan.refusals == ()


def test_a_compressed_plan_sends_less_at_the_same_rates_and_its_minutes_are_the_schedules() -> None:
    plan = planned(load(CONFIGS / "local.yaml"), speed=60)
    whole = planned(load(CONFIGS / "local.yaml"))
    assert (plan.arrivals, plan.real_seconds) == (66_000, 120)
    assert sum(phase.arrivals for phase in plan.phases) == 66_000
    assert (plan.busiest, plan.peak_rate, plan.reach) == (whole.busiest, whole.peak_rate, whole.reach)


@given(
    st.lists(st.tuples(st.floats(1, 500), st.floats(0, 1000), st.none() | st.floats(0, 1000)), min_size=1, max_size=6)
)
def test_no_minute_is_busier_than_the_busiest(phases: list[tuple[float, float, float | None]]) -> None:
    plan = planned(config(*phases))
    schedule = plan.schedule
    rates = []
    for minute in range(math.ceil(schedule.duration / 60)):
        start, end = minute * 60.0, min(minute * 60 + 60.0, schedule.duration)
        arrivals = schedule.expected(end) - schedule.expected(start)
        rates.append(arrivals if minute else arrivals / end * 60)
    assert plan.busiest[1] == pytest.approx(max(rates), abs=1e-3)
    assert rates[plan.busiest[0]] == pytest.approx(max(rates), abs=1e-3)


@pytest.mark.parametrize(
    ("phases", "busiest"),
    [
        (((60, 10, None), (0.5, 1000, None)), (0, 600)),
        (((60, 10, None), (30, 1000, None)), (1, 30_000)),
        (((30, 1000, None),), (0, 60_000)),
    ],
)
def test_a_piece_of_a_minute_is_no_whole_one_unless_it_is_all_there_is(
    phases: tuple[tuple[float, float, float | None], ...], busiest: tuple[int, float]
) -> None:
    assert planned(config(*phases)).busiest == pytest.approx(busiest)


@given(st.integers(1, 200))
def test_the_parts_of_the_chart_add_up_to_the_plan(n: int) -> None:
    plan = planned(load(CONFIGS / "spike.yaml"))
    assert sum(plan.rates(n)) * plan.schedule.duration / n == pytest.approx(plan.arrivals)


@pytest.mark.parametrize(("peak", "processes"), [(1, 1), (5_000, 1), (5_001, 2), (12_000, 3), (0, 1)])
def test_a_process_takes_5000_arrivals_a_second(peak: float, processes: int) -> None:
    assert planned(config((60, peak, None))).processes == processes


def test_in_flight_is_rate_times_time() -> None:
    plan = planned(config((60, 500, None), arrivals={"max_in_flight": 1000}))
    assert plan.stall_s == 2.0
    assert planned(config((60, 0, None))).stall_s == math.inf


def test_bodies_that_differ_are_counted_by_their_mean() -> None:
    plan = planned(config((100, 10, None)), (Payload(b"1", "a/b"), Payload(b"1234567", "a/b")))
    assert plan.bytes_sent == 4000
    unknown = planned(config((100, 10, None)), ())
    assert unknown.bytes_sent is None
    assert [item.key for item in unknown.cost.items] == ["instance_hour", "get_metric_data_thousand"]


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (
            config((600, 500, None), scaling=scaling(5_000)),
            "the busiest minute has 30,000 requests, and max_instances (4) take 20,000 at the target: raise "
            "max_instances, or expect them to be overloaded",
        ),
        (
            config((600, 500, None), scaling=scaling(20_000, fewest=2)),
            "the load never reaches 40,000 a minute, so that scaling has nothing to do: raise the load, or lower "
            "scaling.target",
        ),
        (
            config((600, 8_000, None)),
            "at the peak a process has 4,000 users, and past 1,000 Locust falls behind: give arrivals.per_user: 4",
        ),
        (
            config((600, 8_000, None), arrivals={"per_user": 2}),
            "at the peak a process has 2,000 users, and past 1,000 Locust falls behind: give arrivals.per_user: 4",
        ),
        (
            config((600, 10, None), target={"endpoint": "e"}),
            "a price is that of a region, and neither target.region nor AWS_DEFAULT_REGION names one",
        ),
    ],
)
def test_what_is_worth_another_look_is_said_with_what_to_do(told: RunConfig, said: str) -> None:
    assert planned(told).warnings == (said,)


def test_old_prices_of_the_cache_are_used_and_their_age_is_said() -> None:
    old = Prices({"data_in_gb": Price(1.0, TODAY - datetime.timedelta(days=45), "cache")})
    plan = planned(config((600, 10, None)), prices=old)
    assert plan.warnings == ("prices of the cache are 45 days old (data_in_gb): `sm-locust check` asks AWS again",)
    assert plan.cost.items[1].amount is not None


def test_requests_at_a_time_are_not_requests_a_minute() -> None:
    at_a_time = scaling(5, metric="ConcurrentRequestsPerModelHighResolution")
    assert planned(config((600, 500, None), scaling=at_a_time)).reach is None


def test_a_guard_refuses_the_run_or_warns_of_the_experiment() -> None:
    prices = {"instance_hour": 6, "data_in_gb": 0, "get_metric_data_thousand": 0}
    known = Prices({key: Price(float(usd), TODAY, "config") for key, usd in prices.items()})
    told = {"scaling": scaling(5_000, most=1)}
    plan = planned(config((600, 100, None), **told, guard={"max_requests": 59_999, "max_cost": 0.5}), prices=known)
    assert plan.refusals == (
        "the schedule sends 60,000 requests and guard.max_requests allows 59,999",
        "the run costs $1.00, and guard.max_cost allows $0.50",
    )
    plan = planned(config((600, 100, None), **told, guard={"max_cost": 2}), prices=known)
    assert plan.refusals == ()
    assert plan.warnings[-1].startswith("an experiment would be refused: the experiment costs $2.50, and guard")


def test_without_phases_there_is_nothing_to_plan() -> None:
    with pytest.raises(ConfigError, match=r"^phases: missing; required: the load to plan"):
        planned(RunConfig())


def test_a_plan_is_json() -> None:
    found = json.loads(json.dumps(planned(load(CONFIGS / "decision_trees.yaml")).as_dict(), allow_nan=False))
    assert found["arrivals"] == 3_960_000
    assert found["scaling"]["crossed_s"] == pytest.approx(1950)
    assert found["cost"]["missing_prices"] == ["instance_hour", "data_in_gb", "get_metric_data_thousand"]
    assert found["cost"]["items"][0]["quantity"] == [2, 8]
    assert found["target"]["endpoint"] == "decision-trees-sample"
    nothing = planned(config((60, 0, None), target={"container": "http://127.0.0.1:1/invocations"})).as_dict()
    json.dumps(nothing, allow_nan=False)


def test_a_schedule_of_months_is_planned_at_once() -> None:
    plan = planned(config(*[(720 * 3600.0, 1.0, float(i)) for i in range(1, 400)]))
    assert plan.busiest[1] == pytest.approx(60 * 399, rel=1e-3)
    assert Schedule([Phase("x", 720 * 3600, 1)]).duration < plan.schedule.duration
