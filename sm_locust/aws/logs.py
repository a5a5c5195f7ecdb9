"""The log groups of CloudWatch Logs, which outlive what wrote into them."""

from __future__ import annotations

from typing import Any

from sm_locust.aws.session import ask_all, client
from sm_locust.config import RunConfig


def group(config: RunConfig, name: str) -> dict[str, Any] | None:
    """The one of exactly this name: another's may begin like it. Raises AwsFault."""
    pages = ask_all(client(config, "logs"), "DescribeLogGroups", logGroupNamePrefix=name)
    return next((found for page in pages for found in page["logGroups"] if found["logGroupName"] == name), None)
