"""Faults of the endpoint: one run against a table of targets, each broken in its own way, beside one that is well.

Each target has a user class of its own, and so a name of its own in the run's summary. Faults that would disturb the
others, or that need a network of their own, have runs of their own.
"""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import json
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import psutil
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from sm_locust.record import outcome as kinds
from tests.faults.scenario import Row, Scenario
from tests.oracles.answers import CLOSE, HALF, HANG, RESET, AnswerServer, Step, answer, ok
from tests.runs.harness import ROOT, Locust, accounted, environment, free_port, locust, summary, wait_for

PART = "Endpoint"
TIMEOUT = 1.5  # seconds of one request
SECONDS = 5  # of arrivals
RATE = 4  # arrivals a second at each target
PATIENCE = 0.5  # seconds past the limit: two cores are shared with all the servers
MIB = 1024 * 1024

LOCUSTFILE = """\
import json, os
from locust import task
from sm_locust import ArrivalUser  # which brings the options
from sm_locust.load.invoker import Invoker
from sm_locust.load.invoker_users import InvokerUser

class Target(InvokerUser):
    abstract = True
    fixed_count = 1
    @classmethod
    def make_invoker(cls, load):
        return Invoker(load.connections(cls.url, cls.ca, None), "/", now=load.now, timeout=load.config.request.timeout)
    @classmethod
    def name_of(cls, config):
        return cls.title
    @task
    def ask(self):
        self.invoke()

for number, (title, url, ca) in enumerate(json.loads(os.environ["TARGETS"])):
    globals()[f"Target{number}"] = type(f"Target{number}", (Target,), {"title": title, "url": url, "ca": ca})
"""

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
FULL = b"X-More: " + b"x" * 60_000 + b"\r\n"


def slowly(data: bytes) -> list[Step]:
    """A byte a second."""
    return [step for byte in data for step in (bytes([byte]), 1.0)]


@dataclass(frozen=True)
class Fault:
    """injected  what the target does
    serve     starts it and yields its URL; None: `script` is played for each request
    kind      what its requests are to be
    trusts    whether the target's certificate is trusted as an authority
    """

    injected: str
    kind: str
    script: tuple[Step, ...] = ()
    serve: Callable[[Path], contextlib.AbstractContextManager[tuple[str, str | None]]] | None = None


@contextlib.contextmanager
def refused(_: Path) -> Iterator[tuple[str, None]]:
    yield f"http://127.0.0.1:{free_port()}", None


@contextlib.contextmanager
def deaf(_: Path) -> Iterator[tuple[str, None]]:
    """Its queue of connections is full, so that the kernel drops each SYN: as a firewall does."""
    with socket.socket() as full, contextlib.ExitStack() as waiting:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _n in range(3):
            one = waiting.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        yield f"http://127.0.0.1:{full.getsockname()[1]}", None


@contextlib.contextmanager
def at_hello(folder: Path, *, says: bytes | None) -> Iterator[tuple[str, None]]:
    """Answers the first bytes of a TLS handshake with these and closes; None: it never says anything."""
    held: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    sock, _ = listener.accept()
                    held.append(sock)
                    sock.recv(4096)
                    if says is not None:
                        sock.sendall(says)
                        sock.close()

        threading.Thread(target=serve, daemon=True).start()
        yield f"https://127.0.0.1:{listener.getsockname()[1]}", None
        listener.shutdown(socket.SHUT_RDWR)
        for sock in held:
            sock.close()


@contextlib.contextmanager
def certified(
    folder: Path, *, host: str = "127.0.0.1", days: int = 2, trusted: bool = True
) -> Iterator[tuple[str, str]]:
    """A TLS server that would answer well."""
    now = datetime.datetime.now(datetime.UTC)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    alternative: x509.GeneralName = x509.DNSName(host)
    with contextlib.suppress(ValueError):
        alternative = x509.IPAddress(ipaddress.ip_address(host))
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=30))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    made = Path(tempfile.mkdtemp(dir=folder))
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    (made / "own.pem").write_bytes(pem)
    (made / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made / "own.pem", made / "key.pem")
    with AnswerServer([ok()], tls=context) as server:
        yield server.url, str(made / "own.pem") if trusted else ""


