"""What CloudWatch still owes a run that is over: asked for when its folder is summarised again.

A run may have been ended in a hurry, denied or throttled, and its master may have been killed. Points stay in
CloudWatch for a while; the run folder says whose they are and when. The ledger is only read, and nobody waits for an
AWS that does not answer: what stays missing is a sentence. Making sense of the points is the analysis's.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from sm_locust.analysis.settling import PATIENCE, SETTLED_AFTER
from sm_locust.aws import cloudwatch, subjects
from sm_locust.aws.cloudwatch import CloudWatch
from sm_locust.aws.session import AwsFault
from sm_locust.aws.subjects import Subject, Subjects
from sm_locust.config import ConfigError, RunConfig
from sm_locust.fields import format_duration
from sm_locust.record.clock import iso, unix
from sm_locust.record.run import LEDGER, Run

ATTEMPTS = 1  # of one call
MARGIN = 60.0  # seconds, for what a run's own process does beside writing and waiting

HOUR, DAY = 3600.0, 86400.0
# For how long CloudWatch keeps points whose period is a multiple of a number of seconds: past that it must be one of
# the number before. Source: CloudWatch API Reference, GetMetricData, retention and StartTime.
KEPT = ((3600, 455 * DAY), (300, 63 * DAY), (60, 15 * DAY), (1, 3 * HOUR))

ASKED = "CloudWatch GetMetricData"  # how a sentence begins that says what it did not give
EXPIRED = "CloudWatch keeps points of"


@dataclass(frozen=True, slots=True)
class _Owed:
    """The run's time on the wall clock and what is known of its metrics.

    started_at, ended_at  Unix seconds
    about                 run.json's `cloudwatch`, as far as it got
    """

    config: RunConfig
    speed: int
    started_at: float
    ended_at: float
    about: dict[str, Any]

    @property
    def period(self) -> int:
        return cloudwatch.period(self.config, self.speed)

    @property
    def kept(self) -> float:
        """Seconds for which CloudWatch keeps points of this period."""
        return next(kept for multiples_of, kept in KEPT if self.period % multiples_of == 0)

    def busy_until(self, run: Run) -> float:
        """Unix seconds up to which its own process may go on with the run, or wait for CloudWatch; 0 once it has not.

        What is written here then would be lost, and might undo what that process writes.
        """
        ledger = run.folder / LEDGER
        if self.about or not ledger.exists():
            return 0.0
        waits = (PATIENCE + self.config.cloudwatch.period) / self.speed + MARGIN
        return ledger.stat().st_mtime + waits


def complete(run: Run, now: float | None = None) -> list[str]:
    """Asks CloudWatch for what a run's folder lacks, keeps it there, and says in sentences what came of it.

    Nothing is asked, and nothing said, where no endpoint was watched or all of it is there.

    now  Unix seconds

    Raises RunError for a folder that cannot be read or written.
    """
    now = time.time() if now is None else now
    owed = _owed(run)
    if owed is None:
        return []
    busy_until = owed.busy_until(run)
    if now < busy_until:
        return [f"CloudWatch is not asked: up to {_at(busy_until)} the run's own process may be at it"]
    try:
        kept_since = now - owed.kept
        if owed.ended_at <= kept_since:
            sentence = _expired(owed, kept_since)
            _note(run, owed, settled=False, missing=[sentence])
            return [sentence]
        found = _subjects(owed)
        asked = CloudWatch(
            owed.config,
            found.found,
            owed.started_at,
            owed.speed,
            clock_offset=owed.about.get("clock_offset_s"),
            attempts=ATTEMPTS,
        )
    except (ConfigError, AwsFault) as e:
        return [f"CloudWatch was not asked for what is missing: {e}"]
    pulled = asked.pull_all(owed.started_at, min(now, owed.ended_at + owed.period))
    if pulled.asked == pulled.unanswered and not any(fault.answered for fault in pulled.faults.values()):
        # What the folder says of the run's own time stays: it is no word of CloudWatch's that nobody was reached today.
        return [f"CloudWatch was not asked for what is missing: {next(iter(pulled.faults.values()))}"]
    before = {point.key: point for point in run.observations()}
    points = before | {point.key: point for point in pulled.observations}
    faults = list(dict.fromkeys(map(str, pulled.faults.values())))
    missing = [*faults, *found.missing]
    if owed.started_at < kept_since:
        missing.append(_expired(owed, kept_since))
    if points != before:
        run.rewrite_observations(points.values())
    # Who has no point of it at all may not be who watched the run; it is asked again.
    told = found.found[0].label not in pulled.unanswered and bool(points)
    late = now >= owed.ended_at + owed.period + SETTLED_AFTER / owed.speed
    _note(
        run,
        owed,
        settled=bool(owed.about.get("settled")) or (late and told),
        missing=missing,
        subjects=[subject.as_dict() for subject in found.found],
        unknown=list(found.missing),
        clock_offset_s=asked.clock_offset,
        asked_at=iso(now),
    )
    came = [_came(len(points.keys() - before.keys()))] if told else []
    return [*came, *(f"still missing: {sentence}" for sentence in missing)]


def _owed(run: Run) -> _Owed | None:
    """None where nothing is."""
    meta = run.meta
    about = meta.get("cloudwatch") or {}
    missing = map(str, about.get("missing") or ())
    if about.get("settled") and not about.get("unknown") and not any(said.startswith(ASKED) for said in missing):
        return None
    try:
        config = RunConfig.from_dict(meta.get("config") or {})
        started_at, speed = unix(str(meta.get("started_at"))), run.speed
    except (ConfigError, KeyError, ValueError):
        return None  # who summarises it will say what is wrong with it
    if config.target is None or config.target.endpoint is None:
        return None
    lasted = meta.get("ended_s")
    if lasted is None:  # its master was killed
        lasted = max((interval.second + 1 for interval in run.ledger().intervals), default=0.0)
    return _Owed(config, speed, started_at, started_at + float(lasted), about)


def _subjects(owed: _Owed) -> Subjects:
    """As the run knew them, unless it knew some by their usual names alone. Raises ConfigError."""
    try:
        known = tuple(map(Subject.of, owed.about["subjects"]))
    except (KeyError, TypeError, AttributeError):
        known = ()
    if known and not any(subject.usual for subject in known):
        return Subjects(known)
    found = subjects.find(owed.config, attempts=ATTEMPTS)
    return Subjects(known, found.missing) if known and found.missing else found


def _note(run: Run, owed: _Owed, *, missing: list[str], **more: Any) -> None:
    """In run.json, where what else was missing stays: what scaling and the endpoint did not say cannot be asked later.

    more  with `unknown`, what is still not known of the subjects
    """
    found_now = set(owed.about.get("unknown") or ()) - set(more.get("unknown", owed.about.get("unknown") or ()))
    others = [
        said
        for said in map(str, owed.about.get("missing") or ())
        if not said.startswith((ASKED, EXPIRED)) and said not in found_now
    ]
    about = {
        "period_s": owed.config.cloudwatch.period,
        **owed.about,
        **more,
        "missing": sorted({*others, *missing}),
    }
    if about != owed.about:
        run.finish(cloudwatch=about)


def _expired(owed: _Owed, kept_since: float) -> str:
    lasts = format_duration(owed.kept) if owed.kept < DAY else f"{owed.kept / DAY:g} days"
    whole = owed.ended_at <= kept_since
    which = f"those of this run, which ended at {_at(owed.ended_at)}," if whole else f"those before {_at(kept_since)}"
    return f"{EXPIRED} {owed.period} s for {lasts}: {which} have expired"


def _at(wall: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(wall))


def _came(points: int) -> str:
    return (
        f"CloudWatch was asked for what was missing: {points:,} more points"
        if points
        else "CloudWatch was asked for what was missing, and has nothing more"
    )
