"""Rows of `realtime.messages` in the log, as messages; no database."""

import pytest

from rowcast.capture.message_reader import MESSAGE_COLUMNS, is_message_table, make_message_reader
from rowcast.capture.pgoutput import Column, Relation, Value
from rowcast.core.errors import StoreError
from rowcast.core.stored_message import StoredMessage

ID = "01a1fe9a-38ea-7158-ab3d-0f23bf79e194"


def relation(*names: str, schema: str = "realtime", table: str = "messages") -> Relation:
    return Relation(7, schema, table, "d", tuple(Column(name, 25, name == "id") for name in names))


def row(**changed: Value) -> list[Value]:
    values: dict[str, Value] = {
        "id": ID.encode(),
        "topic": b"room:1",
        "extension": b"broadcast",
        "payload": b'{"a": 1}',
        "event": b"moved",
        "private": b"t",
        "binary_payload": None,
        "tenant_id": None,
    }
    return [*(values | changed).values()]


READ = make_message_reader(relation(*MESSAGE_COLUMNS, "binary_payload", "tenant_id"))


def test_a_row_is_a_message_with_its_id() -> None:
    assert READ(row()) == StoredMessage(ID, "room:1", "moved", b'{"a": 1}', True)


def test_the_row_may_name_its_tenant_and_a_public_topic() -> None:
    assert READ(row(private=b"f", tenant_id=b"acme")) == StoredMessage(
        ID, "room:1", "moved", b'{"a": 1}', False, False, "acme"
    )


def test_bytes_come_out_of_their_text_form() -> None:
    assert READ(row(payload=None, binary_payload=rb"\x00ff7d")) == StoredMessage(
        ID, "room:1", "moved", b"\x00\xff}", True, True
    )


def test_a_message_without_any_payload_has_an_empty_object() -> None:
    found = READ(row(payload=None))

    assert found is not None
    assert (found.payload, found.is_binary) == (b"{}", False)


def test_probes_of_presence_and_rows_without_an_event_are_told_to_nobody() -> None:
    assert READ(row(extension=b"presence")) is None
    assert READ(row(event=None)) is None


@pytest.mark.parametrize("more", [(), ("binary_payload",)])
def test_a_table_that_supabase_made_has_no_tenants_and_perhaps_no_bytes(more: tuple[str, ...]) -> None:
    read = make_message_reader(relation(*MESSAGE_COLUMNS, *more))

    assert read(row()[: len(MESSAGE_COLUMNS) + len(more)]) == StoredMessage(ID, "room:1", "moved", b'{"a": 1}', True)


@pytest.mark.parametrize(
    "changed", [{"id": b"7"}, {"id": None}, {"topic": None}, {"topic": b"\xff"}, {"binary_payload": b"abc"}]
)
def test_a_row_that_is_none_is_refused(changed: dict[str, Value]) -> None:
    with pytest.raises(StoreError) as caught:
        READ(row(**changed))

    assert caught.value.code == "store.replication_message"


def test_a_publication_without_the_payload_is_refused_with_what_to_do() -> None:
    with pytest.raises(StoreError, match=r"take realtime\.messages out of rowcast_events"):
        make_message_reader(relation("id", "topic"))


def test_only_the_table_of_messages_is_one() -> None:
    assert is_message_table(relation("id"))
    assert not is_message_table(relation("id", schema="public"))
    assert not is_message_table(relation("id", table="message"))
