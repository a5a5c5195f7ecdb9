"""Real processes for the scenarios: the local endpoint, `locust`, and what a run folder says afterwards.

Nothing here knows how sm_locust works inside; it starts what a user would start and reads what a user would read.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import select
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[2]
KEYS = {
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}

# As Locust's documentation has it: whoever posts to /let-me-in is somebody.
LOGIN = """
from flask import redirect
from flask_login import UserMixin, login_user
from locust import events

class Somebody(UserMixin):
    def get_id(self):
        return "somebody"

@events.init.add_listener
def let_in(environment, **_):
    web_ui = environment.web_ui
    if not web_ui:  # a worker
        return
    web_ui.app.config["SECRET_KEY"] = "a key for a test"
    web_ui.login_manager.user_loader(lambda user_id: Somebody())

    @web_ui.app.route("/let-me-in", methods=["POST"])
    def let_me_in():
        login_user(Somebody())
        return "come in"
"""


def environment(**more: str) -> dict[str, str]:
    """The test's own environment without what could steer AWS or Locust elsewhere."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "LOCUST_", "SM_LOCUST_")) and not name.lower().endswith("_proxy")
    }
    return {**kept, **KEYS, **more}


def free_port() -> int:
    """One on which nobody listens, for who cannot take 0.

    It is below those that the kernel gives to connections: while its server starts, none of these can take it away.
    """
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        with socket.socket() as s, contextlib.suppress(OSError):
            s.bind(("127.0.0.1", port))
            return port


def wait_for(what: str, condition: Callable[[], Any], seconds: float = 40.0) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {seconds} s")


def answers(url: str) -> bool:
    """Whether a page is there."""
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
        return True
    return False


def hears_ctrl_c() -> None:
    """In the child: as in a terminal, though the tests may run in the background, where SIGINT is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return -1


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


class Endpoint:
    """The local endpoint, as a process of its own."""

    def __init__(self, url: str, process: subprocess.Popen[bytes], before: int = 0) -> None:
        """`before` is how many invocations it had served when it was handed on."""
        self.url = url
        self.process = process
        self._before = before

    def served(self) -> int:
        """Invocations since it was handed on."""
        return int(self.counts()["invocations"]) - self._before

    def counts(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.url}/_local/counts", timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Stopped, as by a debugger: connections stay open and nothing answers."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)


# As on a machine whose clock is so many seconds off, but for the monotonic one.
_AT_ANOTHER_TIME = """
import sys, time
off, here = float(sys.argv.pop(1)), time.time
time.time = lambda: here() + off
from sm_locust.cli import main
main()
"""


@contextlib.contextmanager
def endpoint(folder: Path, speed: int = 1, clock_ahead: float = 0.0, **settings: Any) -> Iterator[Endpoint]:
    """Its metrics are there at once, unless `publish_delay` says otherwise: no test waits minutes for them.

    clock_ahead  seconds that its clock is ahead of this machine's
    """
    readable, writable = os.pipe()
    path = folder / "endpoint.yaml"
    path.write_text(json.dumps({"publish_delay": 0, **settings}))
    arguments = [
        *(sys.executable, "-c", _AT_ANOTHER_TIME, str(clock_ahead), "local"),
        *("--port", "0", "--ready-fd", str(writable), "--speed", str(speed), "--config", str(path)),
    ]
    # Closed as a file: gevent's os.close waits for its loop, and an endpoint that died would be read from for ever.
    with open(folder / "endpoint.log", "wb") as log, open(writable, "wb"):
        process = subprocess.Popen(arguments, stdout=log, stderr=log, pass_fds=[writable], env=environment())
    try:
        with open(readable) as ready:
            select.select([ready], [], [], 30)  # other scenarios go on in the meantime, as they would not in a read
            port = ready.readline().strip()
        assert port, (folder / "endpoint.log").read_text()
        yield Endpoint(f"http://127.0.0.1:{port}", process)
    finally:
        process.terminate()
        process.wait(20)


class Locust:
    """One `locust` command, its output in files."""

    def __init__(self, folder: Path, *arguments: str, env: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.runs = folder / "runs"
        self._out = open(folder / "locust.out", "wb")  # noqa: SIM115  # closed with the process
        self.process = subprocess.Popen(
            [sys.executable, "-m", "locust", "--sm-run-dir", str(self.runs), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=self._out,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=env or environment(),
            start_new_session=True,
            preexec_fn=hears_ctrl_c,
        )

    @property
    def output(self) -> str:
        return (self.folder / "locust.out").read_text(errors="replace")

    def wait(self, seconds: float = 120.0) -> int:
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"locust did not end within {seconds} s:\n{self.output[-3000:]}") from None

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def signal_all(self, number: int) -> None:
        """As a terminal does: to every process of the session."""
        os.killpg(self.process.pid, number)

    def processes(self) -> list[int]:
        """Ids of its processes that are still there, its own first."""
        return [p.pid for p in psutil.process_iter() if _session(p.pid) == self.process.pid and _lives(p)]

    def folders(self) -> list[Path]:
        """Run folders in the order of their starts."""
        found = [path.parent for path in self.runs.glob("*/run.json")]
        return sorted(found, key=lambda folder: json.loads((folder / "run.json").read_text())["started_at"])

    def the_folder(self) -> Path:
        (only,) = self.folders()
        return only

    def close(self) -> None:
        if self.processes():
            with contextlib.suppress(ProcessLookupError):
                self.signal_all(signal.SIGKILL)
        self.process.wait(20)
        self._out.close()


@contextlib.contextmanager
def locust(folder: Path, *arguments: str, env: dict[str, str] | None = None) -> Iterator[Locust]:
    started = Locust(folder, *arguments, env=env)
    try:
        yield started
    finally:
        started.close()


def files(*names: str) -> str:
    """Starters, as `-f` takes them."""
    return ",".join(str(ROOT / name) for name in names)


STARTERS = files("locustfiles/invoke_endpoint.py", "shapes/from_config.py")
"""What most runs play."""


def processes(n: int) -> list[str]:
    """Arguments for a master of its own with `n` workers; for 1, of a process alone."""
    port = str(free_port())
    return ["--processes", str(n), "--master-bind-port", port, "--master-port", port] if n > 1 else []


def config(folder: Path, url: str, *phases: dict[str, Any], **sections: Any) -> Path:
    """A configuration for the local endpoint. (JSON is YAML.) CloudWatch's periods are a second, to be quick."""
    path = folder / "config.yaml"
    target = {"endpoint": "decision-trees-sample", "region": "us-east-1", "url": url}
    request = {"content_type": "text/csv", "body": "5,3.5,1.3,0.3"}
    document: dict[str, Any] = {
        "target": target,
        "request": request,
        "cloudwatch": {"period": "1s"},
        **sections,
    }
    if phases:
        document["phases"] = list(phases)
    path.write_text(json.dumps(document))
    return path


