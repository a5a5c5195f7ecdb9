"""Percentiles of a whole run against the raw durations they came from, however the run was cut up on its way there.

Workers record, encode, send and repeat deltas; the master writes lines; the analysis merges seconds, phases and names.
The oracle is a sorted list of every single duration, and the rank.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sm_locust.analysis.minutes import Minutes
from sm_locust.record.histogram import PERCENTILES, Histogram
from sm_locust.record.interval import Interval
from sm_locust.record.outcome import AGED, CANCELLED, OK, RESET, TIMEOUT, UNAVAILABLE, Outcome
from sm_locust.record.recorder import Recorder
from sm_locust.record.run import Run
from sm_locust.schedule import Phase
from tests.analysis.folders import meta

PHASES = (Phase("first", 7.5, 10), Phase("second", 4.5, 10))
END = 12.0
WITHIN = 0.001  # of the raw value
MICROSECOND = 1e-6  # the finest that is told apart: half of it either way
HIGHEST = 120.0


@dataclass(frozen=True)
class Request:
    """worker, kind and name of one request, and its times in seconds."""

    worker: int
    kind: str
    name: str
    at: float
    lateness: float
    service: float

    def outcome(self) -> Outcome:
        started = self.at + self.lateness
        return Outcome(self.name, self.at, started, None, started + self.service, self.kind)


KINDS = (OK, OK, OK, UNAVAILABLE, RESET, TIMEOUT, CANCELLED)
NAMES = ("invoke", "browse", "größer")

# From a microsecond to beyond what is kept, evenly over the magnitudes.
durations = st.floats(-6, 2.2).map(lambda exponent: 10.0**exponent)
few = st.lists(
    st.builds(
        Request,
        worker=st.integers(0, 3),
        kind=st.sampled_from(KINDS),
        name=st.sampled_from(NAMES),
        at=st.floats(0, END, exclude_max=True),
        lateness=st.floats(0, 0.05),
        service=durations,
    ),
    min_size=1,
    max_size=40,
)


def drawn(seed: int, count: int) -> list[Request]:
    """Enough of them for a 99.9th percentile to be more than the maximum, which hypothesis' own lists are not."""
    source = Random(seed)
    return [
        Request(
            source.randrange(4),
            source.choice(KINDS),
            source.choice(NAMES),
            source.uniform(0, END - 1e-6),
            source.expovariate(1 / 0.002),
            source.lognormvariate(-4.0, 1.5),
        )
        for _ in range(count)
    ]


many = st.builds(drawn, st.integers(0, 2**32), st.integers(1_500, 4_000))


def shipped(sent: Sequence[Request], cuts: Set[int]) -> list[tuple[str, dict[str, object]]]:
    """What workers send of these requests when each of them ships after so many requests have ended, in any order."""
    recorders = {n: Recorder([7.5, 12.0]) for n in range(4)}
    messages: list[tuple[str, dict[str, object]]] = []

    def ship() -> None:
        for worker, recorder in recorders.items():
            for interval in recorder.take():
                messages.append((f"w{worker}", json.loads(json.dumps(interval.encode()))))

    for i, request in enumerate(sent):
        recorders[request.worker].arrived(request.at)
        recorders[request.worker].record(request.outcome())
        if i in cuts:
            ship()
    ship()
    return messages


def nearest_rank(raw: Sequence[float], q: float) -> float:
    return sorted(raw)[max(1, math.ceil(round(q * len(raw), 9))) - 1]


def holds(histogram: Histogram, raw: Sequence[float]) -> None:
    """Every statistic of the histogram is that of the raw durations."""
    kept = [min(max(value, MICROSECOND), HIGHEST) for value in raw]
    assert histogram.count == len(kept)
    if not kept:
        assert histogram.mean is histogram.max is histogram.quantile(0.5) is None
        return
    for q in PERCENTILES.values():
        expected = nearest_rank(kept, q)
        assert histogram.quantile(q) == pytest.approx(expected, rel=WITHIN, abs=0.5001 * MICROSECOND)
    assert histogram.max == pytest.approx(max(kept), rel=WITHIN, abs=0.5001 * MICROSECOND)
    assert histogram.mean == pytest.approx(sum(kept) / len(kept), rel=WITHIN, abs=0.5001 * MICROSECOND)


