"""What one instance does at which rate: against answers of known truth, and what stays unknown."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sm_locust.analysis.curve import Curve, CurveError, scatter
from sm_locust.analysis.minutes import Minutes
from sm_locust.analysis.watched import Watched
from sm_locust.record.observation import ScalingEvent
from sm_locust.record.outcome import OK, TIMEOUT
from sm_locust.record.run import Run
from sm_locust.schedule import Phase, Schedule
from tests.analysis.folders import Answer, played, watch
from tests.analysis.virtual import NETWORK, virtual_run

RAMP = (Phase("ramp", 120, 20, ramp_to=140),)  # a real second of it is a second more a second


def curve_of(run: Run, **more: bool | int) -> Curve:
    minutes = Minutes.of(run)
    return Curve.of(minutes, Watched.of(run, minutes), **more)  # type: ignore[arg-type]


def single(answer: Callable[[float], Answer]) -> Callable[[Path], Curve]:
    return lambda folder: curve_of(watch(played(folder, RAMP, answer), events=[ScalingEvent(0.0, 1, 1, "")]))


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return virtual_run(tmp_path_factory.mktemp("before"))


class TestTheReferenceRamp:
    """One instance: 4 workers of 8.5 ms answer 470.6 a second, and 160 requests wait before it refuses."""

    def test_at_speed_60(self, before: Run) -> None:
        curve = curve_of(before)
        assert curve.ceiling == pytest.approx(4 / 0.0085, rel=0.005)
        assert curve.full == pytest.approx(164 * 0.0085 / 4 + NETWORK, rel=0.01)
        assert curve.room == pytest.approx(160, abs=3)
        assert curve.workers == 4
        assert curve.failing == 0
        assert {round(knot.latency, 4) for knot in curve.knots} == {0.0092}  # 0.2 ms late, 0.5 ms on the way
        assert curve.lowest == pytest.approx(200, rel=0.03)
        assert curve.highest == pytest.approx(800, rel=0.01)

    def test_in_real_time(self, tmp_path: Path) -> None:
        curve = curve_of(virtual_run(tmp_path, (Phase("from 400", 300, 400, ramp_to=533),), speed=1))
        assert curve.ceiling == pytest.approx(4 / 0.0085, rel=0.005)
        assert curve.room == pytest.approx(160, abs=5)
        assert curve.knots[-1].latency < 0.0095

    def test_the_queue_that_is_left_when_the_load_falls_spoils_no_rate(self, tmp_path: Path) -> None:
        phases = (Phase("over", 30, 600), Phase("drains", 1, 460), Phase("calm", 60, 300, ramp_to=440))
        curve = curve_of(virtual_run(tmp_path, phases, speed=1))
        assert max(knot.latency for knot in curve.knots) < 0.0095
        assert curve.ceiling == pytest.approx(4 / 0.0085, rel=0.01)


def test_what_never_falls_behind_has_no_ceiling(tmp_path: Path) -> None:
    curve = single(lambda at: (OK, 0.008))(tmp_path)
    assert curve.ceiling is None
    assert curve.full is None
    assert math.isinf(curve.room)
    assert not curve.measured(curve.highest * 1.1)
    assert curve.measured(curve.highest)
    assert not curve.measured(curve.lowest * 0.9)


def test_latency_that_rises_with_the_rate_is_that_rate_s_and_no_queue(tmp_path: Path) -> None:
    def truth(rate: float) -> float:
        return 0.002 + rate * 0.0002

    curve = single(lambda at: (OK, truth(20 + at)))(tmp_path)
    assert curve.ceiling is None
    for rate in (30, 60, 100, 130):
        assert curve.latency(rate) == pytest.approx(truth(rate) + 0.0002, rel=0.04)
    assert curve.latency(1000) == curve.knots[-1].latency
    assert curve.latency(0) == curve.knots[0].latency


def test_a_queue_that_grows_shows_the_ceiling_though_everything_is_answered(tmp_path: Path) -> None:
    ceiling, schedule = 90.0, Schedule(RAMP)

    def answer(at: float) -> Answer:
        crossed = 70.0
        behind = schedule.expected(at) - schedule.expected(crossed) - ceiling * (at - crossed) if at > crossed else 0.0
        return OK, 0.01 + behind / ceiling

    curve = single(answer)(tmp_path)
    assert curve.ceiling == pytest.approx(ceiling, rel=0.01)
    assert curve.full is None
    assert math.isinf(curve.room)
    assert curve.latency(ceiling) == pytest.approx(0.0102, rel=0.1)


def test_what_is_refused_at_once_shows_the_ceiling_without_any_queue(tmp_path: Path) -> None:
    too_much = single(lambda at: ("throttled", 0.001) if at * 997 % 1 < (at - 60) / (20 + at) else (OK, 0.01))
    found = too_much(tmp_path)
    assert found.ceiling == pytest.approx(80, rel=0.03)
    assert found.room == pytest.approx(0, abs=1)


def test_what_always_fails_is_no_refusal(tmp_path: Path) -> None:
    found = single(lambda at: ("model_error", 0.005) if at * 9973 % 1 < 0.03 else (OK, 0.01))(tmp_path)
    assert found.failing == pytest.approx(0.03, abs=0.006)
    assert found.ceiling is None


@pytest.mark.parametrize("phase", [Phase("flat", 600, 2), Phase("ramp", 600, 1, ramp_to=10)])
@pytest.mark.parametrize("share", [0.02, 0.05])
def test_nor_is_it_where_a_window_has_but_a_few_requests(tmp_path: Path, phase: Phase, share: float) -> None:
    chance = random.Random(1)
    run = played(tmp_path, (phase,), lambda at: ("model_error", 0.005) if chance.random() < share else (OK, 0.01))
    found = curve_of(watch(run, events=[ScalingEvent(0.0, 1, 1, "")]))
    assert found.failing == pytest.approx(share, abs=0.02)
    assert found.ceiling is None


def test_a_queue_for_most_of_a_run_is_one(tmp_path: Path) -> None:
    found = curve_of(virtual_run(tmp_path, (Phase("calm", 180, 200), Phase("too much", 3420, 700))))
    assert found.failing == 0
    assert found.ceiling == pytest.approx(470.6, rel=0.01)
    assert found.latency(400) == pytest.approx(0.0085 + NETWORK, rel=0.1)


def test_a_hiccup_moves_neither_curve_nor_ceiling(tmp_path: Path) -> None:
    found = single(lambda at: (OK, 0.01 + max(0.0, 41.5 - at) if at > 40.5 else 0.01))(tmp_path)
    assert found.ceiling is None
    assert max(knot.latency for knot in found.knots) == pytest.approx(0.0102, rel=0.02)


def test_a_long_pause_at_a_rate_that_is_borne_later_is_no_ceiling(tmp_path: Path) -> None:
    found = single(lambda at: (OK, 0.01 + max(0.0, min(at - 20, 60 - at))))(tmp_path)
    assert found.ceiling is None
    assert max(knot.latency for knot in found.knots) < 0.1


def test_a_rate_at_which_less_is_done_than_before_shows_no_ceiling_and_is_not_measured(tmp_path: Path) -> None:
    # From 80 a second on it gets only 40 done.
    found = single(lambda at: ("unavailable", 0.002) if at > 60 and at * 997 % 1 > 40 / (20 + at) else (OK, 0.01))(
        tmp_path
    )
    assert found.ceiling is None
    assert found.highest == pytest.approx(80, abs=5)
    assert not found.measured(100)


def test_bursts_too_short_to_show_a_ceiling_are_no_latency_of_their_rate(tmp_path: Path) -> None:
    load = tuple(phase for _ in range(5) for phase in (Phase("calm", 300, 200), Phase("burst", 120, 700)))
    found = curve_of(virtual_run(tmp_path, load))
    assert found.ceiling is None
    assert max(knot.latency for knot in found.knots) < 0.02
    assert not found.measured(700)


class TestInstances:
    def test_rates_are_of_one(self, tmp_path: Path) -> None:
        run = watch(played(tmp_path, RAMP), lambda at_s: 2, events=[ScalingEvent(0.0, 2, 2, "")])
        curve = curve_of(run)
        assert (curve.instances, curve.assumed) == (2, False)
        assert curve.highest == pytest.approx(70, rel=0.05)

    def test_a_window_in_which_they_change_is_left_out(self, tmp_path: Path) -> None:
        events = [ScalingEvent(0.0, 1, 1, ""), ScalingEvent(62.0, 2, 2, "Successfully set.")]
        curve = curve_of(watch(played(tmp_path, RAMP), events=events))
        assert curve.highest == pytest.approx(80, rel=0.05)  # of one, before second 60; two have 70 each at the end

    def test_where_nobody_watched_they_are_taken_for_granted(self, tmp_path: Path) -> None:
        run = played(tmp_path, RAMP)
        assert curve_of(run).assumed
        assert curve_of(run, instances=4).highest == pytest.approx(curve_of(run).highest / 4)

    def test_cloudwatch_s_shares_tell_them_where_nothing_else_does(self, tmp_path: Path) -> None:
        curve = curve_of(watch(played(tmp_path, RAMP), lambda at_s: 2))
        assert (curve.instances, curve.assumed) == (2, False)

    def test_routing_makes_even_arrivals_uneven(self) -> None:
        assert scatter(1, even=True) == 0
        assert scatter(4, even=True) == 0.75
        assert scatter(1, even=False) == scatter(9, even=False) == 1


@pytest.mark.parametrize("kind", ["unavailable", TIMEOUT])  # whose age is a latency, and of no answer
def test_without_a_good_answer_there_is_no_curve(tmp_path: Path, kind: str) -> None:
    with pytest.raises(CurveError, match="no request was answered well"):
        single(lambda at: (kind, 0.002))(tmp_path)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0.001, 1.0), min_size=24, max_size=24))
def test_latency_never_falls_with_the_rate(tmp_path_factory: pytest.TempPathFactory, latencies: list[float]) -> None:
    run = played(tmp_path_factory.mktemp("any"), RAMP, lambda at: (OK, latencies[int(at / 5) % 24]))
    curve = curve_of(run)
    for low, high in pairwise(curve.knots):
        assert low.rate < high.rate
        assert low.latency <= high.latency
    values = [curve.latency(rate) for rate in range(0, 200, 3)]
    assert values == sorted(values)


def test_requests_in_which_our_credentials_were_refused_are_none_of_the_endpoint_s(tmp_path: Path) -> None:
    found = single(lambda at: ("expired_token", 0.001) if at * 997 % 1 < 0.2 else (OK, 0.01))(tmp_path)
    assert found.failing == 0
