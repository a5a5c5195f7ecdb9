"""Two runs of one experiment side by side: BEFORE something was changed, and AFTER it.

Minutes are paired by their time on the schedule. Every number of a side is its own Summary's; what differs between the
orders of the two, and what makes the pair doubtful, is found here. Wording and layout are the report's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import zip_longest
from typing import Any

from sm_locust.analysis.borrowed import Borrowed
from sm_locust.analysis.minutes import Span
from sm_locust.analysis.periods import PUNCTUAL, ModelLatency
from sm_locust.analysis.rules import error_rate
from sm_locust.analysis.summary import Summary
from sm_locust.analysis.watched import Setting
from sm_locust.record.rounding import in_ms, rounded
from sm_locust.record.run import Run

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Minute:
    """One schedule minute of one run. Rates are a minute of real time, latencies seconds.

    partial             whether arrivals did not last for all of it
    punctual            whether every request left within PUNCTUAL of its time
    service_time_mean   ours, from the send
    model_latency_mean  CloudWatch's
    latency_p99         ours, from the schedule
    per_instance        invocations a minute for one instance
    instances           in service at its end
    """

    partial: bool
    punctual: bool
    planned: float | None
    sent: float | None
    failed: float | None
    error_rate: float | None
    service_time_mean: float | None
    model_latency_mean: float | None
    latency_p99: float | None
    invocations: float | None
    per_instance: float | None
    instances: float | None

    def as_dict(self) -> dict[str, Any]:
        return {
            "partial": self.partial,
            "punctual": self.punctual,
            "planned_per_minute": rounded(self.planned),
            "sent_per_minute": rounded(self.sent),
            "failed_per_minute": rounded(self.failed),
            "error_rate": rounded(self.error_rate, 9),
            "service_time_mean_ms": in_ms(self.service_time_mean),
            "model_latency_mean_ms": in_ms(self.model_latency_mean),
            "latency_p99_ms": in_ms(self.latency_p99),
            "invocations_per_minute": rounded(self.invocations),
            "invocations_per_instance_per_minute": rounded(self.per_instance),
            "instances": self.instances,
        }


@dataclass(frozen=True)
class Side:
    """One of the two runs, and the numbers that are held against the other's."""

    summary: Summary

    @cached_property
    def minutes(self) -> list[Minute]:
        return [self.during(span) for span in self.summary.minutes.rows]

    def during(self, span: Span) -> Minute:
        """The same of any other stretch."""
        watched, requests = self.summary.watched, span.requests
        periods = watched.during(span) if watched else ()
        latency = ModelLatency.merged(periods)
        # Where the load lasted for a part of a period only, its count says nothing of a rate.
        whole = [period for period in periods if not period.partial]
        seconds = sum(period.seconds for period in whole)

        def rate(counts: list[float | None]) -> float | None:
            known = [count for count in counts if count is not None]
            return sum(known) / seconds * 60 if known else None

        return Minute(
            partial=span.partial,
            punctual=(requests.lateness.max or 0.0) <= PUNCTUAL,
            planned=span.per_minute(span.planned),
            sent=span.per_minute(span.sent),
            failed=span.per_minute(requests.failed),
            error_rate=error_rate(requests),
            service_time_mean=requests.service_time.mean,
            model_latency_mean=latency.metric("mean") if latency else None,
            latency_p99=requests.latency.quantile(0.99),
            invocations=rate([period.invocations for period in whole]),
            per_instance=rate([period.per_instance for period in whole]),
            instances=periods[-1].instances if periods else None,
        )

    @property
    def setting(self) -> Setting | None:
        """The automatic scaling that it started with."""
        return self.summary.watched.setting if self.summary.watched else None

    @property
    def instances(self) -> tuple[float, float, float] | None:
        """In service at the start, at the end, and at most."""
        return self.summary.watched.instances if self.summary.watched else None

    @property
    def model_latency(self) -> ModelLatency | None:
        return self.summary.watched.model_latency if self.summary.watched else None

    def worst(self, name: str) -> tuple[int, float] | None:
        """The highest of a mean among whole minutes in which every request left on time: minute and seconds."""
        found = [
            (value, n)
            for n, minute in zip((row.minute for row in self.summary.minutes.rows), self.minutes, strict=True)
            if not minute.partial and minute.punctual and (value := getattr(minute, name)) is not None
        ]
        if not found:
            return None
        value, n = max(found, key=lambda entry: (entry[0], -entry[1]))
        return n, value

    @property
    def set_aside(self) -> int:
        """Whole minutes in which requests left late: their means are not quoted as the worst."""
        return sum(not minute.partial and not minute.punctual for minute in self.minutes)

    @property
    def first_failure(self) -> int | None:
        """The schedule minute."""
        return next((onset.span.minute for onset in self.summary.onsets if onset.rule is None), None)

    @property
    def first_break(self) -> int | None:
        """The first schedule minute that broke a rule of the SLO."""
        return min((onset.span.minute for onset in self.summary.onsets if onset.rule is not None), default=None)

    def as_dict(self) -> dict[str, Any]:
        summary, whole = self.summary, self.summary.minutes.whole
        requests, model, instances, setting = whole.requests, self.model_latency, self.instances, self.setting
        ratio = whole.delivered_ratio
        return {
            "run_id": summary.run_id,
            "speed": summary.speed,
            "valid": summary.verdict.valid,
            "slo": summary.slo.passed if summary.limits else None,
            "planned": round(whole.planned, 3),
            "sent": whole.sent,
            "delivered_ratio": rounded(ratio, 6),
            "failed": requests.failed,
            "error_rate": rounded(error_rate(requests), 9),
            "first_failure_minute": self.first_failure,
            "first_slo_break_minute": self.first_break,
            "service_time_ms": requests.service_time.summary_ms(),
            "latency_ms": requests.latency.summary_ms(),
            "model_latency_ms": model.as_dict() if model else None,
            "worst_minute": {
                "service_time_mean": _worst(self.worst("service_time_mean")),
                "model_latency_mean": _worst(self.worst("model_latency_mean")),
                "set_aside": self.set_aside,
            },
            "instances": dict(zip(("start", "end", "most"), instances, strict=True)) if instances else None,
            "scaling": asdict(setting) if setting else None,
        }


