"""Which curves a report shows of a Summary: points over schedule minutes, as plain values.

A curve names its role (`planned`, `latency`, …), never a colour or a width: the page's style sheet and script know what
a role looks like, in the light and in the dark.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from html import escape
from typing import Any

from sm_locust.analysis.minutes import Span
from sm_locust.analysis.rules import MEASURED, MODEL_LATENCY
from sm_locust.analysis.summary import Summary
from sm_locust.analysis.watched import Period, Watched
from sm_locust.report import wording

MAX_LABEL = 32  # characters: two phases' names stay apart


@dataclass(frozen=True, slots=True)
class Curve:
    """role  what it stands for; the page knows its colour
    x     schedule minutes, the middle of each point's span; or what the chart counts along
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
    since   where the x axis begins
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
    since: float = 0.0

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


def _slo(summary: Summary, shown: Callable[[str], bool]) -> list[tuple[float, str]]:
    """Limits in milliseconds; those that are the same are one line with all names."""
    names: dict[float, list[str]] = {}
    for metric, limit in summary.limits.items():
        if shown(metric):
            names.setdefault(round(limit * 1e3, 6), []).append(metric)
    return [(limit, f"SLO {', '.join(metrics)}") for limit, metrics in names.items()]


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
