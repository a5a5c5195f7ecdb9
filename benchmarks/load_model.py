"""What docs/load-model.md shows, measured in one go: users who wait for answers and arrivals that do not, in a stall;
and what the spacing of arrivals does to a queue.

    .venv/bin/python -m benchmarks.load_model

takes three minutes, writes benchmarks/load_model.json, and prints the tables that stand in the page. `make pictures`
draws its pictures from that file. What came to the target is the target's own word: it notes each request.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks import peers
from benchmarks.machine import BenchError, run
from benchmarks.peers import CREDENTIALS, LOCUST, ROOT, Where
from benchmarks.target import diary, read_arrivals
from sm_locust.analysis.minutes import Minutes
from sm_locust.record.run import Run
from sm_locust.report.curves import Chart, Curve
from sm_locust.report.page import chart_place, chart_title, document
from tests.oracles import queues
from tests.oracles.latency_server import latency_server

MEASURED = Path(__file__).with_suffix(".json")
QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p999": 0.999, "max": 1.0}

# The stall: a target that takes 50 ms, but for three seconds in which it answers nobody.
RATE, SECONDS, DELAY = 200, 20, 0.05  # SECONDS are looked at; a run is one longer, so that they are whole ones
STALL_AFTER, STALL_FOR = 8.0, 3.0
GRID = [round(0.5 * i, 1) for i in range(1, 200)]  # percent of the requests: 0.5 to 99.5

# The queue: one server that takes 4 ms for each request, at 80% of what it can do.
SERVICE, QUEUE_RATE, QUEUE_SECONDS = 0.004, 200, 30


@dataclass(frozen=True)
class Stalled:
    """One generator in the stall.

    came        requests that came to the target in each second from its first one
    in_flight   of them not answered, at each tenth of a second
    reported    ms, what the generator says of latency
    curve       the same at each percent of GRID
    """

    title: str
    came: list[int]
    in_flight: list[int]
    reported: dict[str, float]
    curve: list[float]


@dataclass(frozen=True)
class Queued:
    """One spacing before the queue: ms, measured over the wire, and what the queue alone makes of it."""

    title: str
    sent: int
    measured: dict[str, float]
    oracle: dict[str, float]


def stalls() -> Iterator[tuple[str, Stalled]]:
    for key, title, per_user in (
        ("twenty", f"{RATE // 10} users, constant_throughput(10)", 10),
        ("each", f"{RATE} users, constant_pacing(1)", 1),
        ("arrivals", f"sm_locust, -u {RATE}", 0),
    ):
        with TemporaryDirectory(prefix="sm-load-model-") as name:
            folder = Path(name)
            with diary(folder / "diary", delay=DELAY, stall_after=STALL_AFTER, stall_for=STALL_FOR) as url:
                said = _users(Where(url, folder), per_user) if per_user else _arrivals(Where(url, folder))
                visits = read_arrivals(url)
        yield key, Stalled(title, _seconds(visits), _in_flight(visits), *said)


def _users(where: Where, per_user: int) -> tuple[dict[str, float], list[float]]:
    """Locust's own FastHttpUser, and what Locust says of response times."""
    peers.locust("fast_unsigned", per_user)(where, RATE, SECONDS + 1)
    rows = json.loads((where.folder / "stats.json").read_text())
    times: list[float] = []
    for row in rows:
        times += [float(bucket) for bucket, n in row["response_times"].items() for _ in range(n)]
    most = max(row["max_response_time"] for row in rows)
    times.sort()
    return {**_quantiles(times), "max": most}, [times[_rank(percent / 100, len(times))] for percent in GRID]


def _arrivals(where: Where) -> tuple[dict[str, float], list[float]]:
    sent = peers.ours(where, RATE, SECONDS + 1)
    latency = Minutes.of(Run.open(where.folder / "runs" / sent.summary["run_id"])).whole.requests.latency
    curve = [(latency.quantile(percent / 100) or 0.0) * 1e3 for percent in GRID]
    return {key: sent.summary["latency_ms"][key] for key in QUANTILES}, curve


def _seconds(visits: list[tuple[float, float]]) -> list[int]:
    counts = [0] * SECONDS
    for came, _ in visits:
        if came < SECONDS:
            counts[int(came)] += 1
    return counts


def _in_flight(visits: list[tuple[float, float]]) -> list[int]:
    return [sum(came <= at < answered for came, answered in visits) for at in (n / 10 for n in range(SECONDS * 10))]


def spacings() -> Iterator[tuple[str, Queued]]:
    rng = np.random.default_rng(7)
    for key, title, spacing in (
        ("even", "even", "{spacing: even}"),
        ("poisson", "Poisson", "{spacing: poisson, seed: 7}"),
    ):
        with TemporaryDirectory(prefix="sm-load-model-") as name, latency_server("md1", service=SERVICE) as url:
            summary = _container(Path(name), url, spacing)
        million = (queues.poisson if key == "poisson" else _even)(QUEUE_RATE, 0.0, 1e6 / QUEUE_RATE, rng)
        latencies = np.sort(queues.MD1(SERVICE).serve(million)[0]) * 1e3
        yield (
            key,
            Queued(
                title,
                summary["arrivals"]["sent"],
                {key: summary["latency_ms"][key] for key in ("mean", *QUANTILES)},
                {"mean": float(latencies.mean()), **_quantiles([float(value) for value in latencies])},
            ),
        )


