"""The tables of a report: a row a phase, a minute, a process, a period, the same ones wherever they stand.

What stands in a cell in words is wording's, how its numbers look is formats'. Nothing is computed that a reader could
quote; which rows of a long table are shown is decided here.
"""

from __future__ import annotations

from sm_locust.analysis.capacity import BACKLOG
from sm_locust.analysis.minutes import Span
from sm_locust.analysis.periods import ModelLatency, Split
from sm_locust.analysis.rules import error_rate
from sm_locust.analysis.summary import Summary
from sm_locust.record.ledger import Step
from sm_locust.report import kinds
from sm_locust.report.formats import (
    UNKNOWN,
    Table,
    clock,
    count,
    limits,
    ms,
    number,
    percent,
    printable,
    rate,
)
from sm_locust.report.wording import by_count, delivered, planned, slo, validity, value_of

TABLE_ROWS = 24  # of the minutes: fits a screen, and still shows where it broke

LATENCY = (
    "Latency counts from the moment that the schedule wanted the request, service time from the moment it left: where "
    "they part, requests left late."
)
FAILED_APART = (
    "Both are of good answers, and of timeouts and cancelled requests at their age; other failures stand apart, so "
    "that a fast error improves no percentile."
)
DISTRIBUTIONS = (
    ("latency", "latency, from the schedule"),
    ("service_time", "service time, from the send"),
    ("failed_latency", "failed, from the schedule"),
    ("lateness", "lateness of the sends"),
)
_STATISTICS = ("mean", "p50", "p90", "p95", "p99", "p999", "max")


def failures(summary: Summary) -> Table:
    """For each kind, the most frequent first: what it means, what to do, and what the first one of it said."""
    said: dict[str, str] = {}
    for failure in summary.failures:
        said.setdefault(str(failure.get("kind", "")), str(failure.get("message", "")))
    way = kinds.way(summary.meta.get("config") or {})
    rows = tuple(
        (printable(kind), str(kinds.words(kind, way)), printable(said.get(kind) or UNKNOWN), number(n))
        for kind, n in by_count(summary.minutes.whole.requests.by_kind)
    )
    return Table(("failure", "what it means; what to do", "the first one said", "requests"), rows, words=3)


def distributions(span: Span) -> Table:
    """Milliseconds, one row a distribution that holds anything."""
    rows = []
    for name, label in DISTRIBUTIONS:
        histogram = getattr(span.requests, name)
        if histogram:
            cells = (ms(histogram.metric(statistic)).removesuffix(" ms") for statistic in _STATISTICS)
            rows.append((label, *cells, number(histogram.count)))
    unanswered = span.requests.failed or span.requests.cancelled
    note = f"{LATENCY} {FAILED_APART}" if unanswered else LATENCY
    spare = ("p95", "count", "p90", "p999", "mean")
    return Table(("milliseconds", *_STATISTICS, "count"), tuple(rows), note=note, spare=spare)


def phases(summary: Summary) -> Table:
    rows = []
    for phase in summary.phases:
        requests = phase.span.requests
        judged = UNKNOWN if phase.slo is None or not summary.limits else slo(phase.slo.passed).lower()
        if not phase.judge:
            judged = "not judged"
        rows.append(
            (
                printable(phase.name),
                validity(phase.verdict).lower(),
                judged,
                planned(phase.span),
                delivered(phase.span),
                number(requests.failed),
                percent(error_rate(requests)),
                ms(requests.service_time.mean),
                ms(requests.latency.quantile(0.99)),
                ms(requests.lateness.quantile(0.99)),
            )
        )
    header = ("phase", "verdict", "SLO", "planned", "delivered", "failed", "error rate")
    spare = ("planned", "mean service", "failed", "p99 lateness", "delivered")
    return Table((*header, "mean service", "p99 latency", "p99 lateness"), tuple(rows), words=3, spare=spare)


def workers(summary: Summary) -> Table:
    """One row a process, where there is more than one."""
    rows = []
    for worker in summary.workers if len(summary.workers) > 1 else ():
        dropped = worker.counted.dropped_by_reason
        rows.append(
            (
                printable(worker.name),
                number(worker.counted.sent),
                percent(worker.share, 1),
                ", ".join(f"{printable(reason)} {n:,}" for reason, n in by_count(dropped)) or "0",
                ms(worker.counted.lateness.quantile(0.99)),
                percent(worker.cpu_mean, 0),
                percent(worker.cpu_max, 0),
                "to the end" if worker.lost_at is None else f"lost at {clock(worker.lost_at * summary.speed)}",
            )
        )
    header = ("process", "sent", "share", "dropped", "p99 lateness", "CPU", "CPU at most", "there")
    return Table(header, tuple(rows), spare=("CPU", "sent"))


def names(span: Span) -> Table:
    """One row a request name."""
    rows = tuple(
        (
            printable(name),
            number(of.ok),
            number(of.failed),
            number(of.cancelled),
            ms(of.service_time.mean),
            ms(of.latency.quantile(0.5)),
            ms(of.latency.quantile(0.99)),
        )
        for name, of in sorted(span.by_name.items())
    )
    header = ("request", "ok", "failed", "cancelled", "mean service", "p50 latency", "p99 latency")
    return Table(header, rows, spare=("cancelled", "mean service", "p50 latency"))


