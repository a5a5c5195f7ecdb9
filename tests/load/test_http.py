"""Connections against servers of known answers: what is kept, replaced and trusted, and every fault by its name."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import socket
import ssl
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import gevent

import pytest

from sm_locust.load.answer import Answer
from sm_locust.load.connection import HttpFault
from sm_locust.load.http import Connections
from sm_locust.record.outcome import CERTIFICATE, CONNECT, CONNECT_TIMEOUT, DNS, PROTOCOL, RESET, TIMEOUT, TLS
from tests.oracles import answers
from tests.oracles.answers import CLOSE, HANG, AnswerServer, answer, ok, unread

HEAD = b"POST /p HTTP/1.1\r\nHost: known\r\nContent-Length: 4\r\n\r\n"


def exchange(connections: Connections, timeout: float = 5.0, max_body: int = 1 << 24) -> Answer:
    received = Answer(max_body)
    connections.exchange(received, HEAD, b"body", timeout, time.perf_counter)
    return received


def fault(connections: Connections, timeout: float = 5.0) -> HttpFault:
    with pytest.raises(HttpFault) as raised:
        exchange(connections, timeout)
    return raised.value


@pytest.fixture
def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextlib.contextmanager
def unanswering(address: str, port: int = 0) -> Iterator[int]:
    """A port on which whoever connects waits."""
    with socket.socket() as full, contextlib.ExitStack() as stack:
        full.bind((address, port))
        full.listen(0)
        for _ in range(3):  # more than the queue of connections not yet accepted takes
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        yield full.getsockname()[1]


# -- kept alive ------------------------------------------------------------------------------------------------------


def test_one_connection_serves_one_request_after_the_other() -> None:
    with AnswerServer([ok()]) as server:
        connections = Connections(server.url)
        first, *later = [exchange(connections) for _ in range(5)]
        connections.close()
    assert first.connected is not None
    assert [answer.connected for answer in later] == [None] * 4
    assert (server.connections, connections.opened) == (1, 1)


def test_concurrent_requests_get_their_own_answers() -> None:
    with AnswerServer([lambda request: ok(request.partition(b"\r\n\r\n")[2])]) as server:
        connections = Connections(server.url)

        def ask(number: int) -> bool:
            body = b"%04d" % number
            received = Answer()
            connections.exchange(received, HEAD, body, 5.0, time.perf_counter)
            return received.body == body

        for _ in range(3):
            asked = [gevent.spawn(ask, number) for number in range(50)]
            gevent.joinall(asked)
            assert all(greenlet.value for greenlet in asked)
        connections.close()
    assert len(server.requests) == 150
    assert server.connections == connections.opened <= 50


@pytest.mark.parametrize(
    "last",
    [
        pytest.param([answer(200, b"x", "Connection: close"), CLOSE], id="the answer said close"),
        pytest.param([b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx"], id="the answer was HTTP/1.0"),
        pytest.param([ok(b"x") + b"more"], id="bytes came after the end"),
        pytest.param([ok(b"x") + ok(b"unasked")], id="a second answer came after the first"),
        pytest.param([b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"], id="protocol switched"),
        pytest.param([b"HTTP/1.1 200 OK\r\n\r\nx", CLOSE], id="the body ended with the connection"),
    ],
)
def test_a_connection_is_not_used_again_when(last: list[answers.Step]) -> None:
    with AnswerServer(last, [ok(b"next")]) as server:
        connections = Connections(server.url)
        spoiled = exchange(connections)
        assert spoiled.status in (200, 101)
        assert spoiled.body in (b"x", b"")
        assert exchange(connections).body == b"next"
        connections.close()
    assert connections.opened == 2


@pytest.mark.parametrize("leftover", [b"", b"late", ok(b"unasked")])
def test_an_idle_connection_that_was_closed_or_spoken_to_is_replaced_before_anything_is_sent(leftover: bytes) -> None:
    with AnswerServer([ok(b"1"), 0.02, leftover, CLOSE], [ok(b"2")]) as server:
        connections = Connections(server.url)
        assert exchange(connections).body == b"1"
        gevent.sleep(0.1)
        second = exchange(connections)
        connections.close()
    assert second.body == b"2"
    assert second.connected is not None
    assert len(server.requests) == connections.opened == 2


def test_a_request_that_a_kept_alive_connection_swallowed_is_not_sent_again() -> None:
    with AnswerServer([ok()], [CLOSE], [ok()]) as server:
        connections = Connections(server.url)
        exchange(connections)
        assert fault(connections).kind == RESET
        assert len(server.requests) == 2
        assert exchange(connections).status == 200
        connections.close()


@pytest.mark.parametrize("how", ["timeout", "GreenletExit"])
def test_a_connection_is_closed_when_its_exchange_ended_early_by(how: str) -> None:
    with AnswerServer([0.2, ok(b"late")], [ok(b"own")]) as server:
        connections = Connections(server.url)
        if how == "timeout":
            assert fault(connections, timeout=0.05).kind == TIMEOUT
        else:
            greenlet = gevent.spawn(exchange, connections)
            gevent.sleep(0.05)
            greenlet.kill()
        gevent.sleep(0.25)
        assert exchange(connections).body == b"own"
        connections.close()
    assert connections.opened == 2


def test_close_ends_idle_connections_now_and_busy_ones_when_they_are_done() -> None:
    with AnswerServer([ok()], [0.1, ok(b"busy")]) as server:
        connections = Connections(server.url)
        exchange(connections)
        busy = gevent.spawn(exchange, connections)
        gevent.sleep(0.03)
        connections.close()
        assert busy.get().body == b"busy"
        assert exchange(connections).connected is not None
        assert exchange(connections).connected is not None


def test_connections_are_kept_alive_past_file_descriptor_1024() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 1400:
        pytest.skip(f"at most {hard} descriptors are allowed here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1400), hard))
    taken = [os.open(os.devnull, os.O_RDONLY)]
    try:
        while taken[-1] < 1100:
            taken.append(os.open(os.devnull, os.O_RDONLY))
        with AnswerServer([ok()]) as server:
            connections = Connections(server.url)
            for _ in range(3):
                exchange(connections)
            connections.close()
        assert connections.opened == 1
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# -- answers ---------------------------------------------------------------------------------------------------------


def test_header_names_and_values_cut_anywhere_are_put_together() -> None:
    whole = answer(400, b"no", "X-Empty:", "x-Amzn-ErrorType: ValidationError", "X-Last: 1")
    for cut in range(1, len(whole)):
        received = Answer()
        received.take(whole[:cut])
        received.take(whole[cut:])
        assert received.headers == {
            "content-length": "2",
            "x-empty": "",
            "x-amzn-errortype": "ValidationError",
            "x-last": "1",
        }
        assert (received.status, received.body, received.reusable) == (400, b"no", True)


def test_an_interim_answer_leaves_nothing_in_the_real_one() -> None:
    received = Answer()
    received.take(b"HTTP/1.1 103 Early Hints\r\nX-Hint: 1\r\n\r\n" + ok(b"real"))
    assert (received.status, received.body, received.headers) == (200, b"real", {"content-length": "4"})


@pytest.mark.parametrize("after", [b"\x00", ok(b"unasked", "X-Other: 1", "Set-Cookie: b=2")])
def test_headers_are_those_of_the_answer_whatever_comes_with_its_last_byte(after: bytes) -> None:
    received = Answer()
    received.take(answer(400, b"no", "x-Amzn-ErrorType: Throttling", "Set-Cookie: a=1") + after)
    assert received.headers == {"content-length": "2", "x-amzn-errortype": "Throttling", "set-cookie": "a=1"}
    assert received.cookies == ["a=1"]


def test_a_change_of_protocol_that_nobody_asked_for_has_headers_too() -> None:
    received = Answer()
    received.take(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n")
    assert (received.status, received.reusable) == (101, False)
    assert received.headers == {"upgrade": "h2c", "connection": "Upgrade"}


def test_only_the_first_part_of_a_large_body_is_kept_and_all_of_it_counted() -> None:
    large = os.urandom(300_000)
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"".join(
        b"%x\r\n%b\r\n" % (1000, large[at : at + 1000]) for at in range(0, len(large), 1000)
    )
    with AnswerServer([ok(large)], [chunked + b"0\r\n\r\n"]) as server:
        connections = Connections(server.url)
        for _ in range(2):
            received = exchange(connections, max_body=70_500)
            assert received.body == large[:70_500]
            assert received.received == len(large)
        connections.close()
    assert connections.opened == 1


def test_a_large_request_arrives_whole() -> None:
    body = os.urandom(3_000_000)
    with AnswerServer([ok()]) as server:
        connections = Connections(server.url)
        long = b"x" * 5_000_000  # a header beyond what a socket takes at once
        head = b"POST /p HTTP/1.1\r\nHost: known\r\nX-Long: %b\r\nContent-Length: %d\r\n\r\n" % (long, len(body))
        connections.exchange(Answer(), head, body, 10.0, time.perf_counter)
        connections.close()
    assert server.requests == [head + body]


def test_an_answer_to_a_request_that_the_server_would_not_read_to_the_end_stands() -> None:
    with unread(answer(413, b"too large")) as at:
        connections = Connections(f"http://{at}")
        received = Answer()
        connections.exchange(received, HEAD, b"x" * 20_000_000, 5.0, time.perf_counter)
        connections.close()
    assert (received.status, received.body) == (413, b"too large")


# -- names and ages --------------------------------------------------------------------------------------------------


class Names:
    """In the place of gevent's resolver: the test says what addresses a name has, and how long that takes."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses
        self.takes = 0.0
        self.asked = 0

    def getaddrinfo(self, host: str, port: int, *_: object) -> list[object]:
        self.asked += 1
        gevent.sleep(self.takes)
        if not self.addresses:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in self.addresses]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    found = Names("127.0.0.1")
    monkeypatch.setattr("gevent.socket.getaddrinfo", found.getaddrinfo)
    return found


