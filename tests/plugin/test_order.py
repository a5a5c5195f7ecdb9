"""Phases that were written down and will not be played are said at the start, and the guard names what will."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import gevent
from locust import FastHttpUser, LoadTestShape, User, constant, task
from locust.env import Environment

import msgpack
import pytest

from sm_locust.config import ConfigError, RunConfig
from sm_locust.feeders import Feeder
from sm_locust.load.invoker_users import ContainerUser
from sm_locust.load.player import ScenarioUser
from sm_locust.load.shapes import CapacityShape, ConfigShape, PhasesShape
from sm_locust.load.users import ArrivalUser
from sm_locust.plugin.options import Options
from sm_locust.plugin.order import (
    LARGEST_SENT,
    _say_what_is_not_played,
    received_payloads,
    received_tables,
    resolve,
)
from sm_locust.plugin.setup import setup
from sm_locust.schedule import Phase, Schedule

PHASES: dict[str, Any] = {"phases": [{"name": "mine", "duration": "20m", "arrival_rate": 10}]}
OTHER = Schedule([Phase("warm up", 3600, 200, ramp_to=600)])


@pytest.mark.parametrize(
    ("written", "schedule", "source", "said"),
    [
        (PHASES, OTHER, "shape WarmUpMaxLoad", "shape WarmUpMaxLoad is played"),
        (PHASES, None, "users", "Locust's own user count (-u) is the plan"),
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


HERE = RunConfig()
ELSEWHERE = RunConfig.from_dict({**PHASES, "target": {"container": "http://192.0.2.1"}})


class Anybody(ArrivalUser):
    @task
    def nothing(self) -> None: ...

    @classmethod
    def addresses(cls, config: RunConfig) -> Iterable[str]:
        return config.urls()


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


class Rows(Container):
    payloads = Feeder(["1", "2"], "once")


class Numbers(Container):
    payloads = Feeder(map(str, range(9)))


class Again(Container):
    payloads = Feeder(["1", "2"])


@pytest.mark.parametrize(
    ("user_class", "order", "said"),
    [
        (Container, "once", "request: payloads that end a run are not accepted with workers"),
        (Rows, "sequential", "Rows.payloads: payloads that end a run"),
        (Numbers, "sequential", "Numbers.payloads: payloads that end a run"),
        (Again, "once", ""),
        (Container, "random", ""),
    ],
)
def test_what_is_sent_once_is_sent_by_one_process(
    tmp_path: Path, user_class: type[ContainerUser], order: str, said: str
) -> None:
    (tmp_path / "rows.csv").write_text("1\n2\n")
    written = {
        "target": {"container": "http://127.0.0.1:9"},
        "request": {"payloads": str(tmp_path / "rows.csv"), "order": order},
    }
    options = Options(RunConfig.from_dict(written), str(tmp_path))
    environment = Environment(user_classes=[user_class])
    resolve(environment, options)
    runner = environment.create_master_runner("127.0.0.1", 0)
    try:
        refused = pytest.raises(ConfigError, match=f"^{said}.*start one process, without --master and --processes$")
        with refused if said else contextlib.nullcontext():
            resolve(environment, options)
    finally:
        runner.quit()


def test_a_class_whose_feeder_cannot_be_read_is_refused_by_name_and_one_with_a_feeder_needs_no_other(
    tmp_path: Path,
) -> None:
    target = {"target": {"container": "http://127.0.0.1:9"}}
    options = Options(RunConfig.from_dict(target), str(tmp_path))
    resolve(Environment(user_classes=[Again]), options)
    with pytest.raises(ConfigError, match=r"Container has nothing to send: .*payloads = Feeder"):
        resolve(Environment(user_classes=[Container]), options)

    class Absent(Container):
        payloads = Feeder("absent.csv")

    with pytest.raises(ConfigError, match=r"^Absent\.payloads: absent\.csv: No such file"):
        resolve(Environment(user_classes=[Absent]), options)


class Played(ConfigShape):
    pass


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"speed": 5}, "speed 5 is not accepted: one of 1, 2, 3, 6, 12, 60"),
        ({"speed": 60, "config": ELSEWHERE}, "speed 60 is for a local endpoint only: 192.0.2.1 is 192.0.2.1"),
        ({"run_dir": "/proc/nowhere"}, "run_dir /proc/nowhere: not a folder that can be made"),
        ({"config": HERE}, "Played plays the phases of the configuration, and of the program has none"),
        ({}, "Played plays the phases of the configuration, and there is none: give config"),
    ],
)
def test_what_setup_refuses_is_called_as_setup_calls_it_and_a_later_call_orders_what_can_be_run(
    tmp_path: Path, given: dict[str, Any], said: str
) -> None:
    environment = Environment(user_classes=[Anybody], shape_class=Played())
    environment.create_local_runner()
    good: dict[str, Any] = {"config": RunConfig.from_dict({**PHASES, "arrivals": {"per_user": 2}}), "run_dir": tmp_path}
    with pytest.raises(ConfigError) as refused:
        setup(environment, **{**(good if given else {}), **given})
    assert str(refused.value).startswith(said)
    live = setup(environment, **{**good, "speed": 1})
    assert live is not None
    assert live.order().config.arrivals.per_user == 2
    assert setup(environment, speed=60) is live
    assert (live.order().speed, live.order().run_dir) == (60, str(tmp_path))
    assert live.order().config.arrivals.per_user == 2, "what is not given stays as it was"


def test_a_first_setup_after_the_start_is_refused(tmp_path: Path) -> None:
    environment = Environment(user_classes=[Anybody], shape_class=Steady())
    runner = environment.create_local_runner()
    runner.start_shape()
    with pytest.raises(ConfigError, match=r"^setup: the runner has been started before: call setup first"):
        setup(environment, run_dir=tmp_path)
    runner.quit()


def test_a_wait_time_that_has_no_part_in_the_run_is_said(caplog: pytest.LogCaptureFixture) -> None:
    class Patient(Anybody):
        wait_time = constant(1)

    with caplog.at_level(logging.WARNING):
        resolve(Environment(user_classes=[Anybody, Patient]), Options())
    assert [said for said in caplog.messages if "wait_time" in said] == [
        "Patient.wait_time has no part in the run: an ArrivalUser does not wait; per_user says how many arrivals a "
        "second it stands for"
    ]


class Steady(PhasesShape):
    phases = (Phase("steady", 60, 10),)


class Brief(PhasesShape):
    phases = (Phase("brief", 3, 20),)


def test_the_next_run_is_of_the_shape_and_the_users_that_the_environment_has_then(tmp_path: Path) -> None:
    environment = Environment(user_classes=[Anybody], shape_class=Steady())
    environment.create_local_runner()
    live = setup(environment, run_dir=tmp_path)
    assert live is not None
    assert live.schedule_to_play().duration == 60
    environment.shape_class = Brief()
    assert live.schedule_to_play().duration == 3, "also where nobody calls setup"
    environment.shape_class = Steady()
    setup(environment)
    assert live.schedule_to_play().duration == 60
    environment.user_classes = [Anybody, Loops]
    with pytest.raises(ConfigError, match="Loops is not an ArrivalUser"):
        setup(environment)


def test_a_configuration_of_another_kind_is_refused_until_one_is_given(tmp_path: Path) -> None:
    environment = Environment(user_classes=[Anybody])
    environment.create_local_runner()
    told: list[dict[str, Any]] = [{"config": {"slo": {}}}, {"run_dir": tmp_path}]
    for given in told:
        with pytest.raises(
            ConfigError, match=r"^config: \{'slo': \{\}\} is not accepted: a file, or a RunConfig, such as"
        ):
            setup(environment, **given)
    live = setup(environment, RunConfig())
    assert live is not None
    assert live.order().run_dir == str(tmp_path)


class Loops(User):
    @task
    def browse(self) -> None: ...


@pytest.mark.parametrize("shape", [Steady, Find])
@pytest.mark.parametrize("others", [[Again], []], ids=["beside arrivals", "alone"])
def test_a_user_that_loops_is_refused_beside_a_shape_of_ours_which_it_would_take_users_of(
    tmp_path: Path, shape: type[LoadTestShape], others: list[type[User]]
) -> None:
    written = {"target": {"container": "http://127.0.0.1:9"}, "slo": {"error_rate": "1%"}}
    options = Options(RunConfig.from_dict(written), str(tmp_path))
    resolve(Environment(user_classes=[*others, Loops]), options)  # without a shape each has the users that Locust gives
    with pytest.raises(
        ConfigError, match=r"^Loops is not an ArrivalUser: .*; make it class Loops\(ArrivalUser, …\), or"
    ):
        resolve(Environment(user_classes=[*others, Loops], shape_class=shape()), options)


class Nowhere(ArrivalUser, FastHttpUser):
    @task
    def browse(self) -> None: ...


class Pairs(PhasesShape):
    phases = [("p", 3, 5)]  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"user_classes": [Nowhere]}, "Nowhere has no host: give host in the class, or --host URL"),
        ({"user_classes": [Anybody], "shape_class": Pairs()}, "Pairs.phases: .* is not accepted: a list of Phase"),
    ],
)
def test_what_a_locustfile_leaves_out_is_refused_in_a_sentence(
    tmp_path: Path, environment: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=f"^{said}$"):
        resolve(Environment(**environment), Options(RunConfig(), str(tmp_path)))


def test_a_host_of_the_command_line_is_as_good(tmp_path: Path) -> None:
    resolve(Environment(user_classes=[Nowhere], host="http://127.0.0.1:9"), Options(RunConfig(), str(tmp_path)))


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


def test_a_run_whose_feeder_fails_at_its_start_sends_nothing_leaves_no_folder_and_the_next_may_do_better(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tries: list[str] = []

    def rows() -> Iterator[str]:
        tries.append("once")
        if len(tries) == 1:
            raise OSError("the share is not mounted")
        yield "1"

    class Mounted(Container):
        payloads = Feeder(rows)

    environment = Environment(user_classes=[Mounted])
    runner = environment.create_local_runner()
    live = setup(environment, RunConfig.from_dict({"target": {"container": "http://127.0.0.1:9"}}), run_dir=tmp_path)
    assert live is not None
    for failed, folders in (("Mounted.payloads: OSError: the share is not mounted", 0), ("", 1)):
        runner.start(1, spawn_rate=1)
        gevent.sleep(0.1)
        runner.stop()
        live.finish()
        assert live.failed == failed
        assert len(list(tmp_path.iterdir())) == folders
    runner.quit()
