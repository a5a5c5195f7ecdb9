"""What a Summary says, in words: one wording for the terminal, Markdown and the page.

How its numbers look is formats', tables of them are tables'. Nothing is computed that a reader could quote.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sm_locust.analysis.capacity import BACKLOG, Capacity
from sm_locust.analysis.lag import BACK, Lag
from sm_locust.analysis.minutes import Span
from sm_locust.analysis.periods import Split
from sm_locust.analysis.rules import MEASURED, MODEL_LATENCY, Judgement, error_rate
from sm_locust.analysis.summary import Onset, Summary
from sm_locust.analysis.verdict import Reason, Verdict
from sm_locust.analysis.watched import Reconciliation, Setting, Watched
from sm_locust.config import ERROR_RATE, OVERHEAD
from sm_locust.record.billing import Billing, Item
from sm_locust.record.interval import Interval
from sm_locust.record.observation import alarm_change
from sm_locust.report.formats import (
    UNKNOWN,
    clock,
    count,
    ms,
    number,
    percent,
    price,
    printable,
    rate,
    slo_limit,
)

_A_WHISKER = 0.005  # of an arrival: what sums of rates are off by


def value_of(metric: str, value: float | None) -> str:
    return percent(value) if metric == ERROR_RATE else ms(value)


# -- sentences ---------------------------------------------------------------------------------------------------------


def headline(summary: Summary) -> str:
    """The first sentence: where it began to break, or that it did not; what was found, where that was searched for."""
    if summary.searched:
        return f"Capacity {capacity(summary)}."
    return "; ".join(broken(summary)) + "."


def broken(summary: Summary) -> list[str]:
    """The parts of that sentence, the one about failed requests first."""
    if summary.searched:
        return [headline(summary).removesuffix(".")]
    if not summary.minutes.whole.sent:
        return ["Nothing was sent"]
    found = [_onset(onset, summary) for onset in summary.onsets]
    requests = summary.minutes.whole.requests
    if not requests.failed:
        return ["No request failed", *found]
    if requests.failed == requests.refused:
        return ["No request failed but those in which our credentials were refused", *found]
    return found


def _onset(onset: Onset, summary: Summary) -> str:
    rate = onset.span.per_minute(onset.span.sent)
    at = f"at minute {onset.span.minute}" + ("" if rate is None else f" ({number(rate)} a minute)")
    if onset.rule is None:
        return f"First failed request {at}"
    rule = f"{onset.rule.metric} ≤ {slo_limit(onset.rule.metric, onset.rule.limit)}"
    results = {found.passed for found in summary.slo.judgements if found.metric == onset.rule.metric}
    if results == {True}:  # a minute is no judgement: what stands beside SLO PASSED must not read like one
        return f"{rule} was kept by the run as a whole, though not in every minute: first above it {at}"
    return f"SLO {rule} first broken {at}"


def capacity(summary: Summary) -> str:
    """What one instance sustains, in one sentence; or why nobody can say."""
    found = summary.capacity
    among = _among(found) if summary.on_sagemaker else " for the target"
    if found.refused:
        return f"not known: {printable(found.refused)}"
    if found.max_rps is None:
        broken = f"{limited(found)} was broken at every rate that was judged"
        return f"less than {_a_second(found.high)}{among}: {broken}"
    said = f"{_a_second(found.max_rps)} ({number(found.max_rps * 60)} a minute){among}"
    queue = "" if found.saturates_at is None else f"; a queue grows past {rate(found.saturates_at)}"
    if not found.reached:
        return f"at least {said}: no rate that was tried broke the SLO{queue}"
    bounds = f"between {rate(found.low)} and {rate(found.high)} with {found.confidence:.0%} confidence"
    return f"{said}, {bounds}; what limits it is {limited(found)}, first at {_a_second(found.fails_at)}{queue}"


def _among(found: Capacity) -> str:
    if found.instances is None:
        return " for the endpoint (how many instances served is not known)"
    return " for one instance" if found.instances == 1 else f" for each of {count(found.instances)} instances"


def limited(found: Capacity) -> str:
    return "a queue that grows" if found.limited_by == BACKLOG else printable(found.limited_by or UNKNOWN)


def _a_second(value: float | None) -> str:
    return UNKNOWN if value is None else f"{rate(value)} requests a second"


def way(summary: Summary) -> str:
    """Where the load went, and how."""
    return destination(summary.meta.get("config") or {})


def destination(config: Mapping[str, Any]) -> str:
    """Where a configuration's `target` leads, or its scenarios, and how."""
    target = config.get("target") or {}
    if "container" in target:
        return printable(f"container {target['container']}, unsigned")
    if "api_gateway" in target:
        return printable(f"API Gateway {target['api_gateway']}, auth {target.get('auth')}")
    if "endpoint" not in target and config.get("scenarios"):
        return _scenarios(config["scenarios"])
    if "endpoint" not in target:
        return "what the locustfile names (no target in the configuration)"
    place = target.get("url") or target.get("region") or "the default region"
    return printable(f"endpoint {target['endpoint']} by InvokeEndpoint, {place}")


