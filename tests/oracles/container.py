"""A model container as anybody would write one: GET /ping and POST /invocations, on Starlette, nothing of sm_locust.

It answers `setosa` to a text/csv body of numbers, 415 to any other type and 500 to a body that is none; with `/seen` it
tells what it was asked. Run as a program it serves on a free port of 127.0.0.1, which it prints.
"""

from __future__ import annotations

import contextlib
import json
import socket
import urllib.request
from collections.abc import Iterator
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from tests.oracles import programs


class Container:
    """One that runs: `url` is where invocations go."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/invocations"
        self._origin = f"http://127.0.0.1:{port}"

    def seen(self) -> dict[str, Any]:
        """`answers`: status → how many; `headers`: of the last invocation, by lower-case name."""
        with urllib.request.urlopen(f"{self._origin}/seen", timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)
        return found


@contextlib.contextmanager
def running() -> Iterator[Container]:
    with programs.running(__name__) as port:
        yield Container(port)


def _application() -> Starlette:
    answers: dict[int, int] = {}
    headers: dict[str, str] = {}

    async def ping(_: Request) -> Response:
        return Response()

    async def invocations(request: Request) -> Response:
        answer = _predict(request.headers.get("content-type", ""), await request.body())
        answers[answer.status_code] = answers.get(answer.status_code, 0) + 1
        headers.clear()
        headers.update(request.headers)
        return answer

    async def seen(_: Request) -> Response:
        return JSONResponse({"answers": answers, "headers": headers})

    return Starlette(
        routes=[
            Route("/ping", ping),
            Route("/invocations", invocations, methods=["POST"]),
            Route("/seen", seen),
        ]
    )


def _predict(content_type: str, body: bytes) -> Response:
    if content_type != "text/csv":
        return PlainTextResponse("this predictor only knows text/csv", 415)
    try:
        list(map(float, body.decode().split(",")))
    except ValueError as error:
        return PlainTextResponse(str(error), 500)
    return PlainTextResponse("setosa\n", media_type="text/csv")


if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    uvicorn.Server(uvicorn.Config(_application(), log_level="warning")).run(sockets=[listener])
