"""A file, or a text, → RunConfig: our YAML, or an artillery script, which is converted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sm_locust import artillery
from sm_locust.config import yaml_text
from sm_locust.config.faults import listed
from sm_locust.config.run_config import RunConfig
from sm_locust.config_error import ConfigError
from sm_locust.fields import shown

MAX_FILE_BYTES = 256 * 1024  # a configuration is written by hand; large bodies belong in payload files


def _unsaid(sentence: str) -> None:
    """What nobody wants to be told."""


def load(path: str | Path, environment: str | None = None, note: Callable[[str], object] = _unsaid) -> RunConfig:
    """Read a file.

    environment  of a script, the one of its config.environments that is merged over config
    note         is called with each sentence about what of a script has no effect here

    Raises ConfigError, one line, for a file that cannot be read or used.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        named = shown(str(path)) if ":/" in str(path) else path  # an address, which may hold a password
        raise ConfigError(f"{named}: cannot be read: {reason}; accepted: a YAML file") from None
    if len(content) > MAX_FILE_BYTES:
        raise ConfigError(f"{path}: larger than {MAX_FILE_BYTES} bytes; accepted: a YAML file up to that size")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: byte {error.start} is not UTF-8; accepted: a YAML file in UTF-8") from None
    return parse(text, str(path), environment, note)


def parse(
    text: str,
    source: str,
    environment: str | None = None,
    note: Callable[[str], object] = _unsaid,
) -> RunConfig:
    """Read a text, as `load` does. Raises ConfigError, one line that begins with `source`, for the first fault."""
    try:
        data = yaml_text.read(text)
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from None
    except RecursionError:
        raise ConfigError(f"{source}: nested too deeply; accepted: a mapping of {listed(RunConfig)}") from None
    if artillery.is_script(data):
        return _of_script(data, source, environment, note)
    if environment is not None:
        raise ConfigError(
            f"{source}: environment {shown(environment)} is not accepted: artillery scripts alone have any"
        )
    return RunConfig.from_dict({} if data is None else data, source)


def _of_script(data: Any, source: str, environment: str | None, note: Callable[[str], object]) -> RunConfig:
    try:
        script = artillery.convert(data, environment)
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from None
    config = RunConfig.from_dict(script.config, source, script.place)
    for sentence in script.notes:
        note(sentence)
    return config
