"""CloudWatch and scaling against what we sent: the join, whatever way its periods fall, and whether both agree."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sm_locust.analysis.minutes import Minutes
from sm_locust.analysis.periods import ModelLatency
from sm_locust.analysis.summary import Summary
from sm_locust.analysis.watched import Setting, Watched
from sm_locust.record.observation import ENDPOINT_GONE, Observation, ScalingEvent
from sm_locust.record.outcome import OK
from sm_locust.record.run import Run
from sm_locust.report import wording
from sm_locust.schedule import Phase
from tests.analysis.folders import OVERHEAD, SCALED, before_and_after, played, watch

FLAT = (Phase("flat", 300, 10),)  # five minutes, 3,000 requests


def watched(run: Run) -> Watched:
    found = Watched.of(run, Minutes.of(run))
    assert found is not None
    return found


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run]:
    return before_and_after(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def after(pair: tuple[Run, Run]) -> Watched:
    return watched(pair[1])


def test_a_run_that_nobody_watched_has_nothing_to_join(tmp_path: Path) -> None:
    run = played(tmp_path, FLAT)
    assert Watched.of(run, Minutes.of(run)) is None
    assert [Summary.of(run).as_dict()[key] for key in ("cloudwatch", "reconciliation", "scaling")] == [None] * 3


def test_at_speed_60_a_period_is_a_schedule_minute_and_its_rate_is_of_real_seconds(after: Watched) -> None:
    assert [period.at_s for period in after.periods] == [60.0 * n for n in range(120)]
    busy = after.periods[-1]
    assert (busy.seconds, busy.invocations, busy.per_instance) == (1.0, 798.0, 399.0)
    assert busy.per_minute(busy.invocations) == 47_880
    assert busy.per_minute(busy.per_instance) == 23_940


def test_each_period_holds_what_we_sent_in_the_same_stretch(after: Watched) -> None:
    assert all(period.client.sent == period.invocations and not period.partial for period in after.periods)
    assert sum(period.client.sent for period in after.periods) == 66_000


@pytest.mark.parametrize(
    ("offset_s", "starts", "partial"),
    [
        (0.0, [0.0, 60.0, 120.0, 180.0, 240.0], [False] * 5),
        (23.0, [-23.0, 37.0, 97.0, 157.0, 217.0, 277.0], [True, False, False, False, False, True]),
    ],
)
def test_periods_that_begin_on_other_seconds_than_the_run_are_joined_with_theirs(
    offset_s: float, starts: list[float], partial: list[bool], tmp_path: Path
) -> None:
    found = watched(watch(played(tmp_path, FLAT), offset_s=offset_s))
    assert [period.at_s for period in found.periods] == starts
    assert [period.partial for period in found.periods] == partial
    assert all(period.client.sent == period.invocations for period in found.periods)
    assert found.total("invocations") == 3_000


def test_the_error_of_a_clock_moves_no_second_to_another_period(tmp_path: Path) -> None:
    run = watch(played(tmp_path, FLAT))
    points = run.observations()
    (run.folder / "cloudwatch.csv").unlink()
    run.append_observations([replace(point, at_s=point.at_s + 0.4) for point in points])
    found = watched(run)
    assert [(period.at_s, period.invocations, period.client.sent) for period in found.periods] == [
        (60.0 * n, 600.0, 600) for n in range(5)
    ]


def test_each_period_belongs_to_the_minute_and_the_phase_that_its_middle_lies_in(tmp_path: Path) -> None:
    run = watch(played(tmp_path, (Phase("a", 150, 10), Phase("b", 150, 10))), offset_s=23)
    found, minutes = watched(run), Minutes.of(run)
    of_minutes = [[period.at_s for period in found.during(span)] for span in minutes.rows]
    of_phases = [[period.at_s for period in found.during(span)] for span in minutes.phases]
    assert of_minutes == [[-23.0], [37.0], [97.0], [157.0], [217.0]]
    assert of_phases == [[-23.0, 37.0, 97.0], [157.0, 217.0]]


def test_a_period_that_was_never_published_is_a_gap_and_not_a_zero(tmp_path: Path) -> None:
    found = watched(watch(played(tmp_path, FLAT), lost=lambda at_s: at_s == 120))
    gap = found.periods[2]
    assert (gap.at_s, gap.invocations, gap.errors, gap.model_latency, gap.client.sent) == (120.0, None, None, None, 600)
    assert found.total("invocations") == 2_400


def test_where_there_are_invocations_an_error_that_is_not_published_is_none(pair: tuple[Run, Run]) -> None:
    before = watched(pair[0])
    assert (before.periods[0].errors_4xx, before.periods[0].errors_5xx) == (0.0, 0.0)
    assert before.total("errors_5xx") == Minutes.of(pair[0]).whole.requests.failed


def test_a_period_of_ten_seconds_makes_six_rows_a_minute(tmp_path: Path) -> None:
    run = watch(played(tmp_path, FLAT), period_s=10.0)
    found = watched(run)
    assert len(found.periods) == 30
    assert len(found.during(Minutes.of(run).rows[1])) == 6
    assert found.periods[0].per_minute(found.periods[0].invocations) == 600


# -- ModelLatency ------------------------------------------------------------------------------------------------------


def test_the_mean_of_periods_is_weighted_and_everything_else_is_the_highest(tmp_path: Path) -> None:
    phases = (Phase("a", 60, 30), Phase("b", 60, 10))
    run = watch(played(tmp_path, phases, lambda at: (OK, 0.01 if at < 60 else 0.05)))
    latency = watched(run).model_latency
    assert latency is not None and latency.count == latency.answered == 2_400
    assert latency.metric("mean") == pytest.approx((1800 * 0.01 + 600 * 0.05) / 2400 - OVERHEAD, rel=1e-3)
    for statistic in ("p50", "p99", "p999", "max"):
        assert latency.metric(statistic) == pytest.approx(0.05 - OVERHEAD, rel=1e-3)


def test_nothing_measured_merges_to_nothing() -> None:
    assert ModelLatency.merged([]) is None


def judged(run: Run) -> list[tuple[str, float | None, bool | None, str]]:
    return [(j.where, j.value and round(j.value, 4), j.passed, j.note) for j in Summary.of(run).slo.judgements]


def test_a_limit_on_model_latency_judges_the_periods_of_judged_phases(tmp_path: Path) -> None:
    phases = (Phase("cold", 60, 10, judge=False), Phase("hot", 120, 10), Phase("hotter", 60, 10))
    config = {"slo": {"model_latency_mean": "15ms", "model_latency_p99": "15ms"}}
    run = played(tmp_path, phases, lambda at: (OK, 0.2 if at < 60 else 0.01 if at < 180 else 0.013), config=config)
    assert judged(watch(run)) == [
        ("run", 0.0126, True, "the highest of a minute"),
        ("run", 0.0106, True, ""),
        ("phase hot", 0.0096, True, "the highest of a minute"),
        ("phase hot", 0.0096, True, ""),
        ("phase hotter", 0.0126, True, "the highest of a minute"),
        ("phase hotter", 0.0126, True, ""),
    ]


def test_a_limit_on_model_latency_is_not_kept_by_minutes_that_never_came(tmp_path: Path) -> None:
    run = played(tmp_path, FLAT, config={"slo": {"model_latency_mean": "15ms"}})
    watch(run, lost=lambda at_s: at_s == 120)
    assert judged(run) == [("run", 0.0076, None, "CloudWatch measured only 2,400 of 3,000 requests")]
    assert Summary.of(run).exit_code == 1


def test_the_first_minute_that_broke_a_limit_on_model_latency_is_named(tmp_path: Path) -> None:
    config = {"slo": {"model_latency_mean": "15ms"}}
    run = watch(played(tmp_path, FLAT, lambda at: (OK, 0.01 if at < 180 else 0.02), config=config))
    assert [(onset.rule.metric, onset.span.minute) for onset in Summary.of(run).onsets if onset.rule] == [
        ("model_latency_mean", 3)
    ]


# -- reconciliation ----------------------------------------------------------------------------------------------------


def test_invocations_of_a_run_that_was_counted_whole_are_what_was_sent(pair: tuple[Run, Run]) -> None:
    for run in pair:
        found = watched(run).reconciliation(Minutes.of(run).whole)
        assert (found.sent, found.invocations, found.difference) == (66_000, 66_000, 0)
        assert found.errors == found.failed


@pytest.mark.parametrize("connect", ["connect", "connect_timeout"])
def test_requests_that_never_arrived_are_not_missed(connect: str, tmp_path: Path) -> None:
    kinds = {0: connect, 1: "access_denied", 2: "throttled", 3: "unavailable"}
    run = played(tmp_path, FLAT, lambda at: (kinds.get(int(at * 10) % 100, OK), 0.008))
    sent = Minutes.of(run).whole.sent
    watch(run)
    counted = sent - 90
    run.append_observations([Observation(0.0, "AWS/SageMaker", "Invocations", "Sum", counted - 2_400.0, "count")])
    found = watched(run).reconciliation(Minutes.of(run).whole)
    assert found.never_arrived == {"access_denied": 30, connect: 30, "throttled": 30}
    assert (found.expected, found.invocations, found.difference, found.failed) == (counted, counted, 0, 30)


@pytest.mark.parametrize(("invocations", "difference"), [(3_001, 1), (3_000, 0), (2_970, 0), (2_969, -1)])
def test_what_may_have_arrived_leaves_room_for_it(invocations: int, difference: int, tmp_path: Path) -> None:
    run = played(tmp_path, FLAT, lambda at: ("timeout" if int(at * 10) % 100 == 0 else OK, 0.008))
    run.append_observations([Observation(0.0, "AWS/SageMaker", "Invocations", "Sum", float(invocations), "count")])
    found = watched(run).reconciliation(Minutes.of(run).whole)
    assert (found.uncertain, found.difference) == ({"timeout": 30}, difference)


def test_the_minute_in_which_service_time_and_model_latency_differ_most_is_found(tmp_path: Path) -> None:
    run = watch(played(tmp_path, FLAT))
    slow = Observation(180.0, "AWS/SageMaker", "ModelLatency", "Average", 3.0, "ms")
    run.append_observations([slow])
    found = watched(run).reconciliation(Minutes.of(run).whole)
    assert found.compared == 5 and found.worst is not None
    assert found.worst.at_s == 180.0
    assert found.worst.latency_difference == pytest.approx(0.005, rel=1e-2)


def test_minutes_in_which_we_were_late_and_those_cut_short_are_not_compared(tmp_path: Path) -> None:
    run = played(tmp_path, FLAT, late=lambda at: 0.03 if 70 < at < 71 else 0.0002, until=200)
    found = watched(watch(run)).reconciliation(Minutes.of(run).whole)
    assert found.compared == 2  # of minutes 0 to 3


def more(at_s: float, sum_: float, source: str = "AWS/SageMaker") -> Observation:
    return Observation(at_s, source, "Invocations", "Sum", sum_, "count")


@pytest.mark.parametrize(
    ("counted", "foreign", "matters"),
    [
        (600.0, 0.0, False),  # all of it ours
        (606.0, 0.0, False),  # three in flight at either edge, and one by the error of a clock, may be its neighbours'
        (610.0, 3.0, False),  # somebody's, and too few to matter
        (750.0, 143.0, True),
    ],
)
def test_what_cloudwatch_counts_beyond_what_may_have_come_from_us_is_somebody_elses(
    counted: float, foreign: float, matters: bool, tmp_path: Path
) -> None:
    run = watch(played(tmp_path, FLAT))
    run.append_observations([more(120.0, counted)])
    found = watched(run)
    assert [period.foreign for period in found.periods] == [0.0, 0.0, foreign, 0.0, 0.0]
    assert [period.at_s for period in found.foreign] == ([120.0] if matters else [])
    reasons = {reason.code: reason for reason in Summary.of(run).verdict.reasons}
    assert ("foreign traffic" in reasons) is matters
    if matters:
        assert not reasons["foreign traffic"].invalidates
        assert "CloudWatch counts 143 more requests than we sent in minute 2" in reasons["foreign traffic"].text


def test_a_clock_that_is_off_by_what_a_date_cannot_tell_makes_no_strangers(tmp_path: Path) -> None:
    """The rate jumps with a minute, and CloudWatch's minute ends two seconds after ours: 180 count for the first."""
    run = watch(played(tmp_path, (Phase("calm", 120, 10), Phase("spike", 120, 100))))
    run.append_observations([more(60.0, 600.0 + 2 * 90), more(120.0, 6_000.0), more(180.0, 6_000.0)])
    found = watched(run)
    assert [period.foreign for period in found.periods] == [0.0] * 4
    assert Summary.of(run).verdict.reasons == ()


