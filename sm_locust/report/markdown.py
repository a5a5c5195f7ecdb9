"""A Summary as Markdown: summary.md, to be read in a pull request or a ticket."""

from __future__ import annotations

import re

from sm_locust.analysis.summary import Summary
from sm_locust.report import wording

_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+!|~$@-])")


def render(summary: Summary) -> str:
    whole = summary.minutes.whole
    parts = [
        f"# {_text(wording.headline(summary))}",
        f"**{wording.validity(summary.verdict)}** · **{wording.slo_title(summary)}** · {_text(wording.way(summary))}",
    ]
    if summary.speed != 1:
        parts.append(f"> {_text(wording.speed(summary))}")
    if summary.verdict.reasons:
        parts.append("\n".join(f"- {_text(reason.text)}" for reason in summary.verdict.reasons))
    if summary.limits:
        rules = tuple(wording.judgement(found) for found in summary.slo.judgements)
        parts.append(_table(wording.Table(("where", "metric", "limit", "value", "result"), rules, words=2)))
    counts = [*wording.arrivals(whole), *wording.requests(whole)]
    parts.append(
        _table(wording.Table(tuple(label for label, _ in counts), (tuple(value for _, value in counts),), words=0))
    )
    parts.append("\n".join(f"- {_text(reason)}" for reason in wording.reasons_of_failures(summary)))
    parts += [
        _table(wording.distributions(whole)),
        _titled("Phases", wording.phases(summary)),
        _titled("Requests", wording.names(whole)),
        _titled("Minutes", wording.minutes(summary)),
        _titled("What ran", wording.Table(("", ""), tuple(wording.facts(summary)), words=2)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _titled(title: str, table: wording.Table) -> str:
    return f"## {title}\n\n{_table(table)}" if table.rows else ""


def _table(table: wording.Table) -> str:
    if not table.rows:
        return ""
    rule = [":--" if i < table.words else "--:" for i in range(len(table.header))]
    lines = [[_text(cell) for cell in table.header], rule, *([_text(cell) for cell in row] for row in table.rows)]
    text = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return f"{text}\n\n{_text(table.note)}" if table.note else text


def _text(text: str) -> str:
    """Text that Markdown takes for nothing but text: no markup, no tag, no mention."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
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
