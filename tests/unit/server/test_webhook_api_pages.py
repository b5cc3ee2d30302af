"""Pages of the webhook API over a list of ids that is read as the tables read theirs."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowcast.core.errors import InvalidFieldError
from rowcast.server.webhook_api_pages import Page, Turn, page_of, turn_of

IDS = [f"id_{number:03}" for number in range(10)]


def read(ids: Sequence[str], turn: Turn) -> list[str]:
    """Give rows as a table does: from one id on, in one direction."""
    rows = sorted(ids, reverse=turn.reads_falling)
    after = [row for row in rows if not turn.after or (row < turn.after if turn.reads_falling else row > turn.after)]
    return after[: turn.rows]


def page(ids: Sequence[str], *, limit: int = 4, iterator: str | None = None, is_falling: bool = False) -> Page:
    turn = turn_of(limit=limit, iterator=iterator, is_falling=is_falling, prefix="id_")
    return page_of(read(ids, turn), turn, key=str, show=str.upper)


def test_first_page_says_how_to_go_on() -> None:
    made = page(IDS)

    assert made == Page(["ID_000", "ID_001", "ID_002", "ID_003"], "id_003", "-id_000", done=False)


@given(st.integers(1, 12), st.integers(0, 10), st.booleans())
def test_pages_forwards_give_every_row_once_and_in_order(limit: int, count: int, is_falling: bool) -> None:
    ids, seen, iterator = IDS[:count], [], None
    while True:
        made = page(ids, limit=limit, iterator=iterator, is_falling=is_falling)
        seen += made.data
        iterator = made.iterator or iterator
        if made.done:
            break

    assert seen == sorted((each.upper() for each in ids), reverse=is_falling)


@given(st.integers(1, 12), st.booleans())
def test_the_way_back_shows_the_page_before_in_the_same_order(limit: int, is_falling: bool) -> None:
    first = page(IDS, limit=limit, is_falling=is_falling)
    second = page(IDS, limit=limit, iterator=first.iterator, is_falling=is_falling)
    back = page(IDS, limit=limit, iterator=second.prev_iterator or "-id_999", is_falling=is_falling)

    if second.data:
        assert (back.data, back.done) == (first.data, True)


def test_an_empty_page_leads_nowhere() -> None:
    assert page([]) == Page([], None, None, done=True)
    assert page(IDS, iterator="").data == page(IDS).data


@pytest.mark.parametrize(
    "iterator", ["-", "--id_1", "id_\x00", "other_1", "id_ü", "id_" + "a" * 300, "' or 1=1", "id_1\n"]
)
def test_an_iterator_that_no_page_gave_is_refused(iterator: str) -> None:
    with pytest.raises(InvalidFieldError) as refusal:
        page(IDS, iterator=iterator)

    assert refusal.value.place == ("query", "iterator")
