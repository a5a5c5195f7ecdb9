"""What still costs money once the load is over: a value that a run folder holds and a report shows.

Finding it is `aws/billing`'s, wording it the report's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that goes on billing, or a question about it that was not answered.

    what     in words: its name, and how much there is of it
    hourly   US dollars an hour; None where that is not known, or it is billed otherwise
    origin   of that price: `config 2026-11-24`, `cache 2026-11-24`, `unknown`; empty where it is billed otherwise
    command  the command line that deletes it; empty where there is none
    fault    why it cannot be told whether there is such a thing; empty where it can
    """

    what: str
    hourly: float | None = None
    origin: str = ""
    command: str = ""
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Billing:
    """All of it.

    local  whether everything was on this machine, where nothing bills
    """

    items: tuple[Item, ...] = ()
    local: bool = False

    def as_dict(self) -> dict[str, Any]:
        """What run.json holds, under `billing`."""
        return {"local": self.local, "items": [asdict(item) for item in self.items]}

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Billing:
        """What `as_dict` gave, again; what another version says of an item besides is passed over."""
        items = [
            {key: value for key, value in item.items() if key in Item.__slots__} for item in data.get("items") or ()
        ]
        return cls(tuple(Item(**item) for item in items), bool(data.get("local")))
