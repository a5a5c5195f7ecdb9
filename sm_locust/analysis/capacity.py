"""What one instance sustains: the highest rate at which the SLO holds, with its uncertainty, or why nobody can say.

A rate is arrivals a second for one instance; for the whole endpoint where it is not known how many served.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from sm_locust.record.rounding import rounded

Way = Literal["ramp", "search"]
RAMP: Way = "ramp"
SEARCH: Way = "search"

BACKLOG = "backlog"  # what limits an endpoint whose queue grows for as long as the rate lasts


@dataclass(frozen=True, slots=True)
class Capacity:
    """The answer of one run.

    way          RAMP: read off a load that was planned; SEARCH: searched for
    max_rps      the highest rate at which the SLO held: the best estimate between `low` and `high`; None where it is
                 refused, or where not even the lowest rate held
    low, high    bounds at `confidence`; low is None where no rate held, high is None where none failed
    reached      whether the SLO broke at a rate, so that there is a limit to speak of
    limited_by   the rule that broke first (a metric of `slo`), or BACKLOG; None where none did
    fails_at     the lowest rate at which it was seen to fail; None where none did
    instances    that served while this was measured; None where nobody knows: the rates are then the endpoint's
    confidence   of the bounds, such as 0.95
    refused      why there is no answer, in one sentence; empty where there is one
    saturates_at the most that was answered a second while a queue grew; None where none was seen to grow
    """

    way: Way
    max_rps: float | None = None
    low: float | None = None
    high: float | None = None
    reached: bool = False
    limited_by: str | None = None
    fails_at: float | None = None
    instances: float | None = None
    confidence: float = 0.95
    refused: str = ""
    saturates_at: float | None = None

    @property
    def known(self) -> bool:
        """Whether there is a rate that holds."""
        return self.max_rps is not None

    @property
    def per_minute(self) -> float | None:
        """`max_rps` as CloudWatch counts: invocations a minute for one instance."""
        return None if self.max_rps is None else self.max_rps * 60

    def shared_among(self, instances: float) -> Capacity:
        """For one of so many instances, where the rates are the endpoint's."""

        def share(rate: float | None) -> float | None:
            return None if rate is None else rate / instances

        return replace(
            self,
            max_rps=share(self.max_rps),
            low=share(self.low),
            high=share(self.high),
            fails_at=share(self.fails_at),
            saturates_at=share(self.saturates_at),
            instances=float(instances),
        )

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Capacity:
        """What `as_dict` gave, again."""
        return cls(**{**found, "refused": found.get("refused") or ""})

    def as_dict(self) -> dict[str, Any]:
        """What summary.json holds; rates are arrivals a second for one instance."""
        return {
            "way": self.way,
            "max_rps": rounded(self.max_rps),
            "low": rounded(self.low),
            "high": rounded(self.high),
            "confidence": self.confidence,
            "reached": self.reached,
            "limited_by": self.limited_by,
            "fails_at": rounded(self.fails_at),
            "saturates_at": rounded(self.saturates_at),
            "instances": self.instances,
            "refused": self.refused or None,
        }
