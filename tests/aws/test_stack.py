"""A stack deployed, followed, updated and deleted: at moto, a server of its own, which knows CloudFormation.

moto takes the template's API stage, key and usage plan for made without making them, and is done at once; what only a
CloudFormation that fails can say is scripted.
"""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import boto3
import pytest
import yaml
from click.testing import CliRunner

from sm_locust.aws import stack as stacks
from sm_locust.aws.session import AwsFault
from sm_locust.cli import main
from sm_locust.stacks import TAG, template
from tests.aws.harness import config
from tests.oracles.answers import AnswerServer, Step, answer
from tests.runs.harness import answers, free_port, wait_for

LOG = "/aws/lambda/InvokeDecisionTreeSMEP"
GIVEN = stacks.Parameters("Decision-Trees-Sample", "iam", 0, 10_000, 5_000, 14)


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    port = free_port()
    command = [str(Path(sys.executable).with_name("moto_server")), "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        wait_for("moto", lambda: answers(f"http://127.0.0.1:{port}/moto-api/"))
        yield f"http://127.0.0.1:{port}"
        server.terminate()


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stacks, "EVERY", 0.05)
    monkeypatch.setattr(stacks, "LOG_PATIENCE", 0.3)


@pytest.fixture
def aws(moto: str) -> Iterator[Callable[[str], Any]]:
    """boto3 clients for moto, which has forgotten all before."""
    urllib.request.urlopen(urllib.request.Request(f"{moto}/moto-api/reset", method="POST"), timeout=10).close()
    yield lambda service: boto3.Session().client(service, region_name="us-east-1", endpoint_url=moto)


def deployed(
    url: str, name: str, parameters: stacks.Parameters = GIVEN, say: Callable[[str], None] = print
) -> stacks.Stack:
    here = config(url)
    return stacks.deploy(here, name, stacks.find(here, name), parameters, wait=True, say=say)


def deleted(url: str, name: str, say: Callable[[str], None] = print) -> stacks.Deleted | None:
    here = config(url)
    there = stacks.find(here, name)
    assert there is not None
    return stacks.delete(here, there, wait=True, say=say)


def test_a_stack_is_created_updated_and_deleted_and_each_event_is_said(moto: str, aws: Callable[[str], Any]) -> None:
    said: list[str] = []
    made = deployed(moto, "one", GIVEN, said.append)
    assert (made.name, made.status, made.outputs["Auth"]) == ("one", "CREATE_COMPLETE", "iam")
    api_id = aws("apigateway").get_rest_apis()["items"][0]["id"]
    assert made.outputs["InvokeUrl"] == f"https://{api_id}.execute-api.us-east-1.amazonaws.com/DummyStage/DT"
    assert [line.split()[1] for line in said] == ["CREATE_IN_PROGRESS", "CREATE_COMPLETE"]

    function = aws("lambda").get_function_configuration(FunctionName="InvokeDecisionTreeSMEP")
    assert function["Environment"]["Variables"] == {"ENDPOINT_NAME": "Decision-Trees-Sample"}
    assert (function["Handler"], function["Timeout"]) == ("index.handler", 28)
    (log,) = aws("logs").describe_log_groups()["logGroups"]
    assert (log["logGroupName"], log["retentionInDays"]) == (LOG, 14)
    resources = aws("apigateway").get_resources(restApiId=api_id)["items"]
    (method,) = (resource["resourceMethods"] for resource in resources if resource["path"] == "/DT")
    assert list(method) == ["POST"]
    assert (method["POST"]["authorizationType"], method["POST"]["methodIntegration"]["type"]) == (
        "AWS_IAM",
        "AWS_PROXY",
    )
    policy = json.loads(aws("lambda").get_policy(FunctionName="InvokeDecisionTreeSMEP")["Policy"])
    (statement,) = policy["Statement"]
    assert statement["Condition"]["ArnLike"]["AWS:SourceArn"].endswith(f":{api_id}/DummyStage/POST/DT")
    assert TAG in aws("cloudformation").describe_stacks(StackName="one")["Stacks"][0]["Tags"]

    said.clear()
    changed = stacks.Parameters("another", "none", 50, 100, 200, 14)  # moto loses a log that changes
    updated = deployed(moto, "one", changed, said.append)
    assert (updated.id, updated.status, updated.outputs["Auth"]) == (made.id, "UPDATE_COMPLETE", "none")
    assert [line.split()[1] for line in said] == ["UPDATE_IN_PROGRESS", "UPDATE_COMPLETE"]
    assert updated.outputs["Endpoint"] == "another"

    said.clear()
    done = deleted(moto, "one", said.append)
    assert done == stacks.Deleted(f"log group {LOG} is gone, and did not come back", ())
    assert said[-1].split()[1] == "DELETE_COMPLETE"
    assert stacks.find(config(moto), "one") is None
    assert aws("logs").describe_log_groups()["logGroups"] == []
    assert aws("lambda").list_functions()["Functions"] == []


