"""YAML → RunConfig: what a run is told, checked before anything is sent.

The models below are the whole configuration. Each field's description says what it accepts, and every error is read
from there: one line that names the file, the key, the value and what is accepted. Reading payload files is payloads',
finding credentials and a region is botocore's, playing the phases is the load's.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

import yaml
from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    ValidationInfo,
    field_serializer,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from sm_locust import artillery
from sm_locust.fields import (
    A_COOLDOWN,
    A_DATE,
    A_DURATION,
    A_FIRST_RATE,
    A_HEADER,
    A_LATENCY,
    A_METRIC_NAME,
    A_NAME,
    A_PERCENTAGE,
    A_PRECISION,
    A_PRICE,
    A_RATE,
    A_RATIO,
    A_URL,
    Date,
    DollarsFor,
    Duration,
    Flag,
    Given,
    Header,
    LatencyLimit,
    Listed,
    Loc,
    Name,
    Number,
    RatioLimit,
    Region,
    Text,
    Url,
    Whole,
    read_cooldown,
    read_dimensions,
    read_duration,
    read_latency,
    read_percentage,
    read_ratio,
    refused,
    shown,
    written,
)
from sm_locust.fields import (
    A_METRIC as A_METRIC,
)
from sm_locust.fields import (
    MAX_DURATION as MAX_DURATION,
)
from sm_locust.fields import (
    MAX_LATENCY as MAX_LATENCY,
)
from sm_locust.fields import (
    ConfigError as ConfigError,
)
from sm_locust.fields import (
    Section as Section,
)
from sm_locust.fields import (
    format_duration as format_duration,
)
from sm_locust.fields import (
    parse_duration as parse_duration,
)
from sm_locust.kept import without_secrets
from sm_locust.scenario import A_VARIABLE, Feeds, Scenario, Scenarios, Variables
from sm_locust.scenario import check as check_scenarios
from sm_locust.scenario import paused_each as pauses_of_each
from sm_locust.scenario import requests_each as requests_of_each
from sm_locust.schedule import Phase, Schedule

MAX_FILE_BYTES = 256 * 1024  # a configuration is written by hand; large bodies belong in payload files
MAX_NODES = 20_000  # with every alias written out: stops files that are small on disk and enormous in memory


# The configuration


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


PayloadOrder = Literal["sequential", "random", "once"]


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


# What `stop_when` knows beside the metrics of `slo`.
ERROR_RATE = "error_rate"
DROP_RATE = "drop_rate"  # of the arrivals due, the share that was dropped
SHORTFALL = "throughput_shortfall"  # of the arrivals due, the share that no good answers came for meanwhile
NOT_VALID = "not_valid"  # what the verdict would not accept of our side
OVERHEAD = "OverheadLatency"

# As CloudWatch names them. Of an inference component they are shares of what the copy was given.
_OF_INSTANCES = ("CPUUtilization", "MemoryUtilization", "DiskUtilization", "GPUUtilization", "GPUMemoryUtilization")
_OF_COPIES = (
    *("CPUUtilizationNormalized", "MemoryUtilizationNormalized"),
    *("GPUUtilizationNormalized", "GPUMemoryUtilizationNormalized"),
)
_STATISTICS = {"mean": "Average", "max": "Maximum", "p999": "p99.9"}  # as CloudWatch names ours

A_STOP_METRIC = (
    f"{DROP_RATE}, {SHORTFALL}, {NOT_VALID}, {A_METRIC}; of CloudWatch {OVERHEAD}, {', '.join(_OF_INSTANCES)}, or of "
    f"an inference component {', '.join(_OF_COPIES)}"
)


class StopRule(Section):
    """End the run once `metric` has been above `above` for `lasting` seconds of the schedule.

    The first `grace` seconds of the schedule are not looked at.
    """

    metric: str = Field(strict=True, description=A_STOP_METRIC)
    above: float | None = Field(
        None,
        validate_default=True,
        description=f"{A_LATENCY}; for rates {A_RATIO}; for utilizations {A_PERCENTAGE}; not with {NOT_VALID}",
    )
    lasting: Duration = Field(alias="for", description=A_DURATION)
    grace: Given[Duration] = Field(None, description=A_DURATION)

    @field_validator("metric")
    @classmethod
    def _is_known(cls, metric: str) -> str:
        known = (*Slo.model_fields, DROP_RATE, SHORTFALL, NOT_VALID, OVERHEAD, *_OF_INSTANCES, *_OF_COPIES)
        if metric not in known:
            raise ValueError
        return metric

    @field_validator("above", mode="before")
    @classmethod
    def _suits_the_metric(cls, above: Any, info: ValidationInfo) -> float | None:
        metric = info.data.get("metric")
        if metric is None:  # refused already: what it may be above, nobody can say
            return 0.0
        if metric == NOT_VALID:
            if above is not None:
                raise refused(f"not with {NOT_VALID}: the verdict has limits of its own")
            return None
        read, accepted = _read_as(metric)
        try:
            return read(above)
        except ValueError:
            raise refused(f"for {metric}, {accepted}") from None

    @field_serializer("above")
    def _as_written(self, above: float | None) -> float | str | None:
        if above is None or _read_as(self.metric)[0] is read_ratio:
            return above
        return self._said(above)

    @property
    def cloudwatch(self) -> tuple[str, str] | None:
        """The metric and the statistic of CloudWatch that it asks for; None where we measure it."""
        if self.metric.startswith("model_latency_"):
            statistic = self.metric.removeprefix("model_latency_")
            return "ModelLatency", _STATISTICS.get(statistic, statistic)
        return (self.metric, "Average") if self.metric in (OVERHEAD, *_OF_INSTANCES, *_OF_COPIES) else None

    def _said(self, value: float) -> str:
        if _read_as(self.metric)[0] is read_latency:
            return format_duration(value)
        return f"{(Decimal(repr(value)) * 100).normalize():f}%"

    def __str__(self) -> str:
        limit = "" if self.above is None else f" above {self._said(self.above)}"
        return f"{self.metric}{limit} for {format_duration(self.lasting)}"


def _read_as(metric: str) -> tuple[Callable[[Any], float], str]:
    """How a limit on a metric is read, and what is accepted."""
    if metric in (ERROR_RATE, DROP_RATE, SHORTFALL):
        return read_ratio, A_RATIO
    return (read_percentage, A_PERCENTAGE) if metric in (*_OF_INSTANCES, *_OF_COPIES) else (read_latency, A_LATENCY)


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
_PREDEFINED, _CUSTOM = "(predefined)", "(custom)"


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


class RunConfig(Section):
    """All that a run is told. Durations and latencies are seconds, percentages fractions.

    `RunConfig.from_dict({"target": {"endpoint": "my-endpoint"}, …})` takes what the YAML would hold (its keys are in
    docs/configuration.md), and raises ConfigError for what cannot be run; `as_dict()` gives it with every default.
    """

    target: Given[Target] = None
    request: Request = Request()
    phases: Annotated[tuple[PhaseEntry, ...] | None, Listed] = Field(None, description="a list of one phase or more")
    arrivals: Arrivals = Arrivals()
    slo: Slo = Slo()
    stop_when: Annotated[tuple[StopRule, ...], Listed] = Field(
        (), description="a list of rules {metric, above, for, grace}"
    )
    capacity: CapacitySearch = CapacitySearch()
    scaling: Given[Scaling] = None
    cloudwatch: CloudWatch = CloudWatch()
    prices: PriceList = PriceList()
    guard: Guard = Guard()
    scenarios: Scenarios = Field(None, description="a list of one scenario or more")
    feeds: Feeds = Field((), description="a list of feeds {file, fields, order, delimiter, header, cast}")
    variables: Variables = Field({}, description=A_VARIABLE)

    @field_validator("phases")
    @classmethod
    def _make_a_schedule(cls, phases: tuple[PhaseEntry, ...]) -> tuple[PhaseEntry, ...]:
        if not phases:
            raise ValueError
        try:
            _schedule(phases)
        except ValueError as error:
            raise refused(str(error)) from None
        return phases

    @field_validator("scenarios")
    @classmethod
    def _has_a_scenario(cls, scenarios: tuple[Scenario, ...]) -> tuple[Scenario, ...]:
        if not scenarios:
            raise ValueError
        return scenarios

    @model_validator(mode="after")
    def _gives_every_template_a_value(self) -> Self:
        check_scenarios(self.scenarios or (), self.feeds, self.variables)
        return self

    def schedule(self) -> Schedule | None:
        """The phases at speed 1, or None without any."""
        return None if self.phases is None else _schedule(self.phases)

    @property
    def requests_each(self) -> float:
        """Requests of one arrival, on the mean: 1 without scenarios."""
        return 1.0 if self.scenarios is None else requests_of_each(self.scenarios)

    @property
    def paused_each(self) -> float:
        """Seconds that one arrival waits between its requests, on the mean: 0 without scenarios."""
        return 0.0 if self.scenarios is None else pauses_of_each(self.scenarios)

    def check_guard(self, speed: int, schedule: Schedule | None = None, source: str = "") -> None:
        """Raises ConfigError for a schedule, by default that of the phases, that sends more than the guard allows.

        source  where the schedule comes from, if it is not the phases
        """
        schedule, most = schedule or self.schedule(), self.guard.max_requests
        if (
            schedule is not None
            and most is not None
            and (planned := round(schedule.total / speed * self.requests_each)) > most
        ):
            of = f" of {source}" if source.startswith("shape ") else ""
            raise ConfigError(f"the schedule{of} sends {planned:,} requests and guard.max_requests allows {most:,}")

    def check_stop_when(self) -> None:
        """Raises ConfigError for a rule on a metric that CloudWatch will not have of this target."""
        component = self.request.inference_component is not None
        for i, rule in enumerate(self.stop_when):
            if rule.cloudwatch is None:
                continue
            accepted = ""
            if self.target is None or self.target.endpoint is None:
                accepted = "only with target.endpoint, whose metrics CloudWatch has"
            elif rule.metric in (_OF_INSTANCES if component else _OF_COPIES):
                named = ", ".join(_OF_COPIES if component else _OF_INSTANCES)
                accepted = f"{'with' if component else 'without'} request.inference_component, {named}"
            if accepted:
                raise ConfigError(f"stop_when[{i}].metric: {rule.metric!r} is not accepted: {accepted}")

    @property
    def scales_copies(self) -> bool:
        """Whether what is scaled are copies of an inference component, and not instances.

        The metric of `scaling` decides it; where there is none, or one of somebody's own, what requests name.
        """
        known = None if self.scaling is None else self.scaling.of_components
        return self.request.inference_component is not None if known is None else known

    def urls(self) -> tuple[str, ...]:
        """The addresses that the configuration itself names; an endpoint's own is found by botocore."""
        steps = (step.address for scenario in self.scenarios or () for step in scenario.steps)
        return tuple(dict.fromkeys(filter(None, (*self.target_urls(), *steps))))

    def target_urls(self) -> tuple[str, ...]:
        """Those of `urls` that the target names, whatever the steps of scenarios name beside it."""
        target = self.target
        return () if target is None else tuple(filter(None, (target.url, target.api_gateway, target.container)))

    def with_files_from(self, folder: str | Path) -> RunConfig:
        """The paths of files made absolute; relative ones start at `folder`."""
        base, request = Path(folder).absolute(), self.request
        if request.payloads is not None:
            request = request.model_copy(update={"payloads": str(base / request.payloads)})
        feeds = tuple(feed.model_copy(update={"file": str(base / feed.file)}) for feed in self.feeds)
        return self.model_copy(update={"request": request, "feeds": feeds})

    def with_overrides(
        self, endpoint: str | None = None, region: str | None = None, url: str | None = None, *, prefix: str = "--"
    ) -> RunConfig:
        """What the options --endpoint, --region and --url say wins; an empty one says nothing.

        prefix  of the options' names: Locust's begin with --sm-

        Raises ConfigError naming the option.
        """
        given = {key: value for key, value in (("endpoint", endpoint), ("region", region), ("url", url)) if value}
        if not given:
            return self
        data = self.as_dict()
        data["target"] = {**data.get("target", {}), **given}
        try:
            return RunConfig.model_validate(data)
        except ValidationError as error:
            loc, fault = _fault(error.errors()[0], data)
            if loc[-1] in given:
                raise ConfigError(f"{prefix}{loc[-1]}: {fault}") from None
            options = ", ".join(f"{prefix}{option}" for option in given)
            raise ConfigError(f"{options}: {written(loc)}: {fault}") from None

    def with_capacity(self, text: str, option: str) -> RunConfig:
        """Settings of `capacity` as YAML, such as "start: 50, max: 2000": they win, one by one.

        Raises ConfigError naming the option.
        """
        given = _mapping_of(text, option)
        try:
            data = {**self.as_dict(), "capacity": {**self.capacity.model_dump(exclude_none=True), **given}}
            return RunConfig.model_validate(data)
        except ValidationError as error:
            loc, fault = _fault(sorted(error.errors(), key=lambda detail: detail["type"] not in _UNKNOWN)[0], data)
            raise ConfigError(f"{option}: {written(loc[1:])}: {fault}") from None

    def as_dict(self) -> dict[str, Any]:
        """Primitives for JSON and msgpack, every default written out. What scenarios send may hold one."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    def recorded(self) -> dict[str, Any]:
        """`as_dict` for what is kept of a run: without the values that scenarios send where passwords and keys go."""
        data = self.as_dict()
        if self.scenarios is not None:
            data["scenarios"] = [scenario.recorded() for scenario in self.scenarios]
            data["variables"] = without_secrets(data["variables"])
        return data

    @classmethod
    def from_dict(
        cls, data: object, source: str = "configuration", place: Callable[[Loc], Loc] | None = None
    ) -> RunConfig:
        """Check what YAML or `as_dict` gave. Raises ConfigError whose text begins with `source`.

        place  where in `source` stands what is at a place of `data`, if that was made of something else
        """
        if not isinstance(data, Mapping):
            raise ConfigError(f"{source}: {shown(data)} is not accepted: a mapping of {_listed(cls)}")
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            # An unknown key first: a key that is misspelt is missing too, and only the first of the two helps.
            details = sorted(error.errors(), key=lambda detail: detail["type"] not in _UNKNOWN)
            loc, fault = _fault(details[0], data)
            more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
            at = written(loc if place is None else place(loc))
            raise ConfigError(f"{source}: {at}: {fault}{more}") from None


def _schedule(phases: tuple[PhaseEntry, ...]) -> Schedule:
    return Schedule(Phase(**phase.model_dump()) for phase in phases)


# Files


def _unsaid(sentence: str) -> None:
    """What nobody wants to be told."""


def load(path: str | Path, environment: str | None = None, note: Callable[[str], object] = _unsaid) -> RunConfig:
    """Read a file: our YAML, or an artillery script, which is converted.

    environment  of a script, the one of its config.environments that is merged over config
    note         is called with each sentence about what of a script has no effect here

    Raises ConfigError, one line, for a file that cannot be read or used.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        named = shown(str(path)) if "://" in str(path) else path  # an address, which may hold a password
        raise ConfigError(f"{named}: cannot be read: {reason}; accepted: a YAML file") from None
    if len(content) > MAX_FILE_BYTES:
        raise ConfigError(f"{path}: larger than {MAX_FILE_BYTES} bytes; accepted: a YAML file up to that size")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: byte {error.start} is not UTF-8; accepted: a YAML file in UTF-8") from None
    return parse(text, str(path), environment, note)


