"""How requests are told apart, checked and refused: over boto3, and as bytes where boto3 would never send them."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from sm_locust.local.settings import Settings
from tests.local.harness import client, counts, invoke

CALLS: dict[str, tuple[str, Callable[[Any], Any], str]] = {
    "monitoring": ("cloudwatch", lambda aws: aws.list_metrics(), "cloudwatch:ListMetrics"),
    "application-autoscaling": (
        "application-autoscaling",
        lambda aws: aws.describe_scaling_policies(ServiceNamespace="sagemaker"),
        "application-autoscaling:DescribeScalingPolicies",
    ),
    "sagemaker": ("sagemaker", lambda aws: aws.list_endpoints(), "sagemaker:ListEndpoints"),
    "sagemaker-runtime": ("sagemaker-runtime", invoke, "sagemaker:InvokeEndpoint"),
    "sts": ("sts", lambda aws: aws.get_caller_identity(), "sts:GetCallerIdentity"),
}


def order(url: str, **what: Any) -> int:
    """The status that an order of refusals is answered with."""
    request = urllib.request.Request(f"{url}/_local/refuse", data=json.dumps(what).encode(), method="POST")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            assert error.read().endswith(b"\n")
            return error.code


@pytest.mark.parametrize("path", ["counts", "session", "refuse", "endpoint"])
def test_a_page_in_a_browser_of_this_machine_gets_no_order_through(endpoint: str, path: str) -> None:
    body = b'{"service":"sts","next":1}' if path in ("refuse", "endpoint") else None
    request = urllib.request.Request(f"{endpoint}/_local/{path}", body, {"Origin": "https://page.example"})
    with pytest.raises(urllib.error.HTTPError) as refused, urllib.request.urlopen(request, timeout=10):
        pass
    refused.value.close()
    assert refused.value.code == 403


@pytest.fixture
def nothing_is_refused(endpoint: str) -> Iterator[None]:
    yield
    for service in CALLS:
        assert order(endpoint, service=service, next=0) == 204


def failure(call: Callable[[Any], Any], aws: Any) -> dict[str, Any]:
    with pytest.raises(ClientError) as raised:
        call(aws)
    return dict(raised.value.response)


def post(url: str, service: str, body: bytes, headers: dict[str, str], sign: bool = True) -> tuple[int, Any, bytes]:
    """Status, headers and body of the answer to these bytes, signed for `service` by botocore."""
    known = Settings()
    request = AWSRequest("POST", url + "/", data=body, headers=headers)
    if sign:
        SigV4Auth(Credentials(known.access_key_id, known.secret_access_key), service, known.region).add_auth(request)
    try:
        sent = urllib.request.Request(url + "/", data=body, headers=dict(request.headers), method="POST")
        with urllib.request.urlopen(sent, timeout=10) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def json_headers(target: str) -> dict[str, str]:
    return {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.1"}


@pytest.mark.parametrize("service", CALLS)
def test_calls_are_throttled_as_often_as_ordered_and_then_answered(
    endpoint: str, service: str, nothing_is_refused: None
) -> None:
    name, call, _ = CALLS[service]
    aws = client(endpoint, name)
    assert order(endpoint, service=service, next=3) == 204
    for _ in range(3):
        response = failure(call, aws)
        assert response["ResponseMetadata"]["HTTPStatusCode"] == 400
        assert response["Error"]["Code"] == "ThrottlingException"
        assert response["Error"]["Message"] == "Rate exceeded"
    assert call(aws)["ResponseMetadata"]["HTTPStatusCode"] == 200


@pytest.mark.parametrize("service", CALLS)
def test_a_denial_names_the_user_and_the_permission(endpoint: str, service: str, nothing_is_refused: None) -> None:
    name, call, permission = CALLS[service]
    assert order(endpoint, service=service, next=1, error="AccessDeniedException") == 204
    error = failure(call, client(endpoint, name))["Error"]
    assert error["Code"] == "AccessDeniedException"
    assert f"arn:aws:iam::123456789012:user/local is not authorized to perform: {permission} " in error["Message"]


def test_an_order_for_one_operation_leaves_the_service_s_others_alone(endpoint: str, nothing_is_refused: None) -> None:
    sagemaker = client(endpoint, "sagemaker")
    assert order(endpoint, service="sagemaker", operation="DescribeEndpointConfig", next=1) == 204
    name = Settings().endpoint
    sagemaker.describe_endpoint(EndpointName=name)
    describe = sagemaker.describe_endpoint_config
    assert failure(lambda _: describe(EndpointConfigName=name), None)["Error"]["Code"] == "ThrottlingException"
    assert describe(EndpointConfigName=name)
    denied = {"service": "sagemaker", "error": "AccessDeniedException"}
    assert order(endpoint, **denied, next=2) == 204
    assert order(endpoint, **denied, operation="DescribeEndpointConfig", next=1) == 204
    for call in (lambda: describe(EndpointConfigName=name), sagemaker.list_endpoints, sagemaker.list_endpoints):
        assert failure(lambda _: call(), None)["Error"]["Code"] == "AccessDeniedException"  # noqa: B023
    assert describe(EndpointConfigName=name)
    invoke(client(endpoint))
    assert order(endpoint, service="sagemaker", operation="DescribeEndpointConfig", next=5) == 204
    assert order(endpoint, service="sagemaker", operation="DescribeEndpointConfig", next=0) == 204
    assert describe(EndpointConfigName=name)


def test_a_denied_invocation_is_a_403_and_no_invocation(endpoint: str, nothing_is_refused: None) -> None:
    runtime, before = client(endpoint), counts(endpoint)
    assert order(endpoint, service="sagemaker-runtime", next=1, error="AccessDeniedException") == 204
    assert failure(invoke, runtime)["ResponseMetadata"]["HTTPStatusCode"] == 403
    after = counts(endpoint)
    assert after["invocations"] == before["invocations"]
    name = "403 AccessDeniedException"
    assert after["rejected"][name] == before["rejected"].get(name, 0) + 1


@pytest.mark.parametrize("code", ["ExpiredTokenException", "UnrecognizedClientException"])
def test_credentials_can_be_said_to_be_no_longer_good(endpoint: str, code: str, nothing_is_refused: None) -> None:
    for service in ("sagemaker-runtime", "sagemaker"):
        assert order(endpoint, service=service, next=1, error=code) == 204
        name, call, _ = CALLS[service]
        response = failure(call, client(endpoint, name))
        assert (response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]) == (403, code)


def test_a_concurrent_update_is_the_exception_that_boto3_knows(endpoint: str, nothing_is_refused: None) -> None:
    aws = client(endpoint, "application-autoscaling")
    order(endpoint, service="application-autoscaling", next=1, error="ConcurrentUpdateException")
    with pytest.raises(aws.exceptions.ConcurrentUpdateException):
        aws.describe_scalable_targets(ServiceNamespace="sagemaker")


def test_a_client_that_retries_gets_past_throttling_and_one_service_is_throttled_alone(
    endpoint: str, nothing_is_refused: None
) -> None:
    known = Settings()
    patient = boto3.Session(known.access_key_id, known.secret_access_key, region_name=known.region).client(
        "cloudwatch",
        endpoint_url=endpoint,
        config=Config(retries={"mode": "standard", "total_max_attempts": 3}, proxies={}),
    )
    order(endpoint, service="monitoring", next=2)
    assert client(endpoint, "sagemaker").list_endpoints()["Endpoints"]
    assert patient.list_metrics()["ResponseMetadata"]["RetryAttempts"] == 2


@pytest.mark.parametrize(
    "what",
    [
        {"service": "cloudwatch", "next": 1},
        {"service": "monitoring", "next": -1},
        {"service": "monitoring"},
        {"service": "monitoring", "next": 1, "error": "Teapot"},
        {"service": "monitoring", "next": 1, "for": "ever"},
        {"service": "monitoring", "next": 1, "operation": "DescribeEndpoint"},
        {"service": "sagemaker-runtime", "next": 1, "operation": "InvokeEndpointAsync"},
    ],
)
def test_an_order_that_cannot_be_is_refused_and_refuses_nothing(endpoint: str, what: dict[str, Any]) -> None:
    assert order(endpoint, **what) == 400
    assert client(endpoint, "cloudwatch").list_metrics()["ResponseMetadata"]["HTTPStatusCode"] == 200


@pytest.mark.parametrize(
    ("service", "call", "code", "status"),
    [
        ("cloudwatch", lambda aws: aws.list_dashboards(), "UnknownOperationException", 404),
        (
            "application-autoscaling",
            lambda aws: aws.get_predictive_scaling_forecast(
                ServiceNamespace="sagemaker",
                ResourceId="r",
                ScalableDimension="sagemaker:variant:DesiredInstanceCount",
                PolicyName="p",
                StartTime=0,
                EndTime=1,
            ),
            "UnknownOperationException",
            404,
        ),
        ("sagemaker", lambda aws: aws.list_models(), "UnknownOperationException", 404),
        ("sts", lambda aws: aws.get_session_token(), "InvalidAction", 400),
        ("dynamodb", lambda aws: aws.list_tables(), "UnknownOperationException", 404),
        ("ec2", lambda aws: aws.describe_vpcs(), "InvalidAction", 400),
        ("apigateway", lambda aws: aws.get_rest_api(restApiId="a"), "UnknownOperationException", 404),
        ("apigateway", lambda aws: aws.get_account(), "UnknownOperationException", 404),
        ("lambda", lambda aws: aws.get_function_configuration(FunctionName="f"), "UnknownOperationException", 404),
        ("lambda", lambda aws: aws.get_account_settings(), "UnknownOperationException", 404),
        ("lambda", lambda aws: aws.delete_function(FunctionName="f"), "UnknownOperationException", 404),
        ("cloudformation", lambda aws: aws.describe_stacks(StackName="s"), "InvalidAction", 400),
        ("logs", lambda aws: aws.describe_log_groups(), "UnknownOperationException", 404),
        ("pricing", lambda aws: aws.get_products(ServiceCode="AmazonSageMaker"), "UnknownOperationException", 404),
        (
            "service-quotas",
            lambda aws: aws.get_service_quota(ServiceCode="lambda", QuotaCode="L-B99A9384"),
            "UnknownOperationException",
            404,
        ),
        (
            "iam",
            lambda aws: aws.simulate_principal_policy(
                PolicySourceArn="arn:aws:iam::123456789012:user/local", ActionNames=["sagemaker:InvokeEndpoint"]
            ),
            "InvalidAction",
            400,
        ),
    ],
)
def test_operations_and_services_that_are_not_there_are_unknown_in_their_own_protocol(
    endpoint: str, service: str, call: Callable[[Any], Any], code: str, status: int
) -> None:
    response = failure(call, client(endpoint, service))
    assert response["Error"]["Code"] == code
    assert response["ResponseMetadata"]["HTTPStatusCode"] == status


@pytest.mark.parametrize(
    ("credentials", "code", "query_code"),
    [
        ({"aws_secret_access_key": "another"}, "InvalidSignatureException", "SignatureDoesNotMatch"),
        ({"aws_access_key_id": "AKIAANOTHER"}, "UnrecognizedClientException", "InvalidClientTokenId"),
        ({"aws_session_token": "made-up"}, "UnrecognizedClientException", "InvalidClientTokenId"),
        ({"region_name": "eu-west-1"}, "InvalidSignatureException", "SignatureDoesNotMatch"),
    ],
)
@pytest.mark.parametrize("service", ["monitoring", "application-autoscaling", "sagemaker"])
def test_every_service_verifies_signatures_and_cloudwatch_names_the_error_twice(
    endpoint: str, service: str, credentials: dict[str, str], code: str, query_code: str
) -> None:
    name, call, _ = CALLS[service]
    error = failure(call, client(endpoint, name, **credentials))["Error"]
    if service == "monitoring":
        assert (error["Code"], error["QueryErrorCode"], error["Type"]) == (query_code, code, "Sender")
    else:
        assert error["Code"] == code


def test_a_signature_for_one_service_opens_no_other(endpoint: str) -> None:
    status, _, body = post(
        endpoint, "sagemaker", b"{}", json_headers("AnyScaleFrontendService.DescribeScalableTargets")
    )
    assert (status, json.loads(body)["__type"]) == (404, "UnknownOperationException")


def test_a_service_asked_in_the_other_protocol_knows_no_such_operation(endpoint: str) -> None:
    status, _, body = post(endpoint, "sts", b"{}", json_headers("AWSSecurityTokenServiceV20110615.GetCallerIdentity"))
    assert (status, json.loads(body)["__type"]) == (404, "UnknownOperationException")
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    status, _, body = post(endpoint, "sagemaker", b"Action=ListEndpoints", form)
    assert status == 400
    assert b"<Code>InvalidAction</Code>" in body


def test_an_unsigned_call_lacks_a_token(endpoint: str) -> None:
    status, _, body = post(endpoint, "", b"{}", json_headers("SageMaker.ListEndpoints"), sign=False)
    assert (status, json.loads(body)["__type"]) == (403, "MissingAuthenticationTokenException")
    status, headers, body = post(endpoint, "", b"Action=GetCallerIdentity", {}, sign=False)
    assert (status, headers["Content-Type"].partition(";")[0]) == (403, "text/xml")
    assert b"<Code>MissingAuthenticationToken</Code>" in body


def test_cloudwatch_in_the_query_protocol_of_an_older_boto3_is_told_what_is_spoken_here(endpoint: str) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    status, _, body = post(endpoint, "monitoring", b"Action=ListMetrics&Version=2010-08-01", form)
    assert status == 400
    assert b"<Code>InvalidAction</Code>" in body
    assert b"ListMetrics of cloudwatch is answered in JSON only" in body


@pytest.mark.parametrize(
    ("target", "body", "code", "said"),
    [
        ("DescribeScalableTargets", b"{", "SerializationException", "is not JSON"),
        ("DescribeScalableTargets", b"\xff", "SerializationException", "is not JSON"),
        ("DescribeScalableTargets", b"[]", "SerializationException", "the request: []"),
        (
            "DescribeScalableTargets",
            b"",
            "ValidationException",
            "1 validation error detected: Value null at 'serviceNamespace' failed to satisfy constraint: "
            "Member must not be null",
        ),
        (
            "DescribeScalableTargets",
            b'{"ServiceNamespace": "sagemaker", "MaxResults": true}',
            "SerializationException",
            "maxResults: True is no integer",
        ),
        (
            "RegisterScalableTarget",
            b'{"ServiceNamespace": "sagemaker", "ResourceId": "", "ScalableDimension": "up"}',
            "ValidationException",
            "2 validation errors detected",
        ),
    ],
)
def test_what_boto3_would_not_send_is_refused_by_the_models_word(
    endpoint: str, target: str, body: bytes, code: str, said: str
) -> None:
    headers = json_headers(f"AnyScaleFrontendService.{target}")
    status, headers, answer = post(endpoint, "application-autoscaling", body, headers)
    assert (status, json.loads(answer)["__type"]) == (400, code)
    assert said in json.loads(answer)["message"]
    assert headers["Content-Type"] == "application/x-amz-json-1.1"
    assert headers["x-amzn-RequestId"]


def test_a_member_that_is_null_or_unknown_counts_as_not_given(endpoint: str) -> None:
    body = b'{"ServiceNamespace": "sagemaker", "MaxResults": null, "Colour": "red"}'
    headers = json_headers("AnyScaleFrontendService.DescribeScalableTargets")
    status, _, answer = post(endpoint, "application-autoscaling", body, headers)
    assert (status, json.loads(answer)) == (200, {"ScalableTargets": []})


def test_cloudwatch_answers_in_json_1_0_and_takes_timestamps_as_numbers_or_text(endpoint: str) -> None:
    metric = {"Namespace": "AWS/SageMaker", "MetricName": "Invocations"}
    query = {"Id": "a", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}}
    for start, end in ((1.8e9, 1800000060.5), ("2027-01-15T08:00:00Z", "2027-01-15T08:01:00+00:00")):
        body = json.dumps({"MetricDataQueries": [query], "StartTime": start, "EndTime": end}).encode()
        headers = json_headers("GraniteServiceVersion20100801.GetMetricData")
        status, headers, answer = post(endpoint, "monitoring", body, headers)
        assert (status, headers["Content-Type"]) == (200, "application/x-amz-json-1.0")
        assert json.loads(answer)["MetricDataResults"][0]["Values"] == []
    body = json.dumps({"MetricDataQueries": [query], "StartTime": "today", "EndTime": 1.8e9}).encode()
    status, headers, answer = post(
        endpoint, "monitoring", body, json_headers("GraniteServiceVersion20100801.GetMetricData")
    )
    assert (status, headers["x-amzn-query-error"]) == (400, "SerializationException;Sender")
    assert "startTime: 'today' is no timestamp" in json.loads(answer)["message"]
