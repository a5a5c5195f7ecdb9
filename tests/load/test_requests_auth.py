"""What `requests_auth()` signs, judged by botocore. In a process of its own: botocore's session is one a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

ROOT = Path(__file__).parents[2]

# A source of credentials that gives others each time and says that they end in three seconds.
ROTATING = """
import datetime, json, pathlib, sys
used = pathlib.Path(sys.argv[1])
number = len(used.read_text()) + 1 if used.exists() else 1
used.write_text("x" * number)
end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=3)
print(json.dumps({"Version": 1, "AccessKeyId": f"AKID{number}", "SecretAccessKey": f"secret{number}",
                  "SessionToken": f"token{number}", "Expiration": end.isoformat()}))
"""

SIGN = """
import json, sys, time
from sm_locust import requests_auth
import requests
url, arguments = sys.argv[1], json.loads(sys.argv[2])
for pause in (0, 0, 1.6):
    time.sleep(pause)
    auth = requests_auth(**arguments)
    headers = {"Content-Type": "text/csv", "X-Amzn-SageMaker-Custom-Attributes": "trace=1"}
    prepared = auth(requests.Request("POST", url, data=b"5,3.5", headers=headers).prepare())
    print(json.dumps(dict(prepared.headers)))
"""


def signed(url: str, tmp_path: Path, env: dict[str, str], **arguments: Any) -> list[dict[str, str]]:
    """The headers of three requests, the last of them a second and a half after the others."""
    done = run(url, tmp_path, env, arguments)
    assert done.returncode == 0, done.stderr
    return [{name.lower(): value for name, value in json.loads(line).items()} for line in done.stdout.splitlines()]


def run(url: str, tmp_path: Path, env: dict[str, str], arguments: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", SIGN, url, json.dumps(arguments)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), **env},
        capture_output=True,
        text=True,
        timeout=60,
    )


def judged(headers: dict[str, str], url: str, host: str, key: Credentials, service: str, region: str) -> str:
    """The signature that botocore gives the same request, of the same headers and date."""
    names = headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    request = AWSRequest("POST", url, data=b"5,3.5")
    for name in names:
        request.headers[name] = {**headers, "host": host}[name]
    request.context["timestamp"] = headers["x-amz-date"]
    judge = SigV4Auth(key, service, region)
    return str(judge.signature(judge.string_to_sign(request, judge.canonical_request(request)), request))


def test_host_port_token_and_sagemakers_headers_are_signed_and_renewed_keys_are_used(tmp_path: Path) -> None:
    script, used, config = tmp_path / "rotating.py", tmp_path / "used", tmp_path / "aws.ini"
    script.write_text(ROTATING)
    config.write_text(f"[default]\nregion = eu-west-1\ncredential_process = {sys.executable} {script} {used}\n")
    url = "http://127.0.0.1:8500/DummyStage/DT?b=2&a=1"
    requests = signed(url, tmp_path, {"AWS_CONFIG_FILE": str(config)}, service="execute-api")
    numbers = []
    for headers in requests:
        number = int(headers["x-amz-security-token"].removeprefix("token"))
        key = Credentials(f"AKID{number}", f"secret{number}", f"token{number}")
        assert headers["authorization"].endswith(
            "Signature=" + judged(headers, url, "127.0.0.1:8500", key, "execute-api", "eu-west-1")
        )
        assert f"Credential=AKID{number}/" in headers["authorization"]
        for name in ("host", "content-type", "x-amz-security-token", "x-amzn-sagemaker-custom-attributes"):
            assert name in headers["authorization"]
        numbers.append(number)
    assert numbers[2] > numbers[1] == numbers[0], "a source is not asked for each request"


def test_a_region_given_wins_and_the_service_is_sagemaker_unless_said_otherwise(tmp_path: Path) -> None:
    keys = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}
    url = "https://runtime.sagemaker.eu-west-1.amazonaws.com/endpoints/a/invocations"
    headers = signed(url, tmp_path, keys, region="eu-west-1")[0]
    host, key = "runtime.sagemaker.eu-west-1.amazonaws.com", Credentials("AKID", "secret")
    assert headers["authorization"].endswith("Signature=" + judged(headers, url, host, key, "sagemaker", "eu-west-1"))


def test_without_region_or_credentials_one_sentence_says_what_to_set(tmp_path: Path) -> None:
    for env, said in (
        ({}, "ConfigError: no AWS region is set: give --region (Locust: --sm-region), target.region or AWS_DEFAULT"),
        ({"AWS_DEFAULT_REGION": "us-east-1"}, "ConfigError: no AWS credentials were found: set AWS_PROFILE or"),
    ):
        done = run("http://127.0.0.1/", tmp_path, env, {})
        assert done.returncode == 1
        assert said in done.stderr.splitlines()[-1]
    done = run("http://127.0.0.1/", tmp_path, {}, {"region": "mars"})
    last = done.stderr.splitlines()[-1]
    assert last.startswith("sm_locust.config_error.ConfigError: requests_auth: target.region: 'mars'")
