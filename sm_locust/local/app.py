"""The local endpoint as an ASGI application: SageMaker Runtime's InvokeEndpoint, as boto3 sees it.

Puts the parts together for each request: the signature is verified, the variant asked, the answer prepared, and sent
when the instance's queue lets it go. Starts and stops the scaling controller with the server. Listening and signals
are the server's. Other operations are answered as unknown.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import itertools
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import NamedTuple

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from sm_locust.local.autoscaling import AutoScaling
from sm_locust.local.controller import Controller
from sm_locust.local.counts import Counts
from sm_locust.local.departures import Departures
from sm_locust.local.errors import AwsError
from sm_locust.local.fleet import Fleet
from sm_locust.local.function import Function
from sm_locust.local.gateway import STAGE, Gateway
from sm_locust.local.gateway_metrics import GatewayMetrics
from sm_locust.local.metrics import Metrics
from sm_locust.local.model import ContainerAnswer
from sm_locust.local.refusals import RUNTIME
from sm_locust.local.sessions import Sessions
from sm_locust.local.settings import ACCOUNT, Settings
from sm_locust.local.signature import Verifier
from sm_locust.local.state import EndpointState
from sm_locust.local.variant import Inference, Variant
from sm_locust.local.wire import AwsServices

CUSTOM_ATTRIBUTES = b"x-amzn-sagemaker-custom-attributes"

Handler = Callable[[Request], Awaitable[Response]]

_PREFIX = "/endpoints/"
_SUFFIX = "/invocations"


def create_app(settings: Settings, url: str, speed: int = 1) -> ASGIApp:
    """The application, its model trained. Serve it on one event loop of one process: it holds the queues' state.

    url    where it is served, for the function behind its API
    speed  a minute of the schedule lasts 60 / speed real seconds: what the schedule times is divided by it
           (provisioning, publishing, alarms, cooldowns), no latency and no count is
    """
    return _LocalEndpoint(settings, url, speed)


class _Answer(NamedTuple):
    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class _Disconnected(Exception):
    """The client left before its request was complete."""


class _LocalEndpoint:
    def __init__(self, settings: Settings, url: str, speed: int) -> None:
        self._settings = settings
        self._speed = speed
        self._fleet = Fleet(settings, speed)
        self._metrics = Metrics(settings, speed)
        self._variant = Variant(self._fleet, self._metrics)
        self._autoscaling = AutoScaling(self._fleet, self._metrics, settings, speed)
        self._controller = Controller(self._autoscaling, speed)
        self._sessions = Sessions()
        self._state = EndpointState(self._fleet)
        self._gateway_metrics = GatewayMetrics()
        self._services = AwsServices(
            settings,
            self._fleet,
            self._metrics,
            self._gateway_metrics,
            self._autoscaling,
            self._sessions,
            self._state,
        )
        self._verifier = Verifier(
            settings.access_key_id,
            settings.secret_access_key,
            settings.session_token,
            settings.region,
            "sagemaker",
            self._sessions,
        )
        self._function = Function(settings, url, self._gateway_metrics)
        self._gateway = Gateway(settings, self._sessions, self._function)
        self._departures = Departures()
        self._counts = Counts(self._metrics)
        # A request id looks like a UUID; its tail is a counter, because making a random one costs more than a tree.
        self._id_head = str(uuid.uuid4())[:24]
        self._id_tail = itertools.count(1)
        self._pages = Starlette(
            routes=[
                Route("/", self._call_service, methods=["POST"]),
                Route("/ping", self._ping),
                Route("/_local/counts", _local(self._show_counts)),
                Route("/_local/endpoint", _local(self._order_status), methods=["POST"]),
                Route("/_local/session", _local(self._issue_session), methods=["GET", "POST"]),
                Route("/_local/refuse", _local(self._order_refusals), methods=["POST"]),
            ],
            exception_handlers={404: self._unknown_operation, 405: self._unknown_operation},
            lifespan=self._lifespan,
        )

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        controller = asyncio.create_task(self._controller.run())
        yield
        controller.cancel()
        await self._function.stop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST":
            path: str = scope["path"]
            if path.startswith(_PREFIX) and path.endswith(_SUFFIX):
                await self._invoke_endpoint(path[len(_PREFIX) : -len(_SUFFIX)], scope, receive, send)
                return
        if scope["type"] == "http" and scope["path"].startswith(STAGE):
            await self._invoke_through_gateway(scope, receive, send)
            return
        await self._pages(scope, receive, send)

    # The hot path: bare ASGI, no framework.

    async def _invoke_endpoint(self, endpoint: str, scope: Scope, receive: Receive, send: Send) -> None:
        inference: Inference | None = None
        try:
            headers = _combined(scope["headers"])
            body = await self._read(headers, receive)
            # The last byte is in: this is the arrival. What follows until the departure runs in one go, so that
            # arrivals reach the queue in order.
            arrived_at = time.perf_counter()
            caller = self._verifier.verify(scope["method"], scope["raw_path"], scope["query_string"], headers, body)
            self._services.refusals.check(RUNTIME, "InvokeEndpoint", self._sessions.arn(caller))
            self._check_target(endpoint, headers)
            inference = self._variant.infer(headers.get(b"content-type", b""), body, arrived_at)
            answer = self._answer_of(inference.container, headers)
        except AwsError as error:
            self._counts.reject(error.name)
            answer = self._refusal(error)
        except _Disconnected:
            return
        await self._leave(inference, answer, send)

    async def _invoke_through_gateway(self, scope: Scope, receive: Receive, send: Send) -> None:
        began, asked, took = time.perf_counter(), 0.0, None
        try:
            headers = _combined(scope["headers"])
            body = await self._read(headers, receive)
            self._gateway.admit(scope["method"], scope["raw_path"], scope["query_string"], headers, body)
            asked = time.perf_counter()
            proxied = await self._gateway.integrate(headers, body)
            answer = self._answer(proxied.status, proxied.headers, proxied.body)
        except AwsError as error:
            if not asked:
                self._counts.reject(error.name)
            answer = self._refusal(error)
        except _Disconnected:
            return
        ended = time.perf_counter()
        if asked:
            took = ended - asked
        answer.headers.append((b"x-amz-apigw-id", self._gateway.id()))
        self._gateway_metrics.answered(int(time.time()), answer.status, ended - began, took)
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        await send({"type": "http.response.body", "body": answer.body})

    async def _leave(self, inference: Inference | None, answer: _Answer, send: Send) -> None:
        if inference is not None:
            await self._departures.wait_until(inference.leaves_at)
            self._variant.left(inference)
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
        if endpoint != known.endpoint or self._state.deleted:
            raise AwsError(400, "ValidationError", {"Message": f"Endpoint {endpoint} of account {ACCOUNT} not found."})
        variant = headers.get(b"x-amzn-sagemaker-target-variant")
        if variant is not None and variant.decode("latin-1") != known.variant:
            message = f"Variant {variant.decode('latin-1')} of endpoint {endpoint} of account {ACCOUNT} not found."
            raise AwsError(400, "ValidationError", {"Message": message})
        component = headers.get(b"x-amzn-sagemaker-inference-component")
        if component is not None or known.inference_component is not None:
            self._check_component(None if component is None else component.decode("latin-1"))

    def _check_component(self, asked: str | None) -> None:
        known = self._settings.inference_component
        if asked is None:
            message = (
                "Inference Component Name header is required for endpoints to which you plan to deploy inference "
                "components. Please include Inference Component Name header or consider using SageMaker models."
            )
        elif known is None:
            message = (
                "Inference Component Name header is not allowed for endpoints to which you dont plan to deploy "
                "inference components. Please remove the Inference Component Name header and try again."
            )
        elif asked != known:
            message = f"Inference Component {asked} of account {ACCOUNT} not found."
        else:
            return
        raise AwsError(400, "ValidationError", {"Message": message})

    def _answer_of(self, container: ContainerAnswer | None, headers: dict[bytes, bytes]) -> _Answer:
        """What SageMaker makes of the container's answer, or of a full backlog."""
        if container is None:
            return self._failure(
                AwsError(503, "ServiceUnavailable", {"Message": "The service is unavailable. Try your call again."})
            )
        if container.status != 200:
            return self._failure(self._model_error(container))
        answer = self._answer(200, [(b"content-type", container.content_type)], container.body)
        answer.headers.append((b"x-amzn-invoked-production-variant", self._settings.variant.encode()))
        if CUSTOM_ATTRIBUTES in headers:
            answer.headers.append((CUSTOM_ATTRIBUTES, headers[CUSTOM_ATTRIBUTES]))
        return answer

    def _failure(self, error: AwsError) -> _Answer:
        self._counts.fail(error.name)
        return self._refusal(error)

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
        answer = self._answer(error.status, [(b"content-type", error.content_type)], error.body)
        if error.code:
            answer.headers.append((b"x-amzn-errortype", error.code.encode()))
        return answer

    def _answer(self, status: int, more: list[tuple[bytes, bytes]], body: bytes) -> _Answer:
        headers = [
            (b"x-amzn-requestid", self._request_id().encode()),
            *more,
            (b"content-length", b"%d" % len(body)),
        ]
        return _Answer(status, headers, body)

    def _request_id(self) -> str:
        return f"{self._id_head}{next(self._id_tail):012x}"

    # Everything else.

    async def _ping(self, _: Request) -> Response:
        return Response(headers={"x-amzn-requestid": self._request_id()})

    async def _call_service(self, request: Request) -> Response:
        try:
            body = await request.body()
        except ClientDisconnect:
            return Response()
        headers = _combined(request.scope["headers"])
        answer = self._services.handle(request.scope["raw_path"], request.scope["query_string"], headers, body)
        return Response(answer.body, answer.status, {name.decode(): value.decode() for name, value in answer.headers})

    async def _order_refusals(self, request: Request) -> Response:
        self._services.refusals.order(await request.body())
        return Response(status_code=204)

    async def _order_status(self, request: Request) -> Response:
        self._state.order(await request.body())
        return Response(status_code=204)

    async def _issue_session(self, request: Request) -> Response:
        return JSONResponse(self._sessions.issue(request.query_params, time.time()).as_json())

    async def _show_counts(self, _: Request) -> Response:
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


def _local(answer: Handler) -> Handler:
    """For who asks from this machine, and not for a page that a browser on it happens to show.

    A ValueError is told to whoever gave the value.
    """

    async def only(request: Request) -> Response:
        here = request.client is not None and ipaddress.ip_address(request.client.host).is_loopback
        if not here or "origin" in request.headers:
            return Response(status_code=403)
        try:
            return await answer(request)
        except ValueError as error:
            return Response(f"{error}\n", 400, media_type="text/plain")

    return only


def _combined(headers: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Headers by lower-case name; repeated ones joined with a comma, which is also their canonical form in SigV4."""
    combined: dict[bytes, bytes] = {}
    for name, value in headers:
        combined[name] = combined[name] + b"," + value if name in combined else value
    return combined
