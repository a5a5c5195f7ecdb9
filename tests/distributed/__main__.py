"""python -m tests.distributed: workers and masters that are lost, on a network of their own, and what was measured.

Wants root and iproute2, and a machine that does nothing else: each scenario holds 800 requests a second for up to a
minute, in real time.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.distributed.fleet import MACHINES, MASTER, PORT, RATE, WORKERS, Fleet, Found, fleet
from tests.distributed.namespaces import missing, network
from tests.runs.harness import accounted, environment

ROUNDING = 8  # arrivals a second: each process rounds its own, and hears of its share some milliseconds after another
BACK = 10  # seconds
ISOLATED = 3.5  # seconds: 3 without a heartbeat, and the look at it


@dataclass
class Row:
    """One line of the table. `broken`: what did not hold, in sentences."""

    scenario: str
    recovery: str = "–"
    above: int = 0
    delivered: str = "–"
    lost: str = "–"
    late: str = "–"
    verdict: str = "–"
    code: str = "–"
    broken: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def must(self, holds: bool, what: str) -> None:
        if not holds:
            self.broken.append(what)


def _summary(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return found


def _read(row: Row, run: Fleet, folder: Path, seconds: int) -> tuple[Found, dict[str, Any]]:
    """Everything that holds in every scenario, and the figures of the table."""
    found, summary = Found.of(folder, seconds), _summary(folder)
    try:
        accounted(summary)
    except AssertionError as e:
        row.must(False, f"the identities do not hold: {e}")
    row.above = found.most_above
    row.must(row.above <= ROUNDING, f"{row.above} a second above the plan")
    row.delivered = f"{summary['arrivals']['delivered_ratio']:.2%}"
    requests = summary["requests"]
    arrived = requests["ok"] + requests["failed"] - requests["by_kind"].get("connect_timeout", 0)
    row.lost = str(_served(run) - arrived)
    row.late = f"{summary['lateness_ms']['p99']:.2f} ms"
    reasons = summary["verdict"]["reasons"]
    row.verdict = ("valid" if summary["verdict"]["valid"] else "not valid") + "".join(f"; {r['code']}" for r in reasons)
    row.notes += [r["text"] for r in reasons]
    if summary.get("workers"):
        row.notes.append(
            "shares: " + ", ".join(f"{w['share']:.1%} ({w['lateness_ms']['p99']} ms late)" for w in summary["workers"])
        )
    return found, summary


def _ended(row: Row, run: Fleet) -> None:
    try:
        row.code = str(run.processes[MASTER].wait(60))
    except subprocess.TimeoutExpired:
        row.must(False, "the master did not end within 60 s")


def _begin(run: Fleet, seconds: int, workers: tuple[str, ...] = WORKERS, before: tuple[str, ...] = ()) -> Path:
    run.lead(seconds, *(() if len(workers) == 3 else ("--expect-workers", str(len(workers)))))
    for worker in workers:
        run.work(worker, before=before if worker == workers[-1] else ())
    return run.begun()


def _recovered(row: Row, found: Found, *spans: tuple[str, float, float]) -> None:
    took = [(what, found.recovery(since, until)) for what, since, until in spans]
    row.recovery = ", ".join(f"{what} {n} s" for what, n in took)
    for what, n in took:
        row.must(n <= BACK, f"{what}: back to the plan only after {n} s")


def undisturbed(run: Fleet) -> Row:
    row = Row("undisturbed")
    folder = _begin(run, 30)
    _ended(row, run)
    found, summary = _read(row, run, folder, 30)
    _recovered(row, found, ("start", 0, 30))
    row.must(summary["verdict"]["valid"], "the run is not valid")
    row.must(len(found.by_worker) == 3, "not three workers")
    return row


def another_clock(run: Fleet) -> Row:
    """The third worker's monotonic clock is 1,000 s ahead of all others'."""
    row = Row("a worker's clock 1,000 s ahead")
    folder = _begin(run, 20, before=("unshare", "--time", "--monotonic", "1000", "--boottime", "1000"))
    _ended(row, run)
    found, summary = _read(row, run, folder, 20)
    _recovered(row, found, ("start", 0, 20))
    row.must(summary["verdict"]["valid"], "the run is not valid")
    row.must(all(0 <= s < 20 for s in found.sent), f"arrivals outside of the run: {sorted(found.sent)[:3]}")
    row.must(len(found.by_worker) == 3, "not three workers")
    return row


def killed_worker(run: Fleet) -> Row:
    row = Row("SIGKILL of a worker at 15 s")
    folder = _begin(run, 40)
    run.sleep_until(15)
    run.kill(WORKERS[2])
    _ended(row, run)
    found, _ = _read(row, run, folder, 40)
    _recovered(row, found, ("kill", 15, 40))
    row.must("worker lost" in row.verdict, "the verdict does not say that a worker was lost")
    return row


def _parted(run: Fleet, name: str, part: Callable[[], None], join: Callable[[], None]) -> Row:
    row = Row(name)
    folder = _begin(run, 60)
    run.sleep_until(12)
    part()
    run.sleep_until(24)
    join()
    _ended(row, run)
    found, _ = _read(row, run, folder, 60)
    _recovered(row, found, ("parted", 12, 24), ("healed", 24, 60))
    row.must(found.dropped["dropped:isolated"] > 0, "the isolated worker did not pause")
    lost = {worker for _, event, worker in found.events if event == "worker lost"}
    back = {worker for _, event, worker in found.events if event == "worker back"}
    row.must(len(lost) == 1 and lost == back, f"events: lost {lost}, back {back}")
    for worker in lost:
        again = next((s for s in range(24, 60) if found.by_worker[worker][s] > RATE / 4), None)
        row.notes.append(f"the worker has its share again {'never' if again is None else f'after {again - 24} s'}")
        row.must(again is not None, "the worker never has its share again")
    return row


def parted_from_master(run: Fleet) -> Row:
    net = run.network
    return _parted(
        run,
        "12 s parted from the master",
        lambda: net.part(WORKERS[2], MASTER),
        lambda: net.join(WORKERS[2], MASTER),
    )


def parted_from_all(run: Fleet) -> Row:
    net = run.network
    name = "12 s parted from master and endpoint"
    return _parted(run, name, lambda: net.unplug(WORKERS[2]), lambda: net.plug(WORKERS[2]))


def late_worker(run: Fleet) -> Row:
    row = Row("a third worker joins at 12 s")
    folder = _begin(run, 40, WORKERS[:2])
    run.sleep_until(12)
    run.work(WORKERS[2])
    _ended(row, run)
    found, _ = _read(row, run, folder, 40)
    _recovered(row, found, ("joined", 12, 40))
    row.must(len(found.by_worker) == 3, "the late worker sent nothing")
    return row


def killed_master(run: Fleet) -> Row:
    row = Row("SIGKILL of the master at 12 s")
    folder = _begin(run, 40)
    run.sleep_until(12)
    run.kill(MASTER)
    killed = time.time()
    row.code = str(run.processes[MASTER].wait(10))
    served = [(time.time(), _served(run))]
    while time.time() < killed + 12:
        time.sleep(0.25)
        served.append((time.time(), _served(run)))
    last = next(at for at, n in served if n == served[-1][1])
    row.recovery = f"workers silent after {last - killed:.1f} s"
    row.must(last - killed <= ISOLATED + 0.5, "workers went on without their master")
    ended = []
    for worker in WORKERS:
        try:
            run.processes[worker].wait(90)
            ended.append(time.time() - killed)
        except subprocess.TimeoutExpired:
            row.must(False, f"worker {worker} did not end by itself")
    row.notes.append(f"the workers ended by themselves within {max(ended, default=0):.0f} s")
    # On the master's machine, which reaches the endpoint and nothing else.
    said = subprocess.run(
        [*run.network.on(MASTER), sys.executable, "-m", "sm_locust.cli", "summarize", str(folder)],
        capture_output=True,
        text=True,
        env=environment(AWS_ENDPOINT_URL=run.url),
        cwd=Path(__file__).parents[2],
    )
    row.code += f", summarize {said.returncode}"
    row.must(said.returncode == 3, f"summarize: {said.stdout[-500:]}{said.stderr[-500:]}")
    _read(row, run, folder, 11)
    row.must("unfinished" in row.verdict, "the summary does not say that the run was never finished")
    return row


def _served(run: Fleet) -> int:
    """Asked on the endpoint's own machine, over its loopback: nobody else is told."""
    code = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1]).read().decode())"
    found = subprocess.run(
        [*run.network.on("endpoint"), sys.executable, "-c", code, f"http://127.0.0.1:{PORT}/_local/counts"],
        capture_output=True,
        text=True,
        check=True,
        env=environment(),
    )
    return int(json.loads(found.stdout)["invocations"])


