"""`sm-locust scaling`: shown before it is done, recorded before it is changed, and put back from the record alone."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from sm_locust.cli import main
from sm_locust.local.settings import Settings
from sm_locust.record import prior
from sm_locust.record.prior import Prior
from tests.aws.harness import refuse, somebody
from tests.local.harness import client, running
from tests.product.account import METRIC, RESOURCE, VARIANT, policy, state

WANTED = {"min_instances": 1, "max_instances": 4, "metric": METRIC, "target": 25000}
MORNINGS = {
    "ScheduledActionName": "mornings",
    "Schedule": "at(2099-01-01T06:00:00)",
    "ScalableTargetAction": {"MinCapacity": 2},
}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running(Settings(provisioning_time=30), speed=60) as url:
        yield url


@pytest.fixture
def here(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A local endpoint of one instance without scaling, and the folder and environment to talk to it from."""
    monkeypatch.chdir(tmp_path)
    listening = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    target = {"endpoint": "decision-trees-sample", "region": "us-east-1", "url": url}
    Path("config.yaml").write_text(yaml.safe_dump({"target": target, "scaling": WANTED}))
    with somebody(monkeypatch):
        yield url
    if state(url)["targets"]:  # all that is on it goes with it
        client(url, "application-autoscaling").deregister_scalable_target(**VARIANT)
    for number, handler in listening.items():
        signal.signal(number, handler)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["scaling", *arguments], catch_exceptions=False)


def somebodys(url: str) -> Any:
    aws = client(url, "application-autoscaling")
    aws.register_scalable_target(**VARIANT, MinCapacity=1, MaxCapacity=3, Tags={"team": "trees"})
    aws.put_scaling_policy(**VARIANT, **policy("team", 9000.0, ScaleInCooldown=900))
    aws.put_scheduled_action(**VARIANT, **MORNINGS)
    return aws


def record() -> Prior:
    (folder,) = Path("runs").iterdir()
    return Prior.open(folder)


def test_what_there_is_stands_beside_what_the_configuration_says(here: str) -> None:
    somebodys(here)
    shown = run("show", "config.yaml")
    assert shown.exit_code == 0
    assert shown.stdout.splitlines() == [
        RESOURCE,
        "  bounds: 1 to 3 instances → 1 to 4 instances",
        "  suspended: – → ScheduledScaling",
        f"  policy sm-locust-{METRIC}: – → {METRIC} at 25000",
        f"  policy team: {METRIC} at 9000, cooldown in 900 s → –",
        "  scheduled action mornings: at(2099-01-01T06:00:00) MinCapacity 2",
        "  instances: 1 instance",
        "  tags: team=trees",
    ]


def test_without_yes_nothing_is_changed_and_a_script_can_tell(here: str) -> None:
    asked = run("apply", "config.yaml")
    assert (asked.exit_code, state(here)["targets"]) == (1, [])
    assert "Nothing was changed. Give --yes to do it." in asked.stdout
    assert run("apply", "config.yaml", "--yes").exit_code == 0
    again = run("apply", "config.yaml")
    assert (again.exit_code, again.stdout.splitlines()[-1]) == (
        0,
        "Nothing to do: scaling is as the configuration has it.",
    )
    (policy,) = state(here)["policies"]
    assert policy["PolicyName"] == f"sm-locust-{METRIC}"


def test_what_is_ours_is_taken_away_and_the_registration_with_it_only_where_we_made_it(here: str) -> None:
    assert run("remove", "config.yaml").stdout == f"Nothing to do: nothing of {RESOURCE} is ours.\n"
    run("apply", "config.yaml", "--yes")
    asked = run("remove", "config.yaml")
    assert (asked.exit_code, asked.stdout.splitlines()) == (
        1,
        [
            f"Would go: policy sm-locust-{METRIC}",
            f"Would go: the registration of {RESOURCE}, which we made",
            "Nothing was changed. Give --yes to do it.",
        ],
    )
    done = run("remove", "config.yaml", "--yes")
    assert (done.exit_code, state(here)["targets"]) == (0, [])
    client(here, "application-autoscaling").register_scalable_target(**VARIANT, MinCapacity=1, MaxCapacity=2)
    assert run("remove", "config.yaml", "--yes").stdout == f"Nothing to do: nothing of {RESOURCE} is ours.\n"
    assert len(state(here)["targets"]) == 1  # somebody else's now


