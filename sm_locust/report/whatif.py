"""A WhatIf on a terminal, and as one HTML file: what the scaling that is asked for would do, beside other targets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from itertools import pairwise
from typing import TextIO

from rich.text import Text

from sm_locust.analysis.cost import dollars
from sm_locust.analysis.replay import PredictedMinute, Prediction
from sm_locust.analysis.whatif import WhatIf
from sm_locust.report import formats, tables
from sm_locust.report.curves import Chart, Curve
from sm_locust.report.page import chart_place, chart_title, document, folded, prose, section
from sm_locust.report.text import DIM, LOG_WIDTH, WARN, console_for, print_table

ROWS = 6  # of the latency's picture
MOST_ROWS = 6  # of the instances'
WIDEST = 110  # columns of a picture
NBSP = "\N{NO-BREAK SPACE}"
_BLOCKS = " ▁▂▃▄▅▆▇█"  # eighths of a character's height

HOW = (
    "Target tracking sees each minute as soon as it is over; it starts with the fewest instances. Arrivals are shared "
    "out at random. Latency is the mean from the scheduled time, of good answers."
)


def show(whatif: WhatIf, stream: TextIO) -> None:
    """Prints it: in colour and to the terminal's width, or plain where the stream is not one."""
    console = console_for(stream, LOG_WIDTH)
    console.print(Text(headline(whatif), style="bold"))
    for line in given(whatif):
        console.print(Text(line, style=DIM))
    for doubt in doubts(whatif):
        console.print(Text(doubt, style=WARN))
    console.print()
    for line in picture(whatif, console.width):
        console.print(Text(line, no_wrap=True))
    print_table(console, minutes(whatif))
    print_table(console, targets(whatif))


def render(whatif: WhatIf) -> str:
    """The same as a page that needs nothing from anywhere."""
    found = charts(whatif)
    notes = "".join(f'<li class="warn">{prose(doubt)}</li>' for doubt in doubts(whatif))
    body = [
        "<header>",
        f'<p class="kicker">sm_locust <span>{escape(formats.printable(whatif.summary.run_id))}</span></p>',
        f"<h1>{escape(headline(whatif))}</h1>",
        *(f'<p class="way">{escape(line)}</p>' for line in given(whatif)),
        "</header>",
        f'<section class="card warn"><h2>To know when reading this</h2><ul>{notes}</ul></section>' if notes else "",
        *(f"<section>{chart_title(chart)}{chart_place(i, chart)}</section>" for i, chart in enumerate(found)),
        section("Other targets", targets(whatif)),
        folded("Every minute", minutes(whatif, at_most=None)),
    ]
    return document("What if", body, found)


# -- sentences ---------------------------------------------------------------------------------------------------------


def headline(whatif: WhatIf) -> str:
    asked = whatif.asked
    worst = f"worst minute mean {formats.ms(asked.worst_mean)}" if asked.worst_mean is not None else "no answer"
    fails = f"{formats.percent(asked.error_rate)} fail" if asked.errors else "no request fails"
    if not all(whatif.curve.foretells(minute.per_instance / 60) for minute in asked.minutes):
        fails = "how many fail is not known"
    first = asked.first_scale_out
    scales = "it never scales out" if first is None else f"more instances serve from minute {first}"
    return f"{_policy(asked)}: {worst}, {fails}, {scales}."


def _policy(asked: Prediction) -> str:
    policy = asked.policy
    bounds = f"{policy.min_instances:,} to {policy.max_instances:,} instances"
    return f"With {policy.target:,.10g} a minute for each of {bounds}"


def given(whatif: WhatIf) -> list[str]:
    """What the answer rests on, a line each."""
    curve, asked = whatif.curve, whatif.asked
    quiet = " to ".join(dict.fromkeys(formats.ms(knot.latency) for knot in (curve.knots[0], curve.knots[-1])))
    ceiling = "nothing shows the most that it answers, its ceiling"
    if curve.ceiling is not None:
        ceiling = f"answers at most {_a_minute(curve.ceiling)} a minute"
        if curve.full is not None:
            ceiling += f", and refuses what is too much once its queue makes that {formats.ms(curve.full)}"
    hours = f"{asked.instance_hours:,.2f} instance-hours"
    cost = whatif.cost(asked)
    return [
        f"One instance, measured from {_a_minute(curve.lowest)} to {_a_minute(curve.highest)} a minute: {quiet}; "
        f"{ceiling}.",
        f"Load: {formats.printable(whatif.load.what)}. An instance serves {whatif.provision_s:,.0f} s after it is "
        f"wanted ({whatif.provision_from}).",
        f"{hours} of the schedule{'' if cost is None else f', {dollars(cost)}'}. {HOW}",
    ]


