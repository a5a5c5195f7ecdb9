"""Feeders: who is next in each order, what ends, and what is refused before anything is sent."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent

import pytest

from sm_locust.config import ConfigError
from sm_locust.feeders import Feeder, Supply, UsedUp, chance, supply
from sm_locust.load.pacer import poisson
from sm_locust.payloads import Payload

THREE = (Payload(b"one", "a/a"), Payload(b"two", "b/b"), Payload(b"three", "c/c"))


def taken(source: Supply, n: int) -> list[str]:
    return [source.next().body.decode() for _ in range(n)]


def test_in_turn_they_are_sent_again_and_each_worker_begins_with_its_own() -> None:
    assert taken(supply(THREE, "sequential"), 7) == ["one", "two", "three", "one", "two", "three", "one"]
    workers = [supply(THREE, "sequential", index=index) for index in range(4)]
    assert [worker.next().body for worker in workers] == [b"one", b"two", b"three", b"one"]
    assert taken(workers[1], 2) == ["three", "one"]


def test_at_random_they_are_even_and_those_of_the_seed() -> None:
    counts = Counter(taken(supply(THREE, "random", seed=7), 3000))
    assert all(counts[name] == pytest.approx(1000, abs=130) for name in ("one", "two", "three"))  # 5 sigma
    drawn = [taken(supply(THREE, "random", seed=7, index=index), 50) for index in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert taken(supply(THREE, "random"), 50) != taken(supply(THREE, "random"), 50)


def test_what_is_drawn_for_one_use_says_nothing_of_what_is_drawn_for_another() -> None:
    """From one stream, which payload is next would follow from how long the gap before it was."""
    uses = ("tasks", "payloads", "scenarios")
    drawn = [chance(7, index, use).random() for use in uses for index in (0, 1)]
    gaps = [1 - math.exp(-next(poisson(7 + 1009 * index))) for index in (0, 1)]
    assert len({round(u, 9) for u in (*drawn, *gaps)}) == 8


def test_weights_say_how_often_each_is_taken() -> None:
    counts = Counter(taken(Feeder(["a", "b", "c"], "random", weights=[3, 1, 0]).supply(seed=1), 4000))
    assert counts["a"] == pytest.approx(3000, abs=140)
    assert counts.total() == 4000
    assert counts["c"] == 0


def test_once_the_last_is_known_when_it_is_taken_and_then_there_is_none() -> None:
    source = supply(THREE, "once")
    assert [(source.next().body, source.used_up) for _ in range(3)] == [
        *((b"one", False), (b"two", False)),
        (b"three", True),
    ]
    with pytest.raises(UsedUp):
        source.next()


def test_without_payloads_there_is_no_next_one_however_often_it_is_asked() -> None:
    source = supply((), "sequential")
    for _ in range(2):
        with pytest.raises(LookupError, match=r"request\.body or request\.payloads"):
            source.next()


def test_bodies_are_bytes_texts_or_payloads_and_a_path_is_read_as_the_configurations(tmp_path: Path) -> None:
    source = Feeder([b"1", "é", Payload(b"2", "b/b")], content_type="a/a").supply()
    assert [source.next() for _ in range(3)] == [
        Payload(b"1", "a/a"),
        Payload("é".encode(), "a/a"),
        Payload(b"2", "b/b"),
    ]
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n3,4\n")
    path = tmp_path / "rows.csv"
    assert Feeder(path, header=True).supply().next() == Payload(b"1,2", "text/csv")
    assert Feeder(str(path), content_type="x/y").supply().next() == Payload(b"a,b", "x/y")
    assert Feeder(tmp_path).supply().next().body == path.read_bytes()


def three_texts() -> Iterator[str]:
    yield from ("one", "two", "three")


def test_a_function_is_called_again_for_each_round_and_each_run() -> None:
    feeder = Feeder(three_texts)
    assert not feeder.ends
    assert taken(feeder.supply(), 5) == ["one", "two", "three", "one", "two"]
    once = Feeder(three_texts, "once")
    assert once.ends
    for _ in range(2):
        source = once.supply()
        assert taken(source, 3) == ["one", "two", "three"]
        assert source.used_up


def test_an_iterator_ends_and_need_not_be_held_in_memory() -> None:
    feeder = Feeder(map(str, range(3)))
    assert feeder.ends
    source = feeder.supply()
    assert taken(source, 3) == ["0", "1", "2"]
    assert source.used_up
    assert feeder.supply().used_up
    assert taken(Feeder(map(str, itertools.count())).supply(), 2) == ["0", "1"]


def test_arrivals_that_ask_while_a_source_waits_get_a_payload_each() -> None:
    def slow() -> Iterator[str]:
        for n in range(4):
            gevent.sleep(0.01)
            yield str(n)

    source, got = Feeder(slow, "once").supply(), list[str]()
    gevent.joinall([gevent.spawn(lambda: got.extend(taken(source, 1))) for _ in range(4)], timeout=5)
    assert sorted(got) == ["0", "1", "2", "3"]


def test_a_source_that_fails_says_so_and_has_ended() -> None:
    def broken() -> Iterator[str]:
        yield "one"
        yield "two"
        raise OSError("the disk is gone")

    source = Feeder(broken).supply()
    assert taken(source, 1) == ["one"]
    assert (source.used_up, source.failed) == (False, "")
    assert taken(source, 1) == ["two"], "what it gave before is sent"
    assert (source.used_up, source.failed) == (True, "OSError: the disk is gone")
    with pytest.raises(UsedUp, match="the disk is gone"):
        source.next()


def test_a_source_that_gives_no_body_or_ends_the_arrival_that_waits_for_it_has_failed() -> None:
    def ends(after: BaseException | None) -> Iterator[Any]:
        yield "one"
        if after is not None:
            raise after
        yield 7

    source = Feeder(lambda: ends(None), "once").supply()
    assert taken(source, 1) == ["one"]
    assert source.failed == "7 is not accepted: bytes, a text or a Payload, not empty"
    source = Feeder(lambda: ends(gevent.GreenletExit()), "once").supply()
    with pytest.raises(gevent.GreenletExit):
        source.next()
    assert (source.used_up, source.failed) == (True, "GreenletExit")
    source = Feeder(lambda: ends(KeyboardInterrupt()), "once").supply()
    with pytest.raises(KeyboardInterrupt):
        source.next()
    assert (source.used_up, source.failed) == (False, ""), "who ends the run by hand has not broken the payloads"


WRONG: list[tuple[Any, dict[str, Any], str]] = [
    ("absent.csv", {}, "absent.csv: No such file or directory; accepted: a .csv file"),
    ([], {}, "[] is not accepted: at least one body"),
    (b"1,2", {}, "b'1,2' is not accepted: a path, bodies in a list, or a function that gives bodies"),
    (7, {}, "7 is not accepted: a path"),
    ([7], {}, "7 is not accepted: bytes, a text or a Payload, not empty"),
    ([""], {}, "'' is not accepted: bytes, a text or a Payload, not empty"),
    (["a"], {"order": "weighted"}, "order: 'weighted' is not accepted: one of sequential, random, once"),
    (["a"], {"weights": [1]}, "weights: not accepted: only with order random"),
    (["a", "b"], {"order": "random", "weights": [1]}, "weights: 1 for 2 payloads are not accepted: a number for each"),
    (["a"], {"order": "random", "weights": [-1]}, "weights: -1 is not accepted: a number for each payload, 0 or more"),
    (["a"], {"order": "random", "weights": ["x"]}, "weights: 'x' is not accepted"),
    (["a"], {"order": "random", "weights": 5}, "weights: 5 is not accepted: a number for each payload, 0 or more"),
    (
        ["a", "b"],
        {"order": "random", "weights": [1e308, 1e308]},
        "weights: 1e+308 is not accepted: a number",
    ),
    (["a", "1\ud800"], {}, "'1\\ud800' is not accepted: its character 2 is none that UTF-8 has"),
    (
        ["a"],
        {"content_type": "a\r\nX: y"},
        "content_type: 'a\\r\\nX: y' is not accepted: a text of 1 to 1024 printable",
    ),
    ([Payload(b"a", "a/\u20ac")], {}, "content_type: 'a/\u20ac' is not accepted: a text of 1 to 1024 printable ASCII"),
    ([Payload("a")], {}, "Payload(body='a', content_type='') is not accepted: bytes, a text or a Payload"),  # type: ignore[arg-type]
    (three_texts, {"content_type": ""}, "content_type: '' is not accepted: a text of 1 to 1024 printable ASCII"),
    (["a"], {"order": "random", "weights": [0]}, "weights: all of them are 0"),
    (three_texts, {"order": "random"}, "order: random is not accepted: what a function or an iterator gives"),
    ("rows.jsonl", {"header": True}, "header: True is not accepted: only with a .csv file"),
]


@pytest.mark.parametrize(("payloads", "keys", "said"), WRONG, ids=[said[:40] for *_, said in WRONG])
def test_what_cannot_be_sent_is_refused_in_one_line(payloads: Any, keys: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as error:
        Feeder(payloads, **keys).check()
    assert str(error.value).startswith(said)
    assert "\n" not in str(error.value)
