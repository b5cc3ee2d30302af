"""What one leadership hands out, and what it tells the server."""

import asyncio

import asyncpg
import pytest

from rowcast.capture.stream_frames import parse_lsn
from rowcast.capture.wal_feed import WalFeed
from rowcast.core.errors import StoreError
from rowcast.outbox.publisher import NewState, record_of
from tests.integration.capture.feeding import collect, emit, opened, run, settle

_SETTLED = "select lsn::text from rowcast.feed_cursor where shard = -1"


async def test_a_batch_that_is_not_acknowledged_is_given_again_by_the_same_session(dsn: str) -> None:
    async with opened(dsn) as feed:
        emit(dsn, 3)
        batch = await feed.next_batch()

        assert await feed.next_batch() is batch
        await settle(feed, batch)
        emit(dsn, 1)
        assert len((await feed.next_batch()).events) == 1


async def test_the_cursor_moves_with_the_batch_and_not_with_one_that_failed(dsn: str) -> None:
    async with opened(dsn) as feed:
        emit(dsn, 1)
        await collect(feed, 1)
        before = run(dsn, _SETTLED)
        emit(dsn, 1)
        batch = await feed.next_batch()
        with pytest.raises(asyncpg.CheckViolationError):
            await feed.settle(batch, record_of([NewState(batch.events[0], "nonsense")]))
        assert run(dsn, _SETTLED) == before
        await settle(feed, batch)

    assert parse_lsn(run(dsn, _SETTLED)[0][0]) > parse_lsn(before[0][0])


async def test_what_a_side_lane_has_settled_is_not_handed_out_again_by_the_stream(dsn: str) -> None:
    async with opened(dsn, batch_size=50) as feed:
        emit(dsn, 2_000, tenant="flood")
        emit(dsn, 5, tenant="small")
        events = await collect(feed, 2_005)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.7):
                await feed.next_batch()

    assert len({event.id for event in events}) == len(events)
    place = [event.tenant_id for event in events].index("small")
    assert place < 500


async def test_a_cursor_whose_row_is_gone_is_refused(dsn: str) -> None:
    run(dsn, "delete from rowcast.feed_cursor where shard = -1")

    with pytest.raises(StoreError, match="shard -1"):
        await WalFeed(dsn=dsn).open()
