"""Run folders for what the documentation shows: the demo's load in virtual time, the same each time.

`runs/demo/before` and `runs/demo/after` are what `sm-locust demo` leaves, but for the clock, and so are the
tutorial's `runs/before` and `runs/after`; `runs/c5.large` and `runs/c5.xlarge` are what a shorter load makes of
slower and of faster instances.
"""

from __future__ import annotations

import functools
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from sm_locust.record.billing import Billing
from sm_locust.report import folder
from sm_locust.schedule import Phase
from tests.analysis.virtual import virtual_run
from tests.browser.pages import BILLED, CONFIG, SCALING, moved

SHORTER = (Phase("warm up", 2400, 200, ramp_to=600), Phase("max load", 900, 600, ramp_to=700))

RUNS: dict[str, dict[str, Any]] = {
    "demo/before": {},
    "demo/after": {"scaled": True},
    "c5.large": {"type": "ml.c5.large", "price": 0.102, "service_time": 0.0124, "phases": SHORTER},
    "c5.xlarge": {"type": "ml.c5.xlarge", "price": 0.204, "service_time": 0.0061, "phases": SHORTER},
}
NAMED = {"before": "demo/before", "after": "demo/after"}  # what the tutorial has its reader call his own


def put_runs_named(text: str, parent: Path) -> None:
    """Into `parent`/runs, each run that a text names."""
    for name in (*RUNS, *NAMED):
        if re.search(rf"\bruns/{name}\b", text) and not (parent / "runs" / name).exists():
            shutil.copytree(_made(NAMED.get(name, name)), parent / "runs" / name)


@functools.cache
def _place() -> tempfile.TemporaryDirectory[str]:
    """For all of them, until the process ends."""
    return tempfile.TemporaryDirectory(prefix="sm-locust-documentation-", ignore_cleanup_errors=True)


@functools.cache
def _made(name: str) -> Path:
    settings = {"type": "ml.m4.xlarge", "price": 0.28, **RUNS[name]}
    kind, price = settings.pop("type"), settings.pop("price")
    parent = Path(_place().name) / name
    parent.mkdir(parents=True)
    config = {**CONFIG, "scaling": SCALING, "prices": {**CONFIG["prices"], "instance_hour": price}}
    run = virtual_run(parent, config=config, **settings)
    run.finish(
        endpoint={"instance_type": kind, "instances": 1},
        billing=Billing((BILLED,)).as_dict(),
        ended="schedule complete",
    )
    whole = moved(run, parent / "run", f"20261124T0{list(RUNS).index(name)}0000Z-0a1b2c")
    if name.startswith("demo/"):
        folder.write(whole)
    return whole.folder
