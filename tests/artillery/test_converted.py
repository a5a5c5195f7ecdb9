"""What artillery and serverless-artillery scripts become.

What keys mean is artillery's own documentation and behaviour, written down here by hand, row by row.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from sm_locust import artillery
from sm_locust.config import RunConfig
from tests.artillery.scripts import PLAIN, TARGET, converted, refusal, script, steps

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
    for path in (Path(__file__).parents[2] / "configs").glob("*.yaml"):
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