def is_measured(request: Request) -> bool:
    """Whether it counts into latency and service time: answered well, or never answered and so a lower bound."""
    return request.kind == OK or request.kind in AGED


def agrees(found: Interval, pooled: Sequence[Request]) -> None:
    outcomes = [request.outcome() for request in pooled]
    measured = [outcome for request, outcome in zip(pooled, outcomes, strict=True) if is_measured(request)]
    failed = [outcome for request, outcome in zip(pooled, outcomes, strict=True) if not is_measured(request)]
    holds(found.latency, [o.ended_at - o.scheduled_at for o in measured])
    holds(found.service_time, [o.ended_at - o.started_at for o in measured])
    holds(found.failed_latency, [o.ended_at - o.scheduled_at for o in failed])
    holds(found.lateness, [o.started_at - o.scheduled_at for o in outcomes])


@settings(max_examples=30)
@given(sent=few | many, cuts=st.sets(st.integers(0, 4_000), max_size=12), order=st.randoms(use_true_random=False))
def test_a_runs_percentiles_are_those_of_all_its_requests_pooled(
    sent: list[Request], cuts: set[int], order: Random
) -> None:
    messages = shipped(sent, cuts)
    order.shuffle(messages)
    with TemporaryDirectory() as parent:
        run = Run.create(Path(parent), meta(PHASES, workers=("w0", "w1", "w2", "w3"), ended_s=END))
        for worker, message in messages:
            run.append(worker, [message])
        minutes = Minutes.of(Run.open(run.folder))
    agrees(minutes.whole.requests, sent)
    for name in {request.name for request in sent}:
        agrees(minutes.whole.by_name[name], [request for request in sent if request.name == name])
    for span in [*minutes.phases, *(second for second in minutes.seconds if second.by_name)]:
        agrees(span.requests, [request for request in sent if 0 <= request.at - span.start < span.seconds])


@given(raw=st.lists(durations, min_size=1, max_size=300), parts=st.integers(1, 7))
def test_merging_and_encoding_change_nothing_at_all(raw: list[float], parts: int) -> None:
    whole = Histogram()
    shares = [Histogram() for _ in range(parts)]
    for i, seconds in enumerate(raw):
        whole.record(seconds)
        shares[i % parts].record(seconds)
    assert Histogram.merged(Histogram.decode(share.encode()) for share in shares if share) == whole
    holds(whole, raw)


def test_percentiles_of_workers_are_never_averaged() -> None:
    """99 quick answers at one worker and a slow one at the other: the mean of their medians would be 5 s."""
    quick, slow = Interval(0.0, "invoke"), Interval(0.0, "invoke")
    for _ in range(99):
        quick.record(Request(0, OK, "invoke", 0.0, 0.0, 0.01).outcome())
    slow.record(Request(1, OK, "invoke", 0.0, 0.0, 10.0).outcome())
    quick.merge(Interval.decode(slow.encode()))
    assert quick.latency.quantile(0.5) == pytest.approx(0.01, rel=WITHIN)
    assert quick.latency.quantile(0.99) == pytest.approx(0.01, rel=WITHIN)
    assert quick.latency.max == pytest.approx(10.0, rel=WITHIN)


def test_a_fast_failure_improves_no_percentile_and_a_timeout_counts_at_its_age() -> None:
    found = Interval(0.0, "invoke")
    for _ in range(10):
        found.record(Request(0, OK, "invoke", 0.0, 0.0, 0.1).outcome())
        found.record(Request(0, UNAVAILABLE, "invoke", 0.0, 0.0, 0.001).outcome())
    found.record(Request(0, TIMEOUT, "invoke", 0.0, 0.0, 70.0).outcome())
    assert found.latency.quantile(0.5) == found.service_time.quantile(0.5) == pytest.approx(0.1, rel=WITHIN)
    assert found.latency.max == pytest.approx(70.0, rel=WITHIN)
    assert found.failed_latency.max == pytest.approx(0.001, rel=WITHIN)
