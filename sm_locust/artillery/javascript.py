"""Where a script calls JavaScript: refused, since none runs here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from sm_locust.artillery.reading import Reading
from sm_locust.fields import Loc

OWN_LOCUSTFILE = "write the session as a locustfile of your own with ArrivalUser"
_NONE = f"JavaScript has no equal here: {OWN_LOCUSTFILE}"
_SIGNED = (
    "JavaScript has no equal here; if it signs requests for AWS, take it away, for that is done here without it: "
    "InvokeEndpoint by locustfiles/invoke_endpoint.py, an API by target.auth: iam"
)
HOOKS = ("beforeRequest", "afterResponse", "beforeScenario", "afterScenario", "onError")


def refuse_hooks(read: Reading, place: Loc, given: Mapping[Any, Any], target: str | None) -> None:
    for hook in HOOKS:
        if given.get(hook):
            refuse(read, (*place, hook), target)


def refuse(read: Reading, place: Loc, target: str | None) -> None:
    """What to do instead depends on the target: to one of AWS's, JavaScript mostly signs requests."""
    host = urlsplit(target or "").hostname or ""
    signed = host.startswith("runtime.sagemaker") or ".execute-api." in host
    read.no_equal(place, _SIGNED if signed else _NONE)
