"""In which order requests take what is sent: one after the other, at random, or each one once.

Reading files is payloads'. A Feeder is what somebody wrote down; each run takes from a Supply of its own in each
process. That a run ends with its payloads is the generator's and the plugin's business.
"""

from __future__ import annotations

import itertools
import random
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from os import PathLike
from pathlib import Path
from typing import Any, get_args

from sm_locust.config.feeding import A_HEADER, PayloadOrder
from sm_locust.config_error import ConfigError
from sm_locust.payloads import Payload, read

Body = bytes | str | Payload

SEQUENTIAL, RANDOM, ONCE = ORDERS = get_args(PayloadOrder)

_NOTHING = "nothing to send: give request.body or request.payloads in the configuration"
_ACCEPTED = "a path, bodies in a list, or a function that gives bodies"


_MOST = 1e300  # of a weight, so that all of them can be added up
_HEADER = re.compile(r"[!-~](?:[ -~]{0,1022}[!-~])?")


class UsedUp(LookupError):
    """There is no payload left for this arrival, which then ends as cancelled."""


class Supply:
    """The payloads of one run in one process.

    next     the next one; raises UsedUp where none is left
    ends     whether there may be a last one
    used_up  whether that was taken
    failed   what its source raised in place of a further one, in one sentence; empty where it did not
    """

    def __init__(self, source: Iterator[Payload], *, ends: bool) -> None:
        self.next: Callable[[], Payload] = source.__next__
        self.ends = ends
        self.used_up = False
        self.failed = ""
        if ends:
            # One ahead: that a payload was the last one is known when it is taken, not by the arrival after it. While a
            # source waits others run, and a generator must not be entered twice.
            self._source, self._turn = source, threading.Lock()
            self._ahead = next(source, None)
            self.used_up = self._ahead is None
            self.next = self._take

    def _take(self) -> Payload:
        with self._turn:
            taken = self._ahead
            if taken is None:
                raise UsedUp(self.failed or "no payload is left")
            self._ahead = None  # should the source raise, it has ended
            try:
                self._ahead = next(self._source, None)
            except Exception as e:  # the one after this: what is taken can be sent
                self.failed = _said(e)
            except KeyboardInterrupt:  # not the source's: the run is ended by hand
                raise
            except BaseException as e:  # whoever waits here is ended by it too, such as by a Timeout of its own
                self.failed = _said(e)
                self.used_up = True
                raise
            self.used_up = self._ahead is None
            return taken


class Feeder:
    """What the requests of a user class send, and in which order: `payloads = Feeder("iris.csv", "random")`.

    payloads      a path, read as `request.payloads` is (from the working folder, once a process): of a .csv or .jsonl
                  file, whose lines are bodies, or of a directory, whose files are; or bodies in a list or another
                  collection, each of them bytes, a text (sent as UTF-8) or a `Payload`; or a function without arguments
                  that gives bodies, such as a generator function, called anew for each run; or an iterator
    order         sequential: in turn, and then again; random: any of them each time, seeded by `arrivals.seed`; once:
                  each at most once, and the run ends with the last one (`payloads used up`)
    weights       with order random, how often each is taken beside the others: numbers, 0 or more, not all 0
    content_type  of bodies that name none; None takes the suffix's, or `request.content_type` of the configuration
    header        True leaves out the first line of a CSV file

    A function is called again when what it gave has ended, unless the order is once; an iterator cannot begin again, so
    the run ends with it. Both are asked one body ahead, and are not for order random: what an iterator gave for the one
    after a run's last is not sent in the next run either. One that raises, or gives what
    is no body, ends the run, which is then not valid (`payloads failed: …`). Each worker has a feeder of its own, which
    in turn begins at another payload; what ends a run is refused with workers: each would send all of it.

    What is wrong with it is said before anything is sent, as a ConfigError of one sentence.
    """

    def __init__(
        self,
        payloads: str | PathLike[str] | Iterable[Body] | Callable[[], Iterable[Body]],
        order: PayloadOrder = "sequential",
        *,
        weights: Sequence[float] | None = None,
        content_type: str | None = None,
        header: bool = False,
    ) -> None:
        self.payloads = payloads
        self.order = order
        self.weights = weights
        self.content_type = content_type
        self.header = header
        self._known: tuple[Payload, ...] | None = None

    @property
    def ends(self) -> bool:
        """Whether a run ends with its payloads."""
        return self.order == ONCE or _is_iterator(self.payloads)

    def check(self) -> None:
        """Reads what is to be read. Raises ConfigError, in one sentence, for what cannot be sent."""
        if self.order not in ORDERS:
            raise ConfigError(f"order: {self.order!r} is not accepted: one of {', '.join(ORDERS)}")
        if self.weights is not None and self.order != RANDOM:
            raise ConfigError("weights: not accepted: only with order random")
        if self.header and not str(self.payloads).lower().endswith(".csv"):
            raise ConfigError("header: True is not accepted: only with a .csv file")
        if self.content_type is not None:
            _check_type(self.content_type)
        if self._is_lazy:
            if self.order == RANDOM:
                raise ConfigError("order: random is not accepted: what a function or an iterator gives comes in turn")
            return
        payloads = self._read()
        if not payloads:
            raise ConfigError(f"{self.payloads!r:.60} is not accepted: at least one body")
        if self.weights is not None:
            _check_weights(self.weights, len(payloads))

    def supply(self, seed: int | None = None, index: int = 0) -> Supply:
        """The payloads of one run from the first on, for process number `index`. Raises as `check` does."""
        self.check()
        if not self._is_lazy:
            return supply(self._read(), self.order, seed=seed, index=index, weights=self.weights)
        bodies: Any = self.payloads
        if callable(bodies):
            bodies = bodies() if self.order == ONCE else _again(bodies)
        return Supply(map(self._payload, bodies), ends=True)

    @property
    def _is_lazy(self) -> bool:
        return callable(self.payloads) or _is_iterator(self.payloads)

    def _read(self) -> tuple[Payload, ...]:
        if self._known is None:
            found: Any = self.payloads
            if isinstance(found, str | PathLike):
                self._known = read(Path(found), self.content_type, self.header)
            elif isinstance(found, bytes | Payload) or not isinstance(found, Iterable):
                raise ConfigError(f"{found!r:.60} is not accepted: {_ACCEPTED}")
            else:
                self._known = tuple(map(self._payload, found))
        return self._known

    def _payload(self, body: Any) -> Payload:
        if isinstance(body, Payload) and isinstance(body.body, bytes):
            if body.content_type:
                _check_type(body.content_type)
            return body
        if isinstance(body, str | bytes) and body:
            try:
                return Payload(body.encode() if isinstance(body, str) else body, self.content_type or "")
            except UnicodeEncodeError as e:
                raise ConfigError(
                    f"{body!a:.60} is not accepted: its character {e.start + 1} is none that UTF-8 has"
                ) from None
        raise ConfigError(f"{body!r:.60} is not accepted: bytes, a text or a Payload, not empty")