def parse(
    text: str,
    source: str,
    environment: str | None = None,
    note: Callable[[str], object] = _unsaid,
) -> RunConfig:
    """Read YAML, as `load` does. Raises ConfigError, one line that begins with `source`, for the first fault."""
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        data = None
        if node is not None:
            _check_nodes(node)
            data = loader.construct_document(node)
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        problem = ", ".join(filter(None, (error.context, error.problem)))
        raise ConfigError(f"{source}: {where}not YAML: {problem}") from None
    except RecursionError:
        raise ConfigError(f"{source}: nested too deeply; accepted: a mapping of {_listed(RunConfig)}") from None
    except Exception as error:  # SafeLoader's own constructors raise whatever int(), date() and dict() do
        raise ConfigError(f"{source}: not YAML: {error}") from None
    if artillery.is_script(data):
        return _of_script(data, source, environment, note)
    if environment is not None:
        raise ConfigError(
            f"{source}: environment {shown(environment)} is not accepted: artillery scripts alone have any"
        )
    return RunConfig.from_dict({} if data is None else data, source)


def _of_script(data: Any, source: str, environment: str | None, note: Callable[[str], object]) -> RunConfig:
    try:
        script = artillery.convert(data, environment=environment)
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from None
    config = RunConfig.from_dict(script.config, source, script.place)
    for sentence in script.notes:
        note(sentence)
    return config


