"""What setting up the configuration's scaling would change, line by line and in words.

Setting it up is scaling's, showing the lines the report's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sm_locust.aws import scaling, serving
from sm_locust.aws.application_autoscaling import paused
from sm_locust.config import RunConfig

NONE = "–"


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that scaling consists of, in words, as it is and as the configuration has it."""

    what: str
    now: str
    then: str

    @property
    def changes(self) -> bool:
        return self.now != self.then


def preview(config: RunConfig, state: scaling.ScalingState, serve: int | None) -> list[Row]:
    """What `apply` would change, and what it would not, line by line.

    serve  instances or copies that serve now, for the reader

    Raises ConfigError.
    """
    section, what, ours = scaling.wanted(config), serving.scaled(config), scaling.policy(config)
    target, instances = state.target or {}, state.instances
    registered = f"{target['MinCapacity']} to {what.counted(target['MaxCapacity'])}" if target else "not registered"
    rows = [
        Row("bounds", registered, f"{section.min_instances} to {what.counted(section.max_instances)}"),
        Row("suspended", paused(target.get("SuspendedState")) or NONE, paused(scaling.suspended(state)) or NONE),
    ]
    known = {str(there["PolicyName"]): there for there in state.policies}
    for name in sorted({*known, ours["PolicyName"]}):
        then = _words(ours) if name == ours["PolicyName"] else NONE
        now = _words(known[name]) if name in known else NONE
        rows.append(Row(f"policy {name}", now, then))
    for action in state.scheduled_actions:
        moves = ", ".join(f"{key} {value}" for key, value in (action.get("ScalableTargetAction") or {}).items())
        now = f"{action.get('Schedule', '')} {moves}".strip()
        rows.append(Row(f"scheduled action {action['ScheduledActionName']}", now, now))
    wanted_now = NONE if instances is None else what.counted(instances)
    then = NONE if instances is None else what.counted(max(instances, section.min_instances))
    serving_now = "" if serve in (None, instances) else f", {serve} serving"
    rows.append(Row(what.counted(2).removeprefix("2 "), wanted_now + serving_now, then + serving_now))
    if state.tags:
        tags = ", ".join(f"{key}={value}" for key, value in sorted(state.tags.items()))
        rows.append(Row("tags", tags, tags))
    return rows


def _words(described: Mapping[str, Any]) -> str:
    """A policy in a few words."""
    tracking = described.get("TargetTrackingScalingPolicyConfiguration")
    if tracking is None:
        return str(described["PolicyType"])
    predefined = tracking.get("PredefinedMetricSpecification") or {}
    custom = tracking.get("CustomizedMetricSpecification") or {}
    metric = predefined.get("PredefinedMetricType") or " ".join(
        str(custom[key]) for key in ("Namespace", "MetricName", "Statistic") if key in custom
    )
    dimensions = ", ".join(str(each.get("Value")) for each in custom.get("Dimensions") or ())
    words = [f"{metric or 'metric math'}{f' of {dimensions}' if dimensions else ''} at {tracking['TargetValue']:g}"]
    for key, label in (("ScaleOutCooldown", "cooldown out"), ("ScaleInCooldown", "cooldown in")):
        if key in tracking:
            words.append(f"{label} {tracking[key]} s")
    if tracking.get("DisableScaleIn"):
        words.append("never in")
    return ", ".join(words)