def test_where_all_that_was_counted_may_be_ours_there_are_no_strangers(tmp_path: Path) -> None:
    run = watch(played(tmp_path, FLAT))
    run.append_observations([more(60.0, 700.0), more(120.0, 500.0)])
    assert [period.foreign for period in watched(run).periods] == [0.0] * 5


def test_what_a_laptop_with_a_closed_lid_sent_late_is_no_strangers(tmp_path: Path) -> None:
    """Two minutes of sends fell into a third: nothing arrived in the two, so that CloudWatch has no point of them."""
    run = watch(played(tmp_path, FLAT), lost=lambda at_s: at_s in (60.0, 120.0))
    run.append_observations([more(180.0, 3 * 600.0)])
    assert [period.foreign for period in watched(run).periods] == [0.0, None, None, 0.0, 0.0]


def test_through_an_api_more_may_be_what_its_function_asked_again(tmp_path: Path) -> None:
    run = watch(played(tmp_path, FLAT))
    duration = Observation(120.0, "AWS/Lambda:InvokeDecisionTreeSMEP", "Duration", "Average", 9.0, "ms")
    run.append_observations([more(120.0, 900.0), duration])
    (reason,) = Summary.of(run).verdict.reasons
    assert "or the function behind the API asked it again: turn its client's retries off" in reason.text


