"""An endpoint that hosts an inference component, seen by boto3; a schedule minute is a second here."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sm_locust.local.settings import Settings
from tests.local.harness import client, invoke, running

SETTINGS = Settings(inference_component="trees", instances=2, provisioning_time=120, publish_delay=0)
ARN = "arn:aws:sagemaker:us-east-1:123456789012:inference-component/trees"
TARGET = {
    "ServiceNamespace": "sagemaker",
    "ResourceId": "inference-component/trees",
    "ScalableDimension": "sagemaker:inference-component:DesiredCopyCount",
}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running(SETTINGS, speed=60) as url:
        yield url


def error(call: Any, **parameters: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as raised:
        call(**parameters)
    found = raised.value.response["Error"]
    return found["Code"], found["Message"]


def copies(sagemaker: Any) -> tuple[int, int]:
    """Current and desired."""
    found = sagemaker.describe_inference_component(InferenceComponentName="trees")["RuntimeConfig"]
    return found["CurrentCopyCount"], found["DesiredCopyCount"]


def until(sagemaker: Any, wanted: tuple[int, int]) -> None:
    deadline = time.monotonic() + 30
    while copies(sagemaker) != wanted:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_it_is_described_and_listed_with_its_endpoint(url: str) -> None:
    sagemaker = client(url, "sagemaker")
    found = sagemaker.describe_inference_component(InferenceComponentName="trees")
    assert (found["InferenceComponentArn"], found["InferenceComponentStatus"]) == (ARN, "InService")
    assert (found["EndpointName"], found["VariantName"]) == (SETTINGS.endpoint, SETTINGS.variant)
    assert found["EndpointArn"].endswith(f":endpoint/{SETTINGS.endpoint}")
    assert copies(sagemaker) == (2, 2)
    config = sagemaker.describe_endpoint_config(EndpointConfigName=SETTINGS.endpoint)
    assert "ModelName" not in config["ProductionVariants"][0]
    listing = sagemaker.get_paginator("list_inference_components")
    (page,) = listing.paginate(EndpointNameEquals=SETTINGS.endpoint, MaxResults=1)
    assert [each["InferenceComponentName"] for each in page["InferenceComponents"]] == ["trees"]
    for nothing in (
        {"EndpointNameEquals": "other"},
        {"NameContains": "forest"},
        {"VariantNameEquals": "Other"},
        {"StatusEquals": "Failed"},
        {"CreationTimeAfter": datetime(2099, 1, 1, tzinfo=UTC)},
    ):
        assert sagemaker.list_inference_components(**nothing)["InferenceComponents"] == []
    code, message = error(sagemaker.describe_inference_component, InferenceComponentName="Other")
    assert (code, message) == (
        "ValidationException",
        f'Could not find inference component "{ARN.replace("trees", "other")}".',
    )


def test_an_endpoint_without_any_has_none(endpoint: str) -> None:
    sagemaker = client(endpoint, "sagemaker")
    assert sagemaker.list_inference_components()["InferenceComponents"] == []
    assert error(sagemaker.describe_inference_component, InferenceComponentName="trees")[0] == "ValidationException"
    code, message = error(lambda: invoke(client(endpoint), InferenceComponentName="trees"))
    assert code == "ValidationError"
    assert message.startswith("Inference Component Name header is not allowed")


def test_it_is_invoked_by_its_name_only(url: str) -> None:
    runtime = client(url)
    assert invoke(runtime, InferenceComponentName="trees")["Body"].read() == b"setosa\n"
    code, message = error(lambda: invoke(runtime))
    assert code == "ValidationError"
    assert message.startswith("Inference Component Name header is required")
    assert error(lambda: invoke(runtime, InferenceComponentName="other"))[0] == "ValidationError"


def test_its_copies_are_set_and_come_as_instances_do(url: str) -> None:
    sagemaker = client(url, "sagemaker")

    def resize(count: int) -> Any:
        return sagemaker.update_inference_component_runtime_config(
            InferenceComponentName="trees", DesiredRuntimeConfig={"CopyCount": count}
        )

    assert resize(3)["InferenceComponentArn"] == ARN
    assert copies(sagemaker) == (2, 3)
    found = sagemaker.describe_inference_component(InferenceComponentName="trees")
    assert found["InferenceComponentStatus"] == "Updating"
    assert error(lambda: resize(1))[0] == "ValidationException"
    until(sagemaker, (3, 3))
    assert error(lambda: resize(0)) == (
        "ValidationException",
        "CopyCount 0: the local endpoint keeps at least 1 copy of trees.",
    )
    assert error(lambda: resize(101))[0] == "ResourceLimitExceeded"
    resize(2)
    assert copies(sagemaker) == (2, 2)


def test_its_metrics_are_published_under_its_name_beside_the_variants(url: str) -> None:
    runtime, cloudwatch = client(url), client(url, "cloudwatch")
    for _ in range(4):
        invoke(runtime, InferenceComponentName="trees")
    time.sleep(1.1)
    named = [{"Name": "InferenceComponentName", "Value": "trees"}]
    listed = cloudwatch.list_metrics(Dimensions=named)["Metrics"]
    assert {metric["MetricName"] for metric in listed} == {
        "Invocations",
        "InvocationsPerCopy",
        "Invocation4XXErrors",
        "Invocation5XXErrors",
        "InvocationModelErrors",
        "ModelLatency",
        "OverheadLatency",
        "ConcurrentRequestsPerCopy",
        "CPUUtilizationNormalized",
    }
    assert all(metric["Dimensions"] == named for metric in listed)

    def total(metric: str, dimensions: list[dict[str, str]]) -> float:
        asked = {"Metric": {"Namespace": "AWS/SageMaker", "MetricName": metric, "Dimensions": dimensions}}
        query = {"Id": "q", "MetricStat": {**asked, "Period": 1, "Stat": "Sum"}}
        now = time.time()
        answer = cloudwatch.get_metric_data(MetricDataQueries=[query], StartTime=now - 60, EndTime=now)
        return float(sum(answer["MetricDataResults"][0]["Values"]))

    of_variant = [
        {"Name": "EndpointName", "Value": SETTINGS.endpoint},
        {"Name": "VariantName", "Value": SETTINGS.variant},
    ]
    assert total("Invocations", named) == total("Invocations", of_variant) >= 4
    assert total("InvocationsPerCopy", named) == total("InvocationsPerInstance", of_variant) > 0
    assert total("InvocationsPerInstance", named) == total("InvocationsPerCopy", of_variant) == 0


def test_its_copies_are_what_is_scaled(url: str) -> None:
    runtime, scaling, sagemaker = client(url), client(url, "application-autoscaling"), client(url, "sagemaker")
    variant = {
        **TARGET,
        "ResourceId": f"endpoint/{SETTINGS.endpoint}/variant/{SETTINGS.variant}",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }
    assert error(scaling.register_scalable_target, **variant, MinCapacity=1, MaxCapacity=2)[0] == "ValidationException"
    scaling.register_scalable_target(**TARGET, MinCapacity=1, MaxCapacity=3)
    (found,) = scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    assert {name: found[name] for name in TARGET} == TARGET

    def put(metric: str, target: float) -> Any:
        configuration = {"TargetValue": target, "PredefinedMetricSpecification": {"PredefinedMetricType": metric}}
        return scaling.put_scaling_policy(
            **TARGET,
            PolicyName="p",
            PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration=configuration,
        )

    assert error(lambda: put("SageMakerVariantInvocationsPerInstance", 1.0))[0] == "ValidationException"
    put("SageMakerInferenceComponentConcurrentRequestsPerCopyHighResolution", 1000.0)
    alarms = put("SageMakerInferenceComponentInvocationsPerCopy", 10.0)["Alarms"]
    high = client(url, "cloudwatch").describe_alarms(AlarmNames=[alarms[0]["AlarmName"]])["MetricAlarms"][0]
    assert high["MetricName"] == "InvocationsPerCopy"
    assert high["Dimensions"] == [{"Name": "InferenceComponentName", "Value": "trees"}]
    deadline = time.monotonic() + 30
    while copies(sagemaker)[1] < 3:
        assert time.monotonic() < deadline
        invoke(runtime, InferenceComponentName="trees")
    newest = scaling.describe_scaling_activities(**TARGET)["ScalingActivities"][0]
    assert newest["Description"] == "Setting desired copy count to 3."
    scaling.deregister_scalable_target(**TARGET)
