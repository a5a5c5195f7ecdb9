"""Each situation of an endpoint has its finding, its level and its sentence, as AWS puts it on the wire."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from sm_locust.aws import endpoint as described_at
from sm_locust.aws import preflight, session
from sm_locust.config import RunConfig
from sm_locust.finding import ALLOWABLE, FAIL, PASS, UNKNOWN, WARN, Finding, Level
from tests.aws.harness import Answers, asked, config, refused, said, scripted, somebody
from tests.oracles.answers import answer

DENIED = "User: arn:aws:iam::123456789012:user/u is not authorized to perform: {} because no policy allows it"
SCALING = {
    "min_instances": 1,
    "max_instances": 4,
    "metric": "SageMakerVariantInvocationsPerInstance",
    "target": 25000,
}
COMPONENT_METRIC = "SageMakerInferenceComponentInvocationsPerCopy"
WHO = (
    b'<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>'
    b"<Arn>arn:aws:iam::123456789012:user/u</Arn><UserId>A</UserId><Account>123456789012</Account>"
    b"</GetCallerIdentityResult></GetCallerIdentityResponse>",
    "Content-Type: text/xml",
)
ME = answer(200, *WHO)


def endpoint(*variants: dict[str, Any], **more: Any) -> bytes:
    """DescribeEndpoint; variants add to AllTraffic's usual fields."""
    usual = {"VariantName": "AllTraffic", "CurrentInstanceCount": 2, "DesiredInstanceCount": 2, "CurrentWeight": 1.0}
    return said(
        {
            "EndpointName": "decision-trees-sample",
            "EndpointStatus": "InService",
            "EndpointConfigName": "c",
            "ProductionVariants": [{**usual, **variant} for variant in variants or ({},)],
            **more,
        }
    )


def configured(instance_type: str | None = "ml.m4.xlarge", **more: Any) -> bytes:
    """DescribeEndpointConfig; what is None is left out."""
    variant = {"VariantName": "AllTraffic", "ModelName": "m", "InstanceType": instance_type, **more}
    present = {key: value for key, value in variant.items() if value is not None}
    return said({"EndpointConfigName": "c", "ProductionVariants": [present]})


def metrics(invocations: list[float], cpu: list[float]) -> Any:
    """GetMetricData: these points for the watched variant, none for any other."""

    def reply(request: bytes) -> bytes:
        points = {("Invocations", "AllTraffic"): invocations, ("CPUUtilization", "AllTraffic"): cpu}
        found = []
        for query in asked(request)["MetricDataQueries"]:
            metric = query["MetricStat"]["Metric"]
            values = points.get((metric["MetricName"], metric["Dimensions"][1]["Value"]), [])
            times = [asked(request)["EndTime"] - 60 * i for i in range(len(values))]
            found.append({"Id": query["Id"], "Timestamps": times, "Values": values, "StatusCode": "Complete"})
        return said({"MetricDataResults": found})

    return reply


def scaled(**more: Any) -> bytes:
    return said(
        {
            "ScalableTargets": [
                {
                    "ServiceNamespace": "sagemaker",
                    "ResourceId": "endpoint/decision-trees-sample/variant/AllTraffic",
                    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
                    "MinCapacity": 1,
                    "MaxCapacity": 3,
                    "RoleARN": "arn:aws:iam::123456789012:role/aws-service-role/x",
                    "CreationTime": 1.0,
                    **more,
                }
            ]
        }
    )


def policies(*names: str) -> bytes:
    return said(
        {
            "ScalingPolicies": [
                {
                    "PolicyName": name,
                    "PolicyARN": "arn",
                    "PolicyType": "TargetTrackingScaling",
                    "ServiceNamespace": "sagemaker",
                    "ResourceId": "r",
                    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
                    "CreationTime": 1.0,
                }
                for name in names
            ]
        }
    )


ACTION = said(
    {
        "ScheduledActions": [
            {
                "ScheduledActionName": "nightly",
                "ScheduledActionARN": "arn",
                "ServiceNamespace": "sagemaker",
                "ResourceId": "r",
                "Schedule": "cron(0 0 * * ? *)",
                "CreationTime": 1.0,
            }
        ]
    }
)


def quota(name: str, value: float) -> bytes:
    return said({"Quotas": [{"ServiceCode": "sagemaker", "QuotaName": name, "QuotaCode": "L-1", "Value": value}]})


