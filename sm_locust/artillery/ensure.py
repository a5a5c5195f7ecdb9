"""`config.ensure` of a script, also as that of its plugin: our slo."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sm_locust.artillery.reading import Reading
from sm_locust.fields import Loc, format_duration

A_LIMIT = "a number of milliseconds, more than 0"
A_PERCENTAGE = "a percentage, 0 to 100"

_STATISTICS = {"median": "p50", **{s: s for s in ("p50", "p90", "p95", "p99", "p999", "max", "mean")}}
_RESPONSE_TIME = "http.response_time."


def converted(read: Reading, config: Mapping[Any, Any]) -> dict[str, str]:
    plugins = config.get("plugins")
    place: Loc = ("config", "ensure")
    given = config.get("ensure")
    if not given and isinstance(plugins, Mapping) and plugins.get("ensure"):
        place, given = ("config", "plugins", "ensure"), plugins["ensure"]
    ensure = read.mapping(place, {} if given is None else given, "a mapping of p95, p99, max, maxErrorRate, thresholds")
    read.unknown(place, ensure, ("thresholds", "conditions", "min", *_STATISTICS, "maxErrorRate"))
    limits: dict[str, float] = {}  # milliseconds
    for key, value in ensure.items():
        if key in _STATISTICS:
            _limit(read, limits, key, (*place, key), value)
    if "min" in ensure:
        read.no_equal((*place, "min"), "the least latency has no equal here: use median, p95, p99 or max")
    if "conditions" in ensure:
        read.no_equal(
            (*place, "conditions"),
            "expressions have no equal here: write limits as thresholds, such as http.response_time.p95: 200",
        )
    at: Loc = (*place, "thresholds")
    thresholds = read.listed(at, ensure.get("thresholds", []), "a list of mappings of a metric to a limit")
    for i, each in enumerate(thresholds):
        accepted = "a mapping of a metric to a limit, such as http.response_time.p95: 200"
        for metric, value in read.mapping((*at, i), each, accepted).items():
            statistic = metric.removeprefix(_RESPONSE_TIME) if isinstance(metric, str) else ""
            if statistic == metric or statistic not in _STATISTICS:
                accepted = f"{_RESPONSE_TIME}* with {', '.join(_STATISTICS)} for *; maxErrorRate beside thresholds"
                read.no_equal((*at, i, str(metric)), f"has no equal here; accepted: {accepted}")
            else:
                _limit(read, limits, statistic, (*at, i, metric), value)
    ours = {metric: format_duration(limit / 1000) for metric, limit in limits.items()}
    if ensure.get("maxErrorRate") is not None:
        at = (*place, "maxErrorRate")
        rate = read.number(at, ensure["maxErrorRate"], A_PERCENTAGE, lambda rate: 0 <= rate <= 100)
        ours["error_rate"] = f"{rate or 0:f}".rstrip("0").rstrip(".") + "%"
        read.places["slo", "error_rate"] = at
    if ours:
        read.note(
            place,
            "held against each phase, on latency from the scheduled time to the last byte; artillery holds it against "
            "the whole test, on the time from sending to the first byte",
        )
    return ours


def _limit(read: Reading, limits: dict[str, float], statistic: str, place: Loc, value: object) -> None:
    """One limit more; of two on the same metric the smaller one holds."""
    limit = read.number(place, value, A_LIMIT, lambda limit: limit > 0)
    metric = f"latency_{_STATISTICS[statistic]}"
    if limit is not None and limit <= limits.get(metric, limit):
        limits[metric] = limit
        read.places["slo", metric] = place
