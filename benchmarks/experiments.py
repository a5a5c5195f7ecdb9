"""The measurements themselves: each adds its values to Results, round by round. How they are shown is the report's."""

from __future__ import annotations

import math
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import peers
from benchmarks.machine import BenchError
from benchmarks.master import share_of_a_core
from benchmarks.peers import Peer, Where
from benchmarks.target import Nginx, diary, nginx, read_diary

SHORT, LONG = 10.0, 40.0  # seconds of the two runs whose difference is measured
MAX_LATENESS_MS = 10.0

STALL_RATE, STALL_SECONDS, STALL_AFTER, STALL_FOR, STALL_DELAY = 400, 20, 6.0, 5.0, 0.05
QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p999": 0.999}


@dataclass
class Results:
    """Everything measured: values by the figure's key, in the order of the rounds; and what was skipped, and why."""

    values: dict[str, list[float]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    stalls: dict[str, list[dict[str, float]]] = field(default_factory=dict)  # percentiles in ms, by who reports them

    def add(self, key: str, value: float) -> None:
        self.values.setdefault(key, []).append(value)


Say = Callable[[str], None]


def cpu(
    results: Results,
    rounds: int,
    chosen: tuple[Peer, ...],
    say: Say,
    short: float,
    long: float,
    kept: Callable[[], Any],
) -> None:
    """CPU of one request: the difference of a long and a short run, so that start-up and end are not in it.

    kept  called after each round
    """
    with _nginx() as (target, folder):
        for n in range(rounds):
            for peer in chosen:
                if peer.key in results.skipped or n >= peer.rounds:
                    continue
                if reason := peer.absent():
                    results.skipped[peer.key] = reason
                    say(f"{peer.title}: skipped, {reason}")
                    continue
                try:
                    us, lateness = _cpu_of(peer, target, folder, short, long)
                except BenchError as e:  # a moment of a busy machine must not cost all the rest
                    say(f"{e}; once more")
                    us, lateness = _cpu_of(peer, target, folder, short, long)
                results.add(f"cpu:{peer.key}", us)
                if lateness is not None:
                    results.add(f"cpu-lateness:{peer.key}", lateness)
                say(f"round {n + 1} of {rounds} · {peer.title}: {us:.1f} µs a request")
            kept()


@contextmanager
def _nginx() -> Iterator[tuple[Nginx, Path]]:
    """The target, and a folder for what is sent to it."""
    with TemporaryDirectory(prefix="sm-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with nginx(folder / "nginx") as target:
            yield target, folder


def _cpu_of(peer: Peer, target: Nginx, folder: Path, short: float, long: float) -> tuple[float, float | None]:
    tls = peer.key.endswith("tls")
    where = Where(target.tls_url if tls else target.url, folder, target.ca if tls else None)
    measured = []
    lateness = None
    for seconds in (short, long):
        target.forget()
        sent = peer.send(where, peer.rate, seconds)
        good = target.good()
        if not 0 <= good - sent.said <= sent.unsaid:
            raise BenchError(f"{peer.title} says {sent.said} requests, the target answered {good}")
        if peer.rate and good < 0.97 * peer.rate * (seconds - 1):
            raise BenchError(f"{peer.title} did not hold {peer.rate:g} a second: {good} in {seconds:g} s")
        if sent.summary:
            lateness = float(sent.summary["lateness_ms"]["p99"])  # of the long run, in the end
        measured.append((sent.cpu, good))
    if lateness is not None and lateness > MAX_LATENESS_MS:
        raise BenchError(f"{peer.title} left late: p99 {lateness:.1f} ms, where {MAX_LATENESS_MS:g} are allowed")
    (cpu_short, good_short), (cpu_long, good_long) = measured
    return (cpu_long - cpu_short) / (good_long - good_short) * 1e6, lateness


def real_rate(results: Results, rounds: int, say: Say) -> None:
    """CPU of a core at a real 800 requests a second against a target that takes 100 ms."""
    with TemporaryDirectory(prefix="sm-bench-") as name:
        for n in range(rounds):
            with diary(Path(name) / "diary", delay=0.1) as url:
                short, long = (peers.ours(Where(url, Path(name)), 800, seconds) for seconds in (5.0, 25.0))
            share = (long.cpu - short.cpu) / 20.0
            results.add("cpu800", share)
            say(f"round {n + 1} of {rounds} · 800 a second, 100 ms: {share:.1%} of a core")


def lateness(results: Results, rounds: int, say: Say) -> None:
    """How late requests leave, in one process."""
    with _nginx() as (target, folder):
        for n in range(rounds):
            for rate in (800, 5000):
                p99 = peers.ours(Where(target.url, folder), rate, 20.0).summary["lateness_ms"]["p99"]
                results.add(f"lateness:{rate}", p99)
                say(f"round {n + 1} of {rounds} · lateness p99 at {rate} a second: {p99:.2f} ms")


def ramp(results: Results, rounds: int, say: Say) -> None:
    """Delivered of planned, on the reference ramp compressed to two minutes."""
    with _nginx() as (target, folder):
        for n in range(rounds):
            target.forget()
            sent = peers.ours(Where(target.url, folder), 0, 130.0, speed=60)
            arrivals = sent.summary["arrivals"]
            ratio = target.good() / arrivals["planned"]
            results.add("ramp", ratio)
            say(f"round {n + 1} of {rounds} · ramp: {arrivals['sent']:,} of {arrivals['planned']:,.0f} delivered")


def stall(results: Results, rounds: int, say: Say) -> None:
    """What is reported of a stall of five seconds, beside what the server itself wrote down."""
    scheduled = peers.HERE / "locustfiles" / "scheduled.py"
    with TemporaryDirectory(prefix="sm-bench-") as name:
        folder = Path(name)
        for n in range(rounds):
            with diary(folder / "diary", delay=STALL_DELAY, stall_after=STALL_AFTER, stall_for=STALL_FOR) as url:
                sent = peers.ours(Where(url, folder), STALL_RATE, STALL_SECONDS, locustfile=scheduled)
                notes = read_diary(url)
            if len(notes) != sent.said:
                raise BenchError(f"{sent.said} requests are said and {len(notes)} were answered")
            truth = {key: notes[math.ceil(q * len(notes)) - 1] * 1e3 for key, q in QUANTILES.items()}
            worst = max(abs(sent.percentiles[key] / truth[key] - 1) for key in QUANTILES)
            results.add("stall", worst)
            results.stalls.setdefault("server", []).append(truth)
            results.stalls.setdefault("ours", []).append(sent.percentiles)
            say(f"round {n + 1} of {rounds} · stall: at most {worst:.2%} from the server's own times")
        # What others make of the same stall: once, with as many users as the load needs on a good day.
        for peer, per_user in ((peers.BOTO3, 5.0), (peers.FAST, 5.0)):
            with diary(folder / "diary", delay=STALL_DELAY, stall_after=STALL_AFTER, stall_for=STALL_FOR) as url:
                file = {"boto3": "boto3_client", "fast": "fast_unsigned"}[peer.key]
                sent = peers.locust(file, per_user)(Where(url, folder), STALL_RATE, STALL_SECONDS)
            results.stalls[peer.key] = [sent.percentiles]


def memory(results: Results, rounds: int, say: Say) -> None:
    """Growth of a process's memory over 7,200 seconds of three names and a million requests."""
    for n in range(rounds):
        megabytes = float(_python("benchmarks.memory"))
        results.add("memory", megabytes)
        say(f"round {n + 1} of {rounds} · memory: {megabytes:.1f} MB more")


def master(results: Results, rounds: int, say: Say) -> None:
    """CPU of a core of a real master that hears 100 workers."""
    for n in range(rounds):
        share = share_of_a_core()
        results.add("master", share)
        say(f"round {n + 1} of {rounds} · master with 100 workers: {share:.1%} of a core")


def _python(module: str) -> str:
    done = subprocess.run([sys.executable, "-m", module], capture_output=True, text=True, cwd=peers.ROOT)  # nosec B603 # a command of ours, no shell
    if done.returncode:
        raise BenchError(f"{module} failed: {done.stderr[-300:]}")
    return done.stdout.split()[-1]


def open_files() -> None:
    """Enough for every peer."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
