"""The types by which routes say what they take and give."""

import msgspec

from rowcast.server.described import (
    EventTypeName,
    NamedText,
    ObjectText,
    Rate,
    Uid,
    listed_type,
    several,
    shown_type,
)
from rowcast.server.wire import shown


class Row(msgspec.Struct):
    delivery_id: int
    payload: str


class Attempt(msgspec.Struct):
    started_at: int


class Said(msgspec.Struct):
    name: NamedText
    uid: Uid | None
    rate: Rate
    kind: EventTypeName
    payload: ObjectText


def test_the_type_of_what_is_shown_fits_what_is_shown() -> None:
    made = shown_type(Row, attempts=several(shown_type(Attempt)))
    text = msgspec.json.encode({**shown(Row(7, '{"a": 1}')), "attempts": [shown(Attempt(3))]})

    read = msgspec.json.decode(text, type=made)
    listed = msgspec.json.decode(
        b'{"data": [' + text + b'], "cursor": null}', type=listed_type(made, cursor=int | None)
    )

    assert (read.delivery_id, read.payload, read.attempts[0].started_at) == (7, {"a": 1}, 3)
    assert listed.data == (read,)


def test_types_of_one_record_with_other_fields_have_other_names() -> None:
    assert {shown_type(Row).__name__, shown_type(Row, path=str).__name__} == {"Row", "RowPath"}


def test_what_the_document_says_of_a_field_is_not_refused_by_its_type() -> None:
    _, known = msgspec.json.schema_components([Said])
    fields = known["Said"]["properties"]
    wrong = b'{"name": "", "uid": "a b", "rate": 0, "kind": ".", "payload": 7}'

    assert msgspec.json.decode(wrong, type=Said).rate == 0
    assert (fields["name"]["minLength"], fields["rate"]["minimum"], fields["payload"]) == (1, 1, {"type": "object"})
    assert fields["kind"]["pattern"].startswith("^")
