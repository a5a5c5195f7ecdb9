"""`sm-locust plan` as a process: no network, no AWS, exit codes, JSON that owns stdout; and an experiment's guard."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sm_locust.config import ConfigError
from sm_locust.experiment import Experiment

ROOT = Path(__file__).parents[2]

# Runs before anything else in the process: no address is resolved, nothing is connected, and AWS is not even loaded.
ALONE = """
import socket, sys

def refuse(*_, **__):
    raise AssertionError("the network was asked")

socket.getaddrinfo = socket.gethostbyname = refuse
socket.socket.connect = socket.socket.connect_ex = socket.socket.sendto = refuse

class Forbid:
    def find_spec(self, name, *_):
        if name.partition(".")[0] in ("boto3", "botocore", "locust", "gevent"):
            raise AssertionError(f"{name} was imported")

sys.meta_path.insert(0, Forbid())
"""


SCRIPT = """
config:
  target: http://shop.example.com
  phases: [{duration: 60, arrivalRate: 2}]
  payload: {path: users.csv, fields: [id]}
scenarios:
  - flow: [{get: {url: "/{{ id }}"}}, {think: 1}, {get: {url: /}}, {get: {url: /}}]
"""


@pytest.fixture
def alone(tmp_path: Path) -> Path:
    (tmp_path / "sitecustomize.py").write_text(ALONE)
    return tmp_path


def plan(alone: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return subprocess.run(
        [sys.executable, "-m", "sm_locust.cli", "plan", *map(str, arguments)],
        env={**kept, "PYTHONPATH": f"{alone}{os.pathsep}{ROOT}", "XDG_CACHE_HOME": str(alone)},
        cwd=alone,
        capture_output=True,
        text=True,
        timeout=60,
    )


def written(folder: Path, **sections: object) -> Path:
    path = folder / "load.yaml"
    phases = [{"name": "load", "duration": "10m", "arrival_rate": 10}]
    target = {"endpoint": "mine"}
    path.write_text(json.dumps({"target": target, "phases": phases, **sections}))
    return path


def test_the_test_would_notice(alone: Path) -> None:
    for code in ("import boto3", "import socket; socket.create_connection(('127.0.0.1', 1))"):
        done = subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(alone)}, capture_output=True, timeout=60
        )
        assert b"AssertionError" in done.stderr


def test_it_asks_nobody_and_says_in_one_sentence_what_is_wrong(alone: Path) -> None:
    guarded = written(alone, guard={"max_cost": 5})
    (alone / "empty.yaml").write_text("")
    (alone / "script.yml").write_text(SCRIPT)
    (alone / "short.yml").write_text(SCRIPT.replace("[id]", "[id, word]"))
    (alone / "users.csv").write_text("1\n2\n")
    with ThreadPoolExecutor() as side_by_side:
        text, as_json, refused, refused_json, empty, absent, option, script, short = side_by_side.map(
            lambda arguments: plan(alone, *arguments),
            [
                [ROOT / "configs/decision_trees.yaml"],
                [ROOT / "configs/local.yaml", "--json", "--speed", "60"],
                [guarded],
                [guarded, "--json"],
                ["empty.yaml"],
                ["absent.yaml"],
                [guarded, "--endpoint", "-wrong-"],
                ["script.yml"],
                ["short.yml"],
            ],
        )
    assert (text.returncode, text.stderr) == (0, "")
    assert "25,000 a minute, the target for one instance, is crossed at 32.5 min" in text.stdout
    assert (as_json.returncode, as_json.stderr) == (0, "")
    assert json.loads(as_json.stdout)["arrivals"] == 66_000

    said = "sm-locust: guard.max_cost allows $5.00, and what the run costs is not known without prices.instance_hour, "
    assert refused.returncode == 2
    assert "6,000 arrivals in 10m" in refused.stdout  # the plan is shown
    assert refused.stderr.startswith(said)
    assert refused.stderr.count("\n") == 1
    assert refused_json.returncode == 2
    assert json.loads(refused_json.stdout)["guard"]["refusals"]
    assert refused_json.stderr == refused.stderr

    assert script.returncode == 0, script.stderr
    assert "120 arrivals, 360 requests, in 1m" in script.stdout
    assert (short.returncode, short.stdout) == (2, "")
    assert short.stderr.endswith(
        "sm-locust: feeds[0].file: users.csv: line 1 has no value for word; accepted: a CSV file in UTF-8, a value in "
        "each row for each of fields\n"
    )
    for done, line in (
        (empty, "sm-locust: phases: missing; required: the load to plan, a list of one phase or more\n"),
        (absent, "sm-locust: absent.yaml: cannot be read: No such file or directory; accepted: a YAML file\n"),
    ):
        assert (done.returncode, done.stdout, done.stderr) == (2, "", line)
    assert option.returncode == 2
    assert option.stderr.startswith("sm-locust: --endpoint: '-wrong-' is not accepted")


def test_both_sides_of_an_experiment_are_held_against_the_guard_on_the_cost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    sections = {
        "prices": {"as_of": "2026-11-24", "instance_hour": 6, "data_in_gb": 0, "get_metric_data_thousand": 0},
        "scaling": {
            "min_instances": 1,
            "max_instances": 2,
            "target": 25_000,
            "metric": "SageMakerVariantInvocationsPerInstance",
        },
    }
    # BEFORE 10 minutes, AFTER as long and a pause of 5, on two instances at most: $1 + 2 × $1.50
    path = written(tmp_path, **sections, guard={"max_cost": 4.01})
    Experiment(path, tmp_path).resolved()
    path = written(tmp_path, **sections, guard={"max_cost": 3.99})
    with pytest.raises(ConfigError) as error:
        Experiment(path, tmp_path).resolved()
    assert str(error.value) == "the experiment costs up to $4.00, and guard.max_cost allows $3.99"
