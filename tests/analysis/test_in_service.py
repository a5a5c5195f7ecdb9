"""How many instances served when: one reading of the events for the curve, the capacity and the periods."""

from __future__ import annotations

import pytest

from sm_locust.analysis.in_service import InService
from sm_locust.record.observation import ScalingEvent

SEEN = [ScalingEvent(5.0, 1, 1, ""), ScalingEvent(60.0, 3, None, "asked for 3"), ScalingEvent(90.0, 3, 3, "in service")]


@pytest.mark.parametrize(
    ("start_s", "until_s", "level"),
    [(0, 60, 1), (60, 90, 1), (89, 91, None), (90, 600, 3), (80, 90, 1)],
)
def test_a_level_is_that_of_a_whole_stretch_or_of_none(start_s: float, until_s: float, level: int | None) -> None:
    assert InService(SEEN).during(start_s, until_s) == level


def test_before_a_change_that_was_noted_nobody_knows() -> None:
    found = InService(SEEN[1:])
    assert found.at(89.0) is None and found.during(0, 90) is None and found.during(0, 100) is None
    assert found.at(90.0) == 3


def test_who_comes_back_to_the_same_level_was_not_there_all_the_time() -> None:
    assert InService([*SEEN, ScalingEvent(120.0, 1, 1, "gone")]).during(60, 130) is None
    assert not InService(SEEN[1:2])