def named(server: AnswerServer, max_age: float = 60.0) -> Connections:
    return Connections(f"http://target.test:{server.port}", max_age=max_age)


def test_a_connection_to_a_name_is_replaced_beside_the_load_and_one_to_an_address_never(names: Names) -> None:
    with AnswerServer([ok()]) as server:
        connections, literal = named(server, max_age=0.2), Connections(server.url, max_age=0.2)
        answers_ = []
        began = time.monotonic()
        while connections.opened < 4:
            answers_.append(exchange(connections))
            exchange(literal)
            gevent.sleep(0.005)
        took = time.monotonic() - began
        connections.close()
        literal.close()
    # No request but the first has waited for a connection, and no two connections were needed at a time.
    assert [answer.connected is None for answer in answers_] == [False] + [True] * (len(answers_) - 1)
    assert took > 3 * 0.1, "each serves for more than half of its age"
    assert names.asked == connections.opened
    assert literal.opened == 1


def test_where_a_name_has_no_address_any_more_the_old_connection_serves_on(names: Names) -> None:
    with AnswerServer([ok()]) as server:
        connections = named(server, max_age=0.1)
        exchange(connections)
        names.addresses = ()
        for _ in range(20):
            assert exchange(connections).status == 200
            gevent.sleep(0.02)
        assert connections.opened == 2  # it was tried, once
        connections.close()
    assert server.connections == 1


