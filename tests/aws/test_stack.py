"""The stack against a CloudFormation that really keeps it: moto's server, spoken to over HTTP by unmodified boto3.

moto makes the API, the function and the roles, and skips stages; what the template says of those is tests/stacks'.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from click.testing import CliRunner, Result

from sm_locust.aws import session, stack
from sm_locust.cli import main
from tests.runs.harness import free_port

REGION = "us-east-1"
LOG = "/aws/lambda/InvokeDecisionTreeSMEP"


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    """The URL of a moto server of its own."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    keys = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
    process = subprocess.Popen(
        command, env={**os.environ, **keys}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"{url}/moto-api/data.json", timeout=5).close()
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < deadline, "moto's server did not start"
                time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture
def aws(moto: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """An account with nothing in it, where nobody waits for long."""
    request = urllib.request.Request(f"{moto}/moto-api/reset", b"", method="POST")
    urllib.request.urlopen(request, timeout=30).close()
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto)
    monkeypatch.setattr(stack, "EVERY", 0.02)
    monkeypatch.setattr(stack, "LOG_PATIENCE", 0.2)
    session._control_plane.cache_clear()
    return moto


def client(url: str, service: str) -> Any:
    return boto3.Session("testing", "testing", region_name=REGION).client(service, endpoint_url=url)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump({"target": {"endpoint": "decision-trees-sample", "region": REGION}}))
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["stack", *map(str, arguments)])


def stacks(url: str) -> dict[str, dict[str, Any]]:
    return {found["StackName"]: found for found in client(url, "cloudformation").describe_stacks()["Stacks"]}


def test_without_yes_it_is_said_what_would_be_done(aws: str, config: Path) -> None:
    done = run("deploy", config)
    assert done.exit_code == 0
    assert "to create: endpoint decision-trees-sample, auth iam" in done.output
    assert "nothing was done; --yes does it" in done.output
    assert stacks(aws) == {}


def test_what_is_deployed_is_the_blogs_api_and_its_function_with_our_tag(aws: str, config: Path) -> None:
    done = run("deploy", config, "--yes", "--auth", "api-key", "--rate", "900", "--burst", "1000")
    assert done.exit_code == 0, done.output
    assert "CREATE_COMPLETE" in done.output
    ((name, made),) = stacks(aws).items()
    assert {"Key": "created-by", "Value": "sm-locust"} in made["Tags"]
    given = {each["ParameterKey"]: each["ParameterValue"] for each in made["Parameters"]}
    assert given == {
        "EndpointName": "decision-trees-sample",
        "Auth": "api-key",
        "ReservedConcurrency": "0",
        "ThrottlingRate": "900",
        "ThrottlingBurst": "1000",
        "LogRetentionDays": "14",
    }
    gateway = client(aws, "apigateway")
    (api,) = gateway.get_rest_apis()["items"]
    assert api["name"] == "DecisionTreeAPI"
    (resource,) = [each for each in gateway.get_resources(restApiId=api["id"])["items"] if each["path"] == "/DT"]
    method = gateway.get_method(restApiId=api["id"], resourceId=resource["id"], httpMethod="POST")
    assert method["apiKeyRequired"] is True
    assert method["methodIntegration"]["type"] == "AWS_PROXY"
    function = client(aws, "lambda").get_function_configuration(FunctionName="InvokeDecisionTreeSMEP")
    assert function["Environment"]["Variables"] == {"ENDPOINT_NAME": "decision-trees-sample"}
    assert function["Timeout"] == 28
    (group,) = client(aws, "logs").describe_log_groups(logGroupNamePrefix=LOG)["logGroups"]
    assert group["retentionInDays"] == 14
    # What is printed is a configuration that can be used.
    pasted = yaml.safe_load(done.output.partition("In the configuration:\n")[2].partition("\n\n")[0])
    assert pasted["target"]["api_gateway"].endswith(f".execute-api.{REGION}.amazonaws.com/DummyStage/DT")
    assert (pasted["target"]["auth"], pasted["target"]["endpoint"]) == ("api-key", "decision-trees-sample")
    assert f"stack delete --name {name}" in done.output


