"""AWS around the endpoint, as its clients speak to it: one port, told apart by what a request says of itself.

The credential scope names the service, X-Amz-Target or Action the operation. A request is verified, held against
botocore's model of the service, answered by that service's file, and written in the protocol it came in. Reading it
from the socket is the app's.
"""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import parse_qs
from xml.sax.saxutils import escape  # nosec B406 # it writes, and parses nothing

from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel

from sm_locust.local.application_autoscaling import ApplicationAutoScaling
from sm_locust.local.autoscaling import AutoScaling
from sm_locust.local.cloudwatch import CloudWatch
from sm_locust.local.errors import AwsError
from sm_locust.local.fleet import Fleet
from sm_locust.local.gateway_metrics import GatewayMetrics
from sm_locust.local.inference_component import InferenceComponents
from sm_locust.local.metrics import Metrics
from sm_locust.local.refusals import Refusals
from sm_locust.local.sagemaker import SageMaker
from sm_locust.local.sessions import Sessions
from sm_locust.local.settings import Settings
from sm_locust.local.shapes import checked, rendered
from sm_locust.local.signature import Verifier
from sm_locust.local.state import EndpointState
from sm_locust.local.sts import Sts

# Errors that any service may answer bear other names in the query protocol. CloudWatch, which once spoke nothing else,
# still gives these to its clients, beside those of JSON.
_QUERY_CODES = {
    "ExpiredTokenException": "ExpiredToken",
    "IncompleteSignatureException": "IncompleteSignature",
    "InvalidSignatureException": "SignatureDoesNotMatch",
    "MissingAuthenticationTokenException": "MissingAuthenticationToken",
    "UnrecognizedClientException": "InvalidClientTokenId",
    "ValidationException": "ValidationError",
}
_SCOPE = re.compile(rb"Credential=[^/,]*/[^/,]*/[^/,]*/([^/,]*)/")

Operation = Callable[[dict[str, Any], float], dict[str, Any]]


class Answer(NamedTuple):
    """What goes over the wire."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class AwsServices:
    """CloudWatch, Application Auto Scaling, SageMaker and STS."""

    def __init__(
        self,
        settings: Settings,
        fleet: Fleet,
        metrics: Metrics,
        gateway_metrics: GatewayMetrics,
        autoscaling: AutoScaling,
        sessions: Sessions,
        state: EndpointState,
    ) -> None:
        sagemaker = SageMaker(settings, fleet, state, autoscaling).operations
        components = InferenceComponents(settings, fleet, state).operations
        self._sessions = sessions
        self._services = {
            scope: _service(name, scope, settings, sessions, operations)
            for scope, name, operations in (
                ("monitoring", "cloudwatch", CloudWatch(metrics, gateway_metrics, autoscaling).operations),
                (
                    "application-autoscaling",
                    "application-autoscaling",
                    ApplicationAutoScaling(autoscaling).operations,
                ),
                ("sagemaker", "sagemaker", {**sagemaker, **components}),
                ("sts", "sts", Sts(sessions).operations),
            )
        }
        self.refusals = Refusals({scope: service.operations for scope, service in self._services.items()})

    def handle(self, raw_path: bytes, query: bytes, headers: Mapping[bytes, bytes], body: bytes) -> Answer:
        """The answer to a POST of `raw_path`, an error's too; `headers` by lower-case name."""
        scope = _SCOPE.search(headers.get(b"authorization", b""))
        # Who names no service is told so by the verifier of any of them.
        name = scope.group(1).decode("latin-1") if scope else "sagemaker"
        service = self._services.get(name)
        protocol: _Json | _Query = _Json(service) if b"x-amz-target" in headers else _Query(service)
        try:
            if service is None:
                raise protocol.unknown(f"{name} is not a service of this endpoint.")
            caller = service.verifier.verify("POST", raw_path, query, headers, body)
            operation = protocol.operation(service, headers, body)
            self.refusals.check(name, operation.name, self._sessions.arn(caller))
            parameters = protocol.parameters(operation, body, caller)
            members = service.operations[operation.name](parameters, time.time())
            return protocol.answer(operation, members)
        except AwsError as error:
            return protocol.refusal(error)


@dataclass(frozen=True, slots=True)
class _Service:
    model: ServiceModel
    verifier: Verifier
    operations: Mapping[str, Operation]


def _service(
    name: str, scope: str, settings: Settings, sessions: Sessions, operations: Mapping[str, Operation]
) -> _Service:
    """`name` is botocore's, `scope` the one in signatures."""
    verifier = Verifier(
        settings.access_key_id, settings.secret_access_key, settings.session_token, settings.region, scope, sessions
    )
    return _Service(ServiceModel(Loader().load_service_model(name, "service-2"), name), verifier, operations)


