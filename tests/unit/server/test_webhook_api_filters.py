"""What a list is asked for, in all the forms that clients write."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from rowcast.core.errors import InvalidFieldError, InvalidInputError
from rowcast.server.webhook_api_filters import asked_event_types, asked_text, asked_time


@pytest.mark.parametrize(
    ("query", "types"),
    [
        ([], None), ([("limit", "5")], None), ([("event_types", "")], None), ([("event_types", ",,")], None),
        ([("event_types", "a.b,c")], ("a.b", "c")),
        ([("event_types", "a.b"), ("event_types", "c")], ("a.b", "c")),
        ([("event_types[]", "a.b"), ("event_types[]", "c")], ("a.b", "c")),
        ([("event_types[0]", "a.b"), ("event_types[1]", "c")], ("a.b", "c")),
    ],
)  # fmt: skip
def test_every_form_of_event_types_is_read(query: list[tuple[str, str]], types: object) -> None:
    assert asked_event_types(query) == types


def test_what_no_type_can_be_and_too_many_of_them_are_refused() -> None:
    with pytest.raises(InvalidInputError):
        asked_event_types([("event_types", "a b")])
    with pytest.raises(InvalidFieldError) as refusal:
        asked_event_types([("event_types", ",".join(["a"] * 101))])

    assert refusal.value.place == ("query", "event_types")


@pytest.mark.parametrize(("text", "word"), [(None, None), ("", None), ("vip", "vip"), ("Ä b", "Ä b")])
def test_a_word_is_given_as_it_is(text: str | None, word: str | None) -> None:
    assert asked_text("tag", text) == word


@pytest.mark.parametrize("text", ["a\x00", "a\n", "x" * 257])
def test_a_word_that_nothing_can_have_is_refused(text: str) -> None:
    with pytest.raises(InvalidFieldError) as refusal:
        asked_text("tag", text)

    assert refusal.value.place == ("query", "tag")


def test_a_moment_without_a_zone_is_utc() -> None:
    east = datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=2)))

    assert asked_time(None) is None
    assert asked_time(datetime.fromisoformat("2026-01-01")) == datetime(2026, 1, 1, tzinfo=UTC)
    assert asked_time(east) is east
