"""What a field of the configuration may hold: durations, ratios, names, addresses, as people write them.

The sections that are made of these fields are config's.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal, TypeVar, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer
from pydantic_core import PydanticCustomError

MAX_DURATION = 720 * 3600.0  # seconds; past it sockets and timers refuse, and a phase is a slip of the pen
MAX_LATENCY = 120.0  # seconds; histograms end there (CONTRACTS, Time and latency), so a higher limit could never fail

A_DURATION = "a duration such as 90s, 60m or 1h30m, or a number of seconds; more than 0, at most 720h"
A_LATENCY = "a latency with its unit, such as 15ms or 0.3s; more than 0, at most 120s"
A_RATIO = "a percentage such as 5%, or a fraction such as 0.05; 0% to 100%"
A_RATE = "a number of arrivals a second, 0 or more"
A_FIRST_RATE = "a number of arrivals a second, more than 0, at most 1000000"
A_PRECISION = "a percentage such as 5%, or a fraction such as 0.05; 1% to 50%"
A_NAME = "a name of 1 to 63 letters, digits and dashes, no dash first or last"
A_METRIC = "error_rate, or latency_*, service_time_*, model_latency_* with p50, p90, p95, p99, p999, mean or max for *"
A_PERCENTAGE = "a percentage such as 90%; more than 0%; 100% is one core, or one GPU, and an instance may have several"
A_METRIC_NAME = "a text of 1 to 200 printable ASCII characters"
A_COOLDOWN = "a duration of whole seconds such as 0s, 60s or 5m, at most 720h"
A_DATE = "the day that they are of, such as 2026-11-24"
A_PRICE = "a number of US dollars, 0 or more"
A_HOST = "a host of up to 253 characters, each part between its dots of 1 to 63"
A_URL = "an http:// or https:// URL with a host, without user, password, query or fragment"


# Durations and ratios, as people write them


_UNITS = {"h": Decimal(3600), "m": Decimal(60), "s": Decimal(1), "ms": Decimal("0.001")}  # seconds
_NUMBER = r"(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)"
_DURATION = re.compile(rf"(?=.)(?:({_NUMBER})h)?(?:({_NUMBER})m)?(?:({_NUMBER})s)?(?:({_NUMBER})ms)?")
_PERCENTAGE = re.compile(rf"({_NUMBER})%")


def parse_duration(text: str) -> float:
    """Seconds of "90s", "1h30m", "15ms". ValueError for anything else, and for a number without a unit."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError(f"duration: {text!r} is not accepted: such as 90s, 1h30m or 15ms")
    parts = zip(found.groups(), _UNITS.values(), strict=True)
    return float(sum(Decimal(number) * unit for number, unit in parts if number))


def format_duration(seconds: float) -> str:
    """ "1h30m", "1m30s", "15ms": the shortest text that `parse_duration` reads as exactly `seconds` (0 or more)."""
    exact = Decimal(repr(seconds))
    if 0 < exact < 1:
        return f"{(exact * 1000).normalize():f}ms"
    minutes, whole = divmod(int(exact), 60)
    hours, minutes = divmod(minutes, 60)
    rest = (whole + (exact - int(exact))).normalize()
    parts = [f"{hours}h" if hours else "", f"{minutes}m" if minutes else "", f"{rest:f}s" if rest else ""]
    return "".join(parts) or "0s"


# What a field may hold


T = TypeVar("T")


def _given(value: Any) -> Any:
    if value is None:  # `region:` with nothing behind it is a slip, not a wish for the default
        raise ValueError
    return value


def _listed(value: Any) -> Any:
    if not isinstance(value, list | tuple):  # a set has no order, and YAML can write one
        raise ValueError
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError
    try:
        return float(value)
    except OverflowError:
        raise ValueError from None


def read_duration(value: Any) -> float:
    return parse_duration(value) if isinstance(value, str) else _number(value)


def read_latency(value: Any) -> float:
    if not isinstance(value, str):
        raise ValueError  # 15: seconds or milliseconds? Nobody should have to guess
    seconds = parse_duration(value)
    if not 0 < seconds <= MAX_LATENCY:
        raise ValueError
    return seconds


def read_ratio(value: Any) -> float:
    if isinstance(value, str):
        found = _PERCENTAGE.fullmatch(value)
        if found is None:
            raise ValueError
        ratio = float(Decimal(found[1]) / 100)
    else:
        ratio = _number(value)
    if not 0 <= ratio <= 1:
        raise ValueError
    return ratio


def read_percentage(value: Any) -> float:
    found = _PERCENTAGE.fullmatch(value) if isinstance(value, str) else None
    if found is None or not 0 < float(found[1]) <= 1e6:  # 90: of what? CloudWatch's number is a percentage
        raise ValueError
    return float(Decimal(found[1]) / 100)


