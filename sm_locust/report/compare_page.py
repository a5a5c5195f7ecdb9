"""compare.html: a Comparison or Several, on the same axes by time and by offered rate.

Of two runs the blog's pictures come first, BEFORE beside AFTER; then what they did at the same offered rate, how far
each figure moved, and what had been changed.

It has the frame, the look and the care for hostile text of the page of one run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape

from sm_locust.analysis.by_rate import ByRate
from sm_locust.analysis.compare import Comparison
from sm_locust.analysis.differences import differences
from sm_locust.analysis.fail_if import Judged, exit_code
from sm_locust.analysis.several import Several
from sm_locust.analysis.summary import Summary
from sm_locust.report import intervals, pair, pair_figures, rate_figures, several, several_figures
from sm_locust.report.curves import Chart
from sm_locust.report.page import chart_place, chart_title, document, folded, prose, section, table


def render_several(found: Several, summaries: Sequence[Summary] = ()) -> str:
    """A page of configurations.

    summaries  of the same runs in the same order: without them there are no pictures over time and rate
    """
    load, *cheapest = several.headline(found)
    charts, names = _Charts(), several.labels(found)
    body = [
        "<header>",
        '<p class="kicker">sm_locust <span>configurations</span></p>',
        f"<h1>{escape(load)}</h1>",
        *(f'<p class="broken">{escape(sentence)}</p>' for sentence in cheapest),
        "</header>",
        *(f'<p class="banner">{escape(banner)}</p>' for banner in several.banners(found)),
        _doubts(several.doubts(found)),
        *_configurations(found),
    ]
    if summaries:
        runs = [names[summary.run_id] for summary in summaries]
        over_time = several_figures.over_time(summaries, runs)
        body.append(_panels(several_figures.TITLE, several_figures.SUBTITLE, over_time, runs, charts))
        rates = ByRate.of([summary.minutes for summary in summaries])
        body.append(_by_rate(rates, runs, [summary.limits for summary in summaries], charts))
    body.append(section("Which run is which", several.facts(found)))
    return document("Configurations", body, charts.placed)


class _Charts:
    """The charts of a page in the order in which they were given a place."""

    def __init__(self) -> None:
        self.placed: list[Chart] = []

    def place(self, chart: Chart) -> str:
        self.placed.append(chart)
        return chart_place(len(self.placed) - 1, chart)


def _configurations(found: Several) -> list[str]:
    title, sustained = several.sustained(found), several.capacities(found)
    return [
        f"<section><h2>{title}</h2>{intervals.render(found)}{table(sustained)}</section>",
        section("What it costs", several.costs(found)),
    ]


def _by_rate(found: ByRate, names: Sequence[str], limits: Sequence[Mapping[str, float]], charts: _Charts) -> str:
    below = folded("The same as a table", rate_figures.table(found, names))
    drawn = rate_figures.charts(found, names, limits)
    return _panels(rate_figures.TITLE, rate_figures.SUBTITLE, drawn, names, charts, below)


def _panels(
    title: str, subtitle: str, drawn: Sequence[Chart], names: Sequence[str], charts: _Charts, below: str = ""
) -> str:
    """Pictures that have all runs in them, beside each other: tall enough for a legend that names each.

    below  HTML
    """
    if not drawn:
        return ""
    panels = "".join(f"<div><h3>{escape(chart.title)}</h3>{charts.place(chart)}</div>" for chart in drawn)
    return (
        f'<section><h2>{escape(title)}</h2><p class="sub">{escape(subtitle)}</p>'
        f'<div class="pair three" style="--runs:{len(names)}">{panels}</div>{below}</section>'
    )


def _doubts(sentences: list[str]) -> str:
    items = "".join(f'<li class="warn">{prose(sentence)}</li>' for sentence in sentences)
    return f'<section class="card warn"><h2>To know when reading this</h2><ul>{items}</ul></section>' if items else ""


def render(comparison: Comparison, configurations: Several | None = None, judged: Sequence[Judged] = ()) -> str:
    """A page of two runs.

    configurations  the two, where they are configurations: their tables stand below the totals
    judged          what became of the rules of --fail-if
    """
    charts, sides = _Charts(), [side.summary for side in comparison.sides]
    rates = ByRate.of([summary.minutes for summary in sides])
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
        _rules(judged),
        _doubts(pair.doubts(comparison)),
        *_over_time(comparison, charts),
        _by_rate(rates, pair.SIDES, [summary.limits for summary in sides], charts),
        section("Differences", pair.differences(comparison, differences(comparison))),
        section("What was changed", pair.changes(comparison)),
        section("Side by side", pair.totals(comparison)),
    ]
    if configurations is not None:
        said = "".join(f"<li>{escape(sentence)}</li>" for sentence in several.headline(configurations))
        body.append(f'<section><h2>Configurations</h2><ul class="gaps">{said}</ul></section>')
        body += [_doubts(several.doubts(configurations)), *_configurations(configurations)]
    if restored:
        restored = f'<section><h2>What was put back</h2><ul class="gaps">{restored}</ul></section>'
    body += [
        restored,
        section("What became of the instances", pair.events(comparison)),
        folded("Every minute", pair.minutes(comparison, at_most=None)),
        section("What ran", pair.facts(comparison)),
    ]
    return document("BEFORE and AFTER", body, charts.placed)


_STATES = {"held": "", "broken": "bad", "cannot be told": "warn"}


def _rules(judged: Sequence[Judged]) -> str:
    if not judged:
        return ""
    items = "".join(f'<li class="{_STATES[state]}">{escape(sentence)}</li>' for state, sentence in pair.rules(judged))
    look = "bad" if exit_code(judged) else "good"
    return f'<section class="card {look}"><h2>{pair.rules_title(judged)}</h2><ul>{items}</ul></section>'


def _over_time(comparison: Comparison, charts: _Charts) -> Iterator[str]:
    for both in pair_figures.of_pair(comparison):
        panels = "".join(
            f"<div><h3>{name}{_nothing(chart)}</h3>{charts.place(chart)}</div>"
            for name, chart in zip(pair.SIDES, both, strict=True)
        )
        yield f'<section>{chart_title(both[0])}<div class="pair">{panels}</div></section>'


def _nothing(chart: Chart) -> str:
    """Said where a picture would be empty, so that nobody takes it for one that failed."""
    return "" if any(y for curve in chart.curves for y in curve.y) else " <span>none</span>"
