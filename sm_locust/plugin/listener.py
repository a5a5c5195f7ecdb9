"""Who is told of a run while it goes on: the line, the page, the metrics, and what may end it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sm_locust.record.interval import Interval
from sm_locust.record.ledger import Event, Planned, Sample
from sm_locust.record.observation import Observation, ScalingEvent


class Listener:
    """Is told what the run folder is told, as it comes. What one has no use for it leaves as it is here."""

    def plan(self, row: Planned) -> None:
        """The plan of the second past."""

    def count(self, counted: Interval, row: dict[str, Any], sample: Sample) -> None:
        """What a process has counted of a second, in part.

        counted  without histograms
        row      the same as it came, which has them encoded
        sample   how the process was doing when it told: `sample` is called with it next
        """

    def sample(self, sample: Sample) -> None:
        """How a process was doing."""

    def events(self, events: Sequence[Event]) -> None:
        """What befell a process."""

    def observed(self, observations: Sequence[Observation], events: Sequence[ScalingEvent]) -> None:
        """What CloudWatch and the endpoint have said since."""
