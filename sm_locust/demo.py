"""The reference experiment without an AWS account: a local endpoint, a real Locust against it, a folder with the truth.

Both are processes of their own in an environment from which everything that could lead elsewhere is taken: credentials,
profiles, proxies, Locust's own configuration. What is simulated is `local/`'s, what is measured the plugin's.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from sm_locust.analysis.summary import Summary
from sm_locust.record.run import Run
from sm_locust.report import text

STARTERS = Path(__file__).parent / "starters"
SPEED = 60

# AWS's documented example pair: known to the local endpoint, and to nobody else.
ACCESS_KEY_ID = "AKIAIOSFODNN7EXAMPLE"
SECRET_ACCESS_KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"

READY_PATIENCE = 60.0  # seconds: the tree is trained and scikit-learn imported before the endpoint answers
END_PATIENCE = 30.0

_SCRUBBED = ("AWS_", "LOCUST_", "SM_LOCUST_", "BOTO")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "ftp_proxy")


class DemoError(Exception):
    """What kept the demo from playing, in one sentence."""


def play(run_dir: str | Path = "runs", speed: int = SPEED) -> int:
    """Plays the ramp, prints the summary and returns the exit code: 0, or 3 when the run is not valid.

    Leaves `<run_dir>/demo/before/`; an older `<run_dir>/demo` is renamed, never written over. Raises DemoError.
    """
    folder = _fresh_folder(Path(run_dir) / "demo")
    print(
        f"The reference ramp, 200 to 600 to 800 requests a second: two hours in {_span(7200 / speed)}, against a local "
        "endpoint of one instance. No AWS account is used."
    )
    sys.stdout.flush()
    with _interruptible(), _local_endpoint(folder) as url:
        code = _locust(folder, url, speed)
    runs = [path for path in folder.iterdir() if (path / "run.json").exists()]
    if not runs:
        raise DemoError(f"Locust ended with exit code {code} and made no run folder: see {folder / 'locust.log'}")
    before = runs[0].rename(folder / "before")
    summary = Summary.of(Run.open(before))
    text.show(summary, before, sys.stdout)
    # That one instance does not keep the SLO up to 800 requests a second is what the demo is there to show.
    return 0 if code == 1 else code


def _fresh_folder(folder: Path) -> Path:
    try:
        if folder.exists():
            folder.rename(folder.with_name("demo-" + time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())))
        folder.mkdir(parents=True)
    except OSError as e:
        raise DemoError(f"{folder} cannot be made: {e.strerror}") from None
    return folder.resolve()


def _span(seconds: float) -> str:
    return f"{seconds / 60:g} minutes" if seconds >= 60 else f"{seconds:g} seconds"


def scrubbed(environment: Mapping[str, str], home: Path) -> dict[str, str]:
    """An environment in which nothing points beyond this machine."""
    kept = {
        name: value
        for name, value in environment.items()
        if not name.startswith(_SCRUBBED) and name.lower() not in _PROXIES
    }
    return {
        **kept,
        "HOME": str(home),  # Locust reads ~/.locust.conf
        "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """SIGTERM ends the demo as Ctrl-C does, so that no child is left behind."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _local_endpoint(folder: Path) -> Iterator[str]:
    """The URL of a local endpoint on a free port, for as long as the block runs."""
    readable, writable = os.pipe()
    log = folder / "local.log"
    try:
        with open(log, "wb") as output:
            child = subprocess.Popen(
                [sys.executable, "-m", "sm_locust.cli", "local", "--port", "0", "--ready-fd", str(writable)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=folder,
                env=scrubbed(os.environ, folder),
                pass_fds=[writable],
                start_new_session=True,
            )
    finally:
        os.close(writable)
    try:
        with open(readable, encoding="ascii") as ready:
            port = ready.readline().strip()  # empty when the child ends without a word
        if not port:
            raise DemoError(f"the local endpoint did not start: {_last_line(log)}")
        yield f"http://127.0.0.1:{port}"
    finally:
        _end(child)


def _locust(folder: Path, url: str, speed: int) -> int:
    """Runs Locust to its end; its progress goes to our stderr, everything else to locust.log."""
    with open(folder / "locust.log", "wb") as output:
        child = subprocess.Popen(
            [
                *(sys.executable, "-m", "locust"),
                *("-f", f"{STARTERS / 'locustfiles/invoke_endpoint.py'},{STARTERS / 'shapes/warm_up_max_load.py'}"),
                *("--sm-config", str(STARTERS / "configs/local.yaml"), "--sm-url", url),
                *("--sm-speed", str(speed), "--sm-run-dir", str(folder)),
                *("--headless", "--only-summary", "--logfile", str(folder / "locust.log")),
                *("--json-file", str(folder / "locust-stats")),  # instead of Locust's tables on the terminal
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            cwd=folder,
            env=scrubbed(os.environ, folder),
            start_new_session=True,
        )
    try:
        return child.wait()
    finally:
        _end(child)


def _end(child: subprocess.Popen[bytes]) -> None:
    """Ends a child in order if it still runs, and by force if it does not listen."""
    if child.poll() is None:
        child.terminate()  # not SIGINT: a demo that was started in the background would pass on that it is ignored
        try:
            child.wait(END_PATIENCE)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else f"see {log}"
