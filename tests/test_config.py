"""Configurations, right and wrong: what is read, and that every fault is one line naming file, key, value, accepted."""

from __future__ import annotations

import datetime
import json
import math
import re
from copy import deepcopy
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import msgpack
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sm_locust.config import ConfigError, CustomMetric, RunConfig, load, parse
from sm_locust.fields import Section, format_duration, parse_duration
from sm_locust.schedule import Phase, Schedule
from tests.fuzzing import spoilt

CONFIGS = Path(__file__).parent.parent / "configs"

SCRIPT = b"""
config:
  target: http://127.0.0.1:8500
  payload: {path: users.csv, fields: [id, word], order: sequence}
  variables: {colour: [red, blue]}
  phases:
    - {duration: 60, arrivalRate: 5, rampTo: 20, name: up}
    - {pause: 2}
    - {duration: 1m, arrivalCount: 30, maxVusers: 9}
  ensure: {p95: 200, maxErrorRate: 1}
  environments: {dev: {target: http://127.0.0.1:1}}
scenarios:
  - name: buy
    weight: 2
    flow:
      - get: {url: "/items?q={{ word }}", headers: {x: "{{ id }}"}}
      - think: 1.5
      - post: {url: /buy, json: {n: "{{ $randomNumber(1, 9) }}"}, expect: [{statusCode: 200}]}
"""

FULL = """
target: {endpoint: decision-trees-sample, variant: AllTraffic, region: us-east-1, url: "http://127.0.0.1:8500"}
request:
  content_type: text/csv
  body: "5,3.5,1.3,0.3"
  accept: application/json
  custom_attributes: trace=7
  inference_component: my-component
  target_model: model.tar.gz
  target_variant: Shadow
  timeout: 70s
  expect: setosa
phases:
  - {name: warm up,  duration: 60m, arrival_rate: 200, ramp_to: 600, judge: false}
  - {name: max load, duration: 1h30m, arrival_rate: 600, ramp_to: 800}
  - {name: rest, duration: 90, arrival_rate: 0.5}
arrivals: {spacing: poisson, seed: 7, per_user: 2, max_in_flight: 5000}
slo: {latency_mean: 15ms, service_time_p999: 0.3s, model_latency_p95: 0.5ms, error_rate: 5%}
stop_when: [{metric: error_rate, above: 5%, for: 60s}, {metric: latency_p99, above: 300ms, for: 60s, grace: 5m}]
capacity: {start: 50, max: 2000, precision: 4%, window: 8s, warm_up: 0s, min_requests: 1000, time_limit: 4m}
scaling:
  min_instances: 1
  max_instances: 4
  metric: {namespace: AWS/SageMaker, name: Invocations, statistic: Sum, dimensions: {EndpointName: a}, unit: Count}
  target: 25000
  scale_out_cooldown: 0s
  scale_in_cooldown: 5m
cloudwatch: {period: 60s}
prices:
  as_of: 2026-11-24
  instance_hour: 0.5
  data_in_gb: 0.25
  api_gateway_million: 3
  lambda_million: 0.5
  lambda_gb_second: 0.00002
  get_metric_data_thousand: 0
guard: {max_requests: 5000000, max_cost: 50}
scenarios:
  - name: buy
    weight: 3
    steps:
      - {method: post, url: "http://127.0.0.1:8500/?run={{ $uuid }}", name: /items, body: "a {{ $randomNumber(1, 9) }}"}
      - {think: 1.5s}
feeds: [{file: users.csv, fields: [id, word], order: random, delimiter: ";", header: true, cast: true}]
variables: {colour: [red, blue], n: 5}
"""


def refusal(text: str) -> str:
    """The one line that a YAML text is refused with."""
    with pytest.raises(ConfigError) as error:
        parse(text, "x.yaml")
    message = str(error.value)
    assert message.startswith("x.yaml: ")
    assert "\n" not in message
    assert len(message) < 700
    return message


# What is read


def test_a_full_configuration_is_read_in_seconds_and_fractions() -> None:
    config = parse(FULL, "x.yaml")
    assert config.schedule() == Schedule(
        [
            Phase("warm up", 3600, 200, ramp_to=600, judge=False),
            Phase("max load", 5400, 600, ramp_to=800),
            Phase("rest", 90, 0.5),
        ]
    )
    assert config.slo.limits() == {
        "latency_mean": 0.015,
        "service_time_p999": 0.3,
        "model_latency_p95": 0.0005,
        "error_rate": 0.05,
    }
    assert [(rule.metric, rule.above, rule.lasting) for rule in config.stop_when] == [
        ("error_rate", 0.05, 60),
        ("latency_p99", 0.3, 60),
    ]
    assert config.target is not None
    assert config.target.endpoint == "decision-trees-sample"
    assert config.request.timeout == 70
    assert (config.arrivals.per_user, config.arrivals.seed) == (2, 7)
    assert config.scaling is not None
    assert config.scaling.target == 25_000
    assert (config.scaling.scale_out_cooldown, config.scaling.scale_in_cooldown) == (0, 300)
    assert isinstance(config.scaling.metric, CustomMetric)
    assert config.scaling.metric.dimensions == {"EndpointName": "a"}
    assert (config.scaling.metric_name, config.scaling.of_components) == ("Invocations", None)
    assert config.capacity.model_dump() == {
        "start": 50,
        "max": 2000,
        "precision": 0.04,
        "window": 8,
        "warm_up": 0,
        "min_requests": 1000,
        "time_limit": 240,
    }
    assert config.cloudwatch.period == 60
    assert (config.guard.max_requests, config.guard.max_cost) == (5_000_000, 50)
    assert config.prices.as_of == datetime.date(2026, 11, 24)
    assert config.prices.given() == {
        "instance_hour": 0.5,
        "data_in_gb": 0.25,
        "api_gateway_million": 3.0,
        "lambda_million": 0.5,
        "lambda_gb_second": 0.00002,
        "get_metric_data_thousand": 0.0,
    }


