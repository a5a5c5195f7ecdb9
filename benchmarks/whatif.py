"""How well `sm-locust whatif` foretells a run: `python -m benchmarks.whatif BEFORE AFTER`, two run folders.

The curve is of BEFORE alone, and so is how long an instance takes to serve (240 s where BEFORE had no scale-out). AFTER
says which load was played, how fast, and under which scaling; what became of it is only held against the prediction.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sm_locust.analysis.compare import Side
from sm_locust.analysis.replay import PredictedMinute, Prediction
from sm_locust.analysis.summary import Summary
from sm_locust.analysis.whatif import Asked, WhatIf
from sm_locust.config import RunConfig
from sm_locust.record.run import Run

SHARE, SECONDS = 0.25, 0.003  # a minute's mean is foretold when it is within either
EQUAL, APART = 0.90, 2  # share of minutes with as many instances, and minutes between the first scale-outs


@dataclass(frozen=True, slots=True)
class Held:
    """One whole minute. Latencies are mean seconds; None where nothing was answered well, or nobody watched."""

    predicted: PredictedMinute
    instances: float | None
    latency: float | None
    error_rate: float | None

    @property
    def same_instances(self) -> bool:
        return self.predicted.instances == self.instances

    @property
    def near(self) -> bool:
        ours, theirs = self.predicted.latency_mean, self.latency
        if ours is None or theirs is None:
            return ours is theirs
        return abs(ours - theirs) <= max(SHARE * theirs, SECONDS)


@dataclass(frozen=True)
class Agreement:
    prediction: Prediction
    minutes: tuple[Held, ...]

    @property
    def same_instances(self) -> float:
        return sum(held.same_instances for held in self.minutes) / len(self.minutes)

    @property
    def near(self) -> float:
        return sum(held.near for held in self.minutes) / len(self.minutes)

    @property
    def first_scale_out(self) -> int | None:
        """The schedule minute in which more instances really served for the first time."""
        start = self.minutes[0].instances
        if start is None:
            return None
        more = (held.predicted.minute for held in self.minutes if held.instances and held.instances > start)
        return next(more, None)

    @property
    def apart(self) -> int | None:
        """Minutes between the first scale-outs; None where only one of both has any."""
        predicted, real = self.prediction.first_scale_out, self.first_scale_out
        if predicted is None or real is None:
            return 0 if predicted is real else None
        return abs(predicted - real)

    @property
    def good(self) -> bool:
        return self.same_instances >= EQUAL and self.near == 1 and self.apart is not None and self.apart <= APART


def held_against(before: Run, after: Run) -> Agreement:
    """What the run BEFORE foretells of the run AFTER, minute by minute."""
    real = Summary.of(after)
    setting = None if real.watched is None else real.watched.setting
    if setting is None or setting.per_instance is None:
        raise SystemExit(f"{after.folder}: nothing says which scaling it started with")
    played = RunConfig.from_dict({**real.meta["config"], "phases": _phases(real)})
    asked = Asked(setting.per_instance, setting.min_instances, setting.max_instances, speed=real.speed)
    prediction = WhatIf.of(Summary.of(before), asked, played).asked
    held = (
        Held(predicted, was.instances, row.requests.latency.mean, was.error_rate)
        for predicted, row, was in zip(prediction.minutes, real.minutes.rows, Side(real).minutes, strict=False)
        if not row.partial
    )
    return Agreement(prediction, tuple(held))


def _phases(real: Summary) -> list[dict[str, object]]:
    """As a configuration has them; what a shape played stands only in the schedule."""
    return [
        {name: f"{value}s" if name == "duration" else value for name, value in phase.items() if value is not None}
        for phase in real.meta["schedule"]["phases"]
    ]


def lines(found: Agreement) -> Iterator[str]:
    n = len(found.minutes)
    predicted, real = found.prediction.first_scale_out, found.first_scale_out
    yield f"minutes with as many instances  {found.same_instances:.1%} of {n} (at least {EQUAL:.0%})"
    yield f"minutes with the mean foretold  {found.near:.1%} of {n} (within {SHARE:.0%} or {SECONDS * 1e3:g} ms)"
    yield f"first scale-out serves          predicted minute {predicted}, real {real} (within {APART} minutes)"
    most = max(found.minutes, key=lambda held: abs((held.predicted.latency_mean or 0) - (held.latency or 0)))
    yield f"mean that differs most          minute {most.predicted.minute}: {_means(most)}"
    for held in found.minutes:
        if not (held.same_instances and held.near):
            errors = f"{held.predicted.error_rate:.2%} predicted, {held.error_rate or 0:.2%} real"
            yield (
                f"  minute {held.predicted.minute}: instances {held.predicted.instances} predicted, "
                f"{held.instances} real; {_means(held)}; errors {errors}"
            )


def _means(held: Held) -> str:
    ours, theirs = ("–" if s is None else f"{s * 1e3:.2f} ms" for s in (held.predicted.latency_mean, held.latency))
    return f"{ours} predicted, {theirs} real"


def main(before: str, after: str) -> None:
    found = held_against(Run.open(Path(before)), Run.open(Path(after)))
    print("\n".join(lines(found)))
    sys.exit(0 if found.good else 1)


if __name__ == "__main__":
    main(*sys.argv[1:])
