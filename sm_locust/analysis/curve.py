"""What one instance answers at which rate, as a run measured it: latency below its ceiling, the ceiling, its queue.

Latency is what the SLO holds: the mean from the scheduled time, of good answers. It is read from windows without a
queue; what a queue adds is for whoever replays a load (`replay`) to work out. What no window showed stays unknown.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from statistics import median
from typing import Any

from sm_locust.analysis.minutes import Minutes, Span
from sm_locust.analysis.watched import Watched
from sm_locust.record.rounding import in_ms, rounded

WINDOW = 5.0  # real seconds; never more than a schedule minute
KNOTS = 40  # at most: with so many each still has a median of several windows
WINDOWS_A_KNOT = 3  # at the least: the median of so many passes over one that is off

PRESSED = 3.0  # times the latency of the quietest windows: a queue may stand there
ENOUGH = 200  # requests: of fewer neither the mean latency nor the share that fails says much
SHORT = 0.01  # share of what is sent, by which answers fall behind: a queue grows, or refuses
SUSTAINED = 3  # such windows in a row: fewer are a hiccup
BORNE = 0.9  # of a rate that was borne without a queue: a ceiling below that was no ceiling but a pause

MEASURED = 0.02  # by which a rate may lie outside of those that were measured and still be one of them


class CurveError(Exception):
    """Why a run gives no curve, in one sentence."""


@dataclass(frozen=True, slots=True)
class Knot:
    """rate     arrivals a second for one instance
    latency  mean seconds
    """

    rate: float
    latency: float


@dataclass(frozen=True)
class Curve:
    """`Curve.of(minutes, watched)`. All of one instance; rates are arrivals a second of real time.

    knots      the latency without a queue, both rising; a straight line between two, level beyond the ends
    lowest, highest   rates of which is known what becomes of them, with a queue or without
    longest    the highest mean latency that was measured, in seconds
    failing    share of the requests that fails whatever the rate
    ceiling    what it answers a second and not more, however much is sent; None where nothing shows it
    full       mean latency in seconds while its queue is full and what is too much is refused; None where none was
               refused
    instances  that served while this was measured
    assumed    whether nobody watched them, so that their number is a guess
    even       whether arrivals were evenly spaced
    """

    knots: tuple[Knot, ...]
    lowest: float
    highest: float
    longest: float
    failing: float = 0.0
    ceiling: float | None = None
    full: float | None = None
    instances: float = 1.0
    assumed: bool = False
    even: bool = True
    _rates: tuple[float, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_rates", tuple(knot.rate for knot in self.knots))

    @classmethod
    def of(cls, minutes: Minutes, watched: Watched | None, *, instances: int = 1, even: bool = True) -> Curve:
        """The curve of a run, compressed or not.

        instances  that served, where nobody watched them
        even       whether arrivals were evenly spaced
        Raises CurveError when the run shows nothing of an instance without a queue.
        """
        if minutes.whole.further:
            raise CurveError("its arrivals were several requests each, and no rate of arrivals is one of requests")
        seen_by = watched if watched is not None and watched.instances is not None else None
        windows = list(_windows(minutes, seen_by, instances))
        answered = [window for window in windows if window.latency is not None]
        if not answered:
            raise CurveError(
                f"no request was answered well while the number of instances was known and stayed the same for "
                f"{min(WINDOW, 60 / minutes.speed):g} s"
            )
        stretches = _stretches(windows)
        failing = _share_failing(windows, stretches)
        calm, short = _apart(windows, stretches, failing)
        ceiling = median(window.served(failing) for window in short) if short else None
        if ceiling is not None:  # at the ceiling itself a queue is about to grow, and may have begun to
            calm = [window for window in calm if window.rate < ceiling * (1 - SHORT)]
        if not calm:
            raise CurveError("a queue stood in front of every instance all the time: nothing shows one without")
        seen = [*calm, *short]  # at a rate that it only fell behind at, and no ceiling came of it, nothing is known
        refusing = [window for window in short if window.refused(failing) >= SHORT]
        full = [window.latency for window in refusing if window.latency is not None]
        return cls(
            knots=tuple(_knots(calm)),
            lowest=min(window.rate for window in seen),
            highest=max(window.rate for window in seen),
            longest=max(window.latency or 0.0 for window in answered),
            failing=failing,
            ceiling=ceiling,
            full=median(full) if full else None,
            instances=median(window.instances for window in answered),
            assumed=seen_by is None,
            even=even,
        )

    def latency(self, rate: float) -> float:
        """Mean seconds of an answer at a rate, without a queue; beyond the ends that of the nearest rate known."""
        i = bisect_right(self._rates, rate)
        if i == 0:
            return self.knots[0].latency
        if i == len(self.knots):
            return self.knots[-1].latency
        low, high = self.knots[i - 1], self.knots[i]
        return low.latency + (high.latency - low.latency) * (rate - low.rate) / (high.rate - low.rate)

    @property
    def room(self) -> float:
        """Requests that may wait for one instance before it refuses: what is answered in the time that its queue adds.

        Infinite where none was refused: nobody knows when it would.
        """
        if self.ceiling is None or self.full is None:
            return math.inf
        return max(0.0, self.full - self.latency(self.ceiling)) * self.ceiling

    @property
    def workers(self) -> int:
        """Requests that it works on at a time: what it gets done in the time that one of them takes (Little's law)."""
        return 1 if self.ceiling is None else max(1, round(self.ceiling * self.knots[0].latency))

    @property
    def scatter(self) -> float:
        """How uneven the arrivals at one instance were while this was measured, see `scatter`."""
        return scatter(self.instances, self.even)

    def measured(self, rate: float) -> bool:
        """Whether the run shows what becomes of one instance at a rate."""
        return self.lowest * (1 - MEASURED) <= rate <= self.highest * (1 + MEASURED)

    def foretells(self, rate: float) -> bool:
        """Whether it says what fails at a rate: not beyond what it was seen to bear, if it was never seen to refuse."""
        borne = self.highest if self.ceiling is None else min(self.highest, self.ceiling)
        return self.full is not None or rate <= borne * (1 + MEASURED)

    def as_dict(self) -> dict[str, Any]:
        return {
            "latency": "mean from the scheduled time, of good answers, without a queue",
            "knots": [{"rate": round(knot.rate, 3), "latency_ms": in_ms(knot.latency)} for knot in self.knots],
            "lowest_rate": round(self.lowest, 3),
            "highest_rate": round(self.highest, 3),
            "highest_latency_ms": in_ms(self.longest),
            "failing": round(self.failing, 9),
            "ceiling": rounded(self.ceiling),
            "full_latency_ms": in_ms(self.full),
            "room": None if math.isinf(self.room) else round(self.room, 1),
            "instances": self.instances,
            "instances_assumed": self.assumed,
        }


def scatter(instances: float, even: bool) -> float:
    """How uneven the arrivals at one of several instances are: the squared coefficient of variation of their gaps.

    0 for arrivals that are evenly spaced, 1 for those that come by chance (Poisson). Routing at random, which is what
    SageMaker does unless it is told otherwise, thins evenly spaced ones out to 1 − 1 / instances.
    """
    return 1 - 1 / instances if even else 1.0


# -- windows -----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Window:
    """A few real seconds of the run, for one instance.

    at       real seconds of its middle
    rate     sent a second, as are
    ok       answered well, and
    failed
    sent     requests, of all instances
    latency  mean seconds; None where none was answered well
    slope    seconds by which the latency rises in a second
    """

    at: float
    instances: float
    rate: float
    ok: float
    failed: float
    sent: int
    latency: float | None
    slope: float = 0.0

    @property
    def failed_share(self) -> float:
        return self.failed / (self.ok + self.failed) if self.ok + self.failed else 0.0

    def refused(self, failing: float) -> float:
        """Share of what was sent that failed beyond what always does."""
        return max(0.0, self.failed_share - failing)

    def served(self, failing: float) -> float:
        """Requests a second that it gets done.

        Outcomes are counted by the second of their arrival. While latency rises by `slope`, the arrivals of a second
        leave within 1 + slope seconds: so the throughput of a queue that grows is seen, though all are answered.
        """
        return self.ok / max(1e-9, 1 - failing) / max(0.1, 1 + self.slope)

    def short(self, failing: float) -> bool:
        return self.rate > 0 and self.served(failing) < self.rate * (1 - SHORT)


def _windows(minutes: Minutes, watched: Watched | None, otherwise: int) -> Iterable[_Window]:
    """In order of time, those in which the number of instances is known and does not change.

    otherwise  how many served, where nobody watched them
    """
    length = min(WINDOW, 60 / minutes.speed)
    windows: list[_Window] = []
    seconds = [span for span in minutes.seconds if span.seconds > 0 and span.start < minutes.end]
    for _, group in groupby(seconds, lambda span: int((span.start + 1e-6) // length)):
        spans = list(group)
        lasted = sum(span.seconds for span in spans)
        start_s, until_s = spans[0].at_s, (spans[0].start + lasted) * minutes.speed
        instances = float(otherwise) if watched is None else watched.served(start_s, until_s)
        # What is left of a window at the end of the run says little of a rate.
        if instances and lasted > length / 2:
            windows.append(_window(spans, lasted, instances))
    for before, window, after in zip(windows, windows[1:], windows[2:], strict=False):
        if before.latency is not None and after.latency is not None and after.at - before.at < 3 * length:
            window.slope = (after.latency - before.latency) / (after.at - before.at)
    return windows


def _window(spans: Sequence[Span], lasted: float, instances: float) -> _Window:
    sent = sum(span.sent for span in spans)
    ok = sum(span.requests.ok for span in spans)
    failed = sum(span.requests.failed - span.requests.refused for span in spans)
    latencies = [(span.requests.latency.mean, span.requests.latency.count) for span in spans]
    count = sum(n for mean, n in latencies if mean is not None)
    total = sum(mean * n for mean, n in latencies if mean is not None)
    share = 1 / lasted / instances
    middle = spans[0].start + lasted / 2
    mean = total / count if count and ok else None  # a timeout counts at its age, and alone is no answer
    return _Window(middle, instances, sent * share, ok * share, failed * share, sent, mean)


# -- which of them had a queue -----------------------------------------------------------------------------------------

_Stretch = tuple[int, int]  # windows from … up to, and without, …


def _stretches(windows: Sequence[_Window]) -> list[_Stretch]:
    """Where a queue may have stood: latency far above the lowest, or more failures than chance makes of the fewest."""
    pooled = list(_pooled(windows))
    # The lowest but for an outlier: most of a run may have had a queue.
    quiet = _quantile([latency for latency, _ in pooled if latency is not None], 0.02)
    few = _quantile([failed_share for _, failed_share in pooled], 0.25)
    likely = max(few, SHORT)  # that none of some hundred failed does not make one of ten remarkable

    def pressed(window: _Window) -> bool:
        chance = 4 * math.sqrt(likely * (1 - likely) / window.sent) if window.sent else 1.0
        slow = window.latency is None or window.latency > PRESSED * quiet
        return window.sent > 0 and (slow or window.failed_share > few + chance + SHORT)

    return _runs([pressed(window) for window in windows])


def _pooled(windows: Sequence[_Window]) -> Iterable[tuple[float | None, float]]:
    """Latency and share that failed of windows that follow each other, as many as it takes to have ENOUGH requests."""
    group: list[_Window] = []
    sent = 0
    for i, window in enumerate(windows):
        group.append(window)
        sent += window.sent
        if sent < ENOUGH and i < len(windows) - 1:
            continue
        answered = [(each.latency, each.ok * each.instances) for each in group if each.latency is not None]
        ok = sum(n for _, n in answered)
        failed = sum(each.failed * each.instances for each in group)
        latency = sum(mean * n for mean, n in answered) / ok if ok else None
        yield latency, failed / (ok + failed) if ok + failed else 0.0
        group, sent = [], 0


def _share_failing(windows: Sequence[_Window], stretches: Sequence[_Stretch]) -> float:
    inside = {i for start, until in stretches for i in range(start, until)}
    calm = [window for i, window in enumerate(windows) if i not in inside]
    answered = sum((w.ok + w.failed) * w.instances for w in calm)
    return sum(w.failed * w.instances for w in calm) / answered if answered else 0.0


def _apart(
    windows: Sequence[_Window], stretches: Sequence[_Stretch], failing: float
) -> tuple[list[_Window], list[_Window]]:
    """The windows without a queue, and those in which an instance got done all that it can."""
    inside = {i for start, until in stretches for i in range(start, until)}
    borne = max((w.rate for i, w in enumerate(windows) if i not in inside), default=0.0)
    calm = {i for i in range(len(windows)) if i not in inside}
    short: list[_Window] = []
    for start, until in stretches:
        runs = [
            (start + first, start + last)
            for first, last in _runs([windows[i].short(failing) for i in range(start, until)])
            if last - first >= SUSTAINED
        ]
        behind = [windows[i] for first, last in runs for i in range(first, last)]
        if not behind:
            # Slow, yet all is answered: it is the latency of that rate. What is not answered is no latency of any.
            calm.update(i for i in range(start, until) if not windows[i].short(failing))
            continue
        # Before it fell behind for the first time, nothing had piled up.
        calm.update(range(start, runs[0][0]))
        if median(window.served(failing) for window in behind) >= BORNE * borne:
            short += behind
    return [windows[i] for i in sorted(calm) if windows[i].latency is not None and windows[i].sent], short


def _runs(flags: Sequence[bool]) -> list[_Stretch]:
    """Where they are True, one after the other."""
    edges = [i for i, (a, b) in enumerate(pairwise([False, *flags, False])) if a != b]
    return list(zip(edges[::2], edges[1::2], strict=True))


# -- the curve ---------------------------------------------------------------------------------------------------------


def _knots(calm: Sequence[_Window]) -> list[Knot]:
    """Medians of windows of like rate, so that a hiccup moves nothing, and then rising, as latency does with the rate.

    Where a median is below the one before, both become their mean, each with its weight (isotonic regression).
    """
    ordered = sorted(calm, key=lambda window: window.rate)
    n = min(KNOTS, max(1, len(ordered) // WINDOWS_A_KNOT))
    blocks: list[tuple[list[float], float, int]] = []  # rates, latency, windows
    for i in range(n):
        part = ordered[i * len(ordered) // n : (i + 1) * len(ordered) // n]
        block = ([median(w.rate for w in part)], median(w.latency or 0.0 for w in part), len(part))
        while blocks and blocks[-1][1] >= block[1]:
            rates, latency, weight = blocks.pop()
            mean = (latency * weight + block[1] * block[2]) / (weight + block[2])
            block = (rates + block[0], mean, weight + block[2])
        blocks.append(block)
    # Of those that became one, both ends are kept: between them the curve is level.
    knots = [Knot(rate, latency) for rates, latency, _ in blocks for rate in sorted({rates[0], rates[-1]})]
    return [next(group) for _, group in groupby(knots, lambda knot: knot.rate)]


def _quantile(values: Iterable[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[int(share * (len(ordered) - 1))]
