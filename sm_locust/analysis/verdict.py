"""Whether a run measured its target, or itself.

A run is not valid when the generator, not the target, shaped what was measured: then no number of it should be quoted.
Every doubt carries what to do about it. How the target did is the SLO's business (rules).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from sm_locust.analysis.minutes import Minutes, Span

MIN_DELIVERED = 0.99
MIN_LATENESS_BUDGET = 0.005  # seconds
LATENESS_SHARE = 0.1  # of the service time's median
MAX_CPU = 0.9  # of one core
CPU_WINDOW = 5.0  # seconds that one CPU sample stands for
RECOVERY = 10.0  # seconds that the other workers have to take over a lost one's load

MAX_IN_FLIGHT = "max_in_flight"  # the reason of drops that a target that does not answer brings about
WORKER_LOST = "worker lost"  # the event of that name in the ledger


@dataclass(frozen=True, slots=True)
class Reason:
    """A doubt about a run: what was found and what to do about it, in one sentence.

    invalidates  whether it makes the run not valid; else it is a fact to know when reading the numbers
    """

    code: str
    text: str
    invalidates: bool = True


@dataclass(frozen=True, slots=True)
class Verdict:
    """`Verdict.of(minutes, meta)` for a run, `Verdict.of_phase(minutes, meta, span)` for one of its phases."""

    reasons: tuple[Reason, ...]

    @property
    def valid(self) -> bool:
        return not any(reason.invalidates for reason in self.reasons)

    @classmethod
    def of(cls, minutes: Minutes, meta: Mapping[str, Any]) -> Verdict:
        """meta  what run.json holds"""
        whole = minutes.whole
        finished = "ended" in meta
        found: list[Reason] = []
        if not finished:
            found.append(
                Reason(
                    "unfinished",
                    "The run was never finished: its master was killed, and what it had not written is missing; "
                    "run it again.",
                )
            )
        if not whole.planned and not whole.arrivals.due:
            found.append(Reason("nothing sent", "No arrival was planned or sent; check the users and the schedule."))
        found += _short(whole, "", _slack(meta, whole), endpoint_drops(minutes.phases or [whole]))
        for span in minutes.phases or [whole]:
            found += _late(span, minutes.name_of(span))
        found += _busy(minutes, 0.0, math.inf)
        found += _lost(minutes, meta)
        found += _unaccounted(whole, explained=not finished or _any_lost(minutes))
        for span in minutes.phases or [whole]:
            found += _stalled(span, minutes.name_of(span))
        return cls(tuple(found))

    @classmethod
    def of_phase(cls, minutes: Minutes, meta: Mapping[str, Any], span: Span) -> Verdict:
        """span  one of `minutes.phases`"""
        name = minutes.name_of(span)
        found = _short(span, name, _slack(meta, span), endpoint_drops([span]))
        found += _late(span, name)
        found += _busy(minutes, span.start, span.start + span.seconds)
        found += _lost(minutes, meta, span)
        found += _unaccounted(span, explained="ended" not in meta or _any_lost(minutes))
        found += _stalled(span, name)
        return cls(tuple(found))

    def as_dict(self) -> dict[str, Any]:
        return {"valid": self.valid, "reasons": [asdict(reason) for reason in self.reasons]}


def lateness_budget(span: Span) -> float:
    """The most seconds that the 99th percentile of lateness may be."""
    return max(MIN_LATENESS_BUDGET, LATENESS_SHARE * (span.requests.service_time.quantile(0.5) or 0.0))


def on_time(span: Span) -> bool:
    return (span.requests.lateness.quantile(0.99) or 0.0) <= lateness_budget(span)


def endpoint_drops(spans: Iterable[Span]) -> int:
    """Arrivals that a stalled target kept from being sent: dropped at max_in_flight by a generator that was on time.

    spans  phases, since the lateness of each decides
    """
    return sum(span.arrivals.dropped_by_reason.get(MAX_IN_FLIGHT, 0) for span in spans if on_time(span))


def _slack(meta: Mapping[str, Any], span: Span) -> float:
    """How many arrivals a faultless generator may be short of: what rounding and, for Poisson, chance leave open."""
    arrivals = (meta.get("config") or {}).get("arrivals") or {}
    if arrivals.get("spacing") == "poisson":
        return 4 * math.sqrt(span.planned)  # standard deviations
    streams = max(1, len(meta.get("workers") or ())) * max(1, len(meta.get("users") or ()))
    return streams + float(arrivals.get("per_user", 1))


def _in(name: str) -> str:
    return f" in phase {name}" if name else ""


def _short(span: Span, name: str, slack: float, stalled: int) -> list[Reason]:
    ratio = span.delivered_ratio
    missing = span.planned - span.delivered - stalled
    if ratio is None or missing <= max((1 - MIN_DELIVERED) * span.planned, slack):
        return []
    drops = span.arrivals.dropped_by_reason
    why = ", ".join(f"{n:,} dropped: {reason}" for reason, n in sorted(drops.items())) or "never raised"
    text = (
        f"Only {ratio:.1%} of the planned arrivals were sent{_in(name)} ({missing:,.0f} missing on our side; {why}); "
        "use more workers, or plan less load."
    )
    return [Reason("not delivered", text)]


def _late(span: Span, name: str) -> list[Reason]:
    if on_time(span):
        return []
    p99 = span.requests.lateness.quantile(0.99) or 0.0
    text = (
        f"Requests left late{_in(name)}: 1% of them by more than {p99 * 1e3:,.1f} ms, where "
        f"{lateness_budget(span) * 1e3:,.1f} ms are allowed; use more workers, or a machine that does nothing else."
    )
    return [Reason("late", text)]


def _busy(minutes: Minutes, start: float, until: float) -> list[Reason]:
    """Two CPU samples in a row above the limit, of one process, the second of them in [start, until)."""
    by_worker: dict[str, list[tuple[float, float]]] = {}
    for sample in minutes.samples:
        if sample.cpu is not None and sample.at - CPU_WINDOW < minutes.end:
            by_worker.setdefault(sample.worker, []).append((sample.at, sample.cpu))
    busy = {
        worker: max(min(before, after) for _, before, after in hot)
        for worker, samples in by_worker.items()
        if (
            hot := [
                (at, before, after)
                for (_, before), (at, after) in pairwise(samples)
                if start <= at < until and min(before, after) > MAX_CPU
            ]
        )
    }
    if not busy:
        return []
    worker, share = max(busy.items(), key=lambda entry: entry[1])
    others = f" ({len(busy) - 1} more as well)" if len(busy) > 1 else ""
    text = (
        f"Process {worker}{others} used {share:.0%} of a core for {2 * CPU_WINDOW:.0f} s: latencies then hold its own "
        "queue; use more workers (--processes), or fewer users a process with a higher per_user."
    )
    return [Reason("cpu", text)]


def _lost(minutes: Minutes, meta: Mapping[str, Any], within: Span | None = None) -> Iterator[Reason]:
    for event in minutes.events:
        if event.event != WORKER_LOST or event.at >= minutes.end:
            continue
        if within is not None and not within.start <= event.at < within.start + within.seconds:
            continue
        after = Span(event.at)
        for span in minutes.seconds:
            if span.start >= event.at + RECOVERY:
                after.planned += span.planned
                after.delivered += span.delivered
        stalled = endpoint_drops(span for span in minutes.seconds if span.start >= event.at + RECOVERY)
        missing = after.planned - after.delivered - stalled
        made_up = bool(after.planned) and missing <= max((1 - MIN_DELIVERED) * after.planned, _slack(meta, after))
        what = (
            "the others took over its load"
            if made_up
            else "nobody took over its load; run again with --enable-rebalancing"
        )
        minute = int(event.at * minutes.speed // 60)
        yield Reason("worker lost", f"Worker {event.worker} was lost in minute {minute}: {what}.", not made_up)


def _any_lost(minutes: Minutes) -> bool:
    """One that fell silent only after the arrivals had ended counts too: it took its last counts with it."""
    return any(event.event == WORKER_LOST for event in minutes.events)


def _unaccounted(span: Span, explained: bool) -> list[Reason]:
    """explained  a worker or the master was lost, and with it what it had not reported"""
    n = span.unreported
    if n > 0:
        few = n <= (1 - MIN_DELIVERED) * span.sent
        text = f"{n:,} requests were sent and never reported; they count as cancelled" + (
            ", since the process that sent them was lost."
            if explained
            else ": please report this as a fault of sm_locust."
        )
        return [Reason("unreported", text, invalidates=not (explained and few))]
    if n < 0:
        text = f"{-n:,} more requests were reported than sent: please report this as a fault of sm_locust."
        return [Reason("accounting", text)]
    return []


def _stalled(span: Span, name: str) -> list[Reason]:
    drops = endpoint_drops([span])
    if not drops:
        return []
    text = (
        f"The endpoint stalled{_in(name)}: {drops:,} arrivals were dropped at max_in_flight while the generator was on "
        "time; they count as errors for the SLO."
    )
    return [Reason("endpoint stalled", text, invalidates=False)]
