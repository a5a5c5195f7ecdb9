"""Whose metrics a run has: as SageMaker and API Gateway name them, or a sentence that says what could not be found."""

from __future__ import annotations

from typing import Any

import pytest

from sm_locust.aws import session, subjects
from sm_locust.aws.subjects import Subject
from sm_locust.config import RunConfig
from tests.aws.harness import config, operation_of, refused, said, scripted
from tests.oracles.answers import AnswerServer, answer

API = "https://abc123.execute-api.us-east-1.amazonaws.com/DummyStage/DT"
FUNCTION_ARN = "arn:aws:lambda:us-east-1:123456789012:function:InvokeMine"


def described(*variants: str, shadow: tuple[str, ...] = ()) -> bytes:
    def named(names: tuple[str, ...]) -> list[dict[str, Any]]:
        return [{"VariantName": name} for name in names]

    return said(
        {
            "EndpointName": "decision-trees-sample",
            "EndpointStatus": "InService",
            "ProductionVariants": named(variants),
            "ShadowProductionVariants": named(shadow),
        }
    )


def labels(found: tuple[Subject, ...]) -> dict[str, bool]:
    """Label → whether its invocations may be ours."""
    return {subject.label: subject.ours for subject in found}


def test_every_variant_of_the_endpoint_is_one_and_a_shadows_invocations_are_not_ours() -> None:
    with scripted({"DescribeEndpoint": described("AllTraffic", "B", shadow=("Shadow",))}) as aws:
        found = subjects.find(config(aws.url))
    assert found.missing == ()
    assert labels(found.found) == {"": True, "variant/B": True, "variant/Shadow": False}
    assert [subject.live for subject in found.found] == [True, False, False]


def test_requests_that_name_a_variant_go_to_no_other() -> None:
    with scripted({"DescribeEndpoint": described("AllTraffic", "B")}) as aws:
        found = subjects.find(config(aws.url, request={"target_variant": "B"}))
    assert labels(found.found) == {"": False, "variant/B": True}


def test_an_inference_component_is_watched_in_place_of_its_variant() -> None:
    with scripted({"DescribeEndpoint": described("AllTraffic")}) as aws:
        found = subjects.find(config(aws.url, request={"inference_component": "trees"}))
    assert labels(found.found) == {"component/trees": True, "": False}
    assert found.found[0].dimensions == (("InferenceComponentName", "trees"),)
    assert found.found[0].source("/aws/sagemaker/InferenceComponents") == (
        "/aws/sagemaker/InferenceComponents:component/trees"
    )


def test_an_endpoint_that_may_not_be_described_has_its_own_variant_all_the_same() -> None:
    with scripted({"DescribeEndpoint": refused("AccessDeniedException", "no")}) as aws:
        found = subjects.find(config(aws.url))
    assert labels(found.found) == {"": True}
    (sentence,) = found.missing
    assert "the permission it needs is sagemaker:DescribeEndpoint" in sentence


def test_what_is_kept_of_a_subject_is_the_subject() -> None:
    subject = Subject("variant", "variant/B", (("EndpointName", "e"), ("VariantName", "B")), ours=True)
    assert Subject.of(subject.as_dict()) == subject


# -- API Gateway -------------------------------------------------------------------------------------------------------


def through(url: str) -> RunConfig:
    return RunConfig.from_dict({"target": {"endpoint": "e", "region": "us-east-1", "api_gateway": url, "auth": "none"}})


def gateway(request: bytes) -> bytes:
    """API Gateway's control plane, with one API of one resource."""
    path = request.split(b" ")[1].decode().partition("?")[0]
    uri = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{FUNCTION_ARN}/invocations"
    resources = [
        {"id": "r0", "path": "/"},
        {"id": "r1", "path": "/DT", "resourceMethods": {"POST": {"methodIntegration": {"type": "AWS", "uri": uri}}}},
    ]
    documents: dict[str, dict[str, Any]] = {
        "/restapis/abc123": {"id": "abc123", "name": "MyAPI"},
        "/restapis/abc123/resources": {"item": resources},
    }
    if operation_of(request) == "DescribeEndpoint":
        return described("AllTraffic")
    return said(documents[path]) if path in documents else answer(404, b"{}")


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Any:
    with AnswerServer([gateway]) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        session._control_plane.cache_clear()
        yield server


def test_the_api_and_the_function_behind_it_are_found_by_the_id_in_the_url(aws: AnswerServer) -> None:
    found = subjects.find(through(API))
    assert found.missing == ()
    assert [(s.kind, s.label) for s in found.found[1:]] == [("api", "MyAPI/DummyStage"), ("function", "InvokeMine")]
    assert found.found[1].dimensions == (("ApiName", "MyAPI"), ("Stage", "DummyStage"))


@pytest.mark.parametrize(
    ("url", "says"),
    [
        (
            API.replace("DT", "other"),
            "API abc123 has no resource /other that takes a POST",
        ),
        (API.replace("abc123", "zzz"), "the name of the API zzz is unknown"),
        ("https://models.example.com/DummyStage/DT", "models.example.com does not tell the id of an API"),
    ],
)
def test_what_cannot_be_found_is_a_sentence_and_the_usual_names_are_tried(
    aws: AnswerServer, url: str, says: str
) -> None:
    found = subjects.find(through(url))
    assert any(says in sentence for sentence in found.missing), found.missing
    assert ("function", "InvokeDecisionTreeSMEP") in [(s.kind, s.label) for s in found.found]
    assert found.found[-1].usual


@pytest.mark.parametrize("url", ["https://models.example.com", API.removesuffix("/DummyStage/DT") + "/"])
def test_an_api_without_a_stage_costs_its_own_metrics_and_no_others(aws: AnswerServer, url: str) -> None:
    found = subjects.find(through(url))
    (sentence,) = found.missing
    assert sentence.endswith("without a path names no stage, so the API's metrics are missing")
    assert [(s.kind, s.label) for s in found.found[1:]] == [("function", "InvokeDecisionTreeSMEP")]
    assert all(value for subject in found.found for _, value in subject.dimensions)  # or CloudWatch is not even asked


def test_an_api_of_the_local_endpoint_has_the_names_of_the_stack() -> None:
    with scripted({"DescribeEndpoint": described("AllTraffic")}) as aws:
        found = subjects.find(through(f"{aws.url}/DummyStage/DT"))
    assert found.missing == ()
    assert [s.label for s in found.found[1:]] == ["DecisionTreeAPI/DummyStage", "InvokeDecisionTreeSMEP"]
