"""What became of one request: the one small type that the load fires and everything else counts.

An Outcome says when it was meant to be sent, when it was, when it ended and how. Deciding the kind from an answer
is the invoker's; counting is the Interval's.
"""

from __future__ import annotations

from collections.abc import Callable

OK = "ok"
CANCELLED = "cancelled"  # still in flight when the drain's patience ended; counted at its age

# Failures, each by the name a reader would search for. Everything that is neither OK nor CANCELLED is a failure.
THROTTLED = "throttled"
MODEL_ERROR = "model_error"
NOT_READY = "not_ready"
UNAVAILABLE = "unavailable"
INTERNAL = "internal"
DEPENDENCY = "dependency"
VALIDATION = "validation"
INVALID_SIGNATURE = "invalid_signature"
UNRECOGNIZED_CLIENT = "unrecognized_client"
EXPIRED_TOKEN = "expired_token"  # nosec B105 # a kind of failure
ACCESS_DENIED = "access_denied"
MISSING_TOKEN = "missing_token"  # nosec B105 # a kind of failure
FORBIDDEN = "forbidden"  # an API key that is missing or wrong, a firewall, a resource policy
TOO_LARGE = "too_large"
FUNCTION_ERROR = "function_error"  # a Lambda function raised, and its API answered 200 all the same
GATEWAY_TIMEOUT = "gateway_timeout"  # an answer: who stood between gave up waiting for the target's
TIMEOUT = "timeout"
CONNECT = "connect"
CONNECT_TIMEOUT = "connect_timeout"  # nobody there: no connection, or no TLS on it, within the limit
RESET = "reset"
TLS = "tls"
CERTIFICATE = "certificate"
DNS = "dns"
PROTOCOL = "protocol"
REDIRECT = "redirect"  # not followed
UNEXPECTED_ANSWER = "unexpected_answer"  # an answer we have no name for, or one that `request.expect` refused
TASK_ERROR = "task_error"  # the user's own task raised

# Our credentials were refused, before the target was asked: that says nothing of it. INVALID_SIGNATURE is how a wrong
# secret key or clock shows; MISSING_TOKEN is none of them, since an API answers so for a path that it does not have.
REFUSED = frozenset({EXPIRED_TOKEN, UNRECOGNIZED_CLIENT, ACCESS_DENIED, INVALID_SIGNATURE})

# Requests that were never answered and are still a lower bound of a latency: they count at their age.
AGED = frozenset({TIMEOUT, CONNECT_TIMEOUT, CANCELLED})


class Outcome:
    """One request, from plan to end.

    All times are seconds since the start of the run, on one monotonic clock.

    name           the request's name, as in Locust's statistics
    scheduled_at   when the schedule wanted it
    started_at     when we began to send it (connecting included)
    first_byte_at  when the answer's first byte came; None when none did
    ended_at       when the last byte came, or when we gave up
    kind           OK, CANCELLED or a failure's name (constants of this module)
    status         HTTP status; 0 without an answer
    received       bytes of the answer's body
    connected      seconds spent on a new connection (DNS, TCP, TLS); None on a kept-alive one
    body           the answer's body
    request_id     of the answer (x-amzn-RequestId and its kin), for the support case; looked up when somebody asks
    message        what went wrong, in words; empty when nothing did
    prepared       seconds of the wait for it in which `on_start` of its user ran
    """

    __slots__ = (
        "_request_id",
        "body",
        "connected",
        "ended_at",
        "first_byte_at",
        "kind",
        "message",
        "name",
        "prepared",
        "received",
        "scheduled_at",
        "started_at",
        "status",
    )

    def __init__(
        self,
        name: str,
        scheduled_at: float,
        started_at: float,
        first_byte_at: float | None,
        ended_at: float,
        kind: str = OK,
        status: int = 0,
        received: int = 0,
        connected: float | None = None,
        body: bytes = b"",
        request_id: str | Callable[[], str] = "",
        message: str = "",
        prepared: float = 0.0,
    ) -> None:
        self.name = name
        self.scheduled_at = scheduled_at
        self.started_at = started_at
        self.first_byte_at = first_byte_at
        self.ended_at = ended_at
        self.kind = kind
        self.status = status
        self.received = received
        self.connected = connected
        self.body = body
        self._request_id = request_id
        self.message = message
        self.prepared = prepared

    @property
    def request_id(self) -> str:
        found = self._request_id
        if not isinstance(found, str):
            found = self._request_id = found()
        return found

    @property
    def ok(self) -> bool:
        return self.kind == OK

    @property
    def latency(self) -> float:
        """Seconds from the scheduled time to the end: what a consumer feels (corrected latency)."""
        return self.ended_at - self.scheduled_at

    @property
    def service_time(self) -> float:
        """Seconds from the actual send to the end."""
        return self.ended_at - self.started_at

    @property
    def lateness(self) -> float:
        """Seconds between plan and send: the generator's own delay, without what `on_start` of the user took."""
        return self.started_at - self.scheduled_at - self.prepared

    def __repr__(self) -> str:
        return (
            f"Outcome({self.name!r}, {self.kind}, status={self.status}, scheduled_at={self.scheduled_at:.6f}, "
            f"latency={self.latency * 1e3:.3f} ms)"
        )
