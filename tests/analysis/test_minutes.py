"""The join: what was put into the ledger comes out of it, however it was cut, shipped and merged."""

from __future__ import annotations

from pathlib import Path

import pytest

from sm_locust.analysis.minutes import SERIES_MOST, Minutes
from sm_locust.record.histogram import Histogram
from sm_locust.record.interval import HISTOGRAMS
from sm_locust.record.ledger import Planned, Sample
from sm_locust.record.outcome import OK, TIMEOUT
from sm_locust.record.recorder import Recorder
from sm_locust.record.run import Run, RunError
from sm_locust.schedule import Phase
from tests.analysis.folders import REFERENCE, meta, outcome, played, reference_answer

RAMP = (Phase("up", 90, 10, ramp_to=30), Phase("flat", 60, 20, judge=False), Phase("down", 60, 20, ramp_to=2))


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Minutes:
    run = played(tmp_path_factory.mktemp("runs"), REFERENCE, reference_answer, speed=60, workers=("a", "b"))
    return Minutes.of(run)


def test_the_reference_ramp_at_speed_60_has_120_minutes_of_one_real_second(reference: Minutes) -> None:
    assert [row.minute for row in reference.rows] == list(range(120))
    assert {row.seconds for row in reference.rows} == {1.0}
    assert not any(row.partial for row in reference.rows)


def test_the_reference_ramp_at_speed_60_plans_and_sends_a_sixtieth_of_its_arrivals(reference: Minutes) -> None:
    assert reference.whole.planned == pytest.approx(66_000)
    assert reference.whole.sent == reference.whole.delivered == 66_000


def test_a_rate_a_minute_is_the_count_over_real_seconds(reference: Minutes) -> None:
    row = reference.rows[32]
    assert row.per_minute(row.planned) == pytest.approx(25_000)
    assert row.per_minute(row.sent) == pytest.approx(25_000, abs=61)


def test_minutes_phases_and_seconds_each_add_up_to_the_run(reference: Minutes) -> None:
    for spans in (reference.seconds, reference.rows, reference.phases):
        assert sum(span.sent for span in spans) == reference.whole.sent
        assert sum(span.requests.failed for span in spans) == reference.whole.requests.failed
        assert sum(span.planned for span in spans) == pytest.approx(reference.whole.planned)
        for name in HISTOGRAMS:
            merged = Histogram.merged(getattr(span.requests, name) for span in spans)
            assert merged == getattr(reference.whole.requests, name)


def test_every_arrival_sent_ended_well_or_failed_or_was_cancelled_in_every_span(reference: Minutes) -> None:
    for span in (*reference.seconds, *reference.rows, *reference.phases, reference.whole):
        assert span.requests.ok + span.requests.failed + span.cancelled == span.sent
        assert span.arrivals.due == span.sent + span.arrivals.dropped


def test_percentiles_of_merged_workers_are_those_of_one_pooled_sample(tmp_path: Path) -> None:
    run = Run.create(tmp_path, meta(workers=("a", "b", "c"), ended_s=10.0))
    pooled = Histogram()
    for worker, scale in (("a", 0.001), ("b", 0.01), ("c", 0.2)):
        recorder = Recorder()
        for n in range(1000):
            recorder.arrived(n / 100)
            found = outcome(n / 100, service=scale * (1 + n % 97))
            recorder.record(found)
            pooled.record(found.latency)
        run.append(worker, recorder.take())
    assert Minutes.of(run).whole.requests.latency.summary_ms() == pooled.summary_ms()


def test_a_delta_shipped_later_belongs_to_the_second_it_was_scheduled_in(tmp_path: Path) -> None:
    run = Run.create(tmp_path, meta(ended_s=5.0))
    recorder = Recorder()
    recorder.arrived(1.5)
    run.append("local", recorder.take())
    recorder.record(outcome(1.5, TIMEOUT, service=70.0))
    run.append("local", recorder.take())
    second = Minutes.of(run).seconds[1]
    assert (second.sent, second.requests.by_kind, second.unreported) == (1, {"timeout": 1}, 0)


def test_seconds_in_which_nothing_happened_are_there_too(tmp_path: Path) -> None:
    run = Run.create(tmp_path, meta(ended_s=7.0))
    assert [(span.start, span.seconds, span.sent) for span in Minutes.of(run).seconds] == [
        (s, 1.0, 0) for s in range(7)
    ]


def test_the_last_minute_is_partial_and_its_rate_is_over_the_seconds_it_had(tmp_path: Path) -> None:
    minutes = Minutes.of(played(tmp_path, (Phase("flat", 600, 40),), until=90.5))
    first, last = minutes.rows
    assert (first.partial, first.seconds) == (False, 60.0)
    assert (last.partial, last.seconds) == (True, 30.5)
    assert last.per_minute(last.planned) == pytest.approx(2400)


def test_a_minute_in_which_the_phase_changes_has_the_phase_at_its_middle(tmp_path: Path) -> None:
    minutes = Minutes.of(played(tmp_path, (Phase("a", 80, 10), Phase("b", 20, 10), Phase("c", 80, 10))))
    assert [minutes.name_of(row) for row in minutes.rows] == ["a", "b", "c"]


