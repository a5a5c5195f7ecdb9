"""Rows of CSV files, as artillery reads them."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest

from sm_locust import tables
from sm_locust.config import ConfigError
from sm_locust.config.scenarios import Feed


def feed(**given: Any) -> Feed:
    return Feed(file="users.csv", **{"fields": ["id", "word"], **given})


def rows(text: str, **given: Any) -> list[dict[str, Any]]:
    (table,) = tables.parse([feed(**given)], [text.encode()])
    return [dict(row) for row in table.rows]


@pytest.mark.parametrize(
    ("text", "given", "expected"),
    [
        ("1,a\n2,b\n", {}, [{"id": "1", "word": "a"}, {"id": "2", "word": "b"}]),
        ("\ufeffid,word\r\n1,a\r\n\r\n2,b", {"header": True}, [{"id": "1", "word": "a"}, {"id": "2", "word": "b"}]),
        ('1;"a;""b""\nc"\n', {"delimiter": ";"}, [{"id": "1", "word": 'a;"b"\nc'}]),
        ("1,a,more\n", {}, [{"id": "1", "word": "a"}]),
        # csv-parse's cast, which artillery has on by default
        ("007,1.50\n-2,1e3\n", {"cast": True}, [{"id": 7, "word": 1.5}, {"id": -2, "word": 1000}]),
        ("1a,\nInfinity,9007199254740993\n", {"cast": True},
         [{"id": "1a", "word": ""}, {"id": "Infinity", "word": 9007199254740992.0}]),
    ],
)  # fmt: skip
def test_a_file_becomes_rows(text: str, given: dict[str, Any], expected: list[dict[str, Any]]) -> None:
    assert rows(text, **given) == expected


@pytest.mark.parametrize(
    ("content", "given", "said"),
    [
        (b"", {}, r"feeds\[0\].file: users.csv: no row; accepted: a CSV file in UTF-8"),
        (b"id,word\n", {"header": True}, "no row after the header"),
        (b"1,a\n2\n", {}, "line 2 has no value for word"),
        (b"1,\xff\n", {}, "byte 2 is not UTF-8"),
        (b'1,"a\n', {}, "line 1: unexpected end of data"),
        (b"1,a\n", {"delimiter": "\n"}, "line 1 has no value for word|separates no values"),
    ],
)
def test_a_file_that_holds_no_rows_is_refused_by_name(content: bytes, given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        tables.parse([feed(**given)], [content])


def test_a_file_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"feeds\[0\].file: .*users.csv: No such file or directory; accepted"):
        tables.load([feed()], tmp_path)


def test_a_file_or_a_value_that_is_too_large_is_refused_by_name(tmp_path: Path) -> None:
    with open(tmp_path / "users.csv", "wb") as file:
        file.truncate(200 << 20)
    with pytest.raises(
        ConfigError, match=r"feeds\[0\].file: users.csv: 200 MiB are too much: 128 at the most; accepted"
    ):
        tables.load([feed()], tmp_path)
    value = b"x" * tables.LARGEST_VALUE
    (known,) = tables.parse([feed(fields=["id"])], [b"1\n" + value + b"\n"])
    assert len(known.rows[1]["id"]) == tables.LARGEST_VALUE
    with pytest.raises(ConfigError, match=r"users.csv: line 2: a value of more than 32 MiB; accepted"):
        tables.parse([feed(fields=["id"])], [b"1\n" + value + b"x\n"])


def table(order: str, n: int = 8) -> tables.Table:
    return tables.parse([feed(fields=["id"], order=order)], ["".join(f"{i}\n" for i in range(n)).encode()])[0]


def test_rows_come_in_their_order_each_process_from_a_place_of_its_own() -> None:
    taken = [tables.Rows(table("sequential"), index, Random()) for index in range(4)]
    first = [next_rows.next()["id"] for next_rows in taken]
    assert len(set(first)) == 4
    assert first[0] == "0"
    assert [taken[0].next()["id"] for _ in range(9)] == ["1", "2", "3", "4", "5", "6", "7", "0", "1"]


def test_rows_at_random_are_all_of_them() -> None:
    taken = tables.Rows(table("random"), 0, Random(7))
    drawn = [taken.next()["id"] for _ in range(200)]
    assert set(drawn) == set("01234567")
    assert drawn[:8] != sorted(drawn[:8])


def test_files_are_the_same_only_when_every_byte_of_each_is() -> None:
    def digest(*contents: bytes) -> str:
        return tables.sha256(tables.parse([feed(fields=["id"])] * len(contents), contents))

    assert digest(b"1\n", b"2\n") == digest(b"1\n", b"2\n")
    assert len({digest(b"1\n", b"2\n"), digest(b"2\n", b"1\n"), digest(b"1\n2\n"), digest(b"1\r\n", b"2\n")}) == 4