@dataclass(frozen=True, slots=True)
class Change:
    """Something that the two runs were told differently; None: not told at all.

    key  dotted, as in run.json
    """

    key: str
    before: Any
    after: Any


@dataclass(frozen=True)
class Comparison:
    """`Comparison.of(before, after)`.

    changes   what differs in what the two were told
    borrowed  what the experiment that made both of them changed and put back; None where there is none
    """

    before: Side
    after: Side
    changes: tuple[Change, ...]
    borrowed: Borrowed | None = None

    @classmethod
    def of(cls, before: Run, after: Run) -> Comparison:
        """Reads both folders. Raises RunError when one cannot be read."""
        first, second = Summary.of(before), Summary.of(after)
        together = before.folder.resolve().parent == after.folder.resolve().parent
        return cls(
            Side(first),
            Side(second),
            tuple(_changes(_told(before.meta), _told(after.meta))),
            second.borrowed if together else None,
        )

    @property
    def sides(self) -> tuple[Side, Side]:
        return self.before, self.after

    @property
    def pairs(self) -> list[tuple[int, Minute | None, Minute | None]]:
        """The schedule minute, and what it was in each run; None past a run's end."""
        return [(n, *pair) for n, pair in enumerate(zip_longest(_by_number(self.before), _by_number(self.after)))]

    @property
    def same_phases(self) -> bool:
        before, after = (side.summary.meta["schedule"]["phases"] for side in self.sides)
        return bool(before == after)

    @property
    def per_instance_target(self) -> float | None:
        """What scaling held on to: AFTER's, else BEFORE's."""
        targets = (side.setting.per_instance for side in reversed(self.sides) if side.setting)
        return next((target for target in targets if target is not None), None)

    def as_dict(self) -> dict[str, Any]:
        """What compare.json holds, JSON primitives. The keys of a side are those of summary.json where it has them."""
        borrowed = self.borrowed or Borrowed()
        return {
            "schema_version": SCHEMA_VERSION,
            "before": self.before.as_dict(),
            "after": self.after.as_dict(),
            "same_phases": self.same_phases,
            "changes": [asdict(change) for change in self.changes],
            "restored": list(borrowed.restored),
            "not_restored": borrowed.not_restored or borrowed.unreadable,
            "minutes": [
                {
                    "minute": n,
                    "at_s": n * 60,
                    "before": None if before is None else before.as_dict(),
                    "after": None if after is None else after.as_dict(),
                }
                for n, before, after in self.pairs
            ],
        }


def _by_number(side: Side) -> list[Minute | None]:
    """A minute in which nothing was planned, sent or elapsed has no row."""
    found: dict[int, Minute] = {
        row.minute: minute for row, minute in zip(side.summary.minutes.rows, side.minutes, strict=True)
    }
    return [found.get(n) for n in range(max(found, default=-1) + 1)]


def _worst(found: tuple[int, float] | None) -> dict[str, Any] | None:
    return None if found is None else {"minute": found[0], "ms": in_ms(found[1])}


def _told(meta: Mapping[str, Any]) -> dict[str, Any]:
    """What run.json says that the run was told, as dotted keys. The phases are those that were played."""
    config = {key: value for key, value in (meta.get("config") or {}).items() if key != "phases"}
    told = {
        **config,
        "phases": meta["schedule"]["phases"],
        "speed": meta["speed"],
        "users": meta.get("users"),
        "workers": len(meta.get("workers") or ()),
        "versions": meta.get("versions"),
    }
    return dict(_flat("", told))


def _flat(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    parts: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if parts is None:
        yield key, value
        return
    for name, part in parts:
        yield from _flat(f"{key}.{name}" if key else str(name), part)


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    for key in dict.fromkeys([*before, *after]):
        if before.get(key) != after.get(key):
            yield Change(key, before.get(key), after.get(key))
