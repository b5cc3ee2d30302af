"""Messages in the database: an event and what is said beside it, in one transaction."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from rowcast.core.errors import ConflictError, InvalidInputError, NotFoundError, PayloadTooLargeError
from rowcast.core.ids import uuid7
from rowcast.store.pool import Database
from rowcast.store.sql import parse_query
from rowcast.webhooks.message_draft import MessageDraft
from rowcast.webhooks.message_table import About, Message, MessageFilter, MessageTable, drop_lost_messages

PLAIN = MessageDraft(event_type="orders.confirmed", payload=b'{"id":"o1", "total": 1.50}')


class Box:
    """A table, and short ways to fill and read it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.table = MessageTable()

    async def send(self, tenant_id: str = "acme", **fields: object) -> Message:
        draft = msgspec.structs.replace(PLAIN, **fields)
        async with self.database.transaction() as session:
            return await self.table.create(session, tenant_id, draft)

    async def page(self, after: Message | None = None, *, most: int = 50, **fields: Any) -> Sequence[Message]:
        is_falling = fields.pop("is_falling", True)
        event_id = None if after is None else after.event_id
        return await self.table.page(
            self.database, "acme", chosen=MessageFilter(**fields), after=event_id, is_falling=is_falling, most=most
        )

    async def rows(self, text: str) -> list[tuple[Any, ...]]:
        return [tuple(row.values()) for row in await self.database.fetch(parse_query("test", text))]


@pytest.fixture
def box(database: Database) -> Box:
    return Box(database)


async def test_a_message_is_an_event_with_what_was_said_beside(box: Box) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    made = await box.send(uid="e1", channels=("a", "b"), tags=("t",), deliver_at=later)
    plain = await box.send()

    read = [await box.table.get(box.database, "acme", name) for name in (made.id, "e1", plain.id)]

    assert read == [made, made, plain]
    assert (made.uid, made.channels, made.tags, made.deliver_at) == ("e1", ("a", "b"), ("t",), later)
    assert (bytes(made.payload), plain.uid, plain.channels) == (b'{"id":"o1", "total": 1.50}', None, None)
    events = await box.rows("select tenant_id, event_type, aggregate_type, aggregate_id, version from rowcast.event")
    assert events == [("acme", "orders.confirmed", "orders", "o1", 1)] * 2
    # What has nothing to say beside its event costs no row.
    assert await box.rows("select uid from rowcast.message") == [("e1",)]


async def test_what_the_event_is_about_can_be_said(box: Box) -> None:
    async with box.database.transaction() as session:
        await box.table.create(session, "acme", PLAIN, about=About("order", "7", 3))

    assert await box.rows("select aggregate_type, aggregate_id, version from rowcast.event") == [("order", "7", 3)]


async def test_an_id_that_is_taken_leaves_nothing_behind_whoever_is_first(box: Box) -> None:
    async def attempt() -> str:
        try:
            return (await box.send(uid="e1")).id
        except ConflictError:
            return "conflict"

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(attempt()) for _ in range(5)]

    assert sorted(task.result() == "conflict" for task in tasks) == [False, True, True, True, True]
    assert await box.rows("select count(*) from rowcast.event") == [(1,)]
    assert (await box.send("beta", uid="e1")).uid == "e1"


async def test_another_tenants_message_is_not_there(box: Box) -> None:
    made = await box.send("beta", uid="e1")

    for name in (made.id, "e1", "msg_nonsense", "nobody"):
        with pytest.raises(NotFoundError):
            await box.table.get(box.database, "acme", name)
    assert await box.page() == []


async def test_what_was_said_of_messages_whose_day_is_gone_is_removed_and_their_ids_are_free(box: Box) -> None:
    gone, kept, new = [await box.send(uid=uid) for uid in ("gone", "kept", "new")]
    for message, days in ((gone, 40), (kept, 40)):
        await box.database.execute(
            parse_query("test", "update rowcast.message set event_id = :old where event_id = :id"),
            old=uuid7(datetime.now(UTC) - timedelta(days=days)),
            id=message.event_id,
        )
    text = """insert into rowcast.event (id, tenant_id, aggregate_type, aggregate_id, event_type, occurred_at, payload)
              select event_id, tenant_id, 'a', 'b', 'c', now(), '{}' from rowcast.message where uid = 'kept'"""
    await box.database.execute(parse_query("test", text))

    counts = [await drop_lost_messages(box.database, days=30, most=9) for _ in range(2)]

    assert counts == [1, 0]
    assert await box.rows("select uid from rowcast.message order by uid") == [("kept",), ("new",)]
    assert (await box.send(uid="gone")).id != gone.id
    assert new.uid == "new"


async def test_messages_are_known_by_any_of_their_names(box: Box) -> None:
    first, second, foreign = await box.send(uid="e1"), await box.send(), await box.send("beta", uid="e2")

    known = await box.table.known(
        box.database, "acme", ["e1", first.id, second.id, foreign.id, "e2", "msg_x", "nobody"]
    )

    assert known == {"e1": first.event_id, first.id: first.event_id, second.id: second.event_id}
    assert await box.table.known(box.database, "acme", []) == {}


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"payload": b'{"a":"' + b"x" * 65_536 + b'"}'}, PayloadTooLargeError),
        ({"payload": b'{"a":"\\u0000"}'}, InvalidInputError),
    ],
)
async def test_what_no_event_can_hold_is_refused_whole(
    box: Box, fields: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        await box.send(uid="e1", **fields)

    assert await box.rows("select count(*) from rowcast.message") == [(0,)]


async def test_pages_lead_both_ways_in_both_orders(box: Box) -> None:
    made = [await box.send() for _ in range(5)]
    await box.send("beta")

    assert await box.page(most=2) == [made[4], made[3]]
    assert await box.page(made[3], most=2) == [made[2], made[1]]
    assert await box.page(made[3], most=2, is_falling=False) == [made[4]]
    assert await box.page(is_falling=False) == made
    await box.database.execute(parse_query("test", "delete from rowcast.event"))
    assert await box.page(made[3]) == []


async def test_a_list_gives_what_fits_everything_that_is_asked(box: Box) -> None:
    first = await box.send(channels=("a", "b"), tags=("vip",))
    second = await box.send(event_type="Other", channels=("b",))
    third = await box.send(tags=("vip", "big"))

    async def found(**fields: Any) -> list[Message]:
        return list(await box.page(is_falling=False, **fields))

    assert await found(channel="b") == [first, second]
    assert await found(tag="vip") == [first, third]
    assert await found(event_types=("Other", "orders.none")) == [second]
    assert await found(channel="b", tag="vip", event_types=("orders.confirmed",)) == [first]
    assert await found(since=first.created_at) == [second, third]
    assert await found(until=third.created_at) == [first, second]
    assert await found(since=first.created_at, until=third.created_at, channel="a") == []
