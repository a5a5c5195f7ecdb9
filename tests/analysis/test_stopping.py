"""When a rule of `stop_when` trips: played second by second, as a process counts and ships, in virtual time."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sm_locust.analysis.stopping import Stopping, Tripped
from sm_locust.analysis.verdict import MAX_IN_FLIGHT
from sm_locust.config import RunConfig
from sm_locust.record.ledger import Sample
from sm_locust.record.observation import Observation
from sm_locust.record.outcome import OK, TIMEOUT, UNAVAILABLE, Outcome
from sm_locust.record.recorder import Recorder
from sm_locust.schedule import Phase, Schedule

NEVER = math.inf
BEGINS = 20.0  # real seconds at which it goes wrong

# kind, seconds until it ends, seconds that it left late; or a text: dropped for that reason; None: never raised
Fate = tuple[str, float, float] | str | None


def good(at: float) -> Fate:
    return OK, 0.01, 0.0


def rules(*given: dict[str, Any]) -> Any:
    return RunConfig.from_dict({"stop_when": list(given)}).stop_when


def play(
    rule: dict[str, Any],
    fate: Callable[[float], Fate],
    *,
    rate: float = 50.0,
    until: int = 300,
    speed: int = 1,
    schedule: Schedule | None = None,
    cap: float = NEVER,
    cpu: Callable[[float], float] = lambda at: 0.4,
    workers: int = 1,
) -> tuple[Tripped, int] | None:
    """The rule that trips and the second in which it does, of a load that goes on until then; None where none does.

    cap  max_in_flight of each worker, which frees a place at the end of a second
    """
    stopping = Stopping(rules(rule), speed, schedule)
    recorders = [Recorder(schedule.boundaries if schedule else ()) for _ in range(workers)]
    flying: list[list[tuple[float, Outcome]]] = [[] for _ in range(workers)]
    n = 0
    for second in range(1, until + 1):
        while (at := (n + 0.5) / rate) < second:
            worker, what = n % workers, fate(at)
            n += 1
            if isinstance(what, tuple) and len(flying[worker]) >= cap:
                what = MAX_IN_FLIGHT
            if isinstance(what, str):
                recorders[worker].dropped(at, what)
            elif what is not None:
                kind, takes, late = what
                recorders[worker].arrived(at)
                end = at + late + takes
                if end < NEVER:
                    flying[worker].append((end, Outcome("e", at, at + late, None, end, kind)))
        for worker, recorder in enumerate(recorders):
            here = flying[worker]
            for end, outcome in sorted(here, key=lambda entry: entry[0]):
                if end <= second + 0.02:
                    recorder.record(outcome)
            flying[worker] = [entry for entry in here if entry[0] > second + 0.02]
            for interval in recorder.take(float(second)):
                stopping.count(interval, second - 1)
            if second % 5 == 0:
                stopping.sample(Sample(second + 0.02, str(worker), 0, cpu(second - 2.5)))
        stopping.plan(second - 1.0, rate)
        tripped = stopping.judge(second + 0.02)
        if tripped is not None:
            return tripped, second
    return None


def after(at: float, otherwise: Fate) -> Fate:
    return otherwise if at >= BEGINS else good(at)


CASES: dict[str, tuple[dict[str, Any], Callable[[float], Fate], float]] = {
    "error_rate": (
        {"metric": "error_rate", "above": "5%", "for": "10s"},
        lambda at: after(at, (UNAVAILABLE, 0.001, 0.0) if int(at * 50) % 5 == 0 else good(at)),
        0.2,
    ),
    "error_rate of what was kept from being sent": (
        {"metric": "error_rate", "above": "5%", "for": "10s"},
        lambda at: after(at, MAX_IN_FLIGHT),
        1.0,
    ),
    "latency_p99": (
        {"metric": "latency_p99", "above": "300ms", "for": "10s"},
        lambda at: after(at, (OK, 0.4 if int(at * 50) % 10 == 0 else 0.01, 0.0)),
        0.4,
    ),
    "latency_p50 in a black hole": (
        {"metric": "latency_p50", "above": "300ms", "for": "10s"},
        lambda at: after(at, (TIMEOUT, NEVER, 0.0)),
        # In flight at the end: of the ten seconds of the window the middle is five seconds old, and one that is told.
        5.5,
    ),
    "service_time_mean": (
        {"metric": "service_time_mean", "above": "100ms", "for": "10s"},
        lambda at: after(at, (OK, 0.2, 0.0)),
        0.2,
    ),
    "latency_max": (
        {"metric": "latency_max", "above": "1s", "for": "4s"},
        lambda at: after(at, (OK, 1.5, 0.0)),
        1.5,
    ),
    "drop_rate": (
        {"metric": "drop_rate", "above": "1%", "for": "10s"},
        lambda at: after(at, MAX_IN_FLIGHT if int(at * 50) % 10 == 0 else good(at)),
        0.1,
    ),
    "throughput_shortfall": (
        {"metric": "throughput_shortfall", "above": "20%", "for": "10s"},
        # A queue that grows: of each second's arrivals a half is answered in time.
        lambda at: after(at, (OK, 0.01 + 1.0 * (at - BEGINS), 0.0)),
        0.5,
    ),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("workers", [1, 3])
def test_each_trips_within_its_window_and_three_seconds(name: str, workers: int) -> None:
    rule, fate, value = CASES[name]
    found = play(rule, fate, workers=workers)
    assert found is not None
    tripped, second = found
    (parsed,) = rules(rule)
    assert tripped.rule == parsed
    assert BEGINS + 0.8 * parsed.lasting <= second <= BEGINS + parsed.lasting + 3
    assert tripped.value == pytest.approx(value, rel=0.15)
    assert tripped.until - tripped.since == parsed.lasting
    assert tripped.since >= BEGINS - 1 and tripped.until <= tripped.at_s == pytest.approx(second, abs=0.1)


@pytest.mark.parametrize("name", CASES)
def test_none_trips_while_all_goes_well(name: str) -> None:
    assert play(CASES[name][0], good, until=60) is None


@pytest.mark.parametrize("name", CASES)
def test_what_goes_by_within_the_window_ends_nothing(name: str) -> None:
    """Though half of the window is far above the limit, and with it the mean of all of it."""
    rule, fate, _ = CASES[name]
    (parsed,) = rules(rule)

    def burst(at: float) -> Fate:
        what = fate(at) if at < BEGINS + parsed.lasting / 2 else good(at)
        if isinstance(what, tuple) and what[1] == NEVER:
            return TIMEOUT, BEGINS + parsed.lasting / 2 - at, 0.0  # it has an end, at which all are let go
        return what

    assert play(rule, burst, until=80) is None


@settings(max_examples=40, deadline=None)
@given(
    limit=st.integers(2, 50),
    share=st.integers(0, 100),
    window=st.integers(1, 130),
    takes=st.floats(0.0, 0.9),
    speed=st.sampled_from((1, 6, 60)),
)
def test_an_error_rate_trips_if_it_is_above_and_only_then(
    limit: int, share: int, window: int, takes: float, speed: int
) -> None:
    """100 arrivals a second, of which as many fail in each second; windows that have more seconds than slots too."""
    rule = {"metric": "error_rate", "above": f"{limit}%", "for": window * speed}
    found = play(
        rule,
        lambda at: (UNAVAILABLE if at >= BEGINS and int(at * 100) % 100 < share else OK, takes, 0.0),
        rate=100.0,
        until=180,
        speed=speed,
    )
    if share <= limit:
        assert found is None
    else:
        assert found is not None
        assert BEGINS + window - window / 10 - window / 60 - 1 <= found[1] <= BEGINS + window + 3
        assert found[0].until == pytest.approx(found[1] * speed)


def test_a_black_hole_trips_a_latency_long_before_its_requests_time_out_and_no_error_rate() -> None:
    def hole(at: float) -> Fate:
        return after(at, (TIMEOUT, 70.0, 0.0))

    found = play({"metric": "latency_p99", "above": "300ms", "for": "5s"}, hole)
    assert found is not None and found[1] <= BEGINS + 5 + 3
    found = play({"metric": "error_rate", "above": "5%", "for": "5s"}, hole)
    assert found is not None and BEGINS + 70 + 4 <= found[1] <= BEGINS + 70 + 5 + 3


def test_a_limit_of_many_seconds_is_told_once_a_request_can_have_taken_so_long() -> None:
    found = play(
        {"metric": "latency_p50", "above": "20s", "for": "5s"}, lambda at: after(at, (TIMEOUT, NEVER, 0.0)), until=60
    )
    assert found is not None and BEGINS + 20 + 5 <= found[1] <= BEGINS + 20 + 5 + 3


def test_its_grace_is_not_looked_at_and_is_schedule_time() -> None:
    rule = {"metric": "error_rate", "above": "5%", "for": "60s", "grace": "5m"}
    bad: Callable[[float], Fate] = lambda at: (UNAVAILABLE, 0.01, 0.0)  # noqa: E731
    for speed, grace, window in ((1, 300, 60), (6, 50, 10), (60, 5, 1)):
        found = play(rule, bad, speed=speed, until=400, rate=10.0)
        assert found is not None
        tripped, second = found
        assert grace + window <= second <= grace + window + 1
        assert tripped.since >= 300 - 1e-6 and tripped.until - tripped.since == pytest.approx(60)


def test_a_phase_that_is_not_judged_is_kept_out_of_every_rule() -> None:
    schedule = Schedule(
        [Phase("warm up", 30.5, 50, judge=False), Phase("load", 40, 50), Phase("storm", 60, 50, judge=False)]
    )
    for name, (rule, _, _) in CASES.items():
        fate: Callable[[float], Fate] = lambda at: (OK if 30.5 <= at < 70.5 else UNAVAILABLE, 0.01, 0.0)  # noqa: E731
        assert play(rule, fate, schedule=schedule, until=130) is None, name
    # Nor does what a phase has left in flight count in the next one; what is wrong there does.
    late: Callable[[float], Fate] = lambda at: (UNAVAILABLE, 35.0 if at < 30 else 0.01, 0.0)  # noqa: E731
    found = play(CASES["error_rate"][0], late, schedule=schedule, until=130)
    assert found is not None and found[1] == 31 + 10


@pytest.mark.parametrize(
    ("fate", "cpu", "said"),
    [
        (lambda at: after(at, (OK, 0.01, 0.05)), lambda at: 0.4, "left more than 50"),
        (lambda at: None if at >= BEGINS and int(at * 50) % 5 == 0 else good(at), lambda at: 0.4, "20.0% of the plan"),
        (lambda at: after(at, "isolated" if int(at * 50) % 5 == 0 else good(at)), lambda at: 0.4, "20.0% of the plan"),
        (good, lambda at: 0.97 if at >= BEGINS else 0.4, "used 97% of a core"),
    ],
    ids=["late", "never raised", "isolated", "busy"],
)
def test_a_generator_that_the_verdict_would_not_accept_trips_not_valid(
    fate: Callable[[float], Fate], cpu: Callable[[float], float], said: str
) -> None:
    found = play({"metric": "not_valid", "for": "15s"}, fate, cpu=cpu)
    assert found is not None
    assert BEGINS + 12 <= found[1] <= BEGINS + 15 + 3
    assert said in found[0].why and found[0].value is None
    assert play({"metric": "not_valid", "for": "15s"}, good, until=60) is None


def test_drops_at_max_in_flight_of_a_generator_in_time_are_the_endpoints() -> None:
    stalled: Callable[[float], Fate] = lambda at: after(at, MAX_IN_FLIGHT)  # noqa: E731
    assert play({"metric": "not_valid", "for": "15s"}, stalled, until=80) is None


def test_a_black_hole_trips_a_latency_though_max_in_flight_lets_no_request_out_any_more() -> None:
    """With the contracts' own rule: once the places are full, there is nothing in flight that is young."""
    rule = {"metric": "latency_p99", "above": "300ms", "for": "60s"}
    hole: Callable[[float], Fate] = lambda at: after(at, (TIMEOUT, 70.0, 0.0))  # noqa: E731
    found = play(rule, hole, cap=250, until=100)
    assert found is not None and BEGINS + 54 <= found[1] <= BEGINS + 60 + 3
    # Drops of a generator that is late are its own fault, and tell nothing of the endpoint.
    late: Callable[[float], Fate] = lambda at: (OK, 0.01, 0.1) if int(at * 50) % 2 else MAX_IN_FLIGHT  # noqa: E731
    assert play(rule, late, until=100) is None


