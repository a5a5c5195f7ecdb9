"""Run folders of known content, made with the pieces that make real ones: Outcome, Recorder, Run.

An arrival is decided by plain functions of its time, so that a test can state what the analysis must find.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

from sm_locust.record.interval import Interval
from sm_locust.record.outcome import OK, Outcome
from sm_locust.record.recorder import Recorder
from sm_locust.record.run import Event, Plan, Run, Sample
from sm_locust.schedule import Phase, Schedule

REFERENCE = (Phase("warm up", 3600, 200, ramp_to=600), Phase("max load", 3600, 600, ramp_to=800))

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
) -> Run:
    """A run that followed `phases`, arrival by arrival, over one worker or several.

    answer  seconds of the run → (kind, service time), or the reason for which the arrival was dropped
    until   real seconds at which it was stopped; the schedule's end by default
    skip    the numbers of arrivals that were never raised
    """
    schedule = Schedule(phases).at_speed(speed)
    end = min(until if until is not None else schedule.duration, schedule.duration)
    run = Run.create(parent, meta(phases, speed, config=config, workers=workers, ended_s=end if finished else None))
    recorders = {worker: Recorder(schedule.boundaries) for worker in workers}
    n, t = 0, 0.0
    while (t := _time_of(schedule, n + 0.5, t)) < end:
        recorder = recorders[workers[n % len(workers)]]
        n += 1
        if skip(n):
            continue
        fate = answer(t)
        if isinstance(fate, str):
            recorder.dropped(t, fate)
        else:
            recorder.arrived(t)
            recorder.record(outcome(t, *fate, late=late(t)))
    for worker, recorder in recorders.items():
        run.append(worker, recorder.take())
        run.append_failures(worker, recorder.take_failures())
    run.append("", rows=planned(schedule, end))
    seconds = range(1, int(end) + 1)
    for worker in workers:
        run.append(worker, rows=[Sample(s + 0.03, worker, 3, cpu(s) if s % 5 == 0 else None) for s in seconds])
    run.append("", rows=list(events))
    return run


def planned(schedule: Schedule, end: float) -> list[Plan]:
    edges = [*(float(s) for s in range(int(end) + 1)), *([end] if end != int(end) else [])]
    return [
        Plan(a, b, schedule.expected(b) - schedule.expected(a), round(schedule.rate(a))) for a, b in pairwise(edges)
    ]


def _time_of(schedule: Schedule, n: float, after: float) -> float:
    """When `n` arrivals are planned to have been: bisection, the slow and sure way. Infinite past the last."""
    if n > schedule.total:
        return float("inf")
    low, high = after, schedule.duration
    while high - low > 1e-7:
        middle = (low + high) / 2
        low, high = (middle, high) if schedule.expected(middle) < n else (low, middle)
    return high


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
