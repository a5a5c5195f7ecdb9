"""What automatic scaling should be set to: from what an instance sustains, what the load asks, how long help takes.

Source: SageMaker AI developer guide, "Load testing your auto scaling configuration":
SageMakerVariantInvocationsPerInstance = MAX_RPS × SAFETY_FACTOR × 60, starting with a factor of 0.5. Here the factor is
derived, and 0.5 stands beside it. What a policy would do with the load is `replay`'s, AWS's calls are the report's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_FLOOR, Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sm_locust.analysis.capacity import Capacity
from sm_locust.analysis.curve import Curve
from sm_locust.analysis.growth import Growth
from sm_locust.analysis.lag import Lag
from sm_locust.analysis.replay import PROVISION, Load, Policy, predict
from sm_locust.analysis.watched import Watched
from sm_locust.prices import INSTANCE_HOUR, Cache, Prices
from sm_locust.record.rounding import in_ms, rounded
from sm_locust.scaled import Scaled
from sm_locust.schedule import Schedule
from sm_locust.target_tracking import DEFAULT_COOLDOWN, HIGH_PERIODS, PERIOD

if TYPE_CHECKING:
    from sm_locust.config import RunConfig

AWS_SAFETY = 0.5
MOST_SAFETY = 0.9  # a tenth stays free for what no plan shows: chance, and a router that does not share out evenly
# With less than AWS's half, an instance that stays costs no more than one that comes too late.
LEAST_SAFETY = AWS_SAFETY

AVAILABLE = 2  # instances, in two availability zones: AWS's advice
SPARE = 1  # an instance may be lost at the peak
UNPLANNED_MAX = 2 * AVAILABLE  # where no load is planned and nothing is configured
MOST_INSTANCES = 10_000  # what `scaling` accepts

SCALE_OUT_COOLDOWN = float(HIGH_PERIODS * PERIOD)

NOW, RECOMMENDED, AWS = "now", "recommended", "aws"


@dataclass(frozen=True, slots=True)
class Option:
    """One way to set it, and what would become of the planned load.

    target           invocations a minute for one instance; None where nothing scales by them
    cooldowns        schedule seconds
    instance_hours   of the schedule; None without a planned load, or where nobody knows how it scales
    cost             US dollars for them; None where the price is not known
    per_million      US dollars for a million requests
    worst_mean       seconds, the highest mean of a minute, as predicted; None without a curve, and where the load goes
                     beyond what an instance was seen to bear and nothing shows what then becomes of it; like
    errors           requests that would fail
    extrapolated     whether the prediction goes beyond what was measured
    sustains         arrivals a second that the most instances sustain, each MAX_RPS
    headroom         by what share that is more than the planned peak; below 0 it falls short; None where no
                     load is planned
    """

    name: str
    target: float | None
    min_instances: int
    max_instances: int
    scale_out_cooldown: float
    scale_in_cooldown: float
    instance_hours: float | None = None
    cost: float | None = None
    per_million: float | None = None
    worst_mean: float | None = None
    errors: float | None = None
    extrapolated: bool = False
    sustains: float | None = None
    headroom: float | None = None

    def as_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "target": self.target,
            "min_instances": self.min_instances,
            "max_instances": self.max_instances,
            "scale_out_cooldown_s": self.scale_out_cooldown,
            "scale_in_cooldown_s": self.scale_in_cooldown,
            "instance_hours": rounded(self.instance_hours),
            "cost": rounded(self.cost, 6),
            "cost_per_million": rounded(self.per_million, 6),
            "worst_minute_mean_ms": in_ms(self.worst_mean),
            "errors": rounded(self.errors, 1),
            "extrapolated": self.extrapolated,
            "sustains_rps": rounded(self.sustains),
            "headroom": rounded(self.headroom, 6),
        }


@dataclass(frozen=True, slots=True)
class Wait:
    """How long a scale-out takes, in schedule seconds.

    serving_s    from the start of the first minute above the target until all instances serve
    provision_s  from wanted to in service, a part of it
    measured     whether `serving_s` was measured; else AWS's three minutes of the alarm, and `provision_s`
    """

    serving_s: float
    provision_s: float
    measured: bool

    @classmethod
    def of(cls, lags: Sequence[Lag]) -> Wait:
        """The longest that was measured."""
        served = [lag for lag in lags if lag.in_service_s is not None]
        provision = max(((lag.in_service_s or 0.0) - lag.desired_s for lag in served), default=PROVISION)
        whole = [(lag.in_service_s or 0.0) - lag.crossed_s for lag in served if lag.crossed_s is not None]
        return cls(max(whole, default=HIGH_PERIODS * PERIOD + provision), provision, bool(whole))

    @property
    def lag_s(self) -> float:
        """From the moment at which the load crosses the target: that is seen once the minute is over."""
        return PERIOD + self.serving_s


@dataclass(frozen=True, slots=True)
class Recommendation:
    """`Recommendation.of(…)`. Rates are arrivals a second for one instance; instances are copies, for a component.

    refused      why nothing can be recommended, in one sentence; empty where something is
    max_rps      MAX_RPS: what an instance sustains. It is `capacity.low`, the side that we are sure of: a target a
                 little too low costs some instance-hours, one too high costs errors
    lower_bound  whether the rate at which an instance breaks was not reached
    safety       what of `max_rps` the target asks of an instance
    wait         how long a scale-out takes
    growth       how much the load grows in that time; None without a planned load
    peak         the most arrivals a second that are planned; None without a plan
    too_fast     whether it grows too fast for scaling to follow: the minimum carries the peak
    recommended, aws   the two settings; None where it is refused
    now          what is configured; None where nothing is
    now_is       where that was found, in words
    reasons      why, a sentence each
    region       as the configuration names it; None for the default one
    url          where the configuration sends everything instead of to AWS
    """

    scaled: Scaled
    refused: str = ""
    max_rps: float | None = None
    lower_bound: bool = False
    safety: float | None = None
    wait: Wait | None = None
    growth: Growth | None = None
    peak: float | None = None
    too_fast: bool = False
    recommended: Option | None = None
    aws: Option | None = None
    now: Option | None = None
    now_is: str = ""
    reasons: tuple[str, ...] = ()
    region: str | None = None
    url: str | None = None

    @classmethod
    def of(
        cls,
        capacity: Capacity,
        config: RunConfig,
        schedule: Schedule | None,
        *,
        lags: Sequence[Lag] = (),
        watched: Watched | None = None,
        prices: Prices | None = None,
        curve: Curve | None = None,
    ) -> Recommendation | None:
        """None where the configuration names nothing that can be scaled.

        schedule  the planned load in schedule seconds; None where there is none
        watched   with the scaling that the run started with
        curve     what one instance does at which rate; without it no latency and no error is predicted
        """
        target, scaled = config.target, Scaled.of(config)
        if target is None or scaled is None:
            return None
        refused, max_rps = _refused(capacity, scaled, watched), _sustained(capacity)
        if refused or max_rps is None:
            return cls(scaled, refused)
        wait = Wait.of(lags)
        growth = None if schedule is None else Growth.of(schedule, wait.lag_s, max_rps)
        left = AWS_SAFETY if growth is None else 1 - growth.share
        safety, too_fast = min(MOST_SAFETY, max(LEAST_SAFETY, left)), left < LEAST_SAFETY

        now, now_is = _now(config, watched)
        per_minute, aws_per_minute = (_rounded_down(max_rps * factor * 60) for factor in (safety, AWS_SAFETY))
        least, most = _bounds(schedule, per_minute, now, carries_peak=too_fast)
        aws_bounds = _bounds(schedule, aws_per_minute, now, carries_peak=False)
        if max(most, aws_bounds[1]) > MOST_INSTANCES:
            return cls(scaled, f"the planned load needs more than {scaled.counted(MOST_INSTANCES)}")
        # What was removed too early takes a whole scale-out to come back.
        scale_in = max(DEFAULT_COOLDOWN, float(math.ceil(wait.lag_s / PERIOD) * PERIOD))

        even = config.arrivals.spacing == "even"
        outlook = _Outlook(schedule, prices or Prices(), curve, wait.provision_s, scaled, even, max_rps)
        recommended = outlook.of(Option(RECOMMENDED, per_minute, least, most, SCALE_OUT_COOLDOWN, scale_in))
        found = cls(
            scaled=scaled,
            max_rps=max_rps,
            lower_bound=not capacity.reached,
            safety=safety,
            wait=wait,
            growth=growth,
            peak=None if schedule is None else schedule.peak,
            too_fast=too_fast,
            recommended=recommended,
            aws=outlook.of(Option(AWS, aws_per_minute, *aws_bounds, DEFAULT_COOLDOWN, DEFAULT_COOLDOWN)),
            now=None if now is None else outlook.of(now),
            now_is=now_is,
            region=target.region,
            url=target.url,
        )
        return replace(
            found, reasons=tuple(_reasons(found, recommended, capacity, schedule, wait, max_rps, curve is not None))
        )

    @classmethod
    def of_run(
        cls,
        capacity: Capacity,
        config: RunConfig,
        phases: Sequence[Mapping[str, Any]],
        watched: Watched | None,
        lags: Sequence[Lag],
        curve: Curve | None,
    ) -> Recommendation | None:
        """From what a run's folder holds, and nothing else: the prices are those of its configuration.

        phases  that were played, as run.json has them; without any the configuration's are the planned load

        None where the configuration names nothing that can be scaled.
        """
        return cls.of(
            capacity,
            config,
            Schedule.from_dicts(phases) if phases else config.schedule(),
            lags=lags,
            watched=watched,
            prices=Prices.of(config, Cache(Path(), {})),
            curve=curve,
        )

    @property
    def options(self) -> tuple[Option, ...]:
        """As configured now, recommended, with AWS's 0.5; those that there are."""
        return tuple(option for option in (self.now, self.recommended, self.aws) if option is not None)

    def as_dict(self) -> dict[str, Any]:
        """What summary.json holds, JSON primitives. Rates are arrivals a second, targets invocations a minute."""
        recommended, growth, wait = self.recommended, self.growth, self.wait
        if recommended is None or wait is None:
            return {"refused": self.refused}
        return {
            "refused": None,
            "resource_id": self.scaled.resource_id,
            "metric": self.scaled.metric,
            "target": recommended.target,
            "min_instances": recommended.min_instances,
            "max_instances": recommended.max_instances,
            "scale_out_cooldown_s": recommended.scale_out_cooldown,
            "scale_in_cooldown_s": recommended.scale_in_cooldown,
            "max_rps": rounded(self.max_rps),
            "lower_bound": self.lower_bound,
            "safety": rounded(self.safety, 6),
            "growth": None
            if growth is None
            else {"by_rps": rounded(growth.by), "from_rps": rounded(growth.start), "at_s": rounded(growth.at_s)},
            "peak_rps": rounded(self.peak),
            "too_fast": self.too_fast,
            "lag": {
                "s": rounded(wait.lag_s),
                "crossed_to_in_service_s": rounded(wait.serving_s),
                "provision_s": rounded(wait.provision_s),
            },
            "assumed": not wait.measured,
            "aws": {"safety": AWS_SAFETY, "target": None if self.aws is None else self.aws.target},
            "now": self.now_is,
            "options": [option.as_dict() for option in self.options],
            "reasons": list(self.reasons),
        }


