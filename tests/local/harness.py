"""The local endpoint as a process of its own, and unmodified boto3 clients for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from sm_locust.local.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
SERVE = """
import sys
from sm_locust.local.server import serve
from sm_locust.local.settings import Settings
serve(Settings.model_validate_json(sys.argv[1]), port=0, ready=int(sys.argv[2]), speed=int(sys.argv[3]))
"""


@contextmanager
def running(settings: Settings, speed: int = 1) -> Iterator[str]:
    """The URL of an endpoint with these settings, listening; stopped at the end, which must be clean."""
    listening, ready = os.pipe()
    with open(ready, "wb"):  # gevent's os.close waits for its loop, and a server that died would be read from for ever
        process = subprocess.Popen(
            [sys.executable, "-c", SERVE, settings.model_dump_json(), str(ready), str(speed)],
            pass_fds=[ready],
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
        )
    try:
        with os.fdopen(listening) as lines:
            port = lines.readline().strip()
        if not port:
            raise RuntimeError(f"the local endpoint did not start: {process.communicate(timeout=10)[1]}")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        _, errors = process.communicate(timeout=20)
    if process.returncode != 0 or "Traceback" in errors:
        raise RuntimeError(f"the local endpoint did not stop cleanly: {process.returncode} {errors}")


def client(url: str, service: str = "sagemaker-runtime", **credentials: str) -> Any:
    """A boto3 client as anybody makes it, retries off."""
    known = Settings()
    given = {
        "aws_access_key_id": known.access_key_id,
        "aws_secret_access_key": known.secret_access_key,
        "region_name": known.region,
    }
    config = Config(retries={"total_max_attempts": 1}, max_pool_connections=10, proxies={})
    return boto3.Session(**{**given, **credentials}).client(service, endpoint_url=url, config=config)


def invoke(runtime: Any, **parameters: Any) -> Any:
    """InvokeEndpoint with the blog's request, but for what is given."""
    request = {"EndpointName": Settings().endpoint, "ContentType": "text/csv", "Body": b"5,3.5,1.3,0.3"}
    return runtime.invoke_endpoint(**{**request, **parameters})


def counts(url: str) -> dict[str, Any]:
    """What the endpoint says it served."""
    with urllib.request.urlopen(f"{url}/_local/counts", timeout=10) as answer:
        return dict(json.load(answer))
