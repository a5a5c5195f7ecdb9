"""The workflows of a folder that `sm-locust init` has made, played as GitHub's runners do, on this machine."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from tests.runs.harness import KEYS, environment, free_port, hears_ctrl_c, summary, wait_for

SHORT = "2m"  # of the schedule, which is a sixtieth of it in reality


class Runner:
    """Plays the `run` steps of a workflow. What a step leaves in the background stays, until all is over."""

    def __init__(self, folder: Path, commands: Path) -> None:
        """`commands` is where `python`, `sm-locust` and `locust` are."""
        self.folder = folder
        self._commands = commands
        self.shown = folder / "shown.md"
        self._sessions: list[int] = []

    def steps(self, workflow: str) -> dict[str, str]:
        text = (self.folder / ".github" / "workflows" / workflow).read_text()
        (job,) = yaml.safe_load(text)["jobs"].values()
        assert job["defaults"]["run"] == {"shell": "bash", "working-directory": "."}
        return {step["name"]: step["run"] for step in job["steps"] if "run" in step}

    def play(self, script: str) -> subprocess.CompletedProcess[str]:
        """As `shell: bash` has it, with our own commands in front and no index to install anything from."""
        with open(self.folder / "said.txt", "w+") as said:
            process = subprocess.Popen(
                ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", script],
                cwd=self.folder,
                env=environment(
                    **{key: KEYS[key] for key in KEYS if "KEY" in key},
                    PATH=f"{self._commands}{os.pathsep}{os.environ['PATH']}",
                    GITHUB_STEP_SUMMARY=str(self.shown),
                    PIP_NO_INDEX="1",
                    PYTHONPATH="",
                ),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=hears_ctrl_c,
            )
            self._sessions.append(process.pid)
            code = process.wait(90)
            said.seek(0)
            return subprocess.CompletedProcess(script, code, said.read())

    def end(self) -> None:
        """Ends what was left in the background, and waits until it is gone: its port is free then."""
        for session in self._sessions:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(session, signal.SIGTERM)
                wait_for("the end", partial(_is_gone, session))
        self._sessions.clear()


def _is_gone(session: int) -> bool:
    try:
        os.killpg(session, 0)
    except ProcessLookupError:
        return True
    return False


def shorten(folder: Path) -> None:
    """Has what it plays take seconds, and go to one endpoint on a port that is free; all else is as it was made."""
    port = str(free_port())
    for name in ("ci.yaml", "account.yaml"):
        path = folder / "configs" / name
        data: dict[str, Any] = yaml.safe_load(path.read_text())
        data["phases"] = [{**data["phases"][-1], "duration": SHORT}]
        data["target"] |= {
            "endpoint": "decision-trees-sample",
            "region": "us-east-1",
            "url": f"http://127.0.0.1:{port}",
        }
        path.write_text(yaml.safe_dump(data))
    for path in (folder / ".github" / "workflows").iterdir():
        text = path.read_text().replace("127.0.0.1:8500", f"127.0.0.1:{port}")
        text = text.replace("local --speed 60", f"local --port {port} --speed 60")
        path.write_text(text)


def code_of(folder: Path, slo: bool) -> int:
    """What the last run's exit code has to be; a machine that is too busy to send on time is not what is tested."""
    found = summary(max((folder / "runs").iterdir()))
    assert found["slo"]["passed"] is slo
    return 3 if not found["verdict"]["valid"] else 0 if slo else 1
