"""What a user sees of whole runs: real `locust` processes against the local endpoint."""

from __future__ import annotations

import csv
import datetime
import json
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.runs.harness import (
    STARTERS,
    Endpoint,
    accounted,
    answers,
    config,
    endpoint,
    environment,
    files,
    free_port,
    is_complete,
    locust,
    post,
    processes,
    summary,
    wait_for,
)

UP: dict[str, Any] = {"name": "up", "duration": 2, "arrival_rate": 100, "ramp_to": 300}
STEADY: dict[str, Any] = {"name": "steady", "duration": 2.5, "arrival_rate": 300}
LONG: dict[str, Any] = {"name": "long", "duration": 60, "arrival_rate": 100}


@pytest.mark.parametrize("count", [1, 2])
def test_client_workers_and_endpoint_agree_on_every_request(tmp_path: Path, local: Endpoint, count: int) -> None:
    # Answers as slow as the SLO lets them be would be 1,500 in flight: two processes are suggested.
    tight: dict[str, Any] = {"slo": {"latency_mean": "5s"}, "arrivals": {"max_in_flight": 1000}}
    path = config(tmp_path, local.url, UP, STEADY, **tight)
    arguments = ["-f", STARTERS, "--sm-config", str(path), "--headless", "--json", *processes(count)]
    with locust(tmp_path, *arguments) as run:
        code = run.wait()
        found = accounted(summary(run.the_folder()))
        assert is_complete(run.the_folder())
        assert code == {True: 0, False: 3}[found["verdict"]["valid"]], run.output
        assert found["requests"]["ok"] == found["arrivals"]["sent"] == local.served()
        assert found["arrivals"]["planned"] == pytest.approx(400 + 750, abs=0.01)
        assert found["arrivals"]["delivered_ratio"] > 0.97
        meta = json.loads((run.the_folder() / "run.json").read_text())
        assert len(meta["workers"]) == count
        assert ("one process sends this load, and 2 are suggested" in run.output) is (count == 1)
        assert meta["ended"] == "schedule complete"
        assert meta["schedule"]["source"] == f"config {path}"
        # Locust's own total, from its workers' reports, is the same: nothing ended unseen.
        start = run.output.index("[\n")
        table = json.JSONDecoder().raw_decode(run.output[start:])[0]
        assert sum(row["num_requests"] for row in table) == found["arrivals"]["sent"]


def test_the_web_ui_starts_runs_one_after_the_other_and_each_has_its_folder(tmp_path: Path, local: Endpoint) -> None:
    path, port = config(tmp_path, local.url, UP), free_port()
    (tmp_path / "long").mkdir()
    long = config(tmp_path / "long", local.url, LONG)
    arguments = ["-f", STARTERS, "--sm-config", str(path), "--web-port", str(port)]
    with locust(tmp_path, *arguments, "--web-host", "127.0.0.1") as run:
        page = f"http://127.0.0.1:{port}"
        form = {"user_count": 1, "spawn_rate": 1, "sm_config": str(path), "sm_speed": 1}
        wait_for("web UI", lambda: answers(page))

        refused = post(f"{page}/swarm", **{**form, "sm_config": str(tmp_path / "absent.yaml")})
        assert refused["success"] is False
        assert "absent.yaml" in refused["message"]
        refused = post(f"{page}/swarm", **{**form, "sm_endpoint": "nobodys"})
        assert refused["success"] is False
        assert "SageMaker has no nobodys" in refused["message"]
        assert run.folders() == []
        assert local.served() == 0

        assert post(f"{page}/swarm", **form)["success"] is True
        wait_for("the first run's end", lambda: run.folders() and (run.folders()[0] / "report.html").exists())

        before = local.served()
        assert post(f"{page}/swarm", **{**form, "sm_config": str(long)})["success"] is True
        wait_for("the second run", lambda: local.served() > before + 50)
        assert post(f"{page}/stop")["success"] is True
        first, second = run.folders()
        assert is_complete(first)
        assert is_complete(second)
        assert json.loads((first / "run.json").read_text())["ended"] == "schedule complete"
        assert json.loads((second / "run.json").read_text())["ended"] == "stopped by hand"
        sent = [accounted(summary(folder))["arrivals"]["sent"] for folder in (first, second)]
        assert sent[0] == pytest.approx(400, abs=3)
        assert sum(sent) == local.served()


