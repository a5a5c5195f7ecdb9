"""What CloudWatch says of a run, as Observations.

Here its periods, its clock and its units become the run's. Whose metrics there are is subjects'. When to ask, and when
all of it has come, is the caller's to decide; what it means is the analysis's.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sm_locust.aws.metrics import COUNT, Metric
from sm_locust.aws.session import ATTEMPTS, AwsFault, ask_all, client
from sm_locust.aws.subjects import Subject
from sm_locust.config import ConfigError, RunConfig
from sm_locust.fields import format_duration
from sm_locust.record.clock import RunClock, ahead
from sm_locust.record.observation import Observation

CLOCKS_AGREE = 2.0  # seconds; an HTTP Date is whole seconds, and old by the time it is read
MOST_QUERIES = 500  # in one call; of points a call gives 100,800, and the rest on further pages

INVOCATIONS = "Invocations"
REQUESTS_TO_API = "Count"


class _Query(NamedTuple):
    subject: Subject
    metric: Metric
    statistic: str


@dataclass(frozen=True, slots=True)
class Pulled:
    """What was asked for and what came of it.

    asked       labels of the subjects
    faults      by label: its subject was not told of, or not of all its metrics
    unanswered  labels of those that nothing at all was told of
    """

    observations: list[Observation]
    asked: frozenset[str]
    faults: dict[str, AwsFault]
    unanswered: frozenset[str] = frozenset()


class CloudWatch:
    """The metrics of one run's subjects.

    subjects      what is asked for, the live one first
    started_at    Unix seconds, on our clock, of the run's start
    speed         schedule seconds for one real second
    clock_offset  seconds that AWS's clock is ahead of ours; None for what its first answer says: 0 within what a Date
                  can tell
    attempts      of one call

    Raises ConfigError for a configuration without a region, and for a period CloudWatch has not.
    """

    def __init__(
        self,
        config: RunConfig,
        subjects: Sequence[Subject],
        started_at: float,
        speed: int,
        *,
        clock_offset: float | None = None,
        attempts: int = ATTEMPTS,
    ) -> None:
        self.period = period(config, speed)  # real seconds of one point
        self.clock_offset = clock_offset or 0.0
        self.subjects = tuple(subjects)
        self._is_anchored = clock_offset is not None
        self._stop_when = {rule.cloudwatch for rule in config.stop_when}
        self._clock = RunClock(0.0, started_at, speed)
        self._client = client(config, "cloudwatch", attempts=attempts)

    def pull(self, since_wall: float, until_wall: float) -> Pulled:
        """The few metrics that are looked at while the load goes, in one call.

        Every point of the periods that had begun by `since_wall` or later and had ended by `until_wall`. A point may
        come late, and change until it is two or three minutes old: ask again. None comes for a period without traffic.

        since_wall, until_wall  Unix seconds on our clock
        """
        return self._pulled([_queries(self.subjects, self._while_it_goes)], since_wall, until_wall)

    def _while_it_goes(self, subject: Subject, metric: Metric) -> Iterator[str]:
        # Of an API and of another variant that our requests may go to, only how many did.
        counts = metric.name == REQUESTS_TO_API or (subject.ours and metric.name == INVOCATIONS)
        live = metric.live if subject.live or counts else ()
        yield from live
        if subject == self.subjects[0]:  # and what a rule of `stop_when` needs beside
            yield from (s for s in metric.statistics if s not in live and (metric.name, s) in self._stop_when)

    def pull_all(self, since_wall: float, until_wall: float) -> Pulled:
        """Every metric of every subject, a call for each: what may not be read of one loses nothing of another."""
        calls = [_queries([subject], lambda _, metric: metric.statistics) for subject in self.subjects]
        return self._pulled(calls, since_wall, until_wall)

    def pull_only(self, wanted: Collection[tuple[str, str]], since_wall: float, until_wall: float) -> Pulled:
        """Of every subject only these metrics, each with one statistic, in one call."""
        queries = _queries(self.subjects, lambda _, m: (s for s in m.statistics if (m.name, s) in wanted))
        return self._pulled([queries], since_wall, until_wall)

    def _pulled(self, calls: list[list[_Query]], since_wall: float, until_wall: float) -> Pulled:
        before = self.clock_offset
        pulled = self._points(calls, since_wall, until_wall)
        return pulled if self.clock_offset == before else self._points(calls, since_wall, until_wall)  # another time

    def _points(self, calls: list[list[_Query]], since_wall: float, until_wall: float) -> Pulled:
        start = math.floor((since_wall + self.clock_offset) / self.period) * self.period
        end = math.floor((until_wall + self.clock_offset) / self.period) * self.period
        asked = frozenset(query.subject.label for queries in calls for query in queries)
        found: list[Observation] = []
        faults: dict[str, AwsFault] = {}
        answered: set[str] = set()
        for queries in calls if end > start else ():
            refused: dict[tuple[str, str], list[_Query]] = {}
            try:
                for query, result in self._results(queries, start, end):
                    status, label = result.get("StatusCode", "Complete"), query.subject.label
                    if status in ("Forbidden", "InternalError"):
                        refused.setdefault((label, status), []).append(query)
                    else:
                        answered.add(label)
                        found += self._observations(query, result)
            except AwsFault as e:
                faults |= dict.fromkeys((query.subject.label for query in queries), e)
                if e.passing:  # nobody answers, or not now: the others would only be waited for in their turn
                    faults |= dict.fromkeys(asked - answered, e)
                    break
            for (label, status), lacking in refused.items():
                faults.setdefault(label, _not_given(status, lacking))
        return Pulled(found, asked, faults, frozenset(faults) - answered)

    def _observations(self, query: _Query, result: dict[str, Any]) -> Iterator[Observation]:
        subject, metric, statistic = query
        per_unit, unit = (1.0, "count") if statistic == COUNT else (metric.per_unit, metric.unit)
        for at, value in zip(result["Timestamps"], result["Values"], strict=True):
            at_s = self._clock.at_s(self._clock.at(at.timestamp() - self.clock_offset))
            yield Observation(at_s, subject.source(metric.namespace), metric.name, statistic, value / per_unit, unit)

    def _results(self, queries: Sequence[_Query], start: int, end: int) -> Iterator[tuple[_Query, dict[str, Any]]]:
        """MetricDataResults of all pages; a metric's points may be spread over several (PartialData)."""
        for first in range(0, len(queries), MOST_QUERIES):
            asked = {f"m{i}": query for i, query in enumerate(queries[first : first + MOST_QUERIES])}
            pages = ask_all(
                self._client,
                "GetMetricData",
                MetricDataQueries=[self._asked(id_, query) for id_, query in asked.items()],
                StartTime=start,
                EndTime=end,
                ScanBy="TimestampAscending",
            )
            for page in pages:
                if not self._is_anchored:  # once: a point must keep its time when it is asked for again
                    self._is_anchored, self.clock_offset = True, _offset(page, time.time())
                for result in page["MetricDataResults"]:
                    yield asked[result["Id"]], result

    def _asked(self, id_: str, query: _Query) -> dict[str, Any]:
        dimensions = [{"Name": name, "Value": value} for name, value in query.subject.dimensions]
        metric = {"Namespace": query.metric.namespace, "MetricName": query.metric.name, "Dimensions": dimensions}
        return {"Id": id_, "MetricStat": {"Metric": metric, "Period": self.period, "Stat": query.statistic}}


