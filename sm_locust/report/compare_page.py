"""A Comparison as one HTML file: compare.html, with the pictures of both runs side by side on the same axes.

It has the frame, the look and the care for hostile text of the page of one run.
"""

from __future__ import annotations

from html import escape

from sm_locust.analysis.compare import Comparison
from sm_locust.report import figures, pair
from sm_locust.report.page import chart_place, chart_title, document, folded, section


def render(comparison: Comparison) -> str:
    pairs = figures.of_pair(comparison)
    charts = [chart for both in pairs for chart in both]
    broken = "".join(
        f"<h1>{name}: {escape(first)}</h1>" + "".join(f'<p class="broken">{escape(also)}</p>' for also in more)
        for name, first, *more in pair.broken_by_side(comparison)
    )
    restored = "".join(f"<li>{escape(sentence)}</li>" for sentence in pair.restored(comparison))
    doubts = "".join(f'<li class="warn">{escape(doubt)}</li>' for doubt in pair.doubts(comparison))
    body = [
        "<header>",
        '<p class="kicker">sm_locust <span>before and after</span></p>',
        broken,
        f'<p class="way">{escape(pair.way(comparison))}</p>',
        "</header>",
        *(f'<p class="banner">{escape(banner)}</p>' for banner in pair.banners(comparison)),
        f'<section class="card warn"><h2>To know when reading this</h2><ul>{doubts}</ul></section>' if doubts else "",
        section("Side by side", pair.totals(comparison)),
    ]
    for i, both in enumerate(pairs):
        panels = "".join(
            f"<div><h3>{name}</h3>{chart_place(2 * i + n, chart)}</div>"
            for n, (name, chart) in enumerate(zip(pair.SIDES, both, strict=True))
        )
        body.append(f'<section>{chart_title(both[0])}<div class="pair">{panels}</div></section>')
    if restored:
        restored = f'<section><h2>What was put back</h2><ul class="gaps">{restored}</ul></section>'
    body += [
        section("What was changed", pair.changes(comparison)),
        restored,
        section("What became of the instances", pair.events(comparison)),
        folded("Every minute", pair.minutes(comparison, at_most=None)),
        section("What ran", pair.facts(comparison)),
    ]
    return document("BEFORE and AFTER", body, charts)