def supply(
    payloads: Sequence[Payload],
    order: PayloadOrder,
    *,
    seed: int | None = None,
    index: int = 0,
    weights: Sequence[float] | None = None,
) -> Supply:
    """Payloads in an order; process number `index` begins in turn with its own, so that not all send the same one."""
    if not payloads:
        nothing = Supply(iter(()), ends=False)
        nothing.next = _nothing
        return nothing
    if order == ONCE:
        return Supply(iter(payloads), ends=True)
    if order == RANDOM:
        return Supply(_drawn(payloads, weights, chance(seed, index, "payloads")), ends=False)
    first = index % len(payloads)
    return Supply(itertools.cycle((*payloads[first:], *payloads[:first])), ends=False)


def chance(seed: int | None, index: int, what: str) -> random.Random:
    """Random numbers of their own for each use and each process, the same again for the same seed; None for any."""
    return random.Random(None if seed is None else f"{what} {seed} {index}")


def _drawn(payloads: Sequence[Payload], weights: Sequence[float] | None, source: random.Random) -> Iterator[Payload]:
    cumulated = list(itertools.accumulate(itertools.repeat(1.0, len(payloads)) if weights is None else weights))
    while True:
        yield source.choices(payloads, cum_weights=cumulated)[0]


def _again(make: Callable[[], Iterable[Body]]) -> Iterator[Body]:
    """What `make` gives, and when that has ended what it gives then; ends where it gives nothing."""
    taken = True
    while taken:
        taken = False
        for body in make():
            taken = True
            yield body


def _said(error: BaseException) -> str:
    """In one line, since it stands in a sentence of the report."""
    said = str(error) if isinstance(error, ConfigError) else f"{type(error).__name__}: {error}"
    return " ".join(said.split()).rstrip(":")[:200]


def _nothing() -> Payload:
    raise LookupError(_NOTHING)


def _is_iterator(source: object) -> bool:
    return isinstance(source, Iterator)


def _check_weights(weights: Sequence[float], payloads: int) -> None:
    accepted = f"a number for each payload, 0 or more, at most {_MOST:g}, not all 0"
    if not isinstance(weights, Sized):
        raise ConfigError(f"weights: {weights!r:.60} is not accepted: {accepted}")
    if len(weights) != payloads:
        raise ConfigError(f"weights: {len(weights)} for {payloads} payloads are not accepted: {accepted}")
    for weight in weights:
        if not isinstance(weight, int | float) or not 0 <= weight <= _MOST:
            raise ConfigError(f"weights: {weight!r:.60} is not accepted: {accepted}")
    if not any(weights):
        raise ConfigError(f"weights: all of them are 0: {accepted}")


def _check_type(content_type: object) -> None:
    """As the configuration's: what is no header would fail each request."""
    if not isinstance(content_type, str) or not _HEADER.fullmatch(content_type):
        raise ConfigError(f"content_type: {content_type!r:.60} is not accepted: {A_HEADER}")
