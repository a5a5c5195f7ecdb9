"""A Recommendation to be read and to be copied: the configuration's `scaling`, AWS's calls, the options side by side.

Nothing is computed, and nothing is called: whoever wants it so sets it so. Application Auto Scaling's parameters are
those of RegisterScalableTarget and PutScalingPolicy; `sm-locust scaling apply` sends the same.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from decimal import Decimal

from sm_locust.analysis.cost import dollars
from sm_locust.analysis.recommendation import AWS, AWS_SAFETY, NOW, RECOMMENDED, Option, Recommendation
from sm_locust.fields import format_duration
from sm_locust.report import formats
from sm_locust.scaled import PREFIX

TITLE = "What to set"


def headline(found: Recommendation) -> str:
    """What to set, beside what is configured now; or why nobody can say."""
    if found.recommended is None:
        return f"Nothing can be recommended: {formats.printable(found.refused)}."
    said = f"{_in_words(found, found.recommended)}, with a safety factor of {found.safety:.2g}"
    return (
        f"{said}; now: {formats.printable(found.now_is)}, {_in_words(found, found.now)}." if found.now else f"{said}."
    )


def _in_words(found: Recommendation, option: Option) -> str:
    least, most = option.min_instances, option.max_instances
    bounds = found.scaled.counted(most) if least == most else f"{least:,} to {found.scaled.counted(most)}"
    return bounds if option.target is None else f"{_plain(option.target, ',')} a minute for each of {bounds}"


def sentences(found: Recommendation) -> list[str]:
    """Why."""
    return [formats.printable(reason) for reason in found.reasons]


def yaml(found: Recommendation) -> str:
    """The `scaling` section of a configuration; empty where nothing can be recommended."""
    option = found.recommended
    if option is None or option.target is None:
        return ""
    return "\n".join(
        [
            "scaling:",
            f"  min_instances: {option.min_instances}",
            f"  max_instances: {option.max_instances}",
            f"  metric: {found.scaled.metric}",
            f"  target: {_plain(option.target)}",
            f"  scale_out_cooldown: {format_duration(option.scale_out_cooldown)}",
            f"  scale_in_cooldown: {format_duration(option.scale_in_cooldown)}",
        ]
    )


def calls(found: Recommendation) -> list[str]:
    """The two command lines of the AWS CLI, for a POSIX shell; none where nothing can be recommended."""
    option = found.recommended
    if option is None:
        return []
    bounds = [("--min-capacity", str(option.min_instances)), ("--max-capacity", str(option.max_instances))]
    tracking = {
        "TargetValue": option.target,
        "PredefinedMetricSpecification": {"PredefinedMetricType": found.scaled.metric},
        "ScaleOutCooldown": int(option.scale_out_cooldown),
        "ScaleInCooldown": int(option.scale_in_cooldown),
    }
    policy = [
        ("--policy-name", PREFIX + found.scaled.metric),
        ("--policy-type", "TargetTrackingScaling"),
        ("--target-tracking-scaling-policy-configuration", json.dumps(tracking, indent=2)),
    ]
    return [_call(found, "register-scalable-target", bounds), _call(found, "put-scaling-policy", policy)]


def _call(found: Recommendation, operation: str, parameters: list[tuple[str, str]]) -> str:
    scaled = found.scaled
    options = [
        ("--service-namespace", "sagemaker"),
        ("--resource-id", scaled.resource_id),
        ("--scalable-dimension", scaled.dimension),
        *parameters,
    ]
    if found.region is not None:
        options.append(("--region", found.region))
    if found.url is not None:  # else what was measured here would be set at AWS
        options.append(("--endpoint-url", found.url))
    lines = [f"aws application-autoscaling {operation}", *(shlex.join(option) for option in options)]
    return " \\\n  ".join(lines)


def table(found: Recommendation) -> formats.Table:
    """As it is configured now, recommended, and with AWS's 0.5. Columns of which nothing is known are left out."""
    unit, units = found.scaled.unit, found.scaled.units
    header: tuple[str, ...] = ("", "target/min", units, "cooldown out", "in", f"{unit}-hours")
    header += ("cost", "a million", "worst minute", "errors")
    rows = [tuple(_row(found, option)) for option in found.options]
    kept = [i for i in range(len(header)) if any(row[i] != formats.UNKNOWN for row in rows)]
    planned = any(option.instance_hours is not None for option in found.options)
    return formats.Table(
        tuple(header[i] for i in kept),
        tuple(tuple(row[i] for i in kept) for row in rows),
        note=_note(found) if planned else "",
        spare=("in", "cooldown out", "a million"),
    )


def _row(found: Recommendation, option: Option) -> Iterator[str]:
    least, most = option.min_instances, option.max_instances
    yield {
        NOW: f"now: {formats.printable(found.now_is)}",
        RECOMMENDED: "recommended",
        AWS: f"AWS's factor of {AWS_SAFETY:g}",
    }[option.name]
    yield formats.UNKNOWN if option.target is None else _plain(option.target, ",")
    yield f"{least:,}" if least == most else f"{least:,} to {most:,}"
    for seconds in (option.scale_out_cooldown, option.scale_in_cooldown):
        yield formats.UNKNOWN if option.target is None else f"{seconds:,.0f} s"
    yield formats.UNKNOWN if option.instance_hours is None else f"{option.instance_hours:,.2f}"
    yield formats.UNKNOWN if option.cost is None else dollars(option.cost)
    yield formats.UNKNOWN if option.per_million is None else dollars(option.per_million)
    beyond = "*" if option.extrapolated else ""
    yield formats.UNKNOWN if option.worst_mean is None else f"{formats.ms(option.worst_mean)}{beyond}"
    yield formats.UNKNOWN if option.errors is None else f"{formats.number(option.errors)}{beyond}"


def _note(found: Recommendation) -> str:
    parts = ["For the planned load, once, at speed 1."]
    if any(option.worst_mean is not None for option in found.options):
        parts.append(
            "Hours, worst minute (mean latency) and errors are predicted from the latency that this run measured, as "
            "by `sm-locust whatif`."
        )
        if any(option.worst_mean is None for option in found.options):
            parts.append(f"{formats.UNKNOWN} the load goes beyond what an instance was seen to bear.")
    if any(option.extrapolated for option in found.options):
        parts.append("* beyond what was measured.")
    if not found.scaled.copies and all(option.cost is None for option in found.options):
        parts.append("Cost unknown: give prices.instance_hour in the configuration.")
    return " ".join(parts)


def _plain(value: float, grouped: str = "") -> str:
    """A number as YAML and people read it: no exponent, no .0."""
    exact = Decimal(repr(value))
    return f"{exact.to_integral_value() if exact == exact.to_integral_value() else exact.normalize():{grouped}f}"