def _scenarios(scenarios: Sequence[Mapping[str, Any]]) -> str:
    requests = [[step["url"] for step in scenario["steps"] if "url" in step] for scenario in scenarios]
    hosts = dict.fromkeys("/".join(url.split("/", 3)[:3]).partition("?")[0] for urls in requests for url in urls)
    weights = [float(scenario.get("weight", 1)) for scenario in scenarios]
    mean = sum(weight * len(urls) for weight, urls in zip(weights, requests, strict=True)) / sum(weights)
    several = f"{len(scenarios)} scenario{'s' if len(scenarios) > 1 else ''}"
    each = f"{rate(mean)} request{'' if mean == 1 else 's'} an arrival"
    return printable(f"{', '.join(hosts)}: {several}, {each}, unsigned")


def speed(summary: Summary) -> str:
    """The warning of a compressed run; empty at speed 1."""
    return compressed(summary.speed)


def compressed(speed: int) -> str:
    """That warning, for schedule seconds in one real second."""
    if speed == 1:
        return ""
    return (
        f"Compressed {speed} times: a schedule minute lasts {60 // speed} s. Queues are not "
        "compressed, so errors come later on the schedule than in reality. Rates a minute are counts ÷ real seconds "
        "× 60."
    )


def ended(summary: Summary) -> str:
    return printable(summary.meta["ended"]) if summary.finished else "never finished; this is what was written"


def stopped(summary: Summary) -> str:
    """Which rule of `stop_when` ended it, in one sentence; empty where none did."""
    return "" if summary.stopped is None else f"The run was ended: {tripped(summary.stopped)}."


def tripped(found: Mapping[str, Any]) -> str:
    """A rule of `stop_when` that has held, as run.json has it."""
    said = printable(found["why"])
    if found["value"] is not None:
        value, metric = found["value"], str(found["metric"])
        is_a_time = metric == OVERHEAD or metric.startswith((*MEASURED, MODEL_LATENCY))
        said = f"it was {ms(value) if is_a_time else percent(value)}"
    since, until = clock(found["since_s"]), clock(found["until_s"])
    return f"{printable(found['rule'])}: {said}, from {since} to {until} of the schedule (stop_when)"


def facts(summary: Summary) -> list[tuple[str, str]]:
    """What ran: label and value."""
    meta, minutes = summary.meta, summary.minutes
    versions = meta.get("versions") or {}
    workers = len(meta.get("workers") or ())
    return [
        ("target", way(summary)),
        ("schedule", printable(meta["schedule"].get("source", UNKNOWN))),
        ("lasted", f"{clock(minutes.end * summary.speed)} of the schedule, {minutes.end:,.1f} s in reality"),
        ("ended", ended(summary)),
        ("started", printable(meta.get("started_at", UNKNOWN))),
        ("processes", number(workers) if workers else UNKNOWN),
        ("speed", str(summary.speed)),
        ("versions", ", ".join(printable(f"{name} {version}") for name, version in versions.items()) or UNKNOWN),
        ("run", printable(summary.run_id)),
    ]


def validity(verdict: Verdict) -> str:
    return "VALID" if verdict.valid else "NOT VALID"


def slo(passed: bool | None) -> str:
    return {True: "PASSED", False: "FAILED", None: "NOT SHOWN"}[passed]


def slo_title(summary: Summary) -> str:
    """How the SLO was kept; in a search, which breaks it to see where, what came of it."""
    if summary.searched:
        found = summary.capacity
        return (
            "CAPACITY NOT KNOWN" if not found.known else "CAPACITY FOUND" if found.reached else "CAPACITY NOT REACHED"
        )
    return f"SLO {slo(summary.slo.passed)}" if summary.limits else "no SLO"


def judgement(found: Judgement) -> tuple[str, str, str, str, str]:
    """Where, metric, limit, value, result."""
    value = " ".join(filter(None, (value_of(found.metric, found.value), f"({found.note})" if found.note else "")))
    if found.value is None:
        value = found.note
    limit = f"≤ {slo_limit(found.metric, found.limit)}"
    return printable(found.where), found.metric, limit, value, slo(found.passed).lower()


def planned(span: Span) -> str:
    """Arrivals, which are whole: a plan of 347.5, a rate for some time, is kept by 347 of them and by 348."""
    return number(span.delivered if _kept(span) else span.planned)


