"""Artillery and serverless-artillery scripts: what they become, what is said about the rest, what is refused by name.

What keys mean is artillery's own documentation and behaviour, written down here by hand, row by row.
"""

from __future__ import annotations

import copy
import datetime
import json
import os
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from sm_locust import artillery
from sm_locust.cli import main
from sm_locust.config import ConfigError, RunConfig, load, parse
from sm_locust.report import wording

TARGET = "http://127.0.0.1:8000"
PLAIN: dict[str, Any] = {
    "config": {"target": TARGET, "phases": [{"duration": 60, "arrivalRate": 5}]},
    "scenarios": [{"flow": [{"get": {"url": "/"}}]}],
}


def script(config: dict[str, Any] | None = None, flow: list[Any] | None = None, **root: Any) -> dict[str, Any]:
    """PLAIN with some of it replaced."""
    found = copy.deepcopy(PLAIN)
    found["config"] |= config or {}
    if flow is not None:
        found["scenarios"][0]["flow"] = flow
    return found | root


def converted(data: dict[str, Any], environment: str | None = None, **variables: str) -> artillery.Converted:
    """What it becomes, which our own models accept, and which survives being written as YAML."""
    with patch.dict(os.environ, variables, clear=True):
        found = artillery.convert(data, environment)
    config = RunConfig.from_dict(found.config, "script.yml", found.place)
    again = parse(artillery.as_yaml(found), "written.yaml")
    if again.target is None:
        assert again == config
    else:
        assert again == config.model_copy(update={"scenarios": None, "feeds": (), "variables": {}})
    return found


def steps(*flow: Any, config: dict[str, Any] | None = None, **variables: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = converted(script(config, list(flow)), **variables).config["scenarios"][0]["steps"]
    return found


def refusal(data: object, environment: str | None = None) -> str:
    with pytest.raises(ConfigError) as error, patch.dict(os.environ, clear=True):
        found = artillery.convert(data, environment)
        RunConfig.from_dict(found.config, "script.yml", found.place)
    message = str(error.value).removeprefix("script.yml: ")
    assert "\n" not in message
    return message


# What is a script


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (PLAIN, True),
        ({"config": {"target": TARGET}}, True),
        ({"scenarios": [{"flow": []}]}, True),
        ({"scenarios": [{"engine": "playwright", "flowFunction": "f"}]}, True),
        ({"scenarios": [{"name": "a", "steps": [{"think": 1}]}]}, False),
        ({"phases": [], "target": {"endpoint": "a"}}, False),
        ({"config": "a file"}, False),
        ({}, False),
        (None, False),
        ([PLAIN], False),
    ],
)
def test_a_script_is_told_from_our_own_yaml(data: object, found: bool) -> None:
    assert artillery.is_script(data) is found


def test_our_own_starters_are_no_scripts() -> None:
    for path in (Path(__file__).parent.parent / "configs").glob("*.yaml"):
        assert not artillery.is_script(yaml.safe_load(path.read_text()))


# Phases


@pytest.mark.parametrize(
    ("phase", "ours"),
    [
        ({"duration": 60, "arrivalRate": 5}, {"name": "phase 1", "duration": "1m", "arrival_rate": 5}),
        ({"duration": "60", "arrivalRate": "2.5"}, {"name": "phase 1", "duration": "1m", "arrival_rate": 2.5}),
        ({"duration": "5m", "arrivalRate": 1}, {"name": "phase 1", "duration": "5m", "arrival_rate": 1}),
        ({"duration": "10min", "arrivalRate": 1}, {"name": "phase 1", "duration": "10m", "arrival_rate": 1}),
        ({"duration": "1.5 hours", "arrivalRate": 1}, {"name": "phase 1", "duration": "1h30m", "arrival_rate": 1}),
        ({"duration": "500ms", "arrivalRate": 1}, {"name": "phase 1", "duration": "500ms", "arrival_rate": 1}),
        (
            {"duration": 60, "arrivalRate": 1, "rampTo": 9, "name": "warm"},
            {"name": "warm", "duration": "1m", "arrival_rate": 1, "ramp_to": 9},
        ),
        ({"duration": 60, "arrivalCount": 30}, {"name": "phase 1", "duration": "1m", "arrival_rate": 0.5}),
        ({"pause": "90s"}, {"name": "pause 1", "duration": "1m30s", "arrival_rate": 0, "judge": False}),
        ({"duration": 5, "arrivalRate": 0}, {"name": "phase 1", "duration": "5s", "arrival_rate": 0, "judge": False}),
        ({"duration": 5, "arrivalRate": "{{ $env.RATE }}"}, {"name": "phase 1", "duration": "5s", "arrival_rate": 7}),
    ],
)
def test_a_phase_becomes_one_of_ours(phase: dict[str, Any], ours: dict[str, Any]) -> None:
    assert converted(script({"phases": [phase]}), RATE="7").config["phases"] == [ours]


def test_the_schedule_has_as_many_arrivals_as_artillery_makes() -> None:
    phases = [{"duration": 30, "arrivalRate": 1, "rampTo": 5}, {"pause": 10}, {"duration": 30, "arrivalCount": 100}]
    schedule = RunConfig.from_dict(converted(script({"phases": phases})).config).schedule()
    assert schedule is not None
    assert schedule.duration == 70
    assert schedule.total == pytest.approx(90 + 100)


