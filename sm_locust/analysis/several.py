"""Runs of several configurations side by side: what each sustains, what that costs, and the cheapest for a load.

A configuration is an instance type and a number of instances, as one run measured it. What more instances than were
measured would take is reckoned as if they added up, which extrapolates. Where prices come from is `sm_locust.prices`'s,
what one instance sustains the Summary's; wording and layout are the report's.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from sm_locust.analysis.capacity import Capacity
from sm_locust.analysis.compare import Comparison
from sm_locust.analysis.minutes import Minutes, Span
from sm_locust.analysis.plan import busiest_minute
from sm_locust.analysis.summary import Summary
from sm_locust.analysis.watched import Watched
from sm_locust.config import RunConfig
from sm_locust.prices import INSTANCE_HOUR, NOT_SEEN, Cache, Price, Prices, Seen
from sm_locust.record.rounding import in_ms, rounded
from sm_locust.record.run import RunError
from sm_locust.schedule import Schedule

_NAMES = ("target_variant", "inference_component", "target_model")  # of what is compared: they may well differ

NEAR = 0.1  # of the capacity: a rate no further below it counts as one at which the SLO still held, and just so


@dataclass(frozen=True, slots=True)
class Bounded:
    """A figure that follows from a capacity, and what it is at the bounds of that capacity.

    high  None where it may be anything above `low`
    """

    value: float
    low: float
    high: float | None

    def reaches(self, other: Bounded) -> bool:
        """Whether the two intervals overlap: which figure is the lower one is then not shown."""
        return (self.high is None or other.low <= self.high) and (other.high is None or self.low <= other.high)

    def times(self, factor: float) -> Bounded:
        return Bounded(self.value * factor, self.low * factor, None if self.high is None else self.high * factor)

    def as_dict(self) -> dict[str, float | None]:
        return {"value": round(self.value, 6), "low": round(self.low, 6), "high": rounded(self.high, 6)}


def rates(found: Capacity) -> Bounded | None:
    """A capacity in arrivals a second; None where there is none, or it was refused."""
    if found.refused or not found.max_rps:
        return None
    return Bounded(found.max_rps, found.low or 0.0, found.high)


@dataclass(frozen=True, slots=True)
class Near:
    """What was measured close to the capacity: seconds, from the schedule; None where nothing was answered."""

    mean: float | None
    p99: float | None

    @classmethod
    def of(cls, minutes: Minutes, watched: Watched | None, capacity: Capacity) -> Near | None:
        """Of the judged seconds in which one instance was to take at most `capacity.max_rps`, and little less.

        None where there is no capacity, or there were no such seconds.
        """
        found = rates(capacity)
        if found is None:
            return None
        periods = watched.periods if watched is not None else ()
        starts = [period.at_s for period in periods]
        whole = Span(0.0, minutes.speed)
        for span in minutes.seconds:
            if span.seconds and minutes.is_judged(span):
                at = bisect_right(starts, span.at_s) - 1
                serving = periods[at].instances if at >= 0 else None
                instances = 1.0 if capacity.instances is None else serving or capacity.instances
                if (1 - NEAR) * found.value <= span.planned / span.seconds / instances <= found.value * (1 + 1e-9):
                    whole.merge(span)
        latency = whole.requests.latency
        return cls(latency.mean, latency.quantile(0.99)) if whole.sent else None


@dataclass(frozen=True, slots=True)
class Configuration:
    """One run, and what it says of the instances that it was played against.

    name      of its folder
    run_id    as run.json has it
    capacity  what one instance sustains, or why nobody can say
    speed     schedule seconds for one real second
    invalid   why it is not valid, in sentences; empty where it is
    limits    its SLO: metric → seconds, or a fraction for error_rate
    work      what of its configuration decides how much work a request is: see `work`
    busiest   arrivals a second in the busiest minute of its schedule; None without one
    seen      type and number of its instances when it began, as far as anybody saw them
    near      the latency close to it
    sagemaker whether an endpoint was called; what else a target is, nobody knows the instances of
    price     of an hour of one instance; None where nobody has said it
    """

    name: str
    run_id: str
    capacity: Capacity
    speed: int = 1
    invalid: tuple[str, ...] = ()
    limits: Mapping[str, float] = field(default_factory=dict)
    work: Mapping[str, Any] = field(default_factory=dict)
    busiest: float | None = None
    seen: Seen = NOT_SEEN
    near: Near | None = None
    price: Price | None = None
    sagemaker: bool = True

    @classmethod
    def of(cls, summary: Summary, cache: Cache | None = None) -> Configuration:
        """cache  of prices; None for the one of this user"""
        config, there = RunConfig.from_dict(summary.meta.get("config") or {}), seen(summary)
        phases = summary.meta["schedule"]["phases"]
        capacity = summary.capacity
        return cls(
            name=summary.folder.resolve().name,
            run_id=summary.run_id,
            speed=summary.speed,
            invalid=tuple(reason.text for reason in summary.verdict.reasons if reason.invalidates),
            limits=summary.limits,
            work=work(summary.meta),
            busiest=busiest_minute(Schedule.from_dicts(phases))[1] / 60 if phases else None,
            seen=there,
            capacity=capacity,
            near=Near.of(summary.minutes, summary.watched, capacity),
            # Never that of the type which the cache saw last: this run may have had another.
            price=Prices.of(config, cache, seen=there).known.get(INSTANCE_HOUR),
            sagemaker=summary.on_sagemaker,
        )

    @property
    def instances(self) -> int | None:
        """When the run began."""
        return self.seen.instances

    @property
    def is_of_the_endpoint(self) -> bool:
        """Whether the rates of its capacity are the endpoint's, since nobody knows how many instances served."""
        return self.capacity.instances is None

    @property
    def rates(self) -> Bounded | None:
        """Arrivals a second that the capacity is; None where there is none."""
        return rates(self.capacity)

    @property
    def for_one(self) -> Bounded | None:
        """Arrivals a second that one instance sustains; None where that is not known."""
        return None if self.is_of_the_endpoint else self.rates

    @property
    def endpoint(self) -> Bounded | None:
        """Arrivals a second that all of its instances sustain, as if they added up; None where that is not known."""
        found = self.rates
        if found is None or self.is_of_the_endpoint:
            return found
        return None if self.instances is None else found.times(self.instances)

    @property
    def hourly(self) -> float | None:
        """US dollars an hour of all of its instances."""
        return None if self.price is None or self.instances is None else self.price.usd * self.instances

    @property
    def per_million(self) -> Bounded | None:
        """US dollars of instances for a million requests, sent as fast as the SLO allows."""
        one = self.for_one
        if one is None or self.price is None:
            return None
        usd = self.price.usd

        def cost(rps: float) -> float:
            return usd / (rps * 3600 / 1e6)

        return Bounded(cost(one.value), cost(one.high) if one.high else 0.0, cost(one.low) if one.low else None)

    def needed(self, load: float) -> Bounded | None:
        """Instances of its type for a load, in arrivals a second: whole ones, as if they added up."""
        one = self.for_one
        if one is None:
            return None

        def whole(rps: float) -> int:
            return max(1, math.ceil(round(load / rps, 9)))  # a load of exactly two capacities needs two

        return Bounded(whole(one.value), whole(one.high) if one.high else 1, whole(one.low) if one.low else None)

    def cost(self, load: float | None) -> Bounded | None:
        """What is compared: US dollars an hour for a load, or for a million requests where there is none."""
        if load is None:
            return self.per_million
        needed = self.needed(load)
        return None if needed is None or self.price is None else needed.times(self.price.usd)

    def headroom(self, load: float) -> float | None:
        """By what share the endpoint, as it was, sustains more than a load; below 0 it falls short."""
        found = self.endpoint
        return None if found is None else found.value / load - 1


