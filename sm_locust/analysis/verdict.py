"""Whether a run measured its target, or itself.

A run is not valid when the generator, not the target, shaped what was measured: then no number of it should be quoted.
Every doubt carries what to do about it. How the target did is the SLO's business (rules).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from sm_locust.analysis.minutes import Minutes, Span
from sm_locust.analysis.watched import Watched
from sm_locust.record.ledger import WORKER_BACK, WORKER_LOST, Event
from sm_locust.record.meta import ALL_LOST, PAYLOADS_FAILED
from sm_locust.record.outcome import ACCESS_DENIED, EXPIRED_TOKEN, INVALID_SIGNATURE, REFUSED, UNRECOGNIZED_CLIENT

MIN_DELIVERED = 0.99
MIN_LATENESS_BUDGET = 0.005  # seconds
LATENESS_SHARE = 0.1  # of the service time's median
MAX_CPU = 0.9  # of one core
CPU_WINDOW = 5.0  # seconds that one CPU sample stands for
CUT = 0.01  # seconds that a ledger may leave out, of what rounding may
RECOVERY = 10.0  # seconds that the other workers have to take over a lost one's load

MAX_IN_FLIGHT = "max_in_flight"  # the reason of drops that a target that does not answer brings about
CREDENTIALS_REFUSED = "credentials refused: "  # + kind: the event that ended a run, at the time since which they were
CLOCK_CORRECTED = "clock corrected by "  # + seconds: from then on a process signed by AWS's clock
CUT_SHORT = "cut short in a pause: "  # + how many runs of a scenario, of one process, when its patience ended

# What to do about arrivals that were planned and not sent, where it is not the load that was too much.
_ADVICE = {
    "dropped: isolated": "find out why a worker could not hear its master: the network, or a master short of CPU",
    "dropped: not_ready": "the log of the worker that could not send says why",
}

# What to do about credentials that were refused, by the kind of the refusal.
_RENEW = "use credentials that renew themselves or last longer than the run (sm-locust check says how long they last)"
_CREDENTIALS = {
    EXPIRED_TOKEN: f"their session had expired; {_RENEW}",
    UNRECOGNIZED_CLIENT: "AWS does not know them (any more); look whether they were revoked or replaced while it ran",
    ACCESS_DENIED: "they may not invoke this; allow sagemaker:InvokeEndpoint (or execute-api:Invoke) in their policy",
    INVALID_SIGNATURE: "the signature did not match; check the secret key, the region and this process's clock",
}


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
    def of(cls, minutes: Minutes, meta: Mapping[str, Any], watched: Watched | None = None) -> Verdict:
        """meta     what run.json holds
        watched  what CloudWatch and scaling saw; None when nobody watched
        """
        whole, finished = minutes.whole, "ended" in meta
        spans = minutes.phases or [whole]
        found: list[Reason] = []
        if not finished:
            found.append(_unfinished(minutes))
        found += _cut(minutes)
        if not whole.sent:
            text = f"Nothing was sent of {whole.planned:,.0f} arrivals planned; check the users and the schedule."
            found.append(Reason("nothing sent", text))
        found += _refused(minutes, whole, "", _slack(meta, whole))
        found += _nothing_left(minutes.events)
        found += _delivery(minutes, whole, "", _slack(meta, whole), endpoint_drops(spans))
        for span in spans:
            found += _late(span, minutes.name_of(span))
        for span in spans:
            found += _busy(minutes, span)
        found += _lost(minutes, meta)
        found += _unaccounted(whole, "", explained=not finished or _any_lost(minutes))
        for span in spans:
            found += _stalled(span, minutes.name_of(span))
        found += _not_begun(minutes)
        found += _cut_short(minutes)
        if watched is not None:
            found += _not_alone(watched)
            found += _another_endpoint(watched)
        return cls(tuple(found))

    @classmethod
    def of_phase(cls, minutes: Minutes, meta: Mapping[str, Any], span: Span) -> Verdict:
        """span  one of `minutes.phases`"""
        name = minutes.name_of(span)
        slack = _slack(meta, span) + _shifted(minutes, span)
        found = _refused(minutes, span, name, slack)
        found += _nothing_left([e for e in minutes.events if span.start <= e.at < span.start + span.seconds])
        found += _delivery(minutes, span, name, slack, endpoint_drops([span]))
        found += _late(span, name)
        found += _busy(minutes, span)
        found += _lost(minutes, meta, span)
        found += _unaccounted(span, name, explained="ended" not in meta or _any_lost(minutes))
        found += _stalled(span, name)
        return cls(tuple(found))

    def as_dict(self) -> dict[str, Any]:
        return {"valid": self.valid, "reasons": [asdict(reason) for reason in self.reasons]}


def _unfinished(minutes: Minutes) -> Reason:
    of_plan = f" of {minutes.schedule.duration:,.0f} s planned" if minutes.schedule is not None else ""
    text = (
        "The run was never finished: its master was killed, or could not write any more. What it wrote ends "
        f"{minutes.end:,.0f} s after the start{of_plan}; all that came later is missing, so run it again."
    )
    return Reason("unfinished", text)


def _cut(minutes: Minutes) -> list[Reason]:
    """Seconds that are not even planned: their lines were not written, or somebody has taken them out."""
    if minutes.unwritten < CUT:
        return []
    text = (
        f"The ledger says nothing of {minutes.unwritten:,.1f} s of the {minutes.end:,.1f} s for which the run lasted: "
        "what was sent then is missing here; run it again."
    )
    return [Reason("ledger cut", text)]


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


def undelivered(span: Span, slack: float, stalled: int) -> float:
    """Arrivals that were planned and not sent, for a reason on our side; 0 where they are few enough.

    slack    how many a faultless generator may be off by
    stalled  what a stalled target is to blame for
    """
    missing = span.planned - span.delivered - stalled
    return missing if missing > max((1 - MIN_DELIVERED) * span.planned, slack) else 0.0


def allowed_off(meta: Mapping[str, Any], planned: float) -> float:
    """How many arrivals of so many planned a faultless generator may be off by. `meta` as run.json has it."""
    return _slack(meta, Span(0.0, planned=planned))


def _slack(meta: Mapping[str, Any], span: Span) -> float:
    """How many arrivals a faultless generator may be off by: what rounding and, for Poisson, chance leave open."""
    arrivals = (meta.get("config") or {}).get("arrivals") or {}
    if arrivals.get("spacing") == "poisson":
        return 4 * math.sqrt(span.planned)  # standard deviations
    streams = max(1, len(meta.get("workers") or ())) * max(1, len(meta.get("users") or ()))
    return streams + float(meta.get("per_user") or arrivals.get("per_user", 1))


def _shifted(minutes: Minutes, span: Span) -> float:
    """How many arrivals may cross the edges of a phase, where the plan's rate jumps.

    Once a second Locust sets the users for the second to come. A jump that lies x seconds into that second is played as
    the mean of both rates: of a jump by d, d·x·(1 − x) arrivals change sides, which is d/4 at most.
    """
    if minutes.schedule is None or span.phase is None:
        return 0.0
    nearby = minutes.schedule.phases[max(0, span.phase - 1) : span.phase + 2]
    return sum(abs(after.arrival_rate - before.end_rate) for before, after in pairwise(nearby)) / 4


def _in(name: str) -> str:
    return f" in phase {name}" if name else ""


def _delivery(minutes: Minutes, span: Span, name: str, slack: float, stalled: int) -> list[Reason]:
    """Whether as much was sent as was planned, but for what a stalled target is to blame for."""
    allowed = max((1 - MIN_DELIVERED) * span.planned, slack)
    missing = span.planned - span.delivered - stalled
    at_the_stop = _at_the_stop(minutes, span)
    if undelivered(span, slack, stalled) and missing + min(0.0, at_the_stop) > allowed:
        ours = {f"dropped: {reason}": float(n) for reason, n in span.arrivals.dropped_by_reason.items()}
        if stalled:
            ours[f"dropped: {MAX_IN_FLIGHT}"] -= stalled
        ours["never raised"] = missing - sum(ours.values())
        why = ", ".join(f"{n:,.0f} {what}" for what, n in sorted(ours.items()) if n >= 0.5)
        if ours["never raised"] <= -0.5:
            why += f", and others took over {-ours['never raised']:,.0f}"
        main = max(ours, key=ours.__getitem__)
        otherwise = "use more workers, or plan less load"
        if main == "never raised" and _any_lost(minutes):
            otherwise = "a worker was lost, and what was its share until others had it was not sent"
        advice = _ADVICE.get(main, otherwise)
        text = (
            f"Only {span.delivered_ratio or 0.0:.1%} of the planned arrivals were sent{_in(name)} "
            f"({missing:,.0f} missing on our side: {why}); {advice}."
        )
        return [Reason("not delivered", text)]
    if -missing - max(0.0, at_the_stop) > allowed:
        text = (
            f"{-missing:,.0f} more arrivals were sent{_in(name)} than the {span.planned:,.0f} that were planned; look "
            "in the logs for a worker that came back or was told of its users late, and run it again."
        )
        return [Reason("over delivered", text)]
    return []


def _at_the_stop(minutes: Minutes, span: Span) -> float:
    """What was sent beyond the plan in the second in which the run was stopped; below 0, what was not.

    Workers hear of it at another moment, and their clocks are not quite the master's.
    """
    begun = [second for second in minutes.seconds if second.start < minutes.end]
    last = begun[-1] if begun else None
    if last is None or last.seconds >= 1 or span.phase not in (None, last.phase):
        return 0.0
    if minutes.schedule is not None and minutes.end >= minutes.schedule.duration:
        return 0.0
    return last.delivered - last.planned


def _late(span: Span, name: str) -> list[Reason]:
    if on_time(span):
        return []
    p99 = span.requests.lateness.quantile(0.99) or 0.0
    text = (
        f"Requests left late{_in(name)}: 1% of them by more than {p99 * 1e3:,.1f} ms, where "
        f"{lateness_budget(span) * 1e3:,.1f} ms are allowed; use more workers, or a machine that does nothing else."
    )
    return [Reason("late", text)]


def _busy(minutes: Minutes, span: Span) -> list[Reason]:
    """Two CPU samples in a row above the limit, of one process, either of them taken for the most part in the span.

    A sample is of the seconds before it: it counts where its middle lies, and past the end of the arrivals not at all,
    since what a process does then delays none.
    """
    start, until = span.start, min(span.start + span.seconds, minutes.end)
    by_worker: dict[str, list[tuple[float, float]]] = {}
    for sample in minutes.samples:
        middle = sample.at - CPU_WINDOW / 2
        if sample.cpu is not None and middle < minutes.end:
            by_worker.setdefault(sample.worker, []).append((middle, sample.cpu))
    busy: dict[str, float] = {}
    for worker, samples in by_worker.items():
        for (first, before), (second, after) in pairwise(samples):
            share = min(before, after)
            if share > MAX_CPU and (start <= first < until or start <= second < until):
                busy[worker] = max(busy.get(worker, 0.0), share)
    if not busy:
        return []
    worker, share = max(busy.items(), key=lambda entry: entry[1])
    others = f" ({len(busy) - 1} more as well)" if len(busy) > 1 else ""
    text = (
        f"Process {worker}{others} used {share:.0%} of a core for {2 * CPU_WINDOW:.0f} s{_in(minutes.name_of(span))}: "
        "latencies then hold its own queue; use more workers (--processes), or fewer users a process with a higher "
        "per_user."
    )
    return [Reason("cpu", text)]


def _refused(minutes: Minutes, span: Span, name: str, slack: float) -> list[Reason]:
    """Credentials that were refused until that ended the run; or else for a while, and how much load that took."""
    until = span.start + span.seconds
    ended = [e for e in minutes.events if e.event.startswith(CREDENTIALS_REFUSED) and span.start <= e.at < until]
    if ended:
        event, kind = ended[0], ended[0].event.removeprefix(CREDENTIALS_REFUSED)
        others = f" ({len(ended) - 1} more as well)" if len(ended) > 1 else ""
        text = (
            f"The credentials of process {event.worker}{others} were refused ({kind}) from {event.at:,.0f} s after the "
            f"start on, which ended the run: {_CREDENTIALS.get(kind, 'see what the first refusal said')}."
        )
        return [Reason("credentials", text)]
    n = span.requests.refused
    if not n:
        return []
    kinds = ", ".join(f"{kind} {many:,}" for kind, many in sorted(span.requests.by_kind.items()) if kind in REFUSED)
    few = n <= max((1 - MIN_DELIVERED) * span.requested, slack)
    more = "few enough to read the rest as it is" if few else "so many that the target had less load than was planned"
    clocks = [e for e in minutes.events if e.event.startswith(CLOCK_CORRECTED) and _ahead(e) is not None]
    why = f": {_clock(clocks)}" if clocks and INVALID_SIGNATURE in span.requests.by_kind else ""
    do = "set that machine's clock (NTP)" if why else "see that credentials are renewed in time"
    requests = "1 request" if n == 1 else f"{n:,} requests"
    text = (
        f"In {requests}{_in(name)} our credentials were refused ({kinds}){why}; no error rate counts them, and they "
        f"are {more}: {do}."
    )
    return [Reason("credentials", text, invalidates=not few)]


def _nothing_left(events: Iterable[Event]) -> list[Reason]:
    """A source of payloads that raised, which is no end that anybody planned."""
    failed = [e for e in events if e.event.startswith(PAYLOADS_FAILED)]
    if not failed:
        return []
    event, others = failed[0], f" ({len(failed) - 1} more as well)" if len(failed) > 1 else ""
    text = (
        f"Process {event.worker}{others} had nothing to send any more {event.at:,.0f} s after the start, which ended "
        f"the run before its time: {event.event}; mend what gives the payloads, and run it again."
    )
    return [Reason("payloads failed", text)]


def _ahead(correction: Event) -> float | None:
    """Seconds; None where the ledger was edited."""
    try:
        ahead = float(correction.event.removeprefix(CLOCK_CORRECTED))
    except ValueError:
        return None
    return ahead if math.isfinite(ahead) else None


def _clock(corrections: Sequence[Event]) -> str:
    """The first of the processes whose clock AWS refused, and how many more there are."""
    event = corrections[0]
    ahead = _ahead(event) or 0.0
    stands = f"{abs(ahead):,.0f} s {'behind' if ahead > 0 else 'ahead of'}"
    others = f" ({len(corrections) - 1} more as well)" if len(corrections) > 1 else ""
    return f"the clock of process {event.worker}{others} was {stands} AWS's, which it then signed by"


def _lost(minutes: Minutes, meta: Mapping[str, Any], within: Span | None = None) -> Iterator[Reason]:
    for event in minutes.events:
        if event.event != WORKER_LOST or event.at >= minutes.end:
            continue
        if within is not None and not within.start <= event.at < within.start + within.seconds:
            continue
        after, stalled = Span(event.at), 0
        for span in minutes.seconds:
            changing = any(at <= span.start < at + RECOVERY for at in _changes(minutes, event))
            if span.start >= event.at and not changing:
                after.planned += span.planned
                after.delivered += span.delivered
                stalled += endpoint_drops([span])
        missing = after.planned - after.delivered - stalled
        made_up = bool(after.planned) and missing <= max((1 - MIN_DELIVERED) * after.planned, _slack(meta, after))
        what = (
            "the others took over its load; its log says why, and latencies of that minute may tell of it"
            if made_up
            else "nobody took over its load, which the others do unless --sm-no-rebalancing is given; its log says why"
        )
        if not after.planned and meta.get("ended") == ALL_LOST:
            what = "no other was left, which ended the run; its log says why, and what it sent last is in no number"
        minute = int(event.at * minutes.speed // 60)
        yield Reason("worker lost", f"Worker {event.worker} was lost in minute {minute}: {what}.", not made_up)


def _changes(minutes: Minutes, lost: Event) -> Iterator[float]:
    """When shares are dealt out anew for a worker that was lost: then, and whenever it came back."""
    yield lost.at
    yield from (e.at for e in minutes.events if e.event == WORKER_BACK and e.worker == lost.worker and e.at > lost.at)


def _any_lost(minutes: Minutes) -> bool:
    """One that fell silent only after the arrivals had ended counts too: it took its last counts with it."""
    return any(event.event == WORKER_LOST for event in minutes.events)


def _unaccounted(span: Span, name: str, explained: bool) -> list[Reason]:
    """explained  a worker or the master was lost, and with it what it had not reported"""
    n = span.unreported
    if n > 0:
        few = n <= (1 - MIN_DELIVERED) * span.requested
        what = f"{n:,} requests were sent{_in(name)} and never reported; they count as cancelled"
        if not explained:
            return [Reason("unreported", f"{what}: please report this as a fault of sm_locust.")]
        more = "few enough to read the rest as it is" if few else "too many to read the rest without them: run it again"
        text = f"{what}, since the process that sent them was lost; they are {more}."
        return [Reason("unreported", text, invalidates=not few)]
    if n < 0:
        text = f"{-n:,} more requests were reported{_in(name)} than sent: please report this as a fault of sm_locust."
        return [Reason("accounting", text)]
    return []


def _stalled(span: Span, name: str) -> list[Reason]:
    drops = endpoint_drops([span])
    if not drops:
        return []
    text = (
        f"The endpoint stalled{_in(name)}: {drops:,} arrivals were dropped at max_in_flight while the generator was on "
        "time, and count as errors for the SLO; give the endpoint more instances, or raise max_in_flight if so many "
        "requests may well wait."
    )
    return [Reason("endpoint stalled", text, invalidates=False)]


def _not_begun(minutes: Minutes) -> list[Reason]:
    """A run that was ended early is judged by what ran, and says what did not."""
    begun = {span.phase for span in minutes.phases}
    names = [
        phase.name for i, phase in enumerate(minutes.schedule.phases if minutes.schedule else ()) if i not in begun
    ]
    if not names or not begun:
        return []
    which = f"Phase {names[0]}" if len(names) == 1 else f"Phases {', '.join(names)}"
    text = (
        f"{which} never began, since the run was ended before; only what ran is judged, so run it whole to judge all."
    )
    return [Reason("not begun", text, invalidates=False)]


def _cut_short(minutes: Minutes) -> list[Reason]:
    """Runs of scenarios whose later requests were never sent: all else of them is counted."""
    told = [e.event.removeprefix(CUT_SHORT) for e in minutes.events if e.event.startswith(CUT_SHORT)]
    n = sum(int(count) for count in told if count.isdecimal() and len(count) < 10)  # the ledger may have been edited
    if not n:
        return []
    were, they = ("1 run of a scenario was", "it") if n == 1 else (f"{n:,} runs of scenarios were", "they")
    text = (
        f"{were} in a pause when the patience at the end was over, and what {they} had yet to send was not sent and is "
        "in no figure; a longer --stop-timeout waits for the pauses."
    )
    return [Reason("cut short", text, invalidates=False)]


def _not_alone(watched: Watched) -> list[Reason]:
    """Somebody else's requests, where they were enough to make another load of it."""
    periods = watched.foreign
    if not periods:
        return []
    more = sum(period.foreign or 0.0 for period in periods)
    minutes = [int(period.at_s // 60) for period in periods]
    when = f"in minute {minutes[0]}" if len(set(minutes)) == 1 else f"from minute {minutes[0]} to {minutes[-1]}"
    # A client of AWS's that is left as it is asks again, up to five times, when the endpoint throttles or fails.
    or_else = " (or the function behind the API asked it again: turn its client's retries off)" if watched.way else ""
    text = (
        f"CloudWatch counts {more:,.0f} more requests than we sent {when}: somebody else used the endpoint{or_else}, "
        "and its latency and capacity are those of both loads; take an endpoint of your own and run it again."
    )
    return [Reason("foreign traffic", text, invalidates=False)]


def _another_endpoint(watched: Watched) -> list[Reason]:
    """The endpoint was not whole, or not there, all the time."""
    found = []
    status, gone = watched.endpoint_at_start, watched.gone_at_s
    if status is not None and status != "InService":
        text = (
            f"The endpoint was {status} when the load began, so the run may have measured two states of it; wait until "
            "it is InService (sm-locust check says so) and run it again."
        )
        found.append(Reason("endpoint not in service", text, invalidates=False))
    if gone is not None:
        text = (
            f"The endpoint was deleted, as was seen in minute {int(gone // 60)}: what failed from then on says nothing "
            "of what it can take; judge the time before, or run it again."
        )
        found.append(Reason("endpoint gone", text, invalidates=False))
    return found
