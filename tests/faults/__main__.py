"""python -m tests.faults: injects every fault into real runs and writes what they said to docs/faults.md.

With names of modules (`python -m tests.faults endpoint`) only those are run, and nothing is written. Ends with 1 if a
row does not hold, or if a scenario's own machinery failed.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

# Locust patches the process before boto3, which some scenarios use, loads ssl.
import locust  # noqa: F401

from tests.faults.scenario import Row, Scenario

HERE = Path(__file__).parent
DOCUMENT = HERE.parents[1] / "docs" / "faults.md"
MODULES = ("endpoint", "stopping", "durability", "secrets")
HEAD = """\
# What happens when something goes wrong

Each line was injected into a real run, and says what the run's own result made of it. `make faults` does it again and
writes this file; it fails if a line no longer holds.
"""


def _found(names: Sequence[str]) -> list[Scenario]:
    return [
        scenario
        for name in names
        if (HERE / f"{name}.py").exists()
        for scenario in importlib.import_module(f"tests.faults.{name}").SCENARIOS
    ]


def _played(scenarios: Sequence[Scenario]) -> tuple[list[Row], bool]:
    """The rows in order, and whether each scenario made one that holds."""
    rows, all_hold = [], True
    with tempfile.TemporaryDirectory(prefix="sm-locust-faults-") as parent:
        for number, scenario in enumerate(scenarios):
            folder = Path(parent, str(number))
            folder.mkdir()
            began = time.monotonic()
            try:
                row = scenario(folder)
            except Exception:
                traceback.print_exc()
                all_hold = False
                continue
            rows.append(row)
            all_hold = all_hold and row.holds
            verdict = "holds" if row.holds else "DOES NOT HOLD"
            print(f"{verdict} ({time.monotonic() - began:.1f} s)  {row.part}: {row.fault}: {row.said}", flush=True)
    return rows, all_hold


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _document(rows: Sequence[Row]) -> str:
    lines = [HEAD]
    for part, members in groupby(rows, lambda row: row.part):
        lines += [f"## {part}", "", "| injected | the result said |", "| --- | --- |"]
        for row in members:
            broken = "" if row.holds else "**does not hold:** "
            lines.append(f"| {_cell(row.fault)} | {broken}{_cell(row.said)} |")
        lines.append("")
    return "\n".join(lines)


def main(names: Sequence[str]) -> int:
    unknown = set(names) - set(MODULES)
    if unknown:
        print(f"{', '.join(sorted(unknown))}: accepted are {', '.join(MODULES)}", file=sys.stderr)
        return 2
    rows, all_hold = _played(_found(names or MODULES))
    if not names:
        DOCUMENT.parent.mkdir(exist_ok=True)
        DOCUMENT.write_text(_document(rows), encoding="utf-8")
    return 0 if all_hold else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
