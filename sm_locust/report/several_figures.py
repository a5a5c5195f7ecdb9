"""Which curves a page shows of any number of runs over time: the blog's three pictures, each with all runs in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sm_locust.analysis.compare import Minute, Side
from sm_locust.analysis.summary import Summary
from sm_locust.report.curves import Chart, Curve, as_ms, in_seconds, is_short, label, middle, plotted
from sm_locust.report.rate_figures import range_of, roles

TITLE = "By time"
SUBTITLE = "Invocations and ModelLatency are CloudWatch's, the rest is the load generator's"


def over_time(summaries: Sequence[Summary], names: Sequence[str]) -> list[Chart]:
    """Of each schedule minute, in short runs of each second: what one instance took, mean latency, error rate.

    What nobody knows is left out.

    names  of the runs, in their order
    """
    sides = [Side(summary) for summary in summaries]
    until = max((s.minutes.end * s.speed / 60 for s in summaries), default=0.0)
    short = all(is_short(summary) for summary in summaries)

    def known(value: Callable[[Minute], float | None]) -> bool:
        return all(any(value(minute) is not None for minute in side.minutes) for side in sides)

    def chart(title: str, unit: str, log: bool, value: Callable[[Minute], float | None]) -> Chart:
        curves = []
        for name, role, side in zip(names, roles(len(names)), sides, strict=True):
            spans = side.summary.minutes.series if short else side.summary.minutes.rows
            ys = [plotted(value(side.during(span))) for span in spans]
            curves.append(Curve(label(name), role, [middle(span) for span in spans], ys))
        values = [y for curve in curves for y in curve.y if y is not None]
        found = Chart(title, "", unit, "lines", log, curves, [], [], round(until, 4), 1.0, range_of(values, log))
        return in_seconds(found) if short else found

    charts = [
        chart("Invocations per instance, a minute", "a minute", False, lambda minute: minute.per_instance)
        if known(lambda minute: minute.per_instance)
        else chart("sent, a minute", "a minute", False, lambda minute: minute.sent),
        chart("ModelLatency mean, ms, logarithmic", "ms", True, lambda minute: as_ms(minute.model_latency_mean))
        if known(lambda minute: minute.model_latency_mean)
        else chart("service time mean, ms, logarithmic", "ms", True, lambda minute: as_ms(minute.service_time_mean)),
        chart("error rate, %", "%", False, lambda minute: None if (e := minute.error_rate) is None else e * 100),
    ]
    return [each for each in charts if any(y is not None for curve in each.curves for y in curve.y)]
