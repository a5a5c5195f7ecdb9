"""A Summary as one HTML file: report.html, readable offline, on a phone, in the dark and without JavaScript.

Every text from outside (names, errors, addresses) is escaped here: once for HTML, once for the figures' JSON, once for
Plotly, which reads markup in its labels. Which curves there are is decided in figures; how they look, in the script
at the end of the page, which takes every colour from the style sheet.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from html import escape
from importlib.resources import files

from sm_locust.analysis.rules import Judgement
from sm_locust.analysis.summary import Summary
from sm_locust.analysis.verdict import Reason
from sm_locust.report import answers, figures, formats, recommendation, tables, wording
from sm_locust.report.answers import Answer
from sm_locust.report.curves import Chart

# Nothing may be loaded from anywhere, whatever a text might smuggle in.
_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"


def render(summary: Summary) -> str:
    whole = summary.minutes.whole
    title, broken = wording.headline(summary), wording.broken(summary)
    charts = figures.of(summary)
    body = [
        "<header>",
        f'<p class="kicker">sm_locust <span>{escape(formats.printable(summary.run_id))}</span></p>',
        f"<h1>{escape(broken[0])}</h1>",
        *(f'<p class="broken">{escape(also)}</p>' for also in broken[1:]),
        *([f'<p class="broken">{escape(wording.stopped(summary))}</p>'] if summary.stopped is not None else []),
        f'<p class="way">{escape(wording.way(summary))}; {escape(wording.ended(summary))}</p>',
        "</header>",
        _banner(summary),
        _answers(summary),
        _tiles(summary),
        *_figures(summary, charts),
        _recommendation(summary),
        section("Search", tables.steps(summary)),
        _aws(summary),
        section("Percentiles", tables.distributions(whole)),
        section("Phases", tables.phases(summary), _reasons(wording.phase_reasons(summary))),
        section("Requests", tables.names(whole)),
        folded("Every minute", tables.minutes(summary, at_most=None)),
        section("Processes", tables.workers(summary)),
        section("What ran", formats.Table(("", ""), tuple(wording.facts(summary)), words=2)),
        section("Still billing", formats.Table(("", ""), tuple(wording.billing(summary.billing)), words=2)),
    ]
    return document(title, body, [chart for chart in charts if chart.drawn])


def document(title: str, body: list[str], charts: list[Chart]) -> str:
    """A whole page that needs nothing from anywhere. The charts are drawn where `chart_place` left room, by index."""
    content = "\n".join(part for part in body if part)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<title>{escape(title)}</title>
<style>{_part("page.css")}</style>
</head>
<body>
<main>
{content}
</main>
<script type="application/json" id="figures">{_json([chart.as_dict() for chart in charts])}</script>
<script>{_plotly() if charts else ""}</script>
<script>{_part("page.js")}</script>
</body>
</html>
"""


def _part(name: str) -> str:
    return files("sm_locust.report").joinpath(name).read_text(encoding="utf-8")


def _plotly() -> str:
    # 5 MB that only a report needs: importing this module stays cheap.
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


