"""Configurations side by side: what a capacity costs, what a load needs, and which run may be compared with which."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_locust.analysis.capacity import Capacity
from sm_locust.analysis.compare import Comparison
from sm_locust.analysis.several import Bounded, Configuration, Several, of_pair, work
from sm_locust.analysis.summary import Summary
from sm_locust.prices import NOT_SEEN, Cache, Price, Seen
from sm_locust.record.observation import ScalingEvent
from sm_locust.record.outcome import OK
from sm_locust.record.run import Run, RunError
from sm_locust.schedule import Phase
from tests.analysis.folders import SCALED, before_and_after, meta, played, watch

DAY = datetime.date(2026, 11, 24)
SLO = {"latency_mean": 0.015, "error_rate": 0.05}
REACHED = Capacity("ramp", 400.0, 380.0, 410.0, True, "latency_mean", 420.0, 1)


def capacity(max_rps: float, low: float, high: float | None, instances: float | None = 1) -> Capacity:
    limited = "latency_mean" if high is not None else None
    return Capacity("search", max_rps, low, high, high is not None, limited, high, instances)


def one(
    name: str,
    capacity: Capacity = REACHED,
    price: float | None = 0.28,
    *,
    type: str | None = "ml.m4.xlarge",
    instances: int | None = 1,
    **parts: Any,
) -> Configuration:
    of_an_hour = None if price is None else Price(price, DAY, parts.pop("origin", "cache"))
    parts = {"limits": SLO, "busiest": 800.0, **parts}
    return Configuration(
        name=name, run_id=f"id of {name}", seen=Seen(type, instances), capacity=capacity, price=of_an_hour, **parts
    )


def answered(several: Several) -> tuple[str, list[str]] | None:
    best = several.cheapest
    return None if best is None else (best.configuration.name, [other.name for other in best.close])


# -- arithmetic --------------------------------------------------------------------------------------------------------


def test_a_million_requests_cost_what_their_time_costs() -> None:
    # The facts have it: hourly price ÷ (requests a minute × 60 ÷ 1e6). 24,000 a minute are 1.44 million an hour.
    found = one("a").per_million
    assert found is not None
    assert found.value == pytest.approx(0.28 / 1.44)
    assert found.low == pytest.approx(0.28 / 1.476)
    assert found.high == pytest.approx(0.28 / 1.368)


def test_the_endpoint_sustains_and_costs_what_its_instances_do() -> None:
    two = one("a", instances=2)
    assert two.endpoint == Bounded(800.0, 760.0, 820.0)
    assert two.hourly == 0.56
    assert two.per_million == one("a").per_million
    assert two.headroom(640.0) == pytest.approx(0.25)
    assert two.headroom(1600.0) == pytest.approx(-0.5)


@pytest.mark.parametrize(
    ("load", "instances"),
    [
        (1.0, Bounded(1, 1, 1)),
        (400.0, Bounded(1, 1, 2)),
        (405.0, Bounded(2, 1, 2)),
        (800.0, Bounded(2, 2, 3)),
        (4000.0, Bounded(10, 10, 11)),
    ],
)
def test_a_load_needs_whole_instances(load: float, instances: Bounded) -> None:
    assert one("a").needed(load) == instances
    assert one("a").cost(load) == instances.times(0.28)


def test_three_tenths_need_three_tenths() -> None:
    """In binary 0.3 ÷ 0.1 is not 3: no instance is added for the rounding."""
    for n in range(1, 200):
        needed = one("a", capacity(0.1, 0.1, 0.1)).needed(n * 0.1)
        assert needed == Bounded(n, n, n)


def test_where_nothing_failed_fewer_may_do() -> None:
    found = one("a", capacity(400.0, 380.0, None))
    assert found.needed(1000.0) == Bounded(3, 1, 3)
    assert found.per_million is not None and found.per_million.low == 0.0


@pytest.mark.parametrize(
    "nothing",
    [
        Capacity("ramp", refused="it changed over time"),
        Capacity("search", None, None, 10.0, True, "latency_mean", 10.0, 1),
        replace(REACHED, refused="it changed over time"),
    ],
)
def test_without_a_capacity_nothing_is_reckoned(nothing: Capacity) -> None:
    found = one("a", nothing)
    assert (found.rates, found.for_one, found.endpoint, found.per_million) == (None,) * 4
    assert (found.needed(100.0), found.cost(100.0), found.headroom(100.0)) == (None,) * 3


def test_a_capacity_of_nobody_knows_how_many_is_the_endpoints_alone() -> None:
    found = one("a", capacity(400.0, 380.0, 410.0, instances=None), instances=3)
    assert found.endpoint == Bounded(400.0, 380.0, 410.0)
    assert (found.for_one, found.per_million, found.needed(100.0)) == (None,) * 3


def test_the_endpoint_of_nobody_knows_how_many_sustains_nobody_knows_what() -> None:
    found = one("a", instances=None)
    assert found.endpoint is None and found.hourly is None and found.headroom(100.0) is None
    assert found.needed(800.0) == Bounded(2, 2, 3)  # though a load needs so many of its type


rates = st.floats(0.5, 1e5)


@given(rates, st.floats(0.5, 1.0), st.floats(1.0, 2.0), rates, st.floats(0.01, 100.0))
def test_bounds_hold_what_lies_between_them(best: float, low: float, high: float, load: float, usd: float) -> None:
    found = one("a", capacity(best, best * low, best * high), usd)
    for bounded in (found.rates, found.per_million, found.needed(load), found.cost(load)):
        assert bounded is not None and bounded.high is not None
        assert bounded.low <= bounded.value <= bounded.high
    needed = found.needed(load)
    assert needed is not None
    assert needed.value * best >= load * (1 - 1e-9)
    assert needed.value == 1 or (needed.value - 1) * best < load


# -- the cheapest ------------------------------------------------------------------------------------------------------


def test_the_cheapest_is_so_for_the_load() -> None:
    small = one("small", capacity(100.0, 99.0, 101.0), 0.10, type="ml.m5.large")
    big = one("big", capacity(1000.0, 990.0, 1010.0), 0.50, type="ml.m5.4xlarge")
    assert answered(Several.among([small, big], 150.0)) == ("small", [])
    assert answered(Several.among([small, big], 900.0)) == ("big", [])
    # The same by the million, where there is no load.
    idle = [replace(each, busiest=None) for each in (small, big)]
    assert Several.among(idle).load is None
    assert answered(Several.among(idle)) == ("big", [])


def test_the_load_is_the_busiest_planned_minute_unless_somebody_asks() -> None:
    runs = [one("a", busiest=300.0), one("b", busiest=800.0), one("c", busiest=None)]
    assert (Several.among(runs).load, Several.among(runs).is_asked) == (800.0, False)
    assert (Several.among(runs, 5.0).load, Several.among(runs, 5.0).is_asked) == (5.0, True)


def test_intervals_that_overlap_are_named_and_the_same_type_measured_twice_is_not() -> None:
    runs = [
        one("a", capacity(400.0, 380.0, 410.0), 0.28),
        one("twice", capacity(390.0, 375.0, 405.0), 0.28),
        one("close", capacity(420.0, 390.0, 430.0), 0.30, type="ml.c5.xlarge"),
        one("far", capacity(420.0, 410.0, 430.0), 0.60, type="ml.c5.2xlarge"),
        one("may be close", capacity(420.0, 410.0, None), 0.60, type="ml.c5.4xlarge"),
    ]
    idle = [replace(each, busiest=None) for each in runs]
    assert answered(Several.among(idle)) == ("a", ["close", "may be close"])


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (one("b", invalid=("Requests left late.",)), "is not valid: Requests left late."),
        (one("b", limits={"latency_mean": 0.05, "error_rate": 0.05}), "was held to another SLO than the first run"),
        (one("b", limits={}), "was held to another SLO than the first run"),
        (one("b", Capacity("ramp", refused="it changed over time")), "has no capacity: it changed over time"),
        (one("b", Capacity("search", high=9.0, reached=True)), "has no capacity: the SLO held at no rate"),
        (one("b", capacity(400.0, 380.0, 410.0, None)), "has no capacity of one instance: nobody knows how many"),
        (one("b", price=None), "`sm-locust check` has not asked AWS for it"),
        (one("b", price=None, type=None), "nobody saw its instance type"),
    ],
)
def test_what_cannot_be_compared_says_why_and_is_never_the_cheapest(other: Configuration, why: str) -> None:
    other = replace(other, price=other.price and other.price._replace(usd=0.001))
    found = Several.among([one("a"), other, one("c", price=0.9)])
    (said,) = found.why_not(other)
    assert why in said
    assert answered(found) == ("a", [])
    assert [each.name for each in found.compared] == ["a", "c"]


def test_without_anything_to_compare_there_is_no_cheapest() -> None:
    found = Several.among([one("a", Capacity("ramp", refused="no")), one("b", price=None)])
    assert found.cheapest is None
    assert found.as_dict()["cheapest"] is None


def test_a_run_given_twice_is_refused() -> None:
    with pytest.raises(RunError, match=r"^b: is the same run as a; accepted: each run once$"):
        Several.among([one("a"), replace(one("a"), name="b")])


@given(st.lists(st.tuples(rates, st.floats(0.01, 10.0)), min_size=1, max_size=6), st.none() | rates)
def test_no_run_that_can_be_compared_costs_less_than_the_cheapest(
    found: list[tuple[float, float]], load: float | None
) -> None:
    runs = [
        one(str(n), capacity(best, best * 0.9, best * 1.1), usd, type=f"ml.{n}", busiest=None)
        for n, (best, usd) in enumerate(found)
    ]
    several = Several.among(runs, load)
    best = several.cheapest
    assert best is not None
    for each in runs:
        cost = each.cost(load)
        assert cost is not None and cost.value >= best.cost.value
        apart = each is best.configuration or cost.low > (best.cost.high or 0.0)
        assert (each in best.close) != apart


# -- what to be careful with -------------------------------------------------------------------------------------------


def test_one_price_for_two_types_is_doubted_only_where_configurations_say_it() -> None:
    a, b = one("a", origin="config"), one("b", origin="config", type="ml.c5.large")
    assert Several.among([a, b, one("c", type="ml.c5.large")]).at_one_price == (a, b)
    assert Several.among([a, one("b", origin="config")]).at_one_price == ()  # the same type
    assert Several.among([one("a"), one("b", type="ml.c5.large")]).at_one_price == ()  # AWS says so
    assert Several.among([a, one("b", price=0.5, origin="config", type="x")]).at_one_price == ()


def test_what_requests_were_told_is_held_against_the_first_run() -> None:
    def of(**config: Any) -> dict[str, Any]:
        return work({"config": {"target": {"endpoint": "e"}, **config}})

    first = one("a", work=of(request={"body": "1"}, arrivals={"spacing": "even", "per_user": 1}))
    other = one("b", work=of(request={"body": "2", "target_variant": "Blue"}, arrivals={"spacing": "poisson"}))
    api = one("c", work=work({"config": {"target": {"api_gateway": "https://x", "endpoint": "f"}}}))
    found = Several.among([first, other, api])
    assert found.told_otherwise(first) == ()
    assert found.told_otherwise(other) == ("request.body", "arrivals.spacing")
    assert found.told_otherwise(api) == ("request.body", "arrivals.spacing", "target")
    assert work({}) == {"arrivals.spacing": None, "target": None}


def test_what_compare_json_holds_is_json() -> None:
    found = Several.among([one("a"), one("b", capacity(500.0, 480.0, None), None, type=None, instances=None)])
    written = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert written == found.as_dict()
    first, second = written["configurations"]
    assert written["load"] == {"rps": 800.0, "from": "busiest planned minute"}
    assert first["capacity"]["max_rps"] == 400.0 and first["instance_type"] == "ml.m4.xlarge"
    assert first["at_load"]["instances"] == {"value": 2, "low": 2, "high": 3}
    assert first["at_load"]["hour"] == {"value": 0.56, "low": 0.56, "high": 0.84}
    assert first["price_an_hour"] == {"usd": 0.28, "as_of": "2026-11-24", "from": "cache"}
    assert first["headroom"] == -0.5
    assert (second["price_an_hour"], second["endpoint_rps"], second["headroom"]) == (None, None, None)
    assert written["cheapest"]["run_id"] == first["run_id"]
    assert written["cheapest"]["by"] == "hour_at_load"


# -- from run folders --------------------------------------------------------------------------------------------------

RAMP = (Phase("warm up", 20, 100, judge=False), Phase("ramp", 80, 0, ramp_to=40))


def ramped(parent: Path, endpoint: dict[str, Any] | None = None, **told: Any) -> Run:
    """Latency is a hundredth of the rate: 200 ms at 20 a second; the warm up is slow throughout."""
    config = {"target": {"endpoint": "e", "region": "us-east-1"}, "slo": {"latency_mean": "200ms"}, **told}
    run = played(parent, RAMP, lambda at: (OK, 0.9 if at < 20 else (at - 20) / 200), config=config)
    if endpoint is not None:
        run.finish(endpoint=endpoint)
    return run


def with_capacity(run: Run, found: Capacity) -> Summary:
    return replace(Summary.of(run), capacity=found)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    found = Cache.read(tmp_path / "cache" / "prices.json")
    found.keep_price("us-east-1", "instance_hour", 0.25, DAY, "ml.m4.xlarge")
    found.keep_price("us-east-1", "instance_hour", 0.75, DAY, "ml.c5.large")
    found.keep_seen("us-east-1", "e", "AllTraffic", Seen("ml.m4.xlarge", 9))
    return found


def test_the_latency_is_that_of_the_judged_seconds_close_below_the_capacity(tmp_path: Path, cache: Cache) -> None:
    # 18 to 20 a second are sent in seconds 56 to 60, and answered in 180 to 200 ms.
    near = Configuration.of(with_capacity(ramped(tmp_path), capacity(20.0, 19.0, 21.0, None)), cache).near
    assert near is not None and near.mean is not None and near.p99 is not None
    assert near.mean == pytest.approx(0.19, abs=0.004)
    assert 0.196 <= near.p99 <= 0.2035


def test_the_rate_of_one_instance_is_a_share_of_what_was_sent(tmp_path: Path, cache: Cache) -> None:
    run = watch(ramped(tmp_path), lambda at_s: 2, events=[ScalingEvent(0.0, 2, 2, "")])
    near = Configuration.of(with_capacity(run, capacity(10.0, 9.5, 10.5, 2)), cache).near
    assert near is not None and near.mean == pytest.approx(0.19, abs=0.004)


def test_no_second_near_the_capacity_no_latency_near_it(tmp_path: Path, cache: Cache) -> None:
    run = ramped(tmp_path)
    for found in (capacity(4000.0, 3900.0, None, None), Capacity("ramp", refused="no")):
        assert Configuration.of(with_capacity(run, found), cache).near is None


def test_the_price_is_that_of_the_type_that_the_run_saw(tmp_path: Path, cache: Cache) -> None:
    def price(endpoint: dict[str, Any] | None, **told: Any) -> tuple[Any, float | None]:
        found = Configuration.of(Summary.of(ramped(tmp_path, endpoint, **told)), cache)
        return found.seen, found.price and found.price.usd

    assert price({"instance_type": "ml.c5.large", "instances": 2}) == (Seen("ml.c5.large", 2), 0.75)
    # Never the one of the type that was seen last: another run may have changed it.
    assert price(None) == (NOT_SEEN, None)
    assert price({"instance_type": None, "instances": 2}) == (Seen(None, 2), None)
    assert price({"instance_type": "ml.new.large", "instances": 1}) == (Seen("ml.new.large", 1), None)
    own = {"as_of": "2026-01-02", "instance_hour": 9}
    assert price({"instance_type": "ml.c5.large", "instances": 1}, prices=own)[1] == 9.0
    assert price(None, prices=own)[1] == 9.0


def test_how_many_instances_there_were_is_known_from_the_scaling_if_need_be(tmp_path: Path, cache: Cache) -> None:
    run = watch(ramped(tmp_path), lambda at_s: 3, events=[ScalingEvent(0.0, 3, 3, "")])
    assert Configuration.of(Summary.of(run), cache).seen == Seen(None, 3)


def test_the_busiest_minute_is_of_the_schedule_and_not_of_what_was_compressed(tmp_path: Path, cache: Cache) -> None:
    fast = played(tmp_path, (Phase("ramp", 3600, 0, ramp_to=60),), speed=60)
    assert Configuration.of(Summary.of(fast), cache).busiest == pytest.approx(59.5)
    searched = Run.create(tmp_path, meta())
    assert Configuration.of(Summary.of(searched), cache).busiest is None


# -- when two are configurations ---------------------------------------------------------------------------------------


@pytest.fixture
def flat(tmp_path: Path) -> Callable[..., Run]:
    def made(type_: str | None, instances: int | None, scaling: dict[str, Any] | None = None) -> Run:
        run = watch(played(tmp_path, (Phase("flat", 60, 5),)), lambda at_s: instances or 1, scaling=scaling)
        run.finish(endpoint={"instance_type": type_, "instances": instances})
        return run

    return made


@pytest.mark.parametrize(
    ("before", "after", "they_are"),
    [
        (("ml.a", 1), ("ml.a", 1), False),
        (("ml.a", 1), ("ml.b", 1), True),
        (("ml.a", 1), ("ml.a", 2), True),
        (("ml.a", 1), (None, 1), False),
        (("ml.a", 1, SCALED), ("ml.b", 1, SCALED), True),
        (("ml.a", 1), ("ml.a", 2, SCALED), False),  # BEFORE and AFTER of a scaling whose minimum is 2
        (("ml.a", 1), ("ml.b", 1, SCALED), False),
    ],
)
def test_two_runs_are_configurations_where_instances_differ_and_scaling_does_not(
    flat: Callable[..., Run], before: tuple[Any, ...], after: tuple[Any, ...], they_are: bool
) -> None:
    pair = Comparison.of(flat(*before), flat(*after))
    assert (of_pair(pair) is not None) == they_are
    asked = of_pair(pair, 100.0)
    assert asked is not None and asked.load == 100.0


def test_the_reference_experiment_stays_a_before_and_an_after(tmp_path: Path) -> None:
    assert of_pair(Comparison.of(*before_and_after(tmp_path))) is None
