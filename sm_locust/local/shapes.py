"""Requests held against botocore's service models, and answers cut to them: no table of ours repeats what they say.

Required members, types, enums and bounds are checked here, in AWS's words. Patterns are not: they are written for
Java. What a service's documentation demands beyond its model is the service's to check.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape
from botocore.utils import parse_timestamp

from sm_locust.local.errors import AwsError

_BOUNDED_BY_LENGTH = frozenset({"string", "list", "map", "blob"})
_TYPES: Mapping[str, Any] = {
    "structure": dict,
    "map": dict,
    "list": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "long": int,
    "float": (int, float),
    "double": (int, float),
    "timestamp": (int, float, str),
}


def checked(parameters: object, shape: StructureShape) -> dict[str, Any]:
    """The parameters that `shape` knows, those that are null left out, timestamps as Unix seconds.

    Raises AwsError: SerializationException for a value of another type, ValidationException for any other violation,
    all of them in one message.
    """
    violations: list[str] = []
    found: dict[str, Any] = _checked(parameters, shape, "", violations)
    if violations:
        errors = "1 validation error" if len(violations) == 1 else f"{len(violations)} validation errors"
        raise invalid(f"{errors} detected: {'; '.join(violations)}")
    return found


def invalid(message: str) -> AwsError:
    """What services answer when a request's values cannot be."""
    return AwsError(400, "ValidationException", {"message": message})


def rendered(value: Any, shape: Shape) -> Any:
    """The JSON of an answer: the members that `shape` knows and that have a value; timestamps in whole milliseconds."""
    if isinstance(shape, StructureShape):
        return {
            name: rendered(value[name], member) for name, member in shape.members.items() if value.get(name) is not None
        }
    if isinstance(shape, ListShape):
        return [rendered(item, shape.member) for item in value]
    return round(value, 3) if shape.type_name == "timestamp" else value


def _checked(value: Any, shape: Shape, path: str, violations: list[str]) -> Any:
    expected = _TYPES[shape.type_name]
    # JSON's true is no number, though Python's is.
    if not isinstance(value, expected) or (isinstance(value, bool) and expected is not bool):
        where = path or "the request"
        raise AwsError(400, "SerializationException", {"Message": f"{where}: {value!r} is no {shape.type_name}"})
    violations.extend(_violations(value, shape, path))
    if isinstance(shape, StructureShape):
        for name in shape.required_members:
            if value.get(name) is None:
                violations.append(_violation(None, _below(path, name), "must not be null"))
        return {
            name: _checked(value[name], member, _below(path, name), violations)
            for name, member in shape.members.items()
            if value.get(name) is not None
        }
    if isinstance(shape, ListShape):
        return [_checked(item, shape.member, f"{path}.{i}.member", violations) for i, item in enumerate(value, 1)]
    if isinstance(shape, MapShape):
        return {key: _checked(item, shape.value, f"{path}.{key}", violations) for key, item in value.items()}
    return _unix(value, path) if shape.type_name == "timestamp" else value


def _violations(value: Any, shape: Shape, path: str) -> list[str]:
    found = []
    enum = shape.metadata.get("enum")
    if enum is not None and value not in enum:
        found.append(_violation(value, path, f"must satisfy enum value set: [{', '.join(enum)}]"))
    by_length = shape.type_name in _BOUNDED_BY_LENGTH
    size, having = (len(value), "length") if by_length else (value, "value")
    for bound, limit in (("min", "greater"), ("max", "less")):
        at = shape.metadata.get(bound)
        if at is not None and (size < at if bound == "min" else size > at):
            found.append(_violation(value, path, f"must have {having} {limit} than or equal to {at}"))
    return found


def _violation(value: object, path: str, constraint: str) -> str:
    shown = "null" if value is None else f"'{value}'"
    return f"Value {shown} at '{path}' failed to satisfy constraint: Member {constraint}"


def _below(path: str, name: str) -> str:
    name = name[0].lower() + name[1:]
    return f"{path}.{name}" if path else name


def _unix(value: float | str, path: str) -> float:
    try:
        seconds = float(value) if isinstance(value, (int, float)) else parse_timestamp(value).timestamp()
        if math.isfinite(seconds):
            return float(seconds)
    except (ValueError, OverflowError, RuntimeError):  # botocore's, for a text that is a number past every calendar
        pass
    raise AwsError(400, "SerializationException", {"Message": f"{path}: {value!r} is no timestamp"})
