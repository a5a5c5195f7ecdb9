"""What `run.json` says of a run: why it ended, and which values are ones that can be read later.

One may be of another version, or edited: what would be stumbled over later is refused when the folder is opened.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from sm_locust.schedule import SPEEDS, Schedule

SCHEMA_VERSION = 1

COMPLETE, RUN_TIME, SEARCHED = "schedule complete", "run time reached", "search over"
STOPPED, BY_HAND = "stopped by stop_when", "stopped by hand"
ALL_LOST = "the last worker was lost"
USED_UP = "payloads used up"
PAYLOADS_FAILED = "payloads failed: "  # + what: why a run ended, and the event of the process whose payloads they were
ENDS_OF_ITSELF = (COMPLETE, RUN_TIME, SEARCHED, STOPPED, USED_UP)  # what run.json says of a run that nobody ended

LONGEST = 720 * 3600.0  # seconds of a run


def wrong(meta: object) -> str:
    """What of it cannot be read here, in words; empty where all can."""
    version = meta.get("schema_version") if isinstance(meta, dict) else None
    if not isinstance(meta, dict) or version != SCHEMA_VERSION:
        return f"schema_version {version!r}; this sm-locust reads {SCHEMA_VERSION}"
    if "run_id" not in meta:
        return "it has no run_id"
    if _depth(meta) > _DEEPEST:
        return f"what is nested too deeply is not accepted: {_DEEPEST} levels at the most"
    if not _finite(meta):
        return "a number that is not finite is not accepted: those that JSON has"
    for key, (is_right, accepted) in _KEYS.items():
        parent, _, name = key.rpartition(".")
        found = meta.get(parent) if parent else meta
        if isinstance(found, dict) and name in found and not is_right(found[name]):
            return f"{key} is not accepted: {accepted}"
    return ""


def _depth(value: object) -> int:
    """Levels of lists and mappings, up to one more than are accepted."""
    depth, level = 0, [value]
    while depth <= _DEEPEST and (level := [item for item in level if isinstance(item, dict | list)]):
        depth += 1
        level = [inner for item in level for inner in (item.values() if isinstance(item, dict) else item)]
    return depth


def _finite(value: object) -> bool:
    """Whether all of its numbers are JSON's: Python reads and writes NaN and infinity, too."""
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return True


def _number(least: float, most: float) -> Callable[[object], bool]:
    return lambda v: isinstance(v, int | float) and not isinstance(v, bool) and least <= v <= most


def _listed(kind: type) -> Callable[[object], bool]:
    return lambda v: isinstance(v, list) and all(isinstance(item, kind) for item in v)


