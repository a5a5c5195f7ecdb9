"""The derived files of a run folder, made from its ledger: when a run ends, and again whenever somebody asks.

Written from the same folder they are the same bytes: no clock, no random id. The Summary is computed once, here, and
the renderers beside this file lay it out.
"""

from __future__ import annotations

import csv
import io
import json

from sm_locust.analysis.minutes import Span
from sm_locust.analysis.summary import Summary
from sm_locust.record.histogram import Histogram
from sm_locust.record.run import TIMELINE, Run
from sm_locust.report import junit, markdown, page

HISTOGRAMS = "histograms.hlog"
SUMMARY_JSON, SUMMARY_MD, REPORT, JUNIT = "summary.json", "summary.md", "report.html", "junit.xml"

TIMED = ("latency", "service_time", "lateness")
STATISTICS = ("p50", "p90", "p99", "max", "mean")
LOGGED = ("latency", "service_time")

# HistogramLogWriter's, of HdrHistogram's own library. Without a start time a reader takes the first second that holds
# anything for the start of time.
_LOG_HEAD = """#[sm_locust run {run_id}, values in microseconds, maxima in milliseconds]
#[Histogram log format version 1.2]
#[StartTime: 0.000000 (seconds since epoch), start of the run]
#[BaseTime: 0.000000 (seconds since epoch)]
"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"
"""


def write(run: Run) -> Summary:
    """Writes timeline.csv, histograms.hlog, summary.json, summary.md, junit.xml and report.html; finished run or not.

    Raises RunError when the ledger cannot be read or a file cannot be written.
    """
    summary = Summary.of(run)
    run.write_text(TIMELINE, timeline(summary))
    run.write_text(HISTOGRAMS, histograms(summary))
    run.write_text(SUMMARY_JSON, json.dumps(summary.as_dict(), indent=2) + "\n")
    run.write_text(SUMMARY_MD, markdown.render(summary))
    run.write_text(JUNIT, junit.render(summary))
    run.write_text(REPORT, page.render(summary))
    return summary


def timeline(summary: Summary) -> str:
    """CSV, a row a real second (cut at phase boundaries): its counts, and its percentiles in milliseconds."""
    kinds = sorted(summary.minutes.whole.requests.by_kind)
    header = [
        "at_s",
        "users",
        "planned",
        "sent",
        "dropped",
        *(["further"] if summary.minutes.whole.further else []),
        "ok",
        "cancelled",
        "failed",
        *(f"failed_{k}" for k in kinds),
    ]
    header += ["in_flight", *(f"{name}_{statistic}_ms" for name in TIMED for statistic in STATISTICS)]
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(header)
    for span in summary.minutes.seconds:
        rows.writerow(_second(span, kinds, bool(summary.minutes.whole.further)))
    return text.getvalue()


def _second(span: Span, kinds: list[str], with_further: bool) -> list[str | int]:
    requests, by_kind = span.requests, span.requests.by_kind
    row: list[str | int] = [f"{span.at_s:.10g}", span.users, f"{span.planned:.10g}", span.sent, span.arrivals.dropped]
    if with_further:
        row.append(span.further)
    row += [requests.ok, span.cancelled, requests.failed, *(by_kind.get(kind, 0) for kind in kinds), span.in_flight]
    for name in TIMED:
        in_ms = getattr(requests, name).summary_ms()
        row += ["" if in_ms[statistic] is None else f"{in_ms[statistic]:.10g}" for statistic in STATISTICS]
    return row


def histograms(summary: Summary) -> str:
    """An HdrHistogram log: real seconds since the start of the run, tags `latency` and `service_time`, values in µs."""
    lines = [_LOG_HEAD.format(run_id=summary.run_id)]
    for span in summary.minutes.seconds:
        for name in LOGGED:
            histogram: Histogram = getattr(span.requests, name)
            if histogram.max is not None:
                longest_ms = histogram.max * 1e3
                lines.append(f"Tag={name},{span.start:f},{span.seconds:f},{longest_ms:f},{histogram.encode()}\n")
    return "".join(lines)
