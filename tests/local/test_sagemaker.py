"""The endpoint described, listed and resized by boto3; a schedule minute is a second here."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sm_locust.local.settings import Settings
from tests.local.harness import client, counts, invoke, running

SETTINGS = Settings(instances=2, provisioning_time=120)
NAME = SETTINGS.endpoint
ARN = f"arn:aws:sagemaker:us-east-1:123456789012:endpoint/{NAME}"


@pytest.fixture(scope="module")
def sagemaker() -> Iterator[Any]:
    with running(SETTINGS, speed=60) as url:
        yield client(url, "sagemaker")


def resize(sagemaker: Any, instances: int, **more: Any) -> Any:
    wanted = {"VariantName": SETTINGS.variant, "DesiredInstanceCount": instances, **more}
    return sagemaker.update_endpoint_weights_and_capacities(EndpointName=NAME, DesiredWeightsAndCapacities=[wanted])


def order(url: str, body: bytes) -> tuple[int, bytes]:
    """Status and text of the answer to an order of a state."""
    try:
        with urllib.request.urlopen(f"{url}/_local/endpoint", body, timeout=10) as answer:
            return int(answer.status), answer.read()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read()


def error(call: Any, **parameters: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as raised:
        call(**parameters)
    found = raised.value.response["Error"]
    return found["Code"], found["Message"]


def test_an_endpoint_is_described_without_its_instance_type(sagemaker: Any) -> None:
    found = sagemaker.describe_endpoint(EndpointName=NAME)
    assert (found["EndpointArn"], found["EndpointStatus"]) == (ARN, "InService")
    assert datetime.now(UTC) - found["CreationTime"] < timedelta(minutes=5)
    (variant,) = found["ProductionVariants"]
    assert variant["VariantName"] == "AllTraffic"
    assert (variant["CurrentInstanceCount"], variant["DesiredInstanceCount"]) == (2, 2)
    assert "ml.m4.xlarge" not in str(found)


def test_its_configuration_has_the_instance_type(sagemaker: Any) -> None:
    name = sagemaker.describe_endpoint(EndpointName=NAME)["EndpointConfigName"]
    found = sagemaker.describe_endpoint_config(EndpointConfigName=name)
    (variant,) = found["ProductionVariants"]
    assert (variant["VariantName"], variant["InstanceType"]) == ("AllTraffic", "ml.m4.xlarge")
    assert variant["InitialInstanceCount"] == 2
    assert (variant["ModelName"], variant["RoutingConfig"]) == (NAME, {"RoutingStrategy": "RANDOM"})
    assert found["EndpointConfigArn"].startswith("arn:aws:sagemaker:us-east-1:123456789012:endpoint-config/")


def test_an_unknown_endpoint_is_a_validation_exception_with_its_arn(sagemaker: Any) -> None:
    sentence = 'Could not find endpoint "arn:aws:sagemaker:us-east-1:123456789012:endpoint/nobody".'
    assert error(sagemaker.describe_endpoint, EndpointName="Nobody") == ("ValidationException", sentence)
    assert error(
        sagemaker.update_endpoint_weights_and_capacities,
        EndpointName="nobody",
        DesiredWeightsAndCapacities=[{"VariantName": "AllTraffic"}],
    ) == ("ValidationException", sentence)
    code, message = error(sagemaker.describe_endpoint_config, EndpointConfigName="nobody")
    assert code == "ValidationException"
    assert message.startswith("Could not find endpoint configuration")


def test_a_resized_endpoint_is_updating_until_its_instances_serve_and_takes_no_other_size_meanwhile(
    sagemaker: Any,
) -> None:
    assert resize(sagemaker, 4)["EndpointArn"] == ARN
    asked_at = time.monotonic()
    found = sagemaker.describe_endpoint(EndpointName=NAME)
    (variant,) = found["ProductionVariants"]
    assert found["EndpointStatus"] == "Updating"
    assert (variant["CurrentInstanceCount"], variant["DesiredInstanceCount"]) == (2, 4)
    assert error(lambda: resize(sagemaker, 1)) == (
        "ValidationException",
        f'Cannot update in-progress endpoint "{ARN}".',
    )
    while found["EndpointStatus"] == "Updating":
        assert time.monotonic() - asked_at < 30
        time.sleep(0.05)
        found = sagemaker.describe_endpoint(EndpointName=NAME)
    assert time.monotonic() - asked_at > 1.9
    (variant,) = found["ProductionVariants"]
    assert (variant["CurrentInstanceCount"], variant["DesiredInstanceCount"]) == (4, 4)
    assert found["LastModifiedTime"] > found["CreationTime"]
    resize(sagemaker, 2)
    found = sagemaker.describe_endpoint(EndpointName=NAME)
    assert (found["EndpointStatus"], found["ProductionVariants"][0]["CurrentInstanceCount"]) == ("InService", 2)


def test_a_weight_is_kept_and_leaves_the_instances_alone(sagemaker: Any) -> None:
    sagemaker.update_endpoint_weights_and_capacities(
        EndpointName=NAME, DesiredWeightsAndCapacities=[{"VariantName": "AllTraffic", "DesiredWeight": 0.5}]
    )
    found = sagemaker.describe_endpoint(EndpointName=NAME)
    (variant,) = found["ProductionVariants"]
    assert (variant["DesiredWeight"], variant["DesiredInstanceCount"]) == (0.5, 2)


@pytest.mark.parametrize(
    ("wanted", "code", "message"),
    [
        ({"VariantName": "Other", "DesiredInstanceCount": 3}, "ValidationException", '"Other"'),
        ({"VariantName": "AllTraffic", "DesiredInstanceCount": 0}, "ValidationException", "must be at least 1"),
        ({"VariantName": "AllTraffic", "DesiredInstanceCount": 101}, "ResourceLimitExceeded", "is 100 Instances"),
    ],
)
def test_a_size_that_cannot_be_is_refused_and_changes_nothing(
    sagemaker: Any, wanted: dict[str, Any], code: str, message: str
) -> None:
    good = {"VariantName": "AllTraffic", "DesiredInstanceCount": 3}
    found = error(
        sagemaker.update_endpoint_weights_and_capacities,
        EndpointName=NAME,
        DesiredWeightsAndCapacities=[good, wanted],
    )
    assert found[0] == code
    assert message in found[1]
    (variant,) = sagemaker.describe_endpoint(EndpointName=NAME)["ProductionVariants"]
    assert variant["DesiredInstanceCount"] == 2


@pytest.mark.parametrize(
    ("wanted", "listed"),
    [
        ({}, True),
        ({"MaxResults": 1}, True),
        ({"NameContains": "Trees"}, True),
        ({"NameContains": "forest"}, False),
        ({"StatusEquals": "InService"}, True),
        ({"StatusEquals": "Updating"}, False),
        ({"CreationTimeAfter": datetime(2020, 1, 1, tzinfo=UTC)}, True),
        ({"CreationTimeBefore": datetime(2020, 1, 1, tzinfo=UTC)}, False),
        ({"LastModifiedTimeBefore": datetime(2020, 1, 1, tzinfo=UTC)}, False),
        ({"LastModifiedTimeAfter": datetime(2099, 1, 1, tzinfo=UTC)}, False),
    ],
)
def test_the_endpoint_is_listed_where_it_is_what_is_asked_for(
    sagemaker: Any, wanted: dict[str, Any], listed: bool
) -> None:
    pages = list(sagemaker.get_paginator("list_endpoints").paginate(**wanted))
    assert [e["EndpointName"] for page in pages for e in page["Endpoints"]] == [NAME] * listed


def test_a_page_or_a_name_that_cannot_be_is_a_validation_exception(sagemaker: Any) -> None:
    assert error(sagemaker.list_endpoints, MaxResults=101)[0] == "ValidationException"
    assert error(sagemaker.list_endpoints, NextToken="made up")[0] == "ValidationException"
    assert error(sagemaker.list_endpoints, StatusEquals="Asleep")[0] == "ValidationException"
    assert error(sagemaker.describe_endpoint, EndpointName="n" * 64)[0] == "ValidationException"


def test_an_operation_that_is_not_there_is_unknown(sagemaker: Any) -> None:
    code, message = error(sagemaker.delete_model, ModelName=NAME)
    assert code == "UnknownOperationException"
    assert "SageMaker.DeleteModel" in message


def test_a_state_that_was_ordered_is_said_for_as_long_and_changes_are_refused_meanwhile(sagemaker: Any) -> None:
    url = sagemaker.meta.endpoint_url

    def status() -> str:
        return str(sagemaker.describe_endpoint(EndpointName=NAME)["EndpointStatus"])

    before = sagemaker.describe_endpoint(EndpointName=NAME)["LastModifiedTime"]
    assert order(url, b'{"status": "Updating", "for": 0.5}')[0] == 204
    assert status() == "Updating"
    assert sagemaker.describe_endpoint(EndpointName=NAME)["LastModifiedTime"] > before
    assert sagemaker.list_endpoints(StatusEquals="Updating")["Endpoints"]
    for call in (lambda: resize(sagemaker, 3), lambda: sagemaker.delete_endpoint(EndpointName=NAME)):
        assert error(call) == ("ValidationException", f'Cannot update in-progress endpoint "{ARN}".')
    assert invoke(client(url))["Body"].read() == b"setosa\n"
    deadline = time.monotonic() + 30
    while status() != "InService":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert order(url, b'{"status": "Failed"}')[0] == 204
    assert status() == "Failed"
    assert sagemaker.describe_endpoint(EndpointName=NAME)["FailureReason"]
    assert order(url, b'{"status": "InService"}')[0] == 204
    assert status() == "InService"


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b'{"status": "Asleep"}', b"status 'Asleep'"),
        (b'{"status": "Failed", "for": 0}', b"for 0"),
        (b'{"status": "Failed", "seconds": 5}', b"seconds is no key of this order; accepted: status, for"),
        (b'{"status": "' + b"x" * 500 + b'"}', b"xxx\xe2\x80\xa6: Input should be"),
        (b"{}", b"status: missing"),
        (b"[]", b"an order is a JSON object"),
        (b"\xff{", b"JSON"),
    ],
)
def test_an_order_of_a_state_that_cannot_be_is_refused_by_name(sagemaker: Any, body: bytes, named: bytes) -> None:
    status, said = order(sagemaker.meta.endpoint_url, body)
    assert status == 400
    assert named in said
    assert sagemaker.describe_endpoint(EndpointName=NAME)["EndpointStatus"] == "InService"


def test_a_deleted_endpoint_is_found_by_nobody_and_what_scaled_it_is_gone() -> None:
    with running(Settings(service_time=0.5), speed=60) as url, ThreadPoolExecutor(1) as pool:
        sagemaker, runtime, scaling = client(url, "sagemaker"), client(url), client(url, "application-autoscaling")
        target = {
            "ServiceNamespace": "sagemaker",
            "ResourceId": f"endpoint/{NAME}/variant/AllTraffic",
            "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
        }
        scaling.register_scalable_target(**target, MinCapacity=1, MaxCapacity=2)
        in_flight = pool.submit(lambda: invoke(runtime)["Body"].read())
        while not counts(url)["invocations"]:
            time.sleep(0.01)
        sagemaker.delete_endpoint(EndpointName=NAME)
        gone = ("ValidationException", f'Could not find endpoint "{ARN}".')
        assert error(sagemaker.describe_endpoint, EndpointName=NAME) == gone
        assert error(sagemaker.delete_endpoint, EndpointName=NAME) == gone
        assert error(lambda: resize(sagemaker, 2)) == gone
        assert sagemaker.list_endpoints()["Endpoints"] == []
        assert sagemaker.describe_endpoint_config(EndpointConfigName=NAME)["EndpointConfigName"] == NAME
        missing = f"Endpoint {NAME} of account 123456789012 not found."
        assert error(lambda: invoke(runtime)) == ("ValidationError", missing)
        assert scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"] == []
        code, _ = error(scaling.register_scalable_target, **target, MinCapacity=1, MaxCapacity=2)
        assert code == "ValidationException"
        assert order(url, b'{"status": "InService"}')[0] == 400
        assert in_flight.result() == b"setosa\n", "what it had accepted is still answered"
