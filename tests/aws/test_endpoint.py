"""The endpoint's instances: how many, and asking for another number."""

from __future__ import annotations

import pytest

from sm_locust.aws.endpoint import Variant, describe, set_instances
from sm_locust.aws.session import AwsFault
from tests.aws.harness import Answers, asked, config, refused, said, scripted

ARN = "arn:aws:sagemaker:us-east-1:123456789012:endpoint/decision-trees-sample"
CONFIGURED = said(
    {
        "EndpointConfigName": "c",
        "ProductionVariants": [
            {"VariantName": "Other", "InstanceType": "ml.c5.large"},
            {"VariantName": "AllTraffic", "InstanceType": "ml.m4.xlarge"},
        ],
    }
)


def described(status: str, current: int | None, desired: int | None) -> bytes:
    counts = {"CurrentInstanceCount": current, "DesiredInstanceCount": desired}
    variants = [
        {"VariantName": "Other", "CurrentInstanceCount": 9, "DesiredInstanceCount": 9},
        {"VariantName": "AllTraffic", **{name: count for name, count in counts.items() if count is not None}},
    ]
    named = {"EndpointConfigName": "c", "EndpointArn": ARN}
    return said({"EndpointStatus": status, **named, "ProductionVariants": variants})


def test_the_watched_variant_is_the_one_that_is_described() -> None:
    answers: Answers = {"DescribeEndpoint": described("Updating", 1, 2), "DescribeEndpointConfig": CONFIGURED}
    with scripted(answers) as aws:
        assert describe(config(aws.url)) == Variant("Updating", 1, 2, "ml.m4.xlarge")
        assert describe(config(aws.url)) == Variant("Updating", 1, 2, "ml.m4.xlarge")
        assert describe(config(aws.url)).arn == ARN
        assert len(aws.requests) == 4  # an endpoint's configuration never changes


def test_a_serverless_variant_has_no_instances() -> None:
    serverless = said({"ProductionVariants": [{"VariantName": "AllTraffic", "ServerlessConfig": {}}]})
    answers: Answers = {"DescribeEndpoint": described("InService", None, None), "DescribeEndpointConfig": serverless}
    with scripted(answers) as aws:
        variant = describe(config(aws.url))
    assert variant == Variant("InService", None, None, None)


def test_an_instance_type_that_we_may_not_know_is_left_out() -> None:
    denied = refused("AccessDeniedException", "no")
    with scripted({"DescribeEndpoint": described("InService", 1, 1), "DescribeEndpointConfig": denied}) as aws:
        assert describe(config(aws.url)) == Variant("InService", 1, 1, None)


def test_a_variant_that_is_not_there_is_told_with_those_that_are() -> None:
    with (
        scripted({"DescribeEndpoint": described("InService", 1, 1)}) as aws,
        pytest.raises(AwsFault, match="has no variant Blue; it has Other, AllTraffic"),
    ):
        describe(config(aws.url, target={"variant": "Blue"}))


def test_a_number_of_instances_is_asked_for_the_variant() -> None:
    with scripted({"UpdateEndpointWeightsAndCapacities": said({"EndpointArn": "arn:" + "x" * 20})}) as aws:
        set_instances(config(aws.url), 4)
        assert asked(aws.requests[0]) == {
            "EndpointName": "decision-trees-sample",
            "DesiredWeightsAndCapacities": [{"VariantName": "AllTraffic", "DesiredInstanceCount": 4}],
        }
