"""What the instances of a run cost: an hour, and for a million requests. What a load *will* cost is `cost`'s.

The price is that of the run's own configuration: what a report says does not change with a cache of prices. Only
instances are counted: requests to an API, bytes and logs are billed beside them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sm_locust.analysis.capacity import Capacity
from sm_locust.analysis.cost import NO_ENDPOINT, what_bills
from sm_locust.analysis.minutes import Minutes
from sm_locust.analysis.watched import Watched
from sm_locust.prices import INSTANCE_HOUR, Cache, Price, Prices
from sm_locust.record.rounding import rounded

if TYPE_CHECKING:
    from sm_locust.config import RunConfig


@dataclass(frozen=True, slots=True)
class Spent:
    """Dollars are US dollars.

    why        what is not known, in one sentence; empty where all of it is
    billed     whether AWS bills instances for it at all, as far as that is known
    price      of an hour of one instance
    instances  in service at the fewest, on average over the load, and at the most
    hourly     for the fewest, and for the most of them
    per_million              requests that were answered well, with the instances that there were
    per_million_at_capacity  as fast as the SLO allows; None where no capacity is known
    """

    why: str = ""
    billed: bool = True
    price: Price | None = None
    instances: tuple[float, float, float] | None = None
    hourly: tuple[float, float] | None = None
    per_million: float | None = None
    per_million_at_capacity: float | None = None

    @classmethod
    def of(
        cls,
        config: RunConfig,
        minutes: Minutes,
        watched: Watched | None,
        capacity: Capacity,
        hosted: int | None,
        *,
        local: bool,
    ) -> Spent:
        """hosted  instances as they were seen at the start
        local   whether everything was on this machine
        """
        target = config.target
        if target is None and not local:
            return cls(f"{what_bills(config)} is not known: {NO_ENDPOINT}")
        if target is not None and target.container is not None:
            return cls("a container was called, and nothing of AWS", billed=False)
        if config.request.inference_component is not None:
            return cls("copies of an inference component share instances, which are billed whole")
        price = Prices.of(config, Cache(Path(), {})).known.get(INSTANCE_HOUR)
        if price is None and local:
            return cls("all of it was on this machine, where nothing is billed", billed=False)
        served = _served(watched, hosted)
        if price is None:
            return cls("the configuration does not say prices.instance_hour", instances=served)
        at_capacity = None
        if capacity.max_rps and capacity.instances is not None and not capacity.refused:
            at_capacity = price.usd / (capacity.max_rps * 3600) * 1e6
        if served is None:
            why = "nobody saw how many instances there were"
            return cls(why, price=price, per_million_at_capacity=at_capacity)
        fewest, mean, most = served
        rate = minutes.whole.per_second(minutes.whole.requests.ok)
        return cls(
            price=price,
            instances=served,
            hourly=(fewest * price.usd, most * price.usd),
            per_million=mean * price.usd / (rate * 3600) * 1e6 if rate else None,
            per_million_at_capacity=at_capacity,
        )

    def as_dict(self) -> dict[str, Any]:
        fewest, mean, most = self.instances or (None, None, None)
        low, high = self.hourly or (None, None)
        return {
            "why": self.why or None,
            "instance_hour": None if self.price is None else self.price.usd,
            "price_as_of": None if self.price is None else self.price.as_of.isoformat(),
            "instances": {"fewest": fewest, "mean": rounded(mean, 6), "most": most},
            "an_hour": {"fewest": rounded(low, 6), "most": rounded(high, 6)},
            "per_million": rounded(self.per_million, 6),
            "per_million_at_capacity": rounded(self.per_million_at_capacity, 6),
        }


def _served(watched: Watched | None, hosted: int | None) -> tuple[float, float, float] | None:
    """The fewest, the mean weighted by time, the most."""
    periods = watched.periods if watched is not None else ()
    known = [(p.instances, p.seconds) for p in periods if p.instances is not None and p.middle_s >= 0]
    if not known:
        return None if hosted is None else (float(hosted),) * 3
    counts = [n for n, _ in known]
    return min(counts), sum(n * s for n, s in known) / sum(s for _, s in known), max(counts)
