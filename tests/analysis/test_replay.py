"""What is foretold, against what becomes of it: the local endpoint in virtual time, queues worked out by hand, and the
measure of the benchmark."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.whatif import held_against
from sm_locust.analysis.curve import Curve, Knot
from sm_locust.analysis.minutes import Minutes
from sm_locust.analysis.replay import Load, Policy, Prediction, predict
from sm_locust.local.settings import Settings
from sm_locust.record.run import Run
from sm_locust.schedule import Phase, Schedule
from tests.analysis.folders import REFERENCE, played
from tests.analysis.virtual import virtual_run
from tests.local.virtual import World

FAST = Curve((Knot(0, 0.01),), 0, 1000, 0.01)
LIMITED = Curve((Knot(10, 0.01), Knot(100, 0.02)), 10, 300, 1.02, ceiling=100.0, full=1.02)  # 100 requests may wait
NEVER = 1e9  # a target that nothing reaches


def constant(rate: float, minutes: int = 1) -> list[float]:
    return [rate] * 60 * minutes


def means(prediction: Prediction) -> list[float]:
    return [minute.latency_mean or 0.0 for minute in prediction.minutes]


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return virtual_run(tmp_path_factory.mktemp("before"))


class TestTheReferenceExperiment:
    """One instance at speed 60 foretells what scaling does: 240 s are taken for granted, and 210 s it takes."""

    @pytest.mark.parametrize("seed", [0, 1])
    def test_at_speed_60(self, before: Run, tmp_path: Path, seed: int) -> None:
        found = held_against(before, virtual_run(tmp_path, scaled=True, seed=seed))
        assert len(found.minutes) == 120
        assert found.good
        assert found.same_instances >= 0.98
        assert {held.predicted.error_rate for held in found.minutes} == {0}
        assert max(abs((held.predicted.latency_mean or 0) - (held.latency or 0)) for held in found.minutes) < 0.0015
        assert (found.first_scale_out, found.apart) == (38, 2)

    def test_minutes_30_to_50_in_real_time(self, before: Run, tmp_path: Path) -> None:
        part = (Phase("minutes 30 to 50", 1200, 400, ramp_to=533.333333),)
        found = held_against(before, virtual_run(tmp_path, part, speed=1, scaled=True))
        assert len(found.minutes) == 20
        assert found.good
        assert found.apart == 1

    def test_of_itself_without_scaling(self, before: Run) -> None:
        """Whether latencies and errors of a full queue come out, too."""
        from sm_locust.analysis.summary import Summary

        summary = Summary.of(before)
        curve = Curve.of(summary.minutes, summary.watched)
        found = predict(curve, Load.planned(Schedule(REFERENCE)).rates, Policy(NEVER, 1, 1), speed=60)
        real = summary.minutes.rows
        assert found.errors == pytest.approx(summary.minutes.whole.requests.failed, rel=0.02)
        for minute, row in zip(found.minutes, real, strict=True):
            assert minute.latency_mean == pytest.approx(row.requests.latency.mean, rel=0.25, abs=0.005)


class TestQueues:
    def test_what_is_beyond_the_ceiling_waits_and_then_is_refused(self) -> None:
        """150 a second of which 100 are answered: the room for 100 is full after 2 s, and a third is refused."""
        found = predict(LIMITED, constant(150), Policy(NEVER, 1, 1))
        assert found.errors == pytest.approx(58 * 50)
        assert found.requests == pytest.approx(60 * 150)
        (minute,) = found.minutes
        # 2 s from 20 ms to 1.02 s with 150 answered a second, 58 s at 1.02 s with 100.
        assert minute.latency_mean == pytest.approx((2 * 150 * 0.52 + 58 * 100 * 1.02) / (2 * 150 + 58 * 100))
        assert minute.error_rate == pytest.approx(58 * 50 / 9000)

    def test_it_drains_when_the_load_falls(self) -> None:
        found = predict(LIMITED, [*constant(101), *constant(40), *constant(40)], Policy(NEVER, 1, 1))
        first, second, third = means(found)
        assert first > 0.2
        assert second < first
        assert third == pytest.approx(0.01 + 0.01 * 30 / 90)  # the latency of that rate, and no queue

    def test_compressed_it_grows_in_real_seconds(self) -> None:
        real, fast = (predict(LIMITED, constant(150), Policy(NEVER, 1, 1), speed=speed) for speed in (1, 60))
        assert fast.errors == 0  # a minute is a second, in which 50 pile up: half the room
        assert means(fast)[0] == pytest.approx(0.02 + 0.25)
        assert fast.requests == pytest.approx(real.requests / 60)
        assert fast.instance_hours == real.instance_hours

    def test_an_instance_that_joins_has_no_queue(self) -> None:
        curve = Curve((Knot(10, 0.01),), 10, 500, 2.01, ceiling=100.0, full=2.01)
        load = constant(160, 12)
        found = predict(curve, load, Policy(6000, 1, 2), provision_s=0)
        assert [minute.instances for minute in found.minutes][:5] == [1, 1, 1, 2, 2]
        # When the second joins the first still holds 200 requests, and works them off at 20 a second.
        assert found.minutes[2].latency_mean == pytest.approx(2.01, rel=0.01)
        assert 0.01 < means(found)[3] < 0.4
        assert means(found)[-1] < 0.02

    @pytest.mark.parametrize("instances", [2, 4])
    @pytest.mark.parametrize("load", [0.7, 0.85, 0.93])
    def test_routing_at_random_makes_instances_wait_below_their_ceiling(self, instances: int, load: float) -> None:
        world = World(Settings(instances=instances), speed=1)
        rate = load * instances * 4 / 0.0085
        latencies = [world.request(n / rate) or 0.0 for n in range(int(60 * rate))]
        curve = Curve((Knot(100, 0.0085),), 100, 800, 0.35, ceiling=4 / 0.0085, full=0.3485)
        found = predict(curve, constant(rate), Policy(NEVER, instances, instances))
        assert means(found)[0] == pytest.approx(sum(latencies) / len(latencies), rel=0.05)
        assert means(predict(curve, constant(rate), Policy(NEVER, 1, 1)))[0] > 0.3

    def test_measured_with_as_many_nothing_is_added(self) -> None:
        several = Curve((Knot(100, 0.0085),), 100, 800, 0.35, ceiling=470.0, full=0.3485, instances=2)
        chance = Curve((Knot(100, 0.0085),), 100, 800, 0.35, ceiling=470.0, full=0.3485, even=False)
        assert means(predict(several, constant(800), Policy(NEVER, 2, 2))) == pytest.approx([0.0085])
        assert means(predict(chance, constant(800), Policy(NEVER, 2, 2), even=False)) == pytest.approx([0.0085])

    def test_what_always_fails_fails(self) -> None:
        curve = Curve((Knot(10, 0.01),), 10, 100, 0.01, failing=0.03)
        (minute,) = predict(curve, constant(50), Policy(NEVER, 1, 1)).minutes
        assert minute.error_rate == pytest.approx(0.03)


class TestScaling:
    # An instance begins to serve half or three quarters into a second: whole requests come before it, and after it.
    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(st.integers(0, 15).map(lambda n: n * 4), min_size=30, max_size=90),
        st.integers(1, 2),
        st.sampled_from([30, 210, 225]),
    )
    def test_it_is_what_the_local_endpoint_does(self, rates: list[int], fewest: int, provision: int) -> None:
        world = World(Settings(instances=fewest, provisioning_time=provision), speed=60)
        world.register(fewest, 4)
        world.put(target=600)
        really = []
        for second, rate in enumerate(rates):
            for n in range(rate):
                world.request(second + n / rate)
            world.until(second + 0.999)
            really.append((world.fleet.in_service, world.fleet.desired))
            world.until(second + 1)
        load = [float(rate) for rate in rates for _ in range(60)]
        found = predict(FAST, load, Policy(600, fewest, 4), provision_s=provision, speed=60)
        assert [(minute.instances, minute.desired) for minute in found.minutes] == really

    def test_three_minutes_above_the_target_then_as_long_as_an_instance_takes(self) -> None:
        found = predict(FAST, [*constant(8, 5), *constant(25, 20)], Policy(600, 1, 4), provision_s=240)
        assert (found.first_desired, found.first_scale_out) == (8, 12)
        assert (found.minutes[8].desired, found.minutes[8].instances, found.peak) == (3, 1, 3)
        assert found.minutes[11].per_instance == 1500
        assert found.minutes[12].per_instance == 500
        assert found.instance_hours == pytest.approx((12 * 1 + 13 * 3) / 60)

    def test_it_scales_in_after_fifteen_low_minutes(self) -> None:
        found = predict(FAST, [*constant(30, 10), *constant(5, 40)], Policy(600, 1, 4), provision_s=60)
        assert found.peak == 3
        assert found.minutes[-1].instances == 1

    def test_without_a_request_nothing_scales_in(self) -> None:
        found = predict(FAST, [*constant(30, 10), *constant(0, 40)], Policy(600, 1, 4), provision_s=60)
        assert found.minutes[-1].instances == 3
        assert found.minutes[-1].latency_mean is None
        assert not found.minutes[-1].extrapolated

    def test_a_cooldown_is_kept(self) -> None:
        load = [*constant(30, 10), *constant(5, 60)]
        soon, late = (predict(FAST, load, Policy(600, 1, 4, 300.0, s), provision_s=60) for s in (0.0, 3000.0))
        assert [minute.instances for minute in soon.minutes][-1] == [minute.instances for minute in late.minutes][-1]
        assert soon.instance_hours <= late.instance_hours

    def test_the_minimum_serves_from_the_start(self) -> None:
        found = predict(FAST, constant(30), Policy(600, 3, 4))
        assert (found.minutes[0].instances, found.minutes[0].per_instance) == (3, 600)
        assert found.first_scale_out is None


class TestWhatIsMeasured:
    @pytest.mark.parametrize(("rate", "outside"), [(9.0, True), (10.0, False), (300.0, False), (320.0, True)])
    def test_rates_outside_are_extrapolated(self, rate: float, outside: bool) -> None:
        (minute,) = predict(LIMITED, constant(rate), Policy(NEVER, 1, 1), speed=60).minutes
        assert minute.extrapolated is outside

    def test_without_a_ceiling_what_is_beyond_stays_level_and_is_extrapolated(self) -> None:
        curve = Curve((Knot(10, 0.01), Knot(50, 0.03)), 10, 50, 0.03)
        inside, beyond = predict(curve, [*constant(50), *constant(70)], Policy(NEVER, 1, 1)).minutes
        assert [inside.latency_mean, beyond.latency_mean] == pytest.approx([0.03, 0.03])
        assert (inside.extrapolated, beyond.extrapolated) == (False, True)

    def test_a_queue_longer_than_any_is_extrapolated(self) -> None:
        curve = Curve((Knot(10, 0.01),), 10, 150, 0.5, ceiling=100.0)
        found = predict(curve, constant(110, 3), Policy(NEVER, 1, 1))
        assert [minute.extrapolated for minute in found.minutes] == [True, True, True]
        assert found.errors == 0
        assert means(found) == sorted(means(found))


curves = st.builds(
    lambda base, slope, ceiling, room, failing: Curve(
        (Knot(1, base), Knot(ceiling, base + slope)), 1, ceiling, base, failing, ceiling, base + slope + room
    ),
    st.floats(0.001, 0.1),
    st.floats(0, 0.1),
    st.floats(10, 500),
    st.floats(0, 2),
    st.floats(0, 0.5),
)
loads = st.lists(st.just(0.0) | st.floats(0.01, 2000), min_size=1, max_size=30).map(
    lambda m: [rate for rate in m for _ in range(60)]
)


@settings(max_examples=80, deadline=None)
@given(curves, loads, st.integers(1, 3), st.integers(0, 5), st.floats(60, 30_000), st.sampled_from([1, 6, 60]))
def test_every_prediction_adds_up(
    curve: Curve, load: list[float], fewest: int, more: int, target: float, speed: int
) -> None:
    found = predict(curve, load, Policy(target, fewest, fewest + more), speed=speed)
    assert len(found.minutes) * 60 == len(load)
    assert found.requests == pytest.approx(sum(load) / speed)
    assert -1e-6 <= found.errors <= found.requests * (1 + 1e-9)
    assert found.instance_hours >= fewest * len(load) / 3600 - 1e-9
    for minute in found.minutes:
        assert fewest <= minute.instances <= minute.desired <= fewest + more
        assert -1e-9 <= minute.error_rate <= 1 + 1e-9
        if minute.latency_mean is not None:
            least, most = curve.knots[0].latency, curve.full or 0.0
            assert least * (1 - 1e-9) <= minute.latency_mean <= most * (1 + 1e-9)


@settings(max_examples=40, deadline=None)
@given(curves, loads, st.integers(1, 4))
def test_one_instance_more_never_makes_more_errors(curve: Curve, load: list[float], n: int) -> None:
    """Without scaling, and without what chance adds."""
    few, many = (predict(curve, load, Policy(NEVER, k, k), even=False) for k in (n, n + 1))
    assert many.errors <= few.errors * (1 + 1e-9) + 1e-6


class TestLoad:
    def test_planned(self) -> None:
        load = Load.planned(Schedule(REFERENCE))
        assert len(load.rates) == 7200
        assert sum(load.rates) == pytest.approx(3_960_000)
        assert load.rate(0) == pytest.approx(200, abs=0.1)
        assert load.rate(3600) == pytest.approx(600, abs=0.1)
        assert load.rate(-1) == load.rate(7200) == 0

    def test_planned_for_part_of_a_second(self) -> None:
        load = Load.planned(Schedule((Phase("short", 90.5, 10),)))
        assert load.rates == pytest.approx([10.0] * 91)

    @pytest.mark.parametrize("speed", [1, 60])
    def test_recorded(self, tmp_path: Path, speed: int) -> None:
        run = played(tmp_path, (Phase("a", 120 * speed, 20, ramp_to=40),), speed=speed)
        minutes = Minutes.of(run)
        load = Load.recorded(minutes)
        assert len(load.rates) == 120 * speed
        assert sum(load.rates) / speed == pytest.approx(minutes.whole.arrivals.due)
        assert load.rate(119 * speed) == pytest.approx(40, abs=1)


def test_a_million_requests_cost_the_same_at_any_speed() -> None:
    real, fast = (predict(FAST, constant(100, 60), Policy(NEVER, 2, 2), speed=speed) for speed in (1, 60))
    assert real.per_million(0.5) == pytest.approx(2 * 0.5 / (100 * 3600 / 1e6))
    assert fast.per_million(0.5) == pytest.approx(real.per_million(0.5))
    assert predict(FAST, constant(0), Policy(NEVER, 1, 1)).per_million(0.5) is None