def test_phases_that_change_within_a_second_get_their_own_arrivals_and_their_own_plan(tmp_path: Path) -> None:
    phases = (Phase("few", 90, 10), Phase("many", 90, 1000))  # at speed 60 they change after 1.5 s
    minutes = Minutes.of(played(tmp_path, phases, speed=60))
    assert [round(span.planned, 6) for span in minutes.phases] == [15, 1500]
    assert [span.sent for span in minutes.phases] == [15, 1500]
    assert [span.start for span in minutes.seconds] == [0, 1, 1.5, 2]


def test_only_phases_with_judge_true_are_judged(tmp_path: Path) -> None:
    minutes = Minutes.of(played(tmp_path, RAMP))
    up, _, down = minutes.phases
    assert minutes.judged.sent == up.sent + down.sent


def test_a_phase_that_never_began_is_not_there(tmp_path: Path) -> None:
    minutes = Minutes.of(played(tmp_path, RAMP, until=100))
    assert [minutes.name_of(span) for span in minutes.phases] == ["up", "flat"]


def test_without_a_schedule_everything_is_judged_and_no_phase_is_made_up(tmp_path: Path) -> None:
    run = Run.create(tmp_path, meta(ended_s=3.0))
    recorder = Recorder()
    recorder.arrived(0.5)
    recorder.record(outcome(0.5))
    run.append("local", recorder.take(), [Planned(0.0, 1.0, 1.0, 1)])
    minutes = Minutes.of(run)
    assert (minutes.phases, minutes.judged.sent, minutes.name_of(minutes.rows[0])) == ([], 1, "")


def test_requests_in_flight_add_up_over_processes_and_are_the_most_over_time(tmp_path: Path) -> None:
    run = Run.create(tmp_path, meta(workers=("a", "b"), ended_s=3.0))
    samples = [
        Sample(0.1, "a", 5, None),
        Sample(0.2, "b", 7, None),
        Sample(1.1, "a", 20, None),
        Sample(1.3, "b", 1, None),
    ]
    run.append("", rows=[*samples, Sample(9.0, "a", 999, None)])
    minutes = Minutes.of(run)
    assert [span.in_flight for span in minutes.seconds] == [12, 21, 0]
    assert minutes.whole.in_flight == 21


def test_arrivals_counted_after_the_end_are_sent_but_not_delivered(tmp_path: Path) -> None:
    run = Run.create(tmp_path, meta(ended_s=2.0))
    recorder = Recorder()
    for at in (0.5, 1.5, 2.5):
        recorder.arrived(at)
        recorder.record(outcome(at))
    run.append("isolated", recorder.take(), [Planned(0.0, 1.0, 1.0, 1), Planned(1.0, 2.0, 1.0, 1)])
    whole = Minutes.of(run).whole
    assert (whole.sent, whole.delivered, whole.delivered_ratio) == (3, 2, 1.0)


def test_requests_of_each_name_are_kept_apart(tmp_path: Path) -> None:
    run = Run.create(tmp_path, meta(ended_s=1.0))
    recorder = Recorder()
    for n, (name, kind) in enumerate([("cart", OK), ("pay", OK), ("pay", "throttled")]):
        recorder.arrived(n / 10)
        recorder.record(outcome(n / 10, kind, name=name))
    run.append("local", recorder.take())
    whole = Minutes.of(run).whole
    assert {name: (i.ok, i.failed) for name, i in whole.by_name.items()} == {"cart": (1, 0), "pay": (1, 1)}
    assert (whole.requests.ok, whole.requests.failed) == (2, 1)


@pytest.mark.parametrize("key", ["schedule", "speed"])
def test_a_run_json_that_lacks_what_every_run_has_is_named(tmp_path: Path, key: str) -> None:
    run = Run.create(tmp_path, meta(ended_s=1.0))
    del run.meta[key]
    with pytest.raises(RunError, match=rf"run\.json has no {key}"):
        Minutes.of(run)


@pytest.mark.parametrize(
    ("speed", "seconds", "each"),
    [(1, 600, 1), (1, 1440, 2), (1, 7200, 10), (1, 40_000, 60), (1, 100_000, 60), (12, 3600, 5), (60, 7200, 1)],
)
def test_a_series_has_as_many_points_as_a_picture_can_show(tmp_path: Path, speed: int, seconds: int, each: int) -> None:
    run = Run.create(tmp_path, meta((Phase("flat", float(seconds * speed), 1),), speed, ended_s=float(seconds)))
    found = Minutes.of(run)
    assert found.resolution == each
    assert {span.seconds for span in found.series} <= {float(each), float(seconds % each)}
    assert len(found.series) <= SERIES_MOST or each == 60 / speed


def test_no_span_of_a_series_is_of_two_phases_or_two_minutes(tmp_path: Path) -> None:
    phases = (Phase("a", 1234.5, 0.5), Phase("b", 1500, 0.5))
    found = Minutes.of(played(tmp_path, phases))
    assert found.resolution == 4
    assert sum(span.seconds for span in found.series) == pytest.approx(2734.5)
    assert sum(span.sent for span in found.series) == found.whole.sent
    edges = [(span.start, span.start + span.seconds) for span in found.series]
    for edge in (1234.5, *range(0, 2734, 60)):
        assert not any(start + 1e-6 < edge < end - 1e-6 for start, end in edges)
    assert [start for start, _ in edges[1:]] == pytest.approx([end for _, end in edges[:-1]])


def test_cpu_is_the_busiest_process_of_the_samples_in_a_span(reference: Minutes) -> None:
    assert [reference.cpu(span) for span in reference.series[:7]] == [*[None] * 5, 0.4, None]
