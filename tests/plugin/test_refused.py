"""When refused credentials end a run, on seconds that are only told."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_locust.plugin.refused import Refusal, Refused
from sm_locust.record.interval import FAILED, Interval
from sm_locust.record.ledger import Sample
from sm_locust.record.outcome import (
    ACCESS_DENIED,
    EXPIRED_TOKEN,
    FORBIDDEN,
    INVALID_SIGNATURE,
    MISSING_TOKEN,
    MODEL_ERROR,
    OK,
    THROTTLED,
    TIMEOUT,
    UNRECOGNIZED_CLIENT,
)

E, OTHER = EXPIRED_TOKEN, "other"


def second(at: float, *kinds: str, name: str = "invoke") -> Interval:
    counted = Interval(at, name)
    for kind in kinds:
        counted.add(kind if kind == OK else FAILED + kind)
    return counted


def told(refused: Refused, process: str, counted: Interval) -> None:
    refused.count(counted, {}, Sample(counted.second + 1.0, process, 0, None))


def after(*seconds: tuple[str, ...]) -> list[Refusal]:
    """What one process's seconds lead to, each given as the kinds of its answers."""
    refused = Refused()
    for at, kinds in enumerate(seconds):
        told(refused, "w", second(at, *kinds))
    return refused.refusals()


@pytest.mark.parametrize("kind", [EXPIRED_TOKEN, UNRECOGNIZED_CLIENT, ACCESS_DENIED, INVALID_SIGNATURE])
def test_nothing_but_refusals_for_five_seconds_end_it(kind: str) -> None:
    assert after((OK,), *[(kind,)] * 5) == [Refusal("w", 1, kind)]


@pytest.mark.parametrize(
    ("what", "seconds"),
    [
        ("four seconds", [(E,)] * 4),
        ("one good answer between them", [(E,)] * 3 + [(E, OK)] + [(E,)] * 4),
        ("an error of the model is an answer to who was let in", [(E,)] * 3 + [(MODEL_ERROR,)] + [(E,)] * 4),
        ("too few to tell", [(E,), (), (), (), (), (E,)]),
        ("failures of another kind", [(FORBIDDEN,)] * 9),
        ("a path that the API does not have", [(MISSING_TOKEN,)] * 9),
        ("no answers at all", [(TIMEOUT,)] * 9),
        ("nothing", []),
    ],
)
def test_it_goes_on_after(what: str, seconds: list[tuple[str, ...]]) -> None:
    assert after(*seconds) == [], what


def test_what_says_nothing_of_credentials_neither_counts_nor_interrupts() -> None:
    assert after((E,), (TIMEOUT,), (E, TIMEOUT), (THROTTLED,), (E,)) == [Refusal("w", 0, E)]


def test_a_slow_load_needs_a_few_answers() -> None:
    assert after((E,), (), (), (), (), (), (E,), (), (), (), (E,)) == [Refusal("w", 0, E)]


def test_each_process_is_looked_at_alone_and_the_most_frequent_kind_is_told() -> None:
    refused = Refused()
    for at in range(7):
        told(refused, "good", second(at, OK, OK))
        told(refused, "bad", second(at, ACCESS_DENIED, E, E) if at > 1 else second(at, OK))
    assert refused.refusals() == [Refusal("bad", 2, E)]


def test_each_name_is_looked_at_alone() -> None:
    """The credentials may be good for another endpoint."""
    refused = Refused()
    for at in range(5):
        told(refused, "w", second(at, OK))
        told(refused, "w", second(at, ACCESS_DENIED, name=OTHER))
    assert refused.refusals() == [Refusal("w", 0, ACCESS_DENIED)]


def test_a_late_answer_to_a_request_of_before_does_not_interrupt() -> None:
    refused = Refused()
    for at in range(3, 8):
        told(refused, "w", second(at, E))
        told(refused, "w", second(at - 3, OK))
    assert refused.refusals() == []
    told(refused, "w", second(8, E))
    told(refused, "w", second(9, E))
    assert refused.refusals() == [Refusal("w", 5, E)]


KINDS = st.sampled_from([OK, EXPIRED_TOKEN, ACCESS_DENIED, MODEL_ERROR, TIMEOUT])


@given(st.lists(st.lists(KINDS, max_size=4), max_size=14), st.randoms(use_true_random=False))
def test_the_order_and_the_parts_in_which_counts_come_make_no_difference(
    seconds: list[list[str]], chance: Random
) -> None:
    answers = [(at, kind) for at, kinds in enumerate(seconds) for kind in kinds]
    chance.shuffle(answers)
    refused = Refused()
    for at, kind in answers:
        told(refused, "w", second(at, kind))
    assert refused.refusals() == by_definition(seconds)


def by_definition(seconds: list[list[str]]) -> list[Refusal]:
    """After the last second in which somebody was let in: five seconds from the first refusal to the last."""
    let_in = max((at for at, kinds in enumerate(seconds) if {OK, MODEL_ERROR} & set(kinds)), default=-1)
    refusals = [(at, k) for at in range(let_in + 1, len(seconds)) for k in seconds[at] if k in (E, ACCESS_DENIED)]
    if len(refusals) < 3 or refusals[-1][0] + 1 - refusals[0][0] < 5:
        return []
    expired, denied = (sum(kind == k for _, kind in refusals) for k in (E, ACCESS_DENIED))
    return [Refusal("w", refusals[0][0], E if expired > denied else ACCESS_DENIED)]
