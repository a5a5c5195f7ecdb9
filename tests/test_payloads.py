"""Bodies from files: what is read, what is refused, and what travels to the workers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgpack
import pytest

from sm_locust.config import ConfigError, Request
from sm_locust.payloads import Payload, decode, encode, load, sha256, total_bytes


def request_of(**keys: Any) -> Request:
    return Request.model_validate(keys)


def bodies(payloads: tuple[Payload, ...]) -> list[bytes]:
    return [payload.body for payload in payloads]


def test_a_body_in_the_configuration_is_the_one_payload(tmp_path: Path) -> None:
    payloads = load(request_of(content_type="text/csv", body="5,3.5,1.3,é"), tmp_path)
    assert payloads == (Payload("5,3.5,1.3,é".encode(), "text/csv"),)


def test_a_configuration_without_bodies_has_no_payloads(tmp_path: Path) -> None:
    assert load(Request(), tmp_path) == ()


def test_a_line_of_a_csv_file_is_a_body_whatever_ends_it(tmp_path: Path) -> None:
    (tmp_path / "iris.csv").write_bytes(b"\xef\xbb\xbf5,3.5,1.3,0.3\r\n\n6,2.9,4.5,1.5\n  \n7,3,5,2")
    payloads = load(request_of(payloads="iris.csv"), tmp_path)
    assert bodies(payloads) == [b"5,3.5,1.3,0.3", b"6,2.9,4.5,1.5", b"7,3,5,2"]
    assert {payload.content_type for payload in payloads} == {"text/csv"}


def test_a_csv_header_is_left_out_when_the_configuration_says_so(tmp_path: Path) -> None:
    (tmp_path / "iris.csv").write_text("sepal,petal\n5,1\n6,2\n")
    assert bodies(load(request_of(payloads="iris.csv", header=True), tmp_path)) == [b"5,1", b"6,2"]
    assert bodies(load(request_of(payloads="iris.csv"), tmp_path)) == [b"sepal,petal", b"5,1", b"6,2"]


def test_a_line_of_a_jsonl_file_is_a_body_byte_for_byte(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(b'{"a":  1}\n\n[2, 3]\n')
    payloads = load(request_of(payloads="rows.jsonl"), tmp_path)
    assert payloads == (Payload(b'{"a":  1}', "application/json"), Payload(b"[2, 3]", "application/json"))


def test_a_file_of_a_directory_is_a_body_sorted_by_name_and_typed_by_suffix(tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    (folder / "deeper").mkdir(parents=True)
    (folder / "deeper" / "not_read.csv").write_text("1")
    (folder / ".hidden").write_text("x")
    (folder / "b.csv").write_bytes(b"1,2\n3,4\n")
    (folder / "a.JSON").write_bytes(b"{}")
    (folder / "c.npy").write_bytes(b"\x93NUMPY")
    assert load(request_of(payloads="mixed"), tmp_path) == (
        Payload(b"{}", "application/json"),
        Payload(b"1,2\n3,4\n", "text/csv"),
        Payload(b"\x93NUMPY", "application/x-npy"),
    )


@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl", "folder"])
def test_a_content_type_in_the_configuration_wins(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "any.thing").write_text("1")
    (tmp_path / "rows.csv").write_text("1\n")
    (tmp_path / "rows.jsonl").write_text("1\n")
    payloads = load(request_of(payloads=name, content_type="application/x-mine"), tmp_path)
    assert payloads == (Payload(b"1", "application/x-mine"),)


def test_a_relative_path_is_relative_to_the_configuration_and_an_absolute_one_is_not(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    file = tmp_path / "data" / "a.csv"
    file.write_text("1\n")
    expected = (Payload(b"1", "text/csv"),)
    assert load(request_of(payloads="../data/a.csv"), tmp_path / "data") == expected
    assert load(request_of(payloads=str(file)), "/nowhere") == expected


WRONG = [
    ("absent.csv", {}, "absent.csv: No such file or directory; accepted: a .csv file, a .jsonl file or a directory"),
    ("empty.csv", {}, "empty.csv: no line to send; accepted: "),
    ("blank.csv", {}, "blank.csv: no line to send; accepted: "),
    ("head.csv", {"header": True}, "head.csv: no line to send after the header; accepted: "),
    ("empty.jsonl", {}, "empty.jsonl: no line to send; accepted: "),
    ("broken.jsonl", {}, "broken.jsonl: line 3 is not JSON; accepted: "),
    ("deep.jsonl", {}, "deep.jsonl: line 1 is not JSON; accepted: "),
    ("good.jsonl", {"header": True}, "request.header: true is not accepted: only with payloads in a .csv file"),
    ("rows.xlsx", {}, "rows.xlsx: .xlsx is not accepted; accepted: a .csv file"),
    ("rows", {}, "rows: no suffix is not accepted; accepted: a .csv file"),
    ("hollow", {}, "hollow: no file in it; accepted: "),
    ("odd", {}, "a.odd: .odd does not tell its media type; accepted: .bin, .csv"),
    ("nothing", {}, "a.csv: empty; accepted: "),
    ("a\0b.csv", {}, "embedded null byte; accepted: "),
]


@pytest.mark.parametrize(("name", "keys", "said"), WRONG, ids=[name for name, *_ in WRONG])
def test_what_holds_nothing_to_send_is_refused_in_one_line(
    tmp_path: Path, name: str, keys: dict[str, Any], said: str
) -> None:
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "blank.csv").write_text("\n \r\n")
    (tmp_path / "head.csv").write_text("a,b\n")
    (tmp_path / "empty.jsonl").write_text("\n")
    (tmp_path / "broken.jsonl").write_text('{"a": 1}\n\n{"a": \n')
    (tmp_path / "deep.jsonl").write_text("[" * 100_000 + "\n")
    (tmp_path / "good.jsonl").write_text("1\n")
    (tmp_path / "rows.xlsx").write_text("1\n")
    (tmp_path / "rows").write_text("1\n")
    for folder in ("hollow", "odd", "nothing"):
        (tmp_path / folder).mkdir()
    (tmp_path / "odd" / "a.odd").write_text("1")
    (tmp_path / "nothing" / "a.csv").write_text("")
    with pytest.raises(ConfigError) as error:
        load(request_of(payloads=name, **keys), tmp_path)
    message = str(error.value)
    assert said in message
    assert message.startswith("request.")
    assert "\n" not in message


THREE = (Payload(b"one", "a/a"), Payload(b"two", "b/b"), Payload(b"three", "c/c"))


def test_payloads_survive_a_message() -> None:
    payloads = (*THREE, Payload(bytes(range(256)), "application/octet-stream"))
    assert decode(msgpack.unpackb(msgpack.packb(encode(payloads)))) == payloads


def test_total_bytes_are_those_of_the_bodies() -> None:
    assert total_bytes(THREE) == 11
    assert total_bytes(()) == 0


@pytest.mark.parametrize(
    "other",
    [
        THREE[:2],
        THREE[::-1],
        (Payload(b"one", "a/b"), *THREE[1:]),
        (Payload(b"ne", "a/ao"), *THREE[1:]),
        (Payload(b"onetwo", "a/a"), Payload(b"", "b/b"), THREE[2]),
    ],
    ids=["fewer", "another order", "another type", "a byte moved to the type", "a byte moved to the next"],
)
def test_the_digest_tells_payloads_apart(other: tuple[Payload, ...]) -> None:
    assert sha256(other) != sha256(THREE)
    assert sha256(list(THREE)) == sha256(THREE)
