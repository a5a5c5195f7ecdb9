"""Locust user classes whose users stand for arrivals, not for people who wait.

A user that Locust spawns is parked: it only adds its `per_user` arrivals a second to the pacer, so Locust's count, ramp
and distribution of users are those of a rate. The arrivals themselves are run by other instances of the same class, the
senders, one at a time each. Users find the generator on their environment (`environment.generator`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, cast

from gevent import GreenletExit
from gevent.event import Event
from locust import TaskSet, User
from locust.exception import StopTest
from locust.user.task import LOCUST_STATE_WAITING
from locust.user.users import UserMeta

from sm_locust.record.outcome import CANCELLED, OK, Outcome

if TYPE_CHECKING:
    from sm_locust.config import RunConfig
    from sm_locust.load.arrival import Arrival
    from sm_locust.load.http import Connections


class Load(Protocol):
    """What users need of the load of their process (`environment.generator`): a Generator gives it."""

    config: RunConfig
    now: Callable[[], float]
    fire_request: Callable[..., None]

    def add_user(self, user_class: type[ArrivalUser], n: int) -> None: ...
    def connections(self, url: str, ca_bundle: str | None, proxy: str | None) -> Connections: ...


class ArrivalMeta(UserMeta):
    """Makes `SomeUser(environment)`, which is how Locust spawns users, a parked one.

    A parked user never sends, so it skips the class's own constructor: 800 would otherwise hold 800 HTTP clients.
    """

    def __call__(cls, environment: Any) -> Any:
        parked: Any = cast(Any, cls).__new__(cls)
        User.__init__(cast(User, parked), environment)
        return parked

    def sender(cls, environment: Any) -> Any:
        """An instance that runs arrivals, constructed as its class says."""
        return super().__call__(environment)


class ArrivalUser(User, metaclass=ArrivalMeta):
    """A user that stands for `per_user` arrivals a second, whatever the target does (an open model).

    Use it before any other user class: `class Shop(ArrivalUser, FastHttpUser)`. Each arrival runs one `@task`, in a
    greenlet of its own, on an instance no other arrival is using. `wait_time` has no part in it, and a TaskSet, which
    is a loop of its own, is refused.

    There are as many instances as arrivals were in flight at once. `on_start` runs once on each, before its first
    arrival, which waits for it; `on_stop` at the end of the run. What they send is in Locust's statistics, and is no
    arrival. An `on_start` that raises, StopUser too, fails its arrival as `task_error`; the next has a new instance.

    per_user  arrivals a second that one user stands for; None takes `arrivals.per_user` of the configuration
    """

    abstract = True
    per_user: ClassVar[float | None] = None

    arrival: Arrival[Any] | None = None  # what this instance is running; None between arrivals and for parked users

    def run(self) -> None:  # type: ignore[misc]  # final for users that loop; this one only stands for a rate
        self._state = LOCUST_STATE_WAITING  # so that Locust stops it at once
        if not hasattr(self.environment, "generator"):
            raise StopTest(
                f"{type(self).__name__} has no run to send for: "
                "call sm_locust.setup(environment) before the runner starts"
            )
        self.environment.generator.add_user(type(self), +1)
        try:
            Event().wait()
        except GreenletExit:
            pass
        finally:
            self.environment.generator.add_user(type(self), -1)  # a late order may have changed it

    @classmethod
    def rate_per_user(cls, config: RunConfig) -> float:
        """Arrivals a second that one running user stands for."""
        return config.arrivals.per_user if cls.per_user is None else cls.per_user

    @classmethod
    def problem(cls, config: RunConfig) -> str | None:
        """What keeps this class from running with a configuration, in one sentence; None when nothing does."""
        if cls.per_user is not None and not cls.per_user > 0:
            return f"{cls.__name__}.per_user: {cls.per_user!r} is not accepted: a number of arrivals a second above 0"
        for task in cls.tasks:
            if isinstance(task, type) and issubclass(task, TaskSet):
                return (
                    f"{cls.__name__}: {task.__name__} is a TaskSet, a loop with waits or a sequence of its own; "
                    "an arrival runs one @task function"
                )
        if not cls.tasks:
            return f"{cls.__name__} has no @task to run for an arrival"
        return None

    @classmethod
    def check_here(cls, config: RunConfig) -> None:
        """Raises ConfigError when this process, which is to send, lacks what that takes: credentials, a key."""

    @classmethod
    def addresses(cls, config: RunConfig) -> Iterable[str]:
        """The URLs that arrivals of this class are sent to, as far as they are known before the run."""
        return [cls.host] if cls.host else []


class InvocationFailed(Exception):
    """What Locust's statistics show of a failed invocation: its kind and status, which is few enough to be counted."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(f"{outcome.kind} (HTTP {outcome.status})" if outcome.status else outcome.kind)


def tell(load: Load, user: ArrivalUser, request_type: str, name: str, outcome: Outcome) -> None:
    """Fires Locust's `request` event for what became of a request of ours, under a name of its statistics.

    Raises GreenletExit where the run's patience ended with it in flight: the rest of the task must not go on sending.
    """
    load.fire_request(
        request_type=request_type,
        name=name,
        response_time=outcome.latency * 1e3,
        response_length=outcome.received,
        exception=None if outcome.kind == OK else InvocationFailed(outcome),
        context=user.context(),
        outcome=outcome,
    )
    if outcome.kind == CANCELLED:
        raise GreenletExit
