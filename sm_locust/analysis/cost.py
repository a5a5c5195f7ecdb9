"""What a load will cost: quantities of what AWS bills, times the prices that are known, and what is not known.

A range goes from the fewest to the most instances. Where a price is missing the sum is a lower bound, and says so;
a guard on the cost refuses what it cannot know. Where prices come from is `sm_locust.prices`'s.
Free tiers, volume discounts, taxes, logs and the bytes of answers are left out.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from sm_locust.config_error import ConfigError
from sm_locust.loopback import stays_here
from sm_locust.payloads import Payload, total_bytes
from sm_locust.prices import INSTANCE_HOUR, KEYS, Price, Prices
from sm_locust.schedule import Schedule

if TYPE_CHECKING:
    from sm_locust.config import RunConfig

Played = Literal["run", "experiment"]

# Schedule seconds between BEFORE and AFTER: the alarms of a new policy look back over three minutes, and must not see
# the load of BEFORE.
BETWEEN = 300.0

# What the watch beside a run asks CloudWatch for: see plugin/watch and analysis/settling. About that: where there are
# more than two variants it asks for a little more, and when the load is over for every metric once or twice.
METRICS_A_PULL = 12
PULL_EVERY = 5.0  # real seconds at the least; else a period
PULL_FOR_A_RULE = 2.0  # the same where a rule of `stop_when` is on a metric of CloudWatch's
PULLS_AFTER = 72  # six minutes of waiting for the last of it

# A Lambda function's memory in the shipped stack, and the time of one call where no SLO says what is expected.
LAMBDA_GB = 512 / 1024
LAMBDA_SECONDS = 0.05

NO_ENDPOINT = "the configuration names no endpoint, and prices are those of AWS"

UNITS = {  # key of `prices` → what one price is for
    INSTANCE_HOUR: "hours",
    "data_in_gb": "GB",
    "api_gateway_million": "million",
    "lambda_million": "million",
    "lambda_gb_second": "GB s",
    "get_metric_data_thousand": "thousand",
}


@dataclass(frozen=True, slots=True)
class CostItem:
    """One thing that is billed.

    what       in words
    key        of the configuration's `prices`
    low, high  how much of it, in UNITS[key]
    price      None when nobody has said it
    """

    what: str
    key: str
    low: float
    high: float
    price: Price | None

    @property
    def amount(self) -> tuple[float, float] | None:
        """US dollars, at the least and at the most."""
        return None if self.price is None else (self.low * self.price.usd, self.high * self.price.usd)

    def as_dict(self) -> dict[str, Any]:
        price, amount = self.price, self.amount
        return {
            "what": self.what,
            "key": self.key,
            "unit": UNITS[self.key],
            "quantity": [round(self.low, 6), round(self.high, 6)],
            "unit_price": None if price is None else price.usd,
            "price_from": None if price is None else price.origin,
            "price_as_of": None if price is None else price.as_of.isoformat(),
            "amount": None if amount is None else [round(usd, 6) for usd in amount],
        }


@dataclass(frozen=True, slots=True)
class Cost:
    """What one run, or one experiment, will cost.

    free     why nothing is billed, in words; empty where something is
    unknown  what is billed in a quantity that cannot be told, in words; empty where all of it can
    """

    items: tuple[CostItem, ...]
    free: str = ""
    unknown: str = ""

    @classmethod
    def of(
        cls,
        config: RunConfig,
        schedule: Schedule,
        prices: Prices,
        *,
        speed: int = 1,
        body_bytes: float | None = None,
        played: Played = "run",
    ) -> Cost:
        """The cost of playing a schedule.

        schedule    in real seconds
        speed       schedule seconds for one real second
        body_bytes  mean size of what is sent; None where the user class brings it
        played      an experiment plays the schedule twice, with a pause: BEFORE on `min_instances`
        """
        target = config.target
        if target is not None and target.container is not None:
            return cls((), free="A container is called, and nothing of AWS.")
        if stays_here(config):
            return cls((), free="All of it stays on this machine: nothing is billed.")
        if target is None:
            return cls((), unknown=f"{what_bills(config)}: {NO_ENDPOINT}")
        times = 2 if played == "experiment" else 1
        requests = times * schedule.total * config.requests_each
        hours, unknown = _instance_hours(config, schedule.duration, prices, speed, played)
        items = [(prices.seen.instance_type or "instances", INSTANCE_HOUR, *hours)]
        if body_bytes is not None:
            items.append(("data in", "data_in_gb", *_twice(requests * body_bytes / 1e9)))
        if target.api_gateway is not None:
            items += [
                ("API Gateway", "api_gateway_million", *_twice(requests / 1e6)),
                ("Lambda calls", "lambda_million", *_twice(requests / 1e6)),
                ("Lambda time", "lambda_gb_second", *_twice(requests * lambda_seconds(config) * LAMBDA_GB)),
            ]
        if target.endpoint is not None:
            rules = sum(rule.cloudwatch is not None for rule in config.stop_when)
            every = max(PULL_FOR_A_RULE if rules else PULL_EVERY, config.cloudwatch.period / speed)
            pulls, asked = schedule.duration / every + PULLS_AFTER, METRICS_A_PULL + rules
            metrics = times * pulls * asked / 1000
            items.append(("CloudWatch, about", "get_metric_data_thousand", *_twice(metrics)))
        return cls(tuple(CostItem(*item, prices.known.get(item[1])) for item in items), unknown=unknown)

    @property
    def missing(self) -> tuple[str, ...]:
        """Keys of `prices` without which the cost is not known."""
        return tuple(dict.fromkeys(item.key for item in self.items if item.price is None))

    @property
    def is_known(self) -> bool:
        return not self.missing and not self.unknown

    @property
    def total(self) -> tuple[float, float]:
        """US dollars of what is known, at the least and at the most."""
        amounts = [item.amount for item in self.items if item.amount is not None]
        return sum(low for low, _ in amounts), sum(high for _, high in amounts)

    def old(self, today: datetime.date) -> tuple[str, ...]:
        """Keys whose price has been in the cache for long."""
        return tuple(key for key in KEYS if any(i.key == key and i.price and i.price.is_old(today) for i in self.items))

    def as_dict(self) -> dict[str, Any]:
        """JSON primitives; amounts in US dollars."""
        return {
            "items": [item.as_dict() for item in self.items],
            "total": [round(usd, 6) for usd in self.total],
            "known": self.is_known,
            "missing_prices": list(self.missing),
            "free": self.free,
            "unknown": self.unknown,
        }


def check_cost(config: RunConfig, cost: Cost, what: Played = "run") -> None:
    """Raises ConfigError, in one sentence, for a cost past `guard.max_cost`, and for one that cannot be known.

    With no such guard nothing is refused. The most that a cost may come to is what counts.
    """
    most = config.guard.max_cost
    if most is None or cost.free:
        return
    low, high = cost.total
    allowed = f"guard.max_cost allows {dollars(most)}"
    if high > most:
        up_to = dollars(high) if math.isclose(low, high) else f"up to {dollars(high)}"
        at_least = "" if cost.is_known else ", and more that is not known"
        raise ConfigError(f"the {what} costs {up_to}{at_least}, and {allowed}")
    if cost.missing:
        keys = ", ".join(f"prices.{key}" for key in cost.missing)
        raise ConfigError(
            f"{allowed}, and what the {what} costs is not known without {keys}: "
            "give them in the configuration, or run `sm-locust check`, which asks AWS"
        )
    if cost.unknown:
        raise ConfigError(f"{allowed}, and what the {what} costs is not known: {cost.unknown}")


def check_load(
    config: RunConfig,
    schedule: Schedule | None,
    speed: int,
    payloads: Sequence[Payload],
    played: Played = "run",
) -> None:
    """Raises ConfigError, as `check_cost`, for a schedule (in schedule seconds; None for the configuration's phases).

    What the load costs is looked up only where there is a guard on it. Without a schedule nothing is refused.
    """
    schedule = schedule or config.schedule()
    if config.guard.max_cost is None or schedule is None:
        return
    mean_bytes = total_bytes(payloads) / len(payloads) if payloads else None
    real, prices = schedule.at_speed(speed), Prices.of(config)
    found = Cost.of(config, real, prices, speed=speed, body_bytes=mean_bytes, played=played)
    check_cost(config, found, played)


def what_bills(config: RunConfig) -> str:
    """What nobody can price where the configuration has no `target`."""
    return "what the locustfile calls" if config.scenarios is None else "what the hosts of the scenarios bill"


def dollars(usd: float) -> str:
    """$12.34; below a cent as many digits as it takes to be more than nothing."""
    if 0 < usd < 0.01:
        return f"${usd:.1g}" if usd >= 1e-4 else "<$0.0001"
    return f"${usd:,.2f}"


def _twice(quantity: float) -> tuple[float, float]:
    return quantity, quantity


def lambda_seconds(config: RunConfig) -> float:
    """What one call of the Lambda function is taken to last: what the SLO allows, where it says it."""
    return config.slo.latency_mean or LAMBDA_SECONDS


def _instance_hours(
    config: RunConfig, duration: float, prices: Prices, speed: int, played: Played
) -> tuple[tuple[float, float], str]:
    """At the least and at the most, and what of it is not known."""
    fewest, most, unknown = _instance_counts(config, prices)
    if played == "run":
        return (duration / 3600 * fewest, duration / 3600 * most), unknown
    before, after = duration / 3600 * fewest, (duration + BETWEEN / speed) / 3600
    return (before + after * fewest, before + after * most), unknown


def _instance_counts(config: RunConfig, prices: Prices) -> tuple[int, int, str]:
    """The fewest and the most there will be, and what of that is not known."""
    scaling = config.scaling
    if scaling is not None and not config.scales_copies:
        return scaling.min_instances, scaling.max_instances, ""
    if prices.seen.instances is not None:
        return prices.seen.instances, prices.seen.instances, ""
    why = "the configuration does not say how many instances there are"
    return 1, 1, f"{why}: give `scaling`, or let `sm-locust check` see the endpoint"
