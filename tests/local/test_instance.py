"""The queue against closed forms, and against a slow simulation that shares no idea with it."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_locust.local.instance import Instance


def even(rate: float, count: int) -> list[float]:
    return [n / rate for n in range(count)]


def ramp(start: float, slope: float, duration: float) -> list[float]:
    """Arrivals of a rate that rises by `slope` a second: the nth comes when start·t + slope·t²/2 = n."""
    total = int(start * duration + slope * duration**2 / 2)
    return [2 * n / (start + (start**2 + 2 * slope * n) ** 0.5) for n in range(total)]


def poisson(rate: float, count: int, seed: int) -> list[float]:
    clock, source, arrivals = 0.0, random.Random(seed), []
    for _ in range(count):
        clock += source.expovariate(rate)
        arrivals.append(clock)
    return arrivals


def latencies(instance: Instance, arrivals: list[float]) -> list[float | None]:
    departures = [instance.arrive(at) for at in arrivals]
    return [None if leaves is None else leaves - at for leaves, at in zip(departures, arrivals, strict=True)]


def first_failing_rate(service_time: float, start: float, slope: float, duration: float) -> float:
    instance = Instance(4, service_time, 160)
    for at in ramp(start, slope, duration):
        if instance.arrive(at) is None:
            return start + slope * at
    raise AssertionError("nothing failed")


@pytest.mark.parametrize("rate", [1, 100, 400, 470])
def test_below_capacity_even_arrivals_take_the_service_time_and_no_more(rate: float) -> None:
    assert latencies(Instance(4, 0.0085, 160), even(rate, 5000)) == pytest.approx([0.0085] * 5000)


def test_past_capacity_the_wait_grows_to_the_backlog_over_the_capacity_and_stays_there() -> None:
    served = [latency for latency in latencies(Instance(4, 0.0085, 160), even(600, 20_000)) if latency is not None]
    full = 160 / (4 / 0.0085) + 0.0085  # 348.5 ms
    assert max(served) <= full + 1e-9
    assert served[-100:] == pytest.approx([full] * 100, abs=0.0085)


def test_past_capacity_what_is_served_is_the_capacity_and_the_rest_is_refused() -> None:
    results = latencies(Instance(4, 0.0085, 160), even(600, 60_000))  # 100 s
    served = sum(latency is not None for latency in results)
    assert served == pytest.approx(4 / 0.0085 * 100 + 164, rel=0.001)


def test_a_ramp_fills_the_backlog_when_the_excess_over_capacity_adds_up_to_it() -> None:
    # rate = 400 + t; capacity c/S is crossed at t*; ∫ (rate − c/S) = (t − t*)²/2 = 160.
    crossed = 4 / 0.0085 - 400
    arrivals = ramp(400, 1, 200)
    results = latencies(Instance(4, 0.0085, 160), arrivals)
    first_refused = next(at for at, latency in zip(arrivals, results, strict=True) if latency is None)
    assert first_refused == pytest.approx(crossed + (2 * 160) ** 0.5, abs=0.3)


def test_doubling_the_service_time_halves_the_first_failing_rate_of_a_slow_ramp() -> None:
    # The reference ramp, 200 to 800 a second over two hours; and half of it.
    single = first_failing_rate(0.0085, 200, 600 / 7200, 7200)
    double = first_failing_rate(0.0170, 100, 600 / 7200, 7200)
    assert double == pytest.approx(single / 2, rel=0.05)
    assert 28_000 / 60 < single < 28_900 / 60


@pytest.mark.parametrize("utilisation", [0.5, 0.7, 0.8])
def test_poisson_arrivals_at_one_worker_wait_as_an_m_d_1_queue_does(utilisation: float) -> None:
    service_time = 0.01
    arrivals = poisson(utilisation / service_time, 300_000, seed=11)
    results = latencies(Instance(1, service_time, 10**6), arrivals)
    wait = sum(latency - service_time for latency in results if latency is not None) / len(arrivals)
    assert wait == pytest.approx(utilisation * service_time / (2 * (1 - utilisation)), rel=0.04)


def test_a_backlog_of_none_serves_only_who_finds_a_free_worker() -> None:
    assert latencies(Instance(2, 1.0, 0), [0, 0, 0, 0.5, 1.0]) == [1.0, 1.0, None, None, 1.0]


def test_a_request_in_service_does_not_count_as_waiting() -> None:
    assert latencies(Instance(1, 1.0, 1), [0, 0, 0, 1.0]) == [1.0, 2.0, None, 2.0]


@given(
    workers=st.integers(1, 4),
    backlog=st.integers(0, 5),
    gaps=st.lists(st.integers(0, 6), max_size=60),
)
def test_every_request_fares_as_in_a_step_by_step_simulation(workers: int, backlog: int, gaps: list[int]) -> None:
    # Whole numbers, so that both reckon exactly. The reference moves time one tick at a time.
    arrivals = [sum(gaps[: n + 1]) for n in range(len(gaps))]
    service_time = 4
    expected: list[float | None] = [None] * len(arrivals)
    queue: list[int] = []
    left = [0] * workers  # ticks that each worker still needs
    for tick in range((arrivals[-1] if arrivals else 0) + service_time * (len(arrivals) + 1)):
        left = [max(0, ticks - 1) for ticks in left]
        for n in [*queue, *(n for n, at in enumerate(arrivals) if at == tick)]:
            if 0 in left:
                left[left.index(0)] = service_time
                expected[n] = tick + service_time
                if n in queue:
                    queue.remove(n)
            elif n not in queue and len(queue) < backlog:
                queue.append(n)
    instance = Instance(workers, service_time, backlog)
    assert [instance.arrive(at) for at in arrivals] == expected


def test_outstanding_are_those_that_wait_and_those_that_are_served_and_not_those_that_have_left() -> None:
    instance = Instance(2, 1.0, 1)
    assert [instance.arrive(0.0) for _ in range(4)] == [1.0, 1.0, 2.0, None]
    assert [instance.outstanding(at) for at in (0.0, 0.999, 1.0, 1.5, 2.0)] == [3, 3, 1, 1, 0]


def test_time_that_runs_backwards_is_refused() -> None:
    instance = Instance(1, 1.0, 1)
    instance.arrive(2.0)
    with pytest.raises(ValueError, match=r"arrival at 1\.0: the last one came later, at 2\.0"):
        instance.arrive(1.0)


@pytest.mark.parametrize(
    ("workers", "service_time", "backlog", "names"),
    [(0, 1.0, 1, "workers 0"), (1, 0.0, 1, r"service_time 0\.0"), (1, 1.0, -1, "backlog -1")],
)
def test_an_impossible_instance_is_refused_by_name(workers: int, service_time: float, backlog: int, names: str) -> None:
    with pytest.raises(ValueError, match=names):
        Instance(workers, service_time, backlog)
