"""The endpoint's instances: how many, asking for another number, waiting for them."""

from __future__ import annotations

import pytest

from sm_locust.aws.endpoint import Variant, describe, set_instances, wait_until_steady
from sm_locust.aws.session import AwsFault
from tests.aws.harness import Answers, asked, config, refused, said, scripted

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
    return said({"EndpointStatus": status, "EndpointConfigName": "c", "ProductionVariants": variants})


def test_the_watched_variant_is_the_one_that_is_described() -> None:
    answers: Answers = {"DescribeEndpoint": described("Updating", 1, 2), "DescribeEndpointConfig": CONFIGURED}
    with scripted(answers) as aws:
        assert describe(config(aws.url)) == Variant("Updating", 1, 2, "ml.m4.xlarge")
        assert describe(config(aws.url)) == Variant("Updating", 1, 2, "ml.m4.xlarge")
        assert len(aws.requests) == 3  # an endpoint's configuration never changes


def test_a_serverless_variant_has_no_instances() -> None:
    serverless = said({"ProductionVariants": [{"VariantName": "AllTraffic", "ServerlessConfig": {}}]})
    answers: Answers = {"DescribeEndpoint": described("InService", None, None), "DescribeEndpointConfig": serverless}
    with scripted(answers) as aws:
        variant = describe(config(aws.url))
    assert variant == Variant("InService", None, None, None)
    assert variant.is_steady


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


def test_waiting_ends_when_all_instances_serve_and_says_what_it_waits_for() -> None:
    steps = [
        described("InService", 1, 1),  # asked for, and not begun yet
        refused("ServiceUnavailable", "try later", 501),
        described("Updating", 1, 2),
        described("Updating", 1, 2),
        described("Updating", 2, 2),
        described("InService", 2, 2),
    ]
    said_: list[str] = []
    with scripted({"DescribeEndpoint": steps, "DescribeEndpointConfig": CONFIGURED}) as aws:
        found = wait_until_steady(config(aws.url), 2, patience=10, every=0.01, say=said_.append)
    assert found == Variant("InService", 2, 2, "ml.m4.xlarge")
    assert said_ == [
        "decision-trees-sample is InService, 1 of 1 instances serve",
        "SageMaker DescribeEndpoint was refused: ServiceUnavailable: try later",
        "decision-trees-sample is Updating, 1 of 2 instances serve",
        "decision-trees-sample is Updating, 2 of 2 instances serve",
    ]


def test_waiting_for_whatever_is_wanted_ends_at_once_when_it_is_there() -> None:
    answers: Answers = {"DescribeEndpoint": described("InService", 3, 3), "DescribeEndpointConfig": CONFIGURED}
    with scripted(answers) as aws:
        assert wait_until_steady(config(aws.url), None, patience=0, every=1, say=print).current == 3


def test_patience_ends() -> None:
    answers: Answers = {"DescribeEndpoint": described("Updating", 1, 2), "DescribeEndpointConfig": CONFIGURED}
    with scripted(answers) as aws, pytest.raises(AwsFault) as caught:
        wait_until_steady(config(aws.url), 2, patience=0.05, every=0.01, say=lambda _: None)
    assert str(caught.value) == (
        "decision-trees-sample is Updating, 1 of 2 instances serve: not steady with 2 instances within 50ms"
    )
    assert caught.value.code == "NotSteady"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (described("Failed", 1, 1), "Failed"),
        (refused("ValidationException", 'Could not find endpoint "arn:e".'), "ValidationException"),
        (refused("AccessDeniedException", "no"), "AccessDeniedException"),
    ],
)
def test_what_no_waiting_helps_is_not_waited_for(answer: bytes, code: str) -> None:
    with (
        scripted({"DescribeEndpoint": answer, "DescribeEndpointConfig": CONFIGURED}) as aws,
        pytest.raises(AwsFault) as caught,
    ):
        wait_until_steady(config(aws.url), 2, patience=60, every=60, say=lambda _: None)
    assert caught.value.code == code


def test_ctrl_c_ends_the_waiting() -> None:
    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    answers: Answers = {"DescribeEndpoint": described("Updating", 1, 2), "DescribeEndpointConfig": CONFIGURED}
    with scripted(answers) as aws, pytest.raises(KeyboardInterrupt):
        wait_until_steady(config(aws.url), 2, patience=60, every=60, say=interrupt)


def test_a_number_of_instances_is_asked_for_the_variant() -> None:
    with scripted({"UpdateEndpointWeightsAndCapacities": said({"EndpointArn": "arn:" + "x" * 20})}) as aws:
        set_instances(config(aws.url), 4)
        assert asked(aws.requests[0]) == {
            "EndpointName": "decision-trees-sample",
            "DesiredWeightsAndCapacities": [{"VariantName": "AllTraffic", "DesiredInstanceCount": 4}],
        }