@pytest.mark.parametrize("text", ["", "   \n", "# nothing yet\n", "---\n", "null", "\ufeff"])
def test_a_configuration_may_be_empty(text: str) -> None:
    config = parse(text.removeprefix("\ufeff"), "x.yaml")
    assert config == RunConfig()
    assert config.schedule() is None
    assert config.urls() == ()
    assert config.slo.limits() == {}
    assert (config.arrivals.spacing, config.arrivals.per_user, config.arrivals.max_in_flight) == ("even", 1, 5000)
    assert config.request.timeout == 70


def test_the_local_configuration_is_the_reference_experiment_on_this_machine() -> None:
    config = load(CONFIGS / "local.yaml")
    schedule = config.schedule()
    assert schedule is not None
    assert schedule.total == 3_960_000
    assert schedule.crossing(25_000 / 60) == pytest.approx(32.5 * 60)
    assert config.urls() == ("http://127.0.0.1:8500",)
    assert config.slo.limits() == {"latency_mean": 0.015, "error_rate": 0.05}
    assert (config.request.content_type, config.request.body) == ("text/csv", "5,3.5,1.3,0.3")


def test_the_configuration_for_an_account_is_the_same_experiment_with_scaling_and_no_address() -> None:
    local, account = load(CONFIGS / "local.yaml"), load(CONFIGS / "decision_trees.yaml")
    assert account.urls() == ()
    assert account.schedule() == local.schedule()
    assert (account.request, account.slo) == (local.request, local.slo)
    assert account.scaling is not None
    assert (account.scaling.min_instances, account.scaling.max_instances, account.scaling.target) == (1, 4, 25_000)


@pytest.mark.parametrize(
    ("target", "urls"),
    [
        ("{endpoint: a}", ()),
        ("{endpoint: a, url: 'https://vpce-1.example.com:8443/prefix'}", ("https://vpce-1.example.com:8443/prefix",)),
        ("{api_gateway: 'https://a.example.com/DummyStage/DT', auth: iam}", ("https://a.example.com/DummyStage/DT",)),
        ("{api_gateway: 'https://a.example.com/x', auth: none, endpoint: watched}", ("https://a.example.com/x",)),
        ("{container: 'http://[::1]:8080/invocations'}", ("http://[::1]:8080/invocations",)),
    ],
)
def test_a_target_names_its_addresses(target: str, urls: tuple[str, ...]) -> None:
    assert parse(f"target: {target}", "x.yaml").urls() == urls


@pytest.mark.parametrize("region", ["us-east-1", "us-gov-west-1", "cn-north-1", "eusc-de-east-1", "ap-southeast-10"])
def test_regions_of_every_partition_are_accepted(region: str) -> None:
    config = parse(f"target: {{endpoint: a, region: {region}}}", "x.yaml")
    assert config.target is not None
    assert config.target.region == region


def test_anchors_and_merge_keys_are_plain_yaml() -> None:
    config = parse(
        "phases:\n  - &base {name: one, duration: 60, arrival_rate: 10}\n  - {<<: *base, name: two, ramp_to: 20}\n",
        "x.yaml",
    )
    assert config.schedule() == Schedule([Phase("one", 60, 10), Phase("two", 60, 10, ramp_to=20)])


@pytest.mark.parametrize("text", [FULL, "", "target: {container: 'http://h/'}", "arrivals: {spacing: poisson}"])
def test_a_configuration_survives_json_msgpack_and_yaml(text: str) -> None:
    config = parse(text, "x.yaml")
    data = config.as_dict()
    assert RunConfig.from_dict(json.loads(json.dumps(data))) == config
    assert RunConfig.from_dict(msgpack.unpackb(msgpack.packb(data))) == config
    assert parse(yaml.safe_dump(data), "again.yaml") == config


def format_ratio(ratio: float) -> str:
    """As a percentage of CPUUtilization, which is more than 0."""
    return f"{max(Decimal(repr(ratio)), Decimal('1e-6')) * 100:f}"


@given(
    latency=st.floats(1e-9, 120, exclude_min=True),
    ratio=st.floats(0, 1),
    duration=st.floats(1e-6, 720 * 3600),
    rate=st.floats(0, 1e9),
)
def test_every_number_survives_exactly(latency: float, ratio: float, duration: float, rate: float) -> None:
    config = RunConfig.from_dict(
        {
            "slo": {"latency_p99": format_duration(latency), "error_rate": ratio},
            "stop_when": [
                {"metric": "service_time_max", "above": format_duration(latency), "for": duration},
                {"metric": "error_rate", "above": ratio, "for": 1},
                {"metric": "not_valid", "for": 1},
                {"metric": "CPUUtilization", "above": f"{format_ratio(ratio)}%", "for": 1, "grace": duration},
            ],
            "phases": [{"name": "p", "duration": duration, "arrival_rate": rate}],
        }
    )
    assert config.slo.limits() == {"latency_p99": latency, "error_rate": ratio}
    assert RunConfig.from_dict(json.loads(json.dumps(config.as_dict()))) == config