def test_without_phases_one_scenario_runs_once() -> None:
    data = script()
    del data["config"]["phases"]
    found = converted(data)
    schedule = RunConfig.from_dict(found.config).schedule()
    assert schedule is not None
    assert schedule.total == 1
    assert "config.phases: without them, artillery runs one scenario once, and so does this" in found.notes


@pytest.mark.parametrize(
    ("phases", "said"),
    [
        (
            [{"duration": 60, "arrivalRate": -1}],
            "config.phases[0].arrivalRate: -1 is not accepted: a number of arrivals",
        ),
        ([{"duration": 60, "arrivalRate": "fast"}], "config.phases[0].arrivalRate: 'fast' is not accepted"),
        ([{"duration": 60, "arrivalRate": True}], "config.phases[0].arrivalRate: true is not accepted"),
        ([{"duration": "5 fortnights", "arrivalRate": 1}], "config.phases[0].duration: '5 fortnights' is not accepted"),
        ([{"duration": 0, "arrivalRate": 1}], "config.phases[0].duration: 0 is not accepted"),
        ([{"duration": 3e6, "arrivalRate": 1}], "config.phases[0].duration: "),
        ([{"arrivalRate": 1}], "config.phases[0].duration: missing; required: a number of seconds"),
        ([{"duration": 60, "rampTo": 9}], "config.phases[0].arrivalRate: missing; required: a number of arrivals"),
        ([{"duration": 60, "arivalRate": 9}], "config.phases[0].arivalRate: unknown key (did you mean arrivalRate?)"),
        ([{"pause": 5, "arrivalRate": 9}], "config.phases[0].arrivalRate: 9 is not accepted: only without pause"),
        ([{"pause": 5}, 7], "config.phases[1]: 7 is not accepted: a mapping of duration with arrivalRate"),
        ([], "config.phases: an empty list is not accepted"),
        ({}, "config.phases: a mapping is not accepted: a list of phases"),
        (
            [{"duration": 1, "arrivalRate": "{{ $env.RATE }}"}],
            "config.phases[0].arrivalRate: {{ $env.RATE }} has no value; before a run, only the environment is known",
        ),
        (
            [{"duration": 1, "arrivalRate": "{{ $processEnvironment.RATE }}"}],
            "config.phases[0].arrivalRate: {{ $processEnvironment.RATE }} has no value; before a run, only the",
        ),
        (
            [{"duration": 1, "arrivalRate": 1, "maxVusers": 5}, {"duration": 1, "arrivalRate": 1}],
            "config.phases[0].maxVusers: the phases differ, and here one limit holds for the whole run",
        ),
        ([{"duration": 1, "arrivalRate": 1, "maxVusers": 0}], "config.phases[0].maxVusers: 0 is not accepted"),
    ],
)
def test_a_phase_that_cannot_be_is_refused_at_its_place_in_the_script(phases: Any, said: str) -> None:
    assert refusal(script({"phases": phases})).startswith(said)


def test_max_vusers_of_all_phases_is_the_most_that_may_be_under_way() -> None:
    phases = [{"duration": 1, "arrivalRate": 1, "maxVusers": "20"}, {"pause": 1}]
    found = converted(script({"phases": phases}))
    assert found.config["arrivals"] == {"max_in_flight": 20}
    assert "config.phases[0].maxVusers: holds for each process of Locust" in found.notes[0]


def test_poisson_arrivals_stay_poisson_arrivals() -> None:
    assert converted(script({"mode": "poisson"})).config["arrivals"] == {"spacing": "poisson"}
    phases = [{"duration": 1, "arrivalRate": 1, "mode": "poisson"}, {"duration": 1, "arrivalRate": 1}]
    assert refusal(script({"phases": phases})).startswith("config.mode: phases of both modes have no equal here")


# Requests


