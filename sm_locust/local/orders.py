"""An order to the local endpoint, in JSON: read, or refused in one sentence. What it does is for whoever takes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

_SHOWN = 80  # characters of a value, at most

Order = TypeVar("Order", bound=BaseModel)


def read(kind: type[Order], body: bytes) -> Order:
    """Raises ValueError, naming each key that is wrong, its value and what is accepted."""
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        raise ValueError("; ".join(_explained(kind, problem) for problem in error.errors())) from None


def _explained(kind: type[BaseModel], problem: Mapping[str, Any]) -> str:
    key = ".".join(map(str, problem["loc"]))
    if not key:
        return f"an order is a JSON object: {problem['msg']}"
    if problem["type"] == "missing":
        return f"{key}: missing"
    if problem["type"] == "extra_forbidden":
        known = [field.alias or name for name, field in kind.model_fields.items()]
        return f"{key} is no key of this order; accepted: {', '.join(known)}"
    value = repr(problem["input"])
    return f"{key} {value if len(value) <= _SHOWN else value[:_SHOWN] + '…'}: {problem['msg']}"
