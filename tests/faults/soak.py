"""python -m tests.faults.soak [REQUESTS]: a million requests, 1% of them with a fault at random; every one is counted.

nginx is the target, since it injects faults at full speed and counts what it did by itself.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

# Locust patches the process before anything else loads ssl.
import locust as _  # noqa: F401

import psutil

from sm_locust.record import outcome as kinds
from tests.faults.endpoint import MIB, command, counts, naming
from tests.runs.harness import accounted, free_port, locust, summary, wait_for

RATE = 4000.0  # a second, in one process
GROWTH = 0.1  # of its memory between the first quarter and the end
PATIENCE = 60.0  # seconds for all but the arrivals themselves

# What nginx does in as many of all requests, and what that is to be called. 444: it closes and says nothing.
SHARES = {500: "0.2%", 503: "0.2%", 429: "0.2%", 302: "0.2%", 444: "0.2%"}
KINDS = {
    200: "ok",
    500: kinds.INTERNAL,
    503: kinds.UNAVAILABLE,
    429: kinds.THROTTLED,
    302: kinds.REDIRECT,
    444: kinds.RESET,
}

NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 8192; }}
http {{
  log_format counted "$status";
  split_clients "$request_id" $fault {{ {shares} * 200; }}
  keepalive_requests 1000000000; keepalive_timeout 3600; client_body_temp_path {folder}/body;
  server {{
    listen 127.0.0.1:{port} backlog=8192;
    access_log {folder}/counted.log counted buffer=256k flush=200ms;
    location / {{
      {returns}
      return 200 "setosa\\n";
    }}
  }}
}}
"""


@contextlib.contextmanager
def nginx(folder: Path) -> Any:
    port = free_port()
    folder.chmod(0o755)
    shares = " ".join(f"{share} {status};" for status, share in SHARES.items())
    where = {302: " http://127.0.0.1/elsewhere"}
    returns = "\n      ".join(
        f"if ($fault = {status}) {{ return {status}{where.get(status, '')}; }}" for status in SHARES
    )
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port, shares=shares, returns=returns))
    process = subprocess.Popen(
        ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")], stderr=subprocess.DEVNULL
    )
    try:
        wait_for("nginx", (folder / "nginx.pid").exists)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def main(requests: int) -> int:
    if shutil.which("nginx") is None:
        print("nginx is missing: install it (Debian, Ubuntu: apt-get install nginx-light)", file=sys.stderr)
        return 2
    seconds = round(requests / RATE) + 2  # the first and the last are not whole ones
    with tempfile.TemporaryDirectory(prefix="sm-locust-soak-") as name:
        folder = Path(name)
        with nginx(folder) as url:
            arguments = command(folder, "-u", "1", "-t", f"{seconds}s", timeout=10.0, per_user=RATE)
            began = time.monotonic()
            memory: list[tuple[float, float]] = []  # seconds, MiB
            with locust(folder, *arguments, env=naming(("soak", url, None))) as run:
                process = psutil.Process(run.process.pid)
                while run.process.poll() is None:
                    with contextlib.suppress(psutil.Error):
                        memory.append((time.monotonic() - began, process.memory_info().rss / MIB))
                    assert time.monotonic() - began < seconds + PATIENCE, "it hangs"
                    time.sleep(1.0)
                assert run.folders(), run.output
                found = accounted(summary(run.the_folder()))
            time.sleep(0.5)  # the log is written in blocks
            served = Counter(KINDS[int(line)] for line in (folder / "counted.log").read_text().split())
    sent, by_kind = found["arrivals"]["sent"], counts(found["requests"])
    sending = [mib for at, mib in memory if at < seconds]
    early, late = max(sending[len(sending) // 8 : len(sending) // 4]), max(sending[-len(sending) // 8 :])
    growth = late / early - 1
    shown = {key: found["arrivals"][key] for key in ("planned", "due", "sent", "dropped", "delivered_ratio")}
    print(f"arrivals: {json.dumps(shown)}")
    print(f"requests: {json.dumps(dict(sorted(by_kind.items())))}")
    print(f"target:   {json.dumps(dict(sorted(served.items())))}")
    print(f"faults: {1 - by_kind['ok'] / sent:.3%} of {sent}; lateness p99 {found['lateness_ms']['p99']} ms")
    print(f"memory: {early:.1f} MiB in the second eighth, {late:.1f} MiB in the last: {growth:+.1%}")
    print(f"verdict: {json.dumps(found['verdict'])}")
    problems = []
    if sent < requests * 0.99:
        problems.append(f"only {sent} of {requests} were sent")
    if by_kind != dict(served):
        problems.append("the target counted other kinds")
    if growth > GROWTH:
        problems.append("memory grew")
    for problem in problems:
        print(f"DOES NOT HOLD: {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000))
