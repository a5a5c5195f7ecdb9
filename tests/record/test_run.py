"""The run folder: made once, only grown, readable at any moment."""

from __future__ import annotations

import json
import re
import resource
import shutil
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sm_locust.record.interval import Interval
from sm_locust.record.ledger import Event, Planned, Sample, Step
from sm_locust.record.observation import Observation, ScalingEvent
from sm_locust.record.outcome import Outcome
from sm_locust.record.recorder import Recorder
from sm_locust.record.run import CLOUDWATCH, FAILURES, LEDGER, SCALING, Run, RunError


def failure(kind: str, message: str) -> dict[str, object]:
    return {"at": 1.0, "kind": kind, "name": "e", "status": 0, "request_id": "", "message": message}


def test_each_start_makes_a_folder_of_its_own(tmp_path: Path) -> None:
    one, two = Run.create(tmp_path / "runs", {"speed": 1}), Run.create(tmp_path / "runs", {"speed": 1})
    assert one.folder != two.folder
    assert one.folder.parent == two.folder.parent == tmp_path / "runs"
    assert Run.open(one.folder).run_id == one.run_id == one.folder.name


def test_what_was_appended_is_read_back_in_order(tmp_path: Path) -> None:
    run = Run.create(tmp_path, {"speed": 60})
    interval = Interval(3.0, "e")
    interval.add("ok", 2)
    run.append("w1", [interval], [Planned(0.0, 1.0, 200.5, 200), Sample(1.0, "w1", 7, None)])
    run.append("w2", [interval.encode()], [Event(2.0, "worker lost", "w1")])
    ledger = Run.open(run.folder).ledger()
    assert ledger.plan == [Planned(0.0, 1.0, 200.5, 200)]
    assert ledger.samples == [Sample(1.0, "w1", 7, None)]
    assert ledger.events == [Event(2.0, "worker lost", "w1")]
    workers = [json.loads(line).get("worker") for line in (run.folder / LEDGER).read_text().splitlines()]
    assert workers == ["w1", None, "w1", "w2", "w1"]


def test_what_workers_counted_of_a_second_and_its_deltas_are_read_as_one(tmp_path: Path) -> None:
    run = Run.create(tmp_path, {"speed": 1})
    for worker, second, name, latency in [
        ("w1", 3.0, "e", 0.1),
        ("w2", 3.0, "e", 0.2),
        ("w1", 4.0, "e", 0.3),
        ("w2", 3.0, "f", 0.4),
        ("w1", 3.0, "e", 0.5),
    ]:
        interval = Interval(second, name)
        interval.record(Outcome(name, second, second, None, second + latency))
        run.append(worker, [interval])
    found = Run.open(run.folder).ledger().intervals
    assert [(i.second, i.name, i.ok, i.latency.count) for i in found] == [
        (3.0, "e", 3, 3),
        (4.0, "e", 1, 1),
        (3.0, "f", 1, 1),
    ]
    assert found[0].latency.max == pytest.approx(0.5, rel=0.001)


def test_what_was_noted_by_many_is_written_at_once_and_in_order(tmp_path: Path) -> None:
    run = Run.create(tmp_path, {"speed": 1})
    workers = [f"w{n}" for n in range(100)]
    for n, worker in enumerate(workers):
        run.note(worker, [Interval(1.0, "e")], [Sample(1.0, worker, n, None)], [failure("reset", worker)] * (n < 3))
    assert (run.folder / LEDGER).read_text() == ""
    run.flush()
    ledger = Run.open(run.folder).ledger()
    assert [sample.worker for sample in ledger.samples] == workers
    assert len(ledger.intervals) == 1
    assert [kept["worker"] for kept in run.failures()] == ["w0", "w1", "w2"]
    run.flush()
    assert len((run.folder / LEDGER).read_text().splitlines()) == 200