def _refused(capacity: Capacity, scaled: Scaled, watched: Watched | None) -> str:
    """Why nothing can be said; empty where something can."""
    if capacity.refused:
        return capacity.refused
    if not capacity.max_rps:
        return "the SLO held at no rate"
    if not _sustained(capacity):
        return (
            f"the SLO held at {capacity.max_rps:,.4g} a second, but too seldom to know a rate at which it always does"
        )
    if capacity.instances is None:
        return f"how many {scaled.units} served is not known, and so not what one of them sustains"
    state = None if watched is None else watched.state
    if state is not None and state.get("instances", 0) is None:
        return f"{scaled.resource_id} is serverless: it has no instances to scale"
    return ""


def _sustained(capacity: Capacity) -> float | None:
    return capacity.max_rps if capacity.low is None else capacity.low


def _rounded_down(per_minute: float) -> float:
    """To two significant digits: more of them would claim what no measurement holds."""
    exact = Decimal(f"{per_minute:.9g}")  # 25,000 that was summed up to 24,999.999999999996 is 25,000
    return float(exact.quantize(Decimal((0, (1,), exact.adjusted() - 1)), ROUND_FLOOR))


def needed(rate: float, target: float) -> int:
    """Instances that take `rate` arrivals a second at a target."""
    return max(1, math.ceil(round(rate * 60 / target, 9)))


