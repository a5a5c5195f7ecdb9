"""What is asked of a run by `whatif`: its curve, a load, a policy, and what would come of it over a range of targets.

Pure: where each of the pieces comes from is decided here, and said. The replay itself is `replay`'s.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from sm_locust.analysis.curve import Curve, CurveError
from sm_locust.analysis.replay import PROVISION, Load, Policy, Prediction, predict
from sm_locust.analysis.summary import Summary
from sm_locust.config import ConfigError, RunConfig, Scaling
from sm_locust.prices import INSTANCE_HOUR, Price, Prices
from sm_locust.record.rounding import rounded
from sm_locust.record.run import META
from sm_locust.schedule import Schedule
from sm_locust.target_tracking import DEFAULT_COOLDOWN

SCHEMA_VERSION = 1

SHARES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1)  # of what one instance answers at most: the targets beside the one asked

MEANS = ("latency_mean", "service_time_mean", "model_latency_mean")  # of the SLO: a mean is all that is predicted


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line says; None for what it leaves open. Seconds are the schedule's."""

    target: float | None = None
    min_instances: int | None = None
    max_instances: int | None = None
    provision_s: float | None = None
    speed: int | None = None
    instances: int = 1


@dataclass(frozen=True)
class WhatIf:
    """`WhatIf.of(summary, asked, config)`.

    summary         the run that the curve is of
    load            and where it comes from
    speed           schedule seconds for one real second of the replay
    provision_s     schedule seconds from wanted to in service, and
    provision_from  where that comes from, in words
    limit           the SLO's mean that is predicted, metric and seconds; None where it has none
    price           of an hour of one instance; None where nobody has said it
    asked           what comes of the policy that is asked for
    targets         the same for other targets, that one included, the lowest first
    """

    summary: Summary
    curve: Curve
    load: Load
    speed: int
    provision_s: float
    provision_from: str
    limit: tuple[str, float] | None
    price: Price | None
    asked: Prediction
    targets: tuple[Prediction, ...]

    @classmethod
    def of(cls, summary: Summary, asked: Asked, config: RunConfig | None = None) -> WhatIf:
        """
        config  another load to ask about, and scaling for it; None for the run's own

        Raises ConfigError, in one sentence, for what cannot be answered.
        """
        where = str(summary.folder)
        try:
            own = RunConfig.from_dict(summary.meta.get("config") or {}, f"{summary.folder / META}: config")
            curve = summary.curve
            if curve is None or curve.assumed:  # how many served is then for the asker to say
                even = own.arrivals.spacing == "even"
                curve = Curve.of(summary.minutes, summary.watched, instances=asked.instances, even=even)
        except CurveError as e:
            raise ConfigError(f"{where}: {e}") from None
        told = own if config is None else config
        policy = _policy(asked, told.scaling or own.scaling, where)
        provision_s, provision_from = _provision(asked, summary)
        load, speed = _load(summary, own, config), asked.speed or summary.speed

        def play(policy: Policy) -> Prediction:
            even = told.arrivals.spacing == "even"
            return predict(curve, load.rates, policy, provision_s=provision_s, speed=speed, even=even)

        limits = told.slo.limits() or own.slo.limits()
        return cls(
            summary=summary,
            curve=curve,
            load=load,
            speed=speed,
            provision_s=provision_s,
            provision_from=provision_from,
            limit=next(((metric, limits[metric]) for metric in MEANS if metric in limits), None),
            # Never that of the type which the cache saw last: this run may have had another.
            price=Prices.of(told, seen=summary.hosted).known.get(INSTANCE_HOUR)
            or Prices.of(own, seen=summary.hosted).known.get(INSTANCE_HOUR),
            asked=play(policy),
            targets=tuple(play(replace(policy, target=target)) for target in _targets(curve, policy.target)),
        )

    def cost(self, prediction: Prediction) -> float | None:
        """US dollars of the instances, for the hours of the schedule; None without a price."""
        return None if self.price is None else prediction.instance_hours * self.price.usd

    def over(self, prediction: Prediction) -> int | None:
        """Minutes whose mean is above the SLO's; None where it has none."""
        return None if self.limit is None else prediction.over(self.limit[1])

    def as_dict(self) -> dict[str, Any]:
        """JSON primitives; latencies in milliseconds, rates a minute of real time, US dollars."""
        metric, limit = self.limit or (None, None)
        return {
            "schema_version": SCHEMA_VERSION,
            "run_id": self.summary.run_id,
            "run_speed": self.summary.speed,
            "speed": self.speed,
            "load": self.load.what,
            "provision_s": self.provision_s,
            "provision_from": self.provision_from,
            "slo": None if limit is None else {"metric": metric, "limit_ms": round(limit * 1e3, 6)},
            "price": None
            if self.price is None
            else {"usd": self.price.usd, "as_of": self.price.as_of.isoformat(), "from": self.price.origin},
            "curve": self.curve.as_dict(),
            "asked": self._dict(self.asked),
            "targets": [{k: v for k, v in self._dict(each).items() if k != "minutes"} for each in self.targets],
        }

    def _dict(self, prediction: Prediction) -> dict[str, Any]:
        million = None if self.price is None else prediction.per_million(self.price.usd)
        return {
            **prediction.as_dict(),
            "minutes_over_slo": self.over(prediction),
            "cost": rounded(self.cost(prediction), 6),
            "cost_per_million": rounded(million, 6),
        }


