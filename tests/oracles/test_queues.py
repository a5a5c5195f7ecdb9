"""The oracles themselves: what they simulate is what their closed forms say, and a backlog lasts.

A simulated mean is compared within four standard errors, which come from the means of 50 stretches of the run (single
latencies of a queue are no independent draws), and these are small themselves: a bound stated at each test.
"""

from __future__ import annotations

import ast
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.oracles.queues import (
    KINDS,
    MD1,
    Degrading,
    Failing,
    HardLimit,
    LinearLatency,
    MMc,
    Never,
    Oracle,
    Seconds,
    even,
    oracle,
    poisson,
)

MILLION = 1_000_000


def agree(values: Any, expected: float, within: float) -> None:
    """Their mean is `expected` by four standard errors, which are at most a share `within` of it."""
    stretches = [float(np.mean(part)) for part in np.array_split(np.asarray(values, float), 50)]
    error = float(np.std(stretches, ddof=1)) / math.sqrt(50)
    assert error * 4 <= within * expected, f"4 standard errors are {error * 4 / expected:.2%}: too short a run"
    assert abs(float(np.mean(stretches)) - expected) <= 4 * error, (np.mean(stretches), expected, error)


def settled(of: Oracle, rate: float) -> Seconds:
    """Latencies of a million Poisson arrivals, after those in which the queue first fills."""
    latencies, ok = of.serve(poisson(rate, 0, MILLION / rate, np.random.default_rng(5)))
    assert ok.all()
    return latencies[10_000:]


# --- who may import whom ---


@pytest.mark.parametrize("path", sorted(Path(__file__).parent.glob("*.py")), ids=lambda path: path.name)
def test_an_oracle_imports_nothing_of_sm_locust(path: Path) -> None:
    imported = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import hides what it imports"
            imported.add(str(node.module))
    rooms = {name.split(".")[0] for name in imported}
    assert "sm_locust" not in rooms
    if path.name in ("queues.py", "latency_server.py"):
        assert rooms - set(sys.stdlib_module_names) <= {"numpy", "tests"}
        assert {name for name in imported if name.startswith("tests")} <= {"tests.oracles.queues"}


# --- arrivals ---


def test_poisson_arrivals_are_independent_of_each_other() -> None:
    arrivals = poisson(250, 100, 4000, np.random.default_rng(1))
    assert arrivals[0] >= 100 and arrivals[-1] < 4100
    assert np.all(np.diff(arrivals) >= 0)
    agree(np.diff(arrivals), 1 / 250, 0.01)
    in_a_second = np.histogram(arrivals, bins=4000, range=(100, 4100))[0]
    assert in_a_second.var() == pytest.approx(250, rel=0.1)  # as its mean; four standard errors are 9%
    assert np.corrcoef(in_a_second[1:], in_a_second[:-1])[0, 1] == pytest.approx(0, abs=4 / math.sqrt(4000))


def test_even_arrivals_have_one_spacing_and_the_next_step_goes_on_with_it() -> None:
    assert even(4, 10, 1).tolist() == [10, 10.25, 10.5, 10.75]
    assert even(4, 10, 1, phase=0.5).tolist() == [10.125, 10.375, 10.625, 10.875]
    assert len(even(100, 0, 0.3)) == 30
    assert len(even(2.5, 0, 1)) == 3 and len(even(2.5, 0, 1, phase=0.5)) == 2
    assert len(even(0.1, 0, 1, phase=0.5)) == 0
    both = np.concatenate([even(320, 0, 5), even(320, 5, 5)])
    assert np.diff(both) == pytest.approx(1 / 320)


# --- closed forms among themselves ---


@pytest.mark.parametrize("rate", [1, 50, 90, 99])
def test_one_server_of_many_is_m_m_1(rate: float) -> None:
    one = MMc(1, 0.010)
    assert one.waiting(rate) == pytest.approx(rate / 100)
    assert one.mean(rate) == pytest.approx(1 / (100 - rate))
    assert one.quantile(rate, 0.95) == pytest.approx(-math.log(0.05) / (100 - rate))


@pytest.mark.parametrize("rate", [1, 200, 390])
def test_constant_services_wait_half_as_long_as_exponential_ones(rate: float) -> None:
    constant, exponential = MD1(0.0025), MMc(1, 0.0025)
    assert constant.mean(rate) - 0.0025 == pytest.approx((exponential.mean(rate) - 0.0025) / 2)