def _a_minute(rate: float) -> str:
    return formats.number(rate * 60)


def doubts(whatif: WhatIf) -> list[str]:
    """What a reader must know before believing it, a sentence each."""
    curve, found = whatif.curve, []
    outside = [minute for minute in whatif.asked.minutes if minute.extrapolated]
    if outside:
        n = f"{len(outside)} of {len(whatif.asked.minutes)} minutes"
        found.append(
            f"Extrapolated in {n}, the first of them minute {outside[0].minute}: there an instance has more or less to "
            "do, or a longer queue, than the run measured."
        )
    if curve.ceiling is None:
        found.append(
            "Beyond the highest rate that was measured latency is taken to stay level, and no request to fail: "
            "that will not be so."
        )
    elif curve.full is None:
        found.append("The run refused nothing: how long a queue may get is not known, and no error is predicted.")
    if curve.failing:
        found.append(
            f"{formats.percent(curve.failing)} of the requests failed where no queue was seen: as many are taken to "
            "fail at every rate."
        )
    if curve.assumed:
        some = "one instance was" if curve.instances == 1 else f"{curve.instances:g} instances were"
        found.append(f"Nobody watched the instances of the run: {some} taken for granted (--instances).")
    if whatif.summary.watched is not None and whatif.summary.watched.foreign:
        found.append(
            "Somebody else sent to the endpoint too, and is in no rate of the curve: it takes more than it says."
        )
    if not whatif.summary.verdict.valid:
        found.append("The run is not valid: what it measured may be its own doing.")
    if whatif.speed != 1:
        found.append(
            f"Replayed {whatif.speed} times faster, as such a run would be: queues are not compressed, so that "
            "errors come later on the schedule than in reality. --speed 1 asks for reality."
        )
    return found


# -- tables ------------------------------------------------------------------------------------------------------------


def targets(whatif: WhatIf) -> formats.Table:
    """A row a target."""
    ceiling, rows = whatif.curve.ceiling, []
    for each in whatif.targets:
        asked = each.policy == whatif.asked.policy
        outside = sum(minute.extrapolated for minute in each.minutes)
        rows.append(
            (
                f"{each.policy.target:,.10g}{NBSP + '←' if asked else ''}",
                formats.UNKNOWN if ceiling is None else f"{each.policy.target / ceiling / 60:.0%}",
                f"{each.policy.min_instances:,}{NBSP}→{NBSP}{each.peak:,}",
                f"{each.instance_hours:,.2f}",
                _dollars(whatif.cost(each)),
                formats.ms(each.worst_mean).removesuffix(" ms"),
                formats.number(whatif.over(each)),
                formats.percent(each.error_rate) if each.errors else "none",
                "never" if each.first_scale_out is None else str(each.first_scale_out),
                str(outside) if outside else "none",
            )
        )
    header = ("target", "of most", "start → peak", "hours", "cost", "worst ms", "over SLO", "failed", "out at")
    held = "" if whatif.limit is None else f", {whatif.limit[0]} ≤ {formats.ms(whatif.limit[1])}"
    note = (
        "Of most: of what one instance answers at most. Start → peak: instances in service. Hours: theirs. Worst ms: "
        f"the highest mean latency of a minute. Over SLO: minutes whose mean is above it{held}. Out at: the minute in "
        "which more instances serve. *: minutes that are extrapolated."
    )
    return formats.Table((*header, "*"), tuple(rows), note=note)


def _dollars(usd: float | None) -> str:
    return formats.UNKNOWN if usd is None else dollars(usd)


def minutes(whatif: WhatIf, at_most: int | None = tables.TABLE_ROWS) -> formats.Table:
    """The asked policy, minute by minute; thinned to `at_most` rows, in which those where instances change stay."""
    found = whatif.asked.minutes
    price = None if whatif.price is None else whatif.price.usd
    rows = tuple(
        (
            f"{each.minute}{'*' if each.extrapolated else ''}",
            formats.number(each.rate),
            formats.number(each.per_instance),
            str(each.instances) if each.instances == each.desired else f"{each.instances} of {each.desired}",
            formats.ms(each.latency_mean),
            formats.percent(each.error_rate) if each.error_rate else "none",
            _dollars(None if price is None else each.instances * price / 60),
        )
        for each in _shown(found, at_most)
    )
    header = ("minute", "arrivals/min", "for one instance", "instances", "mean latency", "failed", "cost a minute")
    note = "* extrapolated. 1 of 2: one serves, two are wanted."
    return formats.Table(header, rows, words=0, note=note if rows else "")


