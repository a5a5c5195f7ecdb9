"""What each process of a run had to do with it: its share of the load, how late it was and how busy.

Latencies are not told apart by process: they are the endpoint's. Lateness and CPU are a process's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sm_locust.analysis.minutes import Minutes
from sm_locust.record.interval import Interval
from sm_locust.record.ledger import WORKER_BACK, WORKER_LOST
from sm_locust.record.rounding import rounded


@dataclass(frozen=True, slots=True)
class Worker:
    """One process.

    counted   arrivals, and the lateness of what it sent; nothing else
    share     of all that was sent, 0 to 1; None when nothing was
    cpu_mean, cpu_max  shares of one core over five seconds each; None without a sample
    lost_at   real seconds of the run at which it was lost for good; None when it was there to the end
    """

    name: str
    counted: Interval
    share: float | None
    cpu_mean: float | None
    cpu_max: float | None
    lost_at: float | None

    def as_dict(self, speed: int) -> dict[str, Any]:
        counted = self.counted
        return {
            "worker": self.name,
            "due": counted.due,
            "sent": counted.sent,
            "dropped_by_reason": dict(sorted(counted.dropped_by_reason.items())),
            "share": rounded(self.share, 6),
            "cpu": {"mean": self.cpu_mean, "max": self.cpu_max},
            "lateness_ms": counted.lateness.summary_ms(),
            "lost_at_s": None if self.lost_at is None else round(self.lost_at * speed, 3),
        }


def workers(minutes: Minutes, meta: Mapping[str, Any]) -> tuple[Worker, ...]:
    """In the order in which they joined, those included that never counted anything."""
    return tuple(_worker(minutes, name) for name in dict.fromkeys([*_ordered(meta), *minutes.by_worker]))


def _ordered(meta: Mapping[str, Any]) -> Iterable[str]:
    return map(str, meta.get("workers") or ())  # none yet where the master was killed


def _worker(minutes: Minutes, name: str) -> Worker:
    counted = minutes.by_worker.get(name, Interval(0.0, ""))
    samples = [
        sample.cpu
        for sample in minutes.samples
        if sample.worker == name and sample.cpu is not None and sample.at <= minutes.end + 1
    ]
    lost_at = None
    for event in minutes.events:
        if event.worker == name and event.event in (WORKER_LOST, WORKER_BACK):
            lost_at = event.at if event.event == WORKER_LOST else None
    sent = sum(other.sent for other in minutes.by_worker.values())
    return Worker(
        name,
        counted,
        share=counted.sent / sent if sent else None,
        cpu_mean=round(sum(samples) / len(samples), 4) if samples else None,
        cpu_max=max(samples, default=None),
        lost_at=lost_at,
    )
