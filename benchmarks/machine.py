"""Where things run: the generator on one core, its target on the other; and what a finished process has cost."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

GENERATOR_CORE, TARGET_CORE = 0, 1


class BenchError(Exception):
    """A measurement that must not be believed; one sentence."""


@dataclass(frozen=True)
class Ended:
    """A process that ran to its end.

    cpu  seconds of user and system time, of the process and of all its descendants
    """

    cpu: float
    code: int
    output: str


def start(
    command: Sequence[str], core: int, log: Path, env: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """A process of its own session, pinned to a core; what it says goes to `log`."""
    with open(log, "wb") as file:
        return subprocess.Popen(  # nosec B603 # a command of ours, no shell
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {})},
            start_new_session=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {core}),
        )


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ends a process that we started, and what it started."""
    if process.returncode is None and process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def run(command: Sequence[str], log: Path, env: Mapping[str, str] | None = None, limit: float = 300.0) -> Ended:
    """Runs a generator to its end. Raises BenchError when it takes longer than `limit` seconds."""
    process = start(command, GENERATOR_CORE, log, env)
    deadline = time.monotonic() + limit
    try:
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() > deadline:
                raise BenchError(f"{command[0]} was still running after {limit:.0f} s; see {log}")
            time.sleep(0.05)
    except BaseException:
        stop(process)
        raise
    process.returncode = os.waitstatus_to_exitcode(status)
    return Ended(usage.ru_utime + usage.ru_stime, process.returncode, log.read_text(errors="replace"))