def test_without_a_shape_a_user_is_one_arrival_a_second(tmp_path: Path, local: Endpoint) -> None:
    path = config(tmp_path, local.url)
    options = ["-u", "50", "-r", "50", "-t", "4s", "--headless"]
    with locust(tmp_path, "-f", files("locustfiles/invoke_endpoint.py"), "--sm-config", str(path), *options) as run:
        run.wait()
        found = accounted(summary(run.the_folder()))
        rows = _timeline(run.the_folder())
    for row in rows[1:3]:
        assert float(row["planned"]) == pytest.approx(50, abs=0.5)
        assert float(row["sent"]) == pytest.approx(50, abs=1)
    assert found["arrivals"]["delivered_ratio"] == pytest.approx(1.0, abs=0.01)


def test_a_frozen_endpoint_does_not_slow_the_arrivals_down(tmp_path: Path) -> None:
    # Wide enough to answer everything that has queued up once it thaws.
    with endpoint(tmp_path, workers=64, backlog=5000) as local:
        path = config(tmp_path, local.url, {"name": "flat", "duration": 9, "arrival_rate": 400})
        with locust(tmp_path, "-f", STARTERS, "--sm-config", str(path), "--headless") as run:
            wait_for("the run", lambda: run.folders())
            time.sleep(2.0)
            with local.frozen():
                time.sleep(4.5)
            run.wait()
            found = accounted(summary(run.the_folder()))
            rows = _timeline(run.the_folder())
            served = local.served()
    during = [float(row["sent"]) for row in rows[2:6]]
    assert all(sent == pytest.approx(400, rel=0.05) for sent in during), during
    assert sum(during) == pytest.approx(1600, rel=0.005)
    assert found["arrivals"]["sent"] == served == pytest.approx(3600, abs=18)
    # What was due while nothing answered waited for the rest of the stall: the corrected latency says so.
    assert found["latency_ms"]["max"] > 4000
    assert found["latency_ms"]["p90"] > 2000


@pytest.mark.parametrize(
    ("number", "everyone", "count", "ended"),
    [
        (signal.SIGINT, False, 1, "stopped by hand"),
        (signal.SIGTERM, False, 1, "terminated"),
        (signal.SIGINT, True, 2, "stopped by hand"),
        (signal.SIGTERM, False, 2, "terminated"),
    ],
    ids=["Ctrl-C", "SIGTERM", "Ctrl-C to master and workers", "SIGTERM to the master"],
)
def test_however_it_is_ended_it_leaves_a_complete_folder(
    tmp_path: Path, local: Endpoint, number: int, everyone: bool, count: int, ended: str
) -> None:
    path = config(tmp_path, local.url, LONG)
    with locust(tmp_path, "-f", STARTERS, "--sm-config", str(path), "--headless", *processes(count)) as run:
        wait_for("requests", lambda: local.served() > 300)
        (run.signal_all if everyone else run.signal)(number)
        run.wait(30)
        wait_for("the end of every process", lambda: not run.processes())
        found = accounted(summary(run.the_folder()))
        assert is_complete(run.the_folder()), run.output
    assert json.loads((run.the_folder() / "run.json").read_text())["ended"] == ended
    assert found["arrivals"]["sent"] == found["requests"]["ok"] == local.served()
    assert found["arrivals"]["delivered_ratio"] > 0.9


def test_a_worker_that_cannot_hear_its_master_pauses_and_goes_on_when_it_does(tmp_path: Path, local: Endpoint) -> None:
    path = config(tmp_path, local.url, {**LONG, "duration": 12})
    with locust(tmp_path, "-f", STARTERS, "--sm-config", str(path), *processes(2), "--headless") as run:
        wait_for("requests", lambda: local.served() > 100)
        run.signal(signal.SIGSTOP)  # the master alone: no heartbeats, as in a partition
        time.sleep(5.0)
        paused = local.served()
        time.sleep(1.5)
        assert local.served() == paused
        run.signal(signal.SIGCONT)
        assert run.wait() == 3, run.output
        found = accounted(summary(run.the_folder()))
    assert found["arrivals"]["dropped_by_reason"]["isolated"] == found["arrivals"]["dropped"] > 200
    assert found["arrivals"]["sent"] == local.served() > paused


