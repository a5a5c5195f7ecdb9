"""What is wrong before anything is sent: one sentence on one line, exit code 2, no run folder, no request."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.runs.harness import STARTERS, config, endpoint, environment, files, locust, processes, wait_for

PHASE: dict[str, Any] = {"name": "up", "duration": 2, "arrival_rate": 100, "ramp_to": 300}
MANY: dict[str, Any] = {"phases": [{**PHASE, "arrival_rate": "many"}]}
CAPACITY = files("locustfiles/invoke_endpoint.py", "shapes/find_capacity.py")
API = files("locustfiles/api_gateway.py", "shapes/from_config.py")


@dataclass(frozen=True)
class Case:
    """`without` names what the environment lacks."""

    says: str
    arguments: tuple[str, ...] = ()
    sections: dict[str, Any] = field(default_factory=dict)
    files: str = STARTERS
    without: tuple[str, ...] = ()
    workers: int = 1


CASES = {
    "a phase": Case("config.yaml: phases[0].arrival_rate: 'many'", sections=MANY),
    "a phase, with workers": Case("config.yaml: phases[0].arrival_rate: 'many'", sections=MANY, workers=2),
    "compressed beyond loopback": Case(
        "192.0.2.1, which is not loopback", ("--sm-url", "http://192.0.2.1:9", "--sm-speed", "60")
    ),
    "endpoint name": Case("'not_a_name'", ("--sm-endpoint", "not_a_name")),
    "run folder": Case("/proc/nowhere", ("--sm-run-dir", "/proc/nowhere")),
    "no such file": Case("absent.yaml", ("--sm-config", "absent.yaml")),
    "no credentials": Case("no AWS credentials were found", without=("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")),
    "no key of the API": Case(
        "target.auth: api-key takes the key from the environment variable SM_LOCUST_API_KEY, which is not set",
        sections={"target": {"api_gateway": "http://127.0.0.1:9/DummyStage/DT", "auth": "api-key"}},
        files=API,
    ),
    "a port that is taken": Case(
        "--sm-metrics-port PORT: cannot listen on 127.0.0.1:PORT", ("--sm-metrics-port", "PORT")
    ),
    "a search without limits": Case("slo: missing; required: what a rate must keep to hold", files=CAPACITY),
    "a search with limits that come late": Case(
        "slo.model_latency_p99: not accepted in a search for capacity",
        sections={"slo": {"model_latency_p99": "50ms"}},
        files=CAPACITY,
    ),
}


@dataclass(frozen=True)
class Refused:
    code: int
    output: str
    folders: list[Path]


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Refused]]:
    """Four at a time, against one endpoint that is never asked for anything."""
    with (
        endpoint(tmp_path_factory.mktemp("endpoint")) as local,
        socket.socket() as taken,
        ThreadPoolExecutor(4) as pool,
    ):
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])

        def play(case: Case) -> Refused:
            folder = tmp_path_factory.mktemp("refused")
            path = config(folder, local.url, **{"phases": [PHASE], **case.sections})
            env = environment(HOME=str(folder))
            arguments = [argument.replace("PORT", port) for argument in case.arguments]
            with locust(
                folder,
                *("-f", case.files, "--sm-config", str(path), "--headless", *processes(case.workers), *arguments),
                env={name: value for name, value in env.items() if name not in case.without},
            ) as run:
                code = run.wait()
                wait_for("the end of every process", lambda: not run.processes())
                return Refused(code, run.output.replace(port, "PORT"), run.folders())

        found = dict(zip(CASES, pool.map(play, CASES.values()), strict=True))
        yield found
        assert local.served() == 0


@pytest.mark.parametrize("name", CASES)
def test_what_is_wrong_is_one_sentence_and_nothing_is_sent(refused: dict[str, Refused], name: str) -> None:
    found = refused[name]
    assert found.code == 2, found.output
    (line,) = (line for line in found.output.splitlines() if line.startswith("sm_locust: "))
    assert CASES[name].says in line
    assert "Traceback" not in found.output
    assert found.folders == []
