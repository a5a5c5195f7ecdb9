"""A user's own file, as types see it: `make lint` checks it, strictly, against what the public names say of themselves.

It is not run: every line is about what a name takes and gives.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import assert_type

from locust import FastHttpUser, task
from locust.env import Environment

from sm_locust import (
    ApiGatewayUser,
    ArrivalUser,
    CapacityShape,
    Comparison,
    ConfigError,
    ConfigShape,
    ContainerUser,
    ExperimentError,
    Feeder,
    InvokeEndpointUser,
    LiveRun,
    Outcome,
    Payload,
    Phase,
    PhasesShape,
    Run,
    RunConfig,
    RunError,
    Schedule,
    Summary,
    __version__,
    requests_auth,
    run_experiment,
    setup,
)


def bodies() -> Iterator[bytes]:
    yield b"5,3.5"


class Invoke(InvokeEndpointUser):
    per_user = 2
    payloads = Feeder(bodies, "once", content_type="text/csv")

    @task
    def one(self) -> None:
        outcome = self.invoke()
        assert_type(outcome, Outcome)
        assert_type(outcome.latency, float)
        self.invoke(b"1", content_type="text/csv", name="another", X_Amzn_SageMaker_Inference_Id="7")


class Api(ApiGatewayUser):
    payloads = Feeder("rows.csv", "random", weights=[3, 1], header=True)


class Container(ContainerUser):
    payloads = Feeder([b"1", "2", Payload(b"3", "text/csv")])


class Shop(ArrivalUser, FastHttpUser):
    @task
    def browse(self) -> None:
        self.client.get("/")


class Steady(PhasesShape):
    phases = (Phase("warm up", 60, 10, ramp_to=20, judge=False), Phase("steady", 600, 20))


class Search(CapacityShape): ...


class Configured(ConfigShape): ...


def play(config: RunConfig) -> Summary | None:
    environment = Environment(user_classes=[Invoke, Shop], shape_class=Steady())
    live = setup(environment, config, run_dir=Path("runs"), speed=60)
    assert_type(live, LiveRun | None)
    run = live.finish() if live is not None else None
    assert_type(run, Run | None)
    return None if run is None else Summary.of(run)


def compare() -> Comparison:
    try:
        return run_experiment("experiment.yaml", "runs/mine", speed=60, replace=True, locust=["--processes", "4"])
    except (ConfigError, ExperimentError, RunError):
        raise SystemExit(__version__) from None


def look(folder: str) -> float:
    run = Run.open(folder)
    run.to_pandas("cloudwatch")
    schedule = Schedule([Phase("steady", 600, 20)])
    assert_type(schedule.expected(60.0), float)
    requests_auth("execute-api", region="us-east-1")
    return Summary.of(run).exit_code + schedule.total