@pytest.mark.parametrize(
    ("step", "ours"),
    [
        ({"get": {"url": "/a"}}, {"method": "get", "url": f"{TARGET}/a"}),
        ({"get": {"url": "https://example.com/a?b=c"}}, {"method": "get", "url": "https://example.com/a?b=c"}),
        ({"head": {"uri": "/a"}}, {"method": "head", "url": f"{TARGET}/a"}),
        ({"delete": {"url": "{{ target }}/a"}}, {"method": "delete", "url": f"{TARGET}/a"}),
        ({"get": {"url": "{{ base }}/a"}}, {"method": "get", "url": f"{TARGET}/v1/a"}),
        ({"get": {"url": "http://{{ $env.HOST }}/a"}}, {"method": "get", "url": "http://localhost/a"}),
        ({"get": {"url": "/a?b={{ id }}#{{ c }}"}}, {"method": "get", "url": TARGET + "/a?b={{ id }}"}),
        ({"get": {"url": "/{{ id }}", "name": "item"}}, {"method": "get", "url": TARGET + "/{{ id }}", "name": "item"}),
        (
            {"get": {"url": "/a?x=1", "qs": {"q": "{{ id }}", "n": 1}}},  # artillery's client drops the URL's own
            {"method": "get", "url": f"{TARGET}/a", "query": {"q": "{{ id }}", "n": 1}},
        ),
        (
            {"post": {"url": "/", "json": {"id": ["{{ id }}", None, True]}}},
            {"method": "post", "url": f"{TARGET}/", "json": {"id": ["{{ id }}", None, True]}},
        ),
        (
            {"put": {"url": "/", "body": "a {{ id }}", "headers": {"X-Id": 7, "Content-Length": 9, "X-On": True}}},
            {
                "method": "put",
                "url": f"{TARGET}/",
                "body": "a {{ id }}",
                "headers": {"x-id": "7", "x-on": "true"},
            },
        ),
        (
            {"patch": {"url": "/", "form": {"a": "{{ id }}", "b": 2}}},
            {"method": "patch", "url": f"{TARGET}/", "form": {"a": "{{ id }}", "b": 2}},
        ),
        (
            {"get": {"url": "/", "auth": {"user": "ann", "pass": "x"}}},
            {"method": "get", "url": f"{TARGET}/", "headers": {"authorization": "Basic YW5uOng="}},
        ),
        ({"think": 2}, {"think": "2s"}),
        ({"think": "{{ wait }}"}, {"think": "3s"}),
        ({"think": "500ms"}, {"think": "500ms"}),
    ],
)
def test_a_step_becomes_one_of_ours(step: dict[str, Any], ours: dict[str, Any]) -> None:
    variables = {"id": [1, 2], "wait": 3, "base": f"{TARGET}/v1"}
    first = {"get": {"url": "/"}}  # ahead of it a pause would be left out
    found = steps(first, step, config={"variables": variables}, HOST="localhost")
    assert found[1] == ours


def test_default_headers_are_those_of_every_request_and_a_request_s_own_win() -> None:
    http = {"defaults": {"headers": {"X-A": "1", "X-Env": "{{ $environment }}"}}}
    data = script(
        {"http": http, "defaults": {"headers": {"X-Old": "1"}}, "environments": {"dev": {}}},
        [{"get": {"url": "/"}}, {"get": {"url": "/", "headers": {"x-a": "2"}}}],
    )
    first, second = converted(data, "dev").config["scenarios"][0]["steps"]
    assert first["headers"] == {"x-a": "1", "x-env": "dev"}  # those of http take the place of the older ones
    assert second["headers"] == {"x-a": "2", "x-env": "dev"}


def test_what_comes_from_the_environment_is_looked_up_when_the_run_starts_and_not_kept() -> None:
    config = {
        "variables": {"auth": "Bearer {{ $processEnvironment.TOKEN }}", "n": 5},
        "defaults": {"headers": {"Authorization": "{{ auth }}"}},
    }
    found = converted(script(config), TOKEN="t0psecret")
    assert found.config["scenarios"][0]["steps"][0]["headers"] == {
        "authorization": "Bearer {{ $processEnvironment.TOKEN }}"
    }
    assert found.config["variables"] == {"n": 5}
    assert "t0psecret" not in artillery.as_yaml(found)


def test_scenarios_keep_their_names_and_weights() -> None:
    flow = [{"get": {"url": "/"}}]
    scenarios = [
        {"name": "a", "weight": "3", "flow": flow},
        {"flow": [flow]},
        {"name": "never", "weight": 0, "flow": flow},
    ]
    found = converted(script(scenarios=scenarios))
    assert [(s["name"], s["weight"]) for s in found.config["scenarios"]] == [("a", 3), ("scenario 2", 1)]
    assert "scenarios[2].weight: the scenario is left out: it is never picked" in found.notes


@pytest.mark.parametrize(
    ("payload", "feed"),
    [
        (
            {"path": "./users.csv", "fields": ["id", "word"]},
            {"file": "users.csv", "fields": ["id", "word"], "order": "random", "cast": True},
        ),
        (
            [
                {
                    "path": "{{ $dirname }}/u.csv",
                    "fields": ["id"],
                    "order": "sequence",
                    "skipHeader": True,
                    "cast": False,
                }
            ],
            {"file": "u.csv", "fields": ["id"], "order": "sequential", "header": True},
        ),
        (
            {"path": "{{ $environment }}.csv", "fields": ["id"], "delimiter": ";", "skipEmptyLines": True},
            {"file": "dev.csv", "fields": ["id"], "order": "random", "delimiter": ";", "cast": True},
        ),
    ],
)
def test_a_payload_file_becomes_a_feed(payload: Any, feed: dict[str, Any]) -> None:
    data = script({"payload": payload, "environments": {"dev": None}}, [{"get": {"url": "/{{ id }}"}}])
    assert converted(data, "dev").config["feeds"] == [feed]


def test_ensure_is_what_is_good_enough() -> None:
    ensure = {
        "p95": 200,
        "max": "1500",
        "maxErrorRate": 2.5,
        "thresholds": [{"http.response_time.p99": 400}, {"http.response_time.median": 50.5}],
    }
    slo = {
        "latency_p95": "200ms",
        "latency_max": "1.5s",
        "latency_p99": "400ms",
        "latency_p50": "50.5ms",
        "error_rate": "2.5%",
    }
    assert converted(script({"ensure": ensure})).config["slo"] == slo
    assert converted(script({"plugins": {"ensure": ensure}})).config["slo"] == slo
    assert converted(script({"ensure": {"maxErrorRate": 0}})).config["slo"] == {"error_rate": "0%"}