class _Json:
    """AWS JSON 1.0 and 1.1: the operation in X-Amz-Target, an error's name in `__type`."""

    def __init__(self, service: _Service | None) -> None:
        self._service = service

    def operation(self, service: _Service, headers: Mapping[bytes, bytes], body: bytes) -> OperationModel:
        target = headers[b"x-amz-target"].decode("latin-1")
        prefix, _, name = target.rpartition(".")
        if prefix != service.model.metadata.get("targetPrefix") or name not in service.operations:
            raise self.unknown(f"{target} is not an operation of this endpoint.")
        return service.model.operation_model(name)

    def parameters(self, operation: OperationModel, body: bytes, caller: str) -> dict[str, Any]:
        try:
            parameters = json.loads(body or b"{}")
        except (ValueError, RecursionError) as error:
            raise AwsError(400, "SerializationException", {"Message": f"The body is not JSON: {error}"}) from None
        return checked(parameters, operation.input_shape)

    def answer(self, operation: OperationModel, members: dict[str, Any]) -> Answer:
        output = operation.output_shape
        return self._written(200, rendered(members, output) if output is not None else {}, [])

    def refusal(self, error: AwsError) -> Answer:
        headers = []
        if self._service is not None and "awsQueryCompatible" in self._service.model.metadata:
            code = _QUERY_CODES.get(error.code, error.code)
            side = "Sender" if error.status < 500 else "Receiver"
            headers.append((b"x-amzn-query-error", f"{code};{side}".encode()))
        return self._written(error.status, {"__type": error.code, "message": _message(error)}, headers)

    def unknown(self, message: str) -> AwsError:
        return AwsError(404, "UnknownOperationException", {"message": message})

    def _written(self, status: int, members: dict[str, Any], headers: list[tuple[bytes, bytes]]) -> Answer:
        version = self._service.model.metadata.get("jsonVersion", "1.1") if self._service else "1.1"
        return _answer(status, f"application/x-amz-json-{version}", json.dumps(members), str(uuid.uuid4()), headers)


class _Query:
    """The query protocol: a form with an Action, answered in XML. What is asked with it here takes no parameters."""

    def __init__(self, service: _Service | None) -> None:
        self._namespace = service.model.metadata.get("xmlNamespace", "") if service else ""

    def operation(self, service: _Service, headers: Mapping[bytes, bytes], body: bytes) -> OperationModel:
        action = parse_qs(body.decode("latin-1")).get("Action", [""])[0]
        if service.model.resolved_protocol != "query":
            raise self.unknown(f"{action} of {service.model.service_name} is answered in JSON only.")
        if action not in service.operations:
            raise self.unknown(f"{action} is not an operation of this endpoint.")
        return service.model.operation_model(action)

    def parameters(self, operation: OperationModel, body: bytes, caller: str) -> dict[str, Any]:
        """Who asks, by access key id: all that it depends on."""
        return {"AccessKeyId": caller}

    def answer(self, operation: OperationModel, members: dict[str, Any]) -> Answer:
        """Members that are text, as all of STS's are."""
        request_id = str(uuid.uuid4())
        result = "".join(f"<{name}>{escape(members[name])}</{name}>" for name in operation.output_shape.members)
        wrapper = operation.output_shape.serialization["resultWrapper"]
        body = (
            f"<{wrapper}>{result}</{wrapper}><ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>"
        )
        return self._written(200, f"{operation.name}Response", body, request_id)

    def refusal(self, error: AwsError) -> Answer:
        request_id = str(uuid.uuid4())
        code = _QUERY_CODES.get(error.code, error.code)
        side = "Sender" if error.status < 500 else "Receiver"
        body = (
            f"<Error><Type>{side}</Type><Code>{escape(code)}</Code><Message>{escape(_message(error))}</Message></Error>"
            f"<RequestId>{request_id}</RequestId>"
        )
        return self._written(error.status, "ErrorResponse", body, request_id)

    def unknown(self, message: str) -> AwsError:
        return AwsError(400, "InvalidAction", {"message": message})

    def _written(self, status: int, root: str, body: str, request_id: str) -> Answer:
        text = f'<{root} xmlns="{self._namespace}">{body}</{root}>'
        return _answer(status, "text/xml", text, request_id, [])


def _message(error: AwsError) -> str:
    """In words; services spell the member either way."""
    fields = json.loads(error.body)
    return str(fields.get("message") or fields.get("Message"))


def _answer(status: int, content_type: str, text: str, request_id: str, more: list[tuple[bytes, bytes]]) -> Answer:
    body = text.encode()
    headers = [
        (b"x-amzn-requestid", request_id.encode()),
        (b"content-type", content_type.encode()),
        (b"content-length", b"%d" % len(body)),
    ]
    return Answer(status, headers + more, body)