FAULTS = (
    Fault("nothing: a target that is well, beside all the others", kinds.OK, (ok(),)),
    Fault("connection refused", kinds.CONNECT, serve=refused),
    Fault("black hole: SYN dropped", kinds.CONNECT_TIMEOUT, serve=deaf),
    Fault("black hole: accepted and never answered", kinds.TIMEOUT, (HANG,)),
    Fault("closed before the head", kinds.RESET, (CLOSE,)),
    Fault("reset before the head", kinds.RESET, (RESET,)),
    Fault("reset after the head", kinds.RESET, (HEAD, 0.05, RESET)),
    Fault("reset in the middle of the body", kinds.RESET, (HEAD + b"set", 0.05, RESET)),
    Fault("half-closed before the head", kinds.RESET, (HALF, HANG)),
    Fault("half-closed in the middle of the body", kinds.RESET, (HEAD + b"set", HALF, HANG)),
    Fault("slow headers: a byte a second", kinds.TIMEOUT, tuple(slowly(ok()))),
    Fault("slow body: a byte a second", kinds.TIMEOUT, (HEAD, *slowly(b"setosa"))),
    Fault("TLS: plain HTTP on the port", kinds.TLS, serve=partial(at_hello, says=answer(400, b"plain"))),
    Fault("TLS: garbage in the handshake", kinds.TLS, serve=partial(at_hello, says=b"\x16\x03\x03\x00\x04????")),
    Fault("TLS: closed in the handshake", kinds.TLS, serve=partial(at_hello, says=b"")),
    Fault("TLS: a handshake that never goes on", kinds.CONNECT_TIMEOUT, serve=partial(at_hello, says=None)),
    Fault("certificate of another host", kinds.CERTIFICATE, serve=partial(certified, host="elsewhere.example")),
    Fault("certificate that has expired", kinds.CERTIFICATE, serve=partial(certified, days=-1)),
    Fault("certificate of an unknown authority", kinds.CERTIFICATE, serve=partial(certified, trusted=False)),
    Fault("400 to everything", kinds.UNEXPECTED_ANSWER, (answer(400, b"no"),)),
    Fault("404 to everything", kinds.UNEXPECTED_ANSWER, (answer(404, b"no"),)),
    Fault("403 AccessDeniedException to everything", kinds.ACCESS_DENIED,
          (answer(403, b"{}", "x-amzn-ErrorType: AccessDeniedException"),)),
    Fault("400 ThrottlingException to everything", kinds.THROTTLED,
          (answer(400, b"{}", "x-amzn-ErrorType: ThrottlingException"),)),
    Fault("429 to everything", kinds.THROTTLED, (answer(429, b"slow down"),)),
    Fault("424 ModelError to everything", kinds.MODEL_ERROR,
          (answer(424, b"{}", "x-amzn-ErrorType: ModelError"),)),
    Fault("500 to everything", kinds.INTERNAL, (answer(500, b"oops"),)),
    Fault("503 to everything", kinds.UNAVAILABLE, (answer(503, b"no room"),)),
    Fault("504 to everything", kinds.GATEWAY_TIMEOUT, (answer(504, b"waited"),)),
    Fault("redirect to everything", kinds.REDIRECT, (answer(302, b"", "Location: https://elsewhere.example/"),)),
    Fault("garbage: not HTTP", kinds.PROTOCOL, (b"SSH-2.0-OpenSSH_9.2\r\n", HANG)),
    Fault("garbage: status 000", kinds.PROTOCOL, (b"HTTP/1.1 000 None\r\nContent-Length: 0\r\n\r\n", HANG)),
    Fault("garbage: bad chunking", kinds.PROTOCOL, (CHUNKED + b"zz\r\nset\r\n", HANG)),
    Fault("garbage: two lengths that differ", kinds.PROTOCOL,
          (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", HANG)),
    Fault("length that is too long for the body", kinds.RESET, (HEAD + b"set", CLOSE)),
    Fault("length that is too short for the body", kinds.OK, (HEAD + b"setosa and more", CLOSE)),
    Fault("header bomb: a head that never ends", kinds.PROTOCOL, (b"HTTP/1.1 200 OK\r\n", *(FULL,) * 2000, HANG)),
    Fault("interim answers (102, 103) before the answer", kinds.OK,
          (b"HTTP/1.1 102 Processing\r\n\r\n", 0.01, b"HTTP/1.1 103 Early Hints\r\n" + FULL[:40] + b"\r\n\r\n", ok())),
    Fault("interim answers that never end", kinds.PROTOCOL, (b"HTTP/1.1 102 Processing\r\n\r\n" * 200_000, HANG)),
)  # fmt: skip


def command(folder: Path, *arguments: str, timeout: float = TIMEOUT, **arrivals: Any) -> list[str]:
    (folder / "targets.py").write_text(LOCUSTFILE)
    request = {"body": "5,3.5,1.3,0.3", "content_type": "text/csv", "timeout": timeout}
    (folder / "config.yaml").write_text(json.dumps({"request": request, "arrivals": arrivals}))
    return ["-f", str(folder / "targets.py"), "--sm-config", str(folder / "config.yaml"), "--headless", *arguments]


def naming(*targets: tuple[str, str, str | None]) -> dict[str, str]:
    return environment(TARGETS=json.dumps(targets), PYTHONPATH=str(ROOT))


@dataclass(frozen=True)
class Played:
    by_name: dict[str, Any]
    messages: dict[tuple[str, str], str]  # the first, by name and kind
    accounted: bool


@cache
def played() -> Played:
    """The one run against all of FAULTS."""
    with tempfile.TemporaryDirectory(prefix="sm-locust-faults-") as name, contextlib.ExitStack() as serving:
        folder, targets = Path(name), []
        for fault in FAULTS:
            if fault.serve is not None:
                url, ca = serving.enter_context(fault.serve(folder))
            else:
                url, ca = serving.enter_context(AnswerServer(list(fault.script))).url, None
            targets.append((fault.injected, url, ca or None))
        arguments = command(folder, "-u", str(len(FAULTS)), "-r", "1000", "-t", f"{SECONDS}s", per_user=RATE)
        with locust(folder, *arguments, env=naming(*targets)) as run:
            run.wait(60)
            assert run.folders(), run.output
            found = summary(run.the_folder())
            lines = (run.the_folder() / "failures.jsonl").read_text().splitlines()
    messages: dict[tuple[str, str], str] = {}
    for failure in map(json.loads, lines):
        messages.setdefault((failure["name"], failure["kind"]), failure["message"])
    return Played(found["by_name"], messages, holds_identities(found))


def holds_identities(found: dict[str, Any]) -> bool:
    try:
        accounted(found)
    except AssertionError:
        return False
    return True


def counts(requests: dict[str, Any]) -> dict[str, int]:
    """Requests by kind, good and cancelled ones too."""
    others = {name: requests[name] for name in ("ok", "cancelled") if requests[name]}
    return {**others, **requests["by_kind"]}


def said(by_kind: dict[str, int]) -> str:
    return ", ".join(f"{number} {kind}" for kind, number in by_kind.items()) or "nothing was sent"


def one_of_many(fault: Fault, _: Path) -> Row:
    run = played()
    found = run.by_name[fault.injected]
    by_kind = counts(found["requests"])
    slowest = max(found["latency_ms"]["max"] or 0.0, found["failed_latency_ms"]["max"] or 0.0) / 1e3
    message = run.messages.get((fault.injected, fault.kind))
    return Row(
        PART,
        fault.injected,
        f"{said(by_kind)}; none took longer than {slowest:.2f} s" + (f"; “{message[:160]}”" if message else ""),
        run.accounted and by_kind.keys() == {fault.kind} and slowest < TIMEOUT + PATIENCE,
    )


def enormous_bodies(folder: Path) -> Row:
    """64 MiB in each answer, twenty at a time: what is kept is bounded, what is received is counted."""
    body, in_flight = 64 * MIB, 20
    piece = b"x" * MIB
    script: list[Step] = [b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % body, *(piece,) * 64]
    with AnswerServer(script) as server:
        arguments = command(folder, "-u", "1", "-t", "5s", timeout=4.0, max_in_flight=in_flight, per_user=50)
        with locust(folder, *arguments, env=naming(("large", server.url, None))) as run:
            largest = largest_rss(run)
            run.wait(60)
            found = summary(run.the_folder())
    by_kind = counts(found["requests"])
    return Row(
        PART,
        f"enormous bodies: 64 MiB in each answer, {in_flight} at a time ({in_flight * 64} MiB)",
        f"{said(by_kind)}, {found['arrivals']['dropped']} dropped at max_in_flight; "
        f"the process took {largest} MiB at most",
        holds_identities(found) and by_kind.keys() <= {"ok", "timeout"} and "ok" in by_kind and largest < 800,
    )


def largest_rss(run: Locust) -> int:
    """MiB that its process had at most, until its end."""
    process, largest = psutil.Process(run.process.pid), 0
    while run.process.poll() is None:
        with contextlib.suppress(psutil.Error):
            largest = max(largest, process.memory_info().rss)
        time.sleep(0.02)
    return largest // MIB


class Addresses:
    """One port of several addresses of this machine: answers well, and remembers when each was asked."""

    def __init__(self, *addresses: str) -> None:
        self.asked: dict[str, list[float]] = {address: [] for address in addresses}
        self.connections: Counter[str] = Counter()
        self.port = free_port()
        self._listeners = [socket.create_server((address, self.port), backlog=128) for address in addresses]

    def __enter__(self) -> Addresses:
        for listener, address in zip(self._listeners, self.asked, strict=True):
            threading.Thread(target=self._accept, args=(listener, address), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for listener in self._listeners:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def _accept(self, listener: socket.socket, address: str) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = listener.accept()
                self.connections[address] += 1
                threading.Thread(target=self._serve, args=(sock, address), daemon=True).start()

    def _serve(self, sock: socket.socket, address: str) -> None:
        with sock, contextlib.suppress(OSError):
            while sock.recv(65536):
                self.asked[address].append(time.monotonic())
                time.sleep(0.02)  # so that several connections are needed
                sock.sendall(ok())


def with_names(folder: Path, hosts: str) -> list[str]:
    """A command before others: for them /etc/hosts is `hosts` of the folder, and no other source of names is asked."""
    (folder / "hosts").write_text(hosts)
    (folder / "nsswitch.conf").write_text("hosts: files\n")
    mounts = " && ".join(f"mount --bind {folder}/{name} /etc/{name}" for name in ("hosts", "nsswitch.conf"))
    return ["unshare", "-m", "sh", "-c", f'{mounts} && exec "$@"', "sh"]


class Named(Locust):
    """A `locust` in a mount namespace of its own."""

    def __init__(self, folder: Path, hosts: str, env: dict[str, str], *arguments: str) -> None:
        self.folder = folder
        self.runs = folder / "runs"
        self._out = open(folder / "locust.out", "wb")  # noqa: SIM115  # closed with the process
        self.process = subprocess.Popen(
            [*with_names(folder, hosts), sys.executable, "-m", "locust", "--sm-run-dir", str(self.runs), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=self._out,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=env,
            start_new_session=True,
        )


def dns_failure(folder: Path) -> Row:
    arguments = command(folder, "-u", "1", "-t", "3s", per_user=20)
    run = Named(folder, "127.0.0.1 localhost\n", naming(("x", "http://target.test:81", None)), *arguments)
    try:
        run.wait(60)
        found = summary(run.the_folder())
        first = json.loads((run.the_folder() / "failures.jsonl").read_text().splitlines()[0])
    finally:
        run.close()
    by_kind = counts(found["requests"])
    holds = holds_identities(found) and by_kind.keys() == {kinds.DNS}
    return Row(PART, "DNS failure: a name without an address", f"{said(by_kind)}; “{first['message']}”", holds)


def dns_change(folder: Path) -> Row:
    """The name moves from one address to another in mid-run; both serve on."""
    old, new = "127.0.0.2", "127.0.0.3"
    with Addresses(old, new) as target:
        arguments = command(folder, "-u", "1", "-t", "70s", per_user=100)
        env = naming(("moves", f"http://target.test:{target.port}", None))
        run = Named(folder, f"{old} target.test\n", env, *arguments)
        try:
            wait_for("requests", lambda: target.asked[old], 30)
            time.sleep(3.0)
            (folder / "hosts").write_text(f"{new} target.test\n")
            changed = time.monotonic()
            run.wait(120)
            found = summary(run.the_folder())
        finally:
            run.close()
    by_kind = counts(found["requests"])
    first, last = target.asked[new][0] - changed, target.asked[old][-1] - changed
    served = len(target.asked[old]) + len(target.asked[new])
    holds = (
        holds_identities(found)
        and by_kind.keys() == {"ok"}
        and served == by_kind["ok"]
        and 0 < first < 61.5
        and last < 61.5
    )
    return Row(
        PART,
        "DNS change: the name moves to another address in mid-run, and both serve on",
        f"{said(by_kind)}; the new address was asked from {first:.0f} s after the change on, the old one until "
        f"{last:.0f} s after it; {target.connections[old]} connections were replaced by {target.connections[new]}",
        holds,
    )


def several_addresses(folder: Path) -> Row:
    addresses = ("127.0.0.2", "127.0.0.3", "127.0.0.4")
    with Addresses(*addresses) as target:
        arguments = command(folder, "-u", "1", "-t", "4s", per_user=400)
        hosts = "".join(f"{address} target.test\n" for address in addresses)
        run = Named(folder, hosts, naming(("x", f"http://target.test:{target.port}", None)), *arguments)
        try:
            run.wait(60)
            found = summary(run.the_folder())
        finally:
            run.close()
    by_kind = counts(found["requests"])
    connections = [target.connections[address] for address in addresses]
    return Row(
        PART,
        "DNS: a name with three addresses",
        f"{said(by_kind)}; connections to each: {', '.join(map(str, connections))}; "
        f"requests: {', '.join(str(len(target.asked[address])) for address in addresses)}",
        holds_identities(found) and by_kind.keys() == {"ok"} and max(connections) - min(connections) <= 1,
    )


SCENARIOS: tuple[Scenario, ...] = (
    *(partial(one_of_many, fault) for fault in FAULTS),
    enormous_bodies,
    *((dns_failure, several_addresses, dns_change) if shutil.which("unshare") else ()),
)