def test_of_a_period_that_the_load_covered_in_part_nobody_knows_whose_the_rest_is(tmp_path: Path) -> None:
    run = watch(played(tmp_path, FLAT), offset_s=30)
    run.append_observations([more(-30.0, 9_000.0)])
    found = watched(run)
    assert [period.foreign for period in found.periods] == [None, 0.0, 0.0, 0.0, 0.0, None]
    assert found.foreign == []


def test_a_load_that_several_variants_share_is_counted_over_all_that_it_may_go_to(tmp_path: Path) -> None:
    run = watch(played(tmp_path, FLAT))
    sources = ("AWS/SageMaker", "AWS/SageMaker:variant/B", "AWS/SageMaker:variant/Shadow")
    run.append_observations([more(60.0 * n, 300.0, source) for n in range(5) for source in sources])
    subjects = [
        {"label": "", "ours": True},
        {"label": "variant/B", "ours": True},
        {"label": "variant/Shadow", "ours": False},
    ]
    run.finish(cloudwatch={**run.meta["cloudwatch"], "subjects": subjects})
    found = watched(run)
    assert [(each.invocations, each.arrived, each.foreign) for each in found.periods] == [(300.0, 600.0, 0.0)] * 5
    assert found.reconciliation(Minutes.of(run).whole).difference == 0


