"""The generators that are compared: how each is started at a rate for a time, and what it says of itself afterwards.

Each is given its best sensible configuration: connections kept alive, no retries, no look at proxies, enough users that
none waits for another, nothing printed or written beside the load. All of Locust's are open at their rate as far as
they can be (`constant_throughput`).
"""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.machine import BenchError, run

HERE = Path(__file__).parent
ROOT = HERE.parent
LOCUST = [sys.executable, "-m", "locust", "--headless", "--only-summary"]
ARTILLERY = "2.0.34"
WRK_CONNECTIONS = 32

SECRET_ACCESS_KEY = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"  # nosec B105 # AWS's public example
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
    "AWS_EC2_METADATA_DISABLED": "true",
}


@dataclass(frozen=True)
class Sent:
    """What a generator did.

    cpu          seconds, of the whole process tree
    said         requests that it says were answered well
    percentiles  of the latency that it reports, ms; empty where it was not asked
    summary      our own summary.json
    unsaid       how many more may have been answered: cut off at the end
    """

    cpu: float
    said: int
    percentiles: dict[str, float] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    unsaid: int = 0


@dataclass(frozen=True)
class Where:
    """The target: `url`, and the certificate to trust where it is https. `folder` is for what the generator leaves."""

    url: str
    folder: Path
    ca: Path | None = None


Send = Callable[[Where, float, float], Sent]  # where, requests a second, seconds


@dataclass(frozen=True)
class Peer:
    """A generator that is compared.

    key     in results.json
    title   in the tables
    absent  why it cannot be measured here, or empty
    rounds  it is measured in at most so many: enough where nothing must be reached
    """

    key: str
    title: str
    rate: float
    send: Send
    absent: Callable[[], str] = lambda: ""
    rounds: int = 1000


# -- ours ------------------------------------------------------------------------------------------------------------


def ours(where: Where, rate: float, seconds: float, *, locustfile: Path | None = None, speed: int = 1) -> Sent:
    """Our InvokeEndpointUser. A rate of 0 plays the reference shape instead."""
    per_user = 10 if rate >= 1000 else 1
    config = where.folder / "bench.yaml"
    config.write_text(
        "target: {endpoint: bench, region: us-east-1}\n"
        'request: {content_type: text/csv, body: "5,3.5,1.3,0.3"}\n'
        f"arrivals: {{per_user: {per_user}, max_in_flight: 20000}}\n"
    )
    runs = where.folder / "runs"
    shutil.rmtree(runs, ignore_errors=True)
    files = str(locustfile or ROOT / "locustfiles" / "invoke_endpoint.py")
    if rate:
        users = str(round(rate / per_user))
        load = ["-u", users, "-r", users, "-t", f"{seconds:g}s"]
    else:
        files += f",{ROOT / 'shapes' / 'warm_up_max_load.py'}"
        load = ["--sm-speed", str(speed)]
    env = {
        **CREDENTIALS,
        "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": where.url,
        # Whoever watches an endpoint asks AWS about it: here that is refused, and nobody waits for more.
        "AWS_ENDPOINT_URL": where.url.replace("https", "http") + "/refused",
        **({"AWS_CA_BUNDLE": str(where.ca)} if where.ca else {}),
    }
    command = [*LOCUST, "-f", files, "--sm-config", str(config), "--sm-run-dir", str(runs), *load]
    ended = run(command, where.folder / "ours.log", env, limit=seconds + 60)
    found = list(runs.glob("*/summary.json"))
    if len(found) != 1:
        raise BenchError(f"our own run ended with {ended.code}: {ended.output[-300:]}")
    summary = json.loads(found[0].read_text())
    # Ours calls a run late from 5 ms on. Whether that is too late here is for who measures to say.
    doubts = {reason["code"] for reason in summary["verdict"]["reasons"] if reason["invalidates"]}
    if ended.code and doubts != {"late"}:
        raise BenchError(f"our own run ended with {ended.code}: {summary['verdict']}, {summary['requests']}")
    return Sent(ended.cpu, summary["requests"]["ok"], _ours_percentiles(summary), summary)


def _ours_percentiles(summary: dict[str, Any]) -> dict[str, float]:
    return {name: summary["latency_ms"][name] for name in ("p50", "p90", "p95", "p99", "p999")}


# -- Locust's --------------------------------------------------------------------------------------------------------


def locust(file: str, per_user: float) -> Send:
    def send(where: Where, rate: float, seconds: float) -> Sent:
        count = round(rate / per_user)
        users = str(count)
        stats = where.folder / "stats"
        command = [*LOCUST, "-f", str(HERE / "locustfiles" / f"{file}.py"), "-u", users, "-r", users]
        command += ["-t", f"{seconds:g}s", "--stop-timeout", "20", "--json-file", str(stats)]
        env = {**CREDENTIALS, "BENCH_URL": where.url, "BENCH_RATE_PER_USER": str(per_user)}
        ended = run(command, where.folder / f"{file}.log", env, limit=seconds + 60)
        rows = json.loads(stats.with_suffix(".json").read_text())
        failed = sum(row["num_failures"] for row in rows)
        if failed or ended.code:
            raise BenchError(f"{file}: {failed} requests failed; {ended.output[-300:]}")
        times: dict[float, int] = {}
        for row in rows:
            for bucket, n in row["response_times"].items():
                times[float(bucket)] = times.get(float(bucket), 0) + n
        # Locust kills a user that waits, and one whose wait is just over has begun its next request by then.
        return Sent(ended.cpu, sum(row["num_requests"] for row in rows), _percentiles(times), unsaid=count)

    return send


