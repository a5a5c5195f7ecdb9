"""What things cost, as far as anybody said: in the configuration, or in a dated file of what AWS's Pricing API said.

No price stands in the code. Asking AWS and keeping the file up to date is `aws/pricing`'s; reading it needs no AWS.
What is multiplied with prices is the analysis's.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from sm_locust.record.disk import write_whole

if TYPE_CHECKING:
    from sm_locust.config import RunConfig

SCHEMA_VERSION = 1
OLD_AFTER = 30  # days; an older price of the cache is used, and its age is said

INSTANCE_HOUR = "instance_hour"
KEYS = (  # of the configuration's `prices`
    INSTANCE_HOUR,
    "data_in_gb",
    "api_gateway_million",
    "lambda_million",
    "lambda_gb_second",
    "get_metric_data_thousand",
)


class Price(NamedTuple):
    """One price: US dollars for what its key names, the day it is of, and who said so."""

    usd: float
    as_of: datetime.date
    origin: Literal["config", "cache"]

    def is_old(self, today: datetime.date) -> bool:
        return self.origin == "cache" and (today - self.as_of).days > OLD_AFTER


class Seen(NamedTuple):
    """What was last seen of an endpoint's variant: its instances' type and number, None where it has none."""

    instance_type: str | None
    instances: int | None


NOT_SEEN = Seen(None, None)


@dataclass(frozen=True, slots=True)
class Prices:
    """All that is known for one configuration.

    known  key of the configuration's `prices` → Price
    seen   the watched variant as the cache remembers it
    """

    known: Mapping[str, Price] = field(default_factory=dict)
    seen: Seen = NOT_SEEN

    @classmethod
    def of(
        cls, config: RunConfig, cache: Cache | None = None, region: str | None = None, seen: Seen | None = None
    ) -> Prices:
        """What the configuration says, and, where it says nothing, the cache.

        cache   None for the one of this user
        region  None for the one that configuration or environment name
        seen    what the endpoint had when it was measured; None for what the cache remembers of it
        """
        cache, region = cache or Cache.read(), region or named_region(config)
        target = config.target
        if seen is None and target is not None and target.endpoint is not None:
            seen = cache.seen(region, target.endpoint, target.variant)
        seen = seen or NOT_SEEN
        known = dict(cache.prices(region, seen.instance_type))
        as_of = config.prices.as_of
        if as_of is not None:
            known |= {key: Price(usd, as_of, "config") for key, usd in config.prices.given().items()}
        return cls(known, seen)


def named_region(config: RunConfig) -> str:
    """The region that configuration or environment name, empty for none: a profile's needs botocore to be read."""
    named = config.target.region if config.target else None
    return named or os.environ.get("AWS_DEFAULT_REGION", "")


def cache_path() -> Path:
    """`$XDG_CACHE_HOME/sm_locust/prices.json`; by default under ~/.cache."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG Base Directory Specification has a relative path ignored.
    folder = Path(given) if os.path.isabs(given) else Path("~/.cache").expanduser()
    return folder / "sm_locust" / "prices.json"


class Cache:
    """The file: for each region prices with their dates, and for each endpoint what was last seen of it."""

    def __init__(self, path: Path, data: dict[str, Any]) -> None:
        self._path = path
        self._data = data

    @classmethod
    def read(cls, path: Path | None = None) -> Cache:
        """What there is. A file that is missing, damaged or of another version is an empty one: it can be had again."""
        path = path or cache_path()
        data: Any = None
        with contextlib.suppress(OSError, ValueError, RecursionError):
            data = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(data, dict) or data.get("schema_version") != SCHEMA_VERSION:
            data = {"schema_version": SCHEMA_VERSION}
        return cls(path, data)

    def prices(self, region: str, instance_type: str | None) -> dict[str, Price]:
        """Key → Price in a region; for an hour of an instance the one of the type, where that is known."""
        found = {key: price for key in KEYS if (price := self._price(region, key)) is not None}
        hour = self._price(region, f"{INSTANCE_HOUR}/{instance_type}") if instance_type else None
        return found if hour is None else {**found, INSTANCE_HOUR: hour}

    def _price(self, region: str, key: str) -> Price | None:
        said = self._at("prices", region, key)
        try:
            usd, as_of = float(said["usd"]), datetime.date.fromisoformat(said["as_of"])
        except (TypeError, ValueError, KeyError, OverflowError):
            return None
        return Price(usd, as_of, "cache") if math.isfinite(usd) and usd >= 0 else None

    def seen(self, region: str, endpoint: str, variant: str) -> Seen:
        said = self._at("endpoints", region, f"{endpoint}/{variant}")
        if not isinstance(said, dict):
            return NOT_SEEN
        type_, instances = said.get("instance_type"), said.get("instances")
        whole = isinstance(instances, int) and not isinstance(instances, bool) and instances >= 0
        return Seen(type_ if isinstance(type_, str) else None, instances if whole else None)

    def _at(self, *path: str) -> Any:
        found: Any = self._data
        for part in path:
            found = found.get(part) if isinstance(found, dict) else None
        return found

    def keep_price(self, region: str, key: str, usd: float, as_of: datetime.date, instance_type: str = "") -> None:
        """For an hour of an instance, with its type."""
        named = f"{key}/{instance_type}" if instance_type else key
        self._section("prices", region)[named] = {"usd": usd, "as_of": as_of.isoformat()}

    def keep_seen(self, region: str, endpoint: str, variant: str, seen: Seen) -> None:
        self._section("endpoints", region)[f"{endpoint}/{variant}"] = seen._asdict()

    def _section(self, name: str, region: str) -> dict[str, Any]:
        section = self._data
        for part in (name, region):
            if not isinstance(section.get(part), dict):
                section[part] = {}
            section = section[part]
        return section

    def write(self) -> None:
        """Whole or not at all; a folder that cannot be written is no fault: prices are then asked for again."""
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._path, json.dumps(self._data, indent=2, sort_keys=True) + "\n")
