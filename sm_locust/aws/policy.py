"""The least that an IAM policy has to allow for each thing that can be done here.

A statement for each intent, its Sid saying which. Resources are named wherever an action knows them; where it knows
none (reading metrics, quotas and scaling) they are `*`. What begins with `For` is not called by us: AWS calls it with
our credentials. GetCallerIdentity needs no permission and is not here.

Sources: Service Authorization Reference, actions and resource types of each service; Application Auto Scaling User
Guide, identity-based policy examples (SageMaker endpoints) and service-linked roles; API Gateway Developer Guide, ARN
reference; CloudFormation User Guide, controlling access with IAM: a stack is made with its caller's permissions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from sm_locust.aws.api import RestApi
from sm_locust.aws.session import AwsFault, ask, client, partition_and_region
from sm_locust.config import ConfigError, RunConfig
from sm_locust.scaled import OF_COPIES, OF_INSTANCES
from sm_locust.stacks import FUNCTION_LOG, FUNCTION_NAME

Kind = Literal["check", "run", "experiment", "stack"]
KINDS: tuple[Kind, ...] = ("check", "run", "experiment", "stack")

# What stands where nobody has said what to put there.
ACCOUNT_ID, REGION, ENDPOINT_NAME = "ACCOUNT_ID", "REGION", "ENDPOINT-NAME"  # which a configuration accepts

_SERVICE_ROLE = "sagemaker.application-autoscaling.amazonaws.com"

Statement = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a policy is for: the parts of its ARNs, placeholders among them.

    endpoint  whose metrics and scaling are watched; None for an API whose endpoint is not named
    api       where requests go through one; `*` for what its URL does not name
    auth      how that API lets in
    stack     name of the CloudFormation stack
    """

    partition: str
    region: str
    account: str
    endpoint: str | None
    variant: str
    component: str | None
    scales_copies: bool
    api: RestApi | None
    auth: str | None
    stack: str

    @classmethod
    def of(cls, config: RunConfig, stack: str) -> Place:
        """The account is asked for with the credentials there are; without, or without an answer, a placeholder.

        Raises ConfigError for a container, which needs no permission, and without a target.
        """
        target, component = config.target, config.request.inference_component
        if target is None or target.container is not None:
            raise ConfigError("target.endpoint: missing; required: only what is called at AWS needs a policy")
        partition, region = partition_and_region(config)
        return cls(
            partition,
            region or REGION,
            _account(config) if region else ACCOUNT_ID,
            target.endpoint,
            target.variant,
            component,
            config.scales_copies,
            _api(target.api_gateway) if target.api_gateway is not None else None,
            target.auth,
            stack,
        )

    def arn(self, service: str, resource: str, *, account: str | None = None, region: str | None = None) -> str:
        region = self.region if region is None else region
        account = self.account if account is None else account
        return f"arn:{self.partition}:{service}:{region}:{account}:{resource}"

    def sagemaker(self, kind: str, name: str) -> str:
        # SageMaker writes the names of its ARNs in lower case, and IAM tells upper from lower.
        return self.arn("sagemaker", f"{kind}/{name if name == ENDPOINT_NAME else name.lower()}")

    @property
    def watched(self) -> str:
        """The ARN of the endpoint."""
        return self.sagemaker("endpoint", self.endpoint or ENDPOINT_NAME)

    @property
    def scalable(self) -> str:
        """The resource id of Application Auto Scaling."""
        if self.scales_copies:
            return f"inference-component/{self.component or '*'}"
        return f"endpoint/{self.endpoint or ENDPOINT_NAME}/variant/{self.variant}"


def _account(config: RunConfig) -> str:
    try:
        return str(ask(client(config, "sts"), "GetCallerIdentity")["Account"])
    except (AwsFault, ConfigError):
        return ACCOUNT_ID


def _api(url: str) -> RestApi:
    id_, stage, path = RestApi.of(url) or ("", "", "")
    return RestApi(id_ or "*", stage or "*", path or "*")


def policy(kind: Kind, place: Place) -> dict[str, Any]:
    """The policy as a JSON document."""
    statements = {"check": _check, "run": _run, "experiment": _experiment, "stack": _stack}[kind]
    return {"Version": "2012-10-17", "Statement": list(statements(place))}


def _allow(sid: str, actions: list[str], resource: str | list[str], **condition: dict[str, Any]) -> Statement:
    statement: Statement = {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resource}
    return {**statement, "Condition": condition} if condition else statement


