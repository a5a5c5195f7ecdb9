"""Where the AWS calls around a run go, and what a refusal says: botocore's own credentials and resolution.

boto3 is imported when first needed, and only in `aws/`: it must come after locust, which patches ssl. These calls are
made on the master alone and retried a few times; what is asked is the business of the other files here. The load's own
call, InvokeEndpoint, is runtime's.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import re
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from sm_locust.config import ConfigError, RunConfig
from sm_locust.loopback import is_this_machine, stand_in

SERVICES = {  # boto3's name, which but for IAM_PREFIXES is IAM's too → how the names of botocore's variables end
    "cloudwatch": "CLOUDWATCH",
    "application-autoscaling": "APPLICATION_AUTO_SCALING",
    "sagemaker": "SAGEMAKER",
    "sts": "STS",
    "apigateway": "API_GATEWAY",
    "cloudformation": "CLOUDFORMATION",
    "lambda": "LAMBDA",
    "logs": "CLOUDWATCH_LOGS",
    "pricing": "PRICING",
    "service-quotas": "SERVICE_QUOTAS",
}
IAM_PREFIXES = {"service-quotas": "servicequotas"}
BESIDE_A_RUN = ("cloudwatch", "application-autoscaling", "sagemaker", "sts")  # the ones that are asked while it goes

ATTEMPTS = 4  # of one call; botocore waits up to 1, 2 and 4 s between them
CONNECT_TIMEOUT, READ_TIMEOUT = 5.0, 10.0  # seconds, of one attempt
MESSAGE_KEPT = 300  # characters of what AWS says, at most

# In AWS's error codes: worth another try a little later, with any status.
_PASSING = ("Throttl", "TooManyRequests", "RequestLimitExceeded", "ConcurrentUpdate")

# Whose, and which region


@functools.cache
def boto3_session() -> Any:
    """One a process: it keeps the service models it has read, and the credentials."""
    import boto3

    logging.getLogger("botocore.credentials").addFilter(_said_elsewhere)
    # At DEBUG (locust -L DEBUG) botocore writes the session token of every request into the log.
    if logging.getLogger("botocore").level == logging.NOTSET:
        logging.getLogger("botocore").setLevel(logging.INFO)
    return boto3.session.Session()


def _said_elsewhere(record: logging.LogRecord) -> bool:
    """botocore logs a traceback each time that a source fails: who asked says it, or has keys that are still good."""
    return not record.getMessage().startswith("Refreshing temporary credentials failed")


def session_and_region(config: RunConfig) -> tuple[Any, str]:
    """boto3's session, and the region of all calls of this configuration. Raises ConfigError when there is none."""
    session, region = _resolved(config)
    if not region:
        said = "give --region (Locust: --sm-region), target.region or AWS_DEFAULT_REGION"
        raise ConfigError(f"no AWS region is set: {said}")
    return session, region


def region_of(config: RunConfig) -> str:
    """Raises ConfigError when there is none."""
    return session_and_region(config)[1]


def partition_and_region(config: RunConfig) -> tuple[str, str | None]:
    """The partition (aws, aws-cn, aws-us-gov, …) of the region, and the region; None without one.

    Raises ConfigError for a profile that is not there.
    """
    from botocore.exceptions import UnknownRegionError

    session, region = _resolved(config)
    try:
        return (str(session.get_partition_for_region(region)) if region else "aws"), region
    except UnknownRegionError:  # newer than this botocore
        return "aws", region


def _resolved(config: RunConfig) -> tuple[Any, str | None]:
    from botocore.exceptions import BotoCoreError

    try:
        session = boto3_session()
        return session, (config.target.region if config.target else None) or session.region_name
    except BotoCoreError as e:  # AWS_PROFILE names a profile that is not there
        raise ConfigError(f"the AWS configuration cannot be used: {e}") from None


# The calls around a run