def test_a_worker_that_joins_late_takes_its_share(tmp_path: Path, local: Endpoint) -> None:
    path, port = config(tmp_path, local.url, LONG), str(free_port())
    arguments = ["-f", STARTERS, "--sm-config", str(path), "--master-port", port]
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    master = ["--master", "--master-bind-port", port, "--expect-workers", "1", "--headless"]
    with locust(tmp_path, *arguments, *master) as run, locust(tmp_path / "one", *arguments, "--worker"):
        wait_for("requests", lambda: local.served() > 100)
        with locust(tmp_path / "two", *arguments, "--worker") as late:
            wait_for("its share", lambda: len(due := _due(run.the_folder())) == 2 and min(due.values()) > 100)
            run.signal(signal.SIGINT)
            run.wait()
            late.wait()
        found = accounted(summary(run.the_folder()))
        assert "Unknown message type" not in late.output
    lost = found["arrivals"]["planned"] - found["arrivals"]["sent"]
    assert lost < 100, "more than a second of the load while users were dealt out anew"
    assert found["arrivals"]["sent"] == local.served()


def test_the_class_picker_plays_the_shape_that_was_picked(tmp_path: Path, local: Endpoint) -> None:
    (tmp_path / "two_shapes.py").write_text(
        "from sm_locust import Phase, PhasesShape\n"
        "class Slow(PhasesShape):\n"
        "    phases = [Phase('slow', 2, 20)]\n"
        "class Fast(PhasesShape):\n"
        "    phases = [Phase('fast', 2, 60)]\n"
    )
    path, port = config(tmp_path, local.url), free_port()
    shapes = f"{files('locustfiles/invoke_endpoint.py')},{tmp_path / 'two_shapes.py'}"
    arguments = ["-f", shapes, "--sm-config", str(path), "--class-picker", "--web-port", str(port)]
    with locust(tmp_path, *arguments, "--web-host", "127.0.0.1") as run:
        page = f"http://127.0.0.1:{port}"
        wait_for("web UI", lambda: answers(page))
        form = {"user_count": 1, "spawn_rate": 1, "user_classes": "InvokeEndpoint", "sm_config": str(path)}
        for shape, arrivals in (("Fast", 120), ("Slow", 40)):
            assert post(f"{page}/swarm", **form, shape_class=shape)["success"] is True
            wait_for("the report", lambda: len(list(run.runs.glob("*/report.html"))))
            (tmp_path / "runs").rename(tmp_path / f"runs of {shape}")
            (folder,) = (tmp_path / f"runs of {shape}").iterdir()
            found = accounted(summary(folder))
            assert found["arrivals"]["planned"] == pytest.approx(arrivals)
            assert found["arrivals"]["sent"] == pytest.approx(arrivals, abs=2)
            wait_for("Locust's own end", lambda: _state(page) == "stopped")


def test_sigterm_ends_a_master_that_waits_for_workers(tmp_path: Path) -> None:
    path = config(tmp_path, "http://127.0.0.1:9", UP)
    arguments = ["-f", STARTERS, "--sm-config", str(path), "--headless"]
    waiting = ["--master", "--expect-workers", "1", "--master-bind-port", str(free_port())]
    with locust(tmp_path, *arguments, *waiting) as run:
        wait_for("the master", lambda: "Starting Locust" in run.output)
        time.sleep(1.5)
        run.signal(signal.SIGTERM)
        assert run.wait(30) == 128 + signal.SIGTERM
        assert run.folders() == []


def test_a_locustfile_of_ones_own_becomes_an_open_model_by_one_import(tmp_path: Path, local: Endpoint) -> None:
    (tmp_path / "shop_arrivals.py").write_text(
        "from locust import FastHttpUser, task\n"
        "from sm_locust import ArrivalUser\n"
        "class Shop(ArrivalUser, FastHttpUser):\n"
        f"    host = {local.url!r}\n"
        "    per_user = 2\n"
        "    @task\n"
        "    def browse(self):\n"
        "        self.client.get('/ping')\n"
        "    @task\n"
        "    def stumble(self):\n"
        "        raise KeyError('not there')\n"
    )
    with locust(
        tmp_path, "-f", str(tmp_path / "shop_arrivals.py"), "-u", "20", "-r", "20", "-t", "4s", "--headless"
    ) as run:
        assert run.wait() in (1, 3), run.output
        found = accounted(summary(run.the_folder()))
        lasted = json.loads((run.the_folder() / "run.json").read_text())["ended_s"]
        said, over = (
            datetime.datetime.fromisoformat(line[1:24].replace(",", "."))
            for line in run.output.splitlines()
            if "Run time limit set" in line or "--run-time limit reached" in line
        )
    assert over - said > datetime.timedelta(seconds=3.9), "Locust's -t counts from the moment that it says so"
    assert found["arrivals"]["sent"] == pytest.approx(40 * lasted, abs=12)
    assert found["arrivals"]["delivered_ratio"] == pytest.approx(1.0, abs=0.02)
    assert set(found["requests"]["by_kind"]) == {"task_error"}
    assert found["by_name"]["/ping"]["requests"]["ok"] == found["requests"]["ok"] > 40
    assert found["by_name"]["stumble"]["requests"]["failed"] == found["requests"]["failed"] > 40


