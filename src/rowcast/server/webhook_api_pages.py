"""Pages of the webhook API: from a row on, forwards or backwards, in either order. Pure.

An iterator is the id of the last row of a page; with a minus before it, it leads back from the first row.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, Generic, Literal, TypeVar

import msgspec

from rowcast.core.errors import InvalidFieldError

T = TypeVar("T")
Order = Literal["ascending", "descending"]

PAGE_MOST = 250
_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,255}\Z")


class Turn(msgspec.Struct, frozen=True):
    """How to read one page: `most` rows and one more, after the id `after` (empty: from the beginning)."""

    most: int
    after: str = ""
    is_falling: bool = False
    is_back: bool = False

    @property
    def reads_falling(self) -> bool:
        """Tell whether rows are read from the greatest id down: going back turns the order round."""
        return self.is_falling is not self.is_back

    @property
    def rows(self) -> int:
        """Give how many rows to read: one more than is shown says whether there are more."""
        return self.most + 1


class Page(msgspec.Struct, Generic[T], frozen=True, rename="camel"):
    """One page as it is answered."""

    data: Sequence[T]
    iterator: str | None
    prev_iterator: str | None
    done: bool


def turn_of(*, limit: int, iterator: str | None, is_falling: bool, prefix: str = "") -> Turn:
    """Give how to read the page that a request asks for; `prefix` is what ids begin with.

    Raises:
        InvalidFieldError: `input.field`, for an iterator that no page gave.
    """
    if iterator is None or iterator == "":
        return Turn(limit, is_falling=is_falling)
    after = iterator.removeprefix("-")
    if not _ID.match(after) or not after.startswith(prefix):
        raise InvalidFieldError(
            "The iterator is not one that a page gave. Begin without one.", place=("query", "iterator")
        )
    return Turn(limit, after, is_falling, iterator.startswith("-"))


def page_of(rows: Sequence[T], turn: Turn, *, key: Callable[[T], str], show: Callable[[T], Any]) -> Page[Any]:
    """Give the page of rows that were read as `turn` says; `key` gives the id of one, `show` what is answered."""
    shown = list(rows[: turn.most])
    if turn.is_back:
        shown.reverse()
    return Page(
        data=[show(row) for row in shown],
        iterator=key(shown[-1]) if shown else None,
        prev_iterator=f"-{key(shown[0])}" if shown else None,
        done=len(rows) <= turn.most,
    )