def _mapping_of(text: str, source: str) -> dict[str, Any]:
    """A mapping on one line, with braces or without. Raises ConfigError that begins with `source`."""
    inside = text.strip()
    try:
        data = yaml.safe_load(inside if inside.startswith("{") else f"{{{inside}}}")
    except (yaml.YAMLError, ValueError, RecursionError):
        data = None
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise ConfigError(f"{source}: {shown(text)} is not accepted: settings such as start: 50, max: 2000")
    return data


def _check_nodes(root: yaml.Node) -> None:
    """Refuse what safe_load would take in silence: a key given twice, and aliases that grow without bound."""
    sizes: dict[int, int] = {}  # of nodes, with their aliases written out

    def size(node: yaml.Node) -> int:
        if id(node) not in sizes:
            sizes[id(node)] = MAX_NODES + 1  # until it is known: a node that contains itself never ends
            if isinstance(node, yaml.MappingNode):
                _check_keys(node)
                children = [child for pair in node.value for child in pair]
            else:
                children = node.value if isinstance(node, yaml.SequenceNode) else []
            sizes[id(node)] = 1 + sum(map(size, children))
        return sizes[id(node)]

    if size(root) > MAX_NODES:
        raise ConfigError(f"more than {MAX_NODES} values, with aliases written out; accepted: up to that many")


