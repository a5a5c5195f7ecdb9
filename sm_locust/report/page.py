"""A Summary as one HTML file: report.html, readable offline, on a phone, in the dark and without JavaScript.

Every text from outside (names, errors, addresses) is escaped here: once for HTML, once for the figures' JSON, once for
Plotly, which reads markup in its labels. Which curves there are is decided in figures; how they look, in the script
at the end of the page, which takes every colour from the style sheet.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from html import escape
from importlib.resources import files

from sm_locust.analysis.summary import Summary
from sm_locust.analysis.verdict import Reason
from sm_locust.report import figures, recommendation, wording
from sm_locust.report.figures import Chart

# Nothing may be loaded from anywhere, whatever a text might smuggle in.
_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"


def render(summary: Summary) -> str:
    whole = summary.minutes.whole
    title, broken = wording.headline(summary), wording.broken(summary)
    charts = figures.of(summary)
    body = [
        "<header>",
        f'<p class="kicker">sm_locust <span>{escape(wording.printable(summary.run_id))}</span></p>',
        f"<h1>{escape(broken[0])}</h1>",
        *(f'<p class="broken">{escape(also)}</p>' for also in broken[1:]),
        f'<p class="way">{escape(wording.way(summary))}; {escape(wording.ended(summary))}</p>',
        "</header>",
        _banner(summary),
        _standing(summary),
        _tiles(summary),
        _capacity(summary),
        _recommendation(summary),
        *(f"<section>{chart_title(chart)}{chart_place(i, chart)}</section>" for i, chart in enumerate(charts)),
        _aws(summary),
        section("Percentiles", wording.distributions(whole)),
        section("Phases", wording.phases(summary), _reasons(wording.phase_reasons(summary))),
        section("Requests", wording.names(whole)),
        section("Failures", wording.failures(summary), folded("The first of each kind", wording.examples(summary))),
        folded("Every minute", wording.minutes(summary, at_most=None)),
        section("What ran", wording.Table(("", ""), tuple(wording.facts(summary)), words=2)),
        section("Still billing", wording.Table(("", ""), tuple(wording.billing(summary.billing)), words=2)),
    ]
    return document(title, body, charts)


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


def _standing(summary: Summary) -> str:
    """The verdict with its reasons beside the SLO with its rules."""
    rules = "".join(
        f'<tr><td><span class="dot {_class(found.passed)}"></span>{result}</td><td>{escape(metric)}</td>'
        f'<td class="n">{escape(value)}</td><td class="n">{escape(limit)}</td>'
        f'<td class="where">{escape(where)}</td></tr>'
        for found in summary.slo.judgements
        for where, metric, limit, value, result in [wording.judgement(found)]
    )
    valid, slo = summary.verdict.valid, _class(summary.slo.passed) if rules else ""
    if summary.searched:
        slo = _class(True if summary.capacity.known else None)
    checked = _reasons(summary.verdict.reasons) or "<p>The generator kept its plan: these numbers are the target's.</p>"
    table = (
        f'<div class="scroll"><table class="rules">{rules}</table></div>'
        if rules
        else f"<p>Searched with {escape(wording.limits(summary.limits))}.</p>"
        if summary.searched
        else "<p>None was configured.</p>"
    )
    return (
        '<div class="standing">'
        f'<section class="card {_class(valid)}"><h2>{wording.validity(summary.verdict)}</h2>{checked}</section>'
        f'<section class="card {slo}"><h2>{wording.slo_title(summary)}</h2>{table}</section>'
        "</div>"
    )


def _capacity(summary: Summary) -> str:
    """What one instance sustains; the steps of the search for it."""
    if not summary.limits:
        return ""
    said = "" if summary.searched else f"<p>{escape(wording.capacity(summary.capacity))}.</p>"
    return f"<section><h2>Capacity</h2>{said}{table(wording.steps(summary))}</section>"


def _reasons(reasons: Iterable[Reason]) -> str:
    found = "".join(
        f'<li class="{"bad" if reason.invalidates else "warn"}">{escape(wording.printable(reason.text))}</li>'
        for reason in reasons
    )
    return f'<ul class="gaps">{found}</ul>' if found else ""


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
    events = wording.events(summary)
    return (
        "<section><h2>CloudWatch and instances</h2>"
        + (f'<ul class="gaps">{gaps}</ul>' if gaps else "")
        + (table(wording.Table(("", ""), tuple(pairs), words=2)) if pairs else "")
        + "".join(f'<p class="sub">{escape(line)}</p>' for line in wording.lags(summary))
        + folded("CloudWatch and us, period by period", wording.periods(summary))
        + folded("What became of the instances", events)
        + "</section>"
    )


def _recommendation(summary: Summary) -> str:
    """What to set, the options side by side, why, and what to copy."""
    found = summary.recommendation
    if found is None:
        return ""
    why = "".join(f"<li>{escape(sentence)}</li>" for sentence in recommendation.sentences(found))
    blocks = (recommendation.yaml(found), "\n\n".join(recommendation.calls(found)))
    return (
        f"<section><h2>{recommendation.TITLE}</h2><p>{escape(recommendation.headline(found))}</p>"
        + (table(recommendation.table(found)) if found.options else "")
        + (f'<ul class="gaps">{why}</ul>' if why else "")
        + "".join(f"<pre>{escape(block)}</pre>" for block in blocks if block)
        + "</section>"
    )


def chart_title(chart: Chart) -> str:
    return f'<h2>{escape(chart.title)}</h2><p class="sub">{escape(chart.subtitle)}</p>'


def chart_place(i: int, chart: Chart) -> str:
    return f'<div class="chart {chart.kind}" id="chart-{i}"></div>'


def section(title: str, found: wording.Table, below: str = "") -> str:
    """below  HTML"""
    return f"<section><h2>{escape(title)}</h2>{table(found)}{below}</section>" if found.rows else ""


def folded(title: str, found: wording.Table) -> str:
    return f"<details><summary>{escape(title)}</summary>{table(found)}</details>" if found.rows else ""


def table(found: wording.Table) -> str:
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
