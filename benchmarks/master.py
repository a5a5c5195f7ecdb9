"""A real master that hears 100 workers: prints its share of a core.

    python -m benchmarks.master            # master and workers
    python -m benchmarks.master workers PORT

The workers are one process on the other core that speaks for all of them, each over a socket of its own: heartbeats,
Locust's statistics, and each second a shipment of 50 requests of three names, recorded beforehand.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgpack
import psutil
import zmq

from benchmarks.machine import GENERATOR_CORE, TARGET_CORE, BenchError, start, stop
from benchmarks.peers import LOCUST, ROOT
from tests.runs.harness import free_port

WORKERS, RATE, NAMES = 100, 50, 3
SETTLE, SECONDS = 6.0, 20.0


def share_of_a_core() -> float:
    """Starts master and workers, and ends them. Raises BenchError when shipments are missing."""
    with TemporaryDirectory(prefix="sm-bench-") as name:
        folder, port = Path(name), free_port()
        config = folder / "bench.yaml"
        config.write_text(
            "target: {container: 'http://127.0.0.1:9/invocations'}\nrequest: {body: x, content_type: text/csv}\n"
        )
        users = str(WORKERS * RATE)
        command = [*LOCUST, "-f", str(ROOT / "locustfiles" / "container.py"), "--master"]
        command += ["--expect-workers", str(WORKERS), "--master-bind-port", str(port), "-u", users, "-r", users]
        command += ["--sm-config", str(config), "--sm-run-dir", str(folder / "runs"), "-t", "60s"]
        master = start(command, GENERATOR_CORE, folder / "master.log")
        workers = None
        try:
            time.sleep(3)
            speak = [sys.executable, "-m", "benchmarks.master", "workers", str(port)]
            workers = start(speak, TARGET_CORE, folder / "workers.log")
            return _share(master, folder)
        finally:
            if workers is not None:
                stop(workers)
            stop(master)


def _share(master: subprocess.Popen[bytes], folder: Path) -> float:
    """Of a core, while shipments come in."""
    ledgers: list[Path] = []
    deadline = time.monotonic() + 30
    while not ledgers:
        if time.monotonic() > deadline or master.poll() is not None:
            raise BenchError(f"the master did not start: {(folder / 'master.log').read_text()[-300:]}")
        time.sleep(0.2)
        ledgers = list((folder / "runs").glob("*/intervals.jsonl"))
    time.sleep(SETTLE)
    process = psutil.Process(master.pid)
    before, lines = process.cpu_times(), len(ledgers[0].read_bytes().splitlines())
    time.sleep(SECONDS)
    after, more = process.cpu_times(), len(ledgers[0].read_bytes().splitlines())
    # A shipment is an interval of each name, one of arrivals, and a sample.
    heard = (more - lines) / SECONDS / (NAMES + 2) / WORKERS
    if heard < 0.95:
        raise BenchError(f"the master wrote down {heard:.0%} of the shipments")
    return float(after.user + after.system - before.user - before.system) / SECONDS


def speak_for_workers(port: int) -> None:
    """Speaks for all workers until it is ended."""
    import locust
    from locust.stats import RequestStats

    from sm_locust.plugin.messages import HELLO, RUN, SHIP
    from sm_locust.record.outcome import Outcome
    from sm_locust.record.recorder import Recorder

    chance = random.Random(1)

    def second() -> list[dict[str, Any]]:
        recorder = Recorder()
        for n in range(RATE):
            at = n / RATE
            started = at + chance.expovariate(2000)
            ended = started + chance.lognormvariate(-4.6, 0.3)
            recorder.arrived(at)
            recorder.record(Outcome(f"endpoint-{n % NAMES}", at, started, ended - 0.0001, ended, received=7))
        return [interval.encode() for interval in recorder.take()]

    def statistics() -> dict[str, Any]:
        stats = RequestStats()
        for n in range(3 * RATE):
            stats.log_request("POST", f"endpoint-{n % NAMES}", round(chance.lognormvariate(2.4, 0.3)), 7)
        total = stats.total.get_stripped_report()
        return {"stats": stats.serialize_stats(), "stats_total": total, "errors": {}, "user_classes_count": {}}

    seconds, reports = [second() for _ in range(10)], [statistics() for _ in range(5)]
    context, poller = zmq.Context(), zmq.Poller()
    names: dict[Any, str] = {}
    for n in range(WORKERS):
        socket = context.socket(zmq.DEALER)
        socket.setsockopt(zmq.IDENTITY, f"worker-{n:03}".encode())
        socket.connect(f"tcp://127.0.0.1:{port}")
        poller.register(socket, zmq.POLLIN)
        names[socket] = f"worker-{n:03}"

    def say(socket: Any, message: str, data: Any) -> None:
        socket.send(msgpack.dumps((message, data, names[socket])))

    for socket in names:
        say(socket, "client_ready", locust.__version__)
        say(socket, HELLO, {"version": version("sm-locust")})
    began = time.monotonic()
    next_at = {socket: began + 1 + n / WORKERS for n, socket in enumerate(names)}
    run_id, users, seq = "", dict.fromkeys(names, 0), dict.fromkeys(names, 0)
    while True:
        for socket, _ in poller.poll(5):
            message, data, _ = msgpack.loads(socket.recv(), strict_map_key=False)
            if message == RUN:
                run_id = data["run_id"]
            elif message == "spawn":
                users[socket] = sum(data["user_classes_count"].values())
                say(socket, "spawning", None)
                counts = {"user_classes_count": data["user_classes_count"], "user_count": users[socket]}
                say(socket, "spawning_complete", counts)
        now = time.monotonic()
        for socket in [socket for socket, at in next_at.items() if at <= now]:
            next_at[socket] += 1
            state = "running" if users[socket] else "ready"
            say(socket, "heartbeat", {"state": state, "current_cpu_usage": 20, "current_memory_usage": 10})
            if not users[socket]:
                continue
            at, seq[socket] = float(seq[socket]), seq[socket] + 1
            rows = [{**row, "second": at} for row in seconds[seq[socket] % 10]]
            counted = {"intervals": rows, "failures": [], "in_flight": 1, "cpu": None, "at": at + 1}
            counted |= {"clock_ahead": None, "payloads_failed": "", "cut_short": 0}
            say(socket, SHIP, {"run_id": run_id, "seq": seq[socket], **counted})
            if seq[socket] % 3 == 0:
                say(socket, "stats", {**reports[seq[socket] % 5], "user_count": users[socket]})


if __name__ == "__main__":
    if sys.argv[1:2] == ["workers"]:
        speak_for_workers(int(sys.argv[2]))
    else:
        print(f"{share_of_a_core():.4f}")
