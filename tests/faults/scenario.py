"""What a fault's scenario hands back: one row of docs/faults.md."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Row:
    """part   the section that it belongs to: "Endpoint", "Durability", "Credentials and secrets", …
    fault  what was injected
    said   what the result said: kind, counts, exit code, the sentence of a verdict or an error; taken from the run
    holds  whether that is what is promised
    """

    part: str
    fault: str
    said: str
    holds: bool


# Given an empty folder to work in. It takes seconds, and raises where the machinery around it fails: a promise that is
# broken is a row that does not hold.
Scenario = Callable[[Path], Row]