def delivered(span: Span) -> str:
    """The share that was sent, to as many digits as it has where the plan is a few and a part of one."""
    n = span.planned
    if span.delivered_ratio is None or _kept(span):
        return percent(None if span.delivered_ratio is None else 1.0)
    if n >= 1000 or abs(n - round(n)) < _A_WHISKER:
        return percent(span.delivered_ratio)
    return percent(span.delivered_ratio, 1 if n >= 100 else 0)


def _kept(span: Span) -> bool:
    """Whether no whole number of arrivals but one is nearer to the plan."""
    return abs(span.delivered - span.planned) < 1 - _A_WHISKER


def arrivals(span: Span) -> list[tuple[str, str]]:
    drops = ", ".join(
        f"{printable(reason)} {number(n)}" for reason, n in sorted(span.arrivals.dropped_by_reason.items())
    )
    return [
        ("planned", planned(span)),
        ("sent", number(span.sent)),
        ("delivered", delivered(span)),
        ("dropped", number(span.arrivals.dropped) + (f" ({drops})" if drops else "")),
    ]


def requests(span: Span) -> list[tuple[str, str]]:
    found = ", ".join(f"{printable(kind)} {number(n)}" for kind, n in by_count(span.requests.by_kind))
    further = [("further requests", number(span.further))] if span.further else []
    return [
        *further,
        ("ok", number(span.requests.ok)),
        ("failed", number(span.requests.failed) + (f" ({found})" if found else "")),
        ("cancelled", number(span.cancelled)),
        ("error rate", percent(error_rate(span.requests)) + _without_refused(span.requests)),
    ]


def _without_refused(of: Interval) -> str:
    return f" (without {number(of.refused)} in which our credentials were refused)" if of.refused else ""


def tiles(summary: Summary) -> list[tuple[str, str, str]]:
    """The numbers a reader looks for first: label, value, what to hold it against."""
    whole = summary.minutes.whole
    of = whole.requests
    busiest = max((rate for row in summary.minutes.rows if (rate := row.per_minute(row.sent))), default=None)
    return [
        ("sent", number(whole.sent), f"of {planned(whole)} planned{_requested(whole)}"),
        ("delivered", delivered(whole), f"{number(whole.arrivals.dropped)} dropped"),
        ("busiest minute", number(busiest), "sent a minute"),
        ("failed", number(of.failed), f"{percent(error_rate(of))} of those that ended{_without_refused(of)}"),
        ("latency p99", ms(of.latency.quantile(0.99)), f"from the schedule; p50 {ms(of.latency.quantile(0.5))}"),
        ("service time p99", ms(of.service_time.quantile(0.99)), f"from the send; mean {ms(of.service_time.mean)}"),
        ("lateness p99", ms(of.lateness.quantile(0.99)), f"max {ms(of.lateness.max)}"),
    ]


def _requested(whole: Span) -> str:
    return f"; {number(whole.requested)} requests" if whole.further else ""


# -- what AWS saw ------------------------------------------------------------------------------------------------------


