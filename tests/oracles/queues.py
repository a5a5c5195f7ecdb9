"""Endpoints of known capacity in virtual time: they tell when each arrival would be answered, and whether well.

Standard library and numpy, nothing of sm_locust: what a search or a ramp finds is judged against what is derived here.
An oracle keeps its state from call to call, so the backlog of one step is there in the next; time only grows. Whole
arrays are served at once, and `depart` takes one arrival at a time, with the same answers: latency_server plays them in
real time. Times, services and limits are seconds; rates are arrivals a second. The same seed gives the same answers.

The truths with the parameters that are the defaults, in arrivals a second. `truth` derives them for any other:

    kind        what it is                              backlog   the highest rate at which ... holds
                                                        grows at
    hard-limit  5 ms whatever the rate, but never       350       any limit over 5 ms, even arrivals: 350
                more than 350 a second                            mean 15 ms, Poisson arrivals: 306.25
                                                                  error rate 5%, most_waiting given, even: 368.42
    md1         M/D/1, service 2.5 ms                   400       Poisson: mean 5 ms: 266.67, 10 ms: 342.86,
                                                                  15 ms: 363.64. Even: any limit from 2.5 ms: 400
    mm4         M/M/4, service 10 ms on average         400       Poisson: mean 12 ms: 246.28, 15 ms: 298.97,
                                                                  20 ms: 333.94; p95 40 ms: 294.14, p99 60 ms: 299.81
    linear      5 ms + 40 µs for each arrival a second  never     even: mean 10 ms: 125, 15 ms: 250, 20 ms: 375;
                of the last second, 5% noise                      p95 15 ms: 220.83. Poisson: 0.5 less
    failing     another, and 3% fail at any rate        as that   error rate 5%: as that; 1%: none
    never       5 ms whatever the rate, 5% noise        never     none fails
    degrading   another, ever slower: after t seconds   falls     no rate for good: of a rate R that holds at first
                everything takes 1 + 0.001 t as long              with a limit L, R(L / slower) / slower is left
"""

from __future__ import annotations

import heapq
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

Seconds = NDArray[np.float64]
Oks = NDArray[np.bool_]


def poisson(rate: float, start: float, seconds: float, rng: np.random.Generator) -> Seconds:
    """Arrivals of a Poisson process in [start, start + seconds): their number is Poisson, each is anywhere in it."""
    return np.sort(rng.uniform(start, start + seconds, rng.poisson(rate * seconds)))


def even(rate: float, start: float, seconds: float, phase: float = 0.0) -> Seconds:
    """Arrivals of one spacing in [start, start + seconds), the first `phase` (0..1) of a spacing after `start`."""
    count = max(0, math.ceil(rate * seconds - phase - 1e-9))  # 100 × 0.3 s is 30 arrivals, whatever floats make of it
    return np.asarray(start + (phase + np.arange(count)) / rate, np.float64)


class Oracle(ABC):
    """Takes arrivals in the order of time."""

    def __init__(self) -> None:
        self._latest = -math.inf

    def serve(self, arrivals: Seconds) -> tuple[Seconds, Oks]:
        """Latency of each arrival, and whether its answer is a good one."""
        if len(arrivals) == 0:
            return np.empty(0), np.empty(0, bool)
        if arrivals[0] < self._latest or np.any(arrivals[1:] < arrivals[:-1]):
            raise ValueError(
                f"arrivals go back in time: some of {arrivals[0]} s and later, the latest was {self._latest} s"
            )
        self._latest = float(arrivals[-1])
        return self._answers(arrivals)

    def depart(self, at: float) -> tuple[float, bool]:
        """When the answer to an arrival at `at` leaves, and whether it is a good one."""
        latencies, ok = self.serve(np.array([at]))
        return at + float(latencies[0]), bool(ok[0])

    @abstractmethod
    def _answers(self, arrivals: Seconds) -> tuple[Seconds, Oks]: ...

    def _rng(self, seed: int) -> np.random.Generator:
        """Of its own for each kind: whoever draws arrivals from the same seed gets no echo of the services."""
        return np.random.default_rng([seed, *type(self).__name__.encode()])