def test_erlang_c_is_what_tables_say() -> None:
    assert MMc(2, 1).waiting(1) == pytest.approx(1 / 3)
    assert MMc(4, 1).waiting(3) == pytest.approx(27 / 53)  # 3^4/4! · 4, of 1 + 3 + 9/2 + 27/6 + that
    assert MMc(4).waiting(400) == 1


@pytest.mark.parametrize("rate", [50, 250, 300, 380])  # 300: the wait ends at the rate of a service
def test_the_distribution_has_the_mean(rate: float) -> None:
    four = MMc()
    step = 1e-4
    beyond = [four.beyond(rate, i * step) for i in range(30_000)]
    assert beyond[0] == pytest.approx(1)
    assert sum(beyond) * step - step / 2 == pytest.approx(four.mean(rate), rel=1e-4)
    assert four.beyond(rate, four.quantile(rate, 0.99)) == pytest.approx(0.01)
    assert four.beyond(rate + 1e-4, 0.02) == pytest.approx(four.beyond(rate, 0.02), rel=1e-4)


@given(limit=st.floats(0.0026, 1.0))
def test_the_truth_is_where_the_mean_is_the_limit(limit: float) -> None:
    assert MD1().mean(MD1().truth(limit)) == pytest.approx(limit)
    if limit > 0.0101:
        assert MMc().mean(MMc().truth(limit)) == pytest.approx(limit)
    if limit > 0.031:
        assert MMc().quantile(MMc().truth(limit, 0.95), 0.95) == pytest.approx(limit)


def test_a_limit_below_every_latency_holds_at_no_rate() -> None:
    assert HardLimit().truth(0.004) == HardLimit().truth(0.004, poisson=True) == 0
    assert MD1().truth(0.002) == 0
    assert MMc().truth(0.009) == pytest.approx(0)
    assert MMc().truth(0.020, 0.95) == pytest.approx(0)
    assert LinearLatency().truth(0.004) == 0


def test_at_the_capacity_there_is_no_mean() -> None:
    assert MD1().mean(400) == MMc().mean(400) == MMc().quantile(400, 0.95) == math.inf
    assert MMc().beyond(400, 10) == 1


@pytest.mark.parametrize(
    ("truth", "documented"),
    [
        (HardLimit().truth(0.015), 350),
        (HardLimit().truth(0.015, poisson=True), 306.25),
        (HardLimit().truth_of_errors(0.05), 368.42),
        (MD1().truth(0.005), 266.67),
        (MD1().truth(0.010), 342.86),
        (MD1().truth(0.015), 363.64),
        (MMc().truth(0.012), 246.28),
        (MMc().truth(0.015), 298.97),
        (MMc().truth(0.020), 333.94),
        (MMc().truth(0.040, 0.95), 294.14),
        (MMc().truth(0.060, 0.99), 299.81),
        (LinearLatency().truth(0.010), 125),
        (LinearLatency().truth(0.015), 250),
        (LinearLatency().truth(0.020), 375),
        (LinearLatency().truth(0.015, 0.95), 220.83),
        (LinearLatency().truth(0.015, poisson=True), 249.5),
        (MD1().capacity, 400),
        (MMc().capacity, 400),
    ],
)
def test_the_table_of_truths(truth: float, documented: float) -> None:
    assert truth == pytest.approx(documented, abs=0.005)


# --- what is simulated is what is derived ---


@pytest.mark.parametrize(("rate", "within"), [(100, 0.005), (266.67, 0.02), (363.64, 0.08)])
def test_m_d_1(rate: float, within: float) -> None:
    agree(settled(MD1(), rate), MD1().mean(rate), within)


@pytest.mark.parametrize(("rate", "within"), [(100, 0.01), (298.97, 0.03), (340, 0.15)])
def test_m_m_4(rate: float, within: float) -> None:
    latencies = settled(MMc(), rate)
    agree(latencies, MMc().mean(rate), within)
    for share in (0.5, 0.95, 0.99):
        agree(latencies > MMc().quantile(rate, share), 1 - share, 0.4)


