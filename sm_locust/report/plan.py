"""A Plan on a terminal: what will be sent where, when, with how much, and for how many dollars."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TextIO

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from sm_locust.analysis.cost import LAMBDA_GB, UNITS, Cost, CostItem, dollars, lambda_seconds
from sm_locust.analysis.plan import PhasePlan, Plan, Reach
from sm_locust.fields import format_duration
from sm_locust.report import formats, wording
from sm_locust.report.chart import chart
from sm_locust.report.text import DIM, WARN, console_for, print_table

LEFT_OUT = (
    "For as long as it lasts: an endpoint bills until it is deleted. InvokeEndpoint itself has no price. Left out: the "
    "bytes of answers, logs, free tiers, discounts, taxes."
)
NOTHING_KNOWN = "unknown"

WIDTH = 80  # columns where there is no terminal to ask
LABELS = 11  # columns of what stands before the facts
_NEAR = 0.5  # of what may be in flight, from which on pauses are worth a word

LONGEST = 3600.0  # seconds: nobody waits so long for an answer that it matters how many there may be at a time


def show(plan: Plan, stream: TextIO) -> None:
    """Prints it: in colour and to the terminal's width, or plain where the stream is not one."""
    console = console_for(stream, WIDTH)
    console.print(
        Text(f"{plan.arrivals:,.0f} arrivals{_requests(plan)} in {_long(plan.schedule.duration)}", style="bold")
    )
    console.print(Text(f"to {wording.destination(plan.config.as_dict())}", style=DIM))
    if plan.speed != 1:
        console.print(Text(_compressed(plan), style=WARN))
    print_table(console, _phases(plan))
    console.print()
    for line in chart(plan, console.width):
        console.print(Text(line, no_wrap=True))
    console.print()
    for label, value in _facts(plan):
        _fact(console, label, value)
    if plan.cost.free:
        _fact(console, "cost", plan.cost.free)
    _cost(console, plan)
    for warning in plan.warnings:
        console.print()
        console.print(Text(f"Note: {formats.printable(warning)}", style=WARN))


def _requests(plan: Plan) -> str:
    """Where an arrival is more than one."""
    return "" if plan.requests == plan.arrivals else f", {plan.requests:,.0f} requests,"


def _compressed(plan: Plan) -> str:
    return (
        f"Compressed {plan.speed} times: it takes {_long(plan.real_seconds)}, and as many times fewer arrivals at the "
        "same rates"
    )


def _phases(plan: Plan) -> formats.Table:
    rows = [_phase(phase) for phase in plan.phases]
    if len(rows) > 1:
        rows.append(("in all", "", _long(plan.schedule.duration), "", "", formats.number(plan.arrivals)))
    note = ", ".join(formats.printable(phase.name) for phase in plan.phases if not phase.judge)
    return formats.Table(
        ("phase", "from", "lasts", "a\N{NO-BREAK SPACE}second", "a\N{NO-BREAK SPACE}minute", "arrivals"),
        tuple(rows),
        note=f"Not judged: {note}." if note else "",
    )


def _phase(phase: PhasePlan) -> tuple[str, ...]:
    return (
        formats.printable(phase.name),
        formats.clock(phase.at_s),
        format_duration(phase.duration_s),
        _ramp(phase.rate, phase.end_rate),
        _ramp(phase.rate * 60, phase.end_rate * 60),
        formats.number(phase.arrivals),
    )


def _ramp(start: float, end: float) -> str:
    return _rate(start) if start == end else f"{_rate(start)} → {_rate(end)}"