class AwsFault(Exception):
    """A call to AWS that was not answered as it should have been; its text is one sentence for the user.

    code      AWS's error code, or botocore's name for it when nothing was answered
    passing   whether the same call may well succeed a little later: throttling, a fault on their side, no connection
    answered  whether AWS said so; else nobody was reached, or there was nobody to ask as
    date      of AWS's answer, as HTTP has it; empty without one
    """

    def __init__(
        self, message: str, code: str, *, passing: bool = False, answered: bool = True, date: str = ""
    ) -> None:
        super().__init__(" ".join(message.split()))
        self.code = code
        self.passing = passing
        self.answered = answered
        self.date = date


class WatchedVariant(NamedTuple):
    """The variant whose metrics and scaling are watched."""

    endpoint: str
    variant: str


def watched(config: RunConfig) -> WatchedVariant:
    """Raises ConfigError when the configuration names no endpoint: a container has no metrics at AWS."""
    if config.target is None or config.target.endpoint is None:
        raise ConfigError(
            "target.endpoint: missing; required: the name of the endpoint whose metrics and scaling are watched"
        )
    return WatchedVariant(config.target.endpoint, config.target.variant)


def client(config: RunConfig, service: str, *, region: str | None = None, attempts: int = ATTEMPTS) -> Any:
    """A boto3 client of one of SERVICES, for `ask` and `ask_all`. One a process for each address.

    region    None for the configuration's own
    attempts  of one call; 1 where nobody should wait for an AWS that does not answer

    Where its calls go is botocore's own resolution: region, AWS_ENDPOINT_URL and its kin, the shared configuration
    file. But where `target.url` or `target.api_gateway` names this machine (localhost, 127.0.0.0/8, ::1), the local
    endpoint is there, which stands in for all of AWS: calls go to the same origin, unless AWS_ENDPOINT_URL or the
    service's own variable (such as AWS_ENDPOINT_URL_CLOUDWATCH) is set. What is meant for it never reaches an account.

    Raises ConfigError when there is no region or the address cannot be used.
    """
    from botocore.exceptions import BotoCoreError

    region = region or region_of(config)
    try:
        return _control_plane(service, region, _stand_in(config, service), attempts)
    except (BotoCoreError, OSError, RuntimeError, ValueError) as e:
        raise ConfigError(f"{service} cannot be addressed: {without_secrets(e)}") from None


@functools.cache
def _control_plane(service: str, region: str, url: str | None, attempts: int) -> Any:
    from botocore.config import Config

    return boto3_session().client(
        service,
        region_name=region,
        endpoint_url=url,
        config=Config(
            retries={"mode": "standard", "total_max_attempts": attempts},
            connect_timeout=CONNECT_TIMEOUT,
            read_timeout=READ_TIMEOUT,
        ),
    )


def _stand_in(config: RunConfig, service: str) -> str | None:
    """The local endpoint's address, or the one that the environment names in its place; None where AWS is meant."""
    target = config.target
    origin = stand_in(target.url, target.api_gateway) if target else None
    if origin is None:
        return None
    own = "AWS_ENDPOINT_URL_" + SERVICES[service]
    return os.environ.get(own) or os.environ.get("AWS_ENDPOINT_URL") or origin


def addresses(config: RunConfig) -> tuple[str, ...]:
    """The URLs that calls beside a run would be sent to. Raises ConfigError as `client` does."""
    return tuple(str(client(config, service).meta.endpoint_url) for service in BESIDE_A_RUN)


def ask(client: Any, operation: str, **parameters: Any) -> dict[str, Any]:
    """AWS's answer to one call. Raises AwsFault.

    operation  as AWS spells it, such as DescribeEndpoint
    """
    from botocore import xform_name

    with _faults(client, operation):
        return dict(getattr(client, xform_name(operation))(**parameters))


