"""What goes over a wire: a relay that keeps a copy of it, and a forward proxy that asks for a password.

Standard library only, nothing of sm_locust.
"""

from __future__ import annotations

import base64
import socket
import threading
from contextlib import suppress


class _Listener:
    """Threads that serve connections to a free port of this machine, until the block ends."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._open: list[socket.socket] = []
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> _Listener:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for each in (self._listener, *self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._open.append(client)
                threading.Thread(target=self._served, args=(client,), daemon=True).start()

    def _served(self, client: socket.socket) -> None:
        with suppress(OSError, ValueError):
            self._serve(client)

    def _serve(self, client: socket.socket) -> None:
        raise NotImplementedError

    def _join(self, client: socket.socket, port: int) -> None:
        """Hands bytes on, both ways, until either side has no more."""
        upstream = socket.create_connection(("127.0.0.1", port), timeout=30)
        upstream.settimeout(None)
        self._open.append(upstream)
        back = threading.Thread(target=self._pump, args=(upstream, client), daemon=True)
        back.start()
        self._pump(client, upstream)
        back.join()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self._passed(data)
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def _passed(self, data: bytes) -> None:
        pass


class Relay(_Listener):
    """Before a port of this machine: `copy` is all that passed, in both directions."""

    def __init__(self, upstream: int) -> None:
        super().__init__()
        self.copy = bytearray()
        self._upstream = upstream

    def __enter__(self) -> Relay:
        super().__enter__()
        return self

    def _serve(self, client: socket.socket) -> None:
        self._join(client, self._upstream)

    def _passed(self, data: bytes) -> None:
        self.copy += data


class ForwardProxy(_Listener):
    """Tunnels for who knows its login; without a tunnel it answers 502. `let_in` counts, `turned_away` too."""

    def __init__(self, user: str, password: str) -> None:
        super().__init__()
        self.url = f"http://{user}:{password}@127.0.0.1:{self.port}"
        self.let_in = self.turned_away = 0
        self._login = b"Basic " + base64.b64encode(f"{user}:{password}".encode())

    def __enter__(self) -> ForwardProxy:
        super().__enter__()
        return self

    def _serve(self, client: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(1) or b"\r\n\r\n"
        method, target, _ = head.split(b"\r\n", 1)[0].split(b" ", 2)
        if self._login not in head:
            self.turned_away += 1
            client.sendall(b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            client.close()
        elif method != b"CONNECT":
            self.let_in += 1
            client.sendall(b"HTTP/1.1 502 Tunnels only\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            client.close()
        else:
            self.let_in += 1
            client.sendall(b"HTTP/1.1 200 Go on\r\n\r\n")
            self._join(client, int(target.rpartition(b":")[2]))
