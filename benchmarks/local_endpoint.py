"""What one verified request costs the local endpoint, and how closely its answers keep to their departure times.

    python benchmarks/local_endpoint.py

A fixed load of requests signed beforehand by botocore is sent over kept-alive connections, evenly spaced, whatever
the server does. Server CPU is its process's user + system time over the loaded span, so start-up does not count. The
same load on a bare ASGI application, which reads the body and answers a constant, and one botocore signature on this
machine stand beside it: on a noisy machine compare the ratios.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import mean, quantiles
from typing import cast

import psutil
import uvloop
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from sm_locust.local.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
CONNECTIONS = 64
SETTINGS = Settings()
UNSATURATED = SETTINGS.model_copy(update={"workers": 64})

ENDPOINT = """
from sm_locust.local.server import serve
from sm_locust.local.settings import Settings
serve(Settings.model_validate_json({settings!r}), port=0, ready=1)
"""
BARE = """
import os, socket, uvicorn
async def app(scope, receive, send):
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-type", b"text/csv"), (b"content-length", b"7")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"setosa\\n"})
listener = socket.create_server(("127.0.0.1", 0))
os.write(1, b"%d\\n" % listener.getsockname()[1])
config = uvicorn.Config(app, loop="uvloop", http="httptools", ws="none", lifespan="off", access_log=False)
uvicorn.Server(config).run(sockets=[listener])
"""


@contextmanager
def server(code: str) -> Iterator[tuple[int, psutil.Process]]:
    """A server in a process of its own, which writes its port to stdout."""
    process = subprocess.Popen(  # nosec B603 # a command of ours, no shell
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT, env=dict(os.environ)
    )
    try:
        if process.stdout is None:
            raise RuntimeError("no stdout")
        port = int(process.stdout.readline())
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=5).read()  # nosec B310 # http
                break
            except ConnectionError:
                time.sleep(0.05)
        yield port, psutil.Process(process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


def signed_requests(port: int, count: int) -> list[bytes]:
    """Distinct requests as they stand on the wire, signed by botocore."""
    credentials = Credentials(SETTINGS.access_key_id, SETTINGS.secret_access_key)
    url = f"http://127.0.0.1:{port}/endpoints/{SETTINGS.endpoint}/invocations"
    requests = []
    for n in range(count):
        body = f"5,3.5,{n % 70 / 10},0.3".encode()
        headers = {"Content-Type": "text/csv", "X-Amzn-SageMaker-Inference-Id": f"{n}", "User-Agent": "benchmark"}
        request = AWSRequest("POST", url, data=body, headers=headers)
        SigV4Auth(credentials, "sagemaker", SETTINGS.region).add_auth(request)
        lines = [f"{name}: {value}" for name, value in request.headers.items()]
        lines += [f"Host: 127.0.0.1:{port}", f"Content-Length: {len(body)}"]
        head = "\r\n".join([f"POST /endpoints/{SETTINGS.endpoint}/invocations HTTP/1.1", *lines, "", ""])
        requests.append(head.encode() + body)
    return requests


class Connection(asyncio.Protocol):
    """Sends one request at a time and notes when its answer was complete."""

    def __init__(self, free: deque[Connection], times: list[float], refused: list[bytes]) -> None:
        self._free, self._times, self._refused = free, times, refused
        self._sent_at = 0.0
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one, but does not inherit from it
        self._free.append(self)

    def send(self, request: bytes) -> None:
        self._received = b""
        self._sent_at = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end or len(body) < int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]):
            return
        self._times.append((time.perf_counter() - self._sent_at) * 1e3)
        if not head.startswith(b"HTTP/1.1 200"):
            self._refused.append(head)
        self._free.append(self)


async def load(port: int, requests: list[bytes], rate: float, duration: float) -> tuple[list[float], int]:
    """Service times in ms and how many requests were not answered 200."""
    loop = asyncio.get_running_loop()
    free: deque[Connection] = deque()
    times: list[float] = []
    refused: list[bytes] = []
    for _ in range(CONNECTIONS):
        await loop.create_connection(lambda: Connection(free, times, refused), "127.0.0.1", port)
    total = int(rate * duration)
    started = time.perf_counter()
    sent = 0
    while sent < total:
        due = min(total, int((time.perf_counter() - started) * rate) + 1)
        while sent < due and free:
            free.popleft().send(requests[sent % len(requests)])
            sent += 1
        await asyncio.sleep(0.001)
    while len(times) < total:
        await asyncio.sleep(0.01)
    return times, len(refused)


def measure(name: str, code: str, rate: float, duration: float) -> None:
    with server(code) as (port, process):
        requests = signed_requests(port, 1000)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(asyncio.wait_for(load(port, requests, rate, 1), 10))
            before = process.cpu_times()
            times, refused = runner.run(asyncio.wait_for(load(port, requests, rate, duration), duration + 30))
            after = process.cpu_times()
    cpu = (after.user + after.system - before.user - before.system) / len(times)
    points = quantiles(times, n=100)
    print(
        f"{name:<34} {rate:>6,.0f}/s {cpu * 1e6:>6.0f} µs CPU a request, {1 / cpu:>6,.0f} a CPU-second; client sees "
        f"mean {mean(times):.2f} p50 {points[49]:.2f} p99 {points[98]:.2f} ms; {refused} not 200",
        flush=True,
    )


def botocore_signature() -> float:
    """Seconds for one of botocore's own signatures, the best of five rounds."""
    signer = SigV4Auth(Credentials("a", "b"), "sagemaker", "us-east-1")
    rounds = []
    for _ in range(5):
        started = time.perf_counter()
        for _ in range(500):
            signer.add_auth(AWSRequest("POST", "http://127.0.0.1/endpoints/e/invocations", data=b"5,3.5,1.3,0.3"))
        rounds.append((time.perf_counter() - started) / 500)
    return min(rounds)


def main() -> None:
    endpoint = ENDPOINT.format(settings=UNSATURATED.model_dump_json())
    print(f"one botocore signature: {botocore_signature() * 1e6:.0f} µs")
    measure("bare ASGI, unsigned constant", BARE, 2000, 5)
    measure("local endpoint, 64 workers", endpoint, 2000, 5)
    measure("bare ASGI, unsigned constant", BARE, 2000, 5)
    measure("local endpoint, 64 workers", endpoint, 2000, 5)
    measure("local endpoint, 4 workers, 8.5 ms", ENDPOINT.format(settings=SETTINGS.model_dump_json()), 400, 10)
    print(f"one botocore signature: {botocore_signature() * 1e6:.0f} µs")


if __name__ == "__main__":
    main()
