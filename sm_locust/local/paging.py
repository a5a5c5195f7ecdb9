"""Lists a page at a time, with tokens that mean one list only.

A token names the item that comes next, not how many went before, so that what is added at either end between two
pages neither repeats an item nor hides one.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from sm_locust.local.errors import AwsError

Item = TypeVar("Item")

# What may differ from page to page of one list.
_FREE = frozenset({"NextToken", "MaxResults", "MaxRecords", "MaxDatapoints"})


def page(
    items: Sequence[Item], key: Callable[[Item], str], size: int, parameters: Mapping[str, Any], refusal: str
) -> tuple[list[Item], str | None]:
    """The page that the request's `NextToken` asks for, the first without one, and the token of the next, if any.

    key      what tells an item from all others of the list, for good
    refusal  the service's code for a token that is not one of this list's: the AwsError raised
    """
    start = 0
    if "NextToken" in parameters:
        wanted = read_token(parameters, refusal)
        start = next((i for i, item in enumerate(items) if key(item) == wanted), -1)
        if start < 0:
            raise _refused(refusal)
    end = start + size
    return list(items[start:end]), token(parameters, key(items[end])) if end < len(items) else None


def token(parameters: Mapping[str, Any], position: Any) -> str:
    """A token for the list that these parameters ask for."""
    return base64.urlsafe_b64encode(json.dumps([_digest(parameters), position]).encode()).decode()


def read_token(parameters: Mapping[str, Any], refusal: str) -> Any:
    """The position in the request's token. Raises AwsError where it was made for another request, or not by us."""
    try:
        digest, position = json.loads(base64.b64decode(parameters["NextToken"], altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, TypeError):
        raise _refused(refusal) from None
    if digest != _digest(parameters):
        raise _refused(refusal)
    return position


def _digest(parameters: Mapping[str, Any]) -> str:
    fixed = {name: value for name, value in parameters.items() if name not in _FREE}
    return hashlib.sha256(json.dumps(fixed, sort_keys=True).encode()).hexdigest()[:16]


def _refused(code: str) -> AwsError:
    return AwsError(400, code, {"message": "The token supplied in NextToken is not one of this request's."})
