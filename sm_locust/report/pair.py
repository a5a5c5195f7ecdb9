"""What a Comparison says, in words: one wording for the terminal, Markdown and the page.

Numbers look as they do in the report of one run (formats); which rows of a long table are shown is decided here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from sm_locust.analysis.compare import Comparison, Minute, Side
from sm_locust.analysis.differences import CAPACITY, DELIVERED, RATIOS, Difference, Direction, Figure, unit
from sm_locust.analysis.fail_if import Judged, State
from sm_locust.analysis.rules import MODEL_LATENCY
from sm_locust.config import ERROR_RATE
from sm_locust.report import formats, several, tables, wording
from sm_locust.report.formats import UNKNOWN, Table, clock, count, ms, number, percent, printable

SIDES = ("BEFORE", "AFTER")

_CAPACITY = ("capacity, requests a second", "what limits it")  # rows of the totals


def headline(comparison: Comparison) -> list[str]:
    """Where each of the two began to break, or that it did not."""
    return [f"{name}: {'; '.join(broken)}." for name, *broken in broken_by_side(comparison)]


def broken_by_side(comparison: Comparison) -> list[tuple[str, ...]]:
    """BEFORE or AFTER and the parts of its sentence, the one about failed requests first."""
    sides = zip(SIDES, comparison.sides, strict=True)
    return [(name, *_lower(wording.broken(side.summary))) for name, side in sides]


def _lower(parts: list[str]) -> list[str]:
    """After a colon: the first word is small, unless it is SLO."""
    return [part if part.startswith("SLO") else part[0].lower() + part[1:] for part in parts]


def way(comparison: Comparison) -> str:
    before, after = (wording.way(side.summary) for side in comparison.sides)
    return before if before == after else f"{before}, then {after}"


def banners(comparison: Comparison) -> list[str]:
    """The warnings of compressed runs; none at speed 1."""
    before, after = comparison.sides
    if before.summary.speed == after.summary.speed:
        return [wording.speed(before.summary)] if before.summary.speed != 1 else []
    return [
        f"{name}: {wording.speed(side.summary) or 'Played in real time.'}"
        for name, side in zip(SIDES, comparison.sides, strict=True)
    ]


def doubts(comparison: Comparison) -> list[str]:
    """Why a number of the pair should not be believed, or is not there."""
    found = []
    for name, side in zip(SIDES, comparison.sides, strict=True):
        found += [
            printable(f"{name} is not valid: {reason.text}")
            for reason in side.summary.verdict.reasons
            if reason.invalidates
        ]
    if not comparison.same_phases:
        found.append("The two runs played different phases: their minutes are paired by the time since the start.")
    for name, side in zip(SIDES, comparison.sides, strict=True):
        found += [f"{name}: {gap}" for gap in wording.gaps(side.summary.watched)]
    if comparison.borrowed and comparison.borrowed.unreadable:
        found.append(printable(f"Whether scaling was put back is not known: {comparison.borrowed.unreadable}"))
    if comparison.borrowed and comparison.borrowed.not_restored:
        found.append(printable(f"Scaling is not as it was: {comparison.borrowed.not_restored}"))
    return found


def restored(comparison: Comparison) -> list[str]:
    return [printable(sentence) for sentence in comparison.borrowed.restored] if comparison.borrowed else []


# -- tables ------------------------------------------------------------------------------------------------------------


def totals(comparison: Comparison) -> Table:
    """The two runs side by side. What neither of them knows is left out, and a capacity unless both have one."""
    columns = [_totals(side) for side in comparison.sides]
    if UNKNOWN in (column["what limits it"] for column in columns):  # one capacity alone is compared with nothing
        columns = [{label: text for label, text in column.items() if label not in _CAPACITY} for column in columns]
    rows = tuple(
        (label, before, columns[1][label])
        for label, before in columns[0].items()
        if (before, columns[1][label]) != (UNKNOWN, UNKNOWN)
    )
    aside = [f"{name} {n}" for name, side in zip(SIDES, comparison.sides, strict=True) if (n := side.set_aside)]
    note = f"Worst minutes: those in which requests left late are set aside ({', '.join(aside)})." if aside else ""
    return Table(("what", *SIDES), rows, words=3, note=note)


def _totals(side: Side) -> dict[str, str]:
    summary, whole = side.summary, side.summary.minutes.whole
    requests, watched = whole.requests, side.summary.watched

    return {
        "verdict": wording.validity(summary.verdict),
        "SLO": wording.slo(summary.slo.passed) if summary.limits else UNKNOWN,
        "automatic scaling": wording.scaling(watched),
        "instances, start → end": _start_to_end(side),
        "sent": f"{number(whole.sent)} of {wording.planned(whole)}",
        "failed": number(requests.failed),
        "first failed request": _at(side.first_failure),
        "SLO first broken": _at(side.first_break) if summary.limits else UNKNOWN,
        "ModelLatency mean, worst minute": _worst(side.worst("model_latency_mean")),
        "service time mean, worst minute": _worst(side.worst("service_time_mean")),
        "busiest minute for one instance": number(watched.most_per_instance if watched else None),
        "capacity, requests a second": several.capacity(summary.capacity, _whole(side)),
        "what limits it": several.limit(summary.capacity),
    }


def _whole(side: Side) -> str:
    """What is called where nobody knows of its instances."""
    return "the endpoint" if side.summary.on_sagemaker else "the target"


_DIRECTIONS: dict[Direction | None, str] = {
    "better": "better",
    "worse": "worse",
    "same": "about the same",
    "unclear": "too close to tell",
    None: UNKNOWN,
}


def differences(comparison: Comparison, found: Sequence[Difference]) -> Table:
    """What changed, by how much of BEFORE's, and whether for the better."""
    rows = tuple(
        (
            _name(each, _whole(comparison.after)),
            _DIRECTIONS[each.direction],
            _figure(each.metric, each.before),
            _figure(each.metric, each.after),
            _change(each) or UNKNOWN,
        )
        for each in found
    )
    notes = ["Change: of BEFORE's; less than 1% is about the same."]
    if any(not phase.judge for side in comparison.sides for phase in side.summary.phases):
        notes.append("Of the phases that are judged.")
    if any(each.direction == "unclear" for each in found):
        notes.append("Too close to tell: the intervals of the two overlap.")
    return Table(("figure", "AFTER is", *SIDES, "change"), rows, words=2, note=" ".join(notes))


