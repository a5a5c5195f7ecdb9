"""The local endpoint as an ASGI application: SageMaker Runtime's InvokeEndpoint, as boto3 sees it.

Puts the parts together for each request: the signature is verified, the model asked, the answer prepared, and sent
when the instance's queue lets it go. Listening and signals are the server's. Other services and operations are
answered as unknown; they will be routed here by the credential scope's service and X-Amz-Target.
"""

from __future__ import annotations

import ipaddress
import itertools
import time
import uuid
from typing import NamedTuple

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from sm_locust.local.counts import Counts
from sm_locust.local.departures import Departures
from sm_locust.local.errors import AwsError
from sm_locust.local.instance import Instance
from sm_locust.local.model import ContainerAnswer, Model
from sm_locust.local.settings import Settings
from sm_locust.local.signature import Verifier

ACCOUNT = "123456789012"  # the example account of AWS's documentation
CUSTOM_ATTRIBUTES = b"x-amzn-sagemaker-custom-attributes"

_PREFIX = "/endpoints/"
_SUFFIX = "/invocations"


def create_app(settings: Settings, speed: int = 1) -> ASGIApp:
    """The application, its model trained. Serve it on one event loop of one process: it holds the queue's state.

    speed  a minute of the schedule lasts 60 / speed real seconds; told to whoever reads the counts
    """
    return _LocalEndpoint(settings, speed)


class _Answer(NamedTuple):
    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class _Disconnected(Exception):
    """The client left before its request was complete."""


