"""What AWS said of a run, as lines of CSV."""

from __future__ import annotations

import csv
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_locust.record.observation import Observation, ScalingEvent, line, number

FLOATS = st.floats(allow_nan=False, allow_infinity=False)


@given(FLOATS, FLOATS)
def test_an_observation_is_read_back_as_it_was(at_s: float, value: float) -> None:
    point = Observation(at_s, "AWS/SageMaker", "ModelLatency", "p99.9", value, "ms")
    assert Observation.of(point.cells()) == point


@given(FLOATS, st.none() | st.integers(0, 2**31), st.none() | st.integers(0, 2**31), st.text())
def test_a_scaling_event_is_one_line_whatever_aws_worded(
    at_s: float, desired: int | None, in_service: int | None, event: str
) -> None:
    written = line(ScalingEvent(at_s, desired, in_service, event).cells())
    written.encode()  # any text can be written to a file
    assert written.splitlines() == [written.removesuffix("\n")]
    read = ScalingEvent.of(next(csv.reader([written])))
    assert (read.at_s, read.desired, read.in_service) == (at_s, desired, in_service)
    if event.isprintable():
        assert read.event == event


def test_a_comma_and_a_quote_stay_in_their_cell_and_a_line_break_becomes_a_space() -> None:
    event = 'alarm "high", in state\r\n\x1b[31mALARM'
    written = line(ScalingEvent(90.0, 2, None, event).cells())
    assert written == '90,2,,"alarm ""high"", in state [31mALARM"\n'


@pytest.mark.parametrize(
    ("value", "text"),
    [(120.0, "120"), (-0.0, "0"), (0.1, "0.1"), (-60.0, "-60"), (1e300, "1e+300"), (25000.5, "25000.5")],
)
def test_numbers_are_short_and_exact(value: float, text: str) -> None:
    assert number(value) == text
    assert math.isclose(float(text), value, rel_tol=0)


@pytest.mark.parametrize(
    "cells",
    [
        (),
        ("0", "AWS/SageMaker", "Invocations", "Sum", "12"),
        ("0", "AWS/SageMaker", "Invocations", "Sum", "12", "count", "more"),
        ("", "AWS/SageMaker", "Invocations", "Sum", "12", "count"),
        ("0", "AWS/SageMaker", "Invocations", "Sum", "nan", "count"),
        ("0", "AWS/SageMaker", "Invocations", "Sum", "many", "count"),
    ],
)
def test_what_is_no_observation_is_refused(cells: tuple[str, ...]) -> None:
    with pytest.raises(ValueError):
        Observation.of(cells)
