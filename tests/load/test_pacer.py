"""Arrivals from rates: how many, when, and that a stalled process catches up without inventing any."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise

import gevent

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sm_locust.load.pacer import Pacer, Stream, even, poisson
from sm_locust.schedule import Phase, Schedule

steps = st.lists(st.tuples(st.floats(0.01, 5.0), st.floats(0.0, 300.0)), min_size=1, max_size=20)


def arrivals(stream: Stream, until: float) -> list[float]:
    taken = []
    while stream.next_at < until:
        taken.append(stream.pop())
    return taken


@given(steps, st.floats(0.0, 0.999))
def test_arrivals_are_the_integral_of_the_rate_however_it_changes(
    changes: list[tuple[float, float]], phase: float
) -> None:
    stream, at, expected, taken = Stream(even(), phase), 0.0, 0.0, []
    for lasting, rate in changes:
        stream.set_rate(at, rate)
        at += lasting
        expected += rate * lasting
        taken += arrivals(stream, at)
    assert abs(len(taken) - expected) <= 1.0
    assert taken == sorted(taken)


@given(steps, st.sampled_from([even, lambda: poisson(7)]))
def test_a_pacer_that_looks_late_finds_the_same_arrivals_at_the_same_times(
    changes: list[tuple[float, float]], gaps: Callable[[], Iterator[float]]
) -> None:
    prompt, late, at, taken = Stream(gaps()), Stream(gaps()), 0.0, []
    for lasting, rate in changes:
        prompt.set_rate(at, rate)
        late.set_rate(at, rate)
        at += lasting
        taken += arrivals(prompt, at)
    caught_up = arrivals(late, at)
    assert len(caught_up) == pytest.approx(len(taken), abs=1)
    assert caught_up[: len(taken)] == pytest.approx(taken[: len(caught_up)])


def test_a_constant_rate_is_evenly_spaced() -> None:
    stream = Stream(even())
    stream.set_rate(0.0, 400.0)
    taken = arrivals(stream, 10.0)
    assert len(taken) == 4000
    gaps = [b - a for a, b in pairwise(taken)]
    assert max(gaps) - min(gaps) < 1e-9


@pytest.mark.parametrize(
    ("rate", "since", "until"),
    [
        pytest.param(0.2, 0, 3600, id="one in five seconds, for an hour"),
        pytest.param(1 / 3, 0, 3600, id="one in three seconds, for an hour"),
        pytest.param(333.3, 0, 3600, id="hundreds a second, for an hour"),
        pytest.param(20_000.0, 3540, 3600, id="tens of thousands a second, at the end of an hour"),
    ],
)
def test_a_rate_commanded_anew_every_second_neither_drifts_nor_loses_an_arrival(
    rate: float, since: int, until: int
) -> None:
    stream, taken = Stream(even()), []
    for second in range(since, until):
        stream.set_rate(float(second), rate)
        taken += arrivals(stream, second + 1.0)
    assert len(taken) == round(rate * (until - since))
    assert max(abs(at - (since + (n + 0.5) / rate)) for n, at in enumerate(taken)) < 1e-6


def test_a_ramp_from_nothing_and_back_has_each_second_what_the_plan_has() -> None:
    schedule = Schedule((Phase("up", 20, 0, ramp_to=50), Phase("down", 20, 50, ramp_to=0), Phase("again", 10, 0.2)))
    stream, taken = Stream(even()), 0
    for second in range(50):
        planned = schedule.expected(second + 1.0)
        stream.set_rate(float(second), planned - schedule.expected(float(second)))
        taken += len(arrivals(stream, second + 1.0))
        assert taken == pytest.approx(planned, abs=0.5 + 1e-6)


def test_a_change_of_rate_stretches_only_the_rest_of_a_gap() -> None:
    stream = Stream(even(), phase=0.0)
    stream.set_rate(0.0, 1.0)
    stream.set_rate(0.5, 0.25)  # half of the gap has passed; the other half takes 2 s
    assert stream.pop() == pytest.approx(2.5)


def test_a_rate_of_zero_has_no_next_arrival_and_keeps_the_gap_it_is_in() -> None:
    stream = Stream(even(), phase=0.0)
    stream.set_rate(0.0, 1.0)
    stream.set_rate(0.75, 0.0)
    assert stream.next_at == math.inf
    stream.set_rate(10.0, 1.0)
    assert stream.next_at == pytest.approx(10.25)


def test_a_poisson_stream_is_repeatable_and_has_the_mean_and_spread_of_one() -> None:
    one, two = Stream(poisson(7)), Stream(poisson(7))
    for stream in (one, two):
        stream.set_rate(0.0, 100.0)
    taken = arrivals(one, 200.0)
    assert taken == arrivals(two, 200.0)
    gaps = [b - a for a, b in pairwise(taken)]
    mean = sum(gaps) / len(gaps)
    spread = math.sqrt(sum((g - mean) ** 2 for g in gaps) / len(gaps))
    assert mean == pytest.approx(0.01, rel=0.03)  # 20,000 gaps: the standard error is 0.7%
    assert spread == pytest.approx(mean, rel=0.05)


def test_poisson_arrivals_of_a_rate_that_changes_follow_its_integral() -> None:
    stream, taken = Stream(poisson(3)), []
    for second in range(1000):
        stream.set_rate(float(second), 2.0 * (second % 100))  # a ramp from 0 to 198 a second, ten times over
        taken.append(len(arrivals(stream, second + 1.0)))
    by_rate = [sum(taken[offset::100]) for offset in range(100)]
    assert by_rate[0] == 0
    for offset, count in enumerate(by_rate):
        assert count == pytest.approx(20 * offset, abs=4.5 * math.sqrt(20 * offset + 1))


class Told:
    """A clock that moves only when it is told to, and so is read as late as a test wants."""

    def __init__(self) -> None:
        self.at = 0.0

    def now(self) -> float:
        return self.at


@given(st.lists(st.tuples(st.floats(0.01, 5.0), st.sampled_from("abc"), st.floats(0.0, 100.0)), max_size=20))
def test_what_a_process_owes_after_a_stall_is_each_classs_integral_and_comes_in_the_order_it_was_due(
    changes: list[tuple[float, str, float]],
) -> None:
    clock, fired = Told(), []
    pacer: Pacer[str] = Pacer(clock.now, lambda key, at: fired.append((key, at)), lambda n: even())
    rates, expected = dict.fromkeys("abc", 0.0), dict.fromkeys("abc", 0.0)
    for lasting, key, rate in changes:
        pacer.set_rate(key, rate)
        rates[key] = rate
        clock.at += lasting
        for each in rates:
            expected[each] += rates[each] * lasting
    pacer.stop()
    times = [at for _, at in fired]
    assert times == sorted(times)
    assert all(0.0 <= at <= clock.at for at in times)
    count = Counter(key for key, _ in fired)
    assert all(abs(count[key] - expected[key]) <= 1.0 for key in rates)


def test_a_rate_of_nothing_owes_nothing_for_as_long_as_it_lasts() -> None:
    clock, fired = Told(), []
    pacer: Pacer[str] = Pacer(clock.now, lambda key, at: fired.append(at), lambda n: even())
    for at, rate in ((0.0, 10.0), (2.0, 0.0), (60.0, 10.0)):
        clock.at = at
        pacer.set_rate("a", rate)
    clock.at = 62.0
    pacer.stop()
    assert len(fired) == 40
    assert [at for at in fired if 2.0 < at < 60.0] == []


def test_a_rate_below_one_fires_at_exact_times() -> None:
    clock, fired = Told(), []
    pacer: Pacer[str] = Pacer(clock.now, lambda key, at: fired.append(at), lambda n: even(), until=60.0)
    for second in range(100):  # past the end
        clock.at = second + 0.25
        pacer.set_rate("a", 0.2)
    pacer.stop()
    assert fired == pytest.approx([0.25 + 2.5 + 5.0 * n for n in range(12)])


class Clock:
    """A clock of the real kind that a test can also set forward: a process that was stopped for a while."""

    def __init__(self) -> None:
        self.ahead = 0.0
        self.start = 0.0
        self.start = self.now()

    def now(self) -> float:
        gevent.get_hub().loop.update_now()
        return float(gevent.get_hub().loop.now() - self.start + self.ahead)


def paced(until: float = math.inf) -> tuple[Clock, Pacer[str], list[tuple[str, float, float]]]:
    clock, fired = Clock(), []
    pacer: Pacer[str] = Pacer(clock.now, lambda key, at: fired.append((key, at, clock.now())), lambda n: even(), until)
    return clock, pacer, fired


def test_the_pacer_fires_each_arrival_at_or_after_its_time_and_none_twice() -> None:
    clock, pacer, fired = paced()
    pacer.set_rate("a", 200.0)
    gevent.sleep(0.5)
    pacer.stop()
    assert len(fired) == pytest.approx(200 * clock.now(), abs=5)
    assert all(at <= now for _, at, now in fired)
    first = fired[0][1]
    assert [at for _, at, _ in fired] == pytest.approx([first + n / 200.0 for n in range(len(fired))], abs=1e-6)


def test_after_a_stall_every_owed_arrival_is_fired_at_once_with_the_time_it_was_due() -> None:
    clock, pacer, fired = paced()
    pacer.set_rate("a", 100.0)
    gevent.sleep(0.1)
    before = len(fired)
    clock.ahead += 5.0
    gevent.sleep(0.1)
    pacer.stop()
    owed = [at for _, at, now in fired if now - at > 0.2]
    assert len(owed) >= 470
    assert len(fired) == pytest.approx(100 * clock.now(), abs=5)
    assert before < 100
    gaps = [b - a for (_, a, _), (_, b, _) in pairwise(fired)]
    assert max(gaps) < 0.011


def test_while_it_catches_up_other_greenlets_have_their_turns() -> None:
    turns, fired_in = 0, []

    def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            gevent.sleep(0)

    clock = Clock()
    pacer: Pacer[str] = Pacer(clock.now, lambda key, at: fired_in.append(turns), lambda n: even())
    pacer.set_rate("a", 1000.0)
    other = gevent.spawn(others)
    gevent.sleep(0.02)
    clock.ahead += 2.0
    with gevent.Timeout(20):
        while len(fired_in) < 1000 * clock.now() - 50:  # what is still due when it is stopped comes in one turn
            gevent.sleep(0.1)  # the other one never rests: gevent looks at a timer every 5 ms then
    pacer.stop()
    other.kill()
    assert len(fired_in) >= 2000
    assert max(Counter(fired_in).values()) <= 100


def test_after_a_stall_across_the_end_only_what_was_due_before_it_is_fired() -> None:
    clock, pacer, fired = paced(until=2.0)
    started = clock.now()
    pacer.set_rate("a", 100.0)
    gevent.sleep(0.05)
    clock.ahead += 10.0
    gevent.sleep(0.1)
    assert len(fired) == pytest.approx((2.0 - started) * 100, abs=1)
    assert max(at for _, at, _ in fired) < 2.0


def test_no_arrival_is_due_at_or_after_the_end() -> None:
    clock, pacer, fired = paced(until=0.2)
    started = clock.now()
    pacer.set_rate("a", 1000.0)
    gevent.sleep(0.35)
    assert len(fired) == pytest.approx((0.2 - started) * 1000, abs=2)
    assert max(at for _, at, _ in fired) < 0.2


def test_several_classes_keep_their_rates() -> None:
    _, pacer, fired = paced(until=0.5)
    pacer.set_rate("a", 300.0)
    pacer.set_rate("b", 100.0)
    gevent.sleep(0.6)
    count = {key: sum(1 for k, _, _ in fired if k == key) for key in "ab"}
    assert count["a"] == pytest.approx(150, abs=2)
    assert count["b"] == pytest.approx(50, abs=2)


def test_a_higher_rate_wakes_a_pacer_that_sleeps_past_its_next_arrival() -> None:
    clock, pacer, fired = paced()
    pacer.set_rate("a", 0.01)
    gevent.sleep(0.05)
    started = clock.now()
    pacer.set_rate("a", 500.0)
    gevent.sleep(0.2)
    pacer.stop()
    assert len(fired) == pytest.approx(500 * (clock.now() - started), abs=5)


def test_nothing_is_fired_after_the_stop_whatever_the_rate() -> None:
    _, pacer, fired = paced()
    pacer.set_rate("a", 500.0)
    gevent.sleep(0.1)
    pacer.stop()
    count = len(fired)
    pacer.set_rate("a", 5000.0)
    gevent.sleep(0.1)
    assert len(fired) == count


@settings(max_examples=20)
@given(st.integers(2, 16))
def test_processes_that_start_together_do_not_fire_together(processes: int) -> None:
    firsts = []
    for index in range(processes):
        pacer: Pacer[str] = Pacer(lambda: 0.0, lambda key, at: None, lambda n: even(), offset=index)
        pacer.set_rate("a", 1.0)
        firsts.append(pacer._streams["a"].next_at)
        pacer.stop()
    firsts.sort()
    assert min(b - a for a, b in pairwise(firsts)) > 0.3 / processes
