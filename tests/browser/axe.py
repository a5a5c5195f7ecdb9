"""axe-core on a page: what keeps a reader from reading it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.sync_api import Page

SOURCE = Path(__file__).with_name("node_modules") / "axe-core" / "axe.min.js"
SERIOUS = ("serious", "critical")
# WCAG 2.2 A and AA, and what axe calls good practice.
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def violations(page: Page) -> list[str]:
    """One line for each rule that is broken, the worst first: how bad, which, in how many places, the first of them."""
    page.evaluate(SOURCE.read_text(encoding="utf-8"))
    answer: dict[str, Any] = page.evaluate(
        "tags => axe.run('html', { runOnly: tags, resultTypes: ['violations'] })", TAGS
    )
    order = ["critical", "serious", "moderate", "minor"]
    found = sorted(answer["violations"], key=lambda each: order.index(each["impact"]))
    return [
        f"{each['impact']}: {each['id']}, {each['help']}; {len(each['nodes'])} times, first {_place(each['nodes'][0])}"
        for each in found
    ]


def serious(page: Page) -> list[str]:
    return [each for each in violations(page) if each.startswith(SERIOUS)]


def _place(node: dict[str, Any]) -> str:
    why = " ".join(str(node.get("failureSummary", "")).split())
    return f"{' '.join(map(str, node['target']))}: {why[:240]}"
