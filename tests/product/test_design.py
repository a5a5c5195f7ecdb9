"""docs/design.md shows the code as it is: every room that lint knows, and only files that are there."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
TABLE = PAGE.partition("## Rooms")[2].partition("##")[0]


def rooms() -> list[str]:
    """Those that lint knows."""
    rules = configparser.ConfigParser()
    rules.read(ROOT / "setup.cfg", encoding="utf-8")
    layers = rules["importlinter:contract:rooms"]["layers"].split()
    return [room for room in layers if room != "|"]


@pytest.mark.parametrize("room", rooms())
def test_every_room_stands_in_its_table(room: str) -> None:
    assert f"`{room}.py`" in TABLE or f"`{room}/`" in TABLE or room == "stacks"  # CloudFormation's, no code of ours


def test_every_file_that_it_names_is_there() -> None:
    named = set(re.findall(r"`((?:[\w.]+/)+[\w.]+\.\w+)`", PAGE))
    assert len(named) > 30
    assert [path for path in sorted(named) if not any((ROOT / at / path).exists() for at in ("", "sm_locust"))] == []
