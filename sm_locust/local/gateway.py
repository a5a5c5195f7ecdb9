"""The blog's API in front of the endpoint: stage DummyStage and resource DT of API Gateway, and the Lambda behind it.

Who is let through is decided here as a REST API of API Gateway decides it, and what its client sees of a failure behind
it. The function itself is thin: it hands the body on, so a request counts as an invocation of the endpoint like any
other and takes as long. Gateway and function add no time of their own; serving is the app's.

Sources: API Gateway Developer Guide, Gateway response types (statuses and messages), and Lambda Developer Guide,
Handling Lambda errors with an API Gateway API: a function that raises, as the blog's does on every error of
InvokeEndpoint, is a 502 whose body says nothing more.
"""

from __future__ import annotations

import hmac
import itertools
from base64 import b64encode
from collections.abc import Mapping

from sm_locust.local.errors import AwsError
from sm_locust.local.sessions import Sessions
from sm_locust.local.settings import Settings
from sm_locust.local.signature import Verifier

STAGE = "/DummyStage/"

_RESOURCE = b"/DummyStage/DT"


class Gateway:
    """Lets requests in by the settings' `gateway_auth`, and names its own ids."""

    def __init__(self, settings: Settings, sessions: Sessions) -> None:
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
        self._numbers = itertools.count(1)

    def admit(self, method: str, path: bytes, query: bytes, headers: Mapping[bytes, bytes], body: bytes) -> None:
        """Raises the AwsError that API Gateway would answer with; arguments as `Verifier.verify` takes them."""
        if (method, path) != ("POST", _RESOURCE):  # what API Gateway says of a resource that is not there
            raise AwsError(403, "MissingAuthenticationTokenException", {"message": "Missing Authentication Token"})
        if self._auth == "iam":
            self._verifier.verify(method, path, query, headers, body)
        elif self._auth == "api-key" and not hmac.compare_digest(headers.get(b"x-api-key", b""), self._api_key):
            raise AwsError(403, "ForbiddenException", {"message": "Forbidden"})

    def id(self) -> bytes:
        """The next request's `x-amz-apigw-id`: 16 characters, as there."""
        return b64encode(next(self._numbers).to_bytes(11))


def function_failed() -> AwsError:
    """What the client sees when the function raised."""
    return AwsError(502, "InternalServerErrorException", {"message": "Internal server error"})
