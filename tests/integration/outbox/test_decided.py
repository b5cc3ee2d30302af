"""How far the outbox is decided: up to the last number where nobody writes, and never past one that may still commit."""

from rowcast.outbox.decided import Decided
from rowcast.store.pool import Database
from tests.integration.outbox.events import emit, emit_some, session


async def test_all_is_decided_where_nobody_writes(database: Database, dsn: str) -> None:
    decided = Decided(database=database)
    await emit_some(dsn, 7)
    async with session(dsn) as driver:
        last_seq = await driver.fetchval("select last_value from rowcast.event_seq")

    assert await decided.seq() == last_seq


async def test_it_never_passes_a_number_that_is_still_to_be_committed(database: Database, dsn: str) -> None:
    decided = Decided(database=database)
    await emit_some(dsn, 3)
    before = await decided.seq()
    async with session(dsn) as slow:
        transaction = slow.transaction()
        await transaction.start()
        await emit(slow)
        await emit_some(dsn, 5)
        assert [await decided.seq() for _ in range(2)] == [before, before]
        # One that begins to look only now knows less, and is as careful.
        assert await Decided(database=database).seq() <= before
        await transaction.commit()

    assert await decided.seq() == before + 6