@dataclass(frozen=True, slots=True)
class Cheapest:
    """cost   of the cheapest: see Configuration.cost
    close  others of another type whose cost may be as low, by the bounds of the capacities
    """

    configuration: Configuration
    cost: Bounded
    close: tuple[Configuration, ...]


@dataclass(frozen=True)
class Several:
    """`Several.of(summaries)`, or of their configurations: the first is what the others are held against.

    load      arrivals a second that the configurations are to serve; None where nobody knows
    is_asked  whether the reader named that load; else it is the busiest planned minute of the runs
    """

    configurations: tuple[Configuration, ...]
    load: float | None
    is_asked: bool

    @classmethod
    def of(cls, summaries: Iterable[Summary], load: float | None = None, cache: Cache | None = None) -> Several:
        """Raises RunError for a run that is given twice.

        load   arrivals a second that the configurations are to serve; None for the busiest that was planned
        cache  of prices; None for the one of this user
        """
        return cls.among([Configuration.of(summary, cache) for summary in summaries], load)

    @classmethod
    def among(cls, configurations: Sequence[Configuration], load: float | None = None) -> Several:
        """Raises RunError for a run that is given twice."""
        names: dict[str, str] = {}
        for one in configurations:
            if one.run_id in names:
                raise RunError(f"{one.name}: is the same run as {names[one.run_id]}; accepted: each run once")
            names[one.run_id] = one.name
        busiest = [one.busiest for one in configurations if one.busiest]
        return cls(tuple(configurations), load or max(busiest, default=None), load is not None)

    def why_not(self, one: Configuration) -> tuple[str, ...]:
        """Why it cannot be called the cheapest or not, in sentences without their subject; empty where it can."""
        found = [f"is not valid: {text}" for text in one.invalid]
        if one.limits != self.configurations[0].limits:
            found.append("was held to another SLO than the first run: their capacities cannot be compared")
        if one.rates is None:
            found.append(f"has no capacity: {one.capacity.refused or 'the SLO held at no rate that was played'}")
        elif one.sagemaker and one.for_one is None:
            found.append("has no capacity of one instance: nobody knows how many served")
        if not one.sagemaker:
            found.append("called no endpoint, of whose instances there would be a price")
        elif one.price is None:
            found.append(_no_price(one))
        return tuple(found)

    @cached_property
    def compared(self) -> tuple[Configuration, ...]:
        """Those among which the cheapest is looked for."""
        return tuple(one for one in self.configurations if not self.why_not(one))

    @cached_property
    def cheapest(self) -> Cheapest | None:
        """The first one of those that cost the least; None where none can be compared."""
        costs = [(one, cost) for one in self.compared if (cost := one.cost(self.load)) is not None]
        if not costs:
            return None
        best, least = min(costs, key=lambda found: found[1].value)
        kind = best.seen.instance_type
        # Another run of the same type is the same answer, measured twice.
        close = (one for one, cost in costs if one is not best and cost.reaches(least))
        return Cheapest(best, least, tuple(one for one in close if kind is None or one.seen.instance_type != kind))

    def told_otherwise(self, one: Configuration) -> tuple[str, ...]:
        """What its requests were told differently than those of the first run."""
        first = self.configurations[0].work
        return tuple(key for key in dict.fromkeys([*first, *one.work]) if first.get(key) != one.work.get(key))

    @property
    def at_one_price(self) -> tuple[Configuration, ...]:
        """Those of different types whose configurations all say the same price of an hour: a setting easily copied."""
        by_price: dict[float, list[Configuration]] = {}
        for one in self.configurations:
            if one.price is not None and one.price.origin == "config" and one.seen.instance_type is not None:
                by_price.setdefault(one.price.usd, []).append(one)
        shared = (found for found in by_price.values() if len({one.seen.instance_type for one in found}) > 1)
        return tuple(one for found in shared for one in found)

    def as_dict(self) -> dict[str, Any]:
        """What compare.json holds of it, JSON primitives: rates a second, US dollars, milliseconds."""
        best = self.cheapest
        return {
            "load": {"rps": rounded(self.load, 6), "from": self._load_from},
            "configurations": [self._one(one) for one in self.configurations],
            "cheapest": best
            and {
                "run_id": best.configuration.run_id,
                "instance_type": best.configuration.seen.instance_type,
                "by": "per_million" if self.load is None else "hour_at_load",
                "usd": best.cost.as_dict(),
                "close": [one.run_id for one in best.close],
            },
        }

    @property
    def _load_from(self) -> str | None:
        return None if self.load is None else "asked" if self.is_asked else "busiest planned minute"

    def _one(self, one: Configuration) -> dict[str, Any]:
        price, load = one.price, self.load
        needed = None if load is None else one.needed(load)
        at_load = None if load is None else one.cost(load)
        return {
            "run_id": one.run_id,
            "name": one.name,
            "speed": one.speed,
            "valid": not one.invalid,
            "instance_type": one.seen.instance_type,
            "instances": one.instances,
            "slo": dict(one.limits),
            "capacity": one.capacity.as_dict(),
            "latency_near_capacity_ms": one.near and {"mean": in_ms(one.near.mean), "p99": in_ms(one.near.p99)},
            "endpoint_rps": one.endpoint and one.endpoint.as_dict(),
            "price_an_hour": price and {"usd": price.usd, "as_of": price.as_of.isoformat(), "from": price.origin},
            "endpoint_an_hour": rounded(one.hourly, 6),
            "per_million": one.per_million and one.per_million.as_dict(),
            "headroom": None if load is None else rounded(one.headroom(load), 6),
            "at_load": needed and {"instances": needed.as_dict(), "hour": at_load and at_load.as_dict()},
            "why_not": list(self.why_not(one)),
            "told_otherwise": list(self.told_otherwise(one)),
        }