@contextmanager
def a_disk_that_takes_no_more_than(size: int) -> Iterator[None]:
    """No file of this process grows beyond `size` bytes: a write that would fails, or is done in part."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_what_a_full_disk_refuses_is_an_error_and_is_written_first_once_there_is_room(tmp_path: Path) -> None:
    run = Run.create(tmp_path, {"speed": 1})
    run.append("w", rows=[Event(0.0, "worker joined", "w")])
    before = (run.folder / LEDGER).read_text()
    with a_disk_that_takes_no_more_than(len(before) + 50):
        for at in (1.0, 2.0):
            run.note("w", rows=[Event(at, "x" * 60, "w")], failures=[failure("reset", "w")])
            with pytest.raises(RunError, match=r"intervals\.jsonl cannot be written: File too large"):
                run.flush()
        assert (run.folder / LEDGER).read_text() == before
    run.append("w", rows=[Event(3.0, "room", "w")])
    assert [event.at for event in Run.open(run.folder).ledger().events] == [0.0, 1.0, 2.0, 3.0]
    assert len(run.failures()) == 2


def test_a_run_keeps_nothing_of_the_seconds_that_were_written(tmp_path: Path) -> None:
    run, recorder = Run.create(tmp_path, {"speed": 1}), Recorder()

    def a_minute(first: int) -> None:
        for second in range(first, first + 60):
            for n in range(60):
                recorder.arrived(second + n / 60)
                recorder.record(Outcome(f"e{n % 3}", second + n / 60, second + n / 60, None, second + 1 + n / 70))
            run.note("w", recorder.take(float(second)), [Planned(second, second + 1.0, 60.0, 60)])
            run.flush()

    a_minute(0)
    tracemalloc.start()
    a_minute(60)
    before, _ = tracemalloc.get_traced_memory()
    a_minute(120)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    written = (run.folder / LEDGER).stat().st_size / 3
    assert after - before < written / 10


def test_a_line_that_a_killed_master_left_half_written_is_passed_over(tmp_path: Path) -> None:
    run = Run.create(tmp_path, {"speed": 1})
    run.append("w", rows=[Planned(0.0, 1.0, 1.0, 1)])
    with open(run.folder / LEDGER, "a") as file:
        file.write('{"second":1.0,"until":2.0,"pla')
    assert Run.open(run.folder).ledger().plan == [Planned(0.0, 1.0, 1.0, 1)]


def test_a_broken_line_in_the_middle_is_an_error_that_names_it(tmp_path: Path) -> None:
    run = Run.create(tmp_path, {"speed": 1})
    (run.folder / LEDGER).write_text("not json\n")
    with pytest.raises(RunError, match="line 1: not a line of JSON"):
        run.ledger()


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("5", "not an object of JSON: '5'"),
        ("[" * 100_000, "not a line of JSON: nested too deeply"),
        ("{}", "not a line of a ledger: no 'at'"),
        ('{"at":"x","event":"worker lost","worker":"w"}', "not a line of a ledger: at 'x' is not a number"),
        ('{"at":1.0,"event":5,"worker":"w"}', "not a line of a ledger: event 5 is not a text"),
        ('{"at":1.0,"worker":"w","in_flight":-1,"cpu":null}', "in_flight -1 is less than 0"),
        ('{"second":NaN,"name":"e","counts":{}}', "second nan is not a number"),
        ('{"second":-1.0,"name":"e","counts":{}}', "second -1 is less than 0"),
        ('{"second":1e308,"name":"e","counts":{}}', "second 1e+308 is not a number up to 1e+18"),
        ('{"second":3.0,"name":"e","counts":{},"received":1e999}', "received inf is not a number"),
        ('{"second":3.0,"name":"e","counts":{},"received":1.5}', "received 1.5 is not a count"),
        ('{"second":3.0,"name":"e","counts":{"ok":1e300}}', "ok 1e+300 is not a number"),
        ('{"second":3.0,"name":"e","counts":{"ok":1' + "0" * 400 + "}}", "00 is not a number"),
        ('{"second":3.0,"name":"e","counts":{"ok":1' + "0" * 5000 + "}}", "not a line of JSON: a number is too long"),
        ('{"second":3.0,"name":"e","counts":{"ok":"x"}}', "ok 'x' is not a number"),
        ('{"second":3.0,"name":"e","counts":{"ok":1},"latency":[1]}', "latency [1] is not a text"),
        ('{"second":3.0,"name":"e","counts":["ok"]}', "counts ['ok'] is not a mapping"),
        ('{"second":3.0,"name":"e","counts":{"ok":1},"latency":"AAAA"}', "'AAAA'… is not an encoded histogram"),
        ('{"second":2.0,"until":1.0,"planned":5,"users":1}', "until 1 is not after second 2"),
        ('{"second":0.0,"until":1.0,"planned":1,"users":1}', "says again what line 1 says"),
        ('{"at":1.0,"worker":"w","in_flight":7,"cpu":null}', "says again what line 2 says"),
        ('{"kind":"double","rate":"x","at":0,"until":1,"outcome":"held"}', "rate 'x' is not a number"),
    ],
)
def test_a_ledger_that_was_changed_by_hand_is_an_error_that_names_the_line(
    tmp_path: Path, line: str, says: str
) -> None:
    run = Run.create(tmp_path, {"speed": 1})
    run.append("w", rows=[Planned(0.0, 1.0, 1.0, 1), Sample(1.0, "w", 7, None)])
    with open(run.folder / LEDGER, "a") as file:
        file.write(line + "\n")
    with pytest.raises(RunError) as e:
        Run.open(run.folder).ledger()
    assert f"{LEDGER}, line 3: " in str(e.value)
    assert says in str(e.value)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda path: path.unlink(), "it is gone"),
        (lambda path: path.write_text("x\n"), "it has 2 bytes, and 48 were written"),
        (lambda path: shutil.rmtree(path.parent), "it is gone"),
    ],
    ids=["removed", "changed", "the folder removed"],
)
def test_a_ledger_that_somebody_takes_away_in_mid_run_is_not_begun_anew(
    tmp_path: Path, change: Callable[[Path], object], says: str
) -> None:
    run = Run.create(tmp_path, {"speed": 1})
    run.append("w", rows=[Event(0.0, "worker joined", "w")])
    change(run.folder / LEDGER)
    for at in (1.0, 2.0):
        with pytest.raises(RunError, match=rf"intervals\.jsonl was changed by somebody else: {says}"):
            run.append("w", rows=[Event(at, "worker lost", "w")])
    assert "worker lost" not in "".join(path.read_text() for path in tmp_path.rglob(LEDGER))


def test_a_run_for_which_there_is_no_room_leaves_nothing(tmp_path: Path) -> None:
    with a_disk_that_takes_no_more_than(10), pytest.raises(RunError, match="cannot be written: File too large"):
        Run.create(tmp_path, {"speed": 1})
    assert list(tmp_path.iterdir()) == []


def test_no_more_than_twenty_failures_of_a_kind_are_kept_over_all_workers(tmp_path: Path) -> None:
    run = Run.create(tmp_path, {"speed": 1})
    for worker in ("a", "b"):
        run.append(worker, failures=[failure("reset", worker)] * 15)
    assert len(run.failures()) == 20
    assert len((run.folder / FAILURES).read_text().splitlines()) == 20


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "not a run folder: it has no run.json"),
        ("{", "run.json cannot be read"),
        ("[]", "schema_version None"),
        (json.dumps({"schema_version": 99}), "schema_version 99; this sm-locust reads 1"),
        (json.dumps({"schema_version": 1, "speed": 1}), "run.json: it has no run_id"),
        ('{"x": ' + "9" * 5000 + "}", "run.json cannot be read: Exceeds the limit"),
        ("[" * 100_000 + "]" * 100_000, "run.json cannot be read: nested too deeply"),
    ],
)
def test_what_is_not_a_run_folder_is_refused_in_one_sentence(tmp_path: Path, content: str | None, says: str) -> None:
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(RunError) as e:
        Run.open(tmp_path)
    assert says in str(e.value)
    assert "\n" not in str(e.value)


def test_a_folder_that_cannot_be_made_is_an_error_of_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be made"):
        Run.create(tmp_path / "file", {"speed": 1})


def point(at_s: float, metric: str = "Invocations", statistic: str = "Sum", value: float = 1.0) -> Observation:
    return Observation(at_s, "AWS/SageMaker", metric, statistic, value, "count")


def test_what_cloudwatch_said_last_of_a_point_counts(tmp_path: Path) -> None:
    run = Run.create(tmp_path, {"speed": 60})
    assert run.observations() == []
    run.append_observations([point(60.0, value=7.0), point(0.0)])
    run.append_observations([])
    run.append_observations([point(60.0, value=8.0), point(-60.0, "ModelLatency", "p99")])
    assert Run.open(run.folder).observations() == [
        point(-60.0, "ModelLatency", "p99"),
        point(0.0),
        point(60.0, value=8.0),
    ]
    assert (run.folder / CLOUDWATCH).read_text().splitlines()[:2] == [
        "at_s,source,metric,statistic,value,unit",
        "60,AWS/SageMaker,Invocations,Sum,7,count",
    ]


def test_scaling_events_are_read_by_time_each_once(tmp_path: Path) -> None:
    run = Run.create(tmp_path, {"speed": 60})
    assert run.scaling_events() == []
    level, asked = ScalingEvent(300.0, 2, 1, ""), ScalingEvent(180.5, 2, None, 'Setting desired, "2".\nNow')
    run.append_scaling([level])
    run.append_scaling([asked, level])
    one_line = ScalingEvent(180.5, 2, None, 'Setting desired, "2". Now')
    assert Run.open(run.folder).scaling_events() == [one_line, level]
    assert (run.folder / SCALING).read_text().splitlines()[0] == "at_s,desired,in_service,event"


def test_the_final_form_holds_each_point_and_event_once_in_order(tmp_path: Path) -> None:
    run = Run.create(tmp_path, {"speed": 1})
    run.append_observations([point(60.0), point(60.0, value=9.0), point(0.0)])
    run.append_scaling([ScalingEvent(9.0, 1, 1, "")] * 2 + [ScalingEvent(3.0, 1, 1, "")])
    run.rewrite_observations([*run.observations(), point(60.0, value=10.0)])
    run.rewrite_scaling(run.scaling_events())
    assert (run.folder / CLOUDWATCH).read_text() == (
        "at_s,source,metric,statistic,value,unit\n"
        "0,AWS/SageMaker,Invocations,Sum,1,count\n"
        "60,AWS/SageMaker,Invocations,Sum,10,count\n"
    )
    assert (run.folder / SCALING).read_text() == "at_s,desired,in_service,event\n3,1,1,\n9,1,1,\n"
    run.append_scaling([ScalingEvent(12.0, 2, 1, "")])
    assert [event.at_s for event in run.scaling_events()] == [3.0, 9.0, 12.0]


@pytest.mark.parametrize("half", [b"120,AWS/Sage", b"120,AWS/SageMaker,Invocations,Sum,1,count", b"12\xe2\x80"])
def test_a_line_of_csv_that_was_left_half_written_is_passed_over(tmp_path: Path, half: bytes) -> None:
    run = Run.create(tmp_path, {"speed": 1})
    run.append_observations([point(0.0)])
    with open(run.folder / CLOUDWATCH, "ab") as file:
        file.write(half)
    assert Run.open(run.folder).observations() == [point(0.0)]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("at_s,desired\n", "line 1: not a line of at_s,desired,in_service,event"),
        ("at_s,desired,in_service,event\n0,two,1,\n", "line 2: not a line of .*'two'"),
        ("at_s,desired,in_service,event\n0,1,1,\n\n", "line 3: not a line of"),
    ],
)
def test_a_broken_line_of_csv_is_an_error_that_names_it(tmp_path: Path, content: str, says: str) -> None:
    run = Run.create(tmp_path, {"speed": 1})
    (run.folder / SCALING).write_text(content)
    with pytest.raises(RunError, match=says):
        run.scaling_events()


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"speed": 7}, "speed is not accepted: one of 1, 2, 3, 6, 12, 60"),
        ({"ended_s": 1e308}, "ended_s is not accepted: a number of seconds, 0 to 720 hours"),
        ({"schedule": {"phases": "x"}}, "schedule is not accepted: a mapping with phases"),
        ({"schedule": {"phases": [{"name": "p", "duration": -10}]}}, "schedule is not accepted: a mapping with phases"),
        ({"ended": 5}, "ended is not accepted: a text"),
        ({"workers": 5}, "workers is not accepted: a list of texts"),
        ({"billing": {"items": "x"}}, "billing is not accepted: a mapping with items"),
        ({"billing": {"items": [{"hourly": 1}]}}, "billing is not accepted: a mapping with items"),
        ({"endpoint": ["x"]}, "endpoint is not accepted: a mapping"),
        ({"endpoint": {"instance_type": 5}}, "endpoint.instance_type is not accepted: a text"),
        ({"endpoint": {"instances": -1}}, "endpoint.instances is not accepted: a number of instances"),
        ({"scaling": "x"}, "scaling is not accepted: a mapping"),
        ({"scaling": {"target": {"MinCapacity": 1}}}, "scaling is not accepted: a mapping of target and policies"),
        ({"scaling": {"policies": ["x"]}}, "scaling is not accepted: a mapping of target and policies"),
        ({"config": {"x": json.loads("[" * 200 + "]" * 200)}}, "what is nested too deeply is not accepted: 100 levels"),
        ({"search": "x"}, "search is not accepted: a mapping with capacity"),
        ({"search": {}}, "search is not accepted: a mapping with capacity"),
        ({"search": {"capacity": {}}}, "search is not accepted: a mapping with capacity"),
        ({"search": {"capacity": {"way": "search", "best": 5}}}, "search is not accepted: a mapping with capacity"),
        ({"search": {"capacity": {"way": "search", "low": "5"}}}, "search is not accepted: a mapping with capacity"),
        ({"cloudwatch": "x"}, "cloudwatch is not accepted: a mapping"),
        ({"cloudwatch": {"period_s": 0}}, "cloudwatch.period_s is not accepted: a number of seconds, 1 or more"),
        ({"cloudwatch": {"period_s": 1e-9}}, "cloudwatch.period_s is not accepted"),
        ({"cloudwatch": {"subjects": [1]}}, "cloudwatch.subjects is not accepted: a list of mappings"),
        ({"cloudwatch": {"clock_offset_s": 1e18}}, "cloudwatch.clock_offset_s is not accepted"),
        ({"cloudwatch": {"missing": 5}}, "cloudwatch.missing is not accepted: a list of texts"),
    ],
)
def test_a_run_json_that_was_changed_by_hand_is_named_with_what_is_accepted(
    changed: dict[str, Any], says: str, tmp_path: Path
) -> None:
    run = Run.create(tmp_path, {"speed": 1})
    run.finish(**changed)
    with pytest.raises(RunError, match=re.escape(f"run.json: {says}")):
        Run.open(run.folder)


@pytest.mark.parametrize("line", ["{}", '{"at": 1, "kind": "reset", "name": "e", "status": "x", "request_id": ""}'])
def test_a_failure_that_none_of_us_has_written_is_an_error_that_names_the_line(tmp_path: Path, line: str) -> None:
    run = Run.create(tmp_path, {"speed": 1})
    run.append("w", failures=[failure("reset", "gone")])
    with open(run.folder / FAILURES, "a") as file:
        file.write(line + "\n")
    with pytest.raises(RunError, match=r"failures.jsonl, line 2: not a failure: "):
        Run.open(run.folder).failures()


def test_what_another_version_says_of_a_step_is_passed_over(tmp_path: Path) -> None:
    run = Run.create(tmp_path, {"speed": 1})
    step = Step("double", 10.0, 0.0, 5.0, outcome="held")
    run.append("", rows=[step])
    ledger = run.folder / LEDGER
    ledger.write_text(ledger.read_text().replace('"kind"', '"why":"so","kind"'))
    assert Run.open(run.folder).ledger().steps == [step]
