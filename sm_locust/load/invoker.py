"""One request to one target, from the body to the Outcome: sign, send, and name what came back.

An Invoker serves any target that takes a POST; `invoke_endpoint` builds the one for SageMaker's InvokeEndpoint, and
those for an API of API Gateway and for a container differ only in what an answer means. Nothing is ever sent twice and
no failure of the target or the network leaves as an exception. When to send is the pacer's, counting is the recorder's,
where the endpoint's URL and the credentials come from is aws's.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import gevent
from gevent import GreenletExit

from sm_locust.load.answer import Answer
from sm_locust.load.connection import HttpFault
from sm_locust.load.hiding import Hiding
from sm_locust.load.http import Connections
from sm_locust.load.signing_clock import SigningClock
from sm_locust.load.sigv4 import PlainRequest, Signer
from sm_locust.record.outcome import (
    ACCESS_DENIED,
    CANCELLED,
    DEPENDENCY,
    EXPIRED_TOKEN,
    FORBIDDEN,
    FUNCTION_ERROR,
    GATEWAY_TIMEOUT,
    INTERNAL,
    INVALID_SIGNATURE,
    MISSING_TOKEN,
    MODEL_ERROR,
    NOT_READY,
    OK,
    REDIRECT,
    THROTTLED,
    TIMEOUT,
    TOO_LARGE,
    UNAVAILABLE,
    UNEXPECTED_ANSWER,
    UNRECOGNIZED_CLIENT,
    VALIDATION,
    Outcome,
)

# SageMaker Runtime's service model, the common errors of AWS, what throttling is called in neither, and those of API
# Gateway that their status does not tell: InternalServerErrorException is a 500, a 502 and a 504 there.
KINDS_BY_ERROR_TYPE = {
    "ModelError": MODEL_ERROR,
    "ModelNotReadyException": NOT_READY,
    "ServiceUnavailable": UNAVAILABLE,
    "InternalFailure": INTERNAL,
    "InternalDependencyException": DEPENDENCY,
    "ValidationError": VALIDATION,
    "ValidationException": VALIDATION,
    "ThrottlingException": THROTTLED,
    "InvalidSignatureException": INVALID_SIGNATURE,
    "UnrecognizedClientException": UNRECOGNIZED_CLIENT,
    "ExpiredTokenException": EXPIRED_TOKEN,
    "AccessDeniedException": ACCESS_DENIED,
    "MissingAuthenticationTokenException": MISSING_TOKEN,
    "IncompleteSignatureException": INVALID_SIGNATURE,
    "SignatureDoesNotMatch": INVALID_SIGNATURE,
    "RequestTimeTooSkewed": INVALID_SIGNATURE,
    "RequestExpired": INVALID_SIGNATURE,
    "UnauthorizedException": ACCESS_DENIED,
    "ForbiddenException": FORBIDDEN,
    "LimitExceededException": THROTTLED,
    "TooManyRequestsException": THROTTLED,
}
KINDS_BY_STATUS = {
    301: REDIRECT,
    302: REDIRECT,
    303: REDIRECT,
    307: REDIRECT,
    308: REDIRECT,
    413: TOO_LARGE,
    429: THROTTLED,
    500: INTERNAL,
    502: INTERNAL,
    503: UNAVAILABLE,
    504: GATEWAY_TIMEOUT,
}

EXCERPT = 300  # characters of an Outcome's message
MAX_ERROR_BODY = 64 * 1024  # bytes; a longer body is no error document of AWS
COMPOSED_REQUESTS = 256  # combinations of content type and headers kept ready

_ENDPOINT_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")


class Invoker:
    """Sends bodies to one path of one origin.

    connections    shared by all that go to the same origin
    now            seconds since the start of the run, on a monotonic clock
    path           percent-encoded, with the query if there is one
    signer         None: not signed
    content_type   of bodies that name none themselves
    headers        sent with every request
    timeout        seconds for an exchange, connecting included; SageMaker gives a model 60
    expect         a good answer's body contains this; None: any does
    Raises ValueError for a path or headers that cannot be sent.
    """

    def __init__(
        self,
        connections: Connections,
        path: str,
        *,
        now: Callable[[], float],
        signer: Signer | None = None,
        method: str = "POST",
        content_type: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 70.0,
        expect: str | None = None,
    ) -> None:
        self._connections = connections
        self._now = now
        self._timeout = timeout
        self._expect = expect.encode() if expect is not None else b""
        self._method = method
        self._path, _, self._query = path.partition("?")
        self._signer = signer
        self._clock = signer.clock if signer is not None else SigningClock()
        # Some firewalls (AWS WAF's core rule set) refuse requests without a User-Agent.
        self._headers = {"User-Agent": "sm-locust", **(headers or {})}
        self._content_type = content_type
        self._composed = functools.lru_cache(maxsize=COMPOSED_REQUESTS)(self._compose)
        self._composed(None, ())  # a path or headers that cannot be sent are said now, not at the first request

    def invoke(
        self,
        body: bytes,
        *,
        name: str,
        scheduled_at: float,
        content_type: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Outcome:
        """Send one body and wait for what becomes of it.

        Every failure is an Outcome, and so is GreenletExit (the drain's cancel) once the request was begun.
        Raises ValueError, with nothing sent, for headers that cannot be sent.
        """
        request = self._composed(content_type, tuple(headers.items()) if headers else ())
        return self.exchange(
            Answer(expect=self._expect), request.head(body, self._clock.now()), body, name, scheduled_at
        )

    def exchange(self, answer: Answer, head: bytes, body: bytes, name: str, scheduled_at: float) -> Outcome:
        """Send a request that is composed already. What comes is kept in `answer`, what it means is the Outcome."""
        now = self._now
        started_at = now()
        kind, message = OK, ""
        try:
            self._connections.exchange(answer, head, body, self._timeout, now)
        except HttpFault as fault:
            kind, message = fault.kind, fault.message[:EXCERPT]
        except GreenletExit:
            kind, message = CANCELLED, "cancelled while it was in flight"
        except gevent.Timeout as expired:  # the task put a limit of its own around the request
            kind, message = TIMEOUT, f"the task's own limit ended it: {expired}"[:EXCERPT]
        ended_at = now()
        received = answer.body
        if kind is OK:
            kind, message = self._judge(answer, received)
        return Outcome(
            name,
            scheduled_at,
            started_at,
            answer.first_byte_at,
            ended_at,
            kind,
            answer.status,
            answer.received,
            answer.connected,
            received,
            partial(self._request_id, answer),
            message,
        )

    def _judge(self, answer: Answer, body: bytes) -> tuple[str, str]:
        if 200 <= answer.status < 300:
            if answer.as_expected:
                return OK, ""
            return UNEXPECTED_ANSWER, f"no {self._expect.decode()!r} in the answer {self._excerpt(body)!r}"[:EXCERPT]
        error_type = _error_type(answer, body)
        said = self._excerpt(body) or f"HTTP {answer.status} without a body"
        kind = classify(answer.status, error_type)
        if kind is INVALID_SIGNATURE and answer.status in (400, 403):  # as AWS refuses one
            self._clock.refused(answer.headers.get("date", ""))
            said = said.partition("The Canonical String")[0]  # what follows holds the session token
        if kind == REDIRECT and "location" in answer.headers:
            said = f"to {self._kept(answer.headers['location'])}"
        return kind, (f"{self._kept(error_type)}: {said}" if error_type else said)[:EXCERPT]

    def _excerpt(self, body: bytes) -> str:
        return body[: 4 * EXCERPT].decode(errors="replace")[:EXCERPT]

    def _kept(self, text: str) -> str:
        """What of a header may be kept."""
        return text

    def _request_id(self, answer: Answer) -> str:
        """API Gateway has names of its own for it: its HTTP APIs one, its REST APIs another."""
        headers = answer.headers
        found = headers.get("x-amzn-requestid") or headers.get("apigw-requestid") or headers.get("x-amz-apigw-id", "")
        return self._kept(found)

    def _compose(self, content_type: str | None, headers: tuple[tuple[str, str], ...]) -> PlainRequest:
        # A header given for one request replaces the one for all, however either is capitalised.
        merged = {name.lower(): (name, value) for name, value in self._headers.items()}
        if content_type or self._content_type:
            merged["content-type"] = ("Content-Type", content_type or self._content_type or "")
        merged.update((name.lower(), (name, value)) for name, value in headers)
        fields = dict(merged.values())
        host = self._connections.host
        if self._signer is not None:
            return self._signer.prepare(self._method, host, self._path, fields, self._query)
        target = f"{self._path}?{self._query}" if self._query else self._path
        return PlainRequest(self._method, host, target, fields)


class ApiGatewayInvoker(Invoker):
    """Sees through the 200 that an API answers by default when its Lambda function raised.

    Source: API Gateway Developer Guide, Handle Lambda errors (custom integrations; a proxy integration answers 502).
    """

    def _judge(self, answer: Answer, body: bytes) -> tuple[str, str]:
        if 200 <= answer.status < 300 and b'"errorMessage"' in body and "errorMessage" in _document(answer, body):
            return FUNCTION_ERROR, self._excerpt(body)
        return super()._judge(answer, body)


class ContainerInvoker(Invoker):
    """Calls a container's own errors what SageMaker makes of them: a model error, whatever their status."""

    def _judge(self, answer: Answer, body: bytes) -> tuple[str, str]:
        kind, message = super()._judge(answer, body)
        return (MODEL_ERROR if answer.status >= 400 else kind), message


class StepInvoker(Invoker):
    """Sends the steps of scenarios to one origin: they are composed elsewhere, and may hold what must not be kept.

    hiding  takes out of an answer what of it must not be kept
    """

    def __init__(
        self,
        connections: Connections,
        *,
        now: Callable[[], float],
        timeout: float,
        expect: str | None,
        hiding: Hiding,
    ) -> None:
        super().__init__(connections, "/", now=now, timeout=timeout, expect=expect)
        self._hiding = hiding

    def _judge(self, answer: Answer, body: bytes) -> tuple[str, str]:
        if answer.status == 204:  # it has no body in which to expect anything
            return OK, ""
        return super()._judge(answer, body)

    def _excerpt(self, body: bytes) -> str:
        return self._hiding(body[:MAX_ERROR_BODY].decode(errors="replace"), cut_off=len(body) > MAX_ERROR_BODY)[
            :EXCERPT
        ]

    def _kept(self, text: str) -> str:
        return self._hiding(text)


def invoke_endpoint(
    connections: Connections,
    endpoint: str,
    *,
    now: Callable[[], float],
    signer: Signer,
    base_path: str = "",
    content_type: str | None = None,
    accept: str | None = None,
    custom_attributes: str | None = None,
    inference_component: str | None = None,
    target_model: str | None = None,
    target_variant: str | None = None,
    timeout: float = 70.0,
    expect: str | None = None,
) -> Invoker:
    """An Invoker for SageMaker's InvokeEndpoint; `base_path` is the path of the endpoint URL, if it has one.

    Raises ValueError for a name that no endpoint can have and for values that cannot be sent in a header.
    """
    if not _ENDPOINT_NAME.fullmatch(endpoint):
        raise ValueError(
            f"endpoint {endpoint!r}: up to 63 letters, digits and dashes, neither starting nor ending with a dash"
        )
    fields = {
        "Accept": accept,
        "X-Amzn-SageMaker-Custom-Attributes": custom_attributes,
        "X-Amzn-SageMaker-Inference-Component": inference_component,
        "X-Amzn-SageMaker-Target-Model": target_model,
        "X-Amzn-SageMaker-Target-Variant": target_variant,
    }
    return Invoker(
        connections,
        f"{base_path.rstrip('/')}/endpoints/{endpoint}/invocations",
        now=now,
        signer=signer,
        content_type=content_type,
        headers={name: value for name, value in fields.items() if value is not None},
        timeout=timeout,
        expect=expect,
    )


def classify(status: int, error_type: str) -> str:
    """The kind of an answer that is not a 2xx: by AWS's name for the error, without one we know by the status."""
    return KINDS_BY_ERROR_TYPE.get(error_type) or KINDS_BY_STATUS.get(status, UNEXPECTED_ANSWER)


def _error_type(answer: Answer, body: bytes) -> str:
    """AWS's name for the error, bare: `ns#Name:http://…` is how it may arrive. Empty without one."""
    name = answer.headers.get("x-amzn-errortype") or str(_document(answer, body).get("__type", ""))
    return name.partition(":")[0].rpartition("#")[2].strip()


def _document(answer: Answer, body: bytes) -> dict[str, Any]:
    """The JSON object that an answer's body is; an empty one when it is anything else."""
    if answer.received > MAX_ERROR_BODY:
        return {}
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
