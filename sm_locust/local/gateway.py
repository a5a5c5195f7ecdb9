"""The blog's API in front of the endpoint: stage DummyStage and resource DT of API Gateway, and the Lambda behind it.

Who is let through is decided here as a REST API of API Gateway decides it, and what its client sees of a failure behind
it. The function is the shipped one, run by `function`; it invokes the endpoint as any client does, over HTTP and
signed, so a request counts as an invocation like any other. Reading requests and sending answers is the app's.

What comes from the function is told from what the API says itself by its name: the API has these for a refusal,
ForbiddenException, TooManyRequestsException, InternalServerErrorException and the like, and never one of SageMaker's.

Sources: API Gateway Developer Guide, Gateway response types (statuses and messages) and Throttle requests to your REST
APIs (a token bucket); Lambda Developer Guide, Handling Lambda errors with an API Gateway API: an invocation that Lambda
refuses is a 500, a function that raises or takes too long a 502, and neither says more. Public reports show an event
that Lambda finds too large as a 413 `Request Too Long`.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import itertools
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from sm_locust.local.errors import AwsError
from sm_locust.local.function import EventTooLarge, Function, FunctionFailed, Throttled
from sm_locust.local.sessions import Sessions
from sm_locust.local.settings import ACCOUNT, Settings
from sm_locust.local.signature import Verifier

STAGE = "/DummyStage/"

_RESOURCE = b"/DummyStage/DT"


class Proxied(NamedTuple):
    """What the function answered."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class Gateway:
    """Lets requests in by the settings, has the function answer them, and names its own ids."""

    def __init__(self, settings: Settings, sessions: Sessions, function: Function) -> None:
        self._auth = settings.gateway_auth
        self._api_key = settings.gateway_api_key.encode()
        self._verifier = Verifier(
            settings.access_key_id,
            settings.secret_access_key,
            settings.session_token,
            settings.region,
            "execute-api",
            sessions,
        )
        self._bucket = Bucket(settings.gateway_rate, settings.gateway_burst, time.monotonic)
        self._function = function
        self._timeout = settings.gateway_timeout
        self._numbers = itertools.count(1)

    def admit(self, method: str, path: bytes, query: bytes, headers: Mapping[bytes, bytes], body: bytes) -> None:
        """Raises the AwsError that API Gateway would answer with; arguments as `Verifier.verify` takes them."""
        if (method, path) != ("POST", _RESOURCE):  # what API Gateway says of a resource that is not there
            raise AwsError(403, "MissingAuthenticationTokenException", {"message": "Missing Authentication Token"})
        if self._auth == "iam":
            self._verifier.verify(method, path, query, headers, body)
        elif self._auth == "api-key" and not hmac.compare_digest(headers.get(b"x-api-key", b""), self._api_key):
            raise AwsError(403, "ForbiddenException", {"message": "Forbidden"})
        if not self._bucket.take():
            raise AwsError(429, "TooManyRequestsException", {"message": "Too Many Requests"})

    async def integrate(self, headers: Mapping[bytes, bytes], body: bytes) -> Proxied:
        """The function's answer to an admitted request. Raises the AwsError that API Gateway makes of its failures.

        A function that is not waited for any longer goes on by itself, as it does there.
        """
        invocation = asyncio.ensure_future(self._function.invoke(_event(headers, body)))
        done, _ = await asyncio.wait([invocation], timeout=self._timeout)
        if not done:
            invocation.add_done_callback(lambda late: late.cancelled() or late.exception())
            raise AwsError(504, "InternalServerErrorException", {"message": "Endpoint request timed out"})
        try:
            return _proxied(invocation.result())
        except EventTooLarge:
            raise AwsError(413, "BadRequestException", {"message": "Request Too Long"}) from None
        except Throttled:
            raise AwsError(500, "InternalServerErrorException", {"message": "Internal server error"}) from None
        except FunctionFailed:
            raise AwsError(502, "InternalServerErrorException", {"message": "Internal server error"}) from None

    def id(self) -> bytes:
        """The next request's `x-amz-apigw-id`: 16 characters, as there."""
        return base64.b64encode(next(self._numbers).to_bytes(11))


class Bucket:
    """A token bucket: `burst` at once, refilled with `rate` a second."""

    def __init__(self, rate: float, burst: int, clock: Callable[[], float]) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._tokens = float(burst)
        self._at = clock()

    def take(self) -> bool:
        """Whether there was a token."""
        now = self._clock()
        self._tokens = min(self._tokens + (now - self._at) * self._rate, self._burst)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


def _event(headers: Mapping[bytes, bytes], body: bytes) -> dict[str, Any]:
    """What a Lambda proxy integration gives its function, as far as one request differs from another.

    The template has `*/*` as its binary media types: every body comes in base64.
    """
    named = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers.items()}
    return {
        "resource": "/DT",
        "path": "/DT",
        "httpMethod": "POST",
        "headers": named,
        "multiValueHeaders": {name: [value] for name, value in named.items()},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": None,
        "stageVariables": None,
        "requestContext": {"accountId": ACCOUNT, "stage": "DummyStage", "resourcePath": "/DT", "httpMethod": "POST"},
        "body": base64.b64encode(body).decode() if body else None,
        "isBase64Encoded": bool(body),
    }


def _proxied(answer: dict[str, Any]) -> Proxied:
    """The function's answer as the API sends it; what is not in the format of one is the function's failure."""
    try:
        text = answer.get("body") or ""
        body = base64.b64decode(text) if answer.get("isBase64Encoded") else text.encode()
        headers = [
            (name.lower().encode("latin-1"), str(value).encode("latin-1"))
            for name, value in (answer.get("headers") or {}).items()
        ]
        return Proxied(int(answer["statusCode"]), headers, body)
    except (AttributeError, KeyError, TypeError, ValueError):
        raise FunctionFailed from None