def _starts(arrivals: Seconds, spacing: float, free: float) -> Seconds:
    """First come, first served, none before `free`: start[i] = max(arrival[i], start[i-1] + spacing)."""
    steps = spacing * np.arange(len(arrivals))
    starts: Seconds = np.maximum.accumulate(np.maximum(arrivals - steps, free)) + steps
    return starts


class HardLimit(Oracle):
    """Answers after `latency`, but never more than `rate` a second: above it a queue grows.

    most_waiting  who would wait for more than that many is refused after `latency`; without it the queue has no bound
    """

    def __init__(self, rate: float = 350.0, latency: float = 0.005, most_waiting: int | None = None) -> None:
        super().__init__()
        self.capacity = rate
        self.latency = latency
        self._longest = math.inf if most_waiting is None else most_waiting / rate
        self._free = -math.inf

    def truth(self, limit: float, *, poisson: bool = False) -> float:
        """The highest rate whose mean latency is at most `limit`; of even arrivals, unless they are Poisson's.

        Poisson arrivals wait at the limit as in M/D/1.
        """
        if limit < self.latency:
            return 0.0
        return _rate_that_waits(limit - self.latency, 1 / self.capacity) if poisson else self.capacity

    def truth_of_errors(self, limit: float) -> float:
        """The highest rate of even arrivals of which at most a share `limit` is refused, where the queue is bounded."""
        return self.capacity / (1 - limit)

    def _answers(self, arrivals: Seconds) -> tuple[Seconds, Oks]:
        starts = _starts(arrivals, 1 / self.capacity, self._free)
        ok = np.ones(len(arrivals), bool)
        if np.max(starts - arrivals) > self._longest:
            starts, ok = self._refusing(arrivals)
        served = starts[ok]
        if len(served):
            self._free = float(served[-1]) + 1 / self.capacity
        return starts - arrivals + self.latency, ok

    def _refusing(self, arrivals: Seconds) -> tuple[Seconds, Oks]:
        """One by one: who is refused decides how long the next one waits."""
        starts, ok = arrivals.copy(), np.zeros(len(arrivals), bool)
        free = self._free
        for i, at in enumerate(arrivals.tolist()):
            start = max(at, free)
            if start - at <= self._longest:
                starts[i], ok[i] = start, True
                free = start + 1 / self.capacity
        return starts, ok


def _rate_that_waits(wait: float, service: float) -> float:
    """The rate of Poisson arrivals that wait so long on average: Pollaczek-Khinchine, W = ρ s / (2 (1 - ρ)), for ρ."""
    return 2 * wait / (service + 2 * wait) / service


class MD1(Oracle):
    """One server that takes the same time for each request; M/D/1 where arrivals are Poisson's."""

    def __init__(self, service: float = 0.0025) -> None:
        super().__init__()
        self.capacity = 1 / service
        self.service = service
        self._free = -math.inf

    def mean(self, rate: float) -> float:
        """Mean latency of Poisson arrivals, by Pollaczek-Khinchine."""
        load = rate * self.service
        return self.service * (1 + load / (2 * (1 - load))) if load < 1 else math.inf

    def truth(self, limit: float) -> float:
        """The highest rate of Poisson arrivals whose mean latency is at most `limit`."""
        return _rate_that_waits(limit - self.service, self.service) if limit > self.service else 0.0

    def _answers(self, arrivals: Seconds) -> tuple[Seconds, Oks]:
        ends = _starts(arrivals, self.service, self._free) + self.service
        self._free = float(ends[-1])
        return ends - arrivals, np.ones(len(arrivals), bool)


