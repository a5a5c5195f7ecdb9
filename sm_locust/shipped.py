"""The files that come with the package: where they are, and which locustfile plays what."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path

STARTERS = Path(__file__).parent / "starters"


def locustfile(target: Container[str]) -> str:
    """Below STARTERS, the one for a target with these keys; where there is none of them, the one for scenarios."""
    # An API may name an endpoint too, whose metrics are watched: the first that is there says where requests go.
    played = {"container": "container", "api_gateway": "api_gateway", "endpoint": "invoke_endpoint"}
    name = next((name for key, name in played.items() if key in target), "artillery")
    return f"locustfiles/{name}.py"