def test_somebodys_scaling_is_refused_by_name_and_with_replace_it_comes_back_exactly(here: str) -> None:
    somebodys(here)
    before = state(here)
    refused = run("apply", "config.yaml", "--yes")
    assert refused.exit_code == 2
    assert refused.stderr.startswith(
        f"sm-locust: {RESOURCE} has the scaling policy team and the scheduled action mornings, not ours"
    )
    assert state(here) == before and not Path("runs").exists()
    assert run("apply", "config.yaml", "--yes", "--replace").exit_code == 0
    assert [policy["PolicyName"] for policy in state(here)["policies"]] == [f"sm-locust-{METRIC}"]
    assert state(here)["targets"][0]["SuspendedState"]["ScheduledScalingSuspended"]
    folder = str(record().folder)
    Path("config.yaml").unlink()  # the record is enough
    restored = run("restore", folder)
    assert (restored.exit_code, restored.stdout.splitlines()) == (
        0,
        [
            f"Policy sm-locust-{METRIC} is deleted.",
            "Policy team is as it was.",
            f"{RESOURCE} scales from 1 to 3 instances again.",
        ],
    )
    assert state(here) == before
    again = run("restore", folder)
    assert (again.exit_code, state(here)) == (0, before)
    assert "was put back at" in again.stdout and again.stdout.endswith(": nothing was done.\n")


def test_what_went_with_a_target_that_somebody_deregistered_comes_back_too(here: str) -> None:
    aws = somebodys(here)
    before = state(here)
    run("apply", "config.yaml", "--yes", "--replace")
    aws.deregister_scalable_target(**VARIANT)
    assert run("restore", str(record().folder)).stdout.splitlines() == [
        f"{RESOURCE} is registered for scaling again.",
        "Policy team is as it was.",
        "Scheduled action mornings is as it was.",
        f"{RESOURCE} scales from 1 to 3 instances again.",
        "Tags team are as they were.",
    ]
    assert state(here) == before


def test_what_is_owed_is_put_back_before_anything_else_is_done(here: str) -> None:
    run("apply", "config.yaml", "--yes")
    owed = record()
    owed.claim()  # as if it had been killed before it was through
    owed.write(kept=False)
    for command in ("apply", "remove"):
        refused = run(command, "config.yaml", "--yes")
        assert refused.exit_code == 2
        assert "another sm-locust is still at work on it" in refused.stderr
    owed.release()
    for command in ("apply", "remove"):
        refused = run(command, "config.yaml", "--yes")
        assert refused.exit_code == 2
        assert f"put it back first: sm-locust scaling restore {owed.folder}" in refused.stderr
    assert run("restore", str(owed.folder)).exit_code == 0
    assert run("apply", "config.yaml").exit_code == 1


def test_what_is_refused_half_way_is_put_back_at_once(here: str) -> None:
    somebodys(here)
    before = state(here)
    refuse(here, "application-autoscaling", 1, "AccessDeniedException", "PutScalingPolicy")
    refused = run("apply", "config.yaml", "--yes", "--replace")
    assert refused.exit_code == 2
    assert "the permission it needs is application-autoscaling:PutScalingPolicy" in refused.stderr
    assert "what was changed is put back: scaling is as it was" in refused.stderr
    assert state(here) == before
    assert run("apply", "config.yaml", "--replace").exit_code == 1  # nothing is owed


def test_a_throttled_restore_tells_what_it_did(here: str) -> None:
    assert run("apply", "config.yaml", "--yes").exit_code == 0
    refuse(here, "application-autoscaling", 4, "ThrottlingException", "DescribeScheduledActions")
    restored = run("restore", str(record().folder))
    assert restored.exit_code == 0, restored.stderr
    assert f"{RESOURCE} is no longer registered for scaling." in restored.stdout


def test_what_was_applied_later_is_put_back_first(here: str) -> None:
    assert run("apply", "config.yaml", "--yes").exit_code == 0
    first = record().folder
    config = yaml.safe_load(Path("config.yaml").read_text())
    config["scaling"]["target"] = 12345
    Path("other.yaml").write_text(yaml.safe_dump(config))
    time.sleep(1.1)  # folders are named by the second
    assert run("apply", "other.yaml", "--yes").exit_code == 0
    (second,) = [each.folder for each in prior.records("runs") if each.folder != first]
    refused = run("restore", str(first))
    assert refused.exit_code == 2
    assert f"put that back first: sm-locust scaling restore {second}" in refused.stderr
    assert run("restore", str(second)).exit_code == run("restore", str(first)).exit_code == 0
    assert state(here)["targets"] == []


