"""Run folders of known content, made with the pieces that make real ones: Outcome, Recorder, Run.

An arrival is decided by plain functions of its time, so that a test can state what the analysis must find.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise, takewhile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sm_locust.record.interval import ARRIVALS, Interval
from sm_locust.record.ledger import Event, Planned, Sample
from sm_locust.record.observation import Observation, ScalingEvent
from sm_locust.record.outcome import OK, Outcome
from sm_locust.record.prior import EXPERIMENT, Prior
from sm_locust.record.recorder import Recorder
from sm_locust.record.run import META, Run
from sm_locust.schedule import Phase, Schedule

REFERENCE = (Phase("warm up", 3600, 200, ramp_to=600), Phase("max load", 3600, 600, ramp_to=800))

# As the experiment finds it before BEFORE, and sets it up for AFTER.
UNSCALED: dict[str, Any] = {"target": None, "policies": [], "scheduled_actions": [], "instances": 1}
SCALED: dict[str, Any] = {
    "target": {"MinCapacity": 1, "MaxCapacity": 4, "SuspendedState": {"DynamicScalingOutSuspended": False}},
    "policies": [
        {
            "PolicyName": "sm-locust-SageMakerVariantInvocationsPerInstance",
            "TargetTrackingScalingPolicyConfiguration": {
                "TargetValue": 25000.0,
                "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
            },
        }
    ],
    "scheduled_actions": [],
    "instances": 1,
}

Answer = tuple[str, float]  # kind, service time in seconds


def meta(
    phases: Iterable[Phase] = (),
    speed: int = 1,
    *,
    config: dict[str, Any] | None = None,
    workers: tuple[str, ...] = ("local",),
    ended_s: float | None = None,
) -> dict[str, Any]:
    """What the plugin puts into run.json; without `ended_s` the run was never finished."""
    found: dict[str, Any] = {
        "speed": speed,
        "schedule": {"source": "shape WarmUpMaxLoad", "phases": [vars(phase) for phase in phases]},
        "config": config if config is not None else {},
        "versions": {"sm_locust": "0.1.0", "locust": "2.47.0", "python": "3.11.2"},
        "started_at": "2026-01-02T03:04:05.678Z",
        "workers": list(workers),
    }
    if ended_s is not None:
        found |= {"ended": "schedule complete", "ended_s": ended_s, "ended_at": "2026-01-02T05:04:05.678Z"}
    return found


def outcome(at: float, kind: str = OK, service: float = 0.008, late: float = 0.0002, name: str = "invoke") -> Outcome:
    return Outcome(
        name=name,
        scheduled_at=at,
        started_at=at + late,
        first_byte_at=at + late + service * 0.9,
        ended_at=at + late + service,
        kind=kind,
        status=200 if kind == OK else 503,
        received=12,
        request_id="" if kind == OK else "0a1b2c",
        message="" if kind == OK else "no instance has room",
    )


def played(
    parent: Path,
    phases: tuple[Phase, ...],
    answer: Callable[[float], Answer | str] = lambda at: (OK, 0.008),
    *,
    speed: int = 1,
    workers: tuple[str, ...] = ("local",),
    late: Callable[[float], float] = lambda at: 0.0002,
    cpu: Callable[[float], float] = lambda at: 0.4,
    config: dict[str, Any] | None = None,
    until: float | None = None,
    finished: bool = True,
    events: Iterable[Event] = (),
    skip: Callable[[int], bool] = lambda n: False,
    again: Callable[[int], bool] = lambda n: False,
    busy: dict[str, float] | None = None,
) -> Run:
    """A run that followed `phases`, arrival by arrival, over one worker or several.

    answer  seconds of the run → (kind, service time), or the reason for which the arrival was dropped
    until   real seconds at which it was stopped; the schedule's end by default
    skip    the numbers of arrivals that were never raised
    again   the numbers of arrivals that were raised twice
    busy    the share of a CPU of some workers, in place of `cpu`
    """
    schedule = Schedule(phases).at_speed(speed)
    end = min(until if until is not None else schedule.duration, schedule.duration)
    run = Run.create(parent, meta(phases, speed, config=config, workers=workers, ended_s=end if finished else None))
    recorders = {worker: Recorder(schedule.boundaries) for worker in workers}
    for n, t in enumerate(takewhile(lambda t: t < end, times(schedule)), start=1):
        recorder = recorders[workers[(n - 1) % len(workers)]]
        if skip(n):
            continue
        fate = answer(t)
        for _ in range(2 if again(n) else 1):
            if isinstance(fate, str):
                recorder.dropped(t, fate)
            else:
                recorder.arrived(t)
                recorder.record(outcome(t, *fate, late=late(t)))
    for worker, recorder in recorders.items():
        run.append(worker, recorder.take())
        run.append(worker, failures=recorder.take_failures())
    run.append("", rows=planned(schedule, end))
    seconds = range(1, int(end) + 1)
    for worker in workers:
        share = (busy or {}).get(worker)
        used = [(cpu(s) if share is None else share) if s % 5 == 0 else None for s in seconds]
        run.append(
            worker,
            rows=[Sample(s + 0.03, worker, 3, used_by_then) for s, used_by_then in zip(seconds, used, strict=True)],
        )
    run.append("", rows=list(events))
    return run


def stopped(parent: Path, **more: Any) -> Run:
    """A run that a rule of `stop_when` has ended."""
    rules = [{"metric": "latency_p99", "above": "300ms", "for": "90s"}, {"metric": "not_valid", "for": "1m"}]
    run = played(parent, (Phase("flat", 200, 20),), config={"stop_when": rules}, until=101.5, **more)
    rule = "latency_p99 above 300ms for 1m30s"
    tripped = {"rule": rule, "metric": "latency_p99", "value": 0.412, "why": ""}
    run.finish(ended="stopped by stop_when", stopped={**tripped, "since_s": 10, "until_s": 100, "at_s": 101.02})
    return run


def borrowed(parent: Path, **more: Any) -> Path:
    """The record of an experiment around the run folders of `parent`, in place of the one that is there."""
    path = parent / EXPERIMENT
    path.unlink(missing_ok=True)
    Prior.create(path, resource_id="r", arn="a", config={}, speed=1, scaling_before={}, **more).release()
    return path


def planned(schedule: Schedule, end: float) -> list[Planned]:
    edges = [*(float(s) for s in range(int(end) + 1)), *([end] if end != int(end) else [])]
    return [
        Planned(a, b, schedule.expected(b) - schedule.expected(a), round(schedule.rate(a))) for a, b in pairwise(edges)
    ]


def times(schedule: Schedule) -> Iterator[float]:
    """When the arrivals are planned: the first once half a one is due, and then after each whole one.

    Where the area under a straight line is so large, by the formula of a quadratic equation; a little later rather than
    earlier, so that who comes just when a second begins is in it.
    """
    due, before = 0.5, 0.0
    for start, phase in zip(schedule.boundaries, schedule.phases, strict=False):
        rate, slope = phase.arrival_rate, (phase.end_rate - phase.arrival_rate) / phase.duration
        while due - before <= phase.arrivals:
            area = due - before
            yield start + 2 * area / (rate + math.sqrt(max(0.0, rate * rate + 2 * slope * area))) + 1e-8
            due += 1
        before += phase.arrivals


def pooled(intervals: Iterable[Interval]) -> Interval:
    whole = Interval(0.0, "")
    for interval in intervals:
        whole.merge(interval)
    return whole


def reference_answer(at: float) -> Answer:
    """As the blog's endpoint behaves at speed 60: fast, then a queue, then errors of a full backlog."""
    minute = at
    if minute >= 40.5 and int(at * 1000) % 7 < min(5, (minute - 40) / 15):
        return "unavailable", 0.002
    if minute < 34:
        return OK, 0.0085 + 0.0004 * (int(at * 997) % 5)
    return OK, min(0.36, 0.009 + 0.06 * (minute - 34))


