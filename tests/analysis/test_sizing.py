"""How many processes a load takes, computed by hand; and that the figures are those that were measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_locust.analysis.sizing import MEASURED_RATE, PROCESS_USERS, REQUEST_CPU, SHARE, Sizing
from sm_locust.config import RunConfig

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results.json"


def sizing(peak: float, body_bytes: float | None = 13, **sections: Any) -> Sizing:
    return Sizing.of(RunConfig.from_dict(sections), peak, body_bytes)


def test_its_figures_are_the_benchmarks() -> None:
    results = json.loads(RESULTS.read_text())
    assert sorted(results["values"]["cpu:ours-tls"])[2] == pytest.approx(REQUEST_CPU * 1e6, abs=0.05)
    (rate,) = (key for key in results["values"] if key == f"lateness:{MEASURED_RATE:.0f}")
    assert max(results["values"][rate]) < 5  # ms of lateness at the 99th percentile, from which on a run is not valid


@pytest.mark.parametrize(
    ("peak", "processes"), [(0, 1), (1, 1), (800, 1), (5_000, 1), (5_001, 2), (12_000, 3), (100_000, 20)]
)
def test_one_process_sends_what_was_measured(peak: float, processes: int) -> None:
    assert sizing(peak).processes == processes
    assert sizing(peak, None).processes == processes


def test_large_bodies_take_more_processes() -> None:
    # 0.25 of a core ÷ (46.4 µs + 1,000,000 × 0.3 ns)
    assert sizing(800, 1_000_000).process_rate == pytest.approx(721.7, abs=0.1)
    assert sizing(800, 1_000_000).processes == 2
    assert sizing(5_000, 10_000).processes == 1  # 5,061 a second would be a quarter of a core
    assert sizing(5_000, 20_000).processes == 2


def test_slow_answers_fill_what_may_be_in_flight() -> None:
    slow: dict[str, Any] = {"slo": {"latency_p99": "4s", "latency_mean": "2s"}, "arrivals": {"max_in_flight": 1000}}
    found = sizing(1_600, **slow)
    assert (found.in_flight, found.processes) == (3_200, 4)
    assert found.why == "answers as slow as slo allows are 3,200 in flight at the peak, and one process has 1,000"
    assert sizing(1_600, arrivals={"max_in_flight": 1000}).processes == 1  # nobody has said how slow they may be
    assert sizing(1_600, slo={"error_rate": "5%"}).in_flight is None


def test_too_few_are_said_with_what_to_do() -> None:
    assert sizing(12_000).shortfall(3) is None
    assert sizing(12_000).shortfall(1) == (
        "one process sends this load, and 3 are suggested: one sends 5,000 arrivals a second with room to spare, and "
        "the peak is 12,000; give --processes 3, or as many workers"
    )
    assert str(sizing(12_000).shortfall(2)).startswith("2 processes send this load, and 3 are suggested: ")


def test_users_are_counted_by_the_process() -> None:
    assert sizing(8_000).crowded(8, 1.0) is None
    assert sizing(8_000).crowded(2, 8.0) is None
    assert sizing(8_000).crowded(2, 1.0) == (
        "at the peak a process has 4,000 users, and past 1,000 Locust falls behind: give arrivals.per_user: 4"
    )


@given(st.floats(0, 1e6), st.floats(0, 6e6), st.integers(1, 120_000), st.integers(1, 20_000))
def test_what_is_suggested_is_enough_and_one_less_is_not(peak: float, body: float, slow: int, most: int) -> None:
    found = sizing(peak, body, slo={"latency_mean": f"{slow}ms"}, arrivals={"max_in_flight": most})
    n = found.processes
    assert peak / n <= found.process_rate * (1 + 1e-9)
    assert peak * slow / 1000 / n <= most * (1 + 1e-9)
    assert found.process_rate * REQUEST_CPU <= SHARE
    assert found.shortfall(n) is None
    if n > 1:
        assert found.shortfall(n - 1) is not None
        assert peak / (n - 1) > found.process_rate or peak * slow / 1000 / (n - 1) > most


@given(st.floats(1, 1e6), st.integers(1, 50))
def test_the_users_it_asks_for_are_few_enough(peak: float, processes: int) -> None:
    said = sizing(peak).crowded(processes, 1.0)
    if said is not None:
        assert sizing(peak).crowded(processes, float(said.rpartition(" ")[2])) is None
    else:
        assert peak / processes <= PROCESS_USERS
