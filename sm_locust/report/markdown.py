"""A Summary as Markdown: summary.md, to be read in a pull request or a ticket.

What decides stands open; the tables behind it are folded, by the two HTML elements that GitHub and GitLab let through.
The terminal says the same in the same words and the same order (text).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from sm_locust.analysis.summary import Summary
from sm_locust.report import formats, recommendation, tables, wording

_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+!|~$@-])")


def render(summary: Summary) -> str:
    whole = summary.minutes.whole
    phases = titled if len(summary.phases) > 1 else _folded  # one alone says what the run says
    parts = [
        f"# {text(wording.headline(summary))}",
        f"**{wording.validity(summary.verdict)}** · **{wording.slo_title(summary)}** · {text(wording.way(summary))}; "
        + text(wording.ended(summary)),
    ]
    if summary.stopped is not None:
        parts.append(f"> {text(wording.stopped(summary))}")
    if summary.speed != 1:
        parts.append(f"> {text(wording.speed(summary))}")
    if summary.verdict.reasons:
        parts.append(items(reason.text for reason in summary.verdict.reasons))
    if summary.slo.judgements:
        rules = tuple(wording.judgement(found) for found in summary.slo.judgements)
        parts.append(table(formats.Table(("where", "metric", "limit", "value", "result"), rules, words=2)))
    if summary.limits and not summary.searched:
        parts.append(text(f"Capacity: {wording.capacity(summary)}."))
    counts = [*wording.arrivals(whole), *wording.requests(whole)]
    parts.append(
        table(formats.Table(tuple(label for label, _ in counts), (tuple(value for _, value in counts),), words=0))
    )
    parts += [
        table(tables.failures(summary)),
        _facts("CloudWatch", wording.cloudwatch(summary)),
        items(wording.gaps(summary.watched)),
        _facts("Instances", wording.instances(summary)),
        items(wording.lags(summary)),
        table(tables.distributions(whole)),
        phases("Phases", tables.phases(summary)),
        _folded("Search", tables.steps(summary)),
        items(reason.text for reason in wording.phase_reasons(summary)),
        _folded("Requests by name", tables.names(whole)),
        _folded("Minutes", tables.minutes(summary)),
        _folded("Processes", tables.workers(summary)),
        _folded("CloudWatch and us", tables.periods(summary)),
        _recommendation(summary),
        _folded("What ran", formats.Table(("", ""), tuple(wording.facts(summary)), words=2)),
        _billing(summary),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _facts(title: str, pairs: list[tuple[str, str]]) -> str:
    """On one line, as the terminal has them."""
    return f"**{title}**: {' · '.join(text(f'{label} {value}') for label, value in pairs)}" if pairs else ""


def _recommendation(summary: Summary) -> str:
    """The section and the calls as code, to be copied."""
    found = summary.recommendation
    if found is None:
        return ""
    calls = "\n\n".join(recommendation.calls(found))
    blocks = (
        f"```{kind}\n{block}\n```" for kind, block in (("yaml", recommendation.yaml(found)), ("sh", calls)) if block
    )
    parts = [
        f"## {recommendation.TITLE}",
        text(recommendation.headline(found)),
        table(recommendation.table(found)),
        folded("Why, and how to set it", "\n\n".join((items(recommendation.sentences(found)), *blocks))),
    ]
    return "\n\n".join(part for part in parts if part)


def _billing(summary: Summary) -> str:
    """Commands as code, to be copied."""
    found = wording.billing(summary.billing)
    lines = [f"- {text(what)}" + (f"\n  `{command}`" if command else "") for what, command in found]
    return "\n".join(["## Still billing\n", *lines]) if lines else ""


def titled(title: str, found: formats.Table) -> str:
    return f"## {title}\n\n{table(found)}" if found.rows else ""


def _folded(title: str, found: formats.Table) -> str:
    return folded(title, table(found))


def folded(title: str, body: str) -> str:
    """Behind its title, which is HTML and ours: nothing from outside may stand in it."""
    return f"<details>\n<summary>{title}</summary>\n\n{body}\n\n</details>" if body else ""


def table(found: formats.Table) -> str:
    if not found.rows:
        return ""
    rule = [":--" if i < found.words else "--:" for i in range(len(found.header))]
    lines = [[text(cell) for cell in found.header], rule, *([text(cell) for cell in row] for row in found.rows)]
    drawn = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return f"{drawn}\n\n{text(found.note)}" if found.note else drawn


def items(sentences: Iterable[str]) -> str:
    return "\n".join(f"- {text(sentence)}" for sentence in sentences)


def text(plain: str) -> str:
    """Text that Markdown takes for nothing but text: no markup, no tag, no mention."""
    escaped = plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(_escaped, escaped)


def _escaped(found: re.Match[str]) -> str:
    character = found[1]
    # Names such as latency_p99 and us-east-1 are read in the source too: what means nothing inside a word stays.
    before, after = found.string[: found.start()][-1:], found.string[found.end() :][:1]
    if character in "_-" and before.isalnum() and after.isalnum():
        return character
    if character in "()+-!#" and (before or character in "()"):
        return character
    return f"&#{ord(character)};" if character in "@|$" else f"\\{character}"
