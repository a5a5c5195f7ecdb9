"""What of a run may speak of one instance: phases, seconds and instances that count, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sm_locust.analysis.capacity import Capacity
from sm_locust.analysis.summary import EXIT_FAILED, EXIT_GOOD, Summary
from sm_locust.record.observation import Observation, ScalingEvent
from sm_locust.record.outcome import OK
from sm_locust.record.run import Run
from sm_locust.schedule import Phase
from tests.analysis.folders import Answer, played, watch
from tests.analysis.virtual import virtual_run

RAMP = (Phase("ramp", 60, 20, ramp_to=140),)
CONFIG: dict[str, Any] = {"target": {"endpoint": "e"}, "slo": {"latency_mean": "15ms", "error_rate": "5%"}}


def breaks_at(second: float) -> Callable[[float], Answer]:
    """Rates rise by two a second: 20 + 2·second is where it breaks."""
    return lambda at: (OK, 0.008 if at < second else 0.05)


def run_of(tmp_path: Path, second: float = 40, **more: Any) -> Run:
    phases = more.pop("phases", RAMP)
    return played(tmp_path, phases, more.pop("answer", breaks_at(second)), **{"config": CONFIG, **more})


def of(run: Run) -> Capacity:
    return Summary.of(Run.open(run.folder)).capacity


def test_a_ramp_without_cloudwatch_is_the_endpoints(tmp_path: Path) -> None:
    found = of(run_of(tmp_path))
    assert found.max_rps == pytest.approx(100, abs=3)
    assert found.low is not None and found.high is not None
    assert found.low <= 100 <= found.high <= found.low + 8
    assert (found.way, found.reached, found.limited_by, found.instances) == ("ramp", True, "latency_mean", None)


def test_it_is_in_the_summary_and_comes_back_from_it(tmp_path: Path) -> None:
    summary = Summary.of(run_of(tmp_path))
    said = json.loads(json.dumps(summary.as_dict()))["capacity"]
    assert set(said) >= {"max_rps", "low", "high", "limited_by", "reached", "refused", "confidence", "instances", "way"}
    again = Capacity.from_dict(said)
    assert again.max_rps == pytest.approx(summary.capacity.max_rps, abs=1e-3)
    assert replace(again, max_rps=None, low=None, high=None, fails_at=None) == replace(
        summary.capacity, max_rps=None, low=None, high=None, fails_at=None
    )


@pytest.mark.parametrize("instances", [1, 2, 4])
def test_a_rate_is_that_of_one_instance(instances: int, tmp_path: Path) -> None:
    run = watch(run_of(tmp_path), lambda at_s: instances, events=[ScalingEvent(0.0, instances, instances, "")])
    found = of(run)
    assert found.instances == instances
    assert found.max_rps == pytest.approx(100 / instances, rel=0.03)


def test_instances_are_told_by_cloudwatch_where_nobody_saw_them(tmp_path: Path) -> None:
    run = watch(run_of(tmp_path), lambda at_s: 2, period_s=1.0)
    assert of(run).instances == 2
    assert of(run).max_rps == pytest.approx(50, rel=0.05)


def test_seconds_in_which_instances_come_are_left_out(tmp_path: Path) -> None:
    """From second 30 on there are two, and the rate for each one halves; what happens at the change is of neither."""
    changes = [ScalingEvent(0.0, 1, 1, ""), ScalingEvent(30.0, 2, 2, "")]
    run = watch(
        run_of(tmp_path, answer=lambda at: (OK, 0.05 if 29.5 < at < 31 else 0.008)),
        lambda at_s: 1 if at_s < 30 else 2,
        events=changes,
    )
    found = of(run)
    assert (found.reached, found.refused) == (False, "")
    assert found.max_rps == pytest.approx(77, abs=4)  # the last second before they came; 140 shared by two is less


def test_without_an_slo_nothing_holds_or_fails(tmp_path: Path) -> None:
    found = of(run_of(tmp_path, config={"target": {"endpoint": "e"}}))
    assert found.refused == "there is no slo to hold a rate against"
    assert found.max_rps is None


def test_phases_that_are_not_judged_do_not_count(tmp_path: Path) -> None:
    phases = (Phase("ramp", 30, 20, ramp_to=80), Phase("spike", 10, 400, judge=False), Phase("again", 20, 80))
    found = of(run_of(tmp_path, phases=phases, answer=lambda at: (OK, 0.05 if 30 <= at < 40 else 0.008)))
    assert (found.reached, found.refused) == (False, "")
    assert found.max_rps == pytest.approx(80, abs=2)


def test_phases_that_are_not_valid_do_not_count(tmp_path: Path) -> None:
    phases = (Phase("good", 30, 20, ramp_to=80), Phase("late", 30, 80, ramp_to=140))
    late = of(run_of(tmp_path, phases=phases, late=lambda at: 0.0002 if at < 30 else 0.030))
    assert late.max_rps == pytest.approx(78, abs=3)
    assert not late.reached
    none = of(run_of(tmp_path, late=lambda at: 0.030))
    assert none.refused == "no phase that is judged is valid"


def test_variants_that_share_the_requests_are_refused(tmp_path: Path) -> None:
    run = watch(run_of(tmp_path))
    subjects: list[dict[str, Any]] = [
        {"kind": "variant", "label": label, "ours": True, "dimensions": []} for label in ("", "variant/Green")
    ]
    run.finish(cloudwatch={**run.meta["cloudwatch"], "subjects": subjects})
    assert of(run).refused.startswith("2 variants share the requests")


def test_an_endpoint_that_was_not_in_service_is_refused(tmp_path: Path) -> None:
    run = watch(run_of(tmp_path))
    run.finish(cloudwatch={**run.meta["cloudwatch"], "endpoint_at_start": "Updating"})
    assert of(run).refused == "the endpoint was Updating when the load began"


@pytest.mark.parametrize(("seconds", "refused"), [(10, False), (45, True)])
def test_somebody_elses_requests(seconds: int, refused: bool, tmp_path: Path) -> None:
    run = watch(run_of(tmp_path), period_s=1.0, events=[ScalingEvent(0.0, 1, 1, "")])
    added = [
        Observation(p.at_s, p.source, p.metric, p.statistic, p.value + (5000 if p.at_s < seconds else 0), p.unit)
        if (p.metric, p.statistic) == ("Invocations", "Sum")
        else p
        for p in run.observations()
    ]
    run.rewrite_observations(added)
    found = of(run)
    assert found.refused.startswith("somebody else used the endpoint") is refused
    if not refused:
        assert found.max_rps == pytest.approx(100, abs=3)


SLO = {"slo": {"latency_mean": "15ms", "error_rate": "5%"}}


def test_the_reference_experiment_shows_what_one_instance_sustains(tmp_path: Path) -> None:
    """4 workers of 8.5 ms: 28,235 a minute. A compressed ramp is quicker than its queue, and a little above."""
    config = {**SLO, "target": {"endpoint": "e"}}
    found = of(virtual_run(tmp_path, config=config))
    assert found.max_rps is not None and found.low is not None
    assert 25_000 <= found.low * 60 <= found.max_rps * 60 <= 28_500
    assert found.high is not None and found.high * 60 >= 28_235
    assert (found.reached, found.limited_by, found.instances) == (True, "latency_mean", 1)
    assert found.saturates_at is not None
    assert found.saturates_at * 60 == pytest.approx(28_235, rel=0.01)


def test_with_scaling_the_reference_experiment_reaches_no_limit(tmp_path: Path) -> None:
    config = {**SLO, "target": {"endpoint": "e"}}
    found = of(virtual_run(tmp_path, scaled=True, config=config))
    assert (found.reached, found.refused, found.instances) == (False, "", 2)
    assert found.max_rps is not None
    assert 24_000 <= found.max_rps * 60 <= 28_235


# -- a search ----------------------------------------------------------------------------------------------------------

FOUND = Capacity("search", 100.0, 98.0, 103.0, True, "latency_mean", 110.0)


def searched(tmp_path: Path, ended: str = "found", found: Capacity = FOUND, **more: Any) -> Run:
    run = run_of(tmp_path, **more)
    run.finish(search={"ended": ended, "capacity": found.as_dict()})
    return run


def test_a_search_is_believed_and_the_slo_that_it_broke_is_no_judgement(tmp_path: Path) -> None:
    summary = Summary.of(searched(tmp_path))
    assert summary.capacity == FOUND
    assert summary.slo.judgements == ()
    assert summary.exit_code == EXIT_GOOD
    assert not [onset for onset in summary.onsets if onset.rule is not None]


def test_its_rates_are_shared_among_the_instances(tmp_path: Path) -> None:
    run = watch(searched(tmp_path), lambda at_s: 2, events=[ScalingEvent(0.0, 2, 2, "")])
    found = of(run)
    assert (found.max_rps, found.low, found.high, found.fails_at, found.instances) == (50, 49, 51.5, 55, 2)


def test_a_search_in_which_instances_came_is_refused(tmp_path: Path) -> None:
    run = watch(searched(tmp_path), events=[ScalingEvent(0.0, 1, 1, ""), ScalingEvent(20.0, 3, 3, "")])
    found = Summary.of(Run.open(run.folder))
    assert "the number of instances changed while it was searched, 1 to 3" in found.capacity.refused
    assert found.exit_code == EXIT_FAILED


def test_what_scaling_does_after_a_search_is_no_part_of_it(tmp_path: Path) -> None:
    """The alarm of its overload brings instances minutes later, while CloudWatch is still waited for."""
    run = watch(searched(tmp_path), events=[ScalingEvent(0.0, 1, 1, ""), ScalingEvent(3000.0, 3, 3, "")])
    found = of(run)
    assert (found.refused, found.instances) == ("", 1.0)


def test_a_search_that_somebody_ended_has_no_answer(tmp_path: Path) -> None:
    found = of(searched(tmp_path, ended=""))
    assert found.refused == "the search was ended before it had an answer: 98 a second held so far"


def test_a_search_that_was_refused_stays_so(tmp_path: Path) -> None:
    run = watch(searched(tmp_path, "refused", Capacity("search", refused="the endpoint changed")))
    assert of(run).refused == "the endpoint changed"


def test_a_search_knows_late_seconds_itself_and_its_answer_stands(tmp_path: Path) -> None:
    """It ended because the generator could not keep up: that makes the run not valid, and hides no answer."""
    run = searched(tmp_path, "the generator could not send 800 arrivals a second on time", late=lambda at: 0.03)
    run.finish(schedule={"source": "shape FindCapacity", "phases": []})
    summary = Summary.of(Run.open(run.folder))
    assert not summary.verdict.valid
    assert summary.capacity == FOUND


def test_a_search_that_was_not_delivered_is_refused(tmp_path: Path) -> None:
    run = searched(tmp_path, skip=lambda n: n % 5 == 0)
    run.finish(schedule={"source": "shape FindCapacity", "phases": []})
    assert of(run).refused == "the run is not valid (not delivered)"