@pytest.mark.parametrize(
    ("target", "request_", "said"),
    [
        ({}, {}, "stop_when[1].metric: 'CPUUtilization' is not accepted: only with target.endpoint"),
        ({"container": "http://h/"}, {}, "stop_when[1].metric: 'CPUUtilization' is not accepted: only with target."),
        ({"endpoint": "a"}, {"inference_component": "c"}, "stop_when[1].metric: 'CPUUtilization' is not accepted: wi"),
        ({"endpoint": "a"}, {}, ""),
    ],
)
def test_a_stop_rule_on_what_cloudwatch_will_not_have_is_refused(
    target: dict[str, str], request_: dict[str, str], said: str
) -> None:
    rules = [{"metric": m, "above": "90%", "for": "3m"} for m in ("error_rate", "CPUUtilization")]
    config = RunConfig.from_dict({"request": request_, "stop_when": rules} | ({"target": target} if target else {}))
    if not said:
        config.check_stop_when()
        return
    with pytest.raises(ConfigError) as refused:
        config.check_stop_when()
    assert str(refused.value).startswith(said)


def test_a_configuration_is_frozen() -> None:
    config = parse(FULL, "x.yaml")
    with pytest.raises(ValueError, match="frozen"):
        config.arrivals.per_user = 2  # type: ignore[misc]


def test_what_stands_in_a_log_of_a_configuration_holds_nothing_that_it_sends() -> None:
    step = {
        "method": "post",
        "url": "http://h/?t=hidden",
        "name": "/",
        "headers": {"a": "hidden"},
        "json": {"b": "hidden"},
    }
    config = RunConfig.from_dict({"scenarios": [{"name": "s", "steps": [step]}], "variables": {"password": "hidden"}})
    assert "Step(method='post', name='/')" in repr(config) and "hidden" not in f"{config!r} {config}"


# Durations


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("60m", 3600),
        ("90s", 90),
        ("1h30m", 5400),
        ("1h1m1s1ms", 3661.001),
        ("15ms", 0.015),
        ("0.3s", 0.3),
        (".5s", 0.5),
        ("1.5h", 5400),
    ],
)
def test_a_duration_is_read_in_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "60", "m", "30m1h", "1h1h", "-5s", "1e3s", "5 s", "5min", "1,5s", "٣s", "5s\n"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not accepted: such as 90s, 1h30m or 15ms"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (3600, "1h"),
        (5400, "1h30m"),
        (90.0, "1m30s"),
        (0.015, "15ms"),
        (0.0005, "0.5ms"),
        (1.25, "1.25s"),
        (7200.5, "2h0.5s"),
        (100, "1m40s"),
        (10, "10s"),
    ],
)
def test_a_duration_is_written_as_people_write_it(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.floats(0, 1e22))
def test_a_duration_that_is_written_is_read_back_exactly(seconds: float) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


# Prices


def test_prices_need_their_date() -> None:
    said = "x.yaml: prices.as_of: missing; required: with prices, the day that they are of, such as 2026-11-24"
    assert refusal("prices: {instance_hour: 0.5}") == said
    assert parse("prices: {as_of: 2026-11-24}", "x.yaml").prices.given() == {}


@pytest.mark.parametrize("written", ["2026-11-24", "'2026-11-24'"])
def test_a_date_may_stand_in_quotes(written: str) -> None:
    assert parse(f"prices: {{as_of: {written}}}", "x.yaml").prices.as_of == datetime.date(2026, 11, 24)


@pytest.mark.parametrize("written", ["2026-11-24T10:00:00", "24.11.2026", "20261124", "yesterday"])
def test_anything_else_is_not_a_date(written: str) -> None:
    assert "is not accepted: the day that they are of" in refusal(f"prices: {{as_of: {written}}}")


# Options


def test_options_win() -> None:
    config = parse(FULL, "x.yaml").with_overrides(endpoint="other", region="eu-west-1", url="http://127.0.0.1:9")
    assert config.target is not None
    assert (config.target.endpoint, config.target.region, config.target.url) == (
        "other",
        "eu-west-1",
        "http://127.0.0.1:9",
    )
    assert config.target.variant == "AllTraffic"
    assert config.phases == parse(FULL, "x.yaml").phases


def test_options_that_say_nothing_change_nothing() -> None:
    config = parse(FULL, "x.yaml")
    assert config.with_overrides() == config
    assert config.with_overrides(endpoint="", region="", url="") == config


def test_an_endpoint_as_an_option_needs_no_configuration() -> None:
    config = RunConfig().with_overrides(endpoint="mine")
    assert config.target is not None
    assert config.target.endpoint == "mine"