class MMc(Oracle):
    """Servers with one queue, first come, first served, exponential services; M/M/c where arrivals are Poisson's."""

    def __init__(self, servers: int = 4, service: float = 0.010, seed: int = 1) -> None:
        super().__init__()
        self.capacity = servers / service
        self.servers = servers
        self.service = service
        self._services = self._rng(seed)
        self._free = [-math.inf] * servers  # when each server is done, a heap

    def waiting(self, rate: float) -> float:
        """The share of Poisson arrivals that has to wait, by Erlang C, from Erlang B's recursion."""
        load = rate * self.service
        if load >= self.servers:
            return 1.0
        blocked = 1.0
        for servers in range(1, self.servers + 1):
            blocked = load * blocked / (servers + load * blocked)
        return blocked / (1 - load / self.servers * (1 - blocked))

    def mean(self, rate: float) -> float:
        """Mean latency of Poisson arrivals."""
        return self.service + self.waiting(rate) / (self.capacity - rate) if rate < self.capacity else math.inf

    def beyond(self, rate: float, t: float) -> float:
        """The share of Poisson arrivals with a latency over `t`.

        It is a service, and for those who wait an exponential wait before it. Served they are at rate μ, and the wait
        ends at rate θ: what is left of it (both together) at t is (μ e^-θt - θ e^-μt) / (μ - θ).
        """
        if rate >= self.capacity:
            return 1.0
        waiting, mu, theta = self.waiting(rate), 1 / self.service, self.capacity - rate
        alone = math.exp(-mu * t)
        if math.isclose(mu, theta, rel_tol=1e-7):
            both = (1 + mu * t) * alone
        else:
            both = (mu * math.exp(-theta * t) - theta * alone) / (mu - theta)
        return (1 - waiting) * alone + waiting * both

    def quantile(self, rate: float, share: float) -> float:
        """The latency that a share of Poisson arrivals does not exceed: 0.95 for p95."""
        if rate >= self.capacity:
            return math.inf
        high = self.service
        while self.beyond(rate, high) > 1 - share:
            high *= 2
        return _highest(lambda t: self.beyond(rate, t) > 1 - share, high)

    def truth(self, limit: float, quantile: float | None = None) -> float:
        """The highest rate of Poisson arrivals whose mean, or quantile, of latency is at most `limit`."""
        if quantile is None:
            return _highest(lambda rate: self.mean(rate) <= limit, self.capacity)
        return _highest(lambda rate: self.beyond(rate, limit) <= 1 - quantile, self.capacity)

    def _answers(self, arrivals: Seconds) -> tuple[Seconds, Oks]:
        services = self._services.exponential(self.service, len(arrivals))
        free, ends, replace = self._free, [], heapq.heapreplace
        for at, service in zip(arrivals.tolist(), services.tolist(), strict=True):
            first = free[0]
            end = (at if at > first else first) + service
            replace(free, end)
            ends.append(end)
        return np.array(ends) - arrivals, np.ones(len(arrivals), bool)


def _highest(holds: Callable[[float], bool], high: float) -> float:
    """The highest value in [0, high] at which it holds: it holds up to there and not above. 0 where it never does."""
    low = 0.0
    for _ in range(100):
        middle = (low + high) / 2
        if holds(middle):
            low = middle
        else:
            high = middle
    return low


class LinearLatency(Oracle):
    """Latency grows with the rate of arrivals, as it counts them over its last `window`; nothing ever queues.

    slope  seconds for each arrival a second
    noise  of the latency: it is multiplied by a log-normal factor of mean 1, whose logarithm deviates so much
    """

    capacity = math.inf

    def __init__(
        self, base: float = 0.005, slope: float = 40e-6, noise: float = 0.05, window: float = 1.0, seed: int = 1
    ) -> None:
        super().__init__()
        self.base = base
        self.slope = slope
        self.noise = noise
        self.window = window
        self._factors = self._rng(seed)
        self._recent: Seconds = np.empty(0)  # arrivals of the last window, and the one before them

    def truth(self, limit: float, quantile: float | None = None, *, poisson: bool = False) -> float:
        """The highest rate whose mean, or quantile, of latency is at most `limit`; of even arrivals, or Poisson's.

        Of Poisson arrivals it counts half an arrival too many in a window, on average: the count ends with an arrival,
        and begins anywhere between two. The quantile is even arrivals': Poisson's add the noise of the count.
        """
        factor = 1.0
        if quantile is not None:
            factor = math.exp(self.noise * NormalDist().inv_cdf(quantile) - self.noise**2 / 2)
        rate = (limit / factor - self.base) / self.slope
        return max(0.0, rate - 0.5 / self.window if poisson else rate)

    def _answers(self, arrivals: Seconds) -> tuple[Seconds, Oks]:
        latencies = self.base + self.slope * self._rates(arrivals)
        return latencies * _noise(self._factors, self.noise, len(arrivals)), np.ones(len(arrivals), bool)

    def _rates(self, arrivals: Seconds) -> Seconds:
        """The count at each arrival less that a window earlier, taken as growing steadily between two arrivals: even
        arrivals then have exactly their rate, whether or not a window holds a whole number of them."""
        times = np.concatenate([self._recent, arrivals])
        counts = np.arange(len(times), dtype=float)
        earlier = np.interp(arrivals - self.window, times, counts)
        kept = int(np.searchsorted(times, arrivals[-1] - self.window, side="right")) - 1
        self._recent = times[max(0, kept) :]
        rates: Seconds = (counts[-len(arrivals) :] - earlier) / self.window
        return rates


