"""The rules of target tracking: from a metric's one-minute points to the number of instances that is wanted.

Pure: no clock, no AWS, nothing of ours is imported. Times are schedule seconds, or any other seconds that are the same
everywhere. Where points come from, what an instance is and how long it takes to come is the caller's.

Source: AWS's Application Auto Scaling user guide, "Target tracking scaling policies" (how alarms trigger a policy, how
several policies go together, cooldown periods), and for what it leaves open what was observed of SageMaker variants:
an alarm needs 3 of 3 points above the target or 15 of 15 below 90% of it. InvocationsPerInstance is held as a rate
a minute.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

PERIOD = 60
"""Seconds of one point, and from one step to the next."""

DEFAULT_COOLDOWN = 300.0
"""AWS's for SageMaker variants, both ways."""

HIGH_PERIODS = 3
LOW_PERIODS = 15

LOW_SHARE = 0.9
"""The low alarm's threshold as a share of the target."""

MOST_WANTED = 1e9
"""Instances: more than any bounds allow."""

Points = Sequence[float | None]
"""A metric's points, one a period, oldest first and without gaps; None where nothing was published."""


class AlarmState(Enum):
    """What CloudWatch calls them."""

    OK = "OK"
    ALARM = "ALARM"
    INSUFFICIENT_DATA = "INSUFFICIENT_DATA"


class Held(Enum):
    """Why an alarm changed nothing: AWS's codes for not scaled activities where it has one, else our words."""

    AT_MAX = "AlreadyAtMaxCapacity"
    AT_MIN = "AlreadyAtMinCapacity"
    AT_DESIRED = "AlreadyAtDesiredCapacity"
    COOLDOWN = "cooldown"
    IN_PROGRESS = "a scale-out is in progress"
    OTHER_POLICY = "another policy does not want to scale in"
    SUSPENDED = "suspended"