@pytest.mark.parametrize(
    ("config", "options", "said"),
    [
        ("", {"region": "us-east-1"}, "--region: target.endpoint: missing; required: a name of"),
        (FULL, {"endpoint": "-a"}, "--endpoint: '-a' is not accepted: a name of 1 to 63"),
        (FULL, {"region": "mars"}, "--region: 'mars' is not accepted: the name of an AWS region"),
        (FULL, {"url": "localhost"}, "--url: 'localhost' is not accepted: where InvokeEndpoint goes"),
        ("target: {container: 'http://h/'}", {"endpoint": "a"}, "--endpoint: 'a' is not accepted: only without"),
    ],
)
def test_a_wrong_option_is_named_in_one_line(config: str, options: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse(config, "x.yaml").with_overrides(**options)
    assert str(error.value).startswith(said)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("written", ["start: 60, max: 800", "{start: 60, max: 800}", "  start: 60 ,max: 800.0"])
def test_settings_of_a_search_win_one_by_one(written: str) -> None:
    config = parse(FULL, "x.yaml").with_capacity(written, "--sm-capacity")
    assert (config.capacity.start, config.capacity.max, config.capacity.precision) == (60, 800, 0.04)
    assert config.model_copy(update={"capacity": parse(FULL, "x.yaml").capacity}) == parse(FULL, "x.yaml")


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("start: 0", "--sm-capacity: start: 0 is not accepted: a number of arrivals a second, more than 0"),
        ("max: 49", "--sm-capacity: max: 49 is not accepted: a number of arrivals a second, 50 (start) to 1000000"),
        ("maximum: 1", "--sm-capacity: maximum: unknown key (did you mean max?); accepted: start, max, precision"),
        ("window: 2s", "--sm-capacity: window: '2s' is not accepted: a duration for one look at a rate, 4s to 1h"),
        ("fast", "--sm-capacity: fast: unknown key; accepted: start, max, precision"),
        ("{start: 50", "--sm-capacity: '{start: 50' is not accepted: settings such as start: 50, max: 2000"),
        ("start: 5: 6", "--sm-capacity: 'start: 5: 6' is not accepted: settings such as"),
        ("1: 2", "--sm-capacity: '1: 2' is not accepted: settings such as"),
    ],
)
def test_wrong_settings_of_a_search_are_named_in_one_line(written: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse(FULL, "x.yaml").with_capacity(written, "--sm-capacity")
    assert str(error.value).startswith(said)
    assert "\n" not in str(error.value)


# Wrong configurations, each key of the model × {unknown, wrong type, out of range, missing}


def sections(annotation: Any, path: tuple[str | int, ...] = ()) -> list[tuple[tuple[str | int, ...], type[Section]]]:
    """Every section of the model with a path to one in FULL."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        found = [(path, annotation)]
        for name, field in annotation.model_fields.items():
            found += sections(field.annotation, (*path, field.alias or name))
        return found
    listed = (0,) if getattr(annotation, "__origin__", None) is tuple else ()
    return [section for argument in get_args(annotation) for section in sections(argument, (*path, *listed))]


def keys() -> list[tuple[tuple[str | int, ...], str, bool]]:
    return [
        (path, field.alias or name, field.is_required())
        for path, section in sections(RunConfig)
        for name, field in section.model_fields.items()
    ]


def shown(path: tuple[str | int, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")


def changed(path: tuple[str | int, ...], key: str, value: Any = None, *, remove: bool = False) -> str:
    """FULL as YAML with one key of one section set, or taken out."""
    data = deepcopy(yaml.safe_load(FULL))
    section = data
    for part in path:
        section = section[part]
    if remove:
        section.pop(key)
    else:
        section[key] = value
    if path == ("target",) and key in ("api_gateway", "container", "auth"):  # one kind of target at a time
        data["target"] = {key: value}
    return yaml.safe_dump(data)


A_NAME = "a name of 1 to 63 letters, digits and dashes"
A_URL = "an http:// or https:// URL with a host"
A_HEADER = "a text of 1 to 1024 printable ASCII characters"
A_DURATION = "a duration such as 90s, 60m or 1h30m, or a number of seconds; more than 0, at most 720h"
A_LATENCY = "a latency with its unit, such as 15ms or 0.3s; more than 0, at most 120s"
A_RATIO = "a percentage such as 5%, or a fraction such as 0.05; 0% to 100%"
A_RATE = "a number of arrivals a second, 0 or more"

# A value of the right type and out of range, and what the refusal says is accepted: written by hand, key by key.
OUT_OF_RANGE: dict[str, tuple[Any, str]] = {
    "target": ({}, A_NAME),
    "target.endpoint": ("a" * 64, A_NAME),
    "target.api_gateway": ("ftp://example.com/", A_URL),
    "target.auth": ("basic", "one of none, iam, api-key"),
    "target.container": ("http:///invocations", A_URL),
    "target.variant": ("All_Traffic", A_NAME),
    "target.region": ("useast1", "the name of an AWS region"),
    "target.url": ("http://example.com:70000", A_URL),
    "request.content_type": ("text/csv\r\nX-Injected: 1", A_HEADER),
    "request.body": ("", "a text that is not empty"),
    "request.payloads": ("", "the path of a .csv file, a .jsonl file or a directory"),
    "request.header": (True, "true only with payloads in a CSV file"),
    "request.order": ("weighted", "one of sequential, random, once"),
    "request.accept": ("a" * 1025, A_HEADER),
    "request.custom_attributes": ("é", A_HEADER),
    "request.inference_component": ("-x", A_NAME),
    "request.target_model": (" model", A_HEADER),
    "request.target_variant": ("x-", A_NAME),
    "request.timeout": ("0s", A_DURATION),
    "request.expect": ("", "a text that every good answer contains"),
    "phases": ([], "a list of one phase or more"),
    "phases[0].name": ("", "a text that is not empty"),
    "phases[0].duration": (0, A_DURATION),
    "phases[0].arrival_rate": (-1, A_RATE),
    "phases[0].ramp_to": (math.inf, A_RATE),
    "arrivals.spacing": ("odd", "one of even, poisson"),
    "arrivals.per_user": (0, "a number of arrivals a second for one user, more than 0"),
    "arrivals.max_in_flight": (0, "a whole number of arrivals in one process, 1 to 1000000"),
    "arrivals.seed": (-1, "a whole number, 0 to 4294967295"),
    "slo.error_rate": (5, A_RATIO),
    "stop_when[0].metric": ("latency_p42", "error_rate, or latency_*"),
    "stop_when[0].grace": ("0s", A_DURATION),
    "stop_when[0].above": ("101%", A_RATIO),
    "stop_when[0].for": ("0s", A_DURATION),
    "capacity.start": (0, "a number of arrivals a second, more than 0, at most 1000000"),
    "capacity.max": (49, "a number of arrivals a second, 50 (start) to 1000000"),
    "capacity.precision": ("0.5%", "a percentage such as 5%, or a fraction such as 0.05; 1% to 50%"),
    "capacity.window": ("3s", "a duration for one look at a rate, 4s to 1h"),
    "capacity.warm_up": ("2h", "a duration for which a new rate is not judged, 0s to 1h"),
    "capacity.min_requests": (9, "a whole number of requests for one decision, 10 to 1000000000"),
    "capacity.time_limit": ("0s", A_DURATION),
    "scaling.min_instances": (0, "a whole number, 1 to 10000"),
    "scaling.max_instances": (0, "a whole number, min_instances to 10000"),
    "scaling.metric": ("CPUUtilization", "one of SageMakerVariantInvocationsPerInstance"),
    "scaling.metric.namespace": ("", "a text of 1 to 200 printable ASCII characters"),
    "scaling.metric.name": ("a" * 201, "a text of 1 to 200 printable ASCII characters"),
    "scaling.metric.statistic": ("p99", "one of Average, Minimum, Maximum, SampleCount, Sum"),
    "scaling.metric.dimensions": ({}, "a mapping of one name or more to its value, texts"),
    "scaling.metric.unit": ("", "a unit of CloudWatch's, such as Count or Percent"),
    "scaling.target": (0, "a number, more than 0"),
    "scaling.scale_out_cooldown": (0.5, "a duration of whole seconds such as 0s, 60s or 5m, at most 720h"),
    "scaling.scale_in_cooldown": ("721h", "a duration of whole seconds such as 0s, 60s or 5m, at most 720h"),
    "cloudwatch.period": (45, "1s, 5s, 10s, 20s, 30s, or a whole number of minutes"),
    "prices.as_of": ("2026-02-30", "the day that they are of, such as 2026-11-24"),
    "prices.instance_hour": (-0.1, "for one instance and hour: a number of US dollars, 0 or more"),
    "prices.data_in_gb": (-1, "a number of US dollars, 0 or more"),
    "prices.api_gateway_million": (-1, "for a million requests: a number of US dollars, 0 or more"),
    "prices.lambda_million": (-1, "a number of US dollars, 0 or more"),
    "prices.lambda_gb_second": (-1, "a number of US dollars, 0 or more"),
    "prices.get_metric_data_thousand": (-1, "a number of US dollars, 0 or more"),
    "guard.max_requests": (0, "a whole number of requests, 1 to"),
    "guard.max_cost": (-1, "a number of US dollars, more than 0"),
    "scenarios": ([], "a list of one scenario or more"),
    "scenarios[0].name": ("", "a text that is not empty"),
    "scenarios[0].weight": (0, "a number, more than 0, at most 1000000"),
    "scenarios[0].steps": (
        [{"think": 1}, {"method": "get", "url": "http://127.0.0.1/"}],
        "a list of one step or more, the first of them a request",
    ),
    "scenarios[0].steps[0].method": ("GET", "one of get, post, put, patch, delete, head, options; or think"),
    "scenarios[0].steps[0].url": ("http://{{ $env.HOST }}/", "whose scheme and host hold no {{ template }}"),
    "scenarios[0].steps[0].name": ("", "a text that is not empty"),
    "scenarios[0].steps[0].headers": ({"a b": "c"}, "a mapping of header names to texts"),
    "scenarios[0].steps[0].query": ({"a": "{{ b"}, "'{{ b' is no template: between {{ and }}, a name"),
    "scenarios[0].steps[0].body": ("{{ a + b }}", "'{{ a + b }}' is no template: between {{ and }}, a name"),
    "scenarios[0].steps[0].json": (math.nan, "what JSON can hold"),
    "scenarios[0].steps[0].form": ({"a": [1]}, "a text, a number, true or false"),
    "scenarios[0].steps[0].think": (0, A_DURATION),
    "feeds[0].file": ("", "the path of a CSV file"),
    "feeds[0].fields": (["a", "a"], "a list in which each name stands once; a stands twice"),
    "feeds[0].order": ("sequence", "one of sequential, random"),
    "feeds[0].delimiter": ("||", "a text of one character"),
    "variables": ({"a": []}, "a text, a number, true, false, a mapping, or a list of one such value or more"),
} | {
    f"slo.{family}_{statistic}": ("121s", A_LATENCY)
    for family in ("latency", "service_time", "model_latency")
    for statistic in ("p50", "p90", "p95", "p99", "p999", "mean", "max")
}
# Of these every value of the right type is in range: a section's faults are its keys', a flag is one or the other.
ALWAYS_IN_RANGE = {
    *("request", "arrivals", "slo", "stop_when", "capacity", "scaling", "cloudwatch", "prices", "guard"),
    *("phases[0].judge", "feeds", "feeds[0].header", "feeds[0].cast"),
}

KEYS = keys()
PATHS = [shown((*path, key)) for path, key, _ in KEYS]


def test_the_table_has_a_row_for_every_key_of_the_model() -> None:
    assert set(OUT_OF_RANGE) | ALWAYS_IN_RANGE == set(PATHS)
    assert not set(OUT_OF_RANGE) & ALWAYS_IN_RANGE
    assert len(PATHS) > 60


@pytest.mark.parametrize(("path", "key", "required"), KEYS, ids=PATHS)
def test_an_unknown_key_is_named_with_the_one_that_was_meant(
    path: tuple[str | int, ...], key: str, required: bool
) -> None:
    text = changed(path, f"{key}_", "AKIASECRET")
    message = refusal(text)
    assert message.startswith(f"x.yaml: {shown((*path, f'{key}_'))}: unknown key (did you mean {key}?); accepted: ")
    assert "AKIASECRET" not in message


WRONG_TYPES: list[tuple[Any, str]] = [
    (None, "nothing"),
    (True, "true"),
    ([1, 2], "a list"),
    ({"a": "b"}, "a mapping"),
    (3, "3"),
    ("?", "'?'"),
]


@pytest.mark.parametrize(("path", "key", "required"), KEYS, ids=PATHS)
def test_a_value_of_a_wrong_type_is_named_with_what_is_accepted(
    path: tuple[str | int, ...], key: str, required: bool
) -> None:
    refused = 0
    name = shown((*path, key))
    for value, text in WRONG_TYPES:
        try:
            parse(changed(path, key, value), "x.yaml")
        except ConfigError as error:
            message = str(error)
            assert "\n" not in message
            if message.startswith(f"x.yaml: {name}: {text} is not accepted: "):
                refused += 1
            else:  # a list or a mapping where one belongs: the fault is inside
                assert message.startswith((f"x.yaml: {name}[0]: ", f"x.yaml: {name}.a: "))
    assert refused >= 4  # of six values at most two are of the right type


@pytest.mark.parametrize("name", sorted(OUT_OF_RANGE))
def test_a_value_out_of_range_is_named_with_what_is_accepted(name: str) -> None:
    value, accepted = OUT_OF_RANGE[name]
    path, key, _ = KEYS[PATHS.index(name)]
    message = refusal(changed(path, key, value))
    assert message.startswith(f"x.yaml: {name}")
    assert accepted in message
    if isinstance(value, int | float):
        assert f"{name}: {str(value).lower()} is not accepted: " in message


REQUIRED = [(path, key) for path, key, required in KEYS if required]


def test_the_required_keys_are_those_that_a_section_cannot_do_without() -> None:
    assert {shown((*path, key)) for path, key in REQUIRED} == {
        *("phases[0].name", "phases[0].duration", "phases[0].arrival_rate"),
        *("stop_when[0].metric", "stop_when[0].for"),
        *("scaling.min_instances", "scaling.max_instances", "scaling.metric", "scaling.target"),
        *("scaling.metric.namespace", "scaling.metric.name", "scaling.metric.statistic"),
        *("scenarios[0].name", "scenarios[0].steps", "feeds[0].file", "feeds[0].fields"),
    }


@pytest.mark.parametrize(("path", "key", "required"), KEYS, ids=PATHS)
def test_a_missing_key_is_named_when_it_is_required_and_only_then(
    path: tuple[str | int, ...], key: str, required: bool
) -> None:
    data = yaml.safe_load(FULL)
    for part in path:
        data = data[part]
    if key not in data:  # then FULL, which is accepted, is the test
        assert not required
        return
    text = changed(path, key, remove=True)
    name = shown((*path, key))
    if required:
        assert refusal(text).startswith(f"x.yaml: {name}: missing; required: ")
    elif name == "stop_when[0].above":
        assert refusal(text).startswith(f"x.yaml: {name}: missing; required: for error_rate, a percentage")
    elif name == "target.endpoint":
        assert refusal(text).startswith("x.yaml: target.endpoint: missing; required: a name of")
    elif name == "request.content_type":
        assert refusal(text).startswith("x.yaml: request.content_type: missing; required: with body, a media type")
    elif name in ("scenarios[0].steps[0].method", "scenarios[0].steps[0].url"):  # without them, a pause
        assert refusal(text).startswith(f"x.yaml: {name}: missing; required: ")
    elif name == "prices.as_of":
        assert refusal(text).startswith("x.yaml: prices.as_of: missing; required: with prices, the day")
    else:
        parse(text, "x.yaml")


# Wrong configurations that take more than one key


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("target: {container: 'http://h/', url: 'http://h/'}", "target.url: 'http://h/' is not accepted: only without"),
        ("target: {container: 'http://h/', endpoint: a}", "target.endpoint: 'a' is not accepted: only without"),
        ("target: {api_gateway: 'http://h/'}", "target.auth: missing; required: with api_gateway, one of none"),
        ("target: {api_gateway: 'http://h/', auth: iam, url: 'http://h/'}", "target.url: 'http://h/' is not accepted"),
        ("target: {endpoint: a, auth: iam}", "target.auth: 'iam' is not accepted: only with api_gateway"),
        ("target: {region: us-east-1}", "target.endpoint: missing; required: a name of"),
        ("request: {content_type: a/b, body: x, payloads: y}", "request.payloads: 'y' is not accepted: only without"),
        ("request: {content_type: a/b, body: x, order: once}", "request.order: 'once' is not accepted: once only with"),
        (
            "scaling: {min_instances: 3, max_instances: 2, metric: SageMakerVariantInvocationsPerInstance, target: 1}",
            "scaling.max_instances: 2 is not accepted: a whole number, 3 (min_instances) to 10000",
        ),
        (
            "stop_when: [{metric: latency_p99, above: 5%, for: 60s}]",
            "stop_when[0].above: '5%' is not accepted: for latency_p99, a latency with its unit",
        ),
        ("stop_when: [{metric: error_rate, above: 5ms, for: 60s}]", "stop_when[0].above: '5ms' is not accepted: for"),
        (
            "stop_when: [{metric: drop_rate, above: 5ms, for: 60s}]",
            "stop_when[0].above: '5ms' is not accepted: for dro",
        ),
        ("stop_when: [{metric: OverheadLatency, for: 60s}]", "stop_when[0].above: missing; required: for OverheadLat"),
        (
            "stop_when: [{metric: CPUUtilization, above: 90, for: 60s}]",
            "stop_when[0].above: 90 is not accepted: for CPUUtilization, a percentage such as 90%",
        ),
        (
            "stop_when: [{metric: not_valid, above: 5%, for: 60s}]",
            "stop_when[0].above: '5%' is not accepted: not with not_valid",
        ),
        ("slo: {latency_p99: 15}", "slo.latency_p99: 15 is not accepted: a latency with its unit, such as 15ms"),
        ("slo: {latency_p99: '15'}", "slo.latency_p99: '15' is not accepted: a latency with its unit"),
        (
            "phases: [{name: a, duration: 720h, arrival_rate: 1.0e+308}]",
            "phases: a list is not accepted: Schedule total: inf is not accepted: a finite number",
        ),
        ("request: {timeout: 721h}", "request.timeout: '721h' is not accepted: a duration such as 90s"),
        ("request: {timeout: .nan}", "request.timeout: nan is not accepted: a duration such as 90s"),
        ("request: {timeout: 0s}", "request.timeout: '0s' is not accepted: a duration such as 90s"),
        ("stop_when: !!set {a, b}", "stop_when: a value of another type is not accepted: a list of rules"),
        ("phases: [5]", "phases[0]: 5 is not accepted: a mapping of name, duration, arrival_rate, ramp_to, judge"),
    ],
)
def test_keys_that_do_not_go_together_are_refused_at_the_one_at_fault(text: str, said: str) -> None:
    assert refusal(text).startswith(f"x.yaml: {said}")


def test_several_faults_are_counted_and_a_misspelt_key_comes_first() -> None:
    message = refusal("phases: [{name: 3, duratoin: 60m, arrival_rate: -1}]")
    assert message.startswith("x.yaml: phases[0].duratoin: unknown key (did you mean duration?); accepted: name, ")
    assert message.endswith(" (and 3 more)")


@pytest.mark.parametrize("number", ["1e3", "1,000", "0x", "ten"])
def test_what_yaml_takes_for_a_text_is_no_number(number: str) -> None:
    assert f"arrivals.per_user: '{number}' is not accepted" in refusal(f"arrivals: {{per_user: '{number}'}}")


@pytest.mark.parametrize("value", [".inf", "-.inf", ".nan", "0x" + "f" * 400, "true", "[]", "2001-01-01"])
def test_what_is_no_finite_number_is_refused(value: str) -> None:
    assert "guard.max_cost: " in refusal(f"guard: {{max_cost: {value}}}")
    assert "guard.max_requests: " in refusal(f"guard: {{max_requests: {value}}}")


@pytest.mark.parametrize(
    "url",
    [
        "https://user:hunter2@example.com/",
        "https://hunter2@example.com/",
        "https://@example.com/",
        "user:hunter2@example.com",
        "https://example.com/?token=hunter2",
        "https://user:hunter2@[::1/",
        "https://us er:hunter2@example.com/",
    ],
)
@pytest.mark.parametrize("key", ["api_gateway", "container", "url"])
def test_a_credential_in_an_address_is_refused_and_never_shown(url: str, key: str) -> None:
    message = refusal(yaml.safe_dump({"target": {key: url}}))
    assert message.startswith(f"x.yaml: target.{key}: a text that may hold a credential (not shown) is not accepted: ")
    assert "hunter2" not in message
    assert "hunter2" not in refusal(yaml.safe_dump({"target": url}))
    with pytest.raises(ConfigError) as error:
        parse("target: {endpoint: a}", "x.yaml").with_overrides(url=url)
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize(
    "url",
    [
        *("", "example.com", "//example.com", "http://", "http:///x", "ftp://example.com", "http://:80/"),
        *("http://a b/", "http://example.com:0/", "http://example.com:x/", "http://[::1", "http://é.example/"),
        *("http://example.com/#part", "http://example.com\\x", "file:///etc/passwd", "http://example.com/\n"),
    ],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    assert refusal(yaml.safe_dump({"target": {"container": url}})).startswith("x.yaml: target.container: ")


# Texts and files that are no configuration


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [1, 2", "line 1, column 9: not YAML: while parsing a flow sequence, expected ',' or ']'"),
        ("target:\n  endpoint: a\n region: b\n", "line 3, column 2: not YAML: "),
        ("target: *unknown", "line 1, column 9: not YAML: found undefined alias 'unknown'"),
        ("target:\n\tendpoint: a", "line 2, column 1: not YAML: "),
        ("a: 1\n---\nb: 2", "line 2, column 1: not YAML: expected a single document in the stream"),
        ("target: !!python/object/apply:os.system [id]", "line 1, column 9: not YAML: could not determine a constr"),
        ("{[1]: 2}", "line 1, column 2: not YAML: while constructing a mapping, found unhashable key"),
        ("a: 2001-99-99", "not YAML: month must be in 1..12"),
        ("a: !!int ''", "not YAML: "),
        ("a\0b: 1", "not YAML: unacceptable character #x0000"),
        ("target: {endpoint: a}\ntarget: {endpoint: b}", "line 2, column 1: 'target' is given twice; accepted: once"),
        ("phases: [{name: a, 'name': b}]", "line 1, column 20: 'name' is given twice; accepted: once"),
        ("- target", "a list is not accepted: a mapping of target, request, phases, arrivals, "),
        ("target", "'target' is not accepted: a mapping of target"),
        ("7", "7 is not accepted: a mapping of target"),
        ("1: 2", "[1]: unknown key; accepted: target, request"),
        ("target: {null: 2}", "target.None: unknown key; accepted: endpoint"),
        ("'a b\\n': 2", "'a b\\\\n': unknown key; accepted: target"),
        ("a: &a [*a]", "more than 20000 values, with aliases written out; accepted: up to that many"),
        ("[" * 5000, "nested too deeply; accepted: a mapping of target"),
        ("request: {content_type: a/b, body: \"\\ud800\"}", "request.body: '\\ud800' is not accepted: a text"),
        ("request: {expect: [%s]}" % ("x, " * 5000), "request.expect: a list is not accepted: a text"),
        ("arrivals: {spacing: %s}" % ("x" * 5000), "arrivals.spacing: 'xxxxx"),
    ],
)  # fmt: skip
def test_what_is_no_configuration_is_refused_in_one_line(text: str, said: str) -> None:
    assert refusal(text).startswith(f"x.yaml: {said}")


@pytest.mark.parametrize("link", ["[{0}]", "{{<<: [{0}]}}"], ids=["lists", "merged mappings"])
def test_aliases_that_multiply_are_refused_before_they_are_written_out(link: str) -> None:
    bomb = "a0: &a0 {x: 1}\n"
    for i in range(1, 12):
        bomb += f"a{i}: &a{i} {link.format(', '.join([f'*a{i - 1}'] * 9))}\n"
    assert refusal(bomb).startswith("x.yaml: more than 20000 values, with aliases written out")


@pytest.mark.parametrize(("data", "text"), [([], "an empty list"), (None, "nothing"), ("{}", "'{}'")])
def test_a_dictionary_that_is_none_is_refused_in_one_line(data: object, text: str) -> None:
    with pytest.raises(ConfigError, match=rf"^run\.json: {text} is not accepted: a mapping of target, "):
        RunConfig.from_dict(data, "run.json")


def test_a_file_that_cannot_be_used_is_named_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes("target: {endpoint: é}".encode("latin-1"))
    (tmp_path / "large.yaml").write_bytes(b"#" * 300_000)
    for name, said in {
        "absent.yaml": "cannot be read: No such file or directory; accepted: a YAML file",
        ".": "cannot be read: Is a directory; accepted: a YAML file",
        "nul\0.yaml": "cannot be read: embedded null byte; accepted: a YAML file",
        "latin.yaml": "byte 19 is not UTF-8; accepted: a YAML file in UTF-8",
        "large.yaml": "larger than 262144 bytes; accepted: a YAML file up to that size",
    }.items():
        with pytest.raises(ConfigError) as error:
            load(tmp_path / name)
        assert str(error.value) == f"{tmp_path / name}: {said}"


def test_a_file_is_named_as_it_was_given_and_a_byte_order_mark_is_no_key(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_bytes(b"\xef\xbb\xbftarget: {endpoint: a}")
    assert load(str(file)) == parse("target: {endpoint: a}", "x.yaml")
    file.write_text("targt: {}")
    with pytest.raises(ConfigError, match=r"x\.yaml: targt: unknown key \(did you mean target\?\)"):
        load(file)


@given(st.text(max_size=200))
def test_whatever_the_text_it_is_read_or_refused_in_one_line(text: str) -> None:
    try:
        parse(text, "x.yaml")
    except ConfigError as error:
        assert "\n" not in str(error)
        assert str(error).startswith("x.yaml: ")


# What YAML has beside plain values, or what is none.
STRANGE = r"""
*x | &x [*x] | !!python/object:os.system x | !!binary = | !!timestamp 2026-99-99 | 2026-11-24T10:00:00
9999999999-01-01 | 0x | 1_0:60.5 | .nan | -.inf | 1e400 | ~ | ? {a: b} | {a: 1, a: 2}
<<: [1] | <<: {phases: 1} | %YAML 9.9 | --- | ...
\x00 | \x1b[2J | \xc2\x85 | \xff | \xf0\x9f\x98\x80 | \xe2\x80\xae | \t | ' | "\\ud800" | "\\x00" | - - - -
!!set {a, b} | !!omap [a: 1]
!!int x | !!float x | !!bool x | !!null x | !!str | ! | !<x> | ! {} | = | $$$
"""
STRANGE_BYTES = [
    text.strip(" ").encode().decode("unicode_escape").encode("latin-1") for text in re.split(r"[|\n]", STRANGE)
]
SPECIAL = [*STRANGE_BYTES, b"[" * 3_000, b"{a: " * 500, b"1" * 5_000]
FILES = [FULL.encode(), *(path.read_bytes() for path in sorted(CONFIGS.glob("*.yaml"))), SCRIPT]


@given(st.sampled_from(FILES), st.data())
def test_a_damaged_file_is_read_or_refused_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, whole: bytes, data: st.DataObject
) -> None:
    text = data.draw(st.just(whole) | spoilt(whole))
    for _ in range(data.draw(st.integers(0, 2))):
        at = data.draw(st.integers(0, len(text)))
        # In place of a value, or anywhere.
        at = data.draw(st.sampled_from([at, text.find(b":", at) + 1, text.find(b"\n", at) + 1]))
        before, strange = data.draw(st.sampled_from([b"", b" ", b"\n"])), data.draw(st.sampled_from(SPECIAL))
        text = text[:at] + before + strange + text[at:]
    path = tmp_path_factory.getbasetemp() / "damaged.yaml"
    path.write_bytes(text)
    try:
        config = load(path)
        config.schedule()
    except ConfigError as error:
        assert str(error).startswith(f"{path}: ") and str(error).isprintable() and len(str(error)) < 1_000
    else:
        assert RunConfig.from_dict(json.loads(json.dumps(config.as_dict()))) == config


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(KEYS), json_values)
def test_whatever_the_value_it_is_read_or_refused_in_one_line(
    where: tuple[tuple[str | int, ...], str, bool], value: Any
) -> None:
    path, key, _ = where
    data = yaml.safe_load(FULL)
    section = data
    for part in path:
        section = section[part]
    section[key] = value
    try:
        config = RunConfig.from_dict(data, "x.yaml")
    except ConfigError as error:
        assert "\n" not in str(error)
        assert str(error).startswith("x.yaml: ")
    else:
        assert RunConfig.from_dict(config.as_dict()) == config
