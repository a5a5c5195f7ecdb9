"""An experiment that is killed after any of the calls by which it changes something: `scaling restore` undoes it all.

The calls are not written down here: an experiment that is not killed shows them, and then one is killed after each.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from tests.oracles.proxy import Proxy
from tests.product.account import METRIC, RESOURCE, VARIANT, policy, state
from tests.runs.harness import Endpoint, client, endpoint, environment, wait_for

SPEED = 60
AT_A_TIME = 8  # most of it is waiting


def nothing(url: str) -> None:
    """Nobody scales it."""


def scheduled(url: str) -> None:
    """A target with a tag, and an action of the far future."""
    aws = client(url, "application-autoscaling")
    aws.register_scalable_target(**VARIANT, MinCapacity=1, MaxCapacity=3, Tags={"team": "trees"})
    aws.put_scheduled_action(
        **VARIANT,
        ScheduledActionName="new-year",
        Schedule="at(2099-01-01T00:00:00)",
        Timezone="Europe/Berlin",
        ScalableTargetAction={"MinCapacity": 2},
    )


def two_policies(url: str) -> None:
    """Somebody's policy, and one that an earlier `scaling apply` has left under the name that the experiment uses."""
    aws = client(url, "application-autoscaling")
    suspended = {"DynamicScalingInSuspended": True}
    aws.register_scalable_target(**VARIANT, MinCapacity=1, MaxCapacity=6, SuspendedState=suspended)
    for name, target in (("team", 70000.0), (f"sm-locust-{METRIC}", 60000.0)):
        aws.put_scaling_policy(**VARIANT, **policy(name, target))


SETUPS = {"nothing": (nothing, 1), "a scheduled action": (scheduled, 1), "two policies": (two_policies, 2)}
WHOLE = ("two policies", "a scheduled action")  # killed after each call


def config(folder: Path, url: str, duration: str = "30s") -> Path:
    path = folder / "experiment.yaml"
    document = {
        "target": {"endpoint": "decision-trees-sample", "region": "us-east-1", "url": url},
        "request": {"content_type": "text/csv", "body": "5,3.5,1.3,0.3"},
        "phases": [{"name": "steady", "duration": duration, "arrival_rate": 20}],
        "scaling": {"min_instances": 1, "max_instances": 4, "metric": METRIC, "target": 25000},
    }
    path.write_text(yaml.safe_dump(document))
    return path


def command(folder: Path, proxy: Proxy | None, *arguments: str) -> tuple[int, str]:
    """`sm-locust …`, in a process group of its own, its control plane behind the proxy: exit code and output."""
    through = {}
    if proxy is not None:
        through = {f"AWS_ENDPOINT_URL_{name}": proxy.url for name in ("APPLICATION_AUTO_SCALING", "SAGEMAKER")}
    process = begun(folder / "output", *arguments, **through)
    if proxy is not None:
        proxy.victim = process.pid
    code = process.wait(120)
    return code, (folder / "output").read_text(errors="replace")


def begun(log: Path, *arguments: str, **env: str) -> subprocess.Popen[bytes]:
    with open(log, "ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "sm_locust.cli", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=log.parent,
            env=environment(**env),
            start_new_session=True,
        )


def experiment(folder: Path, local: Endpoint, proxy: Proxy, *more: str) -> tuple[int, str]:
    played = config(folder, local.url)
    return command(folder, proxy, "experiment", str(played), "--replace", "--speed", str(SPEED), *more)


@dataclass
class Case:
    """One experiment, killed after its n-th call that changes something (0: not at all), and what became of it."""

    folder: Path
    setup: str
    n: int
    calls: list[str]
    code: int
    before: dict[str, Any]
    left: dict[str, Any]
    restored: dict[str, Any]
    output: str
    again: str


