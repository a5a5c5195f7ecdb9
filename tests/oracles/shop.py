"""A server that remembers what it was asked and answers as the path says, on the standard library alone.

`/status/404` answers 404, with all that it was sent in the body and its Location, `/cookie/NAME/VALUE` sets a cookie,
`/cookies?set=…` those of its query as they are,
`/broken` closes the connection, `/slow` takes a second, all else is 200. With `/seen` it tells all requests since the
last time, in order. Run as a program it serves on a free port of 127.0.0.1, which it prints.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from tests.oracles import programs


class Shop:
    """One that runs."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def seen(self) -> list[dict[str, Any]]:
        """method, target, headers (by lower-case name) and body of each request since the last time."""
        with urllib.request.urlopen(f"{self.url}/seen", timeout=10) as answer:
            found: list[dict[str, Any]] = json.load(answer)
        return found


@contextlib.contextmanager
def running() -> Iterator[Shop]:
    with programs.running(__name__) as port:
        yield Shop(port)


def counted(seen: list[dict[str, Any]]) -> Counter[str]:
    """Requests by method and path."""
    return Counter(f"{each['method']} {each['target'].partition('?')[0]}" for each in seen)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    seen: list[dict[str, Any]] = []
    lock = threading.Lock()

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == "/seen":
            with self.lock:
                text, self.seen[:] = json.dumps(self.seen).encode(), []
            self._send(200, text)
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = {"method": self.command, "target": self.path, "headers": headers, "body": body.decode()}
        with self.lock:
            self.seen.append(asked)
        parts = self.path.partition("?")[0].split("/")
        if parts[1] == "broken":
            self.close_connection = True
        elif parts[1] == "slow":
            time.sleep(1)
            self._send(200, b"at last")
        elif parts[1] == "status":
            told = self.headers.get("Authorization", "")
            self._send(int(parts[2]), f"as you say: {self.path} {headers}".encode(), ("Location", f"/to?{told}"))
        elif parts[1] == "cookies":  # as they stand in the query
            given = parse_qs(self.path.partition("?")[2], encoding="latin-1")["set"]
            self._send(200, b"", *(("Set-Cookie", each) for each in given))
        elif parts[1] == "cookie":
            self._send(
                200, b"", ("Set-Cookie", f"{parts[2]}={parts[3]}; Path=/"), ("Set-Cookie", "other=1; Path=/only")
            )
        else:
            self._send(200, b"well")

    def _send(self, status: int, body: bytes, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        if status == 204:  # which has none, or the next answer on this connection would begin with it
            body = b""
        else:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = _answer

    def log_message(self, *_: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


if __name__ == "__main__":
    server = _Server(("127.0.0.1", 0), _Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()
