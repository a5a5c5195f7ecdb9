"""The run folder: a ledger that only grows while the run goes, and everything after it reads only these files.

`run.json` says what was run, `intervals.jsonl` is the ledger, `failures.jsonl` keeps the first failures of each kind,
`cloudwatch.csv` and `scaling.csv` hold what AWS said of the run.
Whatever can be computed from them (summary, timeline, report) is computed elsewhere and can be computed again.
"""

from __future__ import annotations

import contextlib
import csv
import json
import math
import os
import shutil
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

from sm_locust.record.clock import unix
from sm_locust.record.disk import regular, sync, write_whole
from sm_locust.record.frames import frame
from sm_locust.record.interval import HISTOGRAMS, Interval
from sm_locust.record.observation import Observation, ScalingEvent, line
from sm_locust.record.recorder import FAILURES_KEPT
from sm_locust.record.step import Step
from sm_locust.schedule import SPEEDS, Schedule

if TYPE_CHECKING:
    import pandas

SCHEMA_VERSION = 1

COMPLETE, RUN_TIME, SEARCHED = "schedule complete", "run time reached", "search over"
STOPPED, BY_HAND = "stopped by stop_when", "stopped by hand"
ALL_LOST = "the last worker was lost"
USED_UP = "payloads used up"
PAYLOADS_FAILED = "payloads failed: "  # + what: why a run ended, and the event of the process whose payloads they were
ENDS_OF_ITSELF = (COMPLETE, RUN_TIME, SEARCHED, STOPPED, USED_UP)  # what run.json says of a run that nobody ended

WORKER_LOST, WORKER_BACK = "worker lost", "worker back"  # events of the ledger

META, LEDGER, FAILURES = "run.json", "intervals.jsonl", "failures.jsonl"
CLOUDWATCH, SCALING = "cloudwatch.csv", "scaling.csv"
TIMELINE = "timeline.csv"  # derived from the ledger, a row a second

Table = Literal["timeline", "cloudwatch", "scaling", "failures"]  # what to_pandas gives

_COLUMNS = {
    CLOUDWATCH: ("at_s", "source", "metric", "statistic", "value", "unit"),
    SCALING: ("at_s", "desired", "in_service", "event"),
}

# A second of a ledger lies before the end of its run, or before that of the longest one that can be planned.
_LONGEST, _BEYOND = 720 * 3600.0, 3600.0

_EXACT = 2**53  # up to here a whole number is one of float's
_MOST = 1e18  # of anything in a line of the ledger: sums and squares of it are still numbers

T = TypeVar("T")


class RunError(Exception):
    """A run folder that cannot be written or read; its text is one sentence for the user."""


@dataclass(frozen=True, slots=True)
class Plan:
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


@dataclass(slots=True)
class Ledger:
    """All that `intervals.jsonl` holds, in the order written.

    intervals  one for each second and name, whichever workers counted it and however often: a hundred workers take no
               more memory to read than one
    by_worker  of the whole run: counts, and the lateness of what was sent
    """

    intervals: list[Interval] = field(default_factory=list)
    plan: list[Plan] = field(default_factory=list)
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


