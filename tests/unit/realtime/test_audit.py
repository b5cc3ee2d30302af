"""What a second of joins and leaves comes to."""

from datetime import UTC, datetime, timedelta

import pytest

from rowcast.realtime.audit import Activity, Member, What, logged_from, refusal_text, standing_after, storable

AT = datetime(2026, 1, 1, tzinfo=UTC)
ONE = Member("acme", "ada", "1", "room")
TWO = Member("acme", "ada", "2", "room")


def did(what: What, member: Member = ONE) -> Activity:
    return Activity(what, member, AT)


def test_the_last_of_several_joins_and_leaves_counts() -> None:
    standing = standing_after([did("join"), did("join", TWO), did("leave"), did("leave", TWO), did("join", TWO)])

    assert standing.joined == (did("join", TWO),)
    assert standing.left == (did("leave"),)


def test_two_tabs_of_one_user_are_two_members() -> None:
    assert len(standing_after([did("join"), did("join", TWO)]).joined) == 2


def test_a_refusal_changes_who_hears_nothing() -> None:
    assert standing_after([did("join"), did("refusal")]).joined == (did("join"),)


@pytest.mark.parametrize(("text", "kept"), [("a\x00b", "ab"), ("a\ud800", "a?"), ("x" * 300, "x" * 255)])
def test_a_text_is_kept_as_the_database_takes_it(text: str, kept: str) -> None:
    assert storable(text) == kept


def test_the_same_refusal_again_and_again_is_logged_once_with_its_number() -> None:
    refused = Activity("refusal", ONE, AT, "no")
    later = Activity("refusal", ONE, AT + timedelta(seconds=1), "no")
    other = Activity("refusal", TWO, AT, "no")

    assert logged_from([refused, did("join"), later, other, later]) == {refused: 3, did("join"): 1, other: 1}


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b'{"status":"error","response":{"reason":"Unauthorized: no"}}', "Unauthorized: no"),
        (b'{"status":"error","response":{}}', ""),
        (b'{"status":"error"}', ""),
        (b"[]", ""),
    ],
)
def test_the_reason_of_a_refusal_is_read_from_its_reply(payload: bytes, reason: str) -> None:
    assert refusal_text(payload) == reason
