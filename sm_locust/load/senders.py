"""The instances of one user class that run its arrivals: an idle one, or a new one, never one that is busy."""

from __future__ import annotations

import logging

from locust.env import Environment

from sm_locust.load.users import ArrivalUser

logger = logging.getLogger(__name__)


class Senders:
    """Takes and gives back instances; as many are made as arrivals were in flight at once."""

    def __init__(self, user_class: type[ArrivalUser], environment: Environment) -> None:
        self._user_class = user_class
        self._environment = environment
        self._idle: list[ArrivalUser] = []

    def take(self) -> ArrivalUser:
        if self._idle:
            return self._idle.pop()
        user: ArrivalUser = self._user_class.sender(self._environment)
        user.on_start()
        return user

    def give_back(self, user: ArrivalUser) -> None:
        self._idle.append(user)

    def close(self) -> None:
        """Runs `on_stop` of each; an exception there is logged, as Locust does."""
        for user in self._idle:
            try:
                user.on_stop()
            except Exception:
                logger.exception("on_stop of %s failed", self._user_class.__name__)
        self._idle.clear()
