"""What is to be copied works as it stands, what is to be read says what matters, on all three ways."""

from __future__ import annotations

import io
import json
import re
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import validate_parameters
from hypothesis import given
from hypothesis import strategies as st

from sm_locust.analysis.capacity import Capacity
from sm_locust.analysis.lag import NO_LIMIT, Lag
from sm_locust.analysis.recommendation import Recommendation
from sm_locust.analysis.summary import Summary
from sm_locust.aws import scaling as aws_scaling
from sm_locust.aws import serving
from sm_locust.config import RunConfig, parse
from sm_locust.report import markdown, page, recommendation, text
from sm_locust.schedule import Phase, Schedule
from tests.analysis.folders import played

MODEL = ServiceModel(Loader().load_service_model("application-autoscaling", "service-2"), "application-autoscaling")
LOAD = Schedule([Phase("warm up", 3600, 200, ramp_to=600), Phase("max load", 3600, 600, ramp_to=800)])
MEASURED = Capacity("ramp", max_rps=470, low=465, high=474, reached=True, limited_by="latency_mean", instances=1)
LAG = Lag(2, 1000.0, None, 1181.0, 1391.0, None, NO_LIMIT)

INSTANCES: dict[str, Any] = {
    "target": {"endpoint": "decision-trees-sample", "variant": "Blue", "region": "us-east-1"},
    "scaling": {
        "min_instances": 1,
        "max_instances": 4,
        "metric": "SageMakerVariantInvocationsPerInstance",
        "target": 25000,
    },
}
COPIES: dict[str, Any] = {"target": {"endpoint": "e"}, "request": {"inference_component": "trees"}}


def recommended(
    data: dict[str, Any] | None = None, capacity: Capacity = MEASURED, schedule: Schedule | None = LOAD
) -> Recommendation:
    found = Recommendation.of(capacity, RunConfig.from_dict(data or INSTANCES), schedule, lags=[LAG])
    assert found is not None
    return found


def words_of(calls: Sequence[str]) -> list[list[str]]:
    """What a shell makes of each. (shlex would: but for the line that goes on in the next.)"""
    script = "\n".join(["aws() { printf '%s\\0' $# \"$@\"; }", *calls])
    said = subprocess.run(["sh", "-c", script], capture_output=True, check=True)
    assert not said.stderr
    words, found = iter(said.stdout.decode().split("\0")[:-1]), []
    for count in words:
        found.append([next(words) for _ in range(int(count))])
    assert len(found) == len(calls)
    return found


def sent_by(calls: Sequence[str]) -> list[tuple[str, dict[str, Any], dict[str, str]]]:
    """Of each `aws` command line the operation, its parameters as the CLI would send them, and the other options."""
    return [_sent_by(words) for words in words_of(calls)]


def _sent_by(call: list[str]) -> tuple[str, dict[str, Any], dict[str, str]]:
    service, command, *words = call
    assert service == "application-autoscaling"
    operation = "".join(part.title() for part in command.split("-"))
    shape = MODEL.operation_model(operation).input_shape
    options = {re.sub("(?<!^)([A-Z])", r"-\1", name).lower(): name for name in shape.members}
    parameters: dict[str, Any] = {}
    others: dict[str, str] = {}
    for flag, value in zip(words[::2], words[1::2], strict=True):
        name = options.get(flag.removeprefix("--"))
        if name is None:
            others[flag] = value
            continue
        kind = shape.members[name].type_name
        parameters[name] = int(value) if kind == "integer" else json.loads(value) if kind == "structure" else value
    return operation, parameters, others


# -- to be copied ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [INSTANCES, COPIES], ids=["instances", "copies"])
def test_the_section_and_the_calls_say_the_same_and_what_scaling_apply_would_send(data: dict[str, Any]) -> None:
    found = recommended(data)
    section = parse(recommendation.yaml(found), "copied").scaling
    option = found.recommended
    assert section is not None and option is not None
    assert (section.min_instances, section.max_instances) == (option.min_instances, option.max_instances)
    assert (section.target, section.metric) == (option.target, found.scaled.metric)
    assert (section.scale_out_cooldown, section.scale_in_cooldown) == (180, 480)

    applied = RunConfig.from_dict({**data, "scaling": section.model_dump(exclude_none=True)})
    what = serving.scaled(applied)
    named = {"ServiceNamespace": "sagemaker", "ResourceId": what.resource_id, "ScalableDimension": what.dimension}
    (register, bounds, _), (put, policy, _) = sent_by(recommendation.calls(found))
    assert (register, put) == ("RegisterScalableTarget", "PutScalingPolicy")
    assert bounds == {**named, "MinCapacity": section.min_instances, "MaxCapacity": section.max_instances}
    assert policy == {**named, **aws_scaling.policy(applied)}


