"""Users whose arrivals are single requests of one target: an endpoint, an API in front of one, a container.

What is sent is prepared once a process, by the Invoker that all arrivals of a class share.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, ClassVar, Protocol
from urllib.parse import urlsplit

from sm_locust.config import ConfigError
from sm_locust.feeders import ONCE
from sm_locust.load.invoker import ApiGatewayInvoker, ContainerInvoker, Invoker, invoke_endpoint
from sm_locust.load.opening import proxy_for
from sm_locust.load.users import ArrivalUser, Load, tell
from sm_locust.record.outcome import Outcome

if TYPE_CHECKING:
    from sm_locust.aws.runtime import Runtime
    from sm_locust.config import RunConfig
    from sm_locust.feeders import Feeder
    from sm_locust.load.sigv4 import Signer
    from sm_locust.payloads import Payload


API_KEY = "SM_LOCUST_API_KEY"  # where the key of an API is read from: it is in no file, option or message of ours


class InvokerLoad(Load, Protocol):
    """What single requests need of the load of their process beside what all users do."""

    @property
    def runtime(self) -> Runtime: ...
    def payloads_of(self, user_class: type[InvokerUser]) -> Callable[[], Payload]: ...
    def invoker(self, user_class: type[InvokerUser]) -> Invoker: ...
    def signer(self, service: str) -> Signer: ...


class InvokerUser(ArrivalUser):
    """An arrival that is one request of a prepared Invoker; what is invoked and how it is signed is the subclass's.

    payloads  a Feeder: what `invoke()` sends, and in which order; None takes `request` of the configuration
    """

    abstract = True
    payloads: ClassVar[Feeder | None] = None
    host = "see --sm-config"  # what the web UI shows where other users have a host; nothing is sent there

    _means: tuple[InvokerLoad, Invoker, str, Callable[[], Payload]] | None = (
        None  # what an instance sends with; it lives for one run
    )

    @classmethod
    def make_invoker(cls, load: InvokerLoad) -> Invoker:
        """The invoker that all arrivals of a process share."""
        raise NotImplementedError

    def invoke(
        self, body: bytes | None = None, *, content_type: str | None = None, name: str | None = None, **headers: str
    ) -> Outcome:
        """Sends one request and says what became of it; a failure is an Outcome, never an exception.

        body          what to send; None takes the next payload: of the class's `payloads`, or of the configuration
        content_type  of the body; None takes the payload's, or the configuration's
        name          in the statistics; None takes the class's own
        headers       further headers; underscores stand for dashes: `X_Amzn_SageMaker_Inference_Id="7"`

        Fires Locust's `request` event with the latency from the scheduled time, and the Outcome beside it.
        """
        arrival = self.arrival
        if arrival is None:
            raise RuntimeError(f"{type(self).__name__}.invoke() was called outside of a @task")
        if self._means is None:
            generator: InvokerLoad = self.environment.generator
            user_class = type(self)
            self._means = (
                *(generator, generator.invoker(user_class), self.name_of(generator.config)),
                generator.payloads_of(user_class),
            )
        load, invoker, usual_name, next_payload = self._means
        if body is None:
            payload = next_payload()
            body, content_type = payload.body, content_type or payload.content_type
        outcome = invoker.invoke(
            body,
            name=name or usual_name,
            scheduled_at=arrival.claim(),
            content_type=content_type,
            headers={key.replace("_", "-"): value for key, value in headers.items()} if headers else None,
        )
        arrival.answered(outcome)
        tell(load, self, self.request_type, outcome.name, outcome)
        return outcome

    request_type: ClassVar[str] = "POST"

    @classmethod
    def problem(cls, config: RunConfig) -> str | None:
        if played := _of_scenarios(cls, config):
            return played
        if cls.payloads is not None:
            try:
                cls.payloads.check()
            except ConfigError as e:
                return f"{cls.__name__}.payloads: {e}"
        elif config.request.body is None and config.request.payloads is None:
            return (
                f"{cls.__name__} has nothing to send: give request.body or request.payloads in --sm-config FILE, "
                "or payloads = Feeder(…) in the class"
            )
        return super().problem(config)

    @classmethod
    def ends_with_payloads(cls, config: RunConfig) -> bool:
        """Whether a run ends once this class has sent all of its payloads."""
        return cls.payloads.ends if cls.payloads is not None else config.request.order == ONCE

    @classmethod
    def name_of(cls, config: RunConfig) -> str:
        """The requests' name in the statistics."""
        return cls.__name__


