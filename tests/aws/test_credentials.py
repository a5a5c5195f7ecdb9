"""Where credentials come from, how long they last, and what is said of a source that gives none."""

from __future__ import annotations

import configparser
import logging
import os
import shlex
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sm_locust.aws import session
from sm_locust.aws.runtime import Runtime, _renews, _starts_a_process, runtime
from sm_locust.aws.session import AwsFault, ask, client
from sm_locust.config import ConfigError
from tests.aws.harness import config

ACCESS_KEY, SECRET_KEY = "ASIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
# A session of two seconds, another one each time.
SESSION = (
    "import datetime, json, time; "
    "end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=6); "
    "print(json.dumps({'Version': 1, 'AccessKeyId': 'ASIA', 'SecretAccessKey': 's', "
    "'SessionToken': str(time.time_ns()), 'Expiration': end.isoformat()}))"
)
ROLE = "[profile r]\nregion = us-east-1\nrole_arn = arn:aws:iam::111122223333:role/r\nsource_profile = "


@pytest.fixture(autouse=True)
def of_its_own(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """botocore's session is one a process, with the environment that it found: here it is one a test."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    session.boto3_session.cache_clear()
    yield
    session.boto3_session.cache_clear()


def found() -> Runtime:
    return runtime(config("http://127.0.0.1:1"))


def variables(monkeypatch: pytest.MonkeyPatch, lasts: float) -> float:
    """Puts a session into the environment; when it ends, Unix seconds."""
    until = time.time() + lasts
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "a token")
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", datetime.fromtimestamp(until, UTC).isoformat())
    return until


def test_variables_say_when_they_end_and_are_never_renewed(monkeypatch: pytest.MonkeyPatch) -> None:
    until = variables(monkeypatch, 300)
    runtime = found()
    assert (runtime.source, runtime.renews, runtime.starts_a_process) == ("env", False, False)
    assert runtime.keys().expires_at == pytest.approx(until, abs=1e-3)


def test_keys_of_a_user_say_nothing_of_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    variables(monkeypatch, 300)
    monkeypatch.delenv("AWS_CREDENTIAL_EXPIRATION")
    assert found().keys().expires_at is None


def asking(program: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Makes a program of Python the default profile's source of credentials."""
    path = tmp_path / "aws.ini"
    path.write_text(f"[default]\ncredential_process = {shlex.join([sys.executable, '-c', program])}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(path))


def test_a_program_is_asked_once_for_each_short_session_and_before_it_ends(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asking(SESSION, monkeypatch, tmp_path)
    runtime = found()
    assert (runtime.source, runtime.renews, runtime.starts_a_process) == ("custom-process", True, True)
    first, second = runtime.keys(), runtime.keys()
    assert first == second
    time.sleep(4)
    third = runtime.keys()
    assert third.token != first.token
    assert third.expires_at == pytest.approx(time.time() + 6, abs=3)


@pytest.mark.parametrize(
    ("profiles", "starts"),
    [
        (f"{ROLE}p\n[profile p]\ncredential_process = /bin/keys\n", True),
        (f"{ROLE}r\naws_access_key_id = a\naws_secret_access_key = b\n", False),  # its own source
        (f"{ROLE}gone\n", False),
        ("[profile p]\ncredential_process = /bin/keys\n", False),  # of another
    ],
)
def test_a_role_may_take_its_keys_from_a_program(profiles: str, starts: bool) -> None:
    read = configparser.ConfigParser()
    read.read_string(profiles)
    assert _starts_a_process({name.removeprefix("profile "): read[name] for name in read}, "r") is starts


@pytest.mark.parametrize(
    ("source", "profile", "renews"),
    [
        ("env", {}, False),
        ("assume-role", {}, True),
        ("assume-role", {"mfa_serial": "arn:aws:iam::1:mfa/u"}, False),
        ("iam-role", {"mfa_serial": "arn:aws:iam::1:mfa/u"}, True),
        ("sso", {}, True),
    ],
)
def test_what_cannot_renew_itself(source: str, profile: dict[str, str], renews: bool) -> None:
    assert _renews(source, profile) is renews


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("print('{}')", "Version"),
        ("print('not JSON')", "Expecting value"),
        ("import sys; sys.exit('no session today')", "no session today"),
        ("print('{\"Version\": 1}')", "AccessKeyId"),
    ],
)
def test_a_program_that_gives_no_credentials_is_one_sentence(
    program: str, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asking(program, monkeypatch, tmp_path)
    with pytest.raises(ConfigError, match="no AWS credentials could be had: ") as caught:
        found()
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_program_that_is_not_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "aws.ini"
    path.write_text("[default]\ncredential_process = /nowhere/keys\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(path))
    with pytest.raises(ConfigError, match=r"no AWS credentials could be had: .*No such file"):
        found()


def test_beside_a_run_the_words_of_a_source_that_fails_are_in_no_fault(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """They would stand in the run folder."""
    asking(f"import sys; sys.exit('{SECRET_KEY}')", monkeypatch, tmp_path)
    with pytest.raises(ConfigError, match=r"sagemaker cannot be addressed: no credentials .* custom-process") as caught:
        client(config("http://127.0.0.1:1"), "sagemaker")
    assert SECRET_KEY not in str(caught.value)


def test_a_source_that_fails_while_a_run_goes_is_a_fault_that_may_pass(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = str(tmp_path / "asked")
    once = f"import os, sys; os.path.exists({asked!r}) and sys.exit('{SECRET_KEY}'); open({asked!r}, 'w'); "
    asking(once + SESSION, monkeypatch, tmp_path)
    found()
    time.sleep(4)
    with pytest.raises(AwsFault) as caught:
        ask(client(config("http://127.0.0.1:1"), "sagemaker"), "DescribeEndpoint", EndpointName="e")
    assert str(caught.value) == (
        "SageMaker DescribeEndpoint was not answered: no credentials could be had from custom-process"
    )
    assert caught.value.passing


def test_a_session_that_has_ended_already_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    variables(monkeypatch, -60)
    with caplog.at_level(logging.DEBUG), pytest.raises(ConfigError, match=r"could be had: .*still expired"):
        found()
    assert "Traceback" not in caplog.text
    assert SECRET_KEY not in caplog.text