def base(schedule: Schedule) -> float:
    """Arrivals a second of the first minute: what is there before scaling can have done anything."""
    first = min(float(PERIOD), schedule.duration)
    return schedule.expected(first) / first


def _bounds(schedule: Schedule | None, target: float, now: Option | None, *, carries_peak: bool) -> tuple[int, int]:
    """The minimum and the maximum."""
    if schedule is None:
        return AVAILABLE, max(AVAILABLE, UNPLANNED_MAX if now is None else now.max_instances)
    at_peak = needed(schedule.peak, target)
    least = max(AVAILABLE, at_peak if carries_peak else needed(base(schedule), target))
    return least, max(least, at_peak + SPARE)


# -- what is configured now --------------------------------------------------------------------------------------------


def _now(config: RunConfig, watched: Watched | None) -> tuple[Option | None, str]:
    """What the run found at its start, where that scales by invocations; else what the configuration sets up; else the
    instances that nothing scales."""
    setting, scaling = None if watched is None else watched.setting, config.scaling
    if setting is not None and setting.per_minute is not None:
        bounds = setting.min_instances, setting.max_instances
        cooldowns = setting.scale_out_cooldown, setting.scale_in_cooldown
        found = Option(NOW, setting.per_minute, *bounds, *cooldowns)
        return found, "found at the start" + (", suspended" if setting.suspended else "")
    if scaling is not None and scaling.per_minute is not None:
        given = (scaling.scale_out_cooldown, scaling.scale_in_cooldown)
        out, in_ = (DEFAULT_COOLDOWN if seconds is None else float(seconds) for seconds in given)
        bounds = scaling.min_instances, scaling.max_instances
        return Option(NOW, scaling.per_minute, *bounds, out, in_), "scaling of the configuration"
    instances = None if watched is None or watched.state is None else watched.state.get("instances")
    if setting is None and isinstance(instances, int) and instances > 0:
        return Option(NOW, None, instances, instances, DEFAULT_COOLDOWN, DEFAULT_COOLDOWN), "no scaling"
    return None, ""