@pytest.mark.parametrize("grace", [15, 30, 60])
def test_a_healthy_endpoint_that_takes_long_has_no_shortfall_after_its_grace(grace: int) -> None:
    """What comes back then was due before, and is throughput all the same."""
    rule = {"metric": "throughput_shortfall", "above": "50%", "for": "10s"}
    slow: Callable[[float], Fate] = lambda at: (OK, 12.0, 0.0)  # noqa: E731
    assert play({**rule, "grace": grace}, slow, until=150) is None
    schedule = Schedule([Phase("warm up", grace, 50, judge=False), Phase("load", 200, 50)])
    assert play(rule, slow, until=150, schedule=schedule) is None


@pytest.mark.parametrize(
    ("rule", "fate"),
    [
        ({"metric": "error_rate", "above": "5%", "for": "60s"}, (UNAVAILABLE, 0.01, 0.0)),
        ({"metric": "latency_p50", "above": "1s", "for": "60s"}, (OK, 1.5, 0.0)),
        ({"metric": "drop_rate", "above": "5%", "for": "60s"}, MAX_IN_FLIGHT),
        ({"metric": "throughput_shortfall", "above": "5%", "for": "60s"}, (UNAVAILABLE, 0.01, 0.0)),
    ],
)
def test_a_load_of_a_few_requests_a_window_trips_by_them(rule: dict[str, Any], fate: Fate) -> None:
    """One in ten seconds, for a window of ten times six seconds; one in fifty tells nothing."""
    assert play(rule, lambda at: after(at, fate), rate=0.1, until=60) is None
    found = play(rule, lambda at: after(at, fate), rate=0.1, until=160)
    assert found is not None and BEGINS + 50 <= found[1] <= BEGINS + 75
    assert play(rule, lambda at: fate, rate=0.02, until=400) is None


