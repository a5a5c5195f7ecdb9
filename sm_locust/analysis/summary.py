"""A run in one value: what was planned, sent and answered, whether to believe it, and whether it was good enough.

Every report and the exit code are read from here. Numbers come from `minutes`, judgements from `rules` and `verdict`;
wording and layout are the report's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sm_locust.analysis.borrowed import Borrowed
from sm_locust.analysis.capacity import Capacity
from sm_locust.analysis.curve import Curve, CurveError
from sm_locust.analysis.lag import Lag
from sm_locust.analysis.minutes import Minutes, Span
from sm_locust.analysis.recommendation import Recommendation
from sm_locust.analysis.rules import Rule, SloResult, Stretch, error_rate
from sm_locust.analysis.spent import Spent
from sm_locust.analysis.sustained import sustained
from sm_locust.analysis.toll import Toll
from sm_locust.analysis.verdict import Verdict, endpoint_drops
from sm_locust.analysis.watched import Watched
from sm_locust.analysis.workers import Worker, workers
from sm_locust.config_error import ConfigError
from sm_locust.loopback import stays_here
from sm_locust.prices import NOT_SEEN, Seen
from sm_locust.record.billing import Billing
from sm_locust.record.frames import frame
from sm_locust.record.interval import Interval
from sm_locust.record.meta import BY_HAND, ENDS_OF_ITSELF, SCHEMA_VERSION, STOPPED
from sm_locust.record.rounding import rounded
from sm_locust.record.run import META, Run, RunError, started_at

if TYPE_CHECKING:
    import pandas

    from sm_locust.config import RunConfig

EXIT_GOOD, EXIT_FAILED, EXIT_NOT_VALID, EXIT_STOPPED = 0, 1, 3, 4

SEARCH = "search"  # what run.json has of a search for capacity

DISTRIBUTIONS = ("latency", "service_time", "failed_latency", "lateness")


@dataclass(frozen=True, slots=True)
class Onset:
    """The first schedule minute in which something went wrong.

    rule  the SLO rule that the minute broke; None for the first request that the target failed
    span  that minute
    """

    rule: Rule | None
    span: Span


@dataclass(frozen=True, slots=True)
class PhaseSummary:
    """One phase that began.

    slo  None when the phase is not judged, or nothing was due in it that could be
    """

    name: str
    judge: bool
    span: Span
    verdict: Verdict
    slo: SloResult | None


@dataclass(frozen=True, slots=True)
class Summary:
    """A run in one value: `Summary.of(run)`. Its numbers as primitives are `as_dict()`, as a table `to_pandas()`.

    folder    of the run
    meta      what run.json holds
    minutes   the ledger by second, schedule minute and phase; `minutes.whole` is all of it
    verdict   whether the run measured its target: `valid`, and `reasons`
    slo       whether it was good enough: `passed`, None where that cannot be said, and `judgements`
    phases    each that began, with verdict and SLO of its own
    watched   what CloudWatch and scaling saw; None when nobody watched
    limits    the `slo` of the configuration: metric → seconds, or a fraction for error_rate
    onsets    where it began to break: the first failed request, then the rules in the order of time
    failures  the kept examples, as Run.failures() has them
    workers   the processes that made the load, in the order in which they joined
    lags      the scale-outs, in order
    tolls     what the wait for each of them cost
    curve     what one instance does at which rate; None where the run shows nothing of it
    capacity  what one instance sustains, or why nobody can say
    spent     what its instances cost
    borrowed  what the experiment around it changed and put back; None where there is none
    recommendation  what scaling should be set to; None where there is nothing to say
    """

    folder: Path
    meta: Mapping[str, Any]
    minutes: Minutes
    watched: Watched | None
    limits: Mapping[str, float]
    verdict: Verdict
    slo: SloResult
    phases: tuple[PhaseSummary, ...]
    onsets: tuple[Onset, ...]
    failures: tuple[Mapping[str, Any], ...]
    lags: tuple[Lag, ...]
    tolls: tuple[Toll, ...]
    curve: Curve | None
    capacity: Capacity
    spent: Spent
    borrowed: Borrowed | None
    workers: tuple[Worker, ...]
    recommendation: Recommendation | None = None

    @classmethod
    def of(cls, run: Run) -> Summary:
        """Reads the folder, finished or not. Raises RunError when it cannot be read."""
        from sm_locust.config import RunConfig  # its models take as long to import as all the rest

        meta, minutes = run.meta, Minutes.of(run)
        try:
            config = RunConfig.from_dict(meta.get("config") or {}, f"{run.folder / META}: config")
        except ConfigError as e:
            raise RunError(str(e)) from None
        limits, watched = config.slo.limits(), Watched.of(run, minutes)
        lags = tuple(Lag.of(watched, minutes, limits)) if watched is not None else ()
        phases = tuple(_phase(minutes, watched, meta, limits, span) for span in minutes.phases)
        held_to = {} if SEARCH in meta else limits
        verdict = Verdict.of(minutes, meta, watched)
        curve = _curve(minutes, watched, config)
        found = sustained(meta, minutes, watched, limits, verdict, curve)
        judged = [phase for phase in phases if phase.slo is not None]
        stretches = [_judged(minutes, watched, phases)]
        if len(judged) > 1:
            stretches += [Stretch.of(phase.span, watched, f"phase {phase.name}") for phase in judged]
        return cls(
            folder=run.folder,
            meta=meta,
            minutes=minutes,
            watched=watched,
            limits=limits,
            verdict=verdict,
            slo=SloResult.of(held_to, stretches),
            phases=phases,
            onsets=tuple(_onsets(minutes, watched, held_to)),
            failures=tuple(run.failures()),
            lags=lags,
            tolls=tuple(Toll.of(lags, minutes, watched, held_to)),
            curve=curve,
            capacity=found,
            spent=_spent(meta, config, minutes, watched, found),
            borrowed=Borrowed.of(run.folder),
            workers=workers(minutes, meta),
            recommendation=None
            if found.refused or minutes.whole.further  # a rate of arrivals is none of invocations then
            else Recommendation.of_run(found, config, meta["schedule"]["phases"], watched, lags, curve),
        )

    @property
    def run_id(self) -> str:
        return str(self.meta["run_id"])

    @property
    def speed(self) -> int:
        return self.minutes.speed

    @property
    def judged(self) -> Stretch:
        """All that is judged, as a rule of the SLO sees it."""
        return _judged(self.minutes, self.watched, self.phases)

    @property
    def billing(self) -> Billing | None:
        """What still cost money when the run ended; None where nobody asked."""
        found = self.meta.get("billing")
        return None if found is None else Billing.of(found)

    @property
    def hosted(self) -> Seen:
        """The watched variant's instances as they were first seen: NOT_SEEN where nobody saw them."""
        return _hosted(self.meta)

    @property
    def on_sagemaker(self) -> bool:
        """Whether there is anything of SageMaker's to speak of: an endpoint, or what somebody saw of one."""
        target = (self.meta.get("config") or {}).get("target") or {}
        return "endpoint" in target or self.watched is not None or self.hosted != NOT_SEEN

    @property
    def searched(self) -> bool:
        """Whether capacity was searched for: the SLO was then broken on purpose, and is no judgement of the run."""
        return SEARCH in self.meta

    @property
    def finished(self) -> bool:
        return "ended" in self.meta

    @property
    def stopped(self) -> Mapping[str, Any] | None:
        """The rule of `stop_when` that ended the run, as run.json has it; None where none did."""
        found = self.meta.get("stopped")
        return found if self.meta.get("ended") == STOPPED else None

    @property
    def exit_code(self) -> int:
        """3 not valid · 4 ended by `stop_when` · 1 an SLO failed or could not be shown to hold (without `slo`: any
        request failed) · 0.

        A search for capacity is good when it has an answer, though that be that no limit was reached.

        With `slo` and without, what a stalled target kept from being sent counts as failed, and requests in which our
        credentials were refused do not.
        """
        if not self.verdict.valid:
            return EXIT_NOT_VALID
        if self.stopped is not None:
            return EXIT_STOPPED
        minutes, requests = self.minutes, self.minutes.whole.requests
        if self.searched:
            good = not self.capacity.refused
        elif self.limits:
            good = self.slo.passed is True
        else:
            failed = requests.failed - requests.refused
            good = not failed and not endpoint_drops(minutes.phases or [minutes.whole])
        return EXIT_GOOD if good else EXIT_FAILED

    def as_dict(self) -> dict[str, Any]:
        """What summary.json holds, JSON primitives. Limits and values of rules are seconds, or a fraction."""
        watched, whole = self.watched, self.minutes.whole
        return {
            "schema_version": SCHEMA_VERSION,
            "run_id": self.run_id,
            "speed": self.speed,
            "verdict": self.verdict.as_dict(),
            "slo": self.slo.as_dict(),
            **_numbers(whole),
            "phases": [
                {
                    "name": phase.name,
                    "judge": phase.judge,
                    "at_s": phase.span.at_s,
                    "duration_s": round(phase.span.seconds * self.speed, 6),
                    "verdict": phase.verdict.as_dict(),
                    "slo": None if phase.slo is None else phase.slo.as_dict(),
                    **_numbers(phase.span),
                }
                for phase in self.phases
            ],
            "capacity": self.capacity.as_dict(),
            "recommendation": self.recommendation and self.recommendation.as_dict(),
            "cost": self.spent.as_dict(),
            "cloudwatch": watched and watched.cloudwatch_dict(),
            "reconciliation": watched and watched.reconciliation_dict(whole),
            "scaling": watched
            and {
                **watched.scaling_dict(),
                "lag": [lag.as_dict() for lag in self.lags],
                "lag_cost": [toll.as_dict() for toll in self.tolls],
            },
            "workers": [worker.as_dict(self.speed) for worker in self.workers],
            "stopped": self._stopped(),
        }

    def to_pandas(self) -> pandas.DataFrame:
        """A row a phase, in their order, or one row `run` where there were none: what summary.json has of each.

        at, at_s, duration_s   when it began (UTC; seconds of the schedule), and for how many seconds of the schedule
        phase, judge           its name, and whether it counts for the SLO
        valid, slo_passed      the verdict, and whether it kept the SLO; missing where that is not judged
        planned, due, sent, dropped, delivered_ratio   arrivals, and sent ÷ planned
        ok, failed, cancelled, error_rate              requests, and failed ÷ (ok + failed)
        latency_*_ms, service_time_*_ms, failed_latency_*_ms, lateness_*_ms   mean, p50, p90, p95, p99, p999 and max in
                               milliseconds, and `_count`

        Raises ImportError without pandas (extra `pandas`), RunError where run.json does not say when the run started.
        """
        found = self.as_dict()
        seconds = round(self.minutes.end * self.speed, 6)
        whole = {"name": "run", "judge": True, "at_s": 0.0, "duration_s": seconds, **found}
        rows = [_flattened(phase) for phase in found["phases"] or [whole]]
        return frame(rows, list(rows[0]), started_at(self.folder, self.meta), self.speed)

    def _stopped(self) -> dict[str, Any] | None:
        """By whom or what the run was ended before its time; None where it was not."""
        ended, found = self.meta.get("ended"), self.stopped
        if found is not None:
            return {"by": "stop_when", **{key: found[key] for key in ("rule", "at_s", "value", "since_s", "until_s")}}
        if ended is None or ended in ENDS_OF_ITSELF:
            return None
        by = "hand" if ended == BY_HAND else ended
        return {"by": by, "rule": None, "at_s": round(self.minutes.end * self.speed, 3)}