def _date(value: Any) -> datetime.date:
    if isinstance(value, str) and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        return datetime.date.fromisoformat(value)
    if not isinstance(value, datetime.date) or isinstance(value, datetime.datetime):  # YAML reads both
        raise ValueError
    return value


def wire_host(name: str) -> str:
    """The host of a URL as it is looked up and sent: in ASCII (IDNA). Raises ValueError for what no host is called."""
    try:
        found = name.encode("idna").decode()
    except UnicodeError:
        found = ""
    if not 0 < len(found.removesuffix(".")) <= 253:
        raise ValueError(f"accepted is {A_HOST}")
    return found


def check_host(name: str) -> None:
    """Raises a refusal of what no host is called."""
    try:
        wire_host(name)
    except ValueError:
        raise refused(A_HOST) from None


def _url(value: str) -> str:
    parts = urlsplit(value)
    credentials = parts.username is not None or parts.password is not None
    plain = re.fullmatch(r"[!-~]+", value) and not credentials and not re.search(r"[?#\\]", value)
    if not plain or parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError
    check_host(parts.hostname)
    return value


def read_cooldown(value: Any) -> int:
    seconds = read_duration(value)
    if not (0 <= seconds <= MAX_DURATION and seconds == int(seconds)):
        raise ValueError
    return int(seconds)


def read_dimensions(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping) or not 1 <= len(value) <= 30:
        raise ValueError
    if not all(isinstance(text, str) and _DIMENSION.fullmatch(text) for pair in value.items() for text in pair):
        raise ValueError
    return dict(value)


_DIMENSION = re.compile(r"[!-~]([ -~]{0,253}[!-~])?")
Given = Annotated[T | None, BeforeValidator(_given)]  # optional: absent, but never empty
Text = Annotated[str, Field(strict=True, min_length=1)]
Header = Annotated[str, Field(strict=True, pattern=r"^[!-~]([ -~]{0,1022}[!-~])?$")]
Name = Annotated[str, Field(strict=True, pattern=r"^[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?$")]
Region = Annotated[str, Field(strict=True, pattern=r"^[a-z]{2,}(-[a-z]+)+-[0-9]{1,2}$")]
Url = Annotated[str, Field(strict=True), AfterValidator(_url)]
Listed = BeforeValidator(_listed)
Method = Literal["get", "post", "put", "patch", "delete", "head", "options"]
METHODS: tuple[str, ...] = get_args(Method)
Flag = Annotated[bool, Field(strict=True)]
Whole = Annotated[int, Field(strict=True)]
Number = Annotated[float, BeforeValidator(_number), Field(allow_inf_nan=False)]
Duration = Annotated[float, BeforeValidator(read_duration), Field(gt=0, le=MAX_DURATION)]
LatencyLimit = Annotated[
    float | None,
    BeforeValidator(read_latency),
    PlainSerializer(format_duration, return_type=str, when_used="unless-none"),
    Field(description=A_LATENCY),
]
Date = Annotated[datetime.date, BeforeValidator(_date)]
DollarsFor = Annotated[Given[Number], Field(ge=0, le=1e9)]
RatioLimit = Annotated[float | None, BeforeValidator(read_ratio), Field(description=A_RATIO)]


def refused(accepted: str, *keys: str | int) -> PydanticCustomError:
    """A refusal of what depends on more than the field; a section's own names the key, or the way to it."""
    return PydanticCustomError("refused", "{accepted}", {"accepted": accepted, "keys": keys})


class Section(BaseModel):
    """A mapping of the file. It knows its keys, and holds what it was given until the end of the run."""

    # Built when it is first used: whoever imports RunConfig to open a run's folder later on need not wait for it now.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


# What is wrong, in words


Loc = tuple[int | str, ...]  # as pydantic has it: keys and positions from the root


def written(loc: Loc) -> str:
    """phases[1].ramp_to"""
    path = ""
    for part in loc:
        name = part if isinstance(part, str) and re.fullmatch(r"[\w-]{1,60}", part) else shown(part)
        path += f"[{part}]" if isinstance(part, int) else f".{name}" if path else name
    return path


def shown(value: object) -> str:
    """A value as the file has it, short. Nothing that could be a URL with a password or a token is shown."""
    if isinstance(value, str):
        if "@" in value or ("://" in value and "?" in value):
            return "a text that may hold a credential (not shown)"
        return repr(value) if len(value) <= 60 else f"{value[:57]!r}… ({len(value)} characters)"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) or (isinstance(value, int) and abs(value) < 1e30):
        return repr(value)
    if value == [] or value is None:
        return "nothing" if value is None else "an empty list"
    return {dict: "a mapping", list: "a list", int: "a whole number past 1e30"}.get(
        type(value), "a value of another type"
    )