def _rate(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 10 or rate == int(rate) else f"{rate:,.2g}"


def _needs(names: Sequence[str]) -> str:
    variables = "the environment variable" + ("s" if len(names) > 1 else "")
    return f"{variables} {', '.join(names)} in each process that sends"


def _facts(plan: Plan) -> list[tuple[str, str]]:
    arrivals, reach, scaling = plan.config.arrivals, plan.reach, plan.config.scaling
    minute, rate = plan.busiest
    spacing = "evenly spaced" if arrivals.spacing == "even" else "spaced by chance (Poisson)"
    found = [
        ("busiest", f"minute {minute}: {formats.number(rate)} a minute, {spacing}"),
        ("bodies", _bodies(plan)),
        *([("needs", _needs(names))] if (names := plan.config.environment) else []),
        ("processes", _processes(plan)),
    ]
    if reach is not None and scaling is not None:
        one, many = ("copy", "copies") if plan.config.scales_copies else ("instance", "instances")
        fewest = f"one {one}" if scaling.min_instances == 1 else f"{scaling.min_instances} {many}"
        needed = f"{reach.needed:,} {one if reach.needed == 1 else many}"
        found.append(("scaling", f"{_rate(reach.at_minimum)} a minute, the target for {fewest}, {_crossed(reach)}"))
        found.append(
            ("", f"the busiest minute needs {needed}; {scaling.max_instances:,} at most take {_rate(reach.at_maximum)}")
        )
    elif scaling is not None:
        found.append(
            (
                "scaling",
                f"{scaling.min_instances:,} to {scaling.max_instances:,}, by {formats.printable(scaling.metric_name)}",
            )
        )
    return found


def _crossed(reach: Reach) -> str:
    if reach.crossed_s is None:
        return "is never reached"
    return f"is crossed at {reach.crossed_s / 60:,.1f}".removesuffix(".0") + " min"


def _bodies(plan: Plan) -> str:
    bodies, sent = plan.bodies, plan.bytes_sent
    if bodies is None or sent is None:
        who = "the user class brings its" if plan.config.scenarios is None else "the scenarios have their"
        return f"{who} own: how many bytes is not known"
    mean = f"{bodies.mean_bytes:,.0f} bytes" if bodies.mean_bytes < 10_000 else size(bodies.mean_bytes)
    of = "" if bodies.count == 1 else f" on average, of {bodies.count:,}"
    return f"{size(sent)}: {mean}{of} a request; headers come on top"


def _processes(plan: Plan) -> str:
    n = plan.processes
    hint = "1 is enough" if n == 1 else f"{n}: --processes {n}, or as many workers; {plan.sizing.why}"
    most, its = plan.config.arrivals.max_in_flight, "its" if n == 1 else "their"
    pausing = plan.sizing.pausing
    if pausing >= _NEAR * most * n and "pauses" not in hint:
        hint += f"; pauses alone keep {pausing:,.0f} in flight at the peak"
    if plan.stall_s > LONGEST:
        return hint
    return f"{hint}; answers of {formats.rate(plan.stall_s)} s at the peak fill {its} {most:,} in flight"


def size(count: float) -> str:
    """Bytes in powers of a thousand, as AWS bills them: 51.5 MB."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.1f} TB"


def _cost(console: Console, plan: Plan) -> None:
    cost = plan.cost
    if cost.items:
        console.print()
        console.print(_prices(cost))
        console.print()
    if plan.experiment is not None and not cost.free and amount(plan.experiment) != NOTHING_KNOWN:
        said = f"{amount(plan.experiment)}: two such runs, BEFORE without scaling, and a pause"
        _fact(console, "experiment", said)
    for gap in _gaps(cost):
        _fact(console, "unknown", gap)
    if cost.items:
        console.print()
        console.print(Text(f"{LEFT_OUT}{_taken_for(plan)}", style=DIM))


def _taken_for(plan: Plan) -> str:
    if not any(item.key == "lambda_gb_second" for item in plan.cost.items):
        return ""
    return f" A call of Lambda is taken for {LAMBDA_GB * 1024:.0f} MB and {lambda_seconds(plan.config) * 1e3:g} ms."


def _gaps(cost: Cost) -> list[str]:
    gaps = [cost.unknown] if cost.unknown else []
    if cost.missing:
        where = "give `prices` in the configuration, or run `sm-locust check`, which asks AWS"
        gaps.append(f"{len(cost.missing)} of {len({item.key for item in cost.items})} prices: {where}")
    return gaps


def _prices(cost: Cost) -> RichTable:
    """Laid out by itself: with its five columns it just fits 80."""
    table = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style=DIM, padding=(0, 1, 0, 0))
    table.add_column("cost", overflow="fold")
    for name in ("quantity", "price", "price from", "US dollars"):
        table.add_column(name, justify="right", overflow="fold")
    for item in cost.items:
        price, paid = item.price, item.amount
        quantity, of = _quantity(item)
        table.add_row(
            formats.printable(item.what),
            quantity,
            formats.UNKNOWN if price is None else f"{formats.price(price.usd)}{of}",
            "unknown" if price is None else f"{price.origin} {price.as_of.isoformat()}",
            formats.UNKNOWN if paid is None else _between(dollars(paid[0]), dollars(paid[1])),
        )
    low, high = cost.total
    known = any(item.price is not None for item in cost.items)
    total = _between(dollars(low), dollars(high)) if known else NOTHING_KNOWN
    table.add_row("one run" if cost.is_known or not known else "run, at least", "", "", "", total)
    return table


def amount(cost: Cost) -> str:
    """$1.20 to $4.80, "at least" where something is not known, "unknown" where everything is."""
    if cost.items and all(item.price is None for item in cost.items):
        return NOTHING_KNOWN
    low, high = cost.total
    return ("" if cost.is_known else "at least ") + _between(dollars(low), dollars(high))


def _between(low: str, high: str) -> str:
    return low if low == high else f"{low} to {high.removeprefix('$')}"


def _quantity(item: CostItem) -> tuple[str, str]:
    """How much of it, and what its price is for where that is not the same unit: few are counted by themselves."""
    unit, one = UNITS[item.key], {"GB": 1e9, "million": 1e6, "thousand": 1e3}.get(UNITS[item.key])
    if one is None or item.high >= (0.01 if unit == "GB" else 1):
        return f"{_between(_figure(item.low), _figure(item.high))} {unit}", ""
    if unit == "GB":
        return _between(size(item.low * one), size(item.high * one)), " a GB"
    what = {"million": "calls", "thousand": "metrics"}[unit]
    return f"{_between(formats.number(item.low * one), formats.number(item.high * one))} {what}", f" a {unit}"


def _figure(value: float) -> str:
    if 0 < value < 0.0001:
        return "<0.0001"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _long(seconds: float) -> str:
    return format_duration(round(seconds, 3))


def _fact(console: Console, label: str, value: str) -> None:
    for i, line in enumerate(
        textwrap.wrap(formats.printable(value), max(20, console.width - LABELS), break_on_hyphens=False)
    ):
        console.print(Text.assemble((f"{label if i == 0 else '':{LABELS}}", DIM), line), soft_wrap=True)