def test_the_role_of_the_function_may_invoke_one_endpoint_and_write_its_own_log(
    moto: str, aws: Callable[[str], Any]
) -> None:
    deployed(moto, "one")
    iam = aws("iam")
    (role,) = [each["RoleName"] for each in iam.list_roles()["Roles"] if "FunctionRole" in each["RoleName"]]
    (name,) = iam.list_role_policies(RoleName=role)["PolicyNames"]
    document = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
    document = yaml.safe_load(document) if isinstance(document, str) else document  # moto gives Python's own
    invoke, log = document["Statement"]
    assert invoke["Action"] == "sagemaker:InvokeEndpoint"
    assert invoke["Resource"].endswith(":endpoint/decision-trees-sample")  # as SageMaker writes it in ARNs
    assert log["Action"] == ["logs:CreateLogStream", "logs:PutLogEvents"]
    assert f"log-group:{LOG}" in log["Resource"]
    assert iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"] == []


def test_a_stack_that_is_not_ours_is_neither_updated_nor_deleted(moto: str, aws: Callable[[str], Any]) -> None:
    bare = json.dumps({"Resources": {"Q": {"Type": "AWS::SQS::Queue"}}})
    aws("cloudformation").create_stack(
        StackName="theirs", TemplateBody=bare, Tags=[{"Key": "created-by", "Value": "me"}]
    )
    for touch in (
        lambda: deployed(moto, "theirs"),
        lambda: deleted(moto, "theirs"),
    ):
        with pytest.raises(AwsFault, match=r"stack theirs does not bear the tag created-by=sm-locust: it is not ours"):
            touch()
    (there,) = aws("cloudformation").describe_stacks(StackName="theirs")["Stacks"]
    assert there["StackStatus"] == "CREATE_COMPLETE"


@pytest.mark.parametrize("with_function", [False, True])
def test_a_log_that_comes_back_is_deleted_unless_it_is_a_new_functions(
    moto: str, aws: Callable[[str], Any], with_function: bool
) -> None:
    deployed(moto, "one")
    role = aws("iam").list_roles()["Roles"][0]["Arn"]

    def late_write(line: str) -> None:
        if "DELETE_COMPLETE" in line:
            aws("logs").create_log_group(logGroupName=LOG)
            if with_function:
                aws("iam").create_role(RoleName="other", AssumeRolePolicyDocument="{}")
                aws("lambda").create_function(
                    FunctionName="InvokeDecisionTreeSMEP",
                    Runtime="python3.13",
                    Role=role.rpartition("/")[0] + "/other",
                    Handler="index.handler",
                    Code={"ZipFile": b"any"},
                )

    done = deleted(moto, "one", late_write)
    left = [group["logGroupName"] for group in aws("logs").describe_log_groups()["logGroups"]]
    if with_function:
        assert done is not None and "of a new function InvokeDecisionTreeSMEP" in done.log
        assert done.remains == (f"log group {LOG}: aws logs delete-log-group --log-group-name {LOG}",)
        assert left == [LOG]
    else:
        assert done == stacks.Deleted(f"log group {LOG} came back with a late write, and was deleted again", ())
        assert left == []


# -- the command -----------------------------------------------------------------------------------------------------


def command(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["stack", *arguments])
    return done.exit_code, done.output


