"""Events whose types nobody declared, written whole or not at all."""

import msgspec
import pytest

from rowcast.core.errors import InvalidInputError, PayloadTooLargeError
from rowcast.outbox.emit_rows import emit_rows
from rowcast.outbox.new_event import NewEvent
from rowcast.store.pool import Database


def row(event_type: str = "strange.thing", payload: bytes = b"{}") -> NewEvent:
    return NewEvent(
        tenant_id="acme", event_type=event_type, version=1, payload=msgspec.Raw(payload), aggregate_type="strange"
    )


async def written(database: Database) -> list[tuple[str, str]]:
    async with database.connection() as connection:
        rows = await connection.driver.fetch("select event_type, payload::text from rowcast.event order by seq")
    return [tuple(each) for each in rows]


async def test_events_are_written_in_their_order_as_they_are(database: Database) -> None:
    await emit_rows(database, [row(payload=b'{"n":1.50}'), row("strange.other"), row()])
    await emit_rows(database, [])

    assert await written(database) == [
        ("strange.thing", '{"n":1.50}'),
        ("strange.other", "{}"),
        ("strange.thing", "{}"),
    ]


async def test_one_that_cannot_be_taken_takes_none(database: Database) -> None:
    for bad, error in (
        (row(payload=b'{"t":"%b"}' % (b"x" * 65_536)), PayloadTooLargeError),
        (row("No Type"), InvalidInputError),
        (row(payload=b'{"t":"\\u0000"}'), InvalidInputError),
    ):
        with pytest.raises(error):
            await emit_rows(database, [row(), bad])

    assert await written(database) == []
