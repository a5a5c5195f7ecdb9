"""What `import sm_locust` loads. Each case is a process of its own: an import marks the one it runs in for good."""

from __future__ import annotations

import configparser
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import sm_locust

ROOT = Path(__file__).parents[2]

PURE = [
    *("Comparison", "ConfigError", "ExperimentError", "Feeder", "Outcome", "Payload", "Phase", "Run", "RunConfig"),
    *("RunError", "Schedule", "Summary", "run_experiment"),
]
LOCUST_FACING = [
    *("ApiGatewayUser", "ArrivalUser", "CapacityShape", "ConfigShape", "ContainerUser", "InvokeEndpointUser"),
    *("LiveRun", "PhasesShape", "ScenarioUser", "requests_auth", "setup"),
]


def python(code: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own, elsewhere, with this checkout importable."""
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )


def loaded_after(code: str, tmp_path: Path) -> set[str]:
    """Which of the heavy packages a piece of code loads."""
    heavy = ["locust", "gevent", "geventhttpclient", "boto3", "botocore", "pydantic", "yaml", "rich", "plotly"]
    report = f"\nimport json, sys; print(json.dumps([m for m in {heavy} if m in sys.modules]))"
    done = python(code + report, tmp_path)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


def test_every_public_name_is_covered_here() -> None:
    assert sorted(sm_locust.__all__) == sorted([*PURE, *LOCUST_FACING, "__version__"])


def test_dir_lists_the_public_names() -> None:
    assert set(sm_locust.__all__) <= set(dir(sm_locust))


def test_importing_the_package_loads_nothing_heavy(tmp_path: Path) -> None:
    assert loaded_after("import sm_locust", tmp_path) == set()


def test_a_run_that_is_read_back_costs_no_more_than_what_it_is_read_with(tmp_path: Path) -> None:
    assert loaded_after("from sm_locust import Comparison, Run, Summary", tmp_path) == set()


def test_an_experiment_that_is_only_named_waits_for_no_report(tmp_path: Path) -> None:
    loaded = loaded_after("from sm_locust import ExperimentError, run_experiment", tmp_path)
    assert loaded == {"pydantic"}


def test_a_feeder_needs_no_model_of_the_configuration(tmp_path: Path) -> None:
    assert loaded_after("from sm_locust import Feeder, Payload; Feeder([b'1']).check()", tmp_path) == set()


def test_plain_values_need_neither_locust_nor_aws(tmp_path: Path) -> None:
    loaded = loaded_after(f"from sm_locust import {', '.join(PURE)}", tmp_path)
    assert loaded.isdisjoint({"locust", "gevent", "geventhttpclient", "boto3", "botocore"})


@pytest.mark.parametrize("name", LOCUST_FACING)
def test_a_name_that_faces_locust_patches_the_process_and_registers_the_plugin(name: str, tmp_path: Path) -> None:
    done = python(
        f"from sm_locust import {name}\n"
        "import ssl, sys, gevent.monkey\n"
        "print(gevent.monkey.is_module_patched('ssl'), 'sm_locust.plugin.setup' in sys.modules)\n"
        "from locust import events\n"
        "print(len(events.init._handlers) > 0)\n",
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["True", "True", "True"]


def test_names_that_face_locust_leave_boto3_alone_until_it_is_needed(tmp_path: Path) -> None:
    assert "boto3" not in loaded_after(f"from sm_locust import {', '.join(LOCUST_FACING)}", tmp_path)


@pytest.mark.parametrize("early", ["boto3", "requests", "urllib3"])
def test_an_http_library_imported_before_locust_is_refused_in_one_sentence(early: str, tmp_path: Path) -> None:
    done = python(f"import {early}\nfrom sm_locust import InvokeEndpointUser", tmp_path)
    assert done.returncode != 0
    assert done.stderr.splitlines()[-1] == (
        f"ImportError: import locust (or sm_locust.InvokeEndpointUser) before {early}: "
        f"{early} is loaded already, so ssl is patched too late"
    )
    assert "RecursionError" not in done.stderr


def test_boto3_after_locust_works(tmp_path: Path) -> None:
    done = python(
        "from sm_locust import InvokeEndpointUser\n"
        "import boto3\n"
        "boto3.client('sagemaker-runtime', region_name='us-east-1')\n",
        tmp_path,
    )
    assert done.returncode == 0, done.stderr


def test_boto3_first_does_not_stand_in_the_way_of_plain_values(tmp_path: Path) -> None:
    done = python("import boto3\nfrom sm_locust import Phase, RunConfig, Summary", tmp_path)
    assert done.returncode == 0, done.stderr


def test_an_unknown_name_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(AttributeError, match=r"'sm_locust' has no attribute 'InvokeEndpoint'.*InvokeEndpointUser"):
        sm_locust.InvokeEndpoint  # type: ignore[attr-defined]  # noqa: B018 - and by mypy: else the ignore is unused


def test_the_version_is_that_of_setup_cfg() -> None:
    setup_cfg = configparser.RawConfigParser()
    setup_cfg.read(ROOT / "setup.cfg")
    assert sm_locust.__version__ == setup_cfg["metadata"]["version"]
