"""When automatic scaling is woken; and that it is, in a server that runs."""

from __future__ import annotations

import asyncio
import logging
import time

import pytest

from sm_locust.local.autoscaling import AutoScaling
from sm_locust.local.controller import Controller
from tests.local.virtual import World


@pytest.mark.parametrize(
    ("speed", "now", "due"),
    [
        (1, 120.0, 180),
        (1, 179.9, 180),
        (2, 120.0, 150),
        (12, 121.0, 125),
        (60, 120.0, 121),
        (60, 120.999, 121),
    ],
)
def test_a_period_ends_at_a_whole_multiple_of_its_length_in_unix_time(speed: int, now: float, due: float) -> None:
    assert Controller(World(speed=speed).scaling, speed).next_tick(now) == due


class Noting(AutoScaling):
    """Notes when it was woken, then fails the first time."""

    def __init__(self, world: World) -> None:
        self.woken: list[float] = []

    def tick(self, now: float) -> None:
        self.woken.append(now)
        if len(self.woken) == 1:
            raise RuntimeError("once")


def test_it_wakes_shortly_after_each_period_and_survives_a_failure(caplog: pytest.LogCaptureFixture) -> None:
    noting = Noting(World())

    async def run() -> None:
        task = asyncio.create_task(Controller(noting, 60).run())
        await asyncio.sleep(2.5)
        task.cancel()

    started = time.time()
    with caplog.at_level(logging.CRITICAL + 1, logger="root"), caplog.at_level(logging.ERROR):
        asyncio.run(run())
    assert [int(at) for at in noting.woken] == list(range(int(started) + 1, int(started) + 1 + len(noting.woken)))
    assert len(noting.woken) >= 2
    assert "automatic scaling failed" in caplog.text
