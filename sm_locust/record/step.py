"""One step of a search for capacity, as the ledger keeps it: a rate, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """Searching, and what the kinds and outcomes mean, is the analysis's.

    kind       why this rate: double, lower, bisect, again (what failed), confirm (what was found), compare (with how it
               was), or recover
    rate       arrivals a second that were wanted
    at, until  real seconds of the run, the whole step with warm-up
    offered    arrivals a second of the seconds that were judged; 0 where none was
    requests   in those seconds
    outcome    held, failed or undecided; late where the generator could not keep up; empty for a pause
    metric     the rule that decided, or backlog; empty where none did
    value      of that rule over those seconds: seconds, or a fraction; None for a backlog
    """

    kind: str
    rate: float
    at: float
    until: float
    offered: float = 0.0
    requests: int = 0
    outcome: str = ""
    metric: str = ""
    value: float | None = None