def _name(found: Difference, whole: str) -> str:
    """`latency p99` of latency_p99.

    whole  what a capacity is of, if it is not of one instance
    """
    metric = found.metric
    if metric == DELIVERED:
        return "delivered"
    if metric == CAPACITY:
        return f"capacity, requests a second for {'one instance' if found.before.one else whole}"
    if metric == ERROR_RATE:
        return "error rate"
    measure, _, statistic = metric.rpartition("_")
    if measure != MODEL_LATENCY:
        return f"{measure.replace('_', ' ')} {statistic}"
    return f"ModelLatency {statistic}" + ("" if statistic in ("mean", "max") else ", highest minute")


def _figure(metric: str, found: Figure) -> str:
    if found.value is None:
        return UNKNOWN
    if unit(metric) == "ms":
        return ms(found.value)
    if metric in RATIOS:
        return percent(found.value)
    return ("≥ " if found.open else "") + formats.rate(found.value)


def _bounded(metric: str, found: Figure) -> str:
    """With the bounds of a capacity."""
    known = found.bounded and not found.open
    return _figure(metric, found) + (f" ({formats.rate(found.low)} to {formats.rate(found.high)})" if known else "")


def _change(found: Difference) -> str:
    """With its sign; empty where it is not known."""
    if found.change is None:
        return "from 0" if found.before.value == 0 and found.after.value else ""
    size = abs(found.change)
    text = f"{size:,.0%}" if size >= 1 else f"{size:.1%}"
    return ("±" if text == "0.0%" else "+" if found.change > 0 else "−") + text


def rules_title(judged: Sequence[Judged]) -> str:
    """How many of the rules are broken, or cannot be told."""
    states, given = [found.state for found in judged], f"{len(judged)} rule{'s' if len(judged) != 1 else ''}"
    bad = [(n, state) for state in ("broken", "cannot be told") if (n := states.count(state))]
    if not bad:
        return f"{given} held"
    (n, state), *others = bad
    return f"{n} of {given} {state}" + "".join(f", {more} {also}" for more, also in others)


def rules(judged: Sequence[Judged]) -> list[tuple[State, str]]:
    """Each rule of --fail-if with its numbers, and whether it is held: those that are not come first."""
    order = ("broken", "cannot be told", "held")
    return [(found.state, _rule(found)) for found in sorted(judged, key=lambda found: order.index(found.state))]


