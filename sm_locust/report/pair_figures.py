"""Which curves a page shows of two runs over time: each picture BEFORE and AFTER, on the same axes.

The first three are those of the AWS blog's experiment: invocations with each instance's share, ModelLatency, errors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sm_locust.analysis.compare import Comparison, Minute, Side
from sm_locust.analysis.minutes import Span
from sm_locust.report.curves import Chart, Curve, as_ms, in_seconds, is_short, label, middle, phases, plotted, slo_lines


def of_pair(comparison: Comparison) -> list[tuple[Chart, Chart]]:
    """The same charts of both runs, each pair on the same axes; only those that have anything to show."""
    until = max(side.summary.minutes.end * side.summary.speed / 60 for side in comparison.sides)
    kinds = sorted({kind for side in comparison.sides for kind in side.summary.minutes.whole.requests.by_kind})
    dropped = any(side.summary.minutes.whole.arrivals.dropped for side in comparison.sides)
    watched = any(minute.model_latency_mean is not None for side in comparison.sides for minute in side.minutes)
    short = all(is_short(side.summary) for side in comparison.sides)
    each = "second" if short else "minute"

    def pair(build: Callable[[Side, dict[str, Any]], Chart]) -> tuple[Chart, Chart]:
        before, after = (
            build(side, {"phases": phases(side.summary), "until": round(until, 4), "width": 1 / 60 if short else 1.0})
            for side in comparison.sides
        )
        common = _range(before, after)
        before, after = replace(before, range=common), replace(after, range=common)
        return (in_seconds(before), in_seconds(after)) if short else (before, after)

    def spans(side: Side) -> list[Span]:
        """What a curve has points of: a run of a minute would be but one."""
        return side.summary.minutes.series if short else side.summary.minutes.rows

    def curve(name: str, role: str, side: Side, value: Callable[[Minute], float | None]) -> Curve:
        found = [(middle(span), plotted(value(side.during(span)))) for span in spans(side)]
        return Curve(name, role, [x for x, _ in found], [y for _, y in found])

    target = comparison.per_instance_target
    limits = [] if target is None else [(target, f"scaling target {target:,.10g} per instance")]

    def invocations(side: Side, axis: dict[str, Any]) -> Chart:
        # Without CloudWatch what was sent stands for what was invoked; nothing stands for the instances' share.
        curves = [curve("Invocations", "invocations", side, lambda minute: minute.invocations)]
        if not watched:
            curves = [curve("sent", "invocations", side, lambda minute: minute.sent)]
        curves.append(curve("per instance", "per-instance", side, lambda minute: minute.per_instance))
        return Chart(
            "Invocations and invocations per instance" if watched else "Invocations",
            "a minute, as CloudWatch counted them" if watched else "sent a minute; CloudWatch was not watched",
            "a minute",
            "lines",
            False,
            curves if watched else curves[:1],
            limits if watched else [],
            **axis,
        )

    def latency(side: Side, axis: dict[str, Any]) -> Chart:
        name, role = ("ModelLatency mean", "model") if watched else ("service time mean", "model")
        source = "by CloudWatch" if watched else "from the send, by the load generator"
        return Chart(
            "ModelLatency" if watched else "Service time",
            f"mean of each {each} in ms, {source}; logarithmic",
            "ms",
            "lines",
            True,
            [curve(name, role, side, lambda m: as_ms(m.model_latency_mean if watched else m.service_time_mean))],
            slo_lines(side.summary, lambda metric: metric.endswith("_mean")),
            **axis,
        )

    def errors(side: Side, axis: dict[str, Any]) -> Chart:
        rows = spans(side)
        xs = [middle(row) for row in rows]
        curves = [
            Curve(label(k), "error", xs, [plotted(row.per_minute(row.requests.by_kind.get(k, 0))) for row in rows])
            for k in kinds
        ]
        if dropped:
            unsent = [plotted(row.per_minute(row.arrivals.dropped)) for row in rows]
            curves.append(Curve("dropped, not sent", "dropped", xs, unsent))
        return Chart(
            "Errors",
            "failed requests a minute, by kind; counted by the load generator",
            "a minute",
            "bars",
            False,
            curves,
            [],
            **axis,
        )

    def instances(side: Side, axis: dict[str, Any]) -> Chart:
        return Chart(
            "Instances in service",
            "their number, as CloudWatch's periods and scaling saw it",
            "in service",
            "steps",
            False,
            [curve("instances", "instances", side, lambda minute: minute.instances)],
            [],
            **axis,
        )

    charts = [pair(invocations), pair(latency), pair(errors), pair(instances)]
    return [both for both in charts if any(y is not None for chart in both for c in chart.curves for y in c.y)]


def _range(*charts: Chart) -> tuple[float, float] | None:
    """What holds every value and limit of all of them."""
    values = [limit for chart in charts for limit, _ in chart.limits]
    for chart in charts:
        columns = [[y or 0.0 for y in curve.y] for curve in chart.curves]
        values += map(sum, zip(*columns, strict=True)) if chart.kind == "bars" else (y for c in columns for y in c)
    top = max(values, default=0.0)
    if not charts[0].log:
        return (0.0, top + 0.5 if charts[0].kind == "steps" else top * 1.06) if top else None
    low = min((value for value in values if value > 0), default=0.0)
    return (low / 1.6, top * 1.6) if low else None