def killed(folder: Path, setup: str, n: int, *, in_restore: bool = False) -> Case:
    """in_restore  kill every `scaling restore` after its first change too, until one has nothing left to change"""
    folder.mkdir()
    arrange, instances = SETUPS[setup]
    with endpoint(folder, SPEED, instances=instances, provisioning_time=30) as local, Proxy(local.url, n) as proxy:
        arrange(local.url)
        before = state(local.url)
        code, output = experiment(folder, local, proxy)
        left, again = state(local.url), ""
        (runs,) = (folder / "runs").iterdir()
        if n:
            assert proxy.killed.is_set() and code == -9, output
            if in_restore:
                for _ in range(20):
                    with Proxy(local.url, 1) as deadly:
                        code, output = command(folder, deadly, "scaling", "restore", str(runs))
                    proxy.calls += deadly.calls
                    if code != -9:
                        break
            else:
                code, output = command(folder, None, "scaling", "restore", str(runs))
            _, again = command(folder, None, "scaling", "restore", str(runs))
        return Case(folder, setup, n, list(proxy.calls), code, before, left, state(local.url), output, again)


@dataclass
class Resumed:
    """An experiment that was killed in the midst of AFTER's load, and what came next."""

    while_it_ran: str
    outlived_by: float
    refused: tuple[int, str]
    code: int
    output: str
    folder: Path
    before: dict[str, Any]
    restored: dict[str, Any]


def killed_and_resumed(folder: Path) -> Resumed:
    folder.mkdir()
    with endpoint(folder, SPEED, instances=2, provisioning_time=30) as local:
        two_policies(local.url)
        before = state(local.url)
        arguments = ["experiment", str(config(folder, local.url, "4m")), "--replace", "--speed", str(SPEED)]
        process = begun(folder / "first", *arguments)

        def load_of_after() -> bool:
            ledgers = {path.parent.name: path for path in folder.glob("runs/*/*/intervals.jsonl")}
            ledgers.pop("before", None)
            return (folder / "runs").is_dir() and any(
                (path.parent.parent / "before" / "report.html").exists() and path.stat().st_size
                for path in ledgers.values()
            )

        wait_for("the load of AFTER", load_of_after, 90)
        (runs,) = (folder / "runs").iterdir()
        _, while_it_ran = command(folder, None, "scaling", "restore", str(runs))
        locusts = psutil.Process(process.pid).children(recursive=True)
        assert locusts
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        killed_at = time.monotonic()
        (folder / "output").unlink()
        refused = command(folder, None, *arguments)
        _, alive = psutil.wait_procs(locusts, 60)
        assert not alive
        outlived_by = time.monotonic() - killed_at
        started = (runs / "before" / "run.json").stat().st_mtime
        (folder / "output").unlink()
        code, said = command(folder, None, "experiment", "--resume", str(runs))
        assert started == (runs / "before" / "run.json").stat().st_mtime
        return Resumed(while_it_ran, outlived_by, refused, code, said, runs, before, state(local.url))


AT_ONCE = 3  # calls that every experiment has, for sure: their cases need not wait for the whole ones


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Case], Resumed]:
    parent = tmp_path_factory.mktemp("killed")

    def play(setup: str, n: int) -> Case:
        # Once AFTER is over there is most to put back: there every `scaling restore` is killed too.
        stubborn = (setup, n) == ("two policies", 5)
        return killed(parent / f"{setup} {n}", setup, n, in_restore=stubborn)

    with ThreadPoolExecutor(AT_A_TIME) as pool:
        resumed = pool.submit(killed_and_resumed, parent / "resumed")
        whole = [pool.submit(play, setup, 0) for setup in WHOLE]
        found = [pool.submit(play, setup, n) for setup in WHOLE for n in range(1, AT_ONCE + 1)]
        found.append(pool.submit(play, "nothing", 1))  # the registration is ours, and nobody was told
        for setup, case in zip(WHOLE, whole, strict=True):
            found += [pool.submit(play, setup, n) for n in range(len(case.result().calls), AT_ONCE, -1)]
        return [case.result() for case in (*whole, *found)], resumed.result()


