"""A source of credentials as anybody would write one for `credential_process`: asks the local endpoint for a session.

Standard library alone, nothing of sm_locust. It notes when it was asked, so that a test can see how often that was and
that it was never asked twice at once; and it can stop answering.
"""

from __future__ import annotations

import json
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any


def issue(url: str, lifetime: float) -> dict[str, Any]:
    """A session of `lifetime` seconds, as a `credential_process` prints it."""
    with urllib.request.urlopen(f"{url}/_local/session?lifetime={lifetime}", timeout=10) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def profile(folder: Path, url: str, lifetime: float, good_for: float = 1e9) -> Path:
    """A file of AWS's configuration whose default profile asks this program, which takes its notes in `folder`.

    lifetime  seconds of a session
    good_for  seconds after the first question in which it answers; then it fails
    """
    command = f"{sys.executable} {__file__} {folder / 'asked'} {url} {lifetime} {good_for}"
    path = folder / "aws.ini"
    path.write_text(f"[default]\nregion = us-east-1\ncredential_process = {command}\n")
    return path


def asked(folder: Path) -> list[tuple[float, float]]:
    """From when to when it worked on each question, Unix seconds."""
    lines = (folder / "asked").read_text().splitlines()
    return [(float(line.split()[0]), float(line.split()[1])) for line in lines]


def _answer(notes: Path, url: str, lifetime: float, good_for: float) -> None:
    began = time.time()
    first = float(notes.read_text().split()[0]) if notes.exists() else began
    session = issue(url, lifetime)
    time.sleep(0.1)  # so that two at once would be seen
    with notes.open("a") as file:
        file.write(f"{began} {time.time()}\n")
    if began - first > good_for:
        sys.exit(f"no more sessions with {session['SecretAccessKey']}")
    print(json.dumps(session))


if __name__ == "__main__":
    _answer(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]), float(sys.argv[4]))
