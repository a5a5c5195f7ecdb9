"""Which columns of a table there is room for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from sm_locust.report.fit import fit, heading
from sm_locust.report.formats import Table

TABLE = Table(
    ("phase", "planned/min", "mean service", "errors"),
    (("warm up and more", "24,200", "9.43 ms", "0.00%"),),
    spare=("mean service",),
)


@pytest.mark.parametrize(
    ("width", "columns", "gap"),
    [
        (80, {0: 16, 1: 7, 2: 7, 3: 6}, 3),
        (41, {0: 12, 1: 7, 2: 7, 3: 6}, 3),  # "warm up and", "more"
        (31, {0: 5, 1: 7, 2: 7, 3: 6}, 2),
        (25, {0: 8, 1: 7, 3: 6}, 2),
        (18, {0: 9, 1: 7}, 2),
        (9, {0: 9}, 2),
        (3, {0: 5}, 2),
    ],
)
def test_columns_come_closer_then_go_the_spare_ones_first(width: int, columns: dict[int, int], gap: int) -> None:
    assert fit(TABLE, width) == (columns, gap)


def test_columns_of_words_share_the_room_that_is_left_evenly_and_never_go() -> None:
    table = Table(("", "BEFORE", "AFTER"), (("scaling", "none", "1 to 4 instances, 25,000 a minute"),), words=3)
    assert fit(table, 60)[0] == {0: 7, 1: 6, 2: 33}
    assert fit(table, 40)[0] == {0: 7, 1: 6, 2: 21}
    assert list(fit(table, 10)[0]) == [0, 1, 2]


def test_a_word_without_end_is_folded() -> None:
    assert fit(Table(("name", "n"), (("x" * 200, "1"),)), 40) == ({0: 36, 1: 1}, 3)


CELLS = st.text("ab 熱", max_size=12)


@given(st.data(), st.integers(1, 60))
def test_what_is_kept_is_whole_and_fits_wherever_it_can(data: st.DataObject, width: int) -> None:
    columns = data.draw(st.integers(1, 5))
    row = st.tuples(*[CELLS] * columns)
    header = tuple(data.draw(row))
    table = Table(
        header, tuple(data.draw(st.lists(row, min_size=1, max_size=3))), words=data.draw(st.integers(0, columns))
    )
    kept, gap = fit(table, width)
    numbers = [i for i in kept if i >= max(1, table.words)]
    for i in numbers:
        assert kept[i] == max(
            cell_len(line) for text in (heading(table, i), *(r[i] for r in table.rows)) for line in text.split("\n")
        )
    assert sum(kept.values()) + gap * (len(kept) - 1) <= width or not numbers
