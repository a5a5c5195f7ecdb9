"""Numbers as our JSON files have them: no digit that says nothing, and None for what is not known."""

from __future__ import annotations


def rounded(value: float | None, digits: int = 3) -> float | None:
    return None if value is None else round(value, digits)


def in_ms(seconds: float | None) -> float | None:
    """Milliseconds, to the microsecond."""
    return None if seconds is None else round(seconds * 1e3, 3)