@pytest.mark.parametrize(("http", "timeout"), [({}, "10s"), ({"timeout": 15}, "15s"), ({"timeout": "0.5"}, "500ms")])
def test_a_request_may_take_as_long_as_in_artillery(http: dict[str, Any], timeout: str) -> None:
    assert converted(script({"http": http})).config["request"]["timeout"] == timeout


def test_an_environment_is_merged_over_config_list_by_list_as_artillery_does_it() -> None:
    config: dict[str, Any] = {
        "phases": [{"duration": 60, "arrivalRate": 5}, {"duration": 30, "arrivalRate": 9}],
        "environments": {"dev": {"target": "http://localhost:1", "phases": [{"arrivalRate": 1}]}},
    }
    found = converted(script(config), "dev")
    assert [(p["duration"], p["arrival_rate"]) for p in found.config["phases"]] == [("1m", 1), ("30s", 9)]
    assert found.config["scenarios"][0]["steps"][0]["url"] == "http://localhost:1/"
    assert found.notes[0].startswith("config.environments.dev.phases: as artillery merges lists, the 1 after those")
    config["environments"] = {"dev": {"phases": {"arrivalRate": 1}}}
    assert refusal(script(config), "dev").startswith(
        "config.environments.dev.phases: a mapping is not accepted: a list"
    )
    config["environments"] = {"dev": {}}
    none_used = "config.environments: none is used; --environment (Locust: --sm-environment) names one: dev"
    assert none_used in converted(script(config)).notes
    assert refusal(script(config), "prod") == "config.environments: 'prod' is not among them; there are: dev"


# A script that only sends one request


def test_a_script_for_invoke_endpoint_becomes_a_target_and_a_request() -> None:
    data = script(
        {"target": "https://runtime.sagemaker.eu-west-1.amazonaws.com"},
        [
            {
                "post": {
                    "url": "/endpoints/decision-trees/invocations",
                    "headers": {"Content-Type": "text/csv", "X-Amzn-SageMaker-Target-Variant": "Shadow"},
                    "body": "5,3.5,1.3,0.3",
                }
            }
        ],
    )
    found = converted(data)
    assert found.config["target"] == {"endpoint": "decision-trees", "region": "eu-west-1"}
    assert found.config["request"] == {
        "content_type": "text/csv",
        "target_variant": "Shadow",
        "body": "5,3.5,1.3,0.3",
        "timeout": "10s",
    }
    assert "scenarios" not in found.config  # nothing but the endpoint's own locustfile signs
    assert any("locustfiles/invoke_endpoint.py" in note for note in found.notes)


def test_a_variable_of_one_text_is_as_good_as_the_text_itself() -> None:
    post = {"url": "/endpoints/{{ name }}/invocations", "body": "1", "headers": {"Content-Type": "text/csv"}}
    config = {"target": "https://runtime.sagemaker.eu-west-1.amazonaws.com", "variables": {"name": ["trees"]}}
    found = converted(script(config, [{"post": post}]))
    assert found.config["target"] == {"endpoint": "trees", "region": "eu-west-1"}
    assert "variables" not in found.config
    config = {"target": "http://127.0.0.1:8080", "variables": {"name": "trees"}}
    written = yaml.safe_load(artillery.as_yaml(converted(script(config, [{"post": post}]))))
    assert written["target"] == {"container": "http://127.0.0.1:8080/endpoints/trees/invocations"}
    assert not {"scenarios", "variables"} & written.keys()


@pytest.mark.parametrize(
    ("target", "place"),
    [
        (
            "https://abc.execute-api.us-east-1.amazonaws.com/prod",
            {"api_gateway": "https://abc.execute-api.us-east-1.amazonaws.com/prod/score", "auth": "none"},
        ),
        ("http://127.0.0.1:8080", {"container": "http://127.0.0.1:8080/score"}),
    ],
)
def test_one_post_can_be_sent_by_any_locustfile_that_fits(target: str, place: dict[str, str]) -> None:
    found = converted(script({"target": target}, [{"post": {"url": "/score", "json": {"data": "1,2"}}}]))
    assert found.config["target"] == place
    assert found.config["request"] == {"content_type": "application/json", "body": '{"data":"1,2"}', "timeout": "10s"}
    assert len(found.config["scenarios"]) == 1
    assert "\nscenarios:" not in artillery.as_yaml(found)


@pytest.mark.parametrize(
    "flow",
    [
        [{"post": {"url": "/", "json": 1}}, {"think": 1}],
        [{"post": {"url": "/", "json": "{{ $uuid }}"}}],
        [{"post": {"url": "/", "json": 1, "headers": {"Authorization": "x"}}}],
        [{"post": {"url": "/?a=b", "json": 1}}],
        [{"put": {"url": "/", "json": 1}}],
        [{"post": {"url": "/"}}],
    ],
)
def test_anything_else_needs_its_scenario(flow: list[Any]) -> None:
    found = converted(script(flow=flow))
    assert "target" not in found.config
    assert "\nscenarios:" in artillery.as_yaml(found)


# What is refused by name, and what is only said


