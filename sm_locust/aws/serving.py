"""How many instances or copies serve: now, asking for another number of them, waiting until they do.

Which of the two is scaled's to say, and what else an endpoint is, endpoint's; automatic scaling, which asks for numbers
of its own, is scaling's.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from sm_locust.aws.endpoint import HOPELESS, STEADY, Endpoint
from sm_locust.aws.session import AwsFault, ask, client, watched
from sm_locust.config import ConfigError, RunConfig
from sm_locust.fields import format_duration
from sm_locust.scaled import Scaled


@dataclass(frozen=True, slots=True)
class Serving:
    """How many there are at one moment.

    status   as SageMaker names it: InService, Updating while some are added, …
    current  that serve; None for a serverless variant
    desired  that are wanted; None for a serverless variant
    arn      of the endpoint or inference component
    instance_type  such as ml.m4.xlarge; None where it is not told, and for copies: an instance may hold several
    """

    status: str
    current: int | None
    desired: int | None
    arn: str
    instance_type: str | None = None

    @property
    def is_steady(self) -> bool:
        """Whether everything wanted serves and nothing else is on its way in or out."""
        return self.status == STEADY and self.current == self.desired


def scaled(config: RunConfig) -> Scaled:
    """Raises ConfigError when the configuration does not name it."""
    watched(config)
    found = Scaled.of(config)
    if found is None:
        raise ConfigError(
            f"request.inference_component: missing; required: the inference component that scaling.metric "
            f"{config.scaling.metric_name if config.scaling else ''} is of"
        )
    return found


def describe(config: RunConfig) -> Serving:
    """As it is now. Raises AwsFault, also when there is no such variant or component."""
    what = scaled(config)
    if not what.copies:
        return _of_the_variant(Endpoint.read(config))
    answer = ask(client(config, "sagemaker"), "DescribeInferenceComponent", InferenceComponentName=what.name)
    copies = answer.get("RuntimeConfig") or {}
    return Serving(
        str(answer["InferenceComponentStatus"]),
        copies.get("CurrentCopyCount"),
        copies.get("DesiredCopyCount"),
        str(answer["InferenceComponentArn"]),
    )


def _of_the_variant(endpoint: Endpoint) -> Serving:
    if not endpoint.watched:
        raise AwsFault(
            f"endpoint {endpoint.name}, {endpoint.status}, has no variant {endpoint.variant}; it has "
            f"{', '.join(endpoint.variants) or 'none yet'}",
            "NoSuchVariant",
        )
    if endpoint.why_not is not None and endpoint.why_not.passing:
        raise endpoint.why_not  # for the instances' type, which is worth asking again
    return Serving(
        endpoint.status,
        endpoint.watched.get("CurrentInstanceCount"),
        endpoint.watched.get("DesiredInstanceCount"),
        str(endpoint.described.get("EndpointArn", "")),
        endpoint.instance_type,
    )


def ask_for(config: RunConfig, n: int) -> None:
    """Asks for a number of instances or copies; it is Updating until they serve.

    Raises AwsFault, also while it is Updating: see `wait_until_steady`.
    """
    what, sagemaker = scaled(config), client(config, "sagemaker")
    if what.copies:
        ask(
            sagemaker,
            "UpdateInferenceComponentRuntimeConfig",
            InferenceComponentName=what.name,
            DesiredRuntimeConfig={"CopyCount": n},
        )
    else:
        name, variant = watched(config)
        ask(
            sagemaker,
            "UpdateEndpointWeightsAndCapacities",
            EndpointName=name,
            DesiredWeightsAndCapacities=[{"VariantName": variant, "DesiredInstanceCount": n}],
        )


def wait_until_steady(
    config: RunConfig,
    n: int | None,
    *,
    patience: float,
    every: float,
    say: Callable[[str], None],
) -> Serving:
    """Waits until it is InService and as many serve as are wanted.

    n         that number; None for whatever is wanted
    patience  seconds to wait at most
    every     seconds between two questions
    say       told what is being waited for, each time that it changes

    Raises AwsFault when patience ends (code NotSteady) or AWS refuses; faults that pass are waited out.
    """
    what = scaled(config)
    wanted = what.units if n is None else what.counted(n)
    kind = "inference component" if what.copies else "endpoint"
    deadline = time.monotonic() + patience
    before = ""
    while True:
        try:
            found = describe(config)
            if found.is_steady and (n is None or found.current == n):
                return found
            if found.status in HOPELESS:
                raise AwsFault(f"{kind} {what.name} is {found.status}", found.status)
            now = f"{what.name} is {found.status}, {found.current} of {found.desired} {what.units} serve"
        except AwsFault as e:
            if not e.passing:
                raise
            now = str(e)
        left = deadline - time.monotonic()
        if left <= 0:
            raise AwsFault(
                f"{now}: not steady with {wanted} within {format_duration(patience)}", "NotSteady", passing=True
            )
        if now != before:
            say(now)
            before = now
        time.sleep(min(every, left))