def _check(place: Place) -> Iterator[Statement]:
    yield from _requests(place)
    yield from _reading(place, describe_component=place.component is not None)
    if place.endpoint is not None:
        quotas = ["servicequotas:ListServiceQuotas", "servicequotas:ListAWSDefaultServiceQuotas"]
        yield _allow("ReadQuotas", quotas, "*")
    yield _allow("ReadPrices", ["pricing:GetProducts"], "*")
    if place.api is None:
        return
    restapi = f"/restapis/{place.api.id}"
    paths = ("/account", f"{restapi}/stages/{place.api.stage}", f"{restapi}/resources")
    yield _allow("ReadTheApi", ["apigateway:GET"], [place.arn("apigateway", path, account="") for path in paths])
    yield _allow("ReadTheFunction", ["lambda:GetFunctionConcurrency"], place.arn("lambda", "function:*"))
    yield _allow("ReadTheFunctionsLimit", ["lambda:GetAccountSettings"], "*")


def _run(place: Place) -> Iterator[Statement]:
    yield from _requests(place)
    yield from _reading(place, describe_component=place.scales_copies)
    if place.api is not None and place.endpoint is not None:
        named = [place.arn("apigateway", f"/restapis/{place.api.id}{path}", account="") for path in ("", "/resources")]
        yield _allow("ReadTheNamesThatMetricsHave", ["apigateway:GET"], named)
    if place.endpoint is not None:
        yield _allow("ReadScalingActivities", ["application-autoscaling:DescribeScalingActivities"], "*")
        yield _allow("ReadWhenAlarmsRang", ["cloudwatch:DescribeAlarmHistory"], "*")
        yield from _what_still_bills(place)


def _experiment(place: Place) -> Iterator[Statement]:
    yield from _run(place)
    targets = place.arn("application-autoscaling", "scalable-target/*")  # whose id AWS makes up
    yield _allow(
        "ChangeScalingAndPutItBack",
        [
            "application-autoscaling:RegisterScalableTarget",
            "application-autoscaling:DeregisterScalableTarget",
            "application-autoscaling:PutScalingPolicy",
            "application-autoscaling:DeleteScalingPolicy",
            "application-autoscaling:PutScheduledAction",
        ],
        targets,
        StringEquals={
            "application-autoscaling:service-namespace": "sagemaker",
            "application-autoscaling:scalable-dimension": OF_COPIES if place.scales_copies else OF_INSTANCES,
        },
    )
    yield _allow("PutTagsBack", ["application-autoscaling:TagResource"], targets)
    if place.scales_copies:
        yield _allow(
            "SetTheNumberOfCopies",
            ["sagemaker:UpdateInferenceComponentRuntimeConfig"],
            place.sagemaker("inference-component", place.component or "*"),
        )
    else:
        yield _allow(
            "SetTheNumberOfInstances",
            ["sagemaker:UpdateEndpointWeightsAndCapacities"],
            place.watched,
        )
    yield _allow(
        "ForTargetTrackingAlarms",
        ["cloudwatch:PutMetricAlarm", "cloudwatch:DeleteAlarms"],
        place.arn("cloudwatch", f"alarm:TargetTracking-{place.scalable}-*"),
    )
    yield _allow("ForTargetTrackingToSeeAlarms", ["cloudwatch:DescribeAlarms"], "*")
    role = f"role/aws-service-role/{_SERVICE_ROLE}/AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
    yield _allow(
        "ForTheFirstScalableTargetOfTheAccount",
        ["iam:CreateServiceLinkedRole"],
        place.arn("iam", role, region=""),
        StringLike={"iam:AWSServiceName": _SERVICE_ROLE},
    )


def _requests(place: Place) -> Iterator[Statement]:
    if place.api is None:
        resources = [place.watched]
        if place.component is not None:
            resources.append(place.sagemaker("inference-component", place.component))
        yield _allow("SendRequests", ["sagemaker:InvokeEndpoint"], resources)
    elif place.auth == "iam":
        resource = f"{place.api.id}/{place.api.stage}/POST/{place.api.path}"
        yield _allow("SendRequests", ["execute-api:Invoke"], place.arn("execute-api", resource))


def _reading(place: Place, *, describe_component: bool) -> Iterator[Statement]:
    if place.endpoint is None:
        return
    yield from _the_endpoint(place)
    if describe_component:
        yield _allow(
            "ReadTheComponent",
            ["sagemaker:DescribeInferenceComponent"],
            place.sagemaker("inference-component", place.component or "*"),
        )
    yield _allow(
        "ReadScaling",
        [
            "application-autoscaling:DescribeScalableTargets",
            "application-autoscaling:DescribeScalingPolicies",
            "application-autoscaling:DescribeScheduledActions",
        ],
        "*",
    )
    yield _allow(
        "ReadTagsOfScaling",
        ["application-autoscaling:ListTagsForResource"],
        place.arn("application-autoscaling", "scalable-target/*"),
    )
    yield _allow("ReadMetrics", ["cloudwatch:GetMetricData"], "*")


