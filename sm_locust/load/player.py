"""Users whose arrivals are runs of `scenarios`: one request after the other, each an Outcome of its own.

A run of a scenario goes on after an answer that is an error and ends with a request that was not answered, as a virtual
user of artillery's does. It keeps the cookies that answers set, for itself alone; a pause keeps no connection. How a
request is written is script's, sending it the invoker's, counting it the generator's, what becomes of cookies theirs.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from sm_locust import templates
from sm_locust.config import ConfigError
from sm_locust.feeders import chance
from sm_locust.load.answer import Answer
from sm_locust.load.cookies import Cookies
from sm_locust.load.hiding import Hiding
from sm_locust.load.invoker import EXCERPT, StepInvoker
from sm_locust.load.opening import proxy_for
from sm_locust.load.script import Script
from sm_locust.load.users import ArrivalUser, Load, tell
from sm_locust.record.outcome import TASK_ERROR, Outcome
from sm_locust.shipped import locustfile
from sm_locust.tables import Rows, Table

if TYPE_CHECKING:
    from sm_locust.config import RunConfig
    from sm_locust.load.arrival import Arrival


class PlayLoad(Load, Protocol):
    """What runs of scenarios need of the load of their process beside what all users do."""

    @property
    def player(self) -> Player: ...
    def further(self, arrival: Arrival[Any], scheduled_at: float) -> None: ...
    def ended(self, arrival: Arrival[Any], outcome: Outcome) -> None: ...
    def pause_until(self, arrival: Arrival[Any], at: float) -> None: ...


class Player:
    """The scenarios of one process: what is sent, with which values, over which connections.

    tables  of `feeds`, in their order
    index   this process's number among its like
    Raises ConfigError for an environment variable that is missing here, and for a proxy that cannot be used.
    """

    def __init__(self, load: PlayLoad, tables: Sequence[Table], index: int) -> None:
        config = load.config
        scenarios, seed = config.scenarios or (), config.arrivals.seed
        self._load = load
        expect = config.request.expect
        self._expect = (expect or "").encode()
        self._script = Script(scenarios)
        self._random = chance(seed, index, "scenarios")
        self._rows = [Rows(table, index, self._random) for table in tables]
        variables = {name: templates.plain_numbers(value) for name, value in config.variables.items()}
        self._drawn = [(name, value) for name, value in variables.items() if isinstance(value, list)]
        self._constant = {name: value for name, value in variables.items() if not isinstance(value, list)}
        self._constant[templates.ENV] = environment = _environment(config)
        bundle = os.environ.get("AWS_CA_BUNDLE") or None
        addresses = dict.fromkeys(call.address for flow in self._script.flows for call in flow.calls)
        try:
            connected = {address: load.connections(address, bundle, proxy_for(address)) for address in addresses}
        except ValueError as error:  # a proxy or a bundle that is none
            raise ConfigError(f"scenarios: {error}") from None
        timeout, hiding = config.request.timeout, Hiding(environment.values())
        self._invokers = {
            address: StepInvoker(connections, now=load.now, timeout=timeout, expect=expect, hiding=hiding)
            for address, connections in connected.items()
        }

    def play(self, user: ArrivalUser, arrival: Arrival[Any]) -> None:
        """Runs one scenario from its first request to its last, or to the first without an answer.

        Raises GreenletExit where the run's patience ended with a request in flight.
        """
        load = self._load
        if arrival.owed and arrival.outcome is not None:  # the task has sent something by another client before
            load.ended(arrival, arrival.outcome)
        flow = self._script.pick(self._random)
        values = self._values(flow.names)
        cookies: Cookies | None = None
        due = arrival.claim()
        is_first = True
        for call in flow.calls:
            if not is_first:
                due += call.pause
                if call.pause:
                    load.pause_until(arrival, due)
            if not arrival.owed:
                load.further(arrival, due)
            is_first = False
            answer = Answer(expect=b"" if call.is_head else self._expect, to_head=call.is_head)
            try:
                kept = None if cookies is None else partial(cookies.of, call.address)
                target, head, body = call.compose(values, self._random, kept)
            except ValueError as error:
                outcome = _not_sent(call.name, due, load.now(), error)
            else:
                outcome = self._invokers[call.address].exchange(answer, head, body, call.name, due)
            load.ended(arrival, outcome)
            tell(load, user, call.method, call.label, outcome)
            if not outcome.status:
                return
            if set_cookies := answer.cookies:
                cookies = cookies or Cookies()
                cookies.take(call.address + target, set_cookies)
            due = outcome.ended_at

    def _values(self, names: frozenset[str]) -> Mapping[str, Any]:
        """Drawn once for a run of a scenario; rows are used up by every run, whether it needs them or not."""
        rows = [table.next() for table in self._rows]
        if not names:
            return {}
        values: dict[str, Any] = {}
        for row in rows:
            values.update(row)
        for name, several in self._drawn:
            values[name] = self._random.choice(several)
        values.update(self._constant)
        if templates.UUID in names:
            values[templates.UUID] = str(uuid.uuid4())
        return values


def _not_sent(name: str, due: float, now: float, why: ValueError) -> Outcome:
    return Outcome(name, due, now, None, now, TASK_ERROR, message=f"nothing was sent: {why}"[:EXCERPT])


def _environment(config: RunConfig) -> dict[str, str]:
    """What `{{ $env.NAME }}` stands for. Raises ConfigError for a variable that this process has not."""
    for name in config.environment:
        if name not in os.environ:
            raise ConfigError(f"scenarios need the environment variable {name}, and it is not set")
    return {name: os.environ[name] for name in config.environment}


class ScenarioUser(ArrivalUser):
    """Plays `scenarios` of the configuration: an arrival is one run of one of them, picked by its weight.

    Requests are unsigned, and no redirect is followed. A script for artillery converts to such a configuration.
    """

    abstract = True
    host = "see --sm-config"  # what the web UI shows where other users have a host; nothing is sent there

    def play(self) -> None:
        """Runs one scenario to its end; each of its requests is counted, and told to Locust, as one.

        Fires Locust's `request` event for each, with the latency from when it was to be sent, and the Outcome.
        Raises RuntimeError outside of a task, and while another `play()` goes on for the same arrival.
        """
        arrival = self.arrival
        if arrival is None:
            raise RuntimeError(f"{type(self).__name__}.play() was called outside of a @task")
        if arrival.playing:
            raise RuntimeError(f"{type(self).__name__}.play() is already running for this arrival")
        arrival.playing = True
        try:
            self.environment.generator.player.play(self, arrival)
        finally:
            arrival.playing = False

    @classmethod
    def problem(cls, config: RunConfig) -> str | None:
        if config.scenarios is None:
            return f"{cls.__name__} plays scenarios and {_otherwise(config)}"
        try:
            Script(config.scenarios)
        except ValueError as error:
            return str(error)
        return super().problem(config)

    @classmethod
    def check_here(cls, config: RunConfig) -> None:
        _environment(config)

    @classmethod
    def addresses(cls, config: RunConfig) -> Iterable[str]:
        return config.urls()


def _otherwise(config: RunConfig) -> str:
    """What to do: a script that sends one request and no other is a target, which has a locustfile of its own."""
    target = config.target
    if target is None:
        return "the configuration has none: give scenarios in --sm-config FILE"
    fits = locustfile(target.model_dump(exclude_none=True))
    return f"the configuration, or what became of a script, is a target with one request: run {fits}"
