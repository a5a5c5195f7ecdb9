"""What compose, the template and docs/distributed.md run: files that are there, options that Locust takes."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

from locust.argument_parser import get_parser

import pytest
import yaml

from sm_locust.analysis.sizing import PROCESS_USERS, Sizing
from sm_locust.config import RunConfig
from sm_locust.plugin.options import add_options
from tests.cloudformation import read

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
FLEET = read((ROOT / "deploy" / "fleet.yaml").read_text())
DOCS = (ROOT / "docs" / "distributed.md").read_text(encoding="utf-8")

(LOCUST_TEST,) = (
    yaml.safe_load(block) for block in re.findall(r"^```yaml\n(.*?)^```$", DOCS, re.MULTILINE | re.DOTALL)
)


def of_compose() -> dict[str, list[str]]:
    """Each service's own command, variables at their defaults."""
    services = {name: service for name, service in COMPOSE["services"].items() if "entrypoint" not in service}
    return {
        f"compose {name}": shlex.split(re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", service["command"]))
        for name, service in services.items()
    }


def of_the_template() -> dict[str, list[str]]:
    values = {"Config": FLEET["Parameters"]["Config"]["Default"]}
    found = {}
    for task in ("MasterTask", "WorkerTask"):
        (container,) = FLEET["Resources"][task]["Properties"]["ContainerDefinitions"]
        found[f"template {task}"] = [
            word if isinstance(word, str) else values.get(word.get("Ref", ""), "name") for word in container["Command"]
        ]
    return found


def of_the_docs() -> dict[str, list[str]]:
    lines = re.findall(r"^\.venv/bin/locust (.*)$", DOCS, re.MULTILINE)
    found = {f"docs {n}": shlex.split(line) for n, line in enumerate(lines)}
    return found | {
        f"kubernetes {role}": shlex.split(LOCUST_TEST["spec"][role]["command"]) for role in ("master", "worker")
    }


COMMANDS = of_compose() | of_the_template() | of_the_docs()


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_command_names_files_that_are_there_and_options_that_locust_takes(command: list[str]) -> None:
    parser = get_parser(default_config_files=[])
    if "--sm-config" not in parser._option_string_actions:  # the plugin adds them once something has loaded it
        add_options(parser)
    options, left = parser.parse_known_args(command)
    assert left == []
    for locustfile in options.locustfile.split(","):
        assert (ROOT / locustfile).is_file()
    if options.sm_config and not options.sm_config.startswith("/lotest/src/"):  # which is the reader's own
        assert (ROOT / options.sm_config).is_file()


def test_there_is_a_master_and_a_worker_everywhere() -> None:
    for kind in ("compose", "template", "docs"):
        commands = [command for name, command in COMMANDS.items() if name.startswith(kind)]
        assert any("--master" in command for command in commands)
        assert any("--worker" in command for command in commands)


def test_compose_opens_nothing_to_others_and_runs_nothing_with_more_than_it_needs() -> None:
    for name, service in COMPOSE["services"].items():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
        assert service["cap_drop"] == ["ALL"], name
        assert not {"privileged", "user", "cap_add"} & set(service), name
        assert service["ulimits"]["nofile"]["hard"] >= 2 * RunConfig().arrivals.max_in_flight + 256, name


def test_compose_holds_no_credentials_but_the_local_endpoints_and_those_stay_with_it() -> None:
    for name, service in COMPOSE["services"].items():
        if service.get("profiles") != ["local"]:
            assert isinstance(service["environment"], list), name  # names alone: the values are the shell's
            assert not any("=" in variable for variable in service["environment"]), name
    assert "AKIA" not in json.dumps([FLEET, LOCUST_TEST], default=str)


def test_the_local_endpoint_shares_its_loopback() -> None:
    services = COMPOSE["services"]
    assert {services[name]["network_mode"] for name in ("local", "local-worker")} == {"service:endpoint"}
    assert set(services["local"]["depends_on"]) == {"endpoint", "local-worker"}


def test_the_docs_table_is_what_plan_suggests() -> None:
    rows = re.findall(r"^\| ([\d,]+) \| (\d+) \| (\d+) \|$", DOCS, re.MULTILINE)
    assert len(rows) >= 5
    for peak, processes, per_user in ((float(row[0].replace(",", "")), int(row[1]), int(row[2])) for row in rows):
        sizing = Sizing.of(RunConfig(), peak, 13)
        assert sizing.processes == processes
        assert sizing.crowded(processes, per_user) is None
        assert per_user == 1 or peak / processes / (per_user - 1) > PROCESS_USERS


def test_the_docs_figures_are_those_of_the_plan() -> None:
    assert f"{int(Sizing.of(RunConfig(), 1, 1e6).process_rate)} bodies of a megabyte" in " ".join(DOCS.split())
    slow = RunConfig.from_dict({"slo": {"latency_mean": "5s"}})
    assert Sizing.of(slow, 2_000, 13).processes == 2
    vcpu, memory, hours, tasks = 0.04048, 0.004445, 2, 3
    assert f"= ${tasks * hours * (vcpu + 2 * memory):.2f}." in DOCS
