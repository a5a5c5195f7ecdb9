"""The Pricing API's answers, in the shape that its guide has them, become dated prices in a cache."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pytest

from sm_locust.aws.pricing import _nearest, refresh, remember
from sm_locust.aws.session import AwsFault, client
from sm_locust.config import RunConfig
from sm_locust.prices import Price, Prices, Seen
from tests.aws.harness import asked, refused, said, scripted

CONFIG = RunConfig.from_dict({"target": {"endpoint": "mine", "region": "eu-west-1"}})


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def product(usage: str, *tiers: tuple[str, str], currency: str = "USD", **attributes: str) -> dict[str, Any]:
    """One entry of a PriceList before it is a text. tiers: where each begins, and its price"""
    dimensions = {
        f"SKU.TERM.{i}": {"unit": "Hrs", "beginRange": begin, "endRange": "Inf", "pricePerUnit": {currency: usd}}
        for i, (begin, usd) in enumerate(tiers)
    }
    return {
        "product": {"productFamily": "x", "sku": "SKU", "attributes": {"usagetype": usage, **attributes}},
        "serviceCode": "x",
        "terms": {"OnDemand": {"SKU.TERM": {"offerTermCode": "TERM", "priceDimensions": dimensions}}},
        "version": "20261101000000",
        "publicationDate": "2026-11-01T00:00:00Z",
    }


CATALOG = {
    "AmazonSageMaker": [
        product("EU-Train:ml.m4.xlarge", ("0", "99")),
        product("EU-Host:ml.m4.xlarge.large", ("0", "98")),
        product("EU-Host:ml.m4.xlarge", ("0", "0.3100000000"), component="Hosting"),
        product("EU-Hst:Data-Bytes-In", ("0", "0.0160000000")),
    ],
    "AmazonApiGateway": [
        product("EU-ApiGatewayHttpRequest", ("0", "0.0000011100")),
        product("EU-ApiGatewayRequest", ("333000000", "0.0000028000"), ("0", "0.0000035000")),
    ],
    "AWSLambda": [
        product("EU-Request-ARM", ("0", "0.9")),
        product("EU-Request", ("0", "0.0000000000")),
        product("EU-Request", ("0", "0.0000002000")),
        product("EU-Lambda-GB-Second", ("0", "0.0000166667"), ("6000000000", "0.0000150000")),
    ],
    "AmazonCloudWatch": [product("EU-CW:GMD-Metrics", ("0", "0.0000100000"))],
}


def catalog(request: bytes) -> bytes:
    found = CATALOG[asked(request)["ServiceCode"]]
    return said({"FormatVersion": "aws_v1", "PriceList": [json.dumps(entry) for entry in found]})


def test_every_price_is_had_with_its_day_and_read_again_without_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted({"GetProducts": catalog}) as aws:
        monkeypatch.setenv("AWS_ENDPOINT_URL_PRICING", aws.url)
        found = refresh(CONFIG, Seen("ml.m4.xlarge", 2))
        requests = [asked(request) for request in aws.requests]
    usd = {key: price.usd for key, price in found.known.items()}
    assert usd == pytest.approx(
        {
            "instance_hour": 0.31,
            "data_in_gb": 0.016,
            "api_gateway_million": 3.5,
            "lambda_million": 0.2,
            "lambda_gb_second": 0.0000166667,
            "get_metric_data_thousand": 0.01,
        }
    )
    today = datetime.datetime.now(datetime.UTC).date()
    assert {(price.as_of, price.origin) for price in found.known.values()} == {(today, "cache")}
    assert found.seen == Seen("ml.m4.xlarge", 2)
    assert Prices.of(CONFIG) == found
    assert requests[0]["ServiceCode"] == "AmazonSageMaker"
    assert {"Type": "TERM_MATCH", "Field": "instanceName", "Value": "ml.m4.xlarge"} in requests[0]["Filters"]
    assert all(
        {"Type": "TERM_MATCH", "Field": "regionCode", "Value": "eu-west-1"} in request["Filters"]
        for request in requests
    )


def test_what_is_on_a_later_page_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def paged(request: bytes) -> bytes:
        found = [json.dumps(entry) for entry in CATALOG[asked(request)["ServiceCode"]]]
        at = int(asked(request).get("NextToken", "0"))
        more = {"NextToken": str(at + 1)} if at + 1 < len(found) else {}
        return said({"PriceList": found[at : at + 1], **more})

    with scripted({"GetProducts": paged}) as aws:
        monkeypatch.setenv("AWS_ENDPOINT_URL_PRICING", aws.url)
        assert len(refresh(CONFIG, Seen("ml.m4.xlarge", None)).known) == 6


@pytest.mark.parametrize(
    ("region", "where"),
    [
        ("us-west-2", "https://api.pricing.us-east-1.amazonaws.com"),
        ("eu-west-3", "https://api.pricing.eu-central-1.amazonaws.com"),
        ("ap-northeast-1", "https://api.pricing.ap-south-1.amazonaws.com"),
        ("cn-north-1", "https://api.pricing.cn-northwest-1.amazonaws.com.cn"),
    ],
)
def test_the_api_is_asked_where_it_is(region: str, where: str) -> None:
    there = RunConfig.from_dict({"target": {"endpoint": "mine", "region": region}})
    assert client(there, "pricing", region=_nearest(region)).meta.endpoint_url == where


@pytest.mark.parametrize(
    "entry",
    [
        product("EU-Host:ml.m4.xlarge", ("0", "2.2"), currency="CNY"),
        product("EU-Host:ml.m4.xlarge"),
        {"product": {}},
        [],
    ],
    ids=["in another currency", "without a price", "empty", "no product"],
)
def test_what_has_no_price_in_dollars_stays_unknown(entry: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted({"GetProducts": said({"PriceList": [json.dumps(entry)]})}) as aws:
        monkeypatch.setenv("AWS_ENDPOINT_URL_PRICING", aws.url)
        assert refresh(CONFIG, Seen("ml.m4.xlarge", None)).known == {}


def test_what_was_answered_before_a_fault_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def until_lambda(request: bytes) -> bytes:
        if asked(request)["ServiceCode"] == "AWSLambda":
            return refused("AccessDeniedException", "User is not authorized to perform: pricing:GetProducts")
        return catalog(request)

    with scripted({"GetProducts": until_lambda}) as aws:
        monkeypatch.setenv("AWS_ENDPOINT_URL_PRICING", aws.url)
        with pytest.raises(AwsFault, match="the permission it needs is pricing:GetProducts"):
            refresh(CONFIG, Seen("ml.m4.xlarge", 1))
    found = Prices.of(CONFIG)
    assert set(found.known) == {"instance_hour", "data_in_gb", "api_gateway_million"}
    assert found.seen == Seen("ml.m4.xlarge", 1)


def test_a_product_that_is_not_json_is_a_fault_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted({"GetProducts": said({"PriceList": ["{"]})}) as aws:
        monkeypatch.setenv("AWS_ENDPOINT_URL_PRICING", aws.url)
        with pytest.raises(AwsFault, match="gave a product that is not JSON"):
            refresh(CONFIG, Seen(None, None))


def test_what_was_not_told_this_time_stays_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    remember(CONFIG, Seen("ml.m4.xlarge", 2))
    remember(CONFIG, Seen(None, 3))
    assert Prices.of(CONFIG).seen == Seen("ml.m4.xlarge", 3)
    with scripted({"GetProducts": catalog}) as aws:
        monkeypatch.setenv("AWS_ENDPOINT_URL_PRICING", aws.url)
        found = refresh(CONFIG, Seen(None, None))  # whoever may not describe the endpoint
    assert found.seen == Seen("ml.m4.xlarge", 3)
    assert found.known["instance_hour"].usd == pytest.approx(0.31)
    remember(CONFIG, Seen(None, None), serverless=True)
    assert Prices.of(CONFIG).seen == Seen(None, None)


def test_the_configuration_still_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    priced = RunConfig.from_dict(
        {"target": {"endpoint": "mine", "region": "eu-west-1"}, "prices": {"as_of": "2026-01-02", "instance_hour": 9}}
    )
    with scripted({"GetProducts": catalog}) as aws:
        monkeypatch.setenv("AWS_ENDPOINT_URL_PRICING", aws.url)
        assert refresh(priced, Seen("ml.m4.xlarge", None)).known["instance_hour"] == Price(
            9.0, datetime.date(2026, 1, 2), "config"
        )