def test_payloads_that_are_sent_once_end_the_run_with_the_last_of_them(tmp_path: Path, local: Endpoint) -> None:
    bodies = tmp_path / "rows.csv"
    bodies.write_text("".join(f"{n},3.5,1.3,0.3\n" for n in range(123)))
    request = {"payloads": str(bodies), "order": "once"}
    path = config(tmp_path, local.url, {"name": "all", "duration": 60, "arrival_rate": 60}, request=request)
    with locust(
        tmp_path,
        *("-f", STARTERS, "--sm-config", str(path)),
        "--headless",
    ) as run:
        code, folder = run.wait(), run.the_folder()
    found = accounted(summary(folder))
    assert code == {True: 0, False: 3}[found["verdict"]["valid"]], run.output
    assert json.loads((folder / "run.json").read_text())["ended"] == "payloads used up"
    assert found["arrivals"]["sent"] == found["requests"]["ok"] == local.served() == 123
    assert found["arrivals"]["planned"] == pytest.approx(123, abs=1)
    assert found["stopped"] is None


def test_locust_as_a_library_needs_one_call_and_another_for_another_order(tmp_path: Path, local: Endpoint) -> None:
    path = config(tmp_path, local.url)
    program = tmp_path / "program.py"
    program.write_text(
        "import gevent, sys\n"
        "from sm_locust import ConfigError, InvokeEndpointUser, RunConfig, setup\n"
        "from locust import task\n"
        "from locust.env import Environment\n"
        "class Invoke(InvokeEndpointUser):\n"
        "    @task\n"
        "    def t(self):\n"
        "        self.invoke()\n"
        "environment = Environment(user_classes=[Invoke])\n"
        "runner = environment.create_local_runner()\n"
        f"live = setup(environment, {str(path)!r}, run_dir={str(tmp_path / 'runs')!r})\n"
        "assert setup(environment) is live\n"
        "runner.start(30, spawn_rate=30)\n"
        "gevent.sleep(3)\n"
        "try:\n"
        "    setup(environment, speed=60)\n"
        "except ConfigError as e:\n"
        "    print(e)\n"
        "run = live.finish()\n"
        "assert live.finish() is run\n"
        "print(run.folder)\n"
        "runner.stop()\n"
        "config = RunConfig.from_dict({**run.meta['config'], 'arrivals': {'per_user': 0.5}})\n"
        "assert setup(environment, config) is live\n"
        "runner.start(30, spawn_rate=30)\n"
        "gevent.sleep(2)\n"
        "runner.quit()\n"
        "print(live.finish().folder)\n"
    )
    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, env=environment(), timeout=60)
    assert done.returncode == 0, done.stderr
    refused, *folders = done.stdout.splitlines()
    assert refused == "setup: a run is going on, and takes no other order: call finish() first"
    first, second = (accounted(summary(Path(folder))) for folder in folders)
    assert first["arrivals"]["sent"] + second["arrivals"]["sent"] == local.served()
    assert 55 <= first["arrivals"]["sent"] <= 150, "three seconds or more, less the wait for the first whole one"
    assert 10 <= second["arrivals"]["sent"] <= 50, "two seconds or more at half the rate, less that wait"
    assert Path(folders[0]).parent == Path(folders[1]).parent == tmp_path / "runs"


def _state(page: str) -> str:
    with urllib.request.urlopen(f"{page}/stats/requests", timeout=5) as answer:
        return str(json.load(answer)["state"])


def _due(folder: Path) -> Counter[str]:
    """Arrivals by worker, so far: the last line may not be whole yet."""
    due: Counter[str] = Counter()
    for line in (folder / "intervals.jsonl").read_text().split("\n")[:-1]:
        row = json.loads(line)
        if row.get("name") == "":
            due[row["worker"]] += row["counts"]["due"]
    return due


def _timeline(folder: Path) -> list[dict[str, str]]:
    with open(folder / "timeline.csv", newline="") as file:
        return list(csv.DictReader(file))