def _shown(found: Sequence[PredictedMinute], at_most: int | None) -> Sequence[PredictedMinute]:
    if at_most is None or len(found) <= at_most:
        return found
    changes = [i for i in range(1, len(found)) if (found[i].instances, found[i].desired) != _capacity(found, i - 1)]
    kept = {0, len(found) - 1, *changes[: at_most // 2]}
    step = math.ceil(len(found) / (at_most - len(kept)))
    return [found[i] for i in sorted(kept | set(range(0, len(found), step)))]


def _capacity(found: Sequence[PredictedMinute], i: int) -> tuple[int, int]:
    return found[i].instances, found[i].desired


# -- pictures ----------------------------------------------------------------------------------------------------------


def picture(whatif: WhatIf, width: int) -> list[str]:
    """Mean latency and instances over the schedule's minutes: lines of at most `width` columns."""
    found = whatif.asked.minutes
    means = [(minute.latency_mean or 0.0) * 1e3 for minute in found]
    instances = [float(minute.instances) for minute in found]
    if not found or not max(means):
        return []
    top = max(means)
    ticks = {0: f"{top:,.3g}"}
    margin = max(len(ticks[0]), len(f"{max(instances):.0f}")) + 2
    columns = max(20, min(width, WIDEST) - margin)
    most = int(max(instances))
    end = str(len(found))
    return [
        "mean latency in ms",
        *_area(_columns(means, columns), top, ROWS, margin),
        "instances in service",
        *_area(_columns(instances, columns), float(most), min(most, MOST_ROWS), margin),
        f"{'':{margin}}{'minute 0':{columns - len(end)}}{end}",
    ]


def _columns(values: Sequence[float], columns: int) -> list[float]:
    """The highest of each column: a minute that breaks must not be lost between two."""
    edges = [i * len(values) / columns for i in range(columns + 1)]
    return [max(values[int(a) : max(int(a) + 1, math.ceil(b))]) for a, b in pairwise(edges)]


def _area(values: Sequence[float], top: float, rows: int, margin: int) -> list[str]:
    lines = []
    for row in range(rows):
        base = (rows - 1 - row) * 8
        eighths = (min(8, max(0, round(value / top * rows * 8) - base)) for value in values)
        label = f"{top:,.3g}" if row == 0 else ""
        lines.append(f"{label:>{margin - 2}} {'┤' if label else '│'}{''.join(_BLOCKS[n] for n in eighths)}".rstrip())
    lines.append(f"{'0':>{margin - 2}} └{'─' * len(values)}")
    return lines


def charts(whatif: WhatIf) -> list[Chart]:
    """The asked policy over time, then what comes of each target."""
    found, every = whatif.asked.minutes, whatif.targets
    if not found:
        return []
    limit = [] if whatif.limit is None else [(whatif.limit[1] * 1e3, f"SLO {whatif.limit[0]}")]
    xs = [minute.minute + 0.5 for minute in found]
    until = float(len(found))
    per_target = [each.policy.target for each in every]

    def over_time(title: str, subtitle: str, unit: str, kind: str, curves: list[Curve], log: bool = False) -> Chart:
        top = max((y or 0.0 for curve in curves for y in curve.y), default=0.0) + 0.5
        of = (0.0, top) if kind == "steps" else None
        return Chart(title, subtitle, unit, kind, log, curves, limit if log else [], [], until, 1.0, of)

    def over_targets(title: str, subtitle: str, unit: str, curve: Curve, log: bool) -> Chart:
        lines = limit if log else []
        along = "target: invocations a minute for one instance"
        return Chart(title, subtitle, unit, "lines", log, [curve], lines, [], per_target[-1] * 1.02, 1.0, None, along)

    means = [None if m.latency_mean is None else round(m.latency_mean * 1e3, 4) for m in found]
    worst = [None if each.worst_mean is None else round(each.worst_mean * 1e3, 4) for each in every]
    hours: list[float | None] = [round(each.instance_hours, 4) for each in every]
    served: list[float | None] = [float(minute.instances) for minute in found]
    failed: list[float | None] = [round(minute.error_rate * 100, 4) for minute in found]
    asked = _policy(whatif.asked)
    return [
        over_time(
            "Mean latency", f"{asked}; logarithmic", "ms", "lines", [Curve("latency mean", "latency", xs, means)], True
        ),
        over_time("Instances in service", asked, "in service", "steps", [Curve("instances", "instances", xs, served)]),
        over_time("Failed", "share of the requests", "%", "bars", [Curve("failed", "error", xs, failed)]),
        over_targets(
            "Worst minute by target",
            "highest mean latency of a minute; logarithmic",
            "ms",
            Curve("worst mean", "latency", per_target, worst),
            True,
        ),
        over_targets(
            "Instance-hours by target",
            "in service, hours of the schedule",
            "hours",
            Curve("instance-hours", "instances", per_target, hours),
            False,
        ),
    ]
