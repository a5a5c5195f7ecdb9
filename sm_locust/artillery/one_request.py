"""What a script that only sends one request becomes beside its scenario: a target and a request, as ours are written.

Then any locustfile that fits runs it. InvokeEndpoint is signed by one of them and by nothing else, so that a script for
it becomes nothing but that.
"""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import unquote, urlsplit

from sm_locust import templates
from sm_locust.artillery.reading import Reading

_RUNTIME = re.compile(r"runtime\.sagemaker(?:-fips)?\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?", re.IGNORECASE)
_INVOCATIONS = re.compile(r"/+endpoints/([^/?#]+)/invocations")
_HEADERS = {  # of a request, as InvokeEndpoint and our `request` name them
    "content-type": "content_type",
    "accept": "accept",
    "x-amzn-sagemaker-custom-attributes": "custom_attributes",
    "x-amzn-sagemaker-inference-component": "inference_component",
    "x-amzn-sagemaker-target-model": "target_model",
    "x-amzn-sagemaker-target-variant": "target_variant",
}


def with_target(read: Reading, ours: dict[str, Any], target: str | None) -> dict[str, Any]:
    """Our sections with target and request where these say all that the scenarios do."""
    scenarios = ours["scenarios"]
    hosts = [urlsplit(step["url"]).hostname or "" for s in scenarios for step in s["steps"] if "url" in step]
    runtime = any(_RUNTIME.fullmatch(host) for host in hosts)
    request = _only_request(templates.put(scenarios, _constants(ours.get("variables", {}))))
    place = None if request is None else _target_of(request["url"])
    if request is None or place is None:
        if runtime:
            read.no_equal(
                ("scenarios",),
                "InvokeEndpoint takes signed requests alone, which are sent here where each scenario is one and the "
                "same POST to /endpoints/NAME/invocations, with a fixed body and SageMaker's own headers: write "
                "request.payloads for several bodies",
            )
        return ours
    with_both = {"target": place, **ours, "request": {**_request(request), **ours["request"]}}
    if "endpoint" in place:
        read.note((), "requests to InvokeEndpoint are signed: run it with locustfiles/invoke_endpoint.py")
        del with_both["scenarios"]
        with_both.pop("feeds", None)
        with_both.pop("variables", None)
    return with_both


def _constants(variables: dict[str, Any]) -> dict[str, str]:
    """Texts that are the same in each run of a scenario. Other values keep their type where they stand alone."""
    only = {
        name: value[0] if isinstance(value, list) and len(value) == 1 else value for name, value in variables.items()
    }
    return {name: value for name, value in only.items() if isinstance(value, str)}


def _only_request(scenarios: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The request that each scenario consists of, if it is a POST that never changes and that `request` can express."""
    first: dict[str, Any] = scenarios[0]["steps"][0]
    if any(scenario["steps"] != [first] for scenario in scenarios):
        return None
    fits = first.keys() <= {"method", "url", "headers", "body", "json", "name"} and templates.is_fixed(first)
    known = first.get("headers", {}).keys() <= _HEADERS.keys()
    body = "json" in first or ("body" in first and "content-type" in first.get("headers", {}))
    return first if fits and known and body and first["method"] == "post" else None


def _target_of(url: str) -> dict[str, Any] | None:
    parts = urlsplit(url)
    if parts.query or parts.fragment:
        return None
    host = parts.hostname or ""
    if runtime := _RUNTIME.fullmatch(host):
        found = _INVOCATIONS.fullmatch(parts.path)
        return {"endpoint": unquote(found[1]), "region": runtime[1].lower()} if found else None
    if ".execute-api." in host:
        return {"api_gateway": url, "auth": "none"}
    return {"container": url}


def _request(step: dict[str, Any]) -> dict[str, Any]:
    request = {_HEADERS[key]: value for key, value in step.get("headers", {}).items() if value}
    if "json" in step:
        request.setdefault("content_type", "application/json")
        body = json.dumps(step["json"], ensure_ascii=False, separators=(",", ":"))
    else:
        body = step["body"]
    return {**request, "body": body}