def minutes(summary: Summary, at_most: int | None = TABLE_ROWS) -> Table:
    """The run minute by minute, thinned evenly to `at_most` rows; the minutes where it began to break always stay."""
    spans = summary.minutes.rows
    if at_most is not None and len(spans) > at_most:
        kept = {0, len(spans) - 1, *(spans.index(onset.span) for onset in summary.onsets)}
        room = max(1, at_most - len(kept))
        step = -(-len(spans) // room)
        kept.update(range(0, len(spans), step))
        shown = [spans[i] for i in sorted(kept)[:at_most]]
    else:
        shown = spans
    watched = summary.watched
    known, seen = watched is not None and watched.known, watched is not None and watched.instances is not None
    rows = []
    for span in shown:
        requests = span.requests
        row = [f"{span.minute}{'*' if span.partial else ''}", number(span.per_minute(span.planned))]
        row += [number(span.per_minute(span.sent)), ms(requests.service_time.mean)]
        periods = watched.during(span) if watched is not None else ()
        if known:
            latency = ModelLatency.merged(periods)
            row.append(ms(latency.metric("mean") if latency else None))
        row += [ms(requests.service_time.quantile(0.99)), ms(requests.latency.quantile(0.99))]
        row += [number(requests.failed), percent(error_rate(requests)), number(span.arrivals.dropped)]
        if seen:
            row.append(count(periods[-1].instances if periods else None))
        rows.append(tuple(row))
    header = ["minute", "planned/min", "sent/min", "mean service", *(["model latency"] if known else [])]
    header += ["p99 service", "p99 latency", "failed", "errors", "dropped", *(["instances"] if seen else [])]
    note = "* not a whole minute" if any(span.partial for span in shown) else ""
    spare = ("p99 service", "dropped", "planned/min", "model latency", "mean service", "errors")
    return Table(tuple(header), tuple(rows), words=0, note=note, spare=spare)


def steps(summary: Summary) -> Table:
    """A search, rate by rate."""
    rows = tuple(
        (
            printable(step.kind),
            clock(step.at),
            f"{step.until - step.at:.0f} s",
            rate(step.offered) if step.offered else UNKNOWN,
            number(step.requests) if step.requests else UNKNOWN,
            _measured(step),
            printable(step.outcome or UNKNOWN),
        )
        for step in summary.minutes.steps
    )
    whose = "endpoint" if summary.on_sagemaker else "target"
    note = f"Rates are the {whose}'s, arrivals a second. Holds what keeps {limits(summary.limits)}." if rows else ""
    header, spare = (
        ("step", "at", "lasted", "a second", "requests", "measured", "outcome"),
        ("lasted", "requests", "at"),
    )
    return Table(header, rows, note=note, spare=spare)


def _measured(step: Step) -> str:
    if step.metric == BACKLOG:
        return "a queue that grows"
    return UNKNOWN if step.value is None else f"{printable(step.metric)} {value_of(step.metric, step.value)}"


def examples(summary: Summary) -> Table:
    """The first failures of each kind, as many as were kept."""
    rows = tuple(
        (
            clock(float(row["at"]) * summary.speed),
            printable(row["kind"]),
            printable(row["status"] or UNKNOWN),
            printable(row["name"]),
            printable(row["request_id"] or UNKNOWN),
            printable(row["message"] or UNKNOWN),
        )
        for row in summary.failures
    )
    return Table(("at", "kind", "status", "request", "request id", "message"), rows, words=6)


def periods(summary: Summary) -> Table:
    """CloudWatch against us, a row a period: those that a table of minutes would show."""
    watched = summary.watched
    rows = []
    for period in watched.periods if watched is not None and watched.known else ():
        found = period.split
        rows.append(
            (
                clock(max(0.0, period.at_s)) + (" in part" if period.partial else ""),
                number(period.client.requested),
                number(period.arrived),
                number(period.foreign),
                number(period.client.requests.failed),
                number(period.errors),
                *(ms(part).removesuffix(" ms") for part in _parts(found)),
            )
        )
    header = ("period", "sent", "Invocations", "foreign", "failed", "4XX and 5XX", "service time", "model", "overhead")
    note = (
        "Foreign: what CloudWatch counts beyond all that may have come from us. Mean milliseconds: service time = "
        "model + overhead + rest, where sends were on time."
    )
    if len(rows) > TABLE_ROWS:
        note = f"{TABLE_ROWS} of {number(len(rows))} periods, evenly; all of them are in summary.json. {note}"
    return Table((*header, "rest"), _thinned(rows), note=note if rows else "")


def _parts(found: Split | None) -> tuple[float | None, ...]:
    return (None,) * 4 if found is None else (found.client, found.model, found.overhead, found.rest)


def _thinned(rows: list[tuple[str, ...]]) -> tuple[tuple[str, ...], ...]:
    """Evenly, both ends kept, where there are more than TABLE_ROWS."""
    if len(rows) <= TABLE_ROWS:
        return tuple(rows)
    return tuple(rows[round(i * (len(rows) - 1) / (TABLE_ROWS - 1))] for i in range(TABLE_ROWS))


def events(summary: Summary) -> Table:
    """What became of the instances."""
    rows = tuple(
        (
            clock(max(0.0, event.at_s)),
            printable(event.event or "seen"),
            number(event.desired),
            number(event.in_service),
        )
        for event in (summary.watched.events if summary.watched else ())
    )
    return Table(("at", "event", "desired", "in service"), rows, words=2)
