"""The Lambda function behind the local API: the shipped handler, in a process of its own, as Lambda would run it.

Here are the limits that Lambda sets: reserved concurrency, the function's timeout, the size of an event. Each execution
environment is a thread with a handler module, and thus a boto3 client, of its own. What the API's client sees of all
that is the gateway's. In this process the handler would share the interpreter with the endpoint's event loop and make
every answer late; in another one it costs what a client costs.

Source: Lambda Developer Guide, Understanding function scaling and Lambda quotas.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from sm_locust.local.gateway_metrics import GatewayMetrics
from sm_locust.local.settings import Settings

HANDLER = Path(__file__).parents[1] / "stacks" / "invoke_endpoint.py"
MOST_EVENT_BYTES = 6_291_556  # of an invocation that is waited for
_LINE = 4 * MOST_EVENT_BYTES  # a line between the processes, at most


class Throttled(Exception):
    """No execution environment was free: Lambda refused the invocation."""


class EventTooLarge(Exception):
    """Lambda takes no event of this size."""


class FunctionFailed(Exception):
    """The function raised, took too long, or ended without an answer."""


class Function:
    """Started by its first invocation, which pays for the cold start as it would there; stopped by `stop`.

    url  of the local endpoint, which the handler invokes
    """

    def __init__(self, settings: Settings, url: str, metrics: GatewayMetrics) -> None:
        self._settings = settings
        self._url = url
        self._metrics = metrics
        self._running = 0
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._starting = asyncio.Lock()
        self._reader: asyncio.Task[None] | None = None

    async def invoke(self, event: dict[str, Any]) -> dict[str, Any]:
        """What the handler returns. Raises Throttled, EventTooLarge or FunctionFailed."""
        said = json.dumps(event)
        if len(said) > MOST_EVENT_BYTES:
            raise EventTooLarge
        second = int(time.time())
        if self._running >= self._settings.function_concurrency:
            self._metrics.throttled(second)
            raise Throttled
        self._running += 1
        running, began = self._running, time.perf_counter()
        failed = True
        try:
            answer = await asyncio.wait_for(self._run(said), self._settings.function_timeout)
            failed = "error" in answer
        except TimeoutError:
            raise FunctionFailed from None
        finally:
            self._running -= 1
            self._metrics.executed(second, time.perf_counter() - began, running, failed)
        if failed:
            raise FunctionFailed
        return dict(answer["answer"])

    async def _run(self, event: str) -> dict[str, Any]:
        async with self._starting:
            if self._process is None or self._process.returncode is not None:
                self._process = await self._start()
        number = next(self._numbers)
        answered = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            assert self._process.stdin is not None  # nosec B101 # for mypy: it was asked for
            self._process.stdin.write(b"%d %b\n" % (number, event.encode()))
            answer: dict[str, Any] = await answered
            return answer
        finally:
            del self._waiting[number]

    async def _start(self) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "sm_locust.local.environments", str(HANDLER)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=self._environment(),
            limit=_LINE,
            start_new_session=True,  # Ctrl-C is the server's, which then stops it
        )
        self._reader = asyncio.create_task(self._read(process))
        return process

    def _environment(self) -> dict[str, str]:
        """What Lambda gives a function, and nothing of the environment that the server was started in."""
        settings = self._settings
        variables = {
            "ENDPOINT_NAME": settings.endpoint,
            "AWS_DEFAULT_REGION": settings.region,
            "AWS_ACCESS_KEY_ID": settings.access_key_id,
            "AWS_SECRET_ACCESS_KEY": settings.secret_access_key,
            "AWS_SESSION_TOKEN": settings.session_token or "",
            "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": self._url,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        return {name: value for name, value in variables.items() if value}

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None  # nosec B101 # for mypy: it was asked for
        while line := await process.stdout.readline():
            number, _, answer = line.partition(b" ")
            waiting = self._waiting.get(int(number))
            if waiting is not None and not waiting.done():  # it may have been given up
                waiting.set_result(json.loads(answer))
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_result({"error": "the process has ended"})
        await process.wait()

    async def stop(self) -> None:
        """Ends the process; what it still does is lost."""
        if self._process is not None and self._process.stdin is not None and self._reader is not None:
            self._process.stdin.close()
            await self._reader
