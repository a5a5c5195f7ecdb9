"""Phases that were written down and will not be played are said at the start, and the guard names what will."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from locust import task
from locust.env import Environment

import msgpack
import pytest

from sm_locust.config import ConfigError, RunConfig
from sm_locust.load.scenario import ScenarioUser
from sm_locust.load.shapes import CapacityShape
from sm_locust.load.users import ContainerUser
from sm_locust.plugin.options import Options
from sm_locust.plugin.order import (
    LARGEST_SENT,
    _say_what_is_not_played,
    received_payloads,
    received_tables,
    resolve,
)
from sm_locust.schedule import Phase, Schedule

PHASES: dict[str, Any] = {"phases": [{"name": "mine", "duration": "20m", "arrival_rate": 10}]}
OTHER = Schedule([Phase("warm up", 3600, 200, ramp_to=600)])


@pytest.mark.parametrize(
    ("written", "schedule", "source", "said"),
    [
        (PHASES, OTHER, "shape WarmUpMaxLoad", "shape WarmUpMaxLoad is played"),
        (PHASES, None, "users", "Locust's own user count is the plan"),
        (PHASES, RunConfig.from_dict(PHASES).schedule(), "config mine.yaml", ""),
        (PHASES, RunConfig.from_dict(PHASES).schedule(), "shape TheSame", ""),
        ({}, OTHER, "shape WarmUpMaxLoad", ""),
    ],
)
def test_phases_that_are_not_played_are_named_beside_what_is(
    written: dict[str, Any], schedule: Schedule | None, source: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        _say_what_is_not_played(RunConfig.from_dict(written), schedule, source)
    assert bool(caplog.messages) is bool(said)
    assert said in " ".join(caplog.messages)


def test_a_guard_that_a_shape_goes_past_names_the_shape() -> None:
    config = RunConfig.from_dict({**PHASES, "guard": {"max_requests": 50_000}})
    config.check_guard(1)
    with pytest.raises(ConfigError, match="the schedule of shape WarmUpMaxLoad sends 1,440,000 requests and guard"):
        config.check_guard(1, OTHER, "shape WarmUpMaxLoad")


class Container(ContainerUser):
    @task
    def one(self) -> None:
        self.invoke()


class Find(CapacityShape):
    pass


def test_phases_that_a_search_does_not_play_are_not_held_against_the_guard(tmp_path: Path) -> None:
    written = {
        "target": {"container": "http://127.0.0.1:9"},
        "request": {"content_type": "text/csv", "body": "1"},
        **PHASES,
        "slo": {"latency_p99": "50ms"},
        "guard": {"max_requests": 100},
    }
    environment = Environment(user_classes=[Container], shape_class=Find())
    order = resolve(environment, Options(RunConfig.from_dict(written), str(tmp_path)))
    assert order.searches


SCRIPT = """
config:
  target: http://127.0.0.1:9
  phases: [{duration: 5, arrivalRate: 100}]
  environments: {small: {phases: [{arrivalRate: 20}]}}
_trace: true
scenarios: [{flow: [{post: {url: /, json: 1}}]}]
"""


def test_a_script_is_ordered_with_the_environment_that_was_asked_for_and_what_is_to_be_said(tmp_path: Path) -> None:
    path = tmp_path / "script.yml"
    path.write_text(SCRIPT)
    asked = Options.parsed({"sm_config": str(path), "sm_run_dir": str(tmp_path), "sm_environment": "small"})
    order = resolve(Environment(user_classes=[Container]), asked)
    assert order.config.phases is not None
    assert order.config.phases[0].arrival_rate == 20
    assert order.notes[0].startswith("_trace: no effect here")
    with pytest.raises(ConfigError, match=r"script\.yml: config.environments: 'large' is not among them"):
        resolve(Environment(user_classes=[Container]), Options(path, str(tmp_path), environment="large"))
    with pytest.raises(ConfigError, match="--sm-environment small: not accepted: only with a script"):
        resolve(Environment(user_classes=[Container]), Options(None, str(tmp_path), environment="small"))


@pytest.mark.parametrize("more", [0, 1])
def test_payloads_go_along_with_the_order_or_are_the_same_on_each_worker(tmp_path: Path, more: int) -> None:
    bodies = tmp_path / "bodies"
    bodies.mkdir()
    file = bodies / "one.csv"
    file.write_bytes(b"1" * (LARGEST_SENT + more))
    written = {
        "target": {"container": "http://127.0.0.1:9"},
        "request": {"content_type": "text/csv", "payloads": str(bodies)},
    }
    config = RunConfig.from_dict(written)
    order = resolve(Environment(user_classes=[Container]), Options(config, str(tmp_path)))
    message = msgpack.loads(msgpack.dumps(order.message()))
    assert (len(msgpack.dumps(message)) < 10_000) == bool(more)
    assert received_payloads(message, config) == order.payloads
    file.write_bytes(b"2" * (LARGEST_SENT + more))
    if not more:
        assert received_payloads(message, config) == order.payloads
        return
    with pytest.raises(ConfigError, match="bodies holds something else here than on the master"):
        received_payloads(message, config)
    file.unlink()
    with pytest.raises(ConfigError, match="bodies"):
        received_payloads(message, config)


FEED = {"file": "users.csv", "fields": ["id"]}
STEP = {"method": "get", "url": "http://127.0.0.1:9/{{ id }}"}


class Plays(ScenarioUser):
    @task
    def one(self) -> None:
        self.play()


@pytest.mark.parametrize("more", [0, 1])
def test_feeds_go_along_with_the_order_or_are_the_same_on_each_worker(tmp_path: Path, more: int) -> None:
    file = tmp_path / "users.csv"
    file.write_bytes(b"1" * (LARGEST_SENT - 2) + b"\n2" + b"3" * more)
    written = {"feeds": [{**FEED, "file": str(file)}], "scenarios": [{"name": "a", "steps": [STEP]}]}
    config = RunConfig.from_dict(written)
    order = resolve(Environment(user_classes=[Plays]), Options(config, str(tmp_path)))
    message = msgpack.loads(msgpack.dumps(order.message()))
    assert (len(msgpack.dumps(message)) < 10_000) == bool(more)
    assert received_tables(message, config) == order.tables
    file.write_bytes(file.read_bytes()[:-1] + b"9")
    if not more:
        assert received_tables(message, config) == order.tables
        return
    with pytest.raises(ConfigError, match=r"feeds: .*users\.csv: something else here than on the master"):
        received_tables(message, config)


def test_feeds_and_the_environment_are_looked_at_before_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SHOP_TOKEN", raising=False)
    environment, where = Environment(user_classes=[Plays]), str(tmp_path)
    secret = {**STEP, "headers": {"a": "{{ $env.SHOP_TOKEN }}"}}
    for step, said in ((STEP, r"feeds\[0\].file: .*users\.csv: No such file"), (secret, "variable SHOP_TOKEN")):
        config = RunConfig.from_dict({"feeds": [FEED], "scenarios": [{"name": "a", "steps": [step]}]})
        with pytest.raises(ConfigError, match=said):
            resolve(environment, Options(config, where))
