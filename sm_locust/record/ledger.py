"""The lines of a run's ledger, and of the failures kept beside it: what each holds, and which are none of ours.

A ledger may have been cut, edited or written by another version: a line that none of us can have written is named by
its number. The files are `run`'s, what the numbers mean is the analysis's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sm_locust.record.interval import HISTOGRAMS, Interval
from sm_locust.record.meta import LONGEST

WORKER_LOST, WORKER_BACK = "worker lost", "worker back"  # events

_BEYOND = 3600.0  # seconds after the end of a run in which a line may still lie
_MOST = 1e18  # of anything in a line: sums and squares of it are still numbers


@dataclass(frozen=True, slots=True)
class Planned:
    """What was wanted in one second: arrivals planned, users commanded (at the second's start).

    second, until  real seconds since the start of the run; the second is cut where arrivals ended
    """

    second: float
    until: float
    planned: float
    users: int


@dataclass(frozen=True, slots=True)
class Sample:
    """How one process was doing: requests in flight, and its share of a CPU over the seconds before (None: not taken).

    at  real seconds since the start of the run
    """

    at: float
    worker: str
    in_flight: int
    cpu: float | None


@dataclass(frozen=True, slots=True)
class Event:
    """Something that befell the run: a worker joined or was lost, the arrivals ended."""

    at: float
    event: str
    worker: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a search for capacity: a rate, and what came of it.

    kind       why this rate: double, lower, bisect, again (what failed), confirm (what was found), compare (with how it
               was), or recover
    rate       arrivals a second that were wanted
    at, until  real seconds of the run, the whole step with warm-up
    offered    arrivals a second of the seconds that were judged; 0 where none was
    requests   in those seconds
    outcome    held, failed or undecided; late where the generator could not keep up; empty for a pause
    metric     the rule that decided, or backlog; empty where none did
    value      of that rule over those seconds: seconds, or a fraction; None for a backlog
    """

    kind: str
    rate: float
    at: float
    until: float
    offered: float = 0.0
    requests: int = 0
    outcome: str = ""
    metric: str = ""
    value: float | None = None


Row = Planned | Sample | Event | Step


@dataclass(slots=True)
class Ledger:
    """All that `intervals.jsonl` holds, in the order written.

    intervals  one for each second and name, whichever workers counted it and however often: a hundred workers take no
               more memory to read than one
    by_worker  of the whole run: counts, and the lateness of what was sent
    """

    intervals: list[Interval] = field(default_factory=list)
    plan: list[Planned] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    by_worker: dict[str, Interval] = field(default_factory=dict)

    def count(self, worker: str, interval: Interval) -> None:
        """Adds what a process counted to what is kept of it alone."""
        mine = self.by_worker.get(worker)
        if mine is None:
            mine = self.by_worker[worker] = Interval(0.0, "")
        for key, n in interval.counts.items():
            mine.add(key, n)
        mine.lateness.merge(interval.lateness)

    @classmethod
    def of(cls, lines: Iterable[tuple[int, dict[str, Any]]], ended_s: float | None) -> Ledger:
        """The lines of a ledger with their numbers.

        ended_s  when the run ended, in real seconds; None where nobody knows: nothing is said of what comes later

        Raises ValueError, which begins with the line's number, for one that none of us can have written, and for one
        that is there twice.
        """
        ledger = cls()
        latest = (ended_s or LONGEST) + _BEYOND
        first: dict[tuple[float, str], Interval] = {}
        known: dict[tuple[object, ...], int] = {}  # what can be said once only → where it was
        for number, row in lines:
            try:
                if "name" in row:
                    interval = read_interval(row)
                    _within(interval.second, latest)
                    ledger.count(_text(row, "worker"), interval)
                    there = first.setdefault((interval.second, interval.name), interval)
                    if there is not interval:
                        there.merge(interval)
                elif "planned" in row:
                    planned = _planned(row, latest)
                    _once(known, ("plan", planned.second), number)
                    ledger.plan.append(planned)
                elif "outcome" in row:
                    ledger.steps.append(_step(row))
                elif "in_flight" in row:
                    cpu = None if row["cpu"] is None else _count(row, "cpu")
                    sample = Sample(_real(row, "at"), _text(row, "worker"), int(_count(row, "in_flight")), cpu)
                    _once(known, (sample.worker, sample.at), number)
                    ledger.samples.append(sample)
                else:
                    ledger.events.append(Event(_real(row, "at"), _text(row, "event"), _text(row, "worker")))
            except _Twice as e:
                raise ValueError(f"line {number}: says again what line {e} says") from None
            except KeyError as e:
                raise ValueError(f"line {number}: not a line of a ledger: no {e}") from None
            except (TypeError, ValueError, AttributeError, OverflowError) as e:
                raise ValueError(f"line {number}: not a line of a ledger: {e}") from None
        ledger.intervals.extend(first.values())
        return ledger


def encode(row: Row) -> dict[str, Any]:
    """Primitives for a line of the ledger."""
    return {name: getattr(row, name) for name in row.__slots__}


def read_interval(row: dict[str, Any]) -> Interval:
    """What `Interval.encode` gives, as it came back. Raises ValueError or KeyError for what none of us has written."""
    _text(row, "name")
    _count(row, "second")
    counts = row["counts"]
    if not isinstance(counts, dict):
        raise ValueError(f"counts {counts!r:.60} is not a mapping")
    for key in counts:
        _whole(counts, key)
    if "received" in row:
        _whole(row, "received")
    for name in HISTOGRAMS:
        if name in row:
            _text(row, name)
    return Interval.decode(row)


def read_failure(row: dict[str, Any]) -> dict[str, Any]:
    """A failure as Recorder.take_failures gives it. Raises ValueError or KeyError for what none of us has written."""
    _real(row, "at")
    for key in ("kind", "name", "request_id", "message"):
        _text(row, key)
    _whole(row, "status")
    return row


def _planned(row: dict[str, Any], latest: float) -> Planned:
    second, until, planned = (_count(row, key) for key in ("second", "until", "planned"))
    found = Planned(second, until, planned, int(_count(row, "users")))
    _within(until, latest)
    if until <= second:
        raise ValueError(f"until {until:g} is not after second {second:g}")
    return found


def _within(second: float, latest: float) -> None:
    if second > latest:
        raise ValueError(f"second {second:g} is long after the run's end")


class _Twice(Exception):
    """A line that may be there once only; its argument is the number of the one that was first."""


def _once(lines: dict[tuple[object, ...], int], what: tuple[object, ...], number: int) -> None:
    before = lines.setdefault(what, number)
    if before != number:
        raise _Twice(before)


def _real(row: dict[str, Any], key: str) -> float:
    found = row[key]
    if isinstance(found, bool) or not isinstance(found, int | float) or not abs(found) <= _MOST:
        raise ValueError(f"{key} {found!r:.60} is not a number up to {_MOST:g}")
    return float(found)


def _count(row: dict[str, Any], key: str) -> float:
    found = _real(row, key)
    if found < 0:
        raise ValueError(f"{key} {found:g} is less than 0")
    return found


def _whole(row: dict[str, Any], key: str) -> None:
    _count(row, key)
    found = row[key]
    if not isinstance(found, int):
        raise ValueError(f"{key} {found:g} is not a count")


def _text(row: dict[str, Any], key: str) -> str:
    found = row[key]
    if not isinstance(found, str):
        raise ValueError(f"{key} {found!r:.60} is not a text")
    return found


def _step(row: dict[str, Any]) -> Step:
    """What another version says of a step besides is passed over."""
    step = Step(**{key: value for key, value in row.items() if key in Step.__slots__})
    for key in ("kind", "outcome", "metric"):
        _text({key: getattr(step, key)}, key)
    for key in ("rate", "at", "until", "offered", "requests"):
        _count({key: getattr(step, key)}, key)
    if step.value is not None:
        _real({"value": step.value}, "value")
    return step