@pytest.mark.parametrize(
    ("data", "said"),
    [
        # another kind of script
        (
            script(scenarios=[{"engine": "playwright", "flowFunction": "f"}]),
            "scenarios[0].engine: 'playwright' is not acc",
        ),
        (script({"engine": "ws"}), "scenarios[0].engine: 'ws' is not accepted: http, the default"),
        (script({"target": "wss://example.com"}), "config.target: WebSockets have no equal here"),
        (script(_simulation=True), "_simulation: slsart would send nothing: take it away"),
        (script(mode="acc"), "mode: 'acc' is not accepted: slsart sends a few requests then"),
        (
            {"config": {"target": TARGET}},
            "scenarios: missing; required: a list of one scenario or more, in the same file",
        ),
        ({"scenarios": PLAIN["scenarios"]}, "config: missing; artillery takes it from another file (--config)"),
        # what has no equal here
        (script(before={"flow": []}), "before: what runs once before a test has no equal here"),
        (script(after={"flow": []}), "after: what runs once after a test has no equal here"),
        (script(flow=[{"loop": [{"get": {"url": "/"}}], "count": 9}]), "scenarios[0].flow[0].loop: has no equal here"),
        (script(flow=[{"parallel": []}]), "scenarios[0].flow[0].parallel: has no equal here: the steps"),
        (
            script(flow=[{"function": "f"}]),
            "scenarios[0].flow[0].function: JavaScript has no equal here: write the session",
        ),
        (
            script(scenarios=[{"beforeRequest": "f", "flow": [{"get": {"url": "/"}}]}]),
            "scenarios[0].beforeRequest: JavaScript has no equal here",
        ),
        *(
            (script(flow=[{"get": {"url": "/", key: value}}]), f"scenarios[0].flow[0].get.{key}: {why}")
            for key, value, why in (
                ("capture", {"json": "$.id", "as": "id"}, "what an answer holds cannot be used in later requests here"),
                ("match", {"json": "$.id", "value": 1}, "answers are not compared with values here"),
                ("ifTrue", "x == 1", "conditions have no equal here"),
                ("probability", 50, "has no equal here: write two scenarios"),
                ("beforeRequest", "f", "JavaScript has no equal here"),
                ("afterResponse", ["f"], "JavaScript has no equal here"),
                ("cookie", {"a": "b"}, "has no equal here: only cookies that answers set are kept"),
            )
        ),
        (
            script(flow=[{"post": {"url": "/", "formData": {"a": "b"}}}]),
            "scenarios[0].flow[0].post.formData: multipart",
        ),
        (
            script(flow=[{"get": {"url": "/", "expect": {"statusCode": 404}}}]),
            "scenarios[0].flow[0].get.expect.statusCode: has no equal here: every answer of 200 to 299 is good",
        ),
        (script({"plugins": {"mine": {}}}), "config.plugins.mine: plugins have no equal here"),
        (script({"plugins": {"fake-data": {}}}), "config.plugins.fake-data: made-up data has no equal here"),
        (script({"ensure": {"conditions": []}}), "config.ensure.conditions: expressions have no equal here"),
        (script({"ensure": {"min": 5}}), "config.ensure.min: the least latency has no equal here"),
        (
            script({"ensure": {"thresholds": [{"vusers.created": 5}]}}),
            "config.ensure.thresholds[0].'vusers.created': has no equal here; accepted: http.response_time.*",
        ),
        (
            script({"target": "https://example.com", "tls": {"rejectUnauthorized": False}}),
            "config.tls.rejectUnauthorized: false is not accepted: certificates are checked here; give the authority",
        ),
        (script({"tls": {"key": "x.pem"}}), "config.tls.key: has no equal here"),
        (script({"payload": {"path": "a", "loadAll": True, "name": "n"}}), "config.payload.loadAll: all rows at once"),
        (script({"http": {"distributedTracing": True}}), "config.http.distributedTracing: has no equal here"),
        # a wrong key or value
        (script(scenario=[]), "scenario: unknown key (did you mean scenarios?); accepted: config, scenarios, before"),
        (script({"taget": "x"}), "config.taget: unknown key (did you mean target?); accepted: target, phases"),
        (script(flow=[{"gett": {"url": "/"}}]), "scenarios[0].flow[0].gett: unknown key (did you mean get?)"),
        (script(flow=[{"get": {"ulr": "/"}}]), "scenarios[0].flow[0].get.ulr: unknown key (did you mean url?)"),
        (script(flow=[{"get": "/"}]), "scenarios[0].flow[0].get: '/' is not accepted: a mapping of url"),
        (
            script(flow=[{"get": {"url": "a/b"}}]),
            "scenarios[0].flow[0].get.url: 'a/b' is not accepted: a path that begins",
        ),
        (
            script({"payload": {"path": "a", "fields": ["url"]}}, [{"get": {"url": "{{ url }}"}}]),
            "scenarios[0].flow[0].get.url: what {{ url }} begins with is not known before the run: write {{ target",
        ),
        (
            script(flow=[{"get": {"url": "{{ $env.URL }}/a"}}]),
            "scenarios[0].flow[0].get.url: {{ $env.URL }} has no value: the environment has no such variable",
        ),
        (script(flow=[{"get": {"url": "/{{ id }}"}}]), "scenarios[0].flow[0].get.url: {{ id }} has no value: neither"),
        (
            script(flow=[{"get": {"url": "/", "headers": {"a": "{{ b + c }}"}}}]),
            "scenarios[0].flow[0].get.headers.a: '{{ b + c }}' is not accepted: '{{ b + c }}' is no template",
        ),
        (script(flow=[{"get": {"url": "/", "json": {}}}]), "scenarios[0].flow[0].get.json: get has no body"),
        (
            script(flow=[{"post": {"url": "/", "body": {"a": 1}}}]),
            "scenarios[0].flow[0].post.body: a mapping is not acc",
        ),
        (
            script(flow=[{"post": {"url": "/", "form": {"a": [1]}}}]),
            "scenarios[0].flow[0].post.form.a: a list is not acc",
        ),
        (script(flow=[{"get": {"url": "/"}, "post": {"url": "/"}}]), "scenarios[0].flow[0].post: a step has one key"),
        (script(flow=[{"log": "hi"}]), "scenarios[0].flow: holds no request"),
        (script(flow=[{"think": "soon"}]), "scenarios[0].flow[0].think: 'soon' is not accepted"),
        (script(flow=[{}]), "scenarios[0].flow[0]: a mapping is not accepted: a mapping of one of get, post"),
        (script(scenarios=[]), "scenarios: an empty list is not accepted"),
        (script(scenarios=[{"weight": 0, "flow": []}]), "scenarios: a list is not accepted: a list of one scenario or"),
        (script({"target": "example"}), "config.target: 'example' is not accepted: an http:// or https:// URL"),
        (script({"target": "http://a..b"}), "config.target: 'http://a..b' is not accepted: an http:// or https:// URL"),
        (
            script({"target": "http://a:b@example.com"}),
            "config.target: a text that may hold a credential (not shown) is",
        ),
        (
            script({"target": None, "environments": {"dev": {}, "prod": {}}}),
            "config.target: missing; required: an http:// or https:// URL with a host, such as "
            "https://example.com/stage"
            "; or choose one of environments (dev, prod) with --environment (Locust: --sm-environment)",
        ),
        (
            script({"variables": {"a": ["{{ b }}"]}}),
            "config.variables.a: a list is not accepted: values without {{ temp",
        ),
        (script({"variables": {"a": datetime.date(2026, 1, 1)}}), "config.variables.a: a value of another type is not"),
        (script({"payload": {"fields": ["a"]}}), "config.payload.path: missing; required: the path of a CSV file"),
        (script({"payload": [{"path": "a"}]}), "config.payload[0].fields: missing"),
        (script({"payload": {"path": "a", "fields": ["a", "a"]}}), "config.payload.fields: a list is not accepted"),
        (
            script({"payload": {"path": "a", "fields": ["a"], "order": "any"}}),
            "config.payload.order: 'any' is not accepted",
        ),
        (script({"mode": ["poisson"]}), "config.mode: a list is not accepted: uniform or poisson"),
        (script({"ensure": {"p95": "fast"}}), "config.ensure.p95: 'fast' is not accepted: a number of milliseconds"),
        (script({"ensure": {"p95": 200_000}}), "config.ensure.p95: '3m20s' is not accepted: a latency with its unit"),
        (script({"ensure": {"maxErrorRate": 101}}), "config.ensure.maxErrorRate: 101 is not accepted: a percentage"),
        (script({"http": {"timeout": 0}}), "config.http.timeout: 0 is not accepted: a number of seconds, more than 0"),
        (7, "7 is not accepted: an artillery script"),
    ],
)
def test_what_cannot_be_is_refused_by_its_name_in_the_script(data: object, said: str) -> None:
    assert refusal(data).startswith(said)


