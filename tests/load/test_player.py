"""Runs of scenarios in one process, against a server that remembers what it was asked."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import gevent
from locust import FastHttpUser, task
from locust.env import Environment

import pytest

from sm_locust import tables
from sm_locust.config import ConfigError, RunConfig
from sm_locust.load.generator import Generator
from sm_locust.load.invoker_users import ApiGatewayUser, ContainerUser, InvokeEndpointUser
from sm_locust.load.player import ScenarioUser
from sm_locust.load.users import ArrivalUser
from sm_locust.record.clock import RunClock
from sm_locust.record.interval import ARRIVALS, Interval
from sm_locust.record.outcome import CANCELLED
from tests.oracles import shop
from tests.oracles.shop import Shop, counted


class Script(ScenarioUser):
    @task
    def run_one(self) -> None:
        self.play()


class Mixed(ScenarioUser, FastHttpUser):
    """What another client sends before and after a run of a scenario is counted too."""

    @task
    def run_all(self) -> None:
        self.client.get("/status/500")
        self.play()
        self.client.get("/slow")

    def on_stop(self) -> None:
        self.client.client.close()


class Starts(ScenarioUser):
    """Takes its time before its first arrival."""

    def on_start(self) -> None:
        gevent.sleep(0.3)

    @task
    def run_one(self) -> None:
        self.play()


class InParallel(ScenarioUser):
    @task
    def run_two(self) -> None:
        first = gevent.spawn(self.play)
        gevent.sleep(0.1)
        try:
            self.play()
        finally:
            first.join()


class Limited(ScenarioUser):
    """A limit of its own, which ends it in a pause or in a request."""

    @task
    def run_one(self) -> None:
        with gevent.Timeout(0.2):
            self.play()


class Twice(ScenarioUser):
    """Another task than the shipped one: two runs, and a fault of its own at the end."""

    @task
    def run_two(self) -> None:
        self.play()
        self.play()
        raise ValueError("mine")


@pytest.fixture(scope="module")
def open_shop() -> Iterator[Shop]:
    with shop.running() as found:
        yield found


class Played:
    """What came of a number of arrivals at once.

    seen       by the server
    whole      counts of all names together
    by_name    counts of each
    failures   the first of each kind
    cut_short  runs that were ended in a pause
    events     Locust's `request` events, in order
    """

    def __init__(self, open_shop: Shop, scenarios: list[dict[str, Any]], arrivals: int, **more: Any) -> None:
        user_class: type[ArrivalUser] = more.pop("user_class", Script)
        patience, wait = more.pop("patience", 5.0), more.pop("wait", 0.0)
        tables, check = more.pop("tables", ()), more.pop("check", lambda generator: None)
        more = {"arrivals": more.pop("limits", {}), **more}
        config = RunConfig.from_dict({"scenarios": scenarios, **more}, "test")
        assert not (problem := user_class.problem(config)), problem
        environment = Environment(user_classes=[user_class])
        self.events: list[dict[str, Any]] = []
        environment.events.request.add_listener(lambda **event: self.events.append(event))
        generator = Generator(environment, config, RunClock.start(), (), tables=tables)
        environment.generator = generator  # type: ignore[attr-defined]
        try:
            generator.prepare()
            for _ in range(arrivals):
                generator._arrive(user_class, generator.now())
            gevent.sleep(wait)
            check(generator)
            generator.drain(patience)
            shipment = generator.shipment()
            self.intervals, self.failures = shipment.intervals, shipment.failures
            self.cut_short = shipment.cut_short
            assert generator.shipment().cut_short == 0  # told once
        finally:
            generator.close()
        self.whole, self.by_name = Interval(0.0, ARRIVALS), dict[str, Interval]()
        for interval in self.intervals:
            self.whole.merge(interval)
            self.by_name.setdefault(interval.name, Interval(0.0, interval.name)).merge(interval)
        self.seen = open_shop.seen()
        whole = self.whole
        assert whole.ok + whole.failed + whole.cancelled == whole.sent + whole.further
        assert len(self.events) == whole.sent + whole.further


@pytest.fixture
def play(open_shop: Shop) -> Callable[..., Played]:
    def of(*steps: dict[str, Any], arrivals: int = 1, **more: Any) -> Played:
        given = [
            {key: open_shop.url + value if key == "url" else value for key, value in step.items()} for step in steps
        ]
        given = [step if "think" in step else {"method": "get", **step} for step in given]
        return Played(open_shop, [{"name": "a", "steps": given}], arrivals, **more)

    return of


def test_steps_follow_each_other_and_each_is_an_outcome_of_its_own(play: Callable[..., Played]) -> None:
    found = play({"url": "/a"}, {"url": "/b", "method": "post", "json": {}}, {"url": "/c", "name": "third"}, arrivals=7)
    assert counted(found.seen) == {"GET /a": 7, "POST /b": 7, "GET /c": 7}
    assert (found.whole.sent, found.whole.further, found.whole.ok) == (7, 14, 21)
    assert {name: interval.ok for name, interval in found.by_name.items() if name} == {
        "GET /a": 7, "POST /b": 7, "third": 7
    }  # fmt: skip
    told = [(event["request_type"], event["name"]) for event in found.events]
    assert set(told) == {("GET", "/a"), ("POST", "/b"), ("GET", "third")}


def test_a_later_request_is_scheduled_when_the_one_before_was_answered_and_the_pause_over(
    play: Callable[..., Played],
) -> None:
    found = play({"url": "/a"}, {"url": "/b"}, {"think": "300ms"}, {"url": "/c"})
    a, b, c = (event["outcome"] for event in found.events)
    assert b.scheduled_at == a.ended_at
    assert c.scheduled_at == pytest.approx(b.ended_at + 0.3)
    assert c.started_at >= c.scheduled_at


def test_an_error_goes_on_and_a_connection_that_breaks_ends_the_run_of_the_scenario(
    play: Callable[..., Played],
) -> None:
    steps = ({"url": "/status/500"}, {"url": "/status/302"}, {"url": "/a"}, {"url": "/broken"}, {"url": "/never"})
    found = play(*steps)
    assert [event["outcome"].kind for event in found.events] == ["internal", "redirect", "ok", "reset"]
    assert "GET /never" not in counted(found.seen)
    assert (found.whole.sent, found.whole.further, found.whole.failed, found.whole.ok) == (1, 3, 3, 1)


def test_every_method_is_sent_and_an_answer_to_head_ends_with_its_head(play: Callable[..., Played]) -> None:
    methods = ["get", "post", "put", "patch", "delete", "head", "options"]
    found = play(*({"url": "/a", "method": method} for method in [*methods, "head", "get"]))
    assert [each["method"] for each in found.seen] == [method.upper() for method in [*methods, "head", "get"]]
    assert found.whole.ok == 9
    assert sum(interval.connect.count for interval in found.intervals) == 1  # that of the first served all of them


def test_cookies_are_kept_for_one_run_of_a_scenario(play: Callable[..., Played]) -> None:
    found = play({"url": "/a"}, {"url": "/cookie/k/1"}, {"url": "/b"}, {"url": "/only"}, arrivals=2)
    sent = {(each["target"], each["headers"].get("cookie")) for each in found.seen}
    assert sent == {("/a", None), ("/cookie/k/1", None), ("/b", "k=1"), ("/only", "other=1; k=1")}


def test_a_cookie_comes_back_byte_for_byte_and_its_domain_may_be_the_hosts_own(
    play: Callable[..., Played], monkeypatch: pytest.MonkeyPatch, open_shop: Shop
) -> None:
    by_name = open_shop.url.replace("127.0.0.1", "localhost")
    monkeypatch.setattr(open_shop, "url", by_name)
    given = ("a=%C3%A9", "b=1;Domain=localhost", "c=1;domain=", "d=1;Domain=.LOCALHOST", "e=1;Domain=other", "f=%FF")
    query = "&".join(f"set={each}".replace(";", "%3B") for each in given)
    found = play({"url": f"/cookies?{query}"}, {"url": "/b"})
    sent = set(found.seen[1]["headers"]["cookie"].encode("latin-1").split(b"; "))
    assert sent == {b"a=\xc3\xa9", b"b=1", b"c=1", b"d=1", b"f=\xff"}


def test_values_are_drawn_once_for_a_run_of_a_scenario(
    play: Callable[..., Played], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_TOKEN", "t0ken")
    feed = {"file": "ids.csv", "fields": ["id", "colour"]}
    config = RunConfig.from_dict({"feeds": [feed]}, "test")
    parsed = tables.parse(config.feeds, [b"1,x\n2,x\n3,x\n"])
    headers = {"a": "{{ $env.SHOP_TOKEN }}"}
    found = play(
        {"url": "/{{ id }}?c={{ colour }}&u={{ $uuid }}", "headers": headers},
        {"url": "/again/{{ id }}?c={{ colour }}&u={{ $uuid }}"},
        arrivals=40,
        tables=parsed,
        feeds=[feed],
        variables={"colour": ["red", "blue"]},  # which wins over the column
    )
    first = [each for each in found.seen if not each["target"].startswith("/again")]
    again = {each["target"].removeprefix("/again") for each in found.seen} - {each["target"] for each in first}
    assert again == set()
    assert len({each["target"].partition("&u=")[2] for each in first}) == 40
    ids = counted(first)
    assert sorted(ids.values()) == [13, 13, 14]
    assert {each["target"].partition("c=")[2].partition("&")[0] for each in first} == {"red", "blue"}
    assert {each["headers"]["a"] for each in first} == {"t0ken"}
    assert set(found.by_name) == {ARRIVALS, "GET /{{ id }}", "GET /again/{{ id }}"}


def test_a_value_that_is_not_there_fails_one_request_and_ends_its_run(play: Callable[..., Played]) -> None:
    found = play({"url": "/a"}, {"url": "/{{ user.name }}"}, {"url": "/b"}, variables={"user": [{"id": 1}]})
    assert counted(found.seen) == {"GET /a": 1}
    assert [event["outcome"].kind for event in found.events] == ["ok", "task_error"]
    assert found.events[1]["outcome"].message == "nothing was sent: {{ user.name }} has no value"


def test_what_a_server_sends_back_of_the_environment_is_not_kept(
    play: Callable[..., Played], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_TOKEN", secret := "a/secret of mine+é")
    monkeypatch.setenv("SHOP_KEY", "k3y" * 70)  # part of which is cut off with the end of a message
    step = {"headers": {"authorization": "Bearer {{ $env.SHOP_TOKEN }}", "b": "{{ $env.SHOP_KEY }}"}}
    found = play(
        {"url": "/status/500?q={{ $env.SHOP_TOKEN }}", **step},
        {"url": "/status/302", **step},
        {"url": "/b", **step},
        {"url": "/status/200", **step},
        request={"expect": "well"},
    )
    assert found.seen[2]["headers"]["authorization"].encode("latin-1").decode() == f"Bearer {secret}"
    told = {failure["kind"]: failure["message"] for failure in found.failures}
    assert set(told) == {"internal", "redirect", "unexpected_answer"}
    assert told["internal"].startswith("as you say: /status/500?q=(not kept) {")
    assert told["redirect"] == "to /to?Bearer (not kept)"
    assert told["unexpected_answer"].startswith("no 'well' in the answer ")
    assert "secret" not in str(told) and "k3y" not in str(told)


def test_what_is_expected_is_not_expected_of_answers_without_a_body(play: Callable[..., Played]) -> None:
    steps = ({"url": "/a", "method": "head"}, {"url": "/status/204"}, {"url": "/a"})
    assert play(*steps, request={"expect": "well"}).whole.ok == 3
    missed = play(*steps, request={"expect": "ill"})
    assert [failure["message"] for failure in missed.failures] == ["no 'ill' in the answer 'well'"]


def test_an_arrival_is_in_flight_in_its_pauses_too(play: Callable[..., Played]) -> None:
    def check(generator: Generator) -> None:
        assert (generator.recorder.in_flight, generator.in_flight) == (0, 2)
        for _ in range(2):
            generator._arrive(Script, generator.now())

    steps = ({"url": "/a"}, {"think": "500ms"}, {"url": "/b"})
    found = play(*steps, arrivals=2, wait=0.2, check=check, limits={"max_in_flight": 2})
    assert (found.whole.dropped, found.whole.sent, found.whole.further) == (2, 2, 2)


def test_a_run_that_is_cut_short_in_a_pause_owes_no_outcome_and_says_so(
    play: Callable[..., Played], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        found = play({"url": "/a"}, {"think": "1m"}, {"url": "/b"}, arrivals=3, wait=0.2, patience=0.05)
    assert (found.whole.sent, found.whole.further, found.whole.ok, found.whole.cancelled) == (3, 0, 3, 0)
    assert "3 runs of a scenario were in a pause when the run's patience ended" in caplog.text
    assert found.cut_short == 3


def test_a_request_that_is_cut_short_is_cancelled_and_ends_its_run(play: Callable[..., Played]) -> None:
    found = play({"url": "/a"}, {"url": "/slow"}, {"url": "/b"}, wait=0.2, patience=0.05)
    assert [event["outcome"].kind for event in found.events] == ["ok", CANCELLED]
    assert (found.whole.sent, found.whole.further, found.whole.cancelled) == (1, 1, 1)


def test_a_task_may_run_several_and_its_own_fault_is_one_more(play: Callable[..., Played]) -> None:
    found = play({"url": "/a"}, {"url": "/b"}, user_class=Twice)
    assert counted(found.seen) == {"GET /a": 2, "GET /b": 2}
    assert [event["outcome"].kind for event in found.events] == ["ok"] * 4 + ["task_error"]
    assert (found.whole.sent, found.whole.further) == (1, 4)


def test_what_another_client_sent_around_a_run_is_counted_with_its_failures(
    play: Callable[..., Played], open_shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Mixed, "host", open_shop.url)
    found = play({"url": "/a"}, {"url": "/b"}, user_class=Mixed)
    assert counted(found.seen) == {"GET /status/500": 1, "GET /a": 1, "GET /b": 1, "GET /slow": 1}
    assert {name: (each.ok, each.failed) for name, each in found.by_name.items() if name} == {
        "/status/500": (0, 1), "GET /a": (1, 0), "GET /b": (1, 0), "/slow": (1, 0)
    }  # fmt: skip
    assert (found.whole.sent, found.whole.further) == (1, 3)
    assert (found.by_name["/slow"].latency.max or 0) > 0.9  # from when it was sent


def test_the_on_start_of_a_user_makes_no_request_late(play: Callable[..., Played]) -> None:
    found = play({"url": "/a"}, {"url": "/b"}, arrivals=3, user_class=Starts)
    assert found.whole.ok == 6
    firsts = [event["outcome"] for event in found.events if event["name"] == "/a"]
    assert all(0.29 < first.prepared < first.latency for first in firsts), "a caller would have waited"
    late = max(event["outcome"].lateness for event in found.events)  # however busy the machine is
    assert found.whole.lateness.max == pytest.approx(late, rel=0.01, abs=1e-5)


def test_two_runs_at_once_for_one_arrival_are_refused(play: Callable[..., Played]) -> None:
    found = play({"url": "/a"}, {"think": "300ms"}, {"url": "/b"}, user_class=InParallel)
    assert counted(found.seen) == {"GET /a": 1, "GET /b": 1}
    failed = [event["outcome"].message for event in found.events if event["outcome"].kind == "task_error"]
    assert failed == ["RuntimeError: InParallel.play() is already running for this arrival"]


def test_a_limit_of_the_task_counts_no_request_that_it_did_not_end(play: Callable[..., Played]) -> None:
    paused = play({"url": "/a"}, {"think": "1s"}, {"url": "/b"}, user_class=Limited)
    assert (paused.whole.sent, paused.whole.further, paused.whole.ok, paused.whole.failed) == (1, 0, 1, 0)
    under_way = play({"url": "/a"}, {"url": "/slow"}, user_class=Limited)
    assert [event["outcome"].kind for event in under_way.events] == ["ok", "timeout"]


# -- before the run ----------------------------------------------------------------------------------------------------

STEP = {"method": "get", "url": "http://127.0.0.1:8000/"}
SCENARIOS = {"scenarios": [{"name": "a", "steps": [STEP, STEP]}]}


@pytest.mark.parametrize("user_class", [InvokeEndpointUser, ContainerUser, ApiGatewayUser])
@pytest.mark.parametrize("target", [{}, {"target": {"container": "http://127.0.0.1:8000/"}}])
def test_a_class_that_would_not_play_scenarios_names_the_locustfile_that_does(
    user_class: type[ArrivalUser], target: dict[str, Any]
) -> None:
    problem = user_class.problem(RunConfig.from_dict({**SCENARIOS, **target}, "test"))
    assert problem == (
        f"{user_class.__name__} sends one request for an arrival and the configuration has scenarios: run it with "
        "locustfiles/artillery.py"
    )


@pytest.mark.parametrize(
    ("config", "instead"),
    [
        ({}, "configuration has none: give scenarios in --sm-config FILE"),
        ({"target": {"endpoint": "a"}}, "target with one request: run locustfiles/invoke_endpoint.py"),
        ({"target": {"container": "http://127.0.0.1:8080/a"}}, "target with one request: run locustfiles/container.py"),
    ],
)
def test_a_configuration_without_scenarios_names_the_locustfile_for_it(config: dict[str, Any], instead: str) -> None:
    problem = Script.problem(RunConfig.from_dict(config, "test"))
    assert problem and problem.startswith("Script plays scenarios and the ") and problem.endswith(instead)


def test_an_environment_variable_that_is_missing_is_refused_before_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SHOP_TOKEN", raising=False)
    step = {**STEP, "headers": {"a": "{{ $env.SHOP_TOKEN }}"}}
    config = RunConfig.from_dict({"scenarios": [{"name": "a", "steps": [step]}]}, "test")
    with pytest.raises(ConfigError, match=r"need the environment variable SHOP_TOKEN, and it is not set"):
        Script.check_here(config)
    monkeypatch.setenv("SHOP_TOKEN", "x")
    Script.check_here(config)


def test_a_header_that_cannot_be_sent_is_refused_before_the_run() -> None:
    step = {**STEP, "headers": {"connection": "close"}}
    problem = Script.problem(RunConfig.from_dict({"scenarios": [{"name": "a", "steps": [step]}]}, "test"))
    assert problem == "scenarios[0].steps[0]: header 'connection': the connection sets it itself, leave it out"


def test_a_proxy_that_cannot_be_used_is_refused_before_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://a..b:3128")
    step = {**STEP, "url": "http://shop.example/"}
    config = RunConfig.from_dict({"scenarios": [{"name": "a", "steps": [step]}]}, "test")
    generator = Generator(Environment(user_classes=[Script]), config, RunClock.start(), ())
    try:
        with pytest.raises(
            ConfigError, match=r"scenarios: proxy 'http://a\.\.b:3128': accepted is a host of up to 253"
        ):
            generator.prepare()
    finally:
        generator.close()


@pytest.mark.parametrize("host", ["a..b", ".a", "a" * 64 + ".example", "exämple..com", ".".join(["a" * 63] * 4)])
def test_a_host_that_nothing_is_called_is_refused_by_name(host: str) -> None:
    said = "is not accepted: a host of up to 253 characters, each part between its dots of 1 to 63"
    with pytest.raises(ConfigError, match=rf"scenarios\[0\]\.steps\[0\]\.url: .* {said}"):
        RunConfig.from_dict({"scenarios": [{"name": "a", "steps": [{**STEP, "url": f"http://{host}/"}]}]})
