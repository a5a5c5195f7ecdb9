"""The sections of the configuration, each with its keys.

Each field's description says what it accepts: errors and docs/configuration.md are read from there. Put together they
are run_config's; `stop_when` and `scenarios`, `feeds`, `variables` have files of their own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BeforeValidator, Discriminator, Field, Tag, ValidationInfo, field_validator, model_validator

from sm_locust.config.feeding import A_HEADER, PayloadOrder
from sm_locust.fields import (
    A_COOLDOWN,
    A_DATE,
    A_DURATION,
    A_FIRST_RATE,
    A_METRIC_NAME,
    A_NAME,
    A_PRECISION,
    A_PRICE,
    A_RATE,
    A_URL,
    Date,
    DollarsFor,
    Duration,
    Flag,
    Given,
    Header,
    LatencyLimit,
    Name,
    Number,
    RatioLimit,
    Region,
    Section,
    Text,
    Url,
    Whole,
    read_cooldown,
    read_dimensions,
    read_duration,
    read_ratio,
    refused,
)

_API_GATEWAY = re.compile(r"https?://[^/.]+\.execute-api\.([a-z]{2,}(?:-[a-z]+)+-[0-9]{1,2})\.")


class Target(Section):
    """Where requests go, and whose metrics are watched."""

    endpoint: Given[Name] = Field(None, description=A_NAME)
    api_gateway: Given[Url] = Field(None, description=A_URL)
    auth: Given[Literal["none", "iam", "api-key"]] = Field(None, description="one of none, iam, api-key")
    container: Given[Url] = Field(None, description=A_URL)
    variant: Name = Field("AllTraffic", description=A_NAME)
    region: Given[Region] = Field(None, description="the name of an AWS region, such as us-east-1")
    url: Given[Url] = Field(None, description=f"where InvokeEndpoint goes instead of AWS: {A_URL}")

    @model_validator(mode="before")
    @classmethod
    def _has_the_region_of_its_api(cls, data: Any) -> Any:
        """https://ID.execute-api.REGION.amazonaws.com takes no other region's signature."""
        if isinstance(data, Mapping) and "region" not in data:
            found = _API_GATEWAY.match(str(data.get("api_gateway")))
            return {**data, "region": found[1]} if found else data
        return data

    @model_validator(mode="after")
    def _is_one_kind(self) -> Self:
        if self.container is not None:
            for key in ("api_gateway", "endpoint", "url", "auth"):
                if getattr(self, key) is not None:
                    raise refused("only without container, which stands alone", key)
        elif self.api_gateway is not None:
            if self.auth is None:
                raise refused("with api_gateway, one of none, iam, api-key", "auth")
            if self.url is not None:
                raise refused("only without api_gateway: it says where InvokeEndpoint goes", "url")
        elif self.endpoint is None:
            raise refused(f"{A_NAME}; or api_gateway or container in its place", "endpoint")
        elif self.auth is not None:
            raise refused("only with api_gateway; InvokeEndpoint is always signed", "auth")
        return self


class Request(Section):
    """What is sent. Without body and payloads, the user class brings its own."""

    content_type: Given[Header] = Field(None, description=f"a media type such as text/csv: {A_HEADER}")
    body: Given[Text] = Field(None, description="a text that is not empty; put it in quotes if it looks like a number")
    payloads: Given[Text] = Field(None, description="the path of a .csv file, a .jsonl file or a directory")
    header: Flag = Field(False, description="true or false; true leaves out the first line of a CSV file")
    order: PayloadOrder = Field(
        "sequential",
        description="how payloads are taken, one of sequential, random, once; once ends the run with the last",
    )
    accept: Given[Header] = Field(None, description=f"a media type such as text/csv: {A_HEADER}")
    custom_attributes: Given[Header] = Field(None, description=A_HEADER)
    inference_component: Given[Name] = Field(None, description=A_NAME)
    target_model: Given[Header] = Field(None, description=A_HEADER)
    target_variant: Given[Name] = Field(None, description=A_NAME)
    timeout: Duration = Field(70.0, description=A_DURATION)
    expect: Given[Text] = Field(None, description="a text that every good answer contains, not empty")

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if self.body is not None and self.payloads is not None:
            raise refused("only without body", "payloads")
        if self.body is not None and self.content_type is None:
            raise refused("with body, a media type such as text/csv", "content_type")
        if self.header and self.payloads is None:
            raise refused("true only with payloads in a CSV file", "header")
        if self.order != "sequential" and self.payloads is None:
            raise refused(f"{self.order} only with payloads", "order")
        return self