class InvokeEndpointUser(InvokerUser):
    """Invokes a SageMaker endpoint directly, with a signed InvokeEndpoint call, and never retries.

    Source: SageMaker Runtime API Reference, InvokeEndpoint. Needs `target.endpoint` (or `--sm-endpoint`); credentials
    and the runtime's address come from botocore's own chain.
    """

    abstract = True
    request_type = "InvokeEndpoint"

    @classmethod
    def problem(cls, config: RunConfig) -> str | None:
        if config.target is None or not config.target.endpoint:
            return _of_scenarios(cls, config) or (
                f"{cls.__name__} invokes an endpoint and none is named: give --sm-endpoint NAME or target.endpoint"
            )
        return super().problem(config)

    @classmethod
    def check_here(cls, config: RunConfig) -> None:
        from sm_locust.aws.runtime import runtime

        runtime(config)

    @classmethod
    def name_of(cls, config: RunConfig) -> str:
        return str(config.target.endpoint) if config.target else cls.__name__

    @classmethod
    def addresses(cls, config: RunConfig) -> Iterable[str]:
        from sm_locust.aws.runtime import runtime_url

        return [runtime_url(config)]

    @classmethod
    def make_invoker(cls, load: InvokerLoad) -> Invoker:
        runtime, config = load.runtime, load.config
        request = config.request
        return invoke_endpoint(
            load.connections(runtime.url, runtime.ca_bundle, runtime.proxy),
            cls.name_of(config),
            now=load.now,
            signer=load.signer("sagemaker"),
            base_path=urlsplit(runtime.url).path,
            content_type=request.content_type,
            accept=request.accept,
            custom_attributes=request.custom_attributes,
            inference_component=request.inference_component,
            target_model=request.target_model,
            target_variant=request.target_variant,
            timeout=request.timeout,
            expect=request.expect,
        )


class _PostingUser(InvokerUser):
    """Posts to the one URL that a key of `target` holds."""

    abstract = True
    _target_key: ClassVar[str]

    @classmethod
    def addresses(cls, config: RunConfig) -> Iterable[str]:
        return [cls._url(config)]

    @classmethod
    def _url(cls, config: RunConfig) -> str:
        return getattr(config.target, cls._target_key, None) or ""


class ApiGatewayUser(_PostingUser):
    """Posts to an API of API Gateway that stands in front of an endpoint, and never retries.

    Needs `target.api_gateway`, the URL of a deployed method, and `target.auth`: `none`; `iam`, signed as `execute-api`
    with the keys of botocore's own chain; `api-key`, with the key of the environment variable SM_LOCUST_API_KEY. What
    `request` says to SageMaker alone (a variant, attributes) is refused: only the API's own function can say it.
    """

    abstract = True
    _target_key = "api_gateway"

    @classmethod
    def problem(cls, config: RunConfig) -> str | None:
        if not cls._url(config):
            return _of_scenarios(cls, config) or (
                f"{cls.__name__} posts to an API and none is named: give target.api_gateway in --sm-config FILE"
            )
        return _unsendable(cls, config, "custom_attributes", *_ROUTING) or super().problem(config)

    @classmethod
    def check_here(cls, config: RunConfig) -> None:
        auth = cls._auth(config)
        if auth == "iam":
            from sm_locust.aws.runtime import runtime

            runtime(config)
        elif auth == "api-key":
            _api_key()

    @classmethod
    def name_of(cls, config: RunConfig) -> str:
        return urlsplit(cls._url(config)).path.strip("/") or cls.__name__

    @classmethod
    def make_invoker(cls, load: InvokerLoad) -> Invoker:
        request, auth, url = load.config.request, cls._auth(load.config), cls._url(load.config)
        headers = {"Accept": request.accept} if request.accept else {}
        if auth == "api-key":
            headers["x-api-key"] = _api_key()
        bundle = load.runtime.ca_bundle if auth == "iam" else os.environ.get("AWS_CA_BUNDLE")
        return ApiGatewayInvoker(
            load.connections(url, bundle or None, proxy_for(url)),
            urlsplit(url).path or "/",
            now=load.now,
            signer=load.signer("execute-api") if auth == "iam" else None,
            content_type=request.content_type,
            headers=headers,
            timeout=request.timeout,
            expect=request.expect,
        )

    @staticmethod
    def _auth(config: RunConfig) -> str | None:
        return config.target.auth if config.target else None


