"""A heat map's counts: each request once, in the band of its latency and the column of its time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sm_locust.analysis.heat import PER_DECADE, Heat
from sm_locust.analysis.minutes import Span
from sm_locust.record.interval import Interval

DURATIONS = st.lists(st.lists(st.floats(1e-6, 120.0), max_size=5), min_size=1, max_size=6)


def spans(durations: list[list[float]]) -> list[Span]:
    found = []
    for second, those in enumerate(durations):
        interval = Interval(float(second), "invoke")
        for seconds in those:
            interval.latency.record(seconds)
        found.append(Span(float(second), 60, seconds=1.0, by_name={"invoke": interval}))
    return found


@given(DURATIONS)
def test_every_request_is_in_one_cell_that_holds_its_latency(durations: list[list[float]]) -> None:
    found = Heat.of(spans(durations))
    if found is None:
        assert not any(durations)
        return
    assert found.at_s == tuple(60.0 * n for n in range(len(durations) + 1))
    assert len(found.bands) == len(found.counts) + 1
    for column, those in enumerate(durations):
        counted = [row[column] for row in found.counts]
        assert sum(counted) == len(those)
        for seconds in those:  # a histogram's bucket is 0.1% wide, and a microsecond at the least
            near = max(seconds * 0.001, 1e-6)
            held = zip(found.bands, found.bands[1:], counted, strict=False)
            assert any(n and low - near <= seconds <= high + near for low, high, n in held)


def test_ten_times_as_long_is_as_many_bands_higher() -> None:
    found = Heat.of(spans([[0.011, 0.11]]))
    assert found is not None
    assert [n for n, row in enumerate(found.counts) if row[0]] == [0, PER_DECADE]


def test_no_answer_is_no_map() -> None:
    assert Heat.of(spans([[], []])) is None
