"""Credentials that end while a run goes: renewed beside the load, or the end of the run and never the endpoint's fault.

The scenarios are mostly waiting, so they run beside each other.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.oracles import sessions
from tests.runs.harness import (
    STARTERS,
    accounted,
    config,
    endpoint,
    environment,
    free_port,
    is_complete,
    locust,
    processes,
    summary,
    wait_for,
)

RATE = 40
LIFETIME = 10.0
CLOCK_AHEAD = 612.0


class Played:
    """A run that is over, and what its processes printed."""

    def __init__(self, code: int, folder: Path, output: str) -> None:
        self.code, self.folder, self.output = code, folder, output
        self.meta: dict[str, Any] = json.loads((folder / "run.json").read_text())
        self.summary = accounted(summary(folder))
        self.reasons = {r["code"]: r["text"] for r in self.summary["verdict"]["reasons"] if r["invalidates"]}
        assert is_complete(folder)
        assert "Traceback" not in output
        said = output + "".join(path.read_text(errors="replace") for path in folder.iterdir())
        assert "no more sessions with" not in said, "what a source says when it fails may hold a secret"


def load(folder: Path, url: str, duration: float) -> list[str]:
    flat = {"name": "flat", "duration": duration, "arrival_rate": RATE}
    return ["--sm-config", str(config(folder, url, flat, slo={"error_rate": "1%"})), "--headless"]


def alone(folder: Path, url: str, duration: float, **session: float) -> Played:
    """One process whose credentials come from a program."""
    env = environment(AWS_CONFIG_FILE=str(sessions.profile(folder, url, **session)))
    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        del env[key]
    with locust(folder, "-f", STARTERS, *load(folder, url, duration), env=env) as run:
        return Played(run.wait(90), run.the_folder(), run.output)


def one_bad_worker(folder: Path, url: str) -> Played:
    """Two workers with variables of their own. One has a session: when that ends is told, and cannot be moved."""
    port = str(free_port())
    places = [folder / name for name in ("master", "good", "bad")]
    for place in places:
        place.mkdir()
    worker = ["-f", STARTERS, "--worker", "--master-port", port]
    master = ["-f", STARTERS, "--master", "--master-bind-port", port, "--expect-workers", "2", *load(folder, url, 60)]
    session = sessions.issue(url, 15)  # they take a while to begin
    bad = environment(
        AWS_ACCESS_KEY_ID=session["AccessKeyId"],
        AWS_SECRET_ACCESS_KEY=session["SecretAccessKey"],
        AWS_SESSION_TOKEN=session["SessionToken"],
        AWS_CREDENTIAL_EXPIRATION=session["Expiration"],
    )
    with (
        locust(places[0], *master) as run,
        locust(places[1], *worker) as first,
        locust(places[2], *worker, env=bad) as second,
    ):
        code = run.wait(90)
        wait_for("the workers' end", lambda: not first.processes() and not second.processes())
        output = run.output + first.output + second.output
        assert session["SecretAccessKey"] not in output
        assert session["SessionToken"] not in output
        return Played(code, run.the_folder(), output)


def another_clock(folder: Path) -> Played:
    """Two workers on a machine whose clock is ten minutes behind AWS's."""
    with (
        endpoint(folder, clock_ahead=CLOCK_AHEAD, workers=64) as local,
        locust(folder, "-f", STARTERS, *processes(2), *load(folder, local.url, 6)) as run,
    ):
        return Played(run.wait(60), run.the_folder(), run.output)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: tmp_path_factory.mktemp(name) for name in ("endpoint", "renewed", "failing", "worker", "clock")}


@pytest.fixture(scope="module")
def played(folders: dict[str, Path]) -> dict[str, Played]:
    with endpoint(folders["endpoint"], workers=64) as local, ThreadPoolExecutor(4) as pool:
        runs = {
            "renewed": pool.submit(alone, folders["renewed"], local.url, 1.1 * LIFETIME, lifetime=LIFETIME),
            "failing": pool.submit(alone, folders["failing"], local.url, 60, lifetime=5, good_for=4),
            "worker": pool.submit(one_bad_worker, folders["worker"], local.url),
            "clock": pool.submit(another_clock, folders["clock"]),
        }
        return {name: run.result() for name, run in runs.items()}


def test_credentials_that_end_in_mid_run_are_renewed_and_no_request_fails(
    played: dict[str, Played], folders: dict[str, Path]
) -> None:
    run = played["renewed"]
    assert run.summary["requests"]["failed"] == 0
    assert run.summary["arrivals"]["sent"] == pytest.approx(RATE * 1.1 * LIFETIME, abs=2)
    assert run.code == {True: 0, False: 3}[run.summary["verdict"]["valid"]], run.output
    assert "credentials" not in run.reasons
    asked = sessions.asked(folders["renewed"])
    assert 3 <= len(asked) <= 8, "once for each session, whoever signs with it"
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
    assert requests["failed"] >= 4.5 * RATE
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


def test_a_clock_that_aws_refuses_is_corrected_by_each_process_once_and_the_run_goes_on(
    played: dict[str, Played],
) -> None:
    run = played["clock"]
    refused = run.summary["requests"]["by_kind"]["invalid_signature"]
    assert run.summary["requests"]["by_kind"] == {"invalid_signature": refused}
    assert 2 <= refused <= 6, "each worker's first, and what was under way until its answer came"
    assert run.summary["requests"]["ok"] == run.summary["arrivals"]["sent"] - refused
    assert run.summary["requests"]["error_rate"] == 0
    assert run.meta["ended"] == "schedule complete"
    events = [row for row in ledger(run.folder) if str(row.get("event", "")).startswith("clock corrected by ")]
    assert {row["worker"] for row in events} == set(run.meta["workers"])
    assert len(events) == 2
    for row in events:
        assert float(row["event"].rpartition(" ")[2]) == pytest.approx(CLOCK_AHEAD, abs=2)
    (text,) = [r["text"] for r in run.summary["verdict"]["reasons"] if r["code"] == "credentials"]
    assert "(1 more as well) was 61" in text
    assert "s behind AWS's, which it then signed by; no error rate counts them" in text
    assert run.output.count("this machine's clock is 61") == 2


def ledger(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "intervals.jsonl").read_text().splitlines()]
