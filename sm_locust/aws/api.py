"""The REST API of API Gateway that stands in front of an endpoint: which one a URL names, and what is behind it.

Its limits are quotas', the names that its metrics have subjects'. Source: API Gateway API Reference, GetResources.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from sm_locust.aws.session import ATTEMPTS, AwsFault, ask_all, client
from sm_locust.config import RunConfig

_HOST = re.compile(r"([a-z0-9]+)(?:-vpce-[a-z0-9]+)?\.execute-api\.")
_FUNCTION = re.compile(r"/functions/(arn:[^/]+:function:([\w-]+))(?::[\w$-]+)?/invocations$")


class RestApi(NamedTuple):
    """What an API's own address names: its id, a stage, the path of a resource; `stage` and `path` may be empty."""

    id: str
    stage: str
    path: str

    @classmethod
    def of(cls, url: str) -> RestApi | None:
        """None for any other address: a domain of one's own does not tell the id."""
        found, (stage, path) = _HOST.match(urlsplit(url).hostname or ""), stage_and_path(url)
        return None if found is None else cls(found[1], stage, path)


class Function(NamedTuple):
    """A Lambda function."""

    arn: str
    name: str


def stage_and_path(url: str) -> tuple[str, str]:
    """Those of an API, whatever its address is; empty where the URL does not go so far."""
    stage, _, path = urlsplit(url).path.strip("/").partition("/")
    return stage, path


def integration(config: RunConfig, api: RestApi, *, attempts: int = ATTEMPTS) -> dict[str, Any]:
    """What a POST to the resource is handed to. Raises AwsFault, also when the API has no such resource."""
    pages = ask_all(
        client(config, "apigateway", attempts=attempts),
        "GetResources",
        restApiId=api.id,
        embed=["methods"],
        PaginationConfig={"PageSize": 500},
    )
    for page in pages:
        for resource in page["items"]:
            methods = resource.get("resourceMethods") or {}
            if resource.get("path") == f"/{api.path}" and (method := methods.get("POST") or methods.get("ANY")):
                return dict(method.get("methodIntegration") or {})
    raise AwsFault(f"API {api.id} has no resource /{api.path} that takes a POST", "NotFoundException")


def function(behind: dict[str, Any]) -> Function:
    """The function that an integration hands to. Raises AwsFault where it is none, or none by its name."""
    found = _FUNCTION.search(str(behind.get("uri", "")))
    if found is None:
        raise AwsFault("the API's integration names no function of Lambda", "NoFunction")
    return Function(found[1], found[2])
