"""Runs along the rate that was offered, in pictures and in a table: the same axes for two runs or for many.

Each run has a role of its own, and with it a colour and a dash: which is which is told without colours too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sm_locust.analysis.by_rate import ByRate, Level
from sm_locust.config import ERROR_RATE
from sm_locust.report.curves import Chart, Curve, label
from sm_locust.report.formats import UNKNOWN, Table, ms, percent, rate, slo_limit

TITLE = "By offered rate"
SUBTITLE = (
    "requests a second that the schedule wanted in judged phases, in all, however many instances served; "
    "latency from the scheduled time, by the load generator"
)
OF_TWO = ("before", "after")
ROLES = 6  # that the page can tell apart

_LATENCY_MEAN, _LATENCY_P99 = "latency_mean", "latency_p99"


def roles(runs: int) -> list[str]:
    """Of the curves of so many runs."""
    return list(OF_TWO) if runs == 2 else [f"run-{n % ROLES}" for n in range(runs)]


def charts(found: ByRate, names: Sequence[str], limits: Sequence[Mapping[str, float]]) -> list[Chart]:
    """Mean, p99 and error rate; none where nothing was offered.

    names   of the runs, in their order
    limits  the SLO of each: metric → seconds, or a fraction for error_rate
    """
    if not found.steps:
        return []

    def chart(title: str, unit: str, metric: str, log: bool, factor: float) -> Chart:
        curves = [
            Curve(
                label(name),
                role,
                [round(level.rate, 4) for level in levels.values()],
                [_scaled(getattr(level, metric), factor) for level in levels.values()],
            )
            for name, role, levels in zip(names, roles(len(names)), found.levels, strict=True)
        ]
        lines = _limits(metric, factor, names, limits)
        values = [y for curve in curves for y in curve.y if y is not None] + [value for value, _ in lines]
        return Chart(
            title,
            "",
            unit,
            "lines",
            log,
            curves,
            lines,
            [],
            until=round(max(rates) + room, 4),
            width=found.width,
            range=range_of(values, log),
            along="requests a second offered",
            since=round(max(0.0, min(rates) - room), 4),
        )

    rates = [level.rate for levels in found.levels for level in levels.values()]
    room = 0.03 * (max(rates) - min(rates)) or min(rates)
    drawn = [
        chart("mean latency, ms, logarithmic", "ms", _LATENCY_MEAN, True, 1e3),
        chart("p99 latency, ms, logarithmic", "ms", _LATENCY_P99, True, 1e3),
        chart("error rate, %", "%", ERROR_RATE, False, 100.0),
    ]
    return [each for each in drawn if any(y is not None for curve in each.curves for y in curve.y)]


def table(found: ByRate, names: Sequence[str]) -> Table:
    """The numbers of the pictures."""

    def cells(value: Callable[[Level], str]) -> list[list[str]]:
        return [[value(levels[n]) if n in levels else UNKNOWN for levels in found.levels] for n in found.steps]

    columns = [
        cells(lambda level: ms(level.latency_mean).removesuffix(" ms")),
        cells(lambda level: ms(level.latency_p99).removesuffix(" ms")),
        cells(lambda level: percent(level.error_rate)),
    ]
    rows = tuple(
        (
            f"{rate(found.starts(n))} to {rate(found.starts(n + 1))}",
            *(" | ".join(column[i]) for column in columns),
        )
        for i, n in enumerate(found.steps)
    )
    note = f"{' | '.join(names)}; latencies in milliseconds; a p99 only of 100 answers or more"
    return Table(("offered a second", "mean latency", "p99 latency", "error rate"), rows, note=note)


def _limits(
    metric: str, factor: float, names: Sequence[str], limits: Sequence[Mapping[str, float]]
) -> list[tuple[float, str]]:
    """The runs' SLO of a metric; where they differ, whose it is."""
    held: dict[float, list[str]] = {}
    for name, one in zip(names, limits, strict=True):
        if metric in one:
            held.setdefault(one[metric], []).append(name)
    return [
        (
            round(limit * factor, 6),
            label(f"SLO {slo_limit(metric, limit)}" + ("" if len(whose) == len(names) else f", {', '.join(whose)}")),
        )
        for limit, whose in held.items()
    ]


def range_of(values: Sequence[float], log: bool) -> tuple[float, float] | None:
    """Of a y axis that holds all of the values; None where a logarithmic one has nothing to show."""
    if not log:
        return (0.0, max(1.0, max(values, default=0.0) * 1.06))
    known = [value for value in values if value > 0]
    return (min(known) / 1.6, max(known) * 1.6) if known else None


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else round(value * factor, 4)
