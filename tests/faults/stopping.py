"""Every rule of `stop_when` tripped once, by real Locust and the local endpoint: when it began, when arrivals ended.

Both are read from the run folder. Most begin with a step of the load that the endpoint cannot take; a rule must end the
arrivals within its window and three seconds.
"""

from __future__ import annotations

import contextlib
import json
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sm_locust.config import RunConfig
from sm_locust.record.clock import unix
from tests.faults.scenario import Row, Scenario
from tests.runs.harness import (
    STARTERS,
    Endpoint,
    Locust,
    accounted,
    config,
    endpoint,
    is_complete,
    locust,
    summary,
    wait_for,
)

STEP = 3.0  # seconds of the run at which the load goes from 20 to 100 a second, where one instance takes 50
SLACK = 3.0  # seconds beyond its window within which a rule must have ended the arrivals
EARLY = 1.0  # second by which Locust, which sets users once a second, may play the step before its time

ONE_WORKER: dict[str, Any] = {"workers": 1, "service_time": 0.02, "backlog": 5000}

Fault = Callable[[Endpoint, Locust], contextlib.AbstractContextManager[None]]


@contextlib.contextmanager
def nothing(local: Endpoint, run: Locust) -> Iterator[None]:
    yield


@contextlib.contextmanager
def black_hole(local: Endpoint, run: Locust) -> Iterator[None]:
    """It takes requests and answers none, until the rule has tripped: CloudWatch is asked for afterwards."""
    with local.frozen():
        yield


@contextlib.contextmanager
def starved(local: Endpoint, run: Locust) -> Iterator[None]:
    """Locust gets a fifth of the time, as by a container's quota."""
    deadline = time.monotonic() + 20
    while "the run ends" not in run.output and time.monotonic() < deadline:
        run.signal(signal.SIGSTOP)
        time.sleep(0.2)
        run.signal(signal.SIGCONT)
        time.sleep(0.05)
    yield


@dataclass(frozen=True)
class Tripping:
    """rule   as `stop_when` has it
    what   how it is brought about, in words
    fault  what happens to a load that the endpoint takes; without it the load takes a step
    """

    rule: dict[str, Any]
    what: str
    local: dict[str, Any] = field(default_factory=lambda: ONE_WORKER)
    arrivals: dict[str, Any] = field(default_factory=dict)
    fault: Fault | None = None
    exit_code: int = 4
    processes: int = 1

    def play(self, folder: Path) -> Row:
        rule = RunConfig.from_dict({"stop_when": [self.rule]}).stop_when[0]
        phases = [{"name": "calm", "duration": STEP, "arrival_rate": 20}]
        phases += [{"name": "more", "duration": 60, "arrival_rate": 20 if self.fault else 100}]
        with endpoint(folder, **self.local) as local:
            path = config(folder, local.url, *phases, stop_when=[self.rule], arrivals=self.arrivals)
            arguments = ["-f", STARTERS, "--sm-config", str(path), "--headless", "--stop-timeout", "2"]
            if self.processes > 1:
                arguments += ["--processes", str(self.processes)]
            with locust(folder, *arguments) as run:
                began = STEP
                if self.fault is not None:
                    wait_for("the load", lambda: local.served() > 20 * STEP)
                    at = time.time()
                    with self.fault(local, run):
                        wait_for("a stop rule", lambda: "the run ends" in run.output, 40)
                    began = at - unix(_meta(run.the_folder())["started_at"])
                code = run.wait(90)
                return self._row(str(rule), rule.lasting, began, code, run.the_folder())

    def _row(self, rule: str, window: float, began: float, code: int, folder: Path) -> Row:
        meta, found = _meta(folder), accounted(summary(folder))
        stopped, ended = found["stopped"] or {}, float(meta["ended_s"])
        took = ended - began
        holds = [
            is_complete(folder),
            (meta["ended"], stopped.get("by"), stopped.get("rule")) == ("stopped by stop_when", "stop_when", rule),
            code == self.exit_code,
            window - EARLY <= took <= window + SLACK,
            rule in (folder / "summary.md").read_text().replace("\\", ""),
        ]
        value = "" if stopped.get("value") is None else f" with {stopped['value']:.3g}"
        said = (
            f"tripped at {stopped.get('at_s', float('nan')):.1f} s{value}; arrivals ended {took:.1f} s after it began "
            f"(window {window:g} s); exit {code}, {'valid' if found['verdict']['valid'] else 'not valid'}"
        )
        return Row("Stop rules", f"`{rule}`: {self.what}", said, all(holds))


def _meta(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return found


def _rule(metric: str, above: str | None, lasting: str = "4s") -> dict[str, Any]:
    return {"metric": metric, "for": lasting} | ({} if above is None else {"above": above})


TWICE = "twice the load that the endpoint takes; its queue grows"
CASES = (
    Tripping(
        _rule("error_rate", "5%"),
        "twice the load that the endpoint takes; it has no queue",
        {**ONE_WORKER, "backlog": 0},
    ),
    Tripping(_rule("latency_p99", "200ms"), TWICE),
    Tripping(_rule("latency_p50", "200ms"), f"{TWICE}; two workers", processes=2),
    Tripping(_rule("service_time_mean", "200ms"), TWICE),
    Tripping(_rule("throughput_shortfall", "20%"), TWICE),
    Tripping(_rule("drop_rate", "5%"), f"{TWICE}; 20 may be in flight", arrivals={"max_in_flight": 20}),
    Tripping(_rule("error_rate", "40%"), f"{TWICE}; 20 may be in flight", arrivals={"max_in_flight": 20}),
    Tripping(_rule("model_latency_mean", "200ms"), f"{TWICE}; CloudWatch tells at once"),
    Tripping(_rule("CPUUtilization", "80%"), f"{TWICE}; CloudWatch tells at once"),
    Tripping(_rule("latency_p99", "300ms"), "a black hole: nothing answers, and timeouts are 70 s", fault=black_hole),
    Tripping(_rule("not_valid", None, "5s"), "Locust gets a fifth of the CPU time", fault=starved, exit_code=3),
)

SCENARIOS: tuple[Scenario, ...] = tuple(case.play for case in CASES)