def test_latency_and_errors_of_a_shared_load_are_those_of_all_variants_by_their_samples(tmp_path: Path) -> None:
    """Two thirds of ours at 6 ms and one at 9: 7 ms, and 0.5 of overhead. The watched variant alone would say 6."""
    run = played(tmp_path, FLAT)
    b = "AWS/SageMaker:variant/B"
    of_each = [
        *(("AWS/SageMaker", "ModelLatency", "Average", 6.0), ("AWS/SageMaker", "ModelLatency", "SampleCount", 400.0)),
        *((b, "ModelLatency", "Average", 9.0), (b, "ModelLatency", "SampleCount", 200.0)),
        *(("AWS/SageMaker", "OverheadLatency", "Average", 0.5), (b, "OverheadLatency", "Average", 0.5)),
        *(("AWS/SageMaker", "Invocations", "Sum", 400.0), (b, "Invocations", "Sum", 200.0)),
        (b, "Invocation5XXErrors", "Sum", 3.0),
    ]
    run.append_observations([Observation(60.0 * n, *point, "x") for n in range(5) for point in of_each])
    run.finish(cloudwatch={"subjects": [{"label": "", "ours": True}, {"label": "variant/B", "ours": True}]})
    found = watched(run)
    split = found.periods[0].split
    assert split is not None
    assert (split.model, split.overhead) == pytest.approx((0.007, 0.0005))
    assert split.rest == pytest.approx(0.0005, abs=2e-5)
    assert (found.reconciliation(Minutes.of(run).whole).errors, found.total("errors_5xx")) == (15, 0)


