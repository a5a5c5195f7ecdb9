"""`config.phases` of a script, and what phases say of arrivals: our phases and arrivals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sm_locust import templates
from sm_locust.artillery.reading import A_DURATION, Reading, named
from sm_locust.fields import Loc, format_duration

A_PHASE = "a mapping of duration with arrivalRate, rampTo or arrivalCount; or of pause"
A_RATE = "a number of arrivals a second, 0 or more"
A_COUNT = "a number of arrivals, 0 or more"
A_CAP = "a whole number, 1 or more"

_PLACE: Loc = ("config", "phases")
_KEYS = ("name", "duration", "arrivalRate", "rampTo", "arrivalCount", "pause", "maxVusers", "mode")
_KINDS = {  # and the keys that are not beside each
    "pause": ("duration", "arrivalRate", "rampTo", "arrivalCount"),
    "arrivalCount": ("arrivalRate", "rampTo"),
    "arrivalRate": (),
}


def converted(read: Reading, config: Mapping[Any, Any]) -> dict[str, Any]:
    """Our sections `phases` and, where anything is said of it, `arrivals`."""
    read.places[("phases",)] = _PLACE
    if config.get("phases") is None:
        read.note(_PLACE, "without them, artillery runs one scenario once, and so does this")
        return {"phases": [{"name": "once", "duration": "1s", "arrival_rate": 1}]}
    given = read.listed(_PLACE, config["phases"], "a list of phases")
    if not given and not read.faults:
        read.wrong(_PLACE, given, "a list of one phase or more")
    ours: list[dict[str, Any]] = []
    caps: dict[int, float | None] = {}
    spacings: list[Any] = []  # of whatever the script says: not all of it can be in a set
    for i, each in enumerate(given):
        phase = _phase(read, i, each, len(ours))
        if phase is None:
            continue
        ours.append(phase)
        if "pause" not in each:
            caps[i] = _cap(read, i, each)
            spacings.append(each.get("mode", config.get("mode")) or "uniform")
    arrivals = _one_cap(read, caps) | _one_spacing(read, spacings)
    return {"phases": ours, **({"arrivals": arrivals} if arrivals else {})}


def _phase(read: Reading, i: int, each: object, position: int) -> dict[str, Any] | None:
    place: Loc = (*_PLACE, i)
    if not isinstance(each, Mapping):
        read.wrong(place, each, A_PHASE)
        return None
    read.unknown(place, each, _KEYS)
    ours = ("phases", position)
    read.places[ours] = place
    kind = next((key for key in _KINDS if key in each), None)
    if kind is None:
        also = "; artillery starts no phase without it either" if "rampTo" in each else ""
        read.refuse((*place, "arrivalRate"), f"missing; required: {A_RATE}; or arrivalCount, or pause{also}")
        return None
    for other in _KINDS[kind]:
        if other in each:
            read.wrong((*place, other), each[other], f"only without {kind}")
    lasting = "pause" if kind == "pause" else "duration"
    read.places[(*ours, "duration")] = (*place, lasting)
    if lasting not in each:
        read.refuse((*place, "duration"), f"missing; required: {A_DURATION}")
        return None
    duration = read.seconds((*place, lasting), each[lasting])
    if duration == 0:
        read.wrong((*place, lasting), each[lasting], A_DURATION)
    phase: dict[str, Any] = {
        "name": named(each.get("name"), f"{'pause' if kind == 'pause' else 'phase'} {i + 1}"),
        "duration": format_duration(duration or 1.0),
    }
    if kind == "pause":
        return phase | {"arrival_rate": 0, "judge": False}
    read.places[(*ours, "arrival_rate")] = (*place, kind)
    read.places[(*ours, "ramp_to")] = (*place, "rampTo")
    rate = read.number((*place, kind), each[kind], A_RATE if kind == "arrivalRate" else A_COUNT)
    if kind == "arrivalCount":
        if rate == 0:
            read.note(place, "left out: it has no arrivals, and artillery goes on to the next phase at once")
            return None
        return phase | {"arrival_rate": templates.plain_numbers((rate or 0) / (duration or 1))}
    phase["arrival_rate"] = templates.plain_numbers(rate or 0)
    if each.get("rampTo") is not None:
        phase["ramp_to"] = templates.plain_numbers(read.number((*place, "rampTo"), each["rampTo"], A_RATE) or 0)
    elif rate == 0:
        phase["judge"] = False
    return phase


def _cap(read: Reading, i: int, each: Mapping[Any, Any]) -> float | None:
    if each.get("maxVusers") is None:
        return None
    place = (*_PLACE, i, "maxVusers")
    return read.number(place, each["maxVusers"], A_CAP, lambda cap: cap >= 1 and cap.is_integer())


def _one_cap(read: Reading, caps: Mapping[int, float | None]) -> dict[str, int]:
    first = next((i for i, cap in caps.items() if cap is not None), None)
    if first is None:
        return {}
    place = (*_PLACE, first, "maxVusers")
    if len(set(caps.values())) > 1:
        read.refuse(
            place,
            "the phases differ, and here one limit holds for the whole run (arrivals.max_in_flight): give every phase "
            "the same, or none",
        )
        return {}
    read.note(
        place, "holds for each process of Locust: with workers, divide it by their number; what is over it is dropped"
    )
    read.places["arrivals", "max_in_flight"] = place
    return {"max_in_flight": int(caps[first] or 1)}


def _one_spacing(read: Reading, spacings: list[Any]) -> dict[str, str]:
    place = ("config", "mode")
    wrong = [spacing for spacing in spacings if spacing not in ("uniform", "poisson")]
    if wrong:
        read.wrong(place, wrong[0], "uniform or poisson")
    elif len(set(spacings)) > 1:
        read.refuse(place, "phases of both modes have no equal here: give every phase the same mode")
    return {"spacing": "poisson"} if "poisson" in spacings else {}