class Run:
    """One run folder. `Run.create` for the process that makes it, `Run.open` for everyone after.

    folder  its path
    meta    what run.json says: schedule, config, versions, speed, started_at, ended (why), ended_s (real seconds)
    """

    def __init__(self, folder: Path, meta: dict[str, Any]) -> None:
        self.folder = folder
        self.meta = meta
        self._kept: dict[str, int] = {}  # failures kept so far, by kind
        # Filled by who makes the run and emptied by a thread that writes: the ends of a deque bear that.
        self._noted: dict[str, deque[dict[str, Any]]] = {LEDGER: deque(), FAILURES: deque()}
        self._owed = {LEDGER: "", FAILURES: ""}  # what the disk has refused
        self._written = {LEDGER: 0, FAILURES: 0}  # bytes, by us: what else is there somebody else has changed

    # -- making it ---------------------------------------------------------------------------------------------------

    @classmethod
    def create(cls, parent: str | Path, meta: dict[str, Any]) -> Run:
        """Makes `parent/<UTC time>-<id>/` with `run.json`; nothing that exists is touched.

        meta  what run.json should say beside schema_version, run_id and folder name
        Raises RunError when the folder cannot be made or written.
        """
        run_id = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()) + "-" + uuid.uuid4().hex[:6]
        folder = Path(parent) / run_id
        run = cls(folder, {"schema_version": SCHEMA_VERSION, "run_id": run_id, **meta})
        try:
            folder.mkdir(parents=True)
            try:
                (folder / LEDGER).touch()
                run._write_meta()
                sync(folder.parent)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)  # nothing of a run that never was is left lying about
                raise
        except OSError as e:
            raise RunError(f"run folder {folder}: cannot be made: {e.strerror}") from e
        return run

    def discard(self) -> None:
        """Takes the folder away again: of a run that turned out, before anything was sent, not to be one."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r})"

    @property
    def run_id(self) -> str:
        return str(self.meta["run_id"])

    def note(
        self,
        worker: str,
        intervals: Iterable[Interval | dict[str, Any]] = (),
        rows: Iterable[Plan | Sample | Event | Step] = (),
        failures: Iterable[dict[str, Any]] = (),
    ) -> None:
        """Keeps lines for the ledger, in order, until `flush` writes them; costs no wait for a disk.

        worker     whose intervals and failures these are
        intervals  as they are, or already encoded as they came in a message
        failures   see Recorder.take_failures; no more than FAILURES_KEPT of a kind are kept
        """
        ledger, kept = self._noted[LEDGER], self._noted[FAILURES]
        for interval in intervals:
            ledger.append({"worker": worker, **(interval.encode() if isinstance(interval, Interval) else interval)})
        ledger.extend(map(_encode_row, rows))
        for failure in failures:
            kind = str(failure["kind"])
            if self._kept.get(kind, 0) < FAILURES_KEPT:
                self._kept[kind] = self._kept.get(kind, 0) + 1
                kept.append({"worker": worker, **failure})

    def flush(self) -> None:
        """Writes what was noted, however many noted it, in one go, and makes sure that it is on disk.

        Raises RunError when it cannot be written; the lines are then kept, and come first when it is tried again.
        """
        for name, noted in self._noted.items():
            self._owed[name] += _json_lines(noted.popleft() for _ in range(len(noted)))
            if self._owed[name]:
                self._check_untouched(name)
                self._append(name, self._owed[name])
                self._written[name] += len(self._owed[name].encode())
                self._owed[name] = ""

    def _check_untouched(self, name: str) -> None:
        """A file that is gone would begin anew, and be summed up as if it were all there ever was."""
        found, written = _size(self.folder / name), self._written[name]
        if found != written:
            is_there = f"it has {found:,} bytes, and {written:,} were written" if found else "it is gone"
            raise RunError(f"run folder {self.folder}: {name} was changed by somebody else: {is_there}")

    def append(
        self,
        worker: str,
        intervals: Iterable[Interval | dict[str, Any]] = (),
        rows: Iterable[Plan | Sample | Event | Step] = (),
        failures: Iterable[dict[str, Any]] = (),
    ) -> None:
        """Notes and writes at once."""
        self.note(worker, intervals, rows, failures)
        self.flush()

    def append_observations(self, observations: Iterable[Observation]) -> None:
        """Adds what CloudWatch said. A point may be said again: its last line counts."""
        self._append(CLOUDWATCH, self._csv_lines(CLOUDWATCH, observations))

    def append_scaling(self, events: Iterable[ScalingEvent]) -> None:
        """Adds what became of the instances. An event may be said again: it counts once."""
        self._append(SCALING, self._csv_lines(SCALING, events))

    def rewrite_observations(self, observations: Iterable[Observation]) -> None:
        """Puts these, sorted, in place of what `cloudwatch.csv` held: its final form, once the metrics have settled."""
        self.write_text(CLOUDWATCH, _csv(CLOUDWATCH, _last_of_each(observations)))

    def rewrite_scaling(self, events: Iterable[ScalingEvent]) -> None:
        """Puts these, sorted, in place of what `scaling.csv` held."""
        self.write_text(SCALING, _csv(SCALING, _each_once(events)))

    def _csv_lines(self, name: str, rows: Iterable[Observation | ScalingEvent]) -> str:
        text = "".join(line(row.cells()) for row in rows)
        return text if not text or _size(self.folder / name) else line(_COLUMNS[name]) + text

    def _append(self, name: str, text: str) -> None:
        if not text:
            return
        path = self.folder / name
        try:
            before = _size(path)
            try:
                with open(path, "a", encoding="utf-8") as file:
                    file.write(text)
                    file.flush()
                    os.fsync(file.fileno())
            except OSError:
                with contextlib.suppress(OSError):
                    os.truncate(path, before)  # half a line would spoil the ones to come
                raise
        except OSError as e:
            raise RunError(f"run folder {self.folder}: {name} cannot be written: {e.strerror}") from e

    def finish(self, **meta: Any) -> None:
        """Adds to run.json: how it ended, most of all."""
        self.meta.update(meta)
        self._write_meta()

    def _write_meta(self) -> None:
        self.write_text(META, json.dumps(self.meta, indent=2) + "\n")

    def write_text(self, name: str, text: str) -> Path:
        """Writes one file whole or not at all: a reader never sees half of it. Raises RunError when it cannot."""
        path = self.folder / name
        try:
            write_whole(path, text)
        except OSError as e:
            raise RunError(f"run folder {self.folder}: {name} cannot be written: {e.strerror}") from e
        return path

    # -- reading it --------------------------------------------------------------------------------------------------

    @classmethod
    def open(cls, folder: str | Path) -> Run:
        """The run in a folder, finished or not. Raises RunError when it is not a run folder of a version we know."""
        folder = Path(folder)
        if folder.is_file():
            raise RunError(f"{folder}: a file, not a run folder")
        try:
            meta = json.loads(regular(folder / META).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise RunError(f"{folder}: not a run folder: it has no {META}") from None
        except RecursionError:
            raise RunError(f"{folder}: {META} cannot be read: nested too deeply") from None
        except (OSError, ValueError) as e:  # a ValueError too: an integer of thousands of digits
            raise RunError(f"{folder}: {META} cannot be read: {e}") from None
        version = meta.get("schema_version") if isinstance(meta, dict) else None
        if version != SCHEMA_VERSION:
            raise RunError(f"{folder}: {META} has schema_version {version!r}; this sm-locust reads {SCHEMA_VERSION}")
        if "run_id" not in meta:
            raise RunError(f"{folder}: {META} has no run_id")
        for key, accepted in _wrong(meta):
            raise RunError(f"{folder}: {META}: {key} is not accepted: {accepted}")
        run = cls(folder, meta)
        run._written = {name: _size(folder / name) for name in run._written}
        return run

    @property
    def speed(self) -> int:
        return int(self.meta["speed"])

    def ledger(self) -> Ledger:
        """Everything in `intervals.jsonl`. A line that a killed master left half written at the end is passed over.

        Raises RunError for a line that none of us can have written, and for one that is there twice.
        """
        ledger = Ledger()
        first: dict[tuple[float, str], Interval] = {}
        lines: dict[tuple[object, ...], int] = {}  # what can be said once only → where it was
        for number, row in self._lines(LEDGER):
            try:
                if "name" in row:
                    interval = self._interval(row)
                    ledger.count(_text(row, "worker"), interval)
                    known = first.setdefault((interval.second, interval.name), interval)
                    if known is not interval:
                        known.merge(interval)
                elif "planned" in row:
                    plan = self._plan(row)
                    _once(lines, ("plan", plan.second), number)
                    ledger.plan.append(plan)
                elif "outcome" in row:
                    ledger.steps.append(_step(row))
                elif "in_flight" in row:
                    cpu = None if row["cpu"] is None else _count(row, "cpu")
                    sample = Sample(_real(row, "at"), _text(row, "worker"), int(_count(row, "in_flight")), cpu)
                    _once(lines, (sample.worker, sample.at), number)
                    ledger.samples.append(sample)
                else:
                    ledger.events.append(Event(_real(row, "at"), _text(row, "event"), _text(row, "worker")))
            except _Twice as e:
                raise RunError(f"{self.folder / LEDGER}, line {number}: says again what line {e} says") from None
            except KeyError as e:
                raise RunError(f"{self.folder / LEDGER}, line {number}: not a line of a ledger: no {e}") from None
            except (TypeError, ValueError, AttributeError, OverflowError) as e:
                raise RunError(f"{self.folder / LEDGER}, line {number}: not a line of a ledger: {e}") from None
        ledger.intervals.extend(first.values())
        return ledger

    def _interval(self, row: dict[str, Any]) -> Interval:
        interval = read_interval(row)
        self._within(interval.second)
        return interval

    def _plan(self, row: dict[str, Any]) -> Plan:
        second, until, planned = (_count(row, key) for key in ("second", "until", "planned"))
        plan = Plan(second, until, planned, int(_count(row, "users")))
        self._within(plan.until)
        if plan.until <= plan.second:
            raise ValueError(f"until {plan.until:g} is not after second {plan.second:g}")
        return plan

    def _within(self, second: float) -> None:
        if second > (self.meta.get("ended_s") or _LONGEST) + _BEYOND:
            raise ValueError(f"second {second:g} is long after the run's end")

    def failures(self) -> list[dict[str, Any]]:
        """The failures kept: worker, at (real seconds), kind, name, status, request_id, message.

        Raises RunError for a line that none of us can have written.
        """
        found = []
        for number, row in self._lines(FAILURES):
            try:
                found.append(read_failure(row))
            except KeyError as e:
                raise RunError(f"{self.folder / FAILURES}, line {number}: not a failure: no {e}") from None
            except ValueError as e:
                raise RunError(f"{self.folder / FAILURES}, line {number}: not a failure: {e}") from None
        return found

    def observations(self) -> list[Observation]:
        """What CloudWatch said last of each point, by time, source, metric and statistic; empty without AWS."""
        return _last_of_each(self._rows(CLOUDWATCH, Observation.of))

    def scaling_events(self) -> list[ScalingEvent]:
        """What became of the instances, each event once, by time; empty without AWS."""
        return _each_once(self._rows(SCALING, ScalingEvent.of))

    def to_pandas(self, table: Table = "timeline") -> pandas.DataFrame:
        """One of the folder's tables as a DataFrame, in the order of time.

        timeline    a row a real second, as `timeline.csv`: users, planned, sent, dropped, ok, cancelled, failed and
                    each kind of failure (`failed_KIND`), in_flight, and mean, p50, p90, p99 and max of latency,
                    service_time and lateness in milliseconds (`latency_p99_ms`), empty where nothing was answered
        cloudwatch  a row a point: source, metric, statistic, value, unit (ms, count or percent); empty without AWS
        scaling     a row an event: desired and in_service (instances, or copies; missing where not known), event
        failures    a row for each failure that was kept, the first 20 of a kind: worker, kind, name, status (0 without
                    an answer), request_id, message

        Each has `at`, when it was (UTC), and `at_s`, seconds of the schedule since the run's start, before the others:
        of a period, when it began. Raises ImportError without pandas (extra `pandas`), ValueError for another table,
        RunError when the folder cannot be read or has no `timeline.csv` yet, which `sm-locust summarize` writes.
        """
        kinds: dict[str, str] = {}
        rows: list[dict[str, Any]]
        if table == "timeline":
            rows, columns = self._timeline()
            kinds = {name: "int64" for name in columns if _counts(name)}
        elif table == "cloudwatch":
            columns = list(_COLUMNS[CLOUDWATCH])
            rows = [{column: getattr(found, column) for column in columns} for found in self.observations()]
        elif table == "scaling":
            columns, kinds = list(_COLUMNS[SCALING]), {"desired": "Int64", "in_service": "Int64"}
            rows = [{column: getattr(found, column) for column in columns} for found in self.scaling_events()]
        elif table == "failures":
            columns = ["at_s", "worker", "kind", "name", "status", "request_id", "message"]
            rows = sorted(({**row, "at_s": row["at"] * self.speed} for row in self.failures()), key=lambda r: r["at_s"])
        else:
            raise ValueError(f"to_pandas({table!r}) is not accepted: one of {', '.join(get_args(Table))}")
        began = started_at(self.folder, self.meta)
        try:
            return frame(rows, columns, began, self.speed, kinds)
        except (ValueError, TypeError, OverflowError) as e:  # such as a time that pandas has no date for
            raise RunError(f"{self.folder}: its {table} is no table: {' '.join(str(e).split()):.200}") from None

    def _timeline(self) -> tuple[list[dict[str, Any]], list[str]]:
        path = self.folder / TIMELINE
        try:
            with open(regular(path), encoding="utf-8", newline="") as file:
                header, *lines = csv.reader(file)
                if "at_s" not in header:
                    raise ValueError(f"its columns are {','.join(header):.60}")
                return [
                    {name: _cell(name, cell) for name, cell in zip(header, line, strict=True)} for line in lines
                ], header
        except FileNotFoundError:
            again = f"sm-locust summarize {self.folder} writes it"
            raise RunError(f"{self.folder}: {TIMELINE} is missing; {again}") from None
        except (OSError, ValueError, csv.Error) as e:
            raise RunError(f"{path}: not a timeline: {e}") from None

    def _rows(self, name: str, read: Callable[[Sequence[str]], T]) -> Iterator[T]:
        for number, text in self._whole_lines(name):
            try:
                cells = next(csv.reader([text]), [])
                if number > 1:
                    yield read(cells)
                elif cells != list(_COLUMNS[name]):
                    raise ValueError(f"{text[:60]!r}")
            except (ValueError, csv.Error) as e:
                columns = ",".join(_COLUMNS[name])
                raise RunError(f"{self.folder / name}, line {number}: not a line of {columns}: {e}") from None

    def _lines(self, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
        """Objects of JSON with the numbers of their lines."""
        if name == LEDGER and not (self.folder / name).exists():
            raise RunError(f"{self.folder}: {LEDGER} is missing, and everything is read from it")
        for number, text in self._whole_lines(name):
            try:
                row = json.loads(text)
            except (ValueError, RecursionError) as e:  # a ValueError too: an integer of thousands of digits
                why = getattr(e, "msg", "a number is too long") if isinstance(e, ValueError) else "nested too deeply"
                raise RunError(f"{self.folder / name}, line {number}: not a line of JSON: {why}") from None
            if not isinstance(row, dict):
                raise RunError(f"{self.folder / name}, line {number}: not an object of JSON: {text[:40]!r}")
            yield number, row

    def _whole_lines(self, name: str) -> Iterator[tuple[int, str]]:
        """The lines of a file with their numbers, without the one that a killed master left half written at the end."""
        path = self.folder / name
        if not path.exists():
            return
        # Half a line may end in half a character.
        try:
            with open(regular(path), encoding="utf-8", errors="replace", newline="\n") as file:
                for number, text in enumerate(file, 1):
                    if not text.endswith("\n"):
                        return
                    yield number, text.removesuffix("\n")
        except OSError as e:
            raise RunError(f"{path}: cannot be read: {e.strerror or e}") from None


def started_at(folder: Path, meta: Mapping[str, Any]) -> float:
    """The start of a run, Unix seconds. Raises RunError where run.json does not say it."""
    try:
        return unix(meta["started_at"])
    except (KeyError, TypeError, ValueError):
        raise RunError(f"{folder}: {META} does not say when the run started") from None


def _size(path: Path) -> int:
    """Bytes; 0 for a file that is not there, or cannot be looked at."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _counts(column: str) -> bool:
    """Whether a column of the timeline holds whole numbers."""
    return column not in ("at_s", "planned") and not column.endswith("_ms")


