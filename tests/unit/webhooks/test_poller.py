"""Iterators of polls: there and back, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowcast.core.errors import InvalidFieldError
from rowcast.webhooks.poller import iterator_of, position_of


@given(st.integers(0, 2**60 - 1))
def test_an_iterator_leads_back_to_its_position(position: int) -> None:
    assert position_of(iterator_of(position)) == position


@pytest.mark.parametrize("text", ["at_", "at_-1", "at_g", "at_1\n", "1", "at_" + "f" * 16, "msg_1", "at_ 1", "at_٣"])
def test_what_no_poll_gave_is_refused(text: str) -> None:
    with pytest.raises(InvalidFieldError):
        position_of(text)
