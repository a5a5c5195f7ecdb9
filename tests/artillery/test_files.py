"""Files and commands that are given a script, and what is kept of its runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from sm_locust.cli import main
from sm_locust.config import ConfigError, RunConfig, load, parse
from tests.artillery.scripts import TARGET, converted, script


def test_a_file_that_is_a_script_is_converted_and_its_notes_are_said(tmp_path: Path) -> None:
    path = tmp_path / "script.yml"
    path.write_text(yaml.safe_dump(script({"environments": {"fast": {"phases": [{"arrivalRate": 50}]}}})))
    said: list[str] = []
    schedule = load(path, "fast", said.append).schedule()
    assert schedule is not None
    assert schedule.total == 50 * 60
    assert len(said) == 1
    with pytest.raises(ConfigError) as error:
        load(path, "slow")
    assert str(error.value) == f"{path}: config.environments: 'slow' is not among them; there are: fast"


def test_a_fault_names_the_file_and_the_script_s_own_key() -> None:
    with pytest.raises(ConfigError) as error:
        parse(yaml.safe_dump(script({"phases": [{"duration": 3e6, "arrivalRate": 1}]})), "script.yml")
    assert str(error.value).startswith("script.yml: config.phases[0].duration: '833h20m' is not accepted: a duration")


@pytest.mark.parametrize(
    "command",
    [
        ["check"],
        ["check", "--policy", "run"],
        ["whatif", "no run", "--config"],
        ["stack", "deploy"],
        ["stack", "delete"],
    ],
    ids=" ".join,
)
def test_every_command_takes_an_environment_and_says_what_has_no_effect(tmp_path: Path, command: list[str]) -> None:
    path = tmp_path / "script.yml"
    sections = {"environments": {"fast": {"target": "http://mars"}}, "target": "http://venus"}
    path.write_text(yaml.safe_dump(script(sections, _trace=True)))
    # Each is refused or answered before anything is asked of AWS: there is no region.
    done = CliRunner(env={"AWS_DEFAULT_REGION": "", "AWS_CONFIG_FILE": "/dev/null"}).invoke(
        main, [*command, str(path), "--environment", "fast"]
    )
    assert done.exit_code in (0, 2)
    assert f"sm-locust: {path}: _trace: no effect here" in done.stderr
    none = CliRunner().invoke(main, [*command, str(path), "--environment", "slow"])
    assert none.exit_code == 2
    assert none.stderr == f"sm-locust: {path}: config.environments: 'slow' is not among them; there are: fast\n"


def test_plan_and_check_take_an_environment_and_say_what_has_no_effect(tmp_path: Path) -> None:
    path = tmp_path / "script.yml"
    path.write_text(yaml.safe_dump(script({"environments": {"fast": {"phases": [{"arrivalRate": 50}]}}}, _trace=True)))
    planned = CliRunner().invoke(main, ["plan", str(path), "--environment", "fast", "--json"])
    assert planned.exit_code == 0
    assert json.loads(planned.stdout)["arrivals"] == 3000
    assert f"sm-locust: {path}: _trace: no effect here" in planned.stderr
    for command in ("plan", "check"):
        refused = CliRunner().invoke(main, [command, str(path), "--environment", "slow"])
        assert refused.exit_code == 2
        assert refused.stderr == f"sm-locust: {path}: config.environments: 'slow' is not among them; there are: fast\n"
    untried = CliRunner().invoke(main, ["check", str(path)])
    assert untried.exit_code == 2
    assert f"sm-locust: {path}: target: missing; the request that is tried is target's" in untried.stderr


def test_only_scripts_have_environments() -> None:
    with pytest.raises(ConfigError) as error:
        parse("target: {endpoint: a}", "x.yaml", "dev")
    assert str(error.value) == "x.yaml: environment 'dev' is not accepted: artillery scripts alone have any"


def test_what_is_kept_of_a_run_holds_no_password() -> None:
    flow = [
        {
            "post": {
                "url": "/login?api_key=k0&page=2",
                "headers": {"Authorization": "Bearer s3cret", "Accept": "text/html", "X-Token": "{{ $env.TOKEN }}"},
                "json": {"user": "ann", "password": "pa55", "nested": [{"token": "t0k"}]},
            }
        }
    ]
    found = converted(script({"variables": {"client_secret": ["v1", "v2"], "n": 1}}, flow))
    config = RunConfig.from_dict(found.config)
    kept = config.recorded()
    assert kept["scenarios"][0]["steps"][0] == {
        "method": "post",
        "url": f"{TARGET}/login?api_key=(not kept)&page=2",
        "headers": {"authorization": "(not kept)", "accept": "text/html", "x-token": "{{ $env.TOKEN }}"},
        "query": {},
        "json": {"user": "ann", "password": "(not kept)", "nested": [{"token": "(not kept)"}]},
    }
    assert kept["variables"] == {"client_secret": ["(not kept)", "(not kept)"], "n": 1}
    RunConfig.from_dict(kept)  # a folder is read again
    assert RunConfig.from_dict(config.as_dict()) == config  # while workers are sent all of it