@dataclass(frozen=True, slots=True)
class TargetTracking:
    """One policy. Cooldowns in seconds; `target` in the metric's own unit, a minute where it is a rate."""

    target: float
    scale_out_cooldown: float = DEFAULT_COOLDOWN
    scale_in_cooldown: float = DEFAULT_COOLDOWN
    disable_scale_in: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.target) and self.target > 0):
            raise ValueError(f"target {self.target!r}: must be more than 0")
        for name, seconds in (
            ("scale_out_cooldown", self.scale_out_cooldown),
            ("scale_in_cooldown", self.scale_in_cooldown),
        ):
            if not seconds >= 0:
                raise ValueError(f"{name} {seconds!r}: must not be negative")

    @property
    def low_threshold(self) -> float:
        return self.target * LOW_SHARE

    def high_alarm(self, points: Points) -> AlarmState:
        """ALARM when the last three points are all there and above the target."""
        return _alarm(
            [None if point is None else point > self.target for point in points[-HIGH_PERIODS:]], HIGH_PERIODS
        )

    def low_alarm(self, points: Points) -> AlarmState:
        """ALARM when the last fifteen points are all there and below 90% of the target: without traffic, never."""
        low = self.low_threshold
        return _alarm([None if point is None else point < low for point in points[-LOW_PERIODS:]], LOW_PERIODS)

    def wanted(self, in_service: int, metric: float) -> int:
        """Instances that would bring the metric to the target, if it is shared out among those in service."""
        # Rounded first: a share such as 2/3, summed up from parts, must not come to a whole instance more.
        # And never infinite, however low the target: what is asked for is a number.
        return math.ceil(round(min(in_service * metric / self.target, MOST_WANTED), 9))


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a scalable target allows: how many instances, and which directions are not suspended."""

    min_capacity: int
    max_capacity: int
    scale_in_suspended: bool = False
    scale_out_suspended: bool = False


@dataclass(frozen=True, slots=True)
class Instances:
    """`desired` is what was last asked for, `in_service` what serves: fewer while instances are provisioned."""

    desired: int
    in_service: int


@dataclass(frozen=True, slots=True)
class Action:
    """The last action of a policy, from whose end cooldowns count.

    added     instances; negative when they were removed; those of a scale-out that another took over included
    ended_at  when all of them served, or were gone; math.inf while they are on their way
    """

    added: int
    ended_at: float


@dataclass(frozen=True, slots=True)
class Decision:
    """What one step comes to.

    desired   the number of instances to ask for, or None
    policy    which of the policies brought it about, or was held; None when no alarm is in ALARM
    scale_in  whether it was the policy's low alarm
    held      why nothing changes though an alarm is in ALARM
    """

    desired: int | None = None
    policy: int | None = None
    scale_in: bool = False
    held: Held | None = None


def step(
    policies: Sequence[tuple[TargetTracking, Points]],
    instances: Instances,
    bounds: Bounds,
    last: Action | None,
    at: float,
) -> Decision:
    """What the policies, each with its metric's points up to `at`, do now. Call it once a period.

    Any policy may scale out, and the largest number wins; all must agree to scale in (those with scale-in disabled
    have no say). The last point of the metric counts, and it is shared out among the instances in service. What was
    added before is part of the next scale-out, while it is provisioned and until its cooldown ends, so that an alarm
    which stays high does not go on multiplying. Nothing is removed while instances are being added.
    """
    high = [n for n, (policy, points) in enumerate(policies) if policy.high_alarm(points) is AlarmState.ALARM]
    if high:
        return _largest([_scale_out(n, *policies[n], instances, bounds, last, at) for n in high])
    voting = [n for n, (policy, _) in enumerate(policies) if not policy.disable_scale_in]
    low = [n for n in voting if policies[n][0].low_alarm(policies[n][1]) is AlarmState.ALARM]
    if not low:
        return Decision()
    if low != voting:
        return Decision(policy=low[0], scale_in=True, held=Held.OTHER_POLICY)
    return _largest([_scale_in(n, *policies[n], instances, bounds, last, at) for n in low])


def _scale_out(
    n: int, policy: TargetTracking, points: Points, instances: Instances, bounds: Bounds, last: Action | None, at: float
) -> Decision:
    if bounds.scale_out_suspended:
        return Decision(policy=n, held=Held.SUSPENDED)
    cooling = last is not None and last.added > 0 and at < last.ended_at + policy.scale_out_cooldown
    pending = instances.desired - instances.in_service
    counted = max(pending, last.added if last is not None and cooling else 0)
    more = policy.wanted(instances.in_service, _latest(points)) - instances.in_service - counted
    if instances.desired >= bounds.max_capacity:
        return Decision(policy=n, held=Held.AT_MAX)
    if more <= 0:
        return Decision(policy=n, held=Held.COOLDOWN if cooling or pending > 0 else Held.AT_DESIRED)
    return Decision(desired=min(instances.desired + more, bounds.max_capacity), policy=n)


def _scale_in(
    n: int, policy: TargetTracking, points: Points, instances: Instances, bounds: Bounds, last: Action | None, at: float
) -> Decision:
    if bounds.scale_in_suspended:
        return Decision(policy=n, scale_in=True, held=Held.SUSPENDED)
    if instances.in_service < instances.desired:
        return Decision(policy=n, scale_in=True, held=Held.IN_PROGRESS)
    if last is not None and last.added < 0 and at < last.ended_at + policy.scale_in_cooldown:
        return Decision(policy=n, scale_in=True, held=Held.COOLDOWN)
    if instances.desired <= bounds.min_capacity:
        return Decision(policy=n, scale_in=True, held=Held.AT_MIN)
    wanted = max(policy.wanted(instances.in_service, _latest(points)), bounds.min_capacity)
    if wanted >= instances.desired:
        return Decision(policy=n, scale_in=True, held=Held.AT_DESIRED)
    return Decision(desired=wanted, policy=n, scale_in=True)


def _largest(decisions: Sequence[Decision]) -> Decision:
    """The one that leaves most instances: for scaling in, one that is held leaves all of it."""
    held = [decision for decision in decisions if decision.desired is None]
    if held and (held[0].scale_in or len(held) == len(decisions)):
        return held[0]
    return max(decisions, key=lambda decision: decision.desired or 0)


def _latest(points: Points) -> float:
    latest = points[-1]
    if latest is None:
        raise ValueError("points: an alarm is in ALARM and the latest point is missing")
    return latest


def _alarm(breaching: Sequence[bool | None], periods: int) -> AlarmState:
    """M out of M points, missing ones treated as missing: they never complete an alarm."""
    if all(point is None for point in breaching):
        return AlarmState.INSUFFICIENT_DATA
    if len(breaching) == periods and all(breaching):
        return AlarmState.ALARM
    return AlarmState.OK