def test_a_hard_limit_makes_poisson_arrivals_wait() -> None:
    agree(settled(HardLimit(), HardLimit().truth(0.015, poisson=True)), 0.015, 0.05)


def test_a_hard_limit_makes_even_arrivals_wait_only_above_it() -> None:
    below, _ = HardLimit().serve(even(349, 0, 100))
    assert below == pytest.approx(0.005)
    above, ok = HardLimit().serve(even(351, 0, 100))
    assert ok.all()
    assert np.all(np.diff(above) > 0)
    assert above[-1] == pytest.approx(0.005 + 100 * (351 / 350 - 1), abs=0.001)


def test_a_bounded_queue_refuses_what_is_over_the_limit_and_nobody_waits_longer() -> None:
    limited = HardLimit(most_waiting=70)
    latencies, ok = limited.serve(even(limited.truth_of_errors(0.05), 0, 1000))
    assert 1 - ok[50_000:].mean() == pytest.approx(0.05, abs=0.0005)
    assert latencies.max() == pytest.approx(0.005 + 70 / 350, abs=1 / 350)
    assert latencies[~ok] == pytest.approx(0.005)
    assert HardLimit(most_waiting=70).serve(even(349, 0, 100))[1].all()


@pytest.mark.parametrize("rate", [100, 250, 333.3])
def test_linear_latency_of_even_arrivals(rate: float) -> None:
    latencies, ok = LinearLatency().serve(even(rate, 0, 1000))
    assert ok.all()
    agree(latencies[1000:], 0.005 + 40e-6 * rate, 0.003)
    without, _ = LinearLatency(noise=0).serve(even(rate, 0, 10))
    assert without[math.ceil(rate) :] == pytest.approx(0.005 + 40e-6 * rate)


def test_linear_latency_at_its_truths() -> None:
    linear = LinearLatency()
    agree(linear.serve(even(linear.truth(0.015), 0, 1000))[0][1000:], 0.015, 0.003)
    linear = LinearLatency()
    agree(linear.serve(even(linear.truth(0.015, 0.95), 0, 1000))[0][1000:] > 0.015, 0.05, 0.1)
    linear = LinearLatency()
    agree(settled(linear, linear.truth(0.015, poisson=True)), 0.015, 0.004)


def test_linear_latency_follows_the_rate_within_a_second() -> None:
    linear = LinearLatency(noise=0)
    linear.serve(even(100, 0, 10))
    faster, _ = linear.serve(even(300, 10, 10))
    assert faster[300:] == pytest.approx(0.005 + 40e-6 * 300)
    assert faster[150] == pytest.approx(0.005 + 40e-6 * 200, rel=0.01)
    after_a_pause, _ = linear.serve(np.array([60.0]))
    assert after_a_pause == pytest.approx(0.005, rel=0.001)


def test_never_answers_alike_at_any_rate() -> None:
    for rate in (10, 100_000):
        agree(Never().serve(even(rate, 0, MILLION / rate))[0], 0.005, 0.001)


def test_failing_fails_its_share_and_takes_as_long() -> None:
    arrivals = poisson(300, 0, 1000, np.random.default_rng(2))
    latencies, ok = Failing(MMc()).serve(arrivals)
    agree(~ok, 0.03, 0.06)
    assert latencies.tolist() == MMc().serve(arrivals)[0].tolist()
    agree(latencies[~ok], float(latencies.mean()), 0.06)  # who fails has nothing to do with how long it takes
    assert Failing(MMc(), share=0).serve(arrivals)[1].all()


def test_degrading_slows_everything_and_loses_capacity() -> None:
    worse = Degrading(HardLimit(), per_second=0.001)
    latencies, _ = worse.serve(even(250, 0, 399))  # 350 / 1.4 is 250
    slower = np.array([worse.slower(t) for t in even(250, 0, 399)])
    assert slower[-1] == pytest.approx(1.4, abs=0.002)
    np.testing.assert_allclose(latencies, 0.005 * slower, rtol=1e-4)
    later, _ = worse.serve(even(250, 399, 200))
    assert later[-1] > 10
    started_late, _ = Degrading(HardLimit()).serve(even(1, 5000, 1))
    assert started_late == pytest.approx(0.005, rel=1e-5)


