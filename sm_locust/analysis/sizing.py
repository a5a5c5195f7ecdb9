"""How many processes a load takes, from what one was measured to send.

One process uses one core, so the same number is that of cores, of `--processes` and of workers. It is a suggestion with
room to spare: whether a run's processes kept up is the verdict's to say.

Pure arithmetic on figures of benchmarks/RESULTS.md, which are those of one machine.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from sm_locust.config import ERROR_RATE, RunConfig

# "lateness p99 at 5,000 a second", 1.1 ms. More in one process is not measured.
MEASURED_RATE = 5_000.0  # arrivals a second
REQUEST_CPU = 46.4e-6  # seconds of a core: "sm_locust InvokeEndpointUser, TLS", at that rate
# 30 µs for 100 kB: 400 requests a second with bodies of 12 bytes, and of 100 kB.
BODY_CPU = 0.3e-9  # seconds of a core more for each byte of a body
SHARE = 0.25  # of a core that sending may take, so that one of half the speed has as much left for tasks and answers

# Past about 1,000 users each tick of Locust's dispatcher holds up arrivals: 2 ms at 800 users, 60 to 110 ms at 20,000.
PROCESS_USERS = 1_000


@dataclass(frozen=True, slots=True)
class Sizing:
    """`Sizing.of(config, peak, …)`.

    peak          the most arrivals a second
    process_rate  arrivals a second that one process sends with room to spare
    pausing       arrivals that are in flight at the peak by the pauses of their scenarios alone
    in_flight     all that are, while answers take as long as `slo` lets them; None without either
    processes     that are suggested
    """

    config: RunConfig
    peak: float
    process_rate: float
    pausing: float
    in_flight: float | None

    @classmethod
    def of(cls, config: RunConfig, peak: float, body_bytes: float | None) -> Sizing:
        """`body_bytes` of a request, where they are known."""
        each, pausing = config.requests_each, peak * config.paused_each  # by Little's law, as are the answers
        limits = [limit for metric, limit in config.slo.limits().items() if metric != ERROR_RATE]
        return cls(
            config,
            peak,
            min(MEASURED_RATE, SHARE / (REQUEST_CPU + BODY_CPU * (body_bytes or 0.0))) / each,
            pausing,
            pausing + (peak * each * min(limits) if limits else 0.0) if limits or pausing else None,
        )

    @property
    def processes(self) -> int:
        return max(1, math.ceil(self.peak / self.process_rate), math.ceil(self._filled))

    @property
    def _filled(self) -> float:
        """Processes that `in_flight` would fill."""
        return (self.in_flight or 0.0) / self.config.arrivals.max_in_flight

    @property
    def why(self) -> str:
        """What the number rests on."""
        if self._filled * self.process_rate > self.peak and self.in_flight is not None:
            most = f"{self.in_flight:,.0f} in flight at the peak, and one process has"
            kept = f"answers as slow as slo allows are {most}"
            if self.pausing:
                slow = " and answers as slow as slo allows" if self.in_flight > self.pausing else ""
                kept = f"pauses{slow} keep {most}"
            return f"{kept} {self.config.arrivals.max_in_flight:,}"
        return (
            f"one sends {self.process_rate:,.0f} arrivals a second with room to spare, and the peak is {self.peak:,.0f}"
        )

    def shortfall(self, processes: int) -> str | None:
        """What is to be said of a run that begins with so many, a sentence; None where they are enough."""
        if processes >= self.processes:
            return None
        there = "one process sends" if processes == 1 else f"{processes} processes send"
        return (
            f"{there} this load, and {self.processes} are suggested: {self.why}; give --processes {self.processes}, or "
            "as many workers"
        )

    def crowded(self, processes: int, per_user: float) -> str | None:
        """What is to be said of the users that each of so many processes has, a sentence; None where it has few."""
        users = self.peak / per_user / processes
        if users <= PROCESS_USERS:
            return None
        enough = math.ceil(self.peak / processes / PROCESS_USERS)
        return (
            f"at the peak a process has {users:,.0f} users, and past {PROCESS_USERS:,} Locust falls behind: give "
            f"arrivals.per_user: {enough}"
        )
