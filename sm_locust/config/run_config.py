"""RunConfig: all sections together, what follows from more than one of them, and what options change in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from sm_locust.config import faults, scenarios
from sm_locust.config.scenarios import A_VARIABLE, Feeds, Scenario, Scenarios, Variables
from sm_locust.config.sections import (
    Arrivals,
    CapacitySearch,
    CloudWatch,
    Guard,
    PhaseEntry,
    PriceList,
    Request,
    Scaling,
    Slo,
    Target,
)
from sm_locust.config.stop_rule import StopRule
from sm_locust.config_error import ConfigError
from sm_locust.fields import Given, Listed, Loc, Section, refused, shown, written
from sm_locust.kept import without_secrets
from sm_locust.schedule import Phase, Schedule


class RunConfig(Section):
    """All that a run is told. Durations and latencies are seconds, percentages fractions.

    `RunConfig.from_dict({"target": {"endpoint": "my-endpoint"}, …})` takes what the YAML would hold (its keys are in
    docs/configuration.md), and raises ConfigError for what cannot be run; `as_dict()` gives it with every default.
    """

    target: Given[Target] = None
    request: Request = Field(default_factory=Request)
    phases: Annotated[tuple[PhaseEntry, ...] | None, Listed] = Field(None, description="a list of one phase or more")
    arrivals: Arrivals = Field(default_factory=Arrivals)
    slo: Slo = Field(default_factory=Slo)
    stop_when: Annotated[tuple[StopRule, ...], Listed] = Field(
        (), description="a list of rules {metric, above, for, grace}"
    )
    capacity: CapacitySearch = Field(default_factory=CapacitySearch)
    scaling: Given[Scaling] = None
    cloudwatch: CloudWatch = Field(default_factory=CloudWatch)
    prices: PriceList = Field(default_factory=PriceList)
    guard: Guard = Field(default_factory=Guard)
    scenarios: Scenarios = Field(None, description="a list of one scenario or more")
    feeds: Feeds = Field((), description="a list of feeds {file, fields, order, delimiter, header, cast}")
    variables: Variables = Field({}, description=A_VARIABLE, repr=False)  # perhaps a password; see Step

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
        scenarios.check(self.scenarios or (), self.feeds, self.variables)
        return self

    def schedule(self) -> Schedule | None:
        """The phases at speed 1, or None without any."""
        return None if self.phases is None else _schedule(self.phases)

    @property
    def requests_each(self) -> float:
        """Requests of one arrival, on the mean: 1 without scenarios."""
        return 1.0 if self.scenarios is None else scenarios.requests_each(self.scenarios)

    @property
    def paused_each(self) -> float:
        """Seconds that one arrival waits between its requests, on the mean: 0 without scenarios."""
        return 0.0 if self.scenarios is None else scenarios.paused_each(self.scenarios)

    @property
    def environment(self) -> tuple[str, ...]:
        """Names of the environment variables that scenarios need (`{{ $env.NAME }}`) in each process that sends."""
        return tuple(sorted(scenarios.environment_of(self.scenarios or ())))

    def check_guard(self, speed: int, schedule: Schedule | None = None, source: str = "") -> None:
        """Raises ConfigError for a schedule, by default that of the phases, that sends more than the guard allows.

        source  where a schedule that is not that of the phases comes from, such as `shape NAME`
        """
        schedule, most = schedule or self.schedule(), self.guard.max_requests
        if (
            schedule is not None
            and most is not None
            and (planned := round(schedule.total / speed * self.requests_each)) > most
        ):
            of = f" of {source}" if source else ""
            raise ConfigError(f"the schedule{of} sends {planned:,} requests and guard.max_requests allows {most:,}")

    def check_stop_when(self) -> None:
        """Raises ConfigError for a rule on a metric that CloudWatch will not have of this target."""
        endpoint = self.target is not None and self.target.endpoint is not None
        component = self.request.inference_component is not None
        for i, rule in enumerate(self.stop_when):
            if accepted := rule.accepted_of(endpoint=endpoint, component=component):
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
            loc, fault = faults.first(error, data, RunConfig)
            if loc[-1] in given:
                raise ConfigError(f"{prefix}{loc[-1]}: {fault}") from None
            options = ", ".join(f"{prefix}{option}" for option in given)
            raise ConfigError(f"{options}: {written(loc)}: {fault}") from None

    def with_capacity(self, text: str, option: str) -> RunConfig:
        """Settings of `capacity` as YAML, such as "start: 50, max: 2000": they win, one by one.

        Raises ConfigError naming the option.
        """
        from sm_locust.config import yaml_text  # most runs have no use for it

        given = yaml_text.read_mapping(text, option)
        try:
            data = {**self.as_dict(), "capacity": {**self.capacity.model_dump(exclude_none=True), **given}}
            return RunConfig.model_validate(data)
        except ValidationError as error:
            loc, fault = faults.first(error, data, RunConfig)
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
            raise ConfigError(f"{source}: {shown(data)} is not accepted: a mapping of {faults.listed(cls)}")
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            loc, fault = faults.first(error, data, cls)
            more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
            at = written(loc if place is None else place(loc))
            raise ConfigError(f"{source}: {at}: {fault}{more}") from None


def _schedule(phases: tuple[PhaseEntry, ...]) -> Schedule:
    return Schedule(Phase(**phase.model_dump()) for phase in phases)
