"""Reads off a load that was planned where the SLO stops holding: one change from held to failed along the rate.

A load is cut into windows of time, each of which held or failed. Along the rate there should be one change; a window on
the wrong side of it is chance (a hiccup of either machine), and how often that happens tells how sure the place of the
change is: bounds are those of its profile likelihood. Which windows count, and what a rate is for one instance, is
decided by whoever makes them (sustained).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from sm_locust.analysis.capacity import RAMP, Capacity

CONFIDENCE = 0.95
_CHI_SQUARE = 3.84  # of one degree of freedom, at CONFIDENCE
FEWEST = 5  # windows
STRAY = 0.08  # of the windows: more of them on the wrong side, and a rate is not what decides
FEWEST_STRAY = 3
RISING = 1.25  # times what a latency was before the queue began to grow
BELOW = 0.95  # of a rate that failed: what a window must be under, to be no part of the same overload
TWICE = 0.05  # share by which two rates may differ and still be one
CHANGED = 0.25  # of the limit, and of what it was before: a rate that is held with such a difference


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of the load.

    at_s     its start on the schedule, seconds
    rate     arrivals a second for one instance
    metric   the rule that is closest to its limit, or furthest past it; empty where nothing was measured
    ratio    how much of its limit that rule uses
    latency  mean, seconds; None where nothing was answered
    counts   whether it may be judged; what may not still leaves its queue to the next one
    """

    at_s: float
    rate: float
    metric: str
    ratio: float
    latency: float | None
    counts: bool = True

    @property
    def held(self) -> bool:
        return self.ratio <= 1


def read(windows: Sequence[Window], seconds: float) -> Capacity:
    """The capacity that the windows show, in order of time; of one instance, as their rates are.

    seconds  real, of a window
    """
    counted = [w for w in _without_recovery(windows) if w.counts and w.metric]
    if len(counted) < FEWEST:
        found = f"{len(counted)} that can be judged" if counted else "none that can be judged"
        why = "too short" if len(windows) < FEWEST else "too little of it can be judged"
        return Capacity(RAMP, refused=f"{why}: it takes {FEWEST} stretches of {seconds:,.10g} s, and has {found}")
    rising = sorted(counted, key=lambda w: w.rate)
    strays, low, high, best = _change(rising)
    if strays >= max(FEWEST_STRAY, STRAY * len(rising)):
        return Capacity(RAMP, refused=_why_stray(rising, best))
    changed = _drift(counted)
    if changed:
        return Capacity(RAMP, refused=changed)
    under, over = rising[:best], rising[best:]
    held = [w for w in under if w.held]
    failed = [w for w in over if not w.held]
    if not failed:
        return Capacity(RAMP, max_rps=held[-1].rate, low=held[-1].rate, confidence=CONFIDENCE)
    first = failed[0]
    limit = _limit(failed[:FEWEST])
    if not held:
        return Capacity(
            RAMP, high=first.rate, reached=True, limited_by=limit, fails_at=first.rate, confidence=CONFIDENCE
        )
    most = held[-1].rate
    return Capacity(
        RAMP,
        max_rps=most,
        low=min(most, rising[low - 1].rate if low else 0.0, _before_the_queue(counted, first, most)),
        high=max(rising[min(high, len(rising) - 1)].rate, first.rate),
        reached=True,
        limited_by=limit,
        fails_at=first.rate,
        confidence=CONFIDENCE,
    )


def _without_recovery(windows: Sequence[Window]) -> list[Window]:
    """Without those that failed on what an overload before them had left: at a rate that is less, and ever less so."""
    kept, worst, before = [], 0.0, math.inf  # the highest rate of the overload that goes on, and the latency before
    for window in windows:
        latency = window.latency or math.inf
        if window.held or not window.metric:
            worst = 0.0
            kept.append(window)
        elif window.rate >= worst or latency >= before:
            worst = max(worst, window.rate)
            kept.append(window)
        before = latency
    return kept


def _change(rising: Sequence[Window]) -> tuple[int, int, int, int]:
    """How many windows are on the wrong side; the lowest and the highest place the change may have; the best one.

    A place n has n windows below it. Of places that are equally good the lowest is the best.
    """
    wrong = sum(w.held for w in rising)  # with the change below all of them
    strays = [wrong]
    for window in rising:
        wrong += -1 if window.held else 1
        strays.append(wrong)
    fewest = min(strays)
    share = (fewest + 0.5) / (len(rising) + 1)
    each = 2 * math.log((1 - share) / share) if share < 0.5 else 0.0
    places = [n for n, found in enumerate(strays) if (found - fewest) * each <= _CHI_SQUARE]
    return fewest, places[0], places[-1], strays.index(fewest)


def _limit(failed: Sequence[Window]) -> str:
    """The rule that the first failures speak of most."""
    names = [w.metric for w in failed]
    return max(dict.fromkeys(names), key=names.count)


def _before_the_queue(windows: Sequence[Window], first: Window, most: float) -> float:
    """The rate before latency began to rise on the way to the first failure: what is held then is only held so far.

    The queue of a ramp takes time to grow until the limit is broken, and the rate rises meanwhile.
    """
    usual = [w.latency for w in windows if w.held and w.latency and w.rate <= BELOW * most]
    if not usual:
        return most
    until = windows.index(first)
    for n in range(until - 1, -1, -1):
        window, after = windows[n], windows[n + 1]
        if not window.held or window.latency is None or window.rate > after.rate:
            break
        if window.latency <= RISING * median(usual[-FEWEST:]):
            return min(most, window.rate)
    return most


def _why_stray(rising: Sequence[Window], best: int) -> str:
    failed = [w for w in rising[:best] if not w.held]
    held = [w for w in rising[best:] if w.held]
    # Failures of low rates against what held at higher ones, on either side of the change.
    low = failed or [min((w for w in rising if not w.held), key=lambda w: w.rate)]
    high = held or [max((w for w in rising if w.held), key=lambda w: w.rate)]
    one, other = low[len(low) // 2], high[len(high) // 2]
    said = (
        f"{other.rate:,.4g} a second held in minute {other.at_s / 60:.0f}, "
        f"{one.rate:,.4g} failed in minute {one.at_s / 60:.0f}"
    )
    in_time = sorted(rising, key=lambda w: w.at_s)
    if min(_change(in_time)[0], _change(in_time[::-1])[0]) <= STRAY * len(rising):
        return f"the endpoint changed while it was measured: {said}"
    return f"no rate parts what held from what failed: {said}, and more like them"


def _drift(windows: Sequence[Window]) -> str:
    """Whether the same rate, kept for long or come back to, was no longer held as it was; empty where it was."""
    held = [w for w in windows if w.held]
    for window in held:
        same = [w for w in held if abs(w.rate / window.rate - 1) <= TWICE] if window.rate else []
        third = len(same) // 3
        if third < FEWEST:
            continue
        early, late = median(w.ratio for w in same[:third]), median(w.ratio for w in same[-third:])
        if abs(late - early) > CHANGED and abs(late - early) > CHANGED * early:
            more = "more" if late > early else "less"
            return (
                f"the endpoint changed while it was measured: {window.rate:,.4g} a second used {early:.0%} of "
                f"{same[0].metric} in minute {same[0].at_s / 60:.0f}, and {late:.0%} in minute "
                f"{same[-1].at_s / 60:.0f}, {more} at the same rate"
            )
    return ""
