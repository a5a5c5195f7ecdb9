"""What an experiment around a run changed of somebody's scaling, and whether that was put back, as its record has it.

A run of its own changes nothing. The record is written and read by `record.prior`; a report goes on without it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sm_locust.record import prior
from sm_locust.record.prior import EXPERIMENT


@dataclass(frozen=True, slots=True)
class Borrowed:
    """As the record has it.

    restored      what was put back, in sentences
    not_restored  why something could not be; empty where all was
    over          whether putting back is over, one way or the other
    unreadable    why the record says nothing; empty where it could be read
    """

    restored: tuple[str, ...] = ()
    not_restored: str = ""
    over: bool = False
    unreadable: str = ""

    @classmethod
    def of(cls, folder: Path) -> Borrowed | None:
        """folder  of the run; None for a run that no experiment made"""
        path = folder.resolve().parent / EXPERIMENT
        if not path.is_file():
            return None
        try:
            found = prior.read(path)
        except ValueError as e:
            return cls(unreadable=f"{EXPERIMENT}: {e}")
        not_restored = found.get("not_restored", "")
        return cls(tuple(found.get("restored", ())), not_restored, bool(found.get("restored_at") or not_restored))
