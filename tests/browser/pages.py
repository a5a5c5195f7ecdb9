"""The pages that the tests look at and README shows, of run folders in virtual time: the same content each time.

The reference experiment for an ordinary reader, and the same again in which every text from outside is an attack.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

from sm_locust.analysis.summary import Summary
from sm_locust.analysis.whatif import Asked, WhatIf
from sm_locust.record.billing import Billing, Item
from sm_locust.record.observation import ScalingEvent
from sm_locust.record.recorder import Recorder
from sm_locust.record.run import Run
from sm_locust.report import compare, folder, whatif
from sm_locust.schedule import Phase
from tests.analysis.folders import SCALED, borrowed, outcome
from tests.analysis.virtual import virtual_run

CONFIG: dict[str, Any] = {
    "target": {"endpoint": "decision-trees-sample", "region": "us-east-1", "url": "http://127.0.0.1:8500"},
    "slo": {"latency_mean": "15ms", "error_rate": 0.05},
    "prices": {"instance_hour": 0.28, "as_of": "2026-11-24"},
}
SCALING: dict[str, Any] = {
    "min_instances": 1,
    "max_instances": 4,
    "metric": "SageMakerVariantInvocationsPerInstance",
    "target": 25_000,
}
BILLED = Item(
    *("endpoint decision-trees-sample, 1 × ml.m4.xlarge", 0.28, "config 2026-11-24"),
    "aws sagemaker delete-endpoint --region us-east-1 --endpoint-name decision-trees-sample",
)
RESTORED = ["Deleted the scaling policy.", "Deregistered the scalable target.", "Set back to 1 instance."]

REPORT, AFTER_REPORT, COMPARE, SEVERAL, WHATIF = (
    "report",
    "report of AFTER",
    "compare",
    "three configurations",
    "whatif",
)
NAMES = [REPORT, AFTER_REPORT, COMPARE, SEVERAL, WHATIF]


class Pages(NamedTuple):
    """The pages by name, and what else was written beside them."""

    files: dict[str, Path]
    before: Path
    after: Path
    compared: Path
    configurations: Path

    def url(self, name: str) -> str:
        return self.files[name].as_uri()

    def json(self, name: str) -> dict[str, Any]:
        """What the numbers of a page are held against."""
        beside = {
            REPORT: self.before / "summary.json",
            AFTER_REPORT: self.after / "summary.json",
            COMPARE: self.compared / "compare.json",
            SEVERAL: self.configurations / "compare.json",
            WHATIF: self.files[WHATIF].with_suffix(".json"),
        }
        found: dict[str, Any] = json.loads(beside[name].read_text(encoding="utf-8"))
        return found


def reference_pages(parent: Path) -> Pages:
    def run(name: str, *, type: str = "ml.m4.xlarge", price: float = 0.28, **settings: Any) -> Run:
        prices = {**CONFIG["prices"], "instance_hour": price}
        found = virtual_run(parent, config={**CONFIG, "scaling": SCALING, "prices": prices}, **settings)
        found.finish(
            endpoint={"instance_type": type, "instances": 1},
            billing=Billing((BILLED,)).as_dict(),
            ended="schedule complete",
        )
        return moved(found, parent / name, name)

    before, after = run("20261124T090000Z-before"), run("20261124T093000Z-after", scaled=True)
    others = {"ml.c5.large": (0.102, 0.0124), "ml.c5.xlarge": (0.204, 0.0061)}  # an hour of it, seconds of a request
    configurations = [
        run(f"20261124T1{n}0000Z-{n}", type=type, price=price, service_time=seconds)
        for n, (type, (price, seconds)) in enumerate(others.items())
    ]
    borrowed(parent, restored=RESTORED, not_restored="", restored_at="2026-11-24T10:00:00Z")
    return written(parent, before, after, [before, *configurations])


def evil(where: str) -> str:
    """What somebody hostile would name a thing: each way in which a text can end up as something else."""
    return (
        f"{where}\"'><script>window.__pwned='{where}';alert(1)</script><img src=x onerror=window.__pwned='{where}'>"
        "</script></style></title></textarea><b>fat</b><a href=javascript:alert(2)>go</a>&lt;i&gt;%{y}{{7*7}}${7*7}"
        "<svg onload=alert(3)>`|*_\x00\x07\x1b[31m\x85\u2028\u202egnp.exe\u2066"
    )


def ascii_only(text: str) -> str:
    """The part of it that a configuration takes for an HTTP header."""
    return "".join(c for c in text if " " <= c <= "~")


def mark(where: str) -> str:
    """The part of it by which it is found on a page."""
    return f"window.__pwned='{where}'"


LONG = "W" * 400
FOLDER = "<img src=x onerror=window.__pwned='folder'>"


def hostile_pages(parent: Path) -> Pages:
    """No text of these is ours. Each is there as an attack, and some of them as one word too long for any screen."""
    inside = parent / FOLDER
    inside.mkdir()
    phases = (Phase(evil("phase"), 3600, 300, ramp_to=600), Phase(f"2 {LONG}", 1200, 600))
    config = {**CONFIG, "scaling": SCALING, "request": {"custom_attributes": ascii_only(evil("attributes"))}}

    def run(n: int, **settings: Any) -> Run:
        found = virtual_run(inside, phases, config=config, **settings)
        attack(found, n)
        return moved(found, inside / f"{n}{FOLDER}", f"{n} {evil('run id')} {LONG}")

    before, after = run(1), run(2, scaled=True)
    borrowed(inside, restored=[evil("restored")], not_restored=evil("not"))
    return written(inside, before, after, [before, after, run(3)])


def attack(run: Run, n: int) -> None:
    """Every text of a run that comes from outside."""
    recorder = Recorder()
    for at in range(1, 30):
        recorder.arrived(float(at))
        recorder.record(outcome(float(at), evil("kind"), name=evil("request")))
    recorder.dropped(30.0, evil("reason"))
    run.append(evil("worker"), recorder.take())
    run.append(evil("worker"), failures=[failure("message", evil("message")), failure("long", LONG * 4)])
    run.append_scaling([ScalingEvent(600.0 + n, 1, 1, evil("event")), ScalingEvent(700.0, 1, 1, LONG)])
    policy = {**SCALED["policies"][0], "PolicyName": evil("policy")}
    run.finish(
        ended=f"{evil('ended')} {LONG}",
        versions={evil("version"): LONG * n},
        schedule={**run.meta["schedule"], "source": evil("source") + str(n)},
        endpoint={"instance_type": evil("type"), "instances": 1},
        cloudwatch={**run.meta["cloudwatch"], "missing": [evil("missing"), LONG]},
        scaling={**run.meta["scaling"], **({"policies": [policy]} if run.meta["scaling"]["policies"] else {})},
        billing=Billing(
            (Item(evil("bills"), 0.28, evil("origin"), f"{evil('command')} {LONG}"), Item("x", fault=evil("fault")))
        ).as_dict(),
    )


def failure(name: str, message: str) -> dict[str, Any]:
    return {"at": 1.0, "kind": evil("kind"), "name": name, "status": 500, "request_id": evil("id"), "message": message}


def moved(run: Run, place: Path, run_id: str) -> Run:
    """A run under a name that does not change from one making to the next."""
    run.finish(run_id=run_id)
    shutil.move(run.folder, place)
    return Run.open(place)


def written(parent: Path, before: Run, after: Run, configurations: list[Run]) -> Pages:
    """All the pages of some runs, as the commands write them."""
    for run in (before, after):
        folder.write(run)
    compare.write(before, after, parent)
    compare.write_several(configurations, parent / "configurations")
    asked = WhatIf.of(Summary.of(before), Asked(target=20_000, min_instances=1, max_instances=4))
    page = parent / "whatif.html"
    page.write_text(whatif.render(asked), encoding="utf-8")
    page.with_suffix(".json").write_text(json.dumps(asked.as_dict()), encoding="utf-8")
    files = {
        REPORT: before.folder / "report.html",
        AFTER_REPORT: after.folder / "report.html",
        COMPARE: parent / "compare.html",
        SEVERAL: parent / "configurations" / "compare.html",
        WHATIF: page,
    }
    return Pages(files, before.folder, after.folder, parent, parent / "configurations")