# -- what would become of the planned load -----------------------------------------------------------------------------


class _Outlook:
    """Completes options by what the planned load would make of them, at speed 1."""

    def __init__(
        self,
        schedule: Schedule | None,
        prices: Prices,
        curve: Curve | None,
        provision_s: float,
        scaled: Scaled,
        even: bool,
        max_rps: float,
    ) -> None:
        self._schedule = schedule
        self._load = None if schedule is None or curve is None else Load.planned(schedule)
        # Copies share instances: an hour of one has no price.
        self._hour = prices.known.get(INSTANCE_HOUR) if not scaled.copies else None
        self._curve = curve
        self._provision_s, self._even = provision_s, even
        self._max_rps = max_rps

    def of(self, option: Option) -> Option:
        option = replace(option, sustains=option.max_instances * self._max_rps)
        if self._schedule is None:
            return option
        found, known = None, False
        if self._load is not None and self._curve is not None:
            policy = _policy(option)
            found = predict(self._curve, self._load.rates, policy, provision_s=self._provision_s, even=self._even)
            known = all(self._curve.foretells(minute.per_instance / 60) for minute in found.minutes)
        hours = _hours(self._schedule, option) if found is None else found.instance_hours
        cost, requests = None if self._hour is None else hours * self._hour.usd, self._schedule.total
        highest = self._schedule.peak
        headroom = (option.sustains or 0.0) / highest - 1 if highest else math.inf
        return replace(
            option,
            headroom=headroom if math.isfinite(headroom) else None,
            instance_hours=hours,
            cost=cost,
            per_million=None if cost is None or not requests else cost / requests * 1e6,
            worst_mean=found.worst_mean if found is not None and known else None,
            errors=found.errors if found is not None and known else None,
            extrapolated=found is not None and found.extrapolated,
        )


def _policy(option: Option) -> Policy:
    # Where nothing scales, minimum and maximum are the same, and any target does.
    # A component that may have no copy at all is replayed with one: what the first request waits for is not measured.
    bounds = max(1, option.min_instances), max(1, option.max_instances)
    return Policy(option.target or 1.0, *bounds, option.scale_out_cooldown, option.scale_in_cooldown)


def _hours(schedule: Schedule, option: Option) -> float:
    """As though instances were there at once, and gone at once."""
    hours = 0.0
    for minute in range(math.ceil(schedule.duration / PERIOD)):
        start, end = float(minute * PERIOD), min((minute + 1.0) * PERIOD, schedule.duration)
        rate = (schedule.expected(end) - schedule.expected(start)) / (end - start)
        wanted = option.min_instances if option.target is None else needed(rate, option.target)
        hours += min(option.max_instances, max(option.min_instances, wanted)) * (end - start) / 3600
    return hours