def _policy(asked: Asked, scaling: Scaling | None, where: str) -> Policy:
    target, fewest, most = asked.target, asked.min_instances, asked.max_instances
    cooldowns: tuple[int | None, int | None] = (None, None)
    if scaling is not None:
        if target is None and scaling.per_minute is None:
            raise ConfigError(
                f"--target: missing; required, since scaling.metric {scaling.metric_name} does not count invocations "
                "a minute for one instance, and nothing else is replayed"
            )
        target = scaling.per_minute if target is None else target
        fewest = scaling.min_instances if fewest is None else fewest
        most = scaling.max_instances if most is None else most
        cooldowns = (scaling.scale_out_cooldown, scaling.scale_in_cooldown)
    given = (("--target", target), ("--min", fewest), ("--max", most))
    missing = ", ".join(name for name, value in given if value is None)
    if target is None or fewest is None or most is None:
        raise ConfigError(f"{missing}: missing; required, since {where} was configured without `scaling`")
    if most < fewest:
        raise ConfigError(f"--max {most}: not accepted with --min {fewest}; accepted: a whole number, {fewest} or more")
    return Policy(target, fewest, most, *(DEFAULT_COOLDOWN if s is None else float(s) for s in cooldowns))


def _provision(asked: Asked, summary: Summary) -> tuple[float, str]:
    if asked.provision_s is not None:
        return asked.provision_s, "--provision"
    seen = [lag.in_service_s - lag.desired_s for lag in summary.lags if lag.in_service_s is not None]
    if not seen:
        return PROVISION, "taken for granted: the run had no scale-out to measure it"
    outs = "scale-out" if len(seen) == 1 else "scale-outs"
    return median(seen), f"measured: {'' if len(seen) == 1 else 'the median of '}{len(seen)} {outs} of the run"


def _load(summary: Summary, own: RunConfig, config: RunConfig | None) -> Load:
    if config is not None:
        schedule = config.schedule()
        if schedule is None:
            raise ConfigError("--config: no phases; required: the load to ask about, a list of one phase or more")
        return Load.planned(schedule, "the phases of --config")
    phases = summary.meta["schedule"]["phases"]
    if phases:
        return Load.planned(Schedule.from_dicts(phases), "the load that the run had planned")
    if (
        planned := own.schedule()
    ) is not None:  # a search plays rates of its own: nobody's load, and not what is planned
        return Load.planned(planned, "the phases of the run's configuration, which it did not play")
    load = Load.recorded(summary.minutes, "the load that the run recorded: arrivals that were due")
    if not any(load.rates):
        raise ConfigError(f"{summary.folder}: nothing was due in this run, so there is no load to replay")
    return load


def _targets(curve: Curve, asked: float) -> Iterable[float]:
    """The one asked for, and shares of the ceiling around it; without a ceiling, of the one asked for."""
    whole = asked if curve.ceiling is None else curve.ceiling * 60
    return sorted({asked, *(_rounded(share * whole) for share in SHARES)})


def _rounded(target: float) -> float:
    """To three digits: nobody configures more."""
    return float(f"{target:.3g}")
