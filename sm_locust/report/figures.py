"""Which curves a report shows of a Summary or a Comparison: points over schedule minutes, as plain values.

A curve names its role (`planned`, `latency`, …), never a colour or a width: the page's style sheet and script know what
a role looks like, in the light and in the dark.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from html import escape
from typing import Any

from sm_locust.analysis.compare import Comparison, Minute, Side
from sm_locust.analysis.minutes import Span
from sm_locust.analysis.rules import MEASURED, MODEL_LATENCY
from sm_locust.analysis.summary import Summary
from sm_locust.analysis.watched import Period, Watched
from sm_locust.report import wording

MAX_LABEL = 32  # characters: two phases' names stay apart


@dataclass(frozen=True, slots=True)
class Curve:
    """role  what it stands for; the page knows its colour
    x     schedule minutes, the middle of each point's span
    y     one value a point; None leaves a gap
    """

    name: str
    role: str
    x: list[float]
    y: list[float | None]


@dataclass(frozen=True, slots=True)
class Chart:
    """kind    "lines", "bars" that are stacked, or "steps"
    log     whether the y axis is logarithmic
    limits  horizontal lines: value and label
    phases  name, from and to in schedule minutes
    width   of a bar, schedule minutes
    range   of the y axis; None for what the curves need
    along   what the x axis counts
    """

    title: str
    subtitle: str
    unit: str
    kind: str
    log: bool
    curves: list[Curve]
    limits: list[tuple[float, str]]
    phases: list[tuple[str, float, float]]
    until: float
    width: float
    range: tuple[float, float] | None = None
    along: str = "schedule minute"

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def of(summary: Summary) -> list[Chart]:
    """The charts of the report; none when nothing was planned or sent."""
    spans = [span for span in summary.minutes.series if span.seconds > 0]
    whole = summary.minutes.whole
    if not spans or not (whole.planned or whole.sent):
        return []
    xs = [_middle(span) for span in spans]
    axis: dict[str, Any] = {
        "phases": _phases(summary),
        "until": round(summary.minutes.end * summary.speed / 60, 4),
        "width": round(max(span.seconds for span in spans) * summary.speed / 60, 4),
    }

    def curve(name: str, role: str, values: list[float | None]) -> Curve:
        return Curve(_label(name), role, xs, [None if value is None else round(value, 4) for value in values])

    def in_ms(measure: str, quantile: float) -> list[float | None]:
        found = [getattr(span.requests, measure).quantile(quantile) for span in spans]
        return [None if value is None else value * 1e3 for value in found]

    arrivals = Chart(
        "Planned and sent",
        "arrivals a minute: what the schedule wanted and what left",
        "a minute",
        "lines",
        False,
        [
            curve("planned", "planned", [span.per_minute(span.planned) for span in spans]),
            curve("sent", "sent", [span.per_minute(span.sent) for span in spans]),
        ],
        [],
        **axis,
    )
    watched = summary.watched
    model = _model_latency(watched)
    latency = Chart(
        "Latency",
        "logarithmic; latency from the scheduled time (what a consumer feels), service time from the send"
        + (", ModelLatency by CloudWatch" if model else ""),
        "ms",
        "lines",
        True,
        [
            curve("latency p99", "latency-high", in_ms("latency", 0.99)),
            curve("latency p50", "latency", in_ms("latency", 0.5)),
            curve("service time p99", "service-high", in_ms("service_time", 0.99)),
            curve("service time p50", "service", in_ms("service_time", 0.5)),
            *model,
        ],
        _slo(summary, lambda metric: metric.rpartition("_")[0] in (*MEASURED, *([MODEL_LATENCY] if model else []))),
        **axis,
    )
    kinds = [
        curve(kind, "error", [span.per_minute(span.requests.by_kind.get(kind, 0)) for span in spans])
        for kind in sorted(whole.requests.by_kind)
    ]
    if whole.arrivals.dropped:
        kinds.append(curve("dropped, not sent", "dropped", [span.per_minute(span.arrivals.dropped) for span in spans]))
    errors = Chart("Errors", "failed requests a minute, by kind", "a minute", "bars", False, kinds, [], **axis)
    seen = [_invocations(watched, axis), _instances(watched, axis)] if watched else []
    return [chart for chart in (arrivals, latency, errors, *seen) if chart.curves]


# -- what AWS saw ------------------------------------------------------------------------------------------------------


def _model_latency(watched: Watched | None) -> list[Curve]:
    found = [(period, period.model_latency) for period in (watched.periods if watched else ())]
    means = [None if latency is None else latency.metric("mean") for _, latency in found]
    if not any(means):
        return []
    return [_of_periods("ModelLatency mean", "model", watched, [None if m is None else m * 1e3 for m in means])]


def _invocations(watched: Watched, axis: dict[str, Any]) -> Chart:
    target = watched.setting.per_instance if watched.setting else None

    def rates(of: Callable[[Period], float | None]) -> list[float | None]:
        # The count of a period that the load covered in part says nothing of a rate.
        return [None if period.partial else period.per_minute(of(period)) for period in watched.periods]

    curves = [
        _of_periods("Invocations", "invocations", watched, rates(lambda period: period.invocations)),
        _of_periods("per instance", "per-instance", watched, rates(lambda period: period.per_instance)),
    ]
    return Chart(
        "Invocations and invocations per instance",
        "a minute, as CloudWatch counted them; scaling holds on to those per instance",
        "a minute",
        "lines",
        False,
        curves if watched.known else [],
        [] if target is None else [(target, f"scaling target {target:,.10g} per instance")],
        **axis,
    )


def _instances(watched: Watched, axis: dict[str, Any]) -> Chart:
    found = [period.instances for period in watched.periods]
    top = max((value for value in found if value is not None), default=0.0)
    return Chart(
        "Instances in service",
        "",
        "in service",
        "steps",
        False,
        [_of_periods("instances", "instances", watched, found)] if top else [],
        [],
        **axis,
        range=(0.0, top + 0.5),
    )


def _of_periods(name: str, role: str, watched: Watched | None, values: list[float | None]) -> Curve:
    periods: Sequence[Period] = watched.periods if watched else ()
    xs = [round(period.middle_s / 60, 4) for period in periods]
    return Curve(name, role, xs, [None if value is None else round(value, 4) for value in values])


# -- two runs ----------------------------------------------------------------------------------------------------------


def of_pair(comparison: Comparison) -> list[tuple[Chart, Chart]]:
    """The same charts of both runs, each pair on the same axes; only those that have anything to show."""
    until = max(side.summary.minutes.end * side.summary.speed / 60 for side in comparison.sides)
    kinds = sorted({kind for side in comparison.sides for kind in side.summary.minutes.whole.requests.by_kind})
    watched = any(minute.model_latency_mean is not None for side in comparison.sides for minute in side.minutes)

    def pair(build: Callable[[Side, dict[str, Any]], Chart]) -> tuple[Chart, Chart]:
        before, after = (
            build(side, {"phases": _phases(side.summary), "until": round(until, 4), "width": 1.0})
            for side in comparison.sides
        )
        common = _range(before, after)
        return replace(before, range=common), replace(after, range=common)

    target = comparison.per_instance_target
    limits = [] if target is None else [(target, f"scaling target {target:,.10g} per instance")]

    def invocations(side: Side, axis: dict[str, Any]) -> Chart:
        # Without CloudWatch what was sent stands for what was invoked; nothing stands for the instances' share.
        curves = [_of_minutes("Invocations", "invocations", side, lambda minute: minute.invocations)]
        if not watched:
            curves = [_of_minutes("sent", "invocations", side, lambda minute: minute.sent)]
        curves.append(_of_minutes("per instance", "per-instance", side, lambda minute: minute.per_instance))
        return Chart(
            "Invocations",
            "a minute, and a minute for each instance" if watched else "sent a minute; CloudWatch was not watched",
            "a minute",
            "lines",
            False,
            curves if watched else curves[:1],
            limits if watched else [],
            **axis,
        )

    def latency(side: Side, axis: dict[str, Any]) -> Chart:
        name, role = ("ModelLatency mean", "model") if watched else ("service time mean", "model")
        return Chart(
            "ModelLatency" if watched else "Service time",
            f"mean of each minute, {'by CloudWatch' if watched else 'from the send'}; logarithmic",
            "ms",
            "lines",
            True,
            [_of_minutes(name, role, side, lambda m: _in_ms(m.model_latency_mean if watched else m.service_time_mean))],
            _slo(side.summary, lambda metric: metric.endswith("_mean")),
            **axis,
        )

    def errors(side: Side, axis: dict[str, Any]) -> Chart:
        rows = side.summary.minutes.rows
        xs = [_middle(row) for row in rows]
        curves = [
            Curve(_label(k), "error", xs, [_rounded(row.per_minute(row.requests.by_kind.get(k, 0))) for row in rows])
            for k in kinds
        ]
        return Chart("Errors", "failed requests a minute, by kind", "a minute", "bars", False, curves, [], **axis)

    def instances(side: Side, axis: dict[str, Any]) -> Chart:
        curve = _of_minutes("instances", "instances", side, lambda minute: minute.instances)
        return Chart("Instances in service", "", "in service", "steps", False, [curve], [], **axis)

    charts = [pair(invocations), pair(latency), pair(errors), pair(instances)]
    return [both for both in charts if any(y is not None for chart in both for c in chart.curves for y in c.y)]


def _of_minutes(name: str, role: str, side: Side, value: Callable[[Minute], float | None]) -> Curve:
    xs = [_middle(row) for row in side.summary.minutes.rows]
    return Curve(name, role, xs, [_rounded(value(minute)) for minute in side.minutes])


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


def _slo(summary: Summary, shown: Callable[[str], bool]) -> list[tuple[float, str]]:
    """Limits in milliseconds; those that are the same are one line with all names."""
    names: dict[float, list[str]] = {}
    for metric, limit in summary.limits.items():
        if shown(metric):
            names.setdefault(round(limit * 1e3, 6), []).append(metric)
    return [(limit, f"SLO {', '.join(metrics)}") for limit, metrics in names.items()]


def _in_ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1e3


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _label(name: str) -> str:
    """Short, and as Plotly reads it: markup, though without the entities of quotes."""
    text = wording.printable(name)
    return escape(text if len(text) <= MAX_LABEL else text[: MAX_LABEL - 1] + "…", quote=False)


def _middle(span: Span) -> float:
    return round((span.start + span.seconds / 2) * span.speed / 60, 4)


def _phases(summary: Summary) -> list[tuple[str, float, float]]:
    return [
        (_label(phase.name), span.at_s / 60, (span.start + span.seconds) * span.speed / 60)
        for phase in summary.phases
        for span in [phase.span]
    ]
