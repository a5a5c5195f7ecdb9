"""The Prometheus endpoint: what it writes down, and how it says that it cannot."""

from __future__ import annotations

import socket
import sys
import urllib.request

import gevent

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from sm_locust.config import ConfigError
from sm_locust.plugin.exposed import LATENCY_SCALE, Exposed
from sm_locust.plugin.metrics_out import Collector, serve
from sm_locust.record.histogram import Histogram
from sm_locust.record.ledger import Sample
from tests.runs.harness import free_port

EVIL = 'a"} 1\\\n# HELP <script>'


def told(exposed: Exposed) -> dict[str, dict[tuple[str, ...], float]]:
    """Sample → values of its labels, in the order of their names → value, as a reader of the text has them."""
    registry = CollectorRegistry()
    registry.register(Collector(exposed))
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        assert family.documentation
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(value for _, value in sorted(sample.labels.items()))] = sample.value
    return found


def test_before_a_run_everything_is_nought_and_instances_are_not_known() -> None:
    found = told(Exposed())
    assert set(found) == {
        *("sm_locust_arrivals_planned_total", "sm_locust_arrivals_sent_total"),
        *("sm_locust_lateness_seconds_bucket", "sm_locust_lateness_seconds_count", "sm_locust_lateness_seconds_sum"),
        *("sm_locust_running", "sm_locust_speed", "sm_locust_planned_rate", "sm_locust_delivered_rate"),
        "sm_locust_in_flight",
    }
    assert {value for name, values in found.items() if name != "sm_locust_speed" for value in values.values()} == {0.0}


def test_each_number_has_its_name_its_labels_and_its_unit() -> None:
    exposed = Exposed()
    exposed.begin({"latency_mean": 0.0155}, 1)
    exposed.planned, exposed.sent = 12.5, 12
    exposed.dropped["max_in_flight"] = 3
    exposed.requests["e", "ok"] = 7
    exposed.failures["e", "timeout"] = 5
    exposed.latency["e"] = Histogram()
    for seconds in (0.0152, 0.0158, 0.2):
        exposed.latency["e"].record(seconds)
    exposed.lateness.record(0.0004)
    exposed.desired, exposed.in_service = 4, 2
    exposed.sample(Sample(1.0, "a", 9, None))
    found = told(exposed)
    assert found["sm_locust_arrivals_planned_total"][()] == 12.5
    assert found["sm_locust_arrivals_sent_total"][()] == 12
    assert found["sm_locust_arrivals_dropped_total"]["max_in_flight",] == 3
    assert found["sm_locust_requests_total"]["e", "ok"] == 7
    assert found["sm_locust_failures_total"]["timeout", "e"] == 5
    buckets = found["sm_locust_latency_seconds_bucket"]
    assert len(buckets) == len(LATENCY_SCALE) + 2
    assert [buckets[le, "e"] for le in ("0.015", "0.0155", "0.02", "0.2", "100.0", "+Inf")] == [0, 1, 2, 3, 3, 3]
    assert found["sm_locust_latency_seconds_sum"]["e",] == pytest.approx(0.231, rel=0.001)
    assert found["sm_locust_lateness_seconds_bucket"]["0.0005",] == 1
    assert (found["sm_locust_instances"]["in_service",], found["sm_locust_instances"]["desired",]) == (2, 4)
    assert (found["sm_locust_in_flight"][()], found["sm_locust_running"][()]) == (9, 1)


def test_a_name_from_outside_is_a_label_and_nothing_else() -> None:
    exposed = Exposed()
    exposed.requests[EVIL, "ok"] = 1
    assert told(exposed)["sm_locust_requests_total"] == {(EVIL, "ok"): 1}


def test_it_is_served_again_and_again() -> None:
    port = free_port()
    exposed = serve(port, "127.0.0.1")
    for n in (1, 2):
        exposed.sent += 10
        with gevent.Timeout(10), urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            assert f"sm_locust_arrivals_sent_total {n * 10}.0" in answer.read().decode()


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(ConfigError) as refused:
        serve(free_port(), "127.0.0.1")
    assert str(refused.value).endswith("needs prometheus_client: pip install 'sm-locust[metrics]'")


@pytest.mark.parametrize("port", [-1, 65536])
def test_what_is_no_port_is_refused(port: int) -> None:
    with pytest.raises(ConfigError, match=rf"--sm-metrics-port {port}: not accepted: 1 to 65535, or 0 for no metrics"):
        serve(port, "127.0.0.1")


def test_an_address_that_cannot_be_listened_on_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"--sm-metrics-port {port}: cannot listen on 127.0.0.1:{port} "):
            serve(port, "127.0.0.1")
    with pytest.raises(ConfigError, match=r"cannot listen on 203\.0\.113\.7:"):
        serve(free_port(), "203.0.113.7")
