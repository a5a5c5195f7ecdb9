"""What `request` and a Feeder have in common: by itself, since a Feeder needs nothing else of a configuration."""

from __future__ import annotations

from typing import Literal

PayloadOrder = Literal["sequential", "random", "once"]

A_HEADER = "a text of 1 to 1024 printable ASCII characters"
