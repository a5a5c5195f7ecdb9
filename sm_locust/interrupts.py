"""Signals that end what takes long: heard once, at a moment that leaves nothing half done.

The first Ctrl-C, SIGTERM or SIGHUP is a KeyboardInterrupt; cleaning up after it is not interrupted again, so whoever is
waited for in the meantime says what impatience does. Once the work is done the result stands: what comes later is too
late, and would only break into the end of the process. What the process was started deaf to, as nohup does, it stays.
"""

from __future__ import annotations

import atexit
import contextlib
import signal
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Self

HEARD = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """A context in which they are heard so; for the main thread. After the outermost one they are heard no more.

    impatient  called for every further signal, if it is set
    """

    def __init__(self) -> None:
        self.impatient: Callable[[], None] | None = None
        self._armed = True
        self._held = False
        self._came = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        heard = [number for number in HEARD if signal.getsignal(number) != signal.SIG_IGN]
        self._before = {number: signal.signal(number, self._hear) for number in heard}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._armed, self.impatient = False, None
        for number, handler in self._before.items():
            if handler not in (signal.SIG_DFL, signal.default_int_handler):  # somebody else still listens
                signal.signal(number, handler)
            else:  # ours stays; the interpreter gives the system's back before its last moments, and they would end it
                atexit.register(signal.signal, number, signal.SIG_IGN)

    def _hear(self, *_: object) -> None:
        if not self._armed:
            if self.impatient is not None:
                self.impatient()
        elif self._held:
            self._came = True
        else:
            self._armed = False
            raise KeyboardInterrupt

    def disarm(self) -> None:
        """From now on no signal interrupts."""
        self._armed = False

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """What is in this block is done as a whole: a signal is heard at its end."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
            if self._came and self._armed:
                self._armed = False
                raise KeyboardInterrupt