OVERHEAD = 0.0004  # seconds of our service time that are not CloudWatch's ModelLatency


def watch(
    run: Run,
    instances: Callable[[float], int] = lambda at_s: 1,
    *,
    period_s: float = 60.0,
    offset_s: float = 0.0,
    scaling: dict[str, Any] | None = None,
    lost: Callable[[float], bool] = lambda at_s: False,
    events: Iterable[ScalingEvent] = (),
    settled: bool = True,
    missing: Iterable[str] = (),
) -> Run:
    """What CloudWatch says of a run, if it saw what the ledger holds: every request but those that the service refused.

    instances  in service, by schedule seconds
    offset_s   schedule seconds by which CloudWatch's periods begin before ours
    lost       whether CloudWatch never publishes the period that begins there
    """
    seconds: dict[int, list[Interval]] = {}
    for interval in run.ledger().intervals:
        seconds.setdefault(int((interval.second * run.speed + offset_s + 1e-6) // period_s), []).append(interval)
    found: list[Observation] = []
    for index, intervals in sorted(seconds.items()):
        at_s = index * period_s - offset_s
        if lost(at_s):
            continue
        sent = sum(interval.requested for interval in intervals if interval.name == ARRIVALS)
        requests = pooled(interval for interval in intervals if interval.name != ARRIVALS)
        latency = requests.service_time

        def in_ms(statistic: str) -> float:
            return ((latency.metric(statistic) or 0.0) - OVERHEAD) * 1e3  # noqa: B023

        points = {
            ("Invocations", "Sum"): float(sent),
            ("InvocationsPerInstance", "Sum"): sent / instances(at_s),
        }
        if requests.failed:
            points["Invocation5XXErrors", "Sum"] = float(requests.failed)
        if latency:
            points["ModelLatency", "SampleCount"] = float(latency.count)
            for name, statistic in (("Average", "mean"), ("Maximum", "max"), ("p99.9", "p999")):
                points["ModelLatency", name] = in_ms(statistic)
            for statistic in ("p50", "p90", "p95", "p99"):
                points["ModelLatency", statistic] = in_ms(statistic)
        for (metric, name), value in points.items():
            unit = "ms" if metric == "ModelLatency" and name != "SampleCount" else "count"
            found.append(Observation(at_s, "AWS/SageMaker", metric, name, value, unit))
    run.append_observations(found)
    run.append_scaling(events)
    run.finish(
        cloudwatch={"period_s": period_s, "settled": settled, "missing": list(missing)},
        scaling=scaling if scaling is not None else UNSCALED,
    )
    return run


def before_and_after(parent: Path, config: dict[str, Any] | None = None) -> tuple[Run, Run]:
    """The reference experiment at speed 60: one instance that breaks, then a second one from minute 37 on."""
    before, after = (made.again(parent, config) for made in _before_and_after())
    return before, after


@dataclass(frozen=True)
class Made:
    """A run that many tests begin with, and that takes long to play: what run.json has of it, and its other files."""

    meta: dict[str, Any]
    files: dict[str, bytes]

    @classmethod
    def of(cls, run: Run) -> Made:
        return cls(
            {key: value for key, value in run.meta.items() if key not in ("schema_version", "run_id")},
            {file.name: file.read_bytes() for file in run.folder.iterdir() if file.name != META},
        )

    def again(self, parent: Path, config: dict[str, Any] | None) -> Run:
        """A run of its own, to be changed at will."""
        run = Run.create(parent, {**self.meta, "config": config if config is not None else {}})
        for name, content in self.files.items():
            (run.folder / name).write_bytes(content)
        return Run.open(run.folder)


@cache
def _before_and_after() -> tuple[Made, ...]:
    with TemporaryDirectory() as parent:
        return tuple(map(Made.of, _played_before_and_after(Path(parent))))


def _played_before_and_after(parent: Path) -> tuple[Run, Run]:
    before = played(parent, REFERENCE, reference_answer, speed=60)
    watch(before, events=[ScalingEvent(0.0, 1, 1, "")])
    after = played(parent, REFERENCE, lambda at: (OK, 0.0085 + 0.0004 * (int(at * 997) % 5)), speed=60)
    watch(
        after,
        lambda at_s: 1 if at_s < 37 * 60 else 2,
        scaling=SCALED,
        events=[
            ScalingEvent(0.0, 1, 1, ""),
            ScalingEvent(33.6 * 60, 2, None, "Setting desired instance count to 2."),
            ScalingEvent(37 * 60, 2, 2, "Successfully set desired instance count to 2."),
        ],
    )
    return before, after
