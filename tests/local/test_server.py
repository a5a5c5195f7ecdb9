"""Starting and stopping: what it prints, what it refuses, and that it goes without a trace."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys

import pytest

from tests.local.harness import ROOT

START = "from sm_locust.local.server import serve; from sm_locust.local.settings import Settings; "


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=30)


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_it_says_what_it_is_and_stops_cleanly_even_with_a_client_connected(stop: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", START + "serve(Settings(), port=0, ready=1, speed=60)"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    port = int(process.stdout.readline())
    with socket.create_connection(("127.0.0.1", port), timeout=10) as half_a_request:
        half_a_request.sendall(b"POST /endpoints/e/invocations HTTP/1.1\r\nContent-Length: 5\r\n\r\n12")
        process.send_signal(stop)
        _, said = process.communicate(timeout=20)
    assert process.returncode == 0
    assert said.splitlines() == [
        f"local SageMaker endpoint decision-trees-sample on http://127.0.0.1:{port}",
        "  export AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE",
        "  export AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "  export AWS_DEFAULT_REGION=us-east-1",
        "simulates one instance: 4 workers of 8.5 ms, 160 may wait; sustains 28,235 requests a minute",
        "speed 60: a minute of the schedule lasts 1 s",
        "Ctrl-C to stop",
    ]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("host='8.8.8.8'", "host '8.8.8.8': must be a loopback or private address, because its credentials are public"),
        ("host='203.0.113.5'", "host '203.0.113.5': must be a loopback or private address"),  # of documentation
        ("host='100.64.0.1', port=0", "port 0: cannot listen on 100.64.0.1"),  # shared, as fleets use it
        ("host='example.com'", "host 'example.com': must be an address, such as 127.0.0.1"),
        ("port=70000", "port 70000: must be between 0 and 65535"),
        ("speed=7", "speed 7: must be one of 1, 2, 3, 6, 12, 60"),
    ],
)
def test_what_it_cannot_serve_is_refused_in_one_sentence(arguments: str, sentence: str) -> None:
    ended = run(START + f"serve(Settings(), {arguments})")
    assert ended.returncode == 2
    assert sentence in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_it_says_when_public_addresses_are_among_those_it_listens_on() -> None:
    code = "from sm_locust.local.server import _banner; "
    code += "[print(_banner(Settings(), host, 8500, 1)) for host in ('0.0.0.0', '::', '10.0.0.5')]"
    said = run(START + code).stdout.splitlines()
    assert len([line for line in said if line.startswith("on every address, public ones too")]) == 2
    assert len([line for line in said if line.startswith("whoever reaches this address")]) == 1


def test_a_port_in_use_is_refused_in_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run(START + f"serve(Settings(), port={port})")
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"sm-locust local: port {port}: cannot listen on 127.0.0.1: Address already in use")
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.parametrize("package", ["uvicorn", "starlette", "numpy"])
def test_without_the_extra_one_sentence_says_what_to_install(package: str) -> None:
    ended = run(f"import sys; sys.modules[{package!r}] = None\nimport sm_locust.local.server")
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].endswith("not installed: pip install 'sm-locust[local]'")
    assert package in ended.stderr.splitlines()[-1]
    assert "During handling" not in ended.stderr