class ContainerUser(_PostingUser):
    """Posts to a model container itself, as SageMaker would: unsigned, no AWS, no proxy, never retried.

    Source: SageMaker Developer Guide, Use Your Own Inference Code with Hosting Services: POST /invocations with the
    caller's Content-Type, Accept and X-Amzn-SageMaker-Custom-Attributes. Needs `target.container`. What SageMaker does
    before it asks a container (a variant, a component, a model to choose) is refused.
    """

    abstract = True
    _target_key = "container"

    @classmethod
    def problem(cls, config: RunConfig) -> str | None:
        if not cls._url(config):
            return _of_scenarios(cls, config) or (
                f"{cls.__name__} posts to a container and none is named: give target.container in --sm-config FILE"
            )
        return _unsendable(cls, config, *_ROUTING) or super().problem(config)

    @classmethod
    def name_of(cls, config: RunConfig) -> str:
        return urlsplit(cls._url(config)).path or "/"

    @classmethod
    def make_invoker(cls, load: InvokerLoad) -> Invoker:
        request, url = load.config.request, cls._url(load.config)
        fields = {"Accept": request.accept, "X-Amzn-SageMaker-Custom-Attributes": request.custom_attributes}
        return ContainerInvoker(
            load.connections(url, None, None),
            urlsplit(url).path or "/",
            now=load.now,
            content_type=request.content_type,
            headers={name: value for name, value in fields.items() if value is not None},
            timeout=request.timeout,
            expect=request.expect,
        )


def _of_scenarios(cls: type[InvokerUser], config: RunConfig) -> str | None:
    """Says that a configuration is one of scenarios, which this class would not play."""
    scenarios = config.scenarios or ()
    if not scenarios or (config.target is not None and all(len(each.steps) == 1 for each in scenarios)):
        return None
    return (
        f"{cls.__name__} sends one request for an arrival and the configuration has scenarios: run it with "
        "locustfiles/artillery.py"
    )


_ROUTING = ("inference_component", "target_model", "target_variant")  # keys of `request` that SageMaker routes by


def _unsendable(cls: type[InvokerUser], config: RunConfig, *keys: str) -> str | None:
    """Says which of these keys of `request` is given, though it would not get to where this class sends."""
    for key in keys:
        if getattr(config.request, key) is not None:
            return f"{cls.__name__}: request.{key} is for SageMaker, which is not asked here; leave it out"
    return None


def _api_key() -> str:
    """The key of an API. Raises ConfigError, which never shows what was found."""
    key = os.environ.get(API_KEY)
    if not key:
        raise ConfigError(
            f"target.auth: api-key takes the key from the environment variable {API_KEY}, which is not set"
        )
    if not re.fullmatch(r"[!-~]+", key):
        raise ConfigError(f"{API_KEY}: the key holds a character that is not printable ASCII (it is not shown)")
    return key
