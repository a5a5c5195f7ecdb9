"""A run with made-up secrets in every place that may hold one, and all that can be read of it from outside."""

from __future__ import annotations

import base64
import contextlib
import json
import signal
import subprocess
import sys
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.oracles.wire import ForwardProxy, Relay
from tests.runs.harness import (
    STARTERS,
    config,
    endpoint,
    environment,
    files,
    free_port,
    locust,
    post,
    processes,
    wait_for,
)

SECRETS = {
    "secret access key": "c4n4ryS3cr3tAcc3ssK3y/8b1f+0d7e5a9cC4N4RY",
    "session token": "FwoGZXIvC4N4RYs3ss10nT0k3n//////////wEaDH0dd0=",
    "API key": "c4n4ryAp1K3y0123456789abcdefABCDEF",
    "password of a proxy": "c4n4ryPr0xyPassw0rd",
    "password in a URL": "c4n4ryUr1Passw0rd",
    "environment variable of a script": "c4n4ryEnvT0ken-98765",
    "password in a script": "c4n4ryStepPassw0rd",
}
ACCESS_KEY_ID = "AKIAC4N4RYEXAMPLE0ID"

STATE = "/sm-locust/state?run=&since=0"
WHILE_IT_GOES = ("/", "/stats/requests", "/exceptions", "/tasks", "/logs", "/sm-locust/", STATE)
AT_THE_END = ("/stats/report?download=1", "/exceptions/csv", "/stats/failures/csv", STATE)

CRASHES = """
from locust import task
from sm_locust import ArrivalUser

class Crashes(ArrivalUser):
    @task
    def crash(self):
        raise RuntimeError(f"crashed with {self.environment} and {vars(self.environment.generator)}")
"""


SCRIPT = """
config:
  target: %s
  phases: [{duration: 2, arrivalRate: 20}]
  variables: {password: [%s]}
  defaults: {headers: {Authorization: "Bearer {{ $env.CANARY }}"}}
scenarios:
  - flow:
      - get: {url: "/items?token={{ $env.CANARY }}", name: /items}
      - post: {url: "/no{{ $env.CANARY }}", json: {password: "{{ password }}"}, auth: {user: u, pass: %s}}
"""

SCRIPT_CRASHES = """
from locust import task
from sm_locust import ScenarioUser

class Script(ScenarioUser):
    @task
    def run_one(self):
        self.play()
        raise RuntimeError(f"crashed with {vars(self.environment)} and {vars(self.environment.generator)}")
"""


@dataclass
class Outputs:
    """By the place it was read from."""

    said: dict[str, bytes] = field(default_factory=dict)
    ok: int = 0  # requests that were answered well
    tunnelled: int = 0  # calls that knew the proxy's password
    codes: list[int] = field(default_factory=list)

    def add(self, where: str, what: str | bytes) -> None:
        self.said[where] = what if isinstance(what, bytes) else what.encode()

    def add_folder(self, where: str, folder: Path) -> None:
        for path in folder.rglob("*"):
            if path.is_file():
                self.add(f"{where}: {path.name}", path.read_bytes())

    def leaks(self) -> list[str]:
        """Which secret stands where: as it is, as a URL or JSON has it, or in Base64."""
        return sorted(
            f"{name} in {where}"
            for where, what in self.said.items()
            for name, secret in SECRETS.items()
            if any(form in what for form in _forms(secret))
        )


def _forms(secret: str) -> set[bytes]:
    encoded = {base64.b64encode(before + secret.encode()).rstrip(b"=")[4:-4] for before in (b"", b"x", b"xx", b"u:")}
    quoted = {urllib.parse.quote(secret, safe=""), json.dumps(secret)[1:-1], secret.replace("/", "\\/")}
    return {secret.encode(), *(form.encode() for form in quoted), *encoded}


