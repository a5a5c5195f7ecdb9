"""The search against endpoints of known capacity, in virtual time; and what it does when it cannot know."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from sm_locust.analysis.capacity import Capacity
from sm_locust.analysis.search import (
    AT_MAX,
    FOUND,
    LATE,
    MOST_SENT,
    NONE_HELD,
    PAUSE,
    TIME_LIMIT,
    Search,
)
from sm_locust.config import CapacitySearch
from sm_locust.record.interval import ARRIVALS, Interval
from tests.analysis.virtual_search import ON_TIME, counted, searched
from tests.oracles.queues import MD1, Degrading, Failing, HardLimit, LinearLatency, MMc, Never, Oracle

REPETITIONS = 100  # where arrivals come by chance, and no answer is as another
OF_ITSELF = 50  # where arrivals are even: of 200 searches a hard limit has 4 different ones, and with failures 12
SETTINGS = CapacitySearch(start=50, max=2000)


@dataclass(frozen=True)
class Known:
    """An oracle, the SLO that it is searched under, and the highest rate that holds."""

    oracle: Callable[[int], Oracle]
    limits: dict[str, float]
    truth: float
    by_chance: bool = False
    width: float = 0.08
    repetitions: int = OF_ITSELF


KNOWN = {
    "a hard limit": Known(lambda seed: HardLimit(350), {"latency_p99": 0.050}, 350),
    "M/D/1": Known(
        lambda seed: MD1(0.0025),
        {"latency_mean": 0.010},
        MD1(0.0025).truth(0.010),
        by_chance=True,
        repetitions=REPETITIONS,
    ),
    "M/M/4": Known(
        lambda seed: MMc(4, 0.010, seed),
        {"latency_mean": 0.020},
        MMc(4, 0.010).truth(0.020),
        by_chance=True,
        repetitions=REPETITIONS,
    ),
    "M/M/4, a percentile": Known(
        lambda seed: MMc(4, 0.010, seed),
        {"latency_p95": 0.040},
        MMc(4, 0.010).truth(0.040, quantile=0.95),
        by_chance=True,
        width=0.10,  # a share scatters more than a mean does
        repetitions=60,
    ),
    "latency linear in the rate": Known(
        lambda seed: LinearLatency(seed=seed), {"latency_mean": 0.015}, LinearLatency().truth(0.015)
    ),
    "3% failing always": Known(
        lambda seed: Failing(HardLimit(350), 0.03, seed), {"latency_p99": 0.050, "error_rate": 0.05}, 350
    ),
}


@pytest.mark.parametrize("name", KNOWN)
def test_the_interval_holds_the_truth(name: str) -> None:
    known = KNOWN[name]
    found = [
        searched(known.oracle(seed), known.limits, SETTINGS, seed=seed, by_chance=known.by_chance)
        for seed in range(known.repetitions)
    ]
    answers = [search.capacity for search in found]
    bounds = [(c.low, c.max_rps, c.high) for c in answers if c.low is not None and c.high is not None]
    holds = sum(low <= known.truth <= high for low, _, high in bounds) / known.repetitions
    width = statistics.median(high / low - 1 for low, _, high in bounds)
    error = statistics.median(abs((best or 0) / known.truth - 1) for _, best, _ in bounds)
    lasted = statistics.median(search.steps[-1].until for search in found)
    print(f"{name}: holds {holds:.1%}, width {width:.1%}, error {error:.1%}, {lasted:.0f} s")
    assert holds >= 0.88
    assert width <= known.width
    assert error <= 0.03


def test_what_never_saturates_is_not_given_a_limit() -> None:
    for seed in range(20):
        found = searched(Never(seed=seed), {"latency_p99": 0.050, "error_rate": 0.01}, SETTINGS, seed=seed)
        assert found.ended == AT_MAX
        answer = found.capacity
        assert (answer.reached, answer.high, answer.limited_by, answer.fails_at) == (False, None, None, None)
        assert answer.max_rps == answer.low == pytest.approx(SETTINGS.max, rel=0.01)


@pytest.mark.parametrize(
    ("oracle", "limits"),
    [
        (lambda seed: Degrading(HardLimit(350), 0.003), {"latency_p99": 0.050}),
        (lambda seed: Degrading(LinearLatency(seed=seed), 0.003), {"latency_mean": 0.015}),
    ],
)
def test_what_gets_worse_while_it_is_searched_is_refused(
    oracle: Callable[[int], Oracle], limits: dict[str, float]
) -> None:
    refused = 0
    for seed in range(50):
        answer = searched(oracle(seed), limits, SETTINGS, seed=seed).capacity
        refused += answer.max_rps is None and "changed while it was searched" in answer.refused
    assert refused >= 48


def test_an_error_rate_that_no_rate_keeps_has_no_capacity() -> None:
    found = searched(Failing(HardLimit(350), 0.03), {"error_rate": 0.01}, SETTINGS)
    assert found.ended == NONE_HELD
    answer = found.capacity
    assert (answer.max_rps, answer.low, answer.reached, answer.limited_by) == (None, None, True, "error_rate")
    assert answer.high is not None and answer.high <= SETTINGS.start


@pytest.mark.parametrize("lag", [1, 2])
@pytest.mark.parametrize("by_chance", [False, True])
def test_what_was_judged_is_what_was_played(lag: int, by_chance: bool) -> None:
    found = searched(HardLimit(350), {"latency_p99": 0.05}, SETTINGS, lag=lag, by_chance=by_chance)
    probes = [step for step in found.steps if step.kind != PAUSE]
    assert probes
    for step in probes:
        assert step.offered == pytest.approx(step.rate, rel=0.02 if not by_chance else 0.1, abs=1)
        assert step.requests >= 500  # five beyond a 99th percentile


def test_no_step_begins_in_the_backlog_of_the_one_before() -> None:
    found = searched(HardLimit(350), {"latency_p99": 0.05}, SETTINGS)
    assert found.ended == FOUND
    for before, step in zip(found.steps, found.steps[1:], strict=False):
        if before.outcome == "failed":
            assert step.kind == PAUSE
            backlog = (before.rate - 350) * (before.until - before.at)
            assert step.until - step.at >= backlog / 350


def test_an_endpoint_that_keeps_its_requests_is_refused() -> None:
    class Keeps(HardLimit):
        """Answers nothing for an hour once it has been overloaded."""

        def serve(self, arrivals):  # type: ignore[no-untyped-def]
            latencies, ok = super().serve(arrivals)
            latencies[latencies > 1] = 3600
            return latencies, ok

    answer = searched(Keeps(350), {"latency_p99": 0.05}, SETTINGS).capacity
    assert answer.max_rps is None
    assert "still in flight 60 s after" in answer.refused


def test_a_queue_that_grows_holds_no_rate_though_it_keeps_the_limit_for_a_while() -> None:
    """1% too much: after half a minute the 99th percentile is still far below a limit of a second."""
    found = searched(HardLimit(350), {"latency_p99": 1.0}, CapacitySearch(start=353.5, max=353.5))
    answer = found.capacity
    assert answer.limited_by == "backlog"
    assert answer.fails_at == pytest.approx(353.5, rel=0.01)
    assert answer.high is not None and answer.high < 354


def test_a_generator_that_cannot_keep_up_is_not_taken_for_the_endpoint() -> None:
    def lateness(at: float, rate: float) -> float:
        return 0.2 if rate > 500 else ON_TIME

    found = searched(Never(), {"latency_p99": 0.05}, SETTINGS, lateness=lateness)
    assert found.ended == "the generator could not send 800 arrivals a second on time"
    assert found.steps[-1].outcome == LATE
    answer = found.capacity
    assert answer.max_rps == pytest.approx(400, rel=0.01)
    assert not answer.reached


def test_a_rate_that_never_comes_is_not_judged() -> None:
    found = searched(Never(), {"latency_p99": 0.05}, CapacitySearch(start=500), delivered=0.7)
    assert found.ended == "the generator could not send 500 arrivals a second on time"
    assert found.capacity.refused.startswith("no rate was decided")


def test_single_late_seconds_are_left_out() -> None:
    """Every seventh second the machine has something else to do, and all of its requests leave late."""
    found = searched(
        HardLimit(350),
        {"latency_p99": 0.05},
        SETTINGS,
        lateness=lambda at, rate: 0.040 if int(at) % 7 == 0 else ON_TIME,
    )
    assert found.ended == FOUND
    assert found.capacity.max_rps == pytest.approx(350, rel=0.05)


def test_time_is_limited_and_what_is_known_by_then_is_said() -> None:
    found = searched(HardLimit(350), {"latency_p99": 0.05}, CapacitySearch(start=50, max=2000, time_limit="60s"))
    assert found.ended == TIME_LIMIT
    assert found.capacity.low == pytest.approx(100, rel=0.01)
    assert not found.capacity.reached
    early = searched(HardLimit(350), {"latency_p99": 0.05}, CapacitySearch(start=50, max=2000, time_limit="5s"))
    assert early.capacity.refused == f"no rate was decided: {TIME_LIMIT}"


def test_no_more_is_sent_than_the_guard_allows() -> None:
    found = searched(HardLimit(350), {"latency_p99": 0.05}, SETTINGS, most=3000)
    assert found.ended == MOST_SENT


def test_the_same_seconds_lead_to_the_same_answer() -> None:
    one, other = (searched(MMc(4, 0.01, 5), {"latency_mean": 0.02}, SETTINGS, seed=5, by_chance=True) for _ in "ab")
    assert one.steps == other.steps
    assert one.capacity == other.capacity


def test_after_the_end_nothing_is_wanted() -> None:
    found = searched(Never(), {"latency_p99": 0.05}, SETTINGS)
    assert found.next(Interval(1e6, ARRIVALS)) is None
    assert found.rate == 0


def test_few_requests_decide_nothing() -> None:
    """A 99.9th percentile takes 5,000 requests; at 2 a second that is an hour's work, and not a window's."""
    search = Search(CapacitySearch(start=2, max=2, time_limit="10m"), {"latency_p999": 0.05})
    for second in range(600):
        interval = Interval(float(second), ARRIVALS)
        interval.add("due", 2)
        interval.add("ok", 2)
        interval.latency.record(0.01)
        interval.latency.record(0.01)
        search.next(interval)
    assert search.ended == TIME_LIMIT
    assert search.capacity == Capacity("search", refused=f"no rate was decided: {TIME_LIMIT}")


def test_the_histogram_of_the_virtual_second_is_that_of_the_recorder() -> None:
    durations = np.exp(np.random.default_rng(1).uniform(np.log(1e-7), np.log(300), 5000))
    interval = Interval(0.0, ARRIVALS)
    for seconds in durations:
        interval.latency.record(float(seconds))
    assert counted(durations) == interval.latency.counts