def test_the_first_fault_is_told_and_the_others_are_named() -> None:
    data = script({"taget": 1}, [{"think": "x"}, {"get": {"url": "/", "capture": {}}}, {"loop": []}])
    assert refusal(data) == (
        "scenarios[0].flow[1].get.capture: what an answer holds cannot be used in later requests here: write the "
        "session as a locustfile of your own with ArrivalUser (also at fault: "
        "scenarios[0].flow[2].loop, config.taget, scenarios[0].flow[0].think)"
    )


@pytest.mark.parametrize(
    "target",
    ["https://runtime.sagemaker.us-east-1.amazonaws.com", "https://abc.execute-api.us-east-1.amazonaws.com/prod"],
)
def test_who_signs_requests_in_a_processor_is_told_that_it_is_done_here(target: str) -> None:
    post = {"url": "/endpoints/a/invocations", "body": "1", "beforeRequest": "sign"}
    said = refusal(script({"target": target, "processor": "./sign.js"}, [{"post": post}]))
    assert said.startswith(
        "scenarios[0].flow[0].post.beforeRequest: JavaScript has no equal here; if it signs requests"
    )
    assert "take it away, for that is done here without it" in said


def test_invoke_endpoint_in_any_other_way_than_one_post_is_refused() -> None:
    flow = [
        {"post": {"url": "/endpoints/a/invocations", "body": "{{ $uuid }}", "headers": {"Content-Type": "text/csv"}}}
    ]
    said = refusal(script({"target": "https://runtime.sagemaker.us-east-1.amazonaws.com"}, flow))
    assert said.startswith("scenarios: InvokeEndpoint takes signed requests alone")


def test_a_plan_says_where_scenarios_lead_and_how_much_an_arrival_is() -> None:
    flow = [{"get": {"url": "/"}}, {"think": 1}, {"get": {"url": "https://example.com?a=b"}}]
    config = RunConfig.from_dict(converted(script(scenarios=[{"flow": flow, "weight": 3}, {"flow": flow[:1]}])).config)
    assert wording.destination(config.as_dict()) == (
        "http://127.0.0.1:8000, https://example.com: 2 scenarios, 1.75 requests an arrival, unsigned"
    )