class PhaseEntry(Section):
    """One phase, as schedule.Phase."""

    name: Text = Field(description="a text that is not empty")
    duration: Duration = Field(description=A_DURATION)
    arrival_rate: Number = Field(ge=0, description=A_RATE)
    ramp_to: Annotated[Given[Number], Field(ge=0)] = Field(None, description=A_RATE)
    judge: Flag = Field(True, description="true or false; false keeps the phase out of SLO, capacity and stop rules")


class Arrivals(Section):
    """How arrivals are spread, and how much of them one user and one process take."""

    spacing: Literal["even", "poisson"] = Field("even", description="one of even, poisson")
    per_user: Number = Field(1.0, gt=0, description="a number of arrivals a second for one user, more than 0")
    max_in_flight: Whole = Field(
        5000, ge=1, le=1_000_000, description="a whole number of arrivals in one process, 1 to 1000000"
    )
    seed: Annotated[Given[Whole], Field(ge=0, lt=2**32)] = Field(
        None, description="a whole number, 0 to 4294967295: what is left to chance is then the same again"
    )


class Slo(Section):
    """The limits that every judged phase must keep."""

    latency_p50: LatencyLimit = None
    latency_p90: LatencyLimit = None
    latency_p95: LatencyLimit = None
    latency_p99: LatencyLimit = None
    latency_p999: LatencyLimit = None
    latency_mean: LatencyLimit = None
    latency_max: LatencyLimit = None
    service_time_p50: LatencyLimit = None
    service_time_p90: LatencyLimit = None
    service_time_p95: LatencyLimit = None
    service_time_p99: LatencyLimit = None
    service_time_p999: LatencyLimit = None
    service_time_mean: LatencyLimit = None
    service_time_max: LatencyLimit = None
    model_latency_p50: LatencyLimit = None
    model_latency_p90: LatencyLimit = None
    model_latency_p95: LatencyLimit = None
    model_latency_p99: LatencyLimit = None
    model_latency_p999: LatencyLimit = None
    model_latency_mean: LatencyLimit = None
    model_latency_max: LatencyLimit = None
    error_rate: RatioLimit = None

    def limits(self) -> dict[str, float]:
        """Metric → the most it may be: seconds, or a fraction for error_rate. Only those that were given."""
        return {metric: limit for metric, limit in self if limit is not None}


ScalingMetric = Literal[
    "SageMakerVariantInvocationsPerInstance",
    "SageMakerVariantConcurrentRequestsPerModelHighResolution",
    "SageMakerInferenceComponentInvocationsPerCopy",
    "SageMakerInferenceComponentConcurrentRequestsPerCopyHighResolution",
]


class CustomMetric(Section):
    """A metric of CloudWatch's that is not predefined, as CustomizedMetricSpecification has it."""

    namespace: str = Field(strict=True, pattern=r"^[ -~]{1,200}$", description=A_METRIC_NAME)
    name: str = Field(strict=True, pattern=r"^[!-~]([ -~]{0,198}[!-~])?$", description=A_METRIC_NAME)
    statistic: Literal["Average", "Minimum", "Maximum", "SampleCount", "Sum"] = Field(
        description="one of Average, Minimum, Maximum, SampleCount, Sum"
    )
    dimensions: Annotated[dict[str, str] | None, BeforeValidator(read_dimensions)] = Field(
        None, description="a mapping of one name or more to its value, texts; those of the watched variant by default"
    )
    unit: Given[Header] = Field(None, description="a unit of CloudWatch's, such as Count or Percent")


# How pydantic marks in an error's place which of the two a metric is; no part of the file.
METRIC_TAGS = _PREDEFINED, _CUSTOM = "(predefined)", "(custom)"


def _kind_of_metric(value: Any) -> str:
    return _CUSTOM if isinstance(value, Mapping | CustomMetric) else _PREDEFINED


