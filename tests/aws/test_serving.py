"""What is scaled, instances of a variant or copies of a component: how many, asking for another number, waiting."""

from __future__ import annotations

from typing import Any

import pytest

from sm_locust.aws.serving import Serving, ask_for, describe, scaled, wait_until_steady
from sm_locust.aws.session import AwsFault
from sm_locust.config import ConfigError
from sm_locust.scaled import Scaled
from tests.aws.harness import Answers, asked, config, refused, said, scripted
from tests.aws.test_endpoint import ARN, CONFIGURED, described

VARIANT = Scaled(
    "endpoint/decision-trees-sample/variant/AllTraffic",
    "sagemaker:variant:DesiredInstanceCount",
    "SageMakerVariantInvocationsPerInstance",
    "decision-trees-sample",
    "instance",
)
COMPONENT = Scaled(
    "inference-component/trees",
    "sagemaker:inference-component:DesiredCopyCount",
    "SageMakerInferenceComponentInvocationsPerCopy",
    "trees",
    "copy",
)
CUSTOM = {"namespace": "Team", "name": "Queue", "statistic": "Average"}


def by(metric: Any) -> dict[str, Any]:
    return {"min_instances": 1, "max_instances": 4, "metric": metric, "target": 5}


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        ({}, VARIANT),
        ({"scaling": by("SageMakerVariantInvocationsPerInstance")}, VARIANT),
        ({"scaling": by(CUSTOM)}, VARIANT),
        ({"request": {"inference_component": "trees"}}, COMPONENT),
        (
            {
                "request": {"inference_component": "trees"},
                "scaling": by("SageMakerInferenceComponentInvocationsPerCopy"),
            },
            COMPONENT,
        ),
        ({"request": {"inference_component": "trees"}, "scaling": by(CUSTOM)}, COMPONENT),
        (
            {"request": {"inference_component": "trees"}, "scaling": by("SageMakerVariantInvocationsPerInstance")},
            VARIANT,
        ),
    ],
)
def test_what_is_scaled_is_what_the_metric_is_of(sections: dict[str, Any], expected: Scaled) -> None:
    assert scaled(config("http://127.0.0.1:1", **sections)) == expected


def test_a_metric_of_components_wants_the_name_of_one() -> None:
    with pytest.raises(ConfigError, match=r"request\.inference_component: missing; required: the inference component"):
        scaled(config("http://127.0.0.1:1", scaling=by("SageMakerInferenceComponentInvocationsPerCopy")))


def component(status: str, current: int, desired: int) -> bytes:
    return said(
        {
            "InferenceComponentName": "trees",
            "InferenceComponentArn": "arn:aws:sagemaker:us-east-1:123456789012:inference-component/trees",
            "EndpointName": "decision-trees-sample",
            "EndpointArn": ARN,
            "InferenceComponentStatus": status,
            "CreationTime": 0,
            "LastModifiedTime": 0,
            "RuntimeConfig": {"CurrentCopyCount": current, "DesiredCopyCount": desired},
        }
    )


def test_copies_are_asked_for_and_waited_for() -> None:
    answers: Answers = {
        "DescribeInferenceComponent": [component("Updating", 1, 2), component("InService", 2, 2)],
        "UpdateInferenceComponentRuntimeConfig": said({"InferenceComponentArn": "arn:" + "c" * 20}),
    }
    said_: list[str] = []
    with scripted(answers) as aws:
        here = config(aws.url, request={"inference_component": "trees"})
        ask_for(here, 2)
        assert asked(aws.requests[0]) == {
            "InferenceComponentName": "trees",
            "DesiredRuntimeConfig": {"CopyCount": 2},
        }
        found = wait_until_steady(here, 2, patience=10, every=0.01, say=said_.append)
    assert (found.current, found.arn.rpartition(":")[2]) == (2, "inference-component/trees")
    assert found.instance_type is None  # nobody knows how many copies one holds
    assert said_ == ["trees is Updating, 1 of 2 copies serve"]


def test_the_watched_variant_is_the_one_that_is_told_of() -> None:
    answers: Answers = {"DescribeEndpoint": described("Updating", 1, 2), "DescribeEndpointConfig": CONFIGURED}
    with scripted(answers) as aws:
        assert describe(config(aws.url)) == Serving("Updating", 1, 2, ARN, "ml.m4.xlarge")


def test_a_serverless_variant_is_steady_without_instances() -> None:
    serverless = said({"ProductionVariants": [{"VariantName": "AllTraffic", "ServerlessConfig": {}}]})
    answers: Answers = {"DescribeEndpoint": described("InService", None, None), "DescribeEndpointConfig": serverless}
    with scripted(answers) as aws:
        found = describe(config(aws.url))
    assert found == Serving("InService", None, None, ARN)
    assert found.is_steady


def test_an_instance_type_that_we_may_not_know_is_left_out() -> None:
    denied = refused("AccessDeniedException", "no")
    with scripted({"DescribeEndpoint": described("InService", 1, 1), "DescribeEndpointConfig": denied}) as aws:
        assert describe(config(aws.url)) == Serving("InService", 1, 1, ARN)


def test_a_variant_that_is_not_there_is_told_with_those_that_are() -> None:
    with (
        scripted({"DescribeEndpoint": described("InService", 1, 1)}) as aws,
        pytest.raises(AwsFault, match="has no variant Blue; it has Other, AllTraffic"),
    ):
        describe(config(aws.url, target={"variant": "Blue"}))


def test_a_number_of_instances_is_asked_for_the_variant() -> None:
    with scripted({"UpdateEndpointWeightsAndCapacities": said({"EndpointArn": "arn:" + "x" * 20})}) as aws:
        ask_for(config(aws.url), 4)
        assert asked(aws.requests[0]) == {
            "EndpointName": "decision-trees-sample",
            "DesiredWeightsAndCapacities": [{"VariantName": "AllTraffic", "DesiredInstanceCount": 4}],
        }


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
    assert found == Serving("InService", 2, 2, ARN, "ml.m4.xlarge")
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
