"""`sm-locust compare --fail-if` as CI runs it: a process, its exit code, and what it leaves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sm_locust.record.outcome import OK
from sm_locust.schedule import Phase
from tests.analysis.folders import played

ROOT = Path(__file__).parents[2]
RAMP = (Phase("up", 60, 5, ramp_to=50),)


def compare(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sm_locust.cli", "compare", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_ci_reads_the_exit_code(tmp_path: Path) -> None:
    fast = played(tmp_path, RAMP).folder
    slow = played(tmp_path, RAMP, lambda at: (OK, 0.012)).folder
    late = played(tmp_path, RAMP, late=lambda at: 0.1).folder
    rule = ("--fail-if", "latency_p99 > +10%")
    calls: list[tuple[str | Path, ...]] = [
        (slow, fast, "--out", tmp_path / "held", *rule),
        (fast, slow, "--out", tmp_path / "broken", *rule),
        (fast, late, "--out", tmp_path / "unknown", *rule),
        (fast, tmp_path / "no", "--out", tmp_path / "none", "--fail-if", "latency_p99 > 10"),
    ]
    with ThreadPoolExecutor(2) as pool:
        held, broken, unknown, refused = pool.map(lambda call: compare(*call), calls)

    assert (held.returncode, broken.returncode, unknown.returncode, refused.returncode) == (0, 1, 1, 2)
    for done, name, state in (
        (held, "held", "held"),
        (broken, "broken", "broken"),
        (unknown, "unknown", "cannot be told"),
    ):
        assert done.stderr == ""
        # The last words before the folder: what explains the exit code.
        assert done.stdout.split("\n\n")[-2].lower().startswith(f"{state}: latency_p99 > +10%: before ")
        (rule_told,) = json.loads((tmp_path / name / "compare.json").read_text())["rules"]
        assert rule_told["state"] == state
    assert "(AFTER is not valid (" in " ".join(unknown.stdout.split())
    assert refused.stderr.startswith("sm-locust: --fail-if 'latency_p99 > 10': 10 is not accepted: for latency_p99, ")
    assert not (tmp_path / "none").exists()