def test_one_good_answer_in_a_load_of_a_few_is_enough_to_end_nothing() -> None:
    rule = {"metric": "error_rate", "above": "5%", "for": "60s"}
    some: Callable[[float], Fate] = lambda at: good(at) if int(at / 10) % 4 == 3 else (UNAVAILABLE, 0.01, 0.0)  # noqa: E731
    assert play(rule, some, rate=0.1, until=400) is None


def test_a_search_that_pauses_shows_nothing() -> None:
    """Seconds without an arrival are neither good nor bad: what is above on both sides of them has not held."""
    silent: Callable[[float], Fate] = lambda at: (UNAVAILABLE, 0.01, 0.0) if int(at) % 8 < 6 else None  # noqa: E731
    assert play({"metric": "error_rate", "above": "5%", "for": "10s"}, silent, until=80) is None


# CloudWatch


def points(
    stopping: Stopping, *values: float | None, start: float = 0.0, period: float = 60.0, late: float = 0
) -> None:
    stopping.observed(
        Observation(start + i * period, "/aws/sagemaker/Endpoints", "CPUUtilization", "Average", value, "percent")
        for i, value in enumerate(values)
        if value is not None
    )


CPU = {"metric": "CPUUtilization", "above": "90%", "for": "3m"}


def test_points_of_cloudwatch_are_held_against_the_time_that_they_are_of() -> None:
    stopping = Stopping(rules(CPU), 1)
    points(stopping, 50, 95, 96)
    assert stopping.judge(400.02) is None
    points(stopping, 97, start=180.0)  # minutes later
    tripped = stopping.judge(500.02)
    assert tripped is not None
    assert (tripped.since, tripped.until, tripped.at_s) == (60.0, 240.0, 500.02)
    assert tripped.value == pytest.approx(0.96)


