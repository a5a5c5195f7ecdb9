"""What a monitoring system reads: counters that only grow, buckets that are counts, labels that are bounded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_locust.plugin.exposed import LATENCY_SCALE, MOST_NAMES, OTHER, Exposed, cumulative
from sm_locust.record.histogram import Histogram
from sm_locust.record.interval import ARRIVALS, DROPPED, DUE, Interval
from sm_locust.record.ledger import Planned, Sample
from sm_locust.record.outcome import OK, Outcome


def sample(process: str, in_flight: int = 0) -> Sample:
    return Sample(1.0, process, in_flight, None)


def arrivals(due: int, **dropped: int) -> Interval:
    found = Interval(0.0, ARRIVALS)
    found.add(DUE, due)
    for reason, n in dropped.items():
        found.add(DROPPED + reason, n)
    return found


def requests(name: str, *kinds: str) -> tuple[Interval, dict[str, Any], Sample]:
    found = Interval(0.0, name)
    for kind in kinds:
        found.record(Outcome(name, 0.0, 0.001, None, 0.01, kind))
    row = found.encode()
    return Interval.decode(row, histograms=()), row, sample("a")


def test_counts_go_on_from_one_run_to_the_next_and_what_is_only_now_does_not() -> None:
    exposed = Exposed()
    for _ in range(2):
        exposed.begin({}, 1)
        exposed.plan(Planned(0.0, 1.0, 12.5, 12))
        exposed.count(arrivals(12, isolated=2), {}, sample("a"))
        exposed.count(*requests("e", OK, OK, "timeout", "unavailable", "cancelled"))
        exposed.sample(sample("a", 3))
        exposed.sample(sample("b", 4))
        exposed.desired, exposed.in_service = 2, 1
        assert (exposed.in_flight, exposed.running) == (7, True)
        exposed.end()
        gauges: list[object] = [exposed.in_flight, exposed.running, exposed.desired, exposed.in_service]
        assert gauges == [0, False, None, None]
    assert (exposed.planned, exposed.sent, exposed.dropped) == (25.0, 20, {"isolated": 4})
    assert exposed.requests == {("e", "ok"): 4, ("e", "failed"): 4, ("e", "cancelled"): 2}
    assert exposed.failures == {("e", "timeout"): 2, ("e", "unavailable"): 2}
    assert exposed.latency["e"].count == 8  # an answered failure is in no latency
    assert exposed.lateness.count == 10


def test_rates_are_those_of_the_last_five_seconds() -> None:
    exposed = Exposed()
    assert exposed.rates == (0.0, 0.0)
    exposed.begin({}, 1)
    assert exposed.rates == (0.0, 0.0)
    for second in range(1, 11):
        exposed.plan(Planned(second - 1.0, float(second), 100.0, 100))
        exposed.count(arrivals(100 if second < 6 else 50), {}, sample("a"))
        exposed.tick(second + 0.03)
        if second == 2:
            assert exposed.rates == pytest.approx((98.5, 98.5), abs=0.1)
    assert exposed.rates == pytest.approx((100.0, 50.0))
    exposed.end()
    assert exposed.rates == (0.0, 0.0)


def test_what_a_lost_process_has_in_flight_is_not_known() -> None:
    exposed = Exposed()
    exposed.begin({}, 1)
    exposed.sample(sample("a", 3))
    exposed.sample(sample("b", 4))
    exposed.tick(1.0, {"a", "never heard of"})
    assert exposed.in_flight == 4


def test_limits_of_latency_are_edges_and_no_others() -> None:
    exposed = Exposed()
    exposed.begin({"latency_mean": 0.0155, "latency_p99": 0.3, "service_time_p50": 0.0123, "error_rate": 0.04}, 60)
    assert set(exposed.latency_edges) - set(LATENCY_SCALE) == {0.0155}
    assert list(exposed.latency_edges) == sorted(exposed.latency_edges)
    assert exposed.speed == 60


@pytest.mark.parametrize(
    ("count", "names"),
    [
        (
            lambda e, n: e.count(*requests(f"/item/{n}", OK)),
            lambda e: {name for name, _ in e.requests} | set(e.latency),
        ),
        (lambda e, n: e.count(*requests("e", f"kind {n}")), lambda e: {kind for _, kind in e.failures}),
        (lambda e, n: e.count(arrivals(9, **{f"reason {n}": 1}), {}, sample("a")), lambda e: set(e.dropped)),
    ],
    ids=["names", "kinds", "reasons"],
)
def test_labels_are_bounded(count: Callable[[Exposed, int], None], names: Callable[[Exposed], set[str]]) -> None:
    exposed = Exposed()
    for n in range(MOST_NAMES + 50):
        count(exposed, n)
    assert len(names(exposed)) == MOST_NAMES + 1
    assert OTHER in names(exposed)


def test_a_label_has_no_control_character() -> None:
    exposed = Exposed()
    exposed.count(*requests("a\x1b[31m\n\ud800", OK))
    assert list(exposed.latency) == ["a�[31m �"]


@given(
    durations=st.lists(st.floats(1e-6, 119), max_size=50),
    edges=st.sets(st.floats(1e-6, 119), min_size=1, max_size=9),
)
def test_buckets_count_what_is_at_most_their_edge(durations: list[float], edges: set[float]) -> None:
    histogram, ordered = Histogram(), tuple(sorted(edges))
    for seconds in durations:
        histogram.record(seconds)
    counts, total = cumulative(histogram, ordered)
    assert counts[-1] == len(durations)
    assert total == pytest.approx(sum(durations), rel=0.001, abs=1e-6 * len(durations))
    for edge, n in zip(ordered, counts, strict=False):
        low, high = edge * 0.999 - 1e-6, edge * 1.001 + 1e-6  # the width of a recorded bucket
        assert sum(d <= low for d in durations) <= n <= sum(d <= high for d in durations)


def test_buckets_of_nothing_are_noughts() -> None:
    found: Any = cumulative(Histogram(), (0.1, 1.0))
    assert found == ([0, 0, 0], 0.0)