def _cell(column: str, cell: str) -> float | None:
    """A cell of the timeline. Raises ValueError for what is none."""
    if not cell and column.endswith("_ms"):  # nothing was answered
        return None
    value = float(cell or "nan")
    if not math.isfinite(value) or (_counts(column) and (value % 1 or abs(value) >= _EXACT)):
        raise ValueError(f"{column} {cell!r} is not a {'count' if _counts(column) else 'number'}")
    return value


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


def _wrong(meta: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What of run.json would be stumbled over later, and what is accepted. A key that is not there is no fault here."""
    if _depth(meta) > _DEEPEST:
        yield "what is nested too deeply", f"{_DEEPEST} levels at the most"
    elif not _finite(meta):
        yield "a number that is not finite", "those that JSON has"
    parts = {f"{name}.": part for name in ("cloudwatch", "endpoint") if isinstance(part := meta.get(name), dict)}
    for parent, found in {"": meta, **parts}.items():
        for key, (is_right, accepted) in _META_KEYS.items():
            name = key.removeprefix(parent)
            if key == parent + name and name in found and "." not in name and not is_right(found[name]):
                yield key, accepted


def _depth(value: object) -> int:
    """Levels of lists and mappings, up to one more than are accepted."""
    depth, level = 0, [value]
    while depth <= _DEEPEST and (level := [item for item in level if isinstance(item, dict | list)]):
        depth += 1
        level = [inner for item in level for inner in (item.values() if isinstance(item, dict) else item)]
    return depth


def _finite(value: object) -> bool:
    """Whether all of its numbers are JSON's: Python reads and writes NaN and infinity, too."""
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return True


def _number(least: float, most: float) -> Callable[[object], bool]:
    return lambda v: isinstance(v, int | float) and not isinstance(v, bool) and least <= v <= most


def _listed(kind: type) -> Callable[[object], bool]:
    return lambda v: isinstance(v, list) and all(isinstance(item, kind) for item in v)


def _or_null(is_right: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda v: v is None or is_right(v)


def _mapping(value: object) -> bool:
    return isinstance(value, dict)


def _schedule(value: object) -> bool:
    if not isinstance(value, dict) or not _or_null(_listed(dict))(value.get("phases")):
        return False
    try:
        return not value.get("phases") or bool(Schedule.from_dicts(value["phases"]).phases)
    except (TypeError, ValueError, OverflowError):
        return False


def _billing(value: object) -> bool:
    """Whether it is what record.billing.Billing.as_dict gives, and perhaps more."""
    if not isinstance(value, dict) or not _or_null(_listed(dict))(value.get("items")):
        return False
    items: list[dict[str, Any]] = value.get("items") or []
    return all(
        isinstance(item.get("what"), str)
        and _or_null(_number(0, 1e9))(item.get("hourly"))
        and all(isinstance(item.get(key, ""), str) for key in ("origin", "command", "fault"))
        for item in items
    )


def _scaling(value: object) -> bool:
    """Whether it is what aws.scaling.ScalingState.as_dict gives, as far as it is read."""
    if not isinstance(value, dict) or not _or_null(_listed(dict))(value.get("policies")):
        return False
    target = value.get("target")
    if target is not None and not (
        isinstance(target, dict)
        and all(_instances(target.get(key)) for key in ("MinCapacity", "MaxCapacity"))
        and _or_null(_mapping)(target.get("SuspendedState"))
    ):
        return False
    return all(_tracking(policy.get(_TRACKING)) for policy in value.get("policies") or ())


def _tracking(value: object) -> bool:
    if value is None:
        return True
    if not isinstance(value, dict) or not _or_null(_number(0, 1e12))(value.get("TargetValue")):
        return False
    for key in ("PredefinedMetricSpecification", "CustomizedMetricSpecification"):
        metric = value.get(key)
        if not _or_null(_mapping)(metric):
            return False
        if metric and not all(_text_or_null(metric.get(name)) for name in ("PredefinedMetricType", "MetricName")):
            return False
    return True


def _capacity(value: object) -> bool:
    """Whether it is what analysis.capacity.Capacity.as_dict gives: names and kinds."""
    if not isinstance(value, dict) or value.keys() - _CAPACITY_KEYS or "way" not in value:
        return False
    return all(_CAPACITY_KEYS[key](found) for key, found in value.items())


def _stopped(value: dict[str, Any]) -> bool:
    """Whether it is what analysis.stopping.Tripped.as_dict gives: names and kinds."""
    return value.keys() == _STOPPED_KEYS.keys() and all(_STOPPED_KEYS[key](found) for key, found in value.items())


_DEEPEST = 100
_TRACKING = "TargetTrackingScalingPolicyConfiguration"
_instances = _number(0, 1e6)
_seconds_of_schedule = _number(-1e9, 1e9)
_STOPPED_KEYS: dict[str, Callable[[object], bool]] = {
    **dict.fromkeys(("rule", "metric", "why"), lambda v: isinstance(v, str)),
    "value": _or_null(_seconds_of_schedule),
    **dict.fromkeys(("since_s", "until_s", "at_s"), _seconds_of_schedule),
}
_rate_or_null = _or_null(_number(0, 1e9))
_text_or_null = _or_null(lambda v: isinstance(v, str))
_CAPACITY_KEYS: dict[str, Callable[[object], bool]] = {
    "way": lambda v: v == "search",
    **dict.fromkeys(("max_rps", "low", "high", "fails_at", "instances", "saturates_at"), _rate_or_null),
    "confidence": _number(0, 1),
    "reached": lambda v: isinstance(v, bool),
    "limited_by": _text_or_null,
    "refused": _text_or_null,
}

# What is read of run.json, by key: whether a value is one, and what is accepted in words.
_META_KEYS: dict[str, tuple[Callable[[object], bool], str]] = {
    "run_id": (lambda v: isinstance(v, str), "a text"),
    "speed": (lambda v: v in SPEEDS and not isinstance(v, bool), f"one of {', '.join(map(str, SPEEDS))}"),
    "ended_s": (_or_null(_number(0, 720 * 3600)), "a number of seconds, 0 to 720 hours"),
    "per_user": (_or_null(_number(0, 1e9)), "a number of arrivals a second"),
    "schedule": (_schedule, "a mapping with phases"),
    "ended": (lambda v: isinstance(v, str), "a text"),
    "config": (_or_null(_mapping), "a mapping"),
    "users": (_or_null(_listed(str)), "a list of texts"),
    "workers": (_or_null(_listed(str)), "a list of texts"),
    "versions": (_or_null(_mapping), "a mapping"),
    "billing": (_or_null(_billing), "a mapping with items"),
    "stopped": (_or_null(lambda v: isinstance(v, dict) and _stopped(v)), "a mapping of the rule, as it was"),
    "search": (lambda v: isinstance(v, dict) and _capacity(v.get("capacity")), "a mapping with capacity, as it was"),
    "scaling": (_or_null(_scaling), "a mapping of target and policies, as AWS has them"),
    "endpoint": (_or_null(_mapping), "a mapping"),
    "endpoint.instance_type": (_or_null(lambda v: isinstance(v, str)), "a text"),
    "endpoint.instances": (_or_null(_instances), "a number of instances"),
    "cloudwatch": (_or_null(_mapping), "a mapping"),
    "cloudwatch.period_s": (_number(1, 720 * 3600), "a number of seconds, 1 or more"),
    "cloudwatch.missing": (_or_null(_listed(str)), "a list of texts"),
    "cloudwatch.subjects": (_or_null(_listed(dict)), "a list of mappings"),
    "cloudwatch.clock_offset_s": (_or_null(_number(-86400, 86400)), "a number of seconds, a day at most"),
}


def _encode_row(row: Plan | Sample | Event | Step) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__slots__}


def _json_lines(rows: Iterable[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows)


def _csv(name: str, rows: Iterable[Observation | ScalingEvent]) -> str:
    return line(_COLUMNS[name]) + "".join(line(row.cells()) for row in rows)


def _last_of_each(observations: Iterable[Observation]) -> list[Observation]:
    last = {observation.key: observation for observation in observations}
    return [last[key] for key in sorted(last)]


def _each_once(events: Iterable[ScalingEvent]) -> list[ScalingEvent]:
    return sorted(dict.fromkeys(events), key=attrgetter("at_s"))