def test_a_share_whose_latency_is_not_known_leaves_the_whole_unknown(tmp_path: Path) -> None:
    run = watch(played(tmp_path, FLAT))
    run.append_observations([more(60.0, 100.0, "AWS/SageMaker:variant/B")])
    subjects = [{"label": "", "ours": True}, {"label": "variant/B", "ours": True}]
    run.finish(cloudwatch={**run.meta["cloudwatch"], "subjects": subjects})
    assert [period.split is None for period in watched(run).periods] == [False, True, False, False, False]


def test_an_inference_component_is_what_is_watched_when_requests_name_one(tmp_path: Path) -> None:
    run = played(tmp_path, FLAT)
    source = "AWS/SageMaker:component/trees"
    run.append_observations([more(60.0 * n, 600.0, source) for n in range(5)])
    per_copy = [Observation(60.0 * n, source, "InvocationsPerCopy", "Sum", 200.0, "count") for n in range(5)]
    run.append_observations(per_copy)
    run.finish(cloudwatch={"period_s": 60.0, "settled": True, "subjects": [{"label": "component/trees", "ours": True}]})
    found = watched(run)
    assert [(period.invocations, period.per_instance) for period in found.periods] == [(600.0, 200.0)] * 5


def test_a_mean_service_time_is_split_into_model_overhead_and_the_rest(tmp_path: Path) -> None:
    run = watch(played(tmp_path, FLAT, lambda at: (OK, 0.008 if at < 60 else 0.012)))
    told = [Observation(60.0 * n, "AWS/SageMaker", "OverheadLatency", "Average", 0.3, "ms") for n in range(5)]
    run.append_observations(told)
    found = watched(run)
    first, whole = found.periods[0].split, found.split
    assert first is not None and whole is not None
    assert first.as_dict() == pytest.approx(
        {
            "client_ms": 8.0,
            "model_latency_ms": 7.6,
            "overhead_latency_ms": 0.3,
            "rest_ms": 0.1,
            "api_latency_ms": None,
            "integration_latency_ms": None,
            "function_duration_ms": None,
        },
        abs=0.02,
    )
    assert (whole.client, whole.model) == pytest.approx((0.0112, 0.0108), abs=2e-5)  # weighted by requests
    assert whole.client == pytest.approx(whole.model + (whole.overhead or 0) + whole.rest)
    row = found.reconciliation_dict(Minutes.of(run).whole)["periods"][0]
    parts = (row["model_latency_ms"], row["overhead_latency_ms"], row["rest_ms"])
    assert parts == pytest.approx((7.6, 0.3, 0.1), abs=0.02)


def test_on_the_way_through_an_api_its_own_parts_are_told(tmp_path: Path) -> None:
    run = watch(played(tmp_path, FLAT))
    way = {
        ("AWS/ApiGateway:DecisionTreeAPI/DummyStage", "Latency"): 7.9,
        ("AWS/ApiGateway:DecisionTreeAPI/DummyStage", "IntegrationLatency"): 7.85,
        ("AWS/Lambda:InvokeDecisionTreeSMEP", "Duration"): 7.8,
    }
    run.append_observations(
        [Observation(60.0 * n, s, name, "Average", value, "ms") for n in range(5) for (s, name), value in way.items()]
    )
    split = watched(run).split
    assert split is not None
    assert (split.api, split.integration, split.function) == pytest.approx((0.0079, 0.00785, 0.0078))
    assert split.way == pytest.approx(
        {"network": 1e-4, "API Gateway": 5e-5, "Lambda": 5e-5, "function": 2e-4}, abs=2e-5
    )
    assert sum(split.way.values()) == pytest.approx(split.rest)