def _noise(rng: np.random.Generator, deviation: float, count: int) -> Seconds:
    """Log-normal factors of mean 1."""
    factors: Seconds = np.exp(deviation * rng.standard_normal(count) - deviation**2 / 2)
    return factors


class Never(Oracle):
    """Never saturates: the same latency at any rate, but for log-normal noise (see LinearLatency)."""

    capacity = math.inf

    def __init__(self, latency: float = 0.005, noise: float = 0.05, seed: int = 1) -> None:
        super().__init__()
        self.latency = latency
        self.noise = noise
        self._factors = self._rng(seed)

    def _answers(self, arrivals: Seconds) -> tuple[Seconds, Oks]:
        return self.latency * _noise(self._factors, self.noise, len(arrivals)), np.ones(len(arrivals), bool)


class Failing(Oracle):
    """Another, whose answers fail at random, a `share` of them at any rate. They take as long as good ones."""

    def __init__(self, of: Oracle, share: float = 0.03, seed: int = 1) -> None:
        super().__init__()
        self.of = of
        self.share = share
        self._draws = self._rng(seed)

    def _answers(self, arrivals: Seconds) -> tuple[Seconds, Oks]:
        latencies, ok = self.of.serve(arrivals)
        return latencies, ok & (self._draws.random(len(arrivals)) >= self.share)


class Degrading(Oracle):
    """Another that gets ever slower: from its first arrival on, everything in it takes `slower` as long.

    So its capacity falls by as much. The other lives in a time of its own that runs slower by that factor, 1 + k t: it
    is the integral of 1 / (1 + k t), which is log(1 + k t) / k.
    """

    def __init__(self, of: Oracle, per_second: float = 0.001) -> None:
        super().__init__()
        self.of = of
        self.per_second = per_second
        self._first: float | None = None

    def slower(self, elapsed: float) -> float:
        """By which factor everything takes longer, so many seconds after the first arrival."""
        return 1 + self.per_second * elapsed

    def _answers(self, arrivals: Seconds) -> tuple[Seconds, Oks]:
        if self._first is None:
            self._first = float(arrivals[0])
        elapsed = arrivals - self._first
        inner = np.log1p(self.per_second * elapsed) / self.per_second
        latencies, ok = self.of.serve(inner)
        return np.expm1(self.per_second * (inner + latencies)) / self.per_second - elapsed, ok


KINDS = ("hard-limit", "md1", "mm4", "linear", "failing", "never", "degrading")


def oracle(kind: str, *, seed: int = 1, of: str = "hard-limit", **options: Any) -> Oracle:
    """One by the name of its kind; `of` is the kind that failing and degrading make worse.

    options  what its constructor takes; failing takes `share`, degrading `per_second`, and `of` the others
    """
    match kind:
        case "hard-limit":
            return HardLimit(**options)
        case "md1":
            return MD1(**options)
        case "mm4":
            return MMc(4, seed=seed, **options)
        case "linear":
            return LinearLatency(seed=seed, **options)
        case "never":
            return Never(seed=seed, **options)
        case "failing":
            own = {name: options.pop(name) for name in ("share",) if name in options}
            return Failing(oracle(of, seed=seed, **options), seed=seed, **own)
        case "degrading":
            own = {name: options.pop(name) for name in ("per_second",) if name in options}
            return Degrading(oracle(of, seed=seed, **options), **own)
    raise ValueError(f"no such kind of oracle: {kind!r} (there are {', '.join(KINDS)})")
