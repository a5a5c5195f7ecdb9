"""The planned rate over time as lines of text: an area of block characters, with the phases under it."""

from __future__ import annotations

import math

from sm_locust.analysis.plan import Plan
from sm_locust.report import formats

ROWS = 8
WIDEST = 110  # columns: past that a ramp is no clearer
_BLOCKS = " ▁▂▃▄▅▆▇█"  # eighths of a character's height


def chart(plan: Plan, width: int) -> list[str]:
    """Lines of at most `width` columns.

    Where scaling has a target, the rate that the fewest instances take at it is drawn as a line over the area.
    """
    peak = plan.peak_rate
    if peak <= 0:
        return []
    labels = {0: _label(peak)}
    level = _level(plan)
    if level is not None:
        labels.setdefault(level, _label(plan.reach.at_minimum / 60 if plan.reach else 0.0))
    margin = max(map(len, labels.values())) + 2
    columns = max(20, min(width, WIDEST) - margin - 1)
    heights = [min(rate, peak) / peak * ROWS * 8 for rate in plan.rates(columns)]
    lines = ["arrivals a second"]
    for row in range(ROWS):
        cells = "".join(_cell(height, ROWS - 1 - row) for height in heights)
        if row == level:
            cells = cells.replace(" ", "╌")
        axis = "┤" if row in labels else "│"
        lines.append(f"{labels.get(row, ''):>{margin - 2}} {axis}{cells}")
    ticks = sorted({_column(plan, at_s, columns) for at_s in plan.schedule.boundaries[1:-1]})
    axis = "".join("┴" if column in ticks else "─" for column in range(columns))
    lines.append(f"{'0':>{margin - 2}} └{axis}")
    lines += [" " * margin + line for line in _under(plan, columns)]
    return [line.rstrip() for line in lines]


def _label(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"


def _level(plan: Plan) -> int | None:
    """The row of the rate that the fewest instances take; None where it is above the load or there is none."""
    if plan.reach is None or plan.reach.crossed_s is None:
        return None
    share = plan.reach.at_minimum / 60 / plan.peak_rate
    return min(ROWS - 1, max(0, ROWS - math.ceil(share * ROWS)))


def _cell(height: float, row: int) -> str:
    """height in eighths of a row, from the bottom; row 0 is the lowest."""
    eighths = math.floor(height - row * 8 + 0.5)
    return _BLOCKS[min(8, max(0, eighths))]


def _column(plan: Plan, at_s: float, columns: int) -> int:
    return min(columns - 1, int(at_s / plan.schedule.duration * columns))


def _under(plan: Plan, columns: int) -> list[str]:
    """Two lines: when phases begin, and their names where they fit."""
    times, names = [" "] * columns, [" "] * columns
    end = formats.clock(plan.schedule.duration)
    free = columns - len(end) - 1  # the end is always said
    times[columns - len(end) :] = end
    starts = [_column(plan, phase.at_s, columns) for phase in plan.phases]
    taken = 0
    for i, (phase, start) in enumerate(zip(plan.phases, starts, strict=True)):
        label = formats.clock(phase.at_s)
        if start >= taken and start + len(label) <= free:
            times[start : start + len(label)] = label
            taken = start + len(label) + 1
        room = (starts[i + 1] if i + 1 < len(starts) else columns + 1) - start - 1
        name = formats.printable(phase.name)
        if len(name) > room >= 4:
            name = name[: room - 1] + "…"
        if len(name) <= room:
            names[start : start + len(name)] = name
    return ["".join(times), "".join(names)]