def test_means_of_an_api_that_refused_requests_are_no_part_of_a_good_answers(tmp_path: Path) -> None:
    run = watch(played(tmp_path, FLAT))
    api, function = "AWS/ApiGateway:DecisionTreeAPI/DummyStage", "AWS/Lambda:InvokeDecisionTreeSMEP"
    told = [(api, "Latency", "Average", 5.0, "ms"), (api, "IntegrationLatency", "Average", 7.8, "ms")]
    told += [(function, "Duration", "Average", 7.7, "ms"), (api, "4XXError", "Sum", 40.0, "count")]
    told += [(api, "Count", "SampleCount", 640.0, "count"), (function, "Invocations", "Sum", 600.0, "count")]
    run.append_observations([Observation(60.0 * n, *each) for n in range(5) for each in told])
    found = watched(run)
    assert found.split is not None and found.split.way == {}
    assert found.way == {
        "ApiGateway": {"Count": 3200, "4XXError": 200, "5XXError": 0},
        "Lambda": {"Invocations": 3000, "Errors": 0, "Throttles": 0},
    }


def test_where_sends_were_late_a_mean_is_not_taken_apart(tmp_path: Path) -> None:
    assert watched(watch(played(tmp_path, FLAT, late=lambda at: 0.03))).split is None


@pytest.mark.parametrize(
    ("about", "events", "code", "says"),
    [
        ({"endpoint_at_start": "InService"}, [], "", ""),
        ({"endpoint_at_start": "Updating"}, [], "endpoint not in service", "was Updating when the load began"),
        ({}, [ScalingEvent(130.0, None, None, ENDPOINT_GONE)], "endpoint gone", "was deleted, as was seen in minute 2"),
    ],
)
def test_an_endpoint_that_was_not_whole_or_not_there_all_the_time_is_a_remark(
    about: dict[str, Any], events: list[ScalingEvent], code: str, says: str, tmp_path: Path
) -> None:
    run = watch(played(tmp_path, FLAT), events=events)
    run.finish(cloudwatch={**run.meta["cloudwatch"], **about})
    reasons = Summary.of(run).verdict.reasons
    assert [reason.code for reason in reasons] == ([code] if code else [])
    assert all(says in reason.text and not reason.invalidates for reason in reasons)


# -- instances and scaling ---------------------------------------------------------------------------------------------


def test_instances_in_service_are_those_at_the_end_of_each_period(after: Watched) -> None:
    assert [period.in_service for period in after.periods] == [1] * 37 + [2] * 83
    assert after.instances == (1.0, 2.0, 2.0)


def test_instances_are_told_from_the_invocations_where_scaling_was_not_watched(tmp_path: Path) -> None:
    found = watched(watch(played(tmp_path, FLAT), lambda at_s: 1 if at_s < 120 else 4))
    assert [period.instances for period in found.periods] == [1.0, 1.0, 4.0, 4.0, 4.0]
    assert {period.in_service for period in found.periods} == {None}


def test_the_first_sample_holds_for_the_time_before_it_but_an_event_does_not(tmp_path: Path) -> None:
    levels = {"": [3, 3, 2], "Set to 3.": [None, 3, 2]}
    for event, expected in levels.items():
        run = played(tmp_path, (Phase("flat", 180, 10),))
        run.append_scaling([ScalingEvent(70.0, 3, 3, event), ScalingEvent(130.0, 2, 2, "")])
        assert [period.in_service for period in watched(run).periods] == expected


SUSPENDED = {**SCALED, "target": {**SCALED["target"], "SuspendedState": {"DynamicScalingOutSuspended": True}}}
OTHER = {
    **SCALED,
    "policies": [
        {
            "TargetTrackingScalingPolicyConfiguration": {
                "TargetValue": 60.0,
                "CustomizedMetricSpecification": {"MetricName": "CPUUtilization"},
            }
        }
    ],
}

SLOW = {
    **SCALED,
    "policies": [
        {
            "TargetTrackingScalingPolicyConfiguration": {
                **SCALED["policies"][0]["TargetTrackingScalingPolicyConfiguration"],
                "ScaleOutCooldown": 60,
            }
        }
    ],
}

