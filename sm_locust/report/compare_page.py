"""compare.html: a Comparison, with the pictures of both runs side by side on the same axes, or Several in tables.

It has the frame, the look and the care for hostile text of the page of one run.
"""

from __future__ import annotations

from html import escape

from sm_locust.analysis.compare import Comparison
from sm_locust.analysis.several import Several
from sm_locust.report import figures, pair, several
from sm_locust.report.page import chart_place, chart_title, document, folded, section


def render_several(found: Several) -> str:
    """A page of configurations."""
    load, *cheapest = several.headline(found)
    body = [
        "<header>",
        '<p class="kicker">sm_locust <span>configurations</span></p>',
        f"<h1>{escape(load)}</h1>",
        *(f'<p class="broken">{escape(sentence)}</p>' for sentence in cheapest),
        "</header>",
        *(f'<p class="banner">{escape(banner)}</p>' for banner in several.banners(found)),
        _doubts(several.doubts(found)),
        *_configurations(found),
        section("Which run is which", several.facts(found)),
    ]
    return document("Configurations", body, [])


def _configurations(found: Several) -> list[str]:
    return [
        section("What one instance sustains", several.capacities(found)),
        section("What it costs", several.costs(found)),
    ]


def _doubts(sentences: list[str]) -> str:
    items = "".join(f'<li class="warn">{escape(sentence)}</li>' for sentence in sentences)
    return f'<section class="card warn"><h2>To know when reading this</h2><ul>{items}</ul></section>' if items else ""


def render(comparison: Comparison, configurations: Several | None = None) -> str:
    """A page of two runs.

    configurations  the two, where they are configurations: their tables stand below the totals
    """
    pairs = figures.of_pair(comparison)
    charts = [chart for both in pairs for chart in both]
    broken = "".join(
        f"<h1>{name}: {escape(first)}</h1>" + "".join(f'<p class="broken">{escape(also)}</p>' for also in more)
        for name, first, *more in pair.broken_by_side(comparison)
    )
    restored = "".join(f"<li>{escape(sentence)}</li>" for sentence in pair.restored(comparison))
    body = [
        "<header>",
        '<p class="kicker">sm_locust <span>before and after</span></p>',
        broken,
        f'<p class="way">{escape(pair.way(comparison))}</p>',
        "</header>",
        *(f'<p class="banner">{escape(banner)}</p>' for banner in pair.banners(comparison)),
        _doubts(pair.doubts(comparison)),
        section("Side by side", pair.totals(comparison)),
    ]
    if configurations is not None:
        said = "".join(f"<li>{escape(sentence)}</li>" for sentence in several.headline(configurations))
        body.append(f'<section><h2>Configurations</h2><ul class="gaps">{said}</ul></section>')
        body += [_doubts(several.doubts(configurations)), *_configurations(configurations)]
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