@pytest.mark.parametrize(
    ("data", "note"),
    [
        (script(), "redirects are not followed, an answer of 400 or more is an error"),
        (script(_split={"maxChunkDurationInSeconds": 20}), "_split: no effect here: Locust shares the load out"),
        (script(_trace=True), "_trace: no effect here"),
        (script(sampling={"size": 1}), "sampling: no effect here: it is of slsart's acceptance and monitoring modes"),
        (
            script({"plugins": {"cloudwatch": {}}}),
            "config.plugins.cloudwatch: no effect here: nothing is published there",
        ),
        (script({"plugins": {"metrics-by-endpoint": {}}}), "config.plugins.metrics-by-endpoint: no effect here"),
        (script({"apdex": {"threshold": 100}}), "config.apdex: no effect here"),
        (script({"processor": "./f.js"}), "config.processor: no effect here: nothing of it is called"),
        (script({"http": {"pool": 10}}), "config.http.pool: no effect here: connections are kept and shared"),
        (
            script({"tls": {"rejectUnauthorized": False}}),
            "config.tls.rejectUnauthorized: no effect: the target speaks no",
        ),
        (script({"ensure": {"p95": 200}}), "config.ensure: held against each phase, on latency from the scheduled"),
        (script(flow=[{"log": "a"}, {"get": {"url": "/"}}]), "scenarios[0].flow[0].log: no effect here"),
        (
            script(flow=[{"log": "a"}, {"get": {"url": "/"}}, {"log": "b"}]),
            "scenarios[0].flow[0].log (and 1 more): no eff",
        ),
        (script(flow=[{"think": 1, "jitter": "10%"}, {"get": {"url": "/"}}]), "scenarios[0].flow[0].jitter: no effect"),
        (
            script(flow=[{"get": {"url": "/", "expect": [{"statusCode": 200}]}}]),
            "scenarios[0].flow[0].get.expect[0].stat",
        ),
        (
            script(flow=[{"think": 1}, {"get": {"url": "/"}}]),
            "scenarios[0].flow[0].think: left out: ahead of the first",
        ),
        (script(flow=[{"get": {"url": "/a#b"}}]), "scenarios[0].flow[0].get.url: what follows # is not sent"),
    ],
)
def test_what_has_no_effect_is_said(data: dict[str, Any], note: str) -> None:
    assert any(said.startswith(note) for said in converted(data).notes)


# Files


def test_a_file_that_is_a_script_is_converted_and_its_notes_are_said(tmp_path: Path) -> None:
    path = tmp_path / "script.yml"
    path.write_text(yaml.safe_dump(script({"environments": {"fast": {"phases": [{"arrivalRate": 50}]}}})))
    said: list[str] = []
    schedule = load(path, "fast", said.append).schedule()
    assert schedule is not None
    assert schedule.total == 50 * 60
    assert len(said) == 1
    with pytest.raises(ConfigError) as error:
        load(path, "slow")
    assert str(error.value) == f"{path}: config.environments: 'slow' is not among them; there are: fast"


def test_a_fault_names_the_file_and_the_script_s_own_key() -> None:
    with pytest.raises(ConfigError) as error:
        parse(yaml.safe_dump(script({"phases": [{"duration": 3e6, "arrivalRate": 1}]})), "script.yml")
    assert str(error.value).startswith("script.yml: config.phases[0].duration: '833h20m' is not accepted: a duration")


@pytest.mark.parametrize(
    "command",
    [
        ["check"],
        ["check", "--policy", "run"],
        ["whatif", "no run", "--config"],
        ["stack", "deploy"],
        ["stack", "delete"],
    ],
    ids=" ".join,
)
def test_every_command_takes_an_environment_and_says_what_has_no_effect(tmp_path: Path, command: list[str]) -> None:
    path = tmp_path / "script.yml"
    sections = {"environments": {"fast": {"target": "http://mars"}}, "target": "http://venus"}
    path.write_text(yaml.safe_dump(script(sections, _trace=True)))
    # Each is refused or answered before anything is asked of AWS: there is no region.
    done = CliRunner(env={"AWS_DEFAULT_REGION": "", "AWS_CONFIG_FILE": "/dev/null"}).invoke(
        main, [*command, str(path), "--environment", "fast"]
    )
    assert done.exit_code in (0, 2)
    assert f"sm-locust: {path}: _trace: no effect here" in done.stderr
    none = CliRunner().invoke(main, [*command, str(path), "--environment", "slow"])
    assert none.exit_code == 2
    assert none.stderr == f"sm-locust: {path}: config.environments: 'slow' is not among them; there are: fast\n"


