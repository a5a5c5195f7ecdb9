"""Run folders of the local endpoint in virtual time: what really happened is known, and nobody waited for it."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sm_locust.local.settings import Settings
from sm_locust.record.observation import ScalingEvent
from sm_locust.record.outcome import OK
from sm_locust.record.run import Run
from sm_locust.schedule import Phase
from tests.analysis.folders import REFERENCE, SCALED, UNSCALED, Answer, Made, played, watch
from tests.local.virtual import World

NETWORK = 0.0005  # seconds of our service time that are not the endpoint's


def virtual_run(
    parent: Path,
    phases: tuple[Phase, ...] = REFERENCE,
    *,
    speed: int = 60,
    scaled: bool = False,
    config: dict[str, Any] | None = None,
    **settings: Any,
) -> Run:
    """A load played against a World; scaled as the reference experiment's AFTER is."""
    return _made(phases, speed, scaled, tuple(sorted(settings.items()))).again(parent, config)


@lru_cache(32)
def _made(phases: tuple[Phase, ...], speed: int, scaled: bool, settings: tuple[tuple[str, Any], ...]) -> Made:
    with TemporaryDirectory() as parent:
        return Made.of(_played(Path(parent), phases, speed, scaled, dict(settings)))


def _played(parent: Path, phases: tuple[Phase, ...], speed: int, scaled: bool, settings: dict[str, Any]) -> Run:
    world = World(Settings(**settings), speed)
    if scaled:
        world.register(1, 4)
        world.put(target=25_000)
    events = [ScalingEvent(0.0, world.fleet.desired, world.fleet.in_service, "")]

    def note(at: float) -> None:
        desired, in_service = world.fleet.desired, world.fleet.in_service
        before = events[-1]
        if desired != before.desired:
            events.append(ScalingEvent(at * speed, desired, None, f"Setting desired instance count to {desired}."))
        if in_service != before.in_service or desired != before.desired:
            events.append(ScalingEvent(at * speed, desired, in_service, ""))

    def answer(at: float) -> Answer:
        latency = world.request(at)
        note(at)
        return ("unavailable", 0.002) if latency is None else (OK, latency + NETWORK)

    run = played(parent, phases, answer, speed=speed)
    levels = [(event.at_s, event.in_service) for event in events if event.in_service is not None]
    return watch(
        run,
        lambda at_s: [n for since, n in levels if since <= at_s + 60][-1],
        scaling=SCALED if scaled else UNSCALED,
        events=events,
    )