def test_remove_names_what_apply_replaced_and_the_command_that_puts_it_back(here: str) -> None:
    somebodys(here)
    before = state(here)
    assert run("apply", "config.yaml", "--yes", "--replace").exit_code == 0
    command = f"sm-locust scaling restore {record().folder}"
    assert command in run("remove", "config.yaml").stdout
    assert command in run("remove", "config.yaml", "--yes").stdout
    assert run("restore", str(record().folder)).exit_code == 0
    assert state(here) == before


def test_a_record_that_cannot_be_read_is_not_passed_over(here: str) -> None:
    assert run("apply", "config.yaml", "--yes").exit_code == 0
    path = record().path
    path.write_text(path.read_text()[:-30])
    for command in ("apply", "remove"):
        refused = run(command, "config.yaml", "--yes")
        assert refused.exit_code == 2
        assert f"{path}: cannot be read, so whether scaling has yet to be put back is not known" in refused.stderr


def test_scaling_of_an_endpoint_that_is_gone_is_settled(here: str) -> None:
    with running(Settings()) as url:  # of its own: it is deleted
        target = {"endpoint": "decision-trees-sample", "region": "us-east-1", "url": url}
        Path("config.yaml").write_text(yaml.safe_dump({"target": target, "scaling": WANTED}))
        assert run("apply", "config.yaml", "--yes").exit_code == 0
        client(url, "sagemaker").delete_endpoint(EndpointName="decision-trees-sample")
        restored = run("restore", str(record().folder))
    assert (restored.exit_code, restored.stdout) == (
        0,
        f"{RESOURCE} is gone, and its scaling with it: nothing is left to put back.\n",
    )
    assert "was put back at" in run("restore", str(record().folder)).stdout


@pytest.mark.parametrize(
    "changed",
    [
        {"speed": 0},
        {"speed": True},
        {"speed": 10**400},
        {"scaling_before": {"target": "x"}},
        {"scaling_before": {"target": {"MinCapacity": 1}}},
        {"scaling_before": {"target": {"MinCapacity": "a", "MaxCapacity": None}}},
        {"scaling_before": {"policies": ["x"]}},
        {"scaling_before": {"policies": [{}]}},
        {"scaling_before": {"scheduled_actions": [1]}},
        {"scaling_before": {"tags": [1]}},
        {"scaling_before": {"instances": "two"}},
        {"scaling_before": {"resource_id": "endpoint/other/variant/v"}},
        {"stages": [1]},
        {"restored_at": 5},
    ],
)
def test_a_record_that_was_changed_by_hand_is_refused_whole(here: str, changed: dict[str, Any]) -> None:
    assert run("apply", "config.yaml", "--yes").exit_code == 0
    path = record().path
    found = json.loads(path.read_text())
    found["scaling_before"] |= changed.pop("scaling_before", {})
    path.write_text(json.dumps(found | changed))
    before = state(here)
    refused = run("restore", str(path.parent))
    assert refused.exit_code == 2
    assert "it was not written by this sm-locust" in refused.stderr
    assert state(here) == before


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (None, "nowhere: not a folder of an experiment or of scaling apply: no experiment.json and no scaling.json"),
        ({"schema_version": 9}, "schema_version 9; this sm-locust reads 1"),
        ({"scaling_before": {}}, "scaling_before cannot be read: 'policies'"),
        ({"config": {"target": 5}}, "config: target: 5 is not accepted"),
        (
            {"arn": "arn:aws:sagemaker:us-east-1:210987654321:endpoint/decision-trees-sample"},
            "endpoint/decision-trees-sample: another account or region",
        ),
    ],
)
def test_what_cannot_or_must_not_be_put_back_is_refused_in_one_sentence(
    here: str, change: dict[str, Any] | None, says: str
) -> None:
    run("apply", "config.yaml", "--yes")
    found = record()
    before = state(here)
    if change is not None:
        found.path.write_text(json.dumps({**found.found, **change}))
    refused = run("restore", "nowhere" if change is None else str(found.folder))
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert len(refused.stderr.splitlines()) == 1
    assert says in refused.stderr
    assert state(here) == before


@pytest.mark.parametrize("command", ["show", "apply", "remove"])
def test_a_configuration_without_scaling_has_nothing_to_show(command: str, here: str) -> None:
    document = yaml.safe_load(Path("config.yaml").read_text())
    Path("other.yaml").write_text(yaml.safe_dump({"target": document["target"]}))
    refused = run(command, "other.yaml")
    assert refused.exit_code == 2
    assert refused.stderr == (
        "sm-locust: scaling: missing; required: min_instances, max_instances, metric and target\n"
    )
