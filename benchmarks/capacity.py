"""One search in real time for each server of known capacity: `python -m benchmarks.capacity`, about 25 minutes.

A real Locust with shapes/find_capacity.py searches a server that answers when a derived queue says. What a search finds
is in virtual time held against many repetitions (tests/analysis/test_search.py); here it is shown that nothing on the
way from the wire to the answer spoils it. The truths are a server's own; Locust's lateness and the wire's tenths of a
millisecond come on top of its latency.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from sm_locust.analysis.summary import Summary
from sm_locust.record.run import Run
from tests.oracles.latency_server import latency_server
from tests.oracles.queues import MD1, LinearLatency, MMc

ROOT = Path(__file__).parents[1]
NEAR = 0.05
PATIENCE = 240.0  # seconds for one search
CHANCE = {"spacing": "poisson", "seed": 11}


@dataclass(frozen=True)
class Case:
    """A server and how it is searched.

    truth     the highest rate at which `slo` holds; None where there is none to find
    expected  what the answer is when there is none: not reached, or refused
    """

    kind: str
    slo: dict[str, str]
    truth: float | None
    expected: str = "found"
    options: dict[str, Any] = field(default_factory=dict)
    arrivals: dict[str, Any] = field(default_factory=dict)
    capacity: dict[str, Any] = field(default_factory=dict)


CASES = {
    "hard-limit": Case("hard-limit", {"latency_p99": "50ms"}, 350),
    "md1": Case("md1", {"latency_mean": "15ms"}, MD1().truth(0.015), arrivals=CHANCE),
    "mm4": Case("mm4", {"latency_mean": "20ms"}, MMc().truth(0.020), arrivals=CHANCE, capacity={"precision": "10%"}),
    "linear": Case(
        "linear", {"latency_mean": "55ms"}, LinearLatency(slope=0.0002).truth(0.055), options={"slope": 0.0002}
    ),
    "failing": Case("failing", {"latency_p99": "50ms", "error_rate": "5%"}, 350),
    "never": Case("never", {"latency_p99": "50ms"}, None, "not reached", capacity={"max": 600}),
    "degrading": Case("degrading", {"latency_p99": "50ms"}, None, "refused", options={"per_second": 0.003}),
}
SEARCH = {"start": 50, "max": 1000, "window": "8s", "warm_up": "1s", "time_limit": PATIENCE}


def search(name: str, case: Case, folder: Path, locust: list[str]) -> tuple[Summary, float]:
    """The run's summary, and how long it took from the start of the load to the end of it."""
    with latency_server(case.kind, **case.options) as url:
        config = {
            "target": {"container": url},
            "request": {"content_type": "text/csv", "body": "5,3.5,1.3,0.3"},
            "slo": case.slo,
            "capacity": {**SEARCH, **case.capacity},
            **({"arrivals": case.arrivals} if case.arrivals else {}),
        }
        path = folder / f"{name}.json"
        path.write_text(json.dumps(config))
        runs = folder / name
        files = f"{ROOT / 'locustfiles/container.py'},{ROOT / 'shapes/find_capacity.py'}"
        command = [
            *(sys.executable, "-m", "locust", "-f", files, "--headless", "--only-summary"),
            *("--sm-config", str(path), "--sm-run-dir", str(runs), "--json-file", str(folder / f"{name}-stats")),
            *locust,
        ]
        with open(folder / f"{name}.log", "wb") as log:
            env = {**os.environ, "PYTHONPATH": str(ROOT)}
            subprocess.run(command, stdout=log, stderr=log, cwd=folder, env=env)  # nosec B603 # a command of ours, no shell
    (only,) = (found.parent for found in runs.glob("*/run.json"))
    run = Run.open(only)
    return Summary.of(run), float(run.meta["ended_s"])


def judge(case: Case, summary: Summary, lasted: float) -> tuple[str, bool]:
    """The row, and whether the answer is right, in time, of a run that is valid."""
    found = summary.capacity
    in_time = lasted <= PATIENCE and summary.verdict.valid
    valid = "" if summary.verdict.valid else f" NOT VALID: {summary.verdict.reasons[0].code}"
    if case.truth is None:
        answer = "refused" if found.refused else "found" if found.reached else "not reached"
        right = answer == case.expected
        said = found.refused or (f"at least {found.max_rps:.1f}" if found.max_rps else "none")
        return f"| – | {answer} | {said} | – | {lasted:.0f} s{valid} |", right and in_time
    if found.max_rps is None or found.low is None or found.high is None:
        return f"| {case.truth:.1f} | {found.refused or 'no bounds'} | | | {lasted:.0f} s{valid} |", False
    error = found.max_rps / case.truth - 1
    bounds = f"{found.low:.1f} to {found.high:.1f}"
    row = f"| {case.truth:.1f} | {found.max_rps:.1f} | {bounds} | {error:+.1%} | {lasted:.0f} s{valid} |"
    return row, abs(error) <= NEAR and in_time


@click.command()
@click.option("--only", "names", multiple=True, type=click.Choice(list(CASES)), help="These servers; all by default.")
@click.option("--keep", type=click.Path(path_type=Path), help="Where to keep the run folders.")
@click.argument("locust", nargs=-1, type=click.UNPROCESSED)
def main(names: tuple[str, ...], keep: Path | None, locust: tuple[str, ...]) -> None:
    """Search each server once. What stands after `--` is given to Locust: `-- --processes 2`."""
    wrong = []
    with tempfile.TemporaryDirectory() as made:
        folder = keep or Path(made)
        folder.mkdir(parents=True, exist_ok=True)
        print("| server | truth | found | interval | error | lasted |\n|---|---|---|---|---|---|")
        for name in names or CASES:
            began = time.monotonic()
            row, right = judge(CASES[name], *search(name, CASES[name], folder.resolve(), list(locust)))
            print(f"| {name} {row}", flush=True)
            wrong += [] if right else [name]
            print(f"{name}: {time.monotonic() - began:.0f} s in all", file=sys.stderr)
    sys.exit(f"not as it should be: {', '.join(wrong)}" if wrong else 0)


if __name__ == "__main__":
    main()
