"""The low bound that any relay keeps: near the oldest pending event, and never past one that may still commit."""

from rowcast.outbox.low_bound import LowBound
from rowcast.store.pool import Database
from tests.integration.outbox.events import emit, emit_some, session

SETTLE_ALL = "insert into rowcast.event_state (event_id, status) select id, 'published' from rowcast.event on conflict do nothing"


async def test_it_stands_at_the_oldest_pending_event(database: Database, dsn: str) -> None:
    bound = LowBound(database=database)
    await emit_some(dsn, 100)
    async with session(dsn) as driver:
        await driver.execute(SETTLE_ALL)
        pending = await emit(driver)
        await emit_some(dsn, 10)
        seq = await driver.fetchval("select seq from rowcast.event where id = $1", pending)

        assert await bound.advance() == seq
        assert await driver.fetch("select distinct low_seq, read_seq from rowcast.feed_cursor where shard >= 0") == [
            (seq, seq)
        ]


async def test_it_does_not_pass_a_number_that_is_still_to_be_committed(database: Database, dsn: str) -> None:
    bound = LowBound(database=database)
    async with session(dsn) as slow, session(dsn) as driver:
        transaction = slow.transaction()
        await transaction.start()
        await emit(slow)
        late_seq = await driver.fetchval("select last_value from rowcast.event_seq")
        await emit_some(dsn, 100)
        await driver.execute(SETTLE_ALL)
        for _ in range(3):
            assert await bound.advance() <= late_seq
        assert await driver.fetchval("select min(read_seq) from rowcast.feed_cursor where shard >= 0") > late_seq + 99
        await transaction.commit()

        assert await bound.advance() == late_seq
        await driver.execute(SETTLE_ALL)
        assert await bound.advance() == late_seq + 101


async def test_another_processs_bound_is_where_a_new_one_begins(database: Database, dsn: str) -> None:
    await emit_some(dsn, 50)
    async with session(dsn) as driver:
        await driver.execute(SETTLE_ALL)
    first = await LowBound(database=database).advance()
    second = LowBound(database=database)

    assert await second.advance() == first
    assert second._position == first


async def test_a_bound_never_goes_down(database: Database, dsn: str) -> None:
    async with session(dsn) as driver:
        await driver.execute("update rowcast.feed_cursor set low_seq = 1000, read_seq = 1000")
        await emit_some(dsn, 5)
        await LowBound(database=database).advance()

        assert await driver.fetchval("select min(low_seq) from rowcast.feed_cursor where shard >= 0") == 1000
