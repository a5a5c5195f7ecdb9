"""What the watch remembers of the endpoint as it was first seen. Beside a load it is watched in tests/runs."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from sm_locust.analysis.cost import PULL_EVERY, PULL_FOR_A_RULE
from sm_locust.config import RunConfig
from sm_locust.plugin.watch import POLL_EVERY, POLL_FOR_A_RULE, Watch
from sm_locust.prices import Seen
from tests.aws.harness import Answers, config, refused, scripted, somebody
from tests.aws.test_endpoint import CONFIGURED, described
from tests.aws.test_serving import component


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with somebody(monkeypatch):
        yield


def looked(answers: Answers, **sections: object) -> Watch:
    with scripted(answers) as aws:
        watch = Watch(config(aws.url, **sections), 1)
        watch.look()
    return watch


def test_it_remembers_of_what_type_the_instances_were_and_how_many_served() -> None:
    answers: Answers = {"DescribeEndpoint": described("Updating", 1, 2), "DescribeEndpointConfig": CONFIGURED}
    assert looked(answers).hosted == Seen("ml.m4.xlarge", 1)


def test_a_type_that_may_not_be_asked_for_is_not_known_and_no_fault() -> None:
    denied = refused("AccessDeniedException", "no")
    watch = looked({"DescribeEndpoint": described("InService", 2, 2), "DescribeEndpointConfig": denied})
    assert watch.hosted == Seen(None, 2)
    assert not any("DescribeEndpointConfig" in sentence for sentence in watch.as_dict()["missing"])


def test_an_endpoint_that_may_not_be_described_was_not_seen() -> None:
    assert looked({"DescribeEndpoint": refused("AccessDeniedException", "no")}).hosted is None


def test_copies_are_no_instances() -> None:
    answers: Answers = {"DescribeInferenceComponent": component("InService", 2, 2)}
    assert looked(answers, request={"inference_component": "trees"}).hosted is None


@pytest.mark.parametrize(
    ("operation", "request_", "at_fault"),
    [
        ("DescribeEndpoint", {}, "target.endpoint: SageMaker has no decision-trees-sample"),
        (
            "DescribeInferenceComponent",
            {"inference_component": "trees"},
            "request.inference_component: SageMaker has no trees",
        ),
    ],
)
def test_what_sagemaker_does_not_know_is_named_with_its_key(
    operation: str, request_: dict[str, str], at_fault: str
) -> None:
    watch = looked({operation: refused("ValidationException", 'Could not find it "arn:aws:…"')}, request=request_)
    assert watch.unknown == f"{at_fault} in us-east-1; correct it, or target.region"


def test_what_could_not_be_asked_may_be_there() -> None:
    assert not looked({"DescribeEndpoint": refused("AccessDeniedException", "no")}).unknown


def test_what_cannot_be_asked_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    watch, said = Watch(RunConfig.from_dict({"target": {"endpoint": "trees"}}), 1), list[str]()
    watch.settle(9, 0.0, time.time(), said.append)
    assert not said
    assert any("no AWS region is set" in sentence for sentence in watch.as_dict()["missing"])


def test_a_plan_reckons_with_the_watch_asking_as_often_as_it_does() -> None:
    assert (PULL_EVERY, PULL_FOR_A_RULE) == (POLL_EVERY, POLL_FOR_A_RULE)
