"""A run folder that was cut, edited or filled with something else: what is there serves, or a sentence says why not."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from sm_locust.analysis.verdict import CLOCK_CORRECTED, CREDENTIALS_REFUSED, CUT_SHORT
from sm_locust.cli import main
from sm_locust.record.ledger import Event, Step
from sm_locust.record.meta import PAYLOADS_FAILED
from sm_locust.record.observation import ScalingEvent
from sm_locust.record.outcome import INVALID_SIGNATURE, OK
from sm_locust.record.run import Run, RunError, Table
from sm_locust.report import folder
from sm_locust.schedule import Phase
from tests.analysis.folders import borrowed, played, watch
from tests.fuzzing import damaged, examples, spoilt
from tests.report.test_folder import CONFIG, FULL

READ = ("run.json", "intervals.jsonl", "failures.jsonl", "cloudwatch.csv", "scaling.csv")
EVENTS = [
    *(Event(5.0, "worker lost", "b"), Event(6.0, "worker back", "b"), Event(6.5, f"{CUT_SHORT}2", "a")),
    *(Event(1.0, f"{CLOCK_CORRECTED}612", "a"), Event(11.5, f"{CREDENTIALS_REFUSED}expired_token", "a")),
    Event(11.6, f"{PAYLOADS_FAILED}no more", "b"),
]


class Folders:
    """Two runs of one experiment, which hold all that one can; the second one is damaged and made whole again."""

    def __init__(self, parent: Path) -> None:
        self.parent = parent
        self.experiment = borrowed(parent, restored=["The registration is gone."], restored_at="now")
        self.before, self.after = (self._made(parent, name) for name in ("before", "after"))
        self._whole = {path: path.read_bytes() for path in self.after.iterdir()}
        self._whole[self.experiment] = self.experiment.read_bytes()
        self.sent = json.loads((self.after / "summary.json").read_text())["arrivals"]["sent"]
        self.mend()

    @staticmethod
    def _made(parent: Path, name: str) -> Path:
        kinds = ((3, INVALID_SIGNATURE), (10, OK), (20, "reset"))
        run = played(
            parent,
            (Phase("p", 8, 3), Phase("q", 4.5, 4, ramp_to=6)),
            lambda at: (next(kind for until, kind in kinds if at < until), 0.01),
            workers=("a", "b"),
            events=EVENTS,
        )
        run.append("", rows=[Step("double", 4.0, 0.0, 5.0, 4.0, 20, "held", "latency_p99", 0.01)])
        run.meta["config"] = CONFIG
        levels = [
            ScalingEvent(0, 1, 1, ""),
            ScalingEvent(5, 2, None, "Setting"),
            ScalingEvent(6, 2, 2, "Alarm x: OK → ALARM."),
        ]
        watch(run, period_s=1.0, events=levels)
        run.finish(**FULL, run_id=name)
        folder.write(run)
        return run.folder.rename(parent / name)

    def mend(self) -> None:
        for path in [*self.after.iterdir(), self.experiment]:
            if path not in self._whole or path.is_symlink() or not path.is_file():
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
        for path, content in self._whole.items():
            path.write_bytes(content)

    def run(self, *command: str) -> str:
        """What it says on standard error: where it ends with 2, one sentence and nothing else."""
        found = CliRunner().invoke(main, [part.format(before=self.before, after=self.after) for part in command])
        if found.exception is not None and not isinstance(found.exception, SystemExit):
            raise found.exception
        if found.exit_code == 2:
            assert found.stderr.count("\n") == 1 and found.stderr.startswith("sm-locust: "), found.stderr
            assert len(found.stderr) < 1_500 and found.stdout == ""
        return found.stderr


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Folders]:
    folders = Folders(tmp_path_factory.mktemp("experiment"))
    yield folders
    folders.mend()
    folders.run("summarize", "{after}")


COMMANDS = (
    ("summarize", "{after}"),
    ("compare", "{before}", "{after}"),
    ("compare", "{after}", "{before}", "--fail-if", "latency_p99 > +10%"),
    ("compare", "{before}", "{after}", "--rps", "5"),
    ("whatif", "{after}", "--target", "100", "--max", "4", "--json"),
    ("whatif", "{after}"),
)


@examples(50)
@given(data=st.data())
def test_a_damaged_folder_is_used_as_it_is_or_refused_in_one_sentence(folders: Folders, data: st.DataObject) -> None:
    folders.mend()
    path = data.draw(st.sampled_from([*(folders.after / name for name in READ), folders.experiment]))
    whole = path.read_bytes()
    if path.suffix == ".csv" or data.draw(st.booleans()):
        path.write_bytes(data.draw(spoilt(whole)))
    elif path.suffix == ".json":
        path.write_text(json.dumps(data.draw(damaged(json.loads(whole)))))
    else:
        lines = whole.splitlines(keepends=True)
        number = data.draw(st.integers(0, len(lines) - 1))
        lines[number] = json.dumps(data.draw(damaged(json.loads(lines[number])))).encode() + b"\n"
        path.write_bytes(b"".join(lines))
    folders.run(*data.draw(st.sampled_from(COMMANDS)))
    with contextlib.suppress(RunError):
        Run.open(folders.after).to_pandas(data.draw(st.sampled_from(get_args(Table))))


def _constants(found: str) -> Any:
    raise AssertionError(f"{found} is no JSON")


@examples(30)
@given(data=st.data())
def test_a_ledger_that_lost_or_repeats_a_line_is_not_summed_up_as_if_nothing_were(
    folders: Folders, data: st.DataObject
) -> None:
    """Of lines that are left as they are every one counts: a number that changed has its reason beside it."""
    folders.mend()
    whole = json.loads((folders.after / "summary.json").read_text())
    path = folders.after / "intervals.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    number = data.draw(st.integers(0, len(lines) - 1))
    if data.draw(st.booleans()):
        lines.insert(data.draw(st.integers(0, len(lines))), lines[number])
    else:
        del lines[number]
    path.write_bytes(b"".join(lines))
    if "line " in folders.run("summarize", "{after}"):
        return
    found = json.loads((folders.after / "summary.json").read_text(), parse_constant=_constants)
    if found["verdict"] == whole["verdict"]:
        for key in ("arrivals", "requests", "latency_ms", "service_time_ms", "lateness_ms"):
            assert found[key] == whole[key], lines[number][:200]


def _folder(path: Path) -> None:
    path.mkdir()


def _to_nowhere(path: Path) -> None:
    path.symlink_to(path.parent / "nowhere")


def _without_end(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize(
    "put", [_folder, os.mkfifo, _to_nowhere, _without_end], ids=lambda put: put.__name__.strip("_")
)
@pytest.mark.parametrize("name", [*READ, "experiment.json"])
def test_something_else_in_place_of_a_file_keeps_nobody_waiting(
    folders: Folders, put: Callable[[Path], None], name: str
) -> None:
    folders.mend()
    path = folders.experiment if name == folders.experiment.name else folders.after / name
    path.unlink()
    put(path)
    folders.run("compare", "{before}", "{after}")
