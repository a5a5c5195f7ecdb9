"""Counting: the second an Outcome belongs to, the identities, what is latency and what is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_locust.record import outcome as kinds
from sm_locust.record.interval import ARRIVALS, Interval
from sm_locust.record.outcome import Outcome
from sm_locust.record.recorder import FAILURES_KEPT, Recorder

FAILURES = [kinds.THROTTLED, kinds.MODEL_ERROR, kinds.UNAVAILABLE, kinds.TIMEOUT, kinds.RESET, kinds.TASK_ERROR]


def outcome(at: float, took: float = 0.01, kind: str = kinds.OK, late: float = 0.0, name: str = "e") -> Outcome:
    return Outcome(name, at, at + late, None, at + late + took, kind)


def by_key(intervals: list[Interval]) -> dict[tuple[float, str], Interval]:
    return {(i.second, i.name): i for i in intervals}


@pytest.mark.parametrize(
    ("boundaries", "at", "second"),
    [
        ((), 0.0, 0.0),
        ((), 59.999, 59.0),
        ((60.0,), 60.0, 60.0),
        ((90.5,), 90.4, 90.0),
        ((90.5,), 90.5, 90.5),
        ((90.5,), 90.9, 90.5),
        ((90.5,), 91.0, 91.0),
        ((90.25, 90.75), 90.8, 90.75),
    ],
)
def test_an_interval_is_a_second_cut_at_phase_boundaries(
    boundaries: tuple[float, ...], at: float, second: float
) -> None:
    assert Recorder(boundaries).second_of(at) == second


def test_an_outcome_belongs_to_the_second_in_which_it_was_scheduled() -> None:
    recorder = Recorder()
    recorder.record(outcome(3.9, took=2.5))
    assert list(by_key(recorder.take())) == [(3.0, "e")]


def test_what_ends_after_its_second_was_taken_becomes_a_delta_of_that_second() -> None:
    recorder = Recorder()
    for at in (0.1, 0.2):
        recorder.arrived(at)
    recorder.record(outcome(0.1))
    first = by_key(recorder.take(before=1.0))
    recorder.record(outcome(0.2, took=5.0))
    delta = by_key(recorder.take(before=6.0))
    assert first[0.0, "e"].ok == 1
    assert delta[0.0, "e"].ok == 1
    assert (0.0, ARRIVALS) not in delta


def test_only_seconds_that_began_before_are_taken() -> None:
    recorder = Recorder()
    recorder.arrived(0.5)
    recorder.arrived(1.5)
    assert list(by_key(recorder.take(before=1.0))) == [(0.0, ARRIVALS)]
    assert list(by_key(recorder.take())) == [(1.0, ARRIVALS)]
    assert recorder.take() == []


@given(
    st.lists(st.tuples(st.floats(0, 20), st.sampled_from(["drop", kinds.OK, kinds.CANCELLED, *FAILURES])), max_size=200)
)
def test_every_arrival_is_accounted_for(arrivals: list[tuple[float, str]]) -> None:
    recorder = Recorder((7.3,))
    taken: list[Interval] = []
    for n, (at, what) in enumerate(arrivals):
        if what == "drop":
            recorder.dropped(at, "max_in_flight")
        else:
            recorder.arrived(at)
            recorder.record(outcome(at, kind=what))
        if n % 7 == 0:
            taken += recorder.take(before=at)
    taken += recorder.take()
    whole = Interval(0.0, ARRIVALS)
    for interval in taken:
        whole.merge(Interval.decode(interval.encode()))
    assert whole.due == len(arrivals)
    assert whole.due == whole.sent + whole.dropped
    assert whole.ok + whole.failed + whole.cancelled == whole.sent
    assert whole.lateness.count == whole.sent
    assert recorder.in_flight == 0


@pytest.mark.parametrize(
    ("kind", "in_latency"),
    [
        (kinds.OK, True),
        (kinds.TIMEOUT, True),
        (kinds.CANCELLED, True),
        (kinds.UNAVAILABLE, False),
        (kinds.CONNECT, False),
    ],
)
def test_fast_errors_never_improve_a_percentile_and_what_never_answered_counts_at_its_age(
    kind: str, in_latency: bool
) -> None:
    interval = Interval(0.0, "e")
    interval.record(outcome(0.0, took=0.2, kind=kind, late=0.1))
    assert interval.latency.count == in_latency
    assert interval.service_time.count == in_latency
    assert interval.failed_latency.count == (not in_latency)
    corrected = (interval.latency if in_latency else interval.failed_latency).mean
    assert corrected == pytest.approx(0.3, rel=0.001)
    assert interval.lateness.mean == pytest.approx(0.1, rel=0.001)


def test_counts_are_read_without_the_histograms_that_nobody_asked_for() -> None:
    interval = Interval(3.0, "e")
    for kind in (kinds.OK, kinds.OK, kinds.RESET):
        interval.record(outcome(3.1, kind=kind))
    row = interval.encode()
    counts = Interval.decode(row, histograms=())
    assert (counts.second, counts.name, counts.ok, counts.failed) == (3.0, "e", 2, 1)
    assert not counts.latency and not counts.lateness
    latency = Interval.decode(row, histograms=("latency",))
    assert latency.latency == interval.latency and not latency.lateness


def test_encoding_pauses_after_each_histogram() -> None:
    interval = Interval(0.0, "e")
    interval.record(outcome(0.0))
    pauses: list[None] = []
    row = interval.encode(lambda: pauses.append(None))
    assert len(pauses) == len({"latency", "service_time", "lateness"} & set(row)) == 3
    assert row == interval.encode()


def test_the_first_failures_of_each_kind_are_kept() -> None:
    recorder = Recorder()
    for n in range(FAILURES_KEPT + 5):
        recorder.record(outcome(n, kind=kinds.UNAVAILABLE))
    recorder.record(outcome(1.0, kind=kinds.RESET))
    recorder.record(outcome(1.0, kind=kinds.CANCELLED))
    kept = recorder.take_failures()
    assert [f["kind"] for f in kept] == [kinds.UNAVAILABLE] * FAILURES_KEPT + [kinds.RESET]
    assert recorder.take_failures() == []
