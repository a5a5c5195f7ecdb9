"""Where the calls around a run go, and what a refusal says."""

from __future__ import annotations

import socket

import pytest

from sm_locust.aws.runtime import runtime
from sm_locust.aws.session import BESIDE_A_RUN, AwsFault, addresses, ask, ask_all, client, watched
from sm_locust.config import ConfigError, RunConfig
from tests.aws.harness import asked, config, refused, said, scripted
from tests.oracles.answers import CLOSE, AnswerServer, answer

TOKEN = "FwoGZXIvYXdzEXAMPLETOKEN"


# Where


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3", "[::1]"])
@pytest.mark.parametrize("key", ["url", "api_gateway"])
def test_a_target_on_this_machine_stands_in_for_all_of_aws(host: str, key: str) -> None:
    target = {"url": f"http://{host}:8080"}
    if key == "api_gateway":
        target = {"api_gateway": f"http://{host}:8080/DummyStage/DT", "auth": "none"}
    here = RunConfig.from_dict({"target": {"endpoint": "e", "region": "us-east-1", **target}})
    assert set(addresses(here)) == {f"http://{host}:8080"}


def test_any_other_target_leaves_the_address_to_botocore() -> None:
    there = config("https://vpce-0123.example.com")
    assert addresses(there) == (
        "https://monitoring.us-east-1.amazonaws.com",
        "https://application-autoscaling.us-east-1.amazonaws.com",
        "https://api.sagemaker.us-east-1.amazonaws.com",
        "https://sts.us-east-1.amazonaws.com",
    )
    china = RunConfig.from_dict({"target": {"endpoint": "e", "region": "cn-north-1"}})
    assert addresses(china)[0] == "https://monitoring.cn-north-1.amazonaws.com.cn"


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080", "https://vpce-0123.example.com"])
def test_a_variable_of_the_environment_wins_over_both(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_APPLICATION_AUTO_SCALING", "http://127.0.0.1:2")
    found = dict(zip(BESIDE_A_RUN, addresses(config(url)), strict=True))
    assert found.pop("application-autoscaling") == "http://127.0.0.1:2"
    assert set(found.values()) == {"http://127.0.0.1:1"}


def test_without_a_region_it_says_what_to_set() -> None:
    with pytest.raises(ConfigError, match="no AWS region is set"):
        client(RunConfig.from_dict({"target": {"endpoint": "e", "url": "http://127.0.0.1:1"}}), "cloudwatch")


def test_without_an_endpoint_there_is_nothing_to_watch() -> None:
    container = RunConfig.from_dict({"target": {"container": "http://127.0.0.1:1/invocations"}})
    with pytest.raises(ConfigError, match=r"target\.endpoint: missing"):
        watched(container)
    assert watched(config("http://127.0.0.1:1")) == ("decision-trees-sample", "AllTraffic")


def test_a_client_is_made_once() -> None:
    here = config("http://127.0.0.1:1")
    assert client(here, "sagemaker") is client(config("http://127.0.0.1:1"), "sagemaker")
    assert client(here, "sagemaker") is not client(config("http://127.0.0.1:2"), "sagemaker")


# What comes of it


def describe(url: str) -> dict[str, object]:
    return ask(client(config(url), "sagemaker"), "DescribeEndpoint", EndpointName="e")


def fault(url: str) -> AwsFault:
    with pytest.raises(AwsFault) as caught:
        describe(url)
    assert "\n" not in str(caught.value)
    return caught.value


def test_throttling_is_tried_again_and_no_one_hears_of_it() -> None:
    busy = refused("ThrottlingException", "Rate exceeded")
    with scripted({"DescribeEndpoint": [busy, said({"EndpointStatus": "InService"})]}) as aws:
        assert describe(aws.url)["EndpointStatus"] == "InService"
        assert len(aws.requests) == 2


def test_trying_again_ends_after_four_times() -> None:
    with scripted({"DescribeEndpoint": refused("ThrottlingException", "Rate exceeded.")}) as aws:
        found = fault(aws.url)
        assert len(aws.requests) == 4
    assert str(found) == "SageMaker DescribeEndpoint was refused: ThrottlingException: Rate exceeded"
    assert found.code == "ThrottlingException"
    assert found.passing


@pytest.mark.parametrize(
    ("message", "needed"),
    [
        (
            "User: arn:aws:iam::1:user/u is not authorized to perform: sagemaker:DescribeEndpoint on resource: *",
            "sagemaker:DescribeEndpoint",
        ),
        ("User: u is not authorized to perform: cloudwatch:PutMetricAlarm on: *", "cloudwatch:PutMetricAlarm"),
        ("no", "sagemaker:DescribeEndpoint"),
    ],
)
def test_what_is_forbidden_says_which_permission_it_needs(message: str, needed: str) -> None:
    with scripted({"DescribeEndpoint": refused("AccessDeniedException", message)}) as aws:
        found = fault(aws.url)
        assert len(aws.requests) == 1
    assert str(found).startswith("SageMaker DescribeEndpoint was refused: AccessDeniedException: ")
    assert str(found).endswith(f"; the permission it needs is {needed}")
    assert not found.passing


@pytest.mark.parametrize(
    ("service", "operation", "needed"),
    [("apigateway", "GetAccount", "apigateway:GET"), ("service-quotas", "ListServices", "servicequotas:ListServices")],
)
def test_a_permission_has_iams_name(service: str, operation: str, needed: str) -> None:
    denied = refused("AccessDeniedException", "no", 403)
    with scripted({"GET /account": denied, "ListServices": denied}) as aws, pytest.raises(AwsFault) as caught:
        ask(client(config(aws.url), service), operation)
    assert str(caught.value).endswith(f"; the permission it needs is {needed}")


@pytest.mark.parametrize("code", ["SignatureDoesNotMatch", "InvalidSignatureException"])
def test_no_credential_is_in_what_a_wrong_signature_says(code: str) -> None:
    # As AWS words it: the request that it saw follows, headers included.
    message = (
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access "
        f"Key and signing method.\n\nThe Canonical String for this request should have been\n'POST\n/\n\n"
        f"x-amz-security-token:{TOKEN}\n'"
    )
    with scripted({"DescribeEndpoint": refused(code, message, 403)}) as aws:
        found = fault(aws.url)
    assert TOKEN not in str(found)
    assert str(found).endswith("Check your AWS Secret Access Key and signing method")


def test_a_long_message_is_cut() -> None:
    with scripted({"DescribeEndpoint": refused("ValidationException", "x" * 5000)}) as aws:
        found = fault(aws.url)
    assert len(str(found)) < 400


def test_an_address_where_nobody_is_home_is_a_fault_that_may_pass() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        found = fault(f"http://127.0.0.1:{taken.getsockname()[1]}")
    assert str(found).startswith("SageMaker DescribeEndpoint was not answered: Could not connect to the endpoint URL")
    assert (found.code, found.passing) == ("EndpointConnectionError", True)


def test_an_address_with_a_password_is_told_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://user:hunter2@127.0.0.1:1")
    found = fault("http://127.0.0.1:1")
    assert "hunter2" not in str(found)


def test_an_answer_that_breaks_off_is_a_fault_that_may_pass() -> None:
    with AnswerServer([CLOSE]) as aws:
        found = fault(aws.url)
        assert len(aws.requests) == 4
    assert found.passing


def test_an_answer_that_is_not_awss_is_a_fault() -> None:
    with AnswerServer([answer(403, b"<html>Blocked by the proxy</html>", "Content-Type: text/html")]) as aws:
        found = fault(aws.url)
    assert "403" in str(found)


def test_without_credentials_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    found = fault("http://127.0.0.1:1")
    assert str(found).startswith("SageMaker DescribeEndpoint was not answered: Unable to locate credentials")
    assert (found.code, found.passing) == ("NoCredentialsError", False)


@pytest.mark.parametrize(("url", "local"), [("http://127.0.0.1:1", True), ("https://vpce-1.example.invalid", False)])
def test_without_credentials_the_local_endpoint_names_its_own(
    monkeypatch: pytest.MonkeyPatch, url: str, local: bool
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(ConfigError, match="no AWS credentials were found") as load:
        runtime(config(url))
    with pytest.raises(AwsFault, match="Unable to locate credentials") as around:
        describe(url)
    for found in (load, around):
        assert ("`sm-locust local` prints" in str(found.value)) is local


def test_parameters_that_botocore_refuses_are_a_fault_too() -> None:
    with pytest.raises(AwsFault, match="Parameter validation failed"):
        ask(client(config("http://127.0.0.1:1"), "sagemaker"), "DescribeEndpoint", EndpointName=5)


def test_pages_are_asked_for_as_they_are_read() -> None:
    pages = [
        said({"Endpoints": [{"EndpointName": "a"}], "NextToken": "more"}),
        said({"Endpoints": [{"EndpointName": "b"}]}),
    ]
    with scripted({"ListEndpoints": pages}) as aws:
        found = ask_all(client(config(aws.url), "sagemaker"), "ListEndpoints")
        assert next(found)["Endpoints"] == [{"EndpointName": "a"}]
        assert len(aws.requests) == 1
        assert [page["Endpoints"][0]["EndpointName"] for page in found] == ["b"]
        assert asked(aws.requests[1])["NextToken"] == "more"


def test_a_page_that_leads_to_itself_is_a_fault() -> None:
    with scripted({"ListEndpoints": said({"Endpoints": [], "NextToken": "again"})}) as aws:
        with pytest.raises(AwsFault, match="The same next token was received twice"):
            list(ask_all(client(config(aws.url), "sagemaker"), "ListEndpoints"))
        assert len(aws.requests) == 2


def test_a_refusal_on_the_second_page_is_a_fault() -> None:
    pages = [said({"Endpoints": [], "NextToken": "more"}), refused("AccessDeniedException", "no")]
    with scripted({"ListEndpoints": pages}) as aws, pytest.raises(AwsFault, match="sagemaker:ListEndpoints"):
        list(ask_all(client(config(aws.url), "sagemaker"), "ListEndpoints"))
