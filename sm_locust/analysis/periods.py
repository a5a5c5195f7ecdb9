"""A run by CloudWatch's periods: what it counted and measured in each, joined with what we sent in the same stretch.

So both stand side by side and can be held against each other. Asking AWS is aws/'s, what a run comes to is watched's.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sm_locust.analysis.in_service import InService
from sm_locust.analysis.minutes import Minutes, Span
from sm_locust.config.metrics import STATISTICS
from sm_locust.record.histogram import PERCENTILES
from sm_locust.record.observation import API_GATEWAY, LAMBDA, SAGEMAKER, Observation, ScalingEvent, source_of
from sm_locust.record.outcome import (
    ACCESS_DENIED,
    CANCELLED,
    CONNECT,
    CONNECT_TIMEOUT,
    DNS,
    EXPIRED_TOKEN,
    FORBIDDEN,
    FUNCTION_ERROR,
    GATEWAY_TIMEOUT,
    INVALID_SIGNATURE,
    MISSING_TOKEN,
    PROTOCOL,
    RESET,
    TASK_ERROR,
    THROTTLED,
    TIMEOUT,
    TLS,
    TOO_LARGE,
    UNRECOGNIZED_CLIENT,
    VALIDATION,
)
from sm_locust.record.rounding import in_ms

SHARED = ("InvocationsPerInstance", "InvocationsPerCopy")  # of a variant, of an inference component

PUNCTUAL = 0.020  # seconds: a send later than that says more of us than of the target
CLOCK = 2  # seconds that CloudWatch's clock may be off ours, unseen
FOREIGN_SHARE = 0.01  # of what we sent in a period: as much as a generator may miss its plan by
COMPLETE = 0.99  # of our answers that CloudWatch must have measured for a limit to be shown to hold

# A request that failed so was turned away, or never left: no Invocation counts it.
NEVER_ARRIVED = frozenset(
    {
        *(ACCESS_DENIED, FORBIDDEN, INVALID_SIGNATURE, UNRECOGNIZED_CLIENT, EXPIRED_TOKEN, MISSING_TOKEN),
        *(THROTTLED, VALIDATION, TOO_LARGE, CONNECT, CONNECT_TIMEOUT, DNS, TLS),
    }
)
# Nobody on our side knows how far these came.
MAY_HAVE_ARRIVED = frozenset({TIMEOUT, GATEWAY_TIMEOUT, RESET, PROTOCOL, TASK_ERROR, FUNCTION_ERROR, CANCELLED})


@dataclass(frozen=True, slots=True)
class ModelLatency:
    """CloudWatch's ModelLatency over one period or several.

    of        mean, p50 … p999 and max in seconds, those that are known. Percentiles cannot be merged: of several
              periods it is the highest.
    count     requests that it measured
    answered  requests of ours that were answered well in the same periods
    """

    of: Mapping[str, float]
    count: int
    answered: int

    def metric(self, statistic: str) -> float | None:
        """`mean`, `max` or one of PERCENTILES, in seconds."""
        return self.of.get(statistic)

    @property
    def complete(self) -> bool:
        return self.count >= COMPLETE * self.answered

    @classmethod
    def merged(cls, periods: Iterable[Period]) -> ModelLatency | None:
        """The mean weighted by count, the highest of everything else; None where nothing was measured."""
        periods = list(periods)
        known = [period.model_latency for period in periods if period.model_latency is not None]
        if not known:
            return None
        of = {
            statistic: max(values)
            for statistic in STATISTICS
            if (values := [one.of[statistic] for one in known if statistic in one.of])
        }
        count = sum(one.count for one in known)
        if count and "mean" in of:
            of["mean"] = sum(one.of.get("mean", 0.0) * one.count for one in known) / count
        return cls(of, count, sum(period.client.requests.ok for period in periods))

    def as_dict(self) -> dict[str, Any]:
        """As `Histogram.summary_ms`: milliseconds, and `count`."""
        names = (*PERCENTILES, "max", "mean")
        return {**{name: in_ms(self.metric(name)) for name in names}, "count": self.count}


@dataclass(frozen=True, slots=True)
class Split:
    """What a mean service time is made of, in seconds, by means alone: percentiles cannot be added.

    client       ours, from the send to the end of the answer
    model        ModelLatency
    overhead     OverheadLatency; None where it was not measured
    rest         what remains: the network, and what stands before SageMaker
    api, integration, function   of API Gateway's Latency and IntegrationLatency and of Lambda's Duration, each of which
                                 holds the next; None for a run that goes another way
    """

    client: float
    model: float
    overhead: float | None
    api: float | None = None
    integration: float | None = None
    function: float | None = None

    @property
    def rest(self) -> float:
        return self.client - self.model - (self.overhead or 0.0)

    @property
    def way(self) -> dict[str, float]:
        """The rest of a run through an API, part by part, the outermost first; empty where any part is not known."""
        if self.api is None or self.integration is None or self.function is None:
            return {}
        return {
            "network": self.client - self.api,
            "API Gateway": self.api - self.integration,
            "Lambda": self.integration - self.function,
            "function": self.function - self.model - (self.overhead or 0.0),
        }

    @classmethod
    def merged(cls, periods: Iterable[Period]) -> Split | None:
        """Weighted by our good answers; a part that any period lacks is not known. None where no period has one."""
        known = [(split, period.client.requests.ok) for period in periods if (split := period.split) is not None]
        count = sum(n for _, n in known)
        if not count:
            return None

        def mean(part: str) -> float | None:
            values = [(getattr(split, part), n) for split, n in known]
            if any(value is None for value, _ in values):
                return None
            return float(sum(value * n for value, n in values) / count)

        parts = ("overhead", "api", "integration", "function")
        return cls(mean("client") or 0.0, mean("model") or 0.0, *(mean(part) for part in parts))

    def as_dict(self) -> dict[str, Any]:
        """Milliseconds."""
        return {
            "client_ms": in_ms(self.client),
            "model_latency_ms": in_ms(self.model),
            "overhead_latency_ms": in_ms(self.overhead),
            "rest_ms": in_ms(self.rest),
            "api_latency_ms": in_ms(self.api),
            "integration_latency_ms": in_ms(self.integration),
            "function_duration_ms": in_ms(self.function),
        }


@dataclass(frozen=True, slots=True)
class Counted:
    """What CloudWatch says, in one period, of one subject of SageMaker's or of several together.

    model_latency, overhead_latency  means in seconds, weighted by SampleCount; None where one of them is not known
    """

    invocations: float | None
    errors_4xx: float | None
    errors_5xx: float | None
    model_latency: float | None
    overhead_latency: float | None

    @property
    def errors(self) -> float | None:
        return None if self.errors_4xx is None or self.errors_5xx is None else self.errors_4xx + self.errors_5xx

    @classmethod
    def of(cls, subjects: Iterable[_Told]) -> Counted:
        """subjects  those that were invoked at all count: the others have no points"""
        invoked = [told for told in subjects if told.get(("Invocations", "Sum")) is not None]

        def total(metric: str) -> float | None:
            # SageMaker publishes no zero: no point of an error, where there are invocations, is none of them.
            return sum(told.get((metric, "Sum"), 0.0) for told in invoked) if invoked else None

        def mean(metric: str) -> float | None:
            counts = [told.get((metric, "SampleCount"), told["Invocations", "Sum"]) for told in invoked]
            means = [told.get((metric, "Average")) for told in invoked]
            known = [(value, n) for value, n in zip(means, counts, strict=True) if value is not None]
            count = sum(n for _, n in known)
            if not count or len(known) < len(invoked):
                return None
            return sum(value * n for value, n in known) / count / 1e3

        errors = (total("Invocation4XXErrors"), total("Invocation5XXErrors"))
        return cls(total("Invocations"), *errors, mean("ModelLatency"), mean("OverheadLatency"))


@dataclass(frozen=True, slots=True)
class Period:
    """One CloudWatch period.

    at_s           its start on the schedule, seconds, at one of our seconds; below 0 for one that began before the run
    seconds        how long it lasted in reality
    partial        whether arrivals did not go on for all of it
    client         what we planned, sent and got in the same stretch
    invocations    as CloudWatch counted them, like the errors; None where it has no point
    per_instance   InvocationsPerInstance, the sum as CloudWatch gave it
    in_service     instances at its end; None where nobody knows
    counted        what CloudWatch says of all that our requests may have gone to: several variants may share them
    foreign        Invocations beyond what of ours may have arrived; None where that cannot be told: it was not counted,
                   or arrivals did not go on for all of it
    before         mean seconds of API Gateway's Latency and IntegrationLatency and of Lambda's Duration; None for each
                   that was not measured
    """

    at_s: float
    seconds: float
    partial: bool
    client: Span
    invocations: float | None
    per_instance: float | None
    errors_4xx: float | None
    errors_5xx: float | None
    model_errors: float | None
    model_latency: ModelLatency | None
    in_service: int | None
    counted: Counted
    foreign: float | None
    before: tuple[float | None, float | None, float | None]

    @property
    def arrived(self) -> float | None:
        """Invocations of all that our requests may have gone to."""
        return self.counted.invocations

    @property
    def split(self) -> Split | None:
        """None where our service time and ModelLatency cannot be held against each other."""
        model, client = self.counted.model_latency, self.client.requests.service_time.mean
        if self.latency_difference is None or model is None or client is None:
            return None
        return Split(client, model, self.counted.overhead_latency, *self.before)

    @property
    def middle_s(self) -> float:
        return self.at_s + self.seconds * self.client.speed / 2

    def per_minute(self, count: float | None) -> float | None:
        """A count of the period as a rate a minute of real time."""
        return None if count is None else count / self.seconds * 60

    @property
    def errors(self) -> float | None:
        """4XX and 5XX of all that our requests may have gone to."""
        return self.counted.errors

    @property
    def instances(self) -> float | None:
        """Those in service; where that was not watched, the ones among which CloudWatch shared out the invocations."""
        if self.in_service is not None:
            return float(self.in_service)
        return self.invocations / self.per_instance if self.invocations and self.per_instance else None

    @property
    def latency_difference(self) -> float | None:
        """Our mean service time − the mean ModelLatency, in seconds; None where it would say nothing of the target."""
        ours, theirs = self.client.requests, self.counted.model_latency
        late = ours.lateness.max
        if self.partial or theirs is None or ours.service_time.mean is None or late is None or late > PUNCTUAL:
            return None
        return ours.service_time.mean - theirs


@dataclass(frozen=True, slots=True)
class _Sources:
    """Which lines of cloudwatch.csv are whose.

    watched  of the variant, or the inference component, that is watched
    ours     of all that our requests may have gone to
    """

    watched: str = SAGEMAKER
    ours: frozenset[str] = frozenset({SAGEMAKER})

    @classmethod
    def of(cls, subjects: Iterable[Mapping[str, Any]]) -> _Sources:
        named = [(source_of(SAGEMAKER, s.get("label") or ""), s.get("ours")) for s in subjects]
        return cls(named[0][0], frozenset(source for source, ours in named if ours)) if named else cls()


_Told = dict[tuple[str, str], float]  # of one source in one period: metric, statistic → value


def periods(
    minutes: Minutes,
    observations: Sequence[Observation],
    events: Sequence[ScalingEvent],
    period_s: float,
    subjects: Iterable[Mapping[str, Any]],
) -> list[Period]:
    """One for each period of the run, and for what CloudWatch has of the time around it, in order and without a gap.

    subjects  run.json's, the watched one first; none in a folder of an older version
    """
    return _unless_all_are_ours(list(_joined(minutes, observations, events, period_s, _Sources.of(subjects))))


def _joined(
    minutes: Minutes,
    observations: Sequence[Observation],
    events: Sequence[ScalingEvent],
    period_s: float,
    sources: _Sources,
) -> Iterable[Period]:
    speed, end_s = minutes.speed, minutes.end * minutes.speed
    # CloudWatch's periods begin on whole minutes of the wall clock, the run on any second. Finer than that is only the
    # error of a clock, and would move every second of ours to the period before or after its own.
    anchor = round(observations[0].at_s / speed) * speed % period_s if observations else 0.0
    points: dict[int, dict[str, _Told]] = {}
    for found in observations:
        way = next((way for way in (API_GATEWAY, LAMBDA) if found.source.startswith(f"{way}:")), None)
        if way is not None or found.source == sources.watched or found.source in sources.ours:
            of_period = points.setdefault(round((found.at_s - anchor) / period_s), {})
            of_period.setdefault(way or found.source, {})[found.metric, found.statistic] = found.value
    run = range(math.floor(-anchor / period_s), math.ceil((end_s - anchor) / period_s - 1e-6))
    starts = [span.at_s for span in minutes.seconds]
    seen = InService(events)
    ours = _Ours(minutes.seconds)
    for index in sorted({*run, *points}):
        at_s = anchor + index * period_s
        until_s = at_s + period_s
        client = Span(at_s / speed, speed)
        first, last = bisect_left(starts, at_s - 1e-6), bisect_left(starts, until_s - 1e-6)
        minutes.merge_into(client, minutes.seconds[first:last])
        partial = at_s < -1e-6 or until_s > end_s + 1e-6
        told = points.get(index, {})
        counted = Counted.of(told.get(source, {}) for source in sources.ours)
        foreign = None
        if counted.invocations is not None and not partial:
            foreign = max(0.0, counted.invocations - ours.at_most(at_s / speed, until_s / speed))
        yield Period(
            at_s=round(at_s, 6),
            seconds=period_s / speed,
            partial=partial,
            client=client,
            **_counts(told.get(sources.watched, {}), client),
            in_service=seen.at(until_s - 1e-6),
            counted=counted,
            foreign=foreign,
            before=_before(told.get(API_GATEWAY, {}), told.get(LAMBDA, {})),
        )


class _Ours:
    """What of ours may have arrived in a stretch of time, at the most.

    CloudWatch's clock is told from ours by a Date of whole seconds, so that a stretch may lie CLOCK earlier or later
    than it says: where the rate jumps, that moves many. And what was in flight at its edges may count on either side.
    """

    def __init__(self, seconds: Sequence[Span]) -> None:
        self._seconds = seconds
        self._starts = [span.start for span in seconds]
        self._before = [0]  # arrived before each second
        for span in seconds:
            self._before.append(self._before[-1] + span.requested - _never_arrived(span))

    def at_most(self, start: float, until: float) -> int:
        """start, until  real seconds of the run"""
        most = max(
            self._before[self._index(until + shift)] - self._before[self._index(start + shift)]
            for shift in range(-CLOCK, CLOCK + 1)
        )
        return most + self._in_flight(start) + self._in_flight(until) + 1

    def _index(self, at: float) -> int:
        return bisect_left(self._starts, at - 1e-6)

    def _in_flight(self, at: float) -> int:
        last = self._index(at) - 1
        return self._seconds[last].in_flight if last >= 0 else 0


def _unless_all_are_ours(periods: list[Period]) -> list[Period]:
    """Without a stranger's request where all that CloudWatch counts may have come from us: what one period has too
    many of, another then has too few."""
    told = [i for i, period in enumerate(periods) if period.arrived is not None]
    # A period without a point between two that have one is one in which nothing arrived, whatever was to be sent in it.
    over = periods[told[0] : told[-1] + 1] if told else []
    sent = sum(period.client.requested - _never_arrived(period.client) for period in over)
    if sum(period.arrived or 0.0 for period in over) > sent:
        return periods
    return [replace(p, foreign=0.0) if p.foreign else p for p in periods]


def _never_arrived(span: Span) -> int:
    requests = span.by_name.values()
    return sum(n for interval in requests for kind, n in interval.by_kind.items() if kind in NEVER_ARRIVED)


def _before(api: _Told, function: _Told) -> tuple[float | None, float | None, float | None]:
    """Seconds, as Period.before."""
    if any(api.get((error, "Sum")) for error in ("4XXError", "5XXError")):
        return None, None, None  # its means are over what it refused as well, and are no part of a good answer's

    def mean(told: _Told, metric: str) -> float | None:
        in_ms = told.get((metric, "Average"))
        return None if in_ms is None else in_ms / 1e3

    return mean(api, "Latency"), mean(api, "IntegrationLatency"), mean(function, "Duration")


def _counts(told: _Told, client: Span) -> dict[str, Any]:
    """What CloudWatch says of what is watched."""
    invocations = told.get(("Invocations", "Sum"))
    none_counted = None if invocations is None else 0.0  # as in Counted
    latency = {
        name: value / 1e3
        for name, statistic in STATISTICS.items()
        if (value := told.get(("ModelLatency", statistic))) is not None
    }
    measured = round(told.get(("ModelLatency", "SampleCount"), 0.0))
    return {
        "invocations": invocations,
        "per_instance": next((value for name in SHARED if (value := told.get((name, "Sum"))) is not None), None),
        "errors_4xx": told.get(("Invocation4XXErrors", "Sum"), none_counted),
        "errors_5xx": told.get(("Invocation5XXErrors", "Sum"), none_counted),
        "model_errors": told.get(("InvocationModelErrors", "Sum"), none_counted),
        "model_latency": ModelLatency(latency, measured, client.requests.ok) if latency else None,
    }