@pytest.mark.parametrize("data", [INSTANCES, COPIES], ids=["instances", "copies"])
def test_botocore_accepts_the_calls(data: dict[str, Any]) -> None:
    for operation, parameters, _ in sent_by(recommendation.calls(recommended(data))):
        validate_parameters(parameters, MODEL.operation_model(operation).input_shape)


def test_the_calls_go_where_the_configuration_goes() -> None:
    local = {"target": {"endpoint": "e", "region": "eu-central-1", "url": "http://127.0.0.1:8500"}}
    there = {"--region": "eu-central-1", "--endpoint-url": "http://127.0.0.1:8500"}
    assert [others for _, _, others in sent_by(recommendation.calls(recommended(local)))] == [there, there]
    assert [others for _, _, others in sent_by(recommendation.calls(recommended(COPIES)))] == [{}, {}]


@given(st.text(min_size=1).filter(lambda name: "\0" not in name))
def test_no_name_is_more_than_a_word_for_a_shell(name: str) -> None:
    found = recommended()
    hostile = replace(found, scaled=replace(found.scaled, resource_id=name), region=name)
    for _, parameters, others in sent_by(recommendation.calls(hostile)):
        assert (parameters["ResourceId"], others["--region"]) == (name, name)


@given(st.floats(1, 1e9))
def test_the_section_reads_back_whatever_an_instance_sustains(rps: float) -> None:
    found = recommended(capacity=replace(MEASURED, max_rps=rps, low=rps))
    option = found.recommended
    assert option is not None
    section = parse(recommendation.yaml(found), "copied").scaling
    assert section is not None
    assert (section.target, section.max_instances) == (option.target, option.max_instances)


# -- to be read --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def summary(tmp_path_factory: pytest.TempPathFactory) -> Summary:
    return Summary.of(played(tmp_path_factory.mktemp("runs"), (Phase("a", 30, 5),), config=INSTANCES))


def on_terminal(summary: Summary) -> str:
    stream = io.StringIO()
    text.show(summary, Path("runs/x"), stream)
    return stream.getvalue()


def test_what_to_set_stands_beside_what_is_set_and_what_aws_starts_with() -> None:
    found = recommended()
    assert recommendation.headline(found) == (
        "24,000 a minute for each of 2 to 3 instances, with a safety factor of 0.89; now: scaling of the "
        "configuration, 25,000 a minute for each of 1 to 4 instances."
    )
    shown = recommendation.table(found)
    assert shown.header == ("", "target/min", "instances", "cooldown out", "in", "instance-hours")
    assert [row[:5] for row in shown.rows] == [
        ("now: scaling of the configuration", "25,000", "1 to 4", "300 s", "300 s"),
        ("recommended", "24,000", "2 to 3", "180 s", "480 s"),
        ("AWS's factor of 0.5", "13,000", "2 to 5", "300 s", "300 s"),
    ]
    assert "prices.instance_hour" in shown.note


def test_without_a_planned_load_nothing_is_said_of_one() -> None:
    shown = recommendation.table(recommended(schedule=None))
    assert shown.header == ("", "target/min", "instances", "cooldown out", "in")
    assert shown.note == ""


def test_all_three_reports_show_the_same(summary: Summary) -> None:
    found = recommended()
    with_it = replace(summary, recommendation=found)
    in_html = unescape(re.sub(r"<style>.*?</style>|<script.*?</script>", "", page.render(with_it), flags=re.DOTALL))
    for report in (on_terminal(with_it), markdown.render(with_it), in_html):
        assert recommendation.TITLE in report
        for block in (recommendation.yaml(found), *recommendation.calls(found)):
            assert block in report
        assert "24,000" in report and "13,000" in report
    for sentence in recommendation.sentences(found):
        assert sentence in in_html
        assert "".join(sentence.split()) in "".join(on_terminal(with_it).split())
    assert json.loads(json.dumps(with_it.as_dict()))["recommendation"]["target"] == 24_000


def test_a_refusal_is_one_sentence_and_nothing_to_copy(summary: Summary) -> None:
    found = recommended(capacity=Capacity("ramp", refused="the endpoint \x1b[31mdrifted"))
    with_it = replace(summary, recommendation=found)
    assert recommendation.headline(found) == "Nothing can be recommended: the endpoint �[31mdrifted."
    assert (recommendation.yaml(found), recommendation.calls(found), recommendation.table(found).rows) == ("", [], ())
    for report in (on_terminal(with_it), markdown.render(with_it), page.render(with_it)):
        assert "Nothing can be recommended" in report
        assert "put-scaling-policy" not in report
        assert "\x1b" not in report


def test_without_a_recommendation_no_report_has_a_section_for_it(summary: Summary) -> None:
    assert summary.recommendation is None
    for report in (on_terminal(summary), markdown.render(summary)):
        assert recommendation.TITLE not in report
    html = page.render(summary)
    assert f'<h2>{recommendation.TITLE}</h2><p class="figure">not known</p>' in html
    assert f"{recommendation.TITLE}, and why" not in html
    assert summary.as_dict()["recommendation"] is None
