"""Keeps values of environment variables out of what is kept of an answer: a server may send back what it was sent."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

from sm_locust.kept import NOT_KEPT

LEAST = 4  # characters; shorter ones would be found in half of all words


class Hiding:
    """Puts NOT_KEPT in the place of each of these values, as they are or as a URL, JSON, HTML or a header has them."""

    def __init__(self, values: Iterable[str]) -> None:
        forms = {form for value in values if len(value.strip()) >= LEAST for form in _forms(value)}
        ordered = sorted(forms, key=len, reverse=True)  # of two that begin alike the longer one
        self._longest = len(ordered[0]) if ordered else 0
        self._found = re.compile("|".join(map(re.escape, ordered)), re.IGNORECASE) if ordered else None

    def __call__(self, text: str, *, cut_off: bool = False) -> str:
        """cut_off  whether the text may end within a value: as much of its end is left out"""
        if self._found is None:
            return text
        kept = self._found.sub(NOT_KEPT, text)
        if cut_off:
            last = kept.rfind(NOT_KEPT)
            kept = kept[: max(len(kept) - self._longest, 0 if last < 0 else last + len(NOT_KEPT))]
        return kept


def _forms(value: str) -> set[str]:
    encoded = value.encode(errors="surrogateescape")  # as the system gave it, perhaps no UTF-8
    urls = {quote(encoded, safe=safe) for safe in ("", "/", "!$%&'()*+,-./:;=?@[]_~")}
    texts = {json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], html.escape(value)}
    texts |= {text.replace("/", "\\/") for text in texts}
    headers = {encoded.decode("latin-1"), encoded.decode(errors="replace")}
    return {value, value.strip(), quote_plus(encoded), quote_plus(encoded, safe="*"), *urls, *texts, *headers}
