"""Credentials that end, a clock that is off, and secrets wherever one may be: the runs of tests/runs, as rows."""

from __future__ import annotations

import re
from pathlib import Path

from tests.faults.scenario import Row, Scenario
from tests.oracles import sessions
from tests.runs import canary
from tests.runs.harness import STARTERS, accounted, config, endpoint, environment, locust, processes, summary

PART = "Credentials and secrets"
RATE = 40


def _load(folder: Path, url: str, seconds: float) -> list[str]:
    flat = {"name": "flat", "duration": seconds, "arrival_rate": RATE}
    return ["-f", STARTERS, "--sm-config", str(config(folder, url, flat, slo={"error_rate": "1%"})), "--headless"]


def _from_a_program(folder: Path, url: str, **session: float) -> dict[str, str]:
    env = environment(AWS_CONFIG_FILE=str(sessions.profile(folder, url, **session)))
    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        del env[key]
    return env


def rotation(folder: Path) -> Row:
    with endpoint(folder, workers=64) as local:
        env = _from_a_program(folder, local.url, lifetime=10.0)
        with locust(folder, *_load(folder, local.url, 15), env=env) as run:
            code = run.wait(60)
            found = accounted(summary(run.the_folder()))
    times = len(sessions.asked(folder))
    requests, late = found["requests"], found["lateness_ms"]["p99"]
    said = (
        f"exit {code}; {requests['ok']} ok, {requests['failed']} failed, {times} sessions, "
        f"1% of the requests left more than {late:.1f} ms late"
    )
    holds = requests["failed"] == 0 and times >= 3 and found["arrivals"]["sent"] == 15 * RATE and code == 0
    return Row(PART, "credentials of 10 s, renewed while a run of 15 s goes", said, holds)


def not_renewed(folder: Path) -> Row:
    with endpoint(folder, workers=64) as local:
        env = _from_a_program(folder, local.url, lifetime=5, good_for=4)
        with locust(folder, *_load(folder, local.url, 60), env=env) as run:
            code = run.wait(60)
            found = accounted(summary(run.the_folder()))
    (reason,) = [r["text"] for r in found["verdict"]["reasons"] if r["code"] == "credentials"]
    said = f"exit {code}; {found['requests']['by_kind']}, error rate {found['requests']['error_rate']}; {reason}"
    holds = (
        code == 3 and found["requests"]["error_rate"] == 0 and set(found["requests"]["by_kind"]) == {"expired_token"}
    )
    return Row(PART, "credentials that expire and cannot be renewed", said, holds)


def _clock(folder: Path, ahead: float, fault: str) -> Row:
    with (
        endpoint(folder, clock_ahead=ahead, workers=64) as local,
        locust(folder, *processes(2), *_load(folder, local.url, 6)) as run,
    ):
        code = run.wait(60)
        found = accounted(summary(run.the_folder()))
        corrections = run.output.count("from now on they are dated by AWS's")
    requests = found["requests"]
    texts = " ".join(r["text"] for r in found["verdict"]["reasons"] if r["code"] == "credentials")
    reasons = re.sub(r"\w+_[0-9a-f]{32}", "WORKER", texts)
    said = f"exit {code}; {requests['ok']} ok, {requests['by_kind']}; {reasons}"
    holds = (
        code == 0
        and corrections == 2
        and set(requests["by_kind"]) == {"invalid_signature"}
        and 2 <= requests["failed"] <= 6
        and "AWS's, which it then signed by" in reasons
    )
    return Row(PART, fault, said, holds)


def clock_behind(folder: Path) -> Row:
    return _clock(folder, 612, "two workers on a machine whose clock is 612 s behind AWS's")


def clock_ahead(folder: Path) -> Row:
    return _clock(folder, -612, "two workers on a machine whose clock is 612 s ahead of AWS's")


def secrets(folder: Path) -> Row:
    outputs = canary.play(folder)
    leaks = outputs.leaks()
    read = sum(map(len, outputs.said.values()))
    said = (
        f"{outputs.ok} requests were answered with them; {len(leaks)} of {len(canary.SECRETS)} found in "
        f"{len(outputs.said)} outputs ({read:,} bytes: logs at DEBUG, run folders, pages, metrics, "
        f"{len(outputs.said['messages between master and worker']):,} bytes of messages)"
        + "".join(f"; {x}" for x in leaks)
    )
    in_use = outputs.ok > 30 and outputs.tunnelled > 0 and all(outputs.said.values())
    return Row(PART, f"made-up secrets in use: {', '.join(canary.SECRETS)}", said, in_use and not leaks)


SCENARIOS: tuple[Scenario, ...] = (rotation, not_renewed, clock_behind, clock_ahead, secrets)
