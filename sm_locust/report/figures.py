"""Which curves a report shows of a Summary: points over schedule minutes, as plain values.

A curve names its role (`planned`, `latency`, …), never a colour or a width: the page's style sheet and script know what
a role looks like, in the light and in the dark.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from html import escape
from typing import Any

from sm_locust.analysis.minutes import Span
from sm_locust.analysis.rules import MEASURED
from sm_locust.analysis.summary import Summary
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
    """kind    "lines", or "bars" that are stacked
    log     whether the y axis is logarithmic
    limits  horizontal lines: value and label
    phases  name, from and to in schedule minutes
    width   of a bar, schedule minutes
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
    latency = Chart(
        "Latency",
        "logarithmic; latency from the scheduled time (what a consumer feels), service time from the send",
        "ms",
        "lines",
        True,
        [
            curve("latency p99", "latency-high", in_ms("latency", 0.99)),
            curve("latency p50", "latency", in_ms("latency", 0.5)),
            curve("service time p99", "service-high", in_ms("service_time", 0.99)),
            curve("service time p50", "service", in_ms("service_time", 0.5)),
        ],
        [
            (round(limit * 1e3, 6), f"SLO {metric}")
            for metric, limit in summary.limits.items()
            if metric.rpartition("_")[0] in MEASURED
        ],
        **axis,
    )
    kinds = [
        curve(kind, "error", [span.per_minute(span.requests.by_kind.get(kind, 0)) for span in spans])
        for kind in sorted(whole.requests.by_kind)
    ]
    if whole.arrivals.dropped:
        kinds.append(curve("dropped, not sent", "dropped", [span.per_minute(span.arrivals.dropped) for span in spans]))
    errors = Chart("Errors", "failed requests a minute, by kind", "a minute", "bars", False, kinds, [], **axis)
    if not kinds:
        return [arrivals, latency]
    return [arrivals, latency, errors]


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
