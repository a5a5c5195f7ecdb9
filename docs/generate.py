"""What the pages of docs/ say of options, commands, keys and names, written from the code that has them.

A page holds `<!-- generated: NAME -->` and `<!-- end -->`; what stands between them is this file's. `python -m
docs.generate` writes it anew, and a test compares: no option, key, default or accepted value can be wrong. What options
and keys mean together is written by hand, around it.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import locust.argument_parser  # before all that speaks HTTP: it patches the process

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

import sm_locust
from sm_locust.cli import main
from sm_locust.config import RunConfig, Slo
from sm_locust.config.faults import sections_in
from sm_locust.fields import format_duration
from sm_locust.local.settings import Settings
from sm_locust.plugin.options import add_options

DOCS = Path(__file__).parent
PLACE = re.compile(r"(?P<begin><!-- generated: (?P<name>\w+) -->\n)(?P<text>.*?)(?P<end><!-- end -->)", re.DOTALL)


def pages() -> Iterator[Path]:
    """The pages with something generated in them."""
    for page in sorted(DOCS.glob("*.md")):
        if PLACE.search(page.read_text(encoding="utf-8")):
            yield page


def regenerated(text: str) -> str:
    """A page's text with all that is generated made anew."""
    return PLACE.sub(lambda found: f"{found['begin']}\n{GENERATORS[found['name']]().strip()}\n\n{found['end']}", text)


# Words


