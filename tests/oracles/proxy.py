"""A proxy before the control plane of an AWS stand-in, that can kill whoever has just changed something.

Standard library only, nothing of sm_locust. A call is handed on byte for byte, Host and signature included, so that the
other side verifies what was signed. A call changes something unless its name says that it only asks.
"""

from __future__ import annotations

import http.client
import os
import signal
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

ASKS = ("Describe", "List", "Get")


class Proxy:
    """`calls` holds the names of those that changed something, in the order they were handed on.

    kill_after  which of them, counted from 1, is its caller's last: once it was carried out, and before it is
                answered, the process group `victim` gets SIGKILL
    """

    def __init__(self, url: str, kill_after: int = 0) -> None:
        self.calls: list[str] = []
        self.kill_after = kill_after
        self.victim = 0
        self.killed = threading.Event()
        self._lock = threading.Lock()
        upstream = urlsplit(url).netloc

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(handler) -> None:
                self._hand_on(handler, upstream)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Proxy:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _hand_on(self, handler: BaseHTTPRequestHandler, upstream: str) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        name = handler.headers.get("X-Amz-Target", "").rpartition(".")[2]
        connection = http.client.HTTPConnection(upstream, timeout=30)
        connection.putrequest("POST", handler.path, skip_host=True, skip_accept_encoding=True)
        for header, value in handler.headers.items():
            connection.putheader(header, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        if name and not name.startswith(ASKS):
            with self._lock:
                self.calls.append(name)
                if len(self.calls) == self.kill_after:
                    with suppress(ProcessLookupError):
                        os.killpg(self.victim, signal.SIGKILL)
                    self.killed.set()
        with suppress(OSError):  # nobody may be there any more
            handler.send_response(answer.status)
            for header, value in answer.getheaders():
                if header.lower() not in ("transfer-encoding", "content-length", "connection", "date", "server"):
                    handler.send_header(header, value)
            handler.send_header("Content-Length", str(len(content)))
            handler.end_headers()
            handler.wfile.write(content)
