"""A server of known answers: it reads a request and plays the bytes it was told to, however wrong they are.

Raw sockets and threads of the standard library, nothing of sm_locust and no HTTP library: what a client makes of an
answer is judged against what was put on the wire.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

CLOSE = "close"  # an orderly end of the connection (FIN)
HALF = "half"  # the end of what the server sends; it goes on reading
RESET = "reset"  # a broken one (RST)
HANG = "hang"  # nothing more until the client goes away

Step = bytes | float | str | Callable[[bytes], bytes]


def ok(body: bytes = b"setosa", *headers: str) -> bytes:
    """A good answer of known length."""
    return answer(200, body, *headers)


def answer(status: int, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} Known", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


@contextlib.contextmanager
def unread(said: bytes) -> Iterator[str]:
    """Where a server says that after the first bytes it gets, and is gone without reading the others: host and port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def play() -> None:
            sock, _ = listener.accept()
            with sock:
                sock.recv(1000)
                sock.sendall(said)

        playing = threading.Thread(target=play, daemon=True)
        playing.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        playing.join(5)


class AnswerServer:
    """Plays the n-th script for the n-th request, over all connections; the last script is played again and again.

    A script's steps: bytes are sent, a number is slept (seconds), a function is given the request and its result is
    sent, HALF ends one direction, CLOSE, RESET and HANG end the connection. After a script that ends none the next
    request is read.
    """

    def __init__(self, *scripts: list[Step], tls: ssl.SSLContext | None = None) -> None:
        self._scripts = scripts
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._open: set[Any] = set()
        self.port: int = self._listener.getsockname()[1]
        self.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{self.port}"
        self.requests: list[bytes] = []  # whole requests, in the order they came
        self.connections = 0

    def __enter__(self) -> AnswerServer:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._shut(self._listener)
        self._threads[0].join(5)
        self._listener.close()
        for sock in list(self._open):
            self._shut(sock)
        for thread in self._threads[1:]:
            thread.join(5)

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(sock,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock: Any) -> None:
        try:
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
                sock.do_handshake()
            self._open.add(sock)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while (request := _read_request(sock)) is not None:
                number = len(self.requests)
                self.requests.append(request)
                for step in self._scripts[min(number, len(self._scripts) - 1)]:
                    if step == CLOSE:
                        return
                    if step == HALF:
                        sock.shutdown(socket.SHUT_WR)
                        continue
                    if step == RESET:
                        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                        return
                    if step == HANG:
                        select.select([sock], [], [])
                        return
                    _play(sock, step, request)
        except OSError:
            pass  # the client has gone, which is its right
        finally:
            self._open.discard(sock)
            sock.close()

    @staticmethod
    def _shut(sock: Any) -> None:
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def _play(sock: Any, step: Step, request: bytes) -> None:
    if isinstance(step, bytes):
        sock.sendall(step)
    elif isinstance(step, float | int):
        time.sleep(step)
    elif callable(step):
        sock.sendall(step(request))


def _read_request(sock: Any) -> bytes | None:
    data = b""
    while b"\r\n\r\n" not in data:
        received = sock.recv(65536)
        if not received:
            return None
        data += received
    head, _, body = data.partition(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    while len(body) < length:
        received = sock.recv(65536)
        if not received:
            return None
        body += received
    return head + b"\r\n\r\n" + body
