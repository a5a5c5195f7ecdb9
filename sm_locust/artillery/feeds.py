"""`config.payload` of a script, CSV files whose rows are values: our feeds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sm_locust.artillery.reading import Reading
from sm_locust.fields import Loc

_KEYS = ("path", "fields", "order", "delimiter", "skipHeader", "skipEmptyLines", "cast", "loadAll", "name", "options")


def converted(read: Reading, config: Mapping[Any, Any]) -> list[dict[str, Any]]:
    place: Loc = ("config", "payload")
    given = config.get("payload")
    several = isinstance(given, list)
    ours: list[dict[str, Any]] = []
    for i, each in enumerate(given if isinstance(given, list) else [] if given is None else [given]):
        at = (*place, i) if several else place
        feed = _feed(read, at, each)
        if feed is not None:
            for key, theirs in (("file", "path"), ("header", "skipHeader")):
                read.places["feeds", len(ours), key] = (*at, theirs)
            read.places["feeds", len(ours)] = at
            ours.append(feed)
    return ours


def _feed(read: Reading, place: Loc, each: object) -> dict[str, Any] | None:
    payload = read.mapping(place, each, "a mapping of path and fields")
    read.unknown(place, payload, _KEYS)
    if payload.get("loadAll"):
        read.no_equal(
            (*place, "loadAll"),
            "all rows at once have no equal here: without loadAll, each run of a scenario is given a row",
        )
        return None
    if payload.get("options") is not None:
        accepted = "delimiter, skipHeader and cast, beside path and fields"
        read.no_equal((*place, "options"), f"options of csv-parse have no equal here; accepted: {accepted}")
    if payload.get("skipEmptyLines") not in (None, True, "true"):
        read.wrong((*place, "skipEmptyLines"), payload["skipEmptyLines"], "true, the default: an empty line is no row")
    if not payload:
        return None
    if payload.get("path") is None:
        read.refuse(
            (*place, "path"), "missing; required: the path of a CSV file (artillery may be given it with --payload)"
        )
        return None
    if payload.get("fields") is None:
        read.refuse((*place, "fields"), "missing; required: a list of one name or more, one for each column")
        return None
    file = read.text((*place, "path"), payload["path"], "the path of a CSV file") or "?"
    order = payload.get("order", "random")
    if order not in ("random", "sequence"):
        read.wrong((*place, "order"), order, "sequence or random")
    feed: dict[str, Any] = {"file": file.removeprefix("./"), "fields": payload["fields"]}
    feed["order"] = "sequential" if order == "sequence" else "random"
    if payload.get("delimiter"):
        feed["delimiter"] = payload["delimiter"]
    if "skipHeader" in payload and read.flag((*place, "skipHeader"), payload["skipHeader"]):
        feed["header"] = True
    if "cast" not in payload or read.flag((*place, "cast"), payload["cast"]) is not False:
        feed["cast"] = True
    return feed
