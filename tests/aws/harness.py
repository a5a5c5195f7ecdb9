"""Answers as AWS puts them on the wire, for what the local endpoint has no reason to say."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from sm_locust.aws import endpoint, session
from sm_locust.config import RunConfig
from sm_locust.local.settings import Settings
from tests.oracles.answers import AnswerServer, Step, answer
from tests.runs.harness import order


@contextmanager
def somebody(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keys that only the local endpoint knows, and clients that nobody else goes on with: they keep what they found."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", Settings().access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", Settings().secret_access_key)
    yield
    for kept in (session.boto3_session, session._control_plane, endpoint._configuration):
        kept.cache_clear()


def config(url: str, **sections: Any) -> RunConfig:
    """A configuration whose AWS is at `url`; `target` there adds to what is known."""
    target = {"endpoint": "decision-trees-sample", "region": "us-east-1", "url": url, **sections.pop("target", {})}
    return RunConfig.from_dict({"target": target, **sections})


def said(body: dict[str, Any], status: int = 200, *headers: str) -> bytes:
    """An answer in JSON."""
    return answer(status, json.dumps(body).encode(), "Content-Type: application/x-amz-json-1.1", *headers)


def refused(code: str, message: str, status: int = 400) -> bytes:
    return said({"__type": code, "message": message}, status)


def operation_of(request: bytes) -> str:
    """As JSON and query protocols name it; of a request in REST its method and path, such as `GET /account`."""
    found = re.search(rb"^x-amz-target: *\w+\.(\w+)", request, re.IGNORECASE | re.MULTILINE)
    found = found or re.search(rb"\r\n\r\nAction=(\w+)", request)
    return found[1].decode() if found else request.split(b"?")[0].split(b" HTTP/")[0].decode()


def asked(request: bytes) -> dict[str, Any]:
    """The parameters of a request."""
    return dict(json.loads(request.partition(b"\r\n\r\n")[2]))


Answers = dict[str, list[bytes] | bytes | Callable[[bytes], bytes]]


@contextmanager
def scripted(answers: Answers) -> Iterator[AnswerServer]:
    """An AWS that says what it is told to.

    answers  operation → its answer, its answers one after the other (the last again and again), or a function of the
             request; what is not there is an UnknownOperationException
    """
    turns: dict[str, int] = {}

    def reply(request: bytes) -> bytes:
        operation = operation_of(request)
        script = answers.get(operation, refused("UnknownOperationException", operation))
        if callable(script):
            return script(request)
        if isinstance(script, bytes):
            return script
        turn = turns.get(operation, 0)
        turns[operation] = turn + 1
        return script[min(turn, len(script) - 1)]

    steps: list[Step] = [reply]
    with AnswerServer(steps) as server:
        yield server


def refuse(
    url: str, service: str, calls: int, error: str = "ThrottlingException", operation: str | None = None
) -> None:
    """Has the local endpoint refuse the next calls of a service, named as signatures do, or of one operation of it."""
    which = {} if operation is None else {"operation": operation}
    order(url, "refuse", service=service, next=calls, error=error, **which)
