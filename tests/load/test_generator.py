"""Users that stand for arrivals, in one process: what is sent, dropped, cancelled and told to Locust."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import gevent
from locust import SequentialTaskSet, TaskSet, User, task
from locust.env import Environment

import pytest

from sm_locust.config import RunConfig, parse
from sm_locust.feeders import Feeder
from sm_locust.load.generator import Generator
from sm_locust.load.invoker import Invoker
from sm_locust.load.invoker_users import InvokeEndpointUser, InvokerUser
from sm_locust.load.users import ArrivalUser
from sm_locust.record import outcome as kinds
from sm_locust.record.clock import RunClock
from sm_locust.record.interval import ARRIVALS, Interval
from sm_locust.record.outcome import Outcome


class Bench:
    """A local runner with a generator on its environment, and the `request` events it fired."""

    def __init__(self, *user_classes: type[User], config: str = "") -> None:
        self.environment = Environment(user_classes=list(user_classes))
        self.runner = self.environment.create_local_runner()
        configuration = parse(config, "test") if config else RunConfig()
        self.generator = Generator(self.environment, configuration, RunClock.start(), ())
        self.environment.generator = self.generator  # type: ignore[attr-defined]
        self.events: list[dict[str, Any]] = []
        self.environment.events.request.add_listener(lambda **event: self.events.append(event))

    def run(self, users: int, seconds: float) -> None:
        self.runner.start(users, spawn_rate=users)
        gevent.sleep(seconds)

    def end(self, patience: float = 5.0) -> Interval:
        self.generator.drain(patience)
        whole = Interval(0.0, ARRIVALS)
        self.by_name: dict[str, Interval] = {}
        for interval in self.generator.shipment().intervals:
            whole.merge(interval)
            self.by_name.setdefault(interval.name, Interval(0.0, interval.name)).merge(interval)
        assert whole.due == whole.sent + whole.dropped
        assert whole.ok + whole.failed + whole.cancelled == whole.sent
        return whole

    def close(self) -> None:
        self.generator.close()
        self.runner.quit()


@pytest.fixture
def benches() -> Iterator[list[Bench]]:
    started: list[Bench] = []
    yield started
    for bench in started:
        bench.close()


class Stuck(ArrivalUser):
    @task
    def wait(self) -> None:
        gevent.sleep(10)


class Quick(ArrivalUser):
    @task
    def look(self) -> None:
        self.environment.events.request.fire(
            request_type="GET", name="/look", response_time=1.0, response_length=5, exception=None, context={}
        )


def test_arrivals_go_on_whatever_the_target_does(benches: list[Bench]) -> None:
    class Slow(ArrivalUser):
        @task
        def wait(self) -> None:
            gevent.sleep(2)

    bench = Bench(Slow)
    benches.append(bench)
    bench.run(users=100, seconds=1.0)
    assert bench.generator.recorder.in_flight == pytest.approx(100 * bench.generator.now(), abs=10)
    whole = bench.end()
    assert whole.ok == whole.sent >= 70
    assert whole.service_time.quantile(0.5) == pytest.approx(2.0, abs=0.2)


def test_past_max_in_flight_arrivals_are_dropped_and_counted(benches: list[Bench]) -> None:
    bench = Bench(Stuck, config="arrivals: {max_in_flight: 20}")
    benches.append(bench)
    bench.run(users=100, seconds=0.6)
    whole = bench.end(patience=0.1)
    assert whole.sent == whole.cancelled == 20
    assert whole.dropped_by_reason == {"max_in_flight": whole.due - 20}
    assert whole.due > 30


def test_what_is_in_flight_at_the_end_of_the_patience_is_cancelled_at_its_age(benches: list[Bench]) -> None:
    bench = Bench(Stuck)
    benches.append(bench)
    bench.run(users=50, seconds=0.5)
    whole = bench.end(patience=0.3)
    assert whole.cancelled == whole.sent > 15
    assert whole.latency.count == whole.cancelled
    assert 0.7 < (whole.latency.max or 0.0) < bench.generator.now()
    assert len(bench.events) == whole.sent, "each is told to Locust, too"


def test_a_task_that_will_not_end_is_counted_and_does_not_hang_the_drain(benches: list[Bench]) -> None:
    class Stubborn(ArrivalUser):
        @task
        def cling(self) -> None:
            try:
                gevent.sleep(10)
            except gevent.GreenletExit:
                gevent.sleep(3)

    bench = Bench(Stubborn)
    benches.append(bench)
    bench.run(users=20, seconds=0.3)
    whole = bench.end(patience=0.1)
    assert whole.cancelled == whole.sent > 2


def test_a_task_that_raises_is_a_failure_with_its_words_and_the_rest_go_on(
    benches: list[Bench], caplog: pytest.LogCaptureFixture
) -> None:
    class Clumsy(ArrivalUser):
        @task
        def stumble(self) -> None:
            raise KeyError("not there")

    bench = Bench(Clumsy)
    benches.append(bench)
    errors: list[BaseException] = []
    bench.environment.events.user_error.add_listener(lambda exception, **_: errors.append(exception))
    bench.run(users=40, seconds=0.5)
    failures = bench.generator.recorder.take_failures()
    whole = bench.end()
    assert whole.sent > 10
    assert failures[0]["kind"] == kinds.TASK_ERROR
    assert failures[0]["message"] == "KeyError: 'not there'"
    assert isinstance(errors[0], KeyError)
    assert [record.exc_info is not None for record in caplog.records] == [True], "its traceback, once"


def test_a_limit_that_a_task_sets_itself_is_a_timeout_at_its_age(benches: list[Bench]) -> None:
    class Impatient(ArrivalUser):
        @task
        def wait(self) -> None:
            with gevent.Timeout(0.1):
                gevent.sleep(5)

    bench = Bench(Impatient)
    benches.append(bench)
    bench.run(users=40, seconds=0.6)
    whole = bench.end()
    assert whole.by_kind == {kinds.TIMEOUT: whole.sent}
    assert 0.1 <= (whole.latency.quantile(0.5) or 0.0) < 0.3


def test_a_run_that_a_task_ends_is_counted_to_the_last_request(benches: list[Bench]) -> None:
    ended: list[Interval] = []

    class Ender(Quick):
        @task
        def look(self) -> None:
            if bench.generator.recorder.sent >= 20 and not ended:
                ended.append(bench.end(patience=1.0))

    bench = Bench(Ender)
    benches.append(bench)
    bench.run(users=100, seconds=0.2)
    with gevent.Timeout(20):
        while not ended:
            gevent.sleep(0.05)
    (whole,) = ended
    assert whole.ok == whole.sent >= 20


def test_an_on_start_that_raises_fails_the_arrival_that_needed_it(benches: list[Bench]) -> None:
    class Unready(Quick):
        def on_start(self) -> None:
            raise RuntimeError("no luck")

    bench = Bench(Unready)
    benches.append(bench)
    bench.run(users=20, seconds=0.4)
    whole = bench.end()
    assert set(whole.by_kind) == {kinds.TASK_ERROR}


def test_a_request_of_any_client_gives_the_arrival_its_outcome(benches: list[Bench]) -> None:
    bench = Bench(Quick)
    benches.append(bench)
    bench.run(users=50, seconds=0.5)
    whole = bench.end()
    assert bench.by_name["/look"].ok == whole.sent > 5
    assert whole.received == 5 * whole.sent


def test_an_arrival_of_several_requests_is_one_outcome_that_fails_with_any_of_them(benches: list[Bench]) -> None:
    class Chain(ArrivalUser):
        @task
        def walk(self) -> None:
            fire = self.environment.events.request.fire
            fire(request_type="GET", name="/a", response_time=1, response_length=1, exception=None, context={})
            gevent.sleep(0.1)
            fire(request_type="GET", name="/b", response_time=1, response_length=1, exception=OSError(), context={})

    bench = Bench(Chain)
    benches.append(bench)
    bench.run(users=30, seconds=0.5)
    whole = bench.end()
    assert set(bench.by_name) == {ARRIVALS, "/a"}
    assert whole.by_kind == {kinds.CONNECT: whole.sent}
    assert 0.1 <= (whole.failed_latency.quantile(0.5) or 0.0) < 0.3


def test_an_instance_runs_one_arrival_at_a_time_and_is_started_and_stopped_once(benches: list[Bench]) -> None:
    class Counted(ArrivalUser):
        started: ClassVar[int] = 0
        stopped: ClassVar[int] = 0
        busy = False

        def on_start(self) -> None:
            type(self).started += 1

        def on_stop(self) -> None:
            type(self).stopped += 1

        @task
        def work(self) -> None:
            assert not self.busy
            self.busy = True
            gevent.sleep(0.05)
            self.busy = False

    bench = Bench(Counted)
    bench.run(users=100, seconds=0.6)
    whole = bench.end()
    bench.close()
    assert whole.ok == whole.sent > 20
    assert 4 <= Counted.started < whole.sent, "about 100 a second × 0.05 s at a time, more after a hiccup"
    assert Counted.stopped == Counted.started


def test_a_parked_user_never_runs_the_constructor_of_a_client(benches: list[Bench]) -> None:
    class Expensive(Quick):
        made: ClassVar[int] = 0

        def __init__(self, environment: Environment) -> None:
            super().__init__(environment)
            type(self).made += 1

    bench = Bench(Expensive)
    benches.append(bench)
    bench.run(users=200, seconds=0.3)
    assert bench.runner.user_count == 200
    assert Expensive.made < 100, "one at a time, more after a hiccup"


def test_classes_keep_their_own_rates(benches: list[Bench]) -> None:
    class Rare(Quick):
        per_user = 0.5

    class Often(ArrivalUser):
        per_user = 4

        @task
        def look(self) -> None:
            pass

    bench = Bench(Rare, Often)
    benches.append(bench)
    bench.run(users=40, seconds=1.0)
    bench.generator.stop_arrivals()
    seconds = bench.generator.now()
    bench.end()
    assert bench.by_name["look"].ok == pytest.approx(80 * seconds, abs=6)
    assert bench.by_name["/look"].ok == pytest.approx(10 * seconds, abs=2)


def due_each_second(seed: int | None, index: int) -> list[int]:
    """Poisson arrivals of the process of this number at 40 a second, on a clock that is only told."""
    told = [0.0]
    clock = RunClock(0.0, 0.0, monotonic=lambda: told[0])
    config = parse(f"arrivals: {{spacing: poisson{'' if seed is None else f', seed: {seed}'}}}", "test")
    generator = Generator(Environment(user_classes=[Quick]), config, clock, (), index=index)
    generator.paused = "isolated"  # counted, and nothing is sent
    generator.add_user(Quick, 40)
    told[0] = 200.0
    generator.stop_arrivals()
    due = [interval.due for interval in generator.shipment().intervals]
    generator.close()
    return due


def test_poisson_arrivals_are_those_of_the_seed_and_differ_from_process_to_process() -> None:
    processes = [due_each_second(seed=7, index=index) for index in range(4)]
    assert processes == [due_each_second(seed=7, index=index) for index in range(4)]
    assert due_each_second(seed=8, index=0) != processes[0]
    assert due_each_second(seed=None, index=0) != due_each_second(seed=None, index=0)
    # Together they are a Poisson process again: its variance is its mean. Four in step would have four times that.
    together = [sum(second) for second in zip(*processes, strict=True)]
    mean = sum(together) / len(together)
    assert mean == pytest.approx(160, rel=0.02)
    assert sum((n - mean) ** 2 for n in together) / len(together) == pytest.approx(mean, rel=0.35)


def test_a_feeder_of_a_class_is_sent_once_and_arrivals_that_find_nothing_left_are_cancelled(
    benches: list[Bench],
) -> None:
    class Answered(Invoker):  # a socket would add nothing: what is asked here is which payloads are taken
        def __init__(self, now: Any) -> None:
            self.now, self.sent = now, list[bytes]()

        def invoke(self, body: bytes, **given: Any) -> Outcome:
            self.sent.append(body)
            gevent.sleep(0.4)
            return Outcome("one", given["scheduled_at"], self.now(), None, self.now(), status=200)

    class Twice(InvokerUser):
        payloads = Feeder([str(n) for n in range(5)], "once")

        @task
        def two(self) -> None:
            self.invoke()
            self.invoke()

        @classmethod
        def make_invoker(cls, load: Any) -> Invoker:
            return Answered(load.now)

    bench = Bench(Twice)
    benches.append(bench)
    told: list[float] = []
    bench.generator.on_used_up = lambda at, failed: told.append(at)
    bench.run(users=100, seconds=0.3)
    whole = bench.end()
    invoker = bench.generator.invoker(Twice)
    assert isinstance(invoker, Answered)
    assert sorted(invoker.sent) == [b"0", b"1", b"2", b"3", b"4"]
    assert whole.due == whole.sent == whole.cancelled == 5, "all began before any second half"
    assert len(told) == 1
    assert 0 < told[0] < bench.generator.now()


def test_a_paused_generator_drops_with_the_reason_and_goes_on_when_it_is_not(benches: list[Bench]) -> None:
    bench = Bench(Quick)
    benches.append(bench)
    bench.run(users=100, seconds=0.2)
    bench.generator.paused = "isolated"
    gevent.sleep(0.3)
    sent = bench.generator.recorder.sent
    bench.generator.paused = None
    gevent.sleep(0.2)
    whole = bench.end()
    assert set(whole.dropped_by_reason) == {"isolated"}
    assert 25 <= whole.dropped <= 100
    assert whole.sent >= sent + 15


class Loop(TaskSet):
    @task
    def nothing(self) -> None: ...


class Steps(SequentialTaskSet):
    @task
    def nothing(self) -> None: ...


@pytest.mark.parametrize("loop", [Loop, Steps])
def test_a_task_set_is_refused_by_name(loop: type[TaskSet]) -> None:
    class Browser(ArrivalUser):
        tasks = [loop]

    problem = Browser.problem(RunConfig())
    assert problem is not None
    assert "Browser" in problem
    assert loop.__name__ in problem
    assert "\n" not in problem


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ("", "--sm-endpoint NAME or target.endpoint"),
        ("target: {endpoint: e}", "request.body or request.payloads"),
        ("target: {endpoint: e}\nrequest: {body: x, content_type: text/csv}", None),
    ],
)
def test_an_invoke_endpoint_user_says_which_key_it_misses(config: str, says: str | None) -> None:
    class Invoke(InvokeEndpointUser):
        @task
        def next(self) -> None:
            self.invoke()

    problem = Invoke.problem(parse(config, "c.yaml") if config else RunConfig())
    assert (problem is None) if says is None else (problem is not None and says in problem)


def test_without_a_task_or_with_a_rate_of_nothing_a_class_is_refused() -> None:
    class Idle(ArrivalUser): ...

    class Never(Quick):
        per_user = 0

    assert "no @task" in (Idle.problem(RunConfig()) or "")
    assert "Never.per_user: 0" in (Never.problem(RunConfig()) or "")


def test_invoke_outside_of_a_task_says_so() -> None:
    class Invoke(InvokeEndpointUser):
        @task
        def next(self) -> None: ...

    with pytest.raises(RuntimeError, match="outside of a @task"):
        Invoke(Environment(user_classes=[Invoke])).invoke(b"x")
