"""What the wait for a scale-out cost: requests that failed and minutes over the SLO, from crossed to in service.

When each of its stages was is `lag`'s. What recovers only after the instances served is not in it: they were there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sm_locust.analysis.lag import Lag
from sm_locust.analysis.minutes import Minutes
from sm_locust.analysis.rules import Rule, Stretch
from sm_locust.analysis.verdict import endpoint_drops
from sm_locust.analysis.watched import Watched


@dataclass(frozen=True, slots=True)
class Toll:
    """Of one scale-out.

    from_s   schedule seconds: when the target was crossed; when instances were asked for, where that is not known
    until_s  when all of them served; where they never did, when the next were asked for, or arrivals ended
    served   whether they did
    failed   requests that the target failed, those that it kept from being sent among them
    broken   judged schedule minutes, at least in part in that time, that broke a rule of the SLO; None without one
    """

    from_s: float
    until_s: float
    served: bool
    failed: int
    broken: int | None

    @classmethod
    def of(
        cls, lags: Sequence[Lag], minutes: Minutes, watched: Watched | None, limits: Mapping[str, float]
    ) -> list[Toll]:
        """One for each of the lags, in their order."""
        rules = [Rule(metric, limit) for metric, limit in limits.items()]
        end = minutes.end * minutes.speed
        found = []
        for n, lag in enumerate(lags):
            since = lag.desired_s if lag.crossed_s is None else lag.crossed_s
            until = lag.in_service_s
            if until is None:
                until = lags[n + 1].desired_s if n + 1 < len(lags) else end
            within = [span for span in minutes.seconds if since <= span.at_s < until]
            failed = sum(span.requests.failed - span.requests.refused for span in within) + endpoint_drops(within)
            stretches = [
                Stretch.of(row, watched)
                for row in minutes.rows
                if minutes.is_judged(row) and since < row.at_s + 60 and row.at_s < until
            ]
            broken = sum(any(rule.broken_by(each) for rule in rules) for each in stretches) if rules else None
            found.append(cls(since, max(since, until), lag.in_service_s is not None, failed, broken))
        return found

    def as_dict(self) -> dict[str, Any]:
        return {
            "from_s": self.from_s,
            "until_s": self.until_s,
            "served": self.served,
            "failed": self.failed,
            "minutes_over_slo": self.broken,
        }
