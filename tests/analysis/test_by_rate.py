"""Runs by offered rate: the same steps for all of them, nothing lost, and the same answer whatever the ramp."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sm_locust.analysis.by_rate import FEWEST, STEPS, ByRate
from sm_locust.analysis.minutes import Minutes
from sm_locust.record.outcome import OK, UNAVAILABLE
from sm_locust.schedule import Phase, Schedule
from tests.analysis.folders import Answer, played


def ramp(parent: Path, *phases: Phase, speed: int = 1) -> Minutes:
    """An endpoint whose answer takes longer the more is offered, and that refuses past 60 a second."""
    schedule = Schedule(phases).at_speed(speed)

    def answer(at: float) -> Answer:
        rate = schedule.rate(at)
        return (UNAVAILABLE, 0.002) if rate > 60 else (OK, rate / 1e3)

    return Minutes.of(played(parent, phases, answer, speed=speed))


def test_runs_of_other_ramps_and_speeds_meet_at_the_same_rate(tmp_path: Path) -> None:
    slow = ramp(tmp_path, Phase("up", 240, 0, ramp_to=80))
    fast = ramp(tmp_path, Phase("down", 3600, 80, ramp_to=40), speed=60)
    found = ByRate.of([slow, fast])
    assert found.width == pytest.approx(80 / 18, rel=0.02)  # 3,600 requests in the shorter one
    ours, theirs = found.levels
    assert set(theirs) < set(ours)
    for step, level in theirs.items():
        assert found.starts(step) - 1e-6 <= level.rate <= found.starts(step + 1) + 1e-6
        if level.rate < 57:
            assert level.latency_mean == pytest.approx(level.rate / 1e3, rel=0.05)
            assert level.latency_mean == pytest.approx(ours[step].latency_mean, rel=0.05)
            assert level.error_rate == 0.0
        elif level.rate > 63:
            assert (level.latency_mean, level.error_rate) == (None, 1.0)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(5, 30), st.integers(1, 30), st.integers(1, 30)), min_size=1, max_size=3))
def test_no_request_is_lost_and_none_counted_twice(
    tmp_path_factory: pytest.TempPathFactory, phases: list[tuple[int, int, int]]
) -> None:
    minutes = ramp(
        tmp_path_factory.mktemp("runs"),
        *(Phase(f"{n}", length, rate, ramp_to=to) for n, (length, rate, to) in enumerate(phases)),
    )
    found = ByRate.of([minutes])
    assert sum(level.sent for level in found.levels[0].values()) == minutes.judged.sent
    assert all(0 <= step < max(STEPS) for step in found.steps)


def test_a_flat_load_is_one_level_and_few_answers_have_no_p99(tmp_path: Path) -> None:
    minutes = Minutes.of(played(tmp_path, (Phase("flat", 30, 7), Phase("more", 10, 9.9))))
    found = ByRate.of([minutes])
    (low, high) = found.levels[0].values()
    assert low.rate == pytest.approx(7) and low.sent == 210
    assert low.latency_p99 is not None
    assert high.sent < FEWEST and high.latency_p99 is None and high.latency_mean is not None


def test_phases_that_are_not_judged_and_runs_without_a_plan_have_no_levels(tmp_path: Path) -> None:
    run = played(tmp_path, (Phase("cold", 10, 50, judge=False), Phase("flat", 10, 10)))
    found = ByRate.of([Minutes.of(run)])
    assert [round(level.rate) for level in found.levels[0].values()] == [10]
    nothing = ByRate.of([Minutes.of(played(tmp_path, (Phase("none", 10, 0),)))])
    assert (nothing.width, nothing.steps, nothing.as_dict(["a"])) == (0.0, [], [])


def test_what_a_stalled_target_kept_from_being_sent_counts_as_failed(tmp_path: Path) -> None:
    run = played(tmp_path, (Phase("flat", 20, 10),), lambda at: "max_in_flight" if at > 10 else (OK, 0.01))
    (level,) = ByRate.of([Minutes.of(run)]).levels[0].values()
    assert level.error_rate == pytest.approx(0.5)


@pytest.mark.parametrize(("seconds", "steps"), [(10, 10), (60, 15), (200, 40)])
def test_the_shorter_the_run_the_fewer_the_steps(seconds: int, steps: int, tmp_path: Path) -> None:
    short = Minutes.of(played(tmp_path, (Phase("flat", seconds, 50),)))
    long = Minutes.of(played(tmp_path, (Phase("flat", 300, 10), Phase("more", 300, 30))))
    found = ByRate.of([long, short])
    assert found.lowest == pytest.approx(10) and found.width == pytest.approx(40 / steps)
    assert found.steps[-1] == steps - 1


def test_runs_at_one_rate_are_one_step(tmp_path: Path) -> None:
    flat = [Minutes.of(played(tmp_path, (Phase("flat", length, 10),))) for length in (20, 30)]
    found = ByRate.of(flat)
    assert (found.width, found.steps) == (0.0, [0])
    assert found.starts(1) == pytest.approx(10)


def test_compare_json_has_every_step_with_all_runs(tmp_path: Path) -> None:
    one = Minutes.of(played(tmp_path, (Phase("flat", 20, 10),)))
    other = Minutes.of(played(tmp_path, (Phase("flat", 20, 5),)))
    told = json.loads(json.dumps(ByRate.of([one, other]).as_dict(("before", "after")), allow_nan=False))
    assert [(step["before"] is None, step["after"] is None) for step in told] == [(True, False), (False, True)]
    assert told[1]["before"]["rps"] == 10.0
    assert (told[0]["from_rps"], told[1]["to_rps"]) == (5.0, 10.0)
