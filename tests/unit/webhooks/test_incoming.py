"""A request as values: header names in any case, values as bytes, and no secret in what is shown."""

from rowcast.webhooks.incoming import unreadable
from tests.unit.webhooks.senders import SECRET, SENDERS, request_of


def test_a_header_is_found_in_any_case_and_is_empty_where_it_was_not_sent() -> None:
    request = request_of(b"", {"X-Topic": " orders/créate "}, "application/json; charset=utf-8")

    assert request.header("x-TOPIC") == " orders/créate ".encode()
    assert request.header_text("X-Topic") == "orders/crÃ©ate"
    assert request.header("absent") == b""
    assert request.media_type == "application/json"


def test_a_question_shows_neither_secret_nor_body() -> None:
    sender = SENDERS["stripe"]

    shown = repr(sender.question(sender.request()))

    assert SECRET not in shown
    assert "evt_1" not in shown


def test_what_cannot_be_read_has_its_code() -> None:
    assert unreadable("It is no JSON.").code == "input.not_json"
