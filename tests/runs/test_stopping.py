"""Runs that end before their time: by a rule of `stop_when`, and by Ctrl-C, once more. All rules: `make faults`."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from sm_locust.record.clock import unix
from tests.runs.harness import (
    STARTERS,
    accounted,
    config,
    endpoint,
    environment,
    is_complete,
    locust,
    summary,
    wait_for,
)

FLAT: dict[str, Any] = {"name": "flat", "duration": 600, "arrival_rate": 100}
WIDE: dict[str, Any] = {"workers": 64, "backlog": 5000}


def test_a_black_hole_ends_the_run_within_the_window_of_a_latency_and_three_seconds(tmp_path: Path) -> None:
    rules = [
        {"metric": "error_rate", "above": "1%", "for": "2s"},
        {"metric": "latency_p99", "above": "300ms", "for": "2s"},
    ]
    with endpoint(tmp_path, publish_delay=3600, **WIDE) as local:
        path = config(tmp_path, local.url, FLAT, stop_when=rules)
        arguments = ["--headless", "--stop-timeout", "20"]
        with locust(tmp_path, "-f", STARTERS, "--sm-config", str(path), *arguments) as run:
            wait_for("requests", lambda: local.served() > 200)
            began = time.time()
            with local.frozen():  # until it has tripped: CloudWatch is asked for what came before
                wait_for("a stop rule", lambda: "the run ends" in run.output)
            wait_for("the wait for CloudWatch", lambda: "waiting for CloudWatch" in run.output)
            run.signal(signal.SIGINT)
            assert run.wait(30) == 4, run.output
            folder = run.the_folder()
            assert is_complete(folder)
            found, meta = accounted(summary(folder)), json.loads((folder / "run.json").read_text())
            rule = "latency_p99 above 300ms for 2s"
            assert (meta["ended"], meta["stopped"]["rule"]) == ("stopped by stop_when", rule)
            assert found["stopped"]["by"] == "stop_when" and found["stopped"]["rule"] == rule
            assert found["stopped"]["value"] > 0.3
            took = meta["ended_s"] - (began - unix(meta["started_at"]))
            assert 1.5 <= took <= 2 + 3
            # What was in flight when it tripped has been waited for, and answered once the endpoint could.
            assert found["requests"]["failed"] == found["requests"]["cancelled"] == 0
            assert found["verdict"]["valid"], found["verdict"]
            said = f"The run was ended: {rule}: it was "
            assert said in run.output and said in (folder / "summary.md").read_text()
            assert run.output.count(f"the run ends: {rule}") == 1


def test_locust_looks_through_no_modules_while_the_last_arrivals_are_due(tmp_path: Path) -> None:
    """Its stop() asks who called it: without preparation that is a stall at the end of each run that is ended early."""
    with endpoint(tmp_path, **WIDE) as local:
        program = tmp_path / "program.py"
        program.write_text(
            "import gevent, os\n"
            "from sm_locust import InvokeEndpointUser, setup\n"
            "from locust import task\n"
            "from locust.env import Environment\n"
            "class Invoke(InvokeEndpointUser):\n"
            "    @task\n"
            "    def t(self):\n"
            "        self.invoke()\n"
            "resolved, resolve = [], os.path.realpath\n"
            "def counted(path, **options):\n"
            "    resolved.append(path)\n"
            "    return resolve(path, **options)\n"
            "environment = Environment(user_classes=[Invoke])\n"
            "environment.events.test_stopping.add_listener(lambda **_: print(len(resolved)))\n"
            "runner = environment.create_local_runner()\n"
            f"setup(environment, {str(config(tmp_path, local.url))!r}, run_dir={str(tmp_path / 'runs')!r})\n"
            "runner.start(30, spawn_rate=30)\n"
            "gevent.sleep(2)\n"
            "os.path.realpath = counted\n"
            "runner.quit()\n"
        )
        done = subprocess.run([sys.executable, program], capture_output=True, text=True, env=environment(), timeout=60)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 50, "modules that came since, and not the hundreds that there are"


def test_a_second_ctrl_c_waits_neither_for_requests_nor_for_cloudwatch_and_loses_nothing(tmp_path: Path) -> None:
    with endpoint(tmp_path, **WIDE) as local:
        path = config(tmp_path, local.url, FLAT)
        arguments = ["--headless", "--stop-timeout", "60"]
        with locust(tmp_path, "-f", STARTERS, "--sm-config", str(path), *arguments) as run:
            wait_for("requests", lambda: local.served() > 100)
            with local.frozen():
                time.sleep(0.5)
                run.signal(signal.SIGINT)
                time.sleep(1)
                assert run.process.poll() is None, "the first waits for what is in flight"
                run.signal(signal.SIGINT)
                at = time.monotonic()
                code = run.wait(30)
                assert time.monotonic() - at < 20, "of the 60 seconds of patience"
            folder = run.the_folder()
            found = accounted(summary(folder))
            assert is_complete(folder)
            assert code in (0, 3), run.output  # a machine that is busy makes it late
            assert "Traceback" not in run.output
            assert found["requests"]["cancelled"] > 20
            assert found["stopped"]["by"] == "hand"
