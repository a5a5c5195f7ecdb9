"""The reference experiment without an AWS account: a local endpoint that really scales, and the experiment against it.

The endpoint and both Locusts are processes of their own in an environment from which everything that could lead
elsewhere is taken: credentials, profiles, proxies, Locust's own configuration. What is simulated is `local/`'s, what is
played is `experiment`'s.
"""

from __future__ import annotations

import contextlib
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from sm_locust.analysis.compare import Comparison
from sm_locust.analysis.summary import EXIT_FAILED, EXIT_GOOD, EXIT_NOT_VALID
from sm_locust.config import load
from sm_locust.experiment import Experiment, end, play
from sm_locust.fields import format_duration
from sm_locust.interrupts import Interrupts
from sm_locust.report import compare
from sm_locust.schedule import Phase, Schedule
from sm_locust.shipped import STARTERS

SPEED = 60
WORST_MEAN = 0.016  # seconds: "always less than 16 ms", with scaling, in the blog
REAL_TIME = (1800.0, 3000.0)  # schedule seconds: from before the target is crossed to past what one instance takes

# AWS's documented example pair: known to the local endpoint, and to nobody else.
ACCESS_KEY_ID = "AKIAIOSFODNN7EXAMPLE"
SECRET_ACCESS_KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"  # nosec B105 # AWS's public example

_SCRUBBED = ("AWS_", "LOCUST_", "SM_LOCUST_", "BOTO")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "ftp_proxy")


class DemoError(Exception):
    """What kept the demo from playing, in one sentence."""


def demo(run_dir: str | Path = "runs", *, real_time: bool = False) -> int:
    """Plays the ramp BEFORE and AFTER automatic scaling, prints the comparison and returns the exit code.

    0 when it came out as the blog's did; 3 when a side is not valid; 1 otherwise.
    real_time  plays minutes 30 to 50 of the ramp at speed 1, and not all of it 60 times faster

    Leaves `<run_dir>/demo/`; an older one is renamed, never written over. Raises DemoError.
    """
    speed = 1 if real_time else SPEED
    folder = _fresh_folder(Path(run_dir) / "demo")
    print(_introduction(real_time))
    sys.stdout.flush()
    with Interrupts() as interrupts, _scrubbed_environment(folder), _local_endpoint(folder, speed, interrupts) as url:
        config = folder / "config.yaml"
        config.write_text(yaml.safe_dump(_config(url, real_time), sort_keys=False), encoding="utf-8")
        comparison = play(Experiment(config, folder, speed))
    compare.show(comparison, folder, sys.stdout)
    print(f"Begin with {compare.PAGE}; before/ and after/ have a report.html of their own.")
    return _as_expected(comparison)


def _introduction(real_time: bool) -> str:
    ramp = (
        "Minutes 30 to 50 of the reference ramp in real time, 400 to 533 requests a second"
        if real_time
        else "The reference ramp, 200 to 600 to 800 requests a second, two hours in two minutes"
    )
    lasts = "45 minutes" if real_time else "5 minutes"
    return (
        f"{ramp}: BEFORE and AFTER automatic scaling, against a local endpoint. About {lasts} in all; no AWS account "
        "is used."
    )


def _config(url: str, real_time: bool) -> dict[str, Any]:
    """configs/local.yaml for this endpoint."""
    config = load(STARTERS / "configs/local.yaml").with_overrides(url=url).as_dict()
    if real_time:
        schedule = Schedule(Phase(**phase) for phase in config["phases"])
        config["phases"] = [_part(schedule, *REAL_TIME)]
    return config


def _part(schedule: Schedule, start: float, until: float) -> dict[str, Any]:
    return {
        "name": f"minutes {start / 60:g} to {until / 60:g}",
        "duration": format_duration(until - start),
        "arrival_rate": round(schedule.rate(start), 6),
        "ramp_to": round(schedule.rate(until), 6),
    }


def _as_expected(comparison: Comparison) -> int:
    """As the blog's: one instance fails; with scaling nothing does, and no minute's mean reaches 16 ms."""
    before, after = comparison.before.summary, comparison.after.summary
    if not (before.verdict.valid and after.verdict.valid):
        return EXIT_NOT_VALID
    cured = before.minutes.whole.requests.failed > 0 and after.minutes.whole.requests.failed == 0
    _, worst = comparison.after.worst("service_time_mean") or (0, math.inf)
    _, instances, _ = comparison.after.instances or (0, 0, 0)
    return EXIT_GOOD if cured and after.slo.passed and worst < WORST_MEAN and instances >= 2 else EXIT_FAILED


def _fresh_folder(folder: Path) -> Path:
    try:
        if folder.exists():
            folder.rename(folder.with_name("demo-" + time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())))
        folder.mkdir(parents=True)
    except OSError as e:
        raise DemoError(f"{folder} cannot be made: {e.strerror}") from None
    return folder.resolve()


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
def _scrubbed_environment(folder: Path) -> Iterator[None]:
    """This process asks AWS's side of the local endpoint itself, and its children inherit."""
    before = dict(os.environ)
    inside = scrubbed(before, folder)
    try:
        os.environ.clear()
        os.environ.update(inside)
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextlib.contextmanager
def _local_endpoint(folder: Path, speed: int, interrupts: Interrupts) -> Iterator[str]:
    """The URL of a local endpoint on a free port, for as long as the block runs."""
    readable, writable = os.pipe()
    log = folder / "local.log"
    command = [
        *(sys.executable, "-m", "sm_locust.cli", "local", "--port", "0"),
        *("--speed", str(speed), "--ready-fd", str(writable)),
    ]
    child = None
    try:
        with open(log, "wb") as output, interrupts.held():
            child = subprocess.Popen(  # nosec B603 # our own command, no shell
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=folder,
                pass_fds=[writable],
                start_new_session=True,
            )
            os.close(writable)
        with open(readable, encoding="ascii") as ready:
            port = ready.readline().strip()  # empty when the child ends without a word
        if not port:
            raise DemoError(f"the local endpoint did not start: {_last_line(log)}")
        yield f"http://127.0.0.1:{port}"
    finally:
        interrupts.disarm()
        if child is not None:
            end(child)


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else f"see {log}"
