"""Capacities as a picture: a bar for each configuration and its interval over it, on one axis from 0.

Plain HTML and the style sheet: it is there without JavaScript and on paper, and beside each bar stand its numbers.
"""

from __future__ import annotations

from html import escape

from sm_locust.analysis.several import Bounded, Several
from sm_locust.report import several
from sm_locust.report.formats import rate

_ROOM = 1.04  # to the right of the highest: what is open goes on there


def render(found: Several) -> str:
    """Of one instance each; empty where nobody has a capacity."""
    names = several.labels(found)
    rates = [(names[one.run_id] + several.star(one), one.rates) for one in found.configurations]
    top = max((of.value if of.high is None else of.high for _, of in rates if of is not None), default=0.0) * _ROOM
    if not top:
        return ""
    return f'<div class="intervals">{"".join(_row(name, of, top) for name, of in rates)}</div>'


def _row(name: str, of: Bounded | None, top: float) -> str:
    if of is None:
        return f"<div><b>{escape(name)}</b><span>no capacity</span></div>"
    high = top if of.high is None else of.high
    bar = f'<i style="width:{_share(of.value, top)}"></i>'
    reach = f'<i class="{"open" if of.high is None else "reach"}" style="left:{_share(of.low, top)};'
    reach += f'width:{_share(high - of.low, top)}"></i>'
    text = f"{rate(of.value)} ({several.interval(of)})"
    return f'<div><b>{escape(name)}</b><span class="track">{bar}{reach}</span><span>{escape(text)}</span></div>'


def _share(value: float, top: float) -> str:
    return f"{value / top:.2%}"
