"""What is refused before a run starts, where the whole of an order is looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from locust.env import Environment

import pytest

from sm_locust.config import ConfigError, RunConfig
from sm_locust.load.shapes import ConfigShape
from sm_locust.load.users import InvokeEndpointUser
from sm_locust.plugin.options import Options
from sm_locust.plugin.order import resolve


class Invoke(InvokeEndpointUser):
    def only(self) -> None:
        self.invoke()

    tasks = [only]


PRICES = {"as_of": "2026-11-24", "instance_hour": 0.5, "data_in_gb": 0, "get_metric_data_thousand": 0}
SCALING = {
    "min_instances": 1,
    "max_instances": 4,
    "target": 25_000,
    "metric": "SageMakerVariantInvocationsPerInstance",
}


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def order(folder: Path, **sections: Any) -> None:
    told: dict[str, Any] = {
        "target": {"endpoint": "e", "region": "us-east-1"},
        "request": {"content_type": "text/csv", "body": "1"},
        "phases": [{"name": "load", "duration": "2h", "arrival_rate": 1}],
        "scaling": SCALING,
        **sections,
    }
    environment = Environment(user_classes=[Invoke], shape_class=ConfigShape())
    resolve(environment, Options(RunConfig.from_dict(told), str(folder)))


def test_a_run_within_its_guards_is_let_through(tmp_path: Path) -> None:
    order(tmp_path, prices=PRICES, guard={"max_requests": 7200, "max_cost": 4})


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"guard": {"max_requests": 7199}}, "the schedule sends 7,200 requests and guard.max_requests allows 7,199"),
        (
            {"prices": PRICES, "guard": {"max_cost": 3.99}},
            "the run costs up to $4.00, and guard.max_cost allows $3.99",
        ),
        (
            {"guard": {"max_cost": 1000}},
            "guard.max_cost allows $1,000.00, and what the run costs is not known without prices.instance_hour, "
            "prices.data_in_gb, prices.get_metric_data_thousand: give them in the configuration, or run "
            "`sm-locust check`, which asks AWS",
        ),
    ],
)
def test_past_a_guard_nothing_starts(sections: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        order(tmp_path, **sections)
    assert str(error.value) == said


def test_on_this_machine_a_guard_on_the_cost_has_nothing_to_refuse(tmp_path: Path) -> None:
    here = {"endpoint": "e", "region": "us-east-1", "url": "http://127.0.0.1:9"}
    order(tmp_path, target=here, guard={"max_cost": 0.01})