@pytest.mark.parametrize("values", [(95, 96, None, 97, 98), (95, 96, 90, 97, 98), (95, 96), ()])
def test_what_is_missing_or_not_above_begins_anew(values: tuple[float | None, ...]) -> None:
    stopping = Stopping(rules(CPU), 1)
    points(stopping, *values)
    assert stopping.judge(1000.0) is None


def test_a_point_that_is_corrected_counts_as_it_was_said_last() -> None:
    stopping = Stopping(rules(CPU), 1)
    points(stopping, 95, 10, 97)
    assert stopping.judge(200.0) is None
    points(stopping, 96, start=60.0)
    assert stopping.judge(200.0) is not None


def test_points_of_a_phase_that_is_not_judged_or_of_the_grace_or_of_before_the_run_do_not_count() -> None:
    schedule = Schedule([Phase("warm up", 60, 1, judge=False), Phase("load", 600, 1)]).at_speed(6)
    stopping = Stopping(rules(CPU), 6, schedule)
    points(stopping, 99, 99, 99, 99, start=-60.0)
    assert stopping.judge(100.0) is None
    points(stopping, 99, start=180.0)
    tripped = stopping.judge(100.0)
    assert tripped is not None and (tripped.since, tripped.until) == (60.0, 240.0)
    stopping = Stopping(rules({**CPU, "grace": "2m"}), 1)
    points(stopping, 99, 99, 99, 99)
    assert stopping.judge(100.0) is None


def test_a_latency_of_cloudwatch_is_in_milliseconds_and_another_statistic_is_another_metric() -> None:
    rule = {"metric": "model_latency_mean", "above": "100ms", "for": "1m"}
    stopping = Stopping(rules(rule), 1)
    stopping.observed([Observation(0.0, "AWS/SageMaker", "ModelLatency", "p99", 300.0, "ms")])
    assert stopping.judge(100.0) is None
    stopping.observed([Observation(0.0, "AWS/SageMaker", "ModelLatency", "Average", 150.0, "ms")])
    tripped = stopping.judge(100.0)
    assert tripped is not None and tripped.value == pytest.approx(0.15)