def _or_null(is_right: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda v: v is None or is_right(v)


def _mapping(value: object) -> bool:
    return isinstance(value, dict)


def _schedule(value: object) -> bool:
    if not isinstance(value, dict) or not _or_null(_listed(dict))(value.get("phases")):
        return False
    try:
        return not value.get("phases") or bool(Schedule.from_dicts(value["phases"]).phases)
    except (TypeError, ValueError, OverflowError):
        return False


def _billing(value: object) -> bool:
    """Whether it is what record.billing.Billing.as_dict gives, and perhaps more."""
    if not isinstance(value, dict) or not _or_null(_listed(dict))(value.get("items")):
        return False
    items: list[dict[str, Any]] = value.get("items") or []
    return all(
        isinstance(item.get("what"), str)
        and _or_null(_number(0, 1e9))(item.get("hourly"))
        and all(isinstance(item.get(key, ""), str) for key in ("origin", "command", "fault"))
        for item in items
    )


def _scaling(value: object) -> bool:
    """Whether it is what aws.scaling.ScalingState.as_dict gives, as far as it is read."""
    if not isinstance(value, dict) or not _or_null(_listed(dict))(value.get("policies")):
        return False
    target = value.get("target")
    if target is not None and not (
        isinstance(target, dict)
        and all(_instances(target.get(key)) for key in ("MinCapacity", "MaxCapacity"))
        and _or_null(_mapping)(target.get("SuspendedState"))
    ):
        return False
    return all(_tracking(policy.get(_TRACKING)) for policy in value.get("policies") or ())


def _tracking(value: object) -> bool:
    if value is None:
        return True
    if not isinstance(value, dict) or not _or_null(_number(0, 1e12))(value.get("TargetValue")):
        return False
    for key in ("PredefinedMetricSpecification", "CustomizedMetricSpecification"):
        metric = value.get(key)
        if not _or_null(_mapping)(metric):
            return False
        if metric and not all(_text_or_null(metric.get(name)) for name in ("PredefinedMetricType", "MetricName")):
            return False
    return True


def _capacity(value: object) -> bool:
    """Whether it is what analysis.capacity.Capacity.as_dict gives: names and kinds."""
    if not isinstance(value, dict) or value.keys() - _CAPACITY_KEYS or "way" not in value:
        return False
    return all(_CAPACITY_KEYS[key](found) for key, found in value.items())


def _stopped(value: dict[str, Any]) -> bool:
    """Whether it is what analysis.stopping.Tripped.as_dict gives: names and kinds."""
    return value.keys() == _STOPPED_KEYS.keys() and all(_STOPPED_KEYS[key](found) for key, found in value.items())


_DEEPEST = 100
_TRACKING = "TargetTrackingScalingPolicyConfiguration"
_instances = _number(0, 1e6)
_seconds_of_schedule = _number(-1e9, 1e9)
_STOPPED_KEYS: dict[str, Callable[[object], bool]] = {
    **dict.fromkeys(("rule", "metric", "why"), lambda v: isinstance(v, str)),
    "value": _or_null(_seconds_of_schedule),
    **dict.fromkeys(("since_s", "until_s", "at_s"), _seconds_of_schedule),
}
_rate_or_null = _or_null(_number(0, 1e9))
_text_or_null = _or_null(lambda v: isinstance(v, str))
_CAPACITY_KEYS: dict[str, Callable[[object], bool]] = {
    "way": lambda v: v == "search",
    **dict.fromkeys(("max_rps", "low", "high", "fails_at", "instances", "saturates_at"), _rate_or_null),
    "confidence": _number(0, 1),
    "reached": lambda v: isinstance(v, bool),
    "limited_by": _text_or_null,
    "refused": _text_or_null,
}

# What is read of run.json, by dotted key: whether a value is one, and what is accepted in words. A key that is not
# there is no fault here.
_KEYS: dict[str, tuple[Callable[[object], bool], str]] = {
    "run_id": (lambda v: isinstance(v, str), "a text"),
    "speed": (lambda v: v in SPEEDS and not isinstance(v, bool), f"one of {', '.join(map(str, SPEEDS))}"),
    "ended_s": (_or_null(_number(0, LONGEST)), "a number of seconds, 0 to 720 hours"),
    "per_user": (_or_null(_number(0, 1e9)), "a number of arrivals a second"),
    "schedule": (_schedule, "a mapping with phases"),
    "ended": (lambda v: isinstance(v, str), "a text"),
    "config": (_or_null(_mapping), "a mapping"),
    "users": (_or_null(_listed(str)), "a list of texts"),
    "workers": (_or_null(_listed(str)), "a list of texts"),
    "versions": (_or_null(_mapping), "a mapping"),
    "billing": (_or_null(_billing), "a mapping with items"),
    "stopped": (_or_null(lambda v: isinstance(v, dict) and _stopped(v)), "a mapping of the rule, as it was"),
    "search": (lambda v: isinstance(v, dict) and _capacity(v.get("capacity")), "a mapping with capacity, as it was"),
    "scaling": (_or_null(_scaling), "a mapping of target and policies, as AWS has them"),
    "endpoint": (_or_null(_mapping), "a mapping"),
    "endpoint.instance_type": (_or_null(lambda v: isinstance(v, str)), "a text"),
    "endpoint.instances": (_or_null(_instances), "a number of instances"),
    "cloudwatch": (_or_null(_mapping), "a mapping"),
    "cloudwatch.period_s": (_number(1, LONGEST), "a number of seconds, 1 or more"),
    "cloudwatch.missing": (_or_null(_listed(str)), "a list of texts"),
    "cloudwatch.subjects": (_or_null(_listed(dict)), "a list of mappings"),
    "cloudwatch.clock_offset_s": (_or_null(_number(-86400, 86400)), "a number of seconds, a day at most"),
}