USUAL: Answers = {
    "GetCallerIdentity": ME,
    "DescribeEndpoint": endpoint(),
    "DescribeEndpointConfig": configured(),
    "DescribeScalableTargets": said({"ScalableTargets": []}),
    "DescribeScalingPolicies": said({"ScalingPolicies": []}),
    "DescribeScheduledActions": said({"ScheduledActions": []}),
    "ListServiceQuotas": quota("ml.m4.xlarge for endpoint usage", 8.0),
    "ListAWSDefaultServiceQuotas": said({"Quotas": []}),
    "GetMetricData": metrics([], [1.0, 2.0]),
}


@pytest.fixture(scope="module", autouse=True)
def fresh() -> Iterator[None]:
    """One AWS and one set of clients for all situations: to make clients takes longer than to ask."""
    with pytest.MonkeyPatch.context() as environment, somebody(environment):
        yield


@pytest.fixture(scope="module")
def aws() -> Iterator[tuple[str, Answers]]:
    """Its URL, and what it answers: to be changed by each test."""
    answers: Answers = {}
    with scripted(answers) as server:
        yield server.url, answers


def found(aws: tuple[str, Answers], answers: Answers, **sections: Any) -> dict[str, Finding]:
    """Name → finding; the first one of a name."""
    url, now = aws
    described_at._configuration.cache_clear()
    now.clear()
    now.update({**USUAL, **answers})
    by_name: dict[str, Finding] = {}
    for finding in preflight.findings(config(url, **sections), 1, 7200.0, "the run"):
        assert "\n" not in finding.text
        by_name.setdefault(finding.name, finding)
    return by_name


def test_an_endpoint_that_is_ready_passes_in_all(aws: tuple[str, Answers]) -> None:
    findings = found(aws, {}, scaling=SCALING)
    assert {finding.level for finding in findings.values()} == {PASS}
    assert {name: finding.text for name, finding in findings.items() if name != "region"} == {
        "identity": "arn:aws:iam::123456789012:user/u, account 123456789012",
        "credentials": "from env, keys that do not expire",
        "endpoint": "decision-trees-sample is InService, no deployment is pending",
        "variant": "AllTraffic",
        "instances": "2 × ml.m4.xlarge",
        "scaling": "endpoint/decision-trees-sample/variant/AllTraffic is not registered for automatic scaling",
        "instance-quota": "8 × ml.m4.xlarge for all endpoints of the account; 4 may be needed here",
        "cloudwatch": "metrics may be read, the last 15 minutes have 2 points",
        "live-traffic": "no invocations in the last 15 minutes",
    }


