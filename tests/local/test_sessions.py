"""Temporary credentials over the wire: fetched by botocore's credential_process, good everywhere until they expire."""

from __future__ import annotations

import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.local.harness import client, invoke


def session(url: str, lifetime: float) -> dict[str, str]:
    """What a boto3 client takes them as."""
    with urllib.request.urlopen(f"{url}/_local/session?lifetime={lifetime}", timeout=10) as answer:
        issued = json.load(answer)
    return {
        "aws_access_key_id": issued["AccessKeyId"],
        "aws_secret_access_key": issued["SecretAccessKey"],
        "aws_session_token": issued["SessionToken"],
    }


def error(call: Any) -> tuple[int, str]:
    with pytest.raises(ClientError) as raised:
        call()
    response = raised.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


def test_they_open_every_service_as_a_role_and_expire_in_each_ones_words(endpoint: str) -> None:
    lasting, short = session(endpoint, 60), session(endpoint, 0.001)
    calls: dict[str, tuple[Callable[[Any], Any], str]] = {
        "sagemaker-runtime": (invoke, "ExpiredTokenException"),
        "sagemaker": (lambda aws: aws.list_endpoints(), "ExpiredTokenException"),
        "application-autoscaling": (
            lambda aws: aws.describe_scalable_targets(ServiceNamespace="sagemaker"),
            "ExpiredTokenException",
        ),
        "cloudwatch": (lambda aws: aws.list_metrics(), "ExpiredToken"),
        "sts": (lambda aws: aws.get_caller_identity(), "ExpiredToken"),
    }
    for service, (call, code) in calls.items():
        assert call(client(endpoint, service, **lasting))["ResponseMetadata"]["HTTPStatusCode"] == 200
        assert error(lambda: call(client(endpoint, service, **short))) == (403, code), service  # noqa: B023
    identity = client(endpoint, "sts", **lasting).get_caller_identity()
    assert identity["Arn"] == "arn:aws:sts::123456789012:assumed-role/local/session"
    assert identity["UserId"].endswith(":session")


def test_a_credential_process_that_asks_for_them_is_asked_again_before_they_expire(
    endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = tmp_path / "asked"
    fetch = tmp_path / "fetch.py"
    fetch.write_text(
        "import urllib.request\n"
        f"open({str(asked)!r}, 'a').write('x')\n"
        f"print(urllib.request.urlopen('{endpoint}/_local/session?lifetime=20').read().decode())\n"
    )
    profile = tmp_path / "config"
    profile.write_text(f"[default]\nregion = us-east-1\ncredential_process = {sys.executable} {fetch}\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(profile))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    runtime = boto3.Session().client("sagemaker-runtime", endpoint_url=endpoint, config=Config(proxies={}))
    for _ in range(2):
        assert invoke(runtime)["Body"].read() == b"setosa\n"
        time.sleep(0.01)
    # 20 s is less than botocore lets remain: each request has them fetched anew.
    assert len(asked.read_text()) >= 2


@pytest.mark.parametrize("query", ["lifetime=0", "lifetime=soon", "lifetime=1e9", "for=20"])
def test_an_order_that_cannot_be_is_refused_in_a_sentence(endpoint: str, query: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(f"{endpoint}/_local/session?{query}", timeout=10)
    with raised.value as answer:
        assert answer.code == 400
        assert b"lifetime" in answer.read()