class Scaling(Section):
    """The target tracking that `sm-locust scaling apply` sets up. Instances are copies, for an inference component."""

    min_instances: Whole = Field(ge=1, le=10_000, description="a whole number, 1 to 10000")
    max_instances: Whole = Field(ge=1, le=10_000, description="a whole number, min_instances to 10000")
    metric: Annotated[
        Annotated[ScalingMetric, Tag(_PREDEFINED)] | Annotated[CustomMetric, Tag(_CUSTOM)],
        Discriminator(_kind_of_metric),
    ] = Field(
        description=f"one of {', '.join(get_args(ScalingMetric))}; or a mapping {{namespace, name, statistic, "
        "dimensions, unit}"
    )
    target: Number = Field(gt=0, description="a number, more than 0: invocations a minute, or requests at a time")
    scale_out_cooldown: Annotated[int | None, BeforeValidator(read_cooldown)] = Field(None, description=A_COOLDOWN)
    scale_in_cooldown: Annotated[int | None, BeforeValidator(read_cooldown)] = Field(None, description=A_COOLDOWN)

    @field_validator("max_instances")
    @classmethod
    def _holds_the_minimum(cls, most: int, info: ValidationInfo) -> int:
        if most < info.data.get("min_instances", 1):
            raise refused(f"a whole number, {info.data['min_instances']} (min_instances) to 10000")
        return most

    @property
    def metric_name(self) -> str:
        """The predefined metric, or the custom one's name."""
        return self.metric if isinstance(self.metric, str) else self.metric.name

    @property
    def of_components(self) -> bool | None:
        """Whether it is a metric of inference components; None for a custom one, which may be of either."""
        return self.metric.startswith("SageMakerInferenceComponent") if isinstance(self.metric, str) else None

    @property
    def per_minute(self) -> float | None:
        """The requests a minute that one instance or copy is to have; None where something else is counted."""
        return self.target if isinstance(self.metric, str) and "Invocations" in self.metric else None


class CapacitySearch(Section):
    """How shapes/find_capacity.py looks for the highest rate at which `slo` holds. Seconds are real ones."""

    start: Number = Field(10.0, gt=0, le=1e6, description=A_FIRST_RATE)
    max: Number = Field(10_000.0, le=1e6, description="a number of arrivals a second, start to 1000000")
    precision: Annotated[float, BeforeValidator(read_ratio)] = Field(0.05, ge=0.01, le=0.5, description=A_PRECISION)
    window: Duration = Field(10.0, ge=4, le=3600, description="a duration for one look at a rate, 4s to 1h")
    warm_up: Annotated[float, BeforeValidator(read_duration)] = Field(
        3.0, ge=0, le=3600, description="a duration for which a new rate is not judged, 0s to 1h"
    )
    min_requests: Annotated[Given[Whole], Field(ge=10, le=10**9)] = Field(
        None, description="a whole number of requests for one decision, 10 to 1000000000"
    )
    time_limit: Duration = Field(900.0, description=A_DURATION)

    @field_validator("max")
    @classmethod
    def _is_not_below_the_start(cls, most: float, info: ValidationInfo) -> float:
        if most < info.data.get("start", 0.0):
            raise refused(f"a number of arrivals a second, {info.data['start']:g} (start) to 1000000")
        return most


class CloudWatch(Section):
    """How metrics are read."""

    period: Duration = Field(60.0, description="1s, 5s, 10s, 20s, 30s, or a whole number of minutes")

    @field_validator("period")
    @classmethod
    def _is_a_period(cls, period: float) -> float:
        if period not in (1, 5, 10, 20, 30) and period % 60:
            raise ValueError
        return period


class PriceList(Section):
    """What things cost, in US dollars, as the user knows it; it wins over what AWS's Pricing API said."""

    as_of: Given[Date] = Field(None, description=A_DATE)
    instance_hour: DollarsFor = Field(None, description=f"for one instance and hour: {A_PRICE}")
    data_in_gb: DollarsFor = Field(None, description=f"for a gigabyte that the endpoint takes in: {A_PRICE}")
    api_gateway_million: DollarsFor = Field(None, description=f"for a million requests: {A_PRICE}")
    lambda_million: DollarsFor = Field(None, description=f"for a million requests: {A_PRICE}")
    lambda_gb_second: DollarsFor = Field(None, description=f"for a gigabyte and second: {A_PRICE}")
    get_metric_data_thousand: DollarsFor = Field(None, description=f"for a thousand metrics asked for: {A_PRICE}")

    @model_validator(mode="after")
    def _is_dated(self) -> Self:
        if self.as_of is None and self.given():
            raise refused(f"with prices, {A_DATE}", "as_of")
        return self

    def given(self) -> dict[str, float]:
        """Key → US dollars; only those that were given."""
        return {key: price for key, price in self if isinstance(price, float)}


class Guard(Section):
    """What plan, check and start refuse to go past."""

    max_requests: Annotated[Given[Whole], Field(ge=1, le=10**15)] = Field(
        None, description="a whole number of requests, 1 to 1000000000000000"
    )
    max_cost: Annotated[Given[Number], Field(gt=0)] = Field(None, description="a number of US dollars, more than 0")