def test_degrading_makes_linear_latency_steeper() -> None:
    latencies, _ = Degrading(LinearLatency(noise=0)).serve(even(100, 0, 1001))
    assert latencies[-1] == pytest.approx(2 * (0.005 + 40e-6 * 2 * 100), rel=0.002)


# --- state ---


def test_a_backlog_is_there_in_the_next_step_until_it_is_worked_off() -> None:
    for limited in (HardLimit(), MD1(1 / 350)):
        limited.serve(even(700, 0, 10))
        waited, _ = limited.serve(even(100, 10, 20))
        assert waited[0] == pytest.approx(10, abs=0.02)
        in_the_way = waited > 0.006
        # 3,500 are left, and the queue shrinks by 250 a second
        assert even(100, 10, 20)[in_the_way][-1] == pytest.approx(24, abs=0.05)
        assert in_the_way[: in_the_way.sum()].all()


def test_a_pause_as_long_as_the_backlog_clears_it() -> None:
    limited = HardLimit()
    limited.serve(even(700, 0, 10))
    assert limited.serve(even(100, 20.1, 1))[0] == pytest.approx(0.005)


def test_four_servers_keep_their_backlog() -> None:
    four = MMc()
    four.serve(even(800, 0, 10))
    assert four.serve(np.array([10.0]))[0][0] == pytest.approx(10, rel=0.1)


def made(kind: str) -> Oracle:
    return HardLimit(most_waiting=5) if kind == "hard-limit" else oracle(kind, seed=3)


@pytest.mark.parametrize("kind", KINDS)
@given(cuts=st.lists(st.integers(0, 2000), max_size=20))
def test_it_does_not_matter_how_arrivals_are_handed_over(kind: str, cuts: list[int]) -> None:
    arrivals = poisson(390, 1000, 5, np.random.default_rng(4))
    latencies, ok = made(kind).serve(arrivals)
    pieces = made(kind)
    parts = [pieces.serve(part) for part in np.split(arrivals, sorted(cuts))]
    np.testing.assert_allclose(np.concatenate([part[0] for part in parts]), latencies, rtol=0, atol=1e-8)
    assert np.concatenate([part[1] for part in parts]).tolist() == ok.tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_one_at_a_time_they_are_answered_as_all_at_once(kind: str) -> None:
    arrivals = poisson(390, 1000, 20, np.random.default_rng(4))
    latencies, ok = made(kind).serve(arrivals)
    single = made(kind)
    left = [single.depart(at) for at in arrivals.tolist()]
    np.testing.assert_allclose([at for at, _ in left], arrivals + latencies, rtol=0, atol=1e-8)
    assert [good for _, good in left] == ok.tolist()


@pytest.mark.parametrize("kind", ["mm4", "linear", "never", "failing"])
def test_the_seed_decides(kind: str) -> None:
    arrivals = even(300, 0, 10)

    def answers(seed: int) -> list[list[float]]:
        return [part.tolist() for part in oracle(kind, seed=seed).serve(arrivals)]

    assert answers(1) == answers(1) != answers(2)


def test_services_are_no_echo_of_arrivals_drawn_from_the_same_seed() -> None:
    gaps = np.random.default_rng(1).exponential(1.0, 10_000)
    alone, _ = MMc(seed=1).serve(np.cumsum(gaps))  # nobody waits, so these are the services
    assert np.corrcoef(gaps, alone)[0, 1] == pytest.approx(0, abs=4 / 100)


def test_time_only_grows() -> None:
    for arrivals in ([3.0, 2.0], [1.0]):
        limited = HardLimit()
        limited.serve(np.array([2.0]))
        with pytest.raises(ValueError, match="arrivals go back in time"):
            limited.serve(np.array(arrivals))
    assert [len(part) for part in limited.serve(np.empty(0))] == [0, 0]


def test_kinds_by_name() -> None:
    assert [type(oracle(kind)) for kind in KINDS] == [HardLimit, MD1, MMc, LinearLatency, Failing, Never, Degrading]
    worse = oracle("degrading", of="linear", per_second=0.01, slope=1e-6)
    assert isinstance(worse, Degrading) and isinstance(worse.of, LinearLatency)
    assert (worse.per_second, worse.of.slope) == (0.01, 1e-6)
    with pytest.raises(ValueError, match="no such kind of oracle: 'mm5'"):
        oracle("mm5")
