"""`sm-locust demo` in an environment that points elsewhere: it must not follow, and it must leave nothing behind."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sm_locust.demo import scrubbed
from tests.runs.harness import accounted, hears_ctrl_c, is_complete, summary, wait_for

# Written into every Python process of the demo: notes each address that is connected to or looked up.
_SPY = """
import os, sys
def note(event, arguments):
    if event == "socket.connect":
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else ""
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    if host:
        host = host.decode() if isinstance(host, bytes) else host
        with open({log!r}, "a") as file:
            file.write(host + "\\n")
sys.addaudithook(note)
"""


def _children(test: int) -> list[str]:
    """Commands of the processes that were started with our mark in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if f"DEMO_MARK_{test}".encode() in (entry / "environ").read_bytes():
                    found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
    return found


@pytest.fixture
def proxy() -> Iterator[socket.socket]:
    """Listens where the environment says that a proxy is; nobody should call."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.1)
        yield listening


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_the_demo_stays_on_this_machine_and_leaves_no_process_behind(
    tmp_path: Path, proxy: socket.socket, number: int
) -> None:
    log = tmp_path / "addresses"
    spy = tmp_path / "spy"
    spy.mkdir()
    (spy / "sitecustomize.py").write_text(_SPY.format(log=str(log)))
    hostile = {
        "AWS_PROFILE": "not-a-profile",
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
        "AWS_ENDPOINT_URL": "http://192.0.2.1",
        "HTTPS_PROXY": f"http://127.0.0.1:{proxy.getsockname()[1]}",
        "http_proxy": f"http://127.0.0.1:{proxy.getsockname()[1]}",
        "LOCUST_HOST": "http://192.0.2.2",
        "LOCUST_USERS": "7",
        "SM_LOCUST_CONFIG": "/absent.yaml",
        "PYTHONPATH": str(spy),
        f"DEMO_MARK_{os.getpid()}": "1",
    }
    with open(tmp_path / "output", "wb") as output:
        demo = subprocess.Popen(
            [sys.executable, "-m", "sm_locust.cli", "demo", "--run-dir", str(tmp_path / "runs")],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **hostile},
            start_new_session=True,
            preexec_fn=hears_ctrl_c,
        )
    before = tmp_path / "runs/demo"
    try:
        wait_for("the run", lambda: any(before.glob("*/run.json")), 40)
        time.sleep(3)
        assert len(_children(os.getpid())) >= 3, "the demo, its endpoint and its locust"
        demo.send_signal(number)
        assert demo.wait(40) == 130, (tmp_path / "output").read_text()
        wait_for("the end of every process", lambda: not _children(os.getpid()))
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(demo.pid, signal.SIGKILL)
        demo.wait()

    text = (tmp_path / "output").read_text()
    assert "Traceback" not in text
    (folder,) = [path.parent for path in before.glob("*/run.json")]
    assert is_complete(folder)
    found = accounted(summary(folder))
    assert found["requests"]["ok"] == found["arrivals"]["sent"] > 300
    assert json.loads((folder / "run.json").read_text())["config"]["target"]["url"].startswith("http://127.0.0.1:")

    addresses = set(log.read_text().split())
    assert addresses
    for address in addresses - {"localhost", socket.gethostname()}:
        assert ipaddress.ip_address(address).is_loopback, addresses
    with pytest.raises(TimeoutError):
        proxy.accept()


def test_nothing_that_points_elsewhere_is_passed_on(tmp_path: Path) -> None:
    given = {
        "PATH": "/bin",
        "AWS_PROFILE": "mine",
        "AWS_SESSION_TOKEN": "t",
        "LOCUST_HOST": "http://elsewhere",
        "SM_LOCUST_CONFIG": "mine.yaml",
        "HTTPS_PROXY": "http://elsewhere",
        "no_proxy": "*",
        "LANG": "C.UTF-8",
    }
    passed = scrubbed(given, tmp_path)
    assert passed["PATH"] == "/bin"
    assert passed["LANG"] == "C.UTF-8"
    assert "elsewhere" not in str(passed)
    assert "mine" not in str(passed)
    assert passed["AWS_CONFIG_FILE"] == passed["AWS_SHARED_CREDENTIALS_FILE"] == os.devnull
    assert passed["AWS_EC2_METADATA_DISABLED"] == "true"
    assert not {"AWS_SESSION_TOKEN", "no_proxy", "HTTPS_PROXY"} & set(passed)
