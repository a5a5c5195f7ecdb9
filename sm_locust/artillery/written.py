"""A converted script as YAML of ours, with comments: what `sm-locust init --from` writes."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import yaml

from sm_locust.shipped import locustfile

if TYPE_CHECKING:
    from sm_locust.artillery import Converted

_WIDTH = 110
_COMMENTS = {
    "target": "Where requests go. The locustfile decides how: {locustfile}.",
    "request": "What is sent, and how long an answer may take.",
    "phases": "The schedule: arrivals a second; a pause is a phase without any, and judge: false keeps it out of slo.",
    "arrivals": "How arrivals are spread, and how many may be under way in one process.",
    "slo": "What each phase must keep.",
    "scenarios": "One arrival is one run of one of these, picked by weight. Run it with {locustfile}.",
    "feeds": "CSV files whose rows give {{ templates }} their values: one row for each run of a scenario.",
    "variables": "Values of {{ templates }}: of a list, one at random for each run of a scenario.",
}
_SAID_BY_TARGET = ("scenarios", "feeds", "variables")


def as_yaml(converted: Converted) -> str:
    """Our YAML of a converted script; without scenarios where target and request say all of it."""
    config = converted.config
    plain = "target" in config
    lines = ["# Made from an artillery script by `sm-locust init --from`."]
    if converted.notes:
        lines.append("#")
        for note in converted.notes:
            lines += textwrap.wrap(
                note, _WIDTH, initial_indent="# - ", subsequent_indent="#   ", break_long_words=False
            )
    for key, comment in _COMMENTS.items():
        if key not in config or (plain and key in _SAID_BY_TARGET):
            continue
        comment = comment.replace("{locustfile}", locustfile(config.get("target", ())))
        lines += ["", f"# {comment}", _section(key, config[key])]
    return "\n".join(lines) + "\n"


class _Indented(yaml.SafeDumper):
    """Lists stand further in than the key that they are of."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> Any:
        return super().increase_indent(flow, False)


def _section(key: str, value: Any) -> str:
    if key in ("phases", "feeds"):
        return "\n".join([f"{key}:", *(_item(each, 2) for each in value)])
    if key == "scenarios":
        lines = [f"{key}:"]
        for scenario in value:
            head = [f"{name}: {_flow(scenario[name])}" for name in ("name", "weight")]
            lines += [f"  - {head[0]}", f"    {head[1]}", "    steps:", *(_item(step, 6) for step in scenario["steps"])]
        return "\n".join(lines)
    return _block({key: value})


def _item(value: Any, indent: int) -> str:
    """An item of a list: on one line, if it fits there."""
    line = f"{' ' * indent}- {_flow(value)}"
    if len(line) <= _WIDTH and "\n" not in line:
        return line
    return textwrap.indent(_block([value]), " " * indent)


def _block(value: Any) -> str:
    text = yaml.dump(
        value, Dumper=_Indented, width=_WIDTH, sort_keys=False, allow_unicode=True, default_flow_style=False
    )
    return text.rstrip("\n")


def _flow(value: Any) -> str:
    text = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=10_000, default_flow_style=True)
    return str(text).removesuffix("\n").removesuffix("\n...").strip()
