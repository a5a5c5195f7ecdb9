"""What every figure is made of: curves and charts as plain values, and the words and units that all of them share.

A curve names its role (`planned`, `latency`, …), never a colour or a width: the page's style sheet and script know what
a role looks like, in the light and in the dark.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from html import escape
from typing import Any

from sm_locust.analysis.minutes import Span
from sm_locust.analysis.summary import Summary
from sm_locust.report import formats

SHORT = 2.0  # schedule minutes: below that an axis counts seconds
MAX_LABEL = 32  # characters: two phases' names stay apart


@dataclass(frozen=True, slots=True)
class Curve:
    """role  what it stands for; the page knows its colour
    x     schedule minutes, the middle of each point's span; or what the chart counts `along`
    y     one value a point; None leaves a gap
    """

    name: str
    role: str
    x: list[float]
    y: list[float | None]


@dataclass(frozen=True, slots=True)
class Chart:
    """kind    "lines", "bars" that are stacked, "steps", or "heat"
    log     whether the y axis is logarithmic
    limits  horizontal lines: value and label
    phases  name, from and to, as the x axis counts
    width   of a bar, as the x axis counts
    range   of the y axis; None for what the curves need
    along   what the x axis counts
    since   where the x axis begins
    marks   moments: when, as the x axis counts, and what happened
    heat    of a heat map: edges of its columns (along x) and of its rows (in `unit`), counts by row and column
    table   the same in numbers, minute by minute and never thinned; the page's, and no part of `as_dict`
    missing why there is nothing to draw, in one sentence, where that is not obvious
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
    marks: list[tuple[float, str]] = field(default_factory=list)
    heat: tuple[list[float], list[float], list[list[int]]] | None = None
    table: formats.Table | None = None
    missing: str = ""

    @property
    def drawn(self) -> bool:
        """Whether there is anything to see."""
        return bool(self.curves or self.heat)

    def as_dict(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if name not in ("table", "missing")}


def in_seconds(chart: Chart) -> Chart:
    """A chart along schedule minutes, along schedule seconds: what lasts less than SHORT reads better so."""

    def seconds(minutes: float) -> float:
        return round(minutes * 60, 2)

    heat = chart.heat
    return replace(
        chart,
        along="schedule second",
        curves=[replace(curve, x=[seconds(x) for x in curve.x]) for curve in chart.curves],
        phases=[(name, seconds(since), seconds(until)) for name, since, until in chart.phases],
        until=seconds(chart.until),
        width=seconds(chart.width),
        marks=[(seconds(at), what) for at, what in chart.marks],
        heat=None if heat is None else ([seconds(x) for x in heat[0]], *heat[1:]),
    )


def is_short(summary: Summary) -> bool:
    return summary.minutes.end * summary.speed / 60 < SHORT


def slo_lines(summary: Summary, shown: Callable[[str], bool]) -> list[tuple[float, str]]:
    """Limits in milliseconds; those that are the same are one line with all names."""
    names: dict[float, list[str]] = {}
    for metric, limit in summary.limits.items():
        if shown(metric):
            names.setdefault(round(limit * 1e3, 6), []).append(metric)
    return [(limit, f"SLO {', '.join(metrics)}") for limit, metrics in names.items()]


def as_ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1e3


def plotted(value: float | None) -> float | None:
    """With as many digits as a picture has pixels for."""
    return None if value is None else round(value, 4)


def label(name: str, most: int = MAX_LABEL) -> str:
    """Short, and as Plotly reads it: markup, though without the entities of quotes."""
    text = formats.printable(name)
    return escape(text if len(text) <= most else text[: most - 1] + "…", quote=False)


def middle(span: Span) -> float:
    return round((span.start + span.seconds / 2) * span.speed / 60, 4)


def phases(summary: Summary) -> list[tuple[str, float, float]]:
    return [
        (label(phase.name), span.at_s / 60, (span.start + span.seconds) * span.speed / 60)
        for phase in summary.phases
        for span in [phase.span]
    ]