def _flattened(phase: Mapping[str, Any]) -> dict[str, Any]:
    """What as_dict has of a phase, as a row of a table."""
    arrivals, requests = phase["arrivals"], phase["requests"]
    row = {
        "at_s": phase["at_s"],
        "duration_s": phase["duration_s"],
        "phase": phase["name"],
        "judge": phase["judge"],
        "valid": phase["verdict"]["valid"],
        "slo_passed": None if phase["slo"] is None else phase["slo"]["passed"],
        **{key: arrivals[key] for key in ("planned", "due", "sent", "dropped", "delivered_ratio")},
        **{key: requests[key] for key in ("ok", "failed", "cancelled", "error_rate")},
    }
    for name in DISTRIBUTIONS:
        for key, value in phase[f"{name}_ms"].items():
            row[f"{name}_count" if key == "count" else f"{name}_{key}_ms"] = value
    return row


def _judged(minutes: Minutes, watched: Watched | None, phases: Iterable[PhaseSummary]) -> Stretch:
    parts = [phase.span for phase in phases if phase.slo is not None] if minutes.phases else [minutes.whole]
    return Stretch.of(minutes.judged, watched, "run", parts)


def _hosted(meta: Mapping[str, Any]) -> Seen:
    found = meta.get("endpoint")
    return NOT_SEEN if found is None else Seen(found.get("instance_type"), found.get("instances"))


