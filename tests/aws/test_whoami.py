"""Do the credentials outlast the run? Each source as botocore finds it, none of them shown."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sm_locust.aws import session, whoami
from sm_locust.finding import FAIL, PASS, WARN, Finding, Level

TOKEN = "FwoGZXIvYXdzEXAMPLETOKEN"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
RUN = 7200.0  # seconds


def expiring(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    return monkeypatch


def profile(environment: pytest.MonkeyPatch, folder: Path, *lines: str) -> None:
    """The only source is a profile of these lines."""
    path = folder / "config"
    path.write_text("\n".join(["[default]", "region = us-east-1", *lines]))
    environment.setenv("AWS_CONFIG_FILE", str(path))
    environment.delenv("AWS_ACCESS_KEY_ID")
    environment.delenv("AWS_SECRET_ACCESS_KEY")


def process(folder: Path, **answer: object) -> str:
    """`credential_process` that gives this answer."""
    script = folder / "give.py"
    document = {"Version": 1, "AccessKeyId": "AKIA", "SecretAccessKey": SECRET, **answer}
    script.write_text(f"print({json.dumps(json.dumps(document))})")
    return f"credential_process = {sys.executable} {script}"


def judged(lasts: float | None = RUN) -> tuple[Level, str, str]:
    found = whoami.credentials(lasts, "the run")
    assert SECRET not in str(found) and TOKEN not in str(found)
    return found.level, found.text, found.do


def test_keys_of_the_environment_do_not_expire() -> None:
    assert judged() == (PASS, "from env, keys that do not expire", "")


def test_a_session_token_expires_nobody_knows_when(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("AWS_SESSION_TOKEN", TOKEN)
    level, text, do = judged()
    assert (level, text) == (
        FAIL,
        "from env, a session token that expires nobody knows when; they are renewed by nobody; the run lasts 2h",
    )
    assert do.endswith("or --allow credentials")
    allowed = whoami.credentials(RUN, "the run").allowed(frozenset({"credentials"}))
    assert (allowed.level, allowed.text) == (WARN, f"{text} (allowed by --allow credentials)")


@pytest.mark.parametrize(
    ("left", "lasts", "level", "says"),
    [
        (3600, RUN, FAIL, "expire in 1h and are variables of this process, which nobody renews; the run lasts 2h"),
        (10800, RUN, PASS, "expire in 3h; the run lasts 2h"),
        (3600, None, WARN, "how long the run lasts is not known here"),
    ],
)
def test_variables_with_an_expiry_are_held_against_the_run(
    environment: pytest.MonkeyPatch, left: float, lasts: float | None, level: Level, says: str
) -> None:
    environment.setenv("AWS_SESSION_TOKEN", TOKEN)
    environment.setenv("AWS_CREDENTIAL_EXPIRATION", expiring(left))
    found = judged(lasts)
    assert found[0] == level
    assert says in found[1]


def test_a_process_that_renews_passes_however_long_the_run(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    profile(environment, tmp_path, process(tmp_path, SessionToken=TOKEN, Expiration=expiring(3600)))
    assert judged() == (PASS, "from custom-process, they expire in 1h and botocore renews them", "")


def test_a_process_with_a_lifetime_of_20_seconds_is_a_warning(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    profile(environment, tmp_path, process(tmp_path, SessionToken=TOKEN, Expiration=expiring(900)))
    made = whoami.source()
    assert made is not None and made.keeps == ""
    path = tmp_path / "give.py"
    path.write_text(
        "import json, datetime as d\n"
        "until = d.datetime.now(d.UTC) + d.timedelta(seconds=20)\n"
        f"print(json.dumps({{'Version': 1, 'AccessKeyId': 'AKIA', 'SecretAccessKey': '{SECRET}', "
        f"'SessionToken': '{TOKEN}', 'Expiration': until.isoformat()}}))"
    )
    session._boto3_session.cache_clear()
    level, text, _ = judged()
    assert level == WARN
    assert "and botocore renews them: their source is asked again and again" in text


def test_a_process_that_names_no_expiry_cannot_be_relied_on(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    profile(environment, tmp_path, process(tmp_path, SessionToken=TOKEN))
    level, text, _ = judged()
    assert level == FAIL
    assert text.startswith("from custom-process, a session token that expires nobody knows when")


def test_a_process_that_fails_is_a_sentence(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    profile(environment, tmp_path, f"credential_process = {sys.executable} -c 'import sys; sys.exit(\"no luck\")'")
    level, text, _ = judged()
    assert level == FAIL
    assert text.startswith("none could be had: ")
    assert "no luck" in text


def test_no_credentials_at_all(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    profile(environment, tmp_path)
    assert judged()[:2] == (FAIL, "none were found")


@pytest.mark.parametrize(
    ("method", "profile", "keeps"),
    [
        ("assume-role", {}, ""),
        ("assume-role", {"mfa_serial": "arn"}, "a code of MFA"),
        ("iam-role", {}, ""),
        ("env", {}, "which nobody renews"),
    ],
)
def test_who_renews_what(method: str, profile: dict[str, str], keeps: str) -> None:
    assert keeps in whoami._keeps(method, True, profile)
    assert bool(whoami._keeps(method, True, profile)) == bool(keeps)


def test_a_sign_in_ends_nobody_knows_when(monkeypatch: pytest.MonkeyPatch) -> None:
    """No SSO profile gives credentials without a sign-in: what is made of them is all that is tried."""
    monkeypatch.setattr(whoami, "source", lambda: whoami.Source("sso", True, 3600.0, ""))
    found: Finding = whoami.credentials(RUN, "the run")
    assert (found.level, found.text) == (
        WARN,
        "from sso, they expire in 1h and are renewed while the sign-in lasts, whose end is not known here; "
        "the run lasts 2h",
    )
