"""`scenarios` of a script: each step of a flow becomes a request, or a pause."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sm_locust import templates
from sm_locust.artillery import javascript
from sm_locust.artillery.reading import KIND, Reading, named, shown_names
from sm_locust.artillery.request import BODIES, Requests
from sm_locust.artillery.settings import Settings
from sm_locust.fields import METHODS, Loc, format_duration

A_STEP = f"a mapping of one of {', '.join(METHODS)}, think, log"

_KINDS = (*METHODS, "think", "log")
_KINDS_WITHOUT_EQUAL = {
    "loop": "has no equal here: write its steps out as often as they are to be done, or let more scenarios arrive",
    "parallel": "has no equal here: the steps of a scenario follow one another",
    "function": "",  # as JavaScript
}


def converted(read: Reading, given: object, settings: Settings) -> list[dict[str, Any]]:
    """Our scenarios."""
    read.places[("scenarios",)] = ("scenarios",)
    scenarios = read.listed(("scenarios",), given, "a list of scenarios")
    ours: list[dict[str, Any]] = []
    for i, each in enumerate(scenarios):
        scenario = _Flow(read, settings, ("scenarios", i), len(ours)).scenario(each, f"scenario {i + 1}")
        if scenario is not None:
            ours.append(scenario)
    if not ours and not read.faults:
        read.wrong(("scenarios",), scenarios, "a list of one scenario or more, one of them with a weight of 1 or more")
    return ours


def check_names(read: Reading, scenarios: list[dict[str, Any]], settings: Settings) -> None:
    """Refuses templates whose name nothing gives a value to; artillery sends `undefined` in their place."""
    sections = settings.sections
    fields = [name for feed in sections.get("feeds", []) if isinstance(feed["fields"], list) for name in feed["fields"]]
    known = {*sections.get("variables", {}), *(name for name in fields if isinstance(name, str)), *templates.OWN}
    for i, scenario in enumerate(scenarios):
        for j, step in enumerate(scenario["steps"]):
            for key in ("url", "headers", "query", *BODIES):
                try:
                    needed = templates.compile(step.get(key, "")).names
                except templates.TemplateError:
                    continue  # which our own models refuse, in the same words
                for missing in sorted(needed - known):
                    read.refuse(
                        (*read.places["scenarios", i, "steps", j], "qs" if key == "query" else key),
                        f"{{{{ {missing} }}}} has no value: neither config.variables nor config.payload names it, and "
                        f"--variables has no equal here; names with a value: {shown_names(known)}",
                    )


class _Flow:
    """One scenario on its way to steps.

    place     of the scenario in the script
    position  in our scenarios
    """

    def __init__(self, read: Reading, settings: Settings, place: Loc, position: int) -> None:
        self._read = read
        self._settings = settings
        self._requests = Requests(read, settings)
        self._place = place
        self._position = position
        self._steps: list[dict[str, Any]] = []

    def scenario(self, given: object, otherwise: str) -> dict[str, Any] | None:
        """None for one that is at fault, or never picked. `otherwise` is its name if it has none."""
        read, place = self._read, self._place
        read.places["scenarios", self._position] = place
        scenario = read.mapping(place, given, "a mapping of name, weight, flow")
        engine = scenario.get("engine") or self._settings.engine or "http"
        if engine != "http":
            read.wrong((*place, "engine"), engine, "http, the default; no other engine has an equal here", KIND)
            return None
        read.unknown(place, scenario, ("name", "weight", "flow", "engine", *javascript.HOOKS))
        javascript.refuse_hooks(read, place, scenario, self._settings.target)
        weight = read.number((*place, "weight"), scenario.get("weight", 1), "a whole number, 0 or more")
        if weight is not None and weight < 1:
            read.note((*place, "weight"), "the scenario is left out: it is never picked")
            return None
        at: Loc = (*place, "flow")
        if "flow" not in scenario:
            if scenario:
                read.refuse(at, "missing; required: a list of steps")
            return None
        read.places["scenarios", self._position, "steps"] = at
        for j, each in enumerate(read.listed(at, scenario["flow"], "a list of steps")):
            if isinstance(each, list):  # as YAML aliases of lists of steps come out
                for k, inner in enumerate(each):
                    self._step((*at, j, k), inner)
            else:
                self._step((*at, j), each)
        if not read.faults and not self._has_a_request:
            read.refuse(at, "holds no request; accepted: a list of steps, one of them a request")
        return {"name": named(scenario.get("name"), otherwise), "weight": int(weight or 1), "steps": self._steps}

    @property
    def _has_a_request(self) -> bool:
        return any("url" in step for step in self._steps)

    def _step(self, place: Loc, given: object) -> None:
        read = self._read
        step = read.mapping(place, given, A_STEP)
        for key, why in _KINDS_WITHOUT_EQUAL.items():
            if key in step:
                if key == "function":
                    javascript.refuse(read, (*place, key), self._settings.target)
                else:
                    read.no_equal((*place, key), why)
                return
        kinds = [key for key in step if key in _KINDS]
        read.unknown(place, step, (*_KINDS, *_KINDS_WITHOUT_EQUAL, *(("jitter",) if kinds else ())))
        if len(kinds) > 1:
            read.refuse((*place, kinds[1]), f"a step has one key, and {kinds[0]} is another: write two steps")
            return
        if not kinds:
            if not step and isinstance(given, Mapping):
                read.wrong(place, given, A_STEP)
            return
        ours = ("scenarios", self._position, "steps", len(self._steps))
        kind = kinds[0]
        if kind == "log":
            read.no_effect((*place, "log"), "nothing is printed")
        elif kind == "think":
            self._think(place, step, ours)
        else:
            read.places[ours] = (*place, kind)
            request = self._requests.converted((*place, kind), kind, step[kind], ours)
            if request is not None:
                self._steps.append(request)

    def _think(self, place: Loc, step: Mapping[Any, Any], ours: Loc) -> None:
        read = self._read
        at = read.places[(*ours, "think")] = (*place, "think")
        if step.get("jitter"):
            read.no_effect((*place, "jitter"), "the pause is as long as think says")
        written = templates.put(step["think"], self._settings.constants)
        seconds = read.seconds(at, written, "a number of seconds, or a duration such as 500ms or 2s")
        if seconds and not self._has_a_request:
            read.note(at, "left out: ahead of the first request it would only delay the arrival")
        elif seconds:
            self._steps.append({"think": format_duration(seconds)})