def cloudwatch(summary: Summary) -> list[tuple[str, str]]:
    """CloudWatch against us: label and value; empty where it counted nothing."""
    watched = summary.watched
    if watched is None or not watched.known:
        return []
    found = watched.reconciliation(summary.minutes.whole)
    latency, busiest = watched.model_latency, watched.most_per_instance
    pairs = [
        ("Invocations", _counted(found)),
        ("4XX", number(watched.total("errors_4xx"))),
        ("5XX", number(watched.total("errors_5xx"))),
    ]
    if latency is not None:
        pairs.append(("ModelLatency mean", f"{ms(latency.metric('mean'))}, max {ms(latency.metric('max'))}"))
    for name, counts in watched.way.items():
        pairs.append((name, ", ".join(f"{metric} {number(n)}" for metric, n in counts.items())))
    if found.worst is not None and not watched.way:
        by, minute = ms(abs(found.worst.latency_difference or 0.0)), int(found.worst.at_s // 60)
        where = f"in each of {number(found.compared)} minutes, worst minute {minute}"
        pairs.append(("our service time", f"within {by} of it {where}"))
    if watched.split is not None:
        pairs.append(("mean service time", split(watched.split)))
    if busiest is not None:
        pairs.append(("busiest minute", f"{number(busiest)} for one instance"))
    return pairs


def split(found: Split) -> str:
    """A mean service time as the sum that it is, the parts of the rest behind it."""
    parts = [("model", found.model), ("overhead", found.overhead), ("rest", found.rest)]
    text = f"{ms(found.client)} = {' + '.join(f'{name} {ms(part)}' for name, part in parts if part is not None)}"
    named = " + ".join(f"{name} {ms(part)}" for name, part in found.way.items())
    return f"{text} (which is {named})" if named else text


def _counted(found: Reconciliation) -> str:
    never = ", ".join(f"{printable(kind)} {number(n)}" for kind, n in found.never_arrived.items())
    but = f" but those that never arrived ({never})" if never else ""
    if not found.difference:
        return f"{number(found.invocations)}, all that were sent{but}"
    more = "more" if found.difference > 0 else "fewer"
    return f"{number(found.invocations)}, {number(abs(found.difference))} {more} than were sent{but}"


def instances(summary: Summary) -> list[tuple[str, str]]:
    """In service, and what scales them: label and value; empty where nobody watched them."""
    watched = summary.watched
    if watched is None or watched.instances is None:
        return []
    start, end, most = watched.instances
    return [
        ("at the start", count(start)),
        ("at the end", count(end)),
        ("at most", count(most)),
        ("scaling", scaling(watched)),
    ]


def lags(summary: Summary) -> list[str]:
    """How long each scale-out took, a line each: when it was crossed, and each step counted from the one before."""
    return [f"scale-out {n}: {_lag(lag)}" for n, lag in enumerate(summary.lags, 1)]


def _lag(lag: Lag) -> str:
    return ", ".join(f"{name}{said}" for name, said in lag_steps(lag))


def lag_steps(lag: Lag) -> list[tuple[str, str]]:
    """The stages of a scale-out, and when each was, to be read after its name."""
    steps = [
        ("crossed", lag.crossed_s),
        ("alarm", lag.alarm_s),
        ("desired", lag.desired_s),
        ("in service", lag.in_service_s),
    ]
    if lag.latency == BACK:
        steps.append(("latency back", lag.back_s))
    parts, before = [], None
    for name, at_s in steps:
        if at_s is None:
            parts.append((name, " unknown"))
        elif before is None or at_s < before:  # an alarm that was on already
            parts.append((name, f" at {clock(at_s)}"))
        else:
            parts.append((name, f" +{at_s - before:,.0f} s"))
        before = before if at_s is None else at_s if before is None else max(before, at_s)
    if lag.latency != BACK:
        parts.append(("latency back", f": {lag.latency}"))
    return parts


def scaling(watched: Watched | None) -> str:
    """The automatic scaling that a run started with."""
    if watched is None or watched.state is None:
        return UNKNOWN
    setting = watched.setting
    if setting is None:
        return "none"
    if setting.suspended:
        return "suspended"
    counted = "copies" if setting.copies else "instances"
    bounds = f"{number(setting.min_instances)} to {number(setting.max_instances)} {counted}"
    return bounds if setting.target is None else f"{bounds}, {_target(setting)}"


def _target(setting: Setting) -> str:
    if setting.per_instance is not None:
        return f"{setting.per_instance:,.10g} a minute for each"
    return printable(f"{setting.metric} {setting.target:,.10g}")


def gaps(watched: Watched | None) -> list[str]:
    """What CloudWatch and scaling did not say, a sentence each; none that another begins with."""
    if watched is None:
        return []
    told = [printable(sentence) for sentence in watched.missing]
    found = [each for each in told if not any(other.startswith(f"{each}:") for other in told)]
    if not watched.known and not found:
        found.append("CloudWatch has no metrics of this run.")
    if watched.settled is False and watched.known:
        found.append("CloudWatch was still counting when it was last asked: its last minutes may not be complete.")
    return found


def event(text: str) -> str:
    """What happened, in short: an alarm of target tracking is known by its end, and not by the name around it."""
    change = alarm_change(text)
    if change is None:
        return printable(text)
    name, old, new = change
    kind = next((kind for kind in ("AlarmHigh", "AlarmLow") if f"-{kind}-" in name), name)
    return printable(f"{kind}: {old} → {new}")


def by_count(kinds: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(kinds.items(), key=lambda entry: (-entry[1], entry[0]))


def billing(found: Billing | None) -> list[tuple[str, str]]:
    """What still costs money: each thing and the command that deletes it, if there is one; empty where nobody asked."""
    if found is None:
        return []
    if found.local:
        return [("nothing: all of it was on this machine", "")]
    return [(_billed(item), printable(item.command)) for item in found.items] or [("nothing was found", "")]


def _billed(item: Item) -> str:
    what = printable(item.what)
    if item.fault:
        return f"{what}: not available here: {printable(item.fault)}"
    if item.hourly is not None:
        return f"{what}: {price(item.hourly)} an hour ({printable(item.origin)})"
    return f"{what}: price an hour unknown" if item.origin else what


def phase_reasons(summary: Summary) -> list[Reason]:
    """Doubts about single phases that the run's own verdict does not say already."""
    said = {reason.text for reason in summary.verdict.reasons}
    alone = len(summary.phases) == 1  # the run's verdict is then its own
    return [] if alone else [r for phase in summary.phases for r in phase.verdict.reasons if r.text not in said]
