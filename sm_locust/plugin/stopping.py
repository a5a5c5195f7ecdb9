"""The rules of `stop_when` while a run goes: hands them what processes ship and what CloudWatch says, in their terms.

Whether a rule has held is analysis.stopping's, ending the run is active's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sm_locust.analysis.stopping import HISTOGRAMS, Stopping, Tripped
from sm_locust.analysis.verdict import allowed_off
from sm_locust.aws import subjects
from sm_locust.config import RunConfig
from sm_locust.plugin.encoding import ON_THE_WAY, TAKEN
from sm_locust.plugin.listener import Listener
from sm_locust.record.interval import Interval
from sm_locust.record.ledger import Planned, Sample
from sm_locust.record.observation import Observation, ScalingEvent
from sm_locust.schedule import Schedule


class StopWhen(Listener):
    """The rules of one run.

    schedule     in real seconds; None without one
    meta         what run.json holds
    workers      how many processes there are, whenever it is asked
    distributed  whether workers send the load
    """

    def __init__(
        self,
        config: RunConfig,
        speed: int,
        schedule: Schedule | None,
        meta: Mapping[str, Any],
        workers: Callable[[], int],
        *,
        distributed: bool,
    ) -> None:
        def slack(planned: float) -> float:
            return allowed_off({**meta, "workers": [""] * workers()}, planned)

        self.delay = ON_THE_WAY if distributed else 0.0  # seconds after a full second at which to judge
        self._rules = Stopping(config.stop_when, speed, schedule, config.cloudwatch.period, slack)
        self._sources: frozenset[str] = frozenset()
        if config.target is not None and config.target.endpoint is not None:
            watched = subjects.known(config)
            self._sources = frozenset(watched.source(metric.namespace) for metric in watched.metrics)

    def count(self, counted: Interval, row: dict[str, Any], sample: Sample) -> None:
        self._rules.count(Interval.decode(row, HISTOGRAMS), max(0, math.floor(sample.at) - 1))

    def sample(self, sample: Sample) -> None:
        self._rules.sample(sample)

    def plan(self, row: Planned) -> None:
        self._rules.plan(row.second, row.planned)

    def observed(self, observations: Sequence[Observation], events: Sequence[ScalingEvent]) -> None:
        self._rules.observed(found for found in observations if found.source in self._sources)

    def judge(self, second: int) -> Tripped | None:
        """Once all of what came before `second`, real seconds of the run, has been noted."""
        return self._rules.judge(second + TAKEN)
