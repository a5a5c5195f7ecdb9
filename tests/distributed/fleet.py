"""A master, its workers and the local endpoint, each a real process on a machine of its own, and what a run left."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.distributed.namespaces import Network
from tests.runs.harness import ROOT, STARTERS, config, environment, wait_for

ENDPOINT, MASTER, WORKERS = "endpoint", "master", ("one", "two", "three")
MACHINES = (ENDPOINT, MASTER, *WORKERS)
PORT = 8500
RATE = 800


class Fleet:
    """seconds  how long the load is to be held"""

    def __init__(self, folder: Path, network: Network) -> None:
        self.folder = folder
        self.network = network
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.url = f"http://{network.address(ENDPOINT)}:{PORT}"

    def start(self, machine: str, *command: str, before: tuple[str, ...] = ()) -> None:
        here = self.folder / machine
        here.mkdir(exist_ok=True)
        with open(here / "log", "wb") as log:
            self.processes[machine] = subprocess.Popen(
                [*before, *self.network.on(machine), sys.executable, "-m", *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=here,
                # CloudWatch's and scaling's calls go to the endpoint too: its address is not loopback.
                env=environment(AWS_ENDPOINT_URL=self.url, PYTHONPATH=str(ROOT)),
            )

    def serve(self) -> None:
        settings = self.folder / "endpoint.json"
        settings.write_text(json.dumps({"publish_delay": 0, "workers": 16}))
        # On every address: its own machine may ask it what it has served.
        command = ("sm_locust.cli", "local", "--host", "0.0.0.0", "--port", str(PORT), "--config", str(settings))
        self.start(ENDPOINT, *command)
        wait_for("the endpoint", lambda: "Ctrl-C to stop" in self.log(ENDPOINT), 30)

    def lead(self, seconds: float, *more: str) -> None:
        phase = {"name": "held", "duration": f"{seconds}s", "arrival_rate": RATE}
        path = config(self.folder, self.url, phase)
        arguments = ("--headless", "--master", "--sm-config", str(path), "--sm-run-dir", str(self.folder / "runs"))
        self.start(MASTER, "locust", "-f", STARTERS, *arguments, "--expect-workers", "3", *more)

    def work(self, machine: str, before: tuple[str, ...] = ()) -> None:
        address = self.network.address(MASTER)
        self.start(machine, "locust", "-f", STARTERS, "--worker", "--master-host", address, before=before)

    def log(self, machine: str) -> str:
        return (self.folder / machine / "log").read_text(errors="replace")

    def begun(self) -> Path:
        """Waits until the run has a folder, and its clock has begun."""
        runs = self.folder / "runs"
        wait_for("the run", lambda: list(runs.glob("*/run.json")), 40)
        (found,) = (path.parent for path in runs.glob("*/run.json"))
        wait_for("its ledger", lambda: (found / "intervals.jsonl").stat().st_size > 0, 10)
        return found

    def sleep_until(self, second: float) -> None:
        """Second of the run."""
        time.sleep(max(0.0, self.started_at() + second - time.time()))

    def started_at(self) -> float:
        from sm_locust.record.run import Run

        return _unix(Run.open(self.begun()).meta["started_at"])

    def kill(self, machine: str) -> None:
        self.processes[machine].kill()

    def close(self) -> None:
        for process in self.processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait(20)


def _unix(text: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


@contextlib.contextmanager
def fleet(folder: Path, network: Network) -> Iterator[Fleet]:
    made = Fleet(folder, network)
    try:
        made.serve()
        yield made
    finally:
        made.close()


@dataclass
class Found:
    """What the ledger says, second by second: arrivals sent, and dropped, by worker."""

    seconds: int
    sent: Counter[int]
    by_worker: dict[str, Counter[int]]
    dropped: Counter[str]
    events: list[tuple[float, str, str]]

    @classmethod
    def of(cls, folder: Path, seconds: int) -> Found:
        found = cls(seconds, Counter(), defaultdict(Counter), Counter(), [])
        for line in (folder / "intervals.jsonl").read_text().splitlines():
            row = json.loads(line)
            if "event" in row:
                found.events.append((row["at"], row["event"], row["worker"]))
            counts = row.get("counts") or {}
            if "due" not in counts:
                continue
            dropped = {key: n for key, n in counts.items() if key.startswith("dropped:")}
            found.dropped.update(dropped)
            sent = counts["due"] - sum(dropped.values())
            found.sent[int(row["second"])] += sent
            found.by_worker[row["worker"]][int(row["second"])] += sent
        return found

    def recovery(self, since: float, until: float) -> int:
        """Seconds from a fault until the last one that was short of the plan; by more than 1%."""
        # The arrivals of the last second end in it.
        short = [s for s in range(int(since), min(int(until), self.seconds - 1)) if self.sent[s] < RATE * 0.99]
        return 0 if not short else short[-1] + 1 - int(since)

    @property
    def most_above(self) -> int:
        """Of any second, in arrivals."""
        return max(self.sent[s] for s in range(self.seconds)) - RATE
