"""The endpoint as SageMaker describes it, and its configuration, which is asked for once."""

from __future__ import annotations

import pytest

from sm_locust.aws.endpoint import Endpoint
from tests.aws.harness import Answers, config, operation_of, refused, said, scripted

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
POOLS = [{"InstanceType": "ml.c5.large"}, {"InstanceType": "ml.c6i.large"}]


def described(status: str, current: int | None, desired: int | None) -> bytes:
    counts = {"CurrentInstanceCount": current, "DesiredInstanceCount": desired}
    variants = [
        {"VariantName": "Other", "CurrentInstanceCount": 9, "DesiredInstanceCount": 9},
        {"VariantName": "AllTraffic", **{name: count for name, count in counts.items() if count is not None}},
    ]
    named = {"EndpointConfigName": "c", "EndpointArn": ARN}
    return said({"EndpointStatus": status, **named, "ProductionVariants": variants})


@pytest.mark.parametrize(
    ("answer", "asked"),
    [
        pytest.param(CONFIGURED, 1, id="it never changes"),
        pytest.param(refused("AccessDeniedException", "no"), 1, id="who may not know it will not later"),
        pytest.param(refused("ServiceUnavailable", "try later", 501), 2, id="what was not to be had may be later"),
    ],
)
def test_a_configuration_is_asked_for_once(answer: bytes, asked: int) -> None:
    answers: Answers = {"DescribeEndpoint": described("InService", 1, 1), "DescribeEndpointConfig": answer}
    with scripted(answers) as aws:
        first, second = (Endpoint.read(config(aws.url)) for _ in range(2))
        assert [operation_of(request) for request in aws.requests].count("DescribeEndpointConfig") == asked
    assert first.instance_type == second.instance_type == ("ml.m4.xlarge" if answer == CONFIGURED else None)
    assert (first.why_not is None) == (answer == CONFIGURED)


@pytest.mark.parametrize(
    ("variant", "types", "type_"),
    [
        ({"InstanceType": "ml.m4.xlarge"}, ("ml.m4.xlarge",), "ml.m4.xlarge"),
        ({"InstancePools": POOLS[:1]}, ("ml.c5.large",), "ml.c5.large"),
        ({"InstancePools": POOLS}, ("ml.c5.large", "ml.c6i.large"), None),
        ({"ServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 5}}, (), None),
    ],
)
def test_only_a_variant_of_one_type_has_the_type(
    variant: dict[str, object], types: tuple[str, ...], type_: str | None
) -> None:
    configuration = {"ProductionVariants": [{"VariantName": "v", **variant}]}
    endpoint = Endpoint("e", "v", {}, configuration, None)
    assert (endpoint.instance_types, endpoint.instance_type) == (types, type_)
