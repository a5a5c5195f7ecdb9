"""An artillery or serverless-artillery script → the shape of our YAML: mapping in, mapping out, nothing read or sent.

`environments` and `settings` convert `config`, `flow` converts `scenarios`, `one_request` finds out that a script only
sends one, `written` writes the result as YAML with comments. What a key means, and what it is by default, is as
artillery 2 has it. What has no equal here is refused by its name, in the script's own words; what has no effect is a
note.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sm_locust.artillery import environments, flow, one_request, settings
from sm_locust.artillery.reading import KIND, Reading
from sm_locust.artillery.written import as_yaml as as_yaml
from sm_locust.config_error import ConfigError
from sm_locust.fields import Loc, shown

_DIFFERENCES = (
    "redirects are not followed, an answer of 400 or more is an error, and latency counts from the scheduled time of "
    "an arrival"
)
# What slsart adds to a script, or its Lambda function does while it runs one.
_OF_SLSART = {
    "_split": "Locust shares the load out over its workers, by --processes or --worker",
    "_trace": "runs/ keeps what happened",
    "sampling": "it is of slsart's acceptance and monitoring modes",
    "_start": "slsart sets it itself",
    "_genesis": "slsart sets it itself",
    "_invokeType": "slsart sets it itself",
    "_funcAws": "slsart sets it itself",
}
_ROOT = ("config", "scenarios", "before", "after", "version", "mode", "_simulation", *_OF_SLSART)


@dataclass(frozen=True)
class Converted:
    """A script in our YAML's shape.

    config  for RunConfig.from_dict; it may hold a fault still that only the models find
    notes   what was understood and has no effect here, a sentence each
    """

    config: dict[str, Any]
    notes: tuple[str, ...]
    _places: Mapping[Loc, Loc] = field(default_factory=dict, repr=False)

    def place(self, loc: Loc) -> Loc:
        """Where in the script stands what is at `loc` in `config`."""
        for end in range(len(loc), 0, -1):
            if loc[:end] in self._places:
                return (*self._places[loc[:end]], *loc[end:])
        return loc


def is_script(data: object) -> bool:
    """Whether YAML is a script for artillery, and not our own: ours has no `config`, and its scenarios no `flow`."""
    if not isinstance(data, Mapping):
        return False
    if isinstance(data.get("config"), Mapping):
        return True
    scenarios = data.get("scenarios")
    return isinstance(scenarios, list) and any(
        isinstance(scenario, Mapping) and ("flow" in scenario or "engine" in scenario) for scenario in scenarios
    )


def convert(data: object, environment: str | None = None) -> Converted:
    """Our YAML's shape of a script.

    environment  the one of config.environments that is merged over config; None for none

    In config.target and the like `{{ $env.NAME }}` stands for what this process's environment holds. In requests it is
    looked up when the run starts, so that no file of ours holds it.

    Raises ConfigError that names the script's key, its value and what is accepted or what to do instead, and the names
    of what else is wrong.
    """
    read = Reading(environment)
    try:
        converted = _converted(read, data)
    except RecursionError:
        raise ConfigError("nested too deeply; accepted: an artillery script") from None
    read.raise_for_faults()
    return converted


def _converted(read: Reading, data: object) -> Converted:
    script = read.mapping((), data, "an artillery script, a mapping of config and scenarios")
    if read.faults:
        return Converted({}, ())
    read.unknown((), script, _ROOT)
    _of_slsart(read, script)
    for hook in ("before", "after"):
        if hook in script:
            read.no_equal((hook,), f"what runs once {hook} a test has no equal here: do it {hook} `locust` runs")
    if "config" not in script:
        read.refuse(
            ("config",),
            "missing; artillery takes it from another file (--config): put config and scenarios into one file",
            KIND,
        )
        return Converted({}, ())
    config = environments.merged(read, read.mapping(("config",), script["config"], "a mapping"))
    if "scenarios" not in script:
        read.refuse(
            ("scenarios",), "missing; required: a list of one scenario or more, in the same file as config", KIND
        )
    found = settings.converted(read, config)
    scenarios = flow.converted(read, script.get("scenarios", []), found)
    ours: dict[str, Any] = {}
    if not read.faults:
        flow.check_names(read, scenarios, found)
    if not read.faults:
        read.note((), _DIFFERENCES)
        ours = one_request.with_target(read, found.sections | {"scenarios": scenarios}, found.target)
    return Converted(ours, read.notes, read.places)


def _of_slsart(read: Reading, script: Mapping[Any, Any]) -> None:
    for key, why in _OF_SLSART.items():
        if key in script:
            read.no_effect((key,), why)
    if script.get("_simulation"):
        read.refuse(
            ("_simulation",),
            "slsart would send nothing: take it away; `sm-locust plan` shows what would be sent",
            KIND,
        )
    mode = script.get("mode")
    if mode in ("acc", "acceptance", "mon", "monitoring"):
        read.refuse(
            ("mode",),
            f"{shown(mode)} is not accepted: slsart sends a few requests then, whatever phases say; take it away, and "
            "let phases say how many",
            KIND,
        )
    elif mode not in (None, "perf", "performance"):
        read.wrong(("mode",), mode, "perf or performance")