def seen(summary: Summary) -> Seen:
    """Type and number of the instances when the run began; the number as scaling or CloudWatch had it, if need be."""
    found = summary.hosted
    watched = summary.watched.instances if summary.watched is not None else None
    if found.instances is None and watched is not None and watched[0] == int(watched[0]):
        return Seen(found.instance_type, int(watched[0]))
    return found


def of_pair(comparison: Comparison, load: float | None = None) -> Several | None:
    """The two runs as configurations, where they are: their instances differ and their scaling does not.

    load  arrivals a second that somebody asks about: then they are, whatever differs

    None for a BEFORE and an AFTER.
    """
    if load is None and not _are_configurations(comparison):
        return None
    return Several.of([side.summary for side in comparison.sides], load)


def _are_configurations(comparison: Comparison) -> bool:
    before, after = (seen(side.summary) for side in comparison.sides)
    differ = any(None not in both and both[0] != both[1] for both in zip(before, after, strict=True))
    return differ and comparison.before.setting == comparison.after.setting


def work(meta: Mapping[str, Any]) -> dict[str, Any]:
    """What of a run's configuration decides what an instance has to do: how requests go, what they are, how spaced."""
    config = meta.get("config") or {}
    request, arrivals, target = (config.get(key) or {} for key in ("request", "arrivals", "target"))
    return {
        **{f"request.{key}": value for key, value in request.items() if key not in _NAMES},
        "arrivals.spacing": arrivals.get("spacing"),
        "target": next((way for way in ("container", "api_gateway", "endpoint") if target.get(way)), None),
    }


def _no_price(one: Configuration) -> str:
    if one.seen.instance_type is None:
        return "has no known price: its configuration names none, and nobody saw its instance type"
    return "has no known price: its configuration names none, and `sm-locust check` has not asked AWS for it"