def ask_all(client: Any, operation: str, **parameters: Any) -> Iterator[dict[str, Any]]:
    """All pages of AWS's answer, asked for as they are read. Raises AwsFault, also for a page that leads to itself."""
    from botocore import xform_name

    with _faults(client, operation):
        pages = iter(client.get_paginator(xform_name(operation)).paginate(**parameters))
    while True:
        with _faults(client, operation):
            page = next(pages, None)
        if page is None:
            return
        yield page


@contextlib.contextmanager
def _faults(client: Any, operation: str) -> Iterator[None]:
    """Whatever botocore raises becomes an AwsFault: which call, what AWS said, and what permission it wants."""
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        CredentialRetrievalError,
        HTTPClientError,
        NoCredentialsError,
    )
    from botocore.exceptions import ConnectionError as NoConnection
    from botocore.parsers import ResponseParserError

    model = client.meta.service_model
    call = f"{model.service_id} {operation}"
    try:
        yield
    except ClientError as e:
        code, message = str(e.response["Error"].get("Code", "")), str(e.response["Error"].get("Message", ""))
        needed = ""
        if code.startswith(("AccessDenied", "UnauthorizedOperation")):
            named = re.search(r"to perform: ([\w-]+:\w+)", message)
            needed = f"; the permission it needs is {named[1] if named else _permission(model, operation)}"
        about = e.response.get("ResponseMetadata", {})
        status, date = about.get("HTTPStatusCode", 0), about.get("HTTPHeaders", {}).get("date", "")
        passing = status >= 500 or any(word in code for word in _PASSING)
        said = short(message, code)
        raise AwsFault(
            f"{call} was refused: {code}{f': {said}' if said else ''}{needed}", code, passing=passing, date=date
        ) from None
    except (BotoCoreError, ResponseParserError) as e:
        missing = isinstance(e, NoCredentialsError)
        hint = keys_of_its_own(client.meta.endpoint_url) if missing else ""
        raise AwsFault(
            f"{call} was not answered: {short(without_secrets(e))}{hint}",
            type(e).__name__,
            passing=isinstance(e, NoConnection | HTTPClientError | ResponseParserError | CredentialRetrievalError),
            answered=isinstance(e, ResponseParserError),
        ) from None
    except (OSError, RuntimeError, ValueError) as e:  # so may a source of credentials, which is asked before the call
        said = f"{call} was not answered: {short(without_secrets(e))}"
        raise AwsFault(said, type(e).__name__, answered=False) from None


def _permission(model: Any, operation: str) -> str:
    """IAM's name for it. API Gateway's permissions are named after the methods of HTTP."""
    prefix = IAM_PREFIXES.get(model.service_name, model.service_name)
    of_methods = model.service_name == "apigateway"
    return f"{prefix}:{model.operation_model(operation).http['method'] if of_methods else operation}"


# What is said of what went wrong


def keys_of_its_own(url: str) -> str:
    """For somebody who has no keys and asks this machine: a second terminal knows nothing of the first one's."""
    if not is_this_machine(urlsplit(url).hostname or ""):
        return ""
    return "; for the local endpoint export the key pair that `sm-locust local` prints when it starts"


def short(message: str, code: str = "") -> str:
    """One line of what AWS said."""
    if code in ("SignatureDoesNotMatch", "InvalidSignatureException"):
        # What follows is the request as AWS saw it, security token included.
        message = re.split(r"The Canonical String|\n", message, maxsplit=1)[0]
    message = " ".join(message.split())
    return (message if len(message) <= MESSAGE_KEPT else message[: MESSAGE_KEPT - 2] + " …").rstrip(".")


def without_secrets(error: Exception) -> str:
    """An address may hold a user and a password; the words of a source of credentials that fails, anything."""
    from botocore.exceptions import CredentialRetrievalError

    if isinstance(error, CredentialRetrievalError):
        return f"no credentials could be had from {error.kwargs.get('provider')}"
    return re.sub(r"//[^/\s\"'@]*@", "//", str(error))
