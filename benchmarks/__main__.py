"""python -m benchmarks: every measurement, side by side in one go, as a table and as JSON."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from benchmarks import experiments, report
from benchmarks.machine import BenchError
from benchmarks.peers import PEERS

EXPERIMENTS = ("cpu", "real-rate", "lateness", "ramp", "stall", "memory", "master")
SECONDS = {"real-rate": 40, "lateness": 48, "ramp": 130, "stall": 45, "memory": 9, "master": 35}


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@click.command()
@click.option("--rounds", default=5, show_default=True, help="Of the CPU of a request; the others take three.")
@click.option("--only", multiple=True, type=click.Choice(EXPERIMENTS), help="These measurements; all by default.")
@click.option("--peer", "keys", multiple=True, type=click.Choice([p.key for p in PEERS]), help="These generators.")
@click.option("--short", default=experiments.SHORT, show_default=True, help="Seconds of the shorter run.")
@click.option("--long", default=experiments.LONG, show_default=True, help="Seconds of the longer run.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=Path("benchmarks/results"))
def main(rounds: int, only: tuple[str, ...], keys: tuple[str, ...], short: float, long: float, out: Path) -> None:
    """Measure this generator and others, and write OUT/RESULTS.md and OUT/results.json."""
    chosen = tuple(peer for peer in PEERS if not keys or peer.key in keys)
    wanted = only or EXPERIMENTS
    fewer = min(3, rounds)
    estimate = sum(SECONDS.get(name, 0) * (1 if name == "ramp" else fewer) for name in wanted)
    if "cpu" in wanted:
        estimate += round(sum(min(rounds, peer.rounds) for peer in chosen) * (short + long + 7))
    _say(f"About {estimate / 60:.0f} minutes. The machine should do nothing else.")
    experiments.open_files()
    results = experiments.Results()

    def keep() -> str:
        return report.write(results, out, short, long)

    try:
        for name, measure in {
            "real-rate": experiments.real_rate,
            "lateness": experiments.lateness,
            "stall": experiments.stall,
            "memory": experiments.memory,
            "master": experiments.master,
            "ramp": experiments.ramp,
        }.items():
            if name in wanted:
                measure(results, 1 if name == "ramp" else fewer, _say)
                keep()
        if "cpu" in wanted:
            experiments.cpu(results, rounds, chosen, _say, short, long, keep)
    except BenchError as e:
        sys.exit(f"benchmarks: {e}; what was measured before is in {out}")
    finally:
        table = keep()
    print(table)


if __name__ == "__main__":
    main()
