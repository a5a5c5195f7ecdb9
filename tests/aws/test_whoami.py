"""Do the credentials outlast the run? Each source as botocore finds it, none of them shown."""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sm_locust.aws import runtime, session, whoami
from sm_locust.config import RunConfig
from sm_locust.finding import FAIL, PASS, WARN, Finding, Level

TOKEN = "FwoGZXIvYXdzEXAMPLETOKEN"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
RUN = 7200.0  # seconds
HERE = RunConfig.from_dict({"target": {"endpoint": "e", "region": "us-east-1"}})


def expiring(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def profile(monkeypatch: pytest.MonkeyPatch, folder: Path, *lines: str) -> None:
    """The only source is a profile of these lines."""
    path = folder / "config"
    path.write_text("\n".join(["[default]", "region = us-east-1", *lines]))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(path))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")


def process(folder: Path, **answer: object) -> str:
    """`credential_process` that gives this answer."""
    script = folder / "give.py"
    document = {"Version": 1, "AccessKeyId": "AKIA", "SecretAccessKey": SECRET, **answer}
    script.write_text(f"print({json.dumps(json.dumps(document))})")
    return f"credential_process = {sys.executable} {script}"


def judged(lasts: float | None = RUN) -> tuple[Level, str, str]:
    found = whoami.missing(HERE) or whoami.credentials(HERE, lasts, "the run")
    assert SECRET not in str(found) and TOKEN not in str(found)
    return found.level, found.text, found.do


def test_keys_of_the_environment_do_not_expire() -> None:
    assert judged() == (PASS, "from env, keys that do not expire", "")


def test_a_session_token_expires_nobody_knows_when(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)
    level, text, do = judged()
    assert (level, text) == (
        FAIL,
        "from env, a session token that expires nobody knows when, and nobody renews it; the run lasts 2h",
    )
    assert do.endswith("or --allow credentials")
    allowed = whoami.credentials(HERE, RUN, "the run").allowed(frozenset({"credentials"}))
    assert (allowed.level, allowed.text) == (WARN, f"{text} (allowed by --allow credentials)")


@pytest.mark.parametrize(
    ("left", "lasts", "level", "says"),
    [
        (3600, RUN, FAIL, "expire in 1h and are variables of this process, which nobody renews; the run lasts 2h"),
        (10800, RUN, PASS, "expire in 3h and are variables of this process, which nobody renews; the run lasts 2h"),
        (3600, None, WARN, "how long the run lasts is not known here"),
    ],
)
def test_variables_with_an_expiry_are_held_against_the_run(
    monkeypatch: pytest.MonkeyPatch, left: float, lasts: float | None, level: Level, says: str
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", expiring(left))
    found = judged(lasts)
    assert found[0] == level
    assert says in found[1]


def test_a_process_that_renews_passes_however_long_the_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    profile(monkeypatch, tmp_path, process(tmp_path, SessionToken=TOKEN, Expiration=expiring(3600)))
    assert judged() == (PASS, "from custom-process, they expire in 1h and botocore renews them", "")


def test_a_process_with_a_lifetime_of_20_seconds_is_a_warning(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    profile(monkeypatch, tmp_path, process(tmp_path, SessionToken=TOKEN, Expiration=expiring(900)))
    assert judged()[0] == PASS
    path = tmp_path / "give.py"
    path.write_text(
        "import json, datetime as d\n"
        "until = d.datetime.now(d.UTC) + d.timedelta(seconds=20)\n"
        f"print(json.dumps({{'Version': 1, 'AccessKeyId': 'AKIA', 'SecretAccessKey': '{SECRET}', "
        f"'SessionToken': '{TOKEN}', 'Expiration': until.isoformat()}}))"
    )
    session.boto3_session.cache_clear()
    level, text, _ = judged()
    assert level == WARN
    assert "and botocore renews them: their source is asked again and again" in text


def test_a_process_that_names_no_expiry_cannot_be_relied_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    profile(monkeypatch, tmp_path, process(tmp_path, SessionToken=TOKEN))
    level, text, _ = judged()
    assert level == FAIL
    assert text.startswith("from custom-process, a session token that expires nobody knows when")


def test_a_process_that_fails_is_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    profile(monkeypatch, tmp_path, f"credential_process = {sys.executable} -c 'import sys; sys.exit(\"no luck\")'")
    level, text, _ = judged()
    assert level == FAIL
    assert text.startswith("no AWS credentials could be had: ")
    assert "no luck" in text


def test_no_credentials_at_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    profile(monkeypatch, tmp_path)
    assert judged()[0] == FAIL
    assert "no AWS credentials were found" in judged()[1]


@pytest.mark.parametrize(
    ("source", "renews", "level", "says"),
    [
        ("sso", True, WARN, "and are renewed while the sign-in lasts, whose end is not known here; the run lasts 2h"),
        ("assume-role", True, PASS, "and botocore renews them"),
        ("assume-role", False, FAIL, "and are renewed only by a code of MFA, which nobody types in the midst of a run"),
    ],
)
def test_sources_that_need_aws_or_somebody_to_sign_in(
    monkeypatch: pytest.MonkeyPatch, source: str, renews: bool, level: Level, says: str
) -> None:
    """No such source can be had here: only what is made of it is tried."""
    keys = runtime.Keys("AKIA", SECRET, TOKEN, time.time() + 3600)
    monkeypatch.setattr(runtime.Runtime, "keys", lambda self: keys)
    made = runtime.Runtime("https://x", "us-east-1", None, None, source, renews, False, None)
    monkeypatch.setattr(whoami, "runtime", lambda config: made)
    found: Finding = whoami.credentials(HERE, RUN, "the run")
    assert found.level == level
    assert found.text.startswith(f"from {source}, they expire in 1h {says}")
