"""The process that runs the handler: `python -m sm_locust.local.environments HANDLER`, started by `function`.

It reads a line for each event, a number and JSON, runs the handler on it in a thread, and writes a line with the number
and the answer or the error. A thread is an execution environment: it loads the handler once, and then serves one event
at a time. There are as many as were ever needed at once; deciding how many may be is the function's. It ends when its
input does.
"""

from __future__ import annotations

import importlib.util
import json
import os
import queue
import sys
import threading
from collections.abc import Callable
from typing import Any

_loading = threading.Lock()  # boto3 makes its clients from one session, which is not made for threads
_writing = threading.Lock()


def main(path: str) -> None:
    events: queue.SimpleQueue[tuple[bytes, bytes]] = queue.SimpleQueue()
    idle = threading.Semaphore(0)
    for line in sys.stdin.buffer:
        number, _, event = line.partition(b" ")
        if not idle.acquire(blocking=False):
            threading.Thread(target=_serve, args=(path, events, idle), daemon=True).start()
        events.put((number, event))
    os._exit(0)  # what threads still do is nobody's any more


def _serve(path: str, events: queue.SimpleQueue[tuple[bytes, bytes]], idle: threading.Semaphore) -> None:
    """One execution environment."""
    handler: Callable[[Any, Any], Any] | None = None
    while True:
        number, event = events.get()
        try:
            handler = handler or _load(path)
            answer = {"answer": handler(json.loads(event), None)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
            print(f"the function raised {answer['error']}", file=sys.stderr, flush=True)
        line = b"%b %b\n" % (number, json.dumps(answer).encode())
        idle.release()
        with _writing:
            sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()


def _load(path: str) -> Callable[[Any, Any], Any]:
    with _loading:
        spec = importlib.util.spec_from_file_location("index", path)
        if spec is None or spec.loader is None:
            raise ImportError(path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    handler: Callable[[Any, Any], Any] = module.handler
    return handler


if __name__ == "__main__":
    main(sys.argv[1])