def _json(value: object) -> str:
    """JSON that cannot end the script element that holds it."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _banner(summary: Summary) -> str:
    return f'<p class="banner">{escape(wording.speed(summary))}</p>' if summary.speed != 1 else ""


def _answers(summary: Summary) -> str:
    """The first screen: what a reader wants to know first, in the order in which it is asked."""
    cards = [
        _card(answers.valid(summary), _class(summary.verdict.valid), _reasons(summary.verdict.reasons)),
        _slo(summary),
        _card(answers.capacity(summary), "" if summary.on_sagemaker else "wide"),
    ]
    if summary.on_sagemaker:
        cards += [_card(answers.setting(summary)), _card(answers.lag(summary), "wide")]
        cards += [_card(answers.price(summary)), _card(answers.left(summary))]
    return f'<div class="answers">{"".join(cards)}</div>'


def _card(answer: Answer, name: str = "", below: str = "") -> str:
    """below  HTML"""
    figure = f'<p class="figure">{escape(answer.figure)}</p>' if answer.figure else ""
    said = "".join(f"<p>{escape(sentence)}</p>" for sentence in answer.said)
    rows = table(answer.table) if answer.table else ""
    for name_of, stages in answer.strips:
        cells = "".join(f"<div><dt>{escape(label)}</dt><dd>{escape(value)}</dd></div>" for label, value in stages)
        rows += f'<h3>{escape(name_of)}</h3><dl class="stages">{cells}</dl>'
    if answer.note:
        below += f'<p class="sub">{escape(answer.note)}</p>'
    return f'<section class="card {name}"><h2>{escape(answer.title)}</h2>{figure}{said}{rows}{below}</section>'


def _slo(summary: Summary) -> str:
    """The rules, and whether they were kept; phases that kept theirs are folded. In a search, what was searched."""
    found = summary.slo.judgements
    # Of the run, and of each phase that it is not the sum of: the first screen is for what decides.
    first = [one for one in found if one.where == "run" or one.passed is not True]
    rest = [one for one in found if one not in first]
    state = _class(summary.slo.passed) if found else ""
    if summary.searched:
        state = _class(True if summary.capacity.known else None)
    said = (
        f'<div class="scroll">{_rules(first)}</div>'
        if found
        else f"<p>Searched with {escape(formats.limits(summary.limits))}.</p>"
        if summary.searched
        else "<p>None was configured.</p>"
    )
    if rest:
        title = "Kept in a phase" if len(rest) == 1 else f"Kept in phases: {len(rest)} times"
        said += f'<details><summary>{title}</summary><div class="scroll">{_rules(rest)}</div></details>'
    return f'<section class="card {state}"><h2>{wording.slo_title(summary)}</h2>{said}</section>'


def _rules(found: Iterable[Judgement]) -> str:
    rows = "".join(
        f'<tr><td><span class="dot {_class(one.passed)}"></span>{result}</td><td>{escape(metric)}</td>'
        f'<td class="n">{escape(value)}</td><td class="n">{escape(limit)}</td>'
        f'<td class="where">{escape(where)}</td></tr>'
        for one in found
        for where, metric, limit, value, result in [wording.judgement(one)]
    )
    return f'<table class="rules">{rows}</table>'


def _figures(summary: Summary, charts: list[Chart]) -> Iterator[str]:
    """Each with the same in numbers under it; why there is none, where it would stand."""
    place = 0
    for chart in charts:
        drawn = f'<p class="missing">{escape(chart.missing)}</p>'
        if chart.drawn:
            drawn, place = chart_place(place, chart), place + 1
        numbers = folded("In numbers", chart.table) if chart.table else ""
        more = ""
        if chart.title == figures.ERRORS:
            found = tables.failures(summary)
            more = table(found) + folded("The first of each kind", tables.examples(summary))
        yield f"<section>{chart_title(chart)}{drawn}{more}{numbers if chart.drawn else ''}</section>"


def _reasons(reasons: Iterable[Reason]) -> str:
    found = "".join(
        f'<li class="{"bad" if reason.invalidates else "warn"}">{prose(formats.printable(reason.text))}</li>'
        for reason in reasons
    )
    return f'<ul class="gaps">{found}</ul>' if found else ""


def prose(text: str) -> str:
    """A sentence as HTML: no line of it ends inside the name of an option."""
    return re.sub("--[a-z-]+", r'<span class="option">\g<0></span>', escape(text))


def _class(good: bool | None) -> str:
    return {True: "good", False: "bad", None: "warn"}[good]


def _tiles(summary: Summary) -> str:
    tiles = "".join(
        f"<div><dt>{escape(label)}</dt><dd>{escape(value)}</dd><dd>{escape(beside)}</dd></div>"
        for label, value, beside in wording.tiles(summary)
    )
    return f'<dl class="tiles">{tiles}</dl>'


def _aws(summary: Summary) -> str:
    """CloudWatch against us, the instances, and what of both could not be learned."""
    pairs = [*wording.cloudwatch(summary), *((f"instances {of}", value) for of, value in wording.instances(summary))]
    gaps = "".join(f'<li class="warn">{escape(gap)}</li>' for gap in wording.gaps(summary.watched))
    if not pairs and not gaps:
        return ""
    events = tables.events(summary)
    return (
        "<section><h2>CloudWatch and instances</h2>"
        + (f'<ul class="gaps">{gaps}</ul>' if gaps else "")
        + (table(formats.Table(("", ""), tuple(pairs), words=2)) if pairs else "")
        + "".join(f'<p class="sub">{escape(line)}</p>' for line in wording.lags(summary))
        + folded("CloudWatch and us, period by period", tables.periods(summary))
        + folded("What became of the instances", events)
        + "</section>"
    )


def _recommendation(summary: Summary) -> str:
    """What to set, the options side by side, why, and what to copy."""
    found = summary.recommendation
    if found is None:
        return ""
    why = "".join(f"<li>{escape(sentence)}</li>" for sentence in recommendation.sentences(found))
    blocks = (
        ("For the configuration", recommendation.yaml(found)),
        ("For the AWS CLI", "\n\n".join(recommendation.calls(found))),
    )
    return (
        f"<section><h2>{recommendation.TITLE}, and why</h2><p>{escape(recommendation.headline(found))}</p>"
        + (table(recommendation.table(found)) if found.options else "")
        + (f'<ul class="gaps">{why}</ul>' if why else "")
        + "".join(
            f"<details><summary>{title}</summary><pre>{escape(block)}</pre></details>"
            for title, block in blocks
            if block
        )
        + "</section>"
    )


def chart_title(chart: Chart) -> str:
    return f'<h2>{escape(chart.title)}</h2><p class="sub">{escape(chart.subtitle)}</p>'


def chart_place(i: int, chart: Chart) -> str:
    return f'<div class="chart {chart.kind}" id="chart-{i}"></div>'


def section(title: str, found: formats.Table, below: str = "") -> str:
    """below  HTML"""
    return f"<section><h2>{escape(title)}</h2>{table(found)}{below}</section>" if found.rows else ""


def folded(title: str, found: formats.Table) -> str:
    return f"<details><summary>{escape(title)}</summary>{table(found)}</details>" if found.rows else ""


def table(found: formats.Table) -> str:
    if not found.rows:
        return ""

    def cells(row: tuple[str, ...], tag: str) -> str:
        return "".join(
            f"<{tag}>{escape(cell)}</{tag}>" if i < found.words else f'<{tag} class="n">{escape(cell)}</{tag}>'
            for i, cell in enumerate(row)
        )

    head = f"<thead><tr>{cells(found.header, 'th')}</tr></thead>" if any(found.header) else ""
    rows = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in found.rows)
    note = f'<p class="sub">{escape(found.note)}</p>' if found.note else ""
    return f'<div class="scroll"><table>{head}<tbody>{rows}</tbody></table></div>{note}'