def _curve(minutes: Minutes, watched: Watched | None, config: RunConfig) -> Curve | None:
    try:
        return Curve.of(minutes, watched, even=config.arrivals.spacing == "even")
    except CurveError:
        return None


def _spent(
    meta: Mapping[str, Any], config: RunConfig, minutes: Minutes, watched: Watched | None, found: Capacity
) -> Spent:
    billing = meta.get("billing")
    # Nobody asks where there is no endpoint: the configuration then tells, as it tells `plan`.
    local = bool(billing.get("local")) if billing else config.target is None and stays_here(config)
    return Spent.of(config, minutes, watched, found, _hosted(meta).instances, local=local)


def _phase(
    minutes: Minutes, watched: Watched | None, meta: Mapping[str, Any], limits: Mapping[str, float], span: Span
) -> PhaseSummary:
    name, judge = minutes.name_of(span), minutes.is_judged(span)
    judged = judge and span.arrivals.due > 0
    slo = SloResult.of(limits, [Stretch.of(span, watched, f"phase {name}")]) if judged else None
    return PhaseSummary(name, judge, span, Verdict.of_phase(minutes, meta, span), slo)


def _onsets(minutes: Minutes, watched: Watched | None, limits: Mapping[str, float]) -> list[Onset]:
    """The first minute with a request that the target failed, and for each rule the first judged minute that broke it.

    A minute that is not whole has too few requests to be quoted for its rate: it counts only where there is no other.
    """
    rows = [row for row in minutes.rows if not row.partial] or minutes.rows
    failed = (row for row in rows if row.requests.failed > row.requests.refused)
    onsets = [Onset(None, row) for row in islice(failed, 1)]
    judged = [(row, Stretch.of(row, watched)) for row in rows if minutes.is_judged(row)] if limits else []
    for metric, limit in limits.items():
        rule = Rule(metric, limit)
        broke = (row for row, stretch in judged if rule.broken_by(stretch))
        onsets += [Onset(rule, row) for row in islice(broke, 1)]
    return sorted(onsets, key=lambda onset: (onset.rule is not None, onset.span.start))


def _numbers(span: Span) -> dict[str, Any]:
    ratio, arrivals = span.delivered_ratio, span.arrivals
    return {
        "arrivals": {
            "planned": round(span.planned, 3),
            "due": arrivals.due,
            "sent": arrivals.sent,
            "dropped": arrivals.dropped,
            "dropped_by_reason": dict(sorted(arrivals.dropped_by_reason.items())),
            "delivered_ratio": rounded(ratio, 6),
        },
        "requests": {**_requests(span.requests, span.cancelled), "further": span.further},
        **_distributions(span.requests),
        "by_name": {
            name: {
                "requests": _requests(interval, interval.cancelled),
                **_distributions(interval),
            }
            for name, interval in sorted(span.by_name.items())
        },
    }


def _requests(interval: Interval, cancelled: int) -> dict[str, Any]:
    return {
        "ok": interval.ok,
        "failed": interval.failed,
        "cancelled": cancelled,
        "error_rate": rounded(error_rate(interval), 9),
        "by_kind": dict(sorted(interval.by_kind.items())),
    }


def _distributions(interval: Interval) -> dict[str, Any]:
    return {f"{name}_ms": getattr(interval, name).summary_ms() for name in DISTRIBUTIONS}