def _queries(subjects: Iterable[Subject], statistics: Callable[[Subject, Metric], Iterable[str]]) -> list[_Query]:
    """statistics  those of a subject's metric that are asked for"""
    return [
        _Query(subject, metric, statistic)
        for subject in subjects
        for metric in subject.metrics
        for statistic in statistics(subject, metric)
    ]


def _not_given(status: str, queries: Sequence[_Query]) -> AwsFault:
    """status  Forbidden or InternalError, of those metrics; what else was asked for came"""
    metrics = ", ".join(f"{query.metric.name} ({query.statistic})" for query in queries)
    needed = "; the permission it needs is cloudwatch:GetMetricData" if status == "Forbidden" else ""
    return AwsFault(
        f"CloudWatch GetMetricData gave no {metrics}: {status}{needed}",
        "AccessDenied" if status == "Forbidden" else status,
        passing=status == "InternalError",
    )


def period(config: RunConfig, speed: int) -> int:
    """Real seconds of one point; `cloudwatch.period` is schedule time. ConfigError for a period CloudWatch has not."""
    wanted = config.cloudwatch.period / speed
    if wanted not in (1, 5, 10, 20, 30) and (wanted < 60 or wanted % 60):
        raise ConfigError(
            f"cloudwatch.period: {format_duration(config.cloudwatch.period)} is {wanted:g} s at speed {speed}; "
            "CloudWatch has periods of 1, 5, 10, 20 and 30 s and of whole minutes"
        )
    return int(wanted)


def _offset(page: dict[str, Any], received: float) -> float:
    """Whole seconds that the clock of who answered is ahead of `received` (Unix seconds); 0 if a Date cannot tell."""
    by = ahead(page.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", ""), received) or 0.0
    return float(round(by)) if abs(by) > CLOCKS_AGREE else 0.0
