"""What a check found out before a run: one line each, and what to do about it.

A question that nobody here can answer is a finding of its own level, never a pass. Asking is check's and aws's.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Literal

Level = Literal["pass", "warn", "fail", "unknown"]

PASS: Level = "pass"
WARN: Level = "warn"
FAIL: Level = "fail"
UNKNOWN: Level = "unknown"  # not available here

# What may fail and can be overridden by name. Not among them: what a run itself refuses, whatever anybody allows.
ALLOWABLE = (
    "identity",
    "clock",
    "credentials",
    "endpoint",
    "variant",
    "burstable",
    "serverless",
    "async",
    "component",
    "scaling",
    "max-instances",
    "instance-quota",
    "live-traffic",
    "unrestored",
    "probe",
    "api-rate",
    "api-timeout",
    "lambda-concurrency",
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    name  of the check; those of ALLOWABLE may be given to `--allow`
    text  what was found, in a sentence or less
    do    what to do about it; empty where there is nothing to do
    """

    name: str
    level: Level
    text: str
    do: str = ""

    def allowed(self, names: frozenset[str]) -> Finding:
        """Itself; or, where it fails and its name is among `names`, a warning that says so."""
        if self.level != FAIL or self.name not in names:
            return self
        return replace(self, level=WARN, text=f"{self.text} (allowed by --allow {self.name})", do="")

    def as_dict(self) -> dict[str, str]:
        """Primitives for JSON."""
        return asdict(self)


def not_available(name: str, why: object) -> Finding:
    """What nobody here can tell, and why."""
    return Finding(name, UNKNOWN, f"not available here: {why}")
