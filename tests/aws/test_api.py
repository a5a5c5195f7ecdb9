"""Which REST API a URL names, and which function an integration hands to."""

from __future__ import annotations

import pytest

from sm_locust.aws.api import Function, RestApi, function
from sm_locust.aws.session import AwsFault

FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:Invoke"


@pytest.mark.parametrize(
    ("url", "names"),
    [
        ("https://a1b2.execute-api.us-east-1.amazonaws.com/prod/DT", RestApi("a1b2", "prod", "DT")),
        ("https://a1b2-vpce-0c3d.execute-api.us-east-1.amazonaws.com/prod/v1/DT/", RestApi("a1b2", "prod", "v1/DT")),
        ("https://a1b2.execute-api.cn-north-1.amazonaws.com.cn/", RestApi("a1b2", "", "")),
        ("https://models.example.com/prod/DT", None),
        ("http://127.0.0.1:8500/DummyStage/DT", None),
    ],
)
def test_an_apis_own_address_names_it(url: str, names: RestApi | None) -> None:
    assert RestApi.of(url) == names


@pytest.mark.parametrize("qualifier", ["", ":live", ":12", ":$LATEST"])
def test_the_function_is_named_whatever_version_of_it_is_called(qualifier: str) -> None:
    uri = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{FUNCTION}{qualifier}/invocations"
    assert function({"type": "AWS_PROXY", "uri": uri}) == Function(FUNCTION, "Invoke")


@pytest.mark.parametrize(
    "integration",
    [
        {"type": "MOCK"},
        {"type": "HTTP", "uri": "https://example.com/functions/x"},
        {"type": "AWS", "uri": "arn:aws:apigateway:us-east-1:runtime.sagemaker:path//endpoints/e/invocations"},
        {
            "type": "AWS",
            "uri": f"arn:…:path/2015-03-31/functions/{FUNCTION.replace('Invoke', '${stageVariables.f}')}/invocations",
        },
    ],
)
def test_what_is_no_function_by_its_name_is_a_fault(integration: dict[str, str]) -> None:
    with pytest.raises(AwsFault, match="names no function of Lambda"):
        function(integration)
