"""A policy allows what is called and nothing else, on no more than it is called on."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from sm_locust.aws import quotas, subjects
from sm_locust.aws.api import RestApi
from sm_locust.aws.policy import KINDS, Kind, Place, policy
from sm_locust.cli import main
from sm_locust.config import ConfigError, RunConfig
from tests.aws.harness import Answers, config, operation_of, scripted
from tests.aws.operations import asked_anywhere, asked_from
from tests.aws.test_preflight import ME

ROOT = Path(__file__).parents[2]
FILES: dict[Kind, list[str]] = {
    "check": ["cli/check.py", "check.py"],
    "run": ["plugin/*.py", "load/*.py"],
    "experiment": [
        "cli/experiment.py",
        "cli/scaling.py",
        "cli/billing.py",
        "experiment.py",
        "custody.py",
        "plugin/*.py",
    ],
    "stack": ["cli/stack.py", "cli/billing.py"],  # what still bills is said at the end of `delete`
}
SENT = {"sagemaker:InvokeEndpoint", "execute-api:Invoke"}  # by the load itself, which boto3 has no part in

DIRECT = Place("aws", "us-east-1", "123456789012", "Trees", "AllTraffic", None, False, None, None, "sm-locust-api")
COMPONENT = Place("aws", "us-east-1", "123456789012", "e", "v", "Comp", True, None, None, "sm-locust-api")
API = Place(
    *("aws", "us-east-1", "123456789012", "e", "v", None, False),
    api=RestApi("abc123", "DummyStage", "DT"),
    auth="iam",
    stack="sm-locust-api",
)


def statements(kind: Kind, place: Place) -> dict[str, dict[str, Any]]:
    found = {statement["Sid"]: statement for statement in policy(kind, place)["Statement"]}
    assert len(found) == len(policy(kind, place)["Statement"]), "a Sid stands twice"
    return found


def allowed(kind: Kind, *, by_us: bool = True) -> set[str]:
    """Actions, over all ways to the endpoint; by us, or by AWS with our credentials."""
    return {
        action
        for place in (DIRECT, COMPONENT, API)
        for sid, statement in statements(kind, place).items()
        for action in statement["Action"]
        if sid.startswith("For") != by_us
    }


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_called_is_allowed_and_what_is_allowed_is_called(kind: Kind) -> None:
    assert allowed(kind) - SENT == asked_from(FILES[kind])
    assert (allowed(kind) & SENT == SENT) == (kind != "stack")


@pytest.mark.parametrize("kind", ["check", "run"])
def test_of_api_gateway_what_is_read_is_allowed_and_what_is_allowed_is_read(
    monkeypatch: pytest.MonkeyPatch, kind: Kind
) -> None:
    """Its actions are all GET: it is the path that says what may be read."""
    url = "https://abc123.execute-api.us-east-1.amazonaws.com/DummyStage/DT"
    target = {"api_gateway": url, "auth": "none", "endpoint": "e", "region": "us-east-1"}
    with scripted({}) as aws:
        monkeypatch.setenv("AWS_ENDPOINT_URL", aws.url)
        if kind == "check":
            list(quotas.of_the_way(RunConfig.from_dict({"target": target}), 800, 0.1))
        else:
            subjects.find(RunConfig.from_dict({"target": target}))
        read = {operation_of(request).removeprefix("GET ") for request in aws.requests if request.startswith(b"GET ")}
    (allowed,) = (s["Resource"] for s in statements(kind, API).values() if s["Action"] == ["apigateway:GET"])
    assert {arn.removeprefix("arn:aws:apigateway:us-east-1::") for arn in allowed} == read


def test_nothing_is_called_that_no_policy_is_for() -> None:
    everywhere = set().union(*(asked_from(files) for files in FILES.values()))
    assert asked_anywhere() == everywhere


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", [DIRECT, COMPONENT, API], ids=["direct", "component", "api"])
def test_a_policy_is_what_iam_takes(kind: Kind, place: Place) -> None:
    document = policy(kind, place)
    assert document["Version"] == "2012-10-17"
    assert len(re.sub(r"\s", "", json.dumps(document))) <= 6144  # of a managed policy
    for statement in document["Statement"]:
        assert re.fullmatch(r"[A-Za-z0-9]+", statement["Sid"])
        assert statement["Effect"] == "Allow"
        assert statement["Action"] and not any("*" in action for action in statement["Action"])
        for arn in [statement["Resource"]] if isinstance(statement["Resource"], str) else statement["Resource"]:
            assert arn == "*" or re.fullmatch(r"arn:aws:[a-z-]+:[a-z0-9-]*:[0-9]*:.+", arn)


@pytest.mark.parametrize("kind", KINDS)
def test_all_resources_are_given_only_to_actions_that_know_none(kind: Kind) -> None:
    """Service Authorization Reference: these have no resource type, or read what no ARN of ours can name."""
    wide = {a for s in statements(kind, API).values() if s["Resource"] == "*" for a in s["Action"]}
    assert wide <= {
        "application-autoscaling:DescribeScalableTargets",
        "application-autoscaling:DescribeScalingActivities",
        "application-autoscaling:DescribeScalingPolicies",
        "application-autoscaling:DescribeScheduledActions",
        "cloudwatch:DescribeAlarmHistory",
        "cloudwatch:DescribeAlarms",
        "cloudwatch:GetMetricData",
        "lambda:GetAccountSettings",
        "pricing:GetProducts",
        "servicequotas:ListAWSDefaultServiceQuotas",
        "servicequotas:ListServiceQuotas",
    }


def test_sagemaker_writes_names_in_lower_case_and_alarms_do_not() -> None:
    found = statements("experiment", DIRECT)
    assert found["SendRequests"]["Resource"] == ["arn:aws:sagemaker:us-east-1:123456789012:endpoint/trees"]
    assert found["ForTargetTrackingAlarms"]["Resource"] == (
        "arn:aws:cloudwatch:us-east-1:123456789012:alarm:TargetTracking-endpoint/Trees/variant/AllTraffic-*"
    )


def test_scaling_may_be_changed_of_sagemakers_instances_only_or_of_its_copies_only() -> None:
    for place, dimension in (
        (DIRECT, "sagemaker:variant:DesiredInstanceCount"),
        (COMPONENT, "sagemaker:inference-component:DesiredCopyCount"),
    ):
        assert statements("experiment", place)["ChangeScalingAndPutItBack"]["Condition"] == {
            "StringEquals": {
                "application-autoscaling:service-namespace": "sagemaker",
                "application-autoscaling:scalable-dimension": dimension,
            }
        }
    assert "SetTheNumberOfInstances" not in statements("experiment", COMPONENT)


def test_roles_are_made_and_passed_for_one_service_each() -> None:
    created = statements("experiment", DIRECT)["ForTheFirstScalableTargetOfTheAccount"]
    assert created["Condition"] == {
        "StringLike": {"iam:AWSServiceName": "sagemaker.application-autoscaling.amazonaws.com"}
    }
    passed = statements("stack", DIRECT)["ForCloudFormationToGiveTheFunctionItsRole"]
    assert passed["Resource"] == "arn:aws:iam::123456789012:role/sm-locust-api-FunctionRole-*"
    assert passed["Condition"] == {"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}}
    assert not any("iam:" in action for kind in ("check", "run") for action in allowed(kind, by_us=False))


def test_an_api_is_called_at_its_stage_and_only_with_iam() -> None:
    assert statements("run", API)["SendRequests"]["Resource"] == (
        "arn:aws:execute-api:us-east-1:123456789012:abc123/DummyStage/POST/DT"
    )
    open_to_all = {"api_gateway": "https://abc123.execute-api.us-east-1.amazonaws.com/DummyStage/DT", "auth": "none"}
    with_key = RunConfig.from_dict({"target": {**open_to_all, "auth": "api-key"}})
    for kind in ("check", "run"):
        assert "SendRequests" not in statements(kind, Place.of(with_key, "s"))
    assert not policy("run", Place.of(with_key, "s"))["Statement"]  # its endpoint is not named, so not watched


@pytest.mark.parametrize(
    ("region", "partition"),
    [("us-east-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov"), ("mars-north-1", "aws")],
)
def test_the_partition_is_the_regions(monkeypatch: pytest.MonkeyPatch, region: str, partition: str) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    place = Place.of(RunConfig.from_dict({"target": {"endpoint": "e", "region": region}}), "s")
    assert (place.partition, place.account) == (partition, "ACCOUNT_ID")
    for kind in KINDS:
        assert f'"arn:{partition}:' in json.dumps(policy(kind, place))


def test_the_account_is_the_callers() -> None:
    answers: Answers = {"GetCallerIdentity": ME}
    with scripted(answers) as aws:
        assert Place.of(config(aws.url), "s").account == "123456789012"


def test_a_container_needs_no_policy() -> None:
    with pytest.raises(ConfigError, match=r"target\.endpoint: missing"):
        Place.of(RunConfig.from_dict({"target": {"container": "http://127.0.0.1:1/"}}), "s")


def test_the_command_prints_json_and_says_what_it_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    done = CliRunner().invoke(main, ["check", "--policy", "run", str(ROOT / "configs/decision_trees.yaml")])
    assert done.exit_code == 0
    (first, *_) = json.loads(done.stdout)["Statement"]
    assert first["Resource"] == ["arn:aws:sagemaker:us-east-1:ACCOUNT_ID:endpoint/decision-trees-sample"]
    assert done.stderr == "sm-locust: to be replaced, since it is not known here: ACCOUNT_ID\n"
    bare = CliRunner().invoke(main, ["check", "--policy", "experiment"])
    assert bare.stderr.endswith("ACCOUNT_ID, REGION, ENDPOINT-NAME\n")
