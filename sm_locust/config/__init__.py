"""What a run is told, checked before anything is sent: YAML → RunConfig.

`sections`, `stop_rule` and `scenarios` are the models, `metrics` names what a limit may be on, `run_config` puts them
together, `faults` says in one line what is wrong in them, `reading` and `yaml_text` read files. Reading payload files
is payloads', finding credentials and a region is botocore's, playing the phases is the load's.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sm_locust.config.metrics import DROP_RATE, ERROR_RATE, NOT_VALID, OVERHEAD, SHORTFALL
    from sm_locust.config.reading import load, parse
    from sm_locust.config.run_config import RunConfig
    from sm_locust.config.sections import (
        CapacitySearch,
        CustomMetric,
        Guard,
        Request,
        Scaling,
        Slo,
        Target,
    )
    from sm_locust.config.stop_rule import StopRule
    from sm_locust.config_error import ConfigError

__all__ = [
    "DROP_RATE",
    "ERROR_RATE",
    "NOT_VALID",
    "OVERHEAD",
    "SHORTFALL",
    "CapacitySearch",
    "ConfigError",
    "CustomMetric",
    "Guard",
    "Request",
    "RunConfig",
    "Scaling",
    "Slo",
    "StopRule",
    "Target",
    "load",
    "parse",
]

_FROM = {
    **dict.fromkeys(("DROP_RATE", "ERROR_RATE", "NOT_VALID", "OVERHEAD", "SHORTFALL"), "sm_locust.config.metrics"),
    **dict.fromkeys(("load", "parse"), "sm_locust.config.reading"),
    "ConfigError": "sm_locust.config_error",
    "RunConfig": "sm_locust.config.run_config",
    "StopRule": "sm_locust.config.stop_rule",
}


def _loaded(name: str) -> Any:
    """Each when it is asked for: the models take 100 ms to import and YAML 15, and a Summary's import needs neither."""
    if name not in __all__:
        raise AttributeError(f"module 'sm_locust.config' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_FROM.get(name, "sm_locust.config.sections")), name)
    return value


if not TYPE_CHECKING:  # a checker sees the names above, and refuses any other
    __getattr__ = _loaded
