"""A thread beside the loop, for work that would keep it from turning: a disk, a source of credentials."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from gevent.threadpool import ThreadPool

T = TypeVar("T")


class Beside:
    """One thread, which is not there before something is to be done: what it is given is done in order."""

    def __init__(self) -> None:
        self._thread = ThreadPool(1)

    def do(self, work: Callable[..., T], *given: Any) -> T:
        """What the work gives, or raises; the loop turns on until it is there."""
        result, fault = self._thread.apply(_done, (work, given))
        if fault is not None:
            raise fault
        return result  # type: ignore[no-any-return]  # of gevent's, which says nothing of types


def _done(work: Callable[..., T], given: tuple[Any, ...]) -> tuple[T | None, Exception | None]:
    """What is raised is handed on as a value: gevent would print what a thread raises."""
    try:
        return work(*given), None
    except Exception as e:
        return None, e