def play(folder: Path) -> Outputs:
    """Master with web UI and metrics, and a worker, both at DEBUG, through a proxy, to an endpoint and an API."""
    outputs = Outputs()
    places = {name: folder / name for name in ("endpoint", "master", "worker", "alone", "refused")}
    for place in places.values():
        place.mkdir()
    (folder / "crashes.py").write_text(CRASHES)
    accepted: dict[str, Any] = {
        "access_key_id": ACCESS_KEY_ID,
        "secret_access_key": SECRETS["secret access key"],
        "session_token": SECRETS["session token"],
        "gateway_auth": "api-key",
        "gateway_api_key": SECRETS["API key"],
    }
    bound, web, metrics = free_port(), free_port(), free_port()
    with (
        endpoint(places["endpoint"], workers=64, **accepted) as local,
        ForwardProxy("c4n4ry", SECRETS["password of a proxy"]) as proxy,
        Relay(bound) as relay,
    ):
        env = environment(
            AWS_ACCESS_KEY_ID=ACCESS_KEY_ID,
            AWS_SECRET_ACCESS_KEY=SECRETS["secret access key"],
            AWS_SESSION_TOKEN=SECRETS["session token"],
            SM_LOCUST_API_KEY=SECRETS["API key"],
            AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME=local.url,
        )
        through = {**env, "HTTP_PROXY": proxy.url, "http_proxy": proxy.url}
        target = {
            "api_gateway": f"{local.url}/DummyStage/DT",
            "auth": "api-key",
            "endpoint": "decision-trees-sample",
            "region": "us-east-1",
        }
        phase = {"name": "flat", "duration": 60, "arrival_rate": 60}
        path = config(folder, local.url, phase, target=target)
        both = files("locustfiles/invoke_endpoint.py", "locustfiles/api_gateway.py", "shapes/from_config.py")
        load = ["-f", f"{both},{folder / 'crashes.py'}", "-L", "DEBUG"]
        master = [*load, "--master", "--master-bind-port", str(bound), "--sm-config", str(path)]
        master += ["--web-port", str(web), "--web-host", "127.0.0.1", "--sm-metrics-port", str(metrics)]
        worker = [*load, "--worker", "--master-port", str(relay.port)]
        page = f"http://127.0.0.1:{web}"
        with contextlib.ExitStack() as stack:
            run = stack.enter_context(locust(places["master"], *master, env=env))
            wait_for("the web UI", lambda: _read(page))
            other = stack.enter_context(locust(places["worker"], *worker, env=through))
            wait_for("the worker", lambda: json.loads(_read(f"{page}/stats/requests") or b"{}").get("workers"), 30)
            form = {"user_count": 1, "spawn_rate": 1, "sm_config": str(path), "sm_speed": 1}
            assert post(f"{page}/swarm", **form)["success"] is True
            wait_for("requests", lambda: local.served() > 60)
            wait_for("what Locust hears of crashes", lambda: b"crashed with" in _read(f"{page}/exceptions"))
            wait_for("the ledger", lambda: (run.the_folder() / "failures.jsonl").exists())
            for at in WHILE_IT_GOES:
                outputs.add(f"the web UI, {at}", _read(page + at))
            outputs.add("the metrics", _read(f"http://127.0.0.1:{metrics}/metrics"))
            post(f"{page}/stop")
            wait_for("the end", lambda: run.folders() and (run.the_folder() / "report.html").exists())
            for at in AT_THE_END:
                outputs.add(f"the web UI at the end, {at}", _read(page + at))
            outputs.ok = json.loads((run.the_folder() / "summary.json").read_text())["requests"]["ok"]
            run.signal(signal.SIGTERM)
            other.signal(signal.SIGTERM)
            outputs.codes = [run.wait(40), other.wait(40)]
            outputs.add("the log of the master", run.output)
            outputs.add("the log of the worker", other.output)
            outputs.add_folder("the run folder", run.the_folder())
        outputs.add("messages between master and worker", bytes(relay.copy))
        outputs.tunnelled = proxy.let_in
        url = local.url.replace("//", f"//somebody:{SECRETS['password in a URL']}@")
        for where, more in (("alone", ["--headless", "--json"]), ("with a web UI", ["--web-port", str(free_port())])):
            options = ["-f", files("locustfiles/invoke_endpoint.py"), "-L", "DEBUG", "-t", "1s", "--sm-url", url, *more]
            with locust(places["refused"], *options, "--sm-endpoint", "e", env=env) as refused:
                outputs.codes.append(refused.wait(30))
                outputs.add(f"the refusal of a URL with a password, {where}", refused.output)
        _play_a_script(outputs, folder, local.url, env)
        lone = ["-f", STARTERS, "-L", "DEBUG", "--json"]
        env["AWS_SECRET_ACCESS_KEY"] = SECRETS["secret access key"][::-1]
        with locust(places["alone"], *lone, "--headless", "--sm-config", str(path), env=env) as run:
            wait_for("failures", lambda: run.folders() and (run.the_folder() / "failures.jsonl").exists())
            run.signal(signal.SIGINT)
            outputs.codes.append(run.wait(60))
            outputs.add("the log of a run alone whose signatures are refused, with --json", run.output)
            outputs.add_folder("its run folder", run.the_folder())
    return outputs


def _play_a_script(outputs: Outputs, folder: Path, url: str, env: dict[str, str]) -> None:
    """Its secrets come from the environment and from itself; a master and two workers, and the commands about it."""
    here, env = folder / "script", {**env, "CANARY": SECRETS["environment variable of a script"]}
    here.mkdir()
    password = SECRETS["password in a script"]
    (folder / "script.yml").write_text(SCRIPT % (url, password, password))
    (folder / "script.py").write_text(SCRIPT_CRASHES)
    options = [*processes(2), "--csv", str(here / "locust"), "--html", str(here / "locust.html")]
    options += ["-f", f"{folder / 'script.py'},{files('shapes/from_config.py')}", "--headless", "-L", "DEBUG"]
    with locust(here, *options, "--sm-config", str(folder / "script.yml"), env=env) as run:
        wait_for("both workers", lambda: len(run.processes()) >= 3)
        outputs.add("command lines", b"".join(Path(f"/proc/{n}/cmdline").read_bytes() for n in run.processes()))
        outputs.codes.append(run.wait(60))
        outputs.add("the log of a script", run.output)
    outputs.add_folder("the folder of a script", here)
    for command in (["plan", "--json", str(folder / "script.yml")], ["summarize", str(run.the_folder())]):
        done = subprocess.run([sys.executable, "-m", "sm_locust.cli", *command], env=env, cwd=here, capture_output=True)
        outputs.add(f"sm-locust {command[0]}", done.stdout + done.stderr)


def _read(url: str) -> bytes:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with contextlib.suppress(OSError), opener.open(url, timeout=30) as answer:
        return bytes(answer.read())
    return b""
