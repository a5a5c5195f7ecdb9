"""What a run is told, checked before anything is sent: YAML → RunConfig.

`sections`, `stop_rule` and `scenarios` are the models, `run_config` puts them together, `faults` says in one line what
is wrong in them, `reading` and `yaml_text` read files. Reading payload files is payloads', finding credentials and a
region is botocore's, playing the phases is the load's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sm_locust.config.run_config import RunConfig
from sm_locust.config.sections import (
    ERROR_RATE,
    CapacitySearch,
    CustomMetric,
    Guard,
    PayloadOrder,
    Request,
    Scaling,
    Slo,
    Target,
)
from sm_locust.config.stop_rule import DROP_RATE, NOT_VALID, OVERHEAD, SHORTFALL, StopRule
from sm_locust.fields import ConfigError

if TYPE_CHECKING:
    from sm_locust.config.reading import load, parse

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
    "PayloadOrder",
    "Request",
    "RunConfig",
    "Scaling",
    "Slo",
    "StopRule",
    "Target",
    "load",
    "parse",
]


def __getattr__(name: str) -> Any:
    """`load` and `parse`: who has a configuration from a run's folder needs no YAML, which takes 15 ms to import."""
    if name not in ("load", "parse"):
        raise AttributeError(f"module 'sm_locust.config' has no attribute {name!r}")
    from sm_locust.config import reading

    return getattr(reading, name)