class _LocalEndpoint:
    def __init__(self, settings: Settings, speed: int) -> None:
        self._settings = settings
        self._speed = speed
        self._model = Model()
        self._instance = Instance(settings.workers, settings.service_time, settings.backlog)
        self._verifier = Verifier(
            settings.access_key_id, settings.secret_access_key, settings.session_token, settings.region, "sagemaker"
        )
        self._departures = Departures()
        self._counts = Counts()
        # A request id looks like a UUID; its tail is a counter, because making a random one costs more than a tree.
        self._id_head = str(uuid.uuid4())[:24]
        self._id_tail = itertools.count(1)
        self._pages = Starlette(
            routes=[Route("/ping", self._ping), Route("/_local/counts", self._show_counts)],
            exception_handlers={404: self._unknown_operation, 405: self._unknown_operation},
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST":
            path: str = scope["path"]
            if path.startswith(_PREFIX) and path.endswith(_SUFFIX):
                await self._invoke_endpoint(path[len(_PREFIX) : -len(_SUFFIX)], scope, receive, send)
                return
        await self._pages(scope, receive, send)

    # The hot path: bare ASGI, no framework.

    async def _invoke_endpoint(self, endpoint: str, scope: Scope, receive: Receive, send: Send) -> None:
        leaves_at = 0.0
        try:
            headers = _combined(scope["headers"])
            body = await self._read(headers, receive)
            # The last byte is in: this is the arrival. What follows until the departure runs in one go, so that
            # arrivals reach the queue in order.
            arrived_at = time.perf_counter()
            self._verifier.verify(scope["method"], scope["raw_path"], scope["query_string"], headers, body)
            self._check_target(endpoint, headers)
            answer, leaves_at = self._invoke(headers, body, arrived_at)
        except AwsError as error:
            self._counts.reject(error.name)
            answer = self._refusal(error)
        except _Disconnected:
            return
        await self._departures.wait_until(leaves_at)
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        await send({"type": "http.response.body", "body": answer.body})

    async def _read(self, headers: dict[bytes, bytes], receive: Receive) -> bytes:
        """The body, of which never more than the limit is kept; what a refused client still sends is discarded."""
        limit = self._settings.max_body_bytes
        # Public reports of the real endpoint show this answer: 413, plain text, no x-amzn-ErrorType.
        too_large = AwsError(413, "", f"HTTP content length exceeded {limit} bytes.")
        if int(headers.get(b"content-length", b"0")) > limit:
            raise too_large
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _Disconnected
            part: bytes = message.get("body", b"")
            body = body + part if body else part
            if len(body) > limit:
                raise too_large
            if not message.get("more_body", False):
                return body

    def _check_target(self, endpoint: str, headers: dict[bytes, bytes]) -> None:
        known = self._settings
        if endpoint != known.endpoint:
            raise AwsError(400, "ValidationError", {"Message": f"Endpoint {endpoint} of account {ACCOUNT} not found."})
        variant = headers.get(b"x-amzn-sagemaker-target-variant")
        if variant is not None and variant.decode("latin-1") != known.variant:
            message = f"Variant {variant.decode('latin-1')} of endpoint {endpoint} of account {ACCOUNT} not found."
            raise AwsError(400, "ValidationError", {"Message": message})

    def _invoke(self, headers: dict[bytes, bytes], body: bytes, arrived_at: float) -> tuple[_Answer, float]:
        """The answer, ready to be written, and the time at which it leaves."""
        second = int(time.time())
        leaves_at = self._instance.arrive(arrived_at)
        if leaves_at is None:
            unavailable = AwsError(
                503, "ServiceUnavailable", {"Message": "The service is unavailable. Try your call again."}
            )
            self._counts.failed(second, unavailable.name)
            return self._refusal(unavailable), arrived_at
        container = self._model.answer(headers.get(b"content-type", b""), body)
        if container.status != 200:
            error = self._model_error(container)
            self._counts.failed(second, error.name)
            return self._refusal(error), leaves_at
        self._counts.answered(second, (leaves_at - arrived_at) * 1e3)
        answer = self._answer(200, container.content_type, container.body)
        answer.headers.append((b"x-amzn-invoked-production-variant", self._settings.variant.encode()))
        if CUSTOM_ATTRIBUTES in headers:
            answer.headers.append((CUSTOM_ATTRIBUTES, headers[CUSTOM_ATTRIBUTES]))
        return answer, leaves_at

    def _model_error(self, container: ContainerAnswer) -> AwsError:
        region = self._settings.region
        group = f"/aws/sagemaker/Endpoints/{self._settings.endpoint}"
        said = container.body.decode()
        side = "client" if container.status < 500 else "server"
        console = (
            f"https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}#logEventViewer:group={group}"
        )
        return AwsError(
            424,
            "ModelError",
            {
                "ErrorCode": "CLIENT_ERROR_FROM_MODEL" if side == "client" else "INTERNAL_FAILURE_FROM_MODEL",
                "LogStreamArn": f"arn:aws:logs:{region}:{ACCOUNT}:log-group:{group}",
                "Message": f"Received {side} error ({container.status}) from {self._settings.variant} with message "
                f'"{said}". See {console} in account {ACCOUNT} for more information.',
                "OriginalMessage": said,
                "OriginalStatusCode": container.status,
            },
        )

    def _refusal(self, error: AwsError) -> _Answer:
        answer = self._answer(error.status, error.content_type, error.body)
        if error.code:
            answer.headers.append((b"x-amzn-errortype", error.code.encode()))
        return answer

    def _answer(self, status: int, content_type: bytes, body: bytes) -> _Answer:
        headers = [
            (b"x-amzn-requestid", self._request_id().encode()),
            (b"content-type", content_type),
            (b"content-length", b"%d" % len(body)),
        ]
        return _Answer(status, headers, body)

    def _request_id(self) -> str:
        return f"{self._id_head}{next(self._id_tail):012x}"

    # Everything else.

    async def _ping(self, request: Request) -> Response:
        return Response(headers={"x-amzn-requestid": self._request_id()})

    async def _show_counts(self, request: Request) -> Response:
        if request.client is None or not ipaddress.ip_address(request.client.host).is_loopback:
            return Response(status_code=403)
        return JSONResponse(
            {"speed": self._speed, **self._counts.as_json()}, headers={"x-amzn-requestid": self._request_id()}
        )

    async def _unknown_operation(self, request: Request, _: Exception) -> Response:
        operation = request.headers.get("x-amz-target", f"{request.method} {request.url.path}")
        error = AwsError(
            404,
            "UnknownOperationException",
            {"__type": "UnknownOperationException", "message": f"{operation} is not an operation of this endpoint."},
        )
        self._counts.reject(error.name)
        answer = self._refusal(error)
        return Response(answer.body, answer.status, {name.decode(): value.decode() for name, value in answer.headers})


def _combined(headers: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Headers by lower-case name; repeated ones joined with a comma, which is also their canonical form in SigV4."""
    combined: dict[bytes, bytes] = {}
    for name, value in headers:
        combined[name] = combined[name] + b"," + value if name in combined else value
    return combined
