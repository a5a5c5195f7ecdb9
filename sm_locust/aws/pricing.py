"""What AWS's Pricing API says things cost, kept in the dated cache that needs no AWS to be read.

The API gives list prices, of the first tier where there are several; its format is in the AWS Price List user guide,
"Finding services and products using the AWS Price List Query API". The cache itself is `sm_locust.prices`'s; that what
is on this machine costs nothing, the caller's to know.
"""

from __future__ import annotations

import datetime
import json
import math
import re
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from sm_locust.aws.session import AwsFault, ask_all, client, region_of
from sm_locust.config import RunConfig
from sm_locust.prices import INSTANCE_HOUR, Cache, Prices, Seen


class _Listed(NamedTuple):
    """Where one of our prices is in the list.

    service     AWS's code of the service
    attributes  of the product, all of which it must have
    usage       what its usage type looks like: a region's prefix may stand before it
    per         how many of AWS's units one of ours is
    """

    key: str
    service: str
    attributes: dict[str, str]
    usage: str
    per: float = 1.0


_TYPE = "instanceName"

# Where the Pricing API is: the start of a region's name → the nearest of them.
_API_REGIONS = {"eu-": "eu-central-1", "ap-": "ap-south-1", "cn-": "cn-northwest-1", "": "us-east-1"}

_LISTED = (
    _Listed("data_in_gb", "AmazonSageMaker", {"operation": "Invoke-Endpoint"}, r"\S*Data-Bytes-In"),
    _Listed("api_gateway_million", "AmazonApiGateway", {}, r"ApiGatewayRequest", 1e6),
    _Listed("lambda_million", "AWSLambda", {"group": "AWS-Lambda-Requests"}, r"Request", 1e6),
    _Listed("lambda_gb_second", "AWSLambda", {"group": "AWS-Lambda-Duration"}, r"Lambda-GB-Second"),
    _Listed("get_metric_data_thousand", "AmazonCloudWatch", {}, r"CW:GMD-Metrics", 1e3),
)


def refresh(config: RunConfig, seen: Seen, *, serverless: bool = False) -> Prices:
    """Asks for every price that a load of this configuration may cost, keeps the answers, and says what is known then.

    seen        what was told of the watched variant, to be remembered
    serverless  whether it has no instances: then what is remembered of some is forgotten

    What AWS has no price for stays unknown, and so does what it prices in no US dollars. Raises ConfigError without a
    region, AwsFault when the API does not answer; what it has answered by then is kept.
    """
    region, today = region_of(config), _today()
    cache = Cache.read()
    seen = _keep_seen(cache, config, region, seen, serverless)
    hours = () if seen.instance_type is None else (_an_hour_of(seen.instance_type),)
    pricing = client(config, "pricing", region=_nearest(region))
    try:
        for listed in (*hours, *_LISTED):
            price = _price(pricing, region, listed)
            if price is not None:
                cache.keep_price(region, listed.key, price, today, listed.attributes.get(_TYPE, ""))
    finally:
        cache.write()
    return Prices.of(config, cache, region)


def remember(config: RunConfig, seen: Seen, *, serverless: bool = False) -> None:
    """Keeps what was seen of the watched variant, for a plan that asks nobody. Raises ConfigError without a region.

    Its parameters are those of `refresh`.
    """
    cache = Cache.read()
    _keep_seen(cache, config, region_of(config), seen, serverless)
    cache.write()


def _keep_seen(cache: Cache, config: RunConfig, region: str, seen: Seen, serverless: bool) -> Seen:
    """What is known of the watched variant from now on: what was not told this time is as it was."""
    target = config.target
    if target is None or target.endpoint is None:
        return seen
    if not serverless:
        before = cache.seen(region, target.endpoint, target.variant)
        seen = Seen(
            before.instance_type if seen.instance_type is None else seen.instance_type,
            before.instances if seen.instances is None else seen.instances,
        )
    cache.keep_seen(region, target.endpoint, target.variant, seen)
    return seen


def _an_hour_of(instance_type: str) -> _Listed:
    return _Listed(INSTANCE_HOUR, "AmazonSageMaker", {_TYPE: instance_type}, rf"Host:{re.escape(instance_type)}")


def _nearest(region: str) -> str:
    """Where the Pricing API is asked, whatever region is asked about."""
    return next(there for start, there in _API_REGIONS.items() if region.startswith(start))


def _price(pricing: Any, region: str, listed: _Listed) -> float | None:
    """US dollars for one of our units; None where the list has none."""
    attributes = {"regionCode": region, **listed.attributes}
    filters = [{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in attributes.items()]
    if not listed.attributes:  # all that a service sells in a region is many pages
        filters.append({"Type": "CONTAINS", "Field": "usagetype", "Value": listed.usage})
    usage = re.compile(rf"(?:[A-Z0-9]+-)?{listed.usage}")
    pages = ask_all(pricing, "GetProducts", ServiceCode=listed.service, FormatVersion="aws_v1", Filters=filters)
    for page in pages:
        for text in page.get("PriceList", []):
            product = _read(text)
            if usage.fullmatch(str(product.get("product", {}).get("attributes", {}).get("usagetype", ""))):
                found = next(_first_tier(product), None)
                if found is not None:
                    return found * listed.per
    return None


def _read(text: Any) -> dict[str, Any]:
    """A product, which the API gives as a text of JSON."""
    try:
        product = json.loads(text)
    except (TypeError, ValueError) as e:
        raise AwsFault(f"Pricing GetProducts gave a product that is not JSON: {e}", "NotJson") from None
    return product if isinstance(product, dict) else {}


def _first_tier(product: dict[str, Any]) -> Iterator[float]:
    """US dollars for one of AWS's units, from the first on: what is free at first is not taken for free."""
    for offer in product.get("terms", {}).get("OnDemand", {}).values():
        tiers = sorted(offer.get("priceDimensions", {}).values(), key=lambda tier: _number(tier.get("beginRange")))
        for tier in tiers:
            usd = _number(tier.get("pricePerUnit", {}).get("USD"))
            if 0 < usd < math.inf:
                yield usd


def _number(text: Any) -> float:
    try:
        return float(text)
    except (TypeError, ValueError):
        return math.inf


def _today() -> datetime.date:
    return datetime.datetime.fromtimestamp(time.time(), datetime.UTC).date()
