"""How a number, a text from outside and a table look, wherever they stand: terminal, Markdown, page, log.

What is said of a run with them is wording's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from sm_locust.config import ERROR_RATE

UNKNOWN = "–"


@dataclass(frozen=True, slots=True)
class Table:
    """Cells as text. The first `words` columns are words, the others numbers.

    spare  names of columns that may be left out where there is no room for all, the first one first
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: int = 1
    note: str = ""
    spare: tuple[str, ...] = ()


def printable(text: object) -> str:
    """A text from outside on one line, without the control characters that would reach a terminal."""
    return "".join(c if c.isprintable() else "�" for c in " ".join(str(text).split()))


def ms(seconds: float | None) -> str:
    if seconds is None:
        return UNKNOWN
    value = seconds * 1e3
    digits = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:,.{digits}f} ms"


def number(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:,.0f}"


def percent(ratio: float | None, digits: int = 2) -> str:
    if ratio is None:
        return UNKNOWN
    text = f"{ratio:.{digits}%}"
    # Neither "0.00%" of something nor "100.00%" of not everything.
    if ratio > 0 and float(text[:-1]) == 0:
        return f"<{10**-digits:.{digits}f}%"
    if ratio < 1 and float(text[:-1]) == 100:
        return f">{100 - 10**-digits:.{digits}f}%"
    return text


def price(usd: float) -> str:
    """$0.28 for a unit; below a cent three digits, such as $0.0000167."""
    if usd >= 0.01 or usd == 0:
        return f"${usd:,.2f}" if round(usd, 2) == usd else f"${usd:,.4g}"
    return f"${usd:.{2 - math.floor(math.log10(usd))}f}".rstrip("0")


def rate(value: float | None) -> str:
    """A rate a second, with as many digits as anybody needs of it."""
    if value is None:
        return UNKNOWN
    return f"{value:,.0f}" if value >= 1000 else f"{value:,.4g}" if value >= 100 else f"{value:,.3g}"


def count(instances: float | None) -> str:
    """Instances: whole where they were seen, a mean where CloudWatch tells of them."""
    return UNKNOWN if instances is None else f"{instances:,.1f}".removesuffix(".0")


def slo_limit(metric: str, limit: float) -> str:
    return f"{limit * 100:g}%" if metric == ERROR_RATE else f"{limit * 1e3:g} ms"


def limits(of: Mapping[str, float]) -> str:
    """An SLO as one text: latency_mean ≤ 15 ms, error_rate ≤ 5%."""
    return ", ".join(f"{metric} ≤ {slo_limit(metric, limit)}" for metric, limit in of.items())


def clock(at_s: float) -> str:
    """Schedule seconds as 1:02:03."""
    whole = int(at_s)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
