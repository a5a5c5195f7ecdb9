"""Pages: each item once, whatever comes meanwhile, and tokens that mean one list only."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_locust.local.errors import AwsError
from sm_locust.local.paging import page


def walk(items: list[str], size: int) -> list[list[str]]:
    pages, parameters = [], {"Of": "all"}
    while True:
        part, token = page(items, str, size, parameters, "InvalidNextTokenException")
        pages.append(part)
        if token is None:
            return pages
        parameters = {"Of": "all", "NextToken": token}


@given(st.lists(st.text(), unique=True), st.integers(1, 5))
def test_the_pages_are_the_list_and_all_but_the_last_are_full(items: list[str], size: int) -> None:
    pages = walk(items, size)
    assert [item for part in pages for item in part] == items
    assert all(len(part) == size for part in pages[:-1])
    assert len(pages) == max(1, -(-len(items) // size))


@pytest.mark.parametrize("grown", [["new", "a", "b", "c"], ["a", "b", "c", "new"]])
def test_what_is_added_at_an_end_between_two_pages_neither_repeats_nor_hides_an_item(grown: list[str]) -> None:
    _, token = page(["a", "b", "c"], str, 1, {}, "InvalidNextTokenException")
    part, _ = page(grown, str, 1, {"NextToken": token}, "InvalidNextTokenException")
    assert part == ["b"]


def test_the_size_of_a_page_may_change_from_one_to_the_next() -> None:
    _, token = page(["a", "b", "c"], str, 1, {"MaxResults": 1}, "InvalidNextTokenException")
    again = {"MaxResults": 2, "NextToken": token}
    assert page(["a", "b", "c"], str, 2, again, "InvalidNextTokenException") == (["b", "c"], None)


def test_a_token_of_another_request_or_of_an_item_that_is_gone_or_of_nobody_is_refused() -> None:
    _, token = page(["a", "b"], str, 1, {"Of": "all"}, "InvalidNextTokenException")
    for items, parameters in (
        (["a", "b"], {"Of": "some", "NextToken": token}),
        (["a"], {"Of": "all", "NextToken": token}),
        (["a", "b"], {"Of": "all", "NextToken": "made up"}),
        (["a", "b"], {"Of": "all", "NextToken": "bnVsbA=="}),
    ):
        with pytest.raises(AwsError) as raised:
            page(items, str, 1, parameters, "InvalidNextTokenException")
        assert raised.value.code == "InvalidNextTokenException"
