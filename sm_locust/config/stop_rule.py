"""One rule of `stop_when`: on which metrics there may be one, and how a limit on each is read and written.

Whether a rule has held is analysis.stopping's.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from pydantic import Field, ValidationInfo, field_serializer, field_validator

from sm_locust.config.metrics import DROP_RATE, ERROR_RATE, NOT_VALID, OVERHEAD, SHORTFALL, STATISTICS
from sm_locust.config.sections import Slo
from sm_locust.fields import (
    A_DURATION,
    A_LATENCY,
    A_METRIC,
    A_PERCENTAGE,
    A_RATIO,
    Duration,
    Given,
    Section,
    format_duration,
    read_latency,
    read_percentage,
    read_ratio,
    refused,
)

# As CloudWatch names them. Of an inference component they are shares of what the copy was given.
_OF_INSTANCES = ("CPUUtilization", "MemoryUtilization", "DiskUtilization", "GPUUtilization", "GPUMemoryUtilization")
_OF_COPIES = (
    *("CPUUtilizationNormalized", "MemoryUtilizationNormalized"),
    *("GPUUtilizationNormalized", "GPUMemoryUtilizationNormalized"),
)

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
            return "ModelLatency", STATISTICS[self.metric.removeprefix("model_latency_")]
        return (self.metric, "Average") if self.metric in (OVERHEAD, *_OF_INSTANCES, *_OF_COPIES) else None

    def accepted_of(self, *, endpoint: bool, component: bool) -> str:
        """What is accepted in place of its metric where CloudWatch will not have that; empty where it will.

        endpoint, component  whether the target is an endpoint, and an inference component of it
        """
        if self.cloudwatch is None:
            return ""
        if not endpoint:
            return "only with target.endpoint, whose metrics CloudWatch has"
        if self.metric in (_OF_INSTANCES if component else _OF_COPIES):
            named = ", ".join(_OF_COPIES if component else _OF_INSTANCES)
            return f"{'with' if component else 'without'} request.inference_component, {named}"
        return ""

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