Sections = dict[str, Any]
NAMED: Sections = {"request": {"content_type": "text/csv", "body": "5", "inference_component": "ic"}}
MANAGED = {"ManagedInstanceScaling": {"Status": "ENABLED", "MinInstanceCount": 1, "MaxInstanceCount": 4}}
SERVERLESS = {"CurrentServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 5}}
IC = {"InferenceComponentName": "ic", "VariantName": "AllTraffic", "CreationTime": 1.0, "LastModifiedTime": 1.0}


def component(status: str, of: str = "decision-trees-sample") -> bytes:
    return said(
        {
            **IC,
            "InferenceComponentArn": "arn:aws:sagemaker:us-east-1:123456789012:inference-component/ic",
            "EndpointArn": "arn:aws:sagemaker:us-east-1:123456789012:endpoint/e",
            "EndpointName": of,
            "InferenceComponentStatus": status,
            "RuntimeConfig": {"DesiredCopyCount": 2, "CurrentCopyCount": 2},
        }
    )


# fmt: off
SITUATIONS: list[tuple[str, Answers, Sections, str, Level, str]] = [
    ("an endpoint that is not there", {"DescribeEndpoint": refused("ValidationException", "Could not find endpoint.")},
     {}, "endpoint", FAIL, "Could not find endpoint"),
    ("an endpoint that is Updating at the start", {"DescribeEndpoint": endpoint(EndpointStatus="Updating")},
     {}, "endpoint", FAIL, "decision-trees-sample is Updating; accepted: InService"),
    ("an endpoint that failed", {"DescribeEndpoint": endpoint(EndpointStatus="Failed", FailureReason="no image")},
     {}, "endpoint", FAIL, "decision-trees-sample is Failed: no image; accepted: InService"),
    ("an endpoint that is being created", {"DescribeEndpoint": said(
        {"EndpointName": "e", "EndpointStatus": "Creating", "EndpointConfigName": "c"})},
     {}, "variant", FAIL, "target.variant: decision-trees-sample has no variant AllTraffic"),
    ("a pending deployment", {"DescribeEndpoint": endpoint(
        PendingDeploymentSummary={"EndpointConfigName": "c2", "StartTime": 1.0})},
     {}, "endpoint", FAIL, "a deployment of c2 is pending"),
    ("an endpoint we may not see", {"DescribeEndpoint": refused(
        "AccessDeniedException", DENIED.format("sagemaker:DescribeEndpoint"))},
     {}, "endpoint", UNKNOWN, "not available here: SageMaker DescribeEndpoint was refused: AccessDeniedException: "
     f"{DENIED.format('sagemaker:DescribeEndpoint')}; the permission it needs is sagemaker:DescribeEndpoint"),
    ("a token that has expired", {"GetCallerIdentity": answer(403,
        b"<ErrorResponse><Error><Code>ExpiredToken</Code><Message>It is expired</Message></Error></ErrorResponse>")},
     {}, "identity", FAIL, "STS GetCallerIdentity was refused: ExpiredToken: It is expired"),
    ("no STS", {"GetCallerIdentity": answer(400,
        b"<ErrorResponse><Error><Code>InvalidAction</Code><Message>no</Message></Error></ErrorResponse>")},
     {}, "identity", UNKNOWN, "not available here: STS GetCallerIdentity was refused: InvalidAction: no"),

    ("a clock that AWS refuses", {"GetCallerIdentity": lambda request: answer(403,
        b"<ErrorResponse><Error><Code>SignatureDoesNotMatch</Code><Message>Signature expired</Message></Error>"
        b"</ErrorResponse>", f"Date: {formatdate(time.time() + 3600, usegmt=True)}")},
     {}, "clock", FAIL, "this machine's clock is 1h behind AWS's, which refuses what is signed by it"),
    ("a clock that is off by less", {"GetCallerIdentity": lambda request: answer(200, *WHO,
        f"Date: {formatdate(time.time() - 179.5, usegmt=True)}")},
     {}, "clock", WARN, " ahead of AWS's; past 5m AWS refuses what is signed by it"),

    ("another variant", {"DescribeEndpoint": endpoint({"VariantName": "Blue"})},
     {}, "variant", FAIL, "target.variant: decision-trees-sample has no variant AllTraffic"),
    ("a target variant that is not there", {}, {"request": {"content_type": "a/b", "body": "5", "target_variant": "x"}},
     "variant", FAIL, "request.target_variant: decision-trees-sample has no variant x"),
    ("one variant is sent to and another is watched", {"DescribeEndpoint": endpoint({}, {"VariantName": "Blue"})},
     {"request": {"content_type": "text/csv", "body": "5", "target_variant": "Blue"}},
     "variant", WARN, "requests go to Blue (request.target_variant), and AllTraffic is watched"),
    ("several variants", {"DescribeEndpoint": endpoint(
        {"CurrentWeight": 0.75}, {"VariantName": "B", "CurrentWeight": 0.25})},
     {}, "variants", WARN, "spread over 2 variants by weight (AllTraffic 0.75, B 0.25), and only AllTraffic is"),
    ("instances that are not all there", {"DescribeEndpoint": endpoint({"CurrentInstanceCount": 1})},
     {}, "instances", WARN, "1 of 2 × ml.m4.xlarge serve"),
    ("a type we may not see", {"DescribeEndpointConfig": refused("AccessDeniedException", "no")},
     {}, "instances", UNKNOWN, "not available here: 2, of a type that is not known: SageMaker DescribeEndpointConfig "
     "was refused: AccessDeniedException: no; the permission it needs is sagemaker:DescribeEndpointConfig"),
    ("instance pools", {"DescribeEndpointConfig": configured(None, InstancePools=[
        {"InstanceType": "ml.c5.large"}, {"InstanceType": "ml.c6i.large"}])},
     {}, "instances", PASS, "2 × ml.c5.large or ml.c6i.large"),
    ("burstable instances that are to scale", {"DescribeEndpointConfig": configured("ml.t2.medium")},
     {"scaling": SCALING}, "burstable", FAIL, "ml.t2.medium is burstable: its CPU credits run out under load"),
    ("burstable instances", {"DescribeEndpointConfig": configured("ml.t3.medium")},
     {}, "burstable", WARN, "ml.t3.medium is burstable: what it sustains depends on the CPU credits"),

    ("data capture", {"DescribeEndpoint": endpoint(DataCaptureConfig={
        "EnableCapture": True, "CaptureStatus": "Started", "CurrentSamplingPercentage": 20,
        "DestinationS3Uri": "s3://b", "KmsKeyId": ""})},
     {}, "data-capture", WARN, "data capture writes 20% of the requests to S3"),
    ("a shadow variant", {"DescribeEndpoint": endpoint(ShadowProductionVariants=[{"VariantName": "Shadow"}])},
     {}, "shadow", WARN, "shadow variant Shadow gets a copy of the requests"),
    ("an explainer", {"DescribeEndpoint": endpoint(ExplainerConfig={"ClarifyExplainerConfig": {
        "ShapConfig": {"ShapBaselineConfig": {}}}})},
     {}, "explainer", WARN, "an explained request makes many predictions"),
    ("an asynchronous endpoint", {"DescribeEndpoint": endpoint(AsyncInferenceConfig={
        "OutputConfig": {"S3OutputPath": "s3://b"}})},
     {}, "async", FAIL, "decision-trees-sample is asynchronous: it takes InvokeEndpointAsync"),
    ("a serverless endpoint that is to scale", {"DescribeEndpoint": endpoint(SERVERLESS)},
     {"scaling": SCALING}, "serverless", FAIL, "AllTraffic is serverless: it has no instances to scale"),
    ("a serverless endpoint", {"DescribeEndpoint": endpoint(SERVERLESS)},
     {}, "serverless", WARN, "cold starts are part of its latency, and 5 requests at a time are the most it takes"),

    ("components and none named", {"DescribeEndpointConfig": configured(ModelName=None)},
     {}, "component", FAIL, "AllTraffic hosts inference components, and none is named"),
    ("a component named and a model hosted", {}, NAMED, "component", FAIL, "AllTraffic hosts a model, no components"),
    ("a component that is not there", {"DescribeEndpointConfig": configured(ModelName=None),
     "DescribeInferenceComponent": refused("ValidationException", "Could not find inference component.")},
     NAMED, "component", FAIL, "Could not find inference component"),
    ("a component that is being made", {"DescribeEndpointConfig": configured(ModelName=None),
     "DescribeInferenceComponent": component("Creating")},
     NAMED, "component", FAIL, "ic is Creating; accepted: InService"),
    ("a component of another endpoint", {"DescribeEndpointConfig": configured(ModelName=None),
     "DescribeInferenceComponent": component("InService", "other")},
     NAMED, "component", FAIL, "ic is of endpoint other, not of decision-trees-sample"),
    ("a component that serves", {"DescribeEndpointConfig": configured(ModelName=None),
     "DescribeInferenceComponent": component("InService")},
     NAMED, "component", PASS, "ic is InService, copies: 2"),
    ("managed instances that are to be scaled", {"DescribeEndpoint": endpoint(MANAGED),
     "DescribeEndpointConfig": configured(ModelName=None), "DescribeInferenceComponent": component("InService")},
     {**NAMED, "scaling": SCALING}, "component", FAIL, "AllTraffic has managed instance scaling"),
    ("a metric of components and none named", {}, {"scaling": {**SCALING, "metric": COMPONENT_METRIC}},
     "component", FAIL, f"scaling.metric: {COMPONENT_METRIC} is of an inference component, and none is named"),

    ("scaling that is there", {"DescribeScalableTargets": scaled(), "DescribeScalingPolicies": policies("mine")},
     {}, "scaling", PASS, "from 1 to 3, policies: mine"),
    ("scaling that is suspended", {"DescribeScalableTargets": scaled(
        SuspendedState={"DynamicScalingInSuspended": True})},
     {}, "scaling", PASS, "from 1 to 3, policies: none; suspended: DynamicScalingIn"),
    ("a foreign policy", {"DescribeScalableTargets": scaled(), "DescribeScalingPolicies": policies("a", "sm-locust-b")},
     {"scaling": SCALING}, "foreign-policies", WARN, "not ours: a"),
    ("a scheduled action", {"DescribeScalableTargets": scaled(), "DescribeScheduledActions": ACTION},
     {"scaling": SCALING}, "scheduled-actions", WARN, "nightly: none may act in the midst of a run"),
    ("more instances than the maximum", {"DescribeEndpoint": endpoint(
        {"CurrentInstanceCount": 6, "DesiredInstanceCount": 6})},
     {"scaling": SCALING}, "max-instances", FAIL, "scaling.max_instances is 4, and there are 6"),
    ("scaling that an experiment may not read", {"DescribeScalableTargets": refused("AccessDeniedException", "no")},
     {"scaling": SCALING}, "scaling", FAIL, "permission it needs is application-autoscaling:DescribeScalableTargets"),
    ("scaling that a run may not read", {"DescribeScalableTargets": refused("AccessDeniedException", "no")},
     {}, "scaling", UNKNOWN, "the permission it needs is application-autoscaling:DescribeScalableTargets"),

    ("a quota below the maximum", {"ListServiceQuotas": quota("ml.m4.xlarge for endpoint usage", 2.0)},
     {"scaling": SCALING}, "instance-quota", FAIL, "2 × ml.m4.xlarge are the account's quota for endpoints, and "
     "scaling.max_instances is 4"),
    ("a quota that only has its default", {"ListServiceQuotas": said({"Quotas": []}),
     "ListAWSDefaultServiceQuotas": quota("ml.m4.xlarge for endpoint usage", 4.0)},
     {"scaling": SCALING}, "instance-quota", PASS, "4 × ml.m4.xlarge for all endpoints"),
    ("a quota nobody knows", {"ListServiceQuotas": quota("another", 2.0)},
     {"scaling": SCALING}, "instance-quota", UNKNOWN, "has no quota of the name “ml.m4.xlarge for endpoint usage”"),
    ("quotas that may not be read", {"ListServiceQuotas": refused("AccessDeniedException", "no")},
     {"scaling": SCALING}, "instance-quota", UNKNOWN, "the permission it needs is servicequotas:ListServiceQuotas"),

    ("CloudWatch that is denied", {"GetMetricData": refused("AccessDenied", DENIED.format("cloudwatch:GetMetricData"))},
     {}, "cloudwatch", WARN, "permission it needs is cloudwatch:GetMetricData; a run goes on, and its report lacks"),
    ("CloudWatch that denies one metric", {"GetMetricData": said({"MetricDataResults": [
        {"Id": "m0", "Timestamps": [], "Values": [], "StatusCode": "Forbidden"}]})},
     {}, "cloudwatch", WARN, "the permission it needs is cloudwatch:GetMetricData"),
    ("CloudWatch denied, and so the traffic", {"GetMetricData": refused("AccessDenied", "no")},
     {}, "live-traffic", UNKNOWN, "not available here: it takes CloudWatch to tell"),
    ("CloudWatch without a point", {"GetMetricData": metrics([], [])},
     {}, "cloudwatch", UNKNOWN, "the last 15 minutes have no point that would prove they come"),
    ("no point, and so no word of traffic", {"GetMetricData": metrics([], [])},
     {}, "live-traffic", UNKNOWN, "not available here: without any point"),
    ("live traffic", {"GetMetricData": metrics([1200.0, 34.0], [50.0])},
     {}, "live-traffic", FAIL, "1,234 invocations in the last 15 minutes: somebody uses this endpoint"),
    ("what earlier checks sent", {"GetMetricData": metrics([2.0], [1.0])},
     {}, "live-traffic", WARN, "2 invocations in the last 15 minutes, as few as earlier checks may have sent"),
]
# fmt: on


@pytest.mark.parametrize(
    ("answers", "sections", "name", "level", "says"),
    [row[1:] for row in SITUATIONS],
    ids=[row[0] for row in SITUATIONS],
)
def test_the_situation_has_its_finding(
    aws: tuple[str, Answers], answers: Answers, sections: Sections, name: str, level: Level, says: str
) -> None:
    finding = found(aws, answers, **sections)[name]
    assert says in finding.text
    assert finding.level == level, finding
    assert finding.do or level in (PASS, UNKNOWN), "what is to be done about it?"


def test_all_that_may_fail_here_can_be_allowed() -> None:
    assert {name for *_, name, level, _ in SITUATIONS if level == FAIL} <= set(ALLOWABLE)


def test_throttled_cloudwatch_is_asked_again_and_then_a_sentence(
    aws: tuple[str, Answers], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # what botocore waits between its attempts
    throttled = refused("Throttling", "Rate exceeded")
    one = said({"MetricDataResults": [{"Id": "m1", "Timestamps": [1_800_000_000], "Values": [1.0]}]})
    assert found(aws, {"GetMetricData": [throttled, throttled, one]})["cloudwatch"].level == PASS
    for_good = found(aws, {"GetMetricData": throttled})
    assert for_good["cloudwatch"].level == UNKNOWN
    assert for_good["cloudwatch"].text == (
        "not available here: CloudWatch GetMetricData was refused: Throttling: Rate exceeded"
    )
    assert for_good["live-traffic"].level == UNKNOWN


def test_an_asynchronous_endpoint_behind_an_api_only_warns() -> None:
    answers: Answers = {
        **USUAL,
        "DescribeEndpoint": endpoint(AsyncInferenceConfig={"OutputConfig": {"S3OutputPath": "s"}}),
    }
    with scripted(answers) as server:
        target = {"api_gateway": f"{server.url}/DummyStage/DT", "auth": "none", "endpoint": "e", "region": "us-east-1"}
        findings = list(preflight.findings(RunConfig.from_dict({"target": target}), 1, None, "the run"))
    assert [finding.level for finding in findings if finding.name == "async"] == [WARN]


def test_an_api_whose_endpoint_is_not_named_says_what_is_missed() -> None:
    with scripted(USUAL) as server:
        target = {"api_gateway": f"{server.url}/DummyStage/DT", "auth": "none", "region": "us-east-1"}
        *_, last = preflight.findings(RunConfig.from_dict({"target": target}), 1, None, "the run")
        assert all(b"DescribeEndpoint" not in request for request in server.requests)
    assert (last.name, last.level) == ("endpoint", WARN)
    assert last.text == "target.endpoint is not named: nothing behind the API is checked or watched"


def test_without_a_region_nothing_is_asked() -> None:
    (only,) = preflight.findings(RunConfig.from_dict({"target": {"endpoint": "e"}}), 1, None, "the run")
    assert (only.name, only.level) == ("region", FAIL)
    assert "no AWS region is set" in only.text


def test_questions_end_when_their_time_is_over(aws: tuple[str, Answers], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "PATIENCE", -1.0)
    findings = found(aws, {}, scaling=SCALING)
    assert findings["cloudwatch"].level == UNKNOWN
    assert "took longer than -1 s" in findings["cloudwatch"].text
    assert findings["live-traffic"].level == UNKNOWN


def test_the_time_looked_back_on_is_the_schedules() -> None:
    with scripted(USUAL) as server:
        list(preflight.findings(config(server.url), 60, None, "the run"))
        (request,) = (asked(r) for r in server.requests if b"GetMetricData" in r)
    assert request["EndTime"] - request["StartTime"] == 15
    assert {query["MetricStat"]["Period"] for query in request["MetricDataQueries"]} == {1}


LISTED = json.dumps(
    {
        "product": {"attributes": {"usagetype": "USE1-Data-Bytes-In"}},
        "terms": {"OnDemand": {"t": {"priceDimensions": {"d": {"beginRange": "0", "pricePerUnit": {"USD": "0.016"}}}}}},
    }
)


@pytest.mark.parametrize(
    ("answer", "level", "says"),
    [
        (said({"PriceList": [LISTED]}), PASS, "1 are known, those of AWS's price list asked for just now"),
        (said({"PriceList": []}), UNKNOWN, "AWS's price list has none of what is used here"),
        (refused("AccessDeniedException", "no"), UNKNOWN, "the permission it needs is pricing:GetProducts"),
    ],
)
def test_prices_are_asked_for_and_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answer: bytes, level: Level, says: str
) -> None:
    """Of an endpoint that is not on this machine; only prices are asked for here."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with scripted({"GetProducts": answer}) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_PRICING", server.url)
        here = RunConfig.from_dict({"target": {"endpoint": "e", "region": "us-east-1"}})
        session._control_plane.cache_clear()
        (finding,) = preflight._prices(here, None)
        session._control_plane.cache_clear()
    assert finding.level == level
    assert says in finding.text


def test_on_this_machine_nothing_is_billed_and_no_price_asked_for(aws: tuple[str, Answers]) -> None:
    assert "prices" not in found(aws, {})
