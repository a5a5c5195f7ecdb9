"""Masters that are killed, disks that are full or cannot be written, folders that were changed: what is left."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from sm_locust.schedule import Phase
from tests.analysis.folders import played
from tests.faults.scenario import Row, Scenario
from tests.runs.harness import (
    ROOT,
    STARTERS,
    Endpoint,
    Locust,
    accounted,
    config,
    endpoint,
    environment,
    locust,
    summary,
    wait_for,
)

PART = "Durability"
RATE = 100
NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")  # a file system of its own needs no more rights


def _load(folder: Path, url: str, seconds: float, run_dir: str = "runs") -> list[str]:
    flat = {"name": "flat", "duration": seconds, "arrival_rate": RATE}
    path = config(folder, url, flat, slo={"error_rate": "1%"})
    return ["-f", STARTERS, "--sm-config", str(path), "--headless", "--sm-run-dir", str(folder / run_dir)]


def _summarize(folder: Path) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "sm_locust.cli", "summarize", str(folder)],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout + done.stderr


def _sentence(output: str, pattern: str) -> str:
    """What matches, folded lines joined and the paths of this machine left out; empty where nothing does."""
    found = re.search(pattern, " ".join(output.split()))
    without_id = re.sub(r"\d{8}T\d{6}Z-[0-9a-f]{6}", "RUN", found[0] if found else "")
    return re.sub(r"/\S*/(?=[^/\s]+)", "…/", without_id)


def _reasons(folder: Path) -> dict[str, str]:
    return {reason["code"]: reason["text"] for reason in summary(folder)["verdict"]["reasons"]}


def killed(folder: Path) -> Row:
    with endpoint(folder, workers=64) as local, locust(folder, *_load(folder, local.url, 60)) as run:
        wait_for("five seconds of load", lambda: local.served() > 5 * RATE)
        run.signal(signal.SIGKILL)
        run.wait()
        served = local.served()
    code, output = _summarize(run.the_folder())
    found = accounted(summary(run.the_folder()))
    ok, reason = found["requests"]["ok"], _reasons(run.the_folder()).get("unfinished", "")
    said = f"summarize: exit {code}; {ok} of the {served} requests that were answered are there; {reason}"
    holds = code == 3 and 0 <= served - ok <= 2.5 * RATE and "of 60 s planned" in reason and "Traceback" not in output
    return Row(PART, "SIGKILL of the master in mid-run", said, holds)


def killed_at_any_moment(folder: Path) -> Row:
    """From the start to after the report of a run of two seconds, at moments a quarter of a second apart."""
    with endpoint(folder, workers=64, instances=4) as local, ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda n: _killed_after(folder / str(n), local, 1.0 + n / 4), range(20)))
    codes = [code for code, _ in found if code is not None]
    wrong = [output for code, output in found if code not in (None, 0, 3) or "Traceback" in output]
    said = (
        f"{20 - len(codes)} had no run folder yet, or were over by then; summarize of the others: exit "
        + ", ".join(f"{code} ({codes.count(code)} times)" for code in sorted(set(codes)))
        + "".join(f"; {output[-200:]}" for output in wrong)
    )
    return Row(PART, "SIGKILL at 20 moments from start to report", said, not wrong and len(codes) >= 8)


def _killed_after(folder: Path, local: Endpoint, seconds: float) -> tuple[int | None, str]:
    folder.mkdir()
    with locust(folder, *_load(folder, local.url, 2)) as run:
        time.sleep(seconds)
        over = run.process.poll() is not None
        run.close()
        if over or not run.folders():
            return None, ""
        return _summarize(run.the_folder())


def written_as_it_goes(folder: Path) -> Row:
    with endpoint(folder, workers=64) as local, locust(folder, *_load(folder, local.url, 8)) as run:
        wait_for("the ledger", lambda: run.folders() and (run.the_folder() / "intervals.jsonl").stat().st_size)
        tracer = subprocess.Popen(
            ["strace", "-f", "-y", "-e", "trace=fsync", "-o", str(folder / "trace"), "-p", str(run.process.pid)],
            stderr=subprocess.DEVNULL,
        )
        time.sleep(4)
        tracer.send_signal(signal.SIGINT)
        tracer.wait(10)
        run.wait(60)
    synced = (folder / "trace").read_text().count("intervals.jsonl")
    said = f"strace counts {synced} fsyncs of intervals.jsonl in 4 s"
    return Row(PART, "nothing: whether the ledger is on disk second by second", said, 3 <= synced <= 6)


# -- what was changed by hand ------------------------------------------------------------------------------------------


def _changed(fault: str, change: Callable[[Path], None], says: str, exit_code: int = 2) -> Scenario:
    """says  a pattern of the sentence"""

    def scenario(folder: Path) -> Row:
        run = played(folder, (Phase("flat", 20, 20),))
        before = {path.name: path.read_bytes() for path in run.folder.iterdir()}
        change(run.folder)
        touched = {path.name: path.read_bytes() for path in run.folder.iterdir()}
        code, output = _summarize(run.folder)
        sentence = _sentence(output, says)
        kept = all((run.folder / name).read_bytes() == touched[name] for name in before if name in touched)
        return Row(
            PART,
            fault,
            f"summarize: exit {code}; {sentence or output[-300:]}",
            code == exit_code and bool(sentence) and kept and "Traceback" not in output,
        )

    return scenario


def _ledger(change: Callable[[list[bytes]], list[bytes]]) -> Callable[[Path], None]:
    def on(folder: Path) -> None:
        path = folder / "intervals.jsonl"
        path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))

    return on


def _meta(change: Callable[[dict[str, Any]], str]) -> Callable[[Path], None]:
    def on(folder: Path) -> None:
        path = folder / "run.json"
        path.write_text(change(json.loads(path.read_text())))

    return on


def _doubled(lines: list[bytes]) -> list[bytes]:
    (first, *_) = [i for i, line in enumerate(lines) if b'"planned"' in line]
    return [*lines[: first + 1], lines[first], *lines[first + 1 :]]


CHANGED = (
    _changed(
        "a ledger whose last line is half written",
        _ledger(lambda lines: [*lines, b'{"second":19.0,"na']),
        r"VALID",
        0,
    ),
    _changed(
        "a ledger whose last seconds are missing",
        _ledger(lambda lines: [line for line in lines if not re.search(rb'"second":1[5-9]\.0', line)]),
        r"The ledger says nothing of .*?run it again\.",
        3,
    ),
    _changed(
        "a broken line in the middle of the ledger",
        _ledger(lambda lines: [*lines[:9], b'{"second":3.0,"na\n', *lines[9:]]),
        r"\S*intervals\.jsonl, line 10: not a line of JSON.*",
    ),
    _changed(
        "binary garbage in the ledger",
        _ledger(lambda lines: [*lines[:9], bytes(range(256)) + b"\n", *lines[9:]]),
        r"\S*intervals\.jsonl, line 10: not a line of JSON.*",
    ),
    _changed(
        "a line of JSON in the ledger that is none of ours",
        _ledger(lambda lines: [*lines[:9], b'{"second":3.0,"name":"e","counts":{"ok":"many"}}\n', *lines[9:]]),
        r"\S*intervals\.jsonl, line 10: not a line of a ledger: .*",
    ),
    _changed(
        "a line of the ledger twice", _ledger(_doubled), r"\S*intervals\.jsonl, line \d+: says again what line \d+ says"
    ),
    _changed("no ledger", lambda folder: (folder / "intervals.jsonl").unlink(), r"\S*: intervals\.jsonl is missing.*"),
    _changed("an empty run.json", _meta(lambda meta: ""), r"\S*: run\.json cannot be read.*"),
    _changed(
        "run.json of another version",
        _meta(lambda meta: json.dumps({**meta, "schema_version": 99})),
        r"\S*: run\.json: schema_version 99.*",
    ),
)


# -- where it cannot be written ----------------------------------------------------------------------------------------


def _disturbed(fault: str, disturb: Callable[[Path], None], says: str) -> Scenario:
    def scenario(folder: Path) -> Row:
        with endpoint(folder, workers=64) as local, locust(folder, *_load(folder, local.url, 30)) as run:
            wait_for("load", lambda: local.served() > 2 * RATE)
            the_folder, began = run.the_folder(), time.monotonic()
            disturb(the_folder)
            code = run.wait(30)
            took = time.monotonic() - began
        sentence = _sentence(run.output, says)
        begun_anew = (the_folder / "intervals.jsonl").exists()
        said = f"exit {code} {took:.0f} s later; {sentence or run.output[-300:]}"
        holds = code == 3 and took < 15 and bool(sentence) and not begun_anew and "Traceback" not in run.output
        return Row(PART, fault, said, holds)

    return scenario


DISTURBED = (
    _disturbed(
        "the ledger removed in mid-run",
        lambda folder: (folder / "intervals.jsonl").unlink(),
        r"the run ends: run folder \S+: intervals\.jsonl was changed by somebody else: it is gone",
    ),
    _disturbed(
        "the run folder removed in mid-run",
        shutil.rmtree,  # another file may be written before the ledger
        r"the run ends: run folder \S+: \S+ (?:was changed by somebody else: it is gone|cannot be written: No such.*)",
    ),
)


def not_a_folder(folder: Path) -> Row:
    (folder / "taken").write_text("mine\n")
    with endpoint(folder) as local, locust(folder, *_load(folder, local.url, 5, "taken")) as run:
        code, served = run.wait(30), local.served()
    sentence = _sentence(run.output, r"--sm-run-dir \S+: not a folder that can be made: File exists")
    kept = (folder / "taken").read_text() == "mine\n"
    said = f"exit {code}, {served} requests; {sentence or run.output[-300:]}"
    return Row(PART, "--sm-run-dir is a file", said, code == 2 and served == 0 and bool(sentence) and kept)


def _in_a_namespace(folder: Path, what: str) -> dict[str, Any]:
    done = subprocess.run(
        [*NAMESPACE, sys.executable, "-c", f"from tests.faults.durability import {what} as f; f({str(folder)!r})"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    if done.returncode:
        raise RuntimeError(f"{what}: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _mount(folder: Path, options: str) -> None:
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(folder)], check=True)


def _to_its_end(folder: Path, seconds: float) -> tuple[int, Locust, int]:
    with endpoint(folder, workers=64) as local, locust(folder, *_load(folder, local.url, seconds)) as run:
        return run.wait(60), run, local.served()


def on_a_small_disk(path: str) -> None:
    folder = Path(path)
    _mount(folder / "runs", "size=28k")
    code, run, served = _to_its_end(folder, 40)
    full, _ = _summarize(run.the_folder())
    subprocess.run(["mount", "-o", "remount,size=20m", str(folder / "runs")], check=True)
    again, output = _summarize(run.the_folder())
    found = accounted(summary(run.the_folder()))
    says = r"the run ends: run folder \S+: [\w.]+ cannot be written: No space.*? device"
    print(
        json.dumps(
            {
                "code": code,
                "served": served,
                "said": _sentence(run.output, says),
                "hint": "complete it by sm-locust summarize" in " ".join(run.output.split()),
                "tracebacks": (run.output + output).count("Traceback"),
                "full": full,
                "again": again,
                "ok": found["requests"]["ok"],
                "reason": _reasons(run.the_folder()).get("unfinished", ""),
            }
        )
    )


def disk_full(folder: Path) -> Row:
    found = _in_a_namespace(folder, "on_a_small_disk")
    said = (
        f"exit {found['code']} after {found['served']} of {40 * RATE} requests; {found['said']}; summarize while it is "
        f"full: exit {found['full']}; once there is room: exit {found['again']}, {found['ok']} requests, "
        f"{found['reason']}"
    )
    holds = (
        (found["code"], found["full"], found["again"], found["tracebacks"]) == (3, 2, 3, 0)
        and bool(found["said"])
        and found["hint"]
        and RATE < found["ok"] <= found["served"] < 39 * RATE
    )
    return Row(PART, "the disk is full in mid-run", said, holds)


def on_a_read_only_disk(path: str) -> None:
    folder = Path(path)
    _mount(folder / "runs", "ro")
    code, run, served = _to_its_end(folder, 5)
    said = _sentence(run.output, r"--sm-run-dir \S+: not a folder that can be written")
    left = len(list((folder / "runs").iterdir()))
    print(
        json.dumps(
            {"code": code, "served": served, "said": said, "tracebacks": run.output.count("Traceback"), "left": left}
        )
    )


def read_only(folder: Path) -> Row:
    found = _in_a_namespace(folder, "on_a_read_only_disk")
    said = f"exit {found['code']}, {found['served']} requests; {found['said']}"
    holds = (found["code"], found["served"], found["tracebacks"], found["left"]) == (2, 0, 0, 0) and bool(found["said"])
    return Row(PART, "a read-only folder", said, holds)


SCENARIOS: tuple[Scenario, ...] = (
    written_as_it_goes,
    killed,
    killed_at_any_moment,
    *CHANGED,
    disk_full,
    read_only,
    not_a_folder,
    *DISTURBED,
)