@pytest.fixture(scope="module")
def cases(played: tuple[list[Case], Resumed]) -> list[Case]:
    return played[0]


def test_an_experiment_that_is_not_killed_changes_what_it_must_and_leaves_nothing(cases: list[Case]) -> None:
    calls = {case.setup: case.calls for case in cases if case.n == 0}
    assert all(case.restored == case.before for case in cases if case.n == 0)
    assert calls == {
        "a scheduled action": [
            *("RegisterScalableTarget", "RegisterScalableTarget", "PutScalingPolicy"),
            *("DeleteScalingPolicy", "RegisterScalableTarget"),
        ],
        "two policies": [
            *("RegisterScalableTarget", "UpdateEndpointWeightsAndCapacities"),
            *("DeleteScalingPolicy", "RegisterScalableTarget", "PutScalingPolicy"),
            *("PutScalingPolicy", "PutScalingPolicy", "RegisterScalableTarget", "UpdateEndpointWeightsAndCapacities"),
        ],
    }


def test_whatever_call_was_its_last_scaling_is_as_it_was_before(cases: list[Case]) -> None:
    for case in cases:
        name = f"{case.setup}, killed after {case.calls[: case.n]}"
        # A whole experiment of ten requests on a busy machine may have sent one late: 3.
        assert case.code in ((0,) if case.n else (0, 3)), f"{name}: {case.output}"
        assert case.restored == case.before, name
        assert "Traceback" not in case.output, name
        if case.n:
            assert "was put back at" in case.again, name
    (stubborn,) = [case for case in cases if (case.setup, case.n) == ("two policies", 5)]
    assert len(stubborn.calls) > 5 + 2  # it was killed in the middle of putting back, and more than once
    changed = [case for case in cases if case.n and case.left != case.before]
    assert len(changed) > len(cases) / 2  # or nothing was shown


def test_a_killed_experiment_goes_on_from_its_folder(played: tuple[list[Case], Resumed]) -> None:
    _, found = played
    folder = found.folder
    assert "another sm-locust is still at work on it" in found.while_it_ran
    assert found.outlived_by < 60  # its Locust ends by itself, in order
    code, said = found.refused
    assert code == 2
    assert len(said.strip().splitlines()) == 1
    assert f"sm-locust scaling restore runs/{folder.name}" in said
    assert f"sm-locust experiment --resume runs/{folder.name}" in said
    assert found.code in (0, 3), found.output
    assert "Traceback" not in found.output
    assert found.restored == found.before
    folders = {path.name for path in folder.iterdir() if path.is_dir()}
    assert folders == {"before", "after", "after-interrupted-1"}
    interrupted = json.loads((folder / "after-interrupted-1" / "run.json").read_text())
    assert interrupted["ended"] not in (None, "schedule complete")
    record = json.loads((folder / "experiment.json").read_text())
    stages = [stage["stage"] for stage in record["stages"]]
    assert stages == ["before", "apply", "steady", "after", "resume", "apply", "steady", "after", "restore"]
    assert record["scaling_before"]["instances"] == found.before["instances"]
    assert (folder / "compare.json").exists()


def test_a_maximum_below_what_there_is_is_refused_and_nothing_is_sent(tmp_path: Path) -> None:
    with endpoint(tmp_path, SPEED, instances=6) as local, Proxy(local.url) as proxy:
        code, output = experiment(tmp_path, local, proxy)
        assert (code, proxy.calls, local.served()) == (2, [], 0)
        applied, _ = command(tmp_path, proxy, "scaling", "apply", str(config(tmp_path, local.url)), "--yes")
        assert (applied, proxy.calls) == (2, [])
    assert output.startswith(
        "sm-locust: scaling.max_instances: 4 is not accepted: "
        f"{RESOURCE} has 6 instances, and those above the maximum would be gone at once; 6 or more"
    )
    assert not (tmp_path / "runs").exists()
