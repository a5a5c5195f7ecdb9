"""What a load will cost, by hand; and what a guard on it refuses."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from sm_locust.analysis.cost import METRICS_A_PULL, PULL_EVERY, PULL_FOR_A_RULE, UNITS, Cost, check_cost, dollars
from sm_locust.config import ConfigError, RunConfig
from sm_locust.prices import KEYS, Cache, Prices, Seen
from sm_locust.schedule import Phase, Schedule

TWO_HOURS = Schedule([Phase("warm up", 3600, 200, ramp_to=600), Phase("max load", 3600, 600, ramp_to=800)])
SCALING = {
    "min_instances": 1,
    "max_instances": 4,
    "target": 25_000,
    "metric": "SageMakerVariantInvocationsPerInstance",
}
ALL = {
    "as_of": "2026-11-24",
    "instance_hour": 0.5,
    "data_in_gb": 2,
    "api_gateway_million": 3,
    "lambda_million": 0.25,
    "lambda_gb_second": 0.001,
    "get_metric_data_thousand": 0.125,
}
ENDPOINT = {"endpoint": "e", "region": "us-east-1"}
API = {"api_gateway": "https://x.execute-api.us-east-1.amazonaws.com/S/DT", "auth": "iam", "endpoint": "e"}


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def config(target: dict[str, Any] | None = None, **sections: Any) -> RunConfig:
    return RunConfig.from_dict({"target": target or ENDPOINT, **sections})


def cost(told: RunConfig, **how: Any) -> Cost:
    return Cost.of(told, TWO_HOURS, Prices.of(told), body_bytes=1000.0, **how)


def amounts(found: Cost) -> dict[str, tuple[float, float] | None]:
    return {item.key: item.amount for item in found.items}


def test_every_price_of_the_configuration_has_its_unit() -> None:
    assert set(UNITS) == set(KEYS) == set(ALL) - {"as_of"}


def test_instances_are_counted_from_the_fewest_to_the_most() -> None:
    found = amounts(cost(config(scaling=SCALING, prices=ALL)))
    assert found["instance_hour"] == (1.0, 4.0)  # 2 h × 1 to 4 × $0.50


def test_an_experiment_plays_twice_with_a_pause_and_before_has_the_fewest() -> None:
    found = amounts(cost(config(scaling=SCALING, prices=ALL), played="experiment"))
    pause = 300 / 3600 * 0.5
    assert found["instance_hour"] == pytest.approx((2 + pause, 1 + 4 + 4 * pause))
    assert found["data_in_gb"] == pytest.approx((2 * 3.96 * 2, 2 * 3.96 * 2))


def test_an_endpoint_is_billed_by_the_hour_and_the_byte_and_not_by_the_request() -> None:
    found = cost(config(scaling=SCALING, prices=ALL))
    assert [item.key for item in found.items] == ["instance_hour", "data_in_gb", "get_metric_data_thousand"]
    data, asked = found.items[1:]
    assert data.low == data.high == pytest.approx(3.96)  # 3.96 million × 1 kB
    assert asked.high == pytest.approx((7200 / 60 + 72) * METRICS_A_PULL / 1000)


def test_the_metrics_that_are_asked_for_are_counted_as_often_as_the_watch_asks() -> None:
    rule = {"metric": "CPUUtilization", "above": "95%", "for": "1m"}
    for rules, every, asked in (([], PULL_EVERY, METRICS_A_PULL), ([rule], PULL_FOR_A_RULE, METRICS_A_PULL + 1)):
        told = config(stop_when=rules, cloudwatch={"period": "1s"}) if rules else config(cloudwatch={"period": "1s"})
        assert cost(told).items[-1].high == pytest.approx((7200 / every + 72) * asked / 1000)


def test_a_request_through_the_api_is_billed_by_three() -> None:
    found = amounts(cost(config(API, scaling=SCALING, prices=ALL, slo={"latency_mean": "16ms"})))
    assert found["api_gateway_million"] == pytest.approx((11.88, 11.88))
    assert found["lambda_million"] == pytest.approx((0.99, 0.99))
    assert found["lambda_gb_second"] == pytest.approx((31.68, 31.68))  # × 16 ms × 512 MB × $0.001


def test_what_is_not_priced_is_named_and_the_sum_is_a_lower_bound() -> None:
    found = cost(config(scaling=SCALING, prices={"as_of": "2026-11-24", "instance_hour": 0.5}))
    assert found.missing == ("data_in_gb", "get_metric_data_thousand")
    assert not found.is_known
    assert found.total == (1.0, 4.0)


def test_without_scaling_the_number_of_instances_is_what_was_last_seen() -> None:
    told = config(prices=ALL)
    assert "does not say how many instances" in cost(told).unknown
    cache = Cache.read()
    cache.keep_seen("us-east-1", "e", "AllTraffic", Seen("ml.m4.xlarge", 3))
    cache.write()
    found = cost(told)
    assert found.unknown == ""
    assert (found.items[0].what, found.items[0].amount) == ("ml.m4.xlarge", (3.0, 3.0))


def test_copies_of_a_component_are_not_instances() -> None:
    copies = {**SCALING, "metric": "SageMakerInferenceComponentInvocationsPerCopy"}
    found = cost(config(scaling=copies, prices=ALL))
    assert found.items[0].amount == (1.0, 1.0)
    assert found.unknown


def test_a_custom_metric_scales_copies_where_a_component_is_called() -> None:
    custom = {**SCALING, "metric": {"name": "Busy", "namespace": "Mine", "statistic": "Average"}}
    assert cost(config(scaling=custom, prices=ALL)).items[0].amount == (1.0, 4.0)
    called = cost(config(scaling=custom, prices=ALL, request={"inference_component": "c"}))
    assert called.items[0].amount == (1.0, 1.0)
    assert called.unknown


@pytest.mark.parametrize(
    "target",
    [
        {"endpoint": "e", "url": "http://127.0.0.1:8500"},
        {"endpoint": "e", "url": "http://localhost:8500"},
        {"api_gateway": "http://[::1]:8500/DummyStage/DT", "auth": "none"},
        {"container": "http://10.0.0.7:8080/invocations"},
    ],
)
def test_what_calls_nothing_of_aws_costs_nothing(target: dict[str, Any]) -> None:
    found = cost(config(target, scaling=SCALING, guard={"max_cost": 0.01}))
    assert (found.items, found.total, found.is_known) == ((), (0, 0), True)
    assert found.free
    check_cost(config(target, guard={"max_cost": 0.01}), found)


def test_an_address_that_the_environment_gives_is_this_machine_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", "http://127.0.0.1:8500")
    assert cost(config()).free
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", "https://vpce-1.example.com")
    assert not cost(config()).free


def test_an_endpoint_costs_what_it_costs_whatever_the_steps_of_scenarios_call() -> None:
    there = [{"name": "s", "steps": [{"method": "post", "url": "https://api.example.com/x"}]}]
    here = [{"name": "s", "steps": [{"method": "post", "url": "http://localhost:9000/x"}]}]
    assert not cost(config(scenarios=here, prices=ALL)).free
    assert not cost(config({**ENDPOINT, "url": "http://127.0.0.1:8500"}, scenarios=there)).free
    assert cost(config({**ENDPOINT, "url": "http://127.0.0.1:8500"}, scenarios=here)).free


# The guard


def refusal(told: RunConfig, **how: Any) -> str:
    with pytest.raises(ConfigError) as error:
        check_cost(told, cost(told, **how), **({"what": how["played"]} if how else {}))
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_cost_within_the_guard_is_let_through() -> None:
    told = config(scaling=SCALING, prices=ALL, guard={"max_cost": 20})
    check_cost(told, cost(told))
    check_cost(config(scaling=SCALING), cost(config(scaling=SCALING)))  # without a guard anything is


@pytest.mark.parametrize(
    ("most", "prices", "played", "said"),
    [
        (10, ALL, "run", "the run costs up to $12.21, and guard.max_cost allows $10.00"),
        (
            3,
            {"as_of": "2026-11-24", "instance_hour": 0.5},
            "run",
            "the run costs up to $4.00, and more that is not known, and guard.max_cost allows $3.00",
        ),
        (20, ALL, "experiment", "the experiment costs up to $21.58, and guard.max_cost allows $20.00"),
        (
            50,
            {"as_of": "2026-11-24", "instance_hour": 0.5, "data_in_gb": 2},
            "run",
            "guard.max_cost allows $50.00, and what the run costs is not known without "
            "prices.get_metric_data_thousand: give them in the configuration, or run `sm-locust check`, which asks AWS",
        ),
    ],
)
def test_past_the_guard_or_not_known_it_is_refused_in_one_sentence(
    most: float, prices: dict[str, Any], played: str, said: str
) -> None:
    assert refusal(config(scaling=SCALING, prices=prices, guard={"max_cost": most}), played=played) == said


def test_a_guard_needs_to_know_how_many_instances_there_are() -> None:
    assert "the configuration does not say how many instances" in refusal(config(prices=ALL, guard={"max_cost": 99}))
    assert "what the locustfile calls: the configuration names no endpoint" in refusal(
        RunConfig.from_dict({"guard": {"max_cost": 99}})
    )


@pytest.mark.parametrize(
    ("host", "free", "unknown"),
    [
        ("127.0.0.1:8000", "All of it stays on this machine: nothing is billed.", ""),
        (
            "shop.example.com",
            "",
            "what the hosts of the scenarios bill: the configuration names no endpoint, and prices are those of AWS",
        ),
    ],
)
def test_scenarios_without_a_target_cost_what_their_hosts_bill(host: str, free: str, unknown: str) -> None:
    step = {"method": "get", "url": f"http://{host}/"}
    config = RunConfig.from_dict({"scenarios": [{"name": "look", "steps": [step]}]})
    cost = Cost.of(config, Schedule((Phase("steady", 60, 10),)), Prices.of(config))
    assert (cost.free, cost.unknown) == (free, unknown)


def test_only_what_the_cache_said_grows_old() -> None:
    cache = Cache.read()
    cache.keep_price("us-east-1", "data_in_gb", 2, datetime.date(2026, 10, 1))
    cache.keep_price("us-east-1", "get_metric_data_thousand", 2, datetime.date(2026, 11, 1))
    cache.write()
    found = cost(config(prices={"as_of": "2020-01-01", "instance_hour": 1}))
    assert found.old(datetime.date(2026, 10, 31)) == ()
    assert found.old(datetime.date(2026, 11, 24)) == ("data_in_gb",)


@pytest.mark.parametrize(
    ("usd", "text"),
    [(0, "$0.00"), (0.00001, "<$0.0001"), (0.0042, "$0.004"), (0.01, "$0.01"), (1234.5, "$1,234.50")],
)
def test_an_amount_is_never_nothing_unless_it_is(usd: float, text: str) -> None:
    assert dollars(usd) == text
