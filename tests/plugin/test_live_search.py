"""Searches as a live run has them, for endpoints that are slow, hold back, or are not yet warm."""

from __future__ import annotations

from typing import Any

import pytest

from tests.oracles.queues import HardLimit, MMc, Oracle, Seconds
from tests.plugin.live_search import played

LONG = "20h"


def settings(**given: Any) -> dict[str, Any]:
    return {"start": 50, "max": 2000, "time_limit": LONG, **given}


@pytest.mark.parametrize(
    ("oracle", "slo", "start", "per_user"),
    [
        (HardLimit(30), {"latency_p99": "50ms"}, 5, 1.0),  # a window holds fewer requests than a p99 takes
        (HardLimit(2, 0.5), {"latency_mean": "1s"}, 0.5, 0.1),
        (HardLimit(2, 3.0), {"latency_p90": "30s"}, 0.5, 0.1),  # overload takes longer than a window to break it
        (HardLimit(50, 0.1), {"latency_mean": "1s"}, 5, 1.0),
        (HardLimit(50, 0.1), {"latency_mean": "3s"}, 5, 1.0),
        (HardLimit(350, 0.1), {"latency_p95": "5s"}, 50, 1.0),
        (HardLimit(350), {"error_rate": "1%"}, 50, 1.0),  # nothing fails before its timeout
    ],
)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_hard_limit_is_found_under_any_slo(
    oracle: HardLimit, slo: dict[str, str], start: float, per_user: float, seed: int
) -> None:
    fresh = HardLimit(oracle.capacity, oracle.latency)
    search = played(fresh, {"slo": slo, "capacity": settings(start=start)}, seed=seed, per_user=per_user)
    found = search.capacity
    assert found.reached, (found, search.steps)
    assert found.low is not None and found.high is not None
    assert found.low <= oracle.capacity * 1.001 <= found.high * 1.002
    assert found.high <= 1.07 * found.low


def test_chance_at_a_low_rate_is_not_taken_for_a_generator_that_is_late() -> None:
    """At a rate of 1 a second, one second in a thousand has six arrivals or more."""
    document = {"slo": {"latency_mean": "5s"}, "capacity": settings(start=0.5, max=0.5, min_requests=1000)}
    for seed in range(3):
        search = played(HardLimit(2, 0.5), document, seed=seed, by_chance=True, per_user=0.1)
        assert search.ended == "capacity.max held", search.steps


def test_rates_that_could_not_be_decided_are_not_said_to_have_failed() -> None:
    """Of M/M/4 a half uses half of a p99 for long: surely held is none of the rates."""
    document = {"slo": {"latency_p99": "60ms"}, "capacity": settings()}
    for seed in range(5):
        found = played(MMc(4, 0.01, seed), document, seed=seed, by_chance=True).capacity
        assert (found.low is None) == bool(found.refused), found


class Cold(HardLimit):
    """A second slower for its first twelve seconds."""

    def serve(self, arrivals: Seconds) -> Any:
        latencies, ok = super().serve(arrivals)
        return latencies + (arrivals < 12), ok


def test_a_start_that_was_cold_is_not_taken_for_the_limit() -> None:
    found = played(Cold(350), {"slo": {"latency_p99": "100ms"}, "capacity": settings()}).capacity
    assert found.max_rps is None
    assert found.refused.startswith("the endpoint changed while it was searched: 50 a second failed 0 s after the")


class Worn(Oracle):
    """A tenth of a second slower from some time on."""

    def __init__(self, at: float) -> None:
        super().__init__()
        self.at = at

    def _answers(self, arrivals: Seconds) -> Any:
        return 0.005 + 0.1 * (arrivals > self.at), arrivals >= 0


def test_what_contradicts_the_only_rate_that_held_is_said() -> None:
    """By chance fewer arrive the second time than the first: no rate so low has held."""
    document = {"slo": {"latency_mean": "50ms"}, "capacity": settings(start=100, max=100)}
    for seed in range(6):
        found = played(Worn(13), document, seed=seed, by_chance=True).capacity
        assert found.refused.startswith("the endpoint changed while it was searched: "), found
