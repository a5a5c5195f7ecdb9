"""A user instance with a greenlet of its own, which runs one arrival after the other and waits in between.

A greenlet for each arrival would cost 10 µs, a sixth of all that a request takes: the system maps memory for its stack
and takes it back. How an arrival is run, and what its end means, is the generator's business.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

import gevent
from gevent import Greenlet, GreenletExit
from locust import User
from locust.env import Environment

from sm_locust.load.users import ArrivalUser

if TYPE_CHECKING:
    from sm_locust.load.arrival import Arrival

logger = logging.getLogger(__name__)


class Sender(Greenlet):  # type: ignore[misc]
    """Takes arrivals of one user class. As many are made as arrivals were in flight at once.

    fly   runs the arrival at hand to its end; says whether the sender may take another one
    idle  where it waits for the next one
    """

    def __init__(
        self, user_class: type[ArrivalUser], environment: Environment, fly: Callable[[Sender], bool], idle: list[Sender]
    ) -> None:
        super().__init__()
        self.arrival: Arrival[ArrivalUser] | None = None
        self.user: ArrivalUser | None = None
        self._user_class = user_class
        self._environment = environment
        self._fly = fly
        self._idle = idle

    def begin(self, arrival: Arrival[ArrivalUser], in_the_loop: bool) -> None:
        """Hands over an arrival: at once where the caller is the event loop itself, in its next round otherwise."""
        self.arrival = arrival
        if not self.started:
            self.start()
        elif in_the_loop:
            self.switch()
        else:
            gevent.get_hub().loop.run_callback(self.switch)

    def ready_user(self) -> ArrivalUser:
        """The user instance; the first time it is made, and its `on_start` run."""
        user = self.user
        if user is None:
            user = self._user_class.sender(self._environment)
            user.on_start()
            self.user = user
        return user

    def _run(self) -> None:
        to_hub = gevent.get_hub().switch
        try:
            while self._fly(self):
                self.arrival = None
                self._idle.append(self)
                while self.arrival is None:
                    try:
                        to_hub()
                    except gevent.Timeout:
                        pass  # a task has left it running: nothing is under way that it could end
        except GreenletExit:
            if self in self._idle:
                self._idle.remove(self)

    def leave(self) -> Greenlet | None:
        """Ends the greenlet, and gives one that runs the user's `on_stop`; None where the class has none of its own."""
        if self is not gevent.getcurrent():  # a task may end the run: it has to get to its own end
            self.kill(block=False)
        user = self.user
        return None if user is None or self._user_class.on_stop is User.on_stop else gevent.spawn(self._stop, user)

    def _stop(self, user: ArrivalUser) -> None:
        """An exception is logged, as Locust does."""
        try:
            user.on_stop()
        except Exception:
            logger.exception("on_stop of %s failed", self._user_class.__name__)
