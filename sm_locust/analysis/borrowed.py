"""What an experiment around a run changed of somebody's scaling, and whether that was put back, as its record has it.

A run of its own changes nothing. The record is written by `record.prior`; here it is only read.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sm_locust.record.prior import EXPERIMENT


@dataclass(frozen=True, slots=True)
class Borrowed:
    """restored      what was put back, in sentences
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
            found: Any = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as e:
            return cls(unreadable=f"{EXPERIMENT} cannot be read: {e}")
        if not isinstance(found, dict) or not isinstance(found.get("restored", []), list):
            return cls(unreadable=f"{EXPERIMENT} is not what an experiment writes")
        not_restored = str(found.get("not_restored") or "")
        over = bool(found.get("restored_at") or not_restored)
        return cls(tuple(map(str, found.get("restored") or ())), not_restored, over)
