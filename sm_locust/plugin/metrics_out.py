"""A Prometheus endpoint beside the load: off unless a port is given, on the master or a process alone.

What is told stands in Exposed; here it gets its names, its units and a server. prometheus_client is an extra, imported
only when the endpoint is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gevent import socket
from gevent.pywsgi import WSGIServer

from sm_locust.config import ConfigError
from sm_locust.plugin.exposed import LATENESS_SCALE, Exposed, cumulative
from sm_locust.record.histogram import Histogram

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

PORT, HOST = "--sm-metrics-port", "--sm-metrics-host"
HIGHEST_PORT = 65535

Buckets = list[tuple[str, float]]


def serve(port: int, host: str) -> Exposed:
    """Listens from now on, for as long as the process lives. Raises ConfigError when it cannot."""
    if not 0 < port <= HIGHEST_PORT:
        raise ConfigError(f"{PORT} {port}: not accepted: 1 to {HIGHEST_PORT}, or 0 for no metrics")
    try:
        from prometheus_client import CollectorRegistry, make_wsgi_app
    except ImportError:
        raise ConfigError(f"{PORT} {port}: needs prometheus_client: pip install 'sm-locust[metrics]'") from None
    exposed, registry = Exposed(), CollectorRegistry()
    registry.register(Collector(exposed))
    try:
        listener = _listening(host, port)
    except OSError as e:
        raise ConfigError(f"{PORT} {port}: cannot listen on {host}:{port} ({HOST}): {e.strerror or e}") from None
    WSGIServer(listener, make_wsgi_app(registry), log=None).start()
    return exposed


def _listening(host: str, port: int) -> socket.socket:
    """Closed where it cannot be had: gevent's own would stay open."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener


class Collector:
    """Writes down what is known whenever somebody asks; between two questions it costs nothing."""

    def __init__(self, exposed: Exposed) -> None:
        self._exposed = exposed

    def describe(self) -> list[Metric]:
        """Nothing: its names are its own in a registry of its own."""
        return []

    def collect(self) -> Iterator[Metric]:
        from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        found = self._exposed
        planned_rate, sent_rate = found.rates
        yield CounterMetricFamily("sm_locust_arrivals_planned", "Arrivals that the schedule wanted.", found.planned)
        yield CounterMetricFamily("sm_locust_arrivals_sent", "Arrivals that were sent.", found.sent)
        dropped = CounterMetricFamily("sm_locust_arrivals_dropped", "Arrivals not sent, by reason.", labels=["reason"])
        for reason, n in found.dropped.items():
            dropped.add_metric([reason], n)
        yield dropped
        requests = CounterMetricFamily(
            "sm_locust_requests", "Requests that ended: ok, failed or cancelled.", labels=["name", "result"]
        )
        for labels, n in found.requests.items():
            requests.add_metric(labels, n)
        yield requests
        failures = CounterMetricFamily("sm_locust_failures", "Failed requests by kind.", labels=["name", "kind"])
        for labels, n in found.failures.items():
            failures.add_metric(labels, n)
        yield failures

        latency = HistogramMetricFamily(
            "sm_locust_latency_seconds",
            "From when the schedule wanted a request to its good answer; timeouts and cancelled ones at their age.",
            labels=["name"],
        )
        for name, histogram in found.latency.items():
            latency.add_metric([name], *_buckets(histogram, found.latency_edges))
        yield latency
        lateness = HistogramMetricFamily(
            "sm_locust_lateness_seconds",
            "From when the schedule wanted a request to its send: the generator's own delay.",
            labels=[],
        )
        lateness.add_metric([], *_buckets(found.lateness, LATENESS_SCALE))
        yield lateness

        yield GaugeMetricFamily("sm_locust_running", "1 while a run goes on.", int(found.running))
        yield GaugeMetricFamily(
            "sm_locust_speed", "Schedule seconds in a second; other than 1, queues are not compressed.", found.speed
        )
        yield GaugeMetricFamily("sm_locust_planned_rate", "Arrivals a second by the schedule, over 5 s.", planned_rate)
        yield GaugeMetricFamily("sm_locust_delivered_rate", "Arrivals a second that were sent, over 5 s.", sent_rate)
        yield GaugeMetricFamily("sm_locust_in_flight", "Arrivals begun and not ended yet.", found.in_flight)
        instances = GaugeMetricFamily(
            "sm_locust_instances", "Of the watched variant, or copies of the component.", labels=["state"]
        )
        for state, level in (("in_service", found.in_service), ("desired", found.desired)):
            if level is not None:
                instances.add_metric([state], level)
        yield instances


def _buckets(histogram: Histogram, edges: tuple[float, ...]) -> tuple[Buckets, float]:
    from prometheus_client.utils import floatToGoString

    counts, total = cumulative(histogram, edges)
    return list(zip([*map(floatToGoString, edges), "+Inf"], map(float, counts), strict=True)), total
