"""What of the values that scenarios send may be kept in a run folder: those whose names say password, key or token not.

This goes by names, of mappings and of what a text has as `name=value` or as JSON; a secret under another name is kept.
Rather too much is left out than too little: what is kept is read, and never sent.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_plus

NOT_KEPT = "(not kept)"

_SECRET = re.compile(
    r"pass|pwd|secret|token|key|auth|credential|cookie|session|signature"
    r"|(?<![a-z0-9])(?:code|otp|pin|pw|sid|sig)(?![a-z0-9])",
    re.IGNORECASE,
)
_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")  # where one begins in userPin
_PLACE = re.compile(r"\s*\{\{[^{}]*\}\}\s*")

# A name is short, so that a body of 200 KB in Base64 is not looked through from each of its characters on.
_NAMED = re.compile(r"""(?P<pair>[^\s&;,?={}"'<>:/]{1,100})=|"(?P<key>[^"\\]{1,100})"\s{0,100}:\s{0,100}""")
_PAIRED = re.compile(r"[^&\r\n]*")
_JSON = re.compile(r'"(?:[^"\\]|\\.)*"?|\{\{[^{}]*\}\}|[\[{].*|[^,}\]\r\n]*', re.DOTALL)


def without_secrets(value: Any) -> Any:
    """What JSON can hold, as it may be kept: NOT_KEPT in place of all that is under a name of a secret.

    A value that is one {{ template }} and nothing else stays: it says where the secret comes from.
    """
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list):
        return [without_secrets(inner) for inner in value]
    if isinstance(value, Mapping):
        return {name: _hidden(inner) if _is_secret(name) else without_secrets(inner) for name, inner in value.items()}
    return value


def _is_secret(name: str) -> bool:
    return _SECRET.search(_WORD.sub("_", unquote_plus(name))) is not None


def _hidden(value: Any) -> Any:
    """Nothing below it is kept but its shape, so that a configuration can be read again."""
    if isinstance(value, list):
        return [_hidden(inner) for inner in value]
    if isinstance(value, Mapping):
        return {name: _hidden(inner) for name, inner in value.items()}
    return value if value is None or value == "" or _is_a_place(value) else NOT_KEPT


def _is_a_place(value: Any) -> bool:
    return isinstance(value, str) and _PLACE.fullmatch(value) is not None


def _text(text: str) -> str:
    """A text that is JSON, or has pairs as a form or an address has them, or JSON between {{ templates }}."""
    if text.lstrip()[:1] in ("{", "["):
        try:
            given = json.loads(text)
            kept = without_secrets(given)
        except (ValueError, RecursionError):
            pass
        else:
            return text if kept == given else json.dumps(kept, ensure_ascii=False)
    parts, at = [], 0
    for named in _NAMED.finditer(text):
        if named.start() < at or not _is_secret(named["pair"] or named["key"]):
            continue
        found = (_PAIRED if named["pair"] else _JSON).match(text, named.end())
        value = found[0] if found is not None else ""
        if value and not _is_a_place(value.strip('"')):
            quoted = f'"{NOT_KEPT}"' if named["key"] else NOT_KEPT
            parts += [text[at : named.end()], quoted]
            at = named.end() + len(value)
    return "".join([*parts, text[at:]])
