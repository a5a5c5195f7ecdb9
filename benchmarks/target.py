"""What the generators send to: nginx where the target must cost nothing, the diary where it must be known."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import TARGET_CORE, BenchError, start, stop
from tests.runs.harness import free_port

# What SageMaker's runtime answers with, to any POST; and for what else AWS is asked, a refusal that no one waits for.
_NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 8192; }}
http {{
  log_format counted "$request_method $status";
  map $request_method $counts {{ POST 1; default 0; }}
  keepalive_requests 1000000000; keepalive_timeout 3600; client_body_temp_path {folder}/body;
  ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem;
  server {{
    listen 127.0.0.1:{port} backlog=8192; listen 127.0.0.1:{tls_port} ssl backlog=8192;
    location / {{
      access_log {folder}/counted.log counted buffer=256k flush=200ms if=$counts;
      default_type text/csv;
      add_header x-amzn-RequestId "4c2f0f9e-5a0c-4b5c-8c0e-2f4b7b6f7a10";
      add_header x-Amzn-Invoked-Production-Variant AllTraffic;
      return 200 "setosa\\n";
    }}
    location /refused {{
      access_log off;
      default_type application/x-amz-json-1.1;
      add_header x-amzn-errortype AccessDeniedException always;
      return 400 "{{\\"message\\": \\"not here\\"}}";
    }}
  }}
}}
"""


@dataclass(frozen=True)
class Nginx:
    """`url` and `tls_url` of the same target; `ca` is the certificate to trust."""

    folder: Path
    url: str
    tls_url: str
    ca: Path

    def good(self) -> int:
        """POSTs answered with 200 so far; any other answer to a POST is an error."""
        time.sleep(0.5)  # the log is written in blocks, at the latest after 200 ms
        lines = (self.folder / "counted.log").read_text().splitlines()
        bad = sum(line != "POST 200" for line in lines)
        if bad:
            raise BenchError(f"the target answered {bad} requests with something else than 200")
        return len(lines)

    def forget(self) -> None:
        time.sleep(0.5)
        with open(self.folder / "counted.log", "w"):
            pass


@contextmanager
def nginx(folder: Path) -> Iterator[Nginx]:
    """nginx on the target's core, with plain HTTP and TLS."""
    if shutil.which("nginx") is None:
        raise BenchError("nginx is not installed (Debian, Ubuntu: apt-get install nginx-light)")
    port, tls_port = free_port(), free_port()
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{folder}/key.pem"]
    subprocess.run(  # nosec B603 B607 # nginx, as it is found
        ["openssl", "req", "-x509", "-days", "2", *key, "-out", f"{folder}/cert.pem", *subject],
        check=True,
        capture_output=True,
    )
    (folder / "nginx.conf").write_text(_NGINX.format(folder=folder, port=port, tls_port=tls_port))
    process = start(["nginx", "-p", str(folder), "-c", f"{folder}/nginx.conf"], TARGET_CORE, folder / "nginx.out")
    try:
        _wait_for(port)
        yield Nginx(folder, f"http://127.0.0.1:{port}", f"https://127.0.0.1:{tls_port}", folder / "cert.pem")
    finally:
        stop(process)


@contextmanager
def diary(folder: Path, *, delay: float, stall_after: float = 0.0, stall_for: float = 0.0) -> Iterator[str]:
    """The server of `benchmarks.diary` on the target's core; yields its URL."""
    port = free_port()
    arguments = [str(port), str(delay), str(stall_after), str(stall_for)]
    folder.mkdir(parents=True, exist_ok=True)
    process = start([sys.executable, "-m", "benchmarks.diary", *arguments], TARGET_CORE, folder / "diary.out")
    try:
        _wait_for(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        stop(process)


def read_diary(url: str) -> list[float]:
    """Seconds from each request's scheduled time to the moment its answer was written, in ascending order."""
    with urllib.request.urlopen(f"{url}/diary") as answer:  # nosec B310 # http, of ours
        return sorted(float(line) for line in answer.read().split())


def read_arrivals(url: str) -> list[tuple[float, float]]:
    """When each request came to the server and when it was answered, in seconds from the first one, as they came."""
    with urllib.request.urlopen(f"{url}/arrivals") as answer:  # nosec B310 # http, of ours
        rows = [line.split() for line in answer.read().decode().splitlines()]
    return sorted((float(came), float(answered)) for came, answered in rows)


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise BenchError("the target did not start")
