"""Where along the rates the SLO stops holding: one change, with bounds; or why there is none to speak of."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable, Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_locust.analysis.capacity import Capacity
from sm_locust.analysis.ramp import Window, read
from tests.oracles.queues import Degrading, HardLimit, LinearLatency, MMc, Never, Oracle, even, poisson

LIMIT = 0.020


def windows(rates: Iterable[float], ratio: Callable[[float], float]) -> list[Window]:
    """One a minute; `ratio` says how much of its limit a rate uses."""
    return [Window(n * 60.0, rate, "latency_mean", ratio(rate), ratio(rate) * LIMIT) for n, rate in enumerate(rates)]


def edge(at: float) -> Callable[[float], float]:
    return lambda rate: 0.5 if rate <= at else 3.0


RAMP = [200 + 5 * n for n in range(100)]


def test_a_clean_ramp_is_bounded_by_the_two_windows_beside_the_change() -> None:
    found = read(windows(RAMP, edge(470)), 60)
    assert (found.low, found.max_rps, found.high, found.fails_at) == (470, 470, 475, 475)
    assert (found.reached, found.limited_by, found.refused) == (True, "latency_mean", "")


def test_what_never_failed_is_a_lower_bound() -> None:
    found = read(windows(RAMP, lambda rate: 0.5), 60)
    assert (found.max_rps, found.low, found.high, found.reached) == (695, 695, None, False)


def test_what_failed_at_every_rate_has_no_capacity() -> None:
    found = read(windows(RAMP, lambda rate: 2.0), 60)
    assert (found.max_rps, found.low, found.high, found.reached) == (None, None, 200, True)
    assert found.limited_by == "latency_mean"


@pytest.mark.parametrize("hiccup", [230, 400, 455])
def test_a_hiccup_is_no_limit(hiccup: float) -> None:
    found = read(windows(RAMP, lambda rate: 5.0 if rate == hiccup else edge(470)(rate)), 60)
    assert found.max_rps == 470
    assert found.high == 475


def test_a_good_minute_in_the_midst_of_an_overload_is_none_either() -> None:
    found = read(windows(RAMP, lambda rate: 0.5 if rate == 600 else edge(470)(rate)), 60)
    assert (found.max_rps, found.high) == (470, 475)


def test_chance_near_the_change_widens_the_bounds() -> None:
    found = read(windows(RAMP, lambda rate: 0.5 if rate in (480, 490) else edge(470)(rate)), 60)
    assert found.low is not None and found.high is not None
    assert found.low <= 470
    assert found.high >= 490


def test_the_queue_of_an_overload_is_not_held_against_the_rate_that_it_is_served_at() -> None:
    """Up, over the edge, and down again: on the way down the backlog is still there."""
    oracle, found = HardLimit(470), []
    for n, rate in enumerate([*range(205, 700, 20), *range(705, 180, -20)]):
        latencies, _ = oracle.serve(even(rate, 10.0 * n, 10.0))
        mean = float(np.mean(latencies))
        found.append(Window(10.0 * n, rate, "latency_mean", mean / LIMIT, mean))
    assert any(w.rate < 450 and not w.held for w in found)
    answer = read(found, 60)
    assert answer.max_rps == 465
    assert answer.high is not None and 465 <= answer.high <= 485


def test_a_latency_that_rises_already_lowers_the_bound() -> None:
    """The queue needs time to grow until the limit breaks, and the ramp goes on meanwhile."""
    rising: dict[float, float] = {460: 0.65, 465: 0.75, 470: 0.9}
    found = read(windows(RAMP, lambda rate: rising.get(rate, edge(470)(rate))), 60)
    assert found.max_rps == 470
    assert found.low == 455


def test_windows_that_may_not_be_judged_are_not() -> None:
    judged = [
        Window(w.at_s, w.rate, w.metric, w.ratio, w.latency, counts=w.rate < 460) for w in windows(RAMP, edge(470))
    ]
    found = read(judged, 60)
    assert (found.max_rps, found.reached) == (455, False)


def test_few_windows_show_nothing() -> None:
    assert read(windows([100, 200, 300, 400], edge(250)), 60).refused == (
        "too short: it takes 5 stretches of 60 s, and has 4 that can be judged"
    )
    idle = [Window(60.0 * n, 100, "", 0.0, None) for n in range(9)]
    assert read(idle, 60).refused.startswith("too little of it can be judged: it takes 5 stretches")
    assert read([], 60).refused.endswith("and has none that can be judged")


def test_an_endpoint_that_fails_at_what_it_held_before_has_changed() -> None:
    found = windows([*RAMP[:50], *RAMP[:50]], lambda rate: 0.5)
    later = [Window(w.at_s, w.rate, w.metric, 3.0 if n >= 60 else 0.5, 0.01) for n, w in enumerate(found)]
    answer = read(later, 60)
    assert answer.max_rps is None
    assert answer.refused.startswith("the endpoint changed while it was measured")


def test_an_endpoint_that_comes_and_goes_has_no_rate_that_decides() -> None:
    source = random.Random(3)
    found = read(windows(RAMP, lambda rate: 3.0 if source.random() < 0.4 else 0.5), 60)
    assert found.refused.startswith("no rate parts what held from what failed")


@pytest.mark.parametrize(("early", "late"), [(0.3, 0.8), (0.8, 0.3)])
def test_a_rate_that_is_kept_and_not_held_as_before_tells_of_a_change(early: float, late: float) -> None:
    ratios = [early + (late - early) * n / 59 for n in range(60)]
    found = [Window(60.0 * n, 200, "latency_mean", ratio, ratio * LIMIT) for n, ratio in enumerate(ratios)]
    answer = read(found, 60)
    assert answer.max_rps is None
    assert "at the same rate" in answer.refused


@given(st.floats(210, 690), st.randoms(use_true_random=False))
def test_the_bounds_hold_the_edge_whatever_the_order_of_rates(at: float, source: random.Random) -> None:
    rates = list(RAMP)
    source.shuffle(rates)
    found = read([Window(60.0 * n, r, "error_rate", edge(at)(r), 0.01) for n, r in enumerate(rates)], 60)
    if not found.refused and found.low is not None and found.high is not None:
        assert found.low <= at < found.high


# -- oracles -----------------------------------------------------------------------------------------------------------


def played(
    oracle: Oracle, limit: float, statistic: str, seed: int, *, by_chance: bool, seconds: int = 1200
) -> Capacity:
    """A ramp from 100 to 500 a second in so many seconds, in windows of ten."""
    source = np.random.default_rng((seed, 77))
    found = []
    for start in range(0, seconds, 10):
        rates = [100 + 400 * (start + s + 0.5) / seconds for s in range(10)]
        phase = source.random()
        arrivals = np.concatenate(
            [
                poisson(rate, float(start + s), 1.0, source) if by_chance else even(rate, float(start + s), 1.0, phase)
                for s, rate in enumerate(rates)
            ]
        )
        latencies, ok = oracle.serve(arrivals)
        value = float(np.mean(latencies)) if statistic == "mean" else float(np.quantile(latencies, 0.99))
        errors = float(1 - ok.mean()) / 0.05
        ratio, metric = max((value / limit, f"latency_{statistic}"), (errors, "error_rate"))
        found.append(Window(float(start), len(arrivals) / 10, metric, ratio, float(np.mean(latencies))))
    return read(found, 60)


@pytest.mark.parametrize(
    ("oracle", "limit", "statistic", "truth", "by_chance"),
    [
        (lambda seed: HardLimit(350), 0.050, "p99", 350, False),
        (lambda seed: LinearLatency(seed=seed), 0.015, "mean", LinearLatency().truth(0.015), False),
        (lambda seed: MMc(4, 0.010, seed), 0.020, "mean", MMc(4, 0.010).truth(0.020), True),
    ],
)
def test_a_ramp_over_an_oracle_finds_its_capacity(
    oracle: Callable[[int], Oracle], limit: float, statistic: str, truth: float, by_chance: bool
) -> None:
    found = [played(oracle(seed), limit, statistic, seed, by_chance=by_chance) for seed in range(40)]
    answers = [c for c in found if c.max_rps is not None and c.low is not None and c.high is not None]
    assert len(answers) >= 36
    error = statistics.median(abs((c.max_rps or 0) / truth - 1) for c in answers)
    holds = sum((c.low or 0) <= truth <= (c.high or math.inf) for c in answers)
    print(f"error {error:.1%}, holds {holds} of {len(answers)}")
    assert error <= 0.05


def test_a_ramp_over_what_never_saturates_reaches_no_limit() -> None:
    found = played(Never(), 0.050, "p99", 1, by_chance=False)
    assert (found.reached, found.high) == (False, None)
    assert found.max_rps == pytest.approx(498, abs=3)


def test_a_load_that_comes_back_shows_what_gets_worse() -> None:
    """A ramp alone cannot: its rate and its time are one. Twice the same does."""
    oracle = Degrading(LinearLatency(), 0.0008)
    found = []
    for start in range(0, 1200, 10):
        rate = 100 + 150 * (start % 600) / 600
        latencies, _ = oracle.serve(even(rate, float(start), 10.0))
        mean = float(np.mean(latencies))
        found.append(Window(float(start), rate, "latency_mean", mean / 0.015, mean))
    assert "changed while it was measured" in read(found, 60).refused
