"""Prices: who said them, who wins, and a cache that may be missing, old, damaged or unwritable."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_locust.config import RunConfig
from sm_locust.prices import Cache, Price, Prices, Seen, cache_path

DAY = datetime.date(2026, 11, 20)


def config(**sections: Any) -> RunConfig:
    return RunConfig.from_dict({"target": {"endpoint": "e", "region": "us-east-1"}, **sections})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sm_locust" / "prices.json"


def filled(path: Path) -> Cache:
    cache = Cache.read(path)
    cache.keep_price("us-east-1", "instance_hour", 0.25, DAY, "ml.m4.xlarge")
    cache.keep_price("us-east-1", "instance_hour", 0.75, DAY, "ml.c5.large")
    cache.keep_price("us-east-1", "lambda_million", 0.5, DAY)
    cache.keep_seen("us-east-1", "e", "AllTraffic", Seen("ml.m4.xlarge", 2))
    cache.write()
    return Cache.read(path)


def test_an_hour_costs_what_the_type_costs_that_was_last_seen(path: Path) -> None:
    found = Prices.of(config(), filled(path))
    assert found.known == {
        "instance_hour": Price(0.25, DAY, "cache"),
        "lambda_million": Price(0.5, DAY, "cache"),
    }
    assert found.seen == Seen("ml.m4.xlarge", 2)


def test_what_was_seen_while_measuring_wins_over_what_was_seen_last(path: Path) -> None:
    found = Prices.of(config(), filled(path), seen=Seen("ml.c5.large", 1))
    assert found.known["instance_hour"].usd == 0.75
    assert found.seen == Seen("ml.c5.large", 1)
    assert "instance_hour" not in Prices.of(config(), filled(path), seen=Seen(None, 1)).known


def test_an_endpoint_never_seen_has_no_price(path: Path) -> None:
    other = RunConfig.from_dict({"target": {"endpoint": "other", "region": "us-east-1"}})
    assert set(Prices.of(other, filled(path)).known) == {"lambda_million"}


def test_another_region_has_prices_of_its_own(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = filled(path)
    assert Prices.of(config(), cache, region="eu-west-1").known == {}
    nowhere = RunConfig.from_dict({"target": {"endpoint": "e"}})
    assert Prices.of(nowhere, cache).known == {}
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    assert set(Prices.of(nowhere, cache).known) == {"instance_hour", "lambda_million"}


def test_the_configuration_wins(path: Path) -> None:
    found = Prices.of(config(prices={"as_of": "2026-01-02", "instance_hour": 9}), filled(path))
    assert found.known["instance_hour"] == Price(9.0, datetime.date(2026, 1, 2), "config")
    assert found.known["lambda_million"].origin == "cache"


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        '{"schema_version": 2}',
        '{"schema_version": 1, "prices": [], "endpoints": 7}',
        "[" * 100000,
    ],
)
def test_a_damaged_cache_is_an_empty_one(path: Path, content: str) -> None:
    path.parent.mkdir()
    path.write_text(content)
    assert Prices.of(config(), Cache.read(path)) == Prices()
    assert Prices.of(config(), filled(path)).seen.instances == 2


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["usd", "as_of", "x"]), inner),
    max_leaves=6,
)


@given(json_values, json_values)
def test_whatever_stands_in_the_cache_it_is_read(price: object, seen: object) -> None:
    data = {
        "prices": {"us-east-1": {"instance_hour/t": price, "data_in_gb": price}},
        "endpoints": {"us-east-1": {"e/AllTraffic": seen}},
    }
    found = Prices.of(config(), Cache(Path("nowhere"), json.loads(json.dumps(data))))
    assert all(price.usd >= 0 for price in found.known.values())


def test_a_cache_that_cannot_be_written_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "sm_locust").write_text("a file where the folder should be")
    cache = Cache.read(tmp_path / "sm_locust" / "prices.json")
    cache.keep_price("us-east-1", "lambda_million", 0.5, DAY)
    cache.write()
    assert Cache.read(tmp_path / "sm_locust" / "prices.json").prices("us-east-1", None) == {}


def test_the_cache_is_where_the_desktop_specification_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_path() == Path("/somewhere/sm_locust/prices.json")
    for without in ("", "relative/is/ignored"):
        monkeypatch.setenv("XDG_CACHE_HOME", without)
        monkeypatch.setenv("HOME", "/home/somebody")
        assert cache_path() == Path("/home/somebody/.cache/sm_locust/prices.json")


def test_a_price_of_the_cache_is_old_after_thirty_days() -> None:
    price = Price(1.0, DAY, "cache")
    assert not price.is_old(DAY + datetime.timedelta(days=30))
    assert price.is_old(DAY + datetime.timedelta(days=31))
    assert not price._replace(origin="config").is_old(DAY + datetime.timedelta(days=999))