def test_a_connection_that_is_old_and_not_needed_is_not_replaced(names: Names, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sm_locust.load.pool._UNUSED", 0.1)
    with AnswerServer([ok()]) as server:
        connections = named(server, max_age=0.2)
        exchange(connections)
        gevent.sleep(0.5)
        assert connections.opened == 1
        assert exchange(connections).connected is not None
        connections.close()


def test_requests_longer_than_the_age_do_not_have_a_second_connection_opened_for_each_look(names: Names) -> None:
    with AnswerServer([0.3, ok()]) as server:
        connections = named(server, max_age=0.1)

        def ask() -> None:
            for _ in range(2):
                exchange(connections)

        asking = [gevent.spawn(ask) for _ in range(20)]
        most = 0
        while not all(greenlet.ready() for greenlet in asking):
            gevent.sleep(0.02)
            most = max(most, len(connections.pool.all))
        connections.close()
    # At least those in flight, and those that stand ready when they end. At a look every 10 ms it was hundreds.
    assert 20 < most <= 20 + 10


def test_an_address_that_did_not_answer_is_tried_last_for_a_while(names: Names) -> None:
    with AnswerServer([ok()]) as server, unanswering("127.0.0.9", server.port):
        connections = Connections(f"http://target.test:{server.port}", connect_timeout=0.5)
        names.addresses = ("127.0.0.9", "127.0.0.1")
        took = []
        for _ in range(6):
            received = exchange(connections)
            took.append(received.connected or 0.0)
            connections.pool.retire(connections.pool.idle[0])
        connections.close()
    assert sum(seconds > 0.45 for seconds in took) == 1


def test_a_replacement_takes_no_longer_where_several_addresses_do_not_answer(names: Names) -> None:
    silent = [f"127.0.0.{n}" for n in range(5, 10)]
    with AnswerServer([ok()]) as server, contextlib.ExitStack() as stack:
        for address in silent:
            stack.enter_context(unanswering(address, server.port))
        connections = Connections(f"http://target.test:{server.port}", connect_timeout=0.5)
        exchange(connections)
        names.addresses = tuple(silent)
        began = time.monotonic()
        connections.pool.replace(connections.pool.idle[0])
        assert time.monotonic() - began < 2.0, "2.5 s one after the other"
        assert exchange(connections).connected is None  # the old one serves on
        connections.close()


def test_replacements_that_get_nowhere_keep_no_other_connection_from_being_closed(
    names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sm_locust.load.pool._UNUSED", 0.3)
    with AnswerServer([0.05, ok()]) as server:
        connections = named(server, max_age=0.2)
        gevent.joinall([gevent.spawn(exchange, connections) for _ in range(20)], raise_error=True)
        names.takes = 5.0  # a look-up that hangs
        gevent.sleep(0.7)
        assert len(connections.pool.all) <= 8
        connections.close()


def test_a_timeout_of_one_family_says_more_than_that_the_other_has_no_route(monkeypatch: pytest.MonkeyPatch) -> None:
    with unanswering("127.0.0.9") as port:
        both = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.9", port)),
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", 1, 0, 0)),  # refused, or no such family
        ]
        monkeypatch.setattr("gevent.socket.getaddrinfo", lambda *_: both)
        assert fault(Connections(f"http://target.test:{port}", connect_timeout=0.1)).kind == CONNECT_TIMEOUT


def test_a_resolver_that_hangs_until_the_time_limit_of_the_request_is_a_dns_fault(names: Names) -> None:
    names.takes = 5.0
    assert fault(Connections("http://target.test"), timeout=0.1).kind == DNS


def test_a_resolver_that_names_no_address_is_a_dns_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gevent.socket.getaddrinfo", lambda *_: [])
    assert fault(Connections("http://target.test")).kind == DNS


def test_those_who_need_a_name_at_once_share_one_look_up(names: Names) -> None:
    names.takes = 0.2
    with AnswerServer([0.05, ok()]) as server:
        connections = named(server)
        asking = [gevent.spawn(exchange, connections) for _ in range(50)]
        gevent.joinall(asking, raise_error=True)
        connections.close()
    assert names.asked == 1


def test_a_resolver_that_does_not_answer_is_a_dns_fault(names: Names) -> None:
    names.takes = 5.0
    silent = fault(Connections("http://target.test", connect_timeout=0.1))
    assert silent.kind == DNS
    assert "0.1 s" in silent.message


def test_connections_take_the_addresses_of_a_name_in_turn_and_one_that_refuses_is_passed_over(names: Names) -> None:
    with AnswerServer([0.1, ok()]) as server:
        names.addresses = ("127.0.0.2", "127.0.0.1", "127.0.0.3")  # nobody listens on the others
        connections = named(server)
        gevent.joinall([gevent.spawn(exchange, connections) for _ in range(6)], raise_error=True)
        connections.close()
    with contextlib.ExitStack() as stack:
        first = socket.create_server(("127.0.0.2", 0), backlog=16)
        second = socket.create_server(("127.0.0.3", first.getsockname()[1]), backlog=16)
        listeners = [stack.enter_context(listener) for listener in (first, second)]
        names.addresses = ("127.0.0.3", "127.0.0.2")
        connections = Connections(f"http://target.test:{first.getsockname()[1]}")
        waiting = [gevent.spawn(fault, connections, 0.3) for _ in range(8)]
        gevent.joinall(waiting, raise_error=True)
        accepted = []
        for listener in listeners:
            listener.settimeout(0.05)
            accepted.append(0)
            with contextlib.suppress(TimeoutError):
                while True:
                    listener.accept()[0].close()
                    accepted[-1] += 1
    assert accepted == [4, 4]


# -- bounds ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [b"X-More: " + b"x" * 1000 + b"\r\n", b"HTTP/1.1 102 Processing\r\n\r\n" * 30])
def test_a_head_that_does_not_end_is_a_protocol_fault_before_it_fills_the_memory(more: bytes) -> None:
    begin = b"" if more.startswith(b"HTTP") else b"HTTP/1.1 200 OK\r\n"
    with AnswerServer([begin, *(more,) * 1000, HANG]) as server:
        endless = fault(Connections(server.url))
    assert endless.kind == PROTOCOL
    assert "256 KiB" in endless.message


def test_large_bodies_are_kept_only_as_far_as_the_process_has_room_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sm_locust.load.answer._Lease.free", 200_000)
    with AnswerServer([ok(b"x" * 200_000)]) as server:
        connections = Connections(server.url)
        first, second = exchange(connections), exchange(connections)
        assert (first.received, second.received) == (200_000, 200_000)
        assert len(first.body) == 200_000
        assert 65_536 <= len(second.body) < 200_000
        assert first.body is first.body  # not made twice
        del first, second
        assert len(exchange(connections).body) == 200_000  # what they had is free again
        connections.close()


def test_what_is_kept_of_a_body_is_its_beginning_also_when_room_comes_free_in_between(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sm_locust.load.answer._Lease.free", 0)
    received = Answer()
    received.take(answer(200, b"x" * 200_000)[:-200_000] + b"A" * 60_000)
    received.take(b"B" * 60_000)
    monkeypatch.setattr("sm_locust.load.answer._Lease.free", 1_000_000)
    received.take(b"C" * 80_000)
    assert (received.status, received.received, received.body) == (200, 200_000, b"A" * 60_000)


@pytest.mark.parametrize("cut", [1, 5, 1000])
def test_what_is_expected_is_found_also_in_what_is_not_kept(cut: int) -> None:
    body = b"x" * 95 + b"expected" + b"x" * 100  # kept is up to within it
    for expect, found in ((b"expected", True), (b"unexpected", False), (b"x" * 101, False), (b"d", True)):
        received = Answer(max_body=100, expect=expect)
        whole = answer(200, body)
        for at in range(0, len(whole), cut):
            received.take(whole[at : at + cut])
        assert (received.status, len(received.body), received.as_expected) == (200, 100, found)


def test_a_body_of_tiny_chunks_takes_no_more_memory_than_its_bytes() -> None:
    tracemalloc.start()
    received = Answer()
    received.take(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(10):
        received.take(b"2\r\nab\r\n" * 5_000)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert received.body == b"ab" * 50_000
    assert held < 300_000


# -- faults ----------------------------------------------------------------------------------------------------------


def test_a_slow_drip_ends_at_the_total_time_limit() -> None:
    drip: list[answers.Step] = [answer(200, b"x" * 100)[:-90]]
    for _ in range(90):
        drip += [0.02, b"x"]
    with AnswerServer(drip) as server:
        connections = Connections(server.url)
        began = time.perf_counter()
        slow = fault(connections, timeout=0.3)
        took = time.perf_counter() - began
    assert slow.kind == TIMEOUT
    assert "bytes of its body came" in slow.message
    assert 0.29 < took < 1.5  # the drip itself lasts 1.8 s


def test_a_server_that_reads_nothing_ends_at_the_time_limit(unused_port: int) -> None:
    with socket.create_server(("127.0.0.1", unused_port)):
        connections = Connections(f"http://127.0.0.1:{unused_port}")
        with pytest.raises(HttpFault) as raised:
            connections.exchange(Answer(), HEAD, b"x" * 20_000_000, 0.2, time.perf_counter)
    assert raised.value.kind == TIMEOUT
    assert "nothing of its body came" in raised.value.message


def test_a_name_without_an_address_is_a_dns_fault() -> None:
    assert fault(Connections("http://name.invalid"), timeout=20).kind == DNS


def test_a_refused_connection_is_a_connect_fault(unused_port: int) -> None:
    refused = fault(Connections(f"http://127.0.0.1:{unused_port}"))
    assert refused.kind == CONNECT
    assert str(unused_port) in refused.message


def test_an_address_that_accepts_nothing_is_a_connect_timeout() -> None:
    with unanswering("127.0.0.1") as port:
        stalled = fault(Connections(f"http://127.0.0.1:{port}", connect_timeout=0.2))
    assert stalled.kind == CONNECT_TIMEOUT
    assert "0.2 s" in stalled.message


@pytest.mark.parametrize(
    "nonsense",
    [b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 000 None\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"],
)
def test_what_is_not_http_is_a_protocol_fault(nonsense: bytes) -> None:
    with AnswerServer([nonsense, HANG]) as server:
        assert fault(Connections(server.url)).kind == PROTOCOL


# -- TLS -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with self-signed certificates: `here.pem` is of 127.0.0.1, `elsewhere.pem` of another host."""
    if shutil.which("openssl") is None:
        pytest.skip("needs the openssl command to make a certificate")
    folder = tmp_path_factory.mktemp("certificates")
    for name, subject in (("here", "IP:127.0.0.1"), ("elsewhere", "DNS:elsewhere.example")):
        made = f"req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN={name}".split()
        files = ["-addext", f"subjectAltName={subject}", "-keyout", f"{name}.key", "-out", f"{name}.pem"]
        subprocess.run(["openssl", *made, *files], cwd=folder, check=True, capture_output=True)
    yield folder


def tls_server(certificates: Path, name: str, *scripts: list[answers.Step]) -> AnswerServer:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / f"{name}.pem", certificates / f"{name}.key")
    return AnswerServer(*scripts, tls=context)


def test_a_trusted_certificate_is_served_over_one_kept_alive_connection(certificates: Path) -> None:
    large = os.urandom(200_000)  # many TLS records
    with tls_server(certificates, "here", [ok(b"first")], [ok(large)], [ok(b"last")]) as server:
        connections = Connections(server.url, ca_bundle=str(certificates / "here.pem"))
        assert [exchange(connections).body for _ in range(3)] == [b"first", large, b"last"]
        connections.close()
    assert connections.opened == 1


def test_an_idle_tls_connection_that_was_closed_is_replaced(certificates: Path) -> None:
    with tls_server(certificates, "here", [ok(b"1"), CLOSE], [ok(b"2")]) as server:
        connections = Connections(server.url, ca_bundle=str(certificates / "here.pem"))
        exchange(connections)
        gevent.sleep(0.1)
        assert exchange(connections).body == b"2"
        connections.close()
    assert connections.opened == 2


def test_a_certificate_is_refused_when_its_authority_is_unknown_or_it_is_of_another_host(certificates: Path) -> None:
    with tls_server(certificates, "here", [ok()]) as server:
        unknown = fault(Connections(server.url))
    with tls_server(certificates, "elsewhere", [ok()]) as server:
        mistaken = fault(Connections(server.url, ca_bundle=str(certificates / "elsewhere.pem")))
    assert (unknown.kind, mistaken.kind) == (CERTIFICATE, CERTIFICATE)
    assert "self-signed" in unknown.message
    assert "127.0.0.1" in mistaken.message
    assert server.requests == []


def test_a_connection_that_was_replaced_over_tls_is_used(certificates: Path, names: Names) -> None:
    with tls_server(certificates, "here", [ok()]) as server:
        connections = Connections(f"https://target.test:{server.port}", insecure=True, max_age=0.2)
        answers_ = []
        while connections.opened < 4:
            answers_.append(exchange(connections))
            gevent.sleep(0.01)
        connections.close()
    # The tickets that TLS 1.3 sends after a handshake are nothing that was said on the connection.
    assert [answer.connected is None for answer in answers_] == [False] + [True] * (len(answers_) - 1)


def test_any_certificate_will_do_only_when_told_so(certificates: Path) -> None:
    with tls_server(certificates, "elsewhere", [ok()]) as server:
        connections = Connections(server.url, insecure=True)
        assert exchange(connections).status == 200
        connections.close()


def test_a_server_without_tls_is_a_tls_fault() -> None:
    with unread(b"220 no TLS here\r\n") as at:
        assert fault(Connections(f"https://{at}")).kind == TLS


def test_a_tls_handshake_that_never_ends_is_a_connect_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        assert fault(Connections(url, connect_timeout=0.1)).kind == CONNECT_TIMEOUT
        assert fault(Connections(url), timeout=0.1).kind == CONNECT_TIMEOUT


UNPATCHED = """
import socket, gevent
from gevent import monkey
from sm_locust.load.answer import Answer
from sm_locust.load.connection import HttpFault
from sm_locust.load.http import Connections
assert not monkey.is_module_patched("socket") and not monkey.is_module_patched("ssl")
silent = socket.create_server(("127.0.0.1", 0))
connections = Connections(f"https://127.0.0.1:{silent.getsockname()[1]}", connect_timeout=0.2)
ticks = []
def tick():
    while True:
        gevent.sleep(0.01)
        ticks.append(1)
gevent.spawn(tick)
try:
    connections.exchange(Answer(), b"", b"", 5.0, lambda: 0.0)
except HttpFault as fault:
    print(fault.kind, len(ticks) > 1)
"""


def test_without_monkey_patching_a_tls_handshake_leaves_other_greenlets_running() -> None:
    ran = subprocess.run([sys.executable, "-c", UNPATCHED], capture_output=True, text=True, timeout=30)
    assert (ran.stdout.split(), ran.stderr) == ([CONNECT_TIMEOUT, "True"], "")


# -- proxy -----------------------------------------------------------------------------------------------------------


def test_a_proxy_is_asked_for_a_tunnel_with_its_login_and_the_request_goes_through_it() -> None:
    with AnswerServer([b"HTTP/1.1 200 Connection established\r\n\r\n"], [ok(b"tunnelled")]) as proxy:
        connections = Connections("http://far.invalid:8080", proxy=f"http://me:p%40ss@127.0.0.1:{proxy.port}")
        assert exchange(connections).body == b"tunnelled"
        assert exchange(connections).body == b"tunnelled"
        connections.close()
    tunnel, *requests = proxy.requests
    assert tunnel.split(b"\r\n") == [
        b"CONNECT far.invalid:8080 HTTP/1.1",
        b"Host: far.invalid:8080",
        b"Proxy-Authorization: Basic bWU6cEBzcw==",  # me:p@ss
        b"",
        b"",
    ]
    assert requests == [HEAD + b"body"] * 2


@pytest.mark.parametrize("refusal", [[answer(407)], [CLOSE], [b"nonsense\r\n\r\n"]])
def test_a_proxy_that_opens_no_tunnel_is_a_connect_fault(refusal: list[answers.Step]) -> None:
    with AnswerServer(refusal) as proxy:
        refused = fault(Connections("https://far.invalid", proxy=proxy.url))
    assert refused.kind == CONNECT
    assert "proxy" in refused.message


# -- arguments -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"url": "ftp://example.com"}, "ftp://example.com"),
        ({"url": "example.com"}, "http://host"),
        ({"url": "http://"}, "http://"),
        ({"url": "http://example.com:port"}, "port"),
        ({"url": "http://example.com", "proxy": "socks5://127.0.0.1:1"}, "socks5"),
        ({"url": "http://.example.com"}, "accepted is a host of up to 253 characters"),
        ({"url": "https://two..dots"}, "accepted is a host of up to 253 characters"),
        ({"url": "http://example.com", "proxy": f"http://{'a' * 64}"}, "proxy 'http://aaa"),
        ({"url": f"https://{'.'.join(['a' * 63] * 4)}"}, "accepted is a host of up to 253 characters"),
        ({"url": "https://example.com", "ca_bundle": "/nowhere.pem"}, "/nowhere.pem"),
    ],
)
def test_what_cannot_be_connected_to_is_refused_by_name(arguments: dict[str, str], named: str) -> None:
    with pytest.raises(ValueError) as refused:
        Connections(**arguments)  # type: ignore[arg-type]
    assert named in str(refused.value)