def _percentiles(times: dict[float, int]) -> dict[str, float]:
    """Nearest rank, of what Locust keeps: rounded to two digits."""
    total, seen, found = sum(times.values()), 0, {}
    wanted = iter([("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p999", 0.999)])
    name, q = next(wanted)
    for value in sorted(times):
        seen += times[value]
        while seen >= math.ceil(q * total):
            found[name] = value
            following = next(wanted, None)
            if following is None:
                return found
            name, q = following
    return found


# -- others ----------------------------------------------------------------------------------------------------------


def artillery(where: Where, rate: float, seconds: float) -> Sent:
    script, report = where.folder / "artillery.yml", where.folder / "artillery.json"
    script.write_text(
        f"config: {{target: '{where.url}', phases: [{{duration: {seconds:g}, arrivalRate: {rate:g}}}]}}\n"
        "scenarios: [{flow: [{post: {url: /endpoints/bench/invocations, body: '5,3.5,1.3,0.3',"
        " headers: {Content-Type: text/csv}}}]}]\n"
    )
    env = {"ARTILLERY_DISABLE_TELEMETRY": "true", "LOCAL_WORKER_COUNT": "1", "WORKERS": "1"}
    command = [str(_artillery()), "run", "--quiet", "--output", str(report), str(script)]
    ended = run(command, where.folder / "artillery.log", env, limit=seconds + 60)
    counters = json.loads(report.read_text())["aggregate"]["counters"] if report.exists() else {}
    if ended.code or any(name.startswith("errors.") for name in counters):
        raise BenchError(f"Artillery failed: {ended.output[-300:]}")
    return Sent(ended.cpu, counters["http.codes.200"])


def _artillery() -> Path:
    return HERE / ".peers" / "node_modules" / ".bin" / "artillery"


def no_artillery() -> str:
    """Installs it where that is possible."""
    if _artillery().exists():
        return ""
    if shutil.which("npm") is None:
        return "Node.js and npm are not installed"
    install = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(HERE / ".peers")]
    (HERE / ".peers").mkdir(exist_ok=True)
    done = subprocess.run([*install, f"artillery@{ARTILLERY}"], capture_output=True, text=True)  # nosec B603 # a command of ours, no shell
    return "" if done.returncode == 0 else "npm could not install it"


def wrk(where: Where, rate: float, seconds: float) -> Sent:
    """Sends as fast as it can: the rate is its own."""
    script = where.folder / "post.lua"
    script.write_text('wrk.method = "POST"\nwrk.body = "5,3.5,1.3,0.3"\nwrk.headers["Content-Type"] = "text/csv"\n')
    command = ["wrk", "-t", "1", "-c", str(WRK_CONNECTIONS), "-d", f"{seconds:g}s", "-s", str(script), where.url]
    ended = run(command, where.folder / "wrk.log", limit=seconds + 30)
    counts = [line.split()[0] for line in ended.output.splitlines() if " requests in " in line]
    if ended.code or not counts or "Non-2xx" in ended.output:
        raise BenchError(f"wrk failed: {ended.output[-300:]}")
    return Sent(ended.cpu, int(counts[0]), unsaid=WRK_CONNECTIONS)


def no_wrk() -> str:
    return "" if shutil.which("wrk") else "not installed (Debian, Ubuntu: apt-get install wrk)"


OURS = Peer("ours", "sm_locust InvokeEndpointUser", 5000, ours)
OURS_TLS = Peer("ours-tls", "sm_locust InvokeEndpointUser, TLS", 5000, ours)
BOTO3 = Peer("boto3", "Locust User + boto3", 500, locust("boto3_client", 5))
HTTP_USER = Peer("http-user", "Locust HttpUser + requests-aws4auth", 600, locust("http_user", 5))
FAST_SIGNED = Peer("fast-signed", "Locust FastHttpUser + botocore SigV4Auth", 2000, locust("fast_signed", 10))
FAST = Peer("fast", "Locust FastHttpUser, unsigned", 3000, locust("fast_unsigned", 10))
# Its timers keep a core busy at any rate (50 a second cost as much as 600): fair is the highest it holds with ease.
ARTILLERY_PEER = Peer("artillery", f"Artillery {ARTILLERY}, unsigned", 500, artillery, no_artillery, 2)
WRK = Peer("wrk", "wrk, one thread, unsigned: the floor", 0, wrk, no_wrk, 2)

PEERS = (OURS, OURS_TLS, BOTO3, HTTP_USER, FAST_SIGNED, FAST, ARTILLERY_PEER, WRK)


def versions() -> dict[str, str]:
    return {
        name: version(name)
        for name in ("sm-locust", "locust", "gevent", "geventhttpclient", "boto3", "requests-aws4auth")
    }
