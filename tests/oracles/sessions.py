"""Sessions that end: a program that issues their credentials, as `credential_process` runs it, and a server that looks
at nothing but their age.

A session's token says until when it is good; whoever comes later hears what AWS says then. Run as a program it issues
one session and writes down when it was asked.
"""

from __future__ import annotations

import json
import re
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # as a program, too

from tests.oracles.answers import AnswerServer, answer, ok

ACCESS_KEY, SECRET_KEY = "ASIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
FOR_EVER = "until-9999999999"


def token(until: float) -> str:
    """`until` in Unix seconds."""
    return f"until-{until:.3f}"


def iso(unix: float) -> str:
    return datetime.fromtimestamp(unix, UTC).isoformat()


def server() -> AnswerServer:
    """Answers an invocation of a session that is good, and no call around a run."""
    return AnswerServer([_answer])


def _answer(request: bytes) -> bytes:
    if request.startswith(b"POST / "):
        denied = {"__type": "AccessDeniedException", "message": "not here"}
        return answer(400, json.dumps(denied).encode(), "Content-Type: application/x-amz-json-1.1")
    found = re.search(rb"^x-amz-security-token: *until-([\d.]+)\r$", request, re.IGNORECASE | re.MULTILINE)
    if found is None or float(found[1]) < time.time():
        said = json.dumps({"message": "The security token included in the request is expired"}).encode()
        return answer(403, said, "x-amzn-ErrorType: ExpiredTokenException", "Content-Type: application/json")
    return ok()


def process(folder: Path, lifetime: float, good_for: float = 1e9) -> Path:
    """A file of AWS's configuration whose default profile asks this program, which notes in `folder` when it was asked.

    lifetime  seconds of a session
    good_for  seconds after the first question in which it answers; then it fails
    """
    command = f"{sys.executable} {__file__} {folder / 'asked'} {lifetime} {good_for}"
    path = folder / "aws.ini"
    path.write_text(f"[default]\nregion = us-east-1\ncredential_process = {command}\n")
    return path


def asked(folder: Path) -> list[tuple[float, float]]:
    """From when to when each question was answered, Unix seconds."""
    lines = (folder / "asked").read_text().splitlines()
    return [(float(line.split()[0]), float(line.split()[1])) for line in lines]


def _issue(notes: Path, lifetime: float, good_for: float) -> None:
    began = time.time()
    first = float(notes.read_text().split()[0]) if notes.exists() else began
    time.sleep(0.1)  # so that two at once would be seen
    good = began - first <= good_for
    with notes.open("a") as file:
        file.write(f"{began} {time.time()}\n")
    if not good:
        sys.exit(f"no session for {SECRET_KEY}")
    until = time.time() + lifetime
    keys = {"AccessKeyId": ACCESS_KEY, "SecretAccessKey": SECRET_KEY, "SessionToken": token(until)}
    print(json.dumps({"Version": 1, **keys, "Expiration": iso(until)}))


if __name__ == "__main__":
    _issue(Path(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]))
