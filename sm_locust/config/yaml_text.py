"""YAML → plain values; what safe_load would take in silence is refused."""

from __future__ import annotations

from typing import Any

import yaml

from sm_locust.config_error import ConfigError
from sm_locust.fields import shown

MAX_NODES = 20_000  # with every alias written out: stops files that are small on disk and enormous in memory


def read(text: str) -> Any:
    """The one document of a text; None for none. Raises ConfigError, which says where in it the first fault is.

    RecursionError where it is nested too deeply.
    """
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _check_nodes(node)
        return loader.construct_document(node)
    except (ConfigError, RecursionError):
        raise
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        problem = ", ".join(filter(None, (error.context, error.problem)))
        raise ConfigError(f"{where}not YAML: {problem}") from None
    except Exception as error:  # SafeLoader's own constructors raise whatever int(), date() and dict() do
        raise ConfigError(f"not YAML: {error}") from None


def read_mapping(text: str, source: str) -> dict[str, Any]:
    """A mapping on one line, with braces or without. Raises ConfigError that begins with `source`."""
    inside = text.strip()
    try:
        data = yaml.safe_load(inside if inside.startswith("{") else f"{{{inside}}}")
    except (yaml.YAMLError, ValueError, RecursionError):
        data = None
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise ConfigError(f"{source}: {shown(text)} is not accepted: settings such as start: 50, max: 2000")
    return data


def _check_nodes(root: yaml.Node) -> None:
    """Refuses a key that is given twice, and aliases that grow without bound."""
    sizes: dict[int, int] = {}  # of nodes, with their aliases written out

    def size(node: yaml.Node) -> int:
        if id(node) not in sizes:
            sizes[id(node)] = MAX_NODES + 1  # until it is known: a node that contains itself never ends
            if isinstance(node, yaml.MappingNode):
                _check_keys(node)
                children = [child for pair in node.value for child in pair]
            else:
                children = node.value if isinstance(node, yaml.SequenceNode) else []
            sizes[id(node)] = 1 + sum(map(size, children))
        return sizes[id(node)]

    if size(root) > MAX_NODES:
        raise ConfigError(f"more than {MAX_NODES} values, with aliases written out; accepted: up to that many")


def _check_keys(node: yaml.MappingNode) -> None:
    seen = set()
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode):
            if (key.tag, key.value) in seen:
                where = f"line {key.start_mark.line + 1}, column {key.start_mark.column + 1}"
                raise ConfigError(f"{where}: {shown(key.value)} is given twice; accepted: once")
            seen.add((key.tag, key.value))