def _even(rate: float, start: float, seconds: float, rng: np.random.Generator) -> queues.Seconds:
    return queues.even(rate, start, seconds)


def _container(folder: Path, url: str, spacing: str) -> dict[str, Any]:
    config = folder / "queue.yaml"
    config.write_text(
        f"target: {{container: '{url}'}}\nrequest: {{content_type: text/csv, body: '5,3.5'}}\narrivals: {spacing}\n"
    )
    files = str(ROOT / "locustfiles" / "container.py")
    command = [*LOCUST, "-f", files, "--sm-config", str(config), "--sm-run-dir", str(folder / "runs")]
    command += ["-u", str(QUEUE_RATE), "-r", str(QUEUE_RATE), "-t", f"{QUEUE_SECONDS}s"]
    ended = run(command, folder / "queue.log", CREDENTIALS, limit=QUEUE_SECONDS + 60)
    if ended.code:
        raise BenchError(f"the run against the queue ended with {ended.code}: {ended.output[-300:]}")
    (found,) = (folder / "runs").glob("*/summary.json")
    summary: dict[str, Any] = json.loads(found.read_text())
    return summary


def _rank(q: float, count: int) -> int:
    return max(0, math.ceil(q * count) - 1)


def _quantiles(ordered: list[float]) -> dict[str, float]:
    return {key: ordered[_rank(q, len(ordered))] for key, q in QUANTILES.items()}


def tables(measured: dict[str, Any]) -> list[list[str]]:
    """The tables of docs/load-model.md, as they stand there: the stall, then the queue."""
    during = range(math.ceil(STALL_AFTER), math.floor(STALL_AFTER + STALL_FOR))
    stall = [
        "| load | sent | in the stall | in flight | p50 | p90 | p95 | p99 | max |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for found in measured["stalls"].values():
        sent, stalled = sum(found["came"]), sum(found["came"][second] for second in during)
        said = " | ".join(_ms(found["reported"][key]) for key in ("p50", "p90", "p95", "p99", "max"))
        stall.append(f"| {found['title']} | {sent:,} | {stalled:,} | {max(found['in_flight']):,} | {said} |")
    queue = ["| arrivals | | mean | p50 | p90 | p99 | p99.9 |", "|---|---|---|---|---|---|---|"]
    for found in measured["spacings"].values():
        for what, key in (("measured", "measured"), ("the queue alone, computed", "oracle")):
            said = " | ".join(_ms(found[key][name]) for name in ("mean", "p50", "p90", "p99", "p999"))
            queue.append(f"| {found['title']} | {what} | {said} |")
    return [stall, queue]


def _ms(value: float) -> str:
    return f"{value:,.0f} ms" if value >= 100 else f"{value:.3g} ms"


def page(measured: dict[str, Any]) -> str:
    """The stall in pictures: what came, what was in flight, what is said of latency."""
    found, stall = measured["stalls"], [("no answers", STALL_AFTER, STALL_AFTER + STALL_FOR)]
    roles = {"arrivals": "run-0", "each": "run-1", "twenty": "run-2"}
    seconds, tenths = [n + 0.5 for n in range(SECONDS)], [n / 10 for n in range(SECONDS * 10)]

    def curves(field: str, xs: list[float]) -> list[Curve]:
        return [Curve(found[key]["title"], role, xs, found[key][field]) for key, role in roles.items()]

    planned = Curve(f"planned: {RATE}", "planned", seconds, [float(RATE)] * SECONDS)

    def over_time(title: str, subtitle: str, unit: str, found: list[Curve]) -> Chart:
        return Chart(title, subtitle, unit, "lines", False, found, [], stall, float(SECONDS), 1.0, along="seconds")

    came, flying, said = (curves(*of) for of in (("came", seconds), ("in_flight", tenths), ("curve", GRID)))
    shares = "this share of the requests took as long or less; logarithmic"
    charts = [
        over_time("Requests that came", "to a target that answers nobody for 3 s", "a second", [planned, *came]),
        over_time("In flight", "came and not answered, by the target's own notes", "requests", flying),
        Chart(
            title="Latency that is reported",
            subtitle=shares,
            unit="ms",
            kind="lines",
            log=True,
            curves=said,
            limits=[],
            phases=[],
            until=100.0,
            width=1.0,
            along="percent of the requests",
        ),
    ]
    body = [f"<section>{chart_title(chart)}{chart_place(i, chart)}</section>" for i, chart in enumerate(charts)]
    return document("Users and arrivals in a stall", body, charts)


def main() -> None:
    measured = {
        "day": dt.datetime.now(dt.UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, Locust {version('locust')}",
        "stalls": {key: asdict(found) for key, found in stalls()},
        "spacings": {key: asdict(found) for key, found in spacings()},
    }
    MEASURED.write_text(json.dumps(measured, separators=(",", ":")) + "\n")
    for table in tables(measured):
        print("\n".join(table), end="\n\n")


if __name__ == "__main__":
    main()