def plain(text: str) -> str:
    """A text as Markdown that shows it: what is between backticks stays, elsewhere nothing is a mark."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else re.sub(r"([*<>])", r"\\\1", part) for part in parts)


def table(*rows: tuple[str, ...]) -> str:
    """Of cells; the first row is the head."""
    lines = [" | ".join(cell.replace("|", "\\|") for cell in row) for row in rows]
    return "\n".join(f"| {line} |" for line in (lines[0], " | ".join("---" for _ in rows[0]), *lines[1:]))


def code(value: object) -> str:
    return f"`{value}`"


# Options of `locust`


def options() -> str:
    parser = locust.argument_parser.get_empty_argument_parser()
    add_options(parser)
    rows = [("option", "default", "meaning", "in the web UI's form")]
    for action in parser._actions:
        if not action.option_strings[0].startswith("--sm-"):
            continue
        named = " ".join(filter(None, (action.option_strings[0], str(action.metavar or ""))))
        default = "–" if action.default in ("", False, None) else code(action.default)
        meaning = str(action.help).removeprefix("sm_locust: ")
        meaning = re.sub(r" \(default: [^)]*\)| \(default\)", "", meaning)
        variable = getattr(action, "env_var", None)
        rows.append(
            (
                code(named),
                default,
                plain(meaning) + (f" (or the environment's `{variable}`)" if variable else ""),
                "yes" if getattr(action, "include_in_web_ui", True) else "no",
            )
        )
    return table(*rows)


# Commands


def commands() -> str:
    return "\n\n".join(text for name, command in sorted(main.commands.items()) for text in _command(name, command, 2))


def _command(name: str, command: click.Command, level: int) -> Iterator[str]:
    context = click.Context(command, info_name=f"sm-locust {name}")
    arguments = [p for p in command.params if isinstance(p, click.Argument)]
    words = " ".join(f"[{a.human_readable_name}]" if _optional(a) else a.human_readable_name for a in arguments)
    yield f"{'#' * level} `sm-locust {name}`"
    said = inspect.cleandoc(command.help or "").split("\n\n")
    if words:
        said.insert(0, code(f"sm-locust {name} {words}"))
    yield "\n\n".join(plain(" ".join(paragraph.split())) for paragraph in said)
    rows = [("option", "default", "meaning")]
    for option in command.params:
        if isinstance(option, click.Option) and not option.hidden:
            rows.append(_option(option, context))
    if len(rows) > 1:
        yield table(*rows)
    if isinstance(command, click.Group):
        for under, of in command.commands.items():
            yield from _command(f"{name} {under}", of, level + 1)


def _optional(argument: click.Argument) -> bool:
    return not argument.required and not argument.human_readable_name.startswith("[")


def _option(option: click.Option, context: click.Context) -> tuple[str, str, str]:
    written = ", ".join(code(name) for name in (*option.opts, *option.secondary_opts))
    meaning = option.help or ""
    if isinstance(option.type, click.Choice):
        meaning += f" One of {', '.join(code(choice) for choice in option.type.choices)}."
    elif not option.is_flag:
        written += " " + code(
            {"INTEGER RANGE": "N", "FLOAT": "NUMBER"}.get(metavar := option.make_metavar(context), metavar)
        )
    extra = option.get_help_extra(context)
    said = re.search(r" ?\[default: (.*)\]$", meaning)
    default = said[1] if said else code(extra["default"]) if "default" in extra else "–"
    if "range" in extra:
        meaning += f" Accepted: {code(extra['range'])}."
    return written, plain(default), plain(re.sub(r" ?\[default: .*\]$", "", meaning))


# The configuration


def configuration() -> str:
    return "\n\n".join(text for _, text in _sections(RunConfig, "", set()))


def _sections(model: type[BaseModel], path: str, seen: set[type[BaseModel]]) -> Iterator[tuple[str, str]]:
    """Each section below a model, with its heading, what it is about and its keys."""
    for name, field in model.model_fields.items():
        key = f"{path}{field.alias or name}"
        for section in sections_in(field.annotation):
            if section in seen:
                continue
            seen.add(section)
            listed = "Listed" if _is_list(field) else ""
            head = f"### `{key}`\n\n" + _markdown(_as_in_the_file(section))
            if listed:
                head += "\n\nA list; the keys of each:"
            yield key, head + "\n\n" + _keys(section)
            yield from _sections(section, f"{key}.", seen)
    if not path and (loose := [(n, f) for n, f in model.model_fields.items() if not _has_section(f)]):
        rows = [(code(f.alias or n), _default(f), plain(f.description or "")) for n, f in loose]
        yield "", "### Other keys\n\n" + table(("key", "default", "accepted"), *rows)


def _as_in_the_file(section: type[BaseModel]) -> str:
    """Its docstring, with each key as the file has it."""
    text = inspect.cleandoc(section.__doc__ or "")
    for name, field in section.model_fields.items():
        text = text.replace(f"`{name}`", f"`{field.alias or name}`")
    return text


def _has_section(field: FieldInfo) -> bool:
    return next(sections_in(field.annotation), None) is not None


def _is_list(field: FieldInfo) -> bool:
    return "tuple[" in str(field.annotation) or "list[" in str(field.annotation)


def _keys(section: type[BaseModel]) -> str:
    """A row a key; keys that differ only in the end of their names, and accept the same, share one."""
    rows: list[tuple[str, str, str]] = []
    before = None
    for name, field in section.model_fields.items():
        here = (name.rpartition("_")[0], field.default, field.description)
        if before == here and section is Slo:
            keys, default, accepted = rows.pop()
            rows.append((f"{keys}, {code(field.alias or name)}", default, accepted))
        else:
            rows.append((code(field.alias or name), _default(field), plain(field.description or "a section, below")))
        before = here
    return table(("key", "default", "accepted"), *rows)


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "required" if field.default_factory is None else "–"
    value, accepted = field.default, field.description or ""
    if value is None or value == ():
        return "–"
    if isinstance(value, bool):
        return code(str(value).lower())
    if isinstance(value, float):
        if "percentage" in accepted:
            return code(f"{value:.0%}")
        timed = "duration" in accepted or accepted.startswith("1s,")
        return code(format_duration(value) if timed else f"{value:g}")
    return code(value)


# Settings of the local endpoint


def settings() -> str:
    """Its docstring has the meanings, a name and two spaces or more before each."""
    said = dict(re.findall(r"^(\w+) {2,}(.+)$", inspect.cleandoc(Settings.__doc__ or ""), re.MULTILINE))
    missing = set(said) - set(Settings.model_fields)
    assert not missing, missing  # nosec B101 # of our own text
    rows = [
        (code(name), "–" if field.default is None else code(field.default), plain(said.get(name, "")), _bounds(field))
        for name, field in Settings.model_fields.items()
    ]
    return table(("setting", "default", "meaning", "accepted"), *rows)


def _bounds(field: FieldInfo) -> str:
    schema = Settings.model_json_schema()["properties"][next(n for n, f in Settings.model_fields.items() if f is field)]
    if "enum" in schema:
        return ", ".join(code(value) for value in schema["enum"])
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤"}
    bounds = " and ".join(f"{sign} {schema[key]:g}" for key, sign in signs.items() if key in schema)
    return bounds or {"integer": "a whole number", "number": "a number"}.get(schema.get("type", ""), "a text")


# The public names


# Of classes that sm_locust itself drives, what is there for others; of all others it is everything.
SHOWN = {
    "Comparison": ("of", "before", "after", "pairs", "as_dict"),
    "Feeder": ("check",),
    "LiveRun": ("is_running", "is_ending", "elapsed", "finish"),
    "Run": ("open", "ledger", "failures", "observations", "scaling_events", "to_pandas"),
    "Summary": ("of", "exit_code", "as_dict", "to_pandas"),
    "Schedule": ("duration", "total", "peak", "phase_at", "rate", "expected", "crossing", "at_speed"),
}
OF_USERS = ("invoke",)  # of users and shapes, which Locust drives


def reference() -> str:
    """Every name of `sm_locust`, from its docstring."""
    return "\n\n".join(_public(name) for name in sm_locust.__all__ if not name.startswith("__"))


def _public(name: str) -> str:
    value = getattr(sm_locust, name)
    parts = [f"## `{name}`", code(f"{name}{_signature(value)}") if callable(value) else "", _said(value)]
    if inspect.isclass(value) and not issubclass(value, BaseModel | BaseException):
        for member, of in _members(value).items():
            target = of.fget if isinstance(of, property) else getattr(of, "__func__", of)
            if member.startswith("_") or not inspect.isfunction(target) or not target.__doc__:
                continue
            shown = member if isinstance(of, property) else f"{member}{_signature(target, bound=True)}"
            parts += [f"### `{name}.{member}`", code(shown), _said(target)]
    return "\n\n".join(part for part in parts if part)


def _members(value: type) -> dict[str, Any]:
    """What a user finds in a class, that of bases which have no name of their own among them."""
    ours = [base for base in value.__mro__ if base.__module__.startswith("sm_locust")]
    hidden = [base for base in ours[1:] if base.__name__ not in sm_locust.__all__]
    found = {member: of for base in reversed([value, *hidden]) for member, of in vars(base).items()}
    shown = OF_USERS if _is_users(value) else SHOWN.get(value.__name__, tuple(found))
    return {member: found[member] for member in shown if member in found}


def _signature(value: Any, bound: bool = False) -> str:
    if inspect.isclass(value) and (issubclass(value, BaseModel | BaseException) or _is_users(value)):
        return ""  # made by Locust, from a file, or raised: nobody calls it
    try:
        found = inspect.signature(value)
    except ValueError:
        return ""
    kept = [
        parameter
        for i, parameter in enumerate(found.parameters.values())
        if not (bound and i == 0 and parameter.name in ("self", "cls"))
    ]
    text = str(found.replace(parameters=kept))
    text = re.sub(r"(: |-> )'([^']*)'", r"\1\2", text)  # annotations, which are texts
    return re.sub(r"\b(?:typing|collections\.abc|pathlib|sm_locust(?:\.\w+)*)\.", "", text)


def _is_users(value: type) -> bool:
    return any(base.__module__.startswith("locust.") for base in value.__mro__)


def _said(value: Any) -> str:
    """A docstring as Markdown; that which a dataclass has of Python's making says nothing."""
    if dataclasses.is_dataclass(value) and (value.__doc__ or "").startswith(f"{getattr(value, '__name__', '')}("):
        return ""
    return _markdown(inspect.cleandoc(value.__doc__ or ""))


def _markdown(text: str) -> str:
    """Paragraphs as they are, lists of aligned names as tables."""
    blocks = []
    for paragraph in text.split("\n\n"):
        prose, rows = [], []
        for line in paragraph.split("\n"):
            entry = re.match(r"([\w., *]*\w) {2,}(\S.*)$", line)
            if entry:
                rows.append([entry[1], entry[2]])
            elif rows and line.startswith("  "):
                rows[-1][1] += " " + line.strip()
            else:
                prose.append(line)
        if prose:
            blocks.append(plain("\n".join(prose)))
        if rows:
            blocks.append(table(("name", "meaning"), *((code(name), plain(text)) for name, text in rows)))
    return "\n\n".join(blocks)


GENERATORS: dict[str, Callable[[], str]] = {
    "options": options,
    "commands": commands,
    "configuration": configuration,
    "settings": settings,
    "reference": reference,
}


if __name__ == "__main__":
    for page in pages():
        text = page.read_text(encoding="utf-8")
        made = regenerated(text)
        if made != text:
            page.write_text(made, encoding="utf-8")
            print(f"docs/{page.name}", file=sys.stderr)