def _check_keys(node: yaml.MappingNode) -> None:
    seen = set()
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode):
            if (key.tag, key.value) in seen:
                where = f"line {key.start_mark.line + 1}, column {key.start_mark.column + 1}"
                raise ConfigError(f"{where}: {shown(key.value)} is given twice; accepted: once")
            seen.add((key.tag, key.value))


# Errors, read from the models


_UNKNOWN = ("extra_forbidden", "invalid_key")


def _fault(detail: ErrorDetails, data: Any) -> tuple[Loc, str]:
    """Where in `data` the fault is, and in words what is wrong there and what is accepted."""
    loc, kind = tuple(part for part in detail["loc"] if part not in (_PREDEFINED, _CUSTOM)), detail["type"]
    if kind in _UNKNOWN:
        section = _section_at(loc[:-1])
        close = difflib.get_close_matches(str(loc[-1])[:60], _keys(section), n=1)
        meant = f" (did you mean {close[0]}?)" if close else ""
        return loc, f"unknown key{meant}; accepted: {_listed(section)}"  # no value: it may be a misplaced secret
    if kind == "refused":
        accepted, loc = detail["ctx"]["accepted"], (*loc, *detail["ctx"]["keys"])
    else:
        accepted = _accepted_at(loc)
    try:
        for part in loc:  # detail["input"] is what our validators made of it: 0.0 where the file has 0s
            data = data[part]
    except KeyError:
        return loc, f"missing; required: {accepted}"
    return loc, f"{shown(data)} is not accepted: {accepted}"


def _keys(section: type[Section]) -> list[str]:
    return [field.alias or name for name, field in section.model_fields.items()]


def _listed(section: type[Section]) -> str:
    return A_METRIC if section is Slo else ", ".join(_keys(section))


def _field(section: type[Section], key: str) -> FieldInfo:
    return next(field for name, field in section.model_fields.items() if key == (field.alias or name))


def _section_at(loc: Loc) -> type[Section]:
    """The section at a path; a position in a list leads to the section that it is a list of."""
    section: type[Section] = RunConfig
    for key in loc:
        if isinstance(key, str):
            section = next(_sections_in(_field(section, key).annotation))
    return section


def _sections_in(annotation: Any) -> Iterator[type[Section]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for argument in get_args(annotation):
        yield from _sections_in(argument)


def _accepted_at(loc: Loc) -> str:
    description = _field(_section_at(loc[:-1]), loc[-1]).description if isinstance(loc[-1], str) else None
    return description or f"a mapping of {_listed(_section_at(loc))}"
