"""What CloudWatch and automatic scaling saw of a run: period by period, and what that comes to.

Limits are rules', what a reader is told is the report's.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sm_locust.analysis.in_service import InService
from sm_locust.analysis.minutes import Minutes, Span
from sm_locust.analysis.periods import (
    FOREIGN_SHARE,
    MAY_HAVE_ARRIVED,
    NEVER_ARRIVED,
    ModelLatency,
    Period,
    Split,
    periods,
)
from sm_locust.record.observation import API_GATEWAY, ENDPOINT_GONE, LAMBDA, Observation, ScalingEvent
from sm_locust.record.outcome import CANCELLED
from sm_locust.record.rounding import in_ms, rounded
from sm_locust.record.run import Run
from sm_locust.scaled import OF_COPIES, PER_COPY, PER_INSTANCE
from sm_locust.target_tracking import DEFAULT_COOLDOWN

PERIOD = 60.0  # schedule seconds, where run.json does not say


@dataclass(frozen=True, slots=True)
class Setting:
    """The automatic scaling that a run started with.

    target  of `metric`, as its target tracking policy has it; None without such a policy
    copies  whether it counts those of an inference component, and not instances
    scale_out_cooldown, scale_in_cooldown   of that policy, in schedule seconds
    """

    min_instances: int
    max_instances: int
    suspended: bool
    metric: str | None
    target: float | None
    copies: bool = False
    scale_out_cooldown: float = DEFAULT_COOLDOWN
    scale_in_cooldown: float = DEFAULT_COOLDOWN

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Setting | None:
        """state  run.json's "scaling", in AWS's names; None when no scalable target was registered"""
        registered = state.get("target")
        if not registered:
            return None
        tracking = [
            configuration
            for policy in state.get("policies") or ()
            if (configuration := policy.get("TargetTrackingScalingPolicyConfiguration"))
        ]
        first = tracking[0] if tracking else {}
        specification = first.get("PredefinedMetricSpecification") or first.get("CustomizedMetricSpecification") or {}
        suspended = registered.get("SuspendedState") or {}
        return cls(
            int(registered["MinCapacity"]),
            int(registered["MaxCapacity"]),
            bool(suspended.get("DynamicScalingOutSuspended")),
            specification.get("PredefinedMetricType") or specification.get("MetricName"),
            first.get("TargetValue"),
            state.get("dimension") == OF_COPIES,
            float(first.get("ScaleOutCooldown", DEFAULT_COOLDOWN)),
            float(first.get("ScaleInCooldown", DEFAULT_COOLDOWN)),
        )

    @property
    def per_minute(self) -> float | None:
        """The invocations a minute that an instance or a copy is to have, suspended or not; None of another metric."""
        return self.target if self.metric in (PER_INSTANCE, PER_COPY) else None

    @property
    def per_instance(self) -> float | None:
        """The invocations a minute for one instance or copy that it holds on to; None while it holds on to none."""
        return None if self.suspended else self.per_minute


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """Whether CloudWatch and we counted and measured the same.

    sent           requests, by us
    never_arrived  of those, by kind: what no Invocation can count
    uncertain      of those, by kind: what may or may not have arrived
    invocations    CloudWatch's sum; None where it has none
    failed         by us, of what may have arrived
    errors         CloudWatch's sum of 4XX and 5XX
    compared       periods whose mean latencies were compared: whole ones in which we sent on time
    worst          the one among them that differs most
    """

    sent: int
    never_arrived: Mapping[str, int]
    uncertain: Mapping[str, int]
    invocations: int | None
    failed: int
    errors: int | None
    compared: int
    worst: Period | None

    @property
    def expected(self) -> int:
        """Invocations, if all that is uncertain arrived."""
        return self.sent - sum(self.never_arrived.values())

    @property
    def difference(self) -> int | None:
        """Invocations beyond what we can explain; below 0 too few."""
        if self.invocations is None:
            return None
        if self.invocations > self.expected:
            return self.invocations - self.expected
        return min(0, self.invocations - (self.expected - sum(self.uncertain.values())))


@dataclass(frozen=True)
class Watched:
    """`Watched.of(run, minutes)`.

    period_s  schedule seconds of a period
    settled   whether all of CloudWatch had come in when it was last asked; None where run.json does not say
    missing   what could not be learned and why, a sentence each
    periods   without a gap from the start of the run to its end
    events    what became of the instances
    state     the scaling the run started with, as run.json has it; None when it was not read
    way       counts of API Gateway and Lambda by their names; none for a run that goes another way
    endpoint_at_start  the endpoint's status when the load began, as SageMaker names it; None when it was not read
    """

    period_s: float
    settled: bool | None
    missing: tuple[str, ...]
    periods: tuple[Period, ...]
    events: tuple[ScalingEvent, ...]
    state: Mapping[str, Any] | None
    way: Mapping[str, Mapping[str, int]]
    endpoint_at_start: str | None

    @classmethod
    def of(cls, run: Run, minutes: Minutes) -> Watched | None:
        """None when nobody watched the run. Raises RunError when what was written cannot be read."""
        about, state = run.meta.get("cloudwatch"), run.meta.get("scaling")
        observations, events = run.observations(), run.scaling_events()
        if not (about or state or observations or events):
            return None
        about = about or {}
        period_s = float(about.get("period_s", PERIOD))
        return cls(
            period_s=period_s,
            settled=about.get("settled"),
            missing=tuple(map(str, about.get("missing") or ())),
            periods=tuple(periods(minutes, observations, events, period_s, about.get("subjects") or ())),
            events=tuple(events),
            state=state,
            way=_way(observations),
            endpoint_at_start=about.get("endpoint_at_start"),
        )

    @property
    def setting(self) -> Setting | None:
        return None if self.state is None else Setting.of(self.state)

    @cached_property
    def _middles(self) -> list[float]:
        return [period.middle_s for period in self.periods]

    @cached_property
    def _in_service(self) -> InService:
        return InService(self.events)

    def served(self, start_s: float, until_s: float) -> float | None:
        """Instances that served from one schedule second to another; None where that changed, or is not known.

        Where they were not seen, they are told from what CloudWatch counted.
        """
        if self._in_service:
            level = self._in_service.during(start_s, until_s)
            return None if level is None else float(level)
        around = [p for p in self.periods if p.at_s < until_s and start_s < p.at_s + p.seconds * p.client.speed]
        found = [period.instances for period in around if period.instances is not None]
        return found[0] if found and max(found) <= min(found) * 1.01 else None

    def within(self, start_s: float, until_s: float) -> Sequence[Period]:
        """The periods whose middle lies in a stretch of the schedule: each belongs to one minute, and to one phase."""
        return self.periods[bisect_left(self._middles, start_s) : bisect_left(self._middles, until_s)]

    def during(self, span: Span) -> Sequence[Period]:
        """The periods of a minute or a phase."""
        return self.within(span.at_s, span.at_s + span.seconds * span.speed)

    def total(self, name: str) -> int | None:
        """The sum of a count over all periods; None where CloudWatch has no point."""
        known = [value for period in self.periods if (value := getattr(period, name)) is not None]
        return round(sum(known)) if known else None

    @property
    def known(self) -> bool:
        """Whether CloudWatch counted anything."""
        return any(period.invocations is not None for period in self.periods)

    @property
    def model_latency(self) -> ModelLatency | None:
        return ModelLatency.merged(self.periods)

    @property
    def split(self) -> Split | None:
        """What our mean service time was made of, over the periods in which that can be told."""
        return Split.merged(self.periods)

    @property
    def foreign(self) -> list[Period]:
        """The periods in which somebody else sent so much that the load was another than planned."""
        return [p for p in self.periods if p.foreign and p.foreign > FOREIGN_SHARE * p.client.requested]

    @property
    def gone_at_s(self) -> float | None:
        """When the endpoint was found to be no more, in schedule seconds; None for one that is still there."""
        return next((event.at_s for event in self.events if event.event == ENDPOINT_GONE), None)

    @property
    def most_per_instance(self) -> float | None:
        """Invocations a minute for one instance, in the busiest period."""
        rates = (period.per_minute(period.per_instance) for period in self.periods)
        return max((rate for rate in rates if rate is not None), default=None)

    @property
    def instances(self) -> tuple[float, float, float] | None:
        """In service at the start, at the end, and at most; None where nobody knows."""
        inside = [period.instances for period in self.periods if period.instances is not None and period.middle_s >= 0]
        return (inside[0], inside[-1], max(inside)) if inside else None

    def reconciliation(self, whole: Span) -> Reconciliation:
        """whole  all that we sent"""
        kinds = {**whole.requests.by_kind, CANCELLED: whole.cancelled}
        never = {kind: n for kind, n in sorted(kinds.items()) if n and kind in NEVER_ARRIVED}
        uncertain = {kind: n for kind, n in sorted(kinds.items()) if n and kind in MAY_HAVE_ARRIVED}
        compared = [(abs(by), period) for period in self.periods if (by := period.latency_difference) is not None]
        return Reconciliation(
            sent=whole.requested,
            never_arrived=never,
            uncertain=uncertain,
            invocations=self.total("arrived"),
            failed=whole.requests.failed - sum(never.values()),
            errors=self.total("errors"),
            compared=len(compared),
            worst=max(compared, key=lambda entry: entry[0])[1] if compared else None,
        )

    # -- as summary.json has it --------------------------------------------------------------------------------------

    def cloudwatch_dict(self) -> dict[str, Any]:
        """Sums and statistics of all periods. Rates are a minute of real time, latencies milliseconds."""
        latency, busiest = self.model_latency, self.most_per_instance
        return {
            "period_s": self.period_s,
            "settled": self.settled,
            "missing": list(self.missing),
            "invocations": self.total("invocations"),
            "most_invocations_per_instance": rounded(busiest),
            "errors_4xx": self.total("errors_4xx"),
            "errors_5xx": self.total("errors_5xx"),
            "model_errors": self.total("model_errors"),
            "way": {name: dict(counts) for name, counts in self.way.items()},
            "model_latency_ms": None if latency is None else latency.as_dict(),
        }

    def reconciliation_dict(self, whole: Span) -> dict[str, Any]:
        found = self.reconciliation(whole)
        return {
            "sent": found.sent,
            "never_arrived": dict(found.never_arrived),
            "uncertain": dict(found.uncertain),
            "invocations": found.invocations,
            "difference": found.difference,
            "failed": found.failed,
            "errors": found.errors,
            "foreign": {
                "requests": round(sum(period.foreign or 0.0 for period in self.foreign)),
                "periods_at_s": [period.at_s for period in self.foreign],
            },
            "split": None if self.split is None else self.split.as_dict(),
            "latency": {
                "compared": found.compared,
                "worst_at_s": None if found.worst is None else found.worst.at_s,
                "worst_difference_ms": None if found.worst is None else in_ms(found.worst.latency_difference),
            },
            "periods": [
                {
                    "at_s": period.at_s,
                    "partial": period.partial,
                    "sent": period.client.requested,
                    "ok": period.client.requests.ok,
                    "failed": period.client.requests.failed,
                    "invocations": period.arrived,
                    "errors_4xx": period.counted.errors_4xx,
                    "errors_5xx": period.counted.errors_5xx,
                    "foreign": period.foreign,
                    "latency_difference_ms": in_ms(period.latency_difference),
                    **_split_dict(period.split),
                }
                for period in self.periods
            ],
        }

    def scaling_dict(self) -> dict[str, Any]:
        instances = self.instances
        return {
            "at_start": None if self.state is None else dict(self.state),
            "instances": None if instances is None else dict(zip(("start", "end", "most"), instances, strict=True)),
            "events": [
                {"at_s": e.at_s, "desired": e.desired, "in_service": e.in_service, "event": e.event}
                for e in self.events
            ],
        }


def _split_dict(split: Split | None) -> dict[str, Any]:
    """The parts that a direct call has, too."""
    found = {} if split is None else split.as_dict()
    return {name: found.get(name) for name in ("model_latency_ms", "overhead_latency_ms", "rest_ms")}


_WAY = {  # namespace → the statistics that count
    API_GATEWAY: (("Count", "SampleCount"), ("4XXError", "Sum"), ("5XXError", "Sum")),
    LAMBDA: (("Invocations", "Sum"), ("Errors", "Sum"), ("Throttles", "Sum")),
}


def _way(observations: Sequence[Observation]) -> dict[str, dict[str, int]]:
    """Sums over all periods, for each of the two that has any point."""
    found: dict[str, dict[str, int]] = {}
    for namespace, counted in _WAY.items():
        mine = [point for point in observations if point.source.startswith(f"{namespace}:")]
        if mine:
            found[namespace.removeprefix("AWS/")] = {
                metric: round(sum(p.value for p in mine if (p.metric, p.statistic) == (metric, statistic)))
                for metric, statistic in counted
            }
    return found
