"""What was measured, as a table for people and as JSON for programs."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.experiments import Results
from benchmarks.peers import PEERS, versions


@dataclass(frozen=True)
class Figure:
    """One line of the table of what must be reached. `at_least`: more is better; else less is."""

    key: str
    title: str
    must: float | None
    aim: float
    at_least: bool
    form: str = "{:.1f}"

    def verdict(self, values: list[float]) -> str:
        middle = median(values)

        def reached(limit: float) -> bool:
            return middle >= limit if self.at_least else middle <= limit

        return "aim" if reached(self.aim) else "must" if self.must is None or reached(self.must) else "**missed**"


FIGURES = (
    Figure("ratio:boto3", "CPU per signed invocation: boto3 in Locust ÷ ours", 10, 20, True),
    Figure("ratio:http-user", "HttpUser + requests-aws4auth ÷ ours", 8, 15, True),
    Figure("ratio:fast-signed", "FastHttpUser + botocore signing ÷ ours", 3, 6, True),
    Figure("ratio:fast", "FastHttpUser unsigned ÷ ours", 1.8, 3, True),
    Figure("ratio:artillery", "Artillery ÷ ours", None, 40, True),
    Figure("cpu800", "CPU of a core at 800 a second, 100 ms target", 0.20, 0.12, False, "{:.1%}"),
    Figure("lateness:800", "lateness p99 at 800 a second, ms", 3, 1, False, "{:.2f}"),
    Figure("lateness:5000", "lateness p99 at 5,000 a second, ms", 10, 3, False, "{:.2f}"),
    Figure("ramp", "delivered ÷ planned, reference ramp in 2 min", 0.997, 0.9995, True, "{:.4%}"),
    Figure("stall", "p50 … p99.9 in a 5 s stall, off the server's own times", 0.03, 0.01, False, "{:.2%}"),
    Figure("memory", "memory growth, 7,200 s × 3 names, 1,000,000 requests, MB", 20, 10, False),
    Figure("tls", "with TLS, share of the plain-HTTP rate", 0.6, 0.8, True, "{:.2f}"),
    Figure("master", "master with 100 workers, CPU of a core", 0.5, 0.25, False, "{:.1%}"),
)


def write(results: Results, out: Path, short: float, long: float) -> str:
    """Writes RESULTS.md and results.json; returns the table."""
    values = {**results.values, **_ratios(results)}
    text = "\n".join(
        [
            "# Results",
            "",
            f"{_machine()}. CPU of a request is (CPU of a {long:g} s run − CPU of a {short:g} s run) ÷ (requests of "
            "the one − of the other), each ratio within one round. How: README.md.",
            "",
            *_figures(values),
            *_peers(values, results),
            *_stalls(results),
        ]
    )
    out.mkdir(parents=True, exist_ok=True)
    (out / "RESULTS.md").write_text(text + "\n")
    document = {
        "machine": _machine(),
        "seconds": [short, long],
        "values": values,
        "stalls_ms": results.stalls,
        "skipped": results.skipped,
    }
    (out / "results.json").write_text(json.dumps(document, indent=1) + "\n")
    return text


def _ratios(results: Results) -> dict[str, list[float]]:
    """Within each round, so that what the machine did to one it did to the other."""
    ours = results.values.get("cpu:ours", [])
    found = {
        f"ratio:{peer.key}": [
            theirs / our for theirs, our in zip(results.values[f"cpu:{peer.key}"], ours, strict=False)
        ]
        for peer in PEERS
        if peer.key != "ours" and f"cpu:{peer.key}" in results.values and ours
    }
    if "ratio:ours-tls" in found:
        found["tls"] = [1 / ratio for ratio in found.pop("ratio:ours-tls")]
    return found


def _figures(values: dict[str, list[float]]) -> list[str]:
    rows = ["| figure | must | aim | minimum | median | maximum | of | reached |", "|---|---|---|---|---|---|---|---|"]
    for figure in FIGURES:
        measured = values.get(figure.key)
        if measured:
            form = figure.form.format
            must = "–" if figure.must is None else form(figure.must)
            spread = f"{form(min(measured))} | **{form(median(measured))}** | {form(max(measured))} | {len(measured)}"
            rows.append(f"| {figure.title} | {must} | {form(figure.aim)} | {spread} | {figure.verdict(measured)} |")
    return [*rows, ""]


def _peers(values: dict[str, list[float]], results: Results) -> list[str]:
    rows = ["| generator | rate, 1/s | CPU of a request, µs: minimum | median | maximum |", "|---|---|---|---|---|"]
    for peer in PEERS:
        measured = values.get(f"cpu:{peer.key}")
        rate = f"{peer.rate:,.0f}" if peer.rate else "its own"
        if measured:
            rows.append(
                f"| {peer.title} | {rate} | {min(measured):.1f} | **{median(measured):.1f}** | {max(measured):.1f} |"
            )
        elif peer.key in results.skipped:
            rows.append(f"| {peer.title} | {rate} | skipped: {results.skipped[peer.key]} | | |")
    return [*rows, ""] if len(rows) > 2 else []


def _stalls(results: Results) -> list[str]:
    if not results.stalls:
        return []
    titles = {"server": "the server's own times", "ours": "sm_locust"} | {
        peer.key: peer.title for peer in PEERS if peer.key != "ours"
    }
    rows = [
        "A stall of 5 s in 20 s of 400 requests a second, milliseconds (first round; Locust's own keep two digits):",
        "",
        "| who says it | p50 | p90 | p95 | p99 | p99.9 |",
        "|---|---|---|---|---|---|",
    ]
    for key, rounds in results.stalls.items():
        rows.append(f"| {titles[key]} | " + " | ".join(f"{value:,.1f}" for value in rounds[0].values()) + " |")
    return [*rows, ""]


def _machine() -> str:
    programs = [f"{name} {found}" for name, found in versions().items()]
    for name, flag in (("nginx", "-v"), ("wrk", "-v"), ("node", "--version")):
        if shutil.which(name):
            done = subprocess.run([name, flag], capture_output=True, text=True)  # nosec B603 # a command of ours, no shell
            words = (done.stdout + done.stderr).split("\n")[0].replace("nginx version: nginx/", "").split()
            programs.append(f"{name} {words[1] if words[0] == 'wrk' else words[0]}")
    return f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, " + ", ".join(programs)
