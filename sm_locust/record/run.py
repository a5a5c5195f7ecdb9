"""The run folder: a ledger that only grows while the run goes, and everything after it reads only these files.

`run.json` says what was run, `intervals.jsonl` is the ledger, `failures.jsonl` keeps the first failures of each kind,
`cloudwatch.csv` and `scaling.csv` hold what AWS said of the run.
Whatever can be computed from them (summary, timeline, report) is computed elsewhere and can be computed again.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
import shutil
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

from sm_locust.record.clock import unix
from sm_locust.record.disk import regular, sync, write_whole
from sm_locust.record.interval import Interval
from sm_locust.record.ledger import Ledger, Row, encode, read_failure
from sm_locust.record.meta import SCHEMA_VERSION, wrong
from sm_locust.record.observation import Observation, ScalingEvent, line
from sm_locust.record.recorder import FAILURES_KEPT

if TYPE_CHECKING:
    import pandas

META, LEDGER, FAILURES = "run.json", "intervals.jsonl", "failures.jsonl"
CLOUDWATCH, SCALING = "cloudwatch.csv", "scaling.csv"
TIMELINE = "timeline.csv"  # derived from the ledger, a row a second

COLUMNS = {
    CLOUDWATCH: ("at_s", "source", "metric", "statistic", "value", "unit"),
    SCALING: ("at_s", "desired", "in_service", "event"),
}

Table = Literal["timeline", "cloudwatch", "scaling", "failures"]
T = TypeVar("T")


class RunError(Exception):
    """A run folder that cannot be written or read; its text is one sentence for the user."""


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
        rows: Iterable[Row] = (),
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
        ledger.extend(map(encode, rows))
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
        rows: Iterable[Row] = (),
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
        return text if not text or _size(self.folder / name) else line(COLUMNS[name]) + text

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
        if fault := wrong(meta):
            raise RunError(f"{folder}: {META}: {fault}")
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
        try:
            return Ledger.of(self._lines(LEDGER), self.meta.get("ended_s"))
        except ValueError as e:
            raise RunError(f"{self.folder / LEDGER}, {e}") from None

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
        from sm_locust.record import frames

        kinds: dict[str, str] = {}
        rows: list[dict[str, Any]]
        if table == "timeline":
            rows, columns, kinds = self._timeline()
        elif table == "cloudwatch":
            columns = list(COLUMNS[CLOUDWATCH])
            rows = [{column: getattr(found, column) for column in columns} for found in self.observations()]
        elif table == "scaling":
            columns, kinds = list(COLUMNS[SCALING]), {"desired": "Int64", "in_service": "Int64"}
            rows = [{column: getattr(found, column) for column in columns} for found in self.scaling_events()]
        elif table == "failures":
            columns = ["at_s", "worker", "kind", "name", "status", "request_id", "message"]
            rows = sorted(({**row, "at_s": row["at"] * self.speed} for row in self.failures()), key=lambda r: r["at_s"])
        else:
            raise ValueError(f"to_pandas({table!r}) is not accepted: one of {', '.join(get_args(Table))}")
        try:
            return frames.frame(rows, columns, started_at(self.folder, self.meta), self.speed, kinds)
        except (ValueError, TypeError, OverflowError) as e:  # such as a time that pandas has no date for
            raise RunError(f"{self.folder}: its {table} is no table: {' '.join(str(e).split()):.200}") from None

    def _timeline(self) -> tuple[list[dict[str, Any]], list[str], dict[str, str]]:
        from sm_locust.record import frames

        path = self.folder / TIMELINE
        try:
            return frames.read_timeline(path)
        except FileNotFoundError:
            again = f"sm-locust summarize {self.folder} writes it"
            raise RunError(f"{self.folder}: {TIMELINE} is missing; {again}") from None
        except (OSError, ValueError) as e:
            raise RunError(f"{path}: not a timeline: {e}") from None

    def _rows(self, name: str, read: Callable[[Sequence[str]], T]) -> Iterator[T]:
        for number, text in self._whole_lines(name):
            try:
                cells = next(csv.reader([text]), [])
                if number > 1:
                    yield read(cells)
                elif cells != list(COLUMNS[name]):
                    raise ValueError(f"{text[:60]!r}")
            except (ValueError, csv.Error) as e:
                columns = ",".join(COLUMNS[name])
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


def _json_lines(rows: Iterable[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows)


def _csv(name: str, rows: Iterable[Observation | ScalingEvent]) -> str:
    return line(COLUMNS[name]) + "".join(line(row.cells()) for row in rows)


def _last_of_each(observations: Iterable[Observation]) -> list[Observation]:
    last = {observation.key: observation for observation in observations}
    return [last[key] for key in sorted(last)]


def _each_once(events: Iterable[ScalingEvent]) -> list[ScalingEvent]:
    return sorted(dict.fromkeys(events), key=attrgetter("at_s"))
