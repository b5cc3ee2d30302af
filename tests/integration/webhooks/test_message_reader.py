"""What was said of messages, as it is read for fan-out and post."""

import json
import uuid
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from rowcast.core.clock import SystemClock
from rowcast.core.envelope import Envelope
from rowcast.core.errors import StoreError
from rowcast.core.ids import uuid7
from rowcast.store.pool import Database
from rowcast.webhooks.expunge import Expunge
from rowcast.webhooks.message_draft import MessageDraft
from rowcast.webhooks.message_reader import Body, MessageReader, Terms
from rowcast.webhooks.message_table import Message, MessageTable

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def reader(database: Database) -> MessageReader:
    return MessageReader(database=database, clock=SystemClock(), waits_s=(0.001, 0.001))


async def sent(database: Database, **fields: object) -> Message:
    draft = MessageDraft(**{"event_type": "orders.confirmed", "payload": b"{}", **fields})  # type: ignore[arg-type]
    async with database.transaction() as session:
        return await MessageTable().create(session, "acme", draft)


def event_of(event_id: uuid.UUID, payload: bytes = b"{}") -> Envelope:
    return Envelope(event_id, "acme", "order", "o1", "orders.confirmed", 1, NOW, msgspec.Raw(payload))


async def test_only_what_has_terms_is_given(database: Database, reader: MessageReader) -> None:
    loud = await sent(database, channels=("a", "b"))
    late = await sent(database, deliver_at=NOW)
    tagged, bare = await sent(database, tags=("a",)), await sent(database)

    terms = await reader.terms({each.event_id for each in (loud, late, tagged, bare)})

    assert terms == {loud.event_id: Terms(frozenset({"a", "b"})), late.event_id: Terms(deliver_at=NOW)}
    assert await reader.terms(set()) == {}


async def test_an_event_that_nobody_sees_comes_again_and_one_that_was_removed_holds_nobody_up(
    reader: MessageReader,
) -> None:
    now = datetime.now(UTC)

    with pytest.raises(StoreError) as refusal:
        await reader.terms([uuid7(now)])

    assert refusal.value.code == "store.contended"
    assert await reader.terms([uuid7(now - timedelta(hours=2)), uuid.uuid4()]) is not None


async def test_what_is_posted_is_a_body_of_ours_or_the_one_that_was_sent(
    database: Database, reader: MessageReader
) -> None:
    raw = await sent(database, raw_payload="<ü/>", content_type="application/xml")
    untyped = await sent(database, raw_payload='{"a":1}')
    empty, full = await sent(database, tags=("a",)), await sent(database, payload=b'{"a":1}')

    assert await reader.body(event_of(raw.event_id)) == Body("<ü/>".encode(), "application/xml", is_raw=True)
    assert await reader.body(event_of(untyped.event_id)) == Body(b'{"a":1}', "application/json", is_raw=True)
    for event in (event_of(empty.event_id), event_of(full.event_id, b'{"a":1}')):
        body = await reader.body(event)
        assert body is not None
        assert (json.loads(body.content)["data"], body.content_type) == (event.payload_value(), "application/json")


async def test_of_what_was_expunged_nothing_is_posted(database: Database, reader: MessageReader) -> None:
    raw, bare = await sent(database, raw_payload="<a/>"), await sent(database)

    await Expunge(database=database).contents("acme", [raw.event_id, bare.event_id])

    assert [await reader.body(event_of(each.event_id)) for each in (raw, bare)] == [None, None]
