"""What scaling would do with a load: target tracking replayed against the latency that was measured.

Pure: from a curve, a load and a policy to minutes. Rules of target tracking are `target_tracking`'s, what one instance
does at which rate is `curve`'s. Between them stands a queue for each instance, in real seconds: arrivals are shared out
among those in service, and what one gets beyond its ceiling waits until its queue is full, and is then refused.

Shared out at random, even arrivals are no longer even, and wait below the ceiling too, longer than at the one instance
of most measurements. That is added: the mean queue q of an instance follows q' = (rate − ceiling) + v / 2q, where v,
the variance that routing adds in a second, is its rate × the scatter of its gaps × (rate / ceiling)^(√(2(c + 1)) − 1).
Left alone it settles at Sakasegawa's approximation of a queue with c servers; it takes its time, as queues do.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sm_locust.analysis.curve import MEASURED, Curve, scatter
from sm_locust.analysis.minutes import Minutes
from sm_locust.record.rounding import in_ms
from sm_locust.schedule import Schedule
from sm_locust.target_tracking import (
    DEFAULT_COOLDOWN,
    LOW_PERIODS,
    PERIOD,
    Action,
    Bounds,
    Instances,
    TargetTracking,
    step,
)

PROVISION = 240.0  # schedule seconds from wanted to in service, where no run has shown it


@dataclass(frozen=True, slots=True)
class Policy:
    """What is asked: "what if the scaling were this?"

    target     invocations a minute for one instance
    cooldowns  in schedule seconds
    """

    target: float
    min_instances: int
    max_instances: int
    scale_out_cooldown: float = DEFAULT_COOLDOWN
    scale_in_cooldown: float = DEFAULT_COOLDOWN

    def as_dict(self) -> dict[str, Any]:
        return {
            "target": self.target,
            "min_instances": self.min_instances,
            "max_instances": self.max_instances,
            "scale_out_cooldown_s": self.scale_out_cooldown,
            "scale_in_cooldown_s": self.scale_in_cooldown,
        }


@dataclass(frozen=True, slots=True)
class Load:
    """Arrivals a second of real time, one value a schedule second.

    what  where it comes from, in words
    """

    rates: tuple[float, ...]
    what: str

    @classmethod
    def planned(cls, schedule: Schedule, what: str = "the planned load") -> Load:
        """schedule  in schedule seconds"""
        edges = [*range(math.ceil(schedule.duration)), schedule.duration]
        counts = [schedule.expected(edge) for edge in edges]
        rates = ((b - a) / (v - u) for u, v, a, b in zip(edges, edges[1:], counts, counts[1:], strict=False))
        return cls(tuple(rates), what)

    @classmethod
    def recorded(cls, minutes: Minutes, what: str = "the recorded load") -> Load:
        """All arrivals that were due in the run, whether they could be sent or not."""
        spans = [span for span in minutes.seconds if span.seconds > 0 and span.start < minutes.end]
        starts = [span.at_s for span in spans]
        rates = []
        for second in range(round(minutes.end * minutes.speed)):
            span = spans[max(0, bisect_right(starts, second + 1e-6) - 1)]
            rates.append(span.per_second(span.arrivals.due) or 0.0)
        return cls(tuple(rates), what)

    def rate(self, at_s: float) -> float:
        """At a schedule second; 0 before the start and from the end on."""
        return self.rates[int(at_s)] if 0 <= at_s < len(self.rates) else 0.0


@dataclass(frozen=True, slots=True)
class PredictedMinute:
    """One predicted schedule minute. Rates are a minute of real time.

    rate          arrivals
    per_instance  invocations for one instance: what target tracking looks at
    instances     in service at its end
    desired       instances that are wanted then
    latency_mean  seconds, of good answers; None where nothing was answered well
    error_rate    0 to 1
    extrapolated  whether its rate for one instance, or its queue, lies outside of what was measured
    """

    minute: int
    rate: float
    per_instance: float
    instances: int
    desired: int
    latency_mean: float | None
    error_rate: float
    extrapolated: bool

    def as_dict(self) -> dict[str, Any]:
        return {
            "minute": self.minute,
            "arrivals_per_minute": round(self.rate, 3),
            "invocations_per_instance_per_minute": round(self.per_instance, 3),
            "instances": self.instances,
            "desired": self.desired,
            "latency_mean_ms": in_ms(self.latency_mean),
            "error_rate": round(self.error_rate, 9),
            "extrapolated": self.extrapolated,
        }


@dataclass(frozen=True)
class Prediction:
    """What would become of a load.

    speed           schedule seconds for one real second of the replay
    instance_hours  in service, hours of the schedule
    requests        sent, and
    errors          of those: as many as such a run really has; one that is compressed has fewer
    """

    policy: Policy
    speed: int
    provision_s: float
    minutes: tuple[PredictedMinute, ...]
    instance_hours: float
    requests: float
    errors: float

    @property
    def first_desired(self) -> int | None:
        """The schedule minute at whose beginning more instances are wanted for the first time; None if never."""
        return self._first("desired")

    @property
    def first_scale_out(self) -> int | None:
        """The schedule minute in which more instances serve for the first time; None if they never do."""
        return self._first("instances")

    def _first(self, name: str) -> int | None:
        start = self.policy.min_instances
        return next((minute.minute for minute in self.minutes if getattr(minute, name) > start), None)

    @property
    def peak(self) -> int:
        """The most instances in service."""
        return max((minute.instances for minute in self.minutes), default=self.policy.min_instances)

    @property
    def worst_mean(self) -> float | None:
        """The highest mean latency of a minute, in seconds."""
        return max((m.latency_mean for m in self.minutes if m.latency_mean is not None), default=None)

    @property
    def error_rate(self) -> float:
        return self.errors / self.requests if self.requests else 0.0

    @property
    def extrapolated(self) -> bool:
        return any(minute.extrapolated for minute in self.minutes)

    def over(self, limit: float) -> int:
        """Minutes whose mean latency is above a limit in seconds."""
        return sum(minute.latency_mean is not None and minute.latency_mean > limit for minute in self.minutes)

    def per_million(self, instance_hour: float) -> float | None:
        """US dollars for a million requests, at a price for an hour of an instance; None without any request."""
        # A compressed replay has fewer requests, at the same rates: its hours are those of the schedule.
        requests = self.requests * self.speed
        return self.instance_hours * instance_hour / requests * 1e6 if requests else None

    def as_dict(self) -> dict[str, Any]:
        """JSON primitives; latencies in milliseconds, rates a minute of real time."""
        return {
            "policy": self.policy.as_dict(),
            "speed": self.speed,
            "provision_s": self.provision_s,
            "first_desired_minute": self.first_desired,
            "first_in_service_minute": self.first_scale_out,
            "most_instances": self.peak,
            "instance_hours": round(self.instance_hours, 6),
            "worst_mean_ms": in_ms(self.worst_mean),
            "requests": round(self.requests, 1),
            "errors": round(self.errors, 1),
            "error_rate": round(self.error_rate, 9),
            "extrapolated": self.extrapolated,
            "minutes": [minute.as_dict() for minute in self.minutes],
        }


def predict(
    curve: Curve,
    load: Sequence[float],
    policy: Policy,
    *,
    provision_s: float = PROVISION,
    speed: int = 1,
    even: bool = True,
) -> Prediction:
    """Plays a load against `min_instances` instances and target tracking.

    load         arrivals a second of real time, one value a schedule second (`Load.rates`)
    provision_s  schedule seconds from when an instance is wanted to when it serves
    speed        schedule seconds for one real second: queues are not compressed, and fill up in real seconds
    even         whether arrivals are evenly spaced; by chance otherwise
    """
    world = _World(curve, policy, provision_s, speed, even)
    minutes = []
    for start in range(0, len(load), PERIOD):
        minutes.append(world.minute(start, load[start : start + PERIOD]))
    return Prediction(
        policy=policy,
        speed=speed,
        provision_s=provision_s,
        minutes=tuple(minutes),
        instance_hours=world.instance_seconds / 3600,
        requests=world.requests,
        errors=world.errors,
    )


@dataclass(slots=True)
class _Cohort:
    """Instances that began to serve together: each has the same queue, of so many requests."""

    instances: int
    queue: float = 0.0


class _World:
    """Instances, their queues and the policy that scales them, a schedule second at a time."""

    def __init__(self, curve: Curve, policy: Policy, provision_s: float, speed: int, even: bool) -> None:
        self._curve = curve
        self._even = even
        self._rule = TargetTracking(policy.target, policy.scale_out_cooldown, policy.scale_in_cooldown)
        self._bounds = Bounds(policy.min_instances, policy.max_instances)
        self._provision_s = provision_s
        self._step_s = 1 / speed  # real seconds
        self._room = curve.room
        self._exponent = math.sqrt(2 * (curve.workers + 1)) - 1
        self._serving = [_Cohort(policy.min_instances)]
        self._coming: deque[tuple[float, int]] = deque()  # when they are ready, and how many
        self._points: deque[float | None] = deque(maxlen=LOW_PERIODS)
        self._adding = 0
        self._last: Action | None = None
        self.instance_seconds = 0.0
        self.requests = 0.0
        self.errors = 0.0

    @property
    def _in_service(self) -> int:
        return sum(cohort.instances for cohort in self._serving)

    @property
    def _desired(self) -> int:
        return self._in_service + sum(n for _, n in self._coming)

    def minute(self, start: int, rates: Sequence[float]) -> PredictedMinute:
        """Lets the seconds of one schedule minute pass, then the policy looks at it."""
        arrived = share = answered = waited = failed = 0.0
        outside = False
        instances, uneven = 0, 0.0
        for second, rate in enumerate(rates, start):
            if self._advance(second) or not instances:
                instances = self._in_service
                uneven = max(0.0, scatter(instances, self._even) - self._curve.scatter)
            each = rate / instances
            self.instance_seconds += instances
            arrived += rate
            share += each
            outside = outside or (rate > 0 and not self._curve.measured(each))
            for cohort in self._serving:
                good, latency, too_long = self._pass(cohort, each, uneven)
                answered += good * cohort.instances
                waited += good * cohort.instances * latency
                failed += (each - good) * cohort.instances
                outside = outside or too_long
        self.requests += arrived * self._step_s
        self.errors += failed * self._step_s
        found = PredictedMinute(
            minute=start // PERIOD,
            rate=arrived / len(rates) * 60,
            per_instance=round(share / len(rates) * 60, 6),
            instances=self._in_service,
            desired=self._desired,
            latency_mean=waited / answered if answered else None,
            error_rate=failed / arrived if arrived else 0.0,
            extrapolated=outside,
        )
        # SageMaker publishes no zero: without a request there is no point.
        self._points.append(found.per_instance if arrived else None)
        self._look(float(start + len(rates)))
        return found

    def _pass(self, cohort: _Cohort, rate: float, uneven: float) -> tuple[float, float, bool]:
        """What one instance answers well in a second, after how long, and whether that is longer than was measured.

        uneven  scatter of its arrivals beyond what the curve was measured with
        """
        curve = self._curve
        if curve.ceiling is None:
            return rate * (1 - curve.failing), curve.latency(rate), False
        before, refused = cohort.queue, 0.0
        cohort.queue = self._queue(before, rate, curve.ceiling, uneven)
        if cohort.queue > self._room:
            refused = (cohort.queue - self._room) / self._step_s
            cohort.queue = self._room
        latency = curve.latency(min(rate, curve.ceiling)) + (before + cohort.queue) / 2 / curve.ceiling
        return max(0.0, rate - refused) * (1 - curve.failing), latency, latency > curve.longest * (1 + MEASURED)

    def _queue(self, queue: float, rate: float, ceiling: float, uneven: float) -> float:
        """The mean queue of an instance after a step, as if it had room for all."""
        more = (rate - ceiling) * self._step_s
        load = min(rate / ceiling, 1.0)
        variance = rate * uneven * load**self._exponent * self._step_s
        # Solved for the end of the step: never below 0, however long it is, and without variance the fluid itself.
        half = (queue + more) / 2
        return half + math.sqrt(half * half + variance / 2)

    def _advance(self, at: float) -> bool:
        """Puts into service what is ready, and says whether there was any."""
        found = False
        while self._coming and self._coming[0][0] <= at:
            ready, instances = self._coming.popleft()
            self._serving.append(_Cohort(instances))
            if not self._coming:
                self._last, self._adding = Action(self._adding, ready), 0
            found = True
        return found

    def _look(self, at: float) -> None:
        """A minute is over: the policy decides by the points up to now.

        What is ready at this very moment does not serve yet: the minute that is looked at had no share of it.
        """
        in_service, desired = self._in_service, self._desired
        # Until all that was added serves it must be known, or it would be added again.
        last = Action(self._adding, math.inf) if self._coming else self._last
        points = list(self._points)
        decision = step([(self._rule, points)], Instances(desired, in_service), self._bounds, last, at)
        if decision.desired is None:
            return
        added = decision.desired - desired
        if added > 0:
            self._coming.append((at + self._provision_s, added))
            self._adding += added
        else:
            self._remove(-added)
            self._last = Action(added, at)

    def _remove(self, instances: int) -> None:
        """The last that came go first; what waits for them is still answered, which no figure here shows."""
        while instances:
            cohort = self._serving[-1]
            gone = min(instances, cohort.instances)
            cohort.instances -= gone
            instances -= gone
            if not cohort.instances:
                self._serving.pop()
