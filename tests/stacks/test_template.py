"""The template as it is given to CloudFormation: what cfn-lint says of it, what it allows, what it leaves alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import sm_locust.stacks
from sm_locust.analysis.cost import LAMBDA_GB
from sm_locust.stacks import API_NAME, FUNCTION_LOG, FUNCTION_NAME, TAG, template
from tests.cloudformation import lint_has_nothing_to_say, read


@pytest.fixture(scope="module")
def rendered() -> dict[str, Any]:
    return read(template())


def test_cfn_lint_has_nothing_to_say(tmp_path: Path) -> None:
    for name, endpoint in (("asked", None), ("given", "decision-trees-sample")):
        (tmp_path / f"{name}.yaml").write_text(template(endpoint))
    lint_has_nothing_to_say(*tmp_path.iterdir())


def test_the_function_in_it_is_the_file_of_the_package(rendered: dict[str, Any]) -> None:
    code = rendered["Resources"]["Function"]["Properties"]["Code"]["ZipFile"]
    assert code == Path(sm_locust.stacks.__file__).with_name("invoke_endpoint.py").read_text()
    assert len(code) <= 4096
    compile(code, "index.py", "exec")


def test_it_bears_the_names_of_the_blog(rendered: dict[str, Any]) -> None:
    resources = {name: resource["Properties"] for name, resource in rendered["Resources"].items()}
    assert resources["Api"]["Name"] == API_NAME
    assert resources["Stage"]["StageName"] == "DummyStage"
    assert resources["Resource"]["PathPart"] == "DT"
    assert resources["Function"]["FunctionName"] == FUNCTION_NAME
    assert resources["FunctionLogs"]["LogGroupName"] == FUNCTION_LOG


def test_it_asks_for_no_more_than_it_needs(rendered: dict[str, Any]) -> None:
    role = rendered["Resources"]["FunctionRole"]["Properties"]
    (policy,) = role["Policies"]
    allowed = [(s["Action"], s["Resource"]["Sub"]) for s in policy["PolicyDocument"]["Statement"]]
    here = "${AWS::Region}:${AWS::AccountId}"
    assert allowed == [
        ("sagemaker:InvokeEndpoint", f"arn:${{AWS::Partition}}:sagemaker:{here}:endpoint/${{EndpointInArn}}"),
        (
            ["logs:CreateLogStream", "logs:PutLogEvents"],
            f"arn:${{AWS::Partition}}:logs:{here}:log-group:${{FunctionLogs}}:*",
        ),
    ]
    assert "ManagedPolicyArns" not in role
    caller = rendered["Resources"]["Permission"]["Properties"]["SourceArn"]["Sub"]
    assert caller == f"arn:${{AWS::Partition}}:execute-api:{here}:${{Api}}/DummyStage/POST/DT"


def test_it_touches_nothing_of_the_account_and_names_no_partition(rendered: dict[str, Any]) -> None:
    types = {resource["Type"] for resource in rendered["Resources"].values()}
    assert "AWS::ApiGateway::Account" not in types
    for fixed in ("arn:aws:", "arn:aws-", "amazonaws.com/"):
        assert fixed not in template()


def test_only_an_api_key_brings_a_key_and_each_way_in_its_own_deployment(rendered: dict[str, Any]) -> None:
    conditions = {name: r["Condition"] for name, r in rendered["Resources"].items() if "Condition" in r}
    assert conditions == {
        "DeploymentIam": "IsIam",
        "DeploymentApiKey": "IsApiKey",
        "DeploymentNone": "IsNone",
        "Key": "IsApiKey",
        "Plan": "IsApiKey",
        "KeyInPlan": "IsApiKey",
    }


def test_what_can_bear_our_tag_does(rendered: dict[str, Any]) -> None:
    tagged = {name for name, resource in rendered["Resources"].items() if "Tags" in resource["Properties"]}
    assert tagged == {"FunctionLogs", "FunctionRole", "Function", "Api", "Stage", "Key", "Plan"}
    for name in tagged:
        assert rendered["Resources"][name]["Properties"]["Tags"] == [TAG]


def test_an_endpoint_that_is_given_is_the_default(rendered: dict[str, Any]) -> None:
    assert "Default" not in rendered["Parameters"]["EndpointName"]
    given = read(template("My-Endpoint"))
    assert given["Parameters"]["EndpointName"]["Default"] == "My-Endpoint"
    assert given["Parameters"]["EndpointInArn"]["Default"] == "my-endpoint"
    assert given["Outputs"] == rendered["Outputs"]


@pytest.mark.parametrize("name", ["123", "1e5", "null", "true", "on", "0x1F", "2024-01-01"])
def test_a_name_that_yaml_reads_as_something_else_is_a_name_all_the_same(name: str) -> None:
    parameters = read(template(name))["Parameters"]
    assert parameters["EndpointName"]["Default"] == name
    assert parameters["EndpointInArn"]["Default"] == name.lower()


def test_the_plan_reckons_with_the_memory_that_the_function_has(rendered: dict[str, Any]) -> None:
    assert rendered["Resources"]["Function"]["Properties"]["MemorySize"] == LAMBDA_GB * 1024