def test_the_role_of_the_function_may_invoke_one_endpoint_and_write_its_own_log(aws: str, config: Path) -> None:
    assert run("deploy", config, "--yes").exit_code == 0
    iam = client(aws, "iam")
    (role,) = [each["RoleName"] for each in iam.list_roles()["Roles"] if "FunctionRole" in each["RoleName"]]
    (name,) = iam.list_role_policies(RoleName=role)["PolicyNames"]
    document = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
    document = yaml.safe_load(document) if isinstance(document, str) else document  # moto gives Python's own
    invoke, log = document["Statement"]
    assert invoke["Action"] == "sagemaker:InvokeEndpoint"
    assert invoke["Resource"].endswith(":endpoint/decision-trees-sample")
    assert log["Action"] == ["logs:CreateLogStream", "logs:PutLogEvents"]
    assert f"log-group:{LOG}" in log["Resource"]
    assert iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"] == []


def test_deploying_again_updates_what_is_there(aws: str, config: Path) -> None:
    assert run("deploy", config, "--yes").exit_code == 0
    done = run("deploy", config, "--yes", "--auth", "none")
    assert done.exit_code == 0, done.output
    assert "to update" in done.output and "UPDATE_COMPLETE" in done.output
    assert len(stacks(aws)) == 1


def test_a_stack_that_is_not_ours_is_neither_updated_nor_deleted(aws: str, config: Path) -> None:
    template = json.dumps({"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}})
    client(aws, "cloudformation").create_stack(StackName="theirs", TemplateBody=template)
    for verb in ("deploy", "delete"):
        done = run(verb, config, "--name", "theirs", "--yes")
        assert done.exit_code == 2
        assert "does not bear the tag created-by=sm-locust: it is not ours and stays as it is" in done.output
    assert stacks(aws)["theirs"]["StackStatus"] == "CREATE_COMPLETE"


def test_what_is_deleted_is_gone_with_its_log_and_ends_with_what_still_bills(aws: str, config: Path) -> None:
    assert run("deploy", config, "--yes").exit_code == 0
    assert "nothing was done" in run("delete", config).output
    done = run("delete", config, "--yes")
    assert done.exit_code == 0, done.output
    assert "is deleted" in done.output
    assert [found["FunctionName"] for found in client(aws, "lambda").list_functions()["Functions"]] == []
    assert client(aws, "logs").describe_log_groups(logGroupNamePrefix=LOG)["logGroups"] == []
    assert "did not come back" in done.output
    assert "Still billing" in done.output
    again = run("delete", config, "--yes")
    assert (again.exit_code, "there is no stack" in again.output) == (2, True)


def test_a_log_that_comes_back_is_deleted_again(aws: str, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("deploy", config, "--yes").exit_code == 0
    looked = stack._look_after_log

    def late_write(*arguments: Any) -> Any:
        client(aws, "logs").create_log_group(logGroupName=LOG)
        return looked(*arguments)

    monkeypatch.setattr(stack, "_look_after_log", late_write)
    done = run("delete", config, "--yes")
    assert "came back with a late write, and was deleted again" in done.output
    assert client(aws, "logs").describe_log_groups(logGroupNamePrefix=LOG)["logGroups"] == []


def test_a_denied_cloudformation_is_one_sentence(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    denied = b"<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>"
    from tests.oracles.answers import AnswerServer, answer

    with AnswerServer([lambda request: answer(403, denied, "Content-Type: text/xml")]) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        session._control_plane.cache_clear()
        done = run("deploy", config, "--yes")
    assert done.exit_code == 2
    assert "the permission it needs is cloudformation:DescribeStacks" in done.output
    assert "Traceback" not in done.output
