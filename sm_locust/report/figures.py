"""Which curves a report shows of a Summary: points over schedule minutes, in a short run seconds, as plain values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sm_locust.analysis.heat import Heat
from sm_locust.analysis.minutes import Span
from sm_locust.analysis.periods import Period, Split
from sm_locust.analysis.rules import MEASURED, MODEL_LATENCY
from sm_locust.analysis.summary import Summary
from sm_locust.analysis.verdict import CPU_WINDOW, LATENESS_SHARE, MAX_CPU, MIN_LATENESS_BUDGET
from sm_locust.analysis.watched import Watched
from sm_locust.record.observation import ScalingEvent
from sm_locust.report import formats, tables, wording
from sm_locust.report.curves import Chart, Curve, as_ms, in_seconds, is_short, label, middle, phases, plotted, slo_lines

ERRORS = "Errors"  # the title under which the first failures stand
OURS, CLOUDWATCH = "source: the load generator", "source: CloudWatch"  # every figure says whose numbers it shows


def of(summary: Summary) -> list[Chart]:
    """The figures, in order: those that cannot be drawn say why. None when nothing was planned or sent."""
    whole = summary.minutes.whole
    if not summary.minutes.rows or not (whole.planned or whole.sent):
        return []
    charts = [_complete(chart) for chart in _Figures(summary).all()]
    return [in_seconds(chart) for chart in charts] if is_short(summary) else charts


def _complete(chart: Chart) -> Chart:
    """A picture whose curves hold nothing is none."""
    if any(y is not None for curve in chart.curves for y in curve.y) or chart.heat:
        return chart
    return replace(chart, curves=[], missing=chart.missing or "Nothing was measured.")


@dataclass(frozen=True, slots=True)
class _Column:
    """One curve, and one column of the table under it.

    text  of a value, in the table
    """

    name: str
    role: str
    value: Callable[[Span], float | None]
    text: Callable[[float | None], str] = formats.number


class _Figures:
    """The figures of one run, all over the same time."""

    def __init__(self, summary: Summary) -> None:
        self._summary = summary
        self._minutes = minutes = summary.minutes
        self._spans = [span for span in minutes.series if span.seconds > 0]
        self._rows = [row for row in minutes.rows if row.seconds > 0]
        step = minutes.resolution * summary.speed
        self._each = f"a point every {step} s of the schedule" if step < 60 else "a point every minute"
        self._axis: dict[str, Any] = {
            "phases": phases(summary),
            "until": round(minutes.end * summary.speed / 60, 4),
            "width": round(max((span.seconds for span in self._spans), default=0.0) * summary.speed / 60, 4),
        }

    def all(self) -> list[Chart]:
        return [
            self.arrivals(),
            self.latency(),
            self.heat(),
            self.errors(),
            *([self.invocations(), self.instances(), self.parts()] if self._summary.on_sagemaker else []),
            self.lateness(),
            self.cpu(),
        ]

    # -- what we did ---------------------------------------------------------------------------------------------------

    def arrivals(self) -> Chart:
        columns = [
            _Column("planned", "planned", lambda span: span.per_minute(span.planned)),
            _Column("delivered", "sent", lambda span: span.per_minute(span.sent)),
        ]
        about = f"arrivals a minute: what the schedule wanted and what left; {OURS}, {self._each}"
        return self._ours("Planned and delivered rate", about, "a minute", columns)

    def latency(self) -> Chart:
        columns = [
            _Column(f"{words} {quantile}", role, _in_ms_of(measure, quantile), _milliseconds)
            for words, measure, quantile, role in (
                ("latency", "latency", "p99", "latency-high"),
                ("latency", "latency", "p90", "latency-mid"),
                ("latency", "latency", "p50", "latency"),
                ("service time", "service_time", "p99", "service-high"),
                ("service time", "service_time", "p50", "service"),
            )
        ]
        means = [None if p.model_latency is None else p.model_latency.metric("mean") for p in self._periods]
        model = [_of_periods("ModelLatency mean", "model", self._summary.watched, [as_ms(mean) for mean in means])]
        if not any(means):
            model = []
        about = (
            "ms, logarithmic; latency is corrected: it counts from the scheduled time (what a consumer feels), service "
            f"time from the send; {OURS}, {self._each}" + ("; ModelLatency: CloudWatch" if model else "")
        )
        known = (*MEASURED, *([MODEL_LATENCY] if model else []))
        limits = slo_lines(self._summary, lambda metric: metric.rpartition("_")[0] in known)
        chart = self._ours("Latency percentiles", about, "ms", columns, log=True, limits=limits)
        return replace(chart, curves=chart.curves + model)

    def heat(self) -> Chart:
        found = Heat.of(self._spans)
        about = f"requests by latency from the scheduled time, ms, logarithmic; {OURS}, {self._each}"
        if found is None:
            return self._chart("Latency heat map", about, "ms", "heat", missing="No request was answered.")
        edges = [round(at_s / 60, 4) for at_s in found.at_s]
        bands = [round(band * 1e3, 5) for band in found.bands]
        whole = Heat.of([self._minutes.whole])
        shares = () if whole is None else tuple(zip(whole.bands, whole.bands[1:], whole.counts, strict=False))
        total = sum(counts[0] for _, _, counts in shares)
        table = formats.Table(
            ("latency, ms", "requests", "share"),
            tuple(
                (
                    f"{_milliseconds(low * 1e3)} to {_milliseconds(high * 1e3)}",
                    formats.number(counts[0]),
                    formats.percent(counts[0] / total),
                )
                for low, high, counts in shares
                if counts[0]
            ),
            note="The whole run.",
        )
        counts = [list(row) for row in found.counts]
        return self._chart("Latency heat map", about, "ms", "heat", log=True, heat=(edges, bands, counts), table=table)

    def errors(self) -> Chart:
        whole = self._minutes.whole

        def failed(kind: str) -> Callable[[Span], float | None]:
            return lambda span: span.per_minute(span.requests.by_kind.get(kind, 0))

        columns = [_Column(kind, "error", failed(kind)) for kind in sorted(whole.requests.by_kind)]
        if whole.arrivals.dropped:
            dropped = _Column("dropped, not sent", "dropped", lambda span: span.per_minute(span.arrivals.dropped))
            columns.append(dropped)
        about = f"failed requests a minute, by kind; {OURS}, {self._each}"
        missing = "No request failed, and none was dropped." if whole.sent else "Nothing was sent."
        return self._ours(ERRORS, about, "a minute", columns, kind="bars", missing=missing)

    def lateness(self) -> Chart:
        columns = [
            _Column(f"lateness {statistic}", role, _in_ms_of("lateness", statistic), _milliseconds)
            for statistic, role in (("max", "late-high"), ("p99", "late"))
        ]
        budget = MIN_LATENESS_BUDGET * 1e3
        limits = [(budget, f"budget of the p99: {budget:g} ms, or {LATENESS_SHARE:.0%} of the service time's p50")]
        about = f"ms, logarithmic: how long after its time a request left; {OURS}, {self._each}"
        return self._ours("Lateness", about, "ms", columns, log=True, limits=limits)

    def cpu(self) -> Chart:
        def share(span: Span) -> float | None:
            found = self._minutes.cpu(span)
            return None if found is None else found * 100

        columns = [_Column("the busiest process", "cpu", share)]
        chart = self._ours(
            "CPU of the generator",
            f"% of one core, of the process that took most; {OURS}, a sample every {CPU_WINDOW:g} s of real time",
            "%",
            columns,
            limits=[(MAX_CPU * 100, f"not valid from {MAX_CPU:.0%} on")],
            missing="Nothing was sampled: the run was too short for it, or its processes did not say.",
        )
        # Samples may be further apart than the points of the series: they are joined, without a gap between any two.
        return replace(chart, curves=[_joined(curve) for curve in chart.curves])

    # -- what AWS saw --------------------------------------------------------------------------------------------------

    def invocations(self) -> Chart:
        watched = self._summary.watched
        target = watched.setting.per_instance if watched and watched.setting else None

        def rates(of: Callable[[Period], float | None]) -> list[float | None]:
            # The count of a period that the load covered in part says nothing of a rate.
            return [None if period.partial else period.per_minute(of(period)) for period in self._periods]

        about = f"a minute; scaling holds on to those per instance; {self._cloudwatch}"
        return self._theirs(
            "Invocations and invocations per instance",
            about,
            "a minute",
            [
                ("Invocations", "invocations", rates(lambda period: period.invocations), formats.number),
                ("per instance", "per-instance", rates(lambda period: period.per_instance), formats.number),
            ],
            limits=[] if target is None else [(target, f"scaling target {target:,.10g} per instance")],
        )

    def instances(self) -> Chart:
        """As events and samples tell of them; where there are none, as CloudWatch shared out the invocations."""
        watched, until = self._summary.watched, self._axis["until"]
        events = watched.events if watched else ()
        curves = [
            curve
            for name, role, level in (
                ("desired", "desired", lambda event: event.desired),
                ("in service", "instances", lambda event: event.in_service),
            )
            if len((curve := _levels(name, role, events, level, until)).x) > 1
        ]
        source = "Application Auto Scaling and DescribeEndpoint"
        if "instances" not in [curve.role for curve in curves]:
            found = [period.instances for period in self._periods]
            known = [(p.at_s, n) for p, n in zip(self._periods, found, strict=True) if n is not None]
            if known:
                xs = [max(0.0, round(at_s / 60, 4)) for at_s, _ in known]
                curves.append(Curve("in service", "instances", [*xs, until], [*(n for _, n in known), known[-1][1]]))
                source = "CloudWatch, Invocations ÷ InvocationsPerInstance"
        top = max((y for curve in curves for y in curve.y if y is not None), default=0.0)
        marks = [
            (round(max(0.0, event.at_s) / 60, 4), label(wording.event(event.event), 90))
            for event in events
            if event.event
        ]
        return self._chart(
            "Instances",
            f"desired and in service, a number; ▾ activities and alarms; source: {source}",
            "instances",
            "steps",
            curves=curves,
            range=(0.0, top + 0.6),
            marks=marks,
            table=tables.events(self._summary),
            missing=self._unwatched("instances"),
        )

    def parts(self) -> Chart:
        def part(of: Callable[[Split], float | None]) -> list[float | None]:
            splits = [period.split for period in self._periods]
            return [None if split is None else as_ms(of(split)) for split in splits]

        columns = [
            ("ModelLatency", "model", part(lambda split: split.model), _milliseconds),
            ("OverheadLatency", "overhead", part(lambda split: split.overhead), _milliseconds),
            ("the rest", "rest", part(lambda split: max(0.0, split.rest)), _milliseconds),
        ]
        columns = [column for column in columns if any(y is not None for y in column[2])]
        chart = self._theirs(
            "What a service time is made of",
            "mean ms: ModelLatency and OverheadLatency as CloudWatch has them, the rest of our service time is network "
            f"and client; {self._cloudwatch}, and the load generator",
            "ms",
            columns,
            kind="bars",
            missing=self._unwatched("ModelLatency")
            or "In no minute could our service time and ModelLatency be held against each other.",
        )
        no_overhead = bool(columns) and "overhead" not in [role for _, role, _, _ in columns]
        if no_overhead:
            return replace(chart, subtitle=f"{chart.subtitle}; OverheadLatency is missing, and part of the rest")
        return chart

    # -- how -----------------------------------------------------------------------------------------------------------

    @property
    def _periods(self) -> Sequence[Period]:
        watched = self._summary.watched
        return watched.periods if watched else ()

    @property
    def _cloudwatch(self) -> str:
        watched = self._summary.watched
        period = watched.period_s if watched else 60
        return f"{CLOUDWATCH}, a point every {period:g} s"

    def _unwatched(self, what: str) -> str:
        """Why nothing is known of it; empty where somebody watched."""
        watched = self._summary.watched
        if watched is None:
            return f"Nobody watched CloudWatch and scaling in this run: {what} are not known."
        if what != "instances" and not watched.known:
            return " ".join(wording.gaps(watched))
        return ""

    def _chart(self, title: str, about: str, unit: str, kind: str, *, log: bool = False, **more: Any) -> Chart:
        found: dict[str, Any] = {"curves": [], "limits": [], **self._axis, **more}
        return Chart(title, about, unit, kind, log, **found)

    def _ours(
        self,
        title: str,
        about: str,
        unit: str,
        columns: Sequence[_Column],
        *,
        kind: str = "lines",
        log: bool = False,
        limits: Sequence[tuple[float, str]] = (),
        missing: str = "",
    ) -> Chart:
        xs = [middle(span) for span in self._spans]
        curves = [
            Curve(label(column.name), column.role, xs, [plotted(column.value(span)) for span in self._spans])
            for column in columns
        ]
        rows = [
            (
                f"{row.minute}{'*' if row.partial else ''}",
                *(column.text(column.value(row)) for column in columns),
            )
            for row in self._rows
        ]
        header = ("minute", *(formats.printable(column.name) for column in columns))
        note = "* not a whole minute" if any(row.partial for row in self._rows) else ""
        table = _table(header, rows, unit, note) if columns else None
        return self._chart(
            title, about, unit, kind, log=log, curves=curves, limits=list(limits), table=table, missing=missing
        )

    def _theirs(
        self,
        title: str,
        about: str,
        unit: str,
        columns: Sequence[tuple[str, str, list[float | None], Callable[[float | None], str]]],
        *,
        kind: str = "lines",
        limits: Sequence[tuple[float, str]] = (),
        missing: str = "",
    ) -> Chart:
        watched = self._summary.watched
        curves = [_of_periods(name, role, watched, values) for name, role, values, _ in columns]
        rows = [
            (
                formats.clock(max(0.0, period.at_s)) + ("*" if period.partial else ""),
                *(text(values[i]) for _, _, values, text in columns),
            )
            for i, period in enumerate(self._periods)
        ]
        note = "* the load did not last for all of it" if any(p.partial for p in self._periods) else ""
        width = (watched.period_s if watched else 60.0) / 60
        return self._chart(
            title,
            about,
            unit,
            kind,
            curves=curves,
            limits=list(limits),
            table=_table(("period", *(name for name, *_ in columns)), rows, unit, note) if rows else None,
            missing=missing or self._unwatched("Invocations"),
            width=width,
        )


TABLE_MOST = 1440  # rows of a table under a picture: a day of minutes


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]], unit: str, note: str) -> formats.Table:
    shown = list(rows)
    if len(rows) > TABLE_MOST:
        shown = [rows[round(i * (len(rows) - 1) / (TABLE_MOST - 1))] for i in range(TABLE_MOST)]
        note = f"{TABLE_MOST:,} of {len(rows):,} rows, evenly; all of them are in timeline.csv. {note}"
    return formats.Table((f"{header[0]} ({unit})", *header[1:]), tuple(shown), words=1, note=note.strip())


def _milliseconds(in_ms: float | None) -> str:
    return formats.ms(None if in_ms is None else in_ms / 1e3).removesuffix(" ms")


def _in_ms_of(measure: str, statistic: str) -> Callable[[Span], float | None]:
    return lambda span: as_ms(getattr(span.requests, measure).metric(statistic))


def _joined(curve: Curve) -> Curve:
    known = [(x, y) for x, y in zip(curve.x, curve.y, strict=True) if y is not None]
    return replace(curve, x=[x for x, _ in known], y=[y for _, y in known])


def _levels(
    name: str,
    role: str,
    events: Sequence[ScalingEvent],
    level: Callable[[ScalingEvent], int | None],
    until: float,
) -> Curve:
    """A line that holds each level until the next is told, to the end of the run."""
    xs: list[float] = []
    ys: list[float | None] = []
    for event in events:
        found = level(event)
        x = round(max(0.0, event.at_s) / 60, 4)
        if found is not None and x <= until and (not ys or found != ys[-1]):
            xs.append(x)
            ys.append(float(found))
    return Curve(name, role, [*xs, until], [*ys, ys[-1]]) if xs else Curve(name, role, [], [])


def _of_periods(name: str, role: str, watched: Watched | None, values: list[float | None]) -> Curve:
    periods: Sequence[Period] = watched.periods if watched else ()
    xs = [round(period.middle_s / 60, 4) for period in periods]
    return Curve(name, role, xs, [None if value is None else round(value, 4) for value in values])
