"""Credentials that end while a run goes: renewed beside the load, or the end of the run and never the endpoint's fault.

The scenarios are mostly waiting, so they run beside each other.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.oracles import sessions
from tests.oracles.answers import AnswerServer
from tests.runs.harness import (
    accounted,
    config,
    environment,
    files,
    free_port,
    is_complete,
    locust,
    summary,
    wait_for,
)

INVOKE, FROM_CONFIG = "locustfiles/invoke_endpoint.py", "shapes/from_config.py"
LIFETIME = 20.0
SLO = {"error_rate": "1%"}


class Played:
    """A run that is over, and what its processes printed."""

    def __init__(self, code: int, folder: Path, output: str, places: Path) -> None:
        self.code, self.folder, self.output, self.places = code, folder, output, places
        self.meta: dict[str, Any] = json.loads((folder / "run.json").read_text())
        self.summary = accounted(summary(folder))
        self.reasons = {r["code"]: r["text"] for r in self.summary["verdict"]["reasons"] if r["invalidates"]}
        assert is_complete(folder)
        said = output + "".join(path.read_text(errors="replace") for path in folder.iterdir())
        assert sessions.SECRET_KEY not in said
        assert "until-" not in said
        assert "Traceback" not in output


def alone(folder: Path, url: str, duration: float, **session: float) -> Played:
    path = config(folder, url, {"name": "flat", "duration": duration, "arrival_rate": 40}, slo=SLO)
    env = environment(AWS_CONFIG_FILE=str(sessions.process(folder, **session)))
    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        del env[key]
    with locust(folder, "-f", files(INVOKE, FROM_CONFIG), "--sm-config", str(path), "--headless", env=env) as run:
        return Played(run.wait(90), run.the_folder(), run.output, folder)


def one_bad_worker(folder: Path, url: str) -> Played:
    """Two workers with variables of their own, of which one's session ends; its end is told, and cannot be moved."""
    path = config(folder, url, {"name": "flat", "duration": 60, "arrival_rate": 40}, slo=SLO)
    places = [folder / name for name in ("master", "good", "bad")]
    for place in places:
        place.mkdir()
    port, start = str(free_port()), files(INVOKE, FROM_CONFIG)
    options = ["--master", "--master-bind-port", port, "--expect-workers", "2", "--headless", "--sm-config", str(path)]
    worker = ["-f", start, "--worker", "--master-port", port]
    until = time.time() + 14
    good = environment(AWS_SESSION_TOKEN=sessions.FOR_EVER)
    bad = environment(AWS_SESSION_TOKEN=sessions.token(until), AWS_CREDENTIAL_EXPIRATION=sessions.iso(until))
    with (
        locust(places[0], "-f", start, *options, env=good) as master,
        locust(places[1], *worker, env=good) as first,
        locust(places[2], *worker, env=bad) as second,
    ):
        code = master.wait(90)
        wait_for("the workers' end", lambda: not first.processes() and not second.processes())
        return Played(code, master.the_folder(), master.output + first.output + second.output, folder)


@pytest.fixture(scope="module")
def served() -> Iterator[AnswerServer]:
    with sessions.server() as server:
        yield server


@pytest.fixture(scope="module")
def played(served: AnswerServer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Played]:
    folder = {name: tmp_path_factory.mktemp(name) for name in ("renewed", "failing", "worker")}
    with ThreadPoolExecutor(3) as pool:
        runs = {
            "renewed": pool.submit(alone, folder["renewed"], served.url, 1.3 * LIFETIME, lifetime=LIFETIME),
            "failing": pool.submit(alone, folder["failing"], served.url, 60, lifetime=5.0, good_for=4.0),
            "worker": pool.submit(one_bad_worker, folder["worker"], served.url),
        }
        return {name: run.result() for name, run in runs.items()}


def test_credentials_that_end_in_mid_run_are_renewed_and_no_request_fails(played: dict[str, Played]) -> None:
    run = played["renewed"]
    assert run.summary["requests"]["failed"] == 0
    assert run.summary["arrivals"]["sent"] == pytest.approx(40 * 1.3 * LIFETIME, abs=2)
    assert run.code == {True: 0, False: 3}[run.summary["verdict"]["valid"]], run.output
    assert "credentials" not in run.reasons
    asked = sessions.asked(run.places)
    assert 4 <= len(asked) <= 20, "several times, and not once a second"
    assert all(before_ended <= began for (_, before_ended), (began, _) in pairwise(asked)), "one at a time"


def test_credentials_that_cannot_be_renewed_end_the_run_and_are_not_the_endpoints_fault(
    played: dict[str, Played],
) -> None:
    run = played["failing"]
    assert run.code == 3, run.output
    assert run.meta["ended"] == "credentials were refused"
    assert run.meta["ended_s"] < 40
    warned = run.output.index(
        "the credentials (custom-process) could not be renewed: CredentialRetrievalError; those in"
    )
    ended = run.output.index("the run ends: the credentials of process local have been refused (expired_token) since")
    assert warned < ended, "before they expired"
    requests = run.summary["requests"]
    assert set(requests["by_kind"]) == {"expired_token"}
    assert requests["failed"] >= 5 * 40
    assert requests["error_rate"] == 0
    assert run.summary["slo"]["passed"] is True
    text = run.reasons["credentials"]
    assert text.startswith("The credentials of process local were refused (expired_token) from ")
    assert "use credentials that renew themselves or last longer than the run" in text
    assert "No request failed but those in which our credentials were refused." in run.output
    assert "First failed request" not in run.output


def test_one_worker_whose_credentials_ended_ends_the_run_of_all(played: dict[str, Played]) -> None:
    run = played["worker"]
    assert run.code == 3, run.output
    assert run.meta["ended"] == "credentials were refused"
    (event,) = [row for row in ledger(run.folder) if str(row.get("event", "")).startswith("credentials")]
    assert event["event"] == "credentials refused: expired_token"
    assert event["worker"] in run.meta["workers"]
    assert f"The credentials of process {event['worker']} were refused (expired_token)" in run.reasons["credentials"]
    workers = {str(row["worker"]): row for row in ledger(run.folder) if "ok" in row.get("counts", {})}
    assert len(workers) == 2, "the other worker was let in to the end"
    assert run.summary["requests"]["error_rate"] == 0
    assert "the credentials (env) cannot renew themselves and expire at " in run.output


def ledger(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "intervals.jsonl").read_text().splitlines()]
