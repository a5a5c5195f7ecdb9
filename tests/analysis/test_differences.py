"""Headline figures of two runs: which, how far each moved, and in which direction that is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_locust.analysis.capacity import Capacity
from sm_locust.analysis.compare import Comparison, Side
from sm_locust.analysis.differences import HEADLINE, METRICS, Difference, Figure, differences
from sm_locust.schedule import Phase
from tests.analysis.folders import before_and_after, played

FLAT = (Phase("flat", 120, 10),)
values = st.floats(1e-6, 1e6)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    return Comparison.of(*before_and_after(tmp_path_factory.mktemp("runs")))


@given(st.sampled_from([metric for metric in METRICS if metric != "capacity"]), values, values)
def test_a_figure_that_moved_is_better_one_way_and_worse_the_other(metric: str, one: float, other: float) -> None:
    there, back = (Difference(metric, Figure(a), Figure(b)) for a, b in ((one, other), (other, one)))
    assert there.change is not None and there.change == pytest.approx(other / one - 1)
    if abs(one - other) > 0.02 * max(one, other):
        assert {there.direction, back.direction} == {"better", "worse"}
        rose_for_the_better = metric == "delivered_ratio"
        assert (there.direction == "better") == ((other > one) == rose_for_the_better)


def test_less_than_a_hundredth_is_about_the_same_and_nothing_is_no_share() -> None:
    assert Difference("latency_p99", Figure(1.0), Figure(1.009)).direction == "same"
    assert Difference("latency_p99", Figure(1.0), Figure(1.011)).direction == "worse"
    from_nothing = Difference("error_rate", Figure(0.0), Figure(0.001))
    assert (from_nothing.change, from_nothing.direction) == (None, "worse")
    nothing = Difference("error_rate", Figure(0.0), Figure(0.0))
    assert (nothing.change, nothing.direction) == (0.0, "same")
    unknown = Difference("latency_p99", Figure(None), Figure(1.0))
    assert (unknown.change, unknown.direction) == (None, None)


@pytest.mark.parametrize(
    ("before", "after", "change", "direction"),
    [
        (Figure(400.0, 390.0, 410.0), Figure(440.0, 430.0, 450.0), 0.1, "better"),
        (Figure(400.0, 390.0, 410.0), Figure(360.0, 350.0, 370.0), -0.1, "worse"),
        (Figure(400.0, 390.0, 410.0), Figure(420.0, 405.0, 430.0), 0.05, "unclear"),
        (Figure(400.0, 390.0, 410.0), Figure(437.0, 437.0, None), None, "better"),
        (Figure(470.0, 460.0, 480.0), Figure(437.0, 437.0, None), None, "unclear"),
    ],
)
def test_capacities_are_told_apart_by_their_intervals(
    before: Figure, after: Figure, change: float | None, direction: str
) -> None:
    found = Difference("capacity", before, after)
    assert found.direction == direction
    assert found.change == (None if change is None else pytest.approx(change))


def test_the_figures_are_those_of_summary_json(reference: Comparison) -> None:
    found = {each.metric: each.as_dict() for each in differences(reference)}
    assert set(found) == set(HEADLINE) - {"capacity"}  # no SLO: no capacity
    for name, side in (("before", reference.before), ("after", reference.after)):
        told = side.summary.as_dict()
        assert found["error_rate"][name] == told["requests"]["error_rate"]
        assert found["delivered_ratio"][name] == pytest.approx(told["arrivals"]["delivered_ratio"], abs=1e-6)
        for measure in ("latency", "service_time"):
            for statistic in ("mean", "p50", "p99", "max"):
                assert found[f"{measure}_{statistic}"][name] == told[f"{measure}_ms"][statistic]
        assert found["model_latency_mean"][name] == side.as_dict()["model_latency_ms"]["mean"]
    assert {found[metric]["direction"] for metric in ("error_rate", "latency_p99", "model_latency_mean")} == {"better"}
    assert found["delivered_ratio"]["direction"] == "same"


def test_what_neither_knows_is_left_out_and_a_capacity_unless_both_have_the_same_kind(tmp_path: Path) -> None:
    run = played(tmp_path, FLAT)
    plain = Comparison.of(run, run)
    assert not {each.metric for each in differences(plain)} & {"capacity", "model_latency_mean"}
    known = Capacity("ramp", 400.0, 390.0, 410.0, True, "latency_mean", 420.0, 1.0)

    def metrics(*capacities: Capacity) -> list[str]:
        sides = [Side(replace(plain.before.summary, capacity=capacity)) for capacity in capacities]
        return [each.metric for each in differences(Comparison(sides[0], sides[1], ()))]

    assert "capacity" in metrics(known, known)
    assert "capacity" not in metrics(known, replace(known, instances=None))
    assert "capacity" not in metrics(known, replace(known, refused="it changed"))
