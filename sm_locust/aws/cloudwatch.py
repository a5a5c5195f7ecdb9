"""What CloudWatch says of the watched variant, as Observations.

Here its periods, its clock and its microseconds become the run's. When to ask, and when all of it has come, is the
caller's to decide; what it means is the analysis's.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

from sm_locust.aws.session import AwsFault, ask_all, client, watched
from sm_locust.config import ConfigError, RunConfig, format_duration
from sm_locust.record.clock import RunClock
from sm_locust.record.observation import Observation

REQUESTS = "AWS/SageMaker"
INSTANCES = "/aws/sagemaker/Endpoints"

CLOCKS_AGREE = 2.0  # seconds; an HTTP Date is whole seconds, and old by the time it is read


class Metric(NamedTuple):
    """A metric of a variant, with CloudWatch's names; `per_unit` of CloudWatch's make one of ours."""

    namespace: str
    name: str
    statistics: tuple[str, ...]
    unit: str = "count"
    per_unit: float = 1.0


# Amazon SageMaker developer guide, "Metrics for monitoring Amazon SageMaker AI with Amazon CloudWatch".
METRICS = (
    Metric(REQUESTS, "Invocations", ("Sum",)),
    Metric(REQUESTS, "InvocationsPerInstance", ("Sum",)),
    Metric(REQUESTS, "Invocation4XXErrors", ("Sum",)),
    Metric(REQUESTS, "Invocation5XXErrors", ("Sum",)),
    Metric(REQUESTS, "InvocationModelErrors", ("Sum",)),
    Metric(REQUESTS, "ModelLatency", ("Average", "p50", "p90", "p95", "p99", "p99.9", "Maximum"), "ms", 1000.0),
    Metric(REQUESTS, "ModelLatency", ("SampleCount",)),
    Metric(REQUESTS, "OverheadLatency", ("Average", "p99"), "ms", 1000.0),
    Metric(REQUESTS, "ConcurrentRequestsPerModel", ("Maximum",)),
    Metric(INSTANCES, "CPUUtilization", ("Average",), "percent"),
    Metric(INSTANCES, "MemoryUtilization", ("Average",), "percent"),
)


class CloudWatch:
    """The metrics of one run's variant.

    started_at    Unix seconds, on our clock, of the run's start
    speed         schedule seconds for one real second
    period        real seconds of one point
    clock_offset  seconds that AWS's clock is ahead of ours, as its first answer said; 0 within what a Date can tell

    Raises ConfigError for a configuration without an endpoint or a region, and for a period CloudWatch has not.
    """

    def __init__(self, config: RunConfig, started_at: float, speed: int) -> None:
        self.period = period(config, speed)
        self.clock_offset = 0.0
        self._is_anchored = False
        self._clock = RunClock(0.0, started_at, speed)
        self._client = client(config, "cloudwatch")
        dimensions = [
            {"Name": name, "Value": value}
            for name, value in zip(("EndpointName", "VariantName"), watched(config), strict=True)
        ]
        self._asked = {
            f"m{i}": (metric, statistic)
            for i, (metric, statistic) in enumerate((m, s) for m in METRICS for s in m.statistics)
        }
        self._queries = [
            {
                "Id": id_,
                "MetricStat": {
                    "Metric": {"Namespace": metric.namespace, "MetricName": metric.name, "Dimensions": dimensions},
                    "Period": self.period,
                    "Stat": statistic,
                },
            }
            for id_, (metric, statistic) in self._asked.items()
        ]

    def pull(self, since_wall: float, until_wall: float) -> list[Observation]:
        """Every point of the periods that had begun by `since_wall` or later and had ended by `until_wall`.

        A point may come late, and change until it is two or three minutes old: ask again. None comes for a period
        without traffic.

        since_wall, until_wall  Unix seconds on our clock

        Raises AwsFault.
        """
        before = self.clock_offset
        found = self._points(since_wall, until_wall)
        return found if self.clock_offset == before else self._points(since_wall, until_wall)  # that was another time

    def _points(self, since_wall: float, until_wall: float) -> list[Observation]:
        start = math.floor((since_wall + self.clock_offset) / self.period) * self.period
        end = math.floor((until_wall + self.clock_offset) / self.period) * self.period
        if end <= start:
            return []
        found = []
        for result in self._results(start, end):
            metric, statistic = self._asked[result["Id"]]
            for at, value in zip(result["Timestamps"], result["Values"], strict=True):
                at_s = self._clock.at_s(self._clock.at(at.timestamp() - self.clock_offset))
                value = value / metric.per_unit
                found.append(Observation(at_s, metric.namespace, metric.name, statistic, value, metric.unit))
        return found

    def _results(self, start: int, end: int) -> Iterator[dict[str, Any]]:
        """MetricDataResults of all pages; a metric's points may be spread over several (PartialData)."""
        pages = ask_all(
            self._client,
            "GetMetricData",
            MetricDataQueries=self._queries,
            StartTime=start,
            EndTime=end,
            ScanBy="TimestampAscending",
        )
        for page in pages:
            if not self._is_anchored:  # once: a point must keep its time when it is asked for again
                self._is_anchored, self.clock_offset = True, _offset(page, time.time())
            for result in page["MetricDataResults"]:
                status = result.get("StatusCode", "Complete")
                if status in ("Forbidden", "InternalError"):
                    metric, statistic = self._asked[result["Id"]]
                    needed = "; the permission it needs is cloudwatch:GetMetricData" if status == "Forbidden" else ""
                    raise AwsFault(
                        f"CloudWatch GetMetricData gave no {metric.name} ({statistic}): {status}{needed}",
                        "AccessDenied" if status == "Forbidden" else status,
                        passing=status == "InternalError",
                    )
                yield result


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
    try:
        date = parsedate_to_datetime(page["ResponseMetadata"]["HTTPHeaders"]["date"]).timestamp()
    except (KeyError, ValueError):
        return 0.0
    ahead = date + 0.5 - received  # the middle of the second that it names
    return float(round(ahead)) if abs(ahead) > CLOCKS_AGREE else 0.0