def test_the_command_deploys_and_deletes_and_does_nothing_without_yes(
    moto: str, aws: Callable[[str], Any], tmp_path: Path
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(f"target: {{endpoint: decision-trees-sample, region: us-east-1, url: '{moto}'}}\n")
    code, output = command("deploy", str(path), "--auth", "api-key", "--concurrency", "50")
    assert code == 0
    assert "to create: endpoint decision-trees-sample, auth api-key" in output
    assert "50 executions reserved" in output
    assert output.endswith("nothing was done; --yes does it\n")
    assert aws("cloudformation").describe_stacks()["Stacks"] == []

    code, output = command("deploy", str(path), "--yes")
    assert code == 0, output
    pasted = output.partition("target:\n")[2].splitlines()[:4]
    url = stacks.find(config(moto), "sm-locust-api").outputs["InvokeUrl"]  # type: ignore[union-attr]
    assert pasted == [
        f"  api_gateway: {url}",
        "  auth: iam",
        "  endpoint: decision-trees-sample",
        "  region: us-east-1",
    ]

    assert command("delete", "--region", "us-east-1", "--url", moto)[1].endswith("nothing was done; --yes does it\n")
    code, output = command("delete", str(path), "--yes")
    assert code == 0, output
    assert f"stack sm-locust-api is deleted; log group {LOG} is gone" in output
    assert "Still billing" in output
    assert command("delete", str(path), "--yes") == (2, "sm-locust: there is no stack sm-locust-api in us-east-1\n")


def test_the_command_prints_the_template_that_is_deployed() -> None:
    assert command("template") == (0, template())
    assert command("template", "--endpoint", "mine") == (0, template("mine"))
    code, output = command("template", "--endpoint", "-no-")
    assert code == 2
    assert output.startswith("sm-locust: configuration: target.endpoint: '-no-' is not accepted")


# -- what a CloudFormation that fails says -----------------------------------------------------------------------------

ID = "arn:aws:cloudformation:us-east-1:123456789012:stack/one/0a1b"
RESOURCE = "AWS::Lambda::Function"
EXISTS = "InvokeDecisionTreeSMEP already exists in stack arn:aws:cloudformation:us-east-1:123456789012:stack/two/2c3d"


def written(operation: str, members: str) -> bytes:
    """An answer in the query protocol."""
    body = f"<{operation}Response><{operation}Result>{members}</{operation}Result></{operation}Response>"
    return answer(200, body.encode(), "Content-Type: text/xml")


def stack_is(status: str) -> bytes:
    ours = "<member><Key>created-by</Key><Value>sm-locust</Value></member>"
    return written(
        "DescribeStacks",
        f"<Stacks><member><StackId>{ID}</StackId><StackName>one</StackName><StackStatus>{status}</StackStatus>"
        f"<CreationTime>2026-01-01T00:00:00Z</CreationTime><Tags>{ours}</Tags></member></Stacks>",
    )


def events(*rows: tuple[str, str, str, str]) -> bytes:
    """(resource, type, status, reason), oldest first."""
    members = "".join(
        f"<member><EventId>{number}</EventId><StackId>{ID}</StackId><StackName>one</StackName>"
        f"<LogicalResourceId>{name}</LogicalResourceId><ResourceType>{kind}</ResourceType>"
        f"<ResourceStatus>{status}</ResourceStatus><ResourceStatusReason>{reason}</ResourceStatusReason>"
        f"<Timestamp>2026-01-01T00:00:0{number}Z</Timestamp></member>"
        for number, (name, kind, status, reason) in reversed(list(enumerate(rows)))
    )
    return written("DescribeStackEvents", f"<StackEvents>{members}</StackEvents>")


def left(*rows: tuple[str, str]) -> bytes:
    members = "".join(
        f"<member><LogicalResourceId>{kind}</LogicalResourceId><PhysicalResourceId>{name}</PhysicalResourceId>"
        f"<ResourceType>{kind}</ResourceType><ResourceStatus>CREATE_COMPLETE</ResourceStatus>"
        "<LastUpdatedTimestamp>2026-01-01T00:00:00Z</LastUpdatedTimestamp></member>"
        for kind, name in rows
    )
    return written("ListStackResources", f"<StackResourceSummaries>{members}</StackResourceSummaries>")


def not_there() -> bytes:
    error = "<Type>Sender</Type><Code>ValidationError</Code><Message>Stack with id one does not exist</Message>"
    return answer(400, f"<ErrorResponse><Error>{error}</Error></ErrorResponse>".encode(), "Content-Type: text/xml")


FAILED = events(
    ("one", "AWS::CloudFormation::Stack", "CREATE_IN_PROGRESS", "User Initiated"),
    ("Api", "AWS::ApiGateway::RestApi", "CREATE_FAILED", "Resource creation cancelled"),
    ("Function", RESOURCE, "CREATE_FAILED", EXISTS),
    ("one", "AWS::CloudFormation::Stack", "DELETE_IN_PROGRESS", "Delete requested by user."),
)


def saying(script: dict[str, list[bytes]]) -> AnswerServer:
    """A CloudFormation that gives each operation its answers one after the other, the last again and again."""

    def reply(request: bytes) -> bytes:
        operation = parse_qs(request.partition(b"\r\n\r\n")[2].decode())["Action"][0]
        answers = script[operation]
        return answers.pop(0) if len(answers) > 1 else answers[0]

    steps: list[Step] = [reply]
    return AnswerServer(steps)


CREATED = {"CreateStack": [written("CreateStack", f"<StackId>{ID}</StackId>")], "DescribeStackEvents": [FAILED]}


def test_a_stack_that_cannot_be_created_says_the_first_reason_and_that_nothing_is_left() -> None:
    said: list[str] = []
    # CREATE_FAILED in passing, on the way to being deleted
    looks = [
        not_there(),
        *map(stack_is, ("CREATE_IN_PROGRESS", "CREATE_FAILED", "DELETE_IN_PROGRESS", "DELETE_COMPLETE")),
    ]
    with saying({**CREATED, "DescribeStacks": looks}) as server, pytest.raises(AwsFault) as caught:
        deployed(server.url, "one", GIVEN, said.append)
    assert str(caught.value) == (
        f"stack one is DELETE_COMPLETE: Function (AWS::Lambda::Function): {EXISTS}; the stack's names are fixed, so a "
        "region holds one such stack: delete the other one, or the InvokeDecisionTreeSMEP that stands alone; nothing "
        "of it is left"
    )
    assert len(said) == 4
    assert said[2] == f"00:00:02 CREATE_FAILED               {RESOURCE} Function: {EXISTS}"
    asked = parse_qs(next(r for r in server.requests if b"CreateStack" in r).partition(b"\r\n\r\n")[2].decode())
    assert asked["OnFailure"] == ["DELETE"]
    assert asked["Capabilities.member.1"] == ["CAPABILITY_IAM"]


def test_what_a_failed_stack_leaves_is_named_with_the_command_that_deletes_it() -> None:
    looks = [not_there(), stack_is("DELETE_FAILED")]
    remaining = {"ListStackResources": [left(("AWS::Logs::LogGroup", LOG), ("AWS::IAM::Role", "one-FunctionRole"))]}
    with saying({**CREATED, **remaining, "DescribeStacks": looks}) as server, pytest.raises(AwsFault) as caught:
        deployed(server.url, "one")
    assert str(caught.value).endswith(
        f"left of it: AWS::Logs::LogGroup {LOG}, AWS::IAM::Role one-FunctionRole; "
        "sm-locust stack delete --name one --region us-east-1 --yes deletes it"
    )


@pytest.mark.parametrize(
    ("status", "message"),
    [
        ("UPDATE_IN_PROGRESS", "something else works on it; wait and try again"),
        ("ROLLBACK_COMPLETE", "cannot be updated; sm-locust stack delete deletes it"),
    ],
)
def test_a_stack_that_cannot_be_updated_now_is_left_alone(status: str, message: str) -> None:
    with saying({"DescribeStacks": [stack_is(status)]}) as server, pytest.raises(AwsFault, match=message):
        deployed(server.url, "one")
    assert len(server.requests) == 1


def test_a_stack_that_takes_too_long_goes_on_and_the_command_says_how_to_look(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(stacks, "PATIENCE", 0.2)
    looks = [not_there(), stack_is("CREATE_IN_PROGRESS")]
    path = tmp_path / "config.yaml"
    with saying({**CREATED, "DescribeStacks": looks}) as server:
        path.write_text(f"target: {{endpoint: any, region: us-east-1, url: '{server.url}'}}\n")
        code, output = command("deploy", str(path), "--name", "one", "--yes")
    assert code == 2
    assert output.splitlines()[-1] == (
        "sm-locust: stack one is not at rest within 200ms; it goes on at AWS; to look: aws cloudformation "
        "describe-stack-events --stack-name one --region us-east-1"
    )


def test_denied_is_a_sentence_with_the_permission() -> None:
    denied = (
        "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>User: arn:aws:iam::1:user/me is "
        "not authorized to perform: cloudformation:DescribeStacks</Message></Error></ErrorResponse>"
    )
    refusal = {"DescribeStacks": [answer(403, denied.encode(), "Content-Type: text/xml")]}
    with saying(refusal) as server, pytest.raises(AwsFault, match="it needs is cloudformation:DescribeStacks"):
        stacks.find(config(server.url), "one")
