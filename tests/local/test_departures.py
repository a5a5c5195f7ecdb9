"""Answers leave in the order of their times, none more than a tick early, on either event loop."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

import pytest
import uvloop

from sm_locust.local.departures import GRANULARITY, Departures

Loop = Callable[[], asyncio.AbstractEventLoop]


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_answers_leave_in_order_and_none_more_than_a_tick_early(loop: Loop) -> None:
    left: list[tuple[float, float]] = []

    async def leave(departures: Departures, at: float) -> None:
        await departures.wait_until(at)
        left.append((at, time.perf_counter()))

    async def scenario() -> None:
        departures = Departures()
        start = time.perf_counter() + 0.05
        source = random.Random(3)
        await asyncio.gather(*(leave(departures, start + source.uniform(0, 0.3)) for _ in range(300)))

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(scenario())
    assert len(left) == 300
    assert [at for at, _ in left] == sorted(at for at, _ in left)
    assert all(when >= at - GRANULARITY for at, when in left)


def test_what_is_past_leaves_at_once_and_a_cancelled_answer_holds_up_nobody() -> None:
    async def scenario() -> None:
        departures = Departures()
        await departures.wait_until(time.perf_counter() - 1)
        now = time.perf_counter()
        first, second = (asyncio.ensure_future(departures.wait_until(now + after)) for after in (0.02, 0.04))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait_for(second, 5)
        assert first.cancelled()

    asyncio.run(scenario())
