"""The template of a fleet on Fargate: what cfn-lint says of it, what its roles may do, who may talk to whom."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sm_locust.aws.policy import Place, policy
from tests.cloudformation import lint_has_nothing_to_say, read

TEMPLATE = Path(__file__).parents[2] / "deploy" / "fleet.yaml"

PLACE = Place("aws", "us-east-1", "123456789012", "trees", "AllTraffic", None, False, None, None, "sm-locust-api")
VALUES = {"AWS::Partition": PLACE.partition, "AWS::Region": PLACE.region, "AWS::AccountId": PLACE.account}
ANYWHERE = "0.0.0.0/0"


@pytest.fixture(scope="module")
def resources() -> dict[str, Any]:
    return dict(read(TEMPLATE.read_text())["Resources"])


def of_type(resources: dict[str, Any], *types: str) -> dict[str, dict[str, Any]]:
    return {name: r["Properties"] for name, r in resources.items() if r["Type"] in {f"AWS::{t}" for t in types}}


def allowed(role: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """The statements of one of a role's policies, as they are for an endpoint `trees`."""
    (document,) = (p["PolicyDocument"] for p in role["Policies"] if p["PolicyName"] == name)
    text = json.dumps(document["Statement"])
    text = text.replace('{"Ref": "EndpointArn"}', json.dumps(PLACE.watched))
    for key, value in VALUES.items():
        text = text.replace(f"${{{key}}}", value)
    return [
        {key: value["Sub"] if isinstance(value, dict) and "Sub" in value else value for key, value in statement.items()}
        for statement in json.loads(text)
    ]


def test_cfn_lint_has_nothing_to_say() -> None:
    lint_has_nothing_to_say(TEMPLATE)


def test_workers_and_master_may_do_between_them_what_a_run_needs_and_no_more(resources: dict[str, Any]) -> None:
    roles = of_type(resources, "IAM::Role")
    sends, watches = allowed(roles["WorkerRole"], "run"), allowed(roles["MasterRole"], "run")
    assert [*sends, *watches] == policy("run", PLACE)["Statement"]
    assert [action for statement in sends for action in statement["Action"]] == ["sagemaker:InvokeEndpoint"]


def test_beside_that_the_master_may_be_reached_and_the_tasks_started(resources: dict[str, Any]) -> None:
    roles = of_type(resources, "IAM::Role")
    assert set(roles) == {"WorkerRole", "MasterRole", "ExecutionRole"}
    assert [p["PolicyName"] for p in roles["WorkerRole"]["Policies"]] == ["run"]
    assert [p["PolicyName"] for p in roles["MasterRole"]["Policies"]] == ["run", "be-reached-by-ecs-exec"]
    (exec_,) = allowed(roles["MasterRole"], "be-reached-by-ecs-exec")
    assert all(action.startswith("ssmmessages:") for action in exec_["Action"])
    pull = allowed(roles["ExecutionRole"], "pull-the-image-and-write-the-log")
    assert [s["Action"] for s in pull if s["Resource"] == "*"] == ["ecr:GetAuthorizationToken"]
    for role in roles.values():
        assert "ManagedPolicyArns" not in role
        (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
        assert trust["Principal"] == {"Service": "ecs-tasks.amazonaws.com"}
        assert set(trust["Condition"]) == {"StringEquals", "ArnLike"}  # for this account alone


def test_nobody_comes_in_but_workers_and_whom_one_names(resources: dict[str, Any]) -> None:
    rules = of_type(resources, "EC2::SecurityGroupIngress")
    assert {(r["FromPort"], r["ToPort"], str(r["SourceSecurityGroupId"])) for r in rules.values()} == {
        (5557, 5557, "{'GetAtt': 'WorkerGroup.GroupId'}"),
        (8089, 8089, "{'Ref': 'WebUiSecurityGroupId'}"),
    }
    assert resources["MasterFromBrowsers"]["Condition"] == "HasWebUi"
    groups = of_type(resources, "EC2::SecurityGroup")
    assert not any("SecurityGroupIngress" in group for group in groups.values())
    assert not any("CidrIp" in rule for rule in rules.values())


def test_nothing_goes_out_but_https_and_to_the_master(resources: dict[str, Any]) -> None:
    for group in of_type(resources, "EC2::SecurityGroup").values():
        (rule,) = group["SecurityGroupEgress"]  # where one is given, AWS leaves out its own, which allows everything
        assert (rule["IpProtocol"], rule["FromPort"], rule["ToPort"], rule["CidrIp"]) == ("tcp", 443, 443, ANYWHERE)
    (rule,) = of_type(resources, "EC2::SecurityGroupEgress").values()
    assert rule["DestinationSecurityGroupId"] == {"GetAtt": "MasterGroup.GroupId"}
    assert (rule["FromPort"], rule["ToPort"]) == (5557, 5557)


def test_no_task_has_a_public_address_and_there_is_never_a_second_master(resources: dict[str, Any]) -> None:
    services = of_type(resources, "ECS::Service")
    for service in services.values():
        assert service["NetworkConfiguration"]["AwsvpcConfiguration"]["AssignPublicIp"] == "DISABLED"
    assert services["Master"]["DesiredCount"] == 1
    assert services["Master"]["DeploymentConfiguration"]["MaximumPercent"] == 100


def test_it_is_a_template_that_cloudformation_takes() -> None:
    text = TEMPLATE.read_text()
    assert len(text) <= 51_200  # past that it has to lie in S3
    assert not [line for line in text.splitlines() if ": &" in line or ": *" in line]  # aliases are refused
    assert "arn:aws:" not in text