SCENARIOS = (
    undisturbed,
    another_clock,
    killed_worker,
    parted_from_master,
    parted_from_all,
    late_worker,
    killed_master,
)


def _table(rows: list[Row]) -> str:
    header = ("scenario", "back to the plan", "most above", "delivered", "unreported", "late p99", "exit", "verdict")
    cells = [
        header,
        *((r.scenario, r.recovery, str(r.above), r.delivered, r.lost, r.late, r.code, r.verdict) for r in rows),
    ]
    widths = [max(len(line[i]) for line in cells) for i in range(len(header))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in cells)


def main() -> int:
    lacking = missing()
    if lacking:
        print(f"make distributed: {lacking}", file=sys.stderr)
        return 2
    wanted = set(sys.argv[1:])
    rows = []
    for scenario in SCENARIOS:
        if wanted and scenario.__name__ not in wanted:
            continue
        print(f"{scenario.__name__} ...", file=sys.stderr, flush=True)
        folder = Path(tempfile.mkdtemp(prefix="distributed-"))
        with network(*MACHINES) as net, fleet(folder, net) as run:
            try:
                rows.append(scenario(run))
            except Exception as e:  # the others still have something to say
                rows.append(Row(scenario.__name__, broken=[f"{type(e).__name__}: {e}"]))
        for sentence in (*rows[-1].notes, *(f"BROKEN: {what}" for what in rows[-1].broken), f"({folder})"):
            print(f"  {sentence}", file=sys.stderr, flush=True)
    print(_table(rows))
    return 1 if any(row.broken for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
