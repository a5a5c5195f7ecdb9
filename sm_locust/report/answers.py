"""What a reader wants to know first, in the order in which it is asked: the report's first screen.

Is it valid? What does one instance sustain? What to set? How long does scaling out take, and what did it cost? What do
the instances cost? What was changed, what was put back, what still bills? An answer that is not known says why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sm_locust.analysis.cost import dollars
from sm_locust.analysis.lag import Lag
from sm_locust.analysis.recommendation import Option, Recommendation
from sm_locust.analysis.summary import Summary
from sm_locust.analysis.toll import Toll
from sm_locust.report import formats, wording
from sm_locust.report.formats import UNKNOWN, Table, count, number, printable, rate


@dataclass(frozen=True, slots=True)
class Answer:
    """title   the question, in short
    figure  the answer in one number, or in a word
    said    what stands beside it, in sentences
    table   what else belongs to it
    strips  rows of labels and values under a name: stages, one after the other
    note    how to read it
    """

    title: str
    figure: str = ""
    said: tuple[str, ...] = ()
    table: Table | None = None
    strips: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = ()
    note: str = ""


def valid(summary: Summary) -> Answer:
    """The share that was delivered, and whether anybody else was there."""
    whole = summary.minutes.whole
    rows = [("delivered", f"{wording.delivered(whole)} of {wording.planned(whole)} planned")]
    if summary.on_sagemaker:
        rows.append(("foreign traffic", _foreign(summary)))
    said = () if summary.verdict.reasons else ("The generator kept its plan: these numbers are the target's.",)
    return Answer(wording.validity(summary.verdict), "", said, Table(("", ""), tuple(rows), words=2))


def _foreign(summary: Summary) -> str:
    watched = summary.watched
    if watched is None:
        return "not known: nobody watched CloudWatch"
    told = [period for period in watched.periods if period.foreign is not None]
    if not told:
        return "not known: CloudWatch counted no whole minute"
    if not watched.foreign:
        return f"none seen in {number(len(told))} periods"
    more = sum(period.foreign or 0.0 for period in watched.foreign)
    return f"{number(more)} requests, in {number(len(watched.foreign))} of {number(len(told))} periods"


def capacity(summary: Summary) -> Answer:
    """The most that one instance sustains within the SLO, its bounds, and what limits it."""
    found = summary.capacity
    title = "What one instance sustains"
    if not summary.on_sagemaker:
        title = "What the target sustains"
    elif found.instances is None and not found.refused:
        title = "What the endpoint sustains"
    if found.refused:
        return Answer(title, "not known", (_sentence(printable(found.refused)),))
    if found.max_rps is None:
        return Answer(title, f"< {rate(found.high)} requests a second", (_sentence(wording.capacity(summary)),))
    at_least = "" if found.reached else "≥ "
    low, high = rate(found.low), rate(found.high)
    interval = f"{low} to {high} with {found.confidence:.0%} confidence" if found.high else f"{low} or more"
    limit = f"{wording.limited(found)}, first at {rate(found.fails_at)} a second" if found.reached else "not reached"
    rows = [
        ("interval", interval),
        ("what limits it", limit),
    ]
    if summary.on_sagemaker:
        known = f"{count(found.instances)} in service" if found.instances else "not known how many"
        rows.append(("as CloudWatch counts", f"{at_least}{number(found.per_minute)} a minute"))
        rows.append(("instances measured", known))
    if found.saturates_at is not None:
        rows.append(("a queue grows past", f"{rate(found.saturates_at)} a second"))
    figure = f"{at_least}{rate(found.max_rps)} requests a second"
    return Answer(title, figure, (), Table(("", ""), tuple(rows), words=2))


def setting(summary: Summary) -> Answer:
    """Target, minimum and maximum beside those that there are, and how far each carries the planned peak."""
    title, found = "What to set", summary.recommendation
    if found is None or found.recommended is None:
        why = "" if found is None else found.refused
        if summary.capacity.refused:  # said beside it
            why = "it follows from what one instance sustains"
        elif not why:
            why = "the configuration names nothing that can be scaled"
        return Answer(title, "not known", (_sentence(printable(why)),))
    rows = [
        _row("target, requests a minute each", found, lambda o: UNKNOWN if o.target is None else f"{o.target:,.10g}"),
        _row("minimum", found, lambda option: f"{option.min_instances:,}"),
        _row("maximum", found, lambda option: f"{option.max_instances:,}"),
        _row("the maximum sustains", found, lambda option: _sustains(found, option)),
    ]
    if found.peak is not None:
        label = f"headroom at the peak, {rate(found.peak)} a second"
        rows.append(_row(label, found, lambda o: UNKNOWN if o.headroom is None else f"{o.headroom:+.0%}"))
    now = f"now: {printable(found.now_is)}" if found.now else "now: not known"
    return Answer(title, "", (), Table(("", now, "recommended"), tuple(rows)))


def _row(label: str, found: Recommendation, cell: Callable[[Option], str]) -> tuple[str, str, str]:
    now, recommended = (UNKNOWN if option is None else cell(option) for option in (found.now, found.recommended))
    return label, now, recommended


def _sustains(found: Recommendation, option: Option) -> str:
    at_least = "≥ " if found.lower_bound else ""
    return f"{at_least}{rate(option.sustains)} a second"


def lag(summary: Summary) -> Answer:
    """Stage by stage for each scale-out, and what the wait cost."""
    title, watched = "How long scaling out took, and what it cost", summary.watched
    if watched is None:
        return Answer(title, "not known", ("Nobody watched scaling in this run.",))
    if not summary.lags:
        scaling = "the scaling of this run is not known" if watched.state is None else wording.scaling(watched)
        return Answer(title, "", (f"No scale-out was seen. Automatic scaling: {scaling}.",))
    strips = tuple(
        (f"to {number(found.instances)}", tuple(_stages(found, toll)))
        for found, toll in zip(summary.lags, summary.tolls, strict=True)
    )
    note = "Each stage counts from the one before; failed and over the SLO from crossed to in service, or to the end."
    return Answer(title, strips=strips, note=note)


def _stages(found: Lag, toll: Toll) -> Iterator[tuple[str, str]]:
    for name, said in wording.lag_steps(found):
        yield name, said.strip(" :").removeprefix("at ")
    if toll.served and found.crossed_s is not None:
        yield "crossed → in service", f"{toll.until_s - toll.from_s:,.0f} s"
    yield "failed meanwhile", number(toll.failed)
    if toll.broken is not None:
        yield "minutes over the SLO", number(toll.broken)


def price(summary: Summary) -> Answer:
    """What the instances cost an hour, and a million requests."""
    title, found = "What the instances cost", summary.spent
    if found.price is None:
        return Answer(title, "not known" if found.billed else "nothing", (_sentence(printable(found.why)),))
    rows = []
    if found.hourly is not None and found.instances is not None:
        (low, high), (fewest, _, most) = found.hourly, found.instances
        hourly = f"{formats.price(high)} with {count(most)} {'instance' if most == 1 else 'instances'}"
        rows.append(("an hour", hourly if low == high else f"{formats.price(low)} with {count(fewest)}, {hourly}"))
    if found.per_million is not None:
        rows.append(("a million, as they were sent", dollars(found.per_million)))
    if found.per_million_at_capacity is not None:
        rows.append(("a million, as fast as the SLO allows", dollars(found.per_million_at_capacity)))
    rows.append(("one instance", f"{formats.price(found.price.usd)} an hour (configuration, {found.price.as_of})"))
    said = (_sentence(printable(f"{found.why}: an hour of all is not known")),) if found.why else ()
    return Answer(title, "", said, Table(("", ""), tuple(rows), words=2))


def left(summary: Summary) -> Answer:
    """What was changed, what was put back, what still bills."""
    rows = [("changed", _changed(summary)), ("put back", _restored(summary))]
    bills = wording.billing(summary.billing)
    rows.append(("still billing", "; ".join(what for what, _ in bills) or "not known: nobody asked"))
    return Answer("What changed, what was put back, what still bills", "", (), Table(("", ""), tuple(rows), words=2))


def _changed(summary: Summary) -> str:
    who = "nothing by the run" if summary.borrowed is None else "automatic scaling, by the experiment"
    found = summary.watched.instances if summary.watched is not None else None
    if found is None:
        return f"{who}; how many instances there were is not known"
    start, end, most = found
    if start == end == most:
        return f"{who}; instances stayed {count(start)}"
    return f"{who}; instances {count(start)} → {count(end)}, at most {count(most)}"


def _restored(summary: Summary) -> str:
    found = summary.borrowed
    if found is None:
        return "nothing had to be"
    if found.unreadable:
        return printable(f"not known: {found.unreadable}")
    if found.not_restored:
        return printable(f"NOT: {found.not_restored}")
    if not found.over:
        return "not yet, when this was written: the experiment was not over"
    return printable(" ".join(found.restored)) or "nothing had to be"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].removesuffix('.')}." if text else ""
