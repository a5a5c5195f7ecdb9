"""The names that users import, each loaded when it is first asked for.

Plain values (a phase, a schedule, a config, a run read back) must cost neither Locust nor AWS: they are used in scripts
and notebooks. What faces Locust imports Locust first, because that patches the process, then registers the plugin on
Locust's events, so that one import in a locustfile is all the wiring there is. Nothing else happens here.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sm_locust.analysis.compare import Comparison
    from sm_locust.analysis.summary import Summary
    from sm_locust.config import ConfigError, RunConfig
    from sm_locust.experiment import ExperimentError, run_experiment
    from sm_locust.feeders import Feeder
    from sm_locust.load.invoker_users import ApiGatewayUser, ContainerUser, InvokeEndpointUser
    from sm_locust.load.player import ScenarioUser
    from sm_locust.load.requests_auth import requests_auth
    from sm_locust.load.shapes import CapacityShape, ConfigShape, PhasesShape
    from sm_locust.load.users import ArrivalUser
    from sm_locust.payloads import Payload
    from sm_locust.plugin.live import LiveRun
    from sm_locust.plugin.setup import setup
    from sm_locust.record.outcome import Outcome
    from sm_locust.record.run import Run, RunError
    from sm_locust.schedule import Phase, Schedule

    __version__: str

__all__ = [
    "ApiGatewayUser",
    "ArrivalUser",
    "CapacityShape",
    "Comparison",
    "ConfigError",
    "ConfigShape",
    "ContainerUser",
    "ExperimentError",
    "Feeder",
    "InvokeEndpointUser",
    "LiveRun",
    "Outcome",
    "Payload",
    "Phase",
    "PhasesShape",
    "Run",
    "RunConfig",
    "RunError",
    "ScenarioUser",
    "Schedule",
    "Summary",
    "__version__",
    "requests_auth",
    "run_experiment",
    "setup",
]

_PURE = {
    "Comparison": "sm_locust.analysis.compare",
    "ConfigError": "sm_locust.config",
    "ExperimentError": "sm_locust.experiment",
    "Feeder": "sm_locust.feeders",
    "Outcome": "sm_locust.record.outcome",
    "Payload": "sm_locust.payloads",
    "Phase": "sm_locust.schedule",
    "Run": "sm_locust.record.run",
    "RunConfig": "sm_locust.config",
    "RunError": "sm_locust.record.run",
    "Schedule": "sm_locust.schedule",
    "Summary": "sm_locust.analysis.summary",
    "run_experiment": "sm_locust.experiment",
}
_LOCUST = {
    "ApiGatewayUser": "sm_locust.load.invoker_users",
    "ArrivalUser": "sm_locust.load.users",
    "CapacityShape": "sm_locust.load.shapes",
    "ConfigShape": "sm_locust.load.shapes",
    "ContainerUser": "sm_locust.load.invoker_users",
    "InvokeEndpointUser": "sm_locust.load.invoker_users",
    "LiveRun": "sm_locust.plugin.live",
    "PhasesShape": "sm_locust.load.shapes",
    "ScenarioUser": "sm_locust.load.player",
    "requests_auth": "sm_locust.load.requests_auth",
    "setup": "sm_locust.plugin.setup",
}


def _loaded(name: str) -> Any:
    """One public name; ImportError when boto3 (or another HTTP library) came before Locust."""
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("sm-locust")
    elif name in _PURE:
        value = getattr(import_module(_PURE[name]), name)
    elif name in _LOCUST:
        _import_locust_first(name)
        import_module("sm_locust.plugin.setup")  # registers on locust.events
        value = getattr(import_module(_LOCUST[name]), name)
    else:
        raise AttributeError(f"module 'sm_locust' has no attribute {name!r}; it has {', '.join(sorted(__all__))}")
    globals()[name] = value
    return value


if not TYPE_CHECKING:  # a checker sees the names above, and refuses any other
    __getattr__ = _loaded


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _import_locust_first(name: str) -> None:
    # Locust's import swaps ssl.SSLContext for gevent's. A urllib3 that was loaded before keeps the old one, and
    # the next import that sets up TLS ends in a RecursionError that names neither boto3 nor Locust.
    if "locust" not in sys.modules and "urllib3.util.ssl_" in sys.modules and not _ssl_is_patched():
        early = next(m for m in ("boto3", "botocore", "requests", "urllib3") if m in sys.modules)
        raise ImportError(
            f"import locust (or sm_locust.{name}) before {early}: {early} is loaded already, so ssl is patched too late"
        )
    import_module("locust")


def _ssl_is_patched() -> bool:
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("ssl"))
