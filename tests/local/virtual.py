"""The endpoint's state in virtual time: the reference ramp plays in a fraction of a second."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from sm_locust.local.autoscaling import AutoScaling
from sm_locust.local.fleet import Fleet
from sm_locust.local.metrics import Metrics
from sm_locust.local.scaled import DIMENSION, PREDEFINED
from sm_locust.local.settings import Settings

START = 1_700_000_040  # a whole minute of Unix time
RESOURCE = "endpoint/decision-trees-sample/variant/AllTraffic"


class World:
    """Fleet, metrics and scaling on one clock, which only `request` and `until` move. Times are seconds since START."""

    def __init__(self, settings: Settings | None = None, speed: int = 60) -> None:
        settings = settings or Settings()
        self.now = 0.0
        self.period = 60 // speed
        self.fleet = Fleet(settings, speed, self.unix)
        self.metrics = Metrics(settings, speed)
        self.scaling = AutoScaling(self.fleet, self.metrics, settings, speed)

    def unix(self) -> float:
        return START + self.now

    def until(self, at: float) -> None:
        """Lets time pass; scaling ticks at the end of each period on the way, as the controller makes it."""
        while (tick := (self.now // self.period + 1) * self.period) <= at:
            self.now = tick
            self.scaling.tick(self.unix())
        self.now = at

    def request(self, at: float) -> float | None:
        """The latency of a request that arrives then; None when it was refused."""
        self.until(at)
        leaves_at = self.fleet.arrive(at)
        if leaves_at is None:
            self.metrics.refused(int(self.unix()), self.fleet.in_service)
            return None
        self.metrics.answered(int(self.unix()), leaves_at - at, self.fleet.in_service)
        return leaves_at - at

    def load(self, rate: float, seconds: int) -> None:
        """So many evenly spaced requests a second, from now on."""
        start = self.now
        for n in range(int(rate * seconds)):
            self.request(start + n / rate)
        self.until(start + seconds)

    def register(self, minimum: int | None = 1, maximum: int | None = 4, **suspended: bool) -> str:
        return self.scaling.register_scalable_target(
            resource_id=RESOURCE,
            dimension=DIMENSION,
            min_capacity=minimum,
            max_capacity=maximum,
            suspended=suspended or None,
            role_arn=None,
            now=self.unix(),
        )

    def put(self, name: str = "keep-up", target: float = 25_000, **more: object) -> tuple[str, list[dict[str, str]]]:
        configuration = {
            "TargetValue": target,
            "PredefinedMetricSpecification": {"PredefinedMetricType": PREDEFINED},
            **more,
        }
        return self.scaling.put_scaling_policy(
            name=name,
            resource_id=RESOURCE,
            dimension=DIMENSION,
            configuration={key: value for key, value in configuration.items() if value is not None},
            now=self.unix(),
        )


class Minute(NamedTuple):
    """What a client saw in one minute of the schedule."""

    mean: float
    failed: int


def reference_ramp() -> Iterator[float]:
    """Evenly spaced arrivals, 200 to 600 to 800 a second, two hours in 120 seconds."""
    for start, rate, slope, duration in ((0, 200, 400 / 60, 60), (60, 600, 200 / 60, 60)):
        for n in range(int(rate * duration + slope * duration**2 / 2)):
            yield start + 2 * n / (rate + (rate**2 + 2 * slope * n) ** 0.5)


def play_reference_ramp(world: World) -> list[Minute]:
    """120 minutes of one second."""
    latencies: list[list[float | None]] = [[] for _ in range(120)]
    for at in reference_ramp():
        latencies[int(at)].append(world.request(at))
    world.until(120)
    minutes = []
    for minute in latencies:
        served = [latency for latency in minute if latency is not None]
        minutes.append(Minute(sum(served) / len(served), len(minute) - len(served)))
    return minutes