# -- why ---------------------------------------------------------------------------------------------------------------


def _reasons(
    found: Recommendation,
    recommended: Option,
    capacity: Capacity,
    schedule: Schedule | None,
    wait: Wait,
    max_rps: float,
    predicted: bool,
) -> Iterator[str]:
    one = f"One {found.scaled.unit}"
    sustains = f"{one} sustains {_number(max_rps)} requests a second (MAX_RPS)"
    if not capacity.reached:
        yield f"{sustains} at the least: it was never seen to break, so that the target may be too low."
    elif capacity.max_rps is not None and capacity.max_rps > max_rps:
        yield f"{sustains}: the lower bound of what was measured, {_number(capacity.max_rps)}."
    else:
        yield f"{sustains}."
    yield _about_wait(wait)
    yield _about_safety(found)
    yield _about_minimum(found, recommended, schedule)
    yield _about_maximum(found, recommended, schedule)
    yield (
        f"Cooldown after a scale-out {recommended.scale_out_cooldown:.0f} s: for as long the alarm still looks at "
        f"minutes from before it. After a scale-in {recommended.scale_in_cooldown:.0f} s: never less than AWS's "
        f"{DEFAULT_COOLDOWN:.0f} s, nor than it takes to have back what was removed too early."
    )
    if schedule is not None and not predicted:
        yield (
            "No latency is predicted, for want of a curve; instance-hours are those of instances that come and go at "
            "once."
        )
    if found.scaled.copies:
        yield "Hours are those of copies, which have no price: the instances under them are billed."


def _about_wait(wait: Wait) -> str:
    takes = f"A scale-out takes {wait.lag_s:.0f} s from when the load crosses the target: {PERIOD} s until it is seen"
    if wait.measured:
        return f"{takes}, and the longest that was measured from there until all serve, {wait.serving_s:.0f} s."
    alarm = wait.serving_s - wait.provision_s
    provision = "" if wait.provision_s == PROVISION else "the longest that was measured, "
    return (
        f"{takes}, {alarm:.0f} s until the alarm and {provision}{wait.provision_s:.0f} s of provisioning. This is an "
        "assumption: none was measured whole."
    )


def _about_safety(found: Recommendation) -> str:
    growth, safety = found.growth, found.safety or 0.0
    if growth is None:
        return f"Safety factor {safety:g}, AWS's first: no load is planned from which another would follow."
    grows = (
        f"In that time the planned load grows by up to {_number(growth.by)} a second, from {_number(growth.start)} at "
        f"minute {growth.at_s / 60:.0f}"
    )
    each = f"{growth.share:.0%} of what each {found.scaled.unit} sustains"
    if growth.start > (found.max_rps or math.inf):  # `by` itself is a multiple of what one sustains
        each = f"shared among those that serve, {each}"
    if found.too_fast:
        return (
            f"{grows}: {each}. That is too fast for scaling to follow: the minimum carries the peak, at AWS's safety "
            f"factor of {safety:g}."
        )
    if safety == MOST_SAFETY:
        return f"{grows}: {each}. Safety factor {safety:g}, never more: a tenth is for what no plan shows."
    return f"{grows}: {each}. Safety factor {safety:.3g}: the rest."


def _about_minimum(found: Recommendation, recommended: Option, schedule: Schedule | None) -> str:
    least = f"At least {found.scaled.counted(recommended.min_instances)}"
    if schedule is None:
        return f"{least}, for availability: no load is planned."
    if found.too_fast:
        return f"{least}: for the planned peak of {_number(schedule.peak)} a second, and for availability."
    if recommended.min_instances > AVAILABLE:
        return f"{least}: for the first minute's {_number(base(schedule))} a second at the target."
    return f"{least}, for availability; the first minute's {_number(base(schedule))} a second need no more."


def _about_maximum(found: Recommendation, recommended: Option, schedule: Schedule | None) -> str:
    most = f"At most {found.scaled.counted(recommended.max_instances)}"
    if schedule is None:
        kept = "as it is configured" if found.now is not None else "an assumption"
        return f"{most}, {kept}: no peak is planned."
    highest = schedule.peak
    at_peak = needed(highest, recommended.target or math.inf)
    return f"{most}: {at_peak:,} for the planned peak of {_number(highest)} a second, and {SPARE} in case one is lost."


def _number(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 100 or rate == int(rate) else f"{rate:,.3g}"