def _the_endpoint(place: Place) -> Iterator[Statement]:
    yield _allow("ReadTheEndpoint", ["sagemaker:DescribeEndpoint"], place.watched)
    # Which configuration the endpoint has, only it can tell.
    yield _allow(
        "ReadItsConfiguration", ["sagemaker:DescribeEndpointConfig"], place.arn("sagemaker", "endpoint-config/*")
    )


def _what_still_bills(place: Place) -> Iterator[Statement]:
    """Beside the endpoint."""
    yield _allow("ReadWhatStillBills", ["cloudformation:DescribeStacks"], place.arn("cloudformation", "stack/*/*"))
    yield _allow("ReadWhatStillBillsForLogs", ["logs:DescribeLogGroups"], place.arn("logs", "log-group:*"))


def _stack(place: Place) -> Iterator[Statement]:
    function, log = place.arn("lambda", f"function:{FUNCTION_NAME}"), place.arn("logs", f"log-group:{FUNCTION_LOG}")
    role = place.arn("iam", f"role/{place.stack}-FunctionRole-*", region="")
    yield _allow(
        "MakeFollowAndDeleteTheStack",
        [
            "cloudformation:CreateStack",
            "cloudformation:UpdateStack",
            "cloudformation:DeleteStack",
            "cloudformation:DescribeStacks",
            "cloudformation:DescribeStackEvents",
            "cloudformation:ListStackResources",
        ],
        place.arn("cloudformation", f"stack/{place.stack}/*"),
    )
    yield _allow(
        "ForCloudFormationToTagTheStack",
        ["cloudformation:TagResource"],
        place.arn("cloudformation", f"stack/{place.stack}/*"),
    )
    yield _allow("LookWhetherTheFunctionIsThere", ["lambda:GetFunctionConfiguration"], function)
    yield _allow("DeleteALogThatCameBack", ["logs:DeleteLogGroup"], [log, f"{log}:*"])
    yield from _the_endpoint(place)
    yield from _what_still_bills(place)
    yield _allow(
        "ForCloudFormationTheLog",
        [
            "logs:CreateLogGroup",
            "logs:PutRetentionPolicy",
            "logs:DeleteRetentionPolicy",
            "logs:TagResource",
            "logs:UntagResource",
            "logs:ListTagsForResource",
            "logs:GetDataProtectionPolicy",
        ],
        [log, f"{log}:*"],
    )
    yield _allow(
        "ForCloudFormationTheFunction",
        [
            "lambda:CreateFunction",
            "lambda:DeleteFunction",
            "lambda:GetFunction",
            "lambda:GetFunctionCodeSigningConfig",
            "lambda:GetRuntimeManagementConfig",
            "lambda:GetFunctionRecursionConfig",
            "lambda:UpdateFunctionCode",
            "lambda:UpdateFunctionConfiguration",
            "lambda:PutFunctionConcurrency",
            "lambda:DeleteFunctionConcurrency",
            "lambda:AddPermission",
            "lambda:RemovePermission",
            "lambda:GetPolicy",
            "lambda:ListTags",
            "lambda:TagResource",
            "lambda:UntagResource",
        ],
        function,
    )
    yield _allow(
        "ForCloudFormationTheFunctionsRole",
        [
            "iam:CreateRole",
            "iam:DeleteRole",
            "iam:GetRole",
            "iam:PutRolePolicy",
            "iam:GetRolePolicy",
            "iam:DeleteRolePolicy",
            "iam:ListRolePolicies",
            "iam:ListAttachedRolePolicies",
            "iam:TagRole",
            "iam:UntagRole",
        ],
        role,
    )
    yield _allow(
        "ForCloudFormationToGiveTheFunctionItsRole",
        ["iam:PassRole"],
        role,
        StringEquals={"iam:PassedToService": "lambda.amazonaws.com"},
    )
    made = [place.arn("apigateway", path, account="") for path in ("/restapis", "/apikeys", "/usageplans")]
    # API Gateway makes up the ids of what is made: no name of ours can stand here.
    yield _allow(
        "ForCloudFormationTheApi",
        ["apigateway:GET", "apigateway:POST", "apigateway:PUT", "apigateway:PATCH", "apigateway:DELETE"],
        [*made, *(f"{path}/*" for path in made), place.arn("apigateway", "/tags/*", account="")],
    )
