"""When credentials that are refused end a run: once a process has heard nothing else for five seconds.

Pure: it is told what processes have counted, second by second, and says which of them send in vain. Each is looked at
alone, since a worker's credentials are its own. Ending the run is Active's, the verdict's words are the analysis's.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from sm_locust.plugin.listener import Listener
from sm_locust.record.interval import Interval
from sm_locust.record.ledger import Sample
from sm_locust.record.outcome import (
    CERTIFICATE,
    CONNECT,
    CONNECT_TIMEOUT,
    DNS,
    PROTOCOL,
    REDIRECT,
    REFUSED,
    RESET,
    TASK_ERROR,
    THROTTLED,
    TIMEOUT,
    TLS,
)

PATIENCE = 5.0  # real seconds
A_FEW = 3  # answers, at least

# These do not say whether the credentials are good: nobody looked at them, or not yet.
_SAY_NOTHING = frozenset(
    {TIMEOUT, CONNECT, CONNECT_TIMEOUT, RESET, TLS, CERTIFICATE, DNS, PROTOCOL, REDIRECT, TASK_ERROR, THROTTLED}
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A process whose credentials are refused.

    since  real seconds of the run
    kind   the most frequent of the refusals
    """

    process: str
    since: float
    kind: str


@dataclass(slots=True)
class _Spell:
    """What one process has heard in answer to requests of one name."""

    accepted: float = float("-inf")  # the last second in which credentials were accepted
    refused: dict[float, Counter[str]] = field(default_factory=dict)  # after it: second → kind → requests

    def add(self, counted: Interval) -> None:
        kinds = counted.by_kind
        if counted.ok or not kinds.keys() <= REFUSED | _SAY_NOTHING:
            self.accepted = max(self.accepted, counted.second)
            self.refused = {second: n for second, n in self.refused.items() if second > self.accepted}
        elif counted.refused and counted.second > self.accepted:
            refusals = Counter({kind: n for kind, n in kinds.items() if kind in REFUSED})
            self.refused[counted.second] = self.refused.get(counted.second, Counter()) + refusals

    def refusal(self, process: str) -> Refusal | None:
        kinds = sum(self.refused.values(), Counter[str]())
        if kinds.total() < A_FEW or max(self.refused) + 1 - min(self.refused) < PATIENCE:
            return None
        return Refusal(process, min(self.refused), min(kinds, key=lambda kind: (-kinds[kind], kind)))


class Refused(Listener):
    """Told what processes have counted, in any order and in as many parts as it comes.

    A second belongs to the requests that were scheduled in it.
    """

    def __init__(self) -> None:
        # By process and name: requests of another name may go to another target, which lets the same credentials in.
        self._spells: dict[tuple[str, str], _Spell] = {}
        self._refused: dict[tuple[str, str], _Spell] = {}  # those whose last word is a refusal: mostly none

    def count(self, counted: Interval, row: dict[str, Any], sample: Sample) -> None:
        key = sample.worker, counted.name
        spell = self._spells.setdefault(key, _Spell())
        spell.add(counted)
        if spell.refused:
            self._refused[key] = spell
        else:
            self._refused.pop(key, None)

    def refusals(self) -> list[Refusal]:
        """The processes whose answers to requests of some name have been nothing but refusals for PATIENCE."""
        found: dict[str, Refusal] = {}
        for (process, _), spell in self._refused.items():
            refusal = spell.refusal(process)
            if refusal is not None and (process not in found or refusal.since < found[process].since):
                found[process] = refusal
        return list(found.values())