def summary(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return found


def is_complete(folder: Path) -> bool:
    """Every file that the contracts name for a run is there, and run.json says why it ended."""
    names = {
        *("run.json", "intervals.jsonl", "timeline.csv", "histograms.hlog"),
        *("summary.json", "summary.md", "junit.xml", "report.html"),
    }
    missing = names - {path.name for path in folder.iterdir()}
    assert not missing, f"{folder} has no {missing}"
    assert not [path for path in folder.iterdir() if path.name.endswith(".part")]
    meta = json.loads((folder / "run.json").read_text())
    return bool(meta["ended"]) and meta["ended_s"] > 0


def accounted(found: dict[str, Any]) -> dict[str, Any]:
    """Holds the contracts' identities, for the run and for each phase; returns the run's."""
    for part in (found, *found["phases"]):
        arrivals, requests = part["arrivals"], part["requests"]
        assert arrivals["due"] == arrivals["sent"] + arrivals["dropped"]
        requested = arrivals["sent"] + requests["further"]
        assert requests["ok"] + requests["failed"] + requests["cancelled"] == requested
        assert sum(requests["by_kind"].values()) == requests["failed"]
        assert part["lateness_ms"]["count"] == requested
    return found


def post(url: str, **form: Any) -> dict[str, Any]:
    data = urllib.parse.urlencode(form).encode()
    with urllib.request.urlopen(url, data=data, timeout=60) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def order(url: str, what: str, **order: Any) -> None:
    """Has a local endpoint do what it does only when it is told to: see README."""
    request = urllib.request.Request(f"{url}/_local/{what}", json.dumps(order).encode(), method="POST")
    with urllib.request.urlopen(request, timeout=10):
        pass


def refuse(url: str, **what: Any) -> None:
    """Has a local endpoint refuse calls around a run: service, next, error."""
    order(url, "refuse", **what)


def client(url: str, service: str) -> Any:
    """boto3 as anybody uses it, with the key pair that the local endpoint knows."""
    import boto3  # after Locust

    return boto3.Session(KEYS["AWS_ACCESS_KEY_ID"], KEYS["AWS_SECRET_ACCESS_KEY"], region_name="us-east-1").client(
        service, endpoint_url=url
    )
