"""What still costs money: what AWS says, what it will not say, and the commands that end it."""

from __future__ import annotations

import io
import json
import shlex
import time
from pathlib import Path
from typing import Any

import gevent

import pytest

from sm_locust.aws import session
from sm_locust.aws.billing import still_billing
from sm_locust.cli import billing as at_the_end_of_a_command
from sm_locust.config import RunConfig
from sm_locust.plugin import billing as at_the_end_of_a_run
from sm_locust.prices import Cache, Prices, Seen
from sm_locust.record.billing import Billing, Item
from tests.aws.harness import Answers, config, refused, said, scripted
from tests.oracles.answers import HANG, AnswerServer, answer
from tests.runs.harness import endpoint

MINE = {"endpoint": "mine", "region": "eu-west-1"}
PRICED = {"as_of": "2026-11-24", "instance_hour": 0.25}
SERVICES = ("SAGEMAKER", "CLOUDFORMATION", "CLOUDWATCH_LOGS")


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def aws_at(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The calls around a run go there, while the requests of the load would not."""
    session._control_plane.cache_clear()
    for service in SERVICES:
        monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service}", url)


def told(**sections: Any) -> RunConfig:
    return RunConfig.from_dict({"target": MINE, **sections})


def variant(name: str, count: int | None) -> dict[str, Any]:
    return {"VariantName": name} | ({} if count is None else {"CurrentInstanceCount": count})


DESCRIBED = said(
    {
        "EndpointStatus": "InService",
        "EndpointConfigName": "c",
        "ProductionVariants": [variant("AllTraffic", 2), variant("Other", None)],
        "ShadowProductionVariants": [variant("Shadow", 1)],
    }
)
CONFIGURED = said(
    {
        "EndpointConfigName": "c",
        "ProductionVariants": [
            {"VariantName": "AllTraffic", "InstanceType": "ml.m4.xlarge"},
            {"VariantName": "Other", "ServerlessConfig": {}},
        ],
        "ShadowProductionVariants": [{"VariantName": "Shadow", "InstanceType": "ml.c5.large"}],
    }
)
LOGS = said(
    {
        "logGroups": [
            {"logGroupName": "/aws/sagemaker/Endpoints/mine", "storedBytes": 1234567},
            {"logGroupName": "/aws/sagemaker/Endpoints/mine-too", "storedBytes": 1},
        ]
    }
)
# CloudFormation speaks query and XML: its stacks, one of which bears our tag.
STACKS = b"""<DescribeStacksResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/"><DescribeStacksResult>
<Stacks><member><StackName>somebodys</StackName><StackStatus>CREATE_COMPLETE</StackStatus><Tags><member>
<Key>created-by</Key><Value>somebody</Value></member></Tags></member><member><StackName>the-api</StackName>
<StackStatus>CREATE_COMPLETE</StackStatus><Tags><member><Key>created-by</Key><Value>sm-locust</Value></member></Tags>
</member></Stacks></DescribeStacksResult></DescribeStacksResponse>"""


def account(request: bytes, **answers: bytes) -> bytes:
    """An AWS that knows the endpoint, a stack and the logs."""
    known = {
        "DescribeEndpoint": DESCRIBED,
        "DescribeEndpointConfig": CONFIGURED,
        "DescribeLogGroups": LOGS,
        "DescribeStacks": answer(200, STACKS, "Content-Type: text/xml"),
        **answers,
    }
    name = next(name for name in sorted(known, key=len, reverse=True) if name.encode() in request)
    return known[name]


def found(monkeypatch: pytest.MonkeyPatch, config: RunConfig, **answers: bytes) -> Billing:
    with AnswerServer([lambda request: account(request, **answers)]) as aws:
        aws_at(aws.url, monkeypatch)
        billing = still_billing(config)
    assert billing is not None
    return billing


def test_everything_is_told_with_the_command_that_deletes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(monkeypatch, told(prices=PRICED)).items == (
        Item(
            "endpoint mine, 2 × ml.m4.xlarge, serverless, by use, 1 × ml.c5.large",
            0.75,
            "config 2026-11-24",
            "aws sagemaker delete-endpoint --endpoint-name mine --region eu-west-1",
        ),
        Item(
            "stack the-api, which sm-locust made",
            command="aws cloudformation delete-stack --stack-name the-api --region eu-west-1",
        ),
        Item(
            "log group /aws/sagemaker/Endpoints/mine, 1,234,567 bytes",
            command="aws logs delete-log-group --log-group-name /aws/sagemaker/Endpoints/mine --region eu-west-1",
        ),
    )


def test_an_instance_without_a_price_makes_the_price_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    item = found(monkeypatch, told()).items[0]
    assert (item.hourly, item.origin) == (None, "unknown")


def test_what_was_seen_is_remembered_for_a_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch, told())
    assert Prices.of(told()).seen == Seen("ml.m4.xlarge", 2)


def test_instances_are_forgotten_only_where_the_variant_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch, told())
    found(monkeypatch, told(), DescribeEndpointConfig=refused("AccessDeniedException", "no"))
    assert Prices.of(told()).seen == Seen("ml.m4.xlarge", 2)
    of_late = {"VariantName": "AllTraffic", "CurrentServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 5}}
    answer = said({"EndpointStatus": "InService", "EndpointConfigName": "d", "ProductionVariants": [of_late]})
    found(monkeypatch, told(), DescribeEndpoint=answer, DescribeEndpointConfig=said({"ProductionVariants": [of_late]}))
    assert Prices.of(told()).seen == Seen(None, None)


def test_a_type_that_may_not_be_known_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    item = found(monkeypatch, told(), DescribeEndpointConfig=refused("AccessDeniedException", "no")).items[0]
    assert item.what.startswith("endpoint mine, 2 × instances of a type not told, ")


def test_an_endpoint_that_is_gone_bills_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = refused("ValidationException", 'Could not find endpoint "arn:aws:sagemaker:eu-west-1:1:endpoint/mine".')
    assert [item.what[:5] for item in found(monkeypatch, told(), DescribeEndpoint=gone).items] == ["stack", "log g"]


def test_a_question_that_is_refused_keeps_no_other_from_being_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    denied = refused("AccessDeniedException", "User is not authorized to perform: logs:DescribeLogGroups")
    items = found(monkeypatch, told(), DescribeLogGroups=denied).items
    assert items[-1].what == "log groups"
    assert items[-1].fault.endswith("the permission it needs is logs:DescribeLogGroups")
    assert [item.fault for item in items[:-1]] == ["", ""]


def test_a_command_can_be_pasted_whatever_a_name_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    odd = STACKS.replace(b"the-api", b"a b; rm -rf x")
    items = found(monkeypatch, told(), DescribeStacks=answer(200, odd, "Content-Type: text/xml")).items
    assert shlex.split(items[1].command)[4] == "a b; rm -rf x"


def test_without_a_region_that_is_what_it_says() -> None:
    billing = still_billing(RunConfig.from_dict({"target": {"endpoint": "mine"}}))
    assert billing is not None
    assert "no AWS region is set" in billing.items[0].fault


def test_a_target_on_this_machine_bills_nothing_and_nobody_is_asked() -> None:
    assert still_billing(config("http://127.0.0.1:9")) == Billing(local=True)
    assert still_billing(RunConfig.from_dict({"target": {"container": "http://127.0.0.1:9/"}})) is None
    assert still_billing(RunConfig()) is None


def test_the_local_endpoint_answers_what_it_knows_and_the_rest_is_not_available(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = RunConfig.from_dict({"target": {"endpoint": "decision-trees-sample", "region": "us-east-1"}})
    with endpoint(tmp_path) as local:
        aws_at(local.url, monkeypatch)
        billing = still_billing(there)
    assert billing is not None
    assert billing.items[0].what == "endpoint decision-trees-sample, 1 × ml.m4.xlarge"
    assert all(item.fault or item.command for item in billing.items[1:])


def test_it_is_kept_in_a_run_folder_and_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    billing = found(monkeypatch, told(prices=PRICED))
    assert Billing.of(billing.as_dict()) == billing
    assert Billing.of(Billing(local=True).as_dict()) == Billing(local=True)


# Nobody is held up


def test_a_run_that_somebody_ends_waits_a_few_seconds_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    with AnswerServer([HANG]) as aws:
        aws_at(aws.url, monkeypatch)
        began = time.monotonic()
        with gevent.Timeout(20):
            billing = at_the_end_of_a_run.ask(told(), lambda: True)
        assert time.monotonic() - began < 10
    assert billing is not None
    assert billing.items == (Item("endpoint mine", fault="AWS did not answer in time"),)


def test_a_command_waits_no_longer_than_it_has_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    text = io.StringIO()
    with AnswerServer([HANG]) as aws:
        aws_at(aws.url, monkeypatch)
        at_the_end_of_a_command.show(told(), text, patience=0.5)
    assert text.getvalue() == "\nStill billing: endpoint mine: not available here: AWS did not answer in time\n"


def test_a_command_says_it_last(monkeypatch: pytest.MonkeyPatch) -> None:
    text = io.StringIO()
    answers: Answers = {"DescribeEndpoint": DESCRIBED, "DescribeEndpointConfig": CONFIGURED}
    with scripted(answers) as aws:
        aws_at(aws.url, monkeypatch)
        at_the_end_of_a_command.show(told(prices=PRICED), text, patience=20)
    lines = text.getvalue().splitlines()
    assert lines[1] == "Still billing:"
    assert lines[2].endswith("1 × ml.c5.large: $0.75 an hour (config 2026-11-24)")
    assert lines[3] == "    aws sagemaker delete-endpoint --endpoint-name mine --region eu-west-1"
    assert sum("not available here" in line for line in lines) == 2
    assert Cache.read().seen("eu-west-1", "mine", "AllTraffic").instances == 2


def test_an_experiment_ends_with_what_its_runs_were_about(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = io.StringIO()
    at_the_end_of_a_command.show_for(tmp_path / "never begun", text)
    assert text.getvalue() == ""
    (tmp_path / "before").mkdir()
    here = config("http://127.0.0.1:9").as_dict()
    (tmp_path / "before" / "run.json").write_text(json.dumps({"schema_version": 1, "run_id": "x", "config": here}))
    at_the_end_of_a_command.show_for(tmp_path, text)
    assert text.getvalue() == "\nStill billing: nothing: all of it was on this machine\n"
