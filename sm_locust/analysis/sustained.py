"""What one instance sustained in a run: what was searched for, or what its load shows. Or why it cannot be told.

Here it is decided what may speak of one instance at all: valid, judged phases, seconds in which nobody else sent and
the number of instances stood. Where along the rates the limit lies is ramp's and search's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import groupby
from typing import Any

from sm_locust.analysis.capacity import RAMP, SEARCH, Capacity
from sm_locust.analysis.curve import Curve
from sm_locust.analysis.evidence import FEWEST
from sm_locust.analysis.minutes import Minutes, Span
from sm_locust.analysis.periods import Period
from sm_locust.analysis.ramp import Window, read
from sm_locust.analysis.rules import Rule, Stretch
from sm_locust.analysis.verdict import Verdict
from sm_locust.analysis.watched import Watched

WINDOWS = 120  # at the most: about a minute each, of the reference experiment
OVERLOADED = ("late", "cpu")  # what the verdict calls a generator that is asked for too much
MOST_FOREIGN = 0.5  # of the windows
_SEEN_LATE = 2  # real seconds by which a change of the instances may have been earlier than it was seen


def sustained(
    meta: Mapping[str, Any],
    minutes: Minutes,
    watched: Watched | None,
    limits: Mapping[str, float],
    verdict: Verdict,
    curve: Curve | None,
) -> Capacity:
    """meta     what run.json holds
    watched  what CloudWatch and scaling saw; None when nobody watched
    limits   the `slo`: metric → seconds, or a fraction for error_rate
    verdict  the run's
    curve    what one instance does at which rate; None where the run shows nothing of it
    """
    search = meta.get("search")
    refused = _refused(meta, minutes, watched, limits, verdict)
    if refused:
        return Capacity(RAMP if search is None else SEARCH, refused=refused)
    if search is not None:
        return _searched(search, minutes, watched)
    found = _from_the_load(meta, minutes, watched, limits)
    return found if found.refused or curve is None else replace(found, saturates_at=curve.ceiling)


def _refused(
    meta: Mapping[str, Any], minutes: Minutes, watched: Watched | None, limits: Mapping[str, float], verdict: Verdict
) -> str:
    if not limits:
        return "there is no slo to hold a rate against"
    # A search leaves out the seconds that left late, and ends where most do.
    borne = OVERLOADED if "search" in meta else ()
    doubts = [reason.code for reason in verdict.reasons if reason.invalidates and reason.code not in borne]
    if not minutes.phases and doubts:
        return f"the run is not valid ({doubts[0]})"
    variants = [
        subject
        for subject in (meta.get("cloudwatch") or {}).get("subjects") or ()
        if subject.get("ours") and subject.get("kind") == "variant"
    ]
    if len(variants) > 1:
        return f"{len(variants)} variants share the requests, and each may have its own capacity; send to one of them"
    status = None if watched is None else watched.endpoint_at_start
    if status not in (None, "InService"):
        return f"the endpoint was {status} when the load began"
    return ""


# -- a search ----------------------------------------------------------------------------------------------------------


def _searched(search: Mapping[str, Any], minutes: Minutes, watched: Watched | None) -> Capacity:
    told = Capacity.from_dict(search["capacity"])
    if not search.get("ended"):
        between = "" if told.low is None else f": {told.low:,.4g} a second held so far"
        return Capacity(SEARCH, refused=f"the search was ended before it had an answer{between}")
    if told.refused or watched is None:
        return told
    if watched.foreign:
        minute = int(watched.foreign[0].at_s // 60)
        return Capacity(SEARCH, refused=f"somebody else used the endpoint in minute {minute} of the search")
    inside = [p.instances for p in watched.periods if p.instances is not None and p.middle_s >= 0]
    # What scaling did once the load was over, while CloudWatch was waited for, is no part of the search.
    end = minutes.end * minutes.speed
    levels = {float(e.in_service) for e in watched.events if e.in_service and e.at_s <= end} or set(inside)
    if not levels:
        return told
    if max(levels) > min(levels) * 1.001:
        return Capacity(
            SEARCH,
            refused=f"the number of instances changed while it was searched, {min(levels):g} to {max(levels):g}: "
            "suspend automatic scaling and search again",
        )
    instances = next(iter(levels))
    return told.shared_among(instances)


# -- a load that was planned -------------------------------------------------------------------------------------------


def _from_the_load(
    meta: Mapping[str, Any], minutes: Minutes, watched: Watched | None, limits: Mapping[str, float]
) -> Capacity:
    valid = {span.phase: Verdict.of_phase(minutes, meta, span).valid for span in minutes.phases}
    good = [span for span in minutes.phases if valid[span.phase] and minutes.is_judged(span)]
    if minutes.phases and not good:
        return Capacity(RAMP, refused="no phase that is judged is valid")
    length = _length(minutes)
    spans = list(_windows(minutes, length))
    foreign = watched.foreign if watched is not None else []
    disturbed = [any(_overlap(span, period) for period in foreign) for span in spans]
    if spans and sum(disturbed) > MOST_FOREIGN * len(spans):
        return Capacity(RAMP, refused=f"somebody else used the endpoint in {sum(disturbed)} of {len(spans)} stretches")
    rules = [Rule(metric, limit) for metric, limit in limits.items()]
    seen = watched if watched is not None and watched.instances is not None else None
    gone = math.inf if watched is None or watched.gone_at_s is None else watched.gone_at_s
    windows, serving = [], []
    for span, by_others in zip(spans, disturbed, strict=True):
        until_s = span.at_s + span.seconds * span.speed
        instances = 1.0 if seen is None else seen.served(span.at_s, until_s + _SEEN_LATE * span.speed)
        counts = bool(
            valid.get(span.phase, True)
            and minutes.is_judged(span)
            and not by_others
            and instances
            and until_s <= gone
            and span.arrivals.due > 0
        )
        window = _window(span, rules, watched, instances or 1.0, counts)
        windows.append(window)
        if counts and instances is not None:
            serving.append(instances)
    found = read(windows, length)
    if seen is None or found.refused:
        return found
    return replace(found, instances=max(serving, key=serving.count))


def _length(minutes: Minutes) -> int:
    """Real seconds of a stretch: about WINDOWS in all, of so many requests that a figure is one."""
    seconds = _seconds(minutes)
    total = sum(span.seconds for span in seconds)
    mean = sum(span.arrivals.due for span in seconds) / total if total else 0.0
    return max(1, math.ceil(total / WINDOWS), math.ceil(FEWEST / mean) if mean else 1)


def _seconds(minutes: Minutes) -> list[Span]:
    return [span for span in minutes.seconds if span.seconds > 1e-6]


def _windows(minutes: Minutes, length: int) -> Iterable[Span]:
    """Stretches of `length` seconds within a phase."""
    for _, group in groupby(_seconds(minutes), key=lambda span: span.phase):
        of_phase = list(group)
        for n in range(0, len(of_phase), length):
            part = of_phase[n : n + length]
            whole = Span(part[0].start, part[0].speed, part[0].phase)
            minutes.merge_into(whole, part)
            if whole.seconds >= 0.5 * length:  # what is left over at the end of a phase may be too little
                yield whole


def _overlap(span: Span, period: Period) -> bool:
    until = span.at_s + span.seconds * span.speed
    return period.at_s < until and span.at_s < period.at_s + period.seconds * span.speed


def _window(span: Span, rules: Iterable[Rule], watched: Watched | None, instances: float, counts: bool) -> Window:
    stretch = Stretch.of(span, watched)
    found = [(_used(value, rule.limit), rule.metric) for rule in rules if (value := rule.value(stretch)) is not None]
    ratio, metric = max(found, default=(0.0, ""))
    rate = span.arrivals.due / span.seconds / instances
    return Window(span.at_s, rate, metric, ratio, span.requests.latency.mean, counts)


def _used(value: float, limit: float) -> float:
    """How much of a limit; an error rate may be limited to none."""
    if limit:
        return value / limit
    return math.inf if value else 0.0
