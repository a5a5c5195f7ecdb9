"""What the local endpoint simulates, as values: its name, its credentials, its instances and how they come and go.

Reading and checking them is done here. What they do to a request is the fleet's and the app's; where the server
listens is an argument of `serve`, not a setting.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

ACCOUNT = "123456789012"
"""The account all of it belongs to: the example account of AWS's documentation."""

MOST_INSTANCES = 100
"""What the account may have: in AWS it would be a quota."""

# Endpoint and variant names as in botocore's `sagemaker-runtime` model.
Name = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9](-*[a-zA-Z0-9])*$", max_length=63)]
NotEmpty = Annotated[str, StringConstraints(min_length=1)]

_SECRETS = frozenset({"secret_access_key", "session_token", "gateway_api_key"})


class SettingsError(ValueError):
    """A settings file that cannot be used, in one sentence."""


class Settings(BaseModel):
    """The defaults are the blog's one ml.m4.xlarge: 4 workers of 8.5 ms sustain 28,235 requests a minute.

    endpoint           its name, as in `target.endpoint`
    variant            the name of its one variant
    region             that credentials and ARNs are of
    access_key_id      of the key pair that it knows; no other opens it
    secret_access_key  of that pair
    session_token      that goes with the pair; None where none does
    workers            requests that an instance works on at once
    inference_component  the one that the endpoint hosts, a copy an instance; None for a model in the variant itself
    service_time       seconds that a worker needs for one request
    backlog            requests that may wait for a worker; one more is answered 503
    max_body_bytes     a longer body is answered 413; 6,291,456 is the limit in botocore's model
    instances          how many serve at the start
    instance_type      what DescribeEndpointConfig calls them; it decides nothing
    provisioning_time  schedule seconds until an added instance serves
    publish_delay      schedule seconds after which readers see a period's metrics; the scaling controller does not wait
    routing            which instance gets a request: any one, or the one with the fewest requests
    seed               of the random routing
    gateway_auth       what the API in front of the endpoint, POST /DummyStage/DT, asks of its callers
    gateway_api_key    the key it asks for with `api-key`
    gateway_rate       requests a second that its stage lets through; one more is answered 429
    gateway_burst      requests that the stage lets through at once
    gateway_timeout    seconds for which it waits for its function; then it answers 504
    function_timeout   seconds after which Lambda ends the function, which the API answers with 502
    function_concurrency  executions of the function at once; one more is throttled, which the API answers with 500
    The credentials are the example pair of AWS's documentation: they open nothing anywhere.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    endpoint: Name = "decision-trees-sample"
    variant: Name = "AllTraffic"
    inference_component: Name | None = None
    region: NotEmpty = "us-east-1"
    access_key_id: NotEmpty = "AKIAIOSFODNN7EXAMPLE"
    secret_access_key: NotEmpty = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
    session_token: NotEmpty | None = None
    workers: int = Field(default=4, ge=1)
    service_time: float = Field(default=0.0085, gt=0, le=60)
    backlog: int = Field(default=160, ge=0)
    max_body_bytes: int = Field(default=6_291_456, ge=1)
    instances: int = Field(default=1, ge=1, le=MOST_INSTANCES)
    instance_type: NotEmpty = "ml.m4.xlarge"
    provisioning_time: float = Field(default=210, ge=0, le=7200)
    publish_delay: float = Field(default=150, ge=0, le=3600)
    routing: Literal["random", "least-outstanding"] = "random"
    seed: int = 0
    gateway_auth: Literal["none", "iam", "api-key"] = "none"
    gateway_api_key: NotEmpty = "local-endpoint-EXAMPLEKEY"
    gateway_rate: float = Field(default=10_000, gt=0)
    gateway_burst: int = Field(default=5_000, ge=1)
    gateway_timeout: float = Field(default=29, gt=0, le=29)
    function_timeout: float = Field(default=28, gt=0, le=900)
    function_concurrency: int = Field(default=1_000, ge=0, le=1_000)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Settings from a YAML file; what it does not name keeps its default.

        Raises SettingsError, naming the file, the key, its value and what is accepted.
        """
        try:
            values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise SettingsError(f"{path}: cannot be read: {error.strerror}") from error
        except RecursionError:
            raise SettingsError(f"{path}: is not YAML: nested too deeply") from None
        except (ValueError, yaml.YAMLError) as error:  # a ValueError too: a date that there is not, bytes of no text
            raise SettingsError(f"{path}: is not YAML: {' '.join(str(error).split())}") from error
        if values is None:
            values = {}
        if not isinstance(values, dict):
            raise SettingsError(f"{path}: must be a mapping of settings, got {values!r}")
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise SettingsError(f"{path}: {cls._explain(error)}") from error

    @classmethod
    def _explain(cls, error: ValidationError) -> str:
        reasons = []
        for problem in error.errors():
            key = ".".join(str(part) for part in problem["loc"])
            if problem["type"] == "extra_forbidden":
                reasons.append(f"{key} is not a setting; accepted: {', '.join(cls.model_fields)}")
                continue
            value = "" if key in _SECRETS else f" {problem['input']!r}"
            reasons.append(f"{key}{value}: {problem['msg'][0].lower()}{problem['msg'][1:]}")
        return "; ".join(reasons)

    @property
    def sustained_per_minute(self) -> float:
        """Requests a minute at which every worker of the first instances is always busy."""
        return self.instances * self.workers / self.service_time * 60
