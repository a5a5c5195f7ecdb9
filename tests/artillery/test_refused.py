"""What of a script is refused by its name, and what is only said."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from sm_locust.config import RunConfig
from sm_locust.report import wording
from tests.artillery.scripts import PLAIN, TARGET, converted, refusal, script


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
