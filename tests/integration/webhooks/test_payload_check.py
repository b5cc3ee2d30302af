"""Whether a payload fits its type: that of a class, of the API, or of nobody."""

from typing import Any

import msgspec
import pytest

from rowcast.core.errors import InvalidInputError
from rowcast.core.event_types import EventType, EventTypes
from rowcast.store.pool import Database
from rowcast.webhooks.event_type import EventTypeDraft
from rowcast.webhooks.event_type_table import EventTypeTable
from rowcast.webhooks.message import MESSAGE_AGGREGATE
from rowcast.webhooks.message_draft import MessageDraft
from rowcast.webhooks.message_table import About
from rowcast.webhooks.payload_check import PayloadCheck

OLD = {"type": "object", "required": ["old"]}
NEW = {"type": "object", "required": ["total"], "properties": {"total": {"type": "number"}}}


class Confirmed(msgspec.Struct, frozen=True):
    """What a class declares."""

    order: str


DECLARED = EventTypes(
    [EventType(name="shop.confirmed", version=2, payload_type=Confirmed, aggregate="order", key="order")]
)


async def checked(database: Database, event_type: str, payload: bytes, **fields: Any) -> About:
    check = PayloadCheck(types=EventTypeTable(declared={}), declared=DECLARED)
    return await check.check(database, MessageDraft(event_type=event_type, payload=payload, **fields))


async def make_type(database: Database, name: str, **fields: Any) -> None:
    draft = EventTypeDraft(schemas={"9": OLD, "10": NEW}, **fields)
    await EventTypeTable(declared={}).create(database, name, draft)


async def test_a_payload_is_held_against_the_newest_schema_of_its_type(database: Database) -> None:
    await make_type(database, "invoice.paid")

    assert await checked(database, "invoice.paid", b'{"total": 1.5}') == About(MESSAGE_AGGREGATE)
    with pytest.raises(InvalidInputError, match=r"invoice\.paid version 10") as refusal:
        await checked(database, "invoice.paid", b'{"total": "canary"}')

    assert refusal.value.code == "input.payload"
    assert "canary" not in str(refusal.value)


async def test_a_type_that_nobody_knows_or_that_was_archived_asks_nothing(database: Database) -> None:
    await make_type(database, "invoice.gone", is_archived=True)

    assert await checked(database, "invoice.gone", b"{}") == About(MESSAGE_AGGREGATE)
    assert await checked(database, "invoice.unknown", b"{}") == About(MESSAGE_AGGREGATE)


async def test_a_class_says_what_fits_and_what_the_event_is_about(database: Database) -> None:
    assert await checked(database, "shop.confirmed", b'{"order":"o7"}') == About("order", "o7", 2)
    with pytest.raises(InvalidInputError):
        await checked(database, "shop.confirmed", b'{"order":7}')


async def test_a_raw_payload_is_not_looked_into(database: Database) -> None:
    await make_type(database, "invoice.paid")

    assert await checked(database, "invoice.paid", b"{}", raw_payload="<total/>") == About(MESSAGE_AGGREGATE)
