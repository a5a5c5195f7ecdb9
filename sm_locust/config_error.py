"""What is wrong with a configuration, in one line. By itself, since whoever may raise it need not know what one is."""

from __future__ import annotations


class ConfigError(ValueError):
    """A configuration that cannot be used. Its text is one line: file, key, value and what is accepted."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))
