"""What Locust was told to run: the plan of a run without a schedule, and the users column of every run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from locust.dispatch import UsersDispatcher


class Commanded:
    """Users commanded over time, as steps, and the arrivals they stand for."""

    def __init__(self) -> None:
        self._at = 0.0
        self._users = 0
        self._rate = 0.0
        self._expected = 0.0

    def note(self, at: float, users: int, rate: float) -> None:
        """From `at` seconds of the run on, `users` users stand for `rate` arrivals a second."""
        self._expected = self.expected(at)
        self._at = max(at, self._at)
        self._users, self._rate = users, rate

    @property
    def users(self) -> int:
        return self._users

    def expected(self, at: float) -> float:
        """Arrivals from the start to `at`, which must not lie before the last step."""
        return self._expected + self._rate * max(0.0, at - self._at)


def observed(dispatcher: type[UsersDispatcher], note: Callable[[dict[str, int]], None]) -> type[UsersDispatcher]:
    """A dispatcher class that says, as it dispatches, how many users of each class are running in all."""

    class ObservedDispatcher(dispatcher):  # type: ignore[misc,valid-type]
        def __next__(self) -> dict[str, dict[str, int]]:
            dispatched: dict[str, dict[str, int]] = super().__next__()
            total: dict[str, int] = {}
            for users in dispatched.values():
                for name, count in users.items():
                    total[name] = total.get(name, 0) + count
            note(total)
            return dispatched

    observer: Any = ObservedDispatcher
    return observer  # type: ignore[no-any-return]