def _rule(found: Judged) -> str:
    rule, difference = found.rule, found.difference
    numbers = [f"AFTER {_bounded(rule.metric, difference.after)}"]
    if rule.relative:
        numbers.insert(0, f"BEFORE {_bounded(rule.metric, difference.before)}")
        numbers += filter(None, [_change(difference)])
    state = "BROKEN" if found.broken else found.state
    return printable(f"{state}: {rule}: {', '.join(numbers)}" + (f" ({found.why})" if found.why else ""))


def _start_to_end(side: Side) -> str:
    if side.instances is None:
        return UNKNOWN
    start, end, most = side.instances
    text = f"{count(start)} → {count(end)}"
    return text if most == max(start, end) else f"{text}, at most {count(most)}"


def _at(minute: int | None) -> str:
    return "never" if minute is None else f"minute {minute}"


def _worst(found: tuple[int, float] | None) -> str:
    return UNKNOWN if found is None else f"{ms(found[1])} (minute {found[0]})"


def minutes(comparison: Comparison, at_most: int | None = tables.TABLE_ROWS) -> Table:
    """Minute by minute, thinned evenly to `at_most` rows; where either began to break always stays.

    Empty where there is but one minute, or a part of it: the totals say that.
    """
    pairs = comparison.pairs
    if len(pairs) < 2:
        return Table((), ())
    watched = any(m is not None and m.model_latency_mean is not None for _, *both in pairs for m in both)
    shown = pairs
    if at_most is not None and len(pairs) > at_most:
        kept = {0, len(pairs) - 1}
        kept |= {n for side in comparison.sides for n in (side.first_failure, side.first_break) if n is not None}
        step = -(-len(pairs) // max(1, at_most - len(kept)))
        shown = [pairs[n] for n in sorted(kept | set(range(0, len(pairs), step)))[:at_most]]

    def latency(minute: Minute) -> str:
        found = minute.model_latency_mean if watched else minute.service_time_mean
        return ms(found).removesuffix(" ms")

    columns: list[tuple[str, Callable[[Minute], str]]] = [
        ("sent/min", lambda minute: number(minute.sent)),
        ("ModelLatency" if watched else "service time", latency),
        ("failed/min", lambda minute: number(minute.failed)),
    ]
    if watched:
        columns.append(("per instance", lambda minute: number(minute.per_instance)))
    if any(m is not None and m.instances is not None for _, *both in pairs for m in both):
        columns.append(("instances", lambda minute: count(minute.instances)))
    rows = tuple(
        (
            f"{n}{'*' if any(minute is not None and minute.partial for minute in both) else ''}",
            *(" → ".join(UNKNOWN if minute is None else cell(minute) for minute in both) for _, cell in columns),
        )
        for n, *both in shown
    )
    note = "BEFORE → AFTER; mean latencies in milliseconds"
    if any(row[0].endswith("*") for row in rows):
        note += "; * not a whole minute"
    return Table(("minute", *(header for header, _ in columns)), rows, words=0, note=note)


def changes(comparison: Comparison) -> Table:
    """What the two runs were told differently."""
    rows = [(printable(change.key), _value(change.before), _value(change.after)) for change in comparison.changes]
    before, after = (wording.scaling(side.summary.watched) for side in comparison.sides)
    if before != after:
        rows.insert(0, ("automatic scaling", before, after))
    return Table(("changed", *SIDES), tuple(rows), words=3)


def _value(value: Any) -> str:
    if value is None:
        return UNKNOWN
    return printable(value if isinstance(value, str) else json.dumps(value))


def facts(comparison: Comparison) -> Table:
    """What ran, where the two differ in it or not."""
    columns = [dict(wording.facts(side.summary)) for side in comparison.sides]
    rows = tuple((label, columns[0][label], columns[1][label]) for label in columns[0])
    return Table(("what", *SIDES), rows, words=3)


def events(comparison: Comparison) -> Table:
    """What became of the instances, in both runs by the schedule's time."""
    found = sorted(
        (
            (max(0.0, event.at_s), name, event)
            for name, side in zip(SIDES, comparison.sides, strict=True)
            for event in (side.summary.watched.events if side.summary.watched else ())
            if event.event
        ),
        key=lambda entry: (SIDES.index(entry[1]), entry[0]),
    )
    rows = tuple(
        (clock(at), name, printable(event.event), number(event.desired), number(event.in_service))
        for at, name, event in found
    )
    return Table(("at", "run", "event", "desired", "in service"), rows, words=3)