def test_plan_and_check_take_an_environment_and_say_what_has_no_effect(tmp_path: Path) -> None:
    path = tmp_path / "script.yml"
    path.write_text(yaml.safe_dump(script({"environments": {"fast": {"phases": [{"arrivalRate": 50}]}}}, _trace=True)))
    planned = CliRunner().invoke(main, ["plan", str(path), "--environment", "fast", "--json"])
    assert planned.exit_code == 0
    assert json.loads(planned.stdout)["arrivals"] == 3000
    assert f"sm-locust: {path}: _trace: no effect here" in planned.stderr
    for command in ("plan", "check"):
        refused = CliRunner().invoke(main, [command, str(path), "--environment", "slow"])
        assert refused.exit_code == 2
        assert refused.stderr == f"sm-locust: {path}: config.environments: 'slow' is not among them; there are: fast\n"
    untried = CliRunner().invoke(main, ["check", str(path)])
    assert untried.exit_code == 2
    assert f"sm-locust: {path}: target: missing; the request that is tried is target's" in untried.stderr


def test_only_scripts_have_environments() -> None:
    with pytest.raises(ConfigError) as error:
        parse("target: {endpoint: a}", "x.yaml", "dev")
    assert str(error.value) == "x.yaml: environment 'dev' is not accepted: artillery scripts alone have any"


def test_what_is_kept_of_a_run_holds_no_password() -> None:
    flow = [
        {
            "post": {
                "url": "/login?api_key=k0&page=2",
                "headers": {"Authorization": "Bearer s3cret", "Accept": "text/html", "X-Token": "{{ $env.TOKEN }}"},
                "json": {"user": "ann", "password": "pa55", "nested": [{"token": "t0k"}]},
            }
        }
    ]
    found = converted(script({"variables": {"client_secret": ["v1", "v2"], "n": 1}}, flow))
    config = RunConfig.from_dict(found.config)
    kept = config.recorded()
    assert kept["scenarios"][0]["steps"][0] == {
        "method": "post",
        "url": f"{TARGET}/login?api_key=(not kept)&page=2",
        "headers": {"authorization": "(not kept)", "accept": "text/html", "x-token": "{{ $env.TOKEN }}"},
        "query": {},
        "json": {"user": "ann", "password": "(not kept)", "nested": [{"token": "(not kept)"}]},
    }
    assert kept["variables"] == {"client_secret": ["(not kept)", "(not kept)"], "n": 1}
    RunConfig.from_dict(kept)  # a folder is read again
    assert RunConfig.from_dict(config.as_dict()) == config  # while workers are sent all of it


# Anything


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-5, 99)
    | st.floats()
    | st.sampled_from(["", "/", "5", "{{ a }}", "{{", "x"])
)
values = st.recursive(
    scalars | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3),
    max_leaves=6,
)
WORDS = (
    *(
        "target",
        "phases",
        "payload",
        "variables",
        "environments",
        "defaults",
        "http",
        "tls",
        "ensure",
        "plugins",
        "mode",
    ),
    *(
        "duration",
        "arrivalRate",
        "rampTo",
        "arrivalCount",
        "pause",
        "maxVusers",
        "path",
        "fields",
        "thresholds",
        "headers",
    ),
    *("config", "scenarios", "flow", "name", "weight", "engine", "get", "post", "url", "json", "body", "form", "qs"),
    *(
        "think",
        "log",
        "loop",
        "expect",
        "auth",
        "timeout",
        "rejectUnauthorized",
        "_split",
        "_simulation",
        "maxErrorRate",
    ),
)
mappings = st.recursive(
    values,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4),
    max_leaves=12,
)


def places(data: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place inside a structure."""
    inside = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [at, *(place for key, value in inside for place in places(value, (*at, key)))]


FULL = script(
    {
        "environments": {"dev": {"phases": [{"arrivalRate": 1}]}},
        "payload": [{"path": "a.csv", "fields": ["id"]}],
        "variables": {"a": [1, 2], "b": "x"},
        "http": {"timeout": 5, "defaults": {"headers": {"x": "y"}}},
        "tls": {"rejectUnauthorized": False},
        "ensure": {"p95": 200, "maxErrorRate": 1, "thresholds": [{"http.response_time.p99": 9}]},
        "plugins": {"expect": {}},
    },
    [
        {
            "post": {
                "url": "/{{ id }}",
                "json": {"a": "{{ a }}"},
                "headers": {"h": "{{ b }}"},
                "expect": [{"statusCode": 200}],
            }
        },
        {"think": 1},
        {"get": {"url": "/", "qs": {"q": 1}, "auth": {"user": "a", "pass": "b"}}},
    ],
    _split={},
)


def read_or_refuse(data: Any, environment: str | None) -> None:
    try:
        found = artillery.convert(data, environment)
        RunConfig.from_dict(found.config, "x.yml", found.place)
    except ConfigError as error:
        assert "\n" not in str(error)
        return
    parse(artillery.as_yaml(found), "written.yaml")


@given(mappings, st.sampled_from([None, "dev"]))
def test_whatever_it_is_told_it_is_converted_or_refused_in_one_line(data: Any, environment: str | None) -> None:
    read_or_refuse(data, environment)


@given(st.sampled_from(places(FULL)[1:]), mappings, st.sampled_from([None, "dev"]))
def test_with_anything_anywhere_a_script_is_converted_or_refused_in_one_line(
    place: tuple[Any, ...], value: Any, environment: str | None
) -> None:
    data = copy.deepcopy(FULL)
    inner: Any = data
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    read_or_refuse(data, environment)


def test_the_script_that_is_broken_above_is_whole() -> None:
    assert len(converted(FULL, "dev").config["scenarios"][0]["steps"]) == 3
