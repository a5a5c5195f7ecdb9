"""Scripts of artillery, what they become, and what is said about those that are refused."""

from __future__ import annotations

import copy
import os
from typing import Any
from unittest.mock import patch

import pytest

from sm_locust import artillery
from sm_locust.config import ConfigError, RunConfig, parse

TARGET = "http://127.0.0.1:8000"
PLAIN: dict[str, Any] = {
    "config": {"target": TARGET, "phases": [{"duration": 60, "arrivalRate": 5}]},
    "scenarios": [{"flow": [{"get": {"url": "/"}}]}],
}


def script(config: dict[str, Any] | None = None, flow: list[Any] | None = None, **root: Any) -> dict[str, Any]:
    """PLAIN with some of it replaced."""
    found = copy.deepcopy(PLAIN)
    found["config"] |= config or {}
    if flow is not None:
        found["scenarios"][0]["flow"] = flow
    return found | root


def converted(data: dict[str, Any], environment: str | None = None, **variables: str) -> artillery.Converted:
    """What it becomes, which our own models accept, and which survives being written as YAML."""
    with patch.dict(os.environ, variables, clear=True):
        found = artillery.convert(data, environment)
    config = RunConfig.from_dict(found.config, "script.yml", found.place)
    again = parse(artillery.as_yaml(found), "written.yaml")
    if again.target is None:
        assert again == config
    else:
        assert again == config.model_copy(update={"scenarios": None, "feeds": (), "variables": {}})
    return found


def steps(*flow: Any, config: dict[str, Any] | None = None, **variables: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = converted(script(config, list(flow)), **variables).config["scenarios"][0]["steps"]
    return found


def refusal(data: object, environment: str | None = None) -> str:
    with pytest.raises(ConfigError) as error, patch.dict(os.environ, clear=True):
        found = artillery.convert(data, environment)
        RunConfig.from_dict(found.config, "script.yml", found.place)
    message = str(error.value).removeprefix("script.yml: ")
    assert "\n" not in message
    return message
