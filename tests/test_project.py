"""`sm-locust init`: what is in the folder, what becomes of a script, and that it makes all of it or nothing.

tests/product/test_packaging.py plays what it makes.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from sm_locust import project
from sm_locust.cli import main
from sm_locust.config import load
from tests.product import blocks

ROOT = Path(__file__).parents[1]
SIGNED = """
config:
  target: https://runtime.sagemaker.eu-west-1.amazonaws.com
  environments: {small: {phases: [{duration: 60, arrivalRate: 5}]}}
  phases: [{duration: 60, arrivalRate: 50}]
scenarios:
  - flow: [{post: {url: /endpoints/mine/invocations, headers: {Content-Type: text/csv}, body: "1,2"}}]
"""
SCENARIOS = """
config:
  target: http://127.0.0.1:9
  phases: [{duration: 60, arrivalRate: 5}]
  payload:
    - {path: users.csv, fields: [user]}
    - {path: more/users.csv, fields: [other]}
    - {path: more/users.csv, fields: [third]}
scenarios:
  - flow: [{get: {url: "/{{ user }}/{{ other }}/{{ third }}"}}]
"""


def init(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["init", *map(str, arguments)])


def refusal(done: Result) -> str:
    """The one sentence of a command that was refused."""
    assert (done.exit_code, done.stdout) == (2, ""), done.output
    (line,) = done.stderr.splitlines()
    return line.removeprefix("sm-locust: ")


def under(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@pytest.fixture
def signed(tmp_path: Path) -> Path:
    path = tmp_path / "script.yml"
    path.write_text(SIGNED)
    return path


@pytest.fixture
def scenarios(tmp_path: Path) -> Path:
    """A script in a folder of its own, with its CSV files."""
    path = tmp_path / "of somebody" / "script.yml"
    (path.parent / "more").mkdir(parents=True)
    path.write_text(SCENARIOS)
    (path.parent / "users.csv").write_text("ann\n")
    (path.parent / "more" / "users.csv").write_text("bob\n")
    return path


def workflows(folder: Path) -> dict[str, dict[Any, Any]]:
    return {path.name: yaml.safe_load(path.read_text()) for path in (folder / ".github/workflows").iterdir()}


def of_the_only_job(workflow: dict[Any, Any], key: str) -> Any:
    (job,) = workflow["jobs"].values()
    return job[key]


# What is in it


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parent") / "with some" / "load test"
    done = init(folder)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith(f"{folder}: ")
    return folder


def test_every_starter_is_in_it_under_its_own_name(made: Path) -> None:
    for starter in (path for kind in ("locustfiles", "shapes", "configs") for path in (ROOT / kind).glob("*.[py]*")):
        assert (made / starter.relative_to(ROOT)).read_bytes() == starter.read_bytes()


def test_every_configuration_in_it_is_one_and_says_what_searches_and_experiments_need(made: Path) -> None:
    for path in (made / "configs").iterdir():
        config = load(path)
        assert config.request.payloads is None or (path.parent / config.request.payloads).is_file()
        if path.name in ("ci.yaml", "account.yaml"):
            assert config.scaling is not None and "capacity" in config.model_fields_set
            assert config.slo.limits()


def test_its_readme_names_commands_and_files_that_there_are(made: Path) -> None:
    for block in blocks.blocks(made / "README.md"):
        for command in blocks._commands(block.text):
            blocks._check_command(command)
            for file in re.findall(r"[a-z_/]+\.(?:py|ya?ml|txt)\b", " ".join(command)):
                assert (made / file).is_file()


def test_no_mark_of_a_template_is_left(made: Path, signed: Path, scenarios: Path, tmp_path: Path) -> None:
    init(tmp_path / "a", "--from", signed)
    init(tmp_path / "b", "--from", scenarios)
    for folder in (made, tmp_path / "a", tmp_path / "b"):
        for name in project._TEMPLATES:
            assert not re.search(r"@\w+@|aws>|<aws", (folder / name).read_text())


def test_what_a_run_leaves_is_not_in_git(made: Path) -> None:
    assert "/runs/" in (made / ".gitignore").read_text().splitlines()


def test_workflows_may_do_no_more_than_they_have_to(made: Path) -> None:
    local, account = workflows(made)["load-test-local.yml"], workflows(made)["load-test.yml"]
    assert local["permissions"] == {"contents": "read"}
    assert account["permissions"] == {}
    assert of_the_only_job(account, "permissions") == {"contents": "read", "id-token": "write"}
    assert set(account[True]) == {"workflow_dispatch"}, "nothing but a person starts it (YAML 1.1 reads `on` as true)"
    for workflow in (local, account):
        for step in of_the_only_job(workflow, "steps"):
            assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", step.get("uses", f"a/b@{'0' * 40}")), "no tag can be moved"
            assert "${{" not in step.get("run", ""), "nothing from outside becomes a command"
            assert step.get("with", {}).get("persist-credentials", False) is False


# Of a script


def test_a_script_for_an_endpoint_is_played_as_one(signed: Path, tmp_path: Path) -> None:
    done = init(tmp_path / "made", "--from", signed, "--environment", "small")
    assert done.exit_code == 0
    assert f"sm-locust: {signed}: requests to InvokeEndpoint are signed" in done.stderr
    config = load(tmp_path / "made" / "configs/script.yaml")
    assert config.target is not None and config.target.endpoint == "mine"
    assert config.phases is not None and config.phases[0].arrival_rate == 5
    assert "account.yaml" not in (tmp_path / "made" / "README.md").read_text()
    workflow = workflows(tmp_path / "made")["load-test.yml"]
    assert "id-token" in of_the_only_job(workflow, "permissions")
    assert any(
        "-f locustfiles/invoke_endpoint.py,shapes/from_config.py --sm-config configs/script.yaml" in step["run"]
        for step in of_the_only_job(workflow, "steps")
        if "run" in step
    )


def test_scenarios_bring_their_feeds_along_and_take_no_role(scenarios: Path, tmp_path: Path) -> None:
    assert init(tmp_path / "made", "--from", scenarios).exit_code == 0
    config = load(tmp_path / "made" / "configs/script.yaml")
    assert [feed.file for feed in config.feeds] == ["users.csv", "users-2.csv", "users-2.csv"]
    assert [(tmp_path / "made" / "configs" / feed.file).read_text() for feed in config.feeds[:2]] == ["ann\n", "bob\n"]
    workflow = (tmp_path / "made" / ".github/workflows/load-test.yml").read_text()
    assert "-f locustfiles/artillery.py,shapes/from_config.py" in workflow
    assert not re.search("id-token|aws|sm-locust check", workflow)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("config: [", "not YAML"),
        (SIGNED.replace("arrivalRate: 50", "arrivalRate: fast"), "config.phases[0].arrivalRate: 'fast'"),
        (SCENARIOS, "users.csv cannot be read: No such file or directory; accepted: a CSV file"),
        ("target: {endpoint: mine}", "not an artillery script"),
    ],
)
def test_a_script_that_is_wrong_is_said_in_a_sentence_and_nothing_is_made(text: str, said: str, tmp_path: Path) -> None:
    script = tmp_path / "script.yml"
    script.write_text(text)
    line = refusal(init(tmp_path / "made", "--from", script))
    assert line.startswith(f"{script}: ") and said in line
    assert under(tmp_path) == ["script.yml"]


def test_an_environment_is_of_a_script(tmp_path: Path) -> None:
    assert refusal(init(tmp_path / "made", "--environment", "small")) == (
        "--environment small: only with --from, an artillery script"
    )


# All or nothing


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    mine = tmp_path / "configs" / "local.yaml"
    mine.parent.mkdir()
    mine.write_text("mine")
    assert refusal(init(tmp_path)) == f"{mine} is there already, and nothing is overwritten: name another folder"
    assert (under(tmp_path), mine.read_text()) == (["configs", "configs/local.yaml"], "mine")


def test_what_else_is_in_the_folder_stays(tmp_path: Path) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "mine.yaml").write_text("mine")
    assert init(tmp_path).exit_code == 0
    assert (tmp_path / "configs" / "mine.yaml").read_text() == "mine"
    assert "is there already" in refusal(init(tmp_path))


def test_a_folder_that_cannot_be_written_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert refusal(init(tmp_path / "file")) == f"{tmp_path / 'file'} cannot be written: it is not a folder"
    assert refusal(init(tmp_path / "file" / "a" / "b")).endswith("/a cannot be written: Not a directory")
    assert refusal(init(tmp_path / ("x" * 300))).endswith(" cannot be written: File name too long")
    assert under(tmp_path) == ["file"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_is_said_in_a_sentence(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    assert refusal(init(tmp_path / "made")) == f"{tmp_path / 'made'} cannot be written: Permission denied"


def test_what_was_written_before_a_fault_is_taken_away_again(tmp_path: Path) -> None:
    (tmp_path / "shapes").symlink_to(tmp_path / "nowhere")  # the last of the folders, so all others are there by then
    assert refusal(init(tmp_path)) == f"{tmp_path / 'shapes'} cannot be written: File exists"
    assert under(tmp_path) == ["shapes"]
