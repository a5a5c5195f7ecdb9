"""How a search gets its seconds: whole, in order, however late and in how many parts they come."""

from __future__ import annotations

from typing import Any

import pytest

from sm_locust.config import RunConfig
from sm_locust.plugin.searching import Searching
from sm_locust.record.interval import ARRIVALS, Interval
from sm_locust.record.ledger import Sample, Step
from sm_locust.record.outcome import Outcome


class Heard:
    """Stands where the search is, and writes down what it is told."""

    def __init__(self) -> None:
        self.seconds: list[Interval] = []
        self.in_flight: list[int] = []
        self.ended = ""
        self.steps: list[Step] = []

    def next(self, second: Interval, in_flight: int, age: float) -> float:
        self.seconds.append(second)
        self.in_flight.append(in_flight)
        return 1.0


def searching(distributed: bool = False, **slo: Any) -> tuple[Searching, Heard]:
    config = RunConfig.from_dict({"slo": slo or {"latency_p99": "50ms"}})
    found, heard = Searching(config, distributed=distributed), Heard()
    found.search = heard  # type: ignore[assignment]
    return found, heard


def arrived(second: float, n: int) -> dict[str, Any]:
    interval = Interval(second, ARRIVALS)
    interval.add("due", n)
    return interval.encode()


def answered(second: float, *latencies: float, name: str = "e") -> dict[str, Any]:
    interval = Interval(second, name)
    for latency in latencies:
        interval.record(Outcome(name, second, second, None, second + latency))
    return interval.encode()


def told(found: Searching, *rows: dict[str, Any]) -> None:
    for row in rows:
        found.count(Interval.decode(row, histograms=()), row, Sample(row["second"] + 1.0, "w", 0, None))


def test_a_second_is_handed_on_once_all_it_sent_has_ended() -> None:
    found, heard = searching()
    told(found, arrived(0.0, 3), answered(0.0, 0.01, 0.02))
    found.advance(1.1)
    assert heard.seconds == []
    told(found, answered(0.0, 0.9))
    found.advance(1.95)
    (second,) = heard.seconds
    assert (second.second, second.due, second.ok, second.latency.count) == (0.0, 3, 3, 3)
    assert heard.in_flight == [0]


def test_what_does_not_end_counts_at_its_age() -> None:
    found, heard = searching()
    told(found, arrived(0.0, 3), answered(0.0, 0.01))
    found.advance(2.9)
    assert heard.seconds == []
    found.advance(3.1)
    second = heard.seconds[0]
    assert second.latency.count == second.service_time.count == 3
    assert second.latency.max is not None and 2.0 < second.latency.max < 2.2
    assert heard.in_flight[0] == 2


def test_what_ends_after_its_second_was_handed_on_is_no_longer_in_flight() -> None:
    found, heard = searching()
    told(found, arrived(0.0, 2), answered(0.0, 0.01))
    found.advance(3.1)
    told(found, answered(0.0, 3.0))
    found.advance(5.1)
    assert heard.in_flight[0] == 1
    assert set(heard.in_flight[3:]) == {0}


def test_seconds_come_in_order_and_empty_ones_too() -> None:
    found, heard = searching()
    told(found, arrived(2.0, 1), answered(2.0, 0.01))
    told(found, arrived(0.0, 1), answered(0.0, 0.01))
    found.advance(3.5)
    assert [(s.second, s.due) for s in heard.seconds] == [(0.0, 1), (1.0, 0), (2.0, 1)]


def test_what_several_workers_ship_of_a_second_is_one() -> None:
    found, heard = searching(distributed=True)
    told(found, arrived(0.0, 2), answered(0.0, 0.01, 0.01))
    found.advance(1.1)  # the other worker's may still be under way
    assert heard.seconds == []
    told(found, arrived(0.0, 3), answered(0.0, 0.01, 0.02), answered(0.0, 0.03, name="f"))
    found.advance(1.5)
    (second,) = heard.seconds
    assert (second.due, second.ok) == (5, 5)


def test_a_shipment_after_its_second_is_not_counted_in_another() -> None:
    found, heard = searching()
    found.advance(2.5)
    told(found, arrived(0.0, 3), answered(0.0, 0.01, 0.01, 0.01))
    told(found, arrived(2.0, 1), answered(2.0, 0.01))
    found.advance(3.5)
    assert [(s.second, s.due) for s in heard.seconds] == [(0.0, 0), (1.0, 0), (2.0, 1)]
    assert heard.in_flight[-1] == 0


def test_patience_follows_the_longest_limit() -> None:
    found, heard = searching(latency_p99="3s", latency_mean="100ms")
    told(found, arrived(0.0, 1))
    found.advance(6.9)
    assert heard.seconds == []
    found.advance(7.1)
    assert len(heard.seconds) >= 1


@pytest.mark.parametrize(
    ("slo", "patience"),
    [
        ({"latency_p90": "30s"}, 31.0),  # what counts at less would count as good
        ({"latency_mean": "1s"}, 10.0),  # cut off at twice the limit, the mean of a queue seems a tenth less
        ({"error_rate": "1%"}, 71.0),  # only an outcome tells, and after request.timeout there is one
    ],
)
def test_nothing_counts_at_an_age_at_which_it_would_count_as_good(slo: dict[str, str], patience: float) -> None:
    found, heard = searching(False, **slo)
    told(found, arrived(0.0, 1))
    found.advance(patience + 0.9)
    assert heard.seconds == []
    found.advance(patience + 1.1)
    assert len(heard.seconds) >= 1


def test_steps_are_told_once() -> None:
    found, heard = searching()
    one, two = Step("double", 10, 0, 5), Step("recover", 0, 5, 8)
    heard.steps.append(one)
    assert found.advance(1.5) == [one]
    assert found.advance(2.5) == []
    heard.steps.append(two)
    assert found.advance(3.5) == [two]


def test_requests_after_the_first_of_an_arrival_are_waited_for_too() -> None:
    found, heard = searching()
    later = Interval(0.0, ARRIVALS)
    later.add("further", 2)
    told(found, arrived(0.0, 2), later.encode(), answered(0.0, 0.01, 0.01, 0.01))
    found.advance(1.1)
    assert heard.seconds == []
    told(found, answered(0.0, 0.02))
    found.advance(1.2)
    assert [(second.due, second.ok) for second in heard.seconds] == [(2, 4)]
    assert heard.in_flight == [0]