COPIES: dict[str, Any] = {
    **SCALED,
    "dimension": "sagemaker:inference-component:DesiredCopyCount",
    "policies": [
        {
            "TargetTrackingScalingPolicyConfiguration": {
                "TargetValue": 1000.0,
                "PredefinedMetricSpecification": {
                    "PredefinedMetricType": "SageMakerInferenceComponentInvocationsPerCopy"
                },
            }
        }
    ],
}


@pytest.mark.parametrize(
    ("state", "setting", "per_instance"),
    [
        ({"target": None, "policies": []}, None, None),
        (SCALED, Setting(1, 4, False, "SageMakerVariantInvocationsPerInstance", 25_000.0), 25_000.0),
        (SUSPENDED, Setting(1, 4, True, "SageMakerVariantInvocationsPerInstance", 25_000.0), None),
        (OTHER, Setting(1, 4, False, "CPUUtilization", 60.0), None),
        (
            SLOW,
            Setting(1, 4, False, "SageMakerVariantInvocationsPerInstance", 25_000.0, scale_out_cooldown=60.0),
            25_000.0,
        ),
        ({**SCALED, "policies": []}, Setting(1, 4, False, None, None), None),
        (COPIES, Setting(1, 4, False, "SageMakerInferenceComponentInvocationsPerCopy", 1000.0, copies=True), 1000.0),
    ],
    ids=["none", "tracking", "suspended", "another metric", "a cooldown", "without a policy", "copies"],
)
def test_the_scaling_that_a_run_started_with(
    state: dict[str, Any], setting: Setting | None, per_instance: float | None
) -> None:
    found = Setting.of(state)
    assert found == setting
    assert (found.per_instance if found else None) == per_instance


def test_copies_are_not_called_instances() -> None:
    told = Watched(60.0, True, (), (), (), COPIES, {}, None)
    assert wording.scaling(told) == "1 to 4 copies, 1,000 a minute for each"


# -- summary.json ------------------------------------------------------------------------------------------------------


def test_summary_json_says_what_cloudwatch_counted_and_whether_it_agrees(pair: tuple[Run, Run]) -> None:
    summary = Summary.of(pair[1]).as_dict()
    cloudwatch, found, scaling = summary["cloudwatch"], summary["reconciliation"], summary["scaling"]
    assert (cloudwatch["period_s"], cloudwatch["settled"], cloudwatch["missing"]) == (60.0, True, [])
    assert (cloudwatch["invocations"], cloudwatch["errors_4xx"], cloudwatch["errors_5xx"]) == (66_000, 0, 0)
    assert cloudwatch["most_invocations_per_instance"] == 26_580  # in minute 36, the last of one instance
    assert set(cloudwatch["model_latency_ms"]) == {"p50", "p90", "p95", "p99", "p999", "max", "mean", "count"}
    assert cloudwatch["model_latency_ms"]["mean"] == pytest.approx(summary["service_time_ms"]["mean"] - 0.4, abs=0.01)
    assert (found["difference"], found["latency"]["compared"]) == (0, 120)
    assert found["latency"]["worst_difference_ms"] == pytest.approx(0.4, abs=0.01)
    assert len(found["periods"]) == 120
    assert scaling["at_start"] == SCALED
    assert scaling["instances"] == {"start": 1.0, "end": 2.0, "most": 2.0}
    assert scaling["events"][1] == {
        "at_s": 2016.0,
        "desired": 2,
        "in_service": None,
        "event": "Setting desired instance count to 2.",
    }


def test_what_is_missing_and_not_settled_is_passed_on(tmp_path: Path) -> None:
    run = watch(played(tmp_path, FLAT), missing=["AccessDenied."], settled=False)
    cloudwatch = Summary.of(run).as_dict()["cloudwatch"]
    assert (cloudwatch["settled"], cloudwatch["missing"]) == (False, ["AccessDenied."])


def test_a_run_json_that_never_heard_of_cloudwatch_leaves_its_points_readable(tmp_path: Path) -> None:
    run = played(tmp_path, FLAT)
    run.append_observations([Observation(0.0, "AWS/SageMaker", "Invocations", "Sum", 600.0, "count")])
    found = watched(run)
    assert (found.period_s, found.settled, found.missing, found.state) == (60.0, None, (), None)
    assert found.periods[0].invocations == 600
