"""How the page of a list is read from a query."""

import uuid

import pytest

from rowcast.core.errors import InvalidFieldError
from rowcast.server.webhook_api_pages import Turn
from rowcast.server.webhook_api_query import newest_first, oldest_first, passed_attempt, passed_message
from rowcast.webhooks.ids import attempt_id, message_id


def test_a_list_begins_with_the_newest_unless_it_is_asked_otherwise() -> None:
    turn = newest_first("msg_").dependency

    assert turn(5) == Turn(5, is_falling=True)
    assert turn(5, order="ascending") == Turn(5)
    assert turn(5, "-msg_a", "descending") == Turn(5, "msg_a", is_falling=True, is_back=True)
    with pytest.raises(InvalidFieldError):
        turn(5, "ep_a")


def test_a_list_may_begin_with_the_oldest() -> None:
    turn = oldest_first("ep_").dependency

    assert turn(5) == Turn(5)
    assert turn(5, order="descending") == Turn(5, is_falling=True)


def test_a_page_goes_on_from_an_attempt() -> None:
    assert passed_attempt(Turn(5)) is None
    assert passed_attempt(Turn(5, attempt_id(7, 2))) == (7, 2)
    with pytest.raises(InvalidFieldError):
        passed_attempt(Turn(5, "atmpt_nonsense"))


def test_a_page_goes_on_from_the_event_of_a_message() -> None:
    event_id = uuid.uuid4()

    assert passed_message(Turn(5)) is None
    assert passed_message(Turn(5, message_id(event_id))) == event_id
    with pytest.raises(InvalidFieldError):
        passed_message(Turn(5, "msg_nonsense"))
